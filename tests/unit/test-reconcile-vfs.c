/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How many virtual functions a device is to have, and the next step there: each combination of what is ordered, what is
 * there, and what is under way has exactly one. */

#include "model-fixture.h"
#include "claim-table.h"
#include "reconcile.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define PF "0000:03:00.0"
#define OTHER_PF "0000:04:00.0"
#define GROUP "6ba7b810-9dad-11d1-80b4-000000000001"
#define OTHER_GROUP "6ba7b810-9dad-11d1-80b4-000000000002"
#define SECOND_USEC 1000000ULL

typedef struct World {
        DeviceTable *table;
        Registry *registry;
        Device *pf;
        Claim claim;
        PciAddress covered;
        bool is_covered;
        OrderState state;
} World;

static bool is_covered(const PciAddress *a, void *userdata) {
        const World *w = userdata;

        return w->is_covered && pci_address_compare(a, &w->covered) == 0;
}

static void put_group(World *w, const char *id, GroupType type, uint32_t vfs, bool enabled,
                      GroupBinding binding) {
        GroupRecord g = {.name = strdup(id), /* unique, too */
                         .description = strdup(""),
                         .type = type,
                         .enabled = enabled,
                         .binding = binding,
                         .sriov.vfs = vfs};
        Group *ret;
        bool new;

        (void)snprintf(g.id, sizeof g.id, "%s", id);
        assert_int_equal(registry_put_group(w->registry, &g, &ret, &new), 0);
}

/* The number is age, id and name. */
static void put_rule(World *w, unsigned age, const char *group, const char *node, const char *filter,
                     bool enabled) {
        RuleRecord rule = {.node = strdup(node), .filter = strdup(filter), .age = age, .enabled = enabled};
        Rule *ret;
        bool new;

        (void)snprintf(rule.id, sizeof rule.id, "6ba7b810-9dad-11d1-80b4-1000000000%02u", age);
        (void)snprintf(rule.group, sizeof rule.group, "%s", group);
        rule.name = strdup(rule.id);
        assert_int_equal(registry_put_rule(w->registry, &rule, &ret, &new), 0);
}

static Device *add_pf(World *w, const char *address, unsigned set) {
        Device *d = model_add(w->table, address, set);

        d->facts.sriov_total_vfs = 8;
        d->facts.vf_index = -1;
        d->vfs_granted = true;
        return d;
}

static Device *add_vf(World *w, unsigned i) {
        char address[PCI_ADDRESS_SIZE];
        Device *d;

        (void)snprintf(address, sizeof address, "0000:03:10.%u", i);
        d = model_add(w->table, address, 20 + i);
        d->facts.is_virtual = true;
        d->facts.physical_function = *device_address(w->pf);
        d->facts.vf_index = (int32_t)i;
        d->facts.driver[0] = '\0';
        d->granted = true;
        assert_int_equal(registry_match_device(w->registry, d), 0);
        return d;
}

static int setup(void **state) {
        World *w = calloc(1, sizeof *w);

        assert_non_null(w);
        w->table = model_new();
        w->table->node = "node";
        assert_int_equal(registry_new(&(RegistryConfig){.devices = w->table}, &w->registry), 0);
        w->state = (OrderState){.devices = w->table,
                                .registry = w->registry,
                                .boot_id = BOOT,
                                .now = 100 * SECOND_USEC,
                                .covered = is_covered,
                                .userdata = w};
        w->pf = add_pf(w, PF, 7);
        put_group(w, GROUP, GROUP_TYPE_SRIOV_NIC, 2, true, GROUP_BINDING_PERSISTENT);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;

        for (size_t i = 0; i < w->table->n; i++)
                registry_forget_device(w->registry, w->table->devices[i]);
        registry_free(w->registry);
        model_free(w->table);
        free(w);
        return 0;
}

static void put_pf_rule(World *w, bool enabled) {
        put_rule(w, 5, GROUP, "", "physical_function eq '" PF "'", enabled);
}

static VfsStep run(World *w) {
        size_t at = 0;

        return reconcile_next_vfs(&w->state, &at);
}

/* what is wanted */

