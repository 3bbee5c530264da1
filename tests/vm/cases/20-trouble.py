# SPDX-License-Identifier: LGPL-2.1-or-later
"""When the kernel hangs, processes die and hardware comes and goes."""

import os
import random
import time

from vmlab.cases import case, skip, until

from product import (BUS, DEVICE, MANAGER, PCI, ROOT, device_call, devices, driver_of, get, override, path, restore,
                     root_grant_call, state_is)

MOVES = "/run/verge-passthrough/moves"


def set_deadline(vm, seconds):
    """Takes effect when the helper starts the next time."""
    vm.sh(f"echo deadline-seconds={seconds} > /etc/verge-passthrough/verge-passthrough.conf; "
          "systemctl stop verge-passthrough-helper")


def others_go_on(vm, stuck, other):
    """While one device is stuck: lists, reads and moves of others work."""
    begin = time.monotonic()
    listed = devices(vm)
    print(f"# GetManagedObjects beside a stuck device: {1000 * (time.monotonic() - begin):.0f} ms, busctl included",
          flush=True)
    assert listed[stuck]["State"] == "stuck", listed[stuck]
    assert listed[stuck]["Reason"], listed[stuck]
    vm.sh(root_grant_call([other]))
    vm.sh(device_call(other, "Bind"), timeout=60)
    vm.sh(device_call(other, "Release"), timeout=60)
    result = vm.run(device_call(stuck, "Release"))
    assert not result.ok and stuck in result.err, result.describe()


@case("a kernel that does not answer: stuck, in words; others go on; it heals when the holder goes",
      fresh=True, deadline=240)
def _(vm):
    """The device node of VFIO is open without being bound to anything: the group looks free, and unbinding waits."""
    edu, nic = vm.pci("edu"), vm.pci("nic")
    if vm.run("modprobe iommufd && [ -e /dev/iommu ]").code != 0:
        skip("this kernel has no VFIO cdev; see the case of the foreign unbind")
    set_deadline(vm, 4)
    vm.sh(root_grant_call([edu]))
    vm.sh(device_call(edu, "Bind"))
    until("ls /dev/vfio/devices/vfio*", "the cdev is there", vm)
    holder = vm.spawn(["vfio-hold", "--cdev", "--open-only", edu])
    holder.wait_for("ready")

    signals = vm.spawn(f"exec busctl --json=short monitor --match \"type='signal',member='DeviceStuck'\" {BUS} 2>&1")
    signals.wait_for("Monitoring")
    result = vm.run(device_call(edu, "Release"), timeout=60)
    assert not result.ok and "vfio-hold" in result.err and edu in result.err, result.describe()
    signals.wait_for("DeviceStuck", 20)
    signals.kill()
    others_go_on(vm, edu, nic)

    vm.sh("systemctl kill -s KILL verge-passthroughd")
    until(state_is(edu, "stuck"), "a new daemon sees it too", vm)

    holder.kill()
    until(state_is(edu, "host"), "it heals when the holder goes", vm)
    assert vm.driver(edu) == "" and override(vm, edu) == "" and vm.sh(f"ls {MOVES}") == ""


@case("a device that a foreign unbind has stuck freezes nothing", fresh=True, deadline=240)
def _(vm):
    """Root's own hand in sysfs, while a VM holds the device: the driver link is gone, the device lock held. On
    6.1 even reading `uevent` of it blocks for ever now."""
    edu, nic = vm.pci("edu"), vm.pci("nic")
    set_deadline(vm, 4)
    vm.sh(root_grant_call([edu]))
    vm.sh(device_call(edu, "Bind"))
    holder = vm.spawn(["vfio-hold", edu])
    holder.wait_for("ready")
    vm.spawn(f"echo {edu} > {PCI}/drivers/vfio-pci/unbind")
    until(f"[ ! -e {PCI}/devices/{edu}/driver ]", "the unbinding hangs half-way", vm)

    result = vm.run(device_call(edu, "Release"), timeout=60)
    assert not result.ok and edu in result.err, result.describe()
    result = vm.run(device_call(edu, "Bind"), timeout=60)
    assert not result.ok and edu in result.err, result.describe()

    vm.sh("systemctl kill -s KILL verge-passthroughd")
    until(f"busctl get-property {BUS} {path(nic)} {DEVICE} State", "a new daemon starts beside it", vm)
    vm.sh(root_grant_call([nic]))
    vm.sh(device_call(nic, "Bind"), timeout=60)
    vm.sh(device_call(nic, "Release"), timeout=60)

    holder.kill()
    until(state_is(edu, "host"), "it heals when the holder goes", vm, timeout=40)
    vm.sh(device_call(edu, "Release"), timeout=60)
    assert vm.driver(edu) == "" and override(vm, edu) == "" and vm.sh(f"ls {MOVES}") == ""


