# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reboots: what was not confirmed is gone, and boots that fail one after the other end with all devices at the host."""

from vmlab.cases import case, until

from product import (BUS, GRANTS, MANAGER, PENDING, ROOT, call, device_call, driver_of, get, groups, make_call, rules,
                     says, state_is)
from safety import ONE, consent_of, let_admin

BOOTS = f"{GRANTS}/boots"

# Boots that never get as far as our daemon, whatever the reason.
FAIL = "systemctl mask -q verge-passthroughd; sync"
SUCCEED = "systemctl unmask -q verge-passthroughd; sync"


def order(vm, address, group, seconds):
    vm.run(make_call([address], group, binding="persistent", confirm_seconds=seconds), user="admin",
           timeout=60).check()


def failed_boots(vm):
    return len(vm.run(f"cat {BOOTS}").out.split())


def is_guarded(vm, kept):
    """The third boot: all at the host, in words."""
    until(says(ROOT, MANAGER, "BootGuard", "b true"), "the daemon says so", vm)
    reason = get(vm, "", "BootGuardReason", MANAGER)
    assert "boot" in reason, reason
    until(state_is(kept, "host"), "its mark was taken back", vm)
    assert vm.driver(kept) == "e1000e" and not vm.run(f"ls {GRANTS}/*.boot").ok
    assert get(vm, kept, "Attention") != "", "nobody is told why a wanted device is at the host"
    assert reason in vm.sh("journalctl -b --no-pager -o cat"), "the journal does not say why"
    print(f"# {reason}", flush=True)


@case("power cuts: confirmed stays, unconfirmed is gone; after two boots that failed the third leaves all to the host",
      state=True, kernels=ONE, deadline=600)
def _(vm):
    let_admin(vm)
    # The card that is kept has others of its make beside it, which the host keeps: their driver must not take it.
    kept, unconfirmed = vm.pci("nic"), vm.pci("nvme")
    vm.sh("systemctl enable -q verge-passthroughd")
    order(vm, kept, "Kept", 600)
    vm.run(call(ROOT, MANAGER, "Confirm"), user="admin", timeout=60).check()
    order(vm, unconfirmed, "Unconfirmed", 3600)
    assert driver_of(vm, [kept, unconfirmed]) == {kept: "vfio-pci", unconfirmed: "vfio-pci"}
    assert consent_of(vm) == [f"{GRANTS}/{kept}.boot", f"{GRANTS}/{kept}.grant",
                              f"{PENDING}/{unconfirmed}.confirm", f"{PENDING}/{unconfirmed}.grant"]

    vm.sh(FAIL)
    failed = failed_boots(vm)           # the first, too, if it is cut before it was called good
    assert failed < 2
    while failed < 2:
        failed += 1
        vm.power_cut()
        assert driver_of(vm, [kept, unconfirmed]) == {kept: "vfio-pci", unconfirmed: "nvme"}, f"boot {failed}"
        assert failed_boots(vm) == failed, "it is not written down that this boot began"

    vm.sh(SUCCEED)
    vm.power_cut()
    is_guarded(vm, kept)
    until(f"[ $(busctl tree --list {BUS} | grep -c /group/) = 1 ]", "what was not confirmed is undone", vm)
    assert list(groups(vm)) == ["Kept"] and len(rules(vm)) == 1, "of the unconfirmed one something is left"
    assert not get(vm, unconfirmed, "Granted") and get(vm, kept, "Granted")
    vm.run(device_call(kept, "Bind"), user="admin", timeout=60).check()
    assert vm.driver(kept) == "vfio-pci", "by hand it can be had"
    until(f"[ ! -e {BOOTS} ]", "the boot is healthy", vm, timeout=90)
    vm.sh("sync")                       # seen gone is not yet gone from the disk

    vm.power_cut()
    until(state_is(kept, "pool"), "what was ordered is bound again", vm, timeout=40)
    assert get(vm, "", "BootGuard", MANAGER) is False and get(vm, kept, "Attention") == ""
