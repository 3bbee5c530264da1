/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-report.h"

static const char *iommu_of_maker(const DiagnosisHost *h) {
        switch (h->cpu) {
        case DIAGNOSIS_CPU_INTEL:
                return "VT-d";
        case DIAGNOSIS_CPU_AMD:
                return "AMD-Vi, which many call IOMMU";
        case DIAGNOSIS_CPU_ARM:
                return "SMMU, or IOMMU";
        default:
                return "VT-d, AMD-Vi, SMMU or IOMMU";
        }
}

static const char *table_of(const DiagnosisHost *h) {
        return h->has_dmar   ? "DMAR"
               : h->has_ivrs ? "IVRS"
               : h->has_iort ? "IORT"
               : h->has_viot ? "VIOT"
                             : NULL;
}

static const char *machine_of(const DiagnosisHost *h) {
        return h->machine[0] ? h->machine : "no name in DMI";
}

static void advise_guest(DiagnosisFinding *f, const DiagnosisHost *h) {
        if (h->cpu == DIAGNOSIS_CPU_ARM)
                diagnosis_advise(f, "Shut it down and give it a virtual IOMMU: for QEMU '-machine "
                                    "virt,iommu=smmuv3', "
                                    "for libvirt <iommu model='smmuv3'/>; or use the device on the host "
                                    "that runs "
                                    "this machine.");
        else
                diagnosis_advise(f, "Shut it down and give it a virtual IOMMU: for QEMU '-machine "
                                    "q35,kernel-irqchip=split -device "
                                    "intel-iommu,intremap=on,caching-mode=on', for "
                                    "libvirt <iommu model='intel'> with <driver intremap='on' "
                                    "caching_mode='on'/> and "
                                    "<ioapic driver='qemu'/> in <features>; or use the device on the host "
                                    "that runs "
                                    "this machine.");
}

void diagnosis_find_firmware(DiagnosisReport *r, const DiagnosisHost *h) {
        DiagnosisFinding *f = diagnosis_find(r, "firmware");
        const char *table = table_of(h);

        if (table) {
                diagnosis_say(f, DIAGNOSIS_OK, "The firmware describes an IOMMU (ACPI table %s).", table);
                return;
        }
        if (h->n_iommus > 0) {
                diagnosis_say(f, DIAGNOSIS_OK, "The kernel has found an IOMMU without an ACPI table of it.");
                return;
        }
        if (h->guest) {
                diagnosis_say(f, DIAGNOSIS_ERROR,
                              "This host is a virtual machine (%s) without a virtual IOMMU: its firmware "
                              "has "
                              "none of the ACPI tables DMAR, IVRS, IORT and VIOT.",
                              machine_of(h));
                advise_guest(f, h);
                return;
        }
        if (!h->has_acpi) {
                diagnosis_say(f, DIAGNOSIS_ERROR,
                              "The kernel has no IOMMU, and no ACPI tables that could describe one (%s).",
                              machine_of(h));
                diagnosis_advise(f,
                                 "If acpi=off stands on the kernel command line, see there. Else the device "
                                 "tree has to describe the SMMU: take a newer one of the board's maker; not "
                                 "all boards have one.");
                return;
        }
        diagnosis_say(f, DIAGNOSIS_ERROR,
                      "The firmware of this machine (%s) describes no IOMMU: it has none of the ACPI tables "
                      "DMAR, IVRS, IORT and VIOT.",
                      machine_of(h));
        diagnosis_advise(f,
                         "Enter the firmware setup, switch on %s (virtualization of I/O, beside that of the "
                         "processor), and boot again. If there is no such setting, look for a newer "
                         "firmware; "
                         "not all machines have an IOMMU.",
                         iommu_of_maker(h));
        if (h->has_efi)
                diagnosis_command(r, f, "systemctl reboot --firmware-setup");
}

typedef struct BadOption {
        const char *key, *item, *why;
} BadOption;

/* What switches off something that passthrough needs. intel_iommu= is looked at apart: there the last one counts. */
static const BadOption bad_options[] = {
                {"amd_iommu", "off", "switches the IOMMU off"},
                {"iommu", "off", "switches the IOMMU off"},
                {"acpi", "off", "hides the IOMMU, which ACPI describes"},
                {"intremap", "off", "switches interrupt remapping off"},
                {"pci", "nomsi", "takes the message interrupts from all devices"},
};

