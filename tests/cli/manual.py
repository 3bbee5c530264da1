#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""manual.py TOOL PAGE: passthroughctl(1) has each command, option and exit status of the tool, and no others. TAP."""

import re
import subprocess
import sys
from pathlib import Path

HEADER = Path(__file__).resolve().parents[2] / "cli/exit-code.h"


def ask(tool, *words):
    return subprocess.run([tool, *words], capture_output=True, text=True, check=True).stdout


def of_tool(tool):
    """(commands, options) as the help has them."""
    text = ask(tool, "help")
    commands = set()
    for line in text.split("Options of each command")[0].splitlines():
        match = re.match(r"  ([a-z-]+)( [a-z-]+)?(?= |$)(?=.{2})", line)
        if match:
            commands.add((match[1] + (match[2] or "")).strip())
    options = set()
    for name in sorted(commands):
        options |= set(re.findall(r"^  (?:-\w, |    )--([a-z-]+)", ask(tool, "help", *name.split()), re.M))
    options |= set(re.findall(r"^  (?:-\w, |    )--([a-z-]+)", text, re.M))
    return commands, options


def section(page, title):
    return re.search(rf"^\.SH {title}\n(.*?)(?=^\.SH |\Z)", page, re.M | re.S)[1]


def of_page(page):
    """(commands, options, exit codes) as the page has them."""
    plain = re.sub(r"\\f.", "", page).replace("\\-", "-").replace('"', "")
    commands = {re.match(r"\.BR? ([a-z-]+(?: [a-z-]+)?)(?= |$)", line)[1].strip()
                for line in re.findall(r"^\.TP\n(.*)$", section(plain, "COMMANDS"), re.M)}
    heads = re.findall(r"^\.TP\n(.*)$", section(plain, "OPTIONS") + section(plain, "SETTINGS"), re.M)
    options = set(re.findall(r"--([a-z-]+)", "\n".join(heads)))
    codes = set(re.findall(r"\d+", "\n".join(re.findall(r"^\.TP\n(.*)$", section(plain, "EXIT STATUS"), re.M))))
    return commands, options, codes


def main():
    tool, page = sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8")
    commands, options = of_tool(tool)
    page_commands, page_options, page_codes = of_page(page)
    codes = set(re.findall(r"^\s+EXIT_\w+ = (\d+)", HEADER.read_text(encoding="utf-8"), re.M))
    cases = [("commands", commands, page_commands), ("options", options, page_options), ("exit codes", codes, page_codes)]
    failed = 0
    for number, (what, has, told) in enumerate(cases, 1):
        good = has == told and bool(has)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {number} - {what} of the tool are those of passthroughctl(1)")
        if not good:
            print(f"# not in the page: {sorted(has - told)}; not in the tool: {sorted(told - has)}")
    print(f"1..{len(cases)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
