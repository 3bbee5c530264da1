/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-state.h"

void run_free(Run *r) {
        run_record_clear(&r->record);
        free(r);
}

Run *claim_table_runs(const ClaimTable *t) {
        assert(t);

        return t->runs;
}

size_t claim_table_count_runs(const ClaimTable *t) {
        assert(t);

        return t->n_runs;
}

Run *claim_table_find_run(const ClaimTable *t, const char *id) {
        Run *r = claim_table_runs(t);

        while (r && !streq(r->record.id, id))
                r = r->next;
        return r;
}

Run *claim_table_next_run_of_vm(const ClaimTable *t, uid_t owner, const char *vm, Run *after) {
        Run *r = after ? after->next : claim_table_runs(t);

        while (r && !(r->record.owner == owner && streq(r->record.vm, vm)))
                r = r->next;
        return r;
}

const DeviceTable *claim_table_devices(const ClaimTable *t) {
        assert(t);

        return t->config.devices;
}

Device *claim_table_device(const ClaimTable *t, const RunDevice *rd) {
        Device *d;

        assert(t);
        assert(rd);

        d = device_table_find(t->config.devices, &rd->identity.address);
        return d && pci_identity_same(&d->facts.identity, &rd->identity) ? d : NULL;
}

/* A set goes with the first of its members that a run has. */
static const RunDevice *find_run_device(const ClaimTable *t, const Device *d, Run **ret_run) {
        const RunDevice *of_set = NULL;

        for (Run *r = t->runs; r; r = r->next)
                for (size_t i = 0; i < r->record.n_devices; i++) {
                        const RunDevice *rd = &r->record.devices[i];
                        const Device *own = claim_table_device(t, rd);

                        if (own != d && (of_set || !own || device_is_bridge(d) ||
                                         !device_in_set(own, d->facts.set.number)))
                                continue;
                        *ret_run = r;
                        if (own == d)
                                return rd;
                        of_set = rd;
                }
        return of_set;
}

Run *claim_table_run_of(const ClaimTable *t, const Device *d) {
        Run *r = NULL;

        assert(t);
        assert(d);

        return find_run_device(t, d, &r) ? r : NULL;
}

int claim_table_check_device(const Device *d, Failure *f) {
        assert(d);
        assert(f);

        if (!d->claim)
                return 0;
        return failure_set(
                        f, FAILURE_CLAIMED,
                        "Device %s is claimed by the VM \"%.200s\", which has it; end that VM (StopVm) and "
                        "try again.",
                        d->address, d->claim->record.vm);
}

static void refresh_device(ClaimTable *t, Device *d) {
        const RunDevice *rd;
        Claim *c;
        Run *r;

        rd = find_run_device(t, d, &r);
        c = rd ? claim_table_find(t, rd->claim) : NULL;
        if (c == d->claim)
                return;
        d->claim = c;
        if (t->config.claimed)
                t->config.claimed(d, t->config.userdata);
}

static void refresh_set(ClaimTable *t, const Device *d) {
        Device *member;

        for (size_t i = 0; i < d->facts.set.n_members; i++)
                if ((member = device_table_find(t->config.devices, &d->facts.set.members[i])))
                        refresh_device(t, member);
}

static void touch_run(ClaimTable *t, const Run *r) {
        Claim *c;

        for (size_t i = 0; i < r->record.n_devices; i++)
                if ((c = claim_table_find(t, r->record.devices[i].claim)))
                        claim_table_touch(t, c, 1U << CLAIM_PROPERTY_DEVICES);
        claim_table_touch_vm(t, r->record.owner, r->record.vm);
}

/* What the record's claims and devices say from now on; `r` is in the list, or not any more. */
static void refresh_run(ClaimTable *t, const RunRecord *record, Run *r) {
        const Device *d;
        Claim *c;

        for (size_t i = 0; i < record->n_devices; i++) {
                const RunDevice *rd = &record->devices[i];

                if ((c = claim_table_find(t, rd->claim))) {
                        c->run = r && run_count_devices(r, c) > 0 ? r : NULL;
                        if (!c->run) {
                                claim_set_progress(t, c, NULL);
                                claim_set_memory_lock(t, c, 0);
                        }
                        claim_table_touch(t, c, 1U << CLAIM_PROPERTY_DEVICES);
                }
                if ((d = claim_table_device(t, rd)))
                        refresh_set(t, d);
        }
        claim_table_touch_vm(t, record->owner, record->vm);
}

int claim_table_put_run(ClaimTable *t, RunRecord *record, Run **ret) {
        RunRecord old = {0};
        Run *r;

        assert(t);
        assert(record);
        assert(ret);

        r = claim_table_find_run(t, record->id);
        if (r)
                old = r->record;
        else {
                r = calloc(1, sizeof *r);
                if (!r)
                        return -ENOMEM;
                r->next = t->runs;
                t->runs = r;
                t->n_runs++;
        }

        r->record = *record;
        *record = (RunRecord){0};
        if (old.vm)
                refresh_run(t, &old, r);
        refresh_run(t, &r->record, r);
        run_record_clear(&old);
        *ret = r;
        return 0;
}

/* What was said of those that a start has left out, when nothing of their VM runs any more. */
static void forget_left_out(ClaimTable *t, const RunRecord *record) {
        size_t at = 0;
        Claim *c;

        if (claim_table_next_run_of_vm(t, record->owner, record->vm, NULL))
                return;
        while ((c = claim_table_next_of_vm(t, record->owner, record->vm, &at)))
                if (!c->waiting)
                        claim_set_progress(t, c, NULL);
}

void claim_table_remove_run(ClaimTable *t, Run *r) {
        assert(t);
        assert(r);

        if (LIST_REMOVE(t->runs, r, next))
                t->n_runs--;
        refresh_run(t, &r->record, NULL);
        forget_left_out(t, &r->record);
        run_free(r);
}

size_t run_count_devices(const Run *r, const Claim *c) {
        size_t n = 0;

        assert(r);
        assert(c);

        for (size_t i = 0; i < r->record.n_devices; i++)
                n += streq(r->record.devices[i].claim, c->record.id);
        return n;
}

uint32_t claim_table_count_devices(const ClaimTable *t, uid_t uid, const char *group) {
        const Claim *c;
        uint32_t n = 0;

        assert(t);

        for (const Run *r = t->runs; r; r = r->next)
                for (size_t i = 0; i < r->record.n_devices && r->record.uid == uid; i++) {
                        c = claim_table_find(t, r->record.devices[i].claim);
                        n += c && streq(c->record.group, group);
                }
        return n;
}

static void touch_runs_of(ClaimTable *t, const PciAddress *a) {
        for (const Run *r = t->runs; r; r = r->next)
                for (size_t i = 0; i < r->record.n_devices; i++)
                        if (pci_address_compare(&r->record.devices[i].identity.address, a) == 0)
                                touch_run(t, r);
}

void claim_table_device_changed(ClaimTable *t, Device *d) {
        assert(t);
        assert(d);

        refresh_set(t, d);
        touch_runs_of(t, device_address(d));
}

void claim_table_device_leaves(ClaimTable *t, Device *d) {
        assert(t);
        assert(d);

        d->claim = NULL;
        touch_runs_of(t, device_address(d));
}