static void take_bad(DiagnosisChange *c, const char *line, const char *key, const char *item,
                     const char *why, char *sentence, size_t size) {
        char word[DIAGNOSIS_WORD_SIZE];
        size_t n = strlen(sentence);

        if (!diagnosis_line_has_item(line, key, item))
                return;
        diagnosis_change_remove_item(c, line, key, item);
        (void)snprintf(word, sizeof word, "%s=%s", key, item);
        (void)snprintf(sentence + n, size - n, "%s%s %s", n ? "; " : "", word, why);
}

static void take_bad_word(DiagnosisChange *c, const char *line, const char *word, const char *why,
                          char *sentence, size_t size) {
        size_t n = strlen(sentence);

        if (!diagnosis_line_has(line, word))
                return;
        diagnosis_change_remove(c, word, strlen(word));
        (void)snprintf(sentence + n, size - n, "%s%s %s", n ? "; " : "", word, why);
}

static void find_bad(DiagnosisChange *c, const char *line, bool disabled, char *sentence, size_t size) {
        sentence[0] = '\0';
        if (diagnosis_line_switch(line, "intel_iommu") == 0)
                take_bad(c, line, "intel_iommu", "off", "switches the IOMMU off", sentence, size);
        for (size_t i = 0; i < ELEMENTSOF(bad_options); i++)
                take_bad(c, line, bad_options[i].key, bad_options[i].item, bad_options[i].why, sentence,
                         size);
        take_bad_word(c, line, "nointremap", "switches interrupt remapping off", sentence, size);
        if (disabled)
                take_bad_word(c, line, KERNEL_OPTION_OFF, "has this service leave all devices with the host",
                              sentence, size);
}

/* Many kernels leave the IOMMU of Intel's off unless they are told. */
static bool needs_intel_on(const DiagnosisHost *h, const char *line) {
        bool intel = h->has_dmar || (!table_of(h) && h->cpu == DIAGNOSIS_CPU_INTEL);

        return intel && h->n_iommus == 0 && diagnosis_line_switch(line, "intel_iommu") != 1;
}

void diagnosis_find_command_line(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "kernel-command-line");
        const char *line = strempty(h->command_line);
        bool intel = needs_intel_on(h, line), no_iommu = h->n_iommus == 0;
        DiagnosisChange c = {0};
        char bad[768];

        if (!h->command_line) {
                diagnosis_say(f, DIAGNOSIS_WARNING, "The kernel command line could not be read.");
                diagnosis_advise(f, "Look at /proc/cmdline for what switches the IOMMU off.");
                return;
        }

        find_bad(&c, line, s->disabled, bad, sizeof bad);
        if (intel)
                diagnosis_change_add(&c, "intel_iommu=on");
        if (bad[0])
                diagnosis_say(f, no_iommu || s->disabled ? DIAGNOSIS_ERROR : DIAGNOSIS_WARNING,
                              "On the kernel command line %s.", bad);
        else if (intel && h->has_dmar)
                diagnosis_say(f, DIAGNOSIS_ERROR,
                              "The firmware describes Intel's VT-d, but the kernel has not switched it on, "
                              "and "
                              "intel_iommu=on does not stand on its command line.");
        else if (intel)
                diagnosis_say(f, DIAGNOSIS_INFO,
                              "intel_iommu=on does not stand on the kernel command line; many kernels need "
                              "it, "
                              "once the firmware describes the IOMMU.");
        else {
                diagnosis_say(f, DIAGNOSIS_OK,
                              "Nothing on the kernel command line speaks against passing devices through.");
                return;
        }
        diagnosis_boot(r, f, h, &c);
}

