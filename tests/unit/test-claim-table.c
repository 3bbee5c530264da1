/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who has which device, and what claims show of it. */

#include "claim-table.h"
#include "model-fixture.h"

#define GROUP_ID "6ba7b810-9dad-11d1-80b4-000000000001"
#define RUN_ID "6ba7b810-9dad-11d1-80b4-000000000100"
#define ALICE 1000
#define BOB 1001
#define BIT(property) (1U << CLAIM_PROPERTY_##property)

typedef struct World {
        DeviceTable *table;
        Registry *registry;
        ClaimTable *claims;
        Claim *claim;
        unsigned n_touched, n_claimed, n_told;
        uint32_t mask; /* of what was told */
} World;

static void on_touched(void *userdata) {
        ((World *)userdata)->n_touched++;
}

static void on_claimed(Device *d _unused_, void *userdata) {
        ((World *)userdata)->n_claimed++;
}

static void on_changed(Claim *c _unused_, uint32_t mask, void *userdata) {
        World *w = userdata;

        w->n_told++;
        w->mask |= mask;
}

static void flush(World *w) {
        w->n_told = 0;
        w->mask = 0;
        claim_table_flush(w->claims, on_changed, w);
}

static const char *claim_id(unsigned n, char buf[static RECORD_ID_SIZE]) {
        (void)snprintf(buf, RECORD_ID_SIZE, "6ba7b810-9dad-11d1-80b4-%012u", n);
        return buf;
}

static int put(World *w, unsigned n, uid_t owner, const char *vm, uint32_t order, Claim **ret) {
        ClaimRecord c = {.group = GROUP_ID,
                         .owner = owner,
                         .vm = strdup(vm),
                         .name = strdup("NICs"),
                         .description = strdup(""),
                         .count = 1,
                         .order = order,
                         .enabled = true,
                         .created = n};
        bool new;
        int r;

        (void)claim_id(n, c.id);
        free(c.name);
        assert_true(asprintf(&c.name, "NICs %u", n) > 0);
        r = claim_table_put(w->claims, &c, ret, &new);
        claim_record_clear(&c);
        return r;
}

static int setup(void **state) {
        GroupRecord g = {.id = GROUP_ID, .name = strdup("NICs"), .description = strdup(""), .enabled = true};
        World *w = calloc(1, sizeof *w);
        Group *group;
        bool new;

        assert_non_null(w);
        w->table = model_new();
        assert_int_equal(registry_new(&(RegistryConfig){.devices = w->table}, &w->registry), 0);
        assert_int_equal(claim_table_new(&(ClaimTableConfig){.devices = w->table,
                                                             .registry = w->registry,
                                                             .touched = on_touched,
                                                             .claimed = on_claimed,
                                                             .userdata = w},
                                         &w->claims),
                         0);
        assert_int_equal(registry_put_group(w->registry, &g, &group, &new), 0);
        (void)model_add(w->table, "0000:01:00.0", 1);
        (void)model_add(w->table, "0000:01:00.1", 1);
        (void)model_add(w->table, "0000:02:00.0", 2);
        model_join_sets(w->table);
        assert_int_equal(put(w, 10, ALICE, "web", 0, &w->claim), 0);
        flush(w);
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;

        claim_table_free(w->claims);
        for (size_t i = 0; i < w->table->n; i++)
                assert_null(w->table->devices[i]->claim);
        registry_free(w->registry);
        model_free(w->table);
        free(w);
        return 0;
}

static Device *find(const World *w, const char *address) {
        PciAddress a = model_address(address);
        Device *d = device_table_find(w->table, &a);

        assert_non_null(d);
        return d;
}

/* A run of alice's VM "web", which has this device of the claim. */
static Run *run(World *w, const Claim *c, const char *address, bool starting, bool returning) {
        RunRecord r = {.id = RUN_ID,
                       .owner = ALICE,
                       .uid = ALICE,
                       .vm = strdup("web"),
                       .tracked = strdup(""),
                       .starting = starting,
                       .n_devices = 1};
        Run *ret;

        r.devices = calloc(1, sizeof *r.devices);
        assert_non_null(r.devices);
        memcpy(r.devices[0].claim, c->record.id, sizeof r.devices[0].claim);
        r.devices[0].identity = find(w, address)->facts.identity;
        r.devices[0].returning = returning;
        assert_int_equal(claim_table_put_run(w->claims, &r, &ret), 0);
        return ret;
}

