/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "edits.h"
#include "log.h"
#include "memlock.h"
#include "operation.h"
#include "order-book.h"
#include "quarantine.h"
#include "run-start.h"
#include "steward.h"
#include "wanted.h"

RunRequest run_start_request(const RunStart *s) {
        return (RunRequest){.owner = s->owner,
                            .uid = s->call->uid,
                            .vm = s->vm,
                            .claim = s->claim[0] ? s->claim : NULL,
                            .numa_node = s->numa_node};
}

static void close_fds(RunStart *s) {
        for (size_t i = 0; i < s->n_fds; i++)
                (void)close(s->fds[i].fd);
        s->n_fds = 0;
        if (s->iommufd >= 0)
                (void)close(s->iommufd);
        s->iommufd = -1;
}

void run_start_free(RunStart *s) {
        if (s->listed)
                (void)LIST_REMOVE(s->manager->starts, s, next);
        run_stop_forget(s->manager, s);
        run_start_free_sets(s);
        close_fds(s);
        if (s->lifeline >= 0)
                (void)close(s->lifeline);
        sd_event_source_disable_unref(s->deadline);
        machine_watch_free(s->caller);
        machine_watch_free(s->machine);
        sd_bus_slot_unref(s->pid);
        free(s->vm_copy);
        free(s->tracked);
        free(s);
}

Run *run_start_run(const RunStart *s) {
        return s->run[0] ? claim_table_find_run(s->manager->claims, s->run) : NULL;
}

static void set_problems(const RunStart *s, const char *sentence) {
        ClaimTable *t = s->manager->claims;
        RunRequest q = run_start_request(s);
        size_t at = 0;
        Claim *c;

        while ((c = run_request_next(s->manager, &q, &at)))
                if (c->record.enabled && (!c->run || c->run->record.starting))
                        claim_set_problem(t, c, sentence);
}

void run_start_fail(RunStart *s, const Failure *failure) {
        Failure f = *failure;
        Manager *m = s->manager;

        run_queue_leave(s);
        if (s->run[0])
                lifelines_drop(m->lifelines, s->run);
        if (f.kind != FAILURE_CANCELLED && f.kind != FAILURE_RUNNING)
                set_problems(s, f.sentence);
        manager_flush(m);
        call_finish(s->call, &f); /* and s with it */
        run_queue_nudge(m);
}

void run_start_fail_cancelled(RunStart *s) {
        (void)failure_set(&s->cause, FAILURE_CANCELLED, "The start of VM \"%.200s\" was called off.", s->vm);
}

static void on_undone(const Failure *failure, void *userdata) {
        RunStart *s = userdata;
        Failure f = {.kind = s->cause.kind};

        if (failure)
                log_warning("A start that failed is not undone yet: %s", failure->sentence);
        (void)snprintf(f.sentence, sizeof f.sentence, "%.700s%s%.250s", s->cause.sentence,
                       failure ? " Not all is undone yet: " : "", failure ? failure->sentence : "");
        s->run[0] = '\0'; /* the run's end sees to the rest */
        run_start_fail(s, &f);
}

void run_start_undo(RunStart *s) {
        Run *r = run_start_run(s);
        Failure f = {0};

        run_start_fail_cancelled(s); /* if nothing else is the cause */
        s->phase = START_UNDOING;
        close_fds(s); /* or Close would find us with the devices */
        if (!r)
                on_undone(NULL, s);
        else if (run_stop(s->manager, r, NULL, on_undone, s, &f) < 0)
                on_undone(&f, s);
}

static void answer(RunStart *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Manager *m = s->manager;
        const Run *r = run_start_run(s);

        run_answer_note(s, r);
        manager_flush(m);
        if (run_answer_make(s, r, &reply) < 0) {
                (void)failure_set(&s->cause, FAILURE_INTERNAL,
                                  "The answer found no memory; try again later.");
                run_start_undo(s);
                return;
        }
        for (size_t i = 0; i < r->record.n_devices; i++)
                call_trail_add_device(s->call, &r->record.devices[i].identity.address);
        log_info("VM \"%s\" has its devices.", s->vm);
        call_finish_with(s->call, reply);
        steward_run(m);
}

