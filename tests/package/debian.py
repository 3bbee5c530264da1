#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packages in a clean Debian without a running systemd: installed, upgraded, removed, purged; nothing is left."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))

import packages                                                             # noqa: E402
from trees import count, differences, run, skip_all, snapshot               # noqa: E402
from vmlab import cache, image, kernels                                     # noqa: E402

# Their dependencies; the test installs nothing from elsewhere.
INCLUDE = ["dbus", "libacl1", "libjansson4", "libpci3", "libpcre2-8-0", "libsqlite3-0", "libudev1", "polkitd",
           "systemd", "udev"]
NEEDED = ["mmdebstrap", "unshare", "tar"]

# What dpkg and systemd-sysusers write; of the latter it is compared line by line.
KEPT_BY_DPKG = ("dev", "proc", "sys", "var/lib/dpkg", "var/log", "var/cache", "etc/.pwd.lock",
                "var/lib/systemd/catalog")
USERS = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]
IGNORED = (*KEPT_BY_DPKG, *USERS, *(f"{name}-" for name in USERS))

UNIT = "etc/systemd/system/multi-user.target.wants/verge-passthroughd.service"
STATE = ["etc/verge-passthrough/grants.d/0000:01:00.0.grant", "var/lib/verge-passthrough/store.db"]


def clean_debian():
    def build(target):
        cache.need(*NEEDED)
        with cache.progress("building a clean Debian to install the packages in", every=30):
            cache.tool(["mmdebstrap", "--mode=root", "--variant=minbase", *[f"--aptopt={line}" for line in image.APT],
                        *kernels.host_apt_options(), f"--include={','.join(INCLUDE)}", kernels.SUITE, target,
                        *kernels.apt_mirror()])
    return cache.cached("root-package", cache.digest(kernels.SUITE, INCLUDE, image.APT), build, ".tar")


class Machine:
    """A directory with a Debian in it."""

    def __init__(self, root, directory):
        self.root = root
        self.first, self.later = (packages.packages(d) for d in (directory, directory / "later"))
        self.before = snapshot(root, IGNORED)
        self.users = self.all_users()

    def run(self, *command):
        """In it, with a /proc, as dpkg's scripts have one."""
        mount = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                       "DEBIAN_FRONTEND": "noninteractive"}
        return run("unshare", "--mount", "--pid", "--fork", "sh", "-c", mount, self.root, *command, env=environment)

    def install(self, files):
        for file in files.values():
            shutil.copy(file, self.root / "tmp")
        self.run("dpkg", "-i", *[f"/tmp/{file.name}" for file in files.values()])
        for file in files.values():
            (self.root / "tmp" / file.name).unlink()

    def has(self, path):
        return os.path.lexists(self.root / path)

    def all_users(self):
        return {name: (self.root / name).read_text(encoding="utf-8").splitlines() for name in USERS}

    def version(self):
        return self.run("dpkg-query", "-W", "-f", "${Version}", "verge-passthrough")


def installs(machine):
    """they install, with a user, an enabled service and no state"""
    machine.install(machine.first)
    user = machine.run("getent", "passwd", "verge-passthrough").strip().split(":")
    assert user[5:] == ["/", "/usr/sbin/nologin"] and 0 < int(user[2]) < 1000, user
    assert machine.has(UNIT), "the service is not enabled"
    for path in ("etc/verge-passthrough/grants.d", "run/verge-passthrough/moves"):
        assert machine.has(path), path
    assert not machine.has("var/lib/verge-passthrough"), "it is for the service to make"
    assert machine.run("dpkg", "--verify", *machine.first) == ""


def runs(machine):
    """what they bring finds its libraries"""
    said = machine.run("/usr/libexec/verge-passthroughd", "--version")
    assert "0.1.0" in said, said
    machine.run("sh", "-c", "! ldd /usr/libexec/verge-passthrough-helper | grep 'not found'")
    machine.run("/usr/libexec/verge-passthrough-before-removal")
    if "passthroughctl" in machine.first:
        machine.run("passthroughctl", "--version")


def upgrades(machine):
    """an upgrade keeps what the administrator and the service have written"""
    for path in STATE:
        (machine.root / path).parent.mkdir(exist_ok=True)
        (machine.root / path).write_text("kept\n", encoding="utf-8")
    machine.install(machine.later)
    assert machine.version() == packages.LATER, machine.version()
    assert machine.has(UNIT) and all(map(machine.has, STATE))


def stays_disabled(machine):
    """a service that was disabled stays so over an upgrade"""
    machine.run("systemctl", "disable", "verge-passthroughd.service")
    machine.install(machine.later)
    assert not machine.has(UNIT)
    machine.run("systemctl", "enable", "verge-passthroughd.service")


def removes(machine):
    """removed, nothing of them is there but what was written"""
    machine.run("dpkg", "--remove", *machine.later)
    left = [line for line in differences(machine.before, snapshot(machine.root, IGNORED))
            if not any(place in line for place in ("/etc/verge-passthrough", "/var/lib/verge-passthrough",
                                                   "/run/verge-passthrough", "/etc/systemd/system/",
                                                   "/var/lib/systemd/deb-systemd-helper-"))]
    assert not left, "\n".join(left)
    assert all(map(machine.has, STATE))


def comes_back(machine):
    """installed again, it finds what was written"""
    machine.install(machine.first)
    assert all(map(machine.has, STATE)) and machine.has(UNIT)


def purges(machine):
    """purged, nothing is left but the user"""
    machine.run("dpkg", "--purge", *machine.first)
    left = differences(machine.before, snapshot(machine.root, IGNORED))
    assert not left, "\n".join(left)
    for name, lines in machine.all_users().items():
        more = [line for line in lines if line not in machine.users[name]]
        assert len(more) == 1 and more[0].startswith("verge-passthrough:"), f"{name}: {more}"


def main():
    if os.geteuid() != 0:
        skip_all("only root can make a directory that is a Debian of its own")
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or packages.missing():
        skip_all(packages.missing() or f"{', '.join(missing)} not installed (tools/install-deps package)")

    directory = packages.content() / packages.WHERE
    with tempfile.TemporaryDirectory(prefix="verge-debian-") as root:
        run("tar", "-C", root, "--exclude=./dev/*", "-xf", clean_debian())
        count([installs, runs, upgrades, stays_disabled, removes, comes_back, purges], Machine(Path(root), directory))


if __name__ == "__main__":
    main()
