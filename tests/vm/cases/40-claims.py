# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices for a user's VMs: started without root, taken back however a VM ends. Small programs play the VMs."""

import random
import time
from pathlib import Path

from vmlab import devices as catalogue
from vmlab.cases import case, until
from vmlab.channel import CommandFailed

from claims import (ACCESS, ALICES, CLAIM, DENIED, NICS, ROOTS, STARTING, available, claim_is, claim_of, clean_claims,
                    create_call, create_claim, ended, given, kill, left_nothing, node, pool, refused, rights, seen,
                    start, start_words, stop_call, without_prompt)
from product import (BUS, DEVICE, GROUP, MANAGER, PCI, ROOT, answer, call, create_group, device_call, driver_of, get,
                     path, says, state_is)

ONE = ("debian",)       # what is the same on each kernel runs on one
TOP = Path(__file__).resolve().parents[3]
CARDS = {"nic": "8086:10d3 52:54:00:00:00:01", "uplink": "8086:10d3 52:54:00:00:00:02"}

RED, GREEN = ({"subsys_ven": 0x8086, "subsys": n} for n in (0x1111, 0x2222))


def cards(vm):
    return [vm.pci("nic"), vm.pci("uplink")]


def restart_daemon(vm, how):
    vm.sh(how)
    until(f"busctl get-property {BUS} {ROOT} {MANAGER} Drift", "the service is back", vm)


@case("alice's VM: an administrator lets her claim once; no prompt at a start; killed: all back by itself",
      deadline=240)
def _(vm):
    nic, uplink = cards(vm)
    try:
        group = pool(vm, [nic, uplink], binding="persistent")
        assert rights(vm, node(vm, nic)) == ROOTS
        result = vm.run(without_prompt(create_call("web", group)), user="alice")
        assert not result.ok and DENIED in result.err, result.describe()
        result, log = vm.with_agent(create_call("web", group, 2), user="alice", password="admin")
        assert result.ok and NICS in log and "web" in log, f"{result.describe()}\n{log}"
        claim = result.out.split('"')[1]
        found = claim_of(vm, claim)
        assert (found["Owner"], found["Count"], found["Vm"], found["Status"]) == (1001, 2, "web", "idle"), found

        begin = time.monotonic()
        player = start(vm, "web")
        print(f"# StartVm of two cards, until the VM has looked at both: {time.monotonic() - begin:.2f} s", flush=True)
        assert sorted(given(player)) == sorted([nic, uplink]), player.stdout
        assert sorted(seen(player)) == sorted(CARDS.values()), player.stdout
        found = claim_of(vm, claim)
        assert found["Status"] == "online" and found["Devices"] == [path(a) for a in given(player)], found
        for address in (nic, uplink):
            assert get(vm, address, "State") == "claimed" and get(vm, address, "Claim") == claim
            assert rights(vm, node(vm, address)) == ALICES
        assert available(vm, group) == 0

        begin = time.monotonic()
        kill(player)
        ended(vm, claim, [nic, uplink], "pool")
        print(f"# killed, until all is back in the pool: {time.monotonic() - begin:.2f} s", flush=True)
        assert available(vm, group) == 2
        kill(start(vm, "web"))
        ended(vm, claim, [nic, uplink], "pool")
    finally:
        clean_claims(vm)


@case("what others may not: start it, stop it, open its devices, move them, delete its group", deadline=240)
def _(vm):
    nic, uplink = cards(vm)
    try:
        group = pool(vm, [nic, uplink])
        claim = create_claim(vm, "web", group)
        assert DENIED in refused(vm, "web", user="bob"), "bob has no VM of this name, alice has"
        assert "NoSuchObject" in refused(vm, "wbe", user="bob")
        assert DENIED in refused(vm, "web", "owner", "u", 1001, user="bob")
        player = start(vm, "web")
        taken, = given(player)
        assert "Running" in refused(vm, "web")

        result = vm.run(["vm-player", taken], user="bob")
        assert not result.ok and "Permission denied" in result.err, result.describe()
        more = call(claim, CLAIM, "Update", "a{sv}", 1, "count", "u", 2)
        for command in (call(claim, CLAIM, "Stop"), call(claim, CLAIM, "Delete"), more,
                        stop_call("web", "owner", "u", 1001)):
            result = vm.run(without_prompt(command), user="bob")
            assert not result.ok and DENIED in result.err, result.describe()
        result, log = vm.with_agent(call(claim, CLAIM, "Stop"), user="bob", answer="wrong")
        assert not result.ok and "AUTHENTICATION FAILED" in log, f"{result.describe()}\n{log}"
        for verb in ("Release", "Reset", "Bind"):
            result = vm.run(device_call(taken, verb))
            assert not result.ok and "web" in result.err, result.describe()
        result = vm.run(call(group, GROUP, "Delete"))
        assert not result.ok and "claim" in result.err, result.describe()
        result = vm.run(without_prompt(more), user="alice")
        assert not result.ok and DENIED in result.err, "more devices are an administrator's to allow"

        until(claim_is(claim, "online"), "it still has its devices", vm)
        assert rights(vm, node(vm, taken)) == ALICES
        kill(player)
        ended(vm, claim, [nic, uplink])
        assert driver_of(vm, [nic, uplink]) == {nic: "e1000e", uplink: "e1000e"}
    finally:
        clean_claims(vm)


