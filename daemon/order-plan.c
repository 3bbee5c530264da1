/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "order-plan.h"

void order_plan_clear(OrderPlan *p) {
        assert(p);

        for (size_t i = 0; i < p->n_groups; i++)
                group_record_clear(&p->groups[i]);
        for (size_t i = 0; i < p->n_rules; i++)
                rule_record_clear(&p->rules[i]);
        for (size_t i = 0; i < p->n_claims; i++)
                claim_record_clear(&p->claims[i]);
        for (size_t i = 0; i < p->n_runs; i++)
                run_record_clear(&p->runs[i]);
        for (size_t i = 0; i < p->n_quarantine; i++)
                quarantine_record_clear(&p->quarantine[i]);
        free(p->groups);
        free(p->rules);
        free(p->claims);
        free(p->runs);
        free(p->quarantine);
        free(p->dead_groups);
        free(p->dead_rules);
        free(p->dead_claims);
        free(p->dead_runs);
        free(p->dead_quarantine);
        *p = (OrderPlan){0};
}

bool order_plan_is_empty(const OrderPlan *p) {
        assert(p);

        return p->n_groups + p->n_rules + p->n_claims + p->n_runs + p->n_quarantine + p->n_dead_groups +
                               p->n_dead_rules + p->n_dead_claims + p->n_dead_runs + p->n_dead_quarantine ==
               0;
}

/* To the end of the list; its texts are the list's then. */
#define PUT(list, n, record)                                                                                \
        ({                                                                                                  \
                int _r = array_grow(&(list), (n), sizeof *(list));                                          \
                                                                                                            \
                if (_r >= 0) {                                                                              \
                        (list)[(n)++] = *(record);                                                          \
                        *(record) = (__typeof__(*(record))){0};                                             \
                }                                                                                           \
                _r;                                                                                         \
        })

int order_plan_put_group(OrderPlan *p, GroupRecord *g) {
        return PUT(p->groups, p->n_groups, g);
}

int order_plan_put_rule(OrderPlan *p, RuleRecord *r) {
        return PUT(p->rules, p->n_rules, r);
}

int order_plan_put_claim(OrderPlan *p, ClaimRecord *c) {
        return PUT(p->claims, p->n_claims, c);
}

int order_plan_put_run(OrderPlan *p, RunRecord *r) {
        return PUT(p->runs, p->n_runs, r);
}

int order_plan_put_quarantine(OrderPlan *p, QuarantineRecord *q) {
        return PUT(p->quarantine, p->n_quarantine, q);
}

int order_plan_remove_quarantine(OrderPlan *p, const PciAddress *a) {
        PciAddress copy = *a;

        return PUT(p->dead_quarantine, p->n_dead_quarantine, &copy);
}

static int add_id(char (**ids)[RECORD_ID_SIZE], size_t *n, const char *id) {
        int r;

        r = array_grow(ids, *n, sizeof **ids);
        if (r < 0)
                return r;

        (void)snprintf((*ids)[(*n)++], RECORD_ID_SIZE, "%s", id);
        return 0;
}

int order_plan_remove_group(OrderPlan *p, const char *id) {
        return add_id(&p->dead_groups, &p->n_dead_groups, id);
}

int order_plan_remove_rule(OrderPlan *p, const char *id) {
        return add_id(&p->dead_rules, &p->n_dead_rules, id);
}

int order_plan_remove_claim(OrderPlan *p, const char *id) {
        return add_id(&p->dead_claims, &p->n_dead_claims, id);
}

int order_plan_remove_run(OrderPlan *p, const char *id) {
        return add_id(&p->dead_runs, &p->n_dead_runs, id);
}

int order_plan_fail_memory(Failure *f) {
        return failure_set(f, FAILURE_INTERNAL, "Nothing was changed: out of memory; try again later.");
}

int order_plan_set_text(char **text, const char *value) {
        char *copy;

        copy = strdup(value);
        if (!copy)
                return -ENOMEM;

        free(*text);
        *text = copy;
        return 0;
}

int order_plan_check_unchanged(const char *what, const char *name, uint64_t modified, const uint64_t *seen,
                               Failure *f) {
        if (!seen || *seen == modified)
                return 0;
        return failure_set(f, FAILURE_CONFLICT,
                           "The %s \"%.200s\" was changed by somebody else since you have read it; read it "
                           "again and then change it.",
                           what, name);
}

