/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-fields.h"
#include "pointers.h"
#include "registry-state.h"

#define GROUP_DEVICES                                                                                       \
        (1U << GROUP_PROPERTY_DEVICES | 1U << GROUP_PROPERTY_TOTAL | 1U << GROUP_PROPERTY_AVAILABLE |       \
         1U << GROUP_PROPERTY_NEEDS_APPROVAL)

/* Few devices have the same here; all other fields are alike for many. */
static const FilterField single_fields[] = {
                FILTER_SLOT,        FILTER_ADDRESS, FILTER_PHYSICAL_SLOT,
                FILTER_IOMMU_GROUP, FILTER_SERIAL,  FILTER_PHYSICAL_FUNCTION,
};

static int compare_devices(const void *a, const void *b) {
        const Device *d = a, *e = b;

        return pci_address_compare(device_address(d), device_address(e));
}

static size_t device_place(Device *const *devices, size_t n, const Device *d, bool *ret_found) {
        return pointers_find(devices, n, d, compare_devices, ret_found);
}

static void insert_device(Device **devices, size_t *n, const Device *d) {
        bool found;
        size_t at = device_place(devices, *n, d, &found);

        assert(!found);
        pointers_insert(devices, n, at, d);
}

static void remove_device(Device **devices, size_t *n, const Device *d) {
        bool found;
        size_t at = device_place(devices, *n, d, &found);

        assert(found);
        pointers_remove(devices, n, at);
}

/* Walks two lists of rules that are in order, side by side. */
typedef struct Pair {
        Rule *const *old, *const *new;
        size_t n_old, n_new;
        bool was, is; /* the rule of the last step was in the old list, is in the new one */
} Pair;

static Rule *pair_next(Pair *p) {
        Rule *rule;
        int c;

        if (p->n_old == 0 && p->n_new == 0)
                return NULL;

        c = p->n_old == 0 ? 1 : p->n_new == 0 ? -1 : registry_compare_rules(p->old[0], p->new[0]);
        p->was = c <= 0;
        p->is = c >= 0;
        rule = p->was ? p->old[0] : p->new[0];
        if (p->was) {
                p->old++;
                p->n_old--;
        }
        if (p->is) {
                p->new ++;
                p->n_new--;
        }
        return rule;
}

static bool is_mixed(Rule *const *rules, size_t n) {
        for (size_t i = 1; i < n; i++)
                if (rules[i]->group != rules[0]->group)
                        return true;
        return false;
}

/* A rule's overlaps on this device are the others of other groups there: they changed when such a one came or left. */
static void mark_overlaps(Registry *r, Pair p, const Group *came_or_left, bool several) {
        bool was_mixed = is_mixed(p.old, p.n_old), is_mixed_now = is_mixed(p.new, p.n_new), changed;
        Rule *rule;

        if (!was_mixed && !is_mixed_now)
                return;
        while ((rule = pair_next(&p))) {
                if (p.was && p.is)
                        changed = several || rule->group != came_or_left;
                else
                        changed = p.was ? was_mixed : is_mixed_now;
                if (changed)
                        registry_mark_rule(r, rule, 1U << RULE_PROPERTY_OVERLAPS);
        }
}

static void regroup(Registry *r, Device *d, Group *from, Group *to) {
        if (from == to)
                return;

        if (from) {
                remove_device(from->devices, &from->n_devices, d);
                registry_mark_group(r, from, GROUP_DEVICES);
        }
        if (to) {
                insert_device(to->devices, &to->n_devices, d);
                registry_mark_group(r, to, GROUP_DEVICES);
        }
}

/* Makes these the rules of the device. There is room for everything (reserve()), so it cannot fail. */
static void relink(Registry *r, Device *d, Rule *const *rules, size_t n) {
        const Pair pair = {.old = d->rules, .n_old = d->n_rules, .new = rules, .n_new = n};
        Group *from = registry_group_of(d), *to = n > 0 ? rules[0]->group : NULL;
        const Group *came_or_left = NULL;
        bool several = false, told;
        Pair p = pair;
        Rule *rule;

        while ((rule = pair_next(&p))) {
                if (p.was && p.is)
                        continue;
                if (p.is) {
                        insert_device(rule->devices, &rule->n_devices, d);
                        rule->group->n_matches++;
                } else {
                        remove_device(rule->devices, &rule->n_devices, d);
                        rule->group->n_matches--;
                }
                registry_mark_rule(r, rule, 1U << RULE_PROPERTY_DEVICES);
                several = several || (came_or_left && came_or_left != rule->group);
                came_or_left = rule->group;
        }
        if (!came_or_left)
                return;

        mark_overlaps(r, pair, came_or_left, several);
        told = from != to || is_mixed(pair.old, pair.n_old) || is_mixed(pair.new, pair.n_new);
        if (n > 0)
                memcpy(d->rules, rules, n * sizeof *rules);
        d->n_rules = n;
        regroup(r, d, from, to);
        if (told && r->config.regrouped)
                r->config.regrouped(d, r->config.userdata);
}

