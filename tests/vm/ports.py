# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports whose virtual functions the product makes and gives to VMs. What the kernel says of them: see sriov.py."""

import re

from vmlab.cases import until

from claims import clean_claims
from product import (DEVICE, GRANTS, GROUP, HELPER, HELPER_PATH, MANAGER, ROOT, answer, call, device_call, make_call,
                     objects, path, root_grant_vfs_call, variants)
from sriov import PCI, vfs

PORTS = "Ports"
NOBODY = "00:00:00:00:00:00"


def make_ports_call(ports, **settings):
    return make_call(ports, PORTS, type="sriov-nic", binding="persistent", sriov=settings)


def make_ports(vm, ports, **settings):
    """As root: a group whose functions are in the pool. Returns its object."""
    vm.sh(root_grant_vfs_call(ports), timeout=60)
    return answer(vm, make_ports_call(ports, **settings))[0]


def count_call(port, n):
    return [*device_call(port, "SetVfCount"), "u", str(n)]


def edit_call(group, **settings):
    """Changes settings of the group's functions."""
    return call(group, GROUP, "Update", "a{sv}", *variants(sriov=settings))


def create_claim(vm, name, group, user="alice", count=1, **options):
    """Its object. Who is not root needs an administrator's password for it."""
    command = call(ROOT, MANAGER, "CreateClaim", "soua{sv}", name, group, count, *variants(**options))
    if user == "root":
        return answer(vm, command)[0]
    result, log = vm.with_agent(command, user=user, password="admin", timeout=90)
    assert result.ok, f"{result.describe()}\n{log}"
    return re.search(r'o "(.*)"', result.out).group(1)


def settings_of(properties):
    """The property Sriov, plainly."""
    return {name: value["data"] for name, value in properties["Sriov"].items()}


def wait_pooled(vm, port, n):
    """Until the port has n functions, and the service sees all of them in the pool."""
    until(f"[ $(ls -d {PCI}/devices/{port}/virtfn* 2>/dev/null | wc -l) = {n} ] && "
          f"[ $(passthroughctl vfs {port} --no-legend | grep -c ' pool ') = {n} ]",
          f"{n} functions of {port} are in the pool", vm, timeout=60)


def functions_of(vm, port):
    """Address -> properties, in the order in which the port counts them."""
    found = [o[DEVICE] for o in objects(vm).values() if DEVICE in o and o[DEVICE]["PhysicalFunction"] == path(port)]
    return {d["Address"]: d for d in sorted(found, key=lambda d: d["VfIndex"])}


def is_ordinary(vm, port):
    """As if nobody had ever asked it for functions."""
    assert vfs(vm, port) == [], f"{port} has functions"
    assert vm.read(f"{PCI}/devices/{port}/sriov_drivers_autoprobe") == "1"
    assert vm.run(f"ls {GRANTS}/{port}.grant").code != 0


def refused(vm, command, *words, user="root"):
    """Whatever was asked for is refused, in a sentence that has these words."""
    result = vm.run(command, user=user, timeout=60)
    assert not result.ok and all(word in result.err for word in words), result.describe()
    return result.err


def clean_ports(vm):
    """No VM, claim, group, grant or function, however a case ended."""
    vm.run("pkill -KILL -x vfio-hold")
    clean_claims(vm)
    revoke = f"busctl call {HELPER} {HELPER_PATH} {HELPER} Revoke asbs 1 $(basename $g .grant) true ''"
    until(f"for g in $(ls {GRANTS}/*.grant); do {revoke}; done 2>/dev/null; [ -z \"$(ls {GRANTS}/*.grant)\" ]",
          "nothing is granted", vm, timeout=60)
