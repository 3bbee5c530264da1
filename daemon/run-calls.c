/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "edits.h"
#include "run-start.h"

/* VMs of two owners are two VMs. Whoever has none of this name means the one that there is. */
static uid_t find_owner(const Manager *m, uid_t caller, const char *vm) {
        uid_t owner = caller;
        unsigned n = 0;
        const Claim *c;
        size_t at = 0;

        if (claim_table_next_of_vm(m->claims, caller, vm, &(size_t){0}))
                return caller;
        while ((c = claim_table_next(m->claims, &at)))
                if (streq(c->record.vm, vm) && (n == 0 || c->record.owner != owner)) {
                        owner = c->record.owner;
                        n++;
                }
        return n == 1 ? owner : caller;
}

static int refuse_unknown(const char *vm, Failure *f) {
        return failure_set(f, FAILURE_NO_SUCH_OBJECT,
                           "No VM \"%.200s\" of yours has a claim; make one with CreateClaim, or name the "
                           "owner (option owner) if several users have a VM of this name.",
                           vm);
}

/* Once: another's VM of this name, made while a prompt stands, is not what was asked about. */
static void resolve(const Call *c) {
        RunStart *s = c->data;

        if (!s->has_owner && !s->claim[0])
                s->owner = find_owner(s->manager, c->uid, s->vm);
        s->has_owner = true;
}

static int check_start(Call *c, Failure *f) {
        RunStart *s = c->data;
        Manager *m = s->manager;
        RunRequest q;
        RunPick pick;

        s->call = c;
        resolve(c);
        q = run_start_request(s);
        if (edit_check_possible(m, f) < 0)
                return -EREMOTEIO;
        if (m->platform.disabled)
                return failure_set(f, FAILURE_NOT_AUTHORIZED,
                                   "VM \"%.200s\" cannot start: passthrough is switched off "
                                   "by " KERNEL_OPTION_OFF " on the kernel command line; boot without it.",
                                   s->vm);
        if (q.claim ? !claim_table_find(m->claims, q.claim)
                    : !claim_table_next_of_vm(m->claims, q.owner, q.vm, &(size_t){0}))
                return refuse_unknown(s->vm, f);
        if (q.claim && claim_table_find(m->claims, q.claim)->run)
                return failure_set(f, FAILURE_RUNNING,
                                   "The claim \"%.200s\" is running already; Stop ends it.",
                                   claim_table_find(m->claims, q.claim)->record.name);
        if ((q.claim || run_check_none(m, q.owner, q.vm, f) >= 0) && run_pick(m, &q, &pick, f) >= 0)
                return 0;
        if (f->kind != FAILURE_UNAVAILABLE || s->wait == 0)
                return -EREMOTEIO;
        *f = (Failure){0};
        return 0;
}

static bool is_owner_of_start(const Call *c) {
        const RunStart *s = c->data;

        resolve(c);
        return s->owner == c->uid;
}

/* The groups of what is claimed, and how many devices that are: what polkit's rules decide by. */
static void describe_claims(const Manager *m, const RunRequest *q, const char *verb, CallDetails *ret) {
        char *groups = ret->text, *count = ret->text + 320, *owner = ret->text + 336;
        uint32_t n = 0;
        size_t at = 0, used = 0;
        const Claim *c, *claim = q->claim ? claim_table_find(m->claims, q->claim) : NULL;
        const Group *g, *last = NULL;

        groups[0] = '\0';
        while ((c = run_request_next(m, q, &at))) {
                if (!c->record.enabled && !c->run)
                        continue;
                n += c->record.count;
                g = registry_find_group(m->registry, c->record.group);
                if (g && g != last && used < 300)
                        used += (size_t)snprintf(groups + used, 320 - used, "%s%s", used > 0 ? ", " : "",
                                                 g->record.name);
                last = g;
        }
        (void)snprintf(count, 16, "%u", n);
        (void)snprintf(owner, 16, "%u", (unsigned)q->owner);
        call_details_add(ret, "verb", verb);
        call_details_add(ret, "vm", q->vm);
        call_details_add(ret, "group", groups);
        call_details_add(ret, "count", count);
        call_details_add(ret, "owner", owner);
        if (claim)
                call_details_add(ret, "claim", claim->record.name);
}

