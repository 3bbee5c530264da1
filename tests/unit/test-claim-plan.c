/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an edit of claims comes to, and what it is refused for; claims that run among them. */

#include "claim-plan.h"
#include "model-fixture.h"

#define GROUP_ID "6ba7b810-9dad-11d1-80b4-000000000001"
#define OTHER_GROUP_ID "6ba7b810-9dad-11d1-80b4-000000000002"
#define CLAIM_ID "6ba7b810-9dad-11d1-80b4-000000000003"
#define NEW_ID "6ba7b810-9dad-11d1-80b4-000000000004"
#define RUN_ID "6ba7b810-9dad-11d1-80b4-000000000005"
#define USER 1000

typedef struct World {
        DeviceTable *table;
        Registry *registry;
        ClaimTable *claims;
        Group *group, *other;
        Claim *claim;
        OrderPlan plan;
} World;

static const OrderStamp stamp = {.id = NEW_ID, .now = 2000};

static Group *add_group(World *w, const char *id, const char *name) {
        GroupRecord g = {.name = strdup(name), .description = strdup("")};
        Group *ret;
        bool new;

        (void)snprintf(g.id, sizeof g.id, "%s", id);
        assert_int_equal(registry_put_group(w->registry, &g, &ret, &new), 0);
        return ret;
}

static Claim *add_claim(World *w, const char *id, uid_t owner, const char *vm, const char *name) {
        ClaimRecord c = {.group = GROUP_ID,
                         .owner = owner,
                         .vm = strdup(vm),
                         .name = strdup(name),
                         .description = strdup("old"),
                         .count = 2,
                         .enabled = true,
                         .created = 1000,
                         .modified = 1500};
        Claim *ret;
        bool new;

        (void)snprintf(c.id, sizeof c.id, "%s", id);
        assert_int_equal(claim_table_put(w->claims, &c, &ret, &new), 0);
        return ret;
}

static int setup(void **state) {
        World *w = calloc(1, sizeof *w);

        assert_non_null(w);
        w->table = model_new();
        assert_int_equal(registry_new(&(RegistryConfig){.devices = w->table}, &w->registry), 0);
        assert_int_equal(claim_table_new(&(ClaimTableConfig){.devices = w->table, .registry = w->registry},
                                         &w->claims),
                         0);
        w->group = add_group(w, GROUP_ID, "pool");
        w->other = add_group(w, OTHER_GROUP_ID, "two");
        w->claim = add_claim(w, CLAIM_ID, USER, "web", "pool 1");
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;

        order_plan_clear(&w->plan);
        claim_table_free(w->claims);
        registry_free(w->registry);
        model_free(w->table);
        free(w);
        return 0;
}

/* The VM has one device of the claim. */
static Run *run_claim(World *w, const char *id, const char *claim, const char *address) {
        RunRecord r = {.owner = USER, .vm = strdup("web"), .tracked = strdup(""), .n_devices = 1};
        Run *run;

        (void)snprintf(r.id, sizeof r.id, "%s", id);
        r.devices = calloc(1, sizeof *r.devices);
        assert_non_null(r.devices);
        (void)snprintf(r.devices[0].claim, sizeof r.devices[0].claim, "%s", claim);
        r.devices[0].identity.address = model_address(address);
        assert_int_equal(claim_table_put_run(w->claims, &r, &run), 0);
        return run;
}

static void expect(int r, const Failure *f, FailureKind kind, const char *text) {
        if (kind == FAILURE_NONE ? r != 0 || f->kind != FAILURE_NONE
                                 : r >= 0 || f->kind != kind || !strstr(f->sentence, text))
                fail_msg("%d %d: %s", r, f->kind, f->sentence);
}

static void create(World *w, uid_t owner, const char *vm, const ClaimPatch *patch, FailureKind kind,
                   const char *text) {
        Failure f = {0};

        order_plan_clear(&w->plan);
        expect(claim_plan_create(&w->plan, w->claims, &stamp, owner, vm, w->group, patch, &f), &f, kind,
               text);
        assert_int_equal(w->plan.n_claims, kind == FAILURE_NONE);
}

#define COUNT(n) .has_count = true, .count = (n)

