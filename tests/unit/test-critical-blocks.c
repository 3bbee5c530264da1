/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocks-fixture.h"

/* Layouts of real hosts. test_refused_*: each device that has a part in it must stay, and no other. test_harmless_*: no
 * device has any reason to stay. */

#define ROOT BIT(ROOT_FILESYSTEM)
#define VOLUME BIT(VOLUME_MEMBER)

/* ---- The root file system ---- */

static void test_refused_root_on_a_partition(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "259:2", "/", "ext4", "/dev/nvme0n1p2");
        expect_all(h, ROOT, 0, 0, 0);
        expect_sentence(h, NVME0, CRITICAL_ROOT_FILESYSTEM,
                        "/dev/nvme0n1p2 is mounted on /; the host cannot");
}

/* As with the sandbox of a service: the same file system again elsewhere is nothing to unmount. */
static void test_refused_root_that_is_bound_elsewhere(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "259:2", "/home", "ext4", "/dev/nvme0n1p2");
        fake_host_mount(h, "259:2", "/", "ext4", "/dev/nvme0n1p2");
        fake_host_mount(h, "259:2", "/var/lib/service", "ext4", "/dev/nvme0n1p2");
        fake_host_link(h, "sys/fs/ext4/nvme0n1p2", "x");
        expect_all(h, ROOT, 0, 0, 0);
        fake_host_mount(h, "259:3", "/srv", "xfs", "/dev/nvme0n1p3");
        expect_all(h, ROOT | BIT(MOUNTED), 0, 0, 0);
}

/* In a container without a view of the host's mounts, or a service in a namespace of its own. */
static void test_refused_root_that_only_the_first_process_has(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "0:50", "/", "tmpfs", "tmpfs");
        add_process(h, 1, "systemd", "21 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n");
        expect_all(h, ROOT, 0, 0, 0);
}

static void test_refused_root_on_lvm_on_md_over_two_nvme(void **state) {
        FakeHost *h = *state;

        add_md(h, 0, "raid1", "clean", "nvme0n1p2 nvme1n1p2");
        add_md(h, 1, "raid1", "active", "nvme0n1p3 nvme1n1p3");
        add_dm(h, 0, "vg0-root", "LVM-a", "md1");
        add_dm(h, 1, "vg0-swap", "LVM-b", "md1");
        fake_host_mount(h, "253:0", "/", "ext4", "/dev/mapper/vg0-root");
        fake_host_mount(h, "9:0", "/boot", "ext4", "/dev/md0");
        fake_host_mount(h, "259:1", "/boot/efi", "vfat", "/dev/nvme0n1p1");
        fake_host_swap(h, "/dev/dm-1");
        expect_all(h, ROOT | VOLUME | BIT(MOUNTED) | BIT(SWAP) | BIT(BOOT_DISK),
                   ROOT | VOLUME | BIT(MOUNTED) | BIT(SWAP) | BIT(BOOT_DISK), 0, 0);
        expect_sentence(h, NVME1, CRITICAL_ROOT_FILESYSTEM,
                        "/dev/mapper/vg0-root is mounted on / and is on it");
        expect_sentence(h, NVME1, CRITICAL_MOUNTED, "/dev/md0 is mounted on /boot and has a member on it");
        expect_sentence(h, NVME1, CRITICAL_BOOT_DISK,
                        "/dev/md0 is mounted on /boot, which the next boot reads and has a member on it");
}

static void test_refused_root_on_lvm_on_luks(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "cr_root", "CRYPT-LUKS2-0123-cr_root", "nvme0n1p3");
        add_dm(h, 1, "vg-root", "LVM-a", "dm-0");
        fake_host_mount(h, "253:1", "/", "xfs", "/dev/mapper/vg-root");
        expect_all(h, ROOT | VOLUME, 0, 0, 0);
        expect_sentence(h, NVME0, CRITICAL_VOLUME_MEMBER,
                        "/dev/mapper/cr_root (LUKS) is on it, below /dev/mapper/vg-root (LVM); "
                        "'vgchange -an vg' first.");
}

static void test_refused_root_on_btrfs_over_two_disks(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "0:42", "/", "btrfs", "/dev/nvme0n1p2");
        fake_host_mount(h, "0:42", "/home", "btrfs", "/dev/nvme0n1p2");
        add_btrfs(h, "8e0d8a4d-0000-4000-8000-000000000000", "nvme0n1p2 nvme1n1p2");
        expect_all(h, ROOT, ROOT, 0, 0);
        expect_sentence(h, NVME1, CRITICAL_ROOT_FILESYSTEM,
                        "/dev/nvme0n1p2 is mounted on / and has a member on it");

        /* Another one beside it. */
        fake_host_mount(h, "0:43", "/srv", "btrfs", "/dev/sdb");
        add_btrfs(h, "8e0d8a4d-0000-4000-8000-000000000001", "sdb");
        expect_all(h, ROOT, ROOT, BIT(MOUNTED), 0);
}

