# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network cards that the host needs stay, whatever lies between them and what needs them; what is unused may leave."""

from vmlab.cases import case

from safety import ONE, SAFETY, let_admin, may_leave, stays


def cards(vm):
    """Addresses and interfaces of two."""
    let_admin(vm)
    vm.sh("modprobe -a bonding bridge 8021q")
    addresses = [vm.pci("nic"), vm.pci("uplink")]
    return addresses, [vm.sh(f"ls /sys/bus/pci/devices/{a}/net") for a in addresses]


@case("the default route through a bridge over a bond of two cards: both stay", devices=SAFETY, kernels=ONE,
      deadline=120)
def _(vm):
    both, (a, b) = cards(vm)
    vm.sh(f"ip link add bond0 type bond mode active-backup; ip link set {a} down; ip link set {b} down; "
          f"ip link set {a} master bond0; ip link set {b} master bond0; ip link add br0 type bridge; "
          "ip link set bond0 master br0; ip link set bond0 up; ip link set br0 up; "
          "ip address add 192.0.2.2/24 dev br0; ip route add default via 192.0.2.1")
    stays(vm, both, ["default-route", "address", "bridge-or-bond-member"], ("default-route", "br0"),
          ("address", "192.0.2.2"), ("bridge-or-bond-member", "bond0"))
    vm.sh(f"ip link del br0; ip link del bond0; ip link set {a} down; ip link set {b} down")
    may_leave(vm, both)


@case("a VLAN on a card, a card as port of a bridge, one in another network namespace: they stay; merely up: not",
      devices=SAFETY, kernels=ONE, deadline=120)
def _(vm):
    (one, other), (a, b) = cards(vm)
    vm.sh(f"ip link set {a} up; ip link add link {a} name lab.7 type vlan id 7; ip link set lab.7 up; "
          "ip address add 192.0.2.2/24 dev lab.7")
    stays(vm, [one], ["address", "bridge-or-bond-member"], ("address", "lab.7 has the host's address 192.0.2.2"),
          ("bridge-or-bond-member", "lab.7"))
    vm.sh("ip address flush dev lab.7")
    stays(vm, [one], ["bridge-or-bond-member"])
    vm.sh("ip link del lab.7")

    vm.sh(f"ip link add br0 type bridge; ip link set br0 up; ip link set {b} up")
    may_leave(vm, [one, other])         # up, but unused, beside a bridge without members
    vm.sh(f"ip link set {b} master br0")
    stays(vm, [other], ["bridge-or-bond-member"], ("bridge-or-bond-member", "br0"))
    vm.sh("ip link del br0")

    vm.sh(f"ip netns add elsewhere; ip link set {a} netns elsewhere")
    stays(vm, [one], ["address"], ("address", "namespace"), shown=False)
    may_leave(vm, [other])
    vm.sh(f"ip -n elsewhere link set {a} netns 1; ip netns del elsewhere; ip link set {b} down")
    may_leave(vm, [one])
