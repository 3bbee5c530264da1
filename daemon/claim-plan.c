/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-plan.h"
#include "text.h"

static bool is_blank(const char *name) {
        return isempty(name) || name[strspn(name, " ")] == '\0';
}

/* Not more than this of it, and no half characters. */
static int fit(const char *text, size_t size) {
        size_t n = 0, length;

        while (text[n] && (length = text_utf8_length(text + n)) > 0 && n + length <= size)
                n += length;
        return (int)n;
}

/* "NICs 1": with the first number that is free at this VM. */
static int make_up_name(const ClaimTable *t, const Group *g, ClaimRecord *c) {
        char name[RECORD_NAME_MAX + 1];
        const Claim *other;
        unsigned i = 1;

        do {
                (void)snprintf(name, sizeof name, "%.*s %u", fit(g->record.name, RECORD_NAME_MAX - 11),
                               g->record.name, i++);
                other = claim_table_find_name(t, c->owner, c->vm, name);
        } while (other && !streq(other->record.id, c->id));
        return order_plan_set_text(&c->name, name);
}

/* What one plan is made from. */
typedef struct Base {
        const ClaimTable *table;
        const OrderStamp *stamp;
        const Group *group;
} Base;

static int apply_patch(const Base *b, ClaimRecord *c, const ClaimPatch *patch, Failure *f) {
        const ClaimTable *t = b->table;
        const Group *g = b->group;
        int r;

        if (patch->has_count)
                c->count = patch->count;
        if (patch->has_order)
                c->order = patch->order;
        if (patch->has_optional)
                c->optional = patch->optional;
        if (patch->has_enabled)
                c->enabled = patch->enabled;
        if ((patch->description && order_plan_set_text(&c->description, patch->description) < 0) ||
            (patch->name && (is_blank(patch->name) ? make_up_name(t, g, c)
                                                   : order_plan_set_text(&c->name, patch->name)) < 0))
                return order_plan_fail_memory(f);
        r = claim_settings_plan(t, b->stamp->seed, g, c, patch->has_sriov ? &patch->sriov : NULL,
                                patch->has_macs ? &patch->macs : NULL, f);
        return r < 0 ? r : claim_record_check(c, f);
}

static int check_name(const ClaimTable *t, const ClaimRecord *c, Failure *f) {
        const Claim *other = claim_table_find_name(t, c->owner, c->vm, c->name);

        if (!other || streq(other->record.id, c->id))
                return 0;
        return failure_set(
                        f, FAILURE_NAME_TAKEN,
                        other->record.doomed
                                        ? "The VM \"%.100s\" still has a claim \"%.100s\", which was "
                                          "deleted and goes when its devices are back; take another name, "
                                          "or stop the VM first."
                                        : "The VM \"%.100s\" has a claim \"%.100s\" already; take another "
                                          "name, or change that claim.",
                        c->vm, c->name);
}

static int put(OrderPlan *p, const Base *b, ClaimRecord *c, const ClaimPatch *patch, Failure *f) {
        if (apply_patch(b, c, patch, f) < 0 || check_name(b->table, c, f) < 0)
                return -EREMOTEIO;
        return order_plan_put_claim(p, c) < 0 ? order_plan_fail_memory(f) : 0;
}

static int check_limits(const ClaimTable *t, uid_t owner, Failure *f) {
        if (claim_table_count(t) >= CLAIMS_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "There are %u claims already, which is the limit; delete one first.",
                                   CLAIMS_MAX);
        if (owner != 0 && claim_table_count_of(t, owner) >= CLAIMS_PER_USER_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "You have %u claims already, which is the limit for one user; delete one "
                                   "first.",
                                   CLAIMS_PER_USER_MAX);
        return 0;
}

