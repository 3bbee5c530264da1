/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"
#include "critical.h"
#include "grant-set.h"

/* As in test-device-table: 05:01.0 and 05:02.0 share set 7 with a bridge, 06:00.0 is alone, 07:00.0 in none. */
static int setup(void **state) {
        DeviceTable *t = model_new();

        model_add(t, "0000:05:00.0", 7)->facts.identity.class_code = MODEL_BRIDGE;
        model_add(t, "0000:05:01.0", 7);
        model_add(t, "0000:05:02.0", 7);
        model_add(t, "0000:06:00.0", 8);
        model_add(t, "0000:07:00.0", DEVICE_NO_IOMMU_SET);
        model_add(t, "0000:08:00.0", DEVICE_NO_IOMMU_SET);
        model_join_sets(t);
        *state = t;
        return 0;
}

static int teardown(void **state) {
        model_free(*state);
        return 0;
}

/* "0000:05:01.0 0000:05:02.0" */
static IommuSet set_of(const char *addresses) {
        char text[1024], *save = NULL;
        IommuSet set = {0};
        PciAddress a;

        (void)snprintf(text, sizeof text, "%s", addresses);
        for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
                a = model_address(p);
                assert_int_equal(iommu_set_add(&set, &a), 0);
        }
        return set;
}

static void expect(const DeviceTable *t, bool whole, const char *devices, const char *siblings,
                   const char *wanted) {
        IommuSet d = set_of(devices), s = set_of(siblings), w = set_of(wanted);
        Failure f = {0};

        if (grant_set_check(t, whole, &d, &s, &f) < 0)
                fail_msg("'%s' with '%s': %s", devices, siblings, f.sentence);
        assert_int_equal(f.kind, FAILURE_NONE);
        assert_true(iommu_set_same_members(&d, &w));
}

static void expect_refused(const DeviceTable *t, const char *devices, const char *siblings, FailureKind kind,
                           const char *words) {
        IommuSet d = set_of(devices), s = set_of(siblings), before = d;
        Failure f = {0};

        assert_int_equal(grant_set_check(t, true, &d, &s, &f), -EREMOTEIO);
        if (f.kind != kind || !strstr(f.sentence, words))
                fail_msg("'%s' with '%s': %s: %s", devices, siblings, failure_kind_to_string(f.kind),
                         f.sentence);
        assert_int_equal(f.sentence[strlen(f.sentence) - 1], '.');
        assert_true(iommu_set_same_members(&d, &before));
}

static void test_whole_sets(void **state) {
        expect(*state, true, "0000:06:00.0", "", "0000:06:00.0");
        expect(*state, true, "0000:05:01.0", "0000:05:02.0", "0000:05:01.0 0000:05:02.0");
        expect(*state, true, "0000:05:01.0 0000:05:02.0", "", "0000:05:01.0 0000:05:02.0");
        expect(*state, true, "0000:05:02.0 0000:06:00.0", "0000:05:01.0",
               "0000:05:01.0 0000:05:02.0 0000:06:00.0");
        expect(*state, true, "0000:06:00.0", "0000:06:00.0", "0000:06:00.0");
        expect(*state, true, "0000:05:01.0 0000:05:02.0", "0000:05:02.0", "0000:05:01.0 0000:05:02.0");
}

/* It is in the kernel's list of the set, so who copies that list names it; it stays all the same. */
static void test_a_bridge_is_a_sibling_that_stays(void **state) {
        expect(*state, true, "0000:05:01.0", "0000:05:00.0 0000:05:02.0", "0000:05:01.0 0000:05:02.0");
}

static void test_half_a_set_is_refused_with_the_rest(void **state) {
        expect_refused(*state, "0000:05:01.0", "", FAILURE_INCOMPLETE_IOMMU_SET,
                       "0000:05:01.0 cannot be granted alone: 0000:05:02.0 must move along");
        expect_refused(*state, "0000:05:02.0 0000:06:00.0", "", FAILURE_INCOMPLETE_IOMMU_SET,
                       ": 0000:05:01.0 must move along");
        expect_refused(*state, "0000:05:01.0", "0000:05:00.0", FAILURE_INCOMPLETE_IOMMU_SET,
                       ": 0000:05:02.0 must move along");
}

static void test_siblings_must_be_siblings(void **state) {
        expect_refused(*state, "0000:06:00.0", "0000:05:01.0", FAILURE_INVALID_ARGUMENT, "0000:05:01.0");
        expect_refused(*state, "0000:05:01.0", "0000:05:02.0 0000:06:00.0", FAILURE_INVALID_ARGUMENT,
                       "0000:06:00.0");
        /* Two that no IOMMU stands in front of have nothing in common. */
        expect_refused(*state, "0000:07:00.0", "0000:08:00.0", FAILURE_INVALID_ARGUMENT, "0000:08:00.0");
        expect(*state, true, "0000:07:00.0", "",
               "0000:07:00.0"); /* the helper refuses it, with the reason */
}

