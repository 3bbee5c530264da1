/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"
#include "device-fields.h"
#include "registry.h"

#define NODE "node1"
#define PLACES 12U /* addresses that devices come and go at */
#define TOLD_MAX 64U

typedef struct World {
        DeviceTable *table;
        Registry *registry;
        unsigned touched, regrouped;
        uint64_t age;

        /* What the last flush told. */
        struct {
                const void *object;
                uint32_t mask;
        } told[TOLD_MAX];
        size_t n_told;
} World;

static void on_touched(void *userdata) {
        World *w = userdata;

        w->touched++;
}

static void on_regrouped(Device *d, void *userdata) {
        World *w = userdata;

        assert_ptr_equal(d->table, w->table);
        w->regrouped++;
}

static void tell(World *w, const void *object, uint32_t mask) {
        assert_true(w->n_told < TOLD_MAX);
        assert_true(mask != 0);
        w->told[w->n_told].object = object;
        w->told[w->n_told++].mask = mask;
}

static void on_group(Group *g, uint32_t mask, void *userdata) {
        tell(userdata, g, mask);
}

static void on_rule(Rule *rule, uint32_t mask, void *userdata) {
        tell(userdata, rule, mask);
}

static void flush(World *w) {
        static const RegistrySink sink = {on_group, on_rule};

        w->n_told = w->touched = 0;
        registry_flush(w->registry, &sink, w);
}

/* What was told about it, each object once. */
static uint32_t told(const World *w, const void *object) {
        uint32_t mask = 0;

        for (size_t i = 0; i < w->n_told; i++)
                if (w->told[i].object == object) {
                        assert_int_equal(mask, 0);
                        mask = w->told[i].mask;
                }
        return mask;
}

static int setup(void **state) {
        World *w = calloc(1, sizeof *w);
        RegistryConfig config = {.touched = on_touched, .regrouped = on_regrouped, .userdata = w};

        assert_non_null(w);
        w->table = model_new();
        w->table->node = NODE;
        config.devices = w->table;
        assert_int_equal(registry_new(&config, &w->registry), 0);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;

        registry_free(w->registry);
        for (size_t i = 0; i < w->table->n; i++)
                assert_int_equal(w->table->devices[i]->n_rules, 0);
        model_free(w->table);
        free(w);
        return 0;
}

static void make_id(char *buf, unsigned kind, unsigned number) {
        (void)snprintf(buf, RECORD_ID_SIZE, "6ba7b810-9dad-11d1-%04x-%012x", kind, number);
}

static GroupRecord group_record(unsigned number, const char *name) {
        GroupRecord record = {.name = strdup(name), .description = strdup(""), .enabled = true};

        make_id(record.id, 1, number);
        return record;
}

static RuleRecord rule_record(const World *w, unsigned number, unsigned group, const char *name,
                              const char *node, const char *filter) {
        RuleRecord record = {.name = strdup(name),
                             .node = strdup(node),
                             .filter = strdup(filter),
                             .enabled = true};
        const Rule *old;

        make_id(record.id, 2, number);
        make_id(record.group, 1, group);
        old = registry_find_rule(w->registry, record.id);
        record.age = old ? old->record.age : w->age + 1;
        return record;
}

static int put_group(World *w, GroupRecord record, Group **ret) {
        Group *g = NULL;
        bool is_new;
        int r;

        r = registry_put_group(w->registry, &record, &g, &is_new);
        assert_true(r < 0 || !record.name);
        group_record_clear(&record);
        if (ret)
                *ret = g;
        return r;
}

static int put_rule(World *w, RuleRecord record, Rule **ret) {
        uint64_t age = record.age;
        Rule *rule = NULL;
        bool is_new;
        int r;

        r = registry_put_rule(w->registry, &record, &rule, &is_new);
        assert_true(r < 0 || !record.name);
        if (r >= 0)
                assert_int_equal(is_new, age > w->age);
        if (r >= 0 && is_new)
                w->age = age;
        rule_record_clear(&record);
        if (ret)
                *ret = rule;
        return r;
}

static Group *group(World *w, unsigned number, const char *name) {
        Group *g;

        assert_int_equal(put_group(w, group_record(number, name), &g), 0);
        return g;
}

static Rule *rule(World *w, unsigned number, unsigned in_group, const char *filter) {
        char name[16];
        Rule *r;

        (void)snprintf(name, sizeof name, "%u", number);
        assert_int_equal(put_rule(w, rule_record(w, number, in_group, name, "", filter), &r), 0);
        return r;
}

