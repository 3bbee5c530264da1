# SPDX-License-Identifier: LGPL-2.1-or-later
"""Virtual functions by the product: made, set up for users' VMs, kept, changed and taken back.

A frame with a forged source cannot be seen to be dropped here: QEMU's igb does not check what its driver tells it to.
So spoof checking is looked for where the kernel reports it and in the card's register. Nor does it slow anybody down:
rates are read back.
"""

from vmlab.cases import case, until

from claims import (CLAIM, MOVES, claim_is, claim_of, ended, given, kill, left_nothing, refused as not_started, seen,
                    start)
from ports import (NOBODY, PORTS, clean_ports, count_call, create_claim, edit_call, functions_of, is_ordinary,
                   make_ports, make_ports_call, refused, settings_of, wait_pooled)
from product import (BUS, DEVICE, GRANTS, GROUP, HELPER, HELPER_PATH, MANAGER, PCI, ROOT, answer, as_admin, call,
                     create_group, create_rule, device_call, get, groups, make_call, objects, path, prompts,
                     return_call, root_grant_call, root_grant_vfs_call, rules, says, state_is, variants)
from sriov import (BOOT, CHECKS, EVERYBODY, bring_up, lines, netdev, register, reported, station, take_down, vfs)

ONE = ("debian",)       # what is the same on each kernel runs on one
MAC = "02:00:00:00:aa:00"
OTHER = "02:66:66:66:66:66"
NET_ADMIN = 1 << 12


def summary(vm, port, index):
    """What the port's driver says of a function, the address left out."""
    vf = reported(vm, port, index)
    vlan, = vf.get("vlan_list", [{}])
    return {"vlan": vlan.get("vlan", 0), "qos": vlan.get("qos", 0), "rate": vf["rate"]["max_tx"],
            "check": vf["spoofchk"], "trust": vf["trust"]}


@case("alice's VM in the VM drives a virtual function: it knows its address, and its frame has the group's tag",
      variant="qemu", kernels=ONE, deadline=180, **BOOT)
def _(vm):
    near, far = vm.pci("igb-a"), vm.pci("igb-b")
    try:
        bring_up(vm, near, far)
        group = make_ports(vm, [near], vfs=2, vlan=100, vlan_qos=5)
        claim = create_claim(vm, "web", group, mac_addresses=[MAC])
        wire = station(vm, far)
        nested = vm.spawn(["passthroughctl", "vm", "start", "web", "--access", "acl", "--", "qemu-system-x86_64",
                           "-nodefaults", "-display", "none", "-M", "q35", "-m", "16M", "-serial", "stdio",
                           "-bios", "/usr/share/lab/nested.rom"], user="alice")
        nested.wait_for("NESTED done", 120)
        assert f"NESTED 8086:10ca {MAC} DMA\n".encode() in nested.stdout, nested.result().describe()
        wire.wait_for(f"got {MAC} {EVERYBODY} vlan 100/5 nested\n")
        kill(nested)
        kill(wire)
        ended(vm, claim, vfs(vm, near), "pool")
    finally:
        clean_ports(vm)
        take_down(vm, near, far)


def look_at_port(vm, port, group, name):
    """A port that stays what it was, and has seven functions in the pool."""
    made, d = functions_of(vm, port), objects(vm)[path(port)][DEVICE]
    assert list(made) == vfs(vm, port) and len(made) == 7, made
    assert (d["State"], d["Driver"], d["Granted"], d["VfsGranted"]) == ("host", "igb", False, True), d
    assert (d["SriovNumVfs"], d["SriovTotalVfs"], d["SriovOrderedVfs"], d["Groups"]) == (7, 7, 7, []), d
    assert netdev(vm, port) == name and "vfs=7\n" in vm.read(f"{GRANTS}/{port}.grant") + "\n"
    for index, (address, vf) in enumerate(made.items()):
        assert vm.driver(address) == "vfio-pci", address
        assert (vf["State"], vf["Granted"], vf["Groups"]) == ("pool", True, [group]), vf
        assert (vf["VfIndex"], vf["SriovOrderedVfs"]) == (index, -1), vf


