# SPDX-License-Identifier: LGPL-2.1-or-later
"""What both tests of installations share: a directory as it is, what has changed in it, and steps that are counted."""

import hashlib
import os
import stat
import subprocess
import sys


def say(path):
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        what = os.readlink(path)
    elif stat.S_ISREG(info.st_mode):
        what = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        what = stat.S_IFMT(info.st_mode)
    return stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, what


def snapshot(root, without=()):
    """Path below root -> what it is; nothing of `without` and below."""
    found = {}
    for directory, names, files in os.walk(root):
        below = os.path.relpath(directory, root)
        names[:] = [n for n in names if os.path.normpath(f"{below}/{n}") not in without]
        for name in names + files:
            path = os.path.normpath(f"{below}/{name}")
            if path not in without:
                found[path] = say(root / path)
    return found


def differences(before, after):
    lines = [f"left behind: /{path}" for path in sorted(after.keys() - before.keys())]
    lines += [f"gone: /{path}" for path in sorted(before.keys() - after.keys())]
    return lines + [f"changed: /{path}" for path in sorted(before.keys() & after.keys()) if before[path] != after[path]]


def run(*command, **options):
    """Must succeed; returns what it wrote."""
    result = subprocess.run([str(word) for word in command], text=True, check=False, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    said = f"exit code {result.returncode}\n{result.stdout[-4000:]}"
    assert result.returncode == 0, f"{' '.join(map(str, command))}: {said}"
    return result.stdout


def skip_all(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


def count(steps, *arguments):
    """Each is a function with a sentence for its docstring; one that fails ends the test, for the next stand on it."""
    print(f"1..{len(steps)}", flush=True)
    for number, step in enumerate(steps, 1):
        try:
            step(*arguments)
        except Exception as error:      # whatever it is, it is told
            print(f"not ok {number} - {step.__doc__}", flush=True)
            print("\n".join(f"# {line}" for line in f"{type(error).__name__}: {error}".splitlines()), flush=True)
            sys.exit(1)
        print(f"ok {number} - {step.__doc__}", flush=True)
