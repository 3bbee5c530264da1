/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an edit comes to, and what it is refused for. */

#include "model-fixture.h"
#include "order-plan.h"

#define GROUP_ID "6ba7b810-9dad-11d1-80b4-000000000001"
#define RULE_ID "6ba7b810-9dad-11d1-80b4-000000000002"
#define NEW_ID "6ba7b810-9dad-11d1-80b4-000000000003"

typedef struct World {
        DeviceTable *table;
        Registry *registry;
        Group *group;
        Rule *rule;
        OrderPlan plan;
} World;

static const OrderStamp stamp = {.id = NEW_ID, .age = 9, .now = 2000};

static int setup(void **state) {
        GroupRecord g = {.id = GROUP_ID,
                         .name = strdup("pool"),
                         .description = strdup("old"),
                         .enabled = true,
                         .created = 1000,
                         .modified = 1500};
        RuleRecord r = {.id = RULE_ID,
                        .group = GROUP_ID,
                        .name = strdup("x"),
                        .node = strdup("node"),
                        .filter = strdup("name eq 'x'"),
                        .enabled = true,
                        .age = 1,
                        .created = 1000,
                        .modified = 1500};
        World *w = calloc(1, sizeof *w);
        bool new;

        assert_non_null(w);
        w->table = model_new();
        w->table->node = "node";
        assert_int_equal(registry_new(&(RegistryConfig){.devices = w->table}, &w->registry), 0);
        assert_int_equal(registry_put_group(w->registry, &g, &w->group, &new), 0);
        assert_int_equal(registry_put_rule(w->registry, &r, &w->rule, &new), 0);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;

        order_plan_clear(&w->plan);
        registry_free(w->registry);
        model_free(w->table);
        free(w);
        return 0;
}

static void expect(int r, const Failure *f, FailureKind kind, const char *text) {
        if (kind == FAILURE_NONE ? r != 0 : r >= 0 || f->kind != kind || !strstr(f->sentence, text))
                fail_msg("%d %d: %s", r, f->kind, f->sentence);
}

static void create_group(World *w, const char *name, const char *type, const OrderPatch *patch,
                         FailureKind kind, const char *text) {
        Failure f = {0};
        size_t n = w->plan.n_groups;

        expect(order_plan_create_group(&w->plan, w->registry, &stamp, name, type, patch, &f), &f, kind,
               text);
        assert_int_equal(w->plan.n_groups, kind == FAILURE_NONE ? n + 1 : n);
}

static void test_create_group(void **state) {
        World *w = *state;
        const GroupRecord *g;

        create_group(w, "new", "pci",
                     &(OrderPatch){.class = "gpu", .binding = "persistent", .has_enabled = true},
                     FAILURE_NONE, "");
        g = &w->plan.groups[0];
        assert_string_equal(g->id, NEW_ID);
        assert_string_equal(g->name, "new");
        assert_string_equal(g->description, "");
        assert_int_equal(g->class, GROUP_CLASS_GPU);
        assert_int_equal(g->binding, GROUP_BINDING_PERSISTENT);
        assert_false(g->enabled);
        assert_int_equal(g->created, 2000);
        assert_int_equal(g->modified, 2000);

        create_group(w, "pool", "pci", &(OrderPatch){0}, FAILURE_NAME_TAKEN, "\"pool\"");
        create_group(w, "", "pci", &(OrderPatch){0}, FAILURE_INVALID_ARGUMENT, "empty");
        create_group(w, "y", "usb", &(OrderPatch){0}, FAILURE_INVALID_ARGUMENT, "\"usb\"");
        create_group(w, "y", "pci", &(OrderPatch){.class = "GPU"}, FAILURE_INVALID_ARGUMENT, "\"GPU\"");
        create_group(w, "y", "pci", &(OrderPatch){.binding = "x"}, FAILURE_INVALID_ARGUMENT, "\"x\"");
        create_group(w, "y", "pci", &(OrderPatch){.description = "\x1b"}, FAILURE_INVALID_ARGUMENT,
                     "control");
}

#define VFS(n) .has_sriov = true, .sriov.vfs = (n), .sriov.has_vfs = true

