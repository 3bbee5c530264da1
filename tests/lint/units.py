# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units: the sandbox is as tight as docs/security.md says, what the code stands on is still there, and systemd
understands every line. Arguments: source root, then the units as built."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

import lint

# Exposure in tenths, as `systemd-analyze security --threshold=` takes it: the goal of each unit.
EXPOSURE_MAX = {"verge-passthroughd.service": 11, "verge-passthrough-helper.service": 16,
                "verge-passthrough-boot.service": 7, "verge-passthrough-early.service": 13}
SYSTEMD_MIN = 252  # older ones lack --offline= or know fewer of the settings

# Values that look like a mere matter of hardening, and without which the service is blind, dead or open.
NEEDED = {
    "verge-passthroughd.service": {
        "User": "verge-passthrough", "BusName": "org.verge.Passthrough", "Type": "dbus", "CapabilityBoundingSet": "",
        "StartLimitIntervalSec": "0", "ProcSubset": "all", "StateDirectory": "verge-passthrough",
        "StateDirectoryMode": "0700", "UMask": "0077", "FileDescriptorStoreMax": "512", "NotifyAccess": "main",
    },
    "verge-passthrough-helper.service": {
        "BusName": "org.verge.Passthrough.Helper", "Type": "dbus",
        "CapabilityBoundingSet": "CAP_NET_ADMIN", "AmbientCapabilities": "", "NoNewPrivileges": "yes", "StartLimitIntervalSec": "0", "ProcSubset": "all",
        "DevicePolicy": "closed", "DeviceAllow": "char-vfio rw", "KillMode": "mixed", "Restart": "on-failure",
        "Wants": "verge-passthrough-helper.path", "User": None,
    },
    # Of a special boot phase: what waits for file systems, or is waited for by the udev rule, must not be asked for.
    "verge-passthrough-boot.service": {
        "Type": "oneshot", "OnSuccess": "verge-passthroughd.service", "DefaultDependencies": "no", "CapabilityBoundingSet": "",
        "After": "systemd-remount-fs.service", "ConditionKernelCommandLine": "!verge_passthrough=off",
        "ProcSubset": "all", "PrivateTmp": None, "Wants": None, "RuntimeDirectoryPreserve": "yes", "User": None,
        "ReadWritePaths": "/etc/verge-passthrough/grants.d",
    },
    "verge-passthrough-early.service": {
        "Type": "oneshot", "DefaultDependencies": "no", "CapabilityBoundingSet": "", "RemainAfterExit": "yes",
        "Before": "systemd-udev-trigger.service sysinit.target shutdown.target", "After": None, "Wants": None,
        "ConditionKernelCommandLine": "!verge_passthrough=off", "ProcSubset": "all", "PrivateTmp": None, "User": None,
        "PrivateNetwork": None, "ReadWritePaths": "/sys/bus/pci /sys/devices /run /etc/verge-passthrough/grants.d",
    },
}
GIVE_UP = ("verge-passthrough-early.service", "verge-passthrough-helper.service")
LOOKS_AT_HOST = ("verge-passthroughd.service", "verge-passthrough-helper.service")
BLINDING = {
    "PrivateNetwork": "hides the host's interfaces and routes",
    "InaccessiblePaths": "takes what is mounted there out of the service's mount table",
    "TemporaryFileSystem": "takes what is mounted there out of the service's mount table",
    "RootDirectory": "is not the host's root",
    "WatchdogSec": "is not served",
}


def settings(text):
    """Key -> value; of a key that is given twice the last, which is enough here."""
    return {key: value.strip() for key, value in re.findall(r"^([A-Za-z]+)=(.*)$", text, re.M)}


def check_settings(name, text):
    found = settings(text)
    problems = [f"{name}: {key}={found.get(key)}, it must be {value}" for key, value in NEEDED[name].items()
                if found.get(key) != value]
    if "@" in found.get("ExecStart", "@"):
        problems.append(f"{name}: ExecStart= is not filled in")
    if name == "verge-passthrough-boot.service" and "ConditionPathExists=!/run/verge-passthrough/boot-begun" not in text:
        problems.append(f"{name}: it would be run again with each service that is started")
    if name in GIVE_UP and "\nSystemCallFilter=capset\n" not in text:
        problems.append(f"{name}: it could not give up its capabilities, and would do nothing")
    if name not in LOOKS_AT_HOST:
        return problems
    problems += [f"{name}: {key}= {reason}" for key, reason in BLINDING.items() if found.get(key, "no") != "no"]
    if found.get("ProtectHome") != "read-only":
        problems.append(f"{name}: ProtectHome= other than read-only unmounts /home from the service's view, and a disk "
                        "mounted there would be given away")
    if name == "verge-passthrough-helper.service" and "landlock_restrict_self" not in text:
        problems.append(f"{name}: the system call filter lets no Landlock through")
    return problems