static void test_a_bridge_is_refused(void **state) {
        expect_refused(*state, "0000:05:00.0", "0000:05:01.0 0000:05:02.0", FAILURE_CRITICAL,
                       "0000:05:00.0");
        expect_refused(*state, "0000:05:00.0 0000:06:00.0", "", FAILURE_CRITICAL, "0000:05:00.0");
}

static void test_what_is_gone_is_refused(void **state) {
        expect_refused(*state, "0000:09:00.0", "", FAILURE_NO_SUCH_DEVICE, "0000:09:00.0");
        expect_refused(*state, "0000:06:00.0", "0000:09:00.0", FAILURE_NO_SUCH_DEVICE, "0000:09:00.0");
}

/* The kernel names a member that we have not seen: it cannot be left out. */
static void test_an_unknown_member_counts(void **state) {
        PciAddress a = model_address("0000:05:02.0");
        DeviceTable *t = *state;

        device_free(device_table_remove(t, &a));
        expect_refused(t, "0000:05:01.0", "", FAILURE_INCOMPLETE_IOMMU_SET, "0000:05:02.0");
        expect_refused(t, "0000:05:01.0", "0000:05:02.0", FAILURE_NO_SUCH_DEVICE, "0000:05:02.0");
}

/* A revocation takes what it is given. */
static void test_not_whole_sets(void **state) {
        IommuSet d = set_of("0000:09:00.0"), none = {0};
        Failure f = {0};

        expect(*state, false, "0000:05:01.0", "", "0000:05:01.0");
        expect(*state, false, "0000:05:00.0", "", "0000:05:00.0");
        assert_int_equal(grant_set_check(*state, false, &d, &none, &f), -EREMOTEIO);
        assert_int_equal(f.kind, FAILURE_NO_SUCH_DEVICE);
}

static DeviceTable *full_sets(unsigned n, unsigned per_set) {
        DeviceTable *t = model_new();
        char address[64];

        for (unsigned i = 0; i < n; i++) {
                (void)snprintf(address, sizeof address, "10000000:%02x:%02x.%u", i / 64, i / 8 % 8, i % 8);
                model_add(t, address, i / per_set);
        }
        model_join_sets(t);
        return t;
}

static void test_the_largest_call(void **state _unused_) {
        IommuSet one = set_of("10000000:00:00.0"), none = {0}, all;
        DeviceTable *t = full_sets(DEVICES_PER_CALL_MAX, DEVICES_PER_CALL_MAX);
        Failure f = {0};

        assert_int_equal(grant_set_check(t, true, &one, &none, &f), -EREMOTEIO);
        assert_int_equal(f.kind, FAILURE_INCOMPLETE_IOMMU_SET);
        assert_int_equal(f.sentence[strlen(f.sentence) - 1], '.');
        all = t->devices[0]->facts.set;
        f = (Failure){0};
        assert_int_equal(grant_set_check(t, true, &one, &all, &f), 0);
        assert_int_equal(one.n_members, DEVICES_PER_CALL_MAX);
        model_free(t);
}

/* Both lists of the sentence are as long as they get, and it still says at its end what to do. */
static void test_the_longest_refusal_is_whole(void **state _unused_) {
        DeviceTable *t = full_sets(DEVICES_PER_CALL_MAX, 2);
        IommuSet half = {0}, none = {0};
        Failure f = {0};

        for (size_t i = 0; i < t->n; i += 2)
                assert_int_equal(iommu_set_add(&half, device_address(t->devices[i])), 0);
        assert_int_equal(grant_set_check(t, true, &half, &none, &f), -EREMOTEIO);
        assert_int_equal(f.kind, FAILURE_INCOMPLETE_IOMMU_SET);
        assert_non_null(strstr(f.sentence, "as siblings."));
        model_free(t);
}

static void test_too_many_in_all(void **state _unused_) {
        DeviceTable *t = full_sets(DEVICES_PER_CALL_MAX + 2, 2);
        IommuSet some = {0}, before, none = {0};
        Failure f = {0};

        for (size_t i = 0; i < t->n; i += 2)
                assert_int_equal(iommu_set_add(&some, device_address(t->devices[i])), 0);
        before = some;
        assert_int_equal(grant_set_check(t, true, &some, &none, &f), -EREMOTEIO);
        assert_int_equal(f.kind, FAILURE_LIMITS_EXCEEDED);
        assert_memory_equal(&some, &before, sizeof some);
        model_free(t);
}

static void expect_word(char **save, const char *wanted) {
        const char *word = strtok_r(NULL, " ", save);

        assert_string_equal(strempty(word), wanted);
}

