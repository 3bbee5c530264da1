/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The next step for orders: each combination of what is wanted, what the kernel and the grant say, and what is under
 * way has exactly one. */

#include "model-fixture.h"
#include "critical.h"
#include "reconcile.h"
#include "registry.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define OTHER_BOOT "ffffffffffffffffffffffffffffffff"
#define FIRST "0000:01:00.0"
#define SECOND "0000:01:00.1"
#define SECOND_USEC 1000000ULL

typedef struct World {
        DeviceTable *table;
        Registry *registry;
        Group *group;
        PciAddress covered;
        bool is_covered;
        OrderState state;
} World;

static bool is_covered(const PciAddress *a, void *userdata) {
        const World *w = userdata;

        return w->is_covered && pci_address_compare(a, &w->covered) == 0;
}

static void put_group(World *w, bool enabled, GroupBinding binding) {
        GroupRecord g = {.id = "6ba7b810-9dad-11d1-80b4-000000000001",
                         .name = strdup("pool"),
                         .description = strdup(""),
                         .enabled = enabled,
                         .binding = binding};
        bool new;

        assert_int_equal(registry_put_group(w->registry, &g, &w->group, &new), 0);
}

static void put_rule(World *w, bool enabled) {
        RuleRecord rule = {.id = "6ba7b810-9dad-11d1-80b4-000000000002",
                           .group = "6ba7b810-9dad-11d1-80b4-000000000001",
                           .name = strdup("x"),
                           .node = strdup(""),
                           .filter = strdup("address eq '" FIRST "'"),
                           .age = 1,
                           .enabled = enabled};
        Rule *ret;
        bool new;

        assert_int_equal(registry_put_rule(w->registry, &rule, &ret, &new), 0);
}

