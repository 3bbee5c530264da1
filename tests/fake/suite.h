/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs a group of cases that need root, or reports each of them as skipped with the reason: cmocka's own skip()
 * says "not ok" in TAP. */

#include "fake-host.h"

static inline int suite_skip(const struct CMUnitTest *tests, size_t n, const char *reason) {
        printf("1..%zu\n", n);
        for (size_t i = 0; i < n; i++)
                printf("ok %zu - %s # SKIP needs root: %s\n", i + 1, tests[i].name, reason);
        return EXIT_SUCCESS;
}

/* CASE='*idle*' in the environment runs only some, for whoever looks for a bug. */
static inline void suite_filter(void) {
        if (getenv("CASE"))
                cmocka_set_test_filter(getenv("CASE"));
}

#define suite_run(name, reason, tests)                                                                      \
        (suite_filter(), geteuid() != 0 ? suite_skip(tests, ELEMENTSOF(tests), reason)                      \
                                        : cmocka_run_group_tests_name(name, tests, NULL, NULL))