static Device *device(World *w, const char *address) {
        Device *d = model_add(w->table, address, 5);

        (void)device_table_derive(w->table, d, false);
        assert_int_equal(registry_match_device(w->registry, d), 0);
        return d;
}

static void leave(World *w, Device *d) {
        PciAddress a = *device_address(d);

        registry_forget_device(w->registry, d);
        device_free(device_table_remove(w->table, &a));
}

static void test_words(void **state _unused_) {
        for (int i = 0; i < GROUP_PROPERTY_MAX; i++)
                assert_int_equal(group_property_from_string(group_property_to_string((GroupProperty)i)), i);
        for (int i = 0; i < RULE_PROPERTY_MAX; i++)
                assert_int_equal(rule_property_from_string(rule_property_to_string((RuleProperty)i)), i);
}

static void expect_text(const DeviceFields *fields, FilterField field, const char *text) {
        assert_false(fields->subject.values[field].unknown);
        assert_string_equal(strempty(fields->subject.values[field].text), text);
}

static void expect_number(const DeviceFields *fields, FilterField field, bool known, uint64_t number) {
        assert_int_equal(fields->subject.values[field].unknown, !known);
        if (known)
                assert_int_equal(fields->subject.values[field].number, number);
}

static void test_a_device_as_filters_see_it(void **state) {
        PciAddress a = model_address("10000:05:1f.7");
        World *w = *state;
        DeviceFields fields;
        Device *d = model_device(&a, 7);
        DeviceFacts *f = &d->facts;

        f->identity.vendor = 0x8086;
        f->identity.device = 0x0a;
        f->identity.subsystem_vendor = 0x1af4;
        f->identity.subsystem_device = 0xffff;
        f->identity.revision = 3;
        f->sriov_total_vfs = 63;
        f->numa_node = 1;
        strcpy(f->identity.serial, "S1");
        strcpy(f->identity.slot, "5-1");
        strcpy(f->module, "mod");
        assert_int_equal(device_set_words(d, "Intel", "X710", "Ethernet", "Red Hat", "Sub"), 0);
        assert_int_equal(device_table_insert(w->table, d), 0);
        (void)device_table_derive(w->table, d, false);

        device_fields_fill(d, &fields);
        expect_text(&fields, FILTER_NAME, "Intel X710");
        expect_text(&fields, FILTER_SLOT, "05:1f.7");
        expect_text(&fields, FILTER_ADDRESS, "10000:05:1f.7");
        expect_text(&fields, FILTER_CLASS, "Ethernet");
        expect_text(&fields, FILTER_CLASS_HEX, "0200");
        expect_text(&fields, FILTER_DEVICE_TYPE, "network");
        expect_text(&fields, FILTER_VENDOR, "Intel");
        expect_text(&fields, FILTER_DEVICE, "X710");
        expect_text(&fields, FILTER_VENDOR_DEVICE_HEX, "8086:000a");
        expect_text(&fields, FILTER_SVENDOR, "Red Hat");
        expect_text(&fields, FILTER_SUBSYSTEM_DEVICE, "Sub");
        expect_text(&fields, FILTER_SUBSYSTEM_HEX, "1af4:ffff");
        expect_text(&fields, FILTER_PHYSICAL_SLOT, "5-1");
        expect_text(&fields, FILTER_DRIVER, "e1000e");
        expect_text(&fields, FILTER_MODULE, "mod");
        expect_text(&fields, FILTER_SERIAL, "S1");
        expect_text(&fields, FILTER_NODE, NODE);
        expect_text(&fields, FILTER_PHYSICAL_FUNCTION, "");
        expect_number(&fields, FILTER_NUMA, true, 1);
        expect_number(&fields, FILTER_IOMMU_GROUP, true, 7);
        expect_number(&fields, FILTER_REVISION, true, 3);
        expect_number(&fields, FILTER_SRIOV_TOTALVFS, true, 63);

        f->is_virtual = true;
        f->physical_function = model_address("0000:3b:00.1");
        f->numa_node = -1;
        f->set.number = DEVICE_NO_IOMMU_SET;
        device_fields_fill(d, &fields);
        expect_text(&fields, FILTER_PHYSICAL_FUNCTION, "0000:3b:00.1");
        expect_number(&fields, FILTER_NUMA, false, 0);
        expect_number(&fields, FILTER_IOMMU_GROUP, false, 0);
}

