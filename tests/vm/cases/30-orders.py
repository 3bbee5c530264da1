# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups, rules and devices made passthrough, when hardware, processes and files do what they like."""

import random
import time

from vmlab import devices as catalogue
from vmlab.cases import case, until

from product import (BUS, DEVICE, GRANTS, GROUP, HELPER, HELPER_PATH, MANAGER, PCI, PENDING, ROOT, RULE, STORE, answer,
                     as_admin, call, clean, create_group, create_rule, device_call, drift, driver_of, get, groups,
                     make_call, objects, override, path, prompts, return_call, rules, says, state_is)

SLOTS = (*catalogue.STANDARD, "spare2")
ONE = ("debian",)       # what is the same on each kernel runs on one

# Two makes of one model: the ids of the subsystem tell them apart, from each other and from `nic`.
RED, GREEN = ({"subsys_ven": 0x8086, "subsys": n} for n in (0x1111, 0x2222))


def ids(make):
    return f"8086:10d3:8086:{make['subsys']:04x}"


def plug(vm, make, port="spare"):
    """Plugs an e1000e of that make; returns its address when the service has it."""
    vm.plug("e1000e", port=port, name=f"in-{port}", **make)
    until(f"ls -d /sys/devices/pci0000:00/{catalogue.sysfs_glob(port)}", "the plugged device is there", vm)
    address = vm.pci(port)
    until(f"busctl get-property {BUS} {path(address)} {DEVICE} State", "it is an object", vm)
    vm.sh("udevadm settle")
    return address


def unplug(vm, address, port="spare"):
    vm.unplug(f"in-{port}")
    until(f"! busctl get-property {BUS} {path(address)} {DEVICE} State", "its object is gone", vm)


def grant_of(vm, address):
    return vm.read(f"{GRANTS}/{address}.grant")


def drifts(address, kind):
    return says(ROOT, MANAGER, "Drift", f'"{kind}" "{address}"')


def restart_daemon(vm, how="systemctl restart verge-passthroughd"):
    vm.sh(how)
    until(f"busctl get-property {BUS} {ROOT} {MANAGER} Drift", "the service is back", vm)


@case("plugged in: bound if its ids are granted, shown to need approval if not", devices=SLOTS, deadline=180)
def _(vm):
    vm.sh(["busctl", "call", HELPER, HELPER_PATH, HELPER, "GrantIds", "ass", 1, ids(RED), ""])
    group = create_group(vm, "Plugged", binding="persistent")
    rule = create_rule(vm, group, "cards", "vendor_device_hex eq '8086:10d3' and (subsystem_hex eq "
                                           "'8086:1111' or subsystem_hex eq '8086:2222')")
    try:
        red = plug(vm, RED)
        until(state_is(red, "pool"), "what is granted by its ids and matched by a rule is bound", vm)
        assert vm.driver(red) == "vfio-pci" and get(vm, red, "Granted") is True
        assert f"ids={ids(RED)}\n" in grant_of(vm, red) + "\n"

        green = plug(vm, GREEN, "spare2")
        until(says(path(green), DEVICE, "Attention", "needs approval"), "it says that it needs approval", vm)
        _, properties = groups(vm)["Plugged"]
        assert properties["NeedsApproval"] == [path(green)], properties
        assert sorted(properties["Devices"]) == sorted([path(red), path(green)]), properties
        restart_daemon(vm)
        assert vm.driver(green) == "e1000e" and get(vm, green, "Granted") is False
        matches, why = answer(vm, call(rule, RULE, "Explain", "o", path(green)), user="alice")
        assert matches is True and "subsystem_hex" in why, why
        unplug(vm, green, "spare2")
        unplug(vm, red)

        # A loaded host driver is faster than udev: the daemon takes the device from it.
        assert plug(vm, RED) == red
        until(state_is(red, "pool"), "it is bound again", vm)
        unplug(vm, red)
    finally:
        clean(vm)


@case("swapped at its address, away, moved: seen, not bound, the grant untouched; back: bound", devices=SLOTS,
      deadline=240)
