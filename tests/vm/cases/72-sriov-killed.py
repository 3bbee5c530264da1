# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual functions, when daemon or helper is killed at any step of their life: all of it or nothing, after a restart."""

import os
import random

from vmlab.cases import case, until
from vmlab.channel import CommandFailed

from claims import ACCESS, MOVES, STARTING, claim_is, ended, given, kill, left_nothing, seen, start_words
from ports import (NOBODY, PORTS, clean_ports, create_claim, edit_call, is_ordinary, make_ports, make_ports_call,
                   wait_pooled)
from product import (GRANTS, GROUP, HELPER, HELPER_PATH, PCI, PENDING, call, groups, objects, return_call, rules)
from sriov import BOOT, bring_up, netdev, reported, take_down, vfs

UNITS = ("verge-passthroughd", "verge-passthrough-helper")
SAMPLE = int(os.environ.get("VERGE_VM_CYCLES", "6"))       # a sample each time; more of it for whoever has the time
SAMPLES = {"cdev": 2}
COUNT = 3
MAC = "02:00:00:00:aa:00"
RULE_FILE = "/etc/polkit-1/rules.d/10-lab.rules"
# Instead of a password: so that the kills hit our own work.
POLKIT_RULE = """polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.verge.Passthrough.") == 0 && subject.user == "admin")
        return polkit.Result.YES;
});
"""

# What is there to be seen after each step, one after the other. {port}, {pf}: address and directory of the port; {vf}:
# its last function.
GONE, BACK = "[ ! -e {pf}/virtfn0 ]", "[ -e {pf}/virtfn0 ]"
BOUND = f"[ -e {PCI}/drivers/vfio-pci/{{vf}} ]"
STEPS = {
    "make": {"the consent": [f"[ -e {PENDING}/{{port}}.grant ]"], "the functions": [BACK], "the binding": [BOUND],
             "the keeping": [f"[ -e {GRANTS}/{{port}}.grant ]"]},
    "return": {"the unbinding": [f"! {BOUND}"], "the functions' end": [GONE],
               "the revoking": [f"[ ! -e {GRANTS}/{{port}}.grant ]"]},
    "number": {"the old ones' end": [GONE], "the new ones": [GONE, BACK], "the binding": [GONE, BOUND]},
    "start": {"the settings": [f"ip link show dev {{net}} | grep -q {MAC}"], "the opening": [f"[ -n \"$(ls {ACCESS})\" ]"]},
    "end": {"the closing": [f"[ -z \"$(ls {ACCESS})\" ]"], "the settings": [f"! ip link show dev {{net}} | grep -q {MAC}"]},
}
OVER = "/tmp/over"