static void test_names_are_unique(void **state) {
        World *w = *state;
        GroupRecord record;
        RuleRecord again;
        Group *g;

        g = group(w, 1, "one");
        (void)group(w, 2, "two");
        assert_int_equal(put_group(w, group_record(3, "one"), NULL), -EEXIST);
        assert_int_equal(put_group(w, group_record(2, "one"), NULL), -EEXIST);
        assert_int_equal(registry_count_groups(w->registry), 2);

        (void)rule(w, 1, 1, "numa eq 1");
        assert_int_equal(put_rule(w, rule_record(w, 2, 1, "1", "", "numa eq 1"), NULL), -EEXIST);
        assert_int_equal(put_rule(w, rule_record(w, 2, 2, "1", "", "numa eq 1"), NULL), 0);
        assert_int_equal(put_rule(w, rule_record(w, 3, 9, "3", "", "numa eq 1"), NULL), -ENOENT);
        assert_int_equal(put_rule(w, rule_record(w, 1, 2, "x", "", "numa eq 1"), NULL), -EINVAL); /* moves */
        again = rule_record(w, 1, 1, "x", "", "numa eq 1");
        again.age = 99;
        assert_int_equal(put_rule(w, again, NULL), -EINVAL);
        assert_int_equal(put_rule(w, rule_record(w, 4, 2, "4", "", "numa is 1"), NULL), -EINVAL);
        assert_int_equal(registry_count_rules(w->registry), 2);

        record = group_record(1, "renamed");
        assert_int_equal(put_group(w, record, &g), 0);
        assert_null(registry_find_group_name(w->registry, "one"));
        assert_ptr_equal(registry_find_group_name(w->registry, "renamed"), g);
        (void)group(w, 3, "one");
}

static void test_finds_what_is_there(void **state) {
        World *w = *state;
        Group *b = group(w, 1, "b"), *a = group(w, 2, "a");
        Rule *old = rule(w, 2, 1, "numa eq 1"), *young = rule(w, 1, 1, "numa eq 2");
        size_t at = 0;

        assert_string_equal(b->path, BUS_PATH_GROUPS "/6ba7b810_9dad_11d1_0001_000000000001");
        assert_ptr_equal(registry_find_group_path(w->registry, b->path), b);
        assert_ptr_equal(registry_find_rule_path(w->registry, old->path), old);
        assert_ptr_equal(registry_find_rule(w->registry, young->record.id), young);
        assert_ptr_equal(registry_find_rule_name(w->registry, b, "1"), young);
        assert_null(registry_find_rule_name(w->registry, a, "1"));
        assert_null(registry_find_group_path(w->registry, old->path));
        assert_null(registry_find_group_path(w->registry,
                                             BUS_PATH_GROUPS "/6ba7b810-9dad-11d1-0001-000000000001"));
        assert_null(registry_find_group_path(w->registry, BUS_PATH_GROUPS));
        assert_null(registry_find_rule_path(w->registry, BUS_PATH_RULES "/"));

        assert_ptr_equal(registry_next_group(w->registry, &at), a);
        assert_ptr_equal(registry_next_group(w->registry, &at), b);
        assert_null(registry_next_group(w->registry, &at));
        at = 0;
        assert_ptr_equal(registry_next_rule(w->registry, &at), old);
        assert_ptr_equal(registry_next_rule(w->registry, &at), young);
        assert_null(registry_next_rule(w->registry, &at));
}

static void test_many_are_removed_at_once(void **state) {
        World *w = *state;
        Group *one = group(w, 1, "one");
        Device *d = device(w, "0000:05:00.0");
        Rule *rules[10];

        for (unsigned i = 0; i < 10; i++)
                rules[i] = rule(w, i + 1, 1, "driver eq 'e1000e'");
        assert_int_equal(d->n_rules, 10);
        for (unsigned i = 1; i < 10; i++)
                registry_retire_rule(rules[i]);
        assert_int_equal(registry_rebuild(w->registry), 0);
        assert_int_equal(d->n_rules, 1);
        for (unsigned i = 1; i < 10; i++)
                registry_remove_rule(w->registry, rules[i]);
        assert_int_equal(one->n_rules, 1);
        assert_ptr_equal(d->rules[0], rules[0]);
        assert_ptr_equal(registry_group_of(d), one);
}