static void test_refused_root_on_btrfs_on_luks(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "cr_a", "CRYPT-LUKS2-0123-cr_a", "nvme0n1p3");
        add_dm(h, 1, "cr_b", "CRYPT-LUKS2-4567-cr_b", "nvme1n1p3");
        fake_host_mount(h, "0:42", "/", "btrfs", "/dev/mapper/cr_a");
        add_btrfs(h, "8e0d8a4d-0000-4000-8000-000000000000", "dm-0 dm-1");
        expect_all(h, ROOT | VOLUME, ROOT | VOLUME, 0, 0);
}

/* Without an initramfs the kernel calls it /dev/root: then it can be any btrfs. */
static void test_refused_root_on_btrfs_of_an_unknown_source(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "0:42", "/", "btrfs", "/dev/root");
        add_btrfs(h, "8e0d8a4d-0000-4000-8000-000000000000", "nvme0n1p2 nvme1n1p2");
        expect_all(h, ROOT, ROOT, 0, 0);
}

static void test_refused_root_on_bcachefs(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "0:44", "/", "bcachefs", "/dev/nvme0n1p2:/dev/sda1");
        expect_all(h, ROOT, 0, ROOT, 0);
}

static void test_refused_root_on_a_zfs_mirror(void **state) {
        FakeHost *h = *state;

        add_zfs(h, "259:3", "rpool");
        add_zfs(h, "259:7", "rpool");
        fake_host_mkdir(h, "proc/spl/kstat/zfs/rpool");
        fake_host_mount(h, "0:30", "/", "zfs", "rpool/ROOT/debian");
        expect_all(h, ROOT | VOLUME, ROOT | VOLUME, 0, 0);
        expect_sentence(h, NVME1, CRITICAL_ROOT_FILESYSTEM,
                        "rpool/ROOT/debian is mounted on / and has a member on it");
}

/* "zpool import old new": the label on the disks is new, udev has not seen that. */
static void test_refused_root_on_zfs_that_was_renamed(void **state) {
        FakeHost *h = *state;

        add_zfs(h, "259:3", "old");
        fake_host_mount(h, "0:30", "/", "zfs", "new/ROOT/debian");
        expect_all(h, ROOT, 0, 0, 0);
}

static void test_refused_root_on_bcache(void **state) {
        FakeHost *h = *state;

        fake_host_add_block(h, "devices/virtual/block/bcache0", "252:0");
        stack(h, "bcache0", "sda1 nvme0n1p3");
        fake_host_mkdir(h, "sys/class/block/sda1/bcache");
        fake_host_mkdir(h, "sys/class/block/nvme0n1p3/bcache");
        fake_host_mount(h, "252:0", "/", "ext4", "/dev/bcache0");
        expect_all(h, ROOT | VOLUME, 0, ROOT | VOLUME, 0);
}

/* Two paths through two controllers, and partitions by kpartx. */
static void test_refused_root_on_multipath(void **state) {
        FakeHost *h = *state;

        add(h, "0000:00:08.0", 0x0c0400);
        add(h, "0000:00:09.0", 0x0c0400);
        fake_host_add_block(h, "devices/pci0000:00/0000:00:08.0/host7/rport-7:0-0/target7:0:0/block/sdx",
                            "65:0");
        fake_host_add_block(h, "devices/pci0000:00/0000:00:09.0/host8/rport-8:0-0/target8:0:0/block/sdy",
                            "65:16");
        add_dm(h, 0, "mpatha", "mpath-3600508b4", "sdx sdy");
        add_dm(h, 1, "mpatha-part2", "part2-mpath-3600508b4", "dm-0");
        fake_host_mount(h, "253:1", "/", "ext4", "/dev/mapper/mpatha-part2");
        expect(h, "0000:00:08.0", ROOT | VOLUME);
        expect(h, "0000:00:09.0", ROOT | VOLUME);
        expect_all(h, 0, 0, 0, 0);
}

