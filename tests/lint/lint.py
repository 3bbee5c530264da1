# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all lints share: the tree as text, the report, and the proof that a lint can fail.

A lint is check(tree) -> list of problems, where tree maps paths below the source root to texts. run() first gives
it samples that are wrong, and fails when one of them passes: a lint that cannot fail tells nothing.
"""

import re
import subprocess
import sys
from pathlib import Path

SKIP = 77  # what meson takes for "skipped"

PRODUCT = ("common", "daemon", "helper", "include", "cli")
DIRECTORIES = PRODUCT + ("bench", "data", "dbus", "debian", "docs", "polkit", "rpm", "tests", "tools")


def root():
    return Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]


def load():
    """All text files of the project; nothing that was built, cached or is hidden."""
    top = root()
    files = [f for f in top.iterdir() if f.is_file()]
    for directory in DIRECTORIES:
        files += [f for f in (top / directory).rglob("*") if f.is_file()] if (top / directory).is_dir() else []
    tree = {}
    for f in sorted(files):
        path = f.relative_to(top)
        if "__pycache__" in path.parts:
            continue
        try:
            tree[str(path)] = f.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return tree


def below(tree, directories, suffixes=(".c", ".h")):
    """The part of the tree in these directories with one of these endings."""
    return {path: text for path, text in tree.items()
            if path.split("/")[0] in directories and path.endswith(suffixes)}


def without_comments(text):
    """C without comments; line numbers stay."""
    def blank(match):
        return match.group(0) if match.group(0)[0] in "\"'" else re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def numbered(text):
    return enumerate(text.split("\n"), 1)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


def command(*arguments, **options):
    """Runs a tool in English; its result has returncode, stdout and stderr."""
    return subprocess.run(arguments, capture_output=True, text=True, check=False, **options)


def run(check, wrong, advice, tree=None):
    """wrong: name -> tree in which check() must find something. advice: what to do about a problem."""
    blind = [name for name, sample in wrong.items() if not check(sample)]
    if blind or not wrong:
        print("this lint does not see: " + (", ".join(blind) or "anything, it has no sample"))
        sys.exit(1)

    problems = check(load() if tree is None else tree)
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems; {len(wrong)} wrong samples were seen as wrong")
    if problems:
        print(f"What to do: {advice}")
    sys.exit(1 if problems else 0)