static void on_online(const Failure *failure, void *userdata) {
        RunStart *s = userdata;
        const Run *r = run_start_run(s);
        int e = 0;

        if (!failure && r && !s->cancelled && (e = run_watch(s->manager, r)) >= 0) {
                answer(s);
                return;
        }
        if (failure)
                (void)failure_set(&s->cause, failure->kind, "%s", failure->sentence);
        if (e < 0)
                (void)failure_set(&s->cause, FAILURE_INTERNAL,
                                  "The end of VM \"%.200s\" cannot be watched: %s.", s->vm, strerror(-e));
        run_start_fail_cancelled(s);
        run_start_undo(s);
}

static int plan_online(Manager *m _unused_, OrderPlan *p, void *userdata, Failure *f _unused_) {
        const Run *r = run_start_run(userdata);
        RunRecord copy = {0};
        int e;

        if (!r)
                return 0;
        e = run_record_copy(&r->record, &copy);
        if (e >= 0) {
                copy.starting = false;
                e = order_plan_put_run(p, &copy);
        }
        run_record_clear(&copy);
        return e;
}

void run_start_opened(RunStart *s) {
        Failure f = {0};

        s->phase = START_ANSWERING;
        if (edit_start(s->manager, &(EditRequest){.plan = plan_online}, on_online, s, &f) < 0)
                on_online(&f, s);
}

static void on_run_stored(const Failure *failure, void *userdata) {
        RunStart *s = userdata;

        if (failure) {
                lifelines_drop(s->manager->lifelines, s->run);
                s->run[0] = '\0';
                run_queue_enter(s, failure);
                return;
        }
        set_problems(s, NULL);
        run_start_open(s);
}

static int fill_record(const RunStart *s, const RunPick *pick, RunRecord *r) {
        OrderStamp stamp;
        int e;

        e = order_book_stamp(&stamp);
        if (e < 0)
                return e;
        *r = (RunRecord){.owner = s->owner,
                         .uid = s->call->uid,
                         .starting = true,
                         .track = s->track,
                         .access = s->access,
                         .created = stamp.now};
        memcpy(r->id, s->run, sizeof r->id);
        (void)snprintf(r->boot_id, sizeof r->boot_id, "%s", s->manager->boot_id);
        r->vm = strdup(s->vm);
        r->tracked = strdup(strempty(s->tracked));
        r->devices = calloc(pick->n_devices, sizeof *r->devices);
        if (!r->vm || !r->tracked || !r->devices)
                return -ENOMEM;
        memcpy(r->devices, pick->devices, pick->n_devices * sizeof *r->devices);
        r->n_devices = pick->n_devices;
        return 0;
}

/* Nobody else picks between this and the moment when the run is in the table: edits are done one by one. */
static int plan_run(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        RunStart *s = userdata;
        RunRequest q = run_start_request(s);
        RunRecord record = {0};
        RunPick pick;
        size_t n;
        int r;

        n = run_queue_before(s);
        if (n > 0)
                return failure_set(
                                f, FAILURE_UNAVAILABLE,
                                "VM \"%.200s\" cannot start: %zu starts wait for devices of the same groups "
                                "already; wait too (option wait), or try again later.",
                                s->vm, n);
        if (!q.claim && run_check_none(m, q.owner, q.vm, f) < 0)
                return -EREMOTEIO;
        if (claim_table_count_runs(m->claims) >= RUNS_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED, "%u VMs are running already; end one first.",
                                   RUNS_MAX);
        if (run_pick(m, &q, &pick, f) < 0)
                return -EREMOTEIO;
        if (s->access == RUN_ACCESS_FDS && pick.n_devices > START_FDS_MAX)
                return failure_set(
                                f, FAILURE_LIMITS_EXCEEDED,
                                "VM \"%.200s\" has %zu devices, and the bus carries descriptors for no more "
                                "than %u; start it with access \"acl\".",
                                s->vm, pick.n_devices, START_FDS_MAX);

        r = fill_record(s, &pick, &record);
        if (r >= 0)
                r = order_plan_put_run(p, &record);
        run_record_clear(&record);
        return r;
}