@case("root starts and stops alice's VM; she may stop it, too", kernels=ONE, deadline=180)
def _(vm):
    nic, _uplink = cards(vm)
    try:
        claim = create_claim(vm, "web", pool(vm, [nic], binding="persistent"))
        for stopper, more in (("root", ("owner", "u", 1001)), ("alice", ())):
            player = start(vm, "web", "owner", "u", 1001, "track", "s", "manual", user="root")
            assert rights(vm, node(vm, nic)) == ROOTS, "root needs no entry"
            player.write("drop devices\n")
            player.wait_for("dropped devices")
            vm.sh(stop_call("web", *more), user=stopper, timeout=60)
            ended(vm, claim, [nic], "pool")
            kill(player)
    finally:
        clean_claims(vm)


@case("the daemon is restarted and killed while VMs run: they keep their devices, and still end by themselves",
      deadline=300)
def _(vm):
    nic, uplink = cards(vm)
    try:
        group = pool(vm, [nic, uplink])
        claims = [create_claim(vm, name, group) for name in ("one", "two")]
        for how in ("systemctl restart verge-passthroughd", "systemctl kill -s KILL verge-passthroughd",
                    "systemctl kill -s KILL verge-passthrough-helper verge-passthroughd"):
            players = [start(vm, name) for name in ("one", "two")]
            restart_daemon(vm, how)
            for claim, player in zip(claims, players):
                until(claim_is(claim, "online"), f"online after {how}", vm)
                assert claim_of(vm, claim)["Devices"] == [path(given(player)[0])]
                assert rights(vm, node(vm, given(player)[0])) == ALICES
            kill(players[0])
            until(claim_is(claims[0], "idle"), f"the first ends after {how}", vm, timeout=60)
            assert claim_of(vm, claims[1])["Status"] == "online"
            kill(players[1])
            for claim in claims:
                ended(vm, claim, [nic, uplink])
        # The end comes while nobody is there to see it.
        player = start(vm, "one")
        vm.sh("systemctl stop verge-passthroughd")
        kill(player)
        ended(vm, claims[0], [nic, uplink])
    finally:
        clean_claims(vm)


@case("a VM whose processes let go of only one of devices and lifeline", deadline=180)
def _(vm):
    nic, _uplink = cards(vm)
    try:
        claim = create_claim(vm, "web", pool(vm, [nic]))
        player = start(vm, "web")
        player.write("drop devices\n")
        player.wait_for("dropped devices")
        restart_daemon(vm, "systemctl restart verge-passthroughd")
        until(claim_is(claim, "online"), "the VM runs", vm)
        kill(player)
        ended(vm, claim, [nic])

        player = start(vm, "web")
        player.write("drop lifeline\n")
        player.wait_for("dropped lifeline")
        until(claim_is(claim, "offline"), "the VM has ended, but something holds its device", vm)
        until(says(claim, CLAIM, "StatusInfo", "vm-player"), "the holder is named", vm)
        assert "not back yet" in refused(vm, "web") and vm.driver(nic) == "vfio-pci"
        player.write("drop devices\n")
        player.wait_for("dropped devices")
        ended(vm, claim, [nic])
        kill(player)
    finally:
        clean_claims(vm)


