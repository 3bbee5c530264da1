# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job: an administrator without root takes real devices from the host and gives them back."""

import shlex
from pathlib import Path

from vmlab.cases import case, until

from product import (BUS, DEVICE, GRANTS, HELPER, HELPER_PATH, MANAGER, PCI, ROOT, as_admin, device_call, devices,
                     driver_of, get, grant_call, override, path, restore, revoke_call, root_grant_call)


@case("the service starts by a call of anybody and lists every function", deadline=90)
def _(vm):
    listed = devices_as(vm, "alice")
    assert sorted(listed) == sorted(vm.sh(f"ls {PCI}/devices").split())
    assert vm.sh("systemctl is-active verge-passthroughd") == "active"
    assert vm.sh("ps -o user= -C verge-passthroughd").startswith("verge-pas")


def devices_as(vm, user):
    vm.sh(["busctl", "call", BUS, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"], user=user)
    return devices(vm)


@case("what it says of the devices is what lspci and sysfs say")
def _(vm):
    nic, nvme, edu, pair = vm.pci("nic"), vm.pci("nvme"), vm.pci("pair-edu"), vm.pci("pair-e1000")
    all_devices = devices(vm)
    d = all_devices[nic]
    assert (d["VendorId"], d["DeviceId"], d["Driver"], d["HostDriver"]) == (0x8086, 0x10d3, "e1000e", "e1000e"), d
    assert "Intel" in d["Vendor"] and "82574L" in d["Model"] and d["Class"] == "Ethernet controller", d
    assert d["State"] == "host" and not d["Granted"], d
    assert d["LinkWidthMax"] == 1 and d["LinkSpeedMax"] == 2.5, d
    assert d["IommuSet"] == int(vm.iommu_group(nic)) and d["IommuPeers"] == [], d
    assert all_devices[edu]["IommuPeers"] and path(pair) in all_devices[edu]["IommuPeers"], all_devices[edu]
    d = all_devices[nvme]
    assert d["SriovTotalVfs"] == 4 and d["SriovNumVfs"] == 0 and d["Serial"] == "lab-nvme", d
    assert d["ResetMethods"] == vm.read(f"{PCI}/devices/{nvme}/reset_method").split(), d


@case("the manager knows the platform")
def _(vm):
    expected = {"IommuEnabled": True, "IommuKind": "intel", "InterruptRemapping": True, "VfioAvailable": True,
                "VfioCdevAvailable": vm.kernel.name == "cdev", "Disabled": False, "RestartNeeded": False,
                "NodeName": "lab"}
    vm.sh("modprobe -a vfio-pci; modprobe iommufd 2>/dev/null || :")
    until(f"busctl get-property {BUS} {ROOT} {MANAGER} VfioAvailable | grep -q true", "vfio-pci is seen", vm)
    found = {name: get(vm, "", name, MANAGER) for name in expected}
    assert found == expected, found


@case("admin grants, binds and releases an e1000e; netdev back, no override left", deadline=180)
def _(vm):
    nic = vm.pci("nic")
    name = vm.sh(f"ls {PCI}/devices/{nic}/net")
    prompt = as_admin(vm, grant_call([nic]))
    for words in (nic, "82574L", "e1000e"):
        assert words in prompt, prompt
    assert get(vm, nic, "Granted") is True
    assert vm.sh(f"stat -c '%U %a' {GRANTS}/{nic}.grant") == "root 644"
    assert "granted-by=1000\n" in vm.read(f"{GRANTS}/{nic}.grant") + "\n"

    as_admin(vm, device_call(nic, "Bind"))
    assert vm.driver(nic) == "vfio-pci" and get(vm, nic, "State") == "pool"
    vm.sh(f"[ -e /dev/vfio/{vm.iommu_group(nic)} ]")

    as_admin(vm, device_call(nic, "Release"))
    assert vm.driver(nic) == "e1000e" and override(vm, nic) == "" and get(vm, nic, "State") == "host"
    until(f"[ -e /sys/class/net/{name} ]", "its netdev is back", vm)

    as_admin(vm, revoke_call([nic]))
    assert get(vm, nic, "Granted") is False
    assert vm.run(f"ls {GRANTS}/*.grant").code != 0
    assert vm.sh("ls /run/verge-passthrough/moves") == ""


@case("admin does the same with an NVMe; its namespace is back", deadline=180)
def _(vm):
    nvme = vm.pci("nvme")
    as_admin(vm, grant_call([nvme]))
    as_admin(vm, device_call(nvme, "Bind"))
    assert vm.driver(nvme) == "vfio-pci"
    assert get(vm, nvme, "Serial") == "lab-nvme", "the serial number is that of the grant"
    as_admin(vm, device_call(nvme, "Reset"))
    as_admin(vm, device_call(nvme, "Release"))
    assert vm.driver(nvme) == "nvme" and override(vm, nvme) == ""
    until("ls /dev/nvme*n1", "the namespace is back", vm)
    as_admin(vm, revoke_call([nvme]))


@case("two devices that share an IOMMU set go both or not at all", deadline=180)
def _(vm):
    edu, e1000 = vm.pci("pair-edu"), vm.pci("pair-e1000")
    before = driver_of(vm, [edu, e1000])
    assert before == {edu: "", e1000: "e1000"}, before

    result, _log = vm.with_agent(grant_call([edu]), password="admin")
    assert not result.ok and e1000 in result.err, result.describe()
    assert vm.run(f"ls {GRANTS}/*.grant").code != 0

    as_admin(vm, grant_call([edu], siblings=[e1000]))
    as_admin(vm, device_call(edu, "Bind"))
    assert driver_of(vm, [edu, e1000]) == {edu: "vfio-pci", e1000: "vfio-pci"}
    as_admin(vm, device_call(e1000, "Release"))
    assert driver_of(vm, [edu, e1000]) == before
    assert override(vm, edu) == override(vm, e1000) == ""
    as_admin(vm, revoke_call([edu]))
    assert vm.run(f"ls {GRANTS}/*.grant").code != 0, "the grants of a set go together"


@case("a denied user changes nothing", deadline=180)
def _(vm):
    nic, vnet = vm.pci("nic"), vm.pci("vnet")
    vm.sh(root_grant_call([nic]))
    try:
        for command in (grant_call([vnet]), revoke_call([nic]), device_call(nic, "Bind"),
                        device_call(nic, "Release"), device_call(nic, "Reset")):
            result, log = vm.with_agent(command, user="alice", answer="wrong")
            assert not result.ok and "AUTHENTICATION FAILED" in log, f"{result.describe()}\n{log}"
            result = vm.run([w for w in command if "interactive" not in w], user="alice")
            assert not result.ok, result.describe()
        assert vm.driver(nic) == "e1000e" and override(vm, nic) == ""
        assert vm.sh(f"ls -I boots {GRANTS}") == f"{nic}.grant"
    finally:
        restore(vm, [nic])


@case("the root disk, the console and the addressed NIC are refused, in a sentence", deadline=120)
def _(vm):
    disk, vga, uplink = vm.pci("root-disk"), vm.pci("vga"), vm.pci("uplink")
    name = vm.sh(f"ls {PCI}/devices/{uplink}/net")
    vm.sh(f"ip address add 192.0.2.2/24 dev {name}; ip link set {name} up; ip route add default via 192.0.2.1")
    try:
        until(f"busctl get-property {BUS} {path(uplink)} {DEVICE} Critical | grep -q default-route",
              "the route is seen", vm)
        assert get(vm, disk, "Critical") == ["mounted"], get(vm, disk, "Critical")
        assert get(vm, vga, "Critical") == ["console"], get(vm, vga, "Critical")
        assert get(vm, uplink, "Critical") == ["default-route", "address"], get(vm, uplink, "Critical")
        for address, words in ((disk, "is mounted on"), (vga, "boot VGA"), (uplink, "192.0.2.2")):
            assert not get(vm, address, "Eligible")
            result, log = vm.with_agent(grant_call([address]), password="admin")
            assert not result.ok and address in result.err, f"{result.describe()}\n{log}"
            assert "Password" not in log, "a hopeless request must not prompt"
            result = vm.run(root_grant_call([address]))
            assert not result.ok and address in result.err, result.describe()
        assert "192.0.2.2" in vm.sh(f"busctl call {BUS} {path(uplink)} {DEVICE} Check"), "Check tells why"
    finally:
        vm.sh(f"ip address flush dev {name}; ip link set {name} down")
    until(f"! busctl get-property {BUS} {path(uplink)} {DEVICE} Critical | grep -q address",
          "the address is seen to be gone", vm)
    assert vm.run(f"ls {GRANTS}/*.grant").code != 0


@case("a granted device that became critical since is not bound")
def _(vm):
    uplink = vm.pci("uplink")
    name = vm.sh(f"ls {PCI}/devices/{uplink}/net")
    vm.sh(root_grant_call([uplink]))
    try:
        vm.sh(f"ip address add 192.0.2.2/24 dev {name}")
        result = vm.run(device_call(uplink, "Bind"))
        assert not result.ok and "192.0.2.2" in result.err, result.describe()
        assert vm.driver(uplink) == "e1000e"
    finally:
        vm.sh(f"ip address flush dev {name}")
        restore(vm, [uplink])


@case("a device in use is not released, and the sentence names the holder", deadline=120)
def _(vm):
    edu = vm.pci("edu")
    vm.sh(root_grant_call([edu]))
    vm.sh(device_call(edu, "Bind"))
    holder = vm.spawn(["vfio-hold", "--group-only", edu])
    holder.wait_for("ready")
    for verb in ("Release", "Reset"):
        result = vm.run(device_call(edu, verb))
        assert not result.ok and "vfio-hold" in result.err, result.describe()
    assert vm.driver(edu) == "vfio-pci"
    holder.kill()
    holder.wait(10)
    vm.sh(device_call(edu, "Release"))
    assert vm.driver(edu) == ""
    restore(vm, [edu])


@case("strangers cannot call the helper, and starting it gains them nothing")
def _(vm):
    for user in ("alice", "nobody"):
        result = vm.run(["busctl", "call", HELPER, HELPER_PATH, HELPER, "Plan", "sasb", vm.pci("nic"), "0", "false"], user=user)
        assert not result.ok and "ccess denied" in result.err + result.out, result.describe()
    for _i in range(12):
        vm.run(["busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                "StartServiceByName", "su", HELPER, "0"], user="nobody")
    vm.sh(["busctl", "call", BUS, path(vm.pci("nic")), DEVICE, "Check"], user="alice")


@case("the helper has no capability in hand and leaves when idle", deadline=120)
def _(vm):
    vm.sh(["busctl", "call", BUS, path(vm.pci("nic")), DEVICE, "Check"])
    pid = vm.sh("systemctl show -P MainPID verge-passthrough-helper")
    caps = dict(line.split(":\t") for line in vm.sh(f"grep ^Cap /proc/{pid}/status").splitlines())
    net_admin = {"CapPrm", "CapBnd"}  # for the worker of SetVf
    assert all(int(caps[name], 16) == (1 << 12 if name in net_admin else 0) for name in caps) and len(caps) == 5, caps
    until("[ $(systemctl is-active verge-passthrough-helper) = inactive ]", "the helper left", vm, timeout=60)
    assert vm.sh("systemctl show -P Result verge-passthrough-helper") == "success"


@case("without polkit nobody but root gets anything", deadline=120)
def _(vm):
    nic = vm.pci("nic")
    vm.sh(root_grant_call([nic]))
    vm.sh("systemctl mask --runtime --now polkit")
    try:
        for command in (grant_call([nic]), device_call(nic, "Bind")):
            result = vm.run(command, user="admin", timeout=100)
            assert not result.ok and "polkit" in result.err, result.describe()
        vm.sh(["busctl", "call", BUS, path(nic), DEVICE, "Check"], user="alice")
    finally:
        vm.sh("systemctl unmask --runtime polkit; systemctl start polkit")
        restore(vm, [nic])


@case("both units keep to their sandbox", deadline=120)
def _(vm):
    for unit, most in (("verge-passthroughd", 1.1), ("verge-passthrough-helper", 1.6)):
        text = vm.sh(f"systemd-analyze security --no-pager {unit}.service")
        exposure = float(text.splitlines()[-1].split("exposure level for")[1].split(":")[1].split()[0])
        assert exposure <= most, text.splitlines()[-1]


@case("tools/prompt lets polkit ask in the terminal that calls", deadline=90)
def _(vm):
    nic = vm.pci("nic")
    vm.write("/tmp/prompt", (Path(__file__).resolve().parents[3] / "tools/prompt").read_text())
    vm.sh("chmod 755 /tmp/prompt")
    call = shlex.join(["/tmp/prompt", *grant_call([nic])])
    terminal = vm.spawn(["script", "-qec", call, "/dev/null"], user="admin")
    terminal.wait_for("Password:", 40)
    # What is typed before echo is off is thrown away by the agent.
    until("for t in /dev/pts/[0-9]*; do stty -a -F $t | grep -q -- '-echo ' && exit; done; false", "echo is off", vm)
    terminal.write("admin\n")
    result = terminal.wait(40)
    assert result.ok, result.describe()
    assert get(vm, nic, "Granted") is True
    until("! pgrep -x pkttyagent", "the agent went with the command", vm)
    restore(vm, [nic])


@case("a disk that is mounted later is critical from then on, in whatever mount namespace", deadline=120)
def _(vm):
    nvme = vm.pci("nvme")
    until("ls /dev/nvme*n1", "the namespace is there", vm)
    disk = vm.sh("ls /dev/nvme*n1")
    vm.sh(f"busybox mke2fs {disk}; mkdir -p /mnt/disk; modprobe -a ext4")
    critical = f"busctl get-property {BUS} {path(nvme)} {DEVICE} Critical | grep -q mounted"
    assert get(vm, nvme, "Critical") == []
    vm.sh(f"mount {disk} /mnt/disk")
    until(critical, "the mount is seen", vm)
    result = vm.run(root_grant_call([nvme]))
    assert not result.ok and "/mnt/disk" in result.err, result.describe()
    vm.sh("umount /mnt/disk")
    until(f"! {critical}", "it is seen to be gone", vm)

    hidden = vm.spawn(f"exec unshare -m sh -c 'mount {disk} /mnt/disk && echo mounted && exec cat'")
    hidden.wait_for("mounted")
    result = vm.run(root_grant_call([nvme]))
    assert not result.ok and "mounted" in result.err, result.describe()
    hidden.close_stdin()
    hidden.wait(10)
    assert vm.run(f"ls {GRANTS}/*.grant").code != 0