/* Intel's: the container has no slaves in use, the array in it has partitions. */
static void test_refused_root_on_firmware_raid(void **state) {
        FakeHost *h = *state;

        add_md(h, 127, "", "inactive", "nvme0n1 nvme1n1");
        add_md(h, 126, "raid1", "active", "nvme0n1 nvme1n1");
        fake_host_add_block(h, "devices/virtual/block/md126/md126p2", "259:20");
        fake_host_mount(h, "259:20", "/", "ext4", "/dev/md126p2");
        expect_all(h, ROOT | VOLUME, ROOT | VOLUME, 0, 0);
        expect_sentence(h, NVME1, CRITICAL_ROOT_FILESYSTEM,
                        "/dev/md126p2 is mounted on / and has a member on it");
}

static void test_refused_root_on_dmraid(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "isw_abc_Volume0", "DMRAID-isw_abc_Volume0", "sda sdb");
        add_dm(h, 1, "isw_abc_Volume0p1", "part1-DMRAID-isw", "dm-0");
        fake_host_mount(h, "253:1", "/", "ext4", "/dev/mapper/isw_abc_Volume0p1");
        expect_all(h, 0, 0, ROOT | VOLUME, 0);
}

/* The namespace hangs below a virtual subsystem, and each path to it is a PCI device. */
static void add_nvme_with_two_paths(FakeHost *h) {
        add(h, "0000:00:06.0", 0x010802);
        add(h, "0000:00:07.0", 0x010802);
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:06.0/nvme/nvme2");
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:07.0/nvme/nvme3");
        fake_host_add_block(h, "devices/virtual/nvme-subsystem/nvme-subsys2/nvme2n1", "259:10");
        fake_host_add_block(h, "devices/virtual/nvme-subsystem/nvme-subsys2/nvme2n1/nvme2n1p1", "259:11");
        fake_host_link(h, "sys/devices/virtual/nvme-subsystem/nvme-subsys2/nvme2",
                       "../../../pci0000:00/0000:00:06.0/nvme/nvme2");
        fake_host_link(h, "sys/devices/virtual/nvme-subsystem/nvme-subsys2/nvme3",
                       "../../../pci0000:00/0000:00:07.0/nvme/nvme3");
        fake_host_write(h, "sys/devices/virtual/nvme-subsystem/nvme-subsys2/model", "x\n");
}

static void test_refused_root_on_nvme_with_native_multipath(void **state) {
        FakeHost *h = *state;

        add_nvme_with_two_paths(h);
        expect(h, "0000:00:06.0", 0);
        fake_host_mount(h, "259:11", "/", "ext4", "/dev/nvme2n1p1");
        expect(h, "0000:00:06.0", ROOT);
        expect(h, "0000:00:07.0", ROOT);
        expect_all(h, 0, 0, 0, 0);
}

static void test_refused_root_on_a_disk_behind_vmd(void **state) {
        FakeHost *h = *state;

        add(h, "0000:00:0e.0", 0x010400);
        add(h, "10000:e1:00.0", 0x010802);
        fake_host_add_block(h,
                            "devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0/"
                            "nvme/nvme5/nvme5n1",
                            "259:20");
        fake_host_mount(h, "259:20", "/", "ext4", "/dev/nvme5n1");
        expect(h, "0000:00:0e.0", ROOT);
        expect(h, "10000:e1:00.0", ROOT);
        expect_all(h, 0, 0, 0, 0);
}

static void test_refused_root_whatever_is_overridden(void **state _unused_) {
        assert_int_equal(CRITICAL_OVERRIDABLE & ROOT, 0);
        assert_int_equal(CRITICAL_WARNINGS & ROOT, 0);
}

/* ---- Other mounts, and where they are ---- */

static void test_refused_mounted_partition(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "259:1", "/mnt/my\\040disk", "ext4", "/dev/nvme0n1p1");
        expect_all(h, BIT(MOUNTED), 0, 0, 0);
        expect_sentence(h, NVME0, CRITICAL_MOUNTED,
                        "/dev/nvme0n1p1 is mounted on /mnt/my disk; unmount it first.");
}

static void test_refused_mounted_usb_stick(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "8:32", "/media/stick", "vfat", "/dev/sdc");
        expect_all(h, 0, 0, 0, BIT(MOUNTED));
}

static void test_refused_mounted_md_on_dm_on_two_disks(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "a", "CRYPT-LUKS2-0123-a", "nvme0n1");
        add_dm(h, 1, "b", "CRYPT-LUKS2-4567-b", "nvme1n1");
        add_md(h, 0, "raid0", "active", "dm-0 dm-1");
        fake_host_mount(h, "9:0", "/data", "xfs", "/dev/md0");
        expect_all(h, BIT(MOUNTED) | VOLUME, BIT(MOUNTED) | VOLUME, 0, 0);
}

