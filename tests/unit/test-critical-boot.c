/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "blocks-fixture.h"

/* What the next boot needs, mounted or not. test_refused_*: this disk must stay, and no other. test_harmless_*: no
 * device has any reason to stay. */

#define BOOT BIT(BOOT_DISK)

static void test_refused_boot_partition_that_is_mounted(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "259:1", "/mnt", "ext4", "/dev/nvme0n1p1");
        fake_host_mount(h, "259:1", "/boot", "ext4", "/dev/nvme0n1p1");
        fake_host_mount(h, "8:1", "/boot/firmware", "vfat", "/dev/sda1");
        fake_host_mount(h, "8:32", "/bootstrap", "vfat", "/dev/sdc");
        expect_all(h, BOOT | BIT(MOUNTED), 0, BOOT | BIT(MOUNTED), BIT(MOUNTED));
        expect_sentence(h, NVME0, CRITICAL_BOOT_DISK,
                        "/dev/nvme0n1p1 is mounted on /boot, which the next boot reads; boot from another "
                        "disk first.");
}

static void test_refused_boot_pool_of_zfs(void **state) {
        FakeHost *h = *state;

        add_zfs(h, "259:2", "bpool");
        add_zfs(h, "259:3", "rpool");
        add_zfs(h, "259:6", "bpool");
        fake_host_mount(h, "0:30", "/", "zfs", "rpool/ROOT/ubuntu");
        fake_host_mount(h, "0:31", "/boot", "zfs", "bpool/BOOT/ubuntu");
        expect_all(h, BIT(ROOT_FILESYSTEM) | BIT(MOUNTED) | BOOT, BIT(MOUNTED) | BOOT, 0, 0);
}

static void test_refused_boot_partition_that_fstab_has(void **state) {
        FakeHost *h = *state;

        add_filesystem(h, "259:1", "ext4", "8e0d8a4d-1111-4000-8000-000000000000");
        add_filesystem(h, "259:5", "ext4", "8e0d8a4d-2222-4000-8000-000000000000");
        fake_host_write(h, "etc/fstab",
                        "# <file system> <mount point>\n"
                        "UUID=8e0d8a4d-1111-4000-8000-000000000000 /boot ext4 noauto 0 2\n");
        expect_all(h, BOOT, 0, 0, 0);
        expect_sentence(h, NVME0, CRITICAL_BOOT_DISK,
                        "/etc/fstab has UUID=8e0d8a4d-1111-4000-8000-000000000000 on it for /boot; boot "
                        "from");
}

/* Each way of naming it, each with the options that keep it out of the boot: firmware does not know those. */
static void test_refused_esp_by_each_name(void **state) {
        static const char *const names[] = {
                        "UUID=AB12-cd34",
                        "UUID=\"ab12-CD34\"",
                        "/dev/disk/by-uuid/AB12-CD34",
                        "PARTUUID=0C0FFEE0-0000-4000-8000-000000000001",
                        "LABEL=EFI\\040SYSTEM",
                        "LABEL=\"EFI\\040SYSTEM\"",
                        "/dev/disk/by-label/EFI\\134x20SYSTEM",
                        "/dev/disk/by-label/EFI\\x20SYSTEM",
                        "PARTLABEL=esp",
                        "ID=ata-disk-part1",
                        "/dev/sda1",
                        "/dev/disk/by-id/ata-disk-part1",
        };
        FakeHost *h = *state;

        add_record(h, "8:1",
                   "S:disk/by-uuid/AB12-CD34\nS:disk/by-label/EFI\\x20SYSTEM\nS:disk/by-id/ata-disk-part1\n"
                   "S:disk/by-partuuid/0c0ffee0-0000-4000-8000-000000000001\nS:disk/by-partlabel/esp\n");
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                fake_host_write(h, "etc/fstab", "%s /boot/efi vfat noauto,nofail 0 1\n", names[i]);
                expect_all(h, 0, 0, BOOT, 0);
        }
}

