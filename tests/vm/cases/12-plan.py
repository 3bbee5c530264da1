# SPDX-License-Identifier: LGPL-2.1-or-later
"""What Plan says is what Bind does, on a real kernel."""

import shlex

from vmlab.cases import case

from product import (MANAGER, PCI, ROOT, answer, call, device_call, driver_of, override, path, restore,
                     root_grant_call)


def plan(vm, addresses, consent=(), user="alice"):
    """One entry for each IOMMU set; anybody may ask."""
    options = ["consent", "as", len(consent), *consent] if consent else []
    sets, = answer(vm, call(ROOT, MANAGER, "Plan", "aoa{sv}", len(addresses), *map(path, addresses),
                            int(bool(consent)), *options), user=user)
    return [dict(zip(("number", "devices", "possible", "checks", "writes"), s)) for s in sets]


def failed(planned):
    """Code -> sentence of what would refuse Bind, in its order."""
    return {check: sentence for _, check, severity, passed, sentence in planned["checks"]
            if severity == "error" and not passed}


def state(vm, addresses):
    return {a: (vm.driver(a), override(vm, a)) for a in addresses}


def go_home_by_hand(vm, addresses, drivers):
    for address in addresses:
        vm.sh(f"echo > {PCI}/devices/{address}/driver_override")
        vm.sh(f"echo {address} > {PCI}/devices/{address}/driver/unbind")
        vm.sh(f"echo {address} > {PCI}/drivers_probe")
    assert driver_of(vm, addresses) == drivers


@case("the planned writes, done by hand, do what Bind does; the plan itself does nothing", deadline=180)
def _(vm):
    pair = [vm.pci("pair-edu"), vm.pci("pair-e1000")]
    vm.sh("modprobe vfio-pci")
    home, before = driver_of(vm, pair), state(vm, pair)

    planned, = plan(vm, pair)
    assert planned["possible"] and planned["number"] == int(vm.iommu_group(pair[0])), planned
    assert sorted(planned["devices"]) == sorted(map(path, pair)), planned
    assert len(planned["writes"]) == 5, "two overrides, one unbind, two probes: edu has no driver"
    assert state(vm, pair) == before and vm.sh("ls /run/verge-passthrough/moves") == ""

    for _device, file, value in planned["writes"]:
        vm.sh(f"printf '%s\\n' {shlex.quote(value)} > {shlex.quote(file)}")
    by_hand = state(vm, pair)
    assert set(by_hand.values()) == {("vfio-pci", "vfio-pci")}, by_hand
    go_home_by_hand(vm, pair, home)

    vm.sh(root_grant_call(pair))
    try:
        assert plan(vm, pair)[0]["writes"] == planned["writes"]
        vm.sh(device_call(pair[0], "Bind"), timeout=60)
        assert state(vm, pair) == by_hand
        planned, = plan(vm, pair)
        assert planned["possible"] and planned["writes"] == [], planned
    finally:
        restore(vm, pair)


@case("Bind refuses with the sentence that the plan had", deadline=180)
def _(vm):
    nic = vm.pci("nic")
    name = vm.sh(f"ls {PCI}/devices/{nic}/net")
    vm.sh(root_grant_call([nic]))
    try:
        vm.sh(f"ip link set {name} up; ip address add 192.0.2.77/24 dev {name}")
        planned, = plan(vm, [nic])
        assert not planned["possible"] and planned["writes"] == [] and list(failed(planned)) == ["address"], planned
        result = vm.run(device_call(nic, "Bind"), timeout=60)
        assert not result.ok and failed(planned)["address"] in result.err, result.describe()
        consented, = plan(vm, [nic], consent=["address"])
        assert consented["possible"] and len(consented["writes"]) == 3, consented

        vm.sh(f"echo pci-stub > {PCI}/devices/{nic}/driver_override")
        planned, = plan(vm, [nic])
        assert list(failed(planned)) == ["driver-override", "address"], planned
        result = vm.run(device_call(nic, "Bind"), timeout=60)
        assert not result.ok and failed(planned)["driver-override"] in result.err, result.describe()
        assert vm.driver(nic) == "e1000e"
    finally:
        vm.sh(f"echo > {PCI}/devices/{nic}/driver_override; ip address flush dev {name}; ip link set {name} down")
        restore(vm, [nic])
