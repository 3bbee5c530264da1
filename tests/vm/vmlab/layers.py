# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is laid over the root image at each run: the lab's tools, and the product as it was installed.

A layer is a directory packed into a small read-only image and given to the guest as a disk. (9p would spare
the packing, which takes a fraction of a second; a disk behaves the same on every kernel.)
"""

import os
import shutil
import tempfile
from pathlib import Path

from . import cache, image

GUEST = Path(__file__).resolve().parents[1] / "guest"

CFLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra"]
STATIC = [*CFLAGS, "-static"]
# A firmware: 32 bits and nothing below it.
FIRMWARE = ["-std=gnu11", "-Os", "-Wall", "-Wextra", "-m32", "-march=i686", "-ffreestanding", "-fno-pic", "-no-pie",
            "-static", "-nostdlib", "-fno-stack-protector", "-fcf-protection=none",
            "-fno-asynchronous-unwind-tables", "-mgeneral-regs-only", "-Wl,--build-id=none"]

# Where it goes, its sources, the compiler's arguments and libraries.
PROGRAMS = [("usr/libexec/lab-agent", ["agent.c"], STATIC, []),
            ("usr/local/bin/with-agent", ["with-agent.c"], STATIC, ["-lutil"]),
            ("usr/local/bin/vfio-hold", ["vfio-hold.c", "vfio-open.c"], STATIC, []),
            ("usr/local/bin/vm-player", ["vm-player.c", "vfio-open.c", "igbvf.c", "frames.c"], STATIC, []),
            ("usr/local/bin/on-wire", ["on-wire.c", "frames.c"], STATIC, []),
            ("usr/local/bin/watch-writes", ["watch-writes.c"], STATIC, []),
            ("usr/local/bin/start-vm", ["start-vm.c"], CFLAGS, ["-lsystemd"]),
            ("usr/share/lab/nested.rom", ["nested.c"], FIRMWARE, [f"-Wl,-T,{GUEST}/nested.ld"])]

# Time spent at boot on what no case needs.
MASKED = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
          "e2scrub_reap.service", "fstrim.timer", "man-db.timer", "getty@tty1.service", "getty-static.service",
          "serial-getty@ttyS0.service", "serial-getty@hvc0.service", "ldconfig.service",
          "systemd-timesyncd.service", "systemd-networkd.service", "systemd-resolved.service",
          "systemd-hwdb-update.service", "systemd-journal-flush.service", "systemd-journal-catalog-update.service",
          "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-random-seed.service",
          "systemd-firstboot.service", "systemd-machine-id-commit.service", "systemd-pcrphase.service",
          "systemd-pcrphase-sysinit.service", "systemd-pstore.service", "systemd-binfmt.service",
          "proc-sys-fs-binfmt_misc.automount", "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount",
          "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
          "modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service",
          "modprobe@fuse.service", "modprobe@loop.service", "systemd-repart.service",
          "systemd-remount-fs.service", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
          "libvirt-guests.service", "networking.service"]

# Each is a process that looks for something this guest does not have.
MASKED_GENERATORS = ["cryptsetup", "debug", "fstab", "getty", "gpt-auto", "hibernate-resume", "integritysetup",
                     "rc-local", "run", "system-update", "sysv", "veritysetup"]

# Debian's root is merged into /usr. A layer with a real /lib would hide the link and with it the system.
MERGED = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"]


def write(root, path, text, mode=0o644):
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)


def link(root, path, target):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)


def build_tools(target):
    cache.need("gcc")
    with cache.progress("building the guest's tools"), tempfile.TemporaryDirectory(dir=target.parent) as work:
        root = Path(work)
        root.chmod(0o755)
        for path, sources, flags, libraries in PROGRAMS:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            cache.tool(["gcc", *flags, "-o", root / path, *[GUEST / name for name in sources], *libraries])
        write(root, "etc/systemd/system/lab-agent.service", (GUEST / "lab-agent.service").read_text())
        link(root, "etc/systemd/system/multi-user.target.wants/lab-agent.service", "../lab-agent.service")
        link(root, "etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
        for unit in MASKED:
            link(root, f"etc/systemd/system/{unit}", "/dev/null")
        for name in MASKED_GENERATORS:
            link(root, f"etc/systemd/system-generators/systemd-{name}-generator", "/dev/null")
        # Without an id this were a "first boot", which enables every unit there is.
        write(root, "etc/machine-id", "7665726765206c6162207665726765ab\n")
        write(root, "etc/hostname", "lab\n")
        write(root, "etc/hosts", "127.0.0.1 localhost lab\n")
        write(root, "etc/fstab", "")
        for name, _, _ in image.USERS:
            write(root, f"usr/share/lab/{name}.password", f"{name}\n")
        cache.make_erofs(target, root, "--all-root")


def tools():
    """Path of the layer with the programs and the guest's settings."""
    sources = [path for path in sorted(GUEST.iterdir()) if path.name != "init"]
    key = cache.digest(sources, Path(__file__), image.USERS)
    return cache.cached("tools", key, build_tools, ".erofs")


def copy_merged(source, root):
    for entry in sorted(source.iterdir()):
        target = root / "usr" / entry.name if entry.name in MERGED else root / entry.name
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(entry, target, follow_symlinks=False)


def open_shared_directories(root):
    """The uppermost layer's mode counts for a merged directory: one made under umask 077 would lock /usr."""
    for directory, names, _ in os.walk(root):
        for name in ["."] + names:
            path = Path(directory) / name
            shared = len(path.relative_to(root).parts) <= 2
            if path.is_dir() and not path.is_symlink() and shared:
                path.chmod(path.stat().st_mode | 0o755)


def pack(destdir, target):
    """Packs what `DESTDIR=destdir meson install` left (prefix /usr) as a layer, all owned by root."""
    destdir = Path(destdir)
    if not destdir.is_dir() or not any(destdir.iterdir()):
        raise cache.LabError(f"{destdir}: nothing is installed there")
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        root = Path(work)
        root.chmod(0o755)
        copy_merged(destdir, root)
        open_shared_directories(root)
        target.unlink(missing_ok=True)
        cache.make_erofs(target, root, "--all-root")
    return target
