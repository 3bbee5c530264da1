/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each finding both ways: on a host on which all is well, and on one where that very thing is wrong. */

#include "critical.h"
#include "diagnosis-fixture.h"

#define GUEST "vendor_id\t: GenuineIntel\nflags\t\t: fpu hypervisor\n"

static void expect_command(const DiagnosisFinding *f, const char *text) {
        if (!strstr(clinic_commands(f), text))
                fail_msg("\"%s\" is not in \"%s\"", text, clinic_commands(f));
}

static void expect_advice(const DiagnosisFinding *f, const char *text) {
        if (!strstr(f->remedy, text))
                fail_msg("\"%s\" is not in \"%s\"", text, f->remedy);
}

static void test_all_is_well(void **state) {
        static const char *const codes[] = {"firmware",     "kernel-command-line",
                                            "iommu",        "interrupt-remapping",
                                            "vfio-modules", "initramfs",
                                            "iommu-sets",   "reset",
                                            "permissions",  "memlock",
                                            "boot-guard",   "database",
                                            "groups",       "vfio-cdev"};
        Clinic *c = *state;

        (void)clinic_find(c, "", 0);
        assert_int_equal(c->report.n, ELEMENTSOF(codes));
        for (size_t i = 0; i < c->report.n; i++) {
                assert_string_equal(c->report.findings[i].code, codes[i]);
                if (!streq(codes[i], "vfio-modules")) /* the fake host has it loaded */
                        (void)clinic_expect(c, codes[i], DIAGNOSIS_OK, "");
        }
        (void)clinic_expect(c, "vfio-modules", DIAGNOSIS_OK, "is loaded");
}

/* Nothing but an empty root: no crash, and no finding that is fine by mistake. */
static void test_an_empty_root(void **state) {
        _cleanup_(fake_host_freep) FakeHost *empty = fake_host_new();
        static const char *const gone[] = {"proc", "sys", "dev", "etc"};
        const DiagnosisFinding *f;
        Clinic *c = *state;
        DiagnosisHost host;

        for (size_t i = 0; i < ELEMENTSOF(gone); i++)
                fake_host_remove(empty, gone[i]);
        assert_int_equal(diagnosis_host_load(empty->fd, &host), 0);
        assert_int_equal(diagnosis_make(&host, &c->state, &c->report), 0);
        diagnosis_host_clear(&host);
        for (size_t i = 0; i < 5; i++) {
                f = &c->report.findings[i];
                if (!streq(f->code, "interrupt-remapping"))
                        assert_int_not_equal(f->severity, DIAGNOSIS_OK);
        }
}