void diagnosis_find_iommu(DiagnosisReport *r, const DiagnosisHost *h) {
        DiagnosisFinding *f = diagnosis_find(r, "iommu");

        if (h->n_iommus > 0 && h->n_iommu_groups > 0) {
                diagnosis_say(f, DIAGNOSIS_OK, "The IOMMU is on and keeps %u sets of devices apart.",
                              h->n_iommu_groups);
                return;
        }
        diagnosis_say(f, DIAGNOSIS_ERROR,
                      h->n_iommus > 0 ? "The kernel has an IOMMU, but no device stands behind it "
                                        "(/sys/kernel/iommu_groups is empty): nothing can be passed through."
                                      : "The kernel uses no IOMMU (/sys/class/iommu is empty): nothing "
                                        "keeps a "
                                        "device from writing to any memory, so none can be passed through.");
        diagnosis_advise(f, "Put right first what is named above for the firmware and the kernel command "
                            "line. If "
                            "nothing is, the kernel log says what is wrong, or the kernel has no driver for "
                            "this "
                            "IOMMU.");
        diagnosis_command(r, f, "journalctl -k -b --grep='DMAR|AMD-Vi|smmu|iommu'");
}

/* VFIO was told to do without. */
static void advise_safe(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h) {
        const char *line = strempty(h->command_line),
                   *parameter = "vfio_iommu_type1.allow_unsafe_interrupts";

        if (diagnosis_line_has_item(line, parameter, "1") || diagnosis_line_has_item(line, parameter, "Y")) {
                DiagnosisChange c = {0};

                diagnosis_change_remove_item(&c, line, parameter, "1");
                diagnosis_change_remove_item(&c, line, parameter, "Y");
                diagnosis_boot(r, f, h, &c);
                return;
        }
        if (h->unsafe_by[0])
                diagnosis_advise_also(
                                f, "Take allow_unsafe_interrupts out of /%s, then run what is below%s.",
                                h->unsafe_by,
                                diagnosis_initramfs_command(h) ? "; it takes effect with a reboot" : "");
        else
                diagnosis_advise_also(f, "Take it back with what is below.");
        if (h->unsafe_by[0] && diagnosis_initramfs_command(h))
                diagnosis_command(r, f, "%s", diagnosis_initramfs_command(h));
        diagnosis_command(r, f, "echo N > /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
}

void diagnosis_find_interrupts(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "interrupt-remapping");
        const char *line = strempty(h->command_line);

        if (s->interrupt_remapping && !h->unsafe_interrupts) {
                diagnosis_say(f, DIAGNOSIS_OK,
                              "Interrupts are remapped: no device can raise those of others.");
                return;
        }
        if (h->unsafe_interrupts) {
                diagnosis_say(f, DIAGNOSIS_WARNING,
                              "VFIO is told to do without interrupt remapping (allow_unsafe_interrupts)%s: "
                              "a VM "
                              "could raise interrupts of the host and of other VMs.",
                              s->interrupt_remapping ? ", although this host has it" : "");
                advise_safe(r, f, h);
                return;
        }
        if (h->n_iommus == 0) {
                diagnosis_say(f, DIAGNOSIS_INFO, "Interrupts are not remapped; that comes with the IOMMU.");
                return;
        }
        diagnosis_say(f, DIAGNOSIS_ERROR,
                      "The IOMMU is on, but interrupts are not remapped (no IR- line in /proc/interrupts): "
                      "VFIO "
                      "does not let a VM have a device.");
        if (diagnosis_line_has_item(line, "intremap", "off") || diagnosis_line_has(line, "nointremap"))
                diagnosis_advise(f, "The kernel command line switches it off; see there.");
        else if (h->guest)
                diagnosis_advise(f, "Shut this virtual machine down and give its virtual IOMMU interrupt "
                                    "remapping: "
                                    "for QEMU '-machine q35,kernel-irqchip=split -device "
                                    "intel-iommu,intremap=on', "
                                    "for libvirt <driver intremap='on'/> in <iommu> and <ioapic "
                                    "driver='qemu'/>.");
        else
                diagnosis_advise(f, "Switch on x2APIC and interrupt remapping in the firmware setup, or "
                                    "look for a newer "
                                    "firmware; the kernel log names what it misses. allow_unsafe_interrupts "
                                    "would go "
                                    "around it, and let VMs attack the host.");
        diagnosis_command(r, f, "journalctl -k -b --grep='remapping|x2apic'");
}
