/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-settings.h"
#include "confirm.h"
#include "picker.h"
#include "run-settings.h"
#include "runs.h"
#include "manager.h"
#include "transaction.h"
#include "wanted.h"

/* These pass. */
#define CLAIMED "claimed by a VM"
#define MOVING "being moved"
#define NOT_CONFIRMED "not confirmed yet"

static const char *find_obstacle(const Manager *m, const Device *d) {
        if (d->claim)
                return CLAIMED;
        if (d->quarantine)
                return "in quarantine";
        if (d->stuck)
                return "stuck";
        if (confirm_covers(m, device_address(d)))
                return NOT_CONFIRMED;
        if (d->operating || d->journalled || transactions_hold(m, device_address(d)))
                return MOVING;
        if (!d->granted)
                return "not approved by an administrator";
        if (d->state == DEVICE_POOL)
                return NULL;
        if (d->taken && wanted_by(&m->devices, d))
                return "taken by somebody else";
        if (!d->eligible && !(d->consent && device_is_spared(d)))
                return "needed by the host";
        return NULL;
}

/* NULL: a VM may have it, now; else a few words. */
static const char *find_obstacle_of_set(const Manager *m, const Device *d) {
        const char *why = NULL;
        const Device *p;

        for (size_t i = 0; i < d->facts.set.n_members && !why; i++) {
                p = device_table_find(&m->devices, &d->facts.set.members[i]);
                if (p && !device_is_bridge(p))
                        why = find_obstacle(m, p);
        }
        return why || d->facts.set.number != DEVICE_NO_IOMMU_SET ? why : "without an IOMMU";
}

Claim *run_request_next(const Manager *m, const RunRequest *q, size_t *at) {
        Claim *c;

        while ((c = claim_table_next_of_vm(m->claims, q->owner, q->vm, at)) && q->claim &&
               !streq(q->claim, c->record.id))
                ;
        return c;
}

/* The picker's view: groups and demands by number. */
typedef struct View {
        const Manager *m;
        const RunRequest *q;
        const Group *groups[PICK_CLAIMS_MAX];
        uint32_t n_groups, wanted[PICK_CLAIMS_MAX]; /* of each group, so far */
        PickDemand demands[PICK_CLAIMS_MAX];
        const Claim *claims[PICK_CLAIMS_MAX]; /* of the demands */
        size_t n_demands, n_claims;           /* those that are left out count, too */
        PickDevice *table;
        Device **devices;
        size_t n_devices;
} View;

static uint32_t number_of(View *v, const Group *g) {
        for (uint32_t i = 0; i < v->n_groups; i++)
                if (v->groups[i] == g)
                        return i;
        v->groups[v->n_groups] = g;
        return v->n_groups++;
}

static int refuse_quota(const View *v, const Claim *c, const Group *g, Failure *f) {
        if (c->record.count > g->record.quota)
                return failure_set(
                                f, FAILURE_LIMITS_EXCEEDED,
                                "VM \"%.100s\" cannot start: the claim \"%.100s\" wants %u of the group "
                                "\"%.100s\", of which one user may have %u at once; lower its count, or ask "
                                "an administrator to raise the quota.",
                                v->q->vm, c->record.name, c->record.count, g->record.name, g->record.quota);
        return failure_set(f, FAILURE_UNAVAILABLE,
                           "VM \"%.100s\" cannot start: the claim \"%.100s\" would exceed what one user may "
                           "have of the group \"%.100s\" at once (%u); end another VM first, or ask an "
                           "administrator to raise the quota.",
                           v->q->vm, c->record.name, g->record.name, g->record.quota);
}

static bool exceeds_quota(const View *v, const Claim *c, const Group *g, uint32_t number) {
        uint32_t has;

        if (g->record.quota == 0 || v->q->uid == 0)
                return false;
        has = claim_table_count_devices(v->m->claims, v->q->uid, g->record.id);
        return has + v->wanted[number] + c->record.count > g->record.quota;
}