def not_away_itself(vm, port, vf):
    """A port whose functions VMs get, and one of these functions."""
    refused(vm, device_call(port, "Bind"), port)
    refused(vm, root_grant_call([port]), port, "ReturnToHost")
    refused(vm, make_call([port], "Whole"), port)
    refused(vm, return_call([vf]), vf, port)
    refused(vm, count_call(port, 3), PORTS)
    refused(vm, make_ports_call([vf], vfs=7), vf, port)
    assert vm.driver(port) == "igb" and len(vfs(vm, port)) == 7 and list(groups(vm)) == [PORTS]


@case("two ports for a group: one prompt, seven functions of each, the ports stay; returned with one: as before",
      deadline=240, **BOOT)
def _(vm):
    ports = [vm.pci("igb-a"), vm.pci("igb-b")]
    names = [netdev(vm, port) for port in ports]
    try:
        make = make_ports_call(ports, vfs=7, vlan=100, vlan_qos=5)
        result, log = vm.with_agent(make, user="alice", answer="wrong")
        assert not result.ok and "AUTHENTICATION FAILED" in log and groups(vm) == {}, f"{result.describe()}\n{log}"
        refused(vm, make, "GrantVfs")                               # root consents at the helper
        for port in ports:
            is_ordinary(vm, port)
        log = as_admin(vm, make)
        assert prompts(log) == 1 and all(port in log for port in ports) and "virtual functions" in log, log

        group, found = groups(vm)[PORTS]
        assert (found["Type"], found["Total"], found["Available"]) == ("sriov-nic", 14, 14), found
        assert (found["Sriov"]["vfs"]["data"], found["Sriov"]["vlan"]["data"]) == (7, 100), found
        assert sorted(rule["Filter"] for rule in rules(vm).values()) == \
            sorted(f"physical_function eq '{port}'" for port in ports)
        for port, name in zip(ports, names):
            look_at_port(vm, port, group, name)
        not_away_itself(vm, ports[0], vfs(vm, ports[0])[0])

        assert prompts(as_admin(vm, return_call(ports))) == 1
        assert rules(vm) == {} and vm.sh(f"ls -I boots {GRANTS}") == "" and vm.sh(f"ls {MOVES}") == ""
        for port, name in zip(ports, names):
            is_ordinary(vm, port)
            assert vm.driver(port) == "igb" and netdev(vm, port) == name
    finally:
        clean_ports(vm)


# What the group has, and what bob's claim makes of it.
GROUPS = {"vlan": 100, "qos": 5, "rate": 100, "check": False, "trust": False}
BOBS = {"vlan": 200, "qos": 5, "rate": 50, "check": True, "trust": True}


def not_so(vm, group):
    """What a claim may not set, each with the reason."""
    def create(**options):
        return call(ROOT, MANAGER, "CreateClaim", "soua{sv}", "more", group, 1, *variants(**options))

    for options, words in (({"sriov": {"query_rss": "on"}}, ("query-rss", PORTS)),
                           ({"sriov": {"vlan": 4095}}, ("vlan", "4094")),
                           ({"mac_addresses": ["01:00:00:00:00:01"]}, ("01:00:00:00:00:01",)),
                           ({"mac_addresses": [MAC]}, (MAC,)),
                           ({"mac_addresses": [NOBODY, NOBODY]}, ("mac-addresses",))):
        refused(vm, create(**options), *words)


@case("two users, one port: each VM has its address, VLAN, rate, checks; what it may and what not; all gone after it",
      deadline=240, **BOOT)
