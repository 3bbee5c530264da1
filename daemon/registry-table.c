/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pointers.h"
#include "registry-state.h"

static Group *group_free(Group *g) {
        if (!g)
                return NULL;

        group_record_clear(&g->record);
        free(g->path);
        free(g->rules);
        free(g->rules_by_name);
        free(g->devices);
        free(g);
        return NULL;
}

static Rule *rule_free(Rule *rule) {
        if (!rule)
                return NULL;

        rule_record_clear(&rule->record);
        filter_free(rule->filter);
        free(rule->path);
        free(rule->devices);
        free(rule);
        return NULL;
}

DEFINE_CLEANUP(Group *, group_free);
DEFINE_CLEANUP(Rule *, rule_free);

int registry_new(const RegistryConfig *config, Registry **ret) {
        Registry *r;

        assert(config && config->devices);
        assert(ret);

        r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->config = *config;

        /* So that there is room for a rule that is not in any list yet. */
        if (pointers_reserve(&r->scratch, &r->scratch_allocated, 1) < 0) {
                free(r);
                return -ENOMEM;
        }
        *ret = r;
        return 0;
}

Registry *registry_free(Registry *r) {
        if (!r)
                return NULL;

        for (size_t i = 0; i < r->config.devices->n; i++)
                r->config.devices->devices[i]->n_rules = 0;
        for (size_t i = 0; i < r->n_rules; i++)
                rule_free(r->rules[i]);
        for (size_t i = 0; i < r->n_groups; i++)
                group_free(r->groups[i]);
        rule_index_clear(&r->shared);
        rule_index_clear(&r->single);
        free(r->groups);
        free(r->groups_by_id);
        free(r->rules);
        free(r->rules_by_id);
        free(r->scratch);
        free(r);
        return NULL;
}

static int compare_group_name(const void *item, const void *name) {
        const Group *g = item;

        return strcmp(g->record.name, name);
}

static int compare_group_id(const void *item, const void *id) {
        const Group *g = item;

        return strcmp(g->record.id, id);
}

static int compare_rule_id(const void *item, const void *id) {
        const Rule *rule = item;

        return strcmp(rule->record.id, id);
}

static int compare_rule_name(const void *item, const void *name) {
        const Rule *rule = item;

        return strcmp(rule->record.name, name);
}

int registry_compare_rules(const void *a, const void *b) {
        const RuleRecord *x = &((const Rule *)a)->record, *y = &((const Rule *)b)->record;

        return x->age != y->age ? (x->age < y->age ? -1 : 1) : strcmp(x->id, y->id);
}

Group *registry_find_group(const Registry *r, const char *id) {
        bool found;
        size_t i = pointers_find(r->groups_by_id, r->n_groups, id, compare_group_id, &found);

        return found ? r->groups_by_id[i] : NULL;
}

Group *registry_find_group_name(const Registry *r, const char *name) {
        bool found;
        size_t i = pointers_find(r->groups, r->n_groups, name, compare_group_name, &found);

        return found ? r->groups[i] : NULL;
}

Rule *registry_find_rule(const Registry *r, const char *id) {
        bool found;
        size_t i = pointers_find(r->rules_by_id, r->n_rules, id, compare_rule_id, &found);

        return found ? r->rules_by_id[i] : NULL;
}

Rule *registry_find_rule_name(const Registry *r, const Group *g, const char *name) {
        bool found;
        size_t i;

        assert(r);
        assert(g);

        i = pointers_find(g->rules_by_name, g->n_rules, name, compare_rule_name, &found);
        return found ? g->rules_by_name[i] : NULL;
}

char *registry_path(const char *below, const char *id, char buf[static REGISTRY_PATH_SIZE]) {
        (void)snprintf(buf, REGISTRY_PATH_SIZE, "%s/%s", below, id);
        for (char *c = buf + strlen(below); *c; c++)
                if (*c == '-')
                        *c = '_';
        return buf;
}

static int make_path(const char *below, const char *id, char **ret) {
        char path[REGISTRY_PATH_SIZE];

        *ret = strdup(registry_path(below, id, path));
        return *ret ? 0 : -ENOMEM;
}