static int add_claim(View *v, RunPick *pick, Claim *c, Failure *f) {
        const Group *g = registry_find_group(v->m->registry, c->record.group);
        uint32_t number;

        if (!g) /* the store keeps it as long as claims are on it */
                return failure_set(f, FAILURE_INTERNAL,
                                   "The group of the claim \"%.200s\" is not known; restart the service.",
                                   c->record.name);
        if (v->n_claims == PICK_CLAIMS_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "VM \"%.200s\" has more than %u enabled claims; disable some.", v->q->vm,
                                   PICK_CLAIMS_MAX);

        if (claim_settings_check(g, &c->record, f) < 0) {
                pick->hopeless = true;
                return -EREMOTEIO;
        }

        v->n_claims++;
        number = number_of(v, g);
        if (exceeds_quota(v, c, g, number)) {
                if (c->record.optional)
                        return 0;
                pick->hopeless = true;
                return refuse_quota(v, c, g, f);
        }

        v->wanted[number] += c->record.count;
        v->claims[v->n_demands] = c;
        v->demands[v->n_demands++] = (PickDemand){number, c->record.count, c->record.optional};
        return 0;
}

static int collect_claims(View *v, RunPick *pick, Failure *f) {
        const RunRequest *q = v->q;
        size_t at = 0;
        Claim *c;

        while ((c = run_request_next(v->m, q, &at)))
                if (!c->run && c->record.enabled && !c->record.doomed && add_claim(v, pick, c, f) < 0)
                        return -EREMOTEIO;
        if (v->n_claims > 0)
                return 0;
        return failure_set(f, FAILURE_NO_SUCH_OBJECT,
                           "VM \"%.200s\" has no enabled claim that could be started; make one with "
                           "CreateClaim, or enable one.",
                           q->vm);
}

static int collect_devices(View *v) {
        const DeviceTable *t = &v->m->devices;
        const Group *g;
        Device *d;

        v->table = calloc(t->n + 1, sizeof *v->table);
        v->devices = calloc(t->n + 1, sizeof(Device *));
        if (!v->table || !v->devices)
                return -ENOMEM;

        for (size_t i = 0; i < t->n; i++) {
                d = t->devices[i];
                if (device_is_bridge(d) || d->facts.set.number == DEVICE_NO_IOMMU_SET)
                        continue;

                v->devices[v->n_devices] = d;
                v->table[v->n_devices] = (PickDevice){.group = PICK_NO_GROUP,
                                                      .set = d->facts.set.number,
                                                      .numa_node = d->facts.numa_node,
                                                      .last_used = d->last_used,
                                                      .free = !find_obstacle(v->m, d)};
                g = registry_group_of(d);
                for (uint32_t k = 0; k < v->n_groups && g; k++)
                        if (v->groups[k] == g && g->record.enabled)
                                v->table[v->n_devices].group = k;
                v->n_devices++;
        }
        return 0;
}

/* "3 claimed by a VM, 1 in quarantine" */
static const char *list_obstacles(const Manager *m, const Group *g, char *buf, size_t size) {
        const char *words[16], *why;
        size_t n = 0, used = 0, k;
        unsigned counts[16];

        if (!g->record.enabled)
                return "the group is disabled";
        if (g->n_devices == 0)
                return "the group has none";
        for (size_t i = 0; i < g->n_devices; i++) {
                why = find_obstacle_of_set(m, g->devices[i]) ?: "free";
                for (k = 0; k < n && !streq(words[k], why); k++)
                        ;
                if (k == ELEMENTSOF(words))
                        continue;
                if (k == n) {
                        words[n] = why;
                        counts[n++] = 0;
                }
                counts[k]++;
        }

        for (k = 0; k < n && used < size; k++)
                used += (size_t)snprintf(buf + used, size - used, "%s%u %s", k > 0 ? ", " : "", counts[k],
                                         words[k]);
        return buf;
}

static uint32_t must_have(const View *v, uint32_t group) {
        uint32_t n = 0;

        for (size_t i = 0; i < v->n_demands; i++)
                n += v->demands[i].group == group && !v->demands[i].optional ? v->demands[i].count : 0;
        return n;
}

/* What would help: to wait does only where others will give something back. */
static const char *advise(const View *v, uint32_t group) {
        const Group *g = v->groups[group];

        if (!g->record.enabled)
                return "enable the group first";
        if (must_have(v, group) > g->n_devices)
                return "have devices added to the group, or ask for fewer";
        for (size_t i = 0; i < g->n_devices; i++) {
                const char *why = find_obstacle_of_set(v->m, g->devices[i]) ?: "";

                if (streq(why, CLAIMED) || streq(why, MOVING))
                        return "wait until others are back (option wait), or ask an administrator for more";
                if (streq(why, NOT_CONFIRMED))
                        return "a change waits: Confirm or Revert that first";
        }
        return "what each of them waits for, it says itself (Reason, Attention)";
}