static void test_refused_mounted_loop_over_a_disk(void **state) {
        FakeHost *h = *state;

        fake_host_add_block(h, "devices/virtual/block/loop0", "7:0");
        fake_host_write(h, "sys/class/block/loop0/loop/backing_file", "/dev/sdb\n");
        fake_host_mount(h, "7:0", "/mnt", "ext4", "/dev/loop0");
        expect_all(h, 0, 0, BIT(MOUNTED), 0);
}

static void test_refused_mounted_only_in_a_container(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        fake_host_mount(h, "259:2", "/", "ext4", "/dev/nvme0n1p2");
        add_process(h, 1, "systemd", "21 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw\n");
        assert_int_equal(load(h, &unwatched), 0);
        assert_false(unwatched);

        add_process(h, 1234, "postgres",
                    "400 300 0:60 / / rw - overlay overlay rw,lowerdir=/a\n"
                    "401 400 8:1 / /var/lib/postgresql rw - xfs /dev/sda1 rw\n");
        expect_all(h, ROOT, 0, BIT(MOUNTED), 0);
        expect_sentence(h, SATA, CRITICAL_MOUNTED,
                        "/dev/sda1 is mounted on /var/lib/postgresql in the mount namespace of process "
                        "1234 (postgres); end process 1234, or have it unmount it, first.");
        assert_int_equal(load(h, &unwatched), 0);
        assert_true(unwatched);
}

/* It is the root of that container, not of the host; nor does the host boot from what a container has on /boot. */
static void test_refused_mounted_root_of_a_container(void **state) {
        FakeHost *h = *state;

        add_process(h, 1234, "init",
                    "400 300 8:1 / / rw - ext4 /dev/sda1 rw\n"
                    "401 400 259:1 / /boot rw - ext4 /dev/nvme0n1p1 rw\n"
                    "402 400 259:5 / /efi rw - vfat /dev/nvme1n1p1 rw\n");
        expect_all(h, BIT(MOUNTED), BIT(MOUNTED), BIT(MOUNTED), 0);
}

/* Each chroot sees its part of the namespace only, under other names. */
static void test_refused_mounted_outside_of_a_chroot(void **state) {
        FakeHost *h = *state;

        add_process(h, 100, "in-chroot", "402 400 0:61 / /proc rw - proc proc rw\n");
        add_process(h, 101, "outside",
                    "402 400 0:61 / /chroot/proc rw - proc proc rw\n"
                    "403 400 8:1 / /srv rw - ext4 /dev/sda1 rw\n");
        expect_all(h, 0, 0, BIT(MOUNTED), 0);
}

static void test_refused_mounted_btrfs_only_in_a_container(void **state) {
        FakeHost *h = *state;

        add_process(h, 1234, "a", "400 300 0:42 / /srv rw - btrfs /dev/sdb rw\n");
        add_btrfs(h, "8e0d8a4d-0000-4000-8000-000000000000", "sda1 sdb nvme1n1");
        expect_all(h, 0, BIT(MOUNTED), BIT(MOUNTED), 0);
}

/* No process has it any more, or only a descriptor keeps the namespace: the kernel lists it all the same. */
static void test_refused_mounted_where_no_process_is(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        fake_host_link(h, "sys/fs/ext4/sda1", "x");
        fake_host_mkdir(h, "sys/fs/ext4/features");
        fake_host_mkdir(h, "sys/fs/xfs/nvme0n1p3");
        add_btrfs(h, "8e0d8a4d-0000-4000-8000-000000000000", "nvme1n1");
        expect_all(h, BIT(MOUNTED), BIT(MOUNTED), BIT(MOUNTED), 0);
        assert_int_equal(load(h, &unwatched), 0);
        assert_true(unwatched);
}

static void test_refused_swap_on_a_partition(void **state) {
        FakeHost *h = *state;

        fake_host_swap(h, "/dev/nvme1n1p2");
        expect_all(h, 0, BIT(SWAP), 0, 0);
        expect_sentence(h, NVME1, CRITICAL_SWAP, "the host swaps to /dev/nvme1n1p2; 'swapoff' it first.");
}

static void test_refused_swap_on_lvm_on_a_partition_of_an_array(void **state) {
        FakeHost *h = *state;

        add_md(h, 0, "raid10", "clean", "sda1 nvme0n1p3");
        fake_host_add_block(h, "devices/virtual/block/md0/md0p1", "259:20");
        add_dm(h, 3, "vg-swap", "LVM-a", "md0p1");
        fake_host_swap(h, "/dev/mapper/vg-swap");
        expect_all(h, BIT(SWAP) | VOLUME, 0, BIT(SWAP) | VOLUME, 0);
}