static void test_firmware(void **state) {
        const DiagnosisFinding *f;
        Clinic *c = *state;

        fake_host_remove(c->host, "sys/firmware/acpi/tables/DMAR");
        (void)clinic_expect(c, "firmware", DIAGNOSIS_OK, "without an ACPI table"); /* a device tree has it */
        fake_host_remove(c->host, "sys/class/iommu/dmar0");
        f = clinic_expect(c, "firmware", DIAGNOSIS_ERROR, "ACME Inc. Roadrunner 3");
        expect_advice(f, "switch on VT-d");
        expect_command(f, "systemctl reboot --firmware-setup");

        fake_host_write(c->host, "proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
        fake_host_remove(c->host, "sys/firmware/efi");
        f = clinic_expect(c, "firmware", DIAGNOSIS_ERROR, "describes no IOMMU");
        expect_advice(f, "AMD-Vi");
        assert_int_equal(f->n_commands, 0);

        fake_host_write(c->host, "proc/cpuinfo", GUEST);
        expect_advice(clinic_expect(c, "firmware", DIAGNOSIS_ERROR, "without a virtual IOMMU"),
                      "intel-iommu");
        fake_host_write(c->host, "proc/cpuinfo", "CPU implementer\t: 0x41\n");
        fake_host_write(c->host, "sys/class/dmi/id/sys_vendor", "QEMU\n");
        expect_advice(clinic_expect(c, "firmware", DIAGNOSIS_ERROR, "This host is a virtual machine (QEMU"),
                      "smmuv3");

        fake_host_remove(c->host, "sys/class/dmi");
        fake_host_remove(c->host, "sys/firmware/acpi");
        fake_host_write(c->host, "sys/firmware/devicetree/base/model", "Acme Board\n");
        expect_advice(clinic_expect(c, "firmware", DIAGNOSIS_ERROR, "(Acme Board)"), "device tree");

        for (size_t i = 0; i < 3; i++) {
                static const char *const tables[] = {"IVRS", "IORT", "VIOT"};
                char path[64];

                (void)snprintf(path, sizeof path, "sys/firmware/acpi/tables/%s", tables[i]);
                fake_host_write(c->host, path, "%s", "");
                (void)clinic_expect(c, "firmware", DIAGNOSIS_OK, tables[i]);
                fake_host_remove(c->host, path);
        }
}

static void test_command_line(void **state) {
        Clinic *c = *state;

        clinic_line(c, "BOOT_IMAGE=/x quiet iommu=pt intel_iommu=on,sm_on amd_iommu=on");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_OK, "");
        clinic_line(c, "BOOT_IMAGE=/x pci=nomsi intremap=off nointremap");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_WARNING,
                            "intremap=off switches interrupt remapping off; pci=nomsi takes the message "
                            "interrupts "
                            "from all devices; nointremap");
        c->state.disabled = true;
        clinic_line(c, "BOOT_IMAGE=/x verge_passthrough=off");
        fake_host_write(c->host, "etc/default/grub", "GRUB_CMDLINE_LINUX=\"ro verge_passthrough=off\"\n");
        expect_command(clinic_expect(c, "kernel-command-line", DIAGNOSIS_ERROR,
                                     "leave all devices with the host"),
                       "GRUB_CMDLINE_LINUX=\"ro\"");
        c->state.disabled = false;

        fake_host_remove(c->host, "sys/class/iommu/dmar0");
        clinic_line(c, "BOOT_IMAGE=/x intel_iommu=on");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_OK, "");
        clinic_line(c, "BOOT_IMAGE=/x intel_iommu=on iommu=off acpi=off");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_ERROR,
                            "iommu=off switches the IOMMU off; acpi=off");

        /* AMD's is on unless somebody says otherwise. */
        fake_host_remove(c->host, "sys/firmware/acpi/tables/DMAR");
        fake_host_write(c->host, "sys/firmware/acpi/tables/IVRS", "%s", "");
        clinic_line(c, "BOOT_IMAGE=/x quiet");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_OK, "");
        clinic_line(c, "BOOT_IMAGE=/x amd_iommu=off");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_ERROR,
                            "amd_iommu=off switches the IOMMU off");

        /* Of Intel's nobody knows before the firmware has it. */
        fake_host_remove(c->host, "sys/firmware/acpi/tables/IVRS");
        clinic_line(c, "BOOT_IMAGE=/x quiet");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_INFO, "once the firmware");
        fake_host_remove(c->host, "proc/cmdline");
        (void)clinic_expect(c, "kernel-command-line", DIAGNOSIS_WARNING, "could not be read");
}

static void test_iommu(void **state) {
        Clinic *c = *state;

        (void)clinic_expect(c, "iommu", DIAGNOSIS_OK, "keeps 2 sets");
        fake_host_remove(c->host, "sys/kernel/iommu_groups");
        (void)clinic_expect(c, "iommu", DIAGNOSIS_ERROR, "no device stands behind it");
        fake_host_remove(c->host, "sys/class/iommu/dmar0");
        expect_command(clinic_expect(c, "iommu", DIAGNOSIS_ERROR, "uses no IOMMU"), "journalctl -k");
}