@case("by descriptors: nobody may open anything, and the VM has its devices", kernels=("cdev",), deadline=240)
def _(vm):
    nic, uplink = cards(vm)
    try:
        claim = create_claim(vm, "web", pool(vm, [nic, uplink], binding="persistent"), 2)
        vm.sh("modprobe iommufd")
        player = start(vm, "web", access="fds")
        assert sorted(seen(player)) == sorted(CARDS.values()), player.stdout
        for address in (nic, uplink):
            cdev = vm.sh(f"ls {PCI}/devices/{address}/vfio-dev")
            assert rights(vm, node(vm, address)) == ROOTS and rights(vm, f"/dev/vfio/devices/{cdev}") == ROOTS
        restart_daemon(vm, "systemctl kill -s KILL verge-passthroughd")
        until(claim_is(claim, "online"), "still online", vm)
        kill(player)
        ended(vm, claim, [nic, uplink], "pool")

        player = start(vm, "web", access="fds")
        player.write("drop lifeline\n")
        player.wait_for("dropped lifeline")
        until(claim_is(claim, "offline"), "its devices are still held", vm)
        player.write("drop devices\n")
        player.wait_for("dropped devices")
        ended(vm, claim, [nic, uplink], "pool")
        kill(player)
    finally:
        clean_claims(vm)


@case("descriptors where the kernel has none: refused, and nothing has moved", kernels=ONE)
def _(vm):
    nic, _uplink = cards(vm)
    try:
        claim = create_claim(vm, "web", pool(vm, [nic]))
        text = refused(vm, "web", access="fds")
        assert "acl" in text, text
        ended(vm, claim, [nic])
        assert vm.driver(nic) == "e1000e"
    finally:
        clean_claims(vm)


@case("two claims of one VM: the optional one is left out when there is not enough", kernels=ONE, deadline=180)
def _(vm):
    nic, uplink = cards(vm)
    try:
        group = pool(vm, [nic, uplink])
        must = create_claim(vm, "web", group, 1, "name", "s", "must", "order", "u", 2)
        may = create_claim(vm, "web", group, 2, "name", "s", "may", "order", "u", 1, "optional", "b", "true")
        player = start(vm, "web")
        found = claim_of(vm, may)
        assert len(given(player)) == 1 and found["Devices"] == [] and "runs without it" in found["StatusInfo"], found
        assert len(claim_of(vm, must)["Devices"]) == 1
        vm.sh(without_prompt(call(may, CLAIM, "Update", "a{sv}", 1, "count", "u", 1)), user="alice")
        assert claim_of(vm, may)["RestartNeeded"] is True
        kill(player)
        ended(vm, must, [nic, uplink])
        player = start(vm, "web")
        assert len(given(player)) == 2 and claim_of(vm, may)["RestartNeeded"] is False
        kill(player)
        ended(vm, may, [nic, uplink])
    finally:
        clean_claims(vm)


@case("two devices, and VMs of two users that want them: first come, first served; a wait can be called off",
      kernels=ONE, deadline=240)
def _(vm):
    nic, uplink = cards(vm)
    try:
        group = pool(vm, [nic, uplink])
        claims = {name: create_claim(vm, name, group, user=user)
                  for name, user in (("a", "alice"), ("b", "bob"), ("c", "bob"), ("d", "alice"), ("e", "bob"))}
        a, b = start(vm, "a"), start(vm, "b", user="bob")
        text = refused(vm, "c", user="bob")
        assert "Unavailable" in text and NICS in text, text
        text = refused(vm, "c", "wait", "u", "1", user="bob")
        assert "Unavailable" in text, text

        waiting = {}
        for name, user in (("c", "bob"), ("d", "alice"), ("e", "bob")):
            waiting[name] = vm.spawn(start_words(name, "wait", "u", 120), user=user)
            until(claim_is(claims[name], "waiting"), f"{name} waits", vm)
        vm.sh(stop_call("d"), user="alice")
        result = waiting["d"].wait(30)
        assert not result.ok and "Cancelled" in result.err, result.describe()
        kill(a)
        waiting["c"].wait_for("seen ", STARTING)
        assert claim_of(vm, claims["e"])["Status"] == "waiting"
        kill(waiting["e"])
        until(claim_is(claims["e"], "idle"), "who has left waits no more", vm)
        kill(b)
        kill(waiting["c"])
        for claim in claims.values():
            ended(vm, claim, [nic, uplink])
    finally:
        clean_claims(vm)


