#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""golden.py [--update] STAGE TOOL [FILE...]: runs the transcripts below golden/ and compares what comes with what
stands there; --update writes it instead. TAP, one case for each command.

A transcript is one fake host from its first line on:
    % ORDER             an order to the stage (tests/cli/stage.c); the daemon starts by "% start", or before the first
                        command
    $ COMMAND           a command of the administrator; "other$" of a user, "root#" of root. It is split into words as a
                        shell does; VARIABLE=VALUE may stand in front, "< TEXT" behind is its input. Nothing expands.
and behind a command its standard output, its standard error, and "[exit N]" unless that is 0. Lines in between that
begin with "## " are remarks. What differs from run to run is masked: see MASKS.
"""

import argparse
import re
import shlex
import sys
from pathlib import Path

from stage import ADMIN, OTHER, Stage

HERE = Path(__file__).resolve().parent
USERS = {"$": ADMIN, "other$": OTHER, "root#": 0}
PROMPT = re.compile(r"(\$|other\$|root#) (.*)")
MASKS = [
    (re.compile(r"[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\b"), "DATE TIME"),
    (re.compile(r"\b(at|until) \d\d:\d\d:\d\d\b"), r"\1 TIME"),
    (re.compile(r"\bt\+\d+\.\d+"), "t+TIME"),
    (re.compile(r'("(?:Created|Modified|ConfirmUntil)": ?)[1-9]\d*'), r"\1NUMBER"),
    (re.compile(r":1\.\d+\b"), ":1.N"),
    # functions get what is free, in the order in which they come
    (re.compile(r"(\(set|IOMMU set:) 1\d\d\b"), r"\1 NUMBER"),
    # made up; those that a transcript gives begin otherwise
    (re.compile(r"\b(?!02:00:00:)[0-9a-f][26ae](:[0-9a-f]{2}){5}\b"), "MAC"),
]


def split(line):
    """Words of a command, its environment and its input."""
    words, environment, text = shlex.split(line), {}, None
    if "<" in words:
        text = " ".join(words[words.index("<") + 1:])
        words = words[:words.index("<")]
    while words and re.match(r"[A-Z_]+=", words[0]):
        key, _, value = words.pop(0).partition("=")
        environment[key] = value
    return words, environment, text


def mask(text, root):
    text = text.replace(root, "ROOT").replace("\t", "<tab>")
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text


def run_command(stage, prompt, line):
    words, environment, text = split(line)
    done = stage.run(*words, uid=USERS[prompt], env=environment, input=text)
    out = mask(done.stdout + done.stderr, stage.root)
    if out and not out.endswith("\n"):
        out += "\n"
    return out + (f"[exit {done.returncode}]\n" if done.returncode else "")


def parse(text):
    """(line, expected answer) for each line that is an order, a remark or a command; others belong to answers."""
    steps = []
    for line in text.splitlines(keepends=True):
        if PROMPT.match(line) or line.startswith(("% ", "## ")) or line == "\n" and (not steps or not steps[-1][0].strip()):
            steps.append([line, ""])
        elif steps and PROMPT.match(steps[-1][0]):
            steps[-1][1] += line
        else:
            steps.append([line, ""])
    return steps


class Run:
    """The cases of all transcripts."""

    def __init__(self, arguments):
        self.arguments, self.n, self.failed = arguments, 0, 0

    def judge(self, name, line, expected, came):
        self.n += 1
        good = came.rstrip("\n") == expected.rstrip("\n")
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}: {line.replace('#', 'no.')}", flush=True)
        if not good:
            print("".join(f"#   expected: {row}\n" for row in expected.splitlines()) +
                  "".join(f"#   came:     {row}\n" for row in came.splitlines()), end="", flush=True)

    def play(self, path):
        steps = parse(path.read_text(encoding="utf-8"))
        started = any(step[0].strip() == "% start" for step in steps)
        written = []
        with Stage(self.arguments.stage, self.arguments.tool, start=False) as stage:
            for line, expected in steps:
                match = PROMPT.match(line)
                if line.startswith("% "):
                    stage.order(line[2:].strip())
                if not match:
                    written.append(line)
                    continue
                if not started:
                    stage.order("start")
                    started = True
                came = run_command(stage, *match.groups())
                written.append(line + came + ("\n" if expected.endswith("\n\n") or self.arguments.update else ""))
                if not self.arguments.update:
                    self.judge(path.stem, match[0], expected, came)
        if self.arguments.update:
            path.write_text(re.sub(r"\n{3,}", "\n\n", "".join(written)).rstrip("\n") + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(prog="golden.py")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("stage")
    parser.add_argument("tool")
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    files = arguments.files or sorted((HERE / "golden").glob("*.txt"))
    run = Run(arguments)
    for path in files:
        run.play(path)
    if arguments.update:
        return 0
    print(f"1..{run.n}")
    return 1 if run.failed or not run.n else 0


if __name__ == "__main__":
    sys.exit(main())