static void test_the_oldest_enabled_rule_says_the_number(void **state) {
        World *w = *state;
        VfsOrder order;

        put_group(w, OTHER_GROUP, GROUP_TYPE_SRIOV_NIC, 6, true, GROUP_BINDING_ON_CLAIM);
        put_pf_rule(w, true);
        order = wanted_vfs(w->registry, w->pf);
        assert_int_equal(order.count, 2);
        assert_true(order.bind);
        assert_string_equal(order.group->record.id, GROUP);

        put_rule(w, 3, OTHER_GROUP, "node", "physical_function eq '" PF "' and node eq 'node'", true);
        order = wanted_vfs(w->registry, w->pf);
        assert_int_equal(order.count, 6);
        assert_false(order.bind);
        put_rule(w, 3, OTHER_GROUP, "node", "physical_function eq '" PF "' and node eq 'node'", false);
        assert_int_equal(wanted_vfs(w->registry, w->pf).count, 2);
}

static void test_a_disabled_group_asks_for_them_unbound(void **state) {
        World *w = *state;

        put_pf_rule(w, true);
        put_group(w, GROUP, GROUP_TYPE_SRIOV_NIC, 2, false, GROUP_BINDING_PERSISTENT);
        assert_int_equal(wanted_vfs(w->registry, w->pf).count, 2);
        assert_false(wanted_vfs(w->registry, w->pf).bind);
        put_group(w, GROUP, GROUP_TYPE_SRIOV_NIC, 2, true, GROUP_BINDING_ON_CLAIM);
        assert_false(wanted_vfs(w->registry, w->pf).bind);
}

/* Other nodes, other devices, groups of another type, and filters that demand no such thing. */
static void test_rules_that_say_no_number(void **state) {
        World *w = *state;

        w->pf->vfs_granted = false;
        put_group(w, OTHER_GROUP, GROUP_TYPE_PCI, 0, true, GROUP_BINDING_PERSISTENT);
        put_rule(w, 1, GROUP, "elsewhere", "physical_function eq '" PF "'", true);
        put_rule(w, 2, GROUP, "", "physical_function eq '" OTHER_PF "'", true);
        put_rule(w, 3, OTHER_GROUP, "", "physical_function eq '" PF "'", true);
        put_rule(w, 4, GROUP, "", "physical_function ne '" PF "' or vendor eq 'x'", true);
        assert_int_equal(wanted_vfs(w->registry, w->pf).count, -1);
        w->pf->vfs_granted = true;
        w->pf->vfs = 3;
        assert_int_equal(wanted_vfs(w->registry, w->pf).count, 3); /* what it was told */
        assert_false(wanted_vfs(w->registry, w->pf).bind);
        assert_null(wanted_vfs(w->registry, w->pf).group);
}

static void test_only_physical_functions_have_some(void **state) {
        World *w = *state;

        put_pf_rule(w, true);
        assert_int_equal(wanted_vfs(w->registry, add_vf(w, 0)).count, -1);
        w->pf->facts.sriov_total_vfs = 0;
        assert_int_equal(wanted_vfs(w->registry, w->pf).count, -1);
}

/* the step */

typedef enum { NOTHING, OPERATING, JOURNALLED, STUCK, COVERED, VF_OPERATING, VF_COVERED, BUSY_MAX } Busy;
typedef enum { FREE, CLAIMED, DRIVEN, HOLD_MAX } Hold; /* its first virtual function */

typedef struct Case {
        bool granted, ruled, persistent, off, driven;
        unsigned there; /* 0..3; ordered are 2 */
        uint32_t told;  /* 0..3 */
        Busy busy;
        Hold hold;
} Case;

/* As reconcile.h says it in words. The number that is asked for, -1: no call. */
static int expected(const Case *c) {
        int order = c->ruled ? 2 : (int)c->told;

        if (!c->granted || c->off || ((int)c->there == order && (int)c->told == order))
                return -1;
        if (c->busy >= VF_OPERATING ? c->there > 0 : c->busy != NOTHING)
                return -1;
        if ((int)c->there == order)
                return order; /* to write it down */
        if (!c->driven || (c->there > 0 && c->hold != FREE))
                return -1;
        return order;
}

static void apply(World *w, const Case *c, Device *const vfs[static 3]) {
        put_group(w, GROUP, GROUP_TYPE_SRIOV_NIC, 2, true,
                  c->persistent ? GROUP_BINDING_PERSISTENT : GROUP_BINDING_ON_CLAIM);
        put_pf_rule(w, c->ruled);
        for (unsigned i = 0; i < 3; i++)
                vfs[i]->facts.is_virtual = i < c->there; /* else it is somebody else */
        w->pf->vfs_granted = c->granted;
        w->pf->vfs = c->told;
        (void)snprintf(w->pf->facts.driver, sizeof w->pf->facts.driver, "%s", c->driven ? "igb" : "");
        w->pf->operating = c->busy == OPERATING;
        w->pf->journalled = c->busy == JOURNALLED;
        (void)device_set_text(&w->pf->stuck, c->busy == STUCK ? "It hangs." : "");
        vfs[0]->operating = c->busy == VF_OPERATING;
        w->is_covered = c->busy == COVERED || c->busy == VF_COVERED;
        w->covered = *device_address(c->busy == COVERED ? w->pf : vfs[0]);
        vfs[0]->claim = c->hold == CLAIMED ? &w->claim : NULL;
        (void)snprintf(vfs[0]->facts.driver, sizeof vfs[0]->facts.driver, "%s",
                       c->hold == DRIVEN ? "igbvf" : "vfio-pci");
        w->state.disabled = c->off;
}