int claim_plan_create(OrderPlan *p, const ClaimTable *t, const OrderStamp *stamp, uid_t owner,
                      const char *vm, const Group *g, const ClaimPatch *patch, Failure *f) {
        ClaimRecord c = {.owner = owner, .enabled = true, .created = stamp->now, .modified = stamp->now};
        const Base base = {t, stamp, g};
        ClaimPatch named = *patch;

        assert(p);
        assert(t);
        assert(vm);
        assert(g);
        assert(f);

        if (check_limits(t, owner, f) < 0)
                return -EREMOTEIO;

        named.name = strempty(patch->name);
        (void)snprintf(c.id, sizeof c.id, "%s", stamp->id);
        (void)snprintf(c.group, sizeof c.group, "%s", g->record.id);
        if (order_plan_set_text(&c.vm, vm) < 0 || order_plan_set_text(&c.description, "") < 0)
                (void)order_plan_fail_memory(f);
        else
                (void)put(p, &base, &c, &named, f);
        claim_record_clear(&c);
        return f->kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

static int copy(const Claim *c, uint64_t now, ClaimRecord *ret, Failure *f) {
        if (claim_record_copy(&c->record, ret) < 0)
                return order_plan_fail_memory(f);
        ret->modified = order_plan_next_modified(c->record.modified, now);
        return 0;
}

int claim_plan_update(OrderPlan *p, const ClaimTable *t, const OrderStamp *stamp, const Claim *c,
                      const Group *g, const ClaimPatch *patch, Failure *f) {
        const Base base = {t, stamp, g};
        ClaimRecord new = {0};
        int r;

        assert(p);
        assert(t);
        assert(c);
        assert(g);
        assert(patch);
        assert(f);

        if (c->record.doomed)
                return failure_set(f, FAILURE_NO_SUCH_OBJECT,
                                   "The claim \"%.100s\" was deleted and goes when the devices of the VM "
                                   "\"%.100s\" are back; make a new one.",
                                   c->record.name, c->record.vm);
        r = order_plan_check_unchanged("claim", c->record.name, c->record.modified,
                                       patch->has_if_modified ? &patch->if_modified : NULL, f);
        if (r < 0 || copy(c, stamp->now, &new, f) < 0)
                return -EREMOTEIO;

        if (apply_patch(&base, &new, patch, f) >= 0 && !claim_record_same(&new, &c->record))
                (void)put(p, &base, &new, &(ClaimPatch){0}, f);
        claim_record_clear(&new);
        return f->kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

int claim_plan_delete(OrderPlan *p, const Claim *c, uint64_t now, Failure *f) {
        ClaimRecord doomed = {0};
        int r;

        assert(p);
        assert(c);
        assert(f);

        if (c->record.doomed)
                return 0;
        if (!c->run)
                return order_plan_remove_claim(p, c->record.id) < 0 ? order_plan_fail_memory(f) : 0;

        r = copy(c, now, &doomed, f);
        if (r < 0)
                return r;
        doomed.doomed = true;
        r = order_plan_put_claim(p, &doomed);
        claim_record_clear(&doomed);
        return r < 0 ? order_plan_fail_memory(f) : 0;
}

int claim_plan_end_run(OrderPlan *p, const ClaimTable *t, const Run *run) {
        const Claim *c;
        size_t at = 0;
        int r;

        assert(p);
        assert(t);
        assert(run);

        r = order_plan_remove_run(p, run->record.id);
        while (r >= 0 && (c = claim_table_next_of_vm(t, run->record.owner, run->record.vm, &at)))
                if (c->record.doomed && (c->run == run || !c->run))
                        r = order_plan_remove_claim(p, c->record.id);
        return r;
}

/* Does the group ask for functions of this physical one? */
static bool asks_of(const Group *g, const PciAddress *pf) {
        PciAddress a;

        for (size_t i = 0; i < g->n_rules; i++) {
                const Rule *r = g->rules[i];

                if (r->record.enabled && r->key_field == FILTER_PHYSICAL_FUNCTION &&
                    pci_address_parse(r->key_text, &a) >= 0 && pci_address_compare(&a, pf) == 0)
                        return true;
        }
        return false;
}

static bool is_of(const ClaimTable *t, const Group *g, const RunDevice *rd) {
        const Claim *c = claim_table_find(t, rd->claim);
        const Device *d = claim_table_device(t, rd);

        return (c && streq(c->record.group, g->record.id)) ||
               (d && d->facts.is_virtual && asks_of(g, &d->facts.physical_function));
}

static int fail_in_use(const Group *g, const Run *run, const RunDevice *rd, Failure *f) {
        char address[PCI_ADDRESS_SIZE];

        return failure_set(
                        f, FAILURE_CLAIMED,
                        "The number of virtual functions of the group \"%.100s\" cannot change while the VM "
                        "\"%.100s\" (of user %u) has %s: they would all be made anew. Stop the VM first.",
                        g->record.name, run->record.vm, (unsigned)run->record.owner,
                        pci_address_format(&rd->identity.address, address));
}

/* Of those that are there. */
static int check_most(const ClaimTable *t, const Group *g, uint32_t vfs, Failure *f) {
        const DeviceTable *devices = claim_table_devices(t);

        for (size_t i = 0; i < devices->n; i++) {
                const Device *d = devices->devices[i];

                if (d->facts.sriov_total_vfs == 0 || d->facts.sriov_total_vfs >= vfs ||
                    !asks_of(g, device_address(d)))
                        continue;
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "The group \"%.200s\" cannot ask for %u virtual functions of each device: "
                                "%s can have %u at most; ask for fewer.",
                                g->record.name, vfs, d->address, d->facts.sriov_total_vfs);
        }
        return 0;
}

int claim_plan_check_vfs(const ClaimTable *t, const Group *g, uint32_t vfs, Failure *f) {
        assert(t);
        assert(g);
        assert(f);

        if (g->record.sriov.vfs == vfs)
                return 0;
        if (check_most(t, g, vfs, f) < 0)
                return -EREMOTEIO;
        for (const Run *run = claim_table_runs(t); run; run = run->next)
                for (size_t i = 0; i < run->record.n_devices; i++)
                        if (is_of(t, g, &run->record.devices[i]))
                                return fail_in_use(g, run, &run->record.devices[i], f);
        return 0;
}

int claim_plan_check_unclaimed(const ClaimTable *t, const Group *g, Failure *f) {
        const Claim *c;

        assert(t);
        assert(g);
        assert(f);

        c = claim_table_next_of_group(t, g->record.id, &(size_t){0});
        if (!c)
                return 0;
        return failure_set(
                        f, FAILURE_CLAIMED,
                        "The group \"%.100s\" cannot be deleted: the claim \"%.100s\" of the VM "
                        "\"%.100s\" (of user %u) names it. Delete its claims first, or disable the group.",
                        g->record.name, c->record.name, c->record.vm, (unsigned)c->record.owner);
}
