/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Groups and rules: all methods with the errors that they document, what is told, import, and what a restart keeps. */

#include <fcntl.h>

#include "orders.h"
#include "suite.h"

#define MANAGE "org.verge.Passthrough.manage"

static void test_introspection(void **state) {
        Bench *b = *state;
        Path group = orders_make_group(b, b->root, "pool", NULL),
             rule = orders_make_rule(b, b->root, &group, "all", "class_hex bw '02'");

        bench_expect_introspection(b, BUS_NAME, group.text, BUS_INTERFACE_GROUP);
        bench_expect_introspection(b, BUS_NAME, rule.text, BUS_INTERFACE_RULE);
}

static void test_a_group_as_it_is_made(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "PCI \"NICs\" ü", NULL);
        char text[200];

        assert_int_equal(b->n_asked, 1);
        assert_string_equal(b->asked[0].action, MANAGE);
        assert_string_equal(b->asked[0].subject, bench_name(admin));
        assert_string_equal(polkit_detail(b, 0, "verb"), "CreateGroup");
        assert_string_equal(polkit_detail(b, 0, "group"), "PCI \"NICs\" ü");
        assert_string_equal(orders_get_group(b, &group, "Name"), "PCI \"NICs\" ü");
        assert_string_equal(orders_get_group(b, &group, "Type"), "pci");
        assert_string_equal(orders_get_group(b, &group, "Description"), "");
        assert_string_equal(orders_get_group(b, &group, "Class"), "unknown");
        assert_string_equal(orders_get_group(b, &group, "Enabled"), "true");
        assert_string_equal(orders_get_group(b, &group, "Binding"), "on-claim");
        assert_string_equal(orders_get_group(b, &group, "Rules"), "[]");
        assert_string_equal(orders_get_group(b, &group, "Devices"), "[]");
        assert_string_equal(orders_get_group(b, &group, "Total"), "0");
        assert_string_equal(orders_get_group(b, &group, "Available"), "0");
        assert_int_equal(strlen(orders_get_group(b, &group, "Id")), 36);
        assert_string_equal(orders_get_group(b, &group, "Created"), orders_get_group(b, &group, "Modified"));
        (void)snprintf(text, sizeof text, "InterfacesAdded %s", group.text);
        assert_int_equal(bench_count_signals(b, text), 1);
        assert_int_equal(b->n_signals, 1);
        bench_disconnect(admin);
}

static void test_bad_groups(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char name[258], text[2050];

        (void)memset(name, 'x', 257);
        name[257] = '\0';
        (void)memset(text, 'x', 2049);
        text[2049] = '\0';
#define CREATE(...) bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", __VA_ARGS__)
        bench_expect_error(CREATE("", "pci", 0), "InvalidArgument", "empty");
        bench_expect_error(CREATE(name, "pci", 0), "InvalidArgument", "256");
        bench_expect_error(CREATE("a\x01", "pci", 0), "InvalidArgument", "control");
        bench_expect_error(CREATE("a\x7f", "pci", 0), "InvalidArgument", "control");
        bench_expect_error(CREATE("a\xc2\x85", "pci", 0), "InvalidArgument", "control"); /* C1, too */
        bench_expect_error(CREATE("x", "usb", 0), "InvalidArgument", "\"usb\"");
        bench_expect_error(CREATE("x", "", 0), "InvalidArgument", "type");
        bench_expect_error(CREATE("x", "pci", 1, "class", "s", "toy"), "InvalidArgument", "toy");
        bench_expect_error(CREATE("x", "pci", 1, "binding", "s", ""), "InvalidArgument", "binding");
        bench_expect_error(CREATE("x", "pci", 1, "description", "s", text), "InvalidArgument", "2048");
        bench_expect_error(CREATE("x", "pci", 1, "description", "s", "\x1b[31m"), "InvalidArgument",
                           "control");
        bench_expect_error(CREATE("x", "pci", 1, "enabled", "s", "yes"), "InvalidArgument", "type b");
        bench_expect_error(CREATE("x", "pci", 1, "enabled", "v", "b", 1), "InvalidArgument", "type b");
        bench_expect_error(CREATE("x", "pci", 1, "nonsense", "b", 1), "InvalidArgument", "nonsense");
        bench_expect_error(CREATE("x", "pci", 1, "if-modified", "t", (uint64_t)1), "InvalidArgument",
                           "if-modified");
        bench_expect_error(CREATE("x", "pci", 2, "enabled", "b", 1, "enabled", "b", 1), "InvalidArgument",
                           "twice");
        assert_int_equal(b->n_asked, 0);
        assert_int_equal(b->n_signals, 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);

        name[256] = '\0';
        text[2048] = '\0';
        bench_expect_success(CREATE(name, "pci", 1, "description", "s", text));
        bench_expect_error(CREATE(name, "pci", 0), "NameTaken", "xxx");
        assert_int_equal(b->n_asked, 1);
        bench_disconnect(admin);
}

