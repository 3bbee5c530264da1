/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot-guard.h"
#include "edits.h"
#include "log.h"
#include "operation.h"
#include "run-settings.h"
#include "run-stop.h"
#include "steward.h"
#include "wanted.h"

/* No event tells that a VFIO node can be opened again: it is asked, ever more slowly. */
#define FIRST_TRY_USEC (50ULL * 1000)
#define DOUBLINGS_MAX 7U /* 6.4 s */

static StopSet *stop_set_free(StopSet *s) {
        (void)LIST_REMOVE(s->stop->sets, s, next);
        sd_event_source_disable_unref(s->again);
        free(s->sick);
        free(s);
        return NULL;
}

static RunStop *run_stop_free(RunStop *stop) {
        if (!stop)
                return NULL;

        (void)LIST_REMOVE(stop->manager->stops, stop, next);
        while (stop->sets)
                stop_set_free(stop->sets);
        sd_event_source_disable_unref(stop->again);
        free(stop);
        return NULL;
}

void run_stops_free_all(Manager *m) {
        while (m->stops)
                run_stop_free(m->stops);
}

static RunStop *find(const Manager *m, const char *run) {
        RunStop *stop = m->stops;

        while (stop && !streq(stop->run, run))
                stop = stop->next;
        return stop;
}

bool run_is_stopping(const Manager *m, const Run *r) {
        return find(m, r->record.id);
}

void run_stop_forget(Manager *m, void *userdata) {
        for (RunStop *stop = m->stops; stop; stop = stop->next)
                for (size_t i = stop->n_waiters; i > 0; i--)
                        if (stop->waiters[i - 1].userdata == userdata)
                                stop->waiters[i - 1] = stop->waiters[--stop->n_waiters];
}

/* Each waiter hears once. */
static void tell_waiters(RunStop *stop, const Failure *failure) {
        Waiter waiters[RUN_STOP_WAITERS_MAX];
        size_t n = stop->n_waiters;

        memcpy(waiters, stop->waiters, n * sizeof *waiters);
        stop->n_waiters = 0;
        for (size_t i = 0; i < n; i++)
                waiters[i].done(failure, waiters[i].userdata);
}

static void advance(StopSet *s);
static void settle(RunStop *stop);

static int on_again(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        StopSet *s = userdata;

        s->again = sd_event_source_disable_unref(s->again);
        advance(s);
        return 0;
}

static const RunDevice *find_member(const Run *r, const PciAddress *a) {
        for (size_t i = 0; r && i < r->record.n_devices; i++)
                if (pci_address_compare(&r->record.devices[i].identity.address, a) == 0)
                        return &r->record.devices[i];
        return NULL;
}

/* One of the set that is there. */
static Device *find_device(const StopSet *s) {
        const Run *r = run_stop_run(s->stop);
        const RunDevice *rd;
        Device *d = NULL;

        for (size_t i = 0; i < s->members.n_members && !d; i++)
                if ((rd = find_member(r, &s->members.members[i])))
                        d = claim_table_device(s->stop->manager->claims, rd);
        return d;
}

static void tell_claims(const StopSet *s, const char *progress, const char *problem) {
        ClaimTable *t = s->stop->manager->claims;
        const Run *r = run_stop_run(s->stop);
        const RunDevice *rd;
        Claim *c;

        for (size_t i = 0; i < s->members.n_members; i++) {
                rd = find_member(r, &s->members.members[i]);
                c = rd ? claim_table_find(t, rd->claim) : NULL;
                if (c)
                        claim_set_progress(t, c, progress);
                if (c && problem)
                        claim_set_problem(t, c, problem);
        }
}

