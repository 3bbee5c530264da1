/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-settings.h"
#include "sriov-settings.h"

static const RunDevice *find_device(const Run *r, const PciAddress *a) {
        const RunRecord *record = &r->record;

        for (size_t i = 0; i < record->n_devices; i++)
                if (pci_address_compare(&record->devices[i].identity.address, a) == 0)
                        return &record->devices[i];
        return NULL;
}

/* Which of its claim's devices it is: they are in the order in which they were picked, as long as all are there. */
static size_t find_number(const Run *r, const RunDevice *rd) {
        size_t n = 0;

        for (const RunDevice *before = r->record.devices; before < rd; before++)
                n += streq(before->claim, rd->claim);
        return n;
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
        const RunDevice *rd;

        assert(m);
        assert(r);

        rd = find_device(r, a);
        return rd &&
               run_settings_of_claim(m, claim_table_find(m->claims, rd->claim), find_number(r, rd), ret);
}

/* Is it set to what it would be now? Which of the devices of its claim it was is not known when others are back. */
static bool is_as_ordered(const Manager *m, const Claim *c, const RunDevice *rd) {
        VfSettings v;
        size_t n = 0;

        do
                if (run_settings_of_claim(m, c, n, &v) && sriov_settings_fingerprint(&v) == rd->settings)
                        return true;
        while (++n < c->record.n_macs);
        return false;
}

/* All switches that there are, as far as is known. */
static VfSettings every_switch(const Manager *m, const PciAddress *a) {
        const Device *d = device_table_find(&m->devices, a);
        VfSettings v = {0};

        for (int s = 0; s < VF_SETTING_MAX; s++)
                if (vf_setting_is_switch((VfSetting)s) && d &&
                    (d->vf_settings.given == 0 || vf_settings_has(&d->vf_settings, (VfSetting)s)))
                        v.given |= 1U << s;
        return v;
}

/* Which switches the VM had turned nobody knows any more when the group or the claim has changed meanwhile. */
bool run_settings_after(const Manager *m, const Run *r, const PciAddress *a, VfSettings *ret) {
        const RunDevice *rd;
        const Group *g;
        VfSettings turned;
        Claim *c;

        assert(m);
        assert(r);
        assert(ret);

        rd = find_device(r, a);
        c = rd ? claim_table_find(m->claims, rd->claim) : NULL;
        g = find_group(m, c);
        if (!g)
                return false;
        turned = is_as_ordered(m, c, rd) ? c->record.settings : every_switch(m, a);
        sriov_settings_after(&g->record.sriov, &turned, ret);
        return true;
}