static void test_interrupts(void **state) {
        static const char parameter[] = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts";
        const DiagnosisFinding *f;
        Clinic *c = *state;

        c->state.interrupt_remapping = false;
        expect_advice(clinic_expect(c, "interrupt-remapping", DIAGNOSIS_ERROR, "not remapped"),
                      "firmware setup");
        clinic_line(c, "BOOT_IMAGE=/x intremap=off");
        expect_advice(clinic_expect(c, "interrupt-remapping", DIAGNOSIS_ERROR, "not remapped"),
                      "command line");
        clinic_line(c, "BOOT_IMAGE=/x");
        fake_host_write(c->host, "proc/cpuinfo", GUEST);
        expect_advice(clinic_expect(c, "interrupt-remapping", DIAGNOSIS_ERROR, "not remapped"),
                      "intremap=on");
        fake_host_remove(c->host, "sys/class/iommu/dmar0");
        (void)clinic_expect(c, "interrupt-remapping", DIAGNOSIS_INFO, "comes with the IOMMU");

        fake_host_write(c->host, parameter, "Y\n");
        expect_command(clinic_expect(c, "interrupt-remapping", DIAGNOSIS_WARNING, "allow_unsafe_interrupts"),
                       "echo N");
        fake_host_write(c->host, "etc/modprobe.d/vfio.conf",
                        "options vfio_iommu_type1 allow_unsafe_interrupts=1\n");
        f = clinic_expect(c, "interrupt-remapping", DIAGNOSIS_WARNING, "allow_unsafe_interrupts");
        expect_advice(f, "/etc/modprobe.d/vfio.conf");
        expect_command(f, "update-initramfs -u\n");
        c->state.interrupt_remapping = true;
        clinic_line(c, "BOOT_IMAGE=/x vfio_iommu_type1.allow_unsafe_interrupts=1");
        f = clinic_expect(c, "interrupt-remapping", DIAGNOSIS_WARNING, "although this host has it");
        expect_advice(f, "take out vfio_iommu_type1.allow_unsafe_interrupts=1");
        fake_host_write(c->host, parameter, "N\n");
        (void)clinic_expect(c, "interrupt-remapping", DIAGNOSIS_OK, "");
}

static void test_modules(void **state) {
        const DiagnosisFinding *f;
        Clinic *c = *state;

        fake_host_remove(c->host, "sys/bus/pci/drivers/vfio-pci");
        expect_command(clinic_expect(c, "vfio-modules", DIAGNOSIS_INFO, "not loaded yet"),
                       "modprobe vfio-pci");

        fake_host_write(c->host, "etc/modprobe.d/b.conf", "blacklist vfio_pci\n");
        fake_host_write(c->host, "etc/modprobe.d/b.conf.bak", "blacklist vfio_pci\n");
        expect_advice(clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR,
                                    "/etc/modprobe.d/b.conf keeps it out"),
                      "Take the line");
        clinic_line(c, "BOOT_IMAGE=/x module_blacklist=floppy,vfio_pci");
        f = clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR, "module_blacklist=");
        expect_advice(f, "take out module_blacklist=floppy,vfio_pci and add module_blacklist=floppy");
        clinic_line(c, "BOOT_IMAGE=/x");
        fake_host_remove(c->host, "etc/modprobe.d/b.conf");
        (void)clinic_expect(c, "vfio-modules", DIAGNOSIS_INFO, "not loaded yet");

        fake_host_write(c->host, "lib/modules/" RELEASE "/modules.builtin",
                        "kernel/drivers/vfio/pci/vfio-pci.ko\n");
        (void)clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR, "built into the kernel");
        fake_host_write(c->host, "lib/modules/" RELEASE "/modules.builtin", "%s", "");
        fake_host_write(c->host, "lib/modules/" RELEASE "/modules.dep", "kernel/x.ko: kernel/vfio-pci.ko\n");
        expect_advice(clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR, "has no driver vfio-pci"),
                      "linux-modules-extra-" RELEASE);

        fake_host_remove(c->host, "lib/modules/" RELEASE);
        expect_advice(clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR, "there are no modules"), "Install");
        fake_host_mkdir(c->host, "lib/modules/6.1.0-99-amd64");
        expect_command(clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR, "replaced without a reboot"),
                       "systemctl reboot");
        fake_host_write(c->host, "proc/sys/kernel/osrelease", "6.1.0-99-cloud-amd64\n");
        fake_host_mkdir(c->host, "lib/modules/6.1.0-99-cloud-amd64");
        expect_advice(clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR, "has no driver"),
                      "linux-image-amd64");
        fake_host_write(c->host, "proc/sys/kernel/osrelease", "../../etc\n");
        (void)clinic_expect(c, "vfio-modules", DIAGNOSIS_ERROR, "there are no modules");
}

