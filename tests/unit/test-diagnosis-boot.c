/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How the kernel command line is changed: one case for each boot loader, with the files that it leaves. */

#include "diagnosis-fixture.h"

#define LOADER_INFO "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
#define REBOOT "systemctl reboot\n"

static const DiagnosisFinding *expect_missing(Clinic *c) {
        return clinic_expect(c, "kernel-command-line", DIAGNOSIS_ERROR, "intel_iommu=on does not stand");
}

static void expect_commands(const DiagnosisFinding *f, const char *commands) {
        assert_string_equal(clinic_commands(f), commands);
}

static void expect_advice(const DiagnosisFinding *f, const char *text) {
        if (!strstr(f->remedy, text))
                fail_msg("\"%s\" is not in \"%s\"", text, f->remedy);
}

/* Of all cases: VT-d is there, and not switched on. */
static int setup(void **state) {
        Clinic *c;

        (void)clinic_setup(state);
        c = *state;
        fake_host_remove(c->host, "sys/class/iommu/dmar0");
        return 0;
}

static int setup_without_grub(void **state) {
        Clinic *c;

        (void)setup(state);
        c = *state;
        fake_host_remove(c->host, "etc/default/grub");
        clinic_line(c, "initrd=\\initrd root=/dev/sda1 ro quiet");
        return 0;
}

static void test_grub_of_debian(void **state) {
        Clinic *c = *state;

        expect_commands(expect_missing(c),
                        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on\"\nupdate-grub\n" REBOOT);
        expect_advice(expect_missing(c), "add intel_iommu=on: put this into /etc/default/grub");

        /* One that nobody has told GRUB of. */
        fake_host_write(c->host, "etc/default/grub", "GRUB_CMDLINE_LINUX=\"intel_iommu=on\"\n");
        expect_commands(expect_missing(c), "update-grub\n" REBOOT);
        expect_advice(expect_missing(c), "it is so already");

        /* What has to go leaves both variables. */
        fake_host_write(c->host, "etc/default/grub",
                        "GRUB_CMDLINE_LINUX_DEFAULT='quiet iommu=off'\nGRUB_CMDLINE_LINUX=\"intel_iommu=off "
                        "\\$x\"\n");
        clinic_line(c, "BOOT_IMAGE=/vmlinuz intel_iommu=off quiet iommu=off");
        expect_commands(clinic_expect(c, "kernel-command-line", DIAGNOSIS_ERROR, "intel_iommu=off switches"),
                        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on\"\nGRUB_CMDLINE_LINUX=\"\\$x\"\n"
                        "update-grub\n" REBOOT);
        expect_advice(clinic_find(c, "kernel-command-line", 0),
                      "take out intel_iommu=off, iommu=off and add intel_iommu=on");
}

static void test_grub_in_parts(void **state) {
        Clinic *c = *state;

        fake_host_write(c->host, "etc/default/grub.d/50-cloud.cfg", "GRUB_CMDLINE_LINUX_DEFAULT=\"a=b\"\n");
        fake_host_write(c->host, "etc/default/grub.d/60-other.cfg", "GRUB_TIMEOUT=0\n");
        fake_host_write(c->host, "etc/default/grub.d/90-none.txt", "GRUB_CMDLINE_LINUX_DEFAULT=c\n");
        expect_commands(expect_missing(c),
                        "GRUB_CMDLINE_LINUX_DEFAULT=\"a=b intel_iommu=on\"\nupdate-grub\n" REBOOT);
        expect_advice(expect_missing(c), "/etc/default/grub.d/50-cloud.cfg");

        /* What a shell would have to expand is not guessed at. */
        fake_host_write(c->host, "etc/default/grub.d/70-more.cfg",
                        "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT d\"\n");
        expect_commands(expect_missing(c), "update-grub\n" REBOOT);
        expect_advice(expect_missing(c), "In /etc/default/grub.d/70-more.cfg add intel_iommu=on in "
                                         "GRUB_CMDLINE_LINUX_DEFAULT");
}

