/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "time-span.h"

static void test_parse(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
                uint64_t seconds;
        } table[] = {
                        {"0", 0, 0},
                        {"90", 0, 90},
                        {"60s", 0, 60},
                        {"5m", 0, 300},
                        {"5min", 0, 300},
                        {"2h", 0, 7200},
                        {"1h30min", 0, 5400},
                        {"1h 30min 10s", 0, 5410},
                        {"007", 0, 7},
                        {"4294967295", 0, UINT32_MAX},
                        {"4294967296", -ERANGE, 0},
                        {"1193047h", -ERANGE, 0},
                        {"4294967295s 1s", -ERANGE, 0},
                        {"99999999999999999999999999", -ERANGE, 0},
                        {"", -EINVAL, 0},
                        {" ", -EINVAL, 0},
                        {"s", -EINVAL, 0},
                        {"-1", -EINVAL, 0},
                        {"+1", -EINVAL, 0},
                        {"1.5h", -EINVAL, 0},
                        {"0x10", -EINVAL, 0},
                        {"10 s", -EINVAL, 0},
                        {" 10s", -EINVAL, 0},
                        {"10s ", -EINVAL, 0},
                        {"10s  5s", -EINVAL, 0},
                        {"10sec", -EINVAL, 0},
                        {"10ms", -EINVAL, 0},
                        {"10S", -EINVAL, 0},
                        {"1d", -EINVAL, 0},
                        {"1h30", -EINVAL, 0}, /* of what? */
                        {"30 1h", -EINVAL, 0},
                        {"soon", -EINVAL, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t seconds = 12345;

                assert_int_equal(time_span_parse(table[i].text, &seconds), table[i].r);
                assert_int_equal(seconds, table[i].r < 0 ? 12345 : table[i].seconds);
        }
}

static void test_format(void **state _unused_) {
        static const struct {
                uint64_t seconds;
                const char *text;
        } table[] = {{0, "0s"},     {10, "10s"},  {59, "59s"},     {60, "1min"},  {90, "90s"},
                     {300, "5min"}, {3600, "1h"}, {5400, "90min"}, {86400, "24h"}};
        char buffer[TIME_SPAN_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t seconds = UINT64_MAX;

                assert_string_equal(time_span_format(table[i].seconds, buffer), table[i].text);
                assert_int_equal(time_span_parse(buffer, &seconds), 0);
                assert_int_equal(seconds, table[i].seconds);
        }
}

static void test_option(void **state _unused_) {
        Options o = {};
        uint64_t seconds = 7;

        assert_int_equal(time_span_option(&o, OPTION_WAIT, 1, 60, &seconds), EXIT_DONE);
        assert_int_equal(seconds, 7);
        o.values[OPTION_WAIT] = "1min";
        assert_int_equal(time_span_option(&o, OPTION_WAIT, 1, 60, &seconds), EXIT_DONE);
        assert_int_equal(seconds, 60);
        for (const char *const *p = (const char *const[]){"61s", "0", "soon", "", NULL}; *p; p++) {
                o.values[OPTION_WAIT] = *p;
                assert_int_equal(time_span_option(&o, OPTION_WAIT, 1, 60, &seconds), EXIT_USAGE);
                assert_int_equal(seconds, 60);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_parse),
                        cmocka_unit_test(test_format),
                        cmocka_unit_test(test_option),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