static void describe_start(const Call *c, CallDetails *ret) {
        RunRequest q = run_start_request(c->data);

        describe_claims(c->manager, &q, "StartVm", ret);
        call_details_add(ret, "polkit.message",
                         "Authentication is required to start the virtual machine $(vm) with PCI devices "
                         "of the group $(group), as many as $(count)");
}

static void free_start(void *data) {
        run_start_free(data);
}

static int take_track(RunStart *s, const StartOptions *o, const char *sender, Failure *f) {
        const char *tracked = "";
        int track = o->track ? (int)run_track_from_string(o->track) : (int)RUN_TRACK_LIFELINE;

        if (track < 0)
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "\"%.64s\" is no track; take \"lifeline\", \"connection\", \"machine\" or "
                                "\"manual\".",
                                o->track);
        s->track = (RunTrack)track;
        if (o->machine && s->track != RUN_TRACK_MACHINE)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option machine belongs to the track \"machine\"; leave it out.");
        if (s->track == RUN_TRACK_CONNECTION)
                tracked = sender;
        if (s->track == RUN_TRACK_MACHINE) {
                tracked = o->machine ?: s->vm;
                if (!machine_name_is_valid(tracked))
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "\"%.64s\" is no name of a machine as systemd-machined takes it; "
                                           "give that in the option machine.",
                                           tracked);
        }
        s->tracked = strdup(tracked);
        return s->tracked ? 0 : order_plan_fail_memory(f);
}

static int take_access(RunStart *s, const StartOptions *o, Failure *f) {
        bool cdev = s->manager->platform.vfio_cdev;
        int access = o->access ? (int)run_access_from_string(o->access)
                               : (int)(cdev ? RUN_ACCESS_FDS : RUN_ACCESS_ACL);

        if (access < 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "\"%.64s\" is no access; take \"acl\" or \"fds\".", o->access);
        if (access == RUN_ACCESS_FDS && !cdev)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "This kernel has no VFIO character devices and iommufd to open; take the "
                                   "access \"acl\".");
        s->access = (RunAccess)access;
        return 0;
}

static int take_options(RunStart *s, const StartOptions *o, const char *sender, Failure *f) {
        if (take_track(s, o, sender, f) < 0 || take_access(s, o, f) < 0)
                return -EREMOTEIO;
        if (o->wait > START_WAIT_MAX)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option wait is at most %u seconds; call again when they are over.",
                                   START_WAIT_MAX);
        if (o->has_numa_node && o->numa_node < -1)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "%d is no NUMA node; give one that 'numactl -H' lists, or -1 for any.",
                                   o->numa_node);
        s->wait = o->wait;
        s->memory = o->memory;
        s->viommu = o->viommu;
        s->numa_node = o->has_numa_node ? o->numa_node : -1;
        return 0;
}

int run_call_start(Manager *m, sd_bus_message *message, const char *vm, const Claim *c,
                   const StartOptions *o, sd_bus_error *error) {
        static const CallKind kind = {.check = check_start,
                                      .is_owner = is_owner_of_start,
                                      .describe = describe_start,
                                      .go = run_start_go,
                                      .free = free_start};
        Failure f = {0};
        RunStart *s;

        s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        *s = (RunStart){.manager = m, .vm = vm, .iommufd = -1, .lifeline = -1, .numa_node = -1};
        if (c) {
                memcpy(s->claim, c->record.id, sizeof s->claim);
                s->vm_copy = strdup(c->record.vm); /* the claim may go while the call waits */
                s->vm = s->vm_copy;
                s->owner = c->record.owner;
        } else {
                s->has_owner = o->has_owner;
                s->owner = o->owner;
        }
        if (s->vm && take_options(s, o, sd_bus_message_get_sender(message), &f) >= 0)
                return call_start(m, message, &kind, s);
        run_start_free(s);
        return f.kind ? failure_to_bus(&f, error) : -ENOMEM;
}

/* StopVm and Stop. */
typedef struct StopCall {
        Call *call;
        const char *vm;
        char *copy;
        uid_t owner;
        bool has_owner, cancelled, going;
        char claim[RECORD_ID_SIZE]; /* "": all */
        unsigned n_waiting;
        Failure failure;
} StopCall;