@case("how the end is told: by the connection, by StopVm; systemd-machined is not here", kernels=ONE, deadline=180)
def _(vm):
    nic, _uplink = cards(vm)
    try:
        claim = create_claim(vm, "web", pool(vm, [nic]))
        text = refused(vm, "web", "track", "s", "machine", "machine", "s", "web")
        assert "machine" in text, text
        assert claim_of(vm, claim)["Status"] == "errors"
        left_nothing(vm, [nic])

        player = start(vm, "web", "track", "s", "connection", stay=True)
        vm.sh(f"kill -KILL {player.pid}")
        player.wait(10)
        until(claim_is(claim, "offline"), "the connection is gone, the device is held", vm)
        vm.sh("pkill -KILL -x vm-player")
        ended(vm, claim, [nic])

        player = start(vm, "web", "track", "s", "manual")
        kill(player)
        restart_daemon(vm, "systemctl restart verge-passthroughd")
        until(claim_is(claim, "online"), "nobody has said that it has ended", vm)
        vm.sh(stop_call("web"), user="alice", timeout=60)
        ended(vm, claim, [nic])
        result = vm.run(stop_call("web"), user="alice")
        assert not result.ok, result.describe()
    finally:
        clean_claims(vm)


@case("memory: what must be lockable, and a warning when the caller may not lock it", kernels=ONE, deadline=120)
def _(vm):
    nic, _uplink = cards(vm)
    try:
        claim = create_claim(vm, "web", pool(vm, [nic]))
        memory = 256 << 20
        words = " ".join(start_words("web", "memory", "t", str(memory)))
        for limit, warned in (("65536", True), ("unlimited", False)):
            player = vm.spawn(f"ulimit -l {limit}; exec {words}", user="alice")
            player.wait_for("seen ", STARTING)
            found = claim_of(vm, claim)
            assert found["MemoryLock"] == memory + (1 << 30) and bool(found["StatusInfo"]) == warned, found
            assert not warned or "memlock" in found["StatusInfo"].lower(), found
            kill(player)
            ended(vm, claim, [nic])
    finally:
        clean_claims(vm)


@case("without a reset method: quarantined after its VM, told why, and taken out again", kernels=ONE, deadline=180)
def _(vm):
    edu = vm.pci("edu")
    try:
        claim = create_claim(vm, "lab", pool(vm, [edu], "Toys"))
        player = start(vm, "lab")
        assert seen(player) == ["1234:11e8 010000ed"]
        kill(player)
        until(state_is(edu, "quarantined"), "it could not be reset", vm, timeout=60)
        until(claim_is(claim, "idle", "errors"), "the claim has ended", vm)
        assert "reset" in get(vm, edu, "Quarantine")
        assert "Unavailable" in refused(vm, "lab")
        restart_daemon(vm, "systemctl restart verge-passthroughd")
        assert get(vm, edu, "State") == "quarantined"
        result = vm.run(without_prompt(device_call(edu, "EndQuarantine")), user="alice")
        assert not result.ok, result.describe()
        vm.sh(device_call(edu, "EndQuarantine"))
        left_nothing(vm, [edu], "pool")         # no host driver was let at it meanwhile
        kill(start(vm, "lab"))
        until(state_is(edu, "quarantined"), "again", vm, timeout=60)
    finally:
        clean_claims(vm)


def plug(vm, make):
    vm.plug("e1000e", name="in-spare", mac="52:54:00:00:00:09", **make)
    until(f"ls -d /sys/devices/pci0000:00/{catalogue.sysfs_glob('spare')}", "the plugged device is there", vm)
    address = vm.pci("spare")
    until(f"busctl get-property {BUS} {path(address)} {DEVICE} State", "it is an object", vm)
    vm.sh("udevadm settle")
    return address


def unplug(vm, address):
    vm.unplug("in-spare")
    until(f"! busctl get-property {BUS} {path(address)} {DEVICE} State", "its object is gone", vm)


@case("unplugged while claimed: missing; another one in its place is not the VM's; the same one is, again",
      kernels=ONE, deadline=240)
