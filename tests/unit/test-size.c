/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"

#include "size.h"

static void test_sizes(void **state) {
        static const struct {
                const char *text;
                uint64_t bytes;
        } good[] = {
                        {"1K", 1024},
                        {"512M", UINT64_C(512) << 20},
                        {"4G", UINT64_C(4) << 30},
                        {"4GiB", UINT64_C(4) << 30},
                        {"0016G", UINT64_C(16) << 30},
                        {"2T", UINT64_C(2) << 40},
                        {"16777215T", UINT64_C(16777215) << 40},
                        {"18014398509481983K", UINT64_C(18014398509481983) << 10},
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                uint64_t bytes = 0;

                assert_int_equal(size_parse(good[i].text, &bytes), 0);
                assert_int_equal(bytes, good[i].bytes);
        }
}

static void refuse(const char *text, int why) {
        uint64_t bytes = 7;

        assert_int_equal(size_parse(text, &bytes), why);
        assert_int_equal(bytes, 7);
}

static void test_forms(void **state) {
        static const char *const bad[] = {"",    "G",    "4",    "-4G",   "+4G",  " 4G",
                                          "4G ", "4 G",  "4g",   "4GB",   "4Gib", "4i",
                                          "4P",  "0x4G", "1.5G", "4GiBx", "4G4G", "4KM"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                refuse(bad[i], -EINVAL);
}

static void test_too_large(void **state) {
        static const char *const large[] = {
                        "0G",
                        "16777216T",
                        "17179869184G",
                        "18014398509481984K",
                        "18446744073709551615K",
                        "18446744073709551616K",
                        "99999999999999999999999999999999999999999999M",
        };

        for (size_t i = 0; i < ELEMENTSOF(large); i++)
                refuse(large[i], -ERANGE);
        /* What is no size is that first of all. */
        refuse("99999999999999999999999999", -EINVAL);
        refuse("99999999999999999999999999x", -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_sizes),
                        cmocka_unit_test(test_forms),
                        cmocka_unit_test(test_too_large),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