static void try_case(World *w, const Case *c, Device *const vfs[static 3]) {
        VfsStep step;
        int count;

        apply(w, c, vfs);
        step = run(w);
        count = step.device ? (int)step.count : -1;
        if (count != expected(c))
                fail_msg("granted %d ruled %d off %d driven %d there %u told %u busy %d hold %d: %d, not %d",
                         c->granted, c->ruled, c->off, c->driven, c->there, c->told, (int)c->busy,
                         (int)c->hold, count, expected(c));
        if (step.device)
                assert_int_equal(step.bind, c->ruled && c->persistent);
}

static void test_all_combinations(void **state) {
        World *w = *state;
        Device *const vfs[] = {add_vf(w, 0), add_vf(w, 1), add_vf(w, 2)};
        Case c;

        for (unsigned i = 0; i < 32U * 16 * BUSY_MAX * HOLD_MAX; i++) {
                c = (Case){.granted = i & 1,
                           .ruled = i & 2,
                           .persistent = i & 4,
                           .off = i & 8,
                           .driven = i & 16,
                           .there = i / 32 % 4,
                           .told = i / 128 % 4,
                           .busy = (Busy)(i / 512 % BUSY_MAX),
                           .hold = (Hold)(i / 512 / BUSY_MAX)};
                try_case(w, &c, vfs);
        }
        vfs[0]->claim = NULL;
}

static VfsObstacle obstacle(World *w, const Device **ret_vf) {
        VfsOrder order = wanted_vfs(w->registry, w->pf);
        VfsObstacle why;

        assert_true(reconcile_vfs_unmet(w->table, w->pf, &order, &why, ret_vf));
        return why;
}

static void test_what_keeps_it_from_them(void **state) {
        World *w = *state;
        const Device *which;
        Device *vf;

        put_pf_rule(w, true);
        assert_int_equal(obstacle(w, &which), VFS_NO_OBSTACLE);
        w->pf->vfs_granted = false;
        assert_int_equal(obstacle(w, &which), VFS_NOT_GRANTED);
        w->pf->vfs_granted = true;
        w->pf->facts.driver[0] = '\0';
        assert_int_equal(obstacle(w, &which), VFS_NO_DRIVER);
        strcpy(w->pf->facts.driver, "vfio-pci");
        assert_int_equal(obstacle(w, &which), VFS_NO_DRIVER);
        strcpy(w->pf->facts.driver, "igb");
        w->pf->facts.sriov_total_vfs = 1;
        assert_int_equal(obstacle(w, &which), VFS_TOO_MANY);
        assert_null(run(w).device);
        w->pf->facts.sriov_total_vfs = 8;

        vf = add_vf(w, 0);
        vf->claim = &w->claim;
        assert_int_equal(obstacle(w, &which), VFS_CLAIMED);
        assert_ptr_equal(which, vf);
        vf->claim = NULL;
        strcpy(vf->facts.driver, "igbvf");
        assert_int_equal(obstacle(w, &which), VFS_HELD);
        assert_ptr_equal(which, vf);
}

/* Each for itself; one that waits holds up nobody. */
static void test_two_devices(void **state) {
        World *w = *state;
        Device *other = add_pf(w, OTHER_PF, 8);
        Failure f = {FAILURE_DRIVER, "No."};
        size_t at = 0;
        VfsStep s;

        put_pf_rule(w, true);
        put_rule(w, 6, GROUP, "", "physical_function eq '" OTHER_PF "'", true);
        reconcile_vfs_tried(w->pf, &f, w->state.now);
        s = reconcile_next_vfs(&w->state, &at);
        assert_ptr_equal(s.device, other);
        s = reconcile_next_vfs(&w->state, &at);
        assert_null(s.device);
        s = run(w);
        assert_int_equal(s.again_at, w->state.now + SECOND_USEC);
}