static void test_the_oldest_rule_decides(void **state) {
        World *w = *state;
        Group *one = group(w, 1, "one"), *two = group(w, 2, "two");
        Device *d = device(w, "0000:05:00.0"), *overlap;
        Rule *young, *old, *other;
        size_t at = 0;

        assert_null(registry_group_of(d));
        old = rule(w, 1, 1, "driver eq 'e1000e'");
        young = rule(w, 2, 2, "address eq '0000:05:00.0'");
        assert_ptr_equal(registry_group_of(d), one);
        assert_int_equal(w->regrouped, 2); /* the second time: another group's rule matches it, too */
        assert_int_equal(one->n_devices, 1);
        assert_int_equal(two->n_devices, 0);
        assert_true(registry_next_overlap(old, &at, &overlap, &other));
        assert_ptr_equal(overlap, d);
        assert_ptr_equal(other, young);
        assert_false(registry_next_overlap(old, &at, &overlap, &other));
        at = 0;
        assert_true(registry_next_overlap(young, &at, &overlap, &other));
        assert_ptr_equal(other, old);

        registry_remove_rule(w->registry, old);
        assert_ptr_equal(registry_group_of(d), two);
        assert_int_equal(w->regrouped, 3);
        assert_int_equal(two->n_devices, 1);
        assert_ptr_equal(two->devices[0], d);
        at = 0;
        assert_false(registry_next_overlap(young, &at, &overlap, &other));
        leave(w, d);
        assert_int_equal(young->n_devices, 0);
        assert_int_equal(two->n_devices, 0);
}

/* Two rules of one group are a union, no overlap. */
static void test_rules_of_a_group_are_a_union(void **state) {
        World *w = *state;
        Group *g = group(w, 1, "one");
        Device *d = device(w, "0000:05:00.0"), *overlap;
        Rule *first = rule(w, 1, 1, "driver eq 'e1000e'"), *other;
        size_t at = 0;

        (void)device(w, "0000:04:00.0");
        (void)rule(w, 2, 1, "slot eq '05:00.0'");
        assert_int_equal(g->n_devices, 2);
        assert_false(registry_next_overlap(first, &at, &overlap, &other));
        flush(w);
        registry_remove_rule(w->registry, first);
        assert_int_equal(g->n_devices, 1);
        assert_ptr_equal(registry_group_of(d), g);
        flush(w);
        assert_int_equal(w->n_told, 1);
        assert_true(told(w, g) & 1U << GROUP_PROPERTY_RULES);
}

static void test_nodes_and_switches(void **state) {
        World *w = *state;
        RuleRecord record;
        Rule *r;

        (void)group(w, 1, "one");
        (void)device(w, "0000:05:00.0");
        assert_int_equal(put_rule(w, rule_record(w, 1, 1, "r", "node2", "driver eq 'e1000e'"), &r), 0);
        assert_int_equal(r->n_devices, 0);
        flush(w);
        assert_int_equal(put_rule(w, rule_record(w, 1, 1, "r", NODE, "driver eq 'e1000e'"), &r), 0);
        assert_int_equal(r->n_devices, 1);
        flush(w);
        assert_int_equal(told(w, r), 1U << RULE_PROPERTY_NODE | 1U << RULE_PROPERTY_DEVICES);

        record = rule_record(w, 1, 1, "r", NODE, "driver eq 'e1000e'");
        record.enabled = false;
        assert_int_equal(put_rule(w, record, &r), 0);
        assert_int_equal(r->n_devices, 0);
        (void)device(w, "0000:06:00.0"); /* nor one that comes */
        assert_int_equal(r->n_devices, 0);
        flush(w);
        assert_int_equal(told(w, r), 1U << RULE_PROPERTY_ENABLED | 1U << RULE_PROPERTY_DEVICES);
}

static int count_device(Device *d, void *userdata) {
        unsigned *n = userdata;

        return d->facts.numa_node == 3 ? -ECANCELED : (int)(++*n, 0);
}

static unsigned preview(const World *w, const char *text, const char *node) {
        _cleanup_(filter_freep) Filter *f = NULL;
        FilterError error;
        unsigned n = 0;

        assert_int_equal(filter_parse(text, &f, &error), 0);
        if (registry_preview(w->registry, f, node, count_device, &n) < 0)
                return UINT32_MAX;
        return n;
}