static void test_permissions(void **state) {
        Clinic *c = *state;

        assert_int_equal(fchmodat(c->host->fd, "dev/vfio/vfio", 0600, 0), 0);
        expect_command(clinic_expect(c, "permissions", DIAGNOSIS_ERROR, "mode 0600"),
                       "chmod 0666 /dev/vfio/vfio");
        fake_host_remove(c->host, "dev/vfio/vfio");
        expect_command(clinic_expect(c, "permissions", DIAGNOSIS_ERROR, "is not there"), "udevadm trigger");
        fake_host_remove(c->host, "dev/vfio");
        expect_command(clinic_expect(c, "permissions", DIAGNOSIS_WARNING, "does not see"), "ls -l");
        fake_host_remove(c->host, "sys/class/misc/vfio");
        (void)clinic_expect(c, "permissions", DIAGNOSIS_INFO, "comes with");
}

static void test_memlock(void **state) {
        const DiagnosisFinding *f;
        Clinic *c = *state;

        c->state.memlock = UINT64_C(1) << 30;
        (void)clinic_expect(c, "memlock", DIAGNOSIS_OK, "alice");
        c->state.memlock = UINT64_C(64) << 10;
        (void)clinic_expect(c, "memlock", DIAGNOSIS_WARNING, "may lock 64 KiB");
        c->state.memlock = (UINT64_C(1) << 30) - 1;
        f = clinic_expect(c, "memlock", DIAGNOSIS_WARNING, "may lock 1023 MiB");
        assert_string_equal(
                        clinic_commands(f),
                        "alice - memlock unlimited\nLimitMEMLOCK=infinity\nDefaultLimitMEMLOCK=infinity\n");
        c->state.user = "uid 70001"; /* who has no name */
        expect_command(clinic_find(c, "memlock", 0), ":70001 - memlock unlimited\n");
        c->state.memlock_error = -ESRCH;
        (void)clinic_expect(c, "memlock", DIAGNOSIS_INFO, "not known");
        c->state.is_root = true;
        (void)clinic_expect(c, "memlock", DIAGNOSIS_OK, "root");
}

static void test_service(void **state) {
        Clinic *c = *state;

        c->state.boot_guard = "Two boots failed.";
        expect_command(clinic_expect(c, "boot-guard", DIAGNOSIS_WARNING, "Two boots failed."),
                       "grants.d/boots");
        c->state.read_only = "The database is damaged.";
        expect_command(clinic_expect(c, "database", DIAGNOSIS_ERROR, "The database is damaged."),
                       "journalctl");
        c->state.vfio_cdev = false;
        (void)clinic_expect(c, "vfio-cdev", DIAGNOSIS_INFO, "CONFIG_IOMMUFD");
}

static Device *add(Clinic *c, const char *address, unsigned set) {
        Device *d = model_add(c->table, address, set);

        (void)snprintf(d->facts.reset_methods, sizeof d->facts.reset_methods, "flr");
        return d;
}

static void settle(Clinic *c) {
        model_join_sets(c->table);
        for (size_t i = 0; i < c->table->n; i++) {
                (void)device_table_derive(c->table, c->table->devices[i], false);
                assert_int_equal(registry_match_device(c->registry, c->table->devices[i]), 0);
        }
}

