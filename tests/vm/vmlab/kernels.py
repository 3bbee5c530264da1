# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernels that the guest can boot.

`debian` is the distribution's stock kernel: fetched as a package and unpacked, never installed. Others come
as directories of the shape boot/vmlinuz + lib/modules/<release>, from VERGE_VM_EXTRA_KERNEL (a colon
separated list) or from ../shared/kernel-cdev beside the repository. Each becomes three files: the kernel,
an image with its modules (a layer over the guest's root), and a small initramfs that finds all layers.
"""

import dataclasses
import lzma
import os
import shutil
import struct
import tempfile
from pathlib import Path

from . import cache

SUITE = "bookworm"
INIT = Path(__file__).resolve().parents[1] / "guest" / "init"

# What the initramfs must have before it can mount anything; a kernel may have them built in.
BOOT_MODULES = ["crc32c_generic", "virtio_pci", "virtio_blk", "virtio_console", "erofs", "overlay", "ext4"]

# Big, and no device of the lab will ever ask for them.
UNUSED_MODULES = ["sound", "drivers/media", "drivers/staging", "drivers/infiniband", "drivers/net/wireless",
                  "drivers/gpu/drm/amd", "drivers/gpu/drm/i915", "drivers/gpu/drm/nouveau",
                  "drivers/gpu/drm/radeon", "drivers/iio", "drivers/isdn", "drivers/comedi", "drivers/hwmon",
                  "drivers/bluetooth", "net/bluetooth", "drivers/mtd", "drivers/leds", "drivers/power"]


@dataclasses.dataclass(frozen=True)
class Kernel:
    name: str
    release: str
    vmlinuz: Path       # what QEMU boots: compressed or not
    modules: Path       # erofs image with usr/lib/modules/<release>
    initramfs: Path


def apt_mirror():
    """Where mmdebstrap shall look: this host's own sources when they are of the guest's suite, else its default."""
    listed = [path for path in (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d/debian.sources"))
              if path.exists() and SUITE in path.read_text(errors="replace")]
    return [str(path) for path in listed]


def host_apt_options():
    """Proxy and the like: what this host's apt needs to reach its mirror, the guest's build needs too."""
    dump = cache.tool(["apt-config", "dump"]) if shutil.which("apt-config") else ""
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::https::CaInfo")
    return [f"--aptopt={line.rstrip(';')}" for line in dump.splitlines()
            if line.split(" ")[0] in wanted and not line.endswith('"";')]


def backports_list():
    """Shell for mmdebstrap's hooks: its apt learns of the suite's backports, on the mirror that the suite came from."""
    return ('export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && '
            f"uri=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: {SUITE}' "
            "'Created-By: Packages' | head -1) && "
            f'echo "deb $uri {SUITE}-backports main" > "$1/etc/apt/sources.list.d/backports.list" && '
            'apt-get -qq update')


def fetch_debian(target):
    """boot/vmlinuz and lib/modules of the distribution's kernel package, its dependencies left out."""
    cache.need("mmdebstrap", "dpkg", "depmod", "apt-get")
    with cache.progress("fetching Debian's kernel"), tempfile.TemporaryDirectory(dir=target.parent) as work:
        # An empty root only for its apt: it knows the suite, and nothing of the host.
        hook = (f'cd "{work}" && export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && '
                'real=$(apt-cache depends linux-image-amd64 | sed -n "s/.*Depends: \\(linux-image-[0-9]\\)/\\1/p") && '
                'apt-get -o APT::Sandbox::User=root download "$real"')
        cache.tool(["mmdebstrap", "--mode=root", "--variant=custom", "--skip=output", f"--customize-hook={hook}",
                    *host_apt_options(), SUITE, "/dev/null", *apt_mirror()])
        package, = Path(work).glob("linux-image-*.deb")
        tree = Path(work) / "tree"
        cache.tool(["dpkg", "-x", package, tree])
        target.mkdir()
        (target / "boot").mkdir()
        vmlinuz, = (tree / "boot").glob("vmlinuz-*")
        unpack_kernel(vmlinuz, target / "boot" / "vmlinux")
        shutil.move(vmlinuz, target / "boot" / "vmlinuz")
        shutil.move(tree / "lib", target / "lib")
        (target / "package").write_text(package.name + "\n")


def unpack_kernel(vmlinuz, vmlinux):
    """The ELF kernel inside. QEMU boots it as well (PVH), and spares the guest several emulated seconds of xz.

    Offsets are those of the x86 boot protocol's setup header.
    """
    data = vmlinuz.read_bytes()
    start = (data[0x1f1] + 1) * 512
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[start + offset:start + offset + length]
    if payload.startswith(b"\xfd7zXZ"):
        vmlinux.write_bytes(lzma.LZMADecompressor().decompress(payload))


def release_of(tree):
    releases = [path.name for path in (tree / "lib" / "modules").iterdir() if (path / "kernel").is_dir()]
    if len(releases) != 1:
        raise cache.LabError(f"{tree}: expected one directory in lib/modules, found {releases}")
    return releases[0]


def build_modules(tree, release):
    def build(target):
        with cache.progress(f"packing the modules of {release}"), \
             tempfile.TemporaryDirectory(dir=target.parent) as work:
            os.chmod(work, 0o755)
            destination = Path(work) / "usr" / "lib" / "modules" / release
            shutil.copytree(tree / "lib" / "modules" / release, destination, symlinks=True,
                            ignore=shutil.ignore_patterns("build", "source"))
            for path in destination.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
            for name in UNUSED_MODULES:
                shutil.rmtree(destination / "kernel" / name, ignore_errors=True)
            cache.tool(["depmod", "-b", Path(work) / "usr", release])
            cache.make_erofs(target, work, "--all-root")
    return build


def module_name(path):
    return Path(path).name.split(".ko")[0].replace("-", "_")


def read_modules_dep(tree, release):
    """modules.dep as {name: [its path, paths of all it needs]}; a package just unpacked has none yet."""
    present = tree / "lib" / "modules" / release / "modules.dep"
    if not present.exists():
        cache.tool(["depmod", "-b", tree, release])
    lines = (line.partition(":") for line in present.read_text().splitlines())
    return {module_name(path): [path, *rest.split()] for path, _, rest in lines}


def boot_modules(tree, release):
    """The module files that the initramfs needs, dependencies first. What is built in is not listed."""
    depends = read_modules_dep(tree, release)
    ordered = []
    for name in BOOT_MODULES:
        # modules.dep lists what a module needs with the innermost last.
        for path in reversed(depends.get(name, [])):
            if path not in ordered:
                ordered.append(path)
    return [tree / "lib" / "modules" / release / path for path in ordered]


def build_initramfs(tree, release):
    def build(target):
        cache.need("cpio", "busybox")
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            root = Path(work)
            for name in ("bin", "dev", "proc", "sys", "modules", "layers", "new"):
                (root / name).mkdir()
            shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
            shutil.copy(INIT, root / "init")
            (root / "init").chmod(0o755)
            order = []
            for index, module in enumerate(boot_modules(tree, release)):
                name = f"{index:02d}-{module.name}"
                shutil.copy(module, root / "modules" / name)
                order.append(name)
            (root / "modules" / "order").write_text("".join(f"{name}\n" for name in order))
            cache.tool(["sh", "-c", 'cd "$0" && find . | cpio --quiet -o -H newc -R 0:0 > "$1"', root, target])
    return build


def from_tree(name, tree, key):
    release = release_of(tree)
    recipe = Path(__file__)
    modules = cache.cached(f"modules-{name}", cache.digest(key, release, recipe),
                           build_modules(tree, release), ".erofs")
    busybox = Path(shutil.which("busybox") or INIT)
    initramfs = cache.cached(f"initramfs-{name}", cache.digest(key, release, recipe, INIT, busybox),
                             build_initramfs(tree, release), ".cpio")
    unpacked = tree / "boot" / "vmlinux"
    return Kernel(name, release, unpacked if unpacked.exists() else tree / "boot" / "vmlinuz", modules, initramfs)


def debian():
    tree = cache.cached("kernel-debian", cache.digest(SUITE, "linux-image-amd64", 2), fetch_debian)
    return from_tree("debian", tree, tree.name)


def extra_trees():
    """Name and directory of each kernel given from outside."""
    listed = os.environ.get("VERGE_VM_EXTRA_KERNEL")
    if listed is None:
        trees = [cache.REPO.parent / "shared" / "kernel-cdev"]
    else:
        trees = [Path(item) for item in listed.split(":") if item]
        for tree in trees:
            if not (tree / "boot" / "vmlinuz").exists():
                raise cache.LabError(f"VERGE_VM_EXTRA_KERNEL: {tree} has no boot/vmlinuz")
    return {tree.name.removeprefix("kernel-"): tree for tree in trees if (tree / "boot" / "vmlinuz").exists()}


def names():
    return ["debian", *extra_trees()]


def get(name):
    if name == "debian":
        return debian()
    tree = extra_trees().get(name)
    if tree is None:
        raise cache.LabError(f"no kernel named {name}; there are: {', '.join(names())}")
    vmlinuz = tree / "boot" / "vmlinuz"
    stamp = vmlinuz.stat()
    return from_tree(name, tree, f"{tree} {stamp.st_size} {stamp.st_mtime_ns}")
