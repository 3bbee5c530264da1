/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-plan.h"
#include "quarantine.h"
#include "run-stop.h"

Run *run_stop_run(const RunStop *stop) {
        return claim_table_find_run(stop->manager->claims, stop->run);
}

static int plan_quarantine(const Manager *m, OrderPlan *p, const StopSet *s, const Run *run) {
        const RunDevice *rd;
        const Device *d;
        int r = 0;

        for (size_t i = 0; i < run->record.n_devices && r >= 0; i++) {
                rd = &run->record.devices[i];
                d = iommu_set_contains(&s->members, &rd->identity.address)
                                    ? claim_table_device(m->claims, rd)
                                    : NULL;
                if (!d) /* or another one sits there by now */
                        continue;
                r = quarantine_plan(m, p, d, s->sick);
        }
        return r;
}

static bool is_back(const RunStop *stop, const RunDevice *rd) {
        for (const StopSet *s = stop->sets; s; s = s->next)
                if (s->planned && iommu_set_contains(&s->members, &rd->identity.address))
                        return true;
        return false;
}

static bool has_device_of(const RunRecord *r, const Claim *c) {
        for (size_t i = 0; i < r->n_devices; i++)
                if (streq(r->devices[i].claim, c->record.id))
                        return true;
        return false;
}

/* A claim that was deleted meanwhile goes with the last of its devices. */
static int plan_burials(OrderPlan *p, const ClaimTable *t, const Run *run, const RunRecord *rest) {
        const Claim *c;
        size_t at = 0;
        int r = 0;

        while ((c = claim_table_next_of_vm(t, run->record.owner, run->record.vm, &at)) && r >= 0)
                if (c->run == run && c->record.doomed && !has_device_of(rest, c))
                        r = order_plan_remove_claim(p, c->record.id);
        return r;
}

/* The run without what is back. */
int run_stop_plan_rest(Manager *m, OrderPlan *p, void *userdata, Failure *f _unused_) {
        RunStop *stop = userdata;
        const Run *run = run_stop_run(stop);
        RunRecord rest = {0};
        size_t n = 0;
        int r = 0;

        /* One that is done while the disk writes waits for the next time. */
        for (StopSet *s = stop->sets; s; s = s->next)
                s->planned = s->done;
        if (!run)
                return 0;
        for (const StopSet *s = stop->sets; s && r >= 0; s = s->next)
                if (s->planned && s->sick)
                        r = plan_quarantine(m, p, s, run);
        if (r < 0 || (r = run_record_copy(&run->record, &rest)) < 0)
                return r;

        for (size_t i = 0; i < rest.n_devices; i++)
                if (!is_back(stop, &rest.devices[i]))
                        rest.devices[n++] = rest.devices[i];
        rest.n_devices = n;
        if (n == 0)
                r = claim_plan_end_run(p, m->claims, run);
        else if ((r = plan_burials(p, m->claims, run, &rest)) >= 0)
                r = order_plan_put_run(p, &rest);
        run_record_clear(&rest);
        return r;
}