/* Undoes registry_path(). Not strict: the finder compares the whole path in the end. */
static bool path_to_id(const char *below, const char *path, char ret[static RECORD_ID_SIZE]) {
        size_t n = strlen(below);

        if (strncmp(path, below, n) != 0 || path[n] != '/' || strlen(path + n + 1) != RECORD_ID_SIZE - 1)
                return false;

        memcpy(ret, path + n + 1, RECORD_ID_SIZE);
        for (char *c = ret; *c; c++)
                if (*c == '_')
                        *c = '-';
        return true;
}

Group *registry_find_group_path(const Registry *r, const char *path) {
        char id[RECORD_ID_SIZE];
        Group *g = path_to_id(BUS_PATH_GROUPS, path, id) ? registry_find_group(r, id) : NULL;

        return g && streq(g->path, path) ? g : NULL;
}

Rule *registry_find_rule_path(const Registry *r, const char *path) {
        char id[RECORD_ID_SIZE];
        Rule *rule = path_to_id(BUS_PATH_RULES, path, id) ? registry_find_rule(r, id) : NULL;

        return rule && streq(rule->path, path) ? rule : NULL;
}

size_t registry_count_groups(const Registry *r) {
        return r->n_groups;
}

size_t registry_count_rules(const Registry *r) {
        return r->n_rules;
}

Group *registry_next_group(const Registry *r, size_t *at) {
        return *at < r->n_groups ? r->groups[(*at)++] : NULL;
}

Rule *registry_next_rule(const Registry *r, size_t *at) {
        return *at < r->n_rules ? r->rules[(*at)++] : NULL;
}

static int add_group(Registry *r, const GroupRecord *record, Group **ret) {
        _cleanup_(group_freep) Group *g = calloc(1, sizeof *g);
        bool found;
        size_t at;

        if (!g || make_path(BUS_PATH_GROUPS, record->id, &g->path) < 0 ||
            pointers_reserve(&r->groups, &r->groups_allocated, r->n_groups + 1) < 0 ||
            pointers_reserve(&r->groups_by_id, &r->groups_by_id_allocated, r->n_groups + 1) < 0)
                return -ENOMEM;

        at = pointers_find(r->groups_by_id, r->n_groups, record->id, compare_group_id, &found);
        pointers_insert(r->groups_by_id, &(size_t){r->n_groups}, at, g);
        at = pointers_find(r->groups, r->n_groups, record->name, compare_group_name, &found);
        pointers_insert(r->groups, &r->n_groups, at, g);
        *ret = STEAL(g);
        return 0;
}

static void move_group(Registry *r, const Group *g, const char *name) {
        size_t n = r->n_groups, at;
        bool found;

        at = pointers_find(r->groups, n, g->record.name, compare_group_name, &found);
        pointers_remove(r->groups, &n, at);
        at = pointers_find(r->groups, n, name, compare_group_name, &found);
        pointers_insert(r->groups, &n, at, g);
}

static uint32_t differ(bool different, int property) {
        return different ? 1U << property : 0;
}

static uint32_t compare_group_records(const GroupRecord *a, const GroupRecord *b) {
        return differ(!streq(a->name, b->name), GROUP_PROPERTY_NAME) |
               differ(!streq(a->description, b->description), GROUP_PROPERTY_DESCRIPTION) |
               differ(a->class != b->class, GROUP_PROPERTY_CLASS) |
               differ(a->enabled != b->enabled, GROUP_PROPERTY_ENABLED) |
               differ(a->enabled != b->enabled, GROUP_PROPERTY_AVAILABLE) |
               differ(a->binding != b->binding, GROUP_PROPERTY_BINDING) |
               differ(a->quota != b->quota, GROUP_PROPERTY_QUOTA) |
               differ(!sriov_settings_same(&a->sriov, &b->sriov), GROUP_PROPERTY_SRIOV) |
               differ(a->modified != b->modified, GROUP_PROPERTY_MODIFIED);
}