CYCLES = int(os.environ.get("VERGE_VM_CYCLES", "30"))       # a sample each time; more of it for whoever has the time


@case("kill -9 at random points of many cycles leaves what a restart heals", fresh=True, deadline=900)
def _(vm):
    edu, e1000, nic = vm.pci("pair-edu"), vm.pci("pair-e1000"), vm.pci("nic")
    home = driver_of(vm, [edu, e1000, nic])
    vm.sh(root_grant_call([edu, e1000]))
    vm.sh(root_grant_call([nic]))

    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    dice = random.Random(seed)
    interrupted = 0
    for _cycle in range(CYCLES):
        device = dice.choice([e1000, nic])
        unit = dice.choice(["verge-passthroughd", "verge-passthrough-helper"])
        verb = dice.choice(["Bind", "Bind", "Release"])
        # The delay is what is random here: it picks the point at which the process dies.
        killer = vm.spawn(f"read go; usleep {dice.randrange(0, 250000)}; systemctl kill -s KILL {unit}")
        killer.write("\n")
        result = vm.run(["busctl", "--timeout=60", *device_call(device, verb)[3:]], timeout=90)
        interrupted += not result.ok
        killer.wait(30)
        heals = " && ".join([f"[ -z \"$(ls {MOVES})\" ]", *(f"! {state_is(d, 'moving')}" for d in (edu, e1000, nic))])
        until(heals, "what was interrupted has been brought to an end", vm, timeout=60)
        now = driver_of(vm, [edu, e1000, nic])
        assert now[nic] in ("e1000e", "vfio-pci"), now
        assert (now[edu], now[e1000]) in (("", "e1000"), ("vfio-pci", "vfio-pci")), f"half a set: {now}"
    print(f"# {interrupted} of {CYCLES} calls were interrupted", flush=True)
    assert interrupted > 0, "no call was hit: the case proves nothing"

    for device in (e1000, nic):
        vm.sh(device_call(device, "Release"), timeout=60)
    assert driver_of(vm, [edu, e1000, nic]) == home
    assert {override(vm, d) for d in (edu, e1000, nic)} == {""}


@case("hot-plug and unplug show up as signals and objects", deadline=120)
def _(vm):
    vm.sh(["busctl", "call", BUS, ROOT, "org.freedesktop.DBus.Peer", "Ping"])
    signals = vm.spawn(f"exec busctl monitor --match \"type='signal',sender='{BUS}'\" {BUS} 2>&1")
    signals.wait_for("Monitoring")
    vm.plug("edu")
    signals.wait_for("InterfacesAdded", 30)
    address = vm.pci("spare")
    assert get(vm, address, "VendorId") == 0x1234
    vm.unplug()
    signals.wait_for("InterfacesRemoved", 30)
    signals.kill()
    assert address not in devices(vm)


