#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_files.py STAGE TOOL: what the tool opens, as strace sees it: its libraries, the locale and the bus; nothing of
sysfs, of the service's database, of grants. TAP."""

import re
import shutil
import sys

from stage import Stage

COMMANDS = ["list", "list --iommu", "show", "show 01:00.0", "check 01:00.0", "plan 01:00.0", "vfs", "group list",
            "rule list", "claim list", "vm list", "doctor", "export", "bind 01:00.0", "make 01:00.0 --group X",
            "return 01:00.0", "complete bind 0"]
CALLS = "open,openat,openat2,stat,newfstatat,access,faccessat,faccessat2,readlink,readlinkat,connect,execve"
# What programs of any kind touch: the loader, libc, and libsystemd where it learns how big a cgroup or pid is.
HARMLESS = re.compile(r"/(usr/)?lib(32|64)?/|/etc/(ld\.so\.|localtime|nsswitch\.conf|passwd|group)|/usr/share/(locale|zoneinfo)"
                      r"|/dev/(null|tty|urandom)|/proc/(self|\d+)/(fd|maps|status|stat|cgroup|cmdline|environ|exe)|/sys/fs/cgroup|/sys/devices/system/cpu"
                      r"|/(usr/)?(s?bin|local/bin|local/sbin)/|/proc/filesystems|/run/systemd/(users|sessions)/|/proc/sys/kernel/random/boot_id")
PATH = re.compile(r'"(/[^"]*)"')


def opened(log):
    return {path for path in PATH.findall(log) if not HARMLESS.match(path)}


def main():
    if not shutil.which("strace"):
        print("1..0 # SKIP strace is not installed")
        return 0
    failed = 0
    with Stage(sys.argv[1], sys.argv[2]) as stage:
        own = {stage.address.partition("path=")[2].split(",")[0], stage.tool}
        for number, command in enumerate(COMMANDS, 1):
            done = stage.run("strace", "-f", "-s", "4096", "-o", "/dev/stdout", "-e", f"trace={CALLS}", stage.tool, *command.split(),
                             uid=0, env={"ASAN_OPTIONS": "detect_leaks=0"})  # it cannot look for leaks under strace
            log = "\n".join(line for line in done.stdout.splitlines() if re.match(r"\d+ +\w+\(", line))
            strange = opened(log) - own
            good = not strange and "connect(" in log
            failed += not good
            print(f"{'ok' if good else 'not ok'} {number} - {command} opens nothing but the bus")
            for path in sorted(strange):
                print(f"#   {path}")
            if "connect(" not in log:
                print("#   strace has seen no connection: " + done.stderr.replace("\n", " ")[:300])
    print(f"1..{len(COMMANDS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