def _(vm):
    try:
        red = plug(vm, RED)
        assert prompts(as_admin(vm, make_call([red], "Slots", binding="persistent"))) == 1
        assert vm.driver(red) == "vfio-pci" and drift(vm) == {}
        grant = grant_of(vm, red)
        unplug(vm, red)
        until(drifts(red, "missing"), "nothing is there", vm)

        assert plug(vm, GREEN) == red, "the other one is in the same place"
        until(drifts(red, "replaced"), "another one is there", vm)
        assert vm.driver(red) == "e1000e" and get(vm, red, "Granted") is False
        result = vm.run(device_call(red, "Bind"))
        assert not result.ok and red in result.err, result.describe()
        restart_daemon(vm)
        assert drift(vm)[red][0] == "replaced" and vm.driver(red) == "e1000e"
        assert grant_of(vm, red) == grant
        unplug(vm, red)

        moved = plug(vm, RED, "spare2")
        assert moved != red
        until(drifts(red, "moved"), "it is somewhere else", vm)
        assert moved in drift(vm)[red][1], drift(vm)
        assert vm.driver(moved) == "e1000e" and get(vm, moved, "Granted") is False
        assert grant_of(vm, red) == grant
        unplug(vm, moved, "spare2")

        assert plug(vm, RED) == red
        until(state_is(red, "pool"), "the first one is bound again", vm)
        until(says(ROOT, MANAGER, "Drift", "a(sss) 0"), "nothing is drifting", vm)
        unplug(vm, red)
    finally:
        clean(vm)


@case("taken by root's own hand: seen, left to him, also by the next daemon; Bind takes it again", devices=SLOTS,
      kernels=ONE, deadline=120)
def _(vm):
    nic = vm.pci("nic")
    try:
        as_admin(vm, make_call([nic], "Taken", binding="persistent"))
        vm.sh(f"cd {PCI} && echo > devices/{nic}/driver_override && echo {nic} > drivers/vfio-pci/unbind && "
              f"echo {nic} > drivers_probe")
        until(drifts(nic, "taken"), "it is seen", vm)
        assert "e1000e" in get(vm, nic, "Attention") and "Bind" in get(vm, nic, "Attention"), get(vm, nic, "Attention")
        for again in ("systemctl restart verge-passthroughd", "systemctl kill -s KILL verge-passthroughd",
                      f"udevadm trigger -w -c change {PCI}/devices/{nic}"):
            restart_daemon(vm, again)
            until(drifts(nic, "taken"), "it is seen by the next daemon", vm)
            assert vm.driver(nic) == "e1000e" and override(vm, nic) == ""
        as_admin(vm, device_call(nic, "Bind"))
        assert vm.driver(nic) == "vfio-pci" and drift(vm) == {} and get(vm, nic, "Attention") == ""
    finally:
        clean(vm)
    assert vm.driver(nic) == "e1000e"


@case("exported by alice, imported twice: the second time changes nothing", devices=SLOTS, kernels=ONE)
def _(vm):
    try:
        first = create_group(vm, "NICs ' \" é", binding="persistent", description="of the lab", **{"class": "network"})
        create_rule(vm, first, "all", "driver eq 'e1000e' or name rx '^Intel.*Gigabit'")
        create_rule(vm, first, "none here", "vendor eq 'O''Brien'", node="elsewhere", enabled=False)
        create_group(vm, "Disks")
        document = answer(vm, call(ROOT, MANAGER, "Export"), user="alice")[0]
        importing = call(ROOT, MANAGER, "Import", "sa{sv}", document, 0)
        before = objects(vm)
        assert answer(vm, importing) == [0] and objects(vm) == before
        for group, _ in groups(vm).values():
            vm.sh(call(group, GROUP, "Delete"))
        assert groups(vm) == {} and rules(vm) == {}

        result = vm.run([w for w in importing if "interactive" not in w], user="alice")
        assert not result.ok and groups(vm) == {}, result.describe()
        assert prompts(as_admin(vm, importing)) == 1
        assert answer(vm, importing) == [0]
        assert answer(vm, call(ROOT, MANAGER, "Export"))[0] == document
    finally:
        clean(vm)


TRUNCATIONS = 5