static void try_again(StopSet *s, const Failure *why) {
        Manager *m = s->stop->manager;
        uint64_t delay = FIRST_TRY_USEC << (s->tries < DOUBLINGS_MAX ? s->tries : DOUBLINGS_MAX);
        RunStop *stop = s->stop;

        /* That somebody is busy with it passes, as a rule. */
        if (s->tries++ == (why->kind == FAILURE_BUSY ? DOUBLINGS_MAX : 0))
                log_info("Devices cannot come back yet: %s", why->sentence);
        tell_claims(s, why->sentence, NULL);
        if (sd_event_add_time_relative(m->event, &s->again, CLOCK_MONOTONIC, delay, 0, on_again, s) < 0) {
                /* Out of memory; the start of the service takes it up again. */
                log_error("Out of memory: devices of a VM that has ended stay where they are until a "
                          "restart of the service.");
        }
        if (why->kind != FAILURE_BUSY || s->tries > DOUBLINGS_MAX)
                tell_waiters(stop, why);
        settle(stop);
}

static void finish(StopSet *s) {
        s->done = true;
        settle(s->stop);
}

static bool needs_release(const StopSet *s, const Device *d) {
        const Manager *m = s->stop->manager;
        bool bound = run_start_unsure(m, s->stop->run, &s->members.members[0]);
        const Device *p;

        for (size_t i = 0; i < d->facts.set.n_members; i++) {
                p = device_table_find(&m->devices, &d->facts.set.members[i]);
                bound = bound || (p && streq(p->facts.driver, VFIO_DRIVER));
        }
        return bound && (!wanted_by(&m->devices, d) || boot_guard_rests(m));
}

/* Half-way, as a killed worker leaves it; one that is stuck is known to be, and waits for its device. */
static bool is_half_way(const StopSet *s) {
        const Device *d = find_device(s);

        return d && d->journalled && !d->stuck;
}

static void on_released(const Failure *failure, void *userdata) {
        StopSet *s = userdata;

        s->operating = false;
        if (failure && (failure->kind == FAILURE_BUSY || failure->kind == FAILURE_IN_USE ||
                        failure->kind == FAILURE_HELPER || is_half_way(s))) {
                try_again(s, failure);
                return;
        }
        /* It is nobody's; that the host has not got it is another matter. */
        if (failure && failure->kind != FAILURE_NO_SUCH_DEVICE) {
                log_warning("A device that a VM gave back is not at the host: %s", failure->sentence);
                tell_claims(s, NULL, failure->sentence);
        }
        finish(s);
}

/* Nobody new gets in, though not all went well. Without its grant nobody can have the device next, and before somebody
 * can, the helper closes it once more. */
static bool is_shut_all_the_same(FailureKind kind) {
        return kind == FAILURE_NO_RESET || kind == FAILURE_RESET || kind == FAILURE_NO_SUCH_DEVICE ||
               kind == FAILURE_NOT_GRANTED;
}

static void on_closed(const Failure *failure, void *userdata) {
        StopSet *s = userdata;

        s->operating = false;
        if (failure && !is_shut_all_the_same(failure->kind)) {
                try_again(s, failure);
                return;
        }

        if (failure && failure->kind != FAILURE_NO_SUCH_DEVICE)
                tell_claims(s, NULL, failure->sentence);
        if (failure && (failure->kind == FAILURE_NO_RESET || failure->kind == FAILURE_RESET))
                (void)device_set_text(&s->sick, failure->sentence);
        s->closed = true;
        s->tries = 0;
        advance(s);
}

/* What a killed helper has left in the middle goes home first. */
static void on_recovered(const Failure *failure, void *userdata) {
        StopSet *s = userdata;

        s->operating = false;
        if (failure && failure->kind != FAILURE_NO_SUCH_DEVICE)
                try_again(s, failure);
        else
                advance(s);
}

static void operate(StopSet *s, const Device *d, HelperVerb verb, operation_done_t done) {
        OperationRequest q = {.verb = verb, .device = *device_address(d)};
        Failure f = {0};

        s->operating = true;
        if (operation_start(s->stop->manager, &q, done, s, &f) >= 0)
                return;
        s->operating = false;
        try_again(s, &f);
}

