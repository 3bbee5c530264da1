/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-settings.h"
#include "sriov-settings.h"

/* The claim that has it, and which of the claim's devices it is: they are in the order in which they were picked. */
static const Claim *find_claim(const Manager *m, const Run *r, const PciAddress *a, size_t *ret_number) {
        const RunRecord *record = &r->record;
        size_t at = 0;

        while (at < record->n_devices && pci_address_compare(&record->devices[at].identity.address, a) != 0)
                at++;
        if (at == record->n_devices)
                return NULL;

        *ret_number = 0;
        for (size_t i = 0; i < at; i++)
                *ret_number += streq(record->devices[i].claim, record->devices[at].claim);
        return claim_table_find(m->claims, record->devices[at].claim);
}

static const Group *find_group(const Manager *m, const Claim *c) {
        const Group *g = c ? registry_find_group(m->registry, c->record.group) : NULL;

        return g && g->record.type == GROUP_TYPE_SRIOV_NIC ? g : NULL;
}

bool run_settings_of_claim(const Manager *m, const Claim *c, size_t n, VfSettings *ret) {
        const Group *g = find_group(m, c);

        assert(ret);

        if (!g)
                return false;
        sriov_settings_effective(&g->record.sriov, &c->record.settings,
                                 n < c->record.n_macs ? c->record.macs[n] : NULL, ret);
        return true;
}

bool run_settings(const Manager *m, const Run *r, const PciAddress *a, VfSettings *ret) {
        const Claim *c;
        size_t number = 0;

        assert(m);
        assert(r);

        c = find_claim(m, r, a, &number);
        return run_settings_of_claim(m, c, number, ret);
}

bool run_settings_after(const Manager *m, const Run *r, const PciAddress *a, VfSettings *ret) {
        const Claim *c;
        const Group *g;
        size_t number = 0;

        assert(m);
        assert(r);
        assert(ret);

        c = find_claim(m, r, a, &number);
        g = find_group(m, c);
        if (!g)
                return false;
        sriov_settings_after(&g->record.sriov, &c->record.settings, ret);
        return true;
}
