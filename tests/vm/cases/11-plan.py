# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Bind does is what Plan said."""

import itertools
import time

from vmlab.cases import case

from product import (GRANTS, MANAGER, PCI, ROOT, answer, call, device_call, driver_of, override, path, restore,
                     root_grant_call)

MOVES = "/run/verge-passthrough/moves"


def plan_call(addresses, **options):
    words = [word for name, values in options.items() for word in (name, "as", len(values), *values)]
    return call(ROOT, MANAGER, "Plan", "aoa{sv}", len(addresses), *map(path, addresses), len(options), *words)


def plan(vm, addresses, **options):
    """As alice, whom nobody asks: for each set (devices, possible, checks, writes), devices by their addresses."""
    by_path = {path(a): a for a in vm.sh(f"ls {PCI}/devices").split()}
    sets = answer(vm, plan_call(addresses, **options), user="alice")[0]
    return [([by_path[d] for d in devices], possible, [(by_path[d], *rest) for d, *rest in checks],
             [(by_path[d], *rest) for d, *rest in writes]) for _, devices, possible, checks, writes in sets]


def is_untouched(vm, addresses, drivers):
    assert driver_of(vm, addresses) == drivers and {a: override(vm, a) for a in addresses} == {a: "" for a in addresses}
    assert vm.sh(f"ls -I boots {GRANTS} {MOVES} | grep -v :$").split() == []


def written(watch, n):
    """What the kernel says was written, once it is as much as that; twice the same in a row is told once or twice."""
    end = time.monotonic() + 20
    while len(lines(watch)) < n and time.monotonic() < end:
        with watch.channel.changed:
            watch.channel.changed.wait(1)
    return lines(watch)


def lines(watch):
    return [name for name, _ in itertools.groupby(watch.stdout.decode().splitlines()[1:])]


def inodes(vm, files):
    """Which file it is, whatever the links on the way: the unbind file of a driver is reached by each device."""
    return dict(zip(files, (line.split()[0] for line in vm.sh(["ls", "-id", *files]).splitlines())))


def bound_as_planned(vm, named):
    (members, possible, checks, writes), = plan(vm, named)
    assert possible and "granted" in [c[1] for c in checks if not c[3]], checks
    home = driver_of(vm, members)
    is_untouched(vm, members, home)

    files = [file for _, file, _ in writes]
    number = inodes(vm, list(dict.fromkeys(files)))     # each of them exists
    one_of = {inode: file for file, inode in number.items()}
    watch = vm.spawn(["watch-writes", *sorted(one_of.values())])
    watch.wait_for("ready")
    vm.sh(root_grant_call(members), timeout=60)
    vm.sh(device_call(named[0], "Bind"), timeout=60)
    expected = [file for file, _ in itertools.groupby(one_of[number[file]] for file in files)]
    assert written(watch, len(expected)) == expected
    watch.kill()

    # Played over what was there, the plan gives what is there.
    overrides = {a: "" for a in members}
    overrides |= {a: value for a, file, value in writes if file.endswith("/driver_override")}
    assert {a: override(vm, a) for a in members} == overrides
    probed = [value for _, file, value in writes if file.endswith("/drivers_probe")]
    assert driver_of(vm, members) == {a: "vfio-pci" if a in probed else home[a] for a in members}
    unbound = {value for _, file, value in writes if file.endswith("/unbind")}
    assert unbound == {a for a in members if home[a]}

    (_, possible, _, writes), = plan(vm, named)
    assert possible and writes == [], "there is nothing left to do"
    restore(vm, members)
    is_untouched(vm, members, home)


@case("what Plan says is what Bind writes, file for file: a card, a disk, two that share an IOMMU set", deadline=150)
def _(vm):
    vm.sh("modprobe vfio-pci")
    for named in (["nic"], ["nvme"], ["pair-edu"]):
        bound_as_planned(vm, [vm.pci(name) for name in named])


@case("Plan of what must stay says why, has no effect, and plans nothing; consent counts as if it were given")
def _(vm):
    nic, disk = vm.pci("nic"), vm.pci("root-disk")
    name = vm.sh(f"ls {PCI}/devices/{nic}/net")
    vm.sh(f"ip address add 192.0.2.2/24 dev {name}")
    (_, possible, checks, writes), = plan(vm, [nic])
    failed = [c[1] for c in checks if c[2] == "error" and not c[3]]
    assert not possible and writes == [] and failed == ["address"], checks
    (_, possible, _, writes), = plan(vm, [nic], consent=["address"])
    assert possible and writes != []
    sets = plan(vm, [nic, disk])
    assert [s[0] for s in sets] == [[nic], [disk]] and [s[1] for s in sets] == [False, False]
    vm.sh(f"ip address flush dev {name}")
    is_untouched(vm, [nic], {nic: "e1000e"})