static void test_bad_rules(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", NULL),
             other = orders_make_group(b, admin, "two", NULL);
        char name[258], node[257], filter[4200];

        (void)memset(name, 'x', 257);
        name[257] = '\0';
        (void)memset(node, 'n', 256);
        node[256] = '\0';
        (void)snprintf(filter, sizeof filter, "name eq '%4100s'", "");
#define RULE(...) bench_call_manager(b, admin, "CreateRule", "ossa{sv}", group.text, __VA_ARGS__)
        bench_expect_error(RULE("", "name eq 'x'", 0), "InvalidArgument", "empty");
        bench_expect_error(RULE(name, "name eq 'x'", 0), "InvalidArgument", "256");
        bench_expect_error(RULE("a\tb", "name eq 'x'", 0), "InvalidArgument", "control");
        bench_expect_error(RULE("x", "", 0), "InvalidFilter", "column 1");
        bench_expect_error(RULE("x", "name eq 'x' and", 0), "InvalidFilter", "column 16");
        bench_expect_error(RULE("x", "colour eq 'x'", 0), "InvalidFilter", "column 1");
        bench_expect_error(RULE("x", "name rx '('", 0), "InvalidFilter", "column");
        bench_expect_error(RULE("x", filter, 0), "InvalidFilter", "4096");
        bench_expect_error(RULE("x", "name eq 'x'", 1, "node", "s", node), "InvalidArgument", "255");
        bench_expect_error(RULE("x", "name eq 'x'", 1, "node", "s", "a\nb"), "InvalidArgument", "control");
        bench_expect_error(RULE("x", "name eq 'x'", 1, "node", "o", "/"), "InvalidArgument", "type s");
        bench_expect_error(RULE("x", "name eq 'x'", 1, "filter", "s", "x"), "InvalidArgument", "filter");
        bench_expect_error(
                        bench_call_manager(b, admin, "CreateRule", "ossa{sv}", "/", "x", "name eq 'x'", 0),
                        "NoSuchObject", "/");
        bench_expect_error(bench_call_manager(b, admin, "CreateRule", "ossa{sv}", bench_device_path(NIC),
                                              "x", "name eq 'x'", 0),
                           "NoSuchObject", "group");
        assert_int_equal(b->n_asked, 2);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);

        bench_expect_success(RULE("x", "name eq 'x'", 0));
        bench_expect_error(RULE("x", "name eq 'y'", 0), "NameTaken", "\"pool\"");
        (void)orders_make_rule(b, admin, &other, "x", "name eq 'x'"); /* in another group it may */
        bench_disconnect(admin);
}

static void test_updates(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", NULL),
             other = orders_make_group(b, admin, "two", NULL);
        unsigned long long before = strtoull(orders_get_group(b, &group, "Modified"), NULL, 10), after;

        orders_forget_signals(b);
#define UPDATE(...) orders_call_group(b, admin, &group, "Update", "a{sv}", __VA_ARGS__)
        bench_expect_success(UPDATE(3, "name", "s", "lake", "class", "s", "gpu", "enabled", "b", 0));
        after = strtoull(orders_get_group(b, &group, "Modified"), NULL, 10);
        assert_true(after > before);
        assert_string_equal(orders_get_group(b, &group, "Name"), "lake");
        assert_string_equal(orders_get_group(b, &group, "Enabled"), "false");
        assert_int_equal(b->n_signals, 1);
        assert_int_equal(orders_count_told(b, group.text, "Name"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Class"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Enabled"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Modified"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Description"), 0);

        bench_expect_success(UPDATE(1, "name", "s", "lake")); /* its own */
        bench_expect_error(UPDATE(1, "name", "s", "two"), "NameTaken", "two");
        bench_expect_error(UPDATE(1, "type", "s", "pci"), "InvalidArgument", "type");
        bench_expect_error(UPDATE(2, "name", "s", "new", "class", "s", "?"), "InvalidArgument", "class");
        bench_expect_error(UPDATE(2, "name", "s", "new", "if-modified", "t", (uint64_t)before), "Conflict",
                           "lake");
        bench_expect_error(UPDATE(1, "if-modified", "u", 3), "InvalidArgument", "type t");
        assert_string_equal(orders_get_group(b, &group, "Name"), "lake");

        bench_expect_success(orders_call_group(b, admin, &other, "Delete", ""));
        bench_expect_success(UPDATE(1, "name", "s", "two"));
        bench_disconnect(admin);
}

