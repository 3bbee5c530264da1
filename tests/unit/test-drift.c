/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What grants say that were given to devices, and what is there now. */

#include "drift.h"
#include "model-fixture.h"

#define HERE "0000:01:00.0"
#define THERE "0000:02:00.0"
#define ELSEWHERE "0000:03:00.0"

static int setup(void **state) {
        *state = model_new();
        return 0;
}

static int teardown(void **state) {
        model_free(*state);
        return 0;
}

static Device *add(DeviceTable *t, const char *address, uint16_t id, const char *serial) {
        Device *d = model_add(t, address, 7);

        d->facts.identity.vendor = 0x8086;
        d->facts.identity.device = id;
        (void)snprintf(d->facts.identity.serial, sizeof d->facts.identity.serial, "%s", serial);
        return d;
}

static Grant grant_for(const char *address, uint16_t id, const char *serial) {
        Grant g = {.identity = {.address = model_address(address),
                                .vendor = 0x8086,
                                .device = id,
                                .class_code = MODEL_NIC}};

        (void)snprintf(g.identity.serial, sizeof g.identity.serial, "%s", serial);
        assert_int_equal(iommu_set_add(&g.set, &g.identity.address), 0);
        return g;
}

static void expect(const DeviceTable *t, const Grant *g, const char *word, const char *text) {
        char sentence[768];
        DriftKind kind;

        if (!drift_of_grant(t, g, &kind, sentence, sizeof sentence)) {
                if (word)
                        fail_msg("no drift, wanted %s", word);
                return;
        }
        if (!word || !streq(drift_kind_to_string(kind), word) || !strstr(sentence, text))
                fail_msg("%s: %s", drift_kind_to_string(kind), sentence);
}

static void test_as_it_was(void **state) {
        Grant g = grant_for(HERE, 1, "");

        (void)add(*state, HERE, 1, "");
        expect(*state, &g, NULL, NULL);
}

/* One of the two serials may be of the VPD, and the other not be readable. */
static void test_serial_numbers(void **state) {
        Grant known = grant_for(HERE, 1, "A"), unknown = grant_for(HERE, 1, "");
        Device *d = add(*state, HERE, 1, "");

        expect(*state, &known, NULL, NULL);
        (void)snprintf(d->facts.identity.serial, sizeof d->facts.identity.serial, "B");
        expect(*state, &unknown, NULL, NULL);
        expect(*state, &known, "replaced", HERE);
}

static void test_missing(void **state) {
        Grant g = grant_for(HERE, 1, "");

        expect(*state, &g, "missing", HERE);
        (void)add(*state, THERE, 2, "");
        expect(*state, &g, "missing", HERE);
}

static void test_replaced(void **state) {
        Grant g = grant_for(HERE, 1, "");

        (void)add(*state, HERE, 2, "");
        expect(*state, &g, "replaced", "[8086:0002]");
}

static void test_moved(void **state) {
        Grant g = grant_for(HERE, 1, "");
        Device *there = add(*state, THERE, 1, "");

        expect(*state, &g, "moved", THERE);
        (void)add(*state, HERE, 2, ""); /* and another took its place */
        expect(*state, &g, "moved", THERE);
        there->has_grant = true; /* that one was always there */
        expect(*state, &g, "replaced", HERE);
}

static void test_two_that_look_alike(void **state) {
        Grant g = grant_for(HERE, 1, ""), numbered = grant_for(HERE, 1, "A");

        (void)add(*state, THERE, 1, "B");
        (void)add(*state, ELSEWHERE, 1, "A");
        expect(*state, &g, "missing", HERE); /* no telling which */
        expect(*state, &numbered, "moved", ELSEWHERE);
}

static void test_another_set(void **state) {
        Grant g = grant_for(HERE, 1, "");
        Device *d = add(*state, HERE, 1, ""), *other = add(*state, THERE, 2, "");

        model_join_sets(*state);
        expect(*state, &g, "set-changed", THERE);
        other->facts.identity.class_code = MODEL_BRIDGE; /* bridges do not move */
        expect(*state, &g, NULL, NULL);
        assert_int_equal(iommu_set_add(&g.set, &other->facts.identity.address), 0);
        expect(*state, &g, "set-changed", THERE);
        assert_int_equal(d->facts.set.n_members, 2);
}

static void test_reports(void **state) {
        Grant grants[] = {grant_for(HERE, 1, ""), grant_for(THERE, 2, "")};
        DriftReport one, two;
        Device *d;

        d = add(*state, ELSEWHERE, 9, "");
        assert_int_equal(drift_compute(*state, grants, 2, &one), 0);
        assert_int_equal(one.n, 2);
        assert_int_equal(drift_compute(*state, grants, 2, &two), 0);
        assert_true(drift_report_same(&one, &two));
        drift_report_clear(&two);

        d->taken = true; /* of no order: nothing to say */
        assert_int_equal(drift_compute(*state, grants, 2, &two), 0);
        assert_true(drift_report_same(&one, &two));
        drift_report_clear(&two);
        (void)device_set_text(&d->attention, "It was taken.");
        assert_int_equal(drift_compute(*state, grants, 2, &two), 0);
        assert_false(drift_report_same(&one, &two));
        assert_int_equal(two.n, 3);
        assert_int_equal(two.entries[2].kind, DRIFT_TAKEN);
        assert_string_equal(two.entries[2].address, ELSEWHERE);
        assert_string_equal(two.entries[2].sentence, "It was taken.");
        drift_report_clear(&two);

        d->taken = false;
        (void)device_set_text(&d->refusal, "It refuses.");
        (void)device_set_text(&d->attention, "It refuses.");
        assert_int_equal(drift_compute(*state, grants, 1, &two), 0);
        assert_int_equal(two.n, 2);
        assert_int_equal(two.entries[1].kind, DRIFT_REFUSED);
        assert_string_equal(two.entries[1].sentence, "It refuses.");
        drift_report_clear(&two);
        drift_report_clear(&one);
        assert_int_equal(drift_compute(*state, NULL, 0, &one), 0);
        assert_int_equal(one.n, 1);
        drift_report_clear(&one);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_as_it_was),   CASE(test_serial_numbers), CASE(test_missing),
                        CASE(test_replaced),    CASE(test_moved),          CASE(test_two_that_look_alike),
                        CASE(test_another_set), CASE(test_reports),
        };

        return cmocka_run_group_tests_name("drift", tests, NULL, NULL);
}
