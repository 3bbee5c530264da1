# SPDX-License-Identifier: LGPL-2.1-or-later
"""passthroughctl knows the machine by the D-Bus API alone: it opens no file of the system, and no other program of it
sees what the service has not shown to everybody."""

import re

import lint

HEADERS = re.compile(r"sysfs\.h|host-\w+\.h|grant|record-file\.h|sqlite3\.h|libudev\.h|pci/pci\.h|linux/|fcntl\.h")
PATHS = re.compile(r"\"/?(sys|proc|dev|var|run|etc|boot|lib|usr)/")
OPENS = re.compile(r"\b(open|openat|fopen|opendir|scandir|stat|access|readlink|connect|socket)\s*\(")

# Of pipes, of descriptors that the service hands out, and of the file that export is told.
MAY_INCLUDE = dict.fromkeys(("cli/output.c", "cli/agent.c", "cli/vm-start.c", "cli/vm-exec.c",
                              "cli/document.c"), "fcntl.h")
MAY_OPEN = {"cli/document.c"}  # the file that export and import are told


def check(tree):
    problems = []
    for path, text in lint.below(tree, ("cli",)).items():
        for number, line in lint.numbered(lint.without_comments(text)):
            include = re.match(r'\s*#\s*include\s+[<"]([^>"]+)', line)
            if include and HEADERS.search(include[1]) and MAY_INCLUDE.get(path) != include[1]:
                problems.append(f"{path}:{number}: includes {include[1]}")
            if not include and PATHS.search(line):
                problems.append(f"{path}:{number}: {line.strip()}: names a file of the system")
            if OPENS.search(line) and path not in MAY_OPEN:
                problems.append(f"{path}:{number}: {line.strip()}: opens something")
    return problems


if __name__ == "__main__":
    lint.run(check, {f"sample {number}": {"cli/x.c": f"{line}\n"} for number, line in enumerate([
        '#include "sysfs.h"', "#include <sqlite3.h>", 'f = "/sys/bus/pci";', 'x = "/var/lib/verge-passthrough";',
        "f = fopen(name, mode);", '#include "host-facts.h"'])},
        "ask the service over D-Bus; what it does not tell, it should tell everybody")