/* A group that binds persistently, with a rule for this filter. */
static void order(Clinic *c, const char *filter) {
        GroupRecord g = {.id = "00000000-0000-4000-8000-000000000001",
                         .name = strdup("pool"),
                         .description = strdup(""),
                         .enabled = true,
                         .binding = GROUP_BINDING_PERSISTENT};
        RuleRecord rule = {.id = "00000000-0000-4000-8000-000000000002",
                           .group = "00000000-0000-4000-8000-000000000001",
                           .age = 1,
                           .name = strdup("rule"),
                           .node = strdup(""),
                           .filter = strdup(filter),
                           .enabled = true};
        Group *group;
        Rule *made;
        bool is_new;

        assert_int_equal(registry_put_group(c->registry, &g, &group, &is_new), 0);
        assert_int_equal(registry_put_rule(c->registry, &rule, &made, &is_new), 0);
        group_record_clear(&g);
        rule_record_clear(&rule);
}

static void test_sets(void **state) {
        const DiagnosisFinding *f;
        Clinic *c = *state;
        Device *a, *bridge;

        /* Functions of one card, and a bridge, glue nothing. */
        (void)add(c, "0000:01:00.0", 5);
        (void)add(c, "0000:01:00.1", 5);
        bridge = add(c, "0000:00:01.0", 5);
        bridge->facts.identity.class_code = MODEL_BRIDGE;
        settle(c);
        (void)clinic_expect(c, "iommu-sets", DIAGNOSIS_OK, "");

        (void)add(c, "0000:02:00.0", 5);
        (void)add(c, "0000:03:00.0", 6);
        (void)add(c, "0000:04:00.0", 6);
        settle(c);
        f = clinic_find(c, "iommu-sets", 0);
        assert_int_equal(f->severity, DIAGNOSIS_INFO);
        assert_non_null(strstr(f->sentence,
                               "0000:01:00.0, 0000:01:00.1, 0000:02:00.0 are in different slots"));
        assert_int_equal(f->n_devices, 3);
        expect_advice(f, "another slot");
        assert_null(strstr(f->remedy, "acs_override"));
        assert_non_null(clinic_find(c, "iommu-sets", 1));
        assert_null(clinic_find(c, "iommu-sets", 2));

        /* What somebody wants comes first. */
        a = device_table_find(c->table, &(PciAddress){.bus = 4});
        a->granted = true;
        settle(c);
        f = clinic_find(c, "iommu-sets", 0);
        assert_int_equal(f->severity, DIAGNOSIS_WARNING);
        assert_non_null(strstr(f->sentence, "IOMMU set 6"));

        clinic_line(c, "BOOT_IMAGE=/x pcie_acs_override=downstream,multifunction");
        f = clinic_find(c, "iommu-sets", 2);
        assert_int_equal(f->severity, DIAGNOSIS_WARNING);
        expect_advice(f, "take out pcie_acs_override=downstream,multifunction");
}

/* However many there are, the answer stays small. */
static void test_many_sets(void **state) {
        Clinic *c = *state;
        char address[32];
        size_t n = 0;

        for (unsigned i = 0; i < 80; i++)
                for (unsigned k = 0; k < 2; k++) {
                        (void)snprintf(address, sizeof address, "0000:%02x:%02x.0", i + 1, k);
                        (void)add(c, address, i + 1);
                }
        for (unsigned i = 0; i < 80; i++) {
                (void)snprintf(address, sizeof address, "0001:%02x:00.0", i + 1);
                add(c, address, 1000 + i)->attention = strdup("It waits.");
        }
        settle(c);
        assert_non_null(clinic_find(c, "iommu-sets", 15));
        assert_non_null(strstr(clinic_find(c, "iommu-sets", 16)->sentence, "64 more IOMMU sets"));
        assert_null(clinic_find(c, "iommu-sets", 17));
        assert_non_null(strstr(clinic_find(c, "groups", 16)->sentence, "64 more devices"));
        assert_null(clinic_find(c, "groups", 17));
        for (size_t i = 0; i < c->report.n; i++)
                n += strlen(c->report.findings[i].sentence);
        assert_in_range(n, 1, 65536);
}

