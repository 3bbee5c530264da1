# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab itself: is everything there that later cases stand on?"""

from vmlab.cases import case, skip, until

PCI = "/sys/bus/pci"

# A method of systemd that polkit guards, harmless whatever the answer.
GUARDED = ["busctl", "--allow-interactive-authorization=true", "call", "org.freedesktop.systemd1",
           "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "RestartUnit", "ss",
           "systemd-sysctl.service", "replace"]


def bind(vm, address):
    """Host driver to vfio-pci with nothing but sysfs; returns the host driver's name."""
    before = vm.driver(address)
    vm.sh(f"modprobe vfio-pci; echo vfio-pci > {PCI}/devices/{address}/driver_override")
    if before:
        vm.sh(f"echo {address} > {PCI}/devices/{address}/driver/unbind")
    vm.sh(f"echo {address} > {PCI}/drivers_probe")
    assert vm.driver(address) == "vfio-pci", f"{address} is with {vm.driver(address)!r}"
    return before


def release(vm, address):
    vm.sh(f"echo > {PCI}/devices/{address}/driver_override")
    vm.sh(f"echo {address} > {PCI}/drivers/vfio-pci/unbind; echo {address} > {PCI}/drivers_probe")


@case("systemd is running, no unit failed", product=False)
def _(vm):
    state = vm.run("systemctl is-system-running").out.strip()
    assert state == "running", f"{state}\n" + vm.run("systemctl --failed --no-legend").out


@case("dbus and polkit answer", product=False)
def _(vm):
    vm.sh("busctl call org.freedesktop.PolicyKit1 /org/freedesktop/PolicyKit1/Authority "
          "org.freedesktop.DBus.Peer Ping")
    assert vm.sh("systemctl is-active dbus polkit") == "active\nactive"


@case("the users are who they should be", product=False)
def _(vm):
    assert "27(sudo)" in vm.sh("id", user="admin")
    assert vm.sh("id -u; id -G", user="alice") == "1001\n1001"


@case("the agent: exit codes, stdin, signals, several commands at once", product=False)
def _(vm):
    assert vm.run("exit 7").code == 7
    assert vm.sh("cat; echo to-err >&2", stdin="x" * 100000) == "x" * 100000
    sleeper = vm.spawn("echo up; exec sleep 1000")
    sleeper.wait_for("up")
    echo = vm.spawn(["cat"])
    echo.write("one\n")
    echo.wait_for("one")
    sleeper.kill()
    assert sleeper.wait(5).code == -15
    echo.close_stdin()
    assert echo.wait(5).ok


@case("the root disk shows in the mount table", product=False)
def _(vm):
    root = vm.pci("root-disk")
    disk = vm.sh(f"ls {PCI}/devices/{root}/virtio*/block")
    assert f"/dev/{disk} " in vm.read("/proc/self/mounts")


@case("the IOMMU is on, and remaps interrupts", product=False)
def _(vm):
    assert int(vm.sh("ls /sys/kernel/iommu_groups | wc -l")) > 10
    assert vm.sh("ls /sys/class/iommu") == "dmar0"
    assert "Enabled IRQ remapping" in vm.sh("dmesg")


@case("named devices are what they should be", product=False)
def _(vm):
    expected = {"nic": "8086:10d3", "uplink": "8086:10d3", "nvme": "1b36:0010", "vnet": "1af4:1041",
                "pair-edu": "1234:11e8", "pair-e1000": "8086:100e", "edu": "1234:11e8", "vga": "1234:1111",
                "root-disk": "1af4:1042"}
    found = {name: vm.sh(f"lspci -Dns {vm.pci(name)}").split()[2] for name in expected}
    assert found == expected, found
    assert vm.read(f"{PCI}/devices/{vm.pci('vga')}/boot_vga").strip() == "1"


@case("the two devices behind the bridge share an IOMMU set, others do not", product=False)
def _(vm):
    edu, e1000, nic = vm.pci("pair-edu"), vm.pci("pair-e1000"), vm.pci("nic")
    assert vm.iommu_group(edu) == vm.iommu_group(e1000)
    assert vm.sh(f"ls {PCI}/devices/{nic}/iommu_group/devices") == nic


@case("an e1000e goes to vfio-pci and back by bare sysfs", product=False)
def _(vm):
    nic = vm.pci("nic")
    name = vm.sh(f"ls {PCI}/devices/{nic}/net")
    assert bind(vm, nic) == "e1000e"
    assert vm.run(f"ls {PCI}/devices/{nic}/net").code != 0
    release(vm, nic)
    assert vm.driver(nic) == "e1000e"
    until(f"[ -e /sys/class/net/{name} ]", "its netdev is back", vm)


