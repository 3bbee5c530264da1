# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages on a running system, in place of the product as meson installs it."""

from vmlab.cases import case, until

import packages
from claims import (ALICES, ROOTS, claim_is, claim_of, clean_claims, create_claim, ended, given, kill, node, pool,
                    rights, start)
from product import BUS, DEVICE, GRANTS, MANAGER, PCI, ROOT, as_admin, call, devices, make_call, objects, path, state_is

ON_DEBIAN = {"product": False, "content": packages.content, "kernels": ("debian",)}
WHERE = f"/{packages.WHERE}"
DAEMON, HELPER = "verge-passthroughd", "verge-passthrough-helper"
FORCE = "/run/verge-passthrough/remove-anyway"
# What dpkg, the journal and the lab write; whether the user is there is asked for.
OURS = "find / -xdev -iname '*verge*' -not -path '/run/lab/*' -not -path '/proc/*' -not -path '/var/log/*' | sort"


def install(vm, directory=WHERE):
    vm.sh(f"dpkg -i {directory}/verge-passthrough_*.deb 2>&1", timeout=120)


def version(vm):
    """Of what is installed, or nothing."""
    state, _, number = vm.run("dpkg-query -W -f '${db:Status-Status} ${Version}' verge-passthrough").out.partition(" ")
    return number if state == "installed" else ""


def remove(vm, how="-r"):
    return vm.run(f"dpkg {how} verge-passthrough 2>&1", timeout=120)


def main_pid(vm):
    return vm.sh(f"systemctl show -P MainPID {DAEMON}")


def refused(vm, *words):
    """Nothing has changed, and this was said."""
    before = (main_pid(vm), vm.sh(f"ls {GRANTS}"), vm.sh(f"readlink {PCI}/devices/*/driver"))
    result = remove(vm)
    assert not result.ok and version(vm), result.describe()
    for word in (*words, FORCE):
        assert word in result.out, f"{word!r} is not in\n{result.out}"
    assert before == (main_pid(vm), vm.sh(f"ls {GRANTS}"), vm.sh(f"readlink {PCI}/devices/*/driver")), result.describe()


def is_gone(vm):
    for unit in (f"{DAEMON}.service", f"{HELPER}.service", f"{HELPER}.path"):
        shown = vm.sh(f"systemctl show -P LoadState -P ActiveState {unit}").split()
        assert shown == ["not-found", "inactive"], (unit, shown)
    assert not vm.run(f"busctl status {BUS}").ok and not vm.run(f"busctl list | grep {BUS}").ok
    assert not vm.run(f"ls /run/systemd/system/{DAEMON}.service").ok, "it is still held back"


@case("packages: installed, and at work at once; an upgrade leaves a VM its device, a removal is refused",
      deadline=300, **ON_DEBIAN)
def _(vm):
    nic, uplink, edu = vm.pci("nic"), vm.pci("uplink"), vm.pci("edu")
    install(vm)
    try:
        assert vm.sh(f"systemctl is-active {DAEMON}; systemctl is-enabled {DAEMON}").split() == ["active", "enabled"]
        assert nic in devices(vm)
        pool(vm, [nic], "Kept", binding="persistent")
        claim = create_claim(vm, "web", pool(vm, [uplink]))
        player, pid, first = start(vm, "web"), main_pid(vm), version(vm)

        install(vm, f"{WHERE}/later")
        assert version(vm) == packages.LATER != first
        until(claim_is(claim, "online"), "the VM has its device after the upgrade", vm)
        assert main_pid(vm) != pid and claim_of(vm, claim)["Devices"] == [path(a) for a in given(player)]
        assert rights(vm, node(vm, uplink)) == ALICES and vm.driver(nic) == "vfio-pci"

        refused(vm, '"web"', uplink, "online", "StopVm")
        # What the service does not say the files of the helper do.
        vm.sh(f"systemctl --runtime mask {DAEMON} && systemctl stop {DAEMON}")
        refused(vm, uplink, "uid 1001")
        vm.sh(f"systemctl --runtime unmask {DAEMON} && systemctl start {DAEMON}")
        assert player.running
        kill(player)
        ended(vm, claim, [uplink])
        as_admin(vm, make_call([edu], "Tried", confirm_seconds=600))
        refused(vm, edu, "Confirm")
        as_admin(vm, call(ROOT, MANAGER, "Revert"))
    finally:
        clean_claims(vm)


@case("packages: removed, all devices are home; installed again, groups have them; by force, VMs keep theirs",
      deadline=400, **ON_DEBIAN)
def _(vm):
    nic, uplink, edu = vm.pci("nic"), vm.pci("uplink"), vm.pci("edu")
    version(vm) or install(vm)
    try:
        pool(vm, [nic], "Kept", binding="persistent")
        claim = create_claim(vm, "web", pool(vm, [uplink]))
        create_claim(vm, "odd", pool(vm, [edu], "Without reset"))
        kill(start(vm, "odd"))
        until(state_is(edu, "quarantined"), "it cannot be reset", vm, timeout=40)

        holder = vm.spawn(["vfio-hold", "--group-only", nic])
        holder.wait_for("ready")
        result = remove(vm)
        assert not result.ok and f"{nic} does not come home" in result.out and version(vm), result.describe()
        assert objects(vm)[path(nic)][DEVICE]["State"] == "pool" and vm.driver(nic) == "vfio-pci"
        holder.kill()
        holder.wait()

        result = remove(vm).check()
        is_gone(vm)
        assert vm.driver(nic) == "e1000e" and f"{nic}.grant" in vm.sh(f"ls {GRANTS}")
        assert vm.driver(edu) == "vfio-pci" and f"{edu} stays on vfio-pci" in result.out, result.describe()

        install(vm)
        until(state_is(nic, "pool"), "its group has it again", vm, timeout=40)
        assert claim in objects(vm) and objects(vm)[path(edu)][DEVICE]["State"] == "quarantined"
        player = start(vm, "web")
        vm.sh(f"touch {FORCE}")
        remove(vm).check()
        is_gone(vm)
        assert vm.driver(nic) == "e1000e" and vm.driver(uplink) == "vfio-pci"
        assert player.running and rights(vm, node(vm, uplink)) == ALICES and not vm.run(f"ls {FORCE}").ok
        kill(player)

        install(vm)
        ended(vm, claim, [uplink])
    finally:
        clean_claims(vm)


@case("packages: purged, nothing is left but the user", deadline=200, **ON_DEBIAN)
def _(vm):
    nic = vm.pci("nic")
    version(vm) or install(vm)
    pool(vm, [nic], binding="persistent")
    assert rights(vm, node(vm, nic)) == ROOTS
    remove(vm, "-P").check()
    is_gone(vm)
    assert vm.driver(nic) == "e1000e"
    left = [line for line in vm.sh(OURS, timeout=60).splitlines() if packages.WHERE not in line]
    assert left == [], left
    assert vm.sh("getent passwd verge-passthrough").endswith("/usr/sbin/nologin")
    assert vm.sh("systemctl --failed --no-legend --plain") == ""