#define CHANGE(...) orders_call_rule(b, admin, &rule, "Update", "a{sv}", __VA_ARGS__)

static void test_updates_of_rules(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", NULL),
             rule = orders_make_rule(b, admin, &group, "x", "name eq 'x'"),
             second = orders_make_rule(b, admin, &group, "y", "name eq 'y'");

        orders_forget_signals(b);
        bench_expect_success(CHANGE(1, "filter", "s", "( address  eq '" CARD "')"));
        assert_string_equal(polkit_detail(b, b->n_asked - 1, "verb"), "UpdateRule");
        assert_string_equal(polkit_detail(b, b->n_asked - 1, "group"), "pool");
        assert_string_equal(polkit_detail(b, b->n_asked - 1, "rule"), "x");
        assert_string_equal(orders_get_rule(b, &rule, "Filter"), "address eq '" CARD "'"); /* canonical */
        assert_string_equal(orders_get_rule(b, &rule, "Devices"), "[" CARD "]");
        assert_int_equal(orders_count_told(b, rule.text, "Filter"), 1);
        assert_int_equal(orders_count_told(b, rule.text, "Devices"), 1);
        assert_int_equal(orders_count_told(b, rule.text, "Modified"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Devices"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Total"), 1);
        assert_int_equal(orders_count_told(b, group.text, "NeedsApproval"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Modified"), 0);
        assert_int_equal(orders_count_told(b, CARD, "Groups"), 1);
        assert_int_equal(orders_count_told(b, CARD, "Attention"), 1);
        assert_int_equal(b->n_signals, 3);
        assert_non_null(strstr(orders_get_device(b, CARD, "Attention"), "needs approval"));

        bench_expect_success(CHANGE(1, "node", "s", "elsewhere"));
        assert_string_equal(orders_get_rule(b, &rule, "Devices"), "[]");
        assert_string_equal(orders_get_device(b, CARD, "Attention"), "");
        bench_expect_success(CHANGE(1, "node", "s", "test-node"));
        assert_string_equal(orders_get_rule(b, &rule, "Devices"), "[" CARD "]");
        bench_expect_success(CHANGE(1, "enabled", "b", 0));
        assert_string_equal(orders_get_group(b, &group, "Devices"), "[]");

        bench_expect_error(CHANGE(1, "name", "s", "y"), "NameTaken", "\"pool\"");
        bench_expect_error(CHANGE(2, "name", "s", "z", "filter", "s", "?"), "InvalidFilter", "column 1");
        bench_expect_error(CHANGE(1, "class", "s", "gpu"), "InvalidArgument", "class");
        bench_expect_error(CHANGE(2, "name", "s", "z", "if-modified", "t", (uint64_t)5), "Conflict", "x");
        assert_string_equal(orders_get_rule(b, &rule, "Name"), "x");

        bench_expect_success(orders_call_rule(b, admin, &second, "Delete", ""));
        bench_expect_success(CHANGE(1, "name", "s", "y"));
        bench_disconnect(admin);
}

static void test_stale_paths(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", NULL),
             rule = orders_make_rule(b, admin, &group, "x", "address eq '" CARD "'");
        char text[200];

        orders_forget_signals(b);
        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));
        assert_string_equal(orders_get_device(b, CARD, "Groups"), "[]");
        (void)snprintf(text, sizeof text, "InterfacesRemoved %s", group.text);
        assert_int_equal(bench_count_signals(b, text), 1);
        (void)snprintf(text, sizeof text, "InterfacesRemoved %s", rule.text);
        assert_int_equal(bench_count_signals(b, text), 1);
        assert_int_equal(orders_count_told(b, CARD, "Groups"), 1);
        assert_int_equal(b->n_signals, 3);

        bench_expect_error(orders_call_group(b, admin, &group, "Delete", ""),
                           "org.freedesktop.DBus.Error.UnknownObject", "");
        bench_expect_error(orders_call_rule(b, admin, &rule, "Update", "a{sv}", 0),
                           "org.freedesktop.DBus.Error.UnknownObject", "");
        bench_expect_error(bench_call_manager(b, admin, "CreateRule", "ossa{sv}", group.text, "x",
                                              "name eq 'x'", 0),
                           "NoSuchObject", group.text);
        bench_disconnect(admin);
}

