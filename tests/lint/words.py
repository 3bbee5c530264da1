# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the product never does: run other programs, change identity, trust its environment, name a process to
polkit (racy), or catch devices by their ids."""

import re

import lint

FORBIDDEN = {
    r"\b(popen|system|posix_spawnp?|exec[lv]p?e?|execveat|fexecve)\s*\(": "no other program is run",
    r"\b(set(?:e|re|res)?[ug]id|setfs[ug]id|setgroups|initgroups)\s*\(": "who we are is the unit's business",
    r"\b(secure_)?getenv\s*\(": "the environment belongs to whoever started us",
    r"\bnew_id\b": "new_id catches every like device, now and later; use driver_override",
    r"\bremove_id\b": "there is no new_id to take back",
    r"\bunix-process\b": "a process subject is racy; use system-bus-name",
    r"\b(strcat|sprintf|vsprintf|gets|strtok)\s*\(": "it does not know the size, or keeps state",
    r"\b(init_module|finit_module)\b": "loading modules is the unit's business",
    r"\"[^\"]*(pci/rescan|/remove)\\?n?\"": "remove and rescan take a global lock of the kernel",
}

# The tool of the command line is started by a person, with that person's environment, and starts what it is told.
TOOL = {
    r"\b(secure_)?getenv\s*\(": ("cli/output.c",),
    r"\b(popen|system|posix_spawnp?|exec[lv]p?e?|execveat|fexecve)\s*\(": ("cli/agent.c", "cli/output.c", "cli/vm-exec.c"),
}

# The writer of sysfs, that of our own files, the locks, and the question whether a VFIO node is held.
WRITER = re.compile(r"\b(O_WRONLY|O_RDWR)\b")
MAY_WRITE = {"helper/sysfs-write.c", "helper/atomic-files.c", "helper/lock.c", "helper/vfio.c"}


def check(tree):
    problems = []
    for path, text in lint.below(tree, lint.PRODUCT).items():
        for number, line in lint.numbered(lint.without_comments(text)):
            for pattern, reason in FORBIDDEN.items():
                if re.search(pattern, line) and path not in TOOL.get(pattern, ()):
                    problems.append(f"{path}:{number}: {line.strip()}: {reason}")
            if WRITER.search(line) and path not in MAY_WRITE:
                problems.append(f"{path}:{number}: {line.strip()}: only {', '.join(sorted(MAY_WRITE))} open for "
                                "writing")
    return problems


if __name__ == "__main__":
    lint.run(check, {f"sample {number}": {"daemon/x.c": f"        {line}\n"} for number, line in enumerate([
        'system("true");', 'f = popen("x", "r");', "(void)setuid(0);", 'x = getenv("HOME");',
        'write_to("bus/pci/drivers/vfio-pci/new_id");', 'subject = "unix-process";', 'execvp("x", argv);',
        "strcat(a, b);", 'write_to("sys/bus/pci/rescan");', 'open("x", O_RDWR);'])},
        "do without; docs/security.md says why")