static void test_patience(void **state) {
        World *w = *state;
        Failure f = {FAILURE_DRIVER, "No."};
        uint64_t wait = SECOND_USEC;

        put_pf_rule(w, true);
        for (unsigned i = 1; i <= 12; i++) {
                reconcile_vfs_tried(w->pf, &f, w->state.now);
                assert_string_equal(w->pf->refusal, "No.");
                assert_null(run(w).device);
                assert_int_equal(run(w).again_at, w->state.now + wait);
                w->state.now += wait;
                assert_ptr_equal(run(w).device, w->pf);
                if (i < 10)
                        wait *= 2;
        }
        reconcile_vfs_tried(w->pf, &f, w->state.now);
        reconcile_order_nudge(w->pf);
        assert_ptr_equal(run(w).device, w->pf);
        reconcile_vfs_tried(w->pf, NULL, w->state.now);
        assert_null(w->pf->refusal);
}

/* It was done, and is to be done anew: once at once, as after a driver that was loaded again; then somebody fights. */
static void test_who_takes_them_away_again(void **state) {
        World *w = *state;

        put_pf_rule(w, true);
        reconcile_vfs_tried(w->pf, NULL, w->state.now);
        assert_ptr_equal(run(w).device, w->pf);
        w->state.now += SECOND_USEC;
        reconcile_vfs_tried(w->pf, NULL, w->state.now);
        assert_null(run(w).device);
        assert_int_equal(run(w).again_at, w->state.now + SECOND_USEC);
        w->state.now += SECOND_USEC;
        reconcile_vfs_tried(w->pf, NULL, w->state.now);
        assert_int_equal(run(w).again_at, w->state.now + 2 * SECOND_USEC);
        reconcile_order_nudge(w->pf); /* another order, or another driver */
        assert_ptr_equal(run(w).device, w->pf);
}

/* By a driver that is being unloaded, perhaps: when it is back it need not wait. */
static void test_one_is_gone(void **state) {
        World *w = *state;

        put_pf_rule(w, true);
        w->pf->operating = true; /* that was us */
        reconcile_vfs_lost(w->pf, w->state.now);
        w->pf->operating = false;
        assert_ptr_equal(run(w).device, w->pf);
        reconcile_vfs_lost(w->pf, w->state.now);
        assert_null(run(w).device);
        w->state.now += SECOND_USEC / 2;
        reconcile_vfs_lost(w->pf, w->state.now);
        assert_int_equal(run(w).again_at, w->state.now + SECOND_USEC);
        reconcile_order_nudge(w->pf);
        assert_ptr_equal(run(w).device, w->pf);
}

/* Two tools with a number each: whatever else happens, the pauses grow; and what is taken away now and then, or by a
 * driver that leaves, is made again soon. */
static void test_a_fight_that_news_do_not_end(void **state) {
        World *w = *state;

        put_pf_rule(w, true);
        for (uint64_t pause = 1; pause <= 512; pause *= 2) {
                assert_ptr_equal(run(w).device, w->pf);
                reconcile_vfs_tried(w->pf, NULL, w->state.now);
                w->state.now += SECOND_USEC;
                for (int each = 0; each < 2; each++)
                        reconcile_vfs_lost(w->pf, w->state.now);
                reconcile_order_nudge(w->pf);
                assert_int_equal(run(w).again_at, w->state.now + pause * SECOND_USEC);
                w->state.now += pause * SECOND_USEC;
        }

        /* Of that much later there is nothing left. */
        reconcile_vfs_tried(w->pf, NULL, w->state.now);
        w->state.now += 24 * 3600 * SECOND_USEC;
        reconcile_vfs_lost(w->pf, w->state.now);
        reconcile_order_nudge(w->pf);
        assert_ptr_equal(run(w).device, w->pf);

        reconcile_vfs_tried(w->pf, NULL, w->state.now);
        reconcile_vfs_lost(w->pf, w->state.now);
        assert_null(run(w).device);
        reconcile_vfs_driver_came(w->pf);
        assert_ptr_equal(run(w).device, w->pf);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_the_oldest_enabled_rule_says_the_number),
                        CASE(test_a_disabled_group_asks_for_them_unbound),
                        CASE(test_rules_that_say_no_number),
                        CASE(test_only_physical_functions_have_some),
                        CASE(test_all_combinations),
                        CASE(test_what_keeps_it_from_them),
                        CASE(test_two_devices),
                        CASE(test_patience),
                        CASE(test_who_takes_them_away_again),
                        CASE(test_a_fight_that_news_do_not_end),
                        CASE(test_one_is_gone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