static void test_a_preview_changes_nothing(void **state) {
        World *w = *state;
        Device *d = device(w, "0000:05:00.0");

        (void)device(w, "0000:06:00.0");
        assert_int_equal(preview(w, "driver eq 'e1000e'", ""), 2);
        assert_int_equal(preview(w, "driver eq 'e1000e'", NODE), 2);
        assert_int_equal(preview(w, "driver eq 'e1000e'", "node2"), 0);
        assert_int_equal(preview(w, "address eq '0000:06:00.0' and driver eq 'e1000e'", ""), 1);
        assert_int_equal(preview(w, "address eq '0000:06:00.0' and driver eq 'nvme'", ""), 0);
        assert_int_equal(preview(w, "address eq '0000:07:00.0'", ""), 0);
        assert_int_equal(preview(w, "address eq 'nonsense'", ""), 0);
        d->facts.numa_node = 3;
        assert_int_equal(preview(w, "driver eq 'e1000e'", ""), UINT32_MAX); /* stopped */
        assert_int_equal(d->n_rules, 0);
        assert_int_equal(w->touched, 0);
}

static void test_counts(void **state) {
        World *w = *state;
        Group *g = group(w, 1, "one");
        Device *d = device(w, "0000:05:00.0"), *stranger = device(w, "0000:06:00.0");
        GroupRecord record;

        (void)rule(w, 1, 1, "address eq '0000:05:00.0'");
        d->eligible = d->granted = true;
        assert_int_equal(registry_count_available(g), 1);
        assert_false(registry_needs_approval(d));
        d->eligible = false; /* at the host: cannot leave it */
        assert_int_equal(registry_count_available(g), 0);
        d->state = DEVICE_POOL;
        assert_int_equal(registry_count_available(g), 1);
        d->state = DEVICE_STUCK;
        assert_int_equal(registry_count_available(g), 0);
        d->state = DEVICE_POOL;
        d->granted = false;
        assert_int_equal(registry_count_available(g), 0);
        assert_true(registry_needs_approval(d));
        assert_false(registry_needs_approval(stranger));

        d->granted = true;
        flush(w);
        registry_device_changed(w->registry, stranger);
        assert_int_equal(w->touched, 0);
        registry_device_changed(w->registry, d);
        assert_int_equal(w->touched, 1);
        flush(w);
        assert_int_equal(told(w, g), 1U << GROUP_PROPERTY_AVAILABLE | 1U << GROUP_PROPERTY_NEEDS_APPROVAL);

        record = group_record(1, "one");
        record.enabled = false;
        assert_int_equal(put_group(w, record, NULL), 0);
        assert_int_equal(registry_count_available(g), 0);
        assert_ptr_equal(registry_group_of(d), g); /* still a member */
        flush(w);
        assert_int_equal(told(w, g), 1U << GROUP_PROPERTY_ENABLED | 1U << GROUP_PROPERTY_AVAILABLE);
}

/* A burst is asked for once and told once; a new one tells nothing, one that left neither. */
static void test_a_burst_is_told_once(void **state) {
        World *w = *state;
        Group *g = group(w, 1, "one");
        Rule *r;

        assert_int_equal(w->touched, 0);
        (void)rule(w, 1, 1, "numa eq 7");
        r = rule(w, 2, 1, "driver eq 'e1000e'");
        (void)device(w, "0000:05:00.0");
        (void)device(w, "0000:06:00.0");
        registry_remove_rule(w->registry, rule(w, 3, 1, "driver eq 'e1000e'"));
        assert_int_equal(w->touched, 1);
        flush(w);
        assert_int_equal(w->n_told, 2);
        assert_int_equal(told(w, r), 1U << RULE_PROPERTY_DEVICES);
        assert_true(told(w, g) & 1U << GROUP_PROPERTY_DEVICES && told(w, g) & 1U << GROUP_PROPERTY_RULES);
        flush(w);
        assert_int_equal(w->n_told, 0);

        r = rule(w, 4, 1, "driver eq 'e1000e'");
        assert_int_equal(r->n_devices, 2);
        flush(w);
        assert_int_equal(told(w, r), 0);
}

static void test_a_bulk_load_matches_at_its_end(void **state) {
        World *w = *state;
        Rule *r;

        (void)group(w, 1, "one");
        (void)device(w, "0000:05:00.0");
        registry_defer(w->registry);
        r = rule(w, 1, 1, "driver eq 'e1000e'");
        assert_int_equal(r->n_devices, 0);
        assert_int_equal(registry_rebuild(w->registry), 0);
        assert_int_equal(r->n_devices, 1);
        assert_int_equal(rule(w, 2, 1, "numa ne 7")->n_devices, 1);
        flush(w);
        assert_int_equal(registry_rebuild(w->registry), 0);
        assert_int_equal(w->touched, 0);
}

