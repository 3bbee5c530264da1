# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMs in the VM: a QEMU of a normal user, whose guest drives the very device; and libvirt. See guest/nested.c."""

from pathlib import Path

from vmlab.cases import case, until

from claims import (ALICES, CLAIM, ROOTS, claim_is, claim_of, clean_claims, create_claim, ended, given, kill, node,
                    pool, rights, start)
from product import answer, call, get

EXAMPLES = Path(__file__).resolve().parents[3] / "docs/examples"
INSTALLED = "/usr/share/doc/verge-passthrough/examples"
SEEN = b"NESTED 8086:10d3 52:54:00:00:00:01 DMA\n"

FIRMWARE = "/usr/share/lab/nested.rom"
WORDS = ["-nodefaults", "-display", "none", "-M", "q35", "-m", "16M", "-serial", "stdio", "-bios", FIRMWARE]
QEMU = ["qemu-system-x86_64", *WORDS]
# As an administrator would set it for alice: the guest's memory, and what libvirt adds to that.
LIMIT = f"ulimit -l {(16 << 10) + (1 << 20)}; exec "


def lab_bind(vm, address):
    """With nothing but sysfs: here the lab itself is tried."""
    where = f"/sys/bus/pci/devices/{address}"
    vm.sh(f"modprobe vfio-pci; echo vfio-pci > {where}/driver_override; echo {address} > {where}/driver/unbind; "
          f"echo {address} > /sys/bus/pci/drivers_probe")


def lab_release(vm, address):
    where = f"/sys/bus/pci/devices/{address}"
    vm.sh(f"echo > {where}/driver_override; echo {address} > {where}/driver/unbind; "
          f"echo {address} > /sys/bus/pci/drivers_probe")


@case("a VM in the VM drives a real device, as a normal user", product=False, variant="qemu", kernels=("debian",))
def _(vm):
    nic = vm.pci("nic")
    lab_bind(vm, nic)
    vm.sh(f"setfacl -m u:alice:rw {node(vm, nic)}")
    nested = vm.spawn([*QEMU, "-device", f"vfio-pci,host={nic}"], user="alice")
    nested.wait_for("NESTED done", 60)
    assert SEEN in nested.stdout, nested.result().describe()
    kill(nested)
    lab_release(vm, nic)


def the_example_is(vm, name):
    assert vm.read(f"{INSTALLED}/{name}") == (EXAMPLES / name).read_text().rstrip("\n")
    return f"{INSTALLED}/{name}"


def nested_owns_the_card(vm, access, expected_rights):
    """The documented program, run by alice; killed; the device is free by itself."""
    nic = vm.pci("nic")
    program = the_example_is(vm, "start-qemu")
    try:
        claim = create_claim(vm, "web", pool(vm, [nic], binding="persistent"))
        for _again in range(2):
            nested = vm.spawn(f"{LIMIT}{program} web {access} {' '.join(WORDS)}", user="alice")
            nested.wait_for("NESTED done", 120)
            assert SEEN in nested.stdout, nested.result().describe()
            assert claim_of(vm, claim)["Status"] == "online" and get(vm, nic, "State") == "claimed"
            assert rights(vm, node(vm, nic)) == expected_rights
            kill(nested)
            ended(vm, claim, [nic], "pool")
    finally:
        clean_claims(vm)


@case("alice's QEMU, by an access list: its guest has the very card; kill -9: the card is free", variant="qemu",
      kernels=("debian",), deadline=240)
def _(vm):
    nested_owns_the_card(vm, "acl", ALICES)


@case("alice's QEMU, by descriptors: its guest has the very card; kill -9: the card is free", variant="qemu",
      kernels=("cdev",), deadline=240)
def _(vm):
    vm.sh("modprobe iommufd")
    nested_owns_the_card(vm, "fds", ROOTS)


@case("the daemon is killed while a nested VM runs: its guest does not notice, its end is noticed", variant="qemu",
      kernels=("debian",), deadline=240)
