/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "drift.h"

static const char *const drift_kind_table[DRIFT_KIND_MAX] = {
                [DRIFT_MOVED] = "moved",     [DRIFT_REPLACED] = "replaced",
                [DRIFT_MISSING] = "missing", [DRIFT_SET_CHANGED] = "set-changed",
                [DRIFT_TAKEN] = "taken",     [DRIFT_REFUSED] = "refused",
};

DEFINE_STRING_TABLE(drift_kind, DriftKind, DRIFT_KIND_MAX);

void drift_report_clear(DriftReport *r) {
        assert(r);

        for (size_t i = 0; i < r->n; i++)
                free(r->entries[i].sentence);
        free(r->entries);
        *r = (DriftReport){0};
}

bool drift_report_same(const DriftReport *a, const DriftReport *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (a->entries[i].kind != b->entries[i].kind ||
                    !streq(a->entries[i].address, b->entries[i].address) ||
                    !streq(a->entries[i].sentence, b->entries[i].sentence))
                        return false;
        return true;
}

/* But for the place. The serial number may be of the VPD here and of the NVMe controller there, so that one that only
 * one side knows says nothing. */
static bool is_same_thing(const PciIdentity *a, const PciIdentity *b) {
        return a->vendor == b->vendor && a->device == b->device &&
               a->subsystem_vendor == b->subsystem_vendor && a->subsystem_device == b->subsystem_device &&
               a->class_code == b->class_code && a->revision == b->revision &&
               (!a->serial[0] || !b->serial[0] || streq(a->serial, b->serial));
}

/* Where the granted device is now: by its serial number, or, when it has none, the one device that looks like it and
 * sits where nothing was granted. */
static const Device *find_moved(const DeviceTable *t, const Grant *g) {
        const Device *only = NULL;

        for (size_t i = 0; i < t->n; i++) {
                const Device *d = t->devices[i];

                if (pci_address_compare(device_address(d), &g->identity.address) == 0 || d->has_grant ||
                    !is_same_thing(&g->identity, &d->facts.identity))
                        continue;
                if (g->identity.serial[0] && d->facts.identity.serial[0])
                        return d;
                if (only)
                        return NULL; /* two that look alike: no telling which */
                only = d;
        }
        return only;
}

static bool set_has_changed(const DeviceTable *t, const Grant *g, const Device *d) {
        IommuSet movers = {0};
        const Device *p;

        for (size_t i = 0; i < d->facts.set.n_members; i++) {
                p = device_table_find(t, &d->facts.set.members[i]);
                if (!p || !device_is_bridge(p))
                        (void)iommu_set_add(&movers, &d->facts.set.members[i]);
        }
        return !iommu_set_same_members(&g->set, &movers);
}

bool drift_of_grant(const DeviceTable *t, const Grant *g, DriftKind *ret, char *buf, size_t size) {
        char address[PCI_ADDRESS_SIZE], then[256], now[256];
        const Device *d, *moved;

        assert(t);
        assert(g);
        assert(ret);

        (void)pci_address_format(&g->identity.address, address);
        d = device_table_find(t, &g->identity.address);
        if (d && is_same_thing(&g->identity, &d->facts.identity)) {
                if (g->covers_vfs ||
                    !set_has_changed(t, g, d)) /* who stays with the host moves with nobody */
                        return false;
                *ret = DRIFT_SET_CHANGED;
                (void)snprintf(buf, size,
                               "Device %s was granted together with %s, but its IOMMU set is %s now; it is "
                               "not "
                               "bound. Grant it anew if that is wanted, or Revoke it.",
                               address, iommu_set_format(&g->set, then, sizeof then),
                               iommu_set_format(&d->facts.set, now, sizeof now));
                return true;
        }

        moved = find_moved(t, g);
        *ret = moved ? DRIFT_MOVED : d ? DRIFT_REPLACED : DRIFT_MISSING;
        if (moved)
                (void)snprintf(buf, size,
                               "Device [%04x:%04x] that was granted at %s is at %s now; neither is bound. "
                               "Revoke "
                               "%s, and make %s passthrough if it is still wanted.",
                               g->identity.vendor, g->identity.device, address, moved->address, address,
                               moved->address);
        else if (d)
                (void)snprintf(buf, size,
                               "Device [%04x:%04x] was granted at %s, but [%04x:%04x] is there now; it is "
                               "not "
                               "bound. Revoke %s, or put the other device back.",
                               g->identity.vendor, g->identity.device, address, d->facts.identity.vendor,
                               d->facts.identity.device, address);
        else
                (void)snprintf(buf, size,
                               "Device [%04x:%04x] was granted at %s, but no device is there now; put it "
                               "back, or "
                               "Revoke %s.",
                               g->identity.vendor, g->identity.device, address, address);
        return true;
}

static int add(DriftReport *r, DriftKind kind, const char *address, const char *sentence) {
        char *copy;

        if (array_grow(&r->entries, r->n, sizeof *r->entries) < 0)
                return -ENOMEM;
        copy = strdup(sentence);
        if (!copy)
                return -ENOMEM;

        r->entries[r->n] = (Drift){.kind = kind, .sentence = copy};
        (void)snprintf(r->entries[r->n++].address, PCI_ADDRESS_SIZE, "%s", address);
        return 0;
}

int drift_compute(const DeviceTable *t, const Grant *grants, size_t n, DriftReport *ret) {
        char sentence[768], address[PCI_ADDRESS_SIZE];
        DriftReport report = {0};
        DriftKind kind;
        int r = 0;

        assert(t);
        assert(ret);

        for (size_t i = 0; i < n && r >= 0; i++)
                if (drift_of_grant(t, &grants[i], &kind, sentence, sizeof sentence))
                        r = add(&report, kind, pci_address_format(&grants[i].identity.address, address),
                                sentence);
        for (size_t i = 0; i < t->n && r >= 0; i++) {
                const Device *d = t->devices[i];

                if ((d->taken || d->refusal || d->vfs_unmet) && d->attention)
                        r = add(&report, d->taken ? DRIFT_TAKEN : DRIFT_REFUSED, d->address, d->attention);
        }
        if (r < 0) {
                drift_report_clear(&report);
                return r;
        }

        *ret = report;
        return 0;
}