def _(vm):
    near, far = vm.pci("igb-a"), vm.pci("igb-b")
    access = "fds" if vm.kernel.name == "cdev" else "acl"
    vm.sh("modprobe iommufd 2>/dev/null || :")
    try:
        bring_up(vm, near, far)
        group = make_ports(vm, [near], vfs=3, vlan=100, vlan_qos=5, max_rate=100, spoof_checking="off",
                           overridable=["mac", "vlan", "max-rate", "spoof-checking", "trust"])
        alices = create_claim(vm, "web", group, mac_addresses=[MAC])
        bobs = create_claim(vm, "web", group, "bob",
                            sriov={"vlan": 200, "max_rate": 50, "spoof_checking": "on", "trust": "on"})
        not_so(vm, group)
        mac, = claim_of(vm, bobs)["MacAddresses"]
        assert claim_of(vm, alices)["MacAddresses"] == [MAC] and int(mac[:2], 16) & 3 == 2, mac
        assert settings_of(claim_of(vm, bobs))["vlan"] == 200

        alice, bob = start(vm, "web", access=access), start(vm, "web", user="bob", access=access)
        assert (seen(alice), seen(bob)) == ([f"8086:10ca {MAC}"], [f"8086:10ca {mac}"])
        a, b = (vfs(vm, near).index(given(job)[0]) for job in (alice, bob))
        assert (summary(vm, near, a), summary(vm, near, b)) == (GROUPS, BOBS)
        assert (reported(vm, near, a)["address"], reported(vm, near, b)["address"]) == (MAC, mac)
        checks = register(vm, near, CHECKS)
        assert not checks & 0x101 << a and checks & 0x101 << b == 0x101 << b, f"{checks:x}: what the card checks"

        wire = station(vm, far)
        for job, source, tag in ((alice, MAC, "100/5"), (bob, mac, "200/5")):
            job.write(f"send 0 {source} {EVERYBODY} hello\n")
            wire.wait_for(f"got {source} {EVERYBODY} vlan {tag} hello\n")
        # What comes after it is there: so what came before it and is not, never came.
        wire.write(f"{OTHER} {mac} vlan 200/0 reply\n")
        bob.wait_for(f"got 0 {OTHER} {mac} reply\n")
        assert not [line for line in lines(bob) if MAC in line], bob.stdout
        alice.write(f"mac 0 {OTHER}\n")
        alice.wait_for("refused 0\n")
        bob.write(f"mac 0 {OTHER}\n")
        bob.wait_for("granted 0\n")

        kill(alice)
        kill(bob)
        for claim in (alices, bobs):
            ended(vm, claim, vfs(vm, near), "pool")
        for index in (a, b):
            assert summary(vm, near, index) == GROUPS and reported(vm, near, index)["address"] == NOBODY
        again = start(vm, "web", user="bob", access=access)
        assert seen(again) == [f"8086:10ca {mac}"], "its address stays"
        kill(again)
        kill(wire)
        ended(vm, bobs, vfs(vm, near), "pool")
    finally:
        clean_ports(vm)
        take_down(vm, near, far)


@case("another number: while idle by itself, while claimed or held refused, and so is the way back", kernels=ONE,
      deadline=240, **BOOT)
def _(vm):
    near = vm.pci("igb-a")
    try:
        bring_up(vm, near)
        group = make_ports(vm, [near], vfs=7)
        for n in (3, 5):
            vm.sh(edit_call(group, vfs=n), timeout=60)
            wait_pooled(vm, near, n)
            assert objects(vm)[group][GROUP]["Total"] == n
        refused(vm, edit_call(group, vfs=8), near, "7")
        refused(vm, edit_call(group, link_state="disable"), "link-state", "igb")
        assert settings_of(objects(vm)[group][GROUP])["link-state"] == "auto" and len(vfs(vm, near)) == 5

        claim = create_claim(vm, "web", group)
        player = start(vm, "web")
        taken, = given(player)
        for command in (edit_call(group, vfs=7), return_call([near])):
            refused(vm, command, taken, "web")
        assert len(vfs(vm, near)) == 5 and settings_of(objects(vm)[group][GROUP])["vfs"] == 5
        kill(player)
        ended(vm, claim, vfs(vm, near), "pool")

        # Held by hand: a write of 0 would block, and everybody who asks for a PCI device with it.
        free = vfs(vm, near)[4]
        holder = vm.spawn(["vfio-hold", free])
        holder.wait_for("ready")
        as_root = ["busctl", "call", HELPER, HELPER_PATH, HELPER]
        refused(vm, [*as_root, "Revoke", "asbs", 1, near, "true", ""], free, "fuser")
        refused(vm, [*as_root, "SetVfs", "sub", near, 2, "true"], free, "fuser")
        assert len(vfs(vm, near)) == 5 and vm.driver(free) == "vfio-pci"
        kill(holder)
        wait_pooled(vm, near, 5)
    finally:
        clean_ports(vm)
        is_ordinary(vm, near)
        take_down(vm, near)


