# SPDX-License-Identifier: LGPL-2.1-or-later
"""passthroughctl doctor on hosts that are broken in one way each: it names that, says what to do, and where that can be
done in here, doing what it says cures it."""

import json

from vmlab.cases import case

from safety import ONE

GRUB = """GRUB_DEFAULT=0
GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"
GRUB_CMDLINE_LINUX=""
"""


def doctor(vm, user="admin", expect=None):
    """Code -> its findings; doctor's exit status is 5 when one is an error, else 0."""
    result = vm.run("passthroughctl doctor --json", user=user, timeout=60)
    findings = json.loads(result.out)
    errors = [f for f in findings if f["Severity"] == "error"]
    assert result.code == (5 if errors else 0), result.describe()
    if expect is not None:
        assert {f["Code"] for f in errors} == set(expect), json.dumps(errors, indent=1)
    for finding in findings:
        assert finding["Severity"] in ("ok", "info", "warning", "error"), finding
        assert finding["Sentence"].endswith("."), finding
        # A complaint without a way out is none.
        assert finding["Severity"] in ("ok", "info") or finding["Remedy"] or finding["Commands"], finding
    told = {}
    for finding in findings:
        told.setdefault(finding["Code"], []).append(finding)
    return told


def one(told, code, severity, *words):
    """The finding of this code; each word stands in it somewhere."""
    found = told[code][0]
    assert found["Severity"] == severity, found
    text = " ".join([found["Sentence"], found["Remedy"], *found["Commands"]])
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"
    print(f"# {code}: {found['Sentence'][:180]}", flush=True)
    return found


def cure(vm, finding):
    """Does what it says, as root. Some of it only looks, and finds nothing; whether it has helped is seen afterwards."""
    assert finding["Commands"], finding
    for command in finding["Commands"]:
        vm.run(command.removeprefix("sudo "), timeout=60)


@case("doctor on a host that is well: no error, and what is merely worth knowing", deadline=120, kernels=ONE)
def _(vm):
    told = doctor(vm, expect=[])
    for code in ("service", "helper", "polkit", "authorization", "firmware", "iommu", "interrupt-remapping", "vfio-modules"):
        assert told[code][0]["Severity"] == "ok", told[code]
    # The two devices behind the conventional bridge, and the one that nobody can reset.
    one(told, "iommu-sets", "info", vm.pci("pair-edu"), vm.pci("pair-e1000"))
    assert vm.pci("edu") in one(told, "reset", "info")["Devices"]
    text = vm.run("passthroughctl doctor", user="admin", timeout=60).check().out
    assert "iommu-sets" in text and "\033" not in text


@case("doctor: units that are masked, a unit that fails, a polkit that cannot be asked; what it says cures each",
      deadline=240, kernels=ONE)
def _(vm):
    for unit, code in (("verge-passthroughd", "service"), ("verge-passthrough-helper", "helper"), ("polkit", "polkit")):
        vm.sh(f"systemctl stop {unit}; systemctl mask -q --runtime {unit}")
        told = doctor(vm)
        cure(vm, one(told, code, "error", "masked", unit))
        assert doctor(vm)[code][0]["Severity"] == "ok"

    # The service cannot run at all: what systemd says of it, and where more stands.
    vm.sh("mkdir -p /run/systemd/system/verge-passthroughd.service.d")
    vm.write("/run/systemd/system/verge-passthroughd.service.d/broken.conf",
             "[Service]\nExecStart=\nExecStart=/bin/false\n")
    vm.sh("systemctl stop verge-passthroughd; systemctl daemon-reload")
    one(doctor(vm), "service", "error", "journalctl")
    vm.sh("rm -r /run/systemd/system/verge-passthroughd.service.d; systemctl daemon-reload; "
          "systemctl reset-failed verge-passthroughd")
    assert doctor(vm)["service"][0]["Severity"] == "ok"


@case("doctor: somebody who may nothing, no agent in the terminal, too little memory to lock, a closed /dev/vfio",
      deadline=240, kernels=ONE)
def _(vm):
    vm.write("/etc/polkit-1/rules.d/05-nobody.rules",
             'polkit.addRule(function(action, subject) { if (subject.user == "bob") return polkit.Result.NO; });\n')
    vm.sh("systemctl restart polkit")
    one(doctor(vm, user="bob"), "authorization", "warning", "polkit")
    vm.sh("rm /etc/polkit-1/rules.d/05-nobody.rules; systemctl restart polkit")

    vm.sh("mv /usr/bin/pkttyagent /usr/bin/pkttyagent.away")
    one(doctor(vm), "polkit-agent", "warning", "pkttyagent")
    vm.sh("mv /usr/bin/pkttyagent.away /usr/bin/pkttyagent")
    assert doctor(vm)["polkit-agent"][0]["Severity"] == "ok"

    result = vm.run("prlimit --memlock=65536:65536 passthroughctl doctor --json", user="admin", timeout=60)
    low = [f for f in json.loads(result.out) if f["Code"] == "memlock"]
    assert low and low[0]["Severity"] == "warning" and "64 KiB" in low[0]["Sentence"], low

    vm.sh("chmod 0600 /dev/vfio/vfio")
    cure(vm, one(doctor(vm), "permissions", "error", "/dev/vfio/vfio"))
    assert doctor(vm)["permissions"][0]["Severity"] == "ok"


@case("doctor: a database that is damaged, and a kernel whose modules are gone", fresh=True, deadline=240, kernels=ONE)
def _(vm):
    vm.run("passthroughctl list", user="admin", timeout=60).check()
    vm.sh("systemctl stop verge-passthroughd; printf garbage | dd of=$(ls /var/lib/verge-passthrough/*.db | head -1) "
          "conv=notrunc status=none")
    one(doctor(vm), "database", "error", "/var/lib/verge-passthrough")

    vm.sh("systemctl stop verge-passthrough-helper verge-passthroughd; modprobe -r vfio_pci; "
          "mv /lib/modules/$(uname -r) /lib/modules/away")
    one(doctor(vm), "vfio-modules", "error", vm.sh("uname -r").strip())
    vm.sh("mv /lib/modules/away /lib/modules/$(uname -r)")


@case("doctor: no IOMMU in the machine", deadline=120, kernels=ONE, machine="no-iommu")
def _(vm):
    told = doctor(vm)
    one(told, "firmware", "error")
    one(told, "iommu", "error")


@case("doctor: the IOMMU is switched off on the command line: the new line for this boot loader", deadline=180, kernels=ONE,
      command_line="BOOT_IMAGE=/vmlinuz intel_iommu=off")
def _(vm):
    told = doctor(vm)
    one(told, "kernel-command-line", "error", "intel_iommu")
    one(told, "iommu", "error")
    vm.write("/etc/default/grub", GRUB)
    vm.sh("printf '#!/bin/sh\\nexec touch /run/updated\\n' >/usr/sbin/update-grub; chmod +x /usr/sbin/update-grub")
    found = one(doctor(vm), "kernel-command-line", "error", "/etc/default/grub")
    assert any("update-grub" in command for command in found["Commands"]), found
    vm.sh("rm /etc/default/grub /usr/sbin/update-grub")


@case("doctor: interrupts are not remapped", deadline=120, kernels=ONE, machine="no-interrupt-remapping")
def _(vm):
    one(doctor(vm), "interrupt-remapping", "error")


@case("doctor: passthrough is switched off for this boot", deadline=120, kernels=ONE, command_line="verge_passthrough=off")
def _(vm):
    one(doctor(vm), "kernel-command-line", "error", "verge_passthrough=off")