static void test_virtual_functions(void **state) {
        World *w = *state;
        char line[SRIOV_LINE_SIZE];
        OrderPatch patch = {VFS(4)};
        Failure f = {0};

        create_group(w, "vfs", "sriov-nic", &patch, FAILURE_NONE, "");
        assert_int_equal(w->plan.groups[0].type, GROUP_TYPE_SRIOV_NIC);
        assert_string_equal(sriov_settings_format(&w->plan.groups[0].sriov, line), "vfs=4 overridable=mac");
        create_group(w, "y", "sriov-nic", &(OrderPatch){0}, FAILURE_INVALID_ARGUMENT,
                     "does not say how many virtual functions");
        create_group(w, "y", "sriov-nic", &(OrderPatch){VFS(257)}, FAILURE_INVALID_ARGUMENT,
                     "is 257; give 1 to 256");
        create_group(w, "y", "pci", &(OrderPatch){VFS(1)}, FAILURE_INVALID_ARGUMENT,
                     "no settings of virtual functions");
        assert_int_equal(vf_settings_parse("vlan-qos=1", &patch.sriov.vf), 0);
        create_group(w, "y", "sriov-nic", &patch, FAILURE_INVALID_ARGUMENT, "needs a VLAN");

        /* A rule of the group that the same plan makes. */
        expect(order_plan_create_rule(&w->plan, w->registry, &stamp, NULL, NEW_ID, "r", true,
                                      &(OrderPatch){.filter = "name eq 'x'"}, &f),
               &f, FAILURE_INVALID_ARGUMENT, "does not name the physical function");
        f = (Failure){0};
        expect(order_plan_create_rule(&w->plan, w->registry, &stamp, NULL, NEW_ID, "r", true,
                                      &(OrderPatch){.filter = "physical_function eq '0000:01:00.0'"}, &f),
               &f, FAILURE_NONE, "");
        assert_int_equal(w->plan.n_rules, 1);
}

static void test_update_of_virtual_functions(void **state) {
        OrderPatch patch = {VFS(5)};
        World *w = *state;
        char line[SRIOV_LINE_SIZE];
        Failure f = {0};

        w->group->record.type = GROUP_TYPE_SRIOV_NIC;
        assert_int_equal(sriov_settings_parse("vfs=4 overridable=mac vlan=9", &w->group->record.sriov), 0);
        expect(order_plan_update_group(&w->plan, w->registry, w->group, &patch, 2000, &f), &f, FAILURE_NONE,
               "");
        assert_string_equal(sriov_settings_format(&w->plan.groups[0].sriov, line),
                            "vfs=5 overridable=mac vlan=9");

        order_plan_clear(&w->plan);
        patch.sriov = (SriovPatch){.vfs = 4, .has_vfs = true}; /* as it is */
        expect(order_plan_update_group(&w->plan, w->registry, w->group, &patch, 2000, &f), &f, FAILURE_NONE,
               "");
        assert_true(order_plan_is_empty(&w->plan));

        assert_int_equal(vf_settings_parse("vlan=0 vlan-qos=2", &patch.sriov.vf), 0);
        expect(order_plan_update_group(&w->plan, w->registry, w->group, &patch, 2000, &f), &f,
               FAILURE_INVALID_ARGUMENT, "needs a VLAN");
        assert_true(order_plan_is_empty(&w->plan));

        f = (Failure){0};
        expect(order_plan_update_rule(&w->plan, w->registry, w->rule,
                                      &(OrderPatch){.filter = "address eq '0000:01:00.0'"}, 2000, &f),
               &f, FAILURE_INVALID_ARGUMENT, "The rule 'x' does not name the physical function");
        f = (Failure){0};
        expect(order_plan_update_rule(&w->plan, w->registry, w->rule,
                                      &(OrderPatch){.filter = "physical_function eq '0000:01:00.0'"}, 2000,
                                      &f),
               &f, FAILURE_NONE, "");
        assert_int_equal(w->plan.n_rules, 1);
}

static void update_group(World *w, const OrderPatch *patch, uint64_t now, FailureKind kind,
                         const char *text) {
        Failure f = {0};

        order_plan_clear(&w->plan);
        expect(order_plan_update_group(&w->plan, w->registry, w->group, patch, now, &f), &f, kind, text);
        assert_int_equal(w->plan.n_groups, kind == FAILURE_NONE);
}

static void test_update_group(void **state) {
        World *w = *state;
        const GroupRecord *g;
        Failure f = {0};

        update_group(w, &(OrderPatch){.name = "lake"}, 2000, FAILURE_NONE, "");
        g = &w->plan.groups[0];
        assert_string_equal(g->id, GROUP_ID);
        assert_string_equal(g->name, "lake");
        assert_string_equal(g->description, "old");
        assert_true(g->enabled);
        assert_int_equal(g->created, 1000);
        assert_int_equal(g->modified, 2000);
        assert_string_equal(w->group->record.name, "pool"); /* only a plan */

        /* Its own name: nothing to be done. */
        order_plan_clear(&w->plan);
        expect(order_plan_update_group(&w->plan, w->registry, w->group, &(OrderPatch){.name = "pool"}, 2000,
                                       &f),
               &f, FAILURE_NONE, "");
        assert_int_equal(w->plan.n_groups, 0);
        update_group(w, &(OrderPatch){.class = "gpu", .has_if_modified = true, .if_modified = 1500}, 2000,
                     FAILURE_NONE, "");
        update_group(w, &(OrderPatch){.has_if_modified = true, .if_modified = 1499}, 2000, FAILURE_CONFLICT,
                     "pool");
        update_group(w, &(OrderPatch){.name = "lake", .class = "toy"}, 2000, FAILURE_INVALID_ARGUMENT,
                     "toy");
}