static RunRequest stop_request(const Call *c) {
        StopCall *s = c->data;

        if (!s->has_owner && !s->claim[0])
                s->owner = find_owner(c->manager, c->uid, s->vm);
        s->has_owner = true;
        return (RunRequest){.owner = s->owner,
                            .uid = c->uid,
                            .vm = s->vm,
                            .claim = s->claim[0] ? s->claim : NULL};
}

static bool is_starting(const Manager *m, const RunRequest *q) {
        for (const RunStart *s = m->starts; s; s = s->next)
                if (s->owner == q->owner && streq(s->vm, q->vm) && (!q->claim || streq(q->claim, s->claim)))
                        return true;
        return false;
}

static int check_stop(Call *c, Failure *f) {
        RunRequest q = stop_request(c);
        const Manager *m = c->manager;
        const Claim *claim = q.claim ? claim_table_find(m->claims, q.claim) : NULL;

        if (q.claim ? !claim : !claim_table_next_of_vm(m->claims, q.owner, q.vm, &(size_t){0}))
                return refuse_unknown(q.vm, f);
        if (is_starting(m, &q) || (claim && claim->run) ||
            (!claim && claim_table_next_run_of_vm(m->claims, q.owner, q.vm, NULL)))
                return 0;
        return failure_set(f, FAILURE_NOT_RUNNING, "VM \"%.200s\" is not running; there is nothing to stop.",
                           q.vm);
}

static bool is_owner_of_stop(const Call *c) {
        return stop_request(c).owner == c->uid;
}

static void describe_stop(const Call *c, CallDetails *ret) {
        RunRequest q = stop_request(c);

        describe_claims(c->manager, &q, "StopVm", ret);
        call_details_add(
                        ret, "polkit.message",
                        "Authentication is required to take its PCI devices from the virtual machine $(vm)");
}

static void end_stop(StopCall *s) {
        if (s->n_waiting == 0 && !s->going)
                call_finish(s->call, s->failure.kind ? &s->failure : NULL);
}

static void on_stopped(const Failure *failure, void *userdata) {
        StopCall *s = userdata;

        s->n_waiting--;
        if (failure)
                (void)failure_set(&s->failure, failure->kind,
                                  "VM \"%.100s\" has ended, and its devices come back by themselves as "
                                  "soon as they can; StopVm need not be called again. What they wait for: "
                                  "%.750s",
                                  s->vm, failure->sentence);
        end_stop(s);
}

static void go_stop(Call *c) {
        RunRequest q = stop_request(c);
        StopCall *s = c->data;
        Manager *m = c->manager;
        const Claim *claim = q.claim ? claim_table_find(m->claims, q.claim) : NULL;
        Run *r = NULL, *next;

        s->call = c;
        s->going = true;
        (void)run_starts_cancel(m, q.owner, q.vm, q.claim);
        for (r = claim_table_next_run_of_vm(m->claims, q.owner, q.vm, NULL); r; r = next) {
                next = claim_table_next_run_of_vm(m->claims, q.owner, q.vm, r);
                if (claim && claim->run != r)
                        continue;
                for (size_t i = 0; i < r->record.n_devices; i++)
                        call_trail_add_device(c, &r->record.devices[i].identity.address);
                s->n_waiting++;
                if (run_stop(m, r, claim, on_stopped, s, &s->failure) < 0)
                        s->n_waiting--;
        }
        s->going = false;
        end_stop(s);
}

static void free_stop(void *data) {
        StopCall *s = data;

        if (s->call)
                run_stop_forget(s->call->manager, s);
        free(s->copy);
        free(s);
}

int run_call_stop(Manager *m, sd_bus_message *message, const char *vm, const Claim *c,
                  const uint32_t *owner) {
        static const CallKind kind = {.check = check_stop,
                                      .is_owner = is_owner_of_stop,
                                      .describe = describe_stop,
                                      .go = go_stop,
                                      .free = free_stop};
        StopCall *s;

        s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->vm = vm;
        if (owner) {
                s->owner = *owner;
                s->has_owner = true;
        }
        if (c) {
                memcpy(s->claim, c->record.id, sizeof s->claim);
                s->owner = c->record.owner;
                s->vm = s->copy = strdup(c->record.vm);
                if (!s->copy) {
                        free(s);
                        return -ENOMEM;
                }
        }
        return call_start(m, message, &kind, s);
}