@case("the port's driver is loaded anew, unbound and bound, its functions removed by hand: they come back",
      kernels=ONE, deadline=240, **BOOT)
def _(vm):
    near, far = vm.pci("igb-a"), vm.pci("igb-b")
    where = f"{PCI}/devices/{near}"
    try:
        make_ports(vm, [near, far], vfs=4, vlan=100)
        vm.sh("modprobe -r igb && modprobe igb", timeout=60)
        for port in (near, far):
            wait_pooled(vm, port, 4)

        vm.sh(f"echo {near} > {where}/driver/unbind", timeout=60)
        until(says(path(near), DEVICE, "Attention", "driver"), "who would have to make them is told", vm)
        assert vfs(vm, near) == [] and len(vfs(vm, far)) == 4
        vm.sh(f"echo {near} > {PCI}/drivers/igb/bind", timeout=60)
        wait_pooled(vm, near, 4)
        until(says(path(near), DEVICE, "Attention", 's ""'), "nothing is wrong any more", vm)

        vm.sh(f"systemctl stop verge-passthroughd && echo 0 > {where}/sriov_numvfs && "
              "systemctl start verge-passthroughd", timeout=60)
        wait_pooled(vm, near, 4)
    finally:
        clean_ports(vm)


@case("functions that SetVfCount has made are bound as they are by a group that wants as many", deadline=120, **BOOT)
def _(vm):
    port = vm.pci("igb-a")
    try:
        as_admin(vm, count_call(port, 3))
        made = vfs(vm, port)
        assert len(made) == 3 and [vm.driver(vf) for vf in made] == [""] * 3
        began = vm.sh(f"stat -c %Y {PCI}/devices/{made[0]}")
        answer(vm, make_ports_call([port], vfs=3, vlan=100))
        assert [vm.driver(vf) for vf in vfs(vm, port)] == ["vfio-pci"] * 3
        assert vm.sh(f"stat -c %Y {PCI}/devices/{made[0]}") == began
    finally:
        clean_ports(vm)


@case("NVMe: four functions by SetVfCount for a group like any, found by their physical function, claimed, let go",
      kernels=ONE, deadline=180, **BOOT)
def _(vm):
    nvme = vm.pci("nvme")
    try:
        refused(vm, count_call(nvme, 4), nvme, "GrantVfs")
        refused(vm, count_call(nvme, 5), nvme, "4")
        log = as_admin(vm, count_call(nvme, 4))
        assert prompts(log) == 1 and nvme in log, log
        made = vfs(vm, nvme)
        assert len(made) == 4 and vm.driver(nvme) == "nvme" and [vm.driver(vf) for vf in made] == [""] * 4
        assert get(vm, nvme, "SriovOrderedVfs") == 4
        refused(vm, make_call([nvme], PORTS, type="sriov-nic", sriov={"vfs": 4}), nvme, "network")

        group = create_group(vm, "Disks", **{"class": "storage"})
        create_rule(vm, group, "functions", f"physical_function eq '{nvme}'")
        assert groups(vm)["Disks"][1]["Available"] == 4             # the host needs none: that is known by now
        claim = create_claim(vm, "web", group, count=2)
        assert claim_of(vm, claim)["MacAddresses"] == []
        player = start(vm, "web")
        assert seen(player) == ["1b36:0010"] * 2 and set(given(player)) < set(made), player.stdout
        refused(vm, count_call(nvme, 2), given(player)[0], "web")
        kill(player)
        ended(vm, claim, made)

        vm.sh(count_call(nvme, 2), timeout=60)
        assert len(vfs(vm, nvme)) == 2
        vm.sh(count_call(nvme, 0), timeout=60)
        assert vfs(vm, nvme) == [] and vm.driver(nvme) == "nvme"
    finally:
        clean_ports(vm)
        is_ordinary(vm, nvme)