static void test_refused_root_of_the_next_boot(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "259:2", "/", "ext4", "/dev/nvme0n1p2");
        fake_host_write(h, "etc/fstab", "/dev/nvme0n1p2 / ext4 errors=remount-ro 0 1\n");
        expect_all(h, BIT(ROOT_FILESYSTEM), 0, 0, 0);
        fake_host_write(h, "etc/fstab", "/dev/nvme1n1p2 / ext4 errors=remount-ro 0 1\n");
        expect_all(h, BIT(ROOT_FILESYSTEM), BOOT, 0, 0);
}

/* Of the root file system there is no more to tell. */
static void test_refused_root_with_boot_on_it(void **state) {
        FakeHost *h = *state;

        fake_host_mount(h, "0:42", "/", "btrfs", "/dev/nvme0n1p2");
        fake_host_mount(h, "0:42", "/boot", "btrfs", "/dev/nvme0n1p2");
        fake_host_write(h, "etc/fstab", "/dev/nvme0n1p2 /boot btrfs subvol=@boot 0 0\n");
        expect_all(h, BIT(ROOT_FILESYSTEM), 0, 0, 0);
}

static void test_refused_boot_volume_that_fstab_has(void **state) {
        FakeHost *h = *state;
        bool unwatched;

        add_md(h, 0, "raid1", "clean", "nvme0n1p1 nvme1n1p1");
        add_dm(h, 0, "vg-usr", "LVM-a", "sda1");
        fake_host_write(h, "etc/fstab",
                        "/dev/md0 /boot ext4 defaults 0 2\n"
                        "/dev/mapper/vg-usr /usr ext4 defaults 0 2\n");
        expect_all(h, BOOT | BIT(VOLUME_MEMBER), BOOT | BIT(VOLUME_MEMBER), BOOT | BIT(VOLUME_MEMBER), 0);
        assert_int_equal(load(h, &unwatched), 0);
        assert_false(unwatched);

        /* What the next boot needs can go in this one, and not all tell of it. */
        fake_host_append(h, "etc/fstab", "/dev/sdb /opt ext4 defaults 0 2\n");
        fake_host_mkdir(h, "sys/class/block/sdb/bcache");
        assert_int_equal(load(h, &unwatched), 0);
        assert_true(unwatched);
}

/* Without it systemd's local-fs.target fails, and the next boot ends in the emergency shell. */
static void test_refused_data_disk_without_which_the_boot_fails(void **state) {
        FakeHost *h = *state;

        add_filesystem(h, "8:16", "xfs", "0123-4567");
        fake_host_write(h, "etc/fstab", "UUID=0123-4567 /srv xfs defaults\n");
        expect_all(h, 0, 0, BOOT, 0);
        expect_sentence(h, SATA, CRITICAL_BOOT_DISK,
                        "/etc/fstab has UUID=0123-4567 on it for /srv; add 'nofail' to its line there "
                        "first, or the next boot fails.");
}

/* By systemd-gpt-auto-generator, which finds it on the disk that the loader came from. */
static void test_refused_automount_of_efi(void **state) {
        FakeHost *h = *state;

        add_record(h, "259:1", "S:disk/by-partuuid/0c0ffee0-0000-4000-8000-000000000001\n");
        fake_host_mount(h, "0:52", "/efi", "autofs", "systemd-1");
        expect_all(h, 0, 0, 0, 0);
        fake_host_write(h, "run/systemd/generator.late/efi.mount",
                        "# Automatically generated\n[Unit]\nDescription=EFI System Partition Automount\n\n"
                        "[Mount]\nWhat=/dev/disk/by-partuuid/0c0ffee0-0000-4000-8000-000000000001\n"
                        "Where=/efi\nType=vfat\n");
        expect_all(h, BOOT, 0, 0, 0);
        expect_sentence(h, NVME0, CRITICAL_BOOT_DISK,
                        "/run/systemd/generator.late/efi.mount has /dev/disk/by");
}