static void test_refused_swap_whose_node_has_another_name(void **state) {
        FakeHost *h = *state;

        fake_host_swap(h, "/dev/sda1\\040(deleted)");
        fake_host_append(h, "proc/swaps", "/mnt/dev/nvme0n1p3 partition\t8388604\t0\t-2\n");
        expect_all(h, BIT(SWAP), 0, BIT(SWAP), 0);
}

static void test_refused_swap_of_zram_that_writes_back_to_a_disk(void **state) {
        FakeHost *h = *state;

        fake_host_add_block(h, "devices/virtual/block/zram0", "252:0");
        fake_host_write(h, "sys/class/block/zram0/backing_dev", "/dev/sdb\n");
        fake_host_swap(h, "/dev/zram0");
        expect_all(h, 0, 0, BIT(SWAP), 0);
}

/* ---- Volumes that are assembled, with nothing of them in use ---- */

static void test_refused_idle_lvm_volume(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        add_dm(h, 0, "my--vg-data--1", "LVM-a", "sda1 sdb");
        add_dm(h, 1, "my--vg-data--2", "LVM-b", "sdb");
        expect_all(h, 0, 0, VOLUME, 0);
        expect_sentence(h, SATA, CRITICAL_VOLUME_MEMBER, " (LVM) is on it; 'vgchange -an my-vg' first.");
        assert_int_equal(load(h, &unwatched), 0);
        assert_false(unwatched); /* a uevent tells when it goes */
}

static void test_refused_idle_luks_that_is_open(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "backup", "CRYPT-LUKS1-0123-backup", "sdc");
        expect_all(h, 0, 0, 0, VOLUME);
        expect_sentence(h, USB, CRITICAL_VOLUME_MEMBER,
                        "/dev/mapper/backup (LUKS) is on it; 'cryptsetup close backup' first.");
}

static void test_refused_idle_md_array(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        add_md(h, 5, "raid1", "clean", "nvme0n1p3 nvme1n1p3");
        expect_all(h, VOLUME, VOLUME, 0, 0);
        expect_sentence(h, NVME0, CRITICAL_VOLUME_MEMBER,
                        "/dev/md5 (raid1) has a member on it; 'mdadm --stop /dev/md5' first.");
        assert_int_equal(load(h, &unwatched), 0);
        assert_false(unwatched);
}

static void test_refused_idle_md_array_that_is_not_complete(void **state) {
        FakeHost *h = *state;

        add_md(h, 127, "raid1", "inactive", "sdb");
        expect_all(h, 0, 0, VOLUME, 0);
        expect_sentence(h, SATA, CRITICAL_VOLUME_MEMBER, "/dev/md127 (raid1, inactive) has a member on it");
}

static void test_refused_idle_multipath(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "mpathb", "mpath-3600508b4", "sda sdb");
        expect_all(h, 0, 0, VOLUME, 0);
        expect_sentence(h, SATA, CRITICAL_VOLUME_MEMBER,
                        "/dev/mapper/mpathb (multipath) is on it; 'multipath -f mpathb' first.");
}

static void test_refused_idle_bcache_that_waits_for_its_cache(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        fake_host_mkdir(h, "sys/class/block/nvme1n1p1/bcache");
        fake_host_write(h, "sys/class/block/sdb/bcache/stop", "%s", "");
        expect_all(h, 0, VOLUME, VOLUME, 0);
        expect_sentence(h, SATA, CRITICAL_VOLUME_MEMBER,
                        "/dev/sdb is registered with bcache; write 1 to /sys/class/block/sdb/bcache/stop "
                        "first.");
        assert_int_equal(load(h, &unwatched), 0);
        assert_true(unwatched); /* nothing tells when it goes */
}

static void test_refused_idle_zfs_pool_that_is_imported(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        add_zfs(h, "8:16", "tank");
        add_dm(h, 0, "cr", "CRYPT-LUKS2-0123-cr", "nvme1n1p3");
        add_zfs(h, "253:0", "tank");
        expect_all(h, 0, VOLUME, 0, 0);
        assert_int_equal(load(h, &unwatched), 0);
        assert_false(unwatched);
        fake_host_mkdir(h, "proc/spl/kstat/zfs/tank");
        fake_host_write(h, "proc/spl/kstat/zfs/arcstats", "1\n");
        expect_all(h, 0, VOLUME, VOLUME, 0);
        expect_sentence(h, SATA, CRITICAL_VOLUME_MEMBER,
                        "the imported ZFS pool tank has a member on it; 'zpool export tank' first.");
        assert_int_equal(load(h, &unwatched), 0);
        assert_true(unwatched);
}

