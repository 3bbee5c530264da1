#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_completion.py STAGE TOOL DATA: what is completed in the real shells, bash and zsh at a terminal. TAP."""

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from orders import make_claim, make_group
from stage import ADMIN, OTHER, Stage
from tap import Tap

ODD = 'the "big" one'
LIBRARY = "/usr/share/bash-completion/bash_completion"  # for the program behind "--"
APOSTROPHE = "it's mine"
COLON = "host:web one"
# Of somebody who would like to run something in the shell of whoever presses TAB.
EVIL = [":program", ":file", "--help", "$(touch evil)", "`touch evil`", "a;touch evil"]
EVIL_TEXT = "psvar[$(touch evil)0]"


class Terminal:
    """A shell at a terminal. Ctrl-G has it write the line as it stands to a pipe, so nobody waits by the clock."""

    def __init__(self, stage, arguments, setup, home):
        master, slave = pty.openpty()
        self.master = master
        self.lines, write = os.pipe()
        os.set_inheritable(write, True)
        path = f"{os.path.dirname(stage.tool)}:/usr/bin:/bin"
        self.process = subprocess.Popen(
            arguments, stdin=slave, stdout=slave, stderr=slave, pass_fds=[write], start_new_session=True, cwd=home,
            user=ADMIN, group=ADMIN, extra_groups=[],
            env=stage.environment(PATH=path, HOME=home, PS1="> ", DUMP=str(write), COLUMNS="400", ZDOTDIR=home))
        os.close(slave)
        os.close(write)
        os.write(master, f"{setup}\n".encode())
        self.complete("", keys="")

    def complete(self, line, keys="\t"):
        """The line after these keys."""
        os.write(self.master, (line + keys + "\7").encode())
        text = b""
        while not text.endswith(b"\0"):
            got = os.read(self.lines, 1)
            if not got:
                raise AssertionError(f"the shell has ended: {os.read(self.master, 65536)!r}")
            text += got
            self.drain()
        return text[:-1].decode()

    def drain(self):
        """What it shows must not fill the terminal."""
        os.set_blocking(self.master, False)
        try:
            os.read(self.master, 65536)
        except (BlockingIOError, OSError):
            pass
        os.set_blocking(self.master, True)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.lines)


# typed -> what stands there after a TAB
PLAIN = {
    "passthroughctl mon": "passthroughctl monitor ",
    "passthroughctl vm sta": "passthroughctl vm start ",
    "passthroughctl list --no-l": "passthroughctl list --no-legend ",
    "passthroughctl list --group ni": "passthroughctl list --group nics ",
    "passthroughctl list --group=ni": "passthroughctl list --group=nics ",
    "passthroughctl vm start --access f": "passthroughctl vm start --access fds ",
    "passthroughctl list --json=sh": "passthroughctl list --json=short ",
    # The colons of addresses divide words in bash.
    "passthroughctl show 0000:01": "passthroughctl show 0000:01:00.0 ",
    "passthroughctl show 05:02": "passthroughctl show 05:02.0 ",
    "passthroughctl show 01:00.0 0000:04": "passthroughctl show 01:00.0 0000:04:00.0 ",
    "passthroughctl vfs 0000:01": "passthroughctl vfs 0000:01:00.0 ",
    "passthroughctl make 01:00.0 --type sr": "passthroughctl make 01:00.0 --type sriov-nic ",
    "passthroughctl group edit nics --link-state en": "passthroughctl group edit nics --link-state enable ",
    "passthroughctl group edit nics --link-state gr": "passthroughctl group edit nics --link-state gr",
    "passthroughctl claim edit web --link-state gr": "passthroughctl claim edit web --link-state group ",
    "passthroughctl claim edit web --vlan gr": "passthroughctl claim edit web --vlan group ",
    "passthroughctl claim add web nics --vlan-protocol 802.1a": "passthroughctl claim add web nics --vlan-protocol 802.1ad ",
    "passthroughctl group add x --overridable tr": "passthroughctl group add x --overridable trust ",
    "passthroughctl group add x --overridable vlan,tr": "passthroughctl group add x --overridable vlan,trust ",
    "passthroughctl group add x --overridable=vlan,tr": "passthroughctl group add x --overridable=vlan,trust ",
    # All have this in common.
    "passthroughctl show 0": "passthroughctl show 0000:0",
    # Nothing fits.
    "passthroughctl show 0000:77": "passthroughctl show 0000:77",
    "passthroughctl vm stop web x": "passthroughctl vm stop web x",
    # Not for people.
    "passthroughctl compl": "passthroughctl compl",
    # The program behind "--" is the shell's.
    "passthroughctl vm start web -- passthroughctl mon": "passthroughctl vm start web -- passthroughctl monitor ",
    "passthroughctl vm start web --wait 3 -- some-vm-pro": "passthroughctl vm start web --wait 3 -- some-vm-program ",
}

# Ways to type these names: in each the shell must have the name itself as the one word in the end.
ODD_LINES = [
    ("the", ODD), ("the\\ ", ODD), ("the\\ \\\"b", ODD), ("\"the ", ODD), ("\"the \\\"bi", ODD), ("'the \"", ODD),
    ("it", APOSTROPHE), ("it\\'", APOSTROPHE), ("\"it's ", APOSTROPHE), ("'it'\\''s", APOSTROPHE),
    ("host", COLON), ("host:", COLON), ("host:we", COLON), ("host:web\\ o", COLON), ("'host:w", COLON),
    ("\"host:web ", COLON),
]