static void test_grub_of_others(void **state) {
        Clinic *c = *state;

        fake_host_remove(c->host, "usr/sbin/update-grub");
        fake_host_write(c->host, "etc/default/grub", "GRUB_CMDLINE_LINUX=\"rhgb quiet\"\n");
        expect_commands(expect_missing(c), "GRUB_CMDLINE_LINUX=\"rhgb quiet intel_iommu=on\"\ngrub-mkconfig "
                                           "-o /boot/grub/grub.cfg\n" REBOOT);
        fake_host_write(c->host, "usr/sbin/grub2-mkconfig", "%s", "");
        expect_commands(expect_missing(c),
                        "GRUB_CMDLINE_LINUX=\"rhgb quiet intel_iommu=on\"\ngrub2-mkconfig -o "
                        "/boot/grub2/grub.cfg\n" REBOOT);

        fake_host_write(c->host, "usr/sbin/grubby", "%s", "");
        expect_commands(expect_missing(c), "grubby --update-kernel=ALL --args='intel_iommu=on'\n" REBOOT);
        clinic_line(c, "BOOT_IMAGE=(hd0)/vmlinuz pci=nomsi,noaer amd_iommu=off");
        expect_commands(clinic_find(c, "kernel-command-line", 0),
                        "grubby --update-kernel=ALL --remove-args='amd_iommu=off pci=nomsi,noaer' "
                        "--args='pci=noaer intel_iommu=on'\n" REBOOT);
}

static void write_loader_info(Clinic *c, const char *text) {
        char data[128] = {7};
        size_t n = 4;

        for (; *text; text++, n += 2)
                data[n] = *text;
        fake_host_write_bytes(c->host, LOADER_INFO, data, n + 2);
}

static void test_systemd_boot(void **state) {
        Clinic *c = *state;

        write_loader_info(c, "systemd-boot 252.22");
        fake_host_write(c->host, "etc/default/grub",
                        "GRUB_CMDLINE_LINUX=\"\"\n"); /* what is left of another */
        expect_commands(expect_missing(c), "options root=/dev/sda1 ro quiet intel_iommu=on\n" REBOOT);
        expect_advice(expect_missing(c), "bootctl list");

        fake_host_write(c->host, "usr/bin/kernel-install", "%s", "");
        expect_commands(expect_missing(c),
                        "root=/dev/sda1 ro quiet intel_iommu=on\n"
                        "kernel-install add " RELEASE " /boot/vmlinuz-" RELEASE "\n" REBOOT);
        fake_host_write(c->host, "etc/kernel/cmdline", "root=/dev/sda1 rw\n");
        fake_host_write(c->host, "lib/modules/" RELEASE "/vmlinuz", "%s", "");
        expect_commands(expect_missing(c),
                        "root=/dev/sda1 rw intel_iommu=on\n"
                        "kernel-install add " RELEASE " /lib/modules/" RELEASE "/vmlinuz\n" REBOOT);
        expect_advice(expect_missing(c), "/etc/kernel/cmdline");

        fake_host_write(c->host, "etc/kernel/cmdline", "root=/dev/sda1 rw intel_iommu=on\n");
        expect_commands(expect_missing(c),
                        "kernel-install add " RELEASE " /lib/modules/" RELEASE "/vmlinuz\n" REBOOT);
        expect_advice(expect_missing(c), "it is so already");

        fake_host_write(c->host, "etc/kernel/cmdline", "root=ZFS=rpool\n");
        fake_host_write(c->host, "usr/sbin/proxmox-boot-tool", "%s", "");
        expect_commands(expect_missing(c),
                        "root=ZFS=rpool intel_iommu=on\nproxmox-boot-tool refresh\n" REBOOT);
}

/* GRUB 2.12 says who it is, too; and nobody can make us read on. */
static void test_what_loaders_say(void **state) {
        Clinic *c = *state;
        char junk[300];

        write_loader_info(c, "GRUB 2.12");
        expect_commands(expect_missing(c),
                        "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on\"\nupdate-grub\n" REBOOT);
        memset(junk, 's', sizeof junk);
        fake_host_write_bytes(c->host, LOADER_INFO, junk, sizeof junk);
        expect_advice(expect_missing(c), "/etc/default/grub");
        fake_host_write_bytes(c->host, LOADER_INFO, junk, 3);
        expect_advice(expect_missing(c), "/etc/default/grub");
}