int registry_put_group(Registry *r, GroupRecord *record, Group **ret, bool *ret_new) {
        Group *g, *other;
        bool is_new;
        int k;

        assert(r);
        assert(record);
        assert(ret);
        assert(ret_new);

        g = registry_find_group(r, record->id);
        other = registry_find_group_name(r, record->name);
        if (other && other != g)
                return -EEXIST;

        is_new = !g;
        if (is_new) {
                k = add_group(r, record, &g);
                if (k < 0)
                        return k;
        } else {
                registry_mark_group(r, g, compare_group_records(&g->record, record));
                move_group(r, g, record->name);
                group_record_clear(&g->record);
        }
        g->record = *record;
        *record = (GroupRecord){0};
        *ret = g;
        *ret_new = is_new;
        return 0;
}

static int reserve_rule(Registry *r, Group *g) {
        size_t n = r->n_rules + 1;
        int k;

        if ((k = pointers_reserve(&r->rules, &r->rules_allocated, n)) < 0 ||
            (k = pointers_reserve(&r->rules_by_id, &r->rules_by_id_allocated, n)) < 0 ||
            (k = pointers_reserve(&r->scratch, &r->scratch_allocated, n)) < 0 ||
            (k = pointers_reserve(&g->rules, &g->rules_allocated, g->n_rules + 1)) < 0 ||
            (k = pointers_reserve(&g->rules_by_name, &g->by_name_allocated, g->n_rules + 1)) < 0 ||
            (k = rule_index_reserve(&r->shared, n)) < 0 || (k = rule_index_reserve(&r->single, n)) < 0)
                return k;
        return 0;
}

static int make_rule(Registry *r, Group *g, const RuleRecord *record, Rule **ret) {
        _cleanup_(rule_freep) Rule *rule = calloc(1, sizeof *rule);

        if (!rule || make_path(BUS_PATH_RULES, record->id, &rule->path) < 0 || reserve_rule(r, g) < 0)
                return -ENOMEM;

        rule->group = g;
        *ret = STEAL(rule);
        return 0;
}

/* Into the lists; its record is there. */
static void list_rule(Registry *r, Rule *rule) {
        Group *g = rule->group;
        bool found;
        size_t at;

        at = pointers_find(g->rules_by_name, g->n_rules, rule->record.name, compare_rule_name, &found);
        pointers_insert(g->rules_by_name, &(size_t){g->n_rules}, at, rule);
        at = pointers_find(g->rules, g->n_rules, rule, registry_compare_rules, &found);
        pointers_insert(g->rules, &g->n_rules, at, rule);
        at = pointers_find(r->rules_by_id, r->n_rules, rule->record.id, compare_rule_id, &found);
        pointers_insert(r->rules_by_id, &(size_t){r->n_rules}, at, rule);
        at = pointers_find(r->rules, r->n_rules, rule, registry_compare_rules, &found);
        pointers_insert(r->rules, &r->n_rules, at, rule);
        registry_mark_group(r, g, 1U << GROUP_PROPERTY_RULES);
}

static void unlist_rule(Registry *r, const Rule *rule) {
        Group *g = rule->group;
        bool found;
        size_t at;

        at = pointers_find(g->rules_by_name, g->n_rules, rule->record.name, compare_rule_name, &found);
        pointers_remove(g->rules_by_name, &(size_t){g->n_rules}, at);
        at = pointers_find(g->rules, g->n_rules, rule, registry_compare_rules, &found);
        pointers_remove(g->rules, &g->n_rules, at);
        at = pointers_find(r->rules_by_id, r->n_rules, rule->record.id, compare_rule_id, &found);
        pointers_remove(r->rules_by_id, &(size_t){r->n_rules}, at);
        at = pointers_find(r->rules, r->n_rules, rule, registry_compare_rules, &found);
        pointers_remove(r->rules, &r->n_rules, at);
        registry_mark_group(r, g, 1U << GROUP_PROPERTY_RULES);
}

/* To where its new name belongs. */
static void move_rule(const Rule *rule, const char *name) {
        Group *g = rule->group;
        size_t n = g->n_rules, at;
        bool found;

        at = pointers_find(g->rules_by_name, n, rule->record.name, compare_rule_name, &found);
        pointers_remove(g->rules_by_name, &n, at);
        at = pointers_find(g->rules_by_name, n, name, compare_rule_name, &found);
        pointers_insert(g->rules_by_name, &n, at, rule);
}

