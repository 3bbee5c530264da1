/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-plan.h"
#include "edits.h"
#include "log.h"
#include "operation.h"
#include "runs.h"
#include "steward.h"
#include "wanted.h"

int runs_load(Manager *m) {
        Run *r;
        int e;

        for (size_t i = 0; i < m->n_left_runs; i++)
                if ((e = claim_table_put_run(m->claims, &m->left_runs[i], &r)) < 0)
                        return e;
        return 0;
}

static bool is_of_this_boot(const Manager *m, const Run *r) {
        return streq(r->record.boot_id, m->boot_id);
}

/* A boot has ended all of its VMs, and reset their devices. */
static int plan_forget(Manager *m, OrderPlan *p, void *userdata _unused_, Failure *f _unused_) {
        int r = 0;

        for (const Run *run = claim_table_runs(m->claims); run && r >= 0; run = run->next)
                if (!is_of_this_boot(m, run))
                        r = claim_plan_end_run(p, m->claims, run);
        return r;
}

static void on_forgotten(const Failure *failure, void *userdata) {
        if (failure)
                log_warning("The VMs of an earlier boot cannot be forgotten: %s", failure->sentence);
        run_queue_nudge(userdata);
        steward_run(userdata); /* their devices are its again */
}

static bool is_ours(const char *run, void *userdata) {
        const Manager *m = userdata;
        const Run *r = claim_table_find_run(m->claims, run);

        return r && is_of_this_boot(m, r) && !r->record.starting;
}

static void stop_all(Manager *m, Run *r, const char *why) {
        Failure f = {0};

        log_info("VM \"%s\": %s; its devices come back.", r->record.vm, why);
        if (run_stop(m, r, NULL, NULL, NULL, &f) < 0)
                log_error("%s", f.sentence);
}

/* Of a claim that was stopped alone. */
static bool stop_returning(Manager *m, Run *r) {
        bool any = false, all = true;
        Failure f = {0};
        Claim *c;

        for (size_t i = 0; i < r->record.n_devices; i++) {
                const RunDevice *rd = &r->record.devices[i];

                any = any || rd->returning;
                all = all && rd->returning;
                c = rd->returning ? claim_table_find(m->claims, rd->claim) : NULL;
                if (c && run_stop(m, r, c, NULL, NULL, &f) < 0)
                        log_error("%s", f.sentence);
        }
        return any && all;
}

/* Those that went and came back while nobody looked. */
static void note_who_came_back(Manager *m, const Run *r) {
        Device *d;

        for (size_t i = 0; i < r->record.n_devices; i++)
                if ((d = claim_table_device(m->claims, &r->record.devices[i])))
                        d->came_back = !streq(d->facts.driver, VFIO_DRIVER);
}

static void take_up(Manager *m, Run *r) {
        int e;

        if (r->record.starting) {
                stop_all(m, r, "the service ended while it was starting");
                return;
        }
        if (stop_returning(m, r))
                return;
        if (r->record.track == RUN_TRACK_LIFELINE && !lifelines_has(m->lifelines, r->record.id)) {
                stop_all(m, r, "its lifeline is lost");
                return;
        }
        note_who_came_back(m, r);
        e = run_watch(m, r);
        if (e < 0)
                log_error("The end of VM \"%s\" cannot be watched (%s); StopVm ends it.", r->record.vm,
                          strerror(-e));
}

void runs_recover(Manager *m) {
        Failure f = {0};
        Run *next;

        if (!m->read_only) /* else nobody knows whose they are */
                lifelines_keep_only(m->lifelines, is_ours, m);
        for (Run *r = claim_table_runs(m->claims); r; r = next) {
                next = r->next;
                if (is_of_this_boot(m, r))
                        take_up(m, r);
        }
        if (!m->read_only && edit_start(m, &(EditRequest){.plan = plan_forget}, on_forgotten, m, &f) < 0)
                on_forgotten(&f, m);
}

static void on_taken_back(const Failure *failure, void *userdata _unused_) {
        if (failure)
                log_warning("A device of a VM that is back cannot be kept for it: %s", failure->sentence);
        else
                log_info("A device of a VM is back, and kept for it.");
}

void runs_take_back(Manager *m) {
        for (const Run *r = claim_table_runs(m->claims); r; r = r->next)
                for (size_t i = 0; i < r->record.n_devices && !r->record.starting; i++) {
                        Device *d = claim_table_device(m->claims, &r->record.devices[i]);
                        Failure f = {0};

                        if (!d || !d->came_back || r->record.devices[i].returning || d->operating ||
                            d->journalled || !d->critical_known)
                                continue;
                        d->came_back = false;
                        if (d->claim && !streq(d->facts.driver, VFIO_DRIVER) &&
                            operation_start(m,
                                            &(OperationRequest){.verb = HELPER_BIND,
                                                                .device = *device_address(d),
                                                                .persistent = wanted_by(&m->devices, d)},
                                            on_taken_back, m, &f) < 0)
                                on_taken_back(&f, m);
                }
}