@case("a device unplugged while it is in the pool is gone, its grant stays, and it comes back", deadline=180)
def _(vm):
    vm.plug("edu")
    until("ls -d /sys/devices/pci0000:00/0000:00:15.0/*:00.0", "the plugged device is there", vm)
    address = vm.pci("spare")
    until(f"busctl get-property {BUS} {path(address)} {DEVICE} State", "it is an object", vm)
    vm.sh(root_grant_call([address]))
    vm.sh(device_call(address, "Bind"))
    vm.unplug()
    until(f"! busctl get-property {BUS} {path(address)} {DEVICE} State", "its object is gone", vm)
    result = vm.run(device_call(address, "Release"))
    assert not result.ok, result.describe()

    vm.plug("edu")
    until(state_is(address, "host"), "it is back, at the host", vm)
    assert get(vm, address, "Granted") is True, "the same device in the same place has its grant still"
    vm.unplug()
    until(f"! busctl get-property {BUS} {path(address)} {DEVICE} State", "its object is gone again", vm)

    # Another device at the same address is another device.
    vm.plug("pci-testdev")
    until(f"busctl get-property {BUS} {path(address)} {DEVICE} State", "the other device is an object", vm)
    result = vm.run(device_call(address, "Bind"))
    assert not result.ok and "grant" in result.err, result.describe()
    assert get(vm, address, "Granted") is False
    restore(vm, [address])
    vm.unplug()


@case("bad input is refused in words and changes nothing")
def _(vm):
    nic = vm.pci("nic")
    before = vm.sh(f"ls -I boots /etc/verge-passthrough/grants.d; ls -l {PCI}/devices/*/driver")
    manager = ["busctl", "call", BUS, ROOT, MANAGER]
    for words in (["Grant", "aoa{sv}", "0", "0"],
                  ["Grant", "aoa{sv}", "1", "/org/verge/Passthrough/device/nonsense", "0"],
                  ["Grant", "aoa{sv}", "1", path("0000:ff:1f.7"), "0"],
                  ["Grant", "aoa{sv}", "2", path(nic), path(nic), "0"],
                  ["Grant", "aoa{sv}", "1", path(nic), "1", "colour", "s", "blue"],
                  ["Grant", "aoa{sv}", "1", path(nic), "1", "consent", "as", "1", "no-iommu"],
                  ["Grant", "aoa{sv}", "1", path(nic), "1", "siblings", "s", "x"],
                  ["Grant", "as", "1", "x"],
                  ["Revoke", "ao", "1", path(nic)],
                  ["Grant", "aoa{sv}", "65", *[path(nic)] * 65, "0"]):
        result = vm.run([*manager, *words], user="nobody")
        assert not result.ok and len(result.err) > 20, result.describe()
    result = vm.run(root_grant_call([vm.pci("host-bridge")]))
    assert not result.ok and "bridge" in result.err, result.describe()
    assert vm.sh(f"ls -I boots /etc/verge-passthrough/grants.d; ls -l {PCI}/devices/*/driver") == before


@case("a grant outlives a reboot, a move does not", state=True, deadline=400)
def _(vm):
    nic = vm.pci("nic")
    vm.sh(root_grant_call([nic]))
    vm.sh(device_call(nic, "Bind"))
    vm.reboot()
    assert get(vm, nic, "Granted") is True and get(vm, nic, "State") == "host"
    assert vm.driver(nic) == "e1000e" and vm.sh(f"ls {MOVES}") == ""
    vm.sh(device_call(nic, "Bind"))
    vm.power_cut()
    assert get(vm, nic, "Granted") is True and vm.driver(nic) == "e1000e"


@case("an NVMe that is plugged in tells its serial number once its controller is up", deadline=120)
def _(vm):
    vm.sh(["busctl", "call", BUS, ROOT, "org.freedesktop.DBus.Peer", "Ping"])
    vm.plug("nvme", serial="hot-nvme")
    until("ls -d /sys/devices/pci0000:00/0000:00:15.0/*:00.0", "the plugged device is there", vm)
    address = vm.pci("spare")
    until(f"busctl get-property {BUS} {path(address)} {DEVICE} Serial | grep -q hot-nvme", "its serial number is told", vm)
    vm.unplug()
    until(f"! busctl get-property {BUS} {path(address)} {DEVICE} State", "its object is gone", vm)
