/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "authorisation.h"
#include "names.h"

/* What the design promises; that no method is missing is compared with the vtables by tests/lint/methods. */
static void test_who_is_asked(void **state _unused_) {
        static const struct {
                const char *interface, *member;
                AuthorisationKind kind;
                const char *action;
        } table[] = {
                        {BUS_INTERFACE_MANAGER, "Grant", AUTHORISATION_HELPER, POLKIT_ACTION_GRANT},
                        {BUS_INTERFACE_MANAGER, "Revoke", AUTHORISATION_HELPER, POLKIT_ACTION_REVOKE},
                        {BUS_INTERFACE_MANAGER, "CreateClaim", AUTHORISATION_POLKIT, POLKIT_ACTION_CLAIM},
                        {BUS_INTERFACE_CLAIM, "Update", AUTHORISATION_OWNER, POLKIT_ACTION_CLAIM},
                        {BUS_INTERFACE_CLAIM, "Delete", AUTHORISATION_OWNER, POLKIT_ACTION_CLAIM},
                        {BUS_INTERFACE_DEVICE, "Bind", AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE},
                        {BUS_INTERFACE_DEVICE, "Release", AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE},
                        {BUS_INTERFACE_DEVICE, "Reset", AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE},
        };
        const Authorisation *a;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                a = authorisation_find(table[i].interface, table[i].member);
                assert_non_null(a);
                assert_int_equal(a->kind, table[i].kind);
                assert_string_equal(a->action, table[i].action);
        }
        a = authorisation_find(BUS_INTERFACE_DEVICE, "Check");
        assert_non_null(a);
        assert_int_equal(a->kind, AUTHORISATION_OPEN);
        assert_null(a->action);
}

static void test_nobody_may_do_anything_else(void **state _unused_) {
        static const char *const table[][2] = {
                        {BUS_INTERFACE_MANAGER, "Bind"},
                        {BUS_INTERFACE_DEVICE, "Grant"},
                        {BUS_INTERFACE_DEVICE, "bind"},
                        {BUS_INTERFACE_DEVICE, "Bin"},
                        {BUS_INTERFACE_DEVICE, "Bind "},
                        {BUS_INTERFACE_DEVICE, ""},
                        {BUS_INTERFACE_DEVICE, "Recover"},
                        {HELPER_INTERFACE, "Bind"},
                        {"", "Bind"},
                        {NULL, "Bind"},
                        {BUS_INTERFACE_DEVICE, NULL},
                        {NULL, NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_null(authorisation_find(table[i][0], table[i][1]));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_who_is_asked),
                        cmocka_unit_test(test_nobody_may_do_anything_else),
        };

        return cmocka_run_group_tests_name("authorisation", tests, NULL, NULL);
}