def children(vm, condition):
    """The lines of capabilities of the helper's worker, as soon as the shell condition holds for them."""
    pid = vm.sh("systemctl show -P MainPID verge-passthrough-helper")
    look = f"grep ^Cap $(for p in $(pgrep -P {pid}); do echo /proc/$p/status; done) /dev/null > /tmp/caps"
    until(f"{{ {look}; {condition}; }}", "the worker is seen at its work", vm)
    return {line.split(":")[-2]: int(line.split("\t")[1], 16) for line in vm.read("/tmp/caps").splitlines()}


@case("of the helper's workers only the one that sets functions up has a capability", kernels=ONE, deadline=120, **BOOT)
def _(vm):
    near = vm.pci("igb-a")
    as_root = ["busctl", "--timeout=60", "call", HELPER, HELPER_PATH, HELPER]
    try:
        bring_up(vm, near)
        vm.sh(root_grant_vfs_call([near]), timeout=60)
        making = vm.spawn([*as_root, "SetVfs", "sub", near, 2, "true"])
        caps = children(vm, f"[ -s /tmp/caps ] && [ -n \"$(ls {MOVES})\" ]")
        assert set(caps) == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}, caps
        assert caps["CapEff"] == caps["CapPrm"] == caps["CapInh"] == caps["CapAmb"] == 0, caps
        assert making.wait(60).ok

        vm.qmp.command("set_link", name="igb-a", up=False)      # for a rate it waits until there is a link
        until(f"grep -qx 0 /sys/class/net/{netdev(vm, near)}/carrier", "the link is down", vm)
        setting = vm.spawn([*as_root, "SetVf", "sas", vfs(vm, near)[0], 1, "max-rate=100"])
        caps = children(vm, f"grep -q 'CapEff:.*{NET_ADMIN:016x}' /tmp/caps")
        assert caps["CapPrm"] == caps["CapEff"] == NET_ADMIN and caps["CapAmb"] == caps["CapInh"] == 0, caps
        result = setting.wait(60)
        assert not result.ok and "no link" in result.err, result.describe()
    finally:
        vm.qmp.command("set_link", name="igb-a", up=True)
        clean_ports(vm)
        take_down(vm, near)


@case("a reboot: functions, settings and their number are back; with verge_passthrough=off none are made",
      state=True, kernels=ONE, deadline=300, **BOOT)
def _(vm):
    near, nvme = vm.pci("igb-a"), vm.pci("nvme")
    group = make_ports(vm, [near], vfs=7, vlan=100)
    vm.sh(root_grant_vfs_call([nvme]), timeout=60)
    vm.sh(count_call(nvme, 3), timeout=60)
    claim = create_claim(vm, "web", group, mac_addresses=[MAC])

    vm.reboot()
    wait_pooled(vm, near, 7)
    until(f"[ $(ls -d {PCI}/devices/{nvme}/virtfn* | wc -l) = 3 ]", "the NVMe has its functions", vm, timeout=60)
    bring_up(vm, near)
    player = start(vm, "web")
    assert seen(player) == [f"8086:10ca {MAC}"]
    assert summary(vm, near, vfs(vm, near).index(given(player)[0]))["vlan"] == 100

    # While a VM has one, and to nothing.
    vm.command_line += " verge_passthrough=off"
    vm.power_cut()
    until(claim_is(claim, "idle"), "the VM is gone", vm, timeout=60)
    assert get(vm, "", "Disabled", MANAGER) is True
    assert vfs(vm, near) == vfs(vm, nvme) == [] and vm.driver(near) == "igb"
    assert "verge_passthrough=off" in get(vm, near, "Attention"), get(vm, near, "Attention")
    refused(vm, count_call(nvme, 3), "verge_passthrough=off")
    not_started(vm, "web")
    left_nothing(vm, [])
