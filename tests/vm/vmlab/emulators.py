# SPDX-License-Identifier: LGPL-2.1-or-later
"""The QEMU that runs a guest: this machine's own, but where a case needs devices that are newer.

igb, a network card with SR-IOV, came with QEMU 8. Where this machine's QEMU is older, one of the suite's backports is
unpacked into the cache, never installed, and run by its own loader with its own libraries and firmware.
"""

import re
import tempfile
from pathlib import Path

from . import cache, kernels

OWN = ["qemu-system-x86_64"]
NEEDED = 8
LIBRARIES = "usr/lib/x86_64-linux-gnu"
# All of the packages that is ever read.
KEPT = ["usr/bin/qemu-system-x86_64", "usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu",
        "lib/x86_64-linux-gnu", LIBRARIES]
FIRMWARE = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"]


def own():
    """The words that begin the command line of this machine's QEMU."""
    cache.need(*OWN)
    return OWN


def own_version():
    found = re.search(r"version (\d+)", cache.tool([*own(), "--version"]))
    return int(found[1]) if found else 0


def download(directory):
    """The packages of the backports' QEMU and of all it needs, by the apt of a root that is empty."""
    hook = kernels.backports_list() + (
        f' && apt-get -qq -y -o APT::Sandbox::User=root -o Dir::Cache::Archives="{directory}" '
        f"--no-install-recommends --download-only -t {kernels.SUITE}-backports install qemu-system-x86")
    cache.tool(["mmdebstrap", "--mode=root", "--variant=custom", "--skip=output", f"--customize-hook={hook}",
                *kernels.host_apt_options(), kernels.SUITE, "/dev/null", *kernels.apt_mirror()])


def fetch_newer(target):
    cache.need("mmdebstrap", "dpkg", "apt-get")
    with cache.progress("fetching a newer QEMU"), tempfile.TemporaryDirectory(dir=target.parent) as work:
        tree = Path(work) / "tree"
        download(Path(work))
        for package in sorted(Path(work).glob("*.deb")):
            cache.tool(["dpkg", "-x", package, tree])
        for kept in KEPT:
            (target / kept).parent.mkdir(parents=True, exist_ok=True)
            if (tree / kept).exists():
                (tree / kept).rename(target / kept)
        cache.tool([*by_own_loader(target), "--version"])


def by_own_loader(tree):
    """Without the variable QEMU would try the modules of this machine's QEMU, and stop at them."""
    glibc = tree / "lib/x86_64-linux-gnu"
    words = ["env", f"QEMU_MODULE_DIR={tree / LIBRARIES}/qemu", f"{glibc}/ld-linux-x86-64.so.2", "--library-path",
             f"{tree / LIBRARIES}:{glibc}", f"{tree / KEPT[0]}"]
    return words + [word for path in FIRMWARE for word in ("-L", f"{tree / path}")]


def newer():
    """The words that begin the command line of a QEMU that has igb."""
    if own_version() >= NEEDED:
        return OWN
    return by_own_loader(cache.cached("qemu", cache.digest(kernels.SUITE, KEPT, 1), fetch_newer))