/* The random walk: after each step all is as the definition in registry.h has it, and what was told is what changed. */

#define SHADOWS_MAX 64U

/* How an object looked. */
typedef struct Shadow {
        const void *object;
        bool is_group;
        char *devices, *others; /* overlaps of a rule, rules of a group */
        uint32_t plain;         /* checksum of name, filter, ... */
} Shadow;

static uint32_t checksum(uint32_t h, const char *text) {
        for (; *text; text++)
                h = (h ^ (unsigned char)*text) * 16777619U;
        return h;
}

static char *overlaps_of(const Rule *r) {
        char *text = NULL;
        size_t size, at = 0;
        FILE *f = open_memstream(&text, &size);
        Device *d;
        Rule *other;

        assert_non_null(f);
        while (registry_next_overlap(r, &at, &d, &other))
                fprintf(f, "%s %s\n", d->address, other->record.id);
        (void)fclose(f); /* the text may move until then */
        return text;
}

static char *list_devices(Device *const *devices, size_t n) {
        char *text = calloc(n + 1, PCI_ADDRESS_SIZE + 1), *at = text;

        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
                at = stpcpy(stpcpy(at, devices[i]->address), " ");
        return text;
}

static char *list_rules(Rule *const *rules, size_t n) {
        char *text = calloc(n + 1, RECORD_ID_SIZE + 1), *at = text;

        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
                at = stpcpy(stpcpy(at, rules[i]->record.id), " ");
        return text;
}

static size_t take_shadows(const World *w, Shadow *ret) {
        size_t n = 0, at = 0;
        Group *g;
        Rule *r;

        while ((g = registry_next_group(w->registry, &at)))
                ret[n++] = (Shadow){g, true, list_devices(g->devices, g->n_devices),
                                    list_rules(g->rules, g->n_rules),
                                    checksum(g->record.enabled, g->record.name)};
        at = 0;
        while ((r = registry_next_rule(w->registry, &at)))
                ret[n++] = (Shadow){r, false, list_devices(r->devices, r->n_devices), overlaps_of(r),
                                    checksum(checksum(checksum(r->record.enabled, r->record.name),
                                                      r->record.filter),
                                             r->record.node)};
        assert_true(n <= SHADOWS_MAX);
        return n;
}

static void drop_shadows(Shadow *s, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(s[i].devices);
                free(s[i].others);
        }
}

#define DEVICES_OF_RULE (1U << RULE_PROPERTY_DEVICES | 1U << RULE_PROPERTY_OVERLAPS)
#define PLAIN_OF_GROUP (1U << GROUP_PROPERTY_NAME | 1U << GROUP_PROPERTY_ENABLED)
#define PLAIN_OF_RULE                                                                                       \
        (1U << RULE_PROPERTY_NAME | 1U << RULE_PROPERTY_ENABLED | 1U << RULE_PROPERTY_FILTER |              \
         1U << RULE_PROPERTY_NODE)

static void expect_told(const World *w, const Shadow *before, const Shadow *after) {
        uint32_t mask = told(w, after->object);
        bool is_group = after->is_group;

        assert_int_equal((mask & (is_group ? PLAIN_OF_GROUP : PLAIN_OF_RULE)) != 0,
                         before->plain != after->plain);
        assert_int_equal((mask &
                          1U << (is_group ? (int)GROUP_PROPERTY_DEVICES : (int)RULE_PROPERTY_DEVICES)) != 0,
                         !streq(before->devices, after->devices));
        assert_int_equal((mask &
                          1U << (is_group ? (int)GROUP_PROPERTY_RULES : (int)RULE_PROPERTY_OVERLAPS)) != 0,
                         !streq(before->others, after->others));
}

static const Shadow *find_shadow(const Shadow *s, size_t n, const void *object) {
        for (size_t i = 0; i < n; i++)
                if (s[i].object == object)
                        return &s[i];
        return NULL;
}