static void test_refused_idle_drbd_and_other_volumes(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        fake_host_add_block(h, "devices/virtual/block/drbd1", "147:1");
        stack(h, "drbd1", "sdb");
        assert_int_equal(load(h, &unwatched), 0);
        assert_true(unwatched);
        add_dm(h, 0, "by-hand", "", "nvme0n1p3");
        expect_all(h, VOLUME, 0, VOLUME, 0);
        expect_sentence(h, SATA, CRITICAL_VOLUME_MEMBER,
                        "/dev/drbd1 (DRBD) is on it; stop the volume first.");
        expect_sentence(h, NVME0, CRITICAL_VOLUME_MEMBER, "'dmsetup remove by-hand' first.");
}

/* Each member of each level, through partitions by kpartx, loop devices and native multipath. */
static void test_refused_idle_volumes_on_what_is_no_volume(void **state) {
        FakeHost *h = *state;

        add_nvme_with_two_paths(h);
        add_dm(h, 0, "sdb1", "part1-by-hand", "sdb");
        fake_host_add_block(h, "devices/virtual/block/loop0", "7:0");
        fake_host_write(h, "sys/class/block/loop0/loop/backing_file", "/dev/nvme1n1p1\n");
        add_md(h, 0, "linear", "clean", "dm-0 loop0 nvme2n1p1");
        expect_all(h, 0, VOLUME, VOLUME, 0);
        expect(h, "0000:00:06.0", VOLUME);
        expect(h, "0000:00:07.0", VOLUME);
}

/* While it is mounted it cannot go away without an event. */
static void test_volume_below_a_mount_is_watched(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        add_md(h, 0, "raid1", "clean", "nvme0n1p3 nvme1n1p3");
        add_dm(h, 0, "vg-srv", "LVM-a", "md0");
        fake_host_mount(h, "253:0", "/srv", "ext4", "/dev/mapper/vg-srv");
        assert_int_equal(load(h, &unwatched), 0);
        assert_false(unwatched);
}

/* ---- Harmless ---- */

static void test_harmless_idle_disks(void **state) {
        expect_all(*state, 0, 0, 0, 0);
}

/* The disk of another host, or of a guest: nothing of it is assembled. */
static void test_harmless_signatures(void **state) {
        FakeHost *h = *state;

        add_record(h, "8:0", "E:ID_FS_TYPE=LVM2_member\nE:ID_FS_USAGE=raid\n");
        add_record(h, "8:1", "E:ID_FS_TYPE=linux_raid_member\nE:ID_FS_USAGE=raid\n");
        add_record(h, "8:16", "E:ID_FS_TYPE=crypto_LUKS\nS:disk/by-uuid/0123\n");
        add_record(h, "8:32", "E:ID_FS_TYPE=bcache\n");
        add_filesystem(h, "259:1", "btrfs", "4567");
        add_filesystem(h, "259:5", "btrfs", "4567");
        add_zfs(h, "259:3", "tank");
        expect_all(h, 0, 0, 0, 0);
}

static void test_harmless_old_pool_beside_one_that_is_imported(void **state) {
        FakeHost *h = *state;

        add_zfs(h, "8:16", "old");
        add_zfs(h, "259:3", "rpool");
        fake_host_mkdir(h, "proc/spl/kstat/zfs/rpool");
        fake_host_mount(h, "0:30", "/", "zfs", "rpool/ROOT/debian");
        fake_host_mount(h, "0:31", "/home", "zfs", "rpool/home");
        expect_all(h, ROOT | VOLUME, 0, 0, 0);
}

static void test_harmless_what_another_disk_is_used_for(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "259:2", "/", "ext4", "/dev/nvme0n1p2");
        fake_host_mount(h, "259:1", "/boot/efi", "vfat", "/dev/nvme0n1p1");
        fake_host_swap(h, "/dev/nvme0n1p3");
        expect(h, NVME1, 0);
        expect(h, SATA, 0);
        expect(h, USB, 0);
}

static void test_harmless_empty_cd_drive(void **state) {
        FakeHost *h = *state;

        fake_host_add_block(h, "devices/pci0000:00/" SATA "/ata3/host2/target2:0:0/2:0:0:0/block/sr0",
                            "11:0");
        add_record(h, "11:0", "S:cdrom\nE:ID_CDROM=1\n");
        fake_host_write(h, "etc/fstab", "/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n");
        expect_all(h, 0, 0, 0, 0);
}