static void test_extlinux(void **state) {
        Clinic *c = *state;

        fake_host_remove(c->host, "sys/firmware/efi");
        fake_host_write(c->host, "boot/extlinux/extlinux.conf",
                        "default l0\nlabel l0\n\tlinux /vmlinuz\n\tAPPEND root=/dev/mmcblk0p2 rw\nlabel l1\n"
                        "\tappend single\n");
        expect_commands(expect_missing(c), "append root=/dev/mmcblk0p2 rw intel_iommu=on\n" REBOOT);
        expect_advice(expect_missing(c), "/boot/extlinux/extlinux.conf");

        fake_host_write(c->host, "usr/sbin/u-boot-update", "%s", "");
        fake_host_write(c->host, "etc/default/u-boot", "#U_BOOT_PARAMETERS=\"x\"\n");
        expect_commands(expect_missing(c), "u-boot-update\n" REBOOT);
        fake_host_write(c->host, "etc/default/u-boot", "U_BOOT_PARAMETERS=\"ro quiet\"\n");
        expect_commands(expect_missing(c),
                        "U_BOOT_PARAMETERS=\"ro quiet intel_iommu=on\"\nu-boot-update\n" REBOOT);
}

static void test_firmware_of_a_board(void **state) {
        Clinic *c = *state;

        fake_host_remove(c->host, "sys/firmware/efi");
        fake_host_write(c->host, "boot/cmdline.txt", "old\n");
        expect_commands(expect_missing(c), "old intel_iommu=on\n" REBOOT);
        fake_host_write(c->host, "boot/firmware/cmdline.txt", "console=tty1 root=PARTUUID=1-2\n");
        expect_commands(expect_missing(c), "console=tty1 root=PARTUUID=1-2 intel_iommu=on\n" REBOOT);
        expect_advice(expect_missing(c), "/boot/firmware/cmdline.txt");
}

static void test_unknown(void **state) {
        Clinic *c = *state;

        expect_commands(expect_missing(c),
                        "initrd=\\initrd root=/dev/sda1 ro quiet intel_iommu=on\n" REBOOT);
        expect_advice(expect_missing(c), "boot loader of this host is not known");
        assert_null(strstr(expect_missing(c)->remedy, "-append"));

        /* That GRUB is installed does not say that it has booted. */
        fake_host_write(c->host, "etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n");
        fake_host_write(c->host, "proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: hypervisor\n");
        expect_advice(expect_missing(c), "-append");
}

/* Texts that no file should have. */
static void test_damaged(void **state) {
        _cleanup_free_ char *text = malloc(100000);
        Clinic *c = *state;

        assert_non_null(text);
        memset(text, 'x', 100000);
        fake_host_write_bytes(c->host, "etc/default/grub", text, 100000);
        expect_commands(expect_missing(c), "update-grub\n" REBOOT);
        expect_advice(expect_missing(c), "cannot read");
        memcpy(text, "GRUB_CMDLINE_LINUX_DEFAULT=", 27);
        fake_host_write_bytes(c->host, "etc/default/grub", text, 20000);
        expect_advice(expect_missing(c), "cannot read");
        fake_host_write_bytes(c->host, "etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"\xff\x01\"\n", 31);
        expect_commands(expect_missing(c),
                        "GRUB_CMDLINE_LINUX_DEFAULT=\"?? intel_iommu=on\"\nupdate-grub\n" REBOOT);
        fake_host_remove(c->host, "etc/default/grub");
        fake_host_mkdir(c->host, "etc/default/grub");
        expect_advice(expect_missing(c), "cannot read");
        clinic_line(c, "");
        expect_commands(expect_missing(c), "intel_iommu=on\n" REBOOT);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, clinic_teardown)
#define CASE_WITHOUT_GRUB(name) cmocka_unit_test_setup_teardown(name, setup_without_grub, clinic_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_grub_of_debian),
                        CASE(test_grub_in_parts),
                        CASE(test_grub_of_others),
                        CASE_WITHOUT_GRUB(test_systemd_boot),
                        CASE(test_what_loaders_say),
                        CASE_WITHOUT_GRUB(test_extlinux),
                        CASE_WITHOUT_GRUB(test_firmware_of_a_board),
                        CASE_WITHOUT_GRUB(test_unknown),
                        CASE(test_damaged),
        };

        return cmocka_run_group_tests_name("diagnosis-boot", tests, NULL, NULL);
}