def read_words(shell, line):
    """The words of the line, as the shell itself reads them."""
    done = subprocess.run([shell, "-f" if shell.endswith("zsh") else "--norc", "-c", f"printf '%s\\n' {line}"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def run_terminal(tap, stage, shell, setup, home):
    program = shutil.which(shell)
    name = os.path.basename(shell)
    if not program:
        tap.skip(name, f"{name} is not installed")
        return
    arguments = [program, "--norc", "--noprofile", "-i"] if name == "bash" else [program, "-f", "-i"]
    terminal = Terminal(stage, arguments, setup, home)
    for line, expected in PLAIN.items():
        if name == "bash" and " -- " in line and not os.path.exists(LIBRARY):
            tap.skip(f"{name}: {line}", "bash-completion is not installed")
            continue
        came = terminal.complete(line)
        tap.judge(f"{name}: {line}", came == expected, f"came: {came!r}")
    for typed, expected in ODD_LINES:
        came = terminal.complete(f"passthroughctl vm stop {typed}")
        try:
            words = read_words(program, came)
        except subprocess.CalledProcessError:
            words = None
        tap.judge(f"{name}: vm stop {typed}", words == ["passthroughctl", "vm", "stop", expected], f"came: {came!r}")
    for typed in ("claim show ", "claim show :", "vm stop ", "vm stop :", "vm stop \\$", "vm stop \\`", "vm stop a", "vm stop --h"):
        came = terminal.complete(f"passthroughctl {typed}")
        tap.judge(f"{name}: runs nothing for {typed}", not os.path.exists(f"{home}/evil"), f"came: {came!r}")
        tap.judge(f"{name}: no order of ours for {typed}", ":program" not in came and ":file" not in came, f"came: {came!r}")
    stage.order("kill")
    came = terminal.complete("passthroughctl show 01")
    tap.judge(f"{name}: without the service", came == "passthroughctl show 01", f"came: {came!r}")
    stage.order("start")
    terminal.close()


def run_fish(tap, stage, data, home):
    program = shutil.which("fish")
    if not program:
        tap.skip("fish", "fish is not installed")
        return
    environment = {"PATH": f"{os.path.dirname(stage.tool)}:/usr/bin:/bin", "HOME": home}

    def complete(line):
        done = stage.run(program, "--no-config", "-c", f"source {data}/passthroughctl.fish; complete -C $argv[1]", line,
                         env=environment)
        return [row.split("\t")[0] for row in done.stdout.splitlines()], done.stderr

    for line, expected in PLAIN.items():
        came, complaint = complete(line)
        # fish says what the last word could be.
        word = expected.split(" ")[-2 if expected.endswith(" ") else -1]
        common = os.path.commonprefix(came) if came else line.split(" ")[-1]
        tap.judge(f"fish: {line}", common == word and not complaint, f"came: {came} {complaint}")
    for typed, expected in [("the", ODD), ("'the \"", ODD), ("it", APOSTROPHE), ("host:we", COLON),
                            ("\"host:web ", COLON), ("host:web\\ o", COLON)]:
        came, complaint = complete(f"passthroughctl vm stop {typed}")
        tap.judge(f"fish: vm stop {typed}", came == [expected] and not complaint, f"came: {came} {complaint}")
    for typed in ("claim show ", "vm stop ", "vm stop :", "vm stop \\$"):
        came, complaint = complete(f"passthroughctl {typed}")
        tap.judge(f"fish: runs nothing for {typed}", not os.path.exists(f"{home}/evil") and not complaint
                  and not any(word.startswith((":", "-")) for word in came), f"came: {came[:20]} {complaint}")
    came, complaint = complete("passthroughctl show 01")
    tap.judge("fish: descriptions", stage.run("passthroughctl", "complete", "--", "show", "01").stdout ==
              "01:00.0\tIntel Corporation 82574L Gigabit Network Connection\n" and came == ["01:00.0"], came)


def make_program(home):
    """One that nobody else has."""
    path = Path(home) / "some-vm-program"
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def main():
    stage_program, tool, data = sys.argv[1], sys.argv[2], os.path.join(os.path.abspath(sys.argv[3]), "data/completion")
    tap = Tap()
    with tempfile.TemporaryDirectory() as home, Stage(stage_program, tool) as stage:
        os.chown(home, ADMIN, ADMIN)
        shutil.copytree(data, f"{home}/data")
        shutil.move(make_program(home), os.path.dirname(stage.tool))
        group = make_group(stage, "nics", "0000:01:00.0")
        for vm in ("web", ODD, APOSTROPHE, COLON):
            make_claim(stage, vm, group, "net")
        for vm in EVIL:
            make_claim(stage, vm, group, "net", uid=OTHER, description=EVIL_TEXT)
        run_terminal(tap, stage, "bash",
                     f"bind 'set bell-style none'; bind 'set completion-query-items 0'; "
                     "bind 'set page-completions off'; "
                     f"[ ! -e {LIBRARY} ] || . {LIBRARY}; . {home}/data/passthroughctl.bash; "
                     "dump() { printf '%s\\0' \"$READLINE_LINE\" >&$DUMP; READLINE_LINE=; READLINE_POINT=0; }; "
                     "bind -x '\"\\C-g\": dump'", home)
        run_terminal(tap, stage, "zsh",
                     f"fpath=({home}/data $fpath); autoload -U compinit; compinit -u -D; unsetopt beep; LISTMAX=10000; "
                     "dump() { print -rn -- $BUFFER$'\\0' >&$DUMP; BUFFER= }; zle -N dump; bindkey '^G' dump", home)
        run_fish(tap, stage, f"{home}/data", home)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