/* polkit says no, would have to prompt, or is not there: nothing is changed. */
static void try_all(Bench *b, sd_bus *from, const Path *group, const Path *rule, const char *error) {
        bench_expect_error(bench_call_manager(b, from, "CreateGroup", "ssa{sv}", "new", "pci", 0), error,
                           "");
        bench_expect_error(bench_call_manager(b, from, "CreateRule", "ossa{sv}", group->text, "new",
                                              "name eq 'x'", 0),
                           error, "");
        bench_expect_error(bench_call_manager(b, from, "Import", "sa{sv}",
                                              "{\"format\": \"org.verge.Passthrough\", \"version\": 1, "
                                              "\"groups\": []}",
                                              1, "prune", "b", 1),
                           error, "");
        bench_expect_error(orders_call_group(b, from, group, "Update", "a{sv}", 1, "name", "s", "new"),
                           error, "");
        bench_expect_error(orders_call_rule(b, from, rule, "Update", "a{sv}", 1, "name", "s", "new"), error,
                           "");
        bench_expect_error(orders_call_rule(b, from, rule, "Delete", ""), error, "");
        bench_expect_error(orders_call_group(b, from, group, "Delete", ""), error, "");
}

static void test_who_is_not_authorized(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", NULL),
             rule = orders_make_rule(b, admin, &group, "x", "address eq '" CARD "'");

        orders_forget_signals(b);
        polkit_set_mode(b, POLKIT_NO);
        try_all(b, admin, &group, &rule, "NotAuthorized");
        polkit_set_mode(b, POLKIT_ERROR);
        try_all(b, admin, &group, &rule, "NotAuthorized");
        polkit_set_mode(b, POLKIT_CHALLENGE);
        try_all(b, admin, &group, &rule, "NotAuthorized");
        polkit_set_mode(b, POLKIT_GONE);
        try_all(b, admin, &group, &rule, "NotAuthorized");
        assert_int_equal(b->n_signals, 0);
        assert_string_equal(orders_get_group(b, &group, "Name"), "pool");
        assert_string_equal(orders_get_rule(b, &rule, "Name"), "x");
        for (size_t i = 2; i < b->n_asked; i++)
                assert_string_equal(b->asked[i].action, MANAGE);
        bench_disconnect(admin);
}

