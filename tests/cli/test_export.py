#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_export.py STAGE TOOL: where `export FILE` writes when the name is a link. TAP."""

import json
import os
import sys
import tempfile
from pathlib import Path

from stage import OTHER, Stage
from tap import Tap

PROTECTED = Path("/proc/sys/fs/protected_symlinks")


def check_pipe(tap, stage, home):
    """As /dev/stdout is, in front of a pipe."""
    link = home / "stdout"
    link.symlink_to("/proc/self/fd/1")
    done = stage.run("passthroughctl", "export", str(link), uid=0)
    tap.judge("a link to a pipe stays, and the pipe gets the text", done.returncode == 0 and link.is_symlink()
              and done.stdout.startswith("{") and not done.stderr, f"came: {done.stdout[:80]!r} {done.stderr!r}")


def check_own_link(tap, stage, home):
    link, file = home / "link", home / "file"
    file.write_text("old", encoding="utf-8")
    file.chmod(0o640)
    link.symlink_to("file")
    done = stage.run("passthroughctl", "export", str(link), uid=0)
    tap.judge("an own link stays, and its file is replaced with its mode", done.returncode == 0 and link.is_symlink()
              and isinstance(json.loads(file.read_text(encoding="utf-8")), dict) and file.stat().st_mode & 0o777 == 0o640, done.stderr)


def check_strange_link(tap, stage, home):
    if PROTECTED.read_text(encoding="utf-8").strip() != "1":
        tap.skip("a stranger's link", "this kernel follows such links")
        return
    common, file = home / "tmp", home / "secret"
    common.mkdir()
    common.chmod(0o1777)
    file.write_text("old", encoding="utf-8")
    link = common / "x"
    link.symlink_to(file)
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    done = stage.run("passthroughctl", "export", str(link), uid=0)
    tap.judge("a stranger's link in a directory of all is not followed", done.returncode == 1 and "Permission denied" in done.stderr
              and file.read_text(encoding="utf-8") == "old" and link.is_symlink(), f"came: {done.stdout!r} {done.stderr!r}")


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as home, Stage(sys.argv[1], sys.argv[2]) as stage:
        for check in (check_pipe, check_own_link, check_strange_link):
            check(tap, stage, Path(home))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