/* A driver that is busy, with the reset perhaps, gets ready or never does; and a worker that was killed may have left
 * anything. */
static bool may_yet_be_reset(const StopSet *s, FailureKind kind) {
        return kind == FAILURE_IN_USE || kind == FAILURE_HELPER || kind == FAILURE_LIMITS_EXCEEDED ||
               ((kind == FAILURE_BUSY || kind == FAILURE_INTERNAL) && s->tries <= DOUBLINGS_MAX);
}

static void on_reset(const Failure *failure, void *userdata) {
        StopSet *s = userdata;

        s->operating = false;
        if (failure && may_yet_be_reset(s, failure->kind)) {
                try_again(s, failure);
                return;
        }
        if (failure && failure->kind != FAILURE_NO_SUCH_DEVICE) {
                log_warning("The settings of a function that a VM gave back stay: %s", failure->sentence);
                tell_claims(s, NULL, failure->sentence);
        }
        /* Whoever gets it next has it set up anew, but for switches that nobody turns; and they need no link. */
        s->switches_alone = failure && failure->kind != FAILURE_NO_SUCH_DEVICE && !s->switches_alone;
        if (!s->switches_alone)
                s->n_reset++;
        s->tries = 0;
        advance(s);
}

static bool left_alone(const StopSet *s, const Run *r, VfSettings *ret) {
        const PciAddress *a = &s->members.members[s->n_reset];

        if (run_start_left_unset(s->stop->manager, s->stop->run, a) ||
            !run_settings_after(s->stop->manager, r, a, ret))
                return true;
        for (int i = 0; s->switches_alone && i < VF_SETTING_MAX; i++)
                if (!vf_setting_is_switch((VfSetting)i))
                        ret->given &= ~(1U << i);
        return ret->given == 0;
}

/* True: there is one to be reset, and that is under way. */
static bool reset_settings(StopSet *s) {
        const Run *r = run_stop_run(s->stop);
        Manager *m = s->stop->manager;
        VfSettings settings;
        Failure f = {0};

        for (; r && s->n_reset < s->members.n_members && left_alone(s, r, &settings); s->n_reset++)
                s->switches_alone = false;
        if (!r || s->n_reset == s->members.n_members)
                return false;

        s->operating = true;
        if (operation_start(m,
                            &(OperationRequest){.verb = HELPER_SET_VF,
                                                .device = s->members.members[s->n_reset],
                                                .settings = &settings},
                            on_reset, s, &f) < 0)
                on_reset(&f, s);
        return true;
}

static bool was_refused(const StopSet *s) {
        const Run *r = run_stop_run(s->stop);

        return r && s->members.n_members > 0 && iommu_set_contains(&r->refused, &s->members.members[0]);
}

static void advance(StopSet *s) {
        Manager *m = s->stop->manager;
        const Device *d = find_device(s);
        bool shut = s->closed || run_start_spared(m, s->stop->run, &s->members.members[0]), whole;

        /* Vanished: what comes back as it is not the VM's any more. */
        if (!d || was_refused(s)) {
                finish(s);
                return;
        }
        whole = shut && !is_half_way(s);
        if (whole && reset_settings(s))
                return;
        if (whole && (s->sick || !needs_release(s, d)))
                finish(s);
        else if (d->journalled && !d->operating && s->tries > 0)
                operate(s, d, HELPER_RECOVER, on_recovered);
        else if (!shut)
                operate(s, d, HELPER_CLOSE, on_closed);
        else
                operate(s, d, HELPER_RELEASE, on_released);
}

static void forget_stored(RunStop *stop) {
        Manager *m = stop->manager;
        StopSet *next;
        Device *d;

        for (StopSet *s = stop->sets; s; s = next) {
                next = s->next;
                if (!s->planned)
                        continue;
                for (size_t i = 0; i < s->members.n_members; i++)
                        if ((d = device_table_find(&m->devices, &s->members.members[i])))
                                d->last_used = manager_now(m);
                stop_set_free(s);
        }
}