static void test_what_is_open_to_everybody(void **state) {
        Bench *b = *state;
        sd_bus *nobody = bench_connect(b, NOBODY_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             rule = orders_make_rule(b, b->root, &group, "x", "address eq '" CARD "'");
        char expected[300];

        polkit_set_mode(b, POLKIT_NO);
        (void)snprintf(expected, sizeof expected, "[" CARD "] [(" CARD " %s)]", rule.text);
        assert_string_equal(orders_show(bench_call_manager(b, nobody, "PreviewRule", "ss",
                                                           "vendor_device_hex eq "
                                                           "'10de:1eb8'",
                                                           "")),
                            expected);
        assert_string_equal(orders_show(bench_call_manager(b, nobody, "PreviewRule", "ss",
                                                           "address bw '0000'", "elsewhere")),
                            "[] []");
        bench_expect_error(bench_call_manager(b, nobody, "PreviewRule", "ss", "address", ""),
                           "InvalidFilter", "column 8");
        assert_non_null(strstr(orders_show(bench_call_manager(b, nobody, "Export", "")), "\"pool\""));
        assert_memory_equal(orders_show(orders_call_rule(b, nobody, &rule, "Explain", "o",
                                                         bench_device_path(CARD))),
                            "true ", 5);
        assert_memory_equal(orders_show(orders_call_rule(b, nobody, &rule, "Explain", "o",
                                                         bench_device_path(NIC))),
                            "false ", 6);
        bench_expect_error(orders_call_rule(b, nobody, &rule, "Explain", "o", group.text), "NoSuchDevice",
                           "");
        assert_int_equal(b->n_asked, 0);
        bench_disconnect(nobody);
}

/* Both calls have passed the first look and wait for their prompts. */
static void test_two_admins_at_once(void **state) {
        Bench *b = *state;
        sd_bus *one = bench_connect(b, ADMIN_UID), *two = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL);
        uint64_t modified = strtoull(orders_get_group(b, &group, "Modified"), NULL, 10);
        Pending *p[4];

        polkit_set_mode(b, POLKIT_HANG);
        p[0] = bench_start(b, one, BUS_NAME, group.text, BUS_INTERFACE_GROUP, "Update", true, "a{sv}", 2,
                           "name", "s", "first", "if-modified", "t", modified);
        p[1] = bench_start(b, two, BUS_NAME, group.text, BUS_INTERFACE_GROUP, "Update", true, "a{sv}", 2,
                           "name", "s", "second", "if-modified", "t", modified);
        p[2] = bench_start(b, one, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateGroup", true, "ssa{sv}",
                           "new", "pci", 0);
        p[3] = bench_start(b, two, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateGroup", true, "ssa{sv}",
                           "new", "pci", 0);
        bench_until_asked(b, 4);
        for (size_t i = 4; i > 0; i--)
                polkit_settle(b, i - 1, true);
        /* Who was answered first has won; which call was asked first is the bus's business. */
        {
                sd_bus_message *r[4];

                for (size_t i = 0; i < 4; i++)
                        r[i] = bench_finish(b, p[i]);
                assert_int_equal(!!sd_bus_message_get_error(r[0]) + !!sd_bus_message_get_error(r[1]), 1);
                assert_int_equal(!!sd_bus_message_get_error(r[2]) + !!sd_bus_message_get_error(r[3]), 1);
                for (size_t i = 0; i < 4; i++)
                        if (sd_bus_message_get_error(r[i]))
                                bench_expect_error(r[i], i < 2 ? "Conflict" : "NameTaken", "");
                        else
                                bench_expect_success(r[i]);
        }
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 2);

        /* And one deletes what the other changes. */
        p[0] = bench_start(b, one, BUS_NAME, group.text, BUS_INTERFACE_GROUP, "Delete", true, "");
        bench_until_asked(b, 5);
        p[1] = bench_start(b, two, BUS_NAME, group.text, BUS_INTERFACE_GROUP, "Update", true, "a{sv}", 1,
                           "class", "s", "gpu");
        bench_until_asked(b, 6);
        p[2] = bench_start(b, two, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateRule", true, "ossa{sv}",
                           group.text, "x", "name eq 'x'", 0);
        bench_until_asked(b, 7);
        polkit_settle(b, 4, true);
        bench_expect_success(bench_finish(b, p[0]));
        polkit_settle(b, 5, true);
        polkit_settle(b, 6, true);
        bench_expect_error(bench_finish(b, p[1]), "NoSuchObject", "");
        bench_expect_error(bench_finish(b, p[2]), "NoSuchObject", "");
        bench_disconnect(one);
        bench_disconnect(two);
}

static void test_the_oldest_rule_decides(void **state) {
        Bench *b = *state;
        Path first = orders_make_group(b, b->root, "b first", NULL),
             second = orders_make_group(b, b->root, "a second", NULL),
             old = orders_make_rule(b, b->root, &first, "old", "address eq '" CARD "'"), new;
        char text[300], other[300];

        orders_forget_signals(b);
        new = orders_make_rule(b, b->root, &second, "new", "address bw '0000:0' and class_hex bw '03'");
        assert_string_equal(orders_get_group(b, &first, "Devices"), "[" CARD "]");
        assert_string_equal(orders_get_group(b, &second, "Devices"), "[]");
        assert_string_equal(orders_get_rule(b, &new, "Devices"), "[" CARD "]");
        (void)snprintf(text, sizeof text, "[(" CARD " %s)]", new.text);
        assert_string_equal(orders_get_rule(b, &old, "Overlaps"), text);
        (void)snprintf(text, sizeof text, "[(" CARD " %s)]", old.text);
        assert_string_equal(orders_get_rule(b, &new, "Overlaps"), text);
        (void)snprintf(text, sizeof text, "[%s %s]", first.text, second.text);
        assert_string_equal(orders_get_device(b, CARD, "Groups"), text);
        assert_int_equal(orders_count_told(b, old.text, "Overlaps"), 1);
        assert_int_equal(orders_count_told(b, CARD, "Groups"), 1);
        assert_int_equal(orders_count_told(b, first.text, "Devices"), 0);

        orders_forget_signals(b);
        bench_expect_success(orders_call_rule(b, b->root, &old, "Delete", ""));
        assert_string_equal(orders_get_group(b, &second, "Devices"), "[" CARD "]");
        assert_string_equal(orders_get_rule(b, &new, "Overlaps"), "[]");
        assert_int_equal(orders_count_told(b, new.text, "Overlaps"), 1);
        assert_int_equal(orders_count_told(b, first.text, "Devices"), 1);
        assert_int_equal(orders_count_told(b, second.text, "Devices"), 1);
        (void)snprintf(other, sizeof other, "InterfacesRemoved %s", old.text);
        assert_int_equal(bench_count_signals(b, other), 1);
}