static uint32_t compare_rule_records(const RuleRecord *a, const RuleRecord *b) {
        return differ(!streq(a->name, b->name), RULE_PROPERTY_NAME) |
               differ(!streq(a->node, b->node), RULE_PROPERTY_NODE) |
               differ(!streq(a->filter, b->filter), RULE_PROPERTY_FILTER) |
               differ(a->enabled != b->enabled, RULE_PROPERTY_ENABLED) |
               differ(a->modified != b->modified, RULE_PROPERTY_MODIFIED);
}

/* Gives it the record and the filter, and what it matches. */
static void set_rule(Registry *r, Rule *rule, RuleRecord *record, Filter *filter) {
        rule_index_remove(rule);
        rule_record_clear(&rule->record);
        filter_free(rule->filter);
        rule->record = *record;
        rule->filter = filter;
        *record = (RuleRecord){0};
        if (rule->record.enabled && registry_is_node(r, rule->record.node))
                rule_index_add(registry_index_for(r, filter), rule);
}

static int check_rule(const Registry *r, const RuleRecord *record, const Rule *rule, Group **ret) {
        Group *g = registry_find_group(r, record->group);
        const Rule *other;

        if (!g)
                return -ENOENT;
        if (rule && (rule->group != g || rule->record.age != record->age))
                return -EINVAL;
        other = registry_find_rule_name(r, g, record->name);
        if (other && other != rule)
                return -EEXIST;
        *ret = g;
        return 0;
}

int registry_put_rule(Registry *r, RuleRecord *record, Rule **ret, bool *ret_new) {
        _cleanup_(filter_freep) Filter *filter = NULL;
        _cleanup_(rule_freep) Rule *fresh = NULL;
        _cleanup_free_ Device **devices = NULL;
        FilterError error;
        Rule *rule;
        Group *g;
        size_t n = 0;
        int k;

        assert(r);
        assert(record);
        assert(ret);
        assert(ret_new);

        rule = registry_find_rule(r, record->id);
        if ((k = check_rule(r, record, rule, &g)) < 0 ||
            (k = filter_parse(record->filter, &filter, &error)) < 0)
                return k;
        if (!rule) {
                k = make_rule(r, g, record, &fresh);
                if (k < 0)
                        return k;
                rule = fresh;
        }
        if (!r->is_deferred && record->enabled && registry_is_node(r, record->node)) {
                k = registry_find_devices(r, rule, filter, &devices, &n);
                if (k < 0)
                        return k;
        }

        if (!fresh) {
                registry_mark_rule(r, rule, compare_rule_records(&rule->record, record));
                move_rule(rule, record->name);
        }
        set_rule(r, rule, record, STEAL(filter));
        if (fresh)
                list_rule(r, rule);
        if (!r->is_deferred)
                registry_set_devices(r, rule, devices, n);

        *ret = rule;
        *ret_new = !!fresh;
        if (fresh)
                rule->changed = 0;
        fresh = NULL;
        return 0;
}

void registry_remove_group(Registry *r, Group *g) {
        bool found;
        size_t at;

        assert(r);
        assert(g && g->n_rules == 0);

        (void)LIST_REMOVE(r->changed_groups, g, next_changed);
        at = pointers_find(r->groups_by_id, r->n_groups, g->record.id, compare_group_id, &found);
        pointers_remove(r->groups_by_id, &(size_t){r->n_groups}, at);
        at = pointers_find(r->groups, r->n_groups, g->record.name, compare_group_name, &found);
        pointers_remove(r->groups, &r->n_groups, at);
        group_free(g);
}

void registry_retire_rule(Rule *rule) {
        rule_index_remove(rule);
}

void registry_remove_rule(Registry *r, Rule *rule) {
        assert(r);
        assert(rule);

        registry_set_devices(r, rule, NULL, 0);
        rule_index_remove(rule);
        unlist_rule(r, rule);
        (void)LIST_REMOVE(r->changed_rules, rule, next_changed);
        rule_free(rule);
}