static int on_store_again(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        RunStop *stop = userdata;

        stop->again = sd_event_source_disable_unref(stop->again);
        settle(stop);
        return 0;
}

static void end_if_done(RunStop *stop) {
        if (stop->sets)
                settle(stop);
        else if (stop->n_marking == 0 && !stop->storing) {
                tell_waiters(stop, NULL);
                run_stop_free(stop);
        }
}

static void on_rest_stored(const Failure *failure, void *userdata) {
        RunStop *stop = userdata;
        Manager *m = stop->manager;
        char run[RECORD_ID_SIZE];

        stop->storing = false;
        if (failure) {
                if (!stop->told) /* it is tried again and again */
                        log_error("The end of a VM cannot be stored: %s", failure->sentence);
                stop->told = true;
                tell_waiters(stop, failure);
                (void)sd_event_add_time_relative(m->event, &stop->again, CLOCK_MONOTONIC,
                                                 FIRST_TRY_USEC << DOUBLINGS_MAX, 0, on_store_again, stop);
                return;
        }

        memcpy(run, stop->run, sizeof run);
        forget_stored(stop);
        if (!run_stop_run(stop)) {
                lifelines_drop(m->lifelines, run);
                run_watch_drop(m, run);
        }
        end_if_done(stop);
        run_queue_nudge(m);
        steward_run(m);
}

/* When nothing is under way, what is done is stored, at once for all. */
static void settle(RunStop *stop) {
        bool any = false;
        Failure f = {0};

        for (const StopSet *s = stop->sets; s; s = s->next) {
                if (s->operating || !s->begun)
                        return;
                any = any || s->done;
        }
        if (!any || stop->storing || stop->again)
                return;

        stop->storing = true;
        if (edit_start(stop->manager, &(EditRequest){.plan = run_stop_plan_rest}, on_rest_stored, stop, &f) <
            0)
                on_rest_stored(&f, stop);
}

static bool is_on_its_way(const RunStop *stop, const PciAddress *a) {
        for (const StopSet *s = stop->sets; s; s = s->next)
                if (iommu_set_contains(&s->members, a))
                        return true;
        return false;
}

/* All of the run's devices in the set of this one. False: one of them stays for now, and so all of them do. */
static bool collect_set(const RunStop *stop, const Run *r, const RunDevice *first, IommuSet *ret) {
        const ClaimTable *t = stop->manager->claims;
        const Device *d = claim_table_device(t, first), *other;

        *ret = (IommuSet){0};
        (void)iommu_set_add(ret, &first->identity.address);
        for (size_t i = 0; i < r->record.n_devices && d; i++) {
                other = claim_table_device(t, &r->record.devices[i]);
                if (!other || !device_in_set(other, d->facts.set.number))
                        continue;
                if (!r->record.devices[i].returning)
                        return false;
                (void)iommu_set_add(ret, device_address(other));
        }
        return true;
}

static void add_set(RunStop *stop, const IommuSet *members) {
        StopSet *s;

        s = calloc(1, sizeof *s);
        if (!s) {
                log_error("Out of memory: devices of a VM that has ended stay where they are until a "
                          "restart of the service.");
                return;
        }
        s->stop = stop;
        s->members = *members;
        s->next = stop->sets;
        stop->sets = s;
}

static void tell_shared(RunStop *stop) {
        Failure f = {0};

        (void)failure_set(&f, FAILURE_IN_USE,
                          "Devices of the claim share an IOMMU set with those of another claim of the VM; "
                          "they come back together, when that is stopped too.");
        tell_waiters(stop, &f);
}