#define DOCUMENT(groups) "{\"format\": \"org.verge.Passthrough\", \"version\": 1, \"groups\": [" groups "]}"

static const char *import(Bench *b, sd_bus *from, const char *document, bool prune) {
        return orders_show(
                        prune ? bench_call_manager(b, from, "Import", "sa{sv}", document, 1, "prune", "b", 1)
                              : bench_call_manager(b, from, "Import", "sa{sv}", document, 0));
}

static void test_import(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", "persistent"), other;
        _cleanup_free_ char *document = NULL;

        (void)orders_make_rule(b, admin, &group, "x", "address eq '" CARD "'");
        (void)orders_make_rule(b, admin, &group, "it''s", "name eq 'it''s' or not numa ge 0x10");
        document = strdup(orders_show(bench_call_manager(b, admin, "Export", "")));
        orders_forget_signals(b);
        assert_string_equal(import(b, admin, document, true), "0");
        assert_string_equal(import(b, admin, document, false), "0");
        assert_int_equal(b->n_signals, 0);

        other = orders_make_group(b, admin, "other", NULL);
        (void)orders_make_rule(b, admin, &other, "y", "name eq 'y'");
        (void)orders_make_rule(b, admin, &group, "z", "name eq 'z'");
        bench_expect_success(orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "binding", "s",
                                               "on-claim"));
        assert_string_equal(import(b, admin, document, false), "1"); /* the binding */
        assert_string_equal(import(b, admin, document, true), "3");  /* z, other and y */
        assert_string_equal(import(b, admin, document, true), "0");
        assert_string_equal(orders_show(bench_call_manager(b, admin, "Export", "")), document);

        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));
        assert_string_equal(import(b, admin, document, false), "3");
        assert_string_equal(orders_show(bench_call_manager(b, admin, "Export", "")), document);
        assert_string_equal(import(b, admin, document, true), "0");
        bench_disconnect(admin);
}

static void test_bad_imports(void **state) {
        static const char *const bad[] = {
                        "",
                        "{}",
                        "[]",
                        DOCUMENT("") "x",
                        DOCUMENT("{\"name\": \"a\"}, {\"name\": \"a\"}"),
                        DOCUMENT("{\"name\": \"a\"}, {\"name\": \"\"}"),
                        DOCUMENT("{\"name\": \"a\", \"colour\": 1}"),
                        DOCUMENT("{\"name\": \"a\", \"enabled\": 1}"),
                        DOCUMENT("{\"name\": \"a\", \"rules\": [{\"name\": \"x\", \"filter\": \"?\"}]}"),
                        DOCUMENT("{\"name\": \"a\", \"rules\": [{\"name\": \"x\"}]}"),
                        DOCUMENT("{\"name\": \"a\\u0000b\"}"),
        };
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        (void)orders_make_group(b, admin, "pool", NULL);
        orders_forget_signals(b);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                bench_expect_error(
                                bench_call_manager(b, admin, "Import", "sa{sv}", bad[i], 1, "prune", "b", 1),
                                "InvalidArgument", "");
        bench_expect_error(
                        bench_call_manager(b, admin, "Import", "sa{sv}", DOCUMENT(""), 1, "purge", "b", 1),
                        "InvalidArgument", "purge");
        assert_int_equal(b->n_asked, 1);
        assert_int_equal(b->n_signals, 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);
        bench_disconnect(admin);
}

static char *make_big_document(unsigned groups, unsigned rules) {
        char *text;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        (void)fputs("{\"format\": \"org.verge.Passthrough\", \"version\": 1, \"groups\": [", f);
        for (unsigned i = 0; i < groups; i++) {
                (void)fprintf(f, "%s{\"name\": \"g%u\", \"rules\": [", i > 0 ? ", " : "", i);
                for (unsigned k = 0; k < rules / groups; k++)
                        (void)fprintf(f, "%s{\"name\": \"r%u\", \"filter\": \"physical_slot eq 's%u'\"}",
                                      k > 0 ? ", " : "", k, k);
                (void)fputs("]}", f);
        }
        (void)fputs("]}", f);
        (void)fclose(f);
        return text;
}