static void test_harmless_file_on_another_disk(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "259:2", "/", "ext4", "/dev/nvme0n1p2");
        fake_host_add_block(h, "devices/virtual/block/loop0", "7:0");
        fake_host_write(h, "sys/class/block/loop0/loop/backing_file", "/var/lib/snapd/snaps/core_1.snap\n");
        fake_host_mount(h, "7:0", "/snap/core/1", "squashfs", "/dev/loop0");
        fake_host_swap(h, "/swapfile");
        expect_all(h, ROOT, 0, 0, 0);
}

static void test_harmless_zram_swap(void **state) {
        FakeHost *h = *state;

        fake_host_add_block(h, "devices/virtual/block/zram0", "252:0");
        fake_host_write(h, "sys/class/block/zram0/backing_dev", "none\n");
        fake_host_swap(h, "/dev/zram0");
        expect_all(h, 0, 0, 0, 0);
}

/* The source of FUSE is whatever its user says; neither it nor a name counts. */
static void test_harmless_fuse_that_lies(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "0:70", "/tmp/user/mnt", "fuse.sshfs", "/dev/nvme0n1p1");
        fake_host_mount(h, "0:71", "/tmp/user/mnt2", "fuse", "/dev/sda1");
        add_process(h, 1234, "/dev/sdb",
                    "400 300 0:72 / / rw - fuse.btrfs /dev/sda1 rw\n"
                    "401 400 0:73 / /boot rw - fuse.zfs rpool rw\n"
                    "402 400 0:74 / /efi rw - tmpfs /dev/nvme1n1p1 rw\n");
        expect_all(h, 0, 0, 0, 0);
}

static void test_harmless_mounts_without_a_disk(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "0:50", "/", "overlay", "overlay");
        fake_host_mount(h, "0:51", "/srv", "nfs4", "server:/srv");
        fake_host_mount(h, "0:52", "/efi", "autofs", "systemd-1");
        fake_host_mount(h, "0:53", "/tmp", "tmpfs", "/dev/sda1");
        expect_all(h, 0, 0, 0, 0);
}

/* Made by hand to look into a guest's disk, as the kernel does of itself: nothing is mounted. */
static void test_harmless_partitions_by_kpartx(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "sdb1", "part1-by-hand", "sdb");
        add_dm(h, 1, "sdb2", "part2-by-hand", "sdb");
        expect_all(h, 0, 0, 0, 0);
}

static void test_harmless_loop_device_without_a_mount(void **state) {
        FakeHost *h = *state;

        fake_host_add_block(h, "devices/virtual/block/loop0", "7:0");
        fake_host_write(h, "sys/class/block/loop0/loop/backing_file", "/dev/sdb\n");
        expect_all(h, 0, 0, 0, 0);
}

/* ---- How it reads ---- */

/* The second table of a namespace is not read: what is wrong in it would be an error. */
static void test_each_namespace_is_read_once(void **state) {
        FakeHost *h = *state;

        add_process(h, 1, "systemd", "21 1 0:20 / / rw - tmpfs tmpfs rw\n");
        for (unsigned pid = 100; pid < 150; pid++)
                add_process(h, pid, "a", "21 1 0:20 / / rw - tmpfs tmpfs rw\nwrong\n");
        assert_int_equal(load(h, NULL), 0);
        add_process(h, 200, "b", "400 1 0:20 / / rw - tmpfs tmpfs rw\nwrong\n");
        assert_int_equal(load(h, NULL), -EBADMSG);
}

static void test_processes_that_end_meanwhile(void **state) {
        FakeHost *h = *state;

        fake_host_mkdir(h, "proc/100");
        add_process(h, 101, "empty", "");
        assert_int_equal(load(h, NULL), 0);
}

static void test_knowing_half_is_an_error(void **state) {
        static const char *const lines[] = {
                        "40 1 8:1 / /half rw\n",
                        "40 1 8 / / rw - ext4 /dev/sda rw\n",
                        "40 1 8:x / / rw - ext4 /dev/sda rw\n",
                        "40 1 8:1: / / rw - ext4 /dev/sda rw\n",
                        "40 1 -8:1 / / rw - ext4 /dev/sda rw\n",
                        "40 1 99999999999:1 / / rw - ext4 /dev/sda rw\n",
        };
        FakeHost *h = *state;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                add_process(h, 100, "a", lines[i]);
                assert_int_equal(load(h, NULL), -EBADMSG);
        }
        fake_host_remove(h, "proc/100");
        assert_int_equal(load(h, NULL), 0);

        fake_host_append(h, "proc/swaps", "/dev/nowhere partition 1 0 -2\n");
        assert_int_equal(load(h, NULL), -ENODEV);
        fake_host_remove(h, "proc/swaps");
        assert_int_equal(load(h, NULL), -ENOENT);
}

