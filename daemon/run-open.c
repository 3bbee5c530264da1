/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "edits.h"
#include "log.h"
#include "operation.h"
#include "quarantine.h"
#include "run-settings.h"
#include "run-start.h"
#include "wanted.h"

/* One IOMMU set on its way to the VM. */
struct StartSet {
        RunStart *start;
        StartSet *next;
        IommuSet devices; /* that the VM gets; `number` is the set's */
        VfSettings settings;
        size_t n_set; /* of the devices: their settings in the network are as the VM is to have them */
        bool bound;   /* by this start: so it goes home, whoever has it open meanwhile */
        bool unsure;  /* nobody has said how that ended */
        bool done;
        bool set_up;  /* that its settings be made was asked, at least */
        bool asked;   /* that it be opened */
        bool cleaned; /* what nobody here knows of was closed */
};

void run_start_free_sets(RunStart *s) {
        StartSet *next;

        for (StartSet *set = s->sets; set; set = next) {
                next = set->next;
                free(set);
        }
        s->sets = NULL;
}

static const RunStart *find_start(const Manager *m, const char *run) {
        const RunStart *s = m->starts;

        while (s && !streq(s->run, run))
                s = s->next;
        return s;
}

static const StartSet *find_set(const RunStart *s, const PciAddress *a) {
        const StartSet *set = s ? s->sets : NULL;

        while (set && !iommu_set_contains(&set->devices, a))
                set = set->next;
        return set;
}

bool run_start_spared(const Manager *m, const char *run, const PciAddress *a) {
        const RunStart *s = find_start(m, run);
        const StartSet *set = find_set(s, a);

        if (!s)
                return false;
        return set ? set->done && !set->asked : s->phase == START_UNDOING;
}

bool run_start_left_unset(const Manager *m, const char *run, const PciAddress *a) {
        const StartSet *set = find_set(find_start(m, run), a);

        return run_start_spared(m, run, a) && !(set && set->set_up);
}

bool run_start_unsure(const Manager *m, const char *run, const PciAddress *a) {
        const StartSet *set = find_set(find_start(m, run), a);

        return set && set->unsure;
}

static void end_set(StartSet *set, const Failure *failure) {
        RunStart *s = set->start;

        set->done = true;
        if (failure)
                (void)failure_set(&s->cause, failure->kind, "%s", failure->sentence);
        for (const StartSet *other = s->sets; other; other = other->next)
                if (!other->done)
                        return;

        if (s->cancelled)
                run_start_fail_cancelled(s);
        if (s->cause.kind != FAILURE_NONE || !run_start_run(s))
                run_start_undo(s);
        else
                run_start_opened(s);
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
        const StartSet *set = userdata;
        const Device *d = device_table_find(&m->devices, &set->devices.members[0]);

        return d ? quarantine_plan(m, p, d, set->start->cause.sentence) : 0;
}

static void on_sick_stored(const Failure *failure, void *userdata) {
        if (failure)
                log_warning("A device that cannot be reset is not in quarantine: %s", failure->sentence);
        end_set(userdata, NULL);
}

/* Somebody has it open by hand: the way back must not wait for him, and the next start picks others first. */
static void note_refusal(const StartSet *set) {
        Manager *m = set->start->manager;
        Run *r = run_start_run(set->start);
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
        const Run *r = run_start_run(set->start);
        char devices[256], progress[320];
        Claim *c;

        (void)snprintf(progress, sizeof progress, "%s of %s is under way.",
                       verb == HELPER_BIND     ? "Bind"
                       : verb == HELPER_SET_VF ? "Setting the port up for"
                                               : "Reset and opening",
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
                              .device = set->devices.members[verb == HELPER_SET_VF ? set->n_set : 0],
                              .devices = &set->devices,
                              .persistent = d && verb == HELPER_BIND && wanted_by(&s->manager->devices, d),
                              .subject = s->call->uid == 0 ? "" : call_sender(s->call),
                              .fds = s->access == RUN_ACCESS_FDS,
                              .settings = verb == HELPER_SET_VF ? &set->settings : NULL,
                              .answered = verb == HELPER_OPEN ? on_answered : NULL};
        Failure f = {0};

        set->asked = set->asked || verb == HELPER_OPEN;
        set->set_up = set->set_up || verb == HELPER_SET_VF;
        show_progress(set, verb);
        if (operation_start(s->manager, &q, done, set, &f) < 0)
                end_set(set, &f);
}

static bool is_in_vain(const StartSet *set) {
        return set->start->cause.kind != FAILURE_NONE || set->start->cancelled;
}

static void prepare(StartSet *set);

static void on_set(const Failure *failure, void *userdata) {
        StartSet *set = userdata;

        if (failure && failure->kind == FAILURE_IN_USE)
                note_refusal(set);
        set->n_set++;
        if (failure || is_in_vain(set))
                end_set(set, failure);
        else
                prepare(set);
}

/* Before anybody is let in: the first frame must find the settings as they are to be. */
static void prepare(StartSet *set) {
        const Run *r = run_start_run(set->start);

        for (; r && set->n_set < set->devices.n_members; set->n_set++)
                if (run_settings(set->start->manager, r, &set->devices.members[set->n_set],
                                 &set->settings)) {
                        operate(set, HELPER_SET_VF, on_set);
                        return;
                }
        operate(set, HELPER_OPEN, on_opened);
}

static void on_bound(const Failure *failure, void *userdata) {
        StartSet *set = userdata;

        set->bound = true;
        set->unsure = failure && failure->kind == FAILURE_HELPER;
        if (failure || is_in_vain(set))
                end_set(set, failure);
        else
                prepare(set);
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
void run_start_open(RunStart *s) {
        const Run *r = run_start_run(s);
        StartSet *next;

        s->phase = START_OPENING;
        if (s->cancelled)
                run_start_fail_cancelled(s);
        if (s->cause.kind != FAILURE_NONE || !r || make_sets(s, r) < 0) {
                run_start_undo(s);
                return;
        }
        for (StartSet *set = s->sets; set; set = next) {
                next = set->next; /* with the last one all may end, and s with it */
                if (s->cause.kind != FAILURE_NONE)
                        end_set(set, NULL); /* the rest is in vain */
                else if (is_bound(s->manager, set))
                        prepare(set);
                else
                        operate(set, HELPER_BIND, on_bound);
        }
}