static int reserve_rules_of(Device *d, size_t n) {
        Rule **rules;

        if (n <= d->n_rules)
                return 0;
        rules = reallocarray(d->rules, n, sizeof *rules); /* exact: there are many devices */
        if (!rules)
                return -ENOMEM;
        d->rules = rules;
        return 0;
}

/* Room in a group for all devices that its rules match: when an older rule of another group leaves, more of them
 * belong to it than do now, and then nothing may fail. */
static int reserve_group(const Registry *r, Group *g, size_t n_more) {
        size_t n = g->n_matches + n_more;

        return pointers_reserve(&g->devices, &g->devices_allocated,
                                n < r->config.devices->n ? n : r->config.devices->n);
}

static int reserve(Registry *r, Device *d, Rule *const *rules, size_t n) {
        Pair p = {.old = d->rules, .n_old = d->n_rules, .new = rules, .n_new = n};
        Rule *rule;
        int k;

        while ((rule = pair_next(&p))) {
                if (p.was)
                        continue;
                if ((k = pointers_reserve(&rule->devices, &rule->devices_allocated, rule->n_devices + 1)) <
                                    0 ||
                    (k = reserve_group(r, rule->group, n)) < 0)
                        return k;
        }
        return reserve_rules_of(d, n);
}

bool registry_is_node(const Registry *r, const char *node) {
        return !node[0] || streq(node, strempty(r->config.devices->node));
}

RuleIndex *registry_index_for(Registry *r, const Filter *f) {
        for (size_t i = 0; i < ELEMENTSOF(single_fields); i++)
                if (filter_uses(f, single_fields[i]))
                        return &r->single;
        return &r->shared;
}

/* Devices that are alike for the shared rules, and what these said of the first of them. */
typedef struct Kind {
        uint64_t hash;
        const Device *device;
        Rule **rules;
        size_t n;
        struct Kind *next;
} Kind;

#define N_BUCKETS 1024U

typedef struct Kinds {
        Kind *buckets[N_BUCKETS];
} Kinds;

static void kinds_clear(const Kinds *kinds) {
        Kind *next;

        for (size_t i = 0; i < N_BUCKETS; i++)
                for (Kind *k = kinds->buckets[i]; k; k = next) {
                        next = k->next;
                        free(k->rules);
                        free(k);
                }
}

static bool is_single(int field) {
        for (size_t i = 0; i < ELEMENTSOF(single_fields); i++)
                if ((int)single_fields[i] == field)
                        return true;
        return false;
}

static uint64_t hash_subject(const FilterSubject *s) {
        uint64_t h = 0xcbf29ce484222325ULL;

        for (int i = 0; i < FILTER_FIELD_MAX; i++) {
                if (is_single(i))
                        continue;
                h = (h ^ s->values[i].number ^ s->values[i].unknown) * 0x100000001b3ULL;
                for (const char *t = strempty(s->values[i].text); *t; t++)
                        h = (h ^ (unsigned char)*t) * 0x100000001b3ULL;
        }
        return h;
}

static bool is_alike(const FilterSubject *a, const FilterSubject *b) {
        for (int i = 0; i < FILTER_FIELD_MAX; i++)
                if (!is_single(i) && (a->values[i].number != b->values[i].number ||
                                      a->values[i].unknown != b->values[i].unknown ||
                                      !streq(strempty(a->values[i].text), strempty(b->values[i].text))))
                        return false;
        return true;
}

static const Kind *kinds_find(const Kinds *kinds, const FilterSubject *s, uint64_t hash) {
        DeviceFields fields;

        for (const Kind *k = kinds->buckets[hash % N_BUCKETS]; k; k = k->next) {
                if (k->hash != hash)
                        continue;
                device_fields_fill(k->device, &fields);
                if (is_alike(&fields.subject, s))
                        return k;
        }
        return NULL;
}

/* Without memory the next one like it is asked again. */
static void kinds_add(Kinds *kinds, uint64_t hash, const Device *d, Rule *const *rules, size_t n) {
        Rule **copy = n > 0 ? reallocarray(NULL, n, sizeof *copy) : NULL;
        Kind **bucket = &kinds->buckets[hash % N_BUCKETS], *k = malloc(sizeof *k);

        if (!k || (n > 0 && !copy)) {
                free(k);
                free(copy);
                return;
        }
        if (n > 0)
                memcpy(copy, rules, n * sizeof *rules);
        *k = (Kind){hash, d, copy, n, *bucket};
        *bucket = k;
}

static size_t find_shared(const Registry *r, const Device *d, const FilterSubject *s, Kinds *kinds,
                          Rule **ret) {
        uint64_t hash = hash_subject(s);
        const Kind *k = kinds_find(kinds, s, hash);
        size_t n;

        if (!k) {
                n = rule_index_match(&r->shared, s, ret);
                kinds_add(kinds, hash, d, ret, n);
                return n;
        }
        if (k->n > 0)
                memcpy(ret, k->rules, k->n * sizeof *ret);
        return k->n;
}