/* Two changes in one microsecond, or a clock that was set back, must not look like none. */
uint64_t order_plan_next_modified(uint64_t before, uint64_t now) {
        return now > before ? now : before + 1;
}

static int take_class(GroupRecord *g, const char *word, Failure *f) {
        int class = (int)group_class_from_string(word);

        if (class < 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "\"%.64s\" is no class of a group; take gpu, vgpu, storage, hid, usb, "
                                   "network, media, audio, fpga, pci or unknown.",
                                   word);
        g->class = (GroupClass) class;
        return 0;
}

static int take_binding(GroupRecord *g, const char *word, Failure *f) {
        int binding = (int)group_binding_from_string(word);

        if (binding < 0)
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "\"%.64s\" is no binding of a group; take \"persistent\" or \"on-claim\".",
                                word);
        g->binding = (GroupBinding)binding;
        return 0;
}

static int patch_group(GroupRecord *g, const OrderPatch *patch, Failure *f) {
        if ((patch->class && take_class(g, patch->class, f) < 0) ||
            (patch->binding && take_binding(g, patch->binding, f) < 0))
                return -EREMOTEIO;
        if (patch->has_enabled)
                g->enabled = patch->enabled;
        if (patch->has_quota)
                g->quota = patch->quota;
        if (patch->has_sriov)
                sriov_settings_apply(&g->sriov, &patch->sriov);
        if ((patch->name && order_plan_set_text(&g->name, patch->name) < 0) ||
            (patch->description && order_plan_set_text(&g->description, patch->description) < 0))
                return order_plan_fail_memory(f);
        return group_record_check(g, f);
}

static int check_group_name(const Registry *r, const GroupRecord *g, Failure *f) {
        const Group *other = registry_find_group_name(r, g->name);

        if (!other || streq(other->record.id, g->id))
                return 0;
        return failure_set(f, FAILURE_NAME_TAKEN,
                           "There is a group \"%.200s\" already; take another name, or change that group.",
                           g->name);
}

static int put_group(OrderPlan *p, const Registry *r, GroupRecord *g, const OrderPatch *patch, Failure *f) {
        if (patch_group(g, patch, f) < 0 || check_group_name(r, g, f) < 0)
                return -EREMOTEIO;
        return order_plan_put_group(p, g) < 0 ? order_plan_fail_memory(f) : 0;
}