static void begin_sets(RunStop *stop) {
        const Run *r = run_stop_run(stop);
        IommuSet members;
        bool shared = false;

        for (size_t i = 0; r && i < r->record.n_devices; i++) {
                const RunDevice *rd = &r->record.devices[i];

                if (!rd->returning || is_on_its_way(stop, &rd->identity.address))
                        continue;
                if (collect_set(stop, r, rd, &members))
                        add_set(stop, &members);
                else
                        shared = true;
        }
        if (shared)
                tell_shared(stop);

        /* None is freed before all have begun: settle() waits for that. */
        for (StopSet *s = stop->sets; s; s = s->next)
                if (!s->begun || s->again) { /* who asks again need not wait for the next try */
                        s->begun = true;
                        s->again = sd_event_source_disable_unref(s->again);
                        advance(s);
                }
        end_if_done(stop);
}

/* As many claims as a run has devices, at most. */
static bool is_named(const RunStop *stop, const char *claim) {
        for (size_t i = 0; i < stop->n_claims; i++)
                if (streq(stop->claims[i], claim))
                        return true;
        return false;
}

static bool is_to_return(const RunStop *stop, const RunDevice *rd) {
        return stop->whole || rd->returning || is_named(stop, rd->claim);
}

static void mark(const RunStop *stop, RunRecord *record) {
        for (size_t i = 0; i < record->n_devices; i++)
                record->devices[i].returning = is_to_return(stop, &record->devices[i]);
}

static void on_marked(const Failure *failure, void *userdata) {
        RunStop *stop = userdata;
        Run *r = run_stop_run(stop);

        stop->n_marking--;
        if (failure && r) { /* the way back is more important than its record */
                log_warning("That a VM ends cannot be stored: %s", failure->sentence);
                mark(stop, &r->record);
                claim_table_touch_vm(stop->manager->claims, r->record.owner, r->record.vm);
        }
        begin_sets(stop);
}

static int plan_marks(Manager *m _unused_, OrderPlan *p, void *userdata, Failure *f _unused_) {
        const Run *r = run_stop_run(userdata);
        RunRecord copy = {0};
        int e;

        if (!r) /* it has ended meanwhile */
                return 0;
        e = run_record_copy(&r->record, &copy);
        if (e >= 0) {
                mark(userdata, &copy);
                e = order_plan_put_run(p, &copy);
        }
        run_record_clear(&copy);
        return e;
}

static int add_wish(RunStop *stop, const Claim *c, run_stopped_t done, void *userdata, Failure *f) {
        if (done && stop->n_waiters == RUN_STOP_WAITERS_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "Too many calls wait for the end of this VM already; try again later.");
        if (!c)
                stop->whole = true;
        else if (!is_named(stop, c->record.id) && stop->n_claims < ELEMENTSOF(stop->claims))
                memcpy(stop->claims[stop->n_claims++], c->record.id, RECORD_ID_SIZE);
        if (done)
                stop->waiters[stop->n_waiters++] = (Waiter){done, userdata};
        return 0;
}

static RunStop *run_stop_new(Manager *m, const Run *r) {
        RunStop *stop;

        stop = calloc(1, sizeof *stop);
        if (!stop)
                return NULL;
        stop->manager = m;
        memcpy(stop->run, r->record.id, sizeof stop->run);
        stop->next = m->stops;
        m->stops = stop;
        return stop;
}

int run_stop(Manager *m, Run *r, const Claim *c, run_stopped_t done, void *userdata, Failure *f) {
        Failure unused = {0};
        RunStop *stop;

        assert(m);
        assert(r);
        assert(f);

        stop = find(m, r->record.id) ?: run_stop_new(m, r);
        if (!stop)
                return failure_set(f, FAILURE_INTERNAL,
                                   "VM \"%.200s\" cannot be ended: out of memory; try again later.",
                                   r->record.vm);
        if (add_wish(stop, c, done, userdata, f) < 0)
                return -EREMOTEIO;

        stop->n_marking++;
        if (edit_start(m, &(EditRequest){.plan = plan_marks}, on_marked, stop, &unused) < 0)
                on_marked(&unused, stop);
        return 0;
}
