/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-error.h"
#include "bus-util.h"
#include "fake-host.h"

static void test_every_kind_has_a_word(void **state _unused_) {
        for (int i = FAILURE_NONE + 1; i < FAILURE_KIND_MAX; i++) {
                assert_non_null(failure_kind_to_string((FailureKind)i));
                assert_int_equal(failure_kind_from_string(failure_kind_to_string((FailureKind)i)), i);
        }
        assert_null(failure_kind_to_string(FAILURE_KIND_MAX));
        assert_null(failure_kind_to_string(FAILURE_KIND_INVALID));
        assert_int_equal(failure_kind_from_string("Nonsense"), -EINVAL);
        assert_int_equal(failure_kind_from_string(NULL), -EINVAL);
}

static void test_the_first_failure_is_the_cause(void **state _unused_) {
        Failure f = {0};

        assert_int_equal(failure_set(&f, FAILURE_BUSY, "first %d", 1), -EREMOTEIO);
        assert_int_equal(failure_set(&f, FAILURE_STUCK, "second"), -EREMOTEIO);
        assert_int_equal(f.kind, FAILURE_BUSY);
        assert_string_equal(f.sentence, "first 1");
}

static void test_a_long_sentence_is_cut(void **state _unused_) {
        char text[2048];
        Failure f = {0};

        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        (void)failure_set(&f, FAILURE_BUSY, "%s", text);
        assert_int_equal(strlen(f.sentence), sizeof f.sentence - 1);
}

static void test_over_the_bus_and_back(void **state _unused_) {
        for (int i = FAILURE_NONE + 1; i < FAILURE_KIND_MAX; i++) {
                _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;
                Failure f = {0}, back = {0};

                (void)failure_set(&f, (FailureKind)i, "sentence %d", i);
                assert_true(failure_to_bus(&f, &error) < 0);
                failure_from_bus(&back, &error);
                assert_int_equal(back.kind, i);
                assert_string_equal(back.sentence, f.sentence);
        }
}

static void test_names_are_those_of_the_interface(void **state _unused_) {
        static const struct {
                FailureKind kind;
                const char *name;
        } table[] = {
                        {FAILURE_NO_SUCH_DEVICE, "org.verge.Passthrough.Error.NoSuchDevice"},
                        {FAILURE_INCOMPLETE_IOMMU_SET, "org.verge.Passthrough.Error.IncompleteIommuSet"},
                        {FAILURE_INTERACTION_REQUIRED,
                         "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;
                Failure f = {0};

                (void)failure_set(&f, table[i].kind, "x");
                (void)failure_to_bus(&f, &error);
                assert_string_equal(error.name, table[i].name);
        }
}

static void test_strange_errors_are_the_helper_failing(void **state _unused_) {
        static const char *const names[] = {
                        SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NO_REPLY, "org.verge.Passthrough.Error.",
                        "org.verge.Passthrough.Error.None", "org.verge.Passthrough.ErrorBusy"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;
                Failure f = {0};

                (void)sd_bus_error_set(&error, names[i], "the cause");
                failure_from_bus(&f, &error);
                assert_int_equal(f.kind, FAILURE_HELPER);
                assert_non_null(strstr(f.sentence, "the cause"));
        }
}

static void test_unique_names(void **state _unused_) {
        static const char *const bad[] = {"",
                                          ":",
                                          ":1",
                                          "org.verge.Passthrough",
                                          "1.42",
                                          ":1.4'2",
                                          ":1.42,arg0='x'",
                                          ":1 .2",
                                          ":1..2",
                                          ":1.42\n"};

        assert_true(bus_name_is_unique(":1.42"));
        assert_false(bus_name_is_unique(NULL));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (bus_name_is_unique(bad[i]))
                        fail_msg("took '%s'", bad[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_every_kind_has_a_word),
                        cmocka_unit_test(test_the_first_failure_is_the_cause),
                        cmocka_unit_test(test_a_long_sentence_is_cut),
                        cmocka_unit_test(test_over_the_bus_and_back),
                        cmocka_unit_test(test_names_are_those_of_the_interface),
                        cmocka_unit_test(test_strange_errors_are_the_helper_failing),
                        cmocka_unit_test(test_unique_names),
        };

        return cmocka_run_group_tests_name("bus-error", tests, NULL, NULL);
}