def _(vm):
    try:
        red = plug(vm, RED)
        until(says(path(red), DEVICE, "Eligible", "b true"), "it is seen that the host does not use it", vm)
        group = pool(vm, [red])
        claim = create_claim(vm, "web", group)
        player = start(vm, "web")
        # What a VM does when it is told that its device leaves.
        player.write("drop devices\n")
        player.wait_for("dropped devices")
        vanished = "type='signal',member='DeviceVanished'"
        signals = vm.spawn(f'exec busctl --json=short monitor --match "{vanished}" {BUS} 2>&1')
        signals.wait_for("Monitoring")
        unplug(vm, red)
        signals.wait_for(red, 20)
        signals.kill()
        until(claim_is(claim, "missing"), "it is missing", vm)
        assert red in claim_of(vm, claim)["StatusInfo"]

        assert plug(vm, GREEN) == red
        found = claim_of(vm, claim)
        assert found["Status"] == "missing" and found["Devices"] == [], found
        assert vm.driver(red) == "e1000e" and get(vm, red, "Claim") == "/"
        unplug(vm, red)

        assert plug(vm, RED) == red
        until(claim_is(claim, "online"), "it is taken up again", vm, timeout=40)
        assert get(vm, red, "Claim") == claim
        kill(player)
        ended(vm, claim, [red])
        unplug(vm, red)
    finally:
        clean_claims(vm)


@case("unplugged while claimed, and the VM ends without it: the claim is idle, nothing waits for the device",
      kernels=ONE, deadline=180)
def _(vm):
    try:
        red = plug(vm, RED)
        until(says(path(red), DEVICE, "Eligible", "b true"), "it is seen that the host does not use it", vm)
        claim = create_claim(vm, "web", pool(vm, [red]))
        player = start(vm, "web")
        player.write("drop devices\n")
        player.wait_for("dropped devices")
        unplug(vm, red)
        until(claim_is(claim, "missing"), "it is missing", vm)
        kill(player)
        until(claim_is(claim, "idle"), "the VM has ended", vm, timeout=60)
        left_nothing(vm, [])
    finally:
        clean_claims(vm)


EXAMPLE = TOP / "data/examples/50-verge-passthrough-vmusers.rules"
INSTALLED = "/usr/share/doc/verge-passthrough/examples"


@case("the example of polkit rules: members of vmusers claim two of \"PCI NICs\" unasked; nobody anything else",
      kernels=ONE, deadline=180)
def _(vm):
    nic, uplink = cards(vm)
    assert vm.read(f"{INSTALLED}/{EXAMPLE.name}") == EXAMPLE.read_text().rstrip("\n")
    vm.sh(f"groupadd -f vmusers && usermod -aG vmusers alice && cp {INSTALLED}/{EXAMPLE.name} /etc/polkit-1/rules.d/ "
          "&& systemctl restart polkit")
    try:
        nics, others = pool(vm, [nic, uplink]), create_group(vm, "Others")
        claim = answer(vm, without_prompt(create_call("web", nics, 2)), user="alice")[0]
        for user, group, count in (("alice", nics, 3), ("alice", others, 1), ("bob", nics, 1)):
            result = vm.run(without_prompt(create_call("more", group, count)), user=user)
            assert not result.ok and DENIED in result.err, result.describe()
        bobs = create_claim(vm, "web", nics, user="bob")
        result = vm.run(without_prompt(call(bobs, CLAIM, "Delete")), user="alice")
        assert not result.ok and DENIED in result.err, "another user's claims are not a member's"
        player = start(vm, "web")
        assert len(given(player)) == 2
        kill(player)
        ended(vm, claim, [nic, uplink])
    finally:
        vm.sh(f"rm -f /etc/polkit-1/rules.d/{EXAMPLE.name}; gpasswd -d alice vmusers; systemctl restart polkit")
        clean_claims(vm)


@case("the plug is pulled while a VM runs: after the boot nothing is left of it", state=True, kernels=ONE,
      deadline=200)
def _(vm):
    nic, uplink = cards(vm)
    kept = pool(vm, [nic], "Kept", binding="persistent")
    fetched = pool(vm, [uplink], "Fetched")
    claims = [create_claim(vm, "web", group) for group in (kept, fetched)]
    start(vm, "web")
    vm.sh("sync")
    vm.power_cut()
    for claim, address, state in zip(claims, cards(vm), ("pool", "host")):
        ended(vm, claim, [address], state)
    kill(start(vm, "web"))
    for claim, address, state in zip(claims, cards(vm), ("pool", "host")):
        ended(vm, claim, [address], state)


UNITS = ("verge-passthroughd", "verge-passthrough-helper")
KILLING_SECONDS = {"debian": 25, "cdev": 5}

# What is there to be seen after each step, {device} and {node} being one of the VM's.
STEPS = {"the move": f"[ -e {PCI}/drivers/vfio-pci/{{device}} ]", "the opening": f"[ -n \"$(ls {ACCESS})\" ]",
         "the access": "getfacl -cnp {node} | grep -q ^user:1001:"}
