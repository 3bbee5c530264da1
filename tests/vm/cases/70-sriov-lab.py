# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's machine for virtual functions: is everything there that the cases after this one stand on?

What QEMU's igb does not do is not looked for: it drops no frame with a forged source, and slows nobody down.
"""

from vmlab.cases import case

from sriov import (BOOT, CHECKS, EVERYBODY, PCI, bring_up, drop_vfs, give_to_vfio, lines, make_vfs, register, reported,
                   set_vf, station, take_down)

LAB = dict(product=False, **BOOT)
MAC = ["02:00:00:00:aa:00", "02:00:00:00:aa:01"]
OTHER = "02:66:66:66:66:66"
FAR = "52:54:00:00:02:02"
QEMU = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-M", "q35", "-m", "16M", "-serial", "stdio",
        "-bios", "/usr/share/lab/nested.rom"]


def stop(*jobs):
    for job in jobs:
        job.kill()
        job.wait(10)


def id_of(vm, address):
    return vm.sh(f"lspci -Dns {address}").split()[2]


@case("igb: seven VFs, each its own IOMMU set and without a driver; none of another number meanwhile", **LAB)
def _(vm):
    pf = vm.pci("igb-a")
    assert id_of(vm, pf) == "8086:10c9" and vm.driver(pf) == "igb"
    made = make_vfs(vm, pf, 7)
    assert len(made) == 7 and {id_of(vm, vf) for vf in made} == {"8086:10ca"}
    assert len({vm.iommu_group(vf) for vf in [pf, *made]}) == 8
    assert [vm.driver(vf) for vf in made] == [""] * 7
    refused = vm.run(["bash", "-c", f"echo 3 > {PCI}/devices/{pf}/sriov_numvfs"])
    assert "Device or resource busy" in refused.err, refused.describe()
    drop_vfs(vm, pf)
    assert vm.run(f"ls {PCI}/devices/{pf}/virtfn0").code != 0


@case("igb: rtnetlink sets what a VF is, and reads it back; what it cannot, it says; 0 VFs forget it", **LAB)
def _(vm):
    pf = vm.pci("igb-a")
    make_vfs(vm, pf, 2)
    fresh = reported(vm, pf, 1)
    assert fresh["address"] == "00:00:00:00:00:00" and fresh["spoofchk"] and not fresh["trust"], fresh
    assert "Invalid argument" in set_vf(vm, pf, 1, "max_tx_rate 100")       # no link, no rate
    bring_up(vm, pf)
    for words in (f"mac {MAC[1]}", "vlan 100 qos 5", "max_tx_rate 100", "spoofchk off", "trust on"):
        assert set_vf(vm, pf, 1, words) == "", words
    assert register(vm, pf, CHECKS) & 0x303 == 0x101, "the card checks VF 0, addresses and VLANs, and not VF 1"
    got = reported(vm, pf, 1)
    assert (got["address"], got["vlan_list"], got["rate"], got["spoofchk"], got["trust"]) == \
        (MAC[1], [{"vlan": 100, "qos": 5}], {"max_tx": 100, "min_tx": 0}, False, True), got
    for words, error in (("min_tx_rate 10", "Invalid argument"), ("state disable", "Operation not supported"),
                         ("query_rss on", "Operation not supported"),
                         ("vlan 100 proto 802.1ad", "Protocol not supported")):
        assert error in set_vf(vm, pf, 1, words), words
    assert reported(vm, pf, 1) == got
    assert set_vf(vm, pf, 1, "spoofchk on") == "" and register(vm, pf, CHECKS) & 0x303 == 0x303
    drop_vfs(vm, pf)
    make_vfs(vm, pf, 2)
    assert reported(vm, pf, 1) == fresh
    drop_vfs(vm, pf)
    take_down(vm, pf)


@case("igb: a VM is told its MAC address by the card's driver, and takes another one only if trusted", **LAB)
def _(vm):
    pf = vm.pci("igb-a")
    vf = make_vfs(vm, pf, 1)[0]
    give_to_vfio(vm, vf)
    set_vf(vm, pf, 0, f"mac {MAC[0]}")
    bring_up(vm, pf)
    player = vm.spawn(["vm-player", vf])
    player.wait_for(f"seen 8086:10ca {MAC[0]}\n")
    player.write(f"mac 0 {OTHER}\n")
    player.wait_for("refused 0\n")
    assert reported(vm, pf, 0)["address"] == MAC[0]
    set_vf(vm, pf, 0, "trust on")
    player.write(f"mac 0 {OTHER}\n")
    player.wait_for("granted 0\n")
    assert reported(vm, pf, 0)["address"] == OTHER
    stop(player)
    drop_vfs(vm, pf)
    take_down(vm, pf)


@case("igb: a VF's frames leave with its VLAN's tag; a VF of that VLAN gets them without, and no other", **LAB)
def _(vm):
    pf, far = vm.pci("igb-a"), vm.pci("igb-b")
    made = make_vfs(vm, pf, 3)
    for index, vf in enumerate(made):
        give_to_vfio(vm, vf)
        set_vf(vm, pf, index, f"mac 02:00:00:00:aa:0{index}")
    set_vf(vm, pf, 0, "vlan 100 qos 5")
    set_vf(vm, pf, 1, "vlan 100")
    bring_up(vm, pf, far)
    wire, player = station(vm, far), vm.spawn(["vm-player", *made])
    player.wait_for("\n")

    player.write(f"send 0 {MAC[0]} {EVERYBODY} one\n")
    wire.wait_for(f"got {MAC[0]} {EVERYBODY} vlan 100/5 one\n")
    player.wait_for(f"got 1 {MAC[0]} {EVERYBODY} one\n")
    wire.write(f"{FAR} {MAC[0]} vlan 100/0 two\n")
    player.wait_for(f"got 0 {FAR} {MAC[0]} two\n")
    # What comes after it is there: so what came before it and is not, never came.
    wire.write(f"{FAR} {EVERYBODY} three\n")
    player.wait_for(f"got 2 {FAR} {EVERYBODY} three\n")
    assert [line for line in lines(player) if line.startswith("got 2")] == [f"got 2 {FAR} {EVERYBODY} three"]
    stop(player, wire)
    drop_vfs(vm, pf)
    take_down(vm, pf, far)


@case("igb: a VF by its cdev and iommufd sees its MAC address and sends", kernels=("cdev",), **LAB)
def _(vm):
    pf, far = vm.pci("igb-a"), vm.pci("igb-b")
    vm.sh("modprobe iommufd")
    vf = make_vfs(vm, pf, 1)[0]
    give_to_vfio(vm, vf)
    set_vf(vm, pf, 0, f"mac {MAC[0]}")
    bring_up(vm, pf, far)
    wire = station(vm, far)
    player = vm.spawn(["bash", "-c", f"exec 3<>/dev/iommu 4<>/dev/vfio/devices/$(ls {PCI}/devices/{vf}/vfio-dev) "
                       "vm-player --fds 1"])
    player.wait_for(f"seen 8086:10ca {MAC[0]}\n")
    player.write(f"send 0 {MAC[0]} {EVERYBODY} hello\n")
    wire.wait_for(f"got {MAC[0]} {EVERYBODY} hello\n")
    stop(player, wire)
    drop_vfs(vm, pf)
    take_down(vm, pf, far)


@case("NVMe: four VFs, each its own IOMMU set, each for a VM", **LAB)
def _(vm):
    pf = vm.pci("nvme")
    made = make_vfs(vm, pf, 4)
    assert {id_of(vm, vf) for vf in made} == {"1b36:0010"}
    assert len({vm.iommu_group(vf) for vf in [pf, *made]}) == 5
    for vf in made:
        give_to_vfio(vm, vf)
    player = vm.spawn(["vm-player", *made])
    player.wait_for("seen " + ", ".join(["1b36:0010"] * 4) + "\n")
    assert vm.driver(pf) == "nvme"
    stop(player)
    drop_vfs(vm, pf)


@case("a VM in the VM drives a VF, as a normal user: it knows its MAC address, and its frame has the tag",
      variant="qemu", kernels=("debian",), **LAB)
def _(vm):
    pf, far = vm.pci("igb-a"), vm.pci("igb-b")
    vf = make_vfs(vm, pf, 1)[0]
    give_to_vfio(vm, vf)
    set_vf(vm, pf, 0, f"mac {MAC[0]}")
    set_vf(vm, pf, 0, "vlan 100 qos 5")
    bring_up(vm, pf, far)
    wire = station(vm, far)
    vm.sh(f"setfacl -m u:alice:rw /dev/vfio/{vm.iommu_group(vf)}")
    nested = vm.spawn([*QEMU, "-device", f"vfio-pci,host={vf}"], user="alice")
    nested.wait_for("NESTED done", 60)
    assert f"NESTED 8086:10ca {MAC[0]} DMA\n".encode() in nested.stdout, nested.result().describe()
    wire.wait_for(f"got {MAC[0]} {EVERYBODY} vlan 100/5 nested\n")
    stop(nested, wire)
    drop_vfs(vm, pf)
    take_down(vm, pf, far)