static void test_create(void **state) {
        World *w = *state;
        const ClaimRecord *c;

        create(w, USER, "web",
               &(ClaimPatch){COUNT(16), .has_enabled = true, .has_optional = true, .optional = 1,
                             .has_order = true, .order = 65535, .description = "text"},
               FAILURE_NONE, "");
        c = &w->plan.claims[0];
        assert_string_equal(c->id, NEW_ID);
        assert_string_equal(c->group, GROUP_ID);
        assert_string_equal(c->vm, "web");
        assert_string_equal(c->name, "pool 2");
        assert_string_equal(c->description, "text");
        assert_int_equal(c->owner, USER);
        assert_int_equal(c->count, 16);
        assert_int_equal(c->order, 65535);
        assert_true(c->optional);
        assert_false(c->enabled);
        assert_false(c->doomed);
        assert_int_equal(c->created, 2000);
        assert_int_equal(c->modified, 2000);

        create(w, USER, "db", &(ClaimPatch){COUNT(1)}, FAILURE_NONE, "");
        assert_string_equal(w->plan.claims[0].name, "pool 1");
        create(w, USER + 1, "web", &(ClaimPatch){COUNT(1), .name = "pool 1"}, FAILURE_NONE, "");
        create(w, USER, "web", &(ClaimPatch){COUNT(1), .name = "pool 1"}, FAILURE_NAME_TAKEN, "\"pool 1\"");
        create(w, USER, "", &(ClaimPatch){COUNT(1)}, FAILURE_INVALID_ARGUMENT, "empty");
        create(w, USER, "web", &(ClaimPatch){COUNT(0)}, FAILURE_INVALID_ARGUMENT, "1 to 16");
        create(w, USER, "web", &(ClaimPatch){COUNT(17)}, FAILURE_INVALID_ARGUMENT, "17");
        create(w, USER, "web", &(ClaimPatch){COUNT(1), .has_order = true, .order = 65536},
               FAILURE_INVALID_ARGUMENT, "65535");
}

static void update(World *w, const ClaimPatch *patch, FailureKind kind, const char *text) {
        Failure f = {0};

        order_plan_clear(&w->plan);
        expect(claim_plan_update(&w->plan, w->claims, &stamp, w->claim, w->group, patch, &f), &f, kind,
               text);
}

static void test_update(void **state) {
        World *w = *state;

        update(w, &(ClaimPatch){COUNT(3), .has_if_modified = true, .if_modified = 1500}, FAILURE_NONE, "");
        assert_int_equal(w->plan.n_claims, 1);
        assert_string_equal(w->plan.claims[0].id, CLAIM_ID);
        assert_string_equal(w->plan.claims[0].name, "pool 1");
        assert_string_equal(w->plan.claims[0].description, "old");
        assert_int_equal(w->plan.claims[0].count, 3);
        assert_int_equal(w->plan.claims[0].owner, USER);
        assert_int_equal(w->plan.claims[0].created, 1000);
        assert_int_equal(w->plan.claims[0].modified, 2000);
        assert_int_equal(w->claim->record.count, 2); /* only a plan */

        update(w, &(ClaimPatch){.name = " ", COUNT(2)}, FAILURE_NONE, ""); /* as it is */
        assert_true(order_plan_is_empty(&w->plan));
        update(w, &(ClaimPatch){.has_if_modified = true, .if_modified = 1499}, FAILURE_CONFLICT, "pool 1");
        assert_true(order_plan_is_empty(&w->plan));
}

static void test_limits(void **state) {
        World *w = *state;
        char id[RECORD_ID_SIZE], name[32];

        for (unsigned i = 1; i < CLAIMS_PER_USER_MAX; i++) {
                (void)snprintf(id, sizeof id, "6ba7b810-9dad-11d1-80b4-1%011x", i);
                (void)snprintf(name, sizeof name, "%u", i);
                (void)add_claim(w, id, USER, "web", name);
        }
        create(w, USER, "web", &(ClaimPatch){COUNT(1)}, FAILURE_LIMITS_EXCEEDED, "200");
        create(w, USER + 1, "web", &(ClaimPatch){COUNT(1)}, FAILURE_NONE, "");
        for (unsigned i = CLAIMS_PER_USER_MAX; i < CLAIMS_MAX; i++) {
                create(w, 0, "web", &(ClaimPatch){COUNT(1), .name = "x"}, FAILURE_NONE, "");
                (void)snprintf(id, sizeof id, "6ba7b810-9dad-11d1-80b4-1%011x", i);
                (void)snprintf(name, sizeof name, "%u", i);
                (void)add_claim(w, id, 0, "web", name);
        }
        create(w, 0, "web", &(ClaimPatch){COUNT(1)}, FAILURE_LIMITS_EXCEEDED, "2000");
        create(w, USER + 1, "web", &(ClaimPatch){COUNT(1)}, FAILURE_LIMITS_EXCEEDED, "2000");
}

static void test_delete(void **state) {
        World *w = *state;
        Failure f = {0};

        expect(claim_plan_delete(&w->plan, w->claim, 2000, &f), &f, FAILURE_NONE, "");
        assert_int_equal(w->plan.n_claims, 0);
        assert_int_equal(w->plan.n_dead_claims, 1);
        assert_string_equal(w->plan.dead_claims[0], CLAIM_ID);
}

