/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "diagnosis-report.h"
#include "text.h"
#include "wanted.h"

#define DISK_REASONS                                                                                        \
        (1U << CRITICAL_ROOT_FILESYSTEM | 1U << CRITICAL_MOUNTED | 1U << CRITICAL_SWAP |                    \
         1U << CRITICAL_BOOT_DISK | 1U << CRITICAL_VOLUME_MEMBER)

/* A host driver had it when the service came, although it was to be bound early. */
static bool was_late(const DeviceTable *t, const Device *d) {
        return d->first_driver[0] && wanted_by(t, d);
}

/* One driver of the host's for a disk that stays: it has to be in the initramfs. */
static const Device *find_needing(const DeviceTable *t, const char *driver) {
        for (size_t i = 0; i < t->n; i++)
                if (streq(t->devices[i]->facts.driver, driver) && (t->devices[i]->critical & DISK_REASONS))
                        return t->devices[i];
        return NULL;
}

typedef struct LateDrivers {
        char all[256], movable[256]; /* ", ": those that had a device first; of these, modules that nobody needs */
        const Device *needing;
        size_t n_devices;
} LateDrivers;

static void look(const DeviceTable *t, DiagnosisFinding *f, LateDrivers *ret) {
        for (size_t i = 0; i < t->n; i++) {
                const Device *d = t->devices[i], *needing;

                if (!was_late(t, d))
                        continue;
                ret->n_devices++;
                diagnosis_concerns(f, d);
                text_append_item(ret->all, sizeof ret->all, d->first_driver);
                needing = find_needing(t, d->first_driver);
                if (needing)
                        ret->needing = needing;
                else if (d->first_module[0])
                        text_append_item(ret->movable, sizeof ret->movable, d->first_module);
        }
}

/* A softdep on vfio-pci would not do: in the initramfs nobody says which device it is to take, and ids= would have it
 * take all that are alike, and keep them from coming home. So the driver must not be there that early. */
static void advise_rebuild(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                           const char *modules) {
        const char *command = diagnosis_initramfs_command(h);
        char words[256];
        size_t n = 0;

        for (const char *p = modules; *p && n + 1 < sizeof words; p++)
                if (*p != ',')
                        words[n++] = *p;
        words[n] = '\0';

        if (h->tools & 1U << DIAGNOSIS_TOOL_UPDATE_INITRAMFS) {
                diagnosis_advise(f,
                                 "Let the initramfs have the drivers of the root disk alone: put this line "
                                 "in "
                                 "/etc/initramfs-tools/initramfs.conf in place of the one there, make the "
                                 "initramfs again, and reboot.");
                diagnosis_command(r, f, "MODULES=dep");
        } else if (h->tools & 1U << DIAGNOSIS_TOOL_DRACUT) {
                diagnosis_advise(f, "Leave the driver out of the initramfs: put this line in "
                                    "/etc/dracut.conf.d/90-verge-passthrough.conf, make the initramfs "
                                    "again, and "
                                    "reboot.");
                diagnosis_command(r, f, "omit_drivers+=\" %s \"", words);
        } else if (command)
                diagnosis_advise(f,
                                 "Leave the driver (%s) out of the initramfs: take it out of MODULES in "
                                 "/etc/mkinitcpio.conf, and for a graphics card the word kms out of HOOKS; "
                                 "make the "
                                 "initramfs again, and reboot.",
                                 words);
        else {
                diagnosis_advise(f,
                                 "Leave the driver (%s) out of the initramfs, and reboot. What makes the "
                                 "initramfs "
                                 "of this host is not known to this service.",
                                 words);
                return;
        }
        diagnosis_command(r, f, "%s", command);
        diagnosis_command(r, f, "systemctl reboot");
}

void diagnosis_find_initramfs(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "initramfs");
        LateDrivers late = {0};

        look(s->devices, f, &late);
        if (late.n_devices == 0) {
                diagnosis_say(f, DIAGNOSIS_OK,
                              "No host driver was before this service at a device of a persistent group.");
                return;
        }

        diagnosis_say(f, DIAGNOSIS_WARNING,
                      "In this boot a host driver (%s) was first at %zu %s of persistent groups: it is in "
                      "the initramfs, "
                      "or built into the kernel. The service binds such a device later, if the host has not "
                      "come "
                      "to use it.",
                      late.all, late.n_devices, late.n_devices == 1 ? "device" : "devices");
        if (late.movable[0])
                advise_rebuild(r, f, h, late.movable);
        else if (late.needing)
                diagnosis_advise(f,
                                 "This cannot be had earlier: the host's disk at %s needs the same driver. "
                                 "Keep what "
                                 "mounts or configures devices by itself away from them.",
                                 late.needing->address);
        else
                diagnosis_advise(f, "This cannot be had earlier: the driver is built into the kernel. Keep "
                                    "what mounts "
                                    "or configures devices by itself away from them.");
}
