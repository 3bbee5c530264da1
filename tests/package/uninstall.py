#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`meson install` and `ninja uninstall`, with two prefixes: afterwards there is what was there before."""

import os
import shutil
import tempfile
from pathlib import Path

from trees import count, differences, run, skip_all, snapshot

TOP = Path(__file__).resolve().parents[2]
PREFIXES = ("/usr", "/opt/verge")


class Build:
    def __init__(self, work):
        self.build, self.destdir = work / "build", work / "root"
        run("meson", "setup", "--buildtype=plain", "-Dtests=disabled", f"--prefix={PREFIXES[0]}", self.build, TOP)
        run("meson", "compile", "-C", self.build)

    def there_and_back(self, prefix):
        run("meson", "configure", f"-Dprefix={prefix}", self.build)
        run("meson", "compile", "-C", self.build)
        shutil.rmtree(self.destdir, ignore_errors=True)
        # Something of somebody else, where we put ours.
        for path in (prefix[1:] + "/libexec/other", "usr/lib/sysusers.d/other.conf"):
            (self.destdir / path).parent.mkdir(parents=True, exist_ok=True)
            (self.destdir / path).write_text("other\n", encoding="utf-8")
        before = snapshot(self.destdir)

        run("meson", "install", "-C", self.build, "--no-rebuild", "--destdir", self.destdir)
        more = differences(before, snapshot(self.destdir))
        assert f"left behind: /{prefix[1:]}/libexec/verge-passthroughd" in more, "\n".join(more)
        run("ninja", "-C", self.build, "uninstall")
        left = differences(before, snapshot(self.destdir))
        assert not left, "\n".join(left)


def usr(build):
    """nothing is left of an installation in /usr"""
    build.there_and_back(PREFIXES[0])


def other(build):
    """nothing is left of one in another prefix"""
    build.there_and_back(PREFIXES[1])


def main():
    missing = [name for name in ("meson", "ninja") if not shutil.which(name)]
    if missing:
        skip_all(f"{', '.join(missing)} not installed")
    os.environ.pop("DESTDIR", None)
    with tempfile.TemporaryDirectory(prefix="verge-uninstall-") as work:
        count([usr, other], Build(Path(work)))


if __name__ == "__main__":
    main()