static void test_a_loop_of_slaves_ends(void **state) {
        FakeHost *h = *state;

        add_dm(h, 0, "a", "", "sda1");
        add_dm(h, 1, "b", "", "dm-0");
        stack(h, "dm-0", "dm-1");
        expect(h, SATA, VOLUME);
        fake_host_mount(h, "253:0", "/", "ext4", "/dev/dm-0");
        assert_int_equal(load(h, NULL), -ELOOP);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_refused_root_on_a_partition),
                        CASE(test_refused_root_that_is_bound_elsewhere),
                        CASE(test_refused_root_that_only_the_first_process_has),
                        CASE(test_refused_root_on_lvm_on_md_over_two_nvme),
                        CASE(test_refused_root_on_lvm_on_luks),
                        CASE(test_refused_root_on_btrfs_over_two_disks),
                        CASE(test_refused_root_on_btrfs_on_luks),
                        CASE(test_refused_root_on_btrfs_of_an_unknown_source),
                        CASE(test_refused_root_on_bcachefs),
                        CASE(test_refused_root_on_a_zfs_mirror),
                        CASE(test_refused_root_on_zfs_that_was_renamed),
                        CASE(test_refused_root_on_bcache),
                        CASE(test_refused_root_on_multipath),
                        CASE(test_refused_root_on_firmware_raid),
                        CASE(test_refused_root_on_dmraid),
                        CASE(test_refused_root_on_nvme_with_native_multipath),
                        CASE(test_refused_root_on_a_disk_behind_vmd),
                        cmocka_unit_test(test_refused_root_whatever_is_overridden),
                        CASE(test_refused_mounted_partition),
                        CASE(test_refused_mounted_usb_stick),
                        CASE(test_refused_mounted_md_on_dm_on_two_disks),
                        CASE(test_refused_mounted_loop_over_a_disk),
                        CASE(test_refused_mounted_only_in_a_container),
                        CASE(test_refused_mounted_root_of_a_container),
                        CASE(test_refused_mounted_outside_of_a_chroot),
                        CASE(test_refused_mounted_btrfs_only_in_a_container),
                        CASE(test_refused_mounted_where_no_process_is),
                        CASE(test_refused_swap_on_a_partition),
                        CASE(test_refused_swap_on_lvm_on_a_partition_of_an_array),
                        CASE(test_refused_swap_whose_node_has_another_name),
                        CASE(test_refused_swap_of_zram_that_writes_back_to_a_disk),
                        CASE(test_refused_idle_lvm_volume),
                        CASE(test_refused_idle_luks_that_is_open),
                        CASE(test_refused_idle_md_array),
                        CASE(test_refused_idle_md_array_that_is_not_complete),
                        CASE(test_refused_idle_multipath),
                        CASE(test_refused_idle_bcache_that_waits_for_its_cache),
                        CASE(test_refused_idle_zfs_pool_that_is_imported),
                        CASE(test_refused_idle_drbd_and_other_volumes),
                        CASE(test_refused_idle_volumes_on_what_is_no_volume),
                        CASE(test_volume_below_a_mount_is_watched),
                        CASE(test_harmless_idle_disks),
                        CASE(test_harmless_signatures),
                        CASE(test_harmless_old_pool_beside_one_that_is_imported),
                        CASE(test_harmless_what_another_disk_is_used_for),
                        CASE(test_harmless_empty_cd_drive),
                        CASE(test_harmless_file_on_another_disk),
                        CASE(test_harmless_zram_swap),
                        CASE(test_harmless_fuse_that_lies),
                        CASE(test_harmless_mounts_without_a_disk),
                        CASE(test_harmless_partitions_by_kpartx),
                        CASE(test_harmless_loop_device_without_a_mount),
                        CASE(test_each_namespace_is_read_once),
                        CASE(test_processes_that_end_meanwhile),
                        CASE(test_knowing_half_is_an_error),
                        CASE(test_a_loop_of_slaves_ends),
        };

        return cmocka_run_group_tests_name("critical-blocks", tests, NULL, NULL);
}
