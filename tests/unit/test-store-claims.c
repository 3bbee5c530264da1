/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Claims, runs and quarantine in the store: what holds them together, and what is refused. How the store itself fails
 * is in test-store.c. */

#include "store-fixture.h"

static int delete_claim(StoreChange *c, unsigned number) {
        char id[RECORD_ID_SIZE];

        return store_change_delete_claim(c, bench_id('d', number, id));
}

static int delete_run(StoreChange *c, unsigned number) {
        char id[RECORD_ID_SIZE];

        return store_change_delete_run(c, bench_id('e', number, id));
}

static int delete_group(StoreChange *c, unsigned number) {
        char id[RECORD_ID_SIZE];

        return store_change_delete_group(c, bench_id('a', number, id));
}

static int setup_filled(void **state) {
        (void)bench_setup(state);
        bench_fill(*state);
        bench_open(*state);
        return 0;
}

/* What is read is what was put, to the last field. */
static void expect_put(const Bench *b, const StoreContents *put) {
        _cleanup_free_ char *found = NULL, *expected = NULL;
        StoreContents part = b->contents;

        part.n_groups = part.n_rules = part.n_intents = 0;
        part.next_age = 0;
        found = bench_describe(&part);
        expected = bench_describe(put);
        assert_string_equal(found, expected);
}

static void test_all_comes_back(void **state) {
        ClaimRecord claims[] = {bench_claim(1, 2, "web", "network card"),
                                bench_claim(2, 2, "web", "graphics"),
                                bench_claim(3, 2, "data base", "network card")};
        QuarantineRecord quarantine[] = {bench_quarantine(5), bench_quarantine(6)};
        RunDevice devices[2];
        RunRecord run = bench_run(1, devices);
        StoreContents put = {.claims = claims,
                             .n_claims = 3,
                             .runs = &run,
                             .n_runs = 1,
                             .quarantine = quarantine,
                             .n_quarantine = 2};
        Bench *b = *state;

        expect_put(b, &put);
        for (size_t i = 0; i < b->contents.n_groups; i++)
                assert_int_equal(b->contents.groups[i].quota,
                                 3 * strtoul(b->contents.groups[i].id, NULL, 16));
}

static void test_the_longest_and_the_largest(void **state) {
        static char name[RECORD_NAME_MAX + 1], description[RECORD_DESCRIPTION_MAX + 1],
                        tracked[RUN_TRACKED_MAX + 1], reason[QUARANTINE_REASON_MAX + 1];
        RunDevice devices[RUN_DEVICES_MAX];
        ClaimRecord claim = bench_claim(1, 2, name, name);
        QuarantineRecord quarantine = bench_quarantine(1);
        RunRecord run = bench_run(1, devices);
        StoreContents put = {.claims = &claim,
                             .n_claims = 1,
                             .runs = &run,
                             .n_runs = 1,
                             .quarantine = &quarantine,
                             .n_quarantine = 1};
        StoreChange *c = bench_change();
        Bench *b = *state;

        memset(name, 'n', sizeof name - 1);
        memset(description, 'd', sizeof description - 1);
        memset(tracked, 't', sizeof tracked - 1);
        memset(reason, 'r', sizeof reason - 1);
        claim.description = description;
        claim.owner = run.owner = run.uid = UINT32_MAX - 1;
        claim.count = CLAIM_COUNT_MAX;
        bench_set_macs(&claim);
        assert_int_equal(vf_settings_parse("vlan=4094 vlan-protocol=802.1ad vlan-qos=7 min-rate=9999999 "
                                           "max-rate=10000000 link-state=disable spoof-checking=default "
                                           "trust=default query-rss=default",
                                           &claim.settings),
                         0);
        claim.order = CLAIM_ORDER_MAX;
        claim.created = claim.modified = run.created = quarantine.created = INT64_MAX;
        run.vm = name;
        run.tracked = tracked;
        run.n_devices = RUN_DEVICES_MAX;
        for (unsigned i = 0; i < RUN_DEVICES_MAX; i++) {
                PciIdentity *d = &devices[i].identity;

                devices[i] = (RunDevice){
                                .identity = bench_identity(i), .returning = true, .settings = UINT64_MAX};
                strcpy(devices[i].claim, claim.id);
                d->address.domain = UINT32_MAX;
                d->vendor = d->device = d->subsystem_vendor = d->subsystem_device = UINT16_MAX;
                d->class_code = 0xffffff;
                memset(d->serial, 's', sizeof d->serial - 1);
                memset(d->slot, 'l', sizeof d->slot - 1);
        }
        quarantine.identity = devices[0].identity;
        quarantine.reason = reason;

        bench_put_group(c, 2, "two");
        assert_int_equal(store_change_put_claim(c, &claim), 0);
        assert_int_equal(store_change_put_run(c, &run), 0);
        assert_int_equal(store_change_put_quarantine(c, &quarantine), 0);
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        expect_put(b, &put);
}

