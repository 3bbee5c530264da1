# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages of this tree and of a later version, built once for all who test them."""

import importlib.machinery
import importlib.util
import shutil
from pathlib import Path

from vmlab import cache, cases

TOOL = cache.REPO / "tools/build-packages"
LATER = "0.1.0+later"
# What no package depends on.
ELSEWHERE = ("bench/", "quickstart", "check", "tests/")
WHERE = "usr/share/lab/packages"


def load_tool():
    loader = importlib.machinery.SourceFileLoader("build_packages", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("build_packages", loader))
    loader.exec_module(module)
    return module


def missing():
    """Why they cannot be built here, or nothing."""
    lacking = [name for name in load_tool().NEEDED if not shutil.which(name)]
    return f"{', '.join(lacking)} not installed (tools/install-deps build package)" if lacking else ""


def content():
    """A directory to be laid over a guest's root: the packages in WHERE, those of the later version in WHERE/later."""
    if missing():
        cases.skip(missing())
    names = [name for name in load_tool().files_of_tree() if not name.startswith(ELSEWHERE)]

    def build(target):
        first = target / WHERE
        first.mkdir(parents=True)
        with cache.progress("building the packages", every=30):
            cache.tool([TOOL, first, "--then", LATER, first / "later"])

    return cache.cached("packages", cache.digest(names, [cache.REPO / name for name in names]), build)


def packages(directory):
    """Name -> file, without the version."""
    return {path.name.split("_")[0]: path for path in sorted(Path(directory).glob("*.deb"))}
