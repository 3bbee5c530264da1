/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-hwdb.h>

#include "prompt.h"
#include "sysfs.h"
#include "text.h"

static void append_model(sd_hwdb *hwdb, const char *modalias, uint16_t vendor_id, uint16_t device_id,
                         WorkerResult *result) {
        const char *vendor = NULL, *model = NULL;
        char words[MODEL_SIZE];

        if (hwdb && modalias[0]) {
                (void)sd_hwdb_get(hwdb, modalias, "ID_VENDOR_FROM_DATABASE", &vendor);
                (void)sd_hwdb_get(hwdb, modalias, "ID_MODEL_FROM_DATABASE", &model);
        }

        (void)snprintf(words, sizeof words, "%.80s%s%.80s [%04x:%04x]", strempty(vendor), vendor ? " " : "",
                       model ? model : "PCI device", vendor_id, device_id);
        text_append_item(result->prompt.model, sizeof result->prompt.model, words);
}

void prompt_devices(const Scope *s, const Request *q, WorkerResult *result) {
        _cleanup_(sd_hwdb_unrefp) sd_hwdb *hwdb = NULL;
        char address[PCI_ADDRESS_SIZE], modalias[256];
        Prompted *p = &result->prompted;

        p->asked = true;
        (void)sd_hwdb_new(&hwdb);

        for (size_t i = 0; i < q->n_devices; i++)
                text_append_item(result->prompt.device, sizeof result->prompt.device,
                                 pci_address_format(&q->devices[i], address));

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++) {
                        const Member *m = &s->targets[i]->members[k];

                        if (p->n < ELEMENTSOF(p->identities)) {
                                p->sets[p->n] = s->targets[i]->movers.number;
                                p->identities[p->n++] = m->identity;
                        }
                        text_append_item(result->prompt.iommu_set, sizeof result->prompt.iommu_set,
                                         m->address);
                        text_append_item(result->prompt.driver, sizeof result->prompt.driver,
                                         m->driver[0] ? m->driver : "none");
                        if (sysfs_read(m->fd, "modalias", modalias, sizeof modalias) < 0)
                                modalias[0] = '\0';
                        append_model(hwdb, modalias, m->identity.vendor, m->identity.device, result);
                }

        (void)critical_format(result->critical, result->prompt.consent, sizeof result->prompt.consent);
}

int prompt_check(const Scope *s, const Prompted *p, WorkerResult *result) {
        size_t n = 0;

        if (!p->asked)
                return 0;
        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++, n++)
                        if (n >= p->n || s->targets[i]->movers.number != p->sets[n] ||
                            !pci_identity_same(&s->targets[i]->members[k].identity, &p->identities[n]))
                                return worker_fail(result, FAILURE_IDENTITY_CHANGED,
                                                   "Device %s or its IOMMU set is another than the prompt "
                                                   "named; nothing was changed. Look at what is in the "
                                                   "machine and call again.",
                                                   s->targets[i]->members[k].address);
        if (n == p->n)
                return 0;
        return worker_fail(result, FAILURE_IDENTITY_CHANGED,
                           "A device that the prompt named is gone; nothing was changed. Look at what is in "
                           "the machine and call again.");
}

void prompt_ids(const Request *q, WorkerResult *result) {
        _cleanup_(sd_hwdb_unrefp) sd_hwdb *hwdb = NULL;
        char ids[ID_SELECTOR_SIZE], modalias[64];

        (void)sd_hwdb_new(&hwdb);

        for (size_t i = 0; i < q->n_ids; i++) {
                const IdSelector *s = &q->ids[i];

                text_append_item(result->prompt.device, sizeof result->prompt.device,
                                 id_selector_format(s, ids));
                if (s->has_subsystem)
                        (void)snprintf(modalias, sizeof modalias, "pci:v%08Xd%08Xsv%08Xsd%08Xbc00sc00i00",
                                       s->vendor, s->device, s->subsystem_vendor, s->subsystem_device);
                else
                        (void)snprintf(modalias, sizeof modalias, "pci:v%08Xd%08Xsv*", s->vendor, s->device);
                append_model(hwdb, modalias, s->vendor, s->device, result);
        }

        (void)snprintf(result->prompt.driver, sizeof result->prompt.driver, "any");
        (void)snprintf(result->prompt.iommu_set, sizeof result->prompt.iommu_set,
                       "whatever shares it: each must be granted too");
}