static void test_reset(void **state) {
        const DiagnosisFinding *f;
        Clinic *c = *state;
        Device *a, *b;

        a = add(c, "0000:01:00.0", 5);
        b = add(c, "0000:02:00.0", 6);
        a->facts.reset_methods[0] = b->facts.reset_methods[0] = '\0';
        settle(c);
        assert_true(a->eligible || !a->granted);
        a->granted = true;
        settle(c);
        f = clinic_expect(c, "reset", DIAGNOSIS_WARNING, "no way to reset 0000:01:00.0: after");
        assert_int_equal(f->n_devices, 1);
        a->granted = false;
        a->eligible = false;
        b->eligible = true;
        f = clinic_expect(c, "reset", DIAGNOSIS_INFO, "0000:02:00.0, of the devices that could be");
        assert_int_equal(f->n_devices, 1);
        b->eligible = false;
        (void)clinic_expect(c, "reset", DIAGNOSIS_OK, "");
}

static void test_initramfs(void **state) {
        const DiagnosisFinding *f;
        Device *d, *disk;
        Clinic *c = *state;

        d = add(c, "0000:01:00.0", 5);
        disk = add(c, "0000:02:00.0", 6);
        d->granted = true;
        order(c, "address eq '0000:01:00.0'");
        settle(c);
        (void)clinic_expect(c, "initramfs", DIAGNOSIS_OK, "");

        (void)snprintf(d->first_driver, sizeof d->first_driver, "e1000e");
        f = clinic_expect(c, "initramfs", DIAGNOSIS_WARNING,
                          "a host driver (e1000e) was first at 1 device of");
        expect_advice(f, "built into the kernel");
        assert_int_equal(f->n_commands, 0);

        (void)snprintf(d->first_module, sizeof d->first_module, "e1000e");
        f = clinic_expect(c, "initramfs", DIAGNOSIS_WARNING, "e1000e");
        assert_string_equal(clinic_commands(f), "MODULES=dep\nupdate-initramfs -u\nsystemctl reboot\n");
        fake_host_remove(c->host, "usr/sbin/mkinitramfs");
        expect_advice(clinic_find(c, "initramfs", 0), "not known to this service");
        fake_host_write(c->host, "usr/bin/mkinitcpio", "%s", "");
        assert_string_equal(clinic_commands(clinic_find(c, "initramfs", 0)),
                            "mkinitcpio -P\nsystemctl reboot\n");
        fake_host_write(c->host, "usr/bin/dracut", "%s", "");
        assert_string_equal(clinic_commands(clinic_find(c, "initramfs", 0)),
                            "omit_drivers+=\" e1000e \"\ndracut --force\nsystemctl reboot\n");

        /* The root disk needs the same driver. */
        disk->critical = 1U << CRITICAL_ROOT_FILESYSTEM;
        f = clinic_find(c, "initramfs", 0);
        expect_advice(f, "disk at 0000:02:00.0 needs the same driver");
        assert_int_equal(f->n_commands, 0);

        d->granted = false; /* then no group waits for it */
        (void)clinic_expect(c, "initramfs", DIAGNOSIS_OK, "");
}

