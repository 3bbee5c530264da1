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

/* One IOMMU set on its way to the VM. */
struct StartSet {
        RunStart *start;
        StartSet *next;
        IommuSet devices; /* that the VM gets; `number` is the set's */
        bool bound;       /* by this start: so it goes home, whoever has it open meanwhile */
        bool done;
        bool asked;   /* that it be opened */
        bool cleaned; /* what nobody here knows of was closed */
};

RunRequest run_start_request(const RunStart *s) {
        return (RunRequest){.owner = s->owner,
                            .uid = s->call->uid,
                            .vm = s->vm,
                            .claim = s->claim[0] ? s->claim : NULL,
                            .numa_node = s->numa_node};
}

static void free_sets(RunStart *s) {
        StartSet *next;

        for (StartSet *set = s->sets; set; set = next) {
                next = set->next;
                free(set);
        }
        s->sets = NULL;
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
        free_sets(s);
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

static Run *run_of(const RunStart *s) {
        return s->run[0] ? claim_table_find_run(s->manager->claims, s->run) : NULL;
}

static void set_problems(const RunStart *s, const char *sentence) {
        ClaimTable *t = s->manager->claims;
        RunRequest q = run_start_request(s);
        size_t at = 0;
        Claim *c;

        while ((c = claim_table_next_of_vm(t, q.owner, q.vm, &at)))
                if ((!q.claim || streq(q.claim, c->record.id)) && c->record.enabled &&
                    (!c->run || c->run->record.starting))
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

static void fail_cancelled(RunStart *s) {
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

static void undo(RunStart *s) {
        Run *r = run_of(s);
        Failure f = {0};

        fail_cancelled(s); /* if nothing else is the cause */
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
        const Run *r = run_of(s);

        run_answer_note(s, r);
        manager_flush(m);
        if (run_answer_make(s, r, &reply) < 0) {
                (void)failure_set(&s->cause, FAILURE_INTERNAL,
                                  "The answer found no memory; try again later.");
                undo(s);
                return;
        }
        log_info("VM \"%s\" has its devices.", s->vm);
        call_finish_with(s->call, reply);
        steward_run(m);
}

static void on_online(const Failure *failure, void *userdata) {
        RunStart *s = userdata;
        const Run *r = run_of(s);
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
        fail_cancelled(s);
        undo(s);
}

static int plan_online(Manager *m _unused_, OrderPlan *p, void *userdata, Failure *f _unused_) {
        const Run *r = run_of(userdata);
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

static void go_online(RunStart *s) {
        Failure f = {0};

        s->phase = START_ANSWERING;
        if (edit_start(s->manager, &(EditRequest){.plan = plan_online}, on_online, s, &f) < 0)
                on_online(&f, s);
}

bool run_start_spared(const Manager *m, const char *run, const PciAddress *a) {
        const RunStart *s = m->starts;
        const StartSet *set;

        while (s && !streq(s->run, run))
                s = s->next;
        if (!s)
                return false;
        for (set = s->sets; set && !iommu_set_contains(&set->devices, a); set = set->next)
                ;
        return set ? set->done && !set->asked : s->phase == START_UNDOING;
}

/* Sets on their way. */
static void end_set(StartSet *set, const Failure *failure) {
        RunStart *s = set->start;

        set->done = true;
        if (failure)
                (void)failure_set(&s->cause, failure->kind, "%s", failure->sentence);
        for (const StartSet *other = s->sets; other; other = other->next)
                if (!other->done)
                        return;

        if (s->cancelled)
                fail_cancelled(s);
        if (s->cause.kind != FAILURE_NONE || !run_of(s))
                undo(s);
        else
                go_online(s);
}

static void take_fd(RunStart *s, const char *name, int fd) {
        PciAddress a;
        int copy;

        if (streq(name, "iommufd") ? s->iommufd >= 0
                                   : (pci_address_parse(name, &a) < 0 || s->n_fds == ELEMENTSOF(s->fds)))
                return;
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return; /* on_opened() misses it */
        if (streq(name, "iommufd"))
                s->iommufd = copy;
        else
                s->fds[s->n_fds++] = (StartFd){a, copy};
}

static void on_answered(sd_bus_message *reply, void *userdata) {
        StartSet *set = userdata;
        const char *name;
        int fd;

        if (sd_bus_message_enter_container(reply, 'a', "{sh}") < 0)
                return;
        while (sd_bus_message_read(reply, "{sh}", &name, &fd) > 0)
                take_fd(set->start, name, fd);
}

static bool has_all_fds(const StartSet *set) {
        const RunStart *s = set->start;
        size_t n = 0;

        if (s->access != RUN_ACCESS_FDS)
                return true;
        for (size_t i = 0; i < s->n_fds; i++)
                n += iommu_set_contains(&set->devices, &s->fds[i].device);
        return n == set->devices.n_members && s->iommufd >= 0;
}

static int plan_sick(Manager *m, OrderPlan *p, void *userdata, Failure *f _unused_) {
        StartSet *set = userdata;
        const Device *d = device_table_find(&m->devices, &set->devices.members[0]);
        QuarantineRecord q = {0};
        int r;

        if (!d)
                return 0;
        r = quarantine_record_make(m, d, set->start->cause.sentence, &q);
        if (r >= 0)
                r = order_plan_put_quarantine(p, &q);
        quarantine_record_clear(&q);
        return r;
}

static void on_sick_stored(const Failure *failure, void *userdata) {
        if (failure)
                log_warning("A device that cannot be reset is not in quarantine: %s", failure->sentence);
        end_set(userdata, NULL);
}

/* Somebody has it open by hand: the way back must not wait for him, and the next start picks others first. */
static void note_refusal(const StartSet *set) {
        Manager *m = set->start->manager;
        Run *r = run_of(set->start);
        Device *d;

        for (size_t i = 0; r && i < set->devices.n_members; i++) {
                if (!set->bound)
                        (void)iommu_set_add(&r->refused, &set->devices.members[i]);
                if ((d = device_table_find(&m->devices, &set->devices.members[i])))
                        d->last_used = manager_now(m);
        }
}

static void operate(StartSet *set, HelperVerb verb, operation_done_t done);
static void on_opened(const Failure *failure, void *userdata);

static void on_cleaned(const Failure *failure, void *userdata) {
        if (failure && failure->kind != FAILURE_NO_RESET)
                end_set(userdata, failure);
        else
                operate(userdata, HELPER_OPEN, on_opened);
}

static void on_opened(const Failure *failure, void *userdata) {
        Failure missing = {FAILURE_INTERNAL, "Not all descriptors of the devices came; see the journal of "
                                             "verge-passthroughd for why, and try again."},
                f = {0};
        StartSet *set = userdata;

        /* Somebody was let in before of whom the table does not know: a daemon that died has left that. */
        if (failure && failure->kind == FAILURE_CLAIMED && !set->cleaned) {
                set->cleaned = true;
                operate(set, HELPER_CLOSE, on_cleaned);
                return;
        }
        if (failure && failure->kind == FAILURE_IN_USE)
                note_refusal(set);
        if (!failure && !has_all_fds(set))
                failure = &missing;
        if (!failure || failure->kind != FAILURE_RESET) {
                end_set(set, failure);
                return;
        }

        /* The next start must not pick it again. */
        (void)failure_set(&set->start->cause, failure->kind, "%s", failure->sentence);
        if (edit_start(set->start->manager, &(EditRequest){.plan = plan_sick}, on_sick_stored, set, &f) < 0)
                on_sick_stored(&f, set);
}

static void show_progress(const StartSet *set, HelperVerb verb) {
        ClaimTable *t = set->start->manager->claims;
        const Run *r = run_of(set->start);
        char devices[256], progress[320];
        Claim *c;

        (void)snprintf(progress, sizeof progress, "%s of %s is under way.",
                       verb == HELPER_BIND ? "Bind" : "Reset and opening",
                       iommu_set_format(&set->devices, devices, sizeof devices));
        for (size_t i = 0; r && i < r->record.n_devices; i++)
                if (iommu_set_contains(&set->devices, &r->record.devices[i].identity.address) &&
                    (c = claim_table_find(t, r->record.devices[i].claim)))
                        claim_set_progress(t, c, progress);
}

static void operate(StartSet *set, HelperVerb verb, operation_done_t done) {
        RunStart *s = set->start;
        const Device *d = device_table_find(&s->manager->devices, &set->devices.members[0]);
        OperationRequest q = {.verb = verb,
                              .device = set->devices.members[0],
                              .devices = &set->devices,
                              .persistent = d && verb == HELPER_BIND && wanted_by(&s->manager->devices, d),
                              .subject = s->call->uid == 0 ? "" : call_sender(s->call),
                              .fds = s->access == RUN_ACCESS_FDS,
                              .answered = verb == HELPER_OPEN ? on_answered : NULL};
        Failure f = {0};

        set->asked = set->asked || verb == HELPER_OPEN;
        show_progress(set, verb);
        if (operation_start(s->manager, &q, done, set, &f) < 0)
                end_set(set, &f);
}

static void on_bound(const Failure *failure, void *userdata) {
        StartSet *set = userdata;

        set->bound = true;
        if (failure || set->start->cause.kind != FAILURE_NONE || set->start->cancelled)
                end_set(set, failure); /* the rest is in vain */
        else
                operate(set, HELPER_OPEN, on_opened);
}

static bool is_bound(const Manager *m, const StartSet *set) {
        const Device *d = device_table_find(&m->devices, &set->devices.members[0]), *p;

        for (size_t i = 0; d && i < d->facts.set.n_members; i++) {
                p = device_table_find(&m->devices, &d->facts.set.members[i]);
                if (p && !device_is_bridge(p) && !streq(p->facts.driver, VFIO_DRIVER))
                        return false;
        }
        return true;
}

static StartSet *set_for(RunStart *s, unsigned number) {
        StartSet *set = s->sets;

        while (set && set->devices.number != number)
                set = set->next;
        if (set)
                return set;

        set = calloc(1, sizeof *set);
        if (!set)
                return NULL;
        *set = (StartSet){.start = s, .next = s->sets, .devices = {.number = number}};
        s->sets = set;
        return set;
}

static int make_sets(RunStart *s, const Run *r) {
        StartSet *set;
        const Device *d;

        for (size_t i = 0; i < r->record.n_devices; i++) {
                d = claim_table_device(s->manager->claims, &r->record.devices[i]);
                if (!d)
                        return failure_set(&s->cause, FAILURE_NO_SUCH_DEVICE,
                                           "A device that was picked for VM \"%.200s\" has just vanished; "
                                           "start it again.",
                                           s->vm);
                set = set_for(s, d->facts.set.number);
                if (!set)
                        return failure_set(&s->cause, FAILURE_INTERNAL,
                                           "VM \"%.200s\" cannot start: out of memory; try again later.",
                                           s->vm);
                (void)iommu_set_add(&set->devices, device_address(d));
        }
        return 0;
}

/* All at once: the kernel makes them wait for each other where it must. */
static void open_sets(RunStart *s) {
        const Run *r = run_of(s);
        StartSet *next;

        s->phase = START_OPENING;
        if (s->cancelled)
                fail_cancelled(s);
        if (s->cause.kind != FAILURE_NONE || !r || make_sets(s, r) < 0) {
                undo(s);
                return;
        }
        for (StartSet *set = s->sets; set; set = next) {
                next = set->next; /* with the last one all may end, and s with it */
                if (s->cause.kind != FAILURE_NONE)
                        end_set(set, NULL); /* the rest is in vain */
                else if (is_bound(s->manager, set))
                        operate(set, HELPER_OPEN, on_opened);
                else
                        operate(set, HELPER_BIND, on_bound);
        }
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
        open_sets(s);
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
                                  "answer "
                                  "(%s); install systemd-container, or take another track.",
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
