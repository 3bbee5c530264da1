/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A host on which all is well, as files below a root and as a model of its devices: each case breaks one thing. */

#include <sys/stat.h>

#include "model-fixture.h"
#include "diagnosis-host.h"
#include "registry.h"

#define RELEASE "6.1.0-18-amd64"

typedef struct Clinic {
        FakeHost *host;
        DeviceTable *table;
        Registry *registry;
        DiagnosisState state;
        DiagnosisReport report;
} Clinic;

static inline int clinic_setup(void **state) {
        Clinic *c = calloc(1, sizeof *c);
        RegistryConfig config = {0};
        FakeHost *h;

        assert_non_null(c);
        *state = c;
        c->host = h = fake_host_new();
        fake_host_write(h, "sys/firmware/acpi/tables/DMAR", "%s", "");
        fake_host_write(h, "sys/class/dmi/id/sys_vendor", "ACME Inc.\n");
        fake_host_write(h, "sys/class/dmi/id/product_name", "Roadrunner 3\n");
        fake_host_mkdir(h, "sys/firmware/efi");
        fake_host_mkdir(h, "sys/class/iommu/dmar0");
        fake_host_mkdir(h, "sys/kernel/iommu_groups/0");
        fake_host_mkdir(h, "sys/kernel/iommu_groups/1");
        fake_host_mkdir(h, "sys/class/misc/vfio");
        fake_host_write(h, "proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n");
        fake_host_write(h, "proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet\n");
        fake_host_write(h, "proc/sys/kernel/osrelease", RELEASE "\n");
        fake_host_write(h, "lib/modules/" RELEASE "/modules.builtin", "kernel/drivers/block/loop.ko\n");
        fake_host_write(h, "lib/modules/" RELEASE "/modules.dep",
                        "kernel/drivers/vfio/pci/vfio-pci.ko: x.ko\n");
        fake_host_write(h, "etc/default/grub",
                        "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"
                        "GRUB_CMDLINE_LINUX=\"\"\n");
        fake_host_write(h, "usr/sbin/update-grub", "%s", "");
        fake_host_write(h, "usr/sbin/mkinitramfs", "%s", "");
        assert_int_equal(fchmodat(h->fd, "dev/vfio/vfio", 0666, 0), 0);

        c->table = model_new();
        config.devices = c->table;
        c->table->node = "node1";
        assert_int_equal(registry_new(&config, &c->registry), 0);
        c->state = (DiagnosisState){.devices = c->table,
                                    .interrupt_remapping = true,
                                    .vfio_cdev = true,
                                    .boot_guard = "",
                                    .read_only = "",
                                    .user = "alice",
                                    .memlock = UINT64_MAX};
        return 0;
}

static inline int clinic_teardown(void **state) {
        Clinic *c = *state;

        diagnosis_report_clear(&c->report);
        for (size_t i = 0; i < c->table->n; i++)
                registry_forget_device(c->registry, c->table->devices[i]);
        registry_free(c->registry);
        model_free(c->table);
        fake_host_free(c->host);
        free(c);
        return 0;
}

/* The whole diagnosis anew; its finding number i of that code, NULL when there are not as many. */
static inline const DiagnosisFinding *clinic_find(Clinic *c, const char *code, size_t i) {
        DiagnosisHost host;

        diagnosis_report_clear(&c->report);
        assert_int_equal(diagnosis_host_load(c->host->fd, &host), 0);
        assert_int_equal(diagnosis_make(&host, &c->state, &c->report), 0);
        diagnosis_host_clear(&host);
        for (size_t k = 0; k < c->report.n; k++)
                if (streq(c->report.findings[k].code, code) && i-- == 0)
                        return &c->report.findings[k];
        return NULL;
}

/* All commands, each with a newline behind it. In a static buffer. */
static inline const char *clinic_commands(const DiagnosisFinding *f) {
        static char text[16384];
        size_t n = 0;

        text[0] = '\0';
        for (size_t i = 0; i < f->n_commands; i++)
                n += (size_t)snprintf(text + n, sizeof text - n, "%s\n", f->commands[i]);
        return text;
}

/* The only finding of this code is of that severity, and says so; what is not fine says what to do. */
static inline const DiagnosisFinding *clinic_expect(Clinic *c, const char *code, DiagnosisSeverity severity,
                                                    const char *sentence) {
        const DiagnosisFinding *f;

        assert_null(clinic_find(c, code, 1));
        f = clinic_find(c, code, 0);
        assert_non_null(f);
        if (f->severity != severity || !strstr(f->sentence, sentence))
                fail_msg("%s: %s: %s (expected %s: %s)", code, diagnosis_severity_to_string(f->severity),
                         f->sentence, diagnosis_severity_to_string(severity), sentence);
        assert_false(severity >= DIAGNOSIS_WARNING && !f->remedy[0]);
        assert_false(severity == DIAGNOSIS_OK && (f->remedy[0] || f->n_commands > 0));
        return f;
}

static inline void clinic_line(Clinic *c, const char *line) {
        fake_host_write(c->host, "proc/cmdline", "%s\n", line);
}

#define CLINIC_CASE(name) cmocka_unit_test_setup_teardown(name, clinic_setup, clinic_teardown)
