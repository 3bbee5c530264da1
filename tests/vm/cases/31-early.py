# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was ordered outlives reboots: vfio-pci has the devices before their host drivers do."""

from vmlab import devices as catalogue
from vmlab.cases import case, until

from product import (DEVICE, GRANTS, GROUP, MANAGER, ROOT, as_admin, call, create_group, create_rule, drift,
                     driver_of, get, groups, make_call, objects, path, prompts, return_call, root_grant_call, rules,
                     says, state_is)

NAME = "PCI NICs"


def words_of_host_drivers(vm, addresses):
    """Address -> what the host drivers said of it in this boot: they say something whenever they probe."""
    return {a: vm.run(f"dmesg | grep -E '(e1000e|nvme) .*{a}'").out.splitlines() for a in addresses}


def names_of_host_drivers(vm, addresses):
    """What the host sees of them as long as it has them: network interfaces and NVMe controllers."""
    where = " ".join(f"/sys/bus/pci/devices/{a}/net /sys/bus/pci/devices/{a}/nvme" for a in addresses)
    return vm.run(f"ls {where} 2>/dev/null | grep -v :").out.split()


def make(vm, addresses):
    log = as_admin(vm, make_call(addresses, NAME, binding="persistent", **{"class": "network"}))
    assert prompts(log) == 1, f"not one prompt, but {prompts(log)}:\n{log}"
    for address in addresses:
        assert address in log, log
    assert driver_of(vm, addresses) == {a: "vfio-pci" for a in addresses}


def look_at_group(vm, addresses, state="pool"):
    """Group, rules, grants and devices tell the same story, once the daemon has noted that this is another boot."""
    for address in addresses:
        until(state_is(address, state), f"{address} is in state {state}", vm)
    all_objects = objects(vm)
    group, properties = groups(vm)[NAME]
    assert sorted(properties["Devices"]) == sorted(map(path, addresses)), properties
    assert (properties["Binding"], properties["Class"], properties["NeedsApproval"]) == ("persistent", "network", [])
    assert len(properties["Rules"]) == len(addresses)
    for rule in properties["Rules"]:
        r = rules(vm)[rule]
        assert r["AutoCreated"] and r["Group"] == group and r["Node"] == "lab" and len(r["Devices"]) == 1, r
    for address in addresses:
        d = all_objects[path(address)][DEVICE]
        assert d["Granted"] and d["Groups"] == [group] and d["State"] == state, d
        vm.sh(f"[ -s {GRANTS}/{address}.grant ]")
    tree = vm.sh("busctl tree --list org.verge.Passthrough").split()
    for object_path in [group, *properties["Rules"], *map(path, addresses)]:
        assert object_path in tree, f"{object_path} is not in busctl's tree"


def boot_is_healthy(vm):
    """The service has been idle for 30 s, so that the boot guard counts neither this boot nor those before."""
    until(f"test ! -e {GRANTS}/boots", "this boot is off the list of boots", vm, timeout=90)


def boot_was_counted(vm):
    """By the guard's unit, which has the service started though nobody enabled it."""
    assert vm.sh("systemctl show -P Result verge-passthrough-boot") == "success"
    vm.sh(f"grep -qx $(tr -d - < /proc/sys/kernel/random/boot_id) {GRANTS}/boots")
    until("systemctl is-active verge-passthroughd", "the service runs", vm)
    assert vm.run("systemctl is-enabled verge-passthroughd").out.strip() == "disabled"
    assert get(vm, "", "BootGuard", MANAGER) is False


def group_that_is_deleted(vm, address):
    """Another group, bound and deleted again."""
    group = create_group(vm, "Short-lived", binding="persistent")
    vm.sh(root_grant_call([address]))
    create_rule(vm, group, "one", f"address eq '{address}'")
    until(state_is(address, "pool"), "the daemon binds what is granted and in a persistent group", vm)
    until(f"test -s {GRANTS}/{address}.boot", "it is to be bound at boot", vm)
    vm.sh(call(group, GROUP, "Delete"))
    until(state_is(address, "host"), "the device of a deleted group returns", vm)
    assert vm.run(f"test -e {GRANTS}/{address}.boot").code != 0, "the early mark stayed"


def first_boot(vm, three, vnet):
    home = driver_of(vm, [*three, vnet])
    group_that_is_deleted(vm, vnet)
    assert driver_of(vm, [vnet])[vnet] == home[vnet]
    make(vm, three)
    look_at_group(vm, three)
    return home