static void test_put_replaces(void **state) {
        ClaimRecord claim = bench_claim(1, 1, "WEB", "other");
        QuarantineRecord quarantine = bench_quarantine(5);
        RunDevice devices[2];
        RunRecord run = bench_run(1, devices);
        StoreChange *c = bench_change();
        Bench *b = *state;

        claim.owner = 5;
        claim.doomed = true;
        run.starting = true;
        run.track = RUN_TRACK_MANUAL;
        run.tracked = (char *)(uintptr_t) "";
        run.access = RUN_ACCESS_ACL;
        run.n_devices = 1;
        quarantine.reason = (char *)(uintptr_t) "Again.";
        quarantine.identity.revision = 1;
        assert_int_equal(store_change_put_claim(c, &claim), 0);
        assert_int_equal(store_change_put_run(c, &run), 0);
        assert_int_equal(store_change_put_quarantine(c, &quarantine), 0);
        assert_int_equal(bench_commit(b, c), 0);

        bench_open(b);
        assert_int_equal(b->contents.n_claims, 3);
        assert_int_equal(b->contents.n_runs, 1);
        assert_int_equal(b->contents.n_quarantine, 2);
        b->contents.n_claims = 1; /* the first of them is this one */
        b->contents.n_quarantine = 1;
        expect_put(b, &(StoreContents){.claims = &claim,
                                       .n_claims = 1,
                                       .runs = &run,
                                       .n_runs = 1,
                                       .quarantine = &quarantine,
                                       .n_quarantine = 1});
        b->contents.n_claims = 3;
        b->contents.n_quarantine = 2;
}

static void test_deleting(void **state) {
        PciAddress address = bench_identity(5).address;
        StoreChange *c = bench_change();
        Bench *b = *state;

        assert_int_equal(delete_run(c, 1), 0);
        assert_int_equal(delete_claim(c, 1), 0);
        assert_int_equal(delete_claim(c, 77), 0); /* there is none */
        assert_int_equal(store_change_delete_quarantine(c, &address), 0);
        assert_int_equal(store_change_delete_quarantine(c, &address), 0);
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        assert_int_equal(b->contents.n_claims, 2);
        assert_int_equal(b->contents.n_runs, 0);
        assert_int_equal(b->contents.n_quarantine, 1);
        assert_int_equal(b->contents.quarantine[0].identity.subsystem_device, 6);
}

static void test_a_group_with_claims_stays(void **state) {
        _cleanup_free_ char *before = NULL, *after = NULL;
        StoreChange *c = bench_change();
        Bench *b = *state;

        before = bench_describe(&b->contents);
        assert_int_equal(delete_group(c, 2), 0);
        assert_int_equal(bench_commit(b, c), -EINVAL);
        bench_open(b);
        after = bench_describe(&b->contents);
        assert_string_equal(after, before);

        c = bench_change();
        assert_int_equal(delete_run(c, 1), 0);
        for (unsigned i = 1; i <= 3; i++)
                assert_int_equal(delete_claim(c, i), 0);
        assert_int_equal(delete_group(c, 2), 0);
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 2);
        assert_int_equal(b->contents.n_claims, 0);
}

static int put_claim(Bench *b, const ClaimRecord *claim) {
        StoreChange *c = bench_change();

        assert_int_equal(store_change_put_claim(c, claim), 0);
        return bench_commit(b, c);
}

static void test_names_are_unique_in_a_vm(void **state) {
        ClaimRecord claim = bench_claim(9, 2, "web", "network card"); /* the first one's, of the same user */
        Bench *b = *state;

        assert_int_equal(put_claim(b, &claim), -EINVAL);
        claim.owner = 0; /* has a VM "web" of his own */
        assert_int_equal(put_claim(b, &claim), 0);
        claim = bench_claim(11, 2, "mail", "network card");
        assert_int_equal(put_claim(b, &claim), 0);
        claim = bench_claim(13, 77, "mail", "no group");
        assert_int_equal(put_claim(b, &claim), -EINVAL);
        bench_open(b);
        assert_int_equal(b->contents.n_claims, 5);
}