/* `removed` may have been at the place of one that came. */
static void expect_all_told(const World *w, const Shadow *before, size_t n_before, const void *removed) {
        Shadow after[SHADOWS_MAX];
        size_t n = take_shadows(w, after);

        for (size_t i = 0; i < n; i++) {
                const Shadow *old = find_shadow(before, n_before, after[i].object);

                if (old)
                        expect_told(w, old, &after[i]);
                else /* new: it may only have got its devices at the end of a bulk load */
                        assert_int_equal(told(w, after[i].object) & ~DEVICES_OF_RULE, 0);
        }
        for (size_t i = 0; i < w->n_told; i++) {
                assert_non_null(find_shadow(after, n, w->told[i].object));
                assert_ptr_not_equal(w->told[i].object, removed);
        }
        drop_shadows(after, n);
}

/* By definition, without an index and without memory of what was. */
static bool should_match(const Rule *r, const Device *d) {
        DeviceFields fields;

        device_fields_fill(d, &fields);
        return r->record.enabled && (!r->record.node[0] || streq(r->record.node, NODE)) &&
               filter_match(r->filter, &fields.subject);
}

static void expect_rules_of(const World *w, const Device *d) {
        size_t n = 0, at = 0;
        const Group *g = NULL;
        Rule *r;

        while ((r = registry_next_rule(w->registry, &at))) {
                if (!should_match(r, d))
                        continue;
                assert_true(n < d->n_rules);
                assert_ptr_equal(d->rules[n++], r);
                g = g ? g : r->group;
        }
        assert_int_equal(n, d->n_rules);
        assert_ptr_equal(registry_group_of(d), g);
}

static void expect_definition(const World *w) {
        size_t at = 0, n, k;
        Group *g;
        Rule *r;

        for (size_t i = 0; i < w->table->n; i++)
                expect_rules_of(w, w->table->devices[i]);
        while ((r = registry_next_rule(w->registry, &at))) {
                for (size_t i = n = 0; i < w->table->n; i++)
                        if (should_match(r, w->table->devices[i]))
                                assert_ptr_equal(r->devices[n++], w->table->devices[i]);
                assert_int_equal(n, r->n_devices);
        }
        at = 0;
        while ((g = registry_next_group(w->registry, &at))) {
                for (size_t i = n = k = 0; i < w->table->n; i++)
                        if (registry_group_of(w->table->devices[i]) == g) {
                                assert_ptr_equal(g->devices[k++], w->table->devices[i]);
                                n++;
                        }
                assert_int_equal(n, g->n_devices);
        }
}

/* "#" becomes a number in decimal, "@" one of two hexadecimal digits. */
static char *draw_term(char *at) {
        static const char *const terms[] = {
                        "address eq '0000:@:00.0'",
                        "slot eq '@:00.0'",
                        "not (slot eq '@:00.0')",
                        "serial eq 'S#'",
                        "driver eq 'vfio-pci'",
                        "vendor ct 'INTEL'",
                        "vendor_device_hex eq '8086:00@'",
                        "numa lt #",
                        "iommu_group eq #",
                        "device rx '^[Xx]7'",
                        "node eq 'node1'",
                        "device_type eq 'network'",
                        "numa ne #",
                        "physical_function eq ''",
        };
        unsigned number = (unsigned)(model_draw() % PLACES);

        for (const char *t = terms[model_draw() % ELEMENTSOF(terms)]; *t; t++)
                if (*t == '#')
                        at += sprintf(at, "%u", number);
                else if (*t == '@')
                        at += sprintf(at, "%02x", number);
                else
                        *at++ = *t;
        *at = '\0';
        return at;
}

static void draw_filter(char buf[static 256]) {
        static const char *const joints[] = {" and ", " and ", " or "};
        char *at = draw_term(buf);

        if (model_draw() % 3 > 0)
                (void)draw_term(stpcpy(at, joints[model_draw() % ELEMENTSOF(joints)]));
}

static void draw_facts(DeviceFacts *f) {
        static const char *const drivers[] = {"", "e1000e", "vfio-pci"};

        (void)snprintf(f->driver, sizeof f->driver, "%s", drivers[model_draw() % 3]);
        f->numa_node = (int32_t)(model_draw() % 4) - 1;
        f->set.number = model_draw() % 4 ? (unsigned)(model_draw() % PLACES) : DEVICE_NO_IOMMU_SET;
        (void)snprintf(f->identity.serial, sizeof f->identity.serial, "S%u", (unsigned)(model_draw() % 4));
        if (model_draw() % 2)
                f->identity.serial[0] = '\0';
}

