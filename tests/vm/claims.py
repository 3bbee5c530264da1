# SPDX-License-Identifier: LGPL-2.1-or-later
"""Claims and the VMs that have them, as cases, the story and the bench see them."""

import re
import signal

from vmlab.cases import until

from product import (BUS, DEVICE, GROUP, MANAGER, ROOT, answer, call, clean, create_group, create_rule, get, objects,
                     path, root_grant_call, says, state_is)

CLAIM = f"{BUS}.Claim"
ACCESS = "/run/verge-passthrough/access"
MOVES = "/run/verge-passthrough/moves"
STARTING = 90       # seconds that a start may take here, helper and reset included

NICS = "PCI NICs"


def pool(vm, addresses, name=NICS, binding="on-claim", **options):
    """As root: a group of exactly these devices, granted. Returns its object."""
    vm.sh(root_grant_call(addresses), timeout=60)
    group = create_group(vm, name, binding=binding, **options)
    create_rule(vm, group, "these", " or ".join(f"address eq '{a}'" for a in addresses))
    if binding == "persistent":
        for address in addresses:
            until(state_is(address, "pool"), f"{address} is in the pool", vm, timeout=40)
    return group


def create_call(name, group, count=1, *options):
    """options: words of a{sv}: key, type, value."""
    return call(ROOT, MANAGER, "CreateClaim", "soua{sv}", name, group, count, len(options) // 3, *options)


def create_claim(vm, name, group, count=1, *options, user="alice"):
    """Its object. A user who is not root needs an administrator's password for it."""
    command = create_call(name, group, count, *options)
    if user == "root":
        return answer(vm, command)[0]
    result, log = vm.with_agent(command, user=user, password="admin")
    assert result.ok, f"{result.describe()}\n{log}"
    return re.search(r'o "(.*)"', result.out).group(1)


# What polkit says to who would have to be asked.
DENIED = "polkit wants to ask"


def without_prompt(command):
    return [word.replace("authorization=true", "authorization=false") for word in command]


def stop_call(name, *options):
    return without_prompt(call(ROOT, MANAGER, "StopVm", "sa{sv}", name, len(options) // 3, *options))


def start_words(name, *options, access="acl", stay=False):
    player = ["vm-player", "--fds", "@count"] if access == "fds" else ["vm-player", "@addresses"]
    return ["start-vm", *(["--stay"] if stay else []), name, "access", "s", access, *options, "--", *player]


def start(vm, name, *options, user="alice", access="acl", stay=False):
    """The VM's job, once it has its devices and has looked at them."""
    job = vm.spawn(start_words(name, *options, access=access, stay=stay), user=user)
    job.wait_for("seen ", STARTING)
    return job


def refused(vm, name, *options, user="alice", access="acl"):
    """What StartVm was refused with: `NAME: SENTENCE`."""
    result = vm.run(start_words(name, *options, access=access), user=user, timeout=STARTING)
    assert not result.ok and "org." in result.err, result.describe()
    return result.err


def given(job):
    """Addresses of the devices that a VM has, in its order."""
    return re.findall(r"^device (\S+) ", job.stdout.decode(), re.M)


def seen(job):
    return re.search(r"^seen (.*)$", job.stdout.decode(), re.M).group(1).split(", ")


def kill(job):
    """As when a VM crashes."""
    job.kill(signal.SIGKILL)
    job.wait(20)


def claim_is(claim, *statuses):
    return " || ".join(says(claim, CLAIM, "Status", f'"{status}"') for status in statuses)


def claim_of(vm, claim):
    """Its properties."""
    return objects(vm)[claim][CLAIM]


def node(vm, address):
    return f"/dev/vfio/{vm.iommu_group(address)}"


def rights(vm, where):
    """Its access list, owner and group last: the node of a device that nobody has is root's alone."""
    lines = vm.sh(["getfacl", "-cnp", where]).split()
    return sorted(lines) + [vm.sh(f"stat -c '%U %G %a' {where}")]


ROOTS = ["group::---", "other::---", "user::rw-", "root root 600"]
ALICES = ["group::---", "mask::rw-", "other::---", "user:1001:rw-", "user::rw-", "root root 660"]


def ended(vm, claim, addresses, state="host"):
    """Waits until the claim is idle again, and looks that nothing is left of the VM."""
    until(claim_is(claim, "idle"), f"{claim} is idle", vm, timeout=60)
    left_nothing(vm, addresses, state)
    assert claim_of(vm, claim)["Devices"] == []


def left_nothing(vm, addresses, state="host"):
    for address in addresses:
        until(state_is(address, state), f"{address} is in state {state}", vm, timeout=60)
        assert get(vm, address, "Claim") == "/" and get(vm, address, "Quarantine") == "", address
        if state == "pool":
            assert rights(vm, node(vm, address)) == ROOTS
    assert vm.sh(f"ls {MOVES}").split() == []
    for number in vm.sh(f"ls {ACCESS}").split():  # of a device that was pulled out: it counts for no other node
        assert vm.sh(f"ls /dev/vfio/{number} 2>/dev/null || :") == "", number


def available(vm, group):
    return objects(vm)[group][GROUP]["Available"]


def clean_claims(vm):
    """No VM, no claim, no group, all at home, however a case ended."""
    vm.run("pkill -KILL -x vm-player; pkill -KILL -x start-vm; pkill -KILL -x qemu-system-x86")
    for claim, interfaces in objects(vm).items():
        if CLAIM in interfaces:
            vm.run(without_prompt(call(claim, CLAIM, "Stop")), timeout=60)
            vm.run(without_prompt(call(claim, CLAIM, "Delete")), timeout=60)
    until(f"! busctl tree {BUS} | grep -q /claim/", "all claims are gone", vm, timeout=60)
    for address, properties in ((o[DEVICE]["Address"], o[DEVICE]) for o in objects(vm).values() if DEVICE in o):
        if properties["Quarantine"]:
            vm.run(without_prompt(call(path(address), DEVICE, "EndQuarantine")))
    clean(vm)