static int compare_items(const void *a, const void *b) {
        return registry_compare_rules(*(Rule *const *)a, *(Rule *const *)b);
}

static int match_device(Registry *r, Device *d, Kinds *kinds) {
        DeviceFields fields;
        size_t n;
        int k;

        device_fields_fill(d, &fields);
        n = rule_index_match(&r->single, &fields.subject, r->scratch);
        n += kinds ? find_shared(r, d, &fields.subject, kinds, r->scratch + n)
                   : rule_index_match(&r->shared, &fields.subject, r->scratch + n);
        if (n > 1)
                qsort(r->scratch, n, sizeof *r->scratch, compare_items);

        k = reserve(r, d, r->scratch, n);
        if (k < 0)
                return k;
        relink(r, d, r->scratch, n);
        return 0;
}

int registry_match_device(Registry *r, Device *d) {
        assert(r);
        assert(d && d->table == r->config.devices);

        return match_device(r, d, NULL);
}

int registry_rebuild(Registry *r) {
        const DeviceTable *t;
        Kinds kinds = {0};
        int k = 0;

        assert(r);

        r->is_deferred = false;
        t = r->config.devices;
        for (size_t i = 0; i < t->n && k >= 0; i++)
                k = match_device(r, t->devices[i], &kinds);
        kinds_clear(&kinds);
        return k;
}

void registry_forget_device(Registry *r, Device *d) {
        assert(r);
        assert(d);

        relink(r, d, NULL, 0);
        free(STEAL(d->rules));
}

/* The only device that such a filter can match; false when it may be any. */
static bool find_only(const DeviceTable *t, const Filter *f, Device **ret) {
        FilterField field;
        const char *text;
        PciAddress a;

        if (!filter_requires(f, &field, &text) || field != FILTER_ADDRESS)
                return false;
        *ret = pci_address_parse(text, &a) >= 0 ? device_table_find(t, &a) : NULL;
        return true;
}

static bool matches(const Filter *f, const Device *d) {
        DeviceFields fields;

        device_fields_fill(d, &fields);
        return filter_match(f, &fields.subject);
}

int registry_preview(const Registry *r, const Filter *f, const char *node, registry_preview_t report,
                     void *userdata) {
        const DeviceTable *t;
        Device *only;
        int k = 0;

        assert(r);
        assert(f);
        assert(node);
        assert(report);

        t = r->config.devices;
        if (!registry_is_node(r, node))
                return 0;
        if (find_only(t, f, &only))
                return only && matches(f, only) ? report(only, userdata) : 0;
        for (size_t i = 0; i < t->n && k == 0; i++)
                if (matches(f, t->devices[i]))
                        k = report(t->devices[i], userdata);
        return k;
}

typedef struct Found {
        Device **devices;
        size_t n, n_allocated;
} Found;

static int take_device(Device *d, void *userdata) {
        Found *found = userdata;

        if (pointers_reserve(&found->devices, &found->n_allocated, found->n + 1) < 0)
                return -ENOMEM;
        pointers_insert(found->devices, &found->n, found->n, d);
        return 0;
}

int registry_find_devices(Registry *r, Rule *rule, const Filter *f, Device ***ret, size_t *ret_n) {
        Found found = {0};
        int k;

        k = registry_preview(r, f, "", take_device, &found);
        if (k >= 0)
                k = pointers_reserve(&rule->devices, &rule->devices_allocated, found.n);
        if (k >= 0)
                k = reserve_group(r, rule->group, found.n);
        for (size_t i = 0; i < found.n && k >= 0; i++)
                k = reserve_rules_of(found.devices[i], found.devices[i]->n_rules + 1);
        if (k < 0) {
                free(found.devices);
                return k;
        }

        *ret = found.devices;
        *ret_n = found.n;
        return 0;
}

static void relink_with(Registry *r, Device *d, Rule *rule, bool with) {
        size_t n = d->n_rules, at;
        bool found;

        at = pointers_find(d->rules, n, rule, registry_compare_rules, &found);
        if (found == with)
                return;

        if (n > 0)
                memcpy(r->scratch, d->rules, n * sizeof *d->rules);
        if (with)
                pointers_insert(r->scratch, &n, at, rule);
        else
                pointers_remove(r->scratch, &n, at);
        relink(r, d, r->scratch, n);
}

void registry_set_devices(Registry *r, Rule *rule, Device *const *devices, size_t n) {
        bool found;

        for (size_t i = rule->n_devices; i > 0; i--) {
                (void)device_place(devices, n, rule->devices[i - 1], &found);
                if (!found)
                        relink_with(r, rule->devices[i - 1], rule, false);
        }
        for (size_t i = 0; i < n; i++)
                relink_with(r, devices[i], rule, true);
}