static void test_the_10001st_rule(void **state) {
        _cleanup_free_ char *document = make_big_document(10, 10000), *more = make_big_document(1, 10001);
        Bench *b = *state;
        Path group;

        b->deaf = true;
        assert_string_equal(import(b, b->root, document, true), "10010");
        assert_string_equal(import(b, b->root, document, true), "0");
        group = orders_make_group(b, b->root, "one more", NULL);
        bench_expect_error(bench_call_manager(b, b->root, "CreateRule", "ossa{sv}", group.text, "x",
                                              "name eq 'x'", 0),
                           "LimitsExceeded", "10000");
        bench_expect_error(bench_call_manager(b, b->root, "Import", "sa{sv}", more, 1, "prune", "b", 1),
                           NULL, "10000");
        assert_string_equal(orders_get_group(b, &group, "Rules"), "[]");
        bench_expect_error(orders_make(b, b->root, NIC, NULL, "pool", NULL), "NotAuthorized", "");
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""));
        while (!streq(orders_get_device(b, NIC, "Granted"), "true"))
                ;
        bench_expect_error(orders_make(b, b->root, NIC, NULL, "pool", NULL), "LimitsExceeded", "10000");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 10000);

        bench_kill_daemon(b);
        bench_start_daemon(b);
        assert_string_equal(import(b, b->root, document, false), "0");
        assert_string_equal(import(b, b->root, DOCUMENT(""), true), "10011");
}

static void test_the_1001st_group(void **state) {
        _cleanup_free_ char *document = make_big_document(1000, 0), *more = make_big_document(1001, 0);
        Bench *b = *state;

        b->deaf = true;
        assert_string_equal(import(b, b->root, document, true), "1000");
        bench_expect_error(bench_call_manager(b, b->root, "CreateGroup", "ssa{sv}", "x", "pci", 0),
                           "LimitsExceeded", "1000");
        bench_expect_error(bench_call_manager(b, b->root, "Import", "sa{sv}", more, 0), NULL, "1000");
        bench_expect_error(orders_make(b, b->root, NIC, NULL, "x", NULL), "LimitsExceeded", "1000");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1000);
}

static void test_a_restart_keeps_all(void **state) {
        Bench *b = *state;
        Path group = orders_make_group(b, b->root, "pool", NULL), first, second;
        _cleanup_free_ char *created = NULL, *modified = NULL, *rules = NULL, *document = NULL;

        first = orders_make_rule(b, b->root, &group, "z", "address eq '" CARD "'");
        second = orders_make_rule(b, b->root, &group, "a", "address eq '" NIC "'");
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 3, "class", "s",
                                               "fpga", "description", "s", "two\nlines", "enabled", "b", 0));
        bench_expect_success(orders_call_rule(b, b->root, &second, "Update", "a{sv}", 1, "enabled", "b", 0));
        created = strdup(orders_get_group(b, &group, "Created"));
        modified = strdup(orders_get_group(b, &group, "Modified"));
        rules = strdup(orders_get_group(b, &group, "Rules"));
        document = strdup(orders_show(bench_call_manager(b, b->root, "Export", "")));

        for (int i = 0; i < 2; i++) { /* by force, and well */
                if (i == 0)
                        bench_kill_daemon(b);
                else
                        bench_stop_daemon(b);
                bench_start_daemon(b);
                assert_string_equal(orders_get_group(b, &group, "Created"), created);
                assert_string_equal(orders_get_group(b, &group, "Modified"), modified);
                assert_string_equal(orders_get_group(b, &group, "Rules"), rules);
                assert_string_equal(orders_get_group(b, &group, "Devices"), "[" CARD "]");
                assert_string_equal(orders_get_rule(b, &first, "Devices"), "[" CARD "]");
                assert_string_equal(orders_get_rule(b, &second, "Enabled"), "false");
                assert_non_null(strstr(orders_get_device(b, CARD, "Groups"), group.text));
                assert_non_null(strstr(orders_get_device(b, CARD, "Attention"), "needs approval"));
                assert_string_equal(orders_show(bench_call_manager(b, b->root, "Export", "")), document);
        }

        /* Ages go on where they were: the new rule is the youngest. */
        (void)orders_make_rule(b, b->root, &group, "m", "name eq 'x'");
        rules[strlen(rules) - 1] = '\0';
        assert_memory_equal(orders_get_group(b, &group, "Rules"), rules, strlen(rules));
}

