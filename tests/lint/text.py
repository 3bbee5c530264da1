# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain text: licence line first, no stray white space, no path of one developer's machine."""

import re

import lint

SPDX = "SPDX-License-Identifier: LGPL-2.1-or-later"
SOURCES = (".c", ".h", ".py", ".sh", ".xml", ".conf", ".policy", ".service", ".in", "meson.build", ".8", ".7", ".5", ".1",
           ".js")
COLUMNS = 120  # clang-format keeps code below 109; this is for comments and strings that it cannot break
FOREIGN_PATH = re.compile(r"(?<![\w.$}*])/(?:home|work)/\w+/")


def head(text):
    """Where the licence line must be: first, or after what a file type wants before it."""
    lines = text.split("\n")
    while lines and re.match(r"#!|<\?xml|<!DOCTYPE|\s+\"http", lines[0]):
        lines.pop(0)
    return lines[0] if lines else ""


def check(tree):
    problems = []
    for path, text in tree.items():
        if path == "LICENSE" or path.startswith("tests/fuzz/corpus/"):  # are as they are
            continue
        is_script = text.startswith("#!")
        if (path.endswith(SOURCES) or is_script) and SPDX not in head(text):
            problems.append(f"{path}:1: does not begin with '{SPDX}'")
        if text and not text.endswith("\n"):
            problems.append(f"{path}: the last line has no end")
        if text.endswith("\n\n"):
            problems.append(f"{path}: empty lines at the end")
        for number, line in lint.numbered(text):
            if line.rstrip() != line:
                problems.append(f"{path}:{number}: white space at the end of the line")
            if "\t" in line and path != "debian/rules":  # make wants them
                problems.append(f"{path}:{number}: a tab")
            if path.endswith((".c", ".h")) and len(line) > COLUMNS:
                problems.append(f"{path}:{number}: {len(line)} columns, more than {COLUMNS}")
            if FOREIGN_PATH.search(line):
                problems.append(f"{path}:{number}: a path that exists on one machine only")
    return problems


if __name__ == "__main__":
    first = f"/* {SPDX} */\n"
    lint.run(check, {
        "no licence line": {"daemon/x.c": "int x;\n"},
        "a script without one": {"quickstart": "#!/bin/sh\nexit 0\n"},
        "a licence line that is not first": {"daemon/x.c": "int x;\n" + first},
        "space at the end": {"daemon/x.c": first + "int x; \n"},
        "a carriage return": {"README.md": "x\r\n"},
        "a tab": {"daemon/x.c": first + "\tint x;\n"},
        "no end of line": {"README.md": "x"},
        "empty lines at the end": {"README.md": "x\n\n"},
        "a long line": {"daemon/x.c": first + "/* " + "x" * COLUMNS + " */\n"},
        "somebody's home": {"README.md": "see /" + "home/me/src\n"},
    }, "remove what is named; put the licence line first")