static int make_lifeline(RunStart *s, Failure *f) {
        OrderStamp stamp;
        int r;

        if ((r = order_book_stamp(&stamp)) >= 0) {
                memcpy(s->run, stamp.id, sizeof s->run);
                if (s->track == RUN_TRACK_LIFELINE && s->lifeline >= 0)
                        s->lifeline = (close(s->lifeline), -1);
                if (s->track == RUN_TRACK_LIFELINE)
                        r = lifelines_make(s->manager->lifelines, s->run, &s->lifeline);
        }
        if (r >= 0)
                return 0;
        s->run[0] = '\0';
        return failure_set(f, r == -EMFILE ? FAILURE_LIMITS_EXCEEDED : FAILURE_INTERNAL,
                           "VM \"%.200s\" cannot have a lifeline (%s); try again when other VMs have ended.",
                           s->vm, strerror(-r));
}

void run_start_try(RunStart *s) {
        Failure f = {0};

        s->phase = START_STORING;
        if (make_lifeline(s, &f) < 0)
                run_start_fail(s, &f);
        else if (edit_start(s->manager, &(EditRequest){.plan = plan_run}, on_run_stored, s, &f) < 0)
                on_run_stored(&f, s);
}

/* Before the first try: is the machine there, and what may the caller lock? */
static void on_machine_gone(const char *reason _unused_, void *userdata) {
        RunStart *s = userdata;

        s->machine = machine_watch_free(s->machine); /* the run's own watch tells its end */
}

static void on_machine_found(int r, bool there, void *userdata) {
        RunStart *s = userdata;
        Failure f = {0};

        if (r >= 0 && there) {
                run_start_try(s);
                return;
        }
        if (r < 0)
                (void)failure_set(&f, FAILURE_UNAVAILABLE,
                                  "VM \"%.200s\" cannot be followed by systemd-machined, which does not "
                                  "answer (%s); install systemd-container, or take another track.",
                                  s->vm, strerror(-r));
        else
                (void)failure_set(&f, FAILURE_NO_SUCH_OBJECT,
                                  "systemd-machined knows no machine \"%.64s\"; start the VM so that it "
                                  "registers there first ('machinectl list'), or take another track.",
                                  s->tracked);
        run_start_fail(s, &f);
}

static void follow(RunStart *s) {
        int r;

        if (s->track != RUN_TRACK_MACHINE) {
                run_start_try(s);
                return;
        }
        r = machines_watch_machine(s->manager->machines, s->tracked, on_machine_found, on_machine_gone, s,
                                   &s->machine);
        if (r < 0)
                on_machine_found(r, false, s);
}

static int on_pid(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        RunStart *s = userdata;
        uint32_t pid;

        s->pid = sd_bus_slot_unref(s->pid);
        s->knows_memlock = !sd_bus_message_is_method_error(m, NULL) &&
                           sd_bus_message_read(m, "u", &pid) > 0 &&
                           memlock_read(s->manager->root, (pid_t)pid, &s->memlock) >= 0;
        follow(s);
        return 1;
}

void run_start_go(Call *c) {
        RunStart *s = c->data;
        Manager *m = s->manager;
        RunStart **last;

        for (last = &m->starts; *last; last = &(*last)->next)
                ;
        *last = s;
        s->next = NULL;
        s->listed = true;

        if (s->memory == 0 ||
            sd_bus_call_method_async(m->bus, &s->pid, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "GetConnectionUnixProcessID", on_pid, s, "s",
                                     call_sender(c)) < 0)
                follow(s);
}