static void spoil(Bench *b, const char *content) {
        fake_host_write(b->host, STATE_DIR "/store.db", "%s", content);
        fake_host_remove(b->host, STATE_DIR "/store.db-wal");
        fake_host_remove(b->host, STATE_DIR "/store.db-shm");
        assert_int_equal(fchownat(b->host->fd, STATE_DIR "/store.db", DAEMON_UID, (gid_t)-1, 0), 0);
}

/* Nothing is known of groups; what they had bound stays as it is, and nothing can be changed. */
static void expect_read_only(Bench *b, sd_bus *admin, const char *reason) {
        const char *text = orders_get_manager(b, "ReadOnlyReason");

        assert_string_equal(orders_get_manager(b, "ReadOnly"), "true");
        if (!strstr(text, reason) || !strstr(text, "store.db"))
                fail_msg("no \"%s\": %s", reason, text);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);
        bench_expect_error(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "x", "pci", 0), "ReadOnly",
                           reason);
        bench_expect_error(bench_call_manager(b, admin, "Import", "sa{sv}", DOCUMENT(""), 0), "ReadOnly",
                           reason);
        bench_expect_error(orders_make(b, admin, CARD, NULL, "pool", NULL), "ReadOnly", reason);
        bench_expect_error(orders_return(b, admin, NIC), "ReadOnly", reason);
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_string_equal(orders_get_device(b, NIC, "State"), "pool");
        assert_string_equal(orders_get_device(b, NIC, "Attention"), "");
}

static void test_an_unreadable_database(void **state) {
        static const struct {
                const char *content, *reason;
        } cases[] = {{"", "empty"},
                     {"garbage that is no database at all, and longer than its header is: "
                      "0123456789012345678901234567890123456789012345678901234567890123456789",
                      "damaged"}};
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        size_t n;

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        fake_host_clear(b->host);
        n = b->n_asked;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *log = NULL, *content = NULL;

                bench_stop_daemon(b);
                spoil(b, cases[i].content);
                bench_start_daemon(b);
                expect_read_only(b, admin, cases[i].reason);
                log = fake_host_log(b->host);
                assert_string_equal(log, "");
                content = fake_host_read(b->host, STATE_DIR "/store.db");
                assert_string_equal(content, cases[i].content);
        }
        assert_int_equal(b->n_asked, n);

        /* By hand it goes home all the same. */
        bench_expect_success(bench_call_device(b, admin, NIC, "Release"));
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        bench_disconnect(admin);
}

/* The header of an SQLite file has the number at this place, big-endian. */
static void test_a_database_of_a_newer_version(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char version[4];
        int fd;

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        bench_stop_daemon(b);
        fd = openat(b->host->fd, STATE_DIR "/store.db", O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, version, 4, 60), 4);
        assert_int_equal(pwrite(fd, "\0\0\0\x63", 4, 60), 4);
        bench_start_daemon(b);
        expect_read_only(b, admin, "format 99");

        /* The newer version is there again. */
        bench_stop_daemon(b);
        assert_int_equal(pwrite(fd, version, 4, 60), 4);
        (void)close(fd);
        bench_start_daemon(b);
        assert_string_equal(orders_get_manager(b, "ReadOnly"), "false");
        assert_string_equal(orders_get_manager(b, "ReadOnlyReason"), "");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);
        bench_expect_success(orders_return(b, admin, NIC));
        bench_disconnect(admin);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, orders_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_introspection),
                        CASE(test_a_group_as_it_is_made),
                        CASE(test_bad_groups),
                        CASE(test_bad_rules),
                        CASE(test_updates),
                        CASE(test_updates_of_rules),
                        CASE(test_stale_paths),
                        CASE(test_who_is_not_authorized),
                        CASE(test_what_is_open_to_everybody),
                        CASE(test_two_admins_at_once),
                        CASE(test_the_oldest_rule_decides),
                        CASE(test_import),
                        CASE(test_bad_imports),
                        CASE(test_the_10001st_rule),
                        CASE(test_the_1001st_group),
                        CASE(test_a_restart_keeps_all),
                        CASE(test_an_unreadable_database),
                        CASE(test_a_database_of_a_newer_version),
        };

        return suite_run("bus-groups", "runs its parts under several users", tests);
}
