# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's PCI devices, each under a name that cases use.

Every device that shall have an IOMMU set of its own sits behind a root port at a fixed slot of bus 0. The
bus number behind a port is the firmware's business; a case asks the guest (Guest.pci), which looks below
the port. Devices are data: a name, QEMU's arguments, and the path in the guest's /sys/devices/pci0000:00.
"""

import dataclasses

NVME_FLAGS = "sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=4,max_ioqpairs=10,msix_qsize=11"


@dataclasses.dataclass(frozen=True)
class Device:
    what: str                   # for people
    args: tuple                 # QEMU's; {dir} is the run's directory
    paths: dict                 # name -> glob below /sys/devices/pci0000:00
    files: dict = dataclasses.field(default_factory=dict)       # file in {dir} -> size in MiB


def behind_port(number, name, what, *args, files=None, bridge=None):
    """A device alone behind the root port at slot `number` (hexadecimal text)."""
    port = f"pcie-root-port,id=port-{name},bus=pcie.0,addr={number},chassis={int(number, 16)},slot={int(number, 16)}"
    below = f"0000:00:{number}.0"
    paths = {name: f"{below}/*:00.0"} if not bridge else {key: f"{below}/*:00.0/{path}" for key, path in bridge.items()}
    return Device(what, ("-device", port, *args), paths if args else {}, files or {})


def disk_of(name, number, what):
    """A plain NVMe. Its file has holes: what is not written costs nothing."""
    return behind_port(number, name, what, "-drive", f"if=none,id={name}-disk,format=raw,file={{dir}}/{name}.raw",
                       "-device", f"nvme,id={name},bus=port-{name},drive={name}-disk,serial={name}",
                       files={f"{name}.raw": 256})


def wired(name, number, mac, what):
    """A card on the one wire of the lab: what these send to each other goes past QEMU's own network."""
    return behind_port(number, name, what, "-netdev", f"hubport,id=net-{name},hubid=1",
                       "-device", f"e1000e,id={name},bus=port-{name},netdev=net-{name},mac={mac}")


def sriov_card(name, number, mac, what):
    """A card that makes 7 virtual ones. What leaves one of these cards by its wire comes in at the other."""
    return behind_port(number, name, what, "-netdev", f"hubport,id=net-{name},hubid=2",
                       "-device", f"igb,id={name},bus=port-{name},netdev=net-{name},mac={mac}")


def nic(name, number, mac, what):
    return behind_port(number, name, what,
                       "-netdev", f"user,id=net-{name},restrict=on,ipv6=off",
                       "-device", f"e1000e,id={name},bus=port-{name},netdev=net-{name},mac={mac}")


