# SPDX-License-Identifier: LGPL-2.1-or-later
"""The audit trail, as `journalctl` finds it."""

import json
import re
from pathlib import Path

from vmlab.cases import case, until

from product import PCI, clean, device_call, make_call, return_call
from safety import ONE, SAFETY, let_admin

HEADER = Path(__file__).resolve().parents[3] / "include/audit.h"


def ids():
    """CHANGE, REFUSAL, FAILURE, OVERRIDE -> MESSAGE_ID, as documented."""
    return dict(re.findall(r'define AUDIT_ID_(\w+)[\s\\]+"([0-9a-f]{32})"', HEADER.read_text()))


def entries(vm, kind, verb, address):
    """Those of this boot, by fields alone."""
    out = vm.run(["journalctl", "-b", "-o", "json", "--no-pager", "-q", f"MESSAGE_ID={ids()[kind]}",
                  f"VERGE_VERB={verb}", f"VERGE_DEVICE={address}"]).out
    return [json.loads(line) for line in out.splitlines()]


def entry(vm, kind, verb, address, **fields):
    """The last one of which these fields are so."""
    match = " ".join([f"MESSAGE_ID={ids()[kind]}", f"VERGE_VERB={verb}", f"VERGE_DEVICE={address}",
                      *(f"VERGE_{name}='{value}'" for name, value in fields.items())])
    until(f"[ -n \"$(journalctl -b -q --no-pager {match})\" ]", f"there is an entry {match}", vm)
    found = [e for e in entries(vm, kind, verb, address)
             if all(value == e.get(f"VERGE_{name}") for name, value in fields.items())]
    assert found, entries(vm, kind, verb, address)
    assert found[-1]["MESSAGE"] and address in found[-1]["MESSAGE"], found[-1]
    assert found[-1]["_UID"] in ("0", vm.sh("id -u verge-passthrough")), "anybody could have written it"
    return found[-1]


@case("a change, a refusal and an override are found in the journal by their fields", devices=SAFETY, kernels=ONE,
      deadline=120)
def _(vm):
    let_admin(vm)
    nic, uplink = vm.pci("nic"), vm.pci("uplink")
    name = vm.sh(f"ls {PCI}/devices/{uplink}/net")
    admin = {"CALLER_UID": "1000", "CALLER_NAME": "admin"}
    try:
        vm.run(make_call([nic], "Audited", binding="persistent"), user="admin", timeout=60).check()
        entry(vm, "CHANGE", "Grant", nic, POLKIT_ACTION="org.verge.Passthrough.grant", POLKIT_RESULT="yes",
              RESULT="done", **admin)
        entry(vm, "CHANGE", "Bind", nic, DRIVER_FROM="e1000e", DRIVER_TO="vfio-pci", RESULT="done")
        entry(vm, "CHANGE", "MakePassthrough", nic, GROUP="Audited", **admin)

        assert not vm.run(device_call(nic, "Reset"), user="alice").ok     # there is no agent that could ask her
        entry(vm, "REFUSAL", "Reset", nic, RESULT="refused", CALLER_UID="1001",
              POLKIT_ACTION="org.verge.Passthrough.manage")

        vm.sh(f"ip address add 192.0.2.2/24 dev {name}")
        assert not vm.run(make_call([uplink], "Audited", binding="persistent"), user="admin", timeout=60).ok
        entry(vm, "REFUSAL", "MakePassthrough", uplink, RESULT="refused", ERROR="Critical", **admin)
        vm.run(make_call([uplink], "Audited", binding="persistent", consent=["address"]), user="admin",
               timeout=60).check()
        entry(vm, "OVERRIDE", "Grant", uplink, REASONS_OVERRIDDEN="address",
              POLKIT_ACTION="org.verge.Passthrough.grant-critical", **admin)

        vm.run(return_call([nic, uplink]), user="admin", timeout=60).check()
        entry(vm, "CHANGE", "Revoke", nic, DRIVER_FROM="vfio-pci", DRIVER_TO="e1000e", **admin)
    finally:
        clean(vm)