def check_with_systemd(name, text):
    """`security` judges the unit as it is; `verify` wants to see the program, so it gets one that exists."""
    with tempfile.TemporaryDirectory() as directory:
        unit = Path(directory) / name
        unit.write_text(text, encoding="utf-8")
        security = lint.command("systemd-analyze", "security", "--offline=true", "--no-pager",
                                f"--threshold={EXPOSURE_MAX[name]}", str(unit))
        unit.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", text, flags=re.M), encoding="utf-8")
        verify = lint.command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit))

    overall = re.search(r"Overall exposure level.*?: ([0-9.]+)", security.stdout)
    problems = []
    if not overall:
        problems.append(f"{name}: systemd-analyze security failed: {security.stderr.strip()}")
    elif security.returncode != 0:
        problems.append(f"{name}: exposure {overall.group(1)}, more than {EXPOSURE_MAX[name] / 10}")
    # The rest of its output is about the other units of this machine.
    problems += [line for line in verify.stderr.splitlines() if name in line]
    return problems, overall.group(1) if overall else "?"


def check(tree):
    problems = []
    for name, text in tree.items():
        problems += check_settings(name, text)
        if not problems:
            problems += check_with_systemd(name, text)[0]
    return problems


def main():
    if not shutil.which("systemd-analyze"):
        lint.skip("systemd-analyze is not installed")
    version = re.search(r"systemd (\d+)", lint.command("systemd-analyze", "--version").stdout)
    if not version or int(version.group(1)) < SYSTEMD_MIN:
        lint.skip(f"systemd-analyze is older than {SYSTEMD_MIN}")
    units = {Path(path).name: Path(path).read_text(encoding="utf-8") for path in sys.argv[2:]}
    if not units:
        lint.skip("the units are not built (-Dunits=disabled)")
    for name, text in units.items():
        print(f"{name}: exposure {check_with_systemd(name, text)[1]}")

    daemon, helper, boot, early = (units[name] for name in NEEDED)
    lint.run(check, {
        "a daemon that is root": {"verge-passthroughd.service": daemon.replace("User=verge", "User=root #")},
        "a helper with capabilities": {"verge-passthrough-helper.service": helper.replace(
            "CapabilityBoundingSet=CAP_NET_ADMIN\n", "CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN\n")},
        "a helper that cannot give up what it has": {"verge-passthrough-helper.service": helper.replace(
            "Filter=capset", "Filter=none")},
        "a daemon that forgets its VMs": {"verge-passthroughd.service": daemon.replace("FileDescriptorStore", "No")},
        "an open door": {"verge-passthroughd.service": daemon.replace("ProtectSystem=strict\n", "").replace(
            "PrivateUsers=yes\n", "").replace("RestrictNamespaces=yes\n", "")},
        "a setting that systemd does not know": {"verge-passthroughd.service": daemon.replace(
            "[Service]\n", "[Service]\nProtectMoon=yes\n")},
        "a value that it does not know": {"verge-passthrough-helper.service": helper.replace(
            "TimeoutStopSec=3s", "TimeoutStopSec=soon")},
        "a helper that leaves a change unwatched": {"verge-passthrough-helper.service": helper.replace(
            "Restart=on-failure\n", "")},
        "a blind helper": {"verge-passthrough-helper.service": helper.replace("ProtectHome=read-only", "ProtectHome=yes")},
        "a guard that comes late": {"verge-passthrough-boot.service": boot.replace("PrivateDevices=", "PrivateTmp=yes\nX=")},
        "a guard that is run again and again": {"verge-passthrough-boot.service": boot.replace("!/run", "/run")},
        "binding that comes late": {"verge-passthrough-early.service": early.replace("systemd-udev-trigger.service ", "")},
        "binding that ends at once": {"verge-passthrough-early.service": early.replace("Filter=capset", "Filter=none")},
        "a lonely helper": {"verge-passthrough-helper.service": helper.replace("PrivateTmp=", "PrivateNetwork=yes\nX=")},
    }, "see the comments in data/*.service.in, and measure: systemd-analyze security --offline=true UNIT", units)


if __name__ == "__main__":
    main()
