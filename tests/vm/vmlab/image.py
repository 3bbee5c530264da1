# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's root file system, built from distribution packages.

Variants: `test` has what the product needs at run time and what cases look with; `bench` adds the peers that
the product is measured against; `qemu` adds what users run their VMs with. Nothing of this project is in the
image: tools and product come as layers at each run (layers.py), so changing them does not rebuild it.
"""

import os
import tempfile
from pathlib import Path

from . import cache, kernels

PACKAGES = {
    "test": ["systemd", "systemd-sysv", "dbus", "polkitd", "udev", "kmod", "pciutils", "pci.ids", "iproute2",
             "procps", "busybox-static", "acl", "libpci3", "libacl1", "libsqlite3-0", "libpcre2-8-0", "libjansson4",
             "e2fsprogs", "util-linux", "mount", "passwd", "login", "libpam-modules", "libglib2.0-bin",
             "mdadm", "lvm2", "cryptsetup-bin", "btrfs-progs", "openssh-server", "tmux", "less"],
    "bench": ["libvirt-daemon-system", "libvirt-clients", "driverctl"],
    "qemu": ["libvirt-daemon-system", "libvirt-clients", "systemd-container", "python3-dbus"],
}

# From the suite's backports: Debian 12's own QEMU knows nothing of iommufd.
BACKPORTS = {"qemu": ["qemu-system-x86"]}
# Started by the cases that need them: each boot would wait for them.
DISABLED = {"test": ["ssh.service", "lvm2-monitor.service", "lvm2-lvmpolld.socket", "dm-event.socket",
                     "blk-availability.service", "mdmonitor-oneshot.timer", "mdcheck_start.timer",
                     "mdcheck_continue.timer"],
            "qemu": ["libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket",
                     "virtlogd.socket", "virtlockd.socket", "virtlogd-admin.socket", "virtlockd-admin.socket",
                     "machines.target"]}

# Name, uid, further groups. polkit on Debian takes members of `sudo` for administrators. The password of
# each is the user's own name: there is nothing in this machine to protect.
USERS = [("admin", 1000, "sudo"), ("alice", 1001, ""), ("bob", 1002, "")]

APT = ['APT::Install-Recommends "false"', 'Acquire::Languages "none"']
DPKG = ["path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*",
        "path-exclude=/usr/share/info/*"]


def packages(variant):
    return PACKAGES["test"] + (PACKAGES[variant] if variant != "test" else [])


def user_hook():
    """Shell for mmdebstrap, with the root in $1. The passwords are hashed cheaply: each check runs emulated."""
    steps = []
    for name, uid, groups in USERS:
        more = f"-G {groups}" if groups else ""
        steps.append(f'chroot "$1" useradd -m -u {uid} -U -s /bin/bash {more} {name}')
        steps.append(f'echo {name}:{name} | chroot "$1" chpasswd -c SHA256 -s 1000')
    steps.append('chroot "$1" passwd -d root')
    return " && ".join(steps)


def backports_hook(names):
    """Shell for mmdebstrap: installs these by its own apt, from the mirror that the suite came from."""
    return (kernels.backports_list() + ' && apt-get -qq -y -o DPkg::Chroot-Directory="$1" install '
            f'-t {kernels.SUITE}-backports {" ".join(names)}')


def hooks(variant):
    steps = [user_hook()]
    if variant in BACKPORTS:
        steps.append(backports_hook(BACKPORTS[variant]))
    for kind in dict.fromkeys(["test", variant]):
        if kind in DISABLED:
            steps.append(f'chroot "$1" systemctl --quiet disable {" ".join(DISABLED[kind])}')
    return steps


def build_root(variant):
    def build(target):
        cache.need("mmdebstrap", "mkfs.erofs")
        if os.geteuid() != 0:
            raise cache.LabError("building the guest's image needs root (once; it is cached afterwards)")
        with cache.progress(f"building the guest's root image '{variant}' (about a minute, mostly download)"), \
             tempfile.TemporaryDirectory(dir=target.parent) as work:
            root = Path(work) / "root"
            cache.tool(["mmdebstrap", "--mode=root", "--variant=minbase",
                        *[f"--aptopt={line}" for line in APT], *kernels.host_apt_options(),
                        *[f"--dpkgopt={line}" for line in DPKG],
                        f"--include={','.join(packages(variant))}",
                        *[f"--customize-hook={step}" for step in hooks(variant)],
                        kernels.SUITE, root, *kernels.apt_mirror()])
            cache.make_erofs(target, root)
    return build


def root(variant="test"):
    """Path of the read-only image with the guest's root."""
    if variant not in PACKAGES:
        raise cache.LabError(f"no image variant named {variant}")
    key = cache.digest(kernels.SUITE, packages(variant), hooks(variant), APT, DPKG, Path(__file__))
    return cache.cached(f"root-{variant}", key, build_root(variant), ".erofs")
