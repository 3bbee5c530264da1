# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the host would lose with a device, as the cases of safety see it."""

from vmlab import devices as catalogue
from vmlab.cases import until

from product import (DEVICE, GRANTS, PENDING, answer, device_call, driver_of, groups, make_call, override, path,
                     root_grant_call, root_revoke_call, says)

SAFETY = catalogue.SAFETY
ONE = ("debian",)       # the other kernel has neither md nor dm nor bonds
NOT_CRITICAL = {"iommu-set", "granted", "driver"}
# Nobody can consent to these.
FINAL = {"root-filesystem", "bridge-device", "pf-with-vfs", "no-iommu"}

RULE_FILE = "/etc/polkit-1/rules.d/10-lab.rules"
POLKIT_RULE = """polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.verge.Passthrough.") == 0 && subject.user == "admin")
        return polkit.Result.YES;
});
"""


def let_admin(vm):
    """From now on admin is asked for no password: each prompt would cost a second or two."""
    if not vm.run(f"test -e {RULE_FILE}").ok:
        vm.write(RULE_FILE, POLKIT_RULE)
        vm.sh("systemctl restart polkit")


def check(vm, address):
    """Code -> (severity, passed, sentence), asked of the kernel now."""
    return {code: (severity, passed, text)
            for code, severity, passed, text in answer(vm, device_call(address, "Check"))[0]}


def missed(vm, address):
    """Reason -> sentence, for all for which the device must stay."""
    return {code: text for code, (severity, passed, text) in check(vm, address).items()
            if severity == "error" and not passed and code not in NOT_CRITICAL}


def is_shown(address, reasons):
    """Shell condition: Device.Critical is this, in whatever order."""
    return " && ".join([says(path(address), DEVICE, "Critical", f"as {len(reasons)}"),
                        *(says(path(address), DEVICE, "Critical", f'"{reason}"') for reason in reasons)])


def consent_of(vm, pattern="*.*"):
    return vm.run(f"ls {GRANTS}/{pattern} {PENDING}/{pattern} 2>/dev/null").out.split()


def as_it_was(vm, addresses, drivers):
    """Nothing has moved, nobody has consented, nothing was ordered."""
    assert driver_of(vm, addresses) == drivers
    assert {a: override(vm, a) for a in addresses} == {a: "" for a in addresses}
    assert consent_of(vm) == [] and groups(vm) == {}


def refused_as_critical(vm, command, addresses, user="root"):
    result = vm.run(command, user=user, timeout=60)
    assert not result.ok and any(a in result.err for a in addresses), result.describe()
    assert "must stay with the host" in result.err, result.describe()
    return result.err


def stays(vm, addresses, expected, *words, shown=True):
    """Each of the devices must stay, for exactly these reasons, whose sentences have these words; and does, whoever
    tries: with a name for every reason too, where one of them is final. `words`: (reason, text)."""
    drivers = driver_of(vm, addresses)
    for address in addresses:
        reasons = missed(vm, address)
        assert set(reasons) == set(expected), f"{address}: {reasons}"
        for reason, text in words:
            assert text in reasons[reason] and address in reasons[reason], f"{text!r} is not in: {reasons[reason]}"
        if shown:
            until(is_shown(address, expected), f"{address} is shown as needed for {', '.join(expected)}", vm)
    refused_as_critical(vm, root_grant_call(addresses), addresses)
    refused_as_critical(vm, make_call(addresses, "Refused"), addresses, user="admin")
    for final in FINAL & set(expected):
        refused_as_critical(vm, root_grant_call(addresses, [r for r in expected if r != final]), addresses)
        result = vm.run(root_grant_call(addresses, expected))
        assert not result.ok and final in result.err, result.describe()
    as_it_was(vm, addresses, drivers)


def may_leave(vm, addresses, shown=True):
    """No false alarm: nothing speaks against it, and consent is had without naming a reason."""
    for address in addresses:
        reasons = missed(vm, address)
        assert reasons == {}, f"{address}: {reasons}"
        if shown:
            until(is_shown(address, []), f"{address} is shown as not needed", vm)
    vm.sh(root_grant_call(addresses), timeout=60)
    vm.sh(root_revoke_call(addresses), timeout=60)
    assert consent_of(vm) == []