static void test_refused_mount_unit_of_boot(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "etc/systemd/system/boot.mount", "[Mount]\nWhat= /dev/sdb\nWhere=/boot\n");
        expect_all(h, 0, 0, BOOT, 0);
}

static void test_refused_disk_of_the_boot_loader(void **state) {
        FakeHost *h = *state;

        add_record(h, "259:1", "S:disk/by-partuuid/0c0ffee0-0000-4000-8000-000000000001\n");
        add_record(h, "259:5", "S:disk/by-partuuid/0c0ffee0-0000-4000-8000-000000000002\n");
        set_loader_partition(h, "0C0FFEE0-0000-4000-8000-000000000001");
        expect_all(h, BOOT, 0, 0, 0);
        expect_sentence(h, NVME0, CRITICAL_BOOT_DISK,
                        "the boot loader was started from partition 0C0FFEE0-0000-4000-8000-000000000001 of "
                        "it");
}

static void test_refused_both_copies_while_neither_is_mounted(void **state) {
        FakeHost *h = *state;

        add_filesystem(h, "259:1", "ext4", "0123");
        add_filesystem(h, "8:1", "ext4", "0123");
        fake_host_write(h, "etc/fstab", "UUID=0123 /boot ext4 defaults 0 2\n");
        expect_all(h, BOOT, 0, BOOT, 0);
}

static void test_harmless_copy_of_the_hosts_disk(void **state) {
        FakeHost *h = *state;

        add_filesystem(h, "259:2", "ext4", "0123");
        add_filesystem(h, "8:1", "ext4", "0123");
        add_filesystem(h, "259:1", "vfat", "4567");
        add_filesystem(h, "8:16", "vfat", "4567");
        fake_host_mount(h, "259:2", "/", "ext4", "/dev/nvme0n1p2");
        fake_host_mount(h, "259:1", "/boot/efi", "vfat", "/dev/nvme0n1p1");
        fake_host_write(h, "etc/fstab",
                        "UUID=0123 / ext4 defaults 0 1\nUUID=4567 /boot/efi vfat defaults 0 1\n");
        expect_all(h, BIT(ROOT_FILESYSTEM) | BIT(MOUNTED) | BOOT, 0, 0, 0);
}

static void test_harmless_data_disks_that_the_boot_does_without(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "etc/fstab",
                        "/dev/sda1 /srv/a ext4 noauto 0 2\n"
                        "/dev/sdb /srv/b ext4 defaults,nofail,x-systemd.device-timeout=5 0 2\n"
                        "/dev/sdc /srv/c vfat noauto,x-systemd.automount,users 0 0\n"
                        "/dev/nvme0n1p1 /srv/d gfs2 _netdev 0 0\n"
                        "#/dev/nvme1n1p1 /srv/e ext4 defaults 0 2\n");
        expect_all(h, 0, 0, 0, 0);
}

/* A boot waits for it a while, and goes on. */
static void test_harmless_swap_of_fstab_that_is_off(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "etc/fstab",
                        "/dev/sda1 none swap sw 0 0\n/dev/sdb swap swap defaults 0 0\n"
                        "/dev/sdc /swap swap sw 0 0\n");
        expect_all(h, 0, 0, 0, 0);
}

static void test_harmless_esp_of_a_guest(void **state) {
        FakeHost *h = *state;

        add_record(h, "8:1",
                   "S:disk/by-partuuid/0c0ffee0-0000-4000-8000-000000000003\nS:disk/by-uuid/AB12-CD34\n"
                   "S:disk/by-partlabel/EFI\\x20System\\x20Partition\n"
                   "E:ID_PART_ENTRY_TYPE=c12a7328-f81f-11d2-ba4b-00a0c93ec93b\nE:ID_FS_TYPE=vfat\n");
        fake_host_mount(h, "259:1", "/boot/efi", "vfat", "/dev/nvme0n1p1");
        fake_host_write(h, "etc/fstab", "UUID=AB12-CD35 /boot/efi vfat umask=0077 0 1\n");
        set_loader_partition(h, "0c0ffee0-0000-4000-8000-000000000001");
        expect_all(h, BIT(MOUNTED) | BOOT, 0, 0, 0);
}