static void expect(World *w, ClaimStatus status, bool restart, const char *info) {
        flush(w);
        assert_int_equal(w->claim->status, status);
        assert_int_equal(!!w->claim->restart_needed, restart);
        if (!strstr(strempty(w->claim->info), info))
                fail_msg("\"%s\" does not say \"%s\"", strempty(w->claim->info), info);
}

static void test_order(void **state) {
        static const unsigned expected[] = {12, 10, 11, 14, 13};
        World *w = *state;
        Claim *c;
        size_t at = 0;

        assert_int_equal(put(w, 11, ALICE, "web", 5, &c), 0);
        assert_int_equal(put(w, 12, ALICE, "db", 9, &c), 0);
        assert_int_equal(put(w, 13, BOB, "web", 1, &c), 0);
        assert_int_equal(put(w, 14, BOB, "web", 0, &c), 0);
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                char id[RECORD_ID_SIZE];

                c = claim_table_next(w->claims, &at);
                assert_non_null(c);
                assert_string_equal(c->record.id, claim_id(expected[i], id));
                assert_ptr_equal(claim_table_find(w->claims, id), c);
                assert_ptr_equal(claim_table_find_path(w->claims, c->path), c);
        }
        assert_null(claim_table_next(w->claims, &at));
        assert_int_equal(claim_table_count_of(w->claims, ALICE), 3);
        assert_int_equal(claim_table_count_of(w->claims, BOB), 2);
        assert_int_equal(claim_table_count_of(w->claims, 999), 0);

        /* VMs of one name that belong to two users are two. */
        at = 0;
        c = claim_table_next_of_vm(w->claims, BOB, "web", &at);
        assert_int_equal(c->record.order, 0);
        c = claim_table_next_of_vm(w->claims, BOB, "web", &at);
        assert_int_equal(c->record.order, 1);
        assert_null(claim_table_next_of_vm(w->claims, BOB, "web", &at));
        assert_null(claim_table_next_of_vm(w->claims, BOB, "db", &(size_t){0}));
        assert_null(claim_table_find_path(w->claims, BUS_PATH_CLAIMS "/x"));
}

static void test_put(void **state) {
        World *w = *state;
        ClaimRecord c = {0};
        Claim *ret;
        bool new;

        /* Its name is taken at this VM; at another it is not. */
        assert_int_equal(claim_record_copy(&w->claim->record, &c), 0);
        (void)claim_id(20, c.id);
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), -EEXIST);
        c.owner = BOB;
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), 0);
        assert_true(new);

        /* Whose it is never changes. */
        assert_int_equal(claim_record_copy(&w->claim->record, &c), 0);
        c.owner = BOB + 1;
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), -EINVAL);
        claim_record_clear(&c);

        assert_int_equal(claim_record_copy(&w->claim->record, &c), 0);
        flush(w);
        c.count = 3;
        c.order = 7;
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), 0);
        assert_false(new);
        assert_ptr_equal(ret, w->claim);
        flush(w);
        assert_int_equal(w->mask, BIT(COUNT) | BIT(ORDER));

        assert_int_equal(claim_record_copy(&w->claim->record, &c), 0);
        (void)claim_id(30, c.group);
        (void)claim_id(31, c.id);
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), -ENOENT);
        claim_record_clear(&c);
}

static void test_a_run_takes_the_set(void **state) {
        World *w = *state;
        Device *first = find(w, "0000:01:00.0"), *second = find(w, "0000:01:00.1"),
               *other = find(w, "0000:02:00.0");
        Run *r;

        r = run(w, w->claim, "0000:01:00.1", true, false);
        assert_ptr_equal(first->claim, w->claim);
        assert_ptr_equal(second->claim, w->claim);
        assert_null(other->claim);
        assert_ptr_equal(claim_table_run_of(w->claims, first), r);
        assert_null(claim_table_run_of(w->claims, other));
        assert_int_equal(w->n_claimed, 2);
        assert_int_equal(claim_table_count_devices(w->claims, ALICE, GROUP_ID), 1);
        assert_int_equal(claim_table_count_devices(w->claims, BOB, GROUP_ID), 0);
        expect(w, CLAIM_INITIALIZING, false, "");
        assert_true(w->mask & BIT(DEVICES));

        /* The same run, later: it is replaced. */
        assert_ptr_equal(run(w, w->claim, "0000:01:00.1", false, false), r);
        assert_int_equal(claim_table_count_runs(w->claims), 1);
        expect(w, CLAIM_ONLINE, false, "");
        (void)run(w, w->claim, "0000:01:00.1", false, true);
        expect(w, CLAIM_OFFLINE, false, "on their way back");

        /* And with another device. */
        (void)run(w, w->claim, "0000:02:00.0", false, false);
        assert_null(first->claim);
        assert_null(second->claim);
        assert_ptr_equal(other->claim, w->claim);

        claim_table_remove_run(w->claims, r);
        assert_null(other->claim);
        assert_null(w->claim->run);
        expect(w, CLAIM_IDLE, false, "");
        assert_null(claim_table_runs(w->claims));
}