def read_only_with(vm, nic, size):
    """Starts the daemon on the database as it is and looks; nothing may change."""
    digest = vm.sh(f"sha256sum {STORE}")
    reason = get(vm, "", "ReadOnlyReason", MANAGER)
    assert get(vm, "", "ReadOnly", MANAGER) is True and STORE in reason, f"cut to {size} bytes: {reason!r}"
    assert groups(vm) == {} and rules(vm) == {}
    result = vm.run(call(ROOT, MANAGER, "CreateGroup", "ssa{sv}", "Another", "pci", 0))
    assert not result.ok and STORE in result.err, result.describe()
    assert vm.driver(nic) == "vfio-pci" and get(vm, nic, "State") == "pool" and get(vm, nic, "Granted") is True
    vm.sh("systemctl stop verge-passthroughd")
    assert vm.sh(f"sha256sum {STORE}") == digest, f"cut to {size} bytes: the file was changed"


@case("a database cut off anywhere: read-only, left as it is, the devices too; the whole one back: all there",
      devices=SLOTS, kernels=ONE, deadline=200)
def _(vm):
    nic = vm.pci("nic")
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    dice = random.Random(seed)
    try:
        as_admin(vm, make_call([nic], "Kept", binding="persistent"))
        known = groups(vm), rules(vm)
        vm.sh(f"systemctl stop verge-passthroughd && cp -a {STORE} /root/store.db")
        whole = int(vm.sh(f"stat -c %s {STORE}"))
        sizes = [0, whole - 1, *(dice.randrange(1, whole) for _ in range(TRUNCATIONS))]
        for size in sizes:
            vm.sh(f"cp -a /root/store.db {STORE} && truncate -s {size} {STORE}")
            read_only_with(vm, nic, size)
        vm.sh(f"cp -a /root/store.db {STORE}")
        assert get(vm, "", "ReadOnly", MANAGER) is False
        assert (groups(vm), rules(vm)) == known and get(vm, nic, "State") == "pool"
    finally:
        vm.run(f"[ -e /root/store.db ] && systemctl stop verge-passthroughd && cp -a /root/store.db {STORE}")
        clean(vm)


RULE_FILE = "/etc/polkit-1/rules.d/10-lab.rules"

# Instead of a password: so that many calls fit into the time, and the kills hit our own work.
POLKIT_RULE = """polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.verge.Passthrough.") == 0 && subject.user == "admin")
        return polkit.Result.YES;
});
"""
KILLING_SECONDS = {"debian": 20, "cdev": 5}

UNITS = ("verge-passthroughd", "verge-passthrough-helper")

# What is there to be seen after each step, {} being a device.
STEPS = {"the consent": f"[ -e {PENDING}/{{}}.grant ]", "the move": f"[ -e {PCI}/drivers/vfio-pci/{{}} ]",
         "the keeping": f"[ -e {GRANTS}/{{}}.grant ]"}
STEPS_BACK = {"the way home": f"[ ! -e {PCI}/drivers/vfio-pci/{{}} ]", "the revoking": f"[ ! -e {GRANTS}/{{}}.grant ]"}


