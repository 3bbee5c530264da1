/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-plan.h"
#include "import.h"
#include "order-book.h"

static void stamp_group(GroupRecord *g, const OrderStamp *stamp, const GroupRecord *old) {
        (void)snprintf(g->id, sizeof g->id, "%s", old ? old->id : stamp->id);
        g->created = old ? old->created : stamp->now;
        g->modified = old && old->modified >= stamp->now ? old->modified + 1 : stamp->now;
}

static void stamp_rule(RuleRecord *rule, const char *group_id, const OrderStamp *stamp,
                       const RuleRecord *old) {
        (void)snprintf(rule->id, sizeof rule->id, "%s", old ? old->id : stamp->id);
        (void)snprintf(rule->group, sizeof rule->group, "%s", group_id);
        rule->age = old ? old->age : stamp->age;
        rule->auto_created =
                        old ? old->auto_created : rule->auto_created; /* how it came to be does not change */
        rule->created = old ? old->created : stamp->now;
        rule->modified = old && old->modified >= stamp->now ? old->modified + 1 : stamp->now;
}

static int plan_rule(Manager *m, OrderPlan *p, const char *group_id, const RuleRecord *wanted,
                     const Rule *old) {
        RuleRecord rule = {0};
        OrderStamp stamp;
        int r;

        if (old && rule_record_same(wanted, &old->record))
                return 0;
        if ((r = order_book_stamp(&stamp)) < 0 || (r = rule_record_copy(wanted, &rule)) < 0)
                return r;

        stamp.age = old ? 0 : order_book_next_age(m);
        stamp_rule(&rule, group_id, &stamp, old ? &old->record : NULL);
        r = order_plan_put_rule(p, &rule);
        rule_record_clear(&rule);
        return r;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the rules that the document has for a group, sorted: there may be thousands. */
static int sort_names(const DocumentGroup *g, const char ***ret) {
        const char **names = calloc(g->n_rules + 1, sizeof *names);

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < g->n_rules; i++)
                names[i] = g->rules[i].name;
        qsort(names, g->n_rules, sizeof *names, compare_names);
        *ret = names;
        return 0;
}

static int plan_rule_removals(OrderPlan *p, const DocumentGroup *wanted, const Group *g) {
        _cleanup_free_ const char **names = NULL;
        int r;

        r = sort_names(wanted, &names);
        for (size_t i = 0; i < g->n_rules && r >= 0; i++)
                if (!bsearch(&g->rules[i]->record.name, names, wanted->n_rules, sizeof *names,
                             compare_names))
                        r = order_plan_remove_rule(p, g->rules[i]->record.id);
        return r;
}

static const DocumentGroup *find_group(const Document *d, const char *name) {
        for (size_t i = 0; i < d->n_groups; i++)
                if (streq(d->groups[i].group.name, name))
                        return &d->groups[i];
        return NULL;
}

static int check_group(const Manager *m, const GroupRecord *wanted, const Group *old, Failure *f) {
        if (wanted->type != old->record.type)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The document has a group \"%.100s\" of the type \"%s\", and there is "
                                   "one of "
                                   "the type \"%s\", which never changes; take another name, or delete that "
                                   "group first.",
                                   wanted->name, group_type_to_string(wanted->type),
                                   group_type_to_string(old->record.type));
        return claim_plan_check_vfs(m->claims, old, wanted->sriov.vfs, f);
}

static int plan_group(Manager *m, OrderPlan *p, const DocumentGroup *wanted, Failure *f) {
        Group *old = registry_find_group_name(m->registry, wanted->group.name);
        char id[RECORD_ID_SIZE];
        GroupRecord g = {0};
        OrderStamp stamp;
        int r;

        r = order_book_stamp(&stamp);
        if (r < 0 || (old && (r = check_group(m, &wanted->group, old, f)) < 0))
                return r;

        (void)snprintf(id, sizeof id, "%s", old ? old->record.id : stamp.id);
        if (!old || !group_record_same(&wanted->group, &old->record)) {
                if ((r = group_record_copy(&wanted->group, &g)) < 0)
                        return r;
                stamp_group(&g, &stamp, old ? &old->record : NULL);
                r = order_plan_put_group(p, &g);
                group_record_clear(&g);
        }
        for (size_t i = 0; i < wanted->n_rules && r >= 0; i++)
                r = plan_rule(m, p, id, &wanted->rules[i],
                              old ? registry_find_rule_name(m->registry, old, wanted->rules[i].name) : NULL);
        return r;
}