/* A clock that was set back, and two changes in one microsecond: each change is seen. */
static void test_modified_grows(void **state) {
        World *w = *state;
        Failure f = {0};

        update_group(w, &(OrderPatch){.class = "gpu"}, 3, FAILURE_NONE, "");
        assert_int_equal(w->plan.groups[0].modified, 1501);
        update_group(w, &(OrderPatch){.class = "gpu"}, 1500, FAILURE_NONE, "");
        assert_int_equal(w->plan.groups[0].modified, 1501);
        expect(order_plan_update_rule(&w->plan, w->registry, w->rule, &(OrderPatch){.name = "y"}, 3, &f), &f,
               FAILURE_NONE, "");
        assert_int_equal(w->plan.rules[0].modified, 1501);
}

static void create_rule(World *w, const char *name, const OrderPatch *patch, FailureKind kind,
                        const char *text) {
        Failure f = {0};
        size_t n = w->plan.n_rules;

        expect(order_plan_create_rule(&w->plan, w->registry, &stamp, w->group, GROUP_ID, name, false, patch,
                                      &f),
               &f, kind, text);
        assert_int_equal(w->plan.n_rules, kind == FAILURE_NONE ? n + 1 : n);
}

static void test_create_rule(void **state) {
        World *w = *state;
        const RuleRecord *r;

        create_rule(w, "y", &(OrderPatch){.filter = "numa  eq 0x1"}, FAILURE_NONE, "");
        r = &w->plan.rules[0];
        assert_string_equal(r->id, NEW_ID);
        assert_string_equal(r->group, GROUP_ID);
        assert_string_equal(r->node, "");
        assert_int_equal(r->age, 9);
        assert_true(r->enabled);
        assert_false(r->auto_created);

        create_rule(w, "x", &(OrderPatch){.filter = "name eq 'x'"}, FAILURE_NAME_TAKEN, "\"pool\"");
        create_rule(w, "z", &(OrderPatch){.filter = "name eq"}, FAILURE_INVALID_FILTER, "column 8");
        create_rule(w, "z", &(OrderPatch){.filter = ""}, FAILURE_INVALID_FILTER, "column 1");
        create_rule(w, "", &(OrderPatch){.filter = "name eq 'x'"}, FAILURE_INVALID_ARGUMENT, "empty");
        create_rule(w, "z", &(OrderPatch){.filter = "name eq 'x'", .node = "\n"}, FAILURE_INVALID_ARGUMENT,
                    "control");
}

static void test_update_rule(void **state) {
        World *w = *state;
        Failure f = {0};

        expect(order_plan_update_rule(&w->plan, w->registry, w->rule,
                                      &(OrderPatch){.node = "", .has_enabled = true}, 2000, &f),
               &f, FAILURE_NONE, "");
        assert_string_equal(w->plan.rules[0].node, "");
        assert_string_equal(w->plan.rules[0].filter, "name eq 'x'");
        assert_false(w->plan.rules[0].enabled);
        assert_int_equal(w->plan.rules[0].age, 1);
        expect(order_plan_update_rule(&w->plan, w->registry, w->rule, &(OrderPatch){.has_if_modified = true},
                                      2000, &f),
               &f, FAILURE_CONFLICT, "\"x\"");
}

/* Many of each: the arrays grow in steps. */
static void test_large_plans(void **state) {
        World *w = *state;
        char name[32];

        for (unsigned i = 0; i < 200; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                create_group(w, name, "pci", &(OrderPatch){0}, FAILURE_NONE, "");
                create_rule(w, name, &(OrderPatch){.filter = "name eq 'x'"}, FAILURE_NONE, "");
                assert_int_equal(order_plan_remove_group(&w->plan, GROUP_ID), 0);
                assert_int_equal(order_plan_remove_rule(&w->plan, RULE_ID), 0);
        }
        assert_string_equal(w->plan.groups[150].name, "n150");
        assert_string_equal(w->plan.rules[199].name, "n199");
        assert_string_equal(w->plan.dead_groups[130], GROUP_ID);
        assert_string_equal(w->plan.dead_rules[199], RULE_ID);
}

static void test_limits(void **state) {
        World *w = *state;
        char name[32];

        for (unsigned i = 1; i < GROUPS_MAX; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                create_group(w, name, "pci", &(OrderPatch){0}, FAILURE_NONE, "");
        }
        create_group(w, "last", "pci", &(OrderPatch){0}, FAILURE_LIMITS_EXCEEDED, "1000");
        for (unsigned i = 1; i < RULES_MAX; i++) {
                (void)snprintf(name, sizeof name, "n%u", i);
                create_rule(w, name, &(OrderPatch){.filter = "numa eq 1"}, FAILURE_NONE, "");
        }
        create_rule(w, "last", &(OrderPatch){.filter = "numa eq 1"}, FAILURE_LIMITS_EXCEEDED, "10000");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_create_group),
                        CASE(test_update_group),
                        CASE(test_modified_grows),
                        CASE(test_virtual_functions),
                        CASE(test_update_of_virtual_functions),
                        CASE(test_create_rule),
                        CASE(test_update_rule),
                        CASE(test_large_plans),
                        CASE(test_limits),
        };

        return cmocka_run_group_tests_name("order-plan", tests, NULL, NULL);
}