def bound_early(vm, three, vnet, home):
    """By the udev rule, or a host driver would have had it: the service unbinds what it binds."""
    boot_was_counted(vm)
    assert driver_of(vm, [*three, vnet]) == {**{a: "vfio-pci" for a in three}, vnet: home[vnet]}
    touched = words_of_host_drivers(vm, three)
    assert touched == {a: [] for a in three}, f"a host driver had it: {touched}"
    assert names_of_host_drivers(vm, three) == []

    look_at_group(vm, three)
    assert drift(vm) == {} and get(vm, "", "RestartNeeded", MANAGER) is False
    for address in three:
        until(f"grep -qx $(tr -d - < /proc/sys/kernel/random/boot_id) {GRANTS}/{address}.boot",
              "the daemon has seen it bound in this boot", vm)
    vm.sh("systemctl is-active verge-passthroughd")


def switched_off(vm, three, home):
    assert driver_of(vm, three) == {a: home[a] for a in three}
    touched = words_of_host_drivers(vm, three)
    assert all(touched.values()), f"host drivers that probe say so, or the case before proves nothing: {touched}"
    assert get(vm, "", "Disabled", MANAGER) is True and get(vm, "", "RestartNeeded", MANAGER) is True
    assert "verge_passthrough=off" in get(vm, "", "RestartReason", MANAGER)
    look_at_group(vm, three, state="host")
    for address in three:
        assert "verge_passthrough=off" in get(vm, address, "Attention"), get(vm, address, "Attention")
    for address in three:
        until(f"test ! -e {GRANTS}/{address}.boot", "nobody is bound early after such a boot", vm)
    assert driver_of(vm, three) == {a: home[a] for a in three}, "the daemon bound it all the same"


def one_is_another(vm, nic, nvme, uplink, grant):
    """In the place of the uplink card sits another one. After a boot with the switch the daemon binds the others."""
    for address in (nic, nvme):
        until(state_is(address, "pool"), "what was switched off for one boot is bound again", vm)
    assert driver_of(vm, [nic, nvme, uplink]) == {nic: "vfio-pci", nvme: "vfio-pci", uplink: "virtio-pci"}
    kind, text = drift(vm)[uplink]
    assert kind == "replaced" and "8086:10d3" in text and "1af4:1041" in text, (kind, text)
    assert get(vm, uplink, "Granted") is False
    assert vm.read(f"{GRANTS}/{uplink}.grant") == grant, "the grant of the other device was touched"


def returned(vm, two, home):
    log = as_admin(vm, return_call(two))
    assert prompts(log) == 1, log
    assert driver_of(vm, two) == {a: home[a] for a in two}
    for address in two:
        assert get(vm, address, "State") == "host" and not get(vm, address, "Granted")
        vm.sh(f"[ ! -e {GRANTS}/{address}.grant ]")
    assert len(rules(vm)) == 1, "the rules of those that returned are gone"


@case("made passthrough with one prompt: there after a reboot, untouched by host drivers; off; swapped; returned",
      state=True, deadline=600)
def _(vm):
    nic, uplink, nvme, vnet = (vm.pci(name) for name in ("nic", "uplink", "nvme", "vnet"))
    three = [nic, uplink, nvme]
    home = first_boot(vm, three, vnet)
    boot_is_healthy(vm)

    vm.reboot()
    bound_early(vm, three, vnet, home)
    boot_is_healthy(vm)

    vm.command_line = "verge_passthrough=off"
    vm.reboot()
    switched_off(vm, three, home)
    vm.sh("systemctl enable verge-passthroughd")

    vm.command_line = ""
    vm.device_names = tuple("not-uplink" if n == "uplink" else n for n in catalogue.STANDARD)
    grant = vm.read(f"{GRANTS}/{uplink}.grant")
    vm.reboot()
    one_is_another(vm, nic, nvme, uplink, grant)
    returned(vm, [nic, nvme], home)
    boot_is_healthy(vm)

    vm.device_names = catalogue.STANDARD
    vm.reboot()
    until(state_is(uplink, "pool"), "the one that came back is bound again", vm)
    until(says(ROOT, MANAGER, "Drift", "a(sss) 0"), "nothing is drifting", vm)
    assert driver_of(vm, [*three, vnet]) == {**home, uplink: "vfio-pci"}
    assert get(vm, nic, "State") == "host" and get(vm, nic, "Granted") is False