static int refuse(const View *v, RunPick *pick, const PickResult *result, Failure *f) {
        uint32_t group = v->demands[result->short_of].group, wanted = must_have(v, group);
        const Claim *c = v->claims[result->short_of];
        const Group *g = v->groups[group];
        char buf[256], together[64] = "";

        pick->hopeless = !g->record.enabled || wanted > g->n_devices;
        if (wanted > c->record.count)
                (void)snprintf(together, sizeof together, " (with the VM's other claims %u)", wanted);
        return failure_set(f, FAILURE_UNAVAILABLE,
                           "VM \"%.100s\" cannot start: the claim \"%.100s\" needs %u%s of the group "
                           "\"%.100s\", of which %u can be had (%s); %s.",
                           v->q->vm, c->record.name, c->record.count, together, g->record.name,
                           result->available, list_obstacles(v->m, g, buf, sizeof buf), advise(v, group));
}

/* What a function is set to is told by its place among those of its claim. */
static void note_settings(const View *v, const Claim *c, RunPick *pick, RunDevice *rd) {
        VfSettings settings;
        size_t number = 0;

        for (const RunDevice *before = pick->devices; before < rd; before++)
                number += streq(before->claim, rd->claim);
        if (run_settings_of_claim(v->m, c, number, &settings))
                rd->settings = sriov_settings_fingerprint(&settings);
}

static void take(const View *v, const PickResult *result, RunPick *pick) {
        for (size_t i = 0; i < result->n; i++) {
                const Claim *c = v->claims[result->picked[i].demand];
                RunDevice *rd = &pick->devices[pick->n_devices++];

                *rd = (RunDevice){.identity = v->devices[result->picked[i].device]->facts.identity};
                memcpy(rd->claim, c->record.id, sizeof rd->claim);
                note_settings(v, c, pick, rd);
        }
}

static int pick_for(View *v, RunPick *pick, Failure *f) {
        PickResult result = {0};
        int r;

        if (collect_claims(v, pick, f) < 0)
                return -EREMOTEIO;
        r = collect_devices(v);
        if (r >= 0)
                r = picker_pick(v->table, v->n_devices, v->demands, v->n_demands, v->q->numa_node, &result);
        if (r == -EAGAIN)
                return refuse(v, pick, &result, f);
        if (r == -E2BIG)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "VM \"%.200s\" claims more than %u devices; disable some claims.",
                                   v->q->vm, PICK_DEVICES_MAX);
        if (r < 0)
                return failure_set(f, FAILURE_INTERNAL,
                                   "VM \"%.200s\" cannot start: out of memory; try again later.", v->q->vm);

        take(v, &result, pick);
        if (pick->n_devices == 0)
                return failure_set(f, FAILURE_UNAVAILABLE,
                                   "VM \"%.200s\" would get nothing: all of its claims are optional, and "
                                   "none can be served; start it without, or wait.",
                                   v->q->vm);
        return 0;
}

int run_check_none(const Manager *m, uid_t owner, const char *vm, Failure *f) {
        const Claim *c;
        const Run *r;

        r = claim_table_next_run_of_vm(m->claims, owner, vm, NULL);
        if (!r)
                return 0;
        if (!run_is_stopping(m, r) || r->record.n_devices == 0)
                return failure_set(
                                f, FAILURE_RUNNING,
                                "VM \"%.200s\" is running already; StopVm ends it, and Claim.Start starts "
                                "a further claim.",
                                vm);
        c = claim_table_find(m->claims, r->record.devices[0].claim);
        return failure_set(
                        f, FAILURE_UNAVAILABLE,
                        "VM \"%.200s\" has ended, but its devices are not back yet; wait for that (option "
                        "wait), or try again later. %.600s",
                        vm, strempty(c ? c->progress : NULL));
}

int run_pick(const Manager *m, const RunRequest *q, RunPick *ret, Failure *f) {
        View v = {.m = m, .q = q};
        int r;

        assert(m);
        assert(q);
        assert(ret);
        assert(f);

        *ret = (RunPick){0};
        r = pick_for(&v, ret, f);
        free(v.table);
        free(v.devices);
        return r;
}