class Killing:
    """Kills daemon or helper as soon as a step is seen to be done, and looks what is left after their restart."""

    def __init__(self, vm, port):
        self.vm = vm
        self.port = port
        self.words = {"port": port, "pf": f"{PCI}/devices/{port}", "net": netdev(vm, port)}
        self.interrupted = 0

    def killer(self, conditions, unit):
        """Looks as fast as the guest can, until what it waits for is there or over."""
        self.vm.sh(["busctl", "call", HELPER, HELPER_PATH, "org.freedesktop.DBus.Peer", "Ping"])
        pid = self.vm.sh(f"rm -f {OVER}; systemctl show -P MainPID {unit}")
        waits = [f"until {c.format(**self.words)}; do [ ! -e {OVER} ] || exit 3; done" for c in conditions]
        return self.vm.spawn("; ".join([*waits, f"kill -KILL {pid}"]))

    def beside(self, step, unit, action):
        """What the action returned, and whether somebody was killed."""
        killer = self.killer(step, unit)
        result = action()
        self.vm.sh(f"touch {OVER}")
        return result, killer.wait(40).ok

    # What there is to be done, and to be looked at

    def as_admin(self, command):
        return self.vm.run(command, user="admin", timeout=90)

    def settled(self, what):
        """All of it or nothing: the consent, the rule, functions on vfio-pci with a mark each."""
        pooled = f"[ $(passthroughctl vfs {self.port} --no-legend | grep -c ' pool ')"
        ruled = "[ $(passthroughctl rule list --no-legend | wc -l)"
        whole = (f"[ -e {GRANTS}/{self.port}.grant ] && {pooled} = {COUNT} ] && {ruled} = 1 ] && "
                 f"[ $(ls {GRANTS}/*.boot | wc -l) = {COUNT} ]")
        nothing = (f"[ -z \"$(ls -I boots {GRANTS})\" ] && [ ! -e {PCI}/devices/{self.port}/virtfn0 ] && {ruled} = 0 ] "
                   f"&& grep -q 1 {PCI}/devices/{self.port}/sriov_drivers_autoprobe")
        until(f"[ -z \"$(ls {MOVES})\" ] && [ -z \"$(ls {PENDING})\" ] && {{ {{ {whole}; }} || {{ {nothing}; }}; }}",
              f"{what}: all of it or nothing", self.vm, timeout=90)
        return bool(rules(self.vm))

    def make(self):
        return self.as_admin(make_ports_call([self.port], vfs=COUNT))

    def give_back(self):
        return self.as_admin(return_call([self.port]))

    def no_group(self):
        for group, _ in groups(self.vm).values():
            self.vm.sh(call(group, GROUP, "Delete"))

    # One step each

    def kill_make(self, step, unit, what):
        result, hit = self.beside(step, unit, self.make)
        if self.settled(what):
            self.give_back().check()
        self.no_group()
        return hit and not result.ok

    def kill_return(self, step, unit, what):
        self.make().check()
        result, hit = self.beside(step, unit, self.give_back)
        if self.settled(what):
            self.give_back().check()
        self.no_group()
        return hit and not result.ok

    def kill_number(self, step, unit, what):
        """The order is stored at once, and carried out after it: so it comes to an end, whoever is killed."""
        self.make().check()
        group, _ = groups(self.vm)[PORTS]

        def edit():
            result = self.as_admin(edit_call(group, vfs=COUNT + 1))
            n = COUNT + 1 if result.ok else objects(self.vm)[group][GROUP]["Sriov"]["vfs"]["data"]
            wait_pooled(self.vm, self.port, n)

        _, hit = self.beside(step, unit, edit)
        until(f"[ -z \"$(ls {MOVES})\" ]", f"{what}: nothing is half-way", self.vm, timeout=60)
        wait_pooled(self.vm, self.port, COUNT + 1)
        self.give_back().check()
        self.no_group()
        return hit

    def kill_start(self, step, unit, what):
        """Answered: the VM has its function as it is to be. Not answered: nothing is left of it."""
        claim = self.claim_ready()
        player, hit = self.beside(step, unit, self.try_start)
        if player:
            until(claim_is(claim, "online"), f"{what}: answered, so it is online", self.vm)
            self.look_at(player)
            kill(player)
        until(claim_is(claim, "idle", "errors"), f"{what}: over", self.vm, timeout=60)
        self.left_nothing(what)
        self.clean()
        return hit and not player

    def kill_end(self, step, unit, what):
        claim = self.claim_ready()
        player = self.try_start()
        self.look_at(player)

        def end():
            kill(player)
            until(claim_is(claim, "idle"), f"{what}: over", self.vm, timeout=60)

        _, hit = self.beside(step, unit, end)
        ended(self.vm, claim, vfs(self.vm, self.port), "pool")
        self.left_nothing(what)
        self.clean()
        return hit

    def claim_ready(self):
        group = make_ports(self.vm, [self.port], vfs=1, vlan=100, vlan_qos=5)
        return create_claim(self.vm, "web", group, "root", mac_addresses=[MAC])

    def try_start(self):
        """The player, or None when the start was not answered."""
        player = self.vm.spawn(start_words("web"))
        try:
            return player.wait_for("seen ", STARTING)
        except CommandFailed:
            return None

    def look_at(self, player):
        vf = reported(self.vm, self.port, 0)
        assert given(player) == vfs(self.vm, self.port) and seen(player) == [f"8086:10ca {MAC}"], player.stdout
        assert (vf["address"], vf["vlan_list"]) == (MAC, [{"vlan": 100, "qos": 5}]), vf

    def left_nothing(self, what):
        left_nothing(self.vm, vfs(self.vm, self.port), "pool")
        vf = reported(self.vm, self.port, 0)
        assert vf["address"] == NOBODY, f"{what}: {vf}"

    def clean(self):
        clean_ports(self.vm)
        is_ordinary(self.vm, self.port)


def kill_a_sample(vm, port):
    k = Killing(vm, port)
    k.make().check()                            # the first calls start the helper, which takes longer
    k.words["vf"] = vfs(vm, port)[-1]
    k.give_back().check()
    k.no_group()
    every = [(kind, step, unit) for kind, steps in STEPS.items() for step in steps for unit in UNITS]
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    dice = random.Random(seed)
    n = min(SAMPLES.get(vm.kernel.name, SAMPLE), SAMPLE, len(every))
    for kind, step, unit in dice.sample(every, n):
        what = f"{kind}, {unit} after {step}"
        interrupted = getattr(k, f"kill_{kind}")(STEPS[kind][step], unit, what)
        k.interrupted += interrupted
        print(f"# {what}: {'interrupted' if interrupted else 'done all the same'}", flush=True)
        is_ordinary(vm, port)
    assert k.interrupted > 0, "nothing was hit: the case proves nothing"


@case("killed at any step of making, changing, starting, ending and returning: all of it or nothing, nothing half-way",
      deadline=600, **BOOT)
def _(vm):
    port = vm.pci("igb-a")
    vm.write(RULE_FILE, POLKIT_RULE)
    vm.sh("systemctl restart polkit")
    try:
        bring_up(vm, port)
        kill_a_sample(vm, port)
    finally:
        vm.sh(f"rm {RULE_FILE}; systemctl restart polkit")
        clean_ports(vm)
        take_down(vm, port)