static int setup(void **state) {
        World *w = calloc(1, sizeof *w);

        assert_non_null(w);
        w->table = model_new();
        w->table->node = "node";
        assert_int_equal(registry_new(&(RegistryConfig){.devices = w->table}, &w->registry), 0);
        w->state = (OrderState){.devices = w->table,
                                .boot_id = BOOT,
                                .now = 100 * SECOND_USEC,
                                .covered = is_covered,
                                .userdata = w};
        put_group(w, true, GROUP_BINDING_PERSISTENT);
        put_rule(w, true);
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

static Device *add(World *w, const char *address, unsigned set) {
        Device *d = model_add(w->table, address, set);

        model_join_sets(w->table);
        assert_int_equal(registry_match_device(w->registry, d), 0);
        return d;
}

static void put_mark(Device *d, const char *boot) {
        (void)snprintf(d->persistent, sizeof d->persistent, "%s", boot);
}

static OrderStep run(World *w) {
        size_t at = 0;

        return reconcile_next_order(&w->state, &at);
}

/* -1: release, 1: bind. */
static int step_of(World *w) {
        OrderStep s = run(w);

        return !s.device ? 0 : s.bind ? 1 : -1;
}

/* one device */

typedef enum { NOTHING, OPERATING, JOURNALLED, STUCK, COVERED, BUSY_MAX } Busy;
typedef enum { FREE, CONSENTED, CRITICAL, UNKNOWN, UNREADABLE, SPARED_MAX } Spared;

typedef struct Case {
        bool granted, enabled, persistent, ruled, pool, taken, off;
        int mark; /* 0: none, 1: this boot, 2: another */
        Busy busy;
        Spared spared;
} Case;

/* As reconcile.h says it in words. */
static int expected(const Case *c) {
        bool wanted = c->granted && c->enabled && c->persistent && c->ruled;

        if (c->busy != NOTHING)
                return 0;
        if ((c->off || c->spared == CRITICAL) && c->mark && !c->pool && c->granted)
                return -1; /* the mark goes, or the next boot would take it */
        if (!wanted)
                return c->mark && c->granted ? -1 : 0;
        if (c->off || c->taken)
                return 0;
        if (c->pool)
                return c->mark == 1 ? 0 : 1; /* bound by hand: marked now */
        return c->spared == FREE || c->spared == CONSENTED;
}

static void apply(World *w, Device *d, const Case *c) {
        static const char *const marks[] = {"", BOOT, OTHER_BOOT};

        d->granted = c->granted;
        d->state = c->pool ? DEVICE_POOL : DEVICE_HOST;
        d->taken = c->taken;
        put_mark(d, marks[c->mark]);
        d->operating = c->busy == OPERATING;
        d->journalled = c->busy == JOURNALLED;
        (void)device_set_text(&d->stuck, c->busy == STUCK ? "It hangs." : "");
        w->is_covered = c->busy == COVERED;
        w->covered = *device_address(d);
        d->critical_known = c->spared != UNKNOWN;
        d->critical_error = c->spared == UNREADABLE ? -EIO : 0;
        d->critical = c->spared == CRITICAL || c->spared == CONSENTED ? 1U << CRITICAL_MOUNTED : 0;
        d->consent = c->spared == CONSENTED ? 1U << CRITICAL_MOUNTED : 0;
        w->state.disabled = c->off;
}

static void try_case(World *w, Device *d, const Case *c) {
        int step;

        apply(w, d, c);
        step = step_of(w);
        if (step != expected(c))
                fail_msg("granted %d enabled %d persistent %d ruled %d pool %d taken %d off %d mark %d busy "
                         "%d "
                         "spared %d: %d, not %d",
                         c->granted, c->enabled, c->persistent, c->ruled, c->pool, c->taken, c->off, c->mark,
                         (int)c->busy, (int)c->spared, step, expected(c));
}

static void test_all_combinations(void **state) {
        World *w = *state;
        Device *d = add(w, FIRST, 7);
        Case c;

        for (unsigned order = 0; order < 8; order++) {
                c = (Case){.enabled = order & 1, .persistent = order & 2, .ruled = order & 4};
                put_group(w, c.enabled, c.persistent ? GROUP_BINDING_PERSISTENT : GROUP_BINDING_ON_CLAIM);
                put_rule(w, c.ruled);
                for (unsigned i = 0; i < 16U * 3 * BUSY_MAX * SPARED_MAX; i++) {
                        c.granted = i & 1;
                        c.pool = i & 2;
                        c.taken = i & 4;
                        c.off = i & 8;
                        c.mark = (int)(i / 16 % 3);
                        c.busy = (Busy)(i / 48 % BUSY_MAX);
                        c.spared = (Spared)(i / 48 / BUSY_MAX);
                        try_case(w, d, &c);
                }
        }
}

/* a set of two: the rule is for the first */

static void add_pair(World *w, Device **one, Device **two) {
        *one = add(w, FIRST, 7);
        *two = add(w, SECOND, 7);
        (*one)->granted = (*two)->granted = true;
}

static void test_a_set_is_one_step(void **state) {
        World *w = *state;
        Device *one, *two;
        OrderStep s;
        size_t at = 0;

        add_pair(w, &one, &two);
        s = reconcile_next_order(&w->state, &at);
        assert_ptr_equal(s.device, one);
        assert_true(s.bind);
        assert_null(reconcile_next_order(&w->state, &at).device);
}

/* Who works on a card does so on all functions that it has. */
static void test_while_the_card_is_worked_on(void **state) {
        World *w = *state;
        Device *pf = model_add(w->table, "0000:09:00.0", 9);
        Device *vf = add(w, FIRST, 7);

        vf->granted = true;
        pf->journalled = true;
        assert_int_equal(step_of(w), 1); /* that is none of its */
        vf->facts.is_virtual = true;
        vf->facts.physical_function = *device_address(pf);
        assert_int_equal(step_of(w), 0);
        pf->journalled = false;
        assert_int_equal(step_of(w), 1);
}

static void test_what_one_member_says_holds_for_all(void **state) {
        World *w = *state;
        Device *one, *two;

        add_pair(w, &one, &two);
        two->taken = true;
        assert_int_equal(step_of(w), 0);
        two->taken = false;
        two->operating = true;
        assert_int_equal(step_of(w), 0);
        two->operating = false;
        w->is_covered = true;
        w->covered = *device_address(two);
        assert_int_equal(step_of(w), 0);
        w->is_covered = false;
        two->critical = 1U << CRITICAL_SWAP;
        assert_int_equal(step_of(w), 0);
        two->critical = 0;

        one->state = DEVICE_POOL; /* half of it */
        put_mark(one, BOOT);
        assert_int_equal(step_of(w), 1);
        two->state = DEVICE_POOL;
        assert_int_equal(step_of(w), 1); /* not marked yet */
        put_mark(two, BOOT);
        assert_int_equal(step_of(w), 0);
        put_rule(w, false);
        assert_int_equal(step_of(w), -1);
        put_mark(one, "");
        assert_int_equal(step_of(w), -1);
        put_mark(two, "");
        assert_int_equal(step_of(w), 0);
}

static void test_bridges_and_strangers(void **state) {
        World *w = *state;
        Device *d = add(w, FIRST, 7), *bridge = add(w, "0000:00:01.0", 7);

        d->granted = true;
        bridge->facts.identity.class_code = MODEL_BRIDGE;
        assert_int_equal(step_of(w), 1);
        bridge->operating = true; /* nobody moves it, so nobody waits for it */
        assert_int_equal(step_of(w), 1);

        /* A member that is not in the table is no reason to wait. */
        registry_forget_device(w->registry, bridge);
        device_free(device_table_remove(w->table, device_address(bridge)));
        assert_int_equal(step_of(w), 1);
        d->facts.set.number = DEVICE_NO_IOMMU_SET;
        assert_int_equal(step_of(w), 0);
}

/* Failed tries come ever more slowly, up to about eight minutes; news end that. */
static void test_patience(void **state) {
        World *w = *state;
        Device *one, *two;
        Failure f = {FAILURE_DRIVER, "No."};
        uint64_t wait = SECOND_USEC;

        add_pair(w, &one, &two);
        for (unsigned i = 1; i <= 20; i++) {
                reconcile_order_tried(w->table, one, true, &f, w->state.now);
                assert_string_equal(two->refusal, "No.");
                assert_null(run(w).device);
                assert_int_equal(run(w).again_at, w->state.now + wait);
                w->state.now += wait - 1;
                assert_null(run(w).device);
                w->state.now++;
                assert_ptr_equal(run(w).device, one);
                if (i < 10)
                        wait *= 2;
        }
        assert_int_equal(wait, 512 * SECOND_USEC);

        reconcile_order_tried(w->table, one, true, &f, w->state.now);
        assert_null(run(w).device);
        reconcile_order_nudge(one);
        assert_ptr_equal(run(w).device, one);
        reconcile_order_tried(w->table, one, true, NULL, w->state.now);
        assert_null(one->refusal);
        assert_null(two->refusal);
        assert_int_equal(one->order_failures, 0);
}

/* Two orders that contradict each other do not spin. */
static void test_to_and_fro(void **state) {
        World *w = *state;
        Device *one, *two;

        add_pair(w, &one, &two);
        reconcile_order_tried(w->table, one, true, NULL, w->state.now);
        assert_ptr_equal(run(w).device, one);
        w->state.now++;
        reconcile_order_tried(w->table, one, false, NULL, w->state.now);
        assert_null(run(w).device);
        assert_int_equal(run(w).again_at, w->state.now + SECOND_USEC);
}

/* A nudge of any member counts: the news may be another's. */
static void test_any_member_may_be_nudged(void **state) {
        World *w = *state;
        Device *one, *two;
        Failure f = {FAILURE_DRIVER, "No."};

        add_pair(w, &one, &two);
        reconcile_order_tried(w->table, one, true, &f, w->state.now);
        assert_null(run(w).device);
        reconcile_order_nudge(two);
        assert_ptr_equal(run(w).device, one);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_all_combinations),
                        CASE(test_a_set_is_one_step),
                        CASE(test_while_the_card_is_worked_on),
                        CASE(test_what_one_member_says_holds_for_all),
                        CASE(test_bridges_and_strangers),
                        CASE(test_patience),
                        CASE(test_to_and_fro),
                        CASE(test_any_member_may_be_nudged),
        };

        return cmocka_run_group_tests_name("reconcile-orders", tests, NULL, NULL);
}