CATALOGUE = {
    "nic": nic("nic", "10", "52:54:00:00:00:01", "e1000e to be passed"),
    "uplink": nic("uplink", "11", "52:54:00:00:00:02", "e1000e for the guest's own address and default route"),
    "not-uplink": behind_port(
        "11", "not-uplink", "what is plugged in where uplink was",
        "-netdev", "user,id=net-not-uplink,restrict=on",
        "-device", "virtio-net-pci,id=not-uplink,bus=port-not-uplink,netdev=net-not-uplink,disable-legacy=on"),
    "nvme": behind_port(
        "12", "nvme", "NVMe with SR-IOV (4 VFs) and one namespace",
        "-drive", "if=none,id=nvme-disk,format=raw,file={dir}/nvme.raw",
        "-device", "nvme-subsys,id=nvme-subsys,nqn=lab",
        "-device", f"nvme,id=nvme,bus=port-nvme,serial=lab-nvme,subsys=nvme-subsys,{NVME_FLAGS}",
        "-device", "nvme-ns,drive=nvme-disk,bus=nvme,nsid=1", files={"nvme.raw": 32}),
    "vnet": behind_port(
        "13", "vnet", "virtio network card behind the IOMMU",
        "-netdev", "user,id=net-vnet,restrict=on",
        "-device", "virtio-net-pci,id=vnet,bus=port-vnet,netdev=net-vnet,iommu_platform=on,disable-legacy=on,"
                   "mac=52:54:00:00:00:03"),
    "pair": behind_port(
        "14", "pair", "edu and e1000 behind one conventional bridge: one IOMMU set",
        "-device", "pcie-pci-bridge,id=pair,bus=port-pair",
        "-device", "edu,id=pair-edu,bus=pair,addr=1",
        "-netdev", "user,id=net-pair,restrict=on",
        "-device", "e1000,id=pair-e1000,bus=pair,addr=2,netdev=net-pair,mac=52:54:00:00:00:04",
        bridge={"pair-edu": "*:01.0", "pair-e1000": "*:02.0"}),
    "edu": Device("a device no driver knows, on bus 0", ("-device", "edu,id=edu,bus=pcie.0,addr=8"),
                  {"edu": "0000:00:08.0"}),
    "vga": Device("the boot display", ("-device", "VGA,id=vga,bus=pcie.0,addr=9"), {"vga": "0000:00:09.0"}),
    "spare": behind_port("15", "spare", "an empty slot for hot-plug"),
    "spare2": behind_port("16", "spare2", "another empty slot"),
    "disk-a": disk_of("disk-a", "19", "an NVMe of 256 MiB, on which volumes are made"),
    "disk-b": disk_of("disk-b", "1a", "another one"),
    "lan": wired("lan", "1b", "52:54:00:00:00:05", "e1000e through which somebody comes in"),
    "igb-a": sriov_card("igb-a", "1d", "52:54:00:00:02:01", "82576 with SR-IOV (7 VFs)"),
    "igb-b": sriov_card("igb-b", "1e", "52:54:00:00:02:02", "another one, at the other end of its wire"),
    "outside": wired("outside", "1c", "52:54:00:00:00:06", "e1000e of the one who comes in"),
}

# Eight alike, each its own IOMMU set, for a VM that gets many at once.
CARDS = tuple(f"card{i}" for i in range(8))
CATALOGUE |= {name: nic(name, slot, f"52:54:00:00:01:0{i}", "one of eight e1000e")
              for i, (name, slot) in enumerate(zip(CARDS, ("0a", "0b", "0c", "0d", "0e", "0f", "17", "18")))}

STANDARD = ("nic", "uplink", "nvme", "vnet", "pair", "edu", "vga", "spare")
# For what the host may not lose: disks to stack volumes on, and a wire to come in by.
# For virtual functions; with machine="sriov".
SRIOV = ("uplink", "igb-a", "igb-b", "nvme", "vga", "edu")
SAFETY = ("nic", "uplink", "disk-a", "disk-b", "lan", "outside", "vga", "edu")

# There in every guest.
BUILTIN = {"root-disk": "0000:00:02.0", "host-bridge": "0000:00:00.0", "isa-bridge": "0000:00:1f.0",
           "sata": "0000:00:1f.2", "serial": "0000:00:01.0"}


def disk(index, serial, path, writable=False):
    """A virtio disk on bus 0; index 0 is the root image. Past the IOMMU, whose emulation would cost seconds."""
    mode = "cache=unsafe" if writable else "read-only=on"
    return ["-drive", f"if=none,id=disk{index},format=raw,file={path},{mode}",
            "-device", f"virtio-blk-pci,drive=disk{index},serial={serial},bus=pcie.0,addr={index + 2:x},"
                       "disable-legacy=on"]


def arguments(names, directory):
    """QEMU's arguments for these devices; makes their backing files."""
    result = []
    for name in names:
        device = CATALOGUE[name]
        for file, size in device.files.items():
            with open(directory / file, "ab") as handle:
                handle.truncate(size * 1024 * 1024)
        result += [arg.replace("{dir}", str(directory)) for arg in device.args]
    return result


def sysfs_glob(name):
    """Where in the guest's /sys/devices/pci0000:00 the named device is."""
    if name in BUILTIN:
        return BUILTIN[name]
    for key, device in CATALOGUE.items():
        if name in device.paths:
            return device.paths[name]
        if key == name and not device.paths:
            port = device.args[1].split("addr=")[1].split(",")[0]
            return f"0000:00:{port}.0/*:00.0"
    raise KeyError(f"no device named {name}")