/* In one change the order is as good one way as the other: what counts is the end. */
static void test_a_run_needs_its_claims(void **state) {
        _cleanup_free_ char *before = bench_describe(&((Bench *)*state)->contents), *after = NULL;
        Bench *b = *state;
        StoreChange *c = bench_change();

        assert_int_equal(delete_claim(c, 1), 0);
        assert_int_equal(bench_commit(b, c), -EINVAL);
        c = bench_change();
        bench_put_run(c, 3); /* of claims 3 and 4 */
        assert_int_equal(bench_commit(b, c), -EINVAL);
        c = bench_change();
        assert_int_equal(delete_claim(c, 1), 0);
        bench_put_claim(c, 1, "web", "network card");
        bench_put_run(c, 3);
        assert_int_equal(delete_run(c, 3), 0);
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        after = bench_describe(&b->contents);
        assert_string_equal(after, before);

        c = bench_change();
        bench_put_run(c, 3);
        bench_put_claim(c, 4, "data base", "graphics");
        assert_int_equal(delete_claim(c, 1), 0);
        assert_int_equal(delete_run(c, 1), 0);
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        assert_int_equal(b->contents.n_claims, 3);
        assert_int_equal(b->contents.n_runs, 1);
        assert_int_equal(b->contents.runs[0].n_devices, 2);
}

/* It would be read as damage of the whole. */
static void test_what_is_no_record(void **state) {
        ClaimRecord claim = bench_claim(9, 2, "web", "two\nlines");
        QuarantineRecord quarantine = bench_quarantine(9);
        RunDevice devices[2];
        RunRecord run = bench_run(1, devices);
        StoreChange *c = bench_change();
        Bench *b = *state;

        run.boot_id[0] = '\0';
        quarantine.reason = (char *)(uintptr_t) "";
        assert_int_equal(store_change_put_claim(c, &claim), -EINVAL);
        claim = bench_claim(8, 2, "web", "fine");
        claim.n_macs--;
        assert_int_equal(store_change_put_claim(c, &claim), -EINVAL);
        assert_int_equal(store_change_put_run(c, &run), -EINVAL);
        assert_int_equal(store_change_put_quarantine(c, &quarantine), -EINVAL);
        quarantine.reason = (char *)(uintptr_t) "Cut in\n\303";
        assert_int_equal(store_change_put_quarantine(c, &quarantine), 0);
        assert_int_equal(bench_commit(b, c), 0);

        bench_open(b);
        assert_int_equal(b->contents.n_claims, 3);
        assert_int_equal(b->contents.n_quarantine, 3);
        assert_string_equal(b->contents.quarantine[2].reason, "Cut in??");
}

static void put_claims(StoreChange *c, unsigned from, unsigned to) {
        char name[32];

        for (unsigned i = from; i < to; i++) {
                (void)snprintf(name, sizeof name, "%u", i);
                bench_put_claim(c, i, "web", name);
        }
}

static void put_runs(StoreChange *c, unsigned from, unsigned to) {
        RunDevice devices[2];
        RunRecord run;

        for (unsigned i = from; i < to; i++) {
                run = bench_run(i, devices);
                run.n_devices = 0;
                assert_int_equal(store_change_put_run(c, &run), 0);
        }
}

static void put_quarantines(StoreChange *c, unsigned from, unsigned to) {
        for (unsigned i = from; i < to; i++)
                bench_put_quarantine(c, i);
}

/* As many as there may be, and then one more. */
static void test_limits(void **state) {
        static const struct {
                void (*put)(StoreChange *c, unsigned from, unsigned to);
                unsigned max;
                const char *words;
        } table[] = {
                        {put_claims, CLAIMS_MAX, "more than 2000 claims"},
                        {put_runs, RUNS_MAX, "more than 1000 runs"},
                        {put_quarantines, QUARANTINE_MAX, "more than 10000 devices in quarantine"},
        };
        _cleanup_snapshot_ Snapshot empty = {0};
        StoreChange *c = bench_change();
        Bench *b = *state;

        bench_put_group(c, 2, "two");
        assert_int_equal(bench_commit(b, c), 0);
        bench_close(b);
        empty = bench_snapshot(b);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                bench_restore(b, &empty);
                bench_open(b);
                c = bench_change();
                table[i].put(c, 0, table[i].max);
                assert_int_equal(bench_commit(b, c), 0);
                bench_open(b);
                assert_int_equal(b->contents.n_claims + b->contents.n_runs + b->contents.n_quarantine,
                                 table[i].max);
                c = bench_change();
                table[i].put(c, table[i].max, table[i].max + 1);
                assert_int_equal(bench_commit(b, c), 0);
                bench_refuses(b, table[i].words);
        }
}

#define with(setup, name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        with(setup_filled, test_all_comes_back),
                        with(bench_setup, test_the_longest_and_the_largest),
                        with(setup_filled, test_put_replaces),
                        with(setup_filled, test_deleting),
                        with(setup_filled, test_a_group_with_claims_stays),
                        with(setup_filled, test_names_are_unique_in_a_vm),
                        with(setup_filled, test_a_run_needs_its_claims),
                        with(setup_filled, test_what_is_no_record),
                        with(bench_setup, test_limits),
        };

        return cmocka_run_group_tests_name("store-claims", tests, NULL, NULL);
}