static void change_device(World *w) {
        PciAddress a = {.bus = (uint8_t)(model_draw() % PLACES)};
        Device *d = device_table_find(w->table, &a);

        if (d && model_draw() % 3 == 0) {
                leave(w, d);
                return;
        }
        if (!d) {
                d = model_device(&a, 1);
                d->facts.identity.vendor = 0x8086;
                d->facts.identity.device = (uint16_t)(model_draw() % 3);
                assert_int_equal(device_set_words(d,
                                                  model_draw() % 2 ? "Intel Corporation" : "Red Hat, Inc.",
                                                  "X710", "", "", ""),
                                 0);
                assert_int_equal(device_table_insert(w->table, d), 0);
        }
        draw_facts(&d->facts);
        (void)device_table_derive(w->table, d, false);
        assert_int_equal(registry_match_device(w->registry, d), 0);
}

static RuleRecord draw_rule(const World *w, unsigned number) {
        static const char *const nodes[] = {"", "", NODE, "node2"};
        char filter[256], name[16];
        RuleRecord record;

        draw_filter(filter);
        (void)snprintf(name, sizeof name, "r%u", (unsigned)(model_draw() % 64));
        record = rule_record(w, number, number % 4, name, nodes[model_draw() % ELEMENTSOF(nodes)], filter);
        record.enabled = model_draw() % 4 > 0;
        return record;
}

/* Returns the object that was removed, if one was. */
static const void *change_rule(World *w) {
        unsigned number = (unsigned)(model_draw() % 24);
        char id[RECORD_ID_SIZE];
        Rule *r;
        int k;

        make_id(id, 2, number);
        r = registry_find_rule(w->registry, id);
        if (r && model_draw() % 3 == 0) {
                registry_remove_rule(w->registry, r);
                return r;
        }
        k = put_rule(w, draw_rule(w, number), NULL);
        assert_true(k == 0 || k == -EEXIST || k == -ENOENT);
        return NULL;
}

static const void *change_group(World *w) {
        unsigned number = (unsigned)(model_draw() % 4);
        GroupRecord record;
        char name[16];
        Group *g;
        int k;

        (void)snprintf(name, sizeof name, "g%u", (unsigned)(model_draw() % 16));
        record = group_record(number, name);
        record.enabled = model_draw() % 2;
        g = registry_find_group(w->registry, record.id);
        if (g && g->n_rules == 0) {
                group_record_clear(&record);
                registry_remove_group(w->registry, g);
                return g;
        }
        k = put_group(w, record, NULL);
        assert_true(k == 0 || k == -EEXIST);
        return NULL;
}

static void load_in_bulk(World *w) {
        unsigned first = (unsigned)(model_draw() % 20);

        registry_defer(w->registry);
        for (unsigned i = 0; i < 4; i++)
                (void)put_rule(w, draw_rule(w, first + i), NULL);
        assert_int_equal(registry_rebuild(w->registry), 0);
}

static const void *change_something(World *w) {
        switch (model_draw() % 16) {
        case 0:
                return change_group(w);
        case 1:
                load_in_bulk(w);
                return NULL;
        case 2:
        case 3:
        case 4:
        case 5:
        case 6:
                return change_rule(w);
        default:
                change_device(w);
                return NULL;
        }
}

static void test_increments_equal_the_definition(void **state) {
        Shadow before[SHADOWS_MAX];
        const void *removed;
        World *w = *state;
        size_t n;

        for (unsigned i = 0; i < 4; i++)
                (void)change_group(w);
        for (unsigned step = 0; step < 4000; step++) {
                n = take_shadows(w, before);
                removed = change_something(w);
                flush(w);
                expect_all_told(w, before, n, removed);
                drop_shadows(before, n);
                expect_definition(w);
        }
        assert_int_equal(registry_rebuild(w->registry), 0);
        flush(w);
        assert_int_equal(w->n_told, 0); /* from scratch it is the same */
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_words),
                        CASE(test_a_device_as_filters_see_it),
                        CASE(test_names_are_unique),
                        CASE(test_finds_what_is_there),
                        CASE(test_many_are_removed_at_once),
                        CASE(test_the_oldest_rule_decides),
                        CASE(test_rules_of_a_group_are_a_union),
                        CASE(test_nodes_and_switches),
                        CASE(test_a_preview_changes_nothing),
                        CASE(test_counts),
                        CASE(test_a_burst_is_told_once),
                        CASE(test_a_bulk_load_matches_at_its_end),
                        CASE(test_increments_equal_the_definition),
        };

        return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