def _(vm):
    nic, edu = vm.pci("nic"), vm.pci("edu")
    try:
        claims = [create_claim(vm, "web", pool(vm, [a], name)) for a, name in ((nic, "Cards"), (edu, "Toys"))]
        nested = vm.spawn(["start-vm", "web", "access", "s", "acl", "--", *QEMU, "@arguments"], user="alice")
        nested.wait_for("NESTED done", 120)
        assert SEEN in nested.stdout and b"NESTED 1234:11e8 010000ed\n" in nested.stdout, nested.result().describe()
        vm.sh("systemctl kill -s KILL verge-passthroughd")
        for claim in claims:
            until(claim_is(claim, "online"), "the next daemon knows it", vm)
        assert nested.running
        kill(nested)
        ended(vm, claims[0], [nic])
    finally:
        clean_claims(vm)


@case("systemd-machined tells the end of a VM", variant="qemu", kernels=("debian",), deadline=240)
def _(vm):
    nic = vm.pci("nic")
    try:
        claim = create_claim(vm, "web", pool(vm, [nic]))
        machine = vm.spawn("exec sleep 1000", user="alice")
        create = ["busctl", "call", "org.freedesktop.machine1", "/org/freedesktop/machine1",
                  "org.freedesktop.machine1.Manager", "CreateMachine", "sayssusa(sv)", "lab-web", 0, "lab", "vm",
                  machine.wait_started(), "", 0]
        vm.sh([str(word) for word in create], timeout=60)
        player = start(vm, "web", "track", "s", "machine", "machine", "s", "lab-web")
        player.write("drop devices\n")
        player.wait_for("dropped devices")
        vm.sh("systemctl restart verge-passthroughd systemd-machined")
        until(claim_is(claim, "online"), "both know it after a restart", vm)
        assert given(player) == [nic]
        kill(machine)
        ended(vm, claim, [nic])
        kill(player)
    finally:
        clean_claims(vm)


DOMAIN = f"""<domain type='qemu'>
  <name>web</name>
  <memory unit='MiB'>64</memory>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <loader readonly='yes' type='rom'>{FIRMWARE}</loader>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='1' model='pcie-root-port'/>
    <controller type='pci' index='2' model='pcie-root-port'/>
    <memballoon model='none'/>
HOSTDEVS
  </devices>
</domain>
"""


def text_of(vm, claim):
    """LibvirtXml, as libvirt reads it."""
    return answer(vm, call(claim, CLAIM, "LibvirtXml"))[0]


@case("LibvirtXml: virsh takes it; the documented hook gives a domain its device and takes it back", variant="qemu",
      kernels=("debian",), deadline=400)
def _(vm):
    nic = vm.pci("nic")
    hook = the_example_is(vm, "libvirt-hook")
    try:
        claim = create_claim(vm, "web", pool(vm, [nic]), user="root")
        player = start(vm, "web", user="root")
        vm.write("/tmp/with.xml", DOMAIN.replace("HOSTDEVS", text_of(vm, claim)))
        kill(player)
        ended(vm, claim, [nic])
        vm.sh(f"mkdir -p /etc/libvirt/hooks && cp {hook} /etc/libvirt/hooks/qemu && systemctl start libvirtd",
              timeout=90)
        vm.sh("virsh define --validate /tmp/with.xml", timeout=120)
        known = vm.sh("virsh dumpxml web", timeout=60)
        assert "<hostdev mode='subsystem' type='pci' managed='no'>" in known, known
        vm.sh("virsh undefine web", timeout=60)

        vm.write("/tmp/without.xml", DOMAIN.replace("HOSTDEVS", ""))
        vm.sh("virsh create /tmp/without.xml", timeout=180)
        until(claim_is(claim, "online"), "the hook has started it", vm)
        until("virsh dumpxml web | grep -q \"<driver name='vfio'/>\"", "the device is in the domain", vm, timeout=60)
        assert get(vm, nic, "State") == "claimed"
        vm.sh("virsh destroy web", timeout=60)
        ended(vm, claim, [nic])
        assert vm.driver(nic) == "e1000e"
    finally:
        vm.run("virsh destroy web; systemctl stop libvirtd libvirtd.socket; rm -f /etc/libvirt/hooks/qemu", timeout=90)
        clean_claims(vm)