static void test_vanished(void **state) {
        World *w = *state;
        PciAddress a = model_address("0000:02:00.0");
        Device *d = find(w, "0000:02:00.0");

        (void)run(w, w->claim, "0000:02:00.0", false, false);
        claim_table_device_leaves(w->claims, d);
        assert_ptr_equal(device_table_remove(w->table, &a), d);
        device_free(d);
        expect(w, CLAIM_MISSING, false, "0000:02:00.0 has vanished");

        /* Another one at its address is not the VM's. */
        d = model_add(w->table, "0000:02:00.0", 2);
        d->facts.identity.device = 0x1234;
        claim_table_device_changed(w->claims, d);
        assert_null(d->claim);
        expect(w, CLAIM_MISSING, false, "has vanished");

        d->facts.identity.device = 0;
        claim_table_device_changed(w->claims, d);
        assert_ptr_equal(d->claim, w->claim);
        expect(w, CLAIM_ONLINE, false, "");
}

static void test_restart_needed(void **state) {
        World *w = *state;
        ClaimRecord c = {0};
        Claim *late, *ret;
        bool new;
        Run *r;

        r = run(w, w->claim, "0000:02:00.0", false, false);
        assert_int_equal(put(w, 11, ALICE, "web", 0, &late), 0);
        flush(w);
        assert_true(late->restart_needed);
        assert_false(w->claim->restart_needed);

        assert_int_equal(claim_record_copy(&w->claim->record, &c), 0);
        c.count = 2;
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), 0);
        expect(w, CLAIM_ONLINE, true, "");
        assert_int_equal(claim_record_copy(&w->claim->record, &c), 0);
        c.count = 1;
        c.doomed = true;
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), 0);
        expect(w, CLAIM_ONLINE, true, "was deleted");

        claim_table_remove_run(w->claims, r);
        flush(w);
        assert_false(late->restart_needed);
        assert_false(w->claim->restart_needed);
        claim_table_remove(w->claims, late);
        assert_int_equal(claim_table_count(w->claims), 1);
}

static void test_what_is_shown(void **state) {
        World *w = *state;
        unsigned touched;

        claim_set_waiting(w->claims, w->claim, true);
        claim_set_progress(w->claims, w->claim, "Waits for others.");
        expect(w, CLAIM_WAITING, false, "Waits for others.");
        assert_int_equal(w->mask, BIT(STATUS) | BIT(STATUS_INFO));
        claim_set_waiting(w->claims, w->claim, false);
        claim_set_progress(w->claims, w->claim, NULL);
        claim_set_problem(w->claims, w->claim, "It failed.");
        expect(w, CLAIM_ERRORS, false, "It failed.");

        /* What was so already touches nothing. */
        touched = w->n_touched;
        claim_set_problem(w->claims, w->claim, "It failed.");
        claim_set_waiting(w->claims, w->claim, false);
        claim_set_memory_lock(w->claims, w->claim, 0);
        assert_int_equal(w->n_touched, touched);
        flush(w);
        assert_int_equal(w->n_told, 0);

        claim_set_memory_lock(w->claims, w->claim, 1U << 30);
        flush(w);
        assert_int_equal(w->mask, BIT(MEMORY_LOCK));
        claim_set_problem(w->claims, w->claim, "");
        expect(w, CLAIM_IDLE, false, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_put, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_run_takes_the_set, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_vanished, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_restart_needed, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_what_is_shown, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