static int plan_removal(const Manager *m, OrderPlan *p, const Group *g, Failure *f) {
        int r;

        r = claim_plan_check_unclaimed(m->claims, g, f);
        return r < 0 ? r : order_plan_remove_group(p, g->record.id);
}

static int plan_removals(const Manager *m, OrderPlan *p, const Document *d, Failure *f) {
        const DocumentGroup *wanted;
        size_t at = 0;
        Group *g;
        int r = 0;

        while (r >= 0 && (g = registry_next_group(m->registry, &at))) {
                wanted = find_group(d, g->record.name);
                r = wanted ? plan_rule_removals(p, wanted, g) : plan_removal(m, p, g, f);
        }
        return r;
}

static size_t count_new_groups(const Manager *m, const OrderPlan *p) {
        size_t n = 0;

        for (size_t i = 0; i < p->n_groups; i++)
                n += !registry_find_group(m->registry, p->groups[i].id);
        return n;
}

static size_t count_new_rules(const Manager *m, const OrderPlan *p) {
        size_t n = 0;

        for (size_t i = 0; i < p->n_rules; i++)
                n += !registry_find_rule(m->registry, p->rules[i].id);
        return n;
}

static size_t count_dead_rules(const Manager *m, const OrderPlan *p) {
        size_t n = p->n_dead_rules;

        for (size_t i = 0; i < p->n_dead_groups; i++)
                n += registry_find_group(m->registry, p->dead_groups[i])->n_rules;
        return n;
}

static int check_limits(const Manager *m, const OrderPlan *p, Failure *f) {
        size_t groups = registry_count_groups(m->registry) + count_new_groups(m, p) - p->n_dead_groups;
        size_t rules = registry_count_rules(m->registry) + count_new_rules(m, p) - count_dead_rules(m, p);

        if (groups <= GROUPS_MAX && rules <= RULES_MAX)
                return 0;
        return failure_set(
                        f, FAILURE_LIMITS_EXCEEDED,
                        "With this document there would be %zu groups and %zu rules; the limits are %u and "
                        "%u. Import less, or with the option \"prune\".",
                        groups, rules, GROUPS_MAX, RULES_MAX);
}

int import_plan(Manager *m, OrderPlan *p, const Document *d, bool prune, uint32_t *ret_changed, Failure *f) {
        int r = 0;

        assert(m);
        assert(p);
        assert(d);
        assert(ret_changed);

        for (size_t i = 0; i < d->n_groups && r >= 0; i++)
                r = plan_group(m, p, &d->groups[i], f);
        if (r >= 0 && prune)
                r = plan_removals(m, p, d, f);
        if (r < 0)
                return r;

        *ret_changed = (uint32_t)(p->n_groups + p->n_rules + p->n_dead_groups + count_dead_rules(m, p));
        return check_limits(m, p, f);
}

/* The records are the registry's; only the arrays are ours. */
static int collect(const Manager *m, Document *d) {
        size_t at = 0;
        Group *g;

        d->groups = calloc(registry_count_groups(m->registry) + 1, sizeof *d->groups);
        if (!d->groups)
                return -ENOMEM;

        while ((g = registry_next_group(m->registry, &at))) {
                DocumentGroup *to = &d->groups[d->n_groups++];

                to->group = g->record;
                to->rules = calloc(g->n_rules + 1, sizeof *to->rules);
                if (!to->rules)
                        return -ENOMEM;
                for (size_t i = 0; i < g->n_rules; i++)
                        to->rules[to->n_rules++] = g->rules[i]->record;
        }
        return 0;
}

int import_export(const Manager *m, char **ret) {
        Document d = {0};
        int r;

        assert(m);
        assert(ret);

        r = collect(m, &d);
        if (r >= 0)
                r = document_format(&d, ret);
        for (size_t i = 0; i < d.n_groups; i++)
                free(d.groups[i].rules);
        free(d.groups);
        return r;
}