static void test_ports(void **state) {
        Clinic *c = *state;
        const DiagnosisFinding *f;
        Device *one, *two;

        one = model_add(c->table, "0000:06:00.0", 21);
        two = model_add(c->table, "0000:07:00.0", 22);
        strcpy(one->facts.interfaces, "eno1");
        strcpy(two->facts.interfaces, "eno2");
        fake_host_write(c->host, "sys/class/net/eno1/flags", "0x1002\n");
        fake_host_write(c->host, "sys/class/net/eno10/flags", "0x1003\n");
        fake_host_write(c->host, "sys/class/net/eno2/flags", "0x1003\n");
        assert_null(clinic_find(c, "ports", 0)); /* nobody has granted functions of theirs */

        one->vfs_granted = two->vfs_granted = true;
        f = clinic_expect(c, "ports", DIAGNOSIS_WARNING, "brought up eno1 (0000:06:00.0): ");
        assert_int_equal(f->n_devices, 1);
        assert_int_equal(f->n_commands, 1);
        assert_string_equal(f->commands[0], "ip link set dev eno1 up");

        strcpy(one->facts.interfaces, "eno1 eno10"); /* one of two is up */
        (void)clinic_expect(c, "ports", DIAGNOSIS_OK, "are up");
        fake_host_write(c->host, "sys/class/net/eno10/flags", "0x1002\n");
        fake_host_write(c->host, "sys/class/net/eno2/flags", "0x1002\n");
        f = clinic_expect(c, "ports", DIAGNOSIS_WARNING, "eno10 (0000:06:00.0), eno2 (0000:07:00.0)");
        assert_int_equal(f->n_commands, 2);

        /* A name is somebody's choice. */
        fake_host_write(c->host, "sys/class/net/a;b/flags", "0x1002\n");
        strcpy(one->facts.interfaces, "a;b");
        f = clinic_expect(c, "ports", DIAGNOSIS_WARNING, "a;b (0000:06:00.0)");
        assert_int_equal(f->n_commands, 1);
        fake_host_remove(c->host, "sys/class/net/eno2"); /* it is not known */
        strcpy(one->facts.interfaces, "");
        (void)clinic_expect(c, "ports", DIAGNOSIS_OK, "");
}

static void test_groups(void **state) {
        const DiagnosisFinding *f;
        Clinic *c = *state;
        Device *a, *b;

        a = add(c, "0000:01:00.0", 5);
        b = add(c, "0000:02:00.0", 6);
        order(c, "class_hex bw '02'");
        settle(c);
        (void)device_set_text(&a->attention, "Device 0000:01:00.0 needs approval.");
        f = clinic_expect(c, "groups", DIAGNOSIS_WARNING,
                          "2 devices are members of groups, but no administrator has granted them: "
                          "0000:01:00.0, "
                          "0000:02:00.0.");
        assert_int_equal(f->n_devices, 2);

        a->granted = b->granted = true;
        (void)device_set_text(&a->attention, "Device 0000:01:00.0 was taken by somebody.");
        f = clinic_expect(c, "groups", DIAGNOSIS_WARNING, "0000:01:00.0 was taken by somebody");
        assert_int_equal(f->n_devices, 1);
        (void)device_set_text(&a->attention, "");
        (void)clinic_expect(c, "groups", DIAGNOSIS_OK, "");
        b->state = DEVICE_STUCK;
        (void)device_set_text(&b->reason, "Device 0000:02:00.0 is stuck.");
        (void)clinic_expect(c, "groups", DIAGNOSIS_ERROR, "is stuck");
        b->state = DEVICE_QUARANTINED;
        (void)device_set_text(&b->quarantine, "Device 0000:02:00.0 could not be reset.");
        (void)clinic_expect(c, "groups", DIAGNOSIS_WARNING, "could not be reset");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        CLINIC_CASE(test_all_is_well), CLINIC_CASE(test_an_empty_root),
                        CLINIC_CASE(test_firmware),    CLINIC_CASE(test_command_line),
                        CLINIC_CASE(test_iommu),       CLINIC_CASE(test_interrupts),
                        CLINIC_CASE(test_modules),     CLINIC_CASE(test_permissions),
                        CLINIC_CASE(test_memlock),     CLINIC_CASE(test_service),
                        CLINIC_CASE(test_sets),        CLINIC_CASE(test_many_sets),
                        CLINIC_CASE(test_reset),       CLINIC_CASE(test_initramfs),
                        CLINIC_CASE(test_ports),       CLINIC_CASE(test_groups),
        };

        return cmocka_run_group_tests_name("diagnosis", tests, NULL, NULL);
}