STEPS_BACK = {"the closing": "! getfacl -cnp {node} | grep -q ^user:1001:",
              "the end of it": f"[ -z \"$(ls {ACCESS})\" ]",
              "the way home": f"[ ! -e {PCI}/drivers/vfio-pci/{{device}} ]"}


class Killing:
    """Kills daemon, helper or both in the middle of StartVm and of the way back, and looks what is left."""

    def __init__(self, vm, claim, devices, seed):
        self.vm = vm
        self.claim = claim
        self.devices = devices
        self.dice = random.Random(seed)
        self.counts = {}

    def step(self, condition, unit):
        """A shell command that kills as soon as the condition holds; it looks as fast as the guest can."""
        device = self.dice.choice(self.devices)
        condition = condition.format(device=device, node=node(self.vm, device))
        pid = self.vm.sh(f"systemctl show -P MainPID {unit}")
        return f"until {condition}; do :; done; kill -KILL {pid}"

    def at_random(self, seconds):
        # The delay is what is random here: it picks the point at which the process dies.
        units = self.dice.choice([UNITS[0], *UNITS, " ".join(UNITS)])
        return f"usleep {self.dice.randrange(0, int(seconds * 1.3e6))}; systemctl kill -s KILL {units}"

    def beside(self, killer, action):
        job = self.vm.spawn(f"read go; timeout 30 sh -c {self.quoted(killer)}")
        job.write("\n")
        result = action()
        job.wait(40)
        return result

    @staticmethod
    def quoted(text):
        return "'" + text.replace("'", "'\\''") + "'"

    def try_start(self):
        """The player, or None when the start was not answered."""
        player = self.vm.spawn(start_words("web"), user="alice")
        try:
            return player.wait_for("seen ", STARTING)
        except CommandFailed:
            return None

    def judge_start(self, player, what):
        """Answered: the VM has all of it. Not answered: nothing is left."""
        if player:
            until(claim_is(self.claim, "online"), f"{what}: answered, so it is online", self.vm)
            assert sorted(given(player)) == sorted(self.devices)
            for device in self.devices:
                assert get(self.vm, device, "Claim") == self.claim, what
        else:
            until(claim_is(self.claim, "idle", "errors"), f"{what}: not answered, so undone", self.vm, timeout=60)
            left_nothing(self.vm, self.devices)
        self.count(f"{what}: {'answered' if player else 'interrupted'}")

    def count(self, outcome):
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def end(self, player):
        if player:
            kill(player)
            ended(self.vm, self.claim, self.devices)


def kill_again_and_again(vm, k):
    for _warm in range(2):                      # the first call starts the helper, which takes longer
        begin = time.monotonic()
        player = k.try_start()
        seconds = time.monotonic() - begin
        begin = time.monotonic()
        k.end(player)
        back = time.monotonic() - begin
    print(f"# undisturbed: {seconds:.2f} s to start, {back:.2f} s until all is back", flush=True)

    for unit in UNITS:
        for step, condition in STEPS.items():
            what = f"start, {unit} after {step}"
            player = k.beside(k.step(condition, unit), k.try_start)
            k.judge_start(player, what)
            k.end(player)
        for step, condition in STEPS_BACK.items():
            player = k.try_start()
            k.beside(k.step(condition, unit), lambda player=player: kill(player))
            ended(vm, k.claim, k.devices)
            k.count(f"end, {unit} after {step}")
    end = time.monotonic() + KILLING_SECONDS.get(vm.kernel.name, 5)
    while time.monotonic() < end:
        player = k.beside(k.at_random(seconds), k.try_start)
        k.judge_start(player, "start")
        if player and k.dice.random() < 0.5:
            k.beside(k.at_random(back), lambda player=player: kill(player))
            ended(vm, k.claim, k.devices)
            k.count("end")
        else:
            k.end(player)
    for outcome, n in sorted(k.counts.items()):
        print(f"# {outcome}: {n}", flush=True)
    assert any(outcome.endswith("interrupted") for outcome in k.counts), "no start was hit: the case proves nothing"


@case("killed at any step of a start or an end: the VM has all of it or nothing, and nothing stays reserved",
      deadline=400)
def _(vm):
    devices = cards(vm)
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    try:
        claim = create_claim(vm, "web", pool(vm, devices), 2)
        kill_again_and_again(vm, Killing(vm, claim, devices, seed))
        assert driver_of(vm, devices) == {a: "e1000e" for a in devices}
    finally:
        clean_claims(vm)