/* It goes when its run does, and until then it is nobody's to change. */
static void test_delete_a_running_claim(void **state) {
        World *w = *state;
        Run *run = run_claim(w, RUN_ID, CLAIM_ID, "0000:01:00.0");
        Failure f = {0};
        Claim *c;
        bool new;

        expect(claim_plan_delete(&w->plan, w->claim, 2000, &f), &f, FAILURE_NONE, "");
        assert_int_equal(w->plan.n_dead_claims, 0);
        assert_int_equal(w->plan.n_claims, 1);
        assert_true(w->plan.claims[0].doomed);
        assert_int_equal(w->plan.claims[0].modified, 2000);
        assert_int_equal(claim_table_put(w->claims, &w->plan.claims[0], &c, &new), 0);
        assert_false(new);

        order_plan_clear(&w->plan);
        expect(claim_plan_delete(&w->plan, w->claim, 3000, &f), &f, FAILURE_NONE, "");
        assert_true(order_plan_is_empty(&w->plan));
        update(w, &(ClaimPatch){COUNT(1)}, FAILURE_NO_SUCH_OBJECT, "deleted");
        create(w, USER, "web", &(ClaimPatch){COUNT(1), .name = "pool 1"}, FAILURE_NAME_TAKEN, "deleted");
        create(w, USER, "web", &(ClaimPatch){COUNT(1)}, FAILURE_NONE, "");

        order_plan_clear(&w->plan);
        assert_int_equal(claim_plan_end_run(&w->plan, w->claims, run), 0);
        assert_int_equal(w->plan.n_dead_runs, 1);
        assert_string_equal(w->plan.dead_runs[0], RUN_ID);
        assert_int_equal(w->plan.n_dead_claims, 1);
        assert_string_equal(w->plan.dead_claims[0], CLAIM_ID);
}

/* Of two runs of a VM each takes its own. */
static void test_the_end_of_a_run(void **state) {
        static const char *const second = "6ba7b810-9dad-11d1-80b4-0000000000aa",
                                 *const second_run = "6ba7b810-9dad-11d1-80b4-0000000000ab",
                                 *const idle = "6ba7b810-9dad-11d1-80b4-0000000000ac";
        World *w = *state;
        Claim *other = add_claim(w, second, USER, "web", "other");
        Run *run = run_claim(w, RUN_ID, CLAIM_ID, "0000:01:00.0"),
            *other_run = run_claim(w, second_run, second, "0000:02:00.0");

        (void)add_claim(w, idle, USER, "web", "idle");
        assert_int_equal(claim_plan_end_run(&w->plan, w->claims, run), 0);
        assert_int_equal(w->plan.n_dead_runs, 1);
        assert_int_equal(w->plan.n_dead_claims, 0);

        other->record.doomed = true;
        order_plan_clear(&w->plan);
        assert_int_equal(claim_plan_end_run(&w->plan, w->claims, run), 0);
        assert_int_equal(w->plan.n_dead_claims, 0);
        order_plan_clear(&w->plan);
        assert_int_equal(claim_plan_end_run(&w->plan, w->claims, other_run), 0);
        assert_int_equal(w->plan.n_dead_claims, 1);
        assert_string_equal(w->plan.dead_claims[0], second);
}

static void test_a_claimed_group(void **state) {
        World *w = *state;
        Failure f = {0};

        expect(claim_plan_check_unclaimed(w->claims, w->other, &f), &f, FAILURE_NONE, "");
        expect(claim_plan_check_unclaimed(w->claims, w->group, &f), &f, FAILURE_CLAIMED,
               "\"pool 1\" of the VM \"web\" (of user 1000)");
        claim_table_remove(w->claims, w->claim);
        f = (Failure){0};
        expect(claim_plan_check_unclaimed(w->claims, w->group, &f), &f, FAILURE_NONE, "");
}

/* What a plan owns is freed with it, and what it was handed is empty. */
static void test_a_plan_of_everything(void **state) {
        RunRecord run = {.id = RUN_ID, .vm = strdup("web"), .tracked = strdup("")};
        QuarantineRecord q = {.reason = strdup("broken")};
        PciAddress a = model_address("0000:01:00.0");
        World *w = *state;

        assert_true(order_plan_is_empty(&w->plan));
        assert_int_equal(order_plan_put_run(&w->plan, &run), 0);
        assert_int_equal(order_plan_put_quarantine(&w->plan, &q), 0);
        assert_null(run.vm);
        assert_null(q.reason);
        assert_string_equal(w->plan.runs[0].vm, "web");
        assert_string_equal(w->plan.quarantine[0].reason, "broken");
        assert_false(order_plan_is_empty(&w->plan));
        order_plan_clear(&w->plan);
        assert_true(order_plan_is_empty(&w->plan));
        assert_int_equal(order_plan_remove_quarantine(&w->plan, &a), 0);
        assert_int_equal(pci_address_compare(&w->plan.dead_quarantine[0], &a), 0);
        assert_false(order_plan_is_empty(&w->plan));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_create),
                        CASE(test_update),
                        CASE(test_limits),
                        CASE(test_delete),
                        CASE(test_delete_a_running_claim),
                        CASE(test_the_end_of_a_run),
                        CASE(test_a_claimed_group),
                        CASE(test_a_plan_of_everything),
        };

        return cmocka_run_group_tests_name("claim-plan", tests, NULL, NULL);
}