@case("vfio-hold takes a device by its group and reads a register", product=False)
def _(vm):
    edu = vm.pci("edu")
    bind(vm, edu)
    holder = vm.spawn(["vfio-hold", edu])
    holder.wait_for("ready")
    holder.write("read 0\n")
    holder.wait_for("0: 10000ed")
    busy = vm.run(["vfio-hold", "--group-only", edu])
    assert busy.code == 1 and "busy" in busy.err, busy.describe()
    holder.kill()
    holder.wait(10)
    vm.sh(["vfio-hold", "--group-only", edu])
    release(vm, edu)
    assert vm.driver(edu) == ""


@case("vfio-hold takes a device by its cdev and iommufd", product=False)
def _(vm):
    edu = vm.pci("edu")
    vm.sh("modprobe vfio-pci")
    if vm.run("modprobe iommufd && [ -e /dev/iommu ]").code != 0:
        skip("this kernel has no iommufd")
    bind(vm, edu)
    until("ls /dev/vfio/devices/vfio*", "the cdev is there", vm)
    holder = vm.spawn(["vfio-hold", "--cdev", edu])
    holder.wait_for("ready")
    holder.write("read 0\n")
    holder.wait_for("0: 10000ed")
    holder.close_stdin()
    assert holder.wait(10).ok
    release(vm, edu)


@case("the NVMe has its namespace, and makes virtual functions", product=False)
def _(vm):
    nvme = vm.pci("nvme")
    until(f"ls {PCI}/devices/{nvme}/nvme/nvme*/ | grep -q 'nvme.*n1'", "the namespace is there", vm)
    vm.sh(f"cd {PCI}/devices/{nvme} && echo 0 > sriov_drivers_autoprobe && echo 2 > sriov_numvfs")
    assert len(vm.sh(f"ls -d {PCI}/devices/{nvme}/virtfn*").split()) == 2
    vm.sh(f"cd {PCI}/devices/{nvme} && echo 0 > sriov_numvfs && echo 1 > sriov_drivers_autoprobe")


@case("a device plugged by QMP appears, and goes", product=False)
def _(vm):
    vm.plug("edu")
    until("[ -e /sys/devices/pci0000:00/0000:00:15.0/*:00.0 ]", "the plugged device is there", vm)
    address = vm.pci("spare")
    assert vm.sh(f"lspci -Dns {address}").split()[2] == "1234:11e8"
    vm.unplug()
    until(f"[ ! -e {PCI}/devices/{address} ]", "the device is gone", vm)


@case("without an agent polkit says no, at once", product=False)
def _(vm):
    result = vm.run(GUARDED, user="admin")
    assert result.code != 0 and "nteractive authentication required" in result.err, result.describe()


@case("polkit asks admin; the right password is a yes", product=False)
def _(vm):
    result, log = vm.with_agent(GUARDED, password="admin")
    assert result.ok, f"{result.describe()}\n{log}"
    assert "org.freedesktop.systemd1.manage-units" in log and "'systemd-sysctl.service'" in log, log


@case("polkit asks admin; a wrong password is a no", product=False)
def _(vm):
    result, log = vm.with_agent(GUARDED, answer="wrong")
    assert not result.ok and "AUTHENTICATION FAILED" in log, f"{result.describe()}\n{log}"


@case("polkit asks admin, who goes away: a no", product=False)
def _(vm):
    result, log = vm.with_agent(GUARDED, answer="cancel")
    assert not result.ok and "Password:" in log, f"{result.describe()}\n{log}"


@case("alice is asked for an administrator's password, not her own", product=False)
def _(vm):
    result, log = vm.with_agent(GUARDED, user="alice", password="alice")
    assert not result.ok and "admin" in log, f"{result.describe()}\n{log}"
    result, log = vm.with_agent(GUARDED, user="alice", password="admin")
    assert result.ok, f"{result.describe()}\n{log}"


def let_alice_open(vm, addresses):
    vm.sh(["setfacl", "-m", "u:alice:rw", *(f"/dev/vfio/{vm.iommu_group(a)}" for a in addresses)])


@case("vm-player takes two devices by one user's rights, and says which", product=False)
def _(vm):
    nic, edu = vm.pci("nic"), vm.pci("edu")
    bind(vm, nic)
    bind(vm, edu)
    denied = vm.run(["vm-player", nic, edu], user="alice")
    assert denied.code == 1 and "Permission denied" in denied.err, denied.describe()
    let_alice_open(vm, [nic, edu])
    player = vm.spawn(["vm-player", nic, edu], user="alice")
    player.wait_for("seen 8086:10d3 52:54:00:00:00:01, 1234:11e8 010000ed")
    player.write("drop devices\n")
    player.wait_for("dropped devices")
    vm.sh(["vfio-hold", "--group-only", nic])
    player.kill()
    player.wait(10)
    release(vm, edu)
    release(vm, nic)


@case("a reboot keeps what was written, a power cut too", product=False, state=True, deadline=200)
def _(vm):
    vm.write("/etc/lab-mark", "here\n")
    vm.sh("sync")
    vm.reboot()
    assert vm.read("/etc/lab-mark") == "here"
    vm.power_cut()
    assert vm.read("/etc/lab-mark") == "here"
