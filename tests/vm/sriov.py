# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual functions in cases: by nothing but sysfs, and what the kernel and the card say of them."""

import json

from vmlab.cases import until
from vmlab.devices import SRIOV

PCI = "/sys/bus/pci"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
# DTXSWC, which tells an 82576 what to check in a VF's frames: a bit per VF for addresses, eight above one for VLANs.
CHECKS = 0x3500
# So that its registers can be read while its driver has it.
RELAXED = "iomem=relaxed"
# What cases with VFs give to @case, so that they share their guests.
BOOT = dict(machine="sriov", devices=SRIOV, command_line=RELAXED)


def make_vfs(vm, pf, n):
    """Their addresses, in order. No driver takes one by itself."""
    vm.sh(f"cd {PCI}/devices/{pf} && echo 0 > sriov_drivers_autoprobe && echo {n} > sriov_numvfs")
    return vfs(vm, pf)


def vfs(vm, pf):
    links = vm.run(f"cd {PCI}/devices/{pf} && for i in virtfn*; do readlink $i; done | sort").out.split()
    return [link.rsplit("/", 1)[-1] for link in links]


def drop_vfs(vm, pf):
    """Waits forever, in the kernel, for a VM that holds one."""
    vm.sh(f"cd {PCI}/devices/{pf} && echo 0 > sriov_numvfs && echo 1 > sriov_drivers_autoprobe")


def give_to_vfio(vm, address):
    vm.sh(f"modprobe vfio-pci; echo vfio-pci > {PCI}/devices/{address}/driver_override; "
          f"echo {address} > {PCI}/drivers_probe")
    assert vm.driver(address) == "vfio-pci", f"{address} is with {vm.driver(address)!r}"


def netdev(vm, pf):
    return vm.sh(f"ls {PCI}/devices/{pf}/net")


def bring_up(vm, *pfs):
    """With the link, which comes a second later: without it the driver answers no VF, and takes no rates."""
    names = [netdev(vm, pf) for pf in pfs]
    for name in names:
        vm.sh(f"ip link set {name} up")
    for name in names:
        until(f"grep -qx up /sys/class/net/{name}/operstate", f"{name} has its link", vm)


def take_down(vm, *pfs):
    for pf in pfs:
        vm.sh(f"ip link set {netdev(vm, pf)} down")


def set_vf(vm, pf, index, words):
    """What ip(8) said against it, or ''."""
    return vm.run(f"ip link set {netdev(vm, pf)} vf {index} {words}").err.strip()


def reported(vm, pf, index):
    """What the PF's driver says of a VF, as ip(8) words it in JSON."""
    link, = json.loads(vm.sh(f"ip -j -d link show dev {netdev(vm, pf)}"))
    found, = [vf for vf in link["vfinfo_list"] if vf["vf"] == index]
    return found


def register(vm, pf, offset):
    """A register of the card, with RELAXED on the kernel's command line."""
    bar = int(vm.read(f"{PCI}/devices/{pf}/resource").split()[0], 16)
    return int(vm.sh(f"busybox devmem {bar + offset:#x} 32"), 16)


def station(vm, pf):
    """Somebody at the PF's network device: see guest/on-wire.c."""
    job = vm.spawn(["on-wire", netdev(vm, pf)])
    job.wait_for("ready\n")
    return job


def lines(job):
    """What a station or a player has said after its first line."""
    return job.stdout.decode().splitlines()[1:]