/* What root is told to type, taken apart as busctl does. */
static void check_command(const char *sentence, bool grant, const IommuSet *devices, uint32_t consent,
                          const char *flag) {
        char text[sizeof((Failure *)0)->sentence], address[PCI_ADDRESS_SIZE], count[16], *save = NULL, *at;
        const char *expected[] = {"call",
                                  HELPER_NAME,
                                  HELPER_PATH,
                                  HELPER_INTERFACE,
                                  grant ? "Grant" : "Revoke",
                                  grant ? "asasbus" : "asbs"};

        at = strstr(sentence, "busctl ");
        assert_non_null(at);
        (void)snprintf(text, sizeof text, "%s", at);
        assert_string_equal(strtok_r(text, " ", &save), "busctl");
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                expect_word(&save, expected[i]);
        (void)snprintf(count, sizeof count, "%zu", devices->n_members);
        expect_word(&save, count);
        for (size_t i = 0; i < devices->n_members; i++)
                expect_word(&save, pci_address_format(&devices->members[i], address));
        if (grant) {
                (void)snprintf(count, sizeof count, "%d", __builtin_popcount(consent));
                expect_word(&save, count);
                for (int i = 0; i < CRITICAL_REASON_MAX; i++)
                        if (consent & 1U << i)
                                expect_word(&save, critical_reason_to_string((CriticalReason)i));
        }
        expect_word(&save, flag);
        if (grant)
                expect_word(&save, streq(flag, "true") ? "120" : "0");
        expect_word(&save, "\"\"");
        expect_word(&save, "");
}

static void test_root_is_shown_the_command(void **state _unused_) {
        IommuSet one = set_of("0000:06:00.0"), two = set_of("0000:05:01.0 0000:05:02.0");
        const uint32_t consent = 1U << CRITICAL_MOUNTED | 1U << CRITICAL_DEFAULT_ROUTE;
        Failure f = {0};

        assert_int_equal(grant_set_refuse_root(true, &two, consent, false, 0, &f), -EREMOTEIO);
        assert_int_equal(f.kind, FAILURE_NOT_AUTHORIZED);
        check_command(f.sentence, true, &two, consent, "false");
        assert_non_null(strstr(f.sentence,
                               " 2 0000:05:01.0 0000:05:02.0 2 mounted default-route false 0 \"\""));

        f = (Failure){0};
        (void)grant_set_refuse_root(true, &one, 0, false, 0, &f);
        check_command(f.sentence, true, &one, 0, "false");
        f = (Failure){0};
        (void)grant_set_refuse_root(true, &one, 0, false, 120, &f);
        check_command(f.sentence, true, &one, 0, "true");
        f = (Failure){0};
        (void)grant_set_refuse_root(false, &one, consent, true, 0, &f);
        check_command(f.sentence, false, &one, consent, "true");
}

/* A command that was cut would do something else, or nothing: either all of it or none. */
static void test_root_is_never_shown_half_a_command(void **state _unused_) {
        size_t shown = 0, hidden = 0;

        for (unsigned n = 1; n <= DEVICES_PER_CALL_MAX; n++)
                for (int grant = 0; grant < 2; grant++) {
                        DeviceTable *t = full_sets(n, DEVICES_PER_CALL_MAX);
                        const IommuSet *all = &t->devices[0]->facts.set;
                        Failure f = {0};

                        assert_int_equal(grant_set_refuse_root(grant, all, CRITICAL_OVERRIDABLE, false, 0,
                                                               &f),
                                         -EREMOTEIO);
                        assert_int_equal(f.kind, FAILURE_NOT_AUTHORIZED);
                        if (strstr(f.sentence, "busctl call")) {
                                check_command(f.sentence, grant, all, CRITICAL_OVERRIDABLE, "false");
                                shown++;
                        } else {
                                assert_int_equal(f.sentence[strlen(f.sentence) - 1], '.');
                                hidden++;
                        }
                        model_free(t);
                }
        assert_true(shown > hidden);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_whole_sets, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_bridge_is_a_sibling_that_stays, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_half_a_set_is_refused_with_the_rest, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_siblings_must_be_siblings, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_bridge_is_refused, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_what_is_gone_is_refused, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_an_unknown_member_counts, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_not_whole_sets, setup, teardown),
                        cmocka_unit_test(test_the_largest_call),
                        cmocka_unit_test(test_the_longest_refusal_is_whole),
                        cmocka_unit_test(test_too_many_in_all),
                        cmocka_unit_test(test_root_is_shown_the_command),
                        cmocka_unit_test(test_root_is_never_shown_half_a_command),
        };

        return cmocka_run_group_tests_name("grant-set", tests, NULL, NULL);
}