int order_plan_create_group(OrderPlan *p, const Registry *r, const OrderStamp *stamp, const char *name,
                            const char *type, const OrderPatch *patch, Failure *f) {
        GroupRecord g = {.enabled = true, .created = stamp->now, .modified = stamp->now};
        int t;

        assert(p);
        assert(name);
        assert(type);

        t = (int)group_type_from_string(type);
        if (t < 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "\"%.64s\" is no type of a group; this version knows \"pci\" and "
                                   "\"sriov-nic\".",
                                   type);
        if (registry_count_groups(r) + p->n_groups >= GROUPS_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "There are %u groups already, which is the limit; delete one first.",
                                   GROUPS_MAX);

        g.type = (GroupType)t;
        if (g.type == GROUP_TYPE_SRIOV_NIC) {
                g.sriov = sriov_settings_default;
                g.class = GROUP_CLASS_NETWORK;
        }
        (void)snprintf(g.id, sizeof g.id, "%s", stamp->id);
        if (order_plan_set_text(&g.name, name) < 0 || order_plan_set_text(&g.description, "") < 0)
                (void)order_plan_fail_memory(f);
        else
                (void)put_group(p, r, &g, patch, f);
        group_record_clear(&g);
        return f->kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

int order_plan_update_group(OrderPlan *p, const Registry *r, const Group *g, const OrderPatch *patch,
                            uint64_t now, Failure *f) {
        GroupRecord new = {0};

        assert(p);
        assert(g);
        assert(patch);

        if (order_plan_check_unchanged("group", g->record.name, g->record.modified,
                                       patch->has_if_modified ? &patch->if_modified : NULL, f) < 0)
                return -EREMOTEIO;
        if (group_record_copy(&g->record, &new) < 0)
                return order_plan_fail_memory(f);

        new.modified = order_plan_next_modified(g->record.modified, now);
        if (patch_group(&new, patch, f) >= 0 && !group_record_same(&new, &g->record))
                (void)put_group(p, r, &new, patch, f);
        group_record_clear(&new);
        return f->kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

/* Here and not only with the other checks, because a filter has an error of its own. */
static int check_filter(const char *text, Failure *f) {
        _cleanup_(filter_freep) Filter *filter = NULL;
        FilterError error;
        int r;

        r = filter_parse(text, &filter, &error);
        if (r == -ENOMEM)
                return order_plan_fail_memory(f);
        return r < 0 ? failure_set(f, FAILURE_INVALID_FILTER, "The filter cannot be understood: %s.",
                                   error.sentence)
                     : 0;
}

static int patch_rule(RuleRecord *rule, GroupType type, const OrderPatch *patch, Failure *f) {
        if (patch->filter && check_filter(patch->filter, f) < 0)
                return -EREMOTEIO;
        if (patch->has_enabled)
                rule->enabled = patch->enabled;
        if ((patch->name && order_plan_set_text(&rule->name, patch->name) < 0) ||
            (patch->node && order_plan_set_text(&rule->node, patch->node) < 0) ||
            (patch->filter && order_plan_set_text(&rule->filter, patch->filter) < 0))
                return order_plan_fail_memory(f);
        return rule_record_check(rule, f) < 0 ? -EREMOTEIO : rule_record_check_type(rule, type, f);
}

static int check_rule_name(const Registry *r, const Group *g, const RuleRecord *rule, Failure *f) {
        const Rule *other = g ? registry_find_rule_name(r, g, rule->name) : NULL;

        if (!other || streq(other->record.id, rule->id))
                return 0;
        return failure_set(
                        f, FAILURE_NAME_TAKEN,
                        "The group \"%.100s\" has a rule \"%.100s\" already; take another name, or change "
                        "that rule.",
                        g->record.name, rule->name);
}

/* Of the group that is there, or that the same plan makes. */
static GroupType type_of(const OrderPlan *p, const Group *g, const char *id) {
        for (size_t i = 0; i < p->n_groups && !g; i++)
                if (streq(p->groups[i].id, id))
                        return p->groups[i].type;
        return g ? g->record.type : GROUP_TYPE_PCI;
}

static int put_rule(OrderPlan *p, const Registry *r, const Group *g, RuleRecord *rule,
                    const OrderPatch *patch, Failure *f) {
        if (patch_rule(rule, type_of(p, g, rule->group), patch, f) < 0 || check_rule_name(r, g, rule, f) < 0)
                return -EREMOTEIO;
        return order_plan_put_rule(p, rule) < 0 ? order_plan_fail_memory(f) : 0;
}

int order_plan_create_rule(OrderPlan *p, const Registry *r, const OrderStamp *stamp, const Group *g,
                           const char *group_id, const char *name, bool auto_created,
                           const OrderPatch *patch, Failure *f) {
        RuleRecord rule = {.enabled = true,
                           .auto_created = auto_created,
                           .age = stamp->age,
                           .created = stamp->now,
                           .modified = stamp->now};

        assert(p);
        assert(group_id);
        assert(name);
        assert(patch);

        if (registry_count_rules(r) + p->n_rules >= RULES_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "There are %u rules already, which is the limit; delete one first.",
                                   RULES_MAX);

        (void)snprintf(rule.id, sizeof rule.id, "%s", stamp->id);
        (void)snprintf(rule.group, sizeof rule.group, "%s", group_id);
        if (order_plan_set_text(&rule.name, name) < 0 || order_plan_set_text(&rule.node, "") < 0 ||
            order_plan_set_text(&rule.filter, "") < 0)
                (void)order_plan_fail_memory(f);
        else
                (void)put_rule(p, r, g, &rule, patch, f);
        rule_record_clear(&rule);
        return f->kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

int order_plan_update_rule(OrderPlan *p, const Registry *r, const Rule *rule, const OrderPatch *patch,
                           uint64_t now, Failure *f) {
        RuleRecord new = {0};

        assert(p);
        assert(rule);
        assert(patch);

        if (order_plan_check_unchanged("rule", rule->record.name, rule->record.modified,
                                       patch->has_if_modified ? &patch->if_modified : NULL, f) < 0)
                return -EREMOTEIO;
        if (rule_record_copy(&rule->record, &new) < 0)
                return order_plan_fail_memory(f);

        new.modified = order_plan_next_modified(rule->record.modified, now);
        if (patch_rule(&new, rule->group->record.type, patch, f) >= 0 &&
            !rule_record_same(&new, &rule->record))
                (void)put_rule(p, r, rule->group, &new, patch, f);
        rule_record_clear(&new);
        return f->kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}