class Killing:
    """Kills daemon, helper or both in the middle of MakePassthrough and ReturnToHost, and looks what is left."""

    def __init__(self, vm, seed):
        self.vm = vm
        self.dice = random.Random(seed)
        self.devices = [vm.pci("nic"), vm.pci("nvme")]
        self.home = driver_of(vm, self.devices)
        self.counts = {}

    def whole_call(self, command):
        begin = time.monotonic()
        self.vm.run(command, user="admin", timeout=60).check()
        return time.monotonic() - begin

    def while_calling(self, command, killer):
        """Starts both at once; the killer waits for what it waits for."""
        killer = self.vm.spawn(f"read go; {killer}")
        killer.write("\n")
        result = self.vm.run(command, user="admin", timeout=60)
        killer.wait(30)
        return result

    def kill_at_random(self, command, seconds):
        units = self.dice.choice([UNITS[0], *UNITS, " ".join(UNITS)])
        # The delay is what is random here: it picks the point at which the process dies.
        delay = self.dice.randrange(0, int(seconds * 1.3e6))
        return self.while_calling(command, f"usleep {delay}; systemctl kill -s KILL {units}")

    def kill_when(self, condition, unit, command):
        """As soon as the shell condition holds, looking as fast as the guest can."""
        self.vm.sh(["busctl", "call", HELPER, HELPER_PATH, "org.freedesktop.DBus.Peer", "Ping"])
        pid = self.vm.sh(f"systemctl show -P MainPID {unit}")
        return self.while_calling(command, f"until {condition}; do :; done; kill -KILL {pid}")

    def settled(self):
        """The restarted daemon has brought all to an end: no move, nothing pending, the same story twice."""
        idle = " && ".join([f"busctl get-property {BUS} {ROOT} {MANAGER} Drift",
                            "[ -z \"$(ls /run/verge-passthrough/moves)\" ]", f"[ -z \"$(ls {PENDING})\" ]"])
        until(idle, "what was interrupted has been brought to an end", self.vm, timeout=60)

    def all_of_it(self):
        g = groups(self.vm).get("Killed")
        return bool(g) and len(g[1]["Rules"]) == len(self.devices) and g[1]["Available"] == len(self.devices)

    def none_of_it(self):
        return "Killed" not in groups(self.vm) or groups(self.vm)["Killed"][1]["Rules"] == []

    def judge(self, result, what):
        """Rules, grants, marks and drivers of all devices, or of none."""
        self.settled()
        granted = self.vm.run(f"ls -I boots {GRANTS}").out.split()
        drivers = driver_of(self.vm, self.devices)
        of_all = (self.all_of_it(), granted == sorted(f"{d}.{kind}" for d in self.devices for kind in ("boot", "grant")),
                  drivers == {d: "vfio-pci" for d in self.devices})
        of_none = (self.none_of_it(), granted == [], drivers == self.home)
        assert all(of_all) or all(of_none), f"{what}: {groups(self.vm)} {granted} {drivers}\n{result.describe()}"
        outcome = f"{what}: {'answered' if result.ok else 'interrupted'}, {'all' if all(of_all) else 'none'}"
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        return all(of_all)


def kill_again_and_again(vm, k):
    make, back = make_call(k.devices, "Killed", binding="persistent"), return_call(k.devices)
    for _warm in range(2):                      # the first call starts the helper, which takes longer
        seconds = k.whole_call(make), k.whole_call(back)
    print(f"# undisturbed: {seconds[0]:.2f} s to make, {seconds[1]:.2f} s to return", flush=True)

    def back_to_nothing(made):
        if made:
            k.whole_call(back)
        for group, _ in groups(vm).values():
            vm.sh(call(group, GROUP, "Delete"))

    for unit in UNITS:
        for step, condition in STEPS.items():
            result = k.kill_when(condition.format(k.dice.choice(k.devices)), unit, make)
            back_to_nothing(k.judge(result, f"make, {unit} after {step}"))
        for step, condition in STEPS_BACK.items():
            k.whole_call(make)
            result = k.kill_when(condition.format(k.devices[0]), unit, back)
            back_to_nothing(k.judge(result, f"return, {unit} after {step}"))
    end = time.monotonic() + KILLING_SECONDS.get(vm.kernel.name, 5)
    while time.monotonic() < end:
        made = k.judge(k.kill_at_random(make, seconds[0]), "make")
        if made and k.dice.random() < 0.4:
            made = k.judge(k.kill_at_random(back, seconds[1]), "return")
        back_to_nothing(made)
    for outcome, n in sorted(k.counts.items()):
        print(f"# {outcome}: {n}", flush=True)
    assert any("make: interrupted" in outcome for outcome in k.counts), "no call was hit: the case proves nothing"
    k.settled()
    assert driver_of(vm, k.devices) == k.home and {override(vm, d) for d in k.devices} == {""}


@case("killed at any step of MakePassthrough and ReturnToHost: all of it or nothing", devices=SLOTS, deadline=300)
def _(vm):
    vm.write(RULE_FILE, POLKIT_RULE)
    vm.sh("systemctl restart polkit")
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    try:
        kill_again_and_again(vm, Killing(vm, seed))
    finally:
        vm.sh(f"rm {RULE_FILE}; systemctl restart polkit")
        clean(vm)