static void test_harmless_fstab_without_disks(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "etc/fstab",
                        "tmpfs /tmp tmpfs defaults 0 0\n"
                        "server:/srv /srv nfs defaults 0 0\n"
                        "/srv/boot /boot none bind 0 0\n"
                        "/dev/ /boot ext4 defaults 0 0\n"
                        "UUID= /efi vfat defaults 0 0\n"
                        "LABEL=\" /efi vfat defaults 0 0\n"
                        "/dev/sdz1 /boot/efi vfat defaults 0 0\n"
                        "half\n");
        expect_all(h, 0, 0, 0, 0);
}

static void test_harmless_loader_that_says_nonsense(void **state) {
        FakeHost *h = *state;

        add_record(h, "259:1", "S:disk/by-partuuid/0c0ffee0\n");
        set_loader_partition(h, "");
        expect_all(h, 0, 0, 0, 0);
        set_loader_partition(h, "0c0ffee0\x01");
        expect_all(h, 0, 0, 0, 0);
        set_loader_partition(h, "0c0ffee0");
        expect_all(h, BOOT, 0, 0, 0);
}

/* What does not fit into the buffer is cut, and the line behind it is a line of its own. */
static void test_fstab_with_lines_longer_than_the_buffer(void **state) {
        FakeHost *h = *state;
        char options[9000];

        memset(options, 'x', sizeof options - 1);
        options[sizeof options - 1] = '\0';
        fake_host_write(h, "etc/fstab",
                        "/dev/sda1 /boot ext4 %s 0 2\n# %s\n/dev/nvme0n1p1 /efi vfat defaults 0 2", options,
                        options);
        expect_all(h, BOOT, 0, BOOT, 0);
        /* Nothing of a comment, or of options, is taken for an entry of its own. */
        memcpy(options + 4090, " /dev/sdc /boot ext4 ", 21);
        fake_host_write(h, "etc/fstab", "# %s\n/dev/sda1 /boot ext4 %s\n", options, options);
        expect_all(h, 0, 0, BOOT, 0);
}

/* Nobody keeps a list as long as root likes. */
static void test_fstab_without_an_end(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "etc/fstab", "%s", "");
        for (int i = 0; i < 4097; i++)
                fake_host_append(h, "etc/fstab", "/dev/sdz%d /srv/%d ext4 defaults 0 2\n", i, i);
        assert_int_equal(load(h, NULL), -E2BIG);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_refused_boot_partition_that_is_mounted),
                        CASE(test_refused_boot_pool_of_zfs),
                        CASE(test_refused_boot_partition_that_fstab_has),
                        CASE(test_refused_esp_by_each_name),
                        CASE(test_refused_root_of_the_next_boot),
                        CASE(test_refused_root_with_boot_on_it),
                        CASE(test_refused_boot_volume_that_fstab_has),
                        CASE(test_refused_data_disk_without_which_the_boot_fails),
                        CASE(test_refused_automount_of_efi),
                        CASE(test_refused_mount_unit_of_boot),
                        CASE(test_refused_disk_of_the_boot_loader),
                        CASE(test_refused_both_copies_while_neither_is_mounted),
                        CASE(test_harmless_copy_of_the_hosts_disk),
                        CASE(test_harmless_data_disks_that_the_boot_does_without),
                        CASE(test_harmless_swap_of_fstab_that_is_off),
                        CASE(test_harmless_esp_of_a_guest),
                        CASE(test_harmless_fstab_without_disks),
                        CASE(test_harmless_loader_that_says_nonsense),
                        CASE(test_fstab_with_lines_longer_than_the_buffer),
                        CASE(test_fstab_without_an_end),
        };

        return cmocka_run_group_tests_name("critical-boot", tests, NULL, NULL);
}
