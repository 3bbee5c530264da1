# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks that the host needs stay, whatever lies between them and what needs them; what is idle may leave."""

from vmlab.cases import case, until

from safety import ONE, SAFETY, is_shown, let_admin, may_leave, missed, stays

MODULES = "raid1 dm-mod dm-crypt dm-multipath dm-round-robin btrfs ext4"


def disks(vm):
    """Addresses and nodes of the two."""
    addresses = [vm.pci("disk-a"), vm.pci("disk-b")]
    vm.sh(f"modprobe -a {MODULES}; mkdir -p /mnt/disk")
    return addresses, ["/dev/" + vm.sh(f"basename /sys/bus/pci/devices/{a}/nvme/nvme*/nvme*n1") for a in addresses]


def blank(vm, nodes):
    """As from the factory; udev has seen that, and acts on no signature any more."""
    vm.sh(f"for n in {' '.join(nodes)}; do wipefs -aq $n; done; udevadm settle")


@case("/ on LVM on md over two NVMe: neither leaves, by whatever consent; idle, with all signatures: both may",
      devices=SAFETY, kernels=ONE, deadline=240)
def _(vm):
    let_admin(vm)
    both, (a, b) = disks(vm)
    may_leave(vm, both)

    vm.sh(f"mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean {a} {b}")
    vm.sh("pvcreate -qqy /dev/md0; vgcreate -qq lab /dev/md0; lvcreate -qqy -L 32M -n root lab", timeout=60)
    # On top of the root that there is: processes keep that one, the mount table shows both.
    vm.sh("mke2fs -q -t ext4 /dev/lab/root; mount /dev/lab/root /")
    stays(vm, both, ["root-filesystem", "volume-member"], ("root-filesystem", "/dev/mapper/lab-root"),
          ("root-filesystem", "is mounted on /"))

    vm.sh("umount -l /")
    stays(vm, both, ["volume-member"])
    vm.sh("mount /dev/lab/root /mnt/disk")
    stays(vm, both, ["mounted", "volume-member"], ("mounted", "/mnt/disk"))
    vm.sh("umount /mnt/disk; vgchange -qq -an lab")
    stays(vm, both, ["volume-member"], ("volume-member", "md0"))

    vm.sh("mdadm --stop /dev/md0; udevadm settle")
    assert vm.sh(f"lsblk -no FSTYPE {a}") == "linux_raid_member", "there is an idle signature to be afraid of"
    may_leave(vm, both)
    blank(vm, [a, b])


@case("LUKS: mounted, open, closed", devices=SAFETY, kernels=ONE, deadline=120)
def _(vm):
    let_admin(vm)
    (one, other), (node, _other) = disks(vm)
    vm.sh(f"echo -n secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 {node} -; "
          f"echo -n secret | cryptsetup open --key-file - {node} vault", timeout=60)
    vm.sh("mke2fs -q -t ext4 /dev/mapper/vault; mount /dev/mapper/vault /mnt/disk")
    stays(vm, [one], ["mounted", "volume-member"], ("mounted", "/dev/mapper/vault is mounted on /mnt/disk"))
    may_leave(vm, [other], shown=False)
    vm.sh("umount /mnt/disk")
    stays(vm, [one], ["volume-member"], ("volume-member", "vault"))
    vm.sh("cryptsetup close vault; udevadm settle")
    assert vm.sh(f"lsblk -no FSTYPE {node}") == "crypto_LUKS"
    may_leave(vm, [one])
    blank(vm, [node])


@case("btrfs on two disks: both stay while it is mounted, in whatever mount namespace", devices=SAFETY, kernels=ONE,
      deadline=120)
def _(vm):
    let_admin(vm)
    both, (a, b) = disks(vm)
    vm.sh(f"mkfs.btrfs -qf -d raid1 -m raid1 {a} {b}; mount {a} /mnt/disk")
    stays(vm, both, ["mounted"], ("mounted", "is mounted on /mnt/disk"))
    assert f"{a} is mounted on /mnt/disk and has a member on" in missed(vm, both[1])["mounted"]
    vm.sh("umount /mnt/disk")
    until(is_shown(both[0], []), "it is seen to be gone", vm)

    hidden = vm.spawn(f"exec unshare -m sh -c 'mount {b} /mnt/disk && echo mounted && exec cat'")
    hidden.wait_for("mounted")
    stays(vm, both, ["mounted"], shown=False)
    hidden.close_stdin()
    hidden.wait(10)
    until(f"! grep -qs . /sys/fs/btrfs/*-*/devices/*/dev", "the kernel has let go of them", vm)
    may_leave(vm, both)
    blank(vm, [a, b])


@case("swap, and a partition that fstab mounts on /boot; unused", devices=SAFETY, kernels=ONE, deadline=120)
def _(vm):
    let_admin(vm)
    both, (a, _b) = disks(vm)
    vm.sh(f"addpart {a} 1 2048 100000; udevadm settle; busybox mkswap {a}p1; swapon {a}p1")
    stays(vm, both[:1], ["swap"], ("swap", f"{a}p1"))
    vm.sh(f"swapoff {a}p1; udevadm settle")
    may_leave(vm, both[:1])

    vm.sh(f"mke2fs -q -F -t ext4 {a}p1; udevadm settle")
    uuid = vm.sh(f"blkid -s UUID -o value {a}p1")
    try:
        vm.write("/etc/fstab", f"UUID={uuid} /boot ext4 noauto 0 0\n")
        stays(vm, both[:1], ["boot-disk"], ("boot-disk", "/boot"), shown=False)
        assert missed(vm, both[1]) == {}
    finally:
        vm.write("/etc/fstab", "")
    may_leave(vm, both, shown=False)
    vm.sh(f"delpart {a} 1")
    blank(vm, [a])


@case("the paths of a multipath stay while it is assembled, used or not", devices=SAFETY, kernels=ONE, deadline=120)
def _(vm):
    let_admin(vm)
    both, (a, b) = disks(vm)
    # The kernel takes two disks for two paths to one if it is told so.
    size = vm.sh(f"blockdev --getsz {b}")
    vm.sh("dmsetup create mpatha --uuid mpath-eui.lab --table "
          f"'0 {size} multipath 0 0 2 1 round-robin 0 1 1 {a} 1000 round-robin 0 1 1 {b} 1000'")
    stays(vm, both, ["volume-member"], ("volume-member", "mpatha"))
    vm.sh("dmsetup remove --retry mpatha; udevadm settle")
    may_leave(vm, both)
