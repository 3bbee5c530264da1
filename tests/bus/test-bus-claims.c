/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Claims as orders: all methods with the errors that they document, whose they are, what is told, and what a restart
 * keeps. */

#include "orders.h"
#include "suite.h"

#define CLAIM "org.verge.Passthrough.claim"
#define UNKNOWN_OBJECT "org.freedesktop.DBus.Error.UnknownObject"

static void test_introspection(void **state) {
        Bench *b = *state;
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, b->root, "web", &group, 1);

        bench_expect_introspection(b, BUS_NAME, claim.text, BUS_INTERFACE_CLAIM);
        bench_expect_introspection(b, BUS_NAME, group.text, BUS_INTERFACE_GROUP);
        bench_expect_introspection(b, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER);
}

static void test_a_claim_as_it_is_made(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "PCI NICs", NULL), claim;
        char text[200];

        orders_forget_signals(b);
        claim = orders_make_claim(b, user, "web ü", &group, 3);
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(b->asked[0].action, CLAIM);
        assert_string_equal(b->asked[0].subject, bench_name(user));
        assert_string_equal(polkit_detail(b, 0, "verb"), "CreateClaim");
        assert_string_equal(polkit_detail(b, 0, "group"), "PCI NICs");
        assert_string_equal(polkit_detail(b, 0, "vm"), "web ü");
        assert_string_equal(polkit_detail(b, 0, "count"), "3");
        assert_string_equal(polkit_detail(b, 0, "owner"), "3");

        assert_int_equal(strlen(orders_get_claim(b, &claim, "Id")), 36);
        assert_string_equal(orders_get_claim(b, &claim, "Vm"), "web ü");
        assert_string_equal(orders_get_claim(b, &claim, "Name"), "PCI NICs 1");
        assert_string_equal(orders_get_claim(b, &claim, "Description"), "");
        assert_string_equal(orders_get_claim(b, &claim, "Group"), group.text);
        assert_string_equal(orders_get_claim(b, &claim, "Count"), "3");
        assert_string_equal(orders_get_claim(b, &claim, "Optional"), "false");
        assert_string_equal(orders_get_claim(b, &claim, "Enabled"), "true");
        assert_string_equal(orders_get_claim(b, &claim, "Order"), "0");
        assert_string_equal(orders_get_claim(b, &claim, "Owner"), "3");
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[]");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &claim, "StatusInfo"), "");
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        assert_string_equal(orders_get_claim(b, &claim, "MemoryLock"), "0");
        assert_string_equal(orders_get_claim(b, &claim, "Created"), orders_get_claim(b, &claim, "Modified"));

        (void)snprintf(text, sizeof text, "[%s]", claim.text);
        assert_string_equal(orders_get_group(b, &group, "Claims"), text);
        (void)snprintf(text, sizeof text, "InterfacesAdded %s", claim.text);
        assert_int_equal(bench_count_signals(b, text), 1);
        assert_int_equal(orders_count_told(b, group.text, "Claims"), 1);
        assert_int_equal(b->n_signals, 2);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 1);
        bench_disconnect(user);
}

#define CREATE(...) bench_call_manager(b, user, "CreateClaim", "soua{sv}", __VA_ARGS__)

static void test_bad_claims(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL);
        char name[258], text[2050];
        const char *g = group.text;

        (void)memset(name, 'x', 257);
        name[257] = '\0';
        (void)memset(text, 'x', 2049);
        text[2049] = '\0';
        orders_forget_signals(b);
        bench_expect_error(CREATE("", g, 1, 0), "InvalidArgument", "empty");
        bench_expect_error(CREATE(name, g, 1, 0), "InvalidArgument", "256");
        bench_expect_error(CREATE("a\nb", g, 1, 0), "InvalidArgument", "control");
        bench_expect_error(CREATE("web", g, 0, 0), "InvalidArgument", "1 to 16");
        bench_expect_error(CREATE("web", g, 17, 0), "InvalidArgument", "17");
        bench_expect_error(CREATE("web", g, UINT32_MAX, 0), "InvalidArgument", "16");
        bench_expect_error(CREATE("web", "/", 1, 0), "NoSuchObject", "/");
        bench_expect_error(CREATE("web", bench_device_path(NIC), 1, 0), "NoSuchObject", "group");
        bench_expect_error(CREATE("web", g, 1, 1, "name", "s", name), "InvalidArgument", "256");
        bench_expect_error(CREATE("web", g, 1, 1, "name", "s", "\x1b"), "InvalidArgument", "control");
        bench_expect_error(CREATE("web", g, 1, 1, "description", "s", text), "InvalidArgument", "2048");
        bench_expect_error(CREATE("web", g, 1, 1, "order", "u", 65536), "InvalidArgument", "65535");
        bench_expect_error(CREATE("web", g, 1, 1, "order", "i", 1), "InvalidArgument", "type u");
        bench_expect_error(CREATE("web", g, 1, 1, "optional", "s", "yes"), "InvalidArgument", "type b");
        bench_expect_error(CREATE("web", g, 1, 1, "count", "u", 1), "InvalidArgument", "\"count\"");
        bench_expect_error(CREATE("web", g, 1, 1, "if-modified", "t", (uint64_t)1), "InvalidArgument",
                           "if-modified");
        bench_expect_error(CREATE("web", g, 1, 2, "enabled", "b", 1, "enabled", "b", 1), "InvalidArgument",
                           "twice");
        assert_int_equal(b->n_asked, 0);
        assert_int_equal(b->n_signals, 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 0);

        name[256] = '\0';
        text[2048] = '\0';
        bench_expect_success(CREATE(name, g, 16, 3, "name", "s", name, "description", "s", text, "order",
                                    "u", 65535));
        bench_expect_error(CREATE(name, g, 1, 1, "name", "s", name), "NameTaken", "xxx");
        assert_int_equal(b->n_asked, 1);
        bench_disconnect(user);
}

/* A disabled group may be claimed: whoever enables it decides. */
static void test_all_options(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL), claim;

        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "enabled", "b", 0));
        claim = orders_take_path(CREATE("web", group.text, 2, 5, "name", "s", "fast", "description", "s",
                                        "two\nlines", "optional", "b", 1, "enabled", "b", 0, "order", "u",
                                        7));
        assert_string_equal(polkit_detail(b, 0, "claim"), "fast");
        assert_string_equal(orders_get_claim(b, &claim, "Name"), "fast");
        assert_string_equal(orders_get_claim(b, &claim, "Description"), "two\nlines");
        assert_string_equal(orders_get_claim(b, &claim, "Optional"), "true");
        assert_string_equal(orders_get_claim(b, &claim, "Enabled"), "false");
        assert_string_equal(orders_get_claim(b, &claim, "Order"), "7");
        bench_disconnect(user);
}

static void test_made_up_names(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL), first, second, long_group, c;
        char name[257], expected[257];

        first = orders_make_claim(b, user, "web", &group, 1);
        second = orders_take_path(CREATE("web", group.text, 1, 1, "name", "s", "  "));
        assert_string_equal(orders_get_claim(b, &first, "Name"), "pool 1");
        assert_string_equal(orders_get_claim(b, &second, "Name"), "pool 2");

        /* Another VM, and another user's VM of the same name, have names of their own. */
        c = orders_make_claim(b, user, "db", &group, 1);
        assert_string_equal(orders_get_claim(b, &c, "Name"), "pool 1");
        c = orders_make_claim(b, admin, "web", &group, 1);
        assert_string_equal(orders_get_claim(b, &c, "Name"), "pool 1");

        /* The first that is free; and its own is free. */
        bench_expect_success(orders_call_claim(b, user, &first, "Delete", ""));
        bench_expect_success(orders_call_claim(b, user, &second, "Update", "a{sv}", 1, "name", "s", ""));
        assert_string_equal(orders_get_claim(b, &second, "Name"), "pool 1");
        bench_expect_success(orders_call_claim(b, user, &second, "Update", "a{sv}", 1, "name", "s", ""));
        assert_string_equal(orders_get_claim(b, &second, "Name"), "pool 1");
        first = orders_take_path(CREATE("web", group.text, 1, 1, "name", "s", ""));
        assert_string_equal(orders_get_claim(b, &first, "Name"), "pool 2");

        /* The group's name is as long as can be, in characters of two bytes. */
        for (size_t i = 0; i < 256; i += 2)
                (void)memcpy(name + i, "ü", 2);
        name[256] = '\0';
        long_group = orders_make_group(b, b->root, name, NULL);
        c = orders_make_claim(b, user, "web", &long_group, 1);
        (void)snprintf(expected, sizeof expected, "%.244s 1", name);
        assert_string_equal(orders_get_claim(b, &c, "Name"), expected);
        bench_disconnect(user);
        bench_disconnect(admin);
}

#define UPDATE(from, ...) orders_call_claim(b, from, &claim, "Update", "a{sv}", __VA_ARGS__)

static void test_updates(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, user, "web", &group, 2),
             other = orders_make_claim(b, user, "web", &group, 1);
        unsigned long long before = strtoull(orders_get_claim(b, &claim, "Modified"), NULL, 10);

        orders_forget_signals(b);
        bench_expect_success(UPDATE(user, 3, "name", "s", "cards", "optional", "b", 1, "order", "u", 4));
        assert_true(strtoull(orders_get_claim(b, &claim, "Modified"), NULL, 10) > before);
        assert_string_equal(orders_get_claim(b, &claim, "Name"), "cards");
        assert_string_equal(orders_get_claim(b, &claim, "Optional"), "true");
        assert_string_equal(orders_get_claim(b, &claim, "Order"), "4");
        assert_int_equal(b->n_signals, 1);
        assert_int_equal(orders_count_told(b, claim.text, "Name"), 1);
        assert_int_equal(orders_count_told(b, claim.text, "Optional"), 1);
        assert_int_equal(orders_count_told(b, claim.text, "Order"), 1);
        assert_int_equal(orders_count_told(b, claim.text, "Modified"), 1);
        assert_int_equal(orders_count_told(b, claim.text, "Count"), 0);

        bench_expect_success(UPDATE(user, 1, "name", "s", "cards")); /* its own */
        assert_int_equal(b->n_signals, 1);
        bench_expect_error(UPDATE(user, 1, "name", "s", "pool 2"), "NameTaken", "\"web\"");
        bench_expect_error(UPDATE(user, 1, "vm", "s", "db"), "InvalidArgument", "\"vm\"");
        bench_expect_error(UPDATE(user, 1, "group", "o", group.text), "InvalidArgument", "\"group\"");
        bench_expect_error(UPDATE(user, 2, "name", "s", "new", "count", "u", 0), "InvalidArgument",
                           "1 to 16");
        bench_expect_error(UPDATE(user, 2, "name", "s", "new", "count", "u", 17), "InvalidArgument", "17");
        bench_expect_error(UPDATE(user, 1, "count", "t", (uint64_t)1), "InvalidArgument", "type u");
        bench_expect_error(UPDATE(user, 2, "name", "s", "new", "if-modified", "t", (uint64_t)before),
                           "Conflict", "cards");
        assert_string_equal(orders_get_claim(b, &claim, "Name"), "cards");
        assert_int_equal(b->n_asked, 2); /* both were CreateClaim */

        bench_expect_success(orders_call_claim(b, user, &other, "Delete", ""));
        bench_expect_success(UPDATE(user, 1, "name", "s", "pool 2"));
        bench_disconnect(user);
}

/* polkit says no to everybody: what still works is done unasked. */
static void test_whose_claim_it_is(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);

        polkit_set_mode(b, POLKIT_NO);
        bench_expect_success(UPDATE(user, 1, "count", "u", 1));
        bench_expect_success(UPDATE(user, 2, "count", "u", 1, "enabled", "b", 0));
        assert_int_equal(b->n_asked, 1);
        bench_expect_error(UPDATE(user, 1, "count", "u", 2), "NotAuthorized", "");
        assert_int_equal(b->n_asked, 2);
        assert_string_equal(b->asked[1].action, CLAIM);
        assert_string_equal(polkit_detail(b, 1, "verb"), "UpdateClaim");
        assert_string_equal(polkit_detail(b, 1, "count"), "2");
        assert_string_equal(polkit_detail(b, 1, "group"), "pool");
        assert_string_equal(polkit_detail(b, 1, "vm"), "web");
        assert_string_equal(polkit_detail(b, 1, "claim"), "pool 1");

        bench_expect_error(UPDATE(admin, 1, "name", "s", "x"), "NotAuthorized", "");
        assert_string_equal(polkit_detail(b, 2, "count"), "1");
        assert_string_equal(polkit_detail(b, 2, "owner"), "3");
        bench_expect_error(orders_call_claim(b, admin, &claim, "Delete", ""), "NotAuthorized", "");
        assert_string_equal(polkit_detail(b, 3, "verb"), "DeleteClaim");
        assert_string_equal(polkit_detail(b, 3, "vm"), "web");
        assert_int_equal(b->n_asked, 4);
        assert_string_equal(orders_get_claim(b, &claim, "Name"), "pool 1");
        assert_string_equal(orders_get_claim(b, &claim, "Count"), "1");

        /* It stays its owner's, whoever changes it; and root is never asked. */
        bench_expect_success(UPDATE(b->root, 1, "count", "u", 5));
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(UPDATE(admin, 1, "count", "u", 6));
        assert_string_equal(orders_get_claim(b, &claim, "Count"), "6");
        assert_string_equal(orders_get_claim(b, &claim, "Owner"), "3");
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        assert_int_equal(b->n_asked, 5);
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* Less, and then more than that: the second is no growth when it arrives, and is one when its turn comes. */
static void test_no_growth_behind_the_back(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, user, "web", &group, 9);
        sd_bus_message *reply;
        Pending *p[2];

        polkit_set_mode(b, POLKIT_NO);
        for (uint32_t i = 9; i > 1; i -= 2) {
                p[0] = bench_start(b, user, BUS_NAME, claim.text, BUS_INTERFACE_CLAIM, "Update", true,
                                   "a{sv}", 1, "count", "u", i - 2);
                p[1] = bench_start(b, user, BUS_NAME, claim.text, BUS_INTERFACE_CLAIM, "Update", true,
                                   "a{sv}", 1, "count", "u", i - 1);
                bench_expect_success(bench_finish(b, p[0]));
                reply = bench_finish(b, p[1]);
                if (!sd_bus_error_has_name(sd_bus_message_get_error(reply),
                                           "org.verge.Passthrough.Error.NotAuthorized"))
                        bench_expect_error(sd_bus_message_ref(reply), "Conflict", "pool 1");
                sd_bus_message_unref(reply);
                assert_int_equal(strtoul(orders_get_claim(b, &claim, "Count"), NULL, 10), i - 2);
        }
        bench_disconnect(user);
}

static void test_who_is_not_authorized(void **state) {
        static const struct {
                PolkitMode mode;
                const char *error;
        } cases[] = {{POLKIT_NO, "NotAuthorized"},
                     {POLKIT_ERROR, "NotAuthorized"},
                     {POLKIT_CHALLENGE, "NotAuthorized"},
                     {POLKIT_GONE, "NotAuthorized"}};
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, admin, "web", &group, 2);

        orders_forget_signals(b);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                polkit_set_mode(b, cases[i].mode);
                bench_expect_error(CREATE("web", group.text, 1, 0), cases[i].error, "");
                bench_expect_error(UPDATE(user, 1, "enabled", "b", 0), cases[i].error, "");
                bench_expect_error(UPDATE(admin, 1, "count", "u", 3), cases[i].error, "");
                bench_expect_error(orders_call_claim(b, user, &claim, "Delete", ""), cases[i].error, "");
        }
        assert_int_equal(b->n_signals, 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 1);
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* The call has passed the first look and waits for its prompt, when its claim or its group goes. */
static void test_gone_while_a_prompt_stands(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, b->root, "web", &group, 2);
        Pending *p[2];

        polkit_set_mode(b, POLKIT_HANG);
        p[0] = bench_start(b, user, BUS_NAME, claim.text, BUS_INTERFACE_CLAIM, "Delete", true, "");
        bench_until_asked(b, 1);
        p[1] = bench_start(b, user, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateClaim", true,
                           "soua{sv}", "db", group.text, 1, 0);
        bench_until_asked(b, 2);
        bench_expect_success(orders_call_claim(b, b->root, &claim, "Delete", ""));
        bench_expect_success(orders_call_group(b, b->root, &group, "Delete", ""));
        polkit_settle(b, 0, true);
        polkit_settle(b, 1, true);
        bench_expect_error(bench_finish(b, p[0]), "NoSuchObject", "pool 1");
        bench_expect_error(bench_finish(b, p[1]), "NoSuchObject", "\"pool\"");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 0);
        bench_disconnect(user);
}

static void test_stale_paths(void **state) {
        Bench *b = *state;
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, b->root, "web", &group, 1);
        char text[200];

        orders_forget_signals(b);
        bench_expect_success(orders_call_claim(b, b->root, &claim, "Delete", ""));
        (void)snprintf(text, sizeof text, "InterfacesRemoved %s", claim.text);
        assert_int_equal(bench_count_signals(b, text), 1);
        assert_int_equal(orders_count_told(b, group.text, "Claims"), 1);
        assert_int_equal(b->n_signals, 2);
        assert_string_equal(orders_get_group(b, &group, "Claims"), "[]");
        bench_expect_error(orders_call_claim(b, b->root, &claim, "Delete", ""), UNKNOWN_OBJECT, "");
        bench_expect_error(UPDATE(b->root, 0), UNKNOWN_OBJECT, "");
}

static void test_a_claimed_group_stays(void **state) {
        static const char *const empty =
                        "{\"format\": \"org.verge.Passthrough\", \"version\": 1, \"groups\": []}";
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             other = orders_make_group(b, b->root, "two", NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);

        orders_forget_signals(b);
        bench_expect_error(orders_call_group(b, b->root, &group, "Delete", ""), "Claimed",
                           "\"pool 1\" of the VM \"web\"");
        bench_expect_error(bench_call_manager(b, b->root, "Import", "sa{sv}", empty, 1, "prune", "b", 1),
                           "Claimed", "\"pool 1\" of the VM \"web\"");
        assert_int_equal(b->n_signals, 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 2); /* all or nothing */
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "enabled", "b", 0));
        bench_expect_success(orders_call_group(b, b->root, &other, "Delete", ""));

        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        bench_expect_success(bench_call_manager(b, b->root, "Import", "sa{sv}", empty, 1, "prune", "b", 1));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);
        bench_disconnect(user);
}

/* MakePassthrough has made the group and is undone: of all that it did only what somebody else claims stays. */
static void test_a_group_that_is_claimed_before_it_is_undone(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        _cleanup_free_ char *path = NULL;
        Path group = {0}, claim;
        Pending *p;

        fake_host_fail(b->host, "probe " NIC " kill 1");
        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        p = orders_start_make(b, admin, NIC " " PAIR_NIC " " PAIR_NVME, NULL, "pool", "persistent");
        orders_until_step(b, "answer Bind");
        path = strdup(orders_get_device(b, NIC, "Groups"));
        (void)snprintf(group.text, sizeof group.text, "%.*s", (int)strlen(path) - 2, path + 1);
        claim = orders_make_claim(b, b->root, "web", &group, 1);
        fake_host_let_go(b->host);
        bench_expect_error(bench_finish(b, p), NULL, NIC);

        assert_string_equal(orders_get_claim(b, &claim, "Group"), group.text);
        assert_string_equal(orders_get_group(b, &group, "Rules"), "[]");
        assert_string_equal(orders_what_is_left(b),
                            "a group, or nobody answers"); /* and nothing before it */
        bench_expect_success(orders_call_claim(b, b->root, &claim, "Delete", ""));
        bench_expect_success(orders_call_group(b, b->root, &group, "Delete", ""));
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void test_claims_are_not_exported(void **state) {
        Bench *b = *state;
        Path group = orders_make_group(b, b->root, "pool", NULL);
        _cleanup_free_ char *document = NULL;

        document = strdup(orders_show(bench_call_manager(b, b->root, "Export", "")));
        (void)orders_make_claim(b, b->root, "web", &group, 1);
        assert_string_equal(orders_show(bench_call_manager(b, b->root, "Export", "")), document);
        assert_string_equal(orders_show(bench_call_manager(b, b->root, "Import", "sa{sv}", document, 1,
                                                           "prune", "b", 1)),
                            "0");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 1);
}

static void test_quota(void **state) {
        Bench *b = *state;
        Path group = orders_take_path(bench_call_manager(b, b->root, "CreateGroup", "ssa{sv}", "pool", "pci",
                                                         1, "quota", "u", 2)),
             other;
        _cleanup_free_ char *document = NULL;

        assert_string_equal(orders_get_group(b, &group, "Quota"), "2");
        orders_forget_signals(b);
        bench_expect_success(
                        orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "u", 65535));
        assert_string_equal(orders_get_group(b, &group, "Quota"), "65535");
        assert_int_equal(orders_count_told(b, group.text, "Quota"), 1);
        bench_expect_error(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "u", 65536),
                           "InvalidArgument", "65535");
        bench_expect_error(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "i", -1),
                           "InvalidArgument", "type u");
        bench_stop_daemon(b);
        bench_start_daemon(b);
        assert_string_equal(orders_get_group(b, &group, "Quota"), "65535");
        other = orders_make_group(b, b->root, "two", NULL);
        assert_string_equal(orders_get_group(b, &other, "Quota"), "0");

        /* A document keeps it. */
        document = strdup(orders_show(bench_call_manager(b, b->root, "Export", "")));
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "u", 1));
        assert_string_equal(orders_show(bench_call_manager(b, b->root, "Import", "sa{sv}", document, 0)),
                            "1");
        assert_string_equal(orders_get_group(b, &group, "Quota"), "65535");
}

/* One user's limit is neither another's nor root's. */
static void test_the_201st_claim_of_a_user(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL), claim = {0};
        char vm[16];

        b->deaf = true;
        for (unsigned i = 0; i < 200; i++) {
                (void)snprintf(vm, sizeof vm, "%u", i / 10);
                b->n_asked = 0;
                claim = orders_make_claim(b, user, vm, &group, 1);
        }
        b->n_asked = 0;
        bench_expect_error(CREATE("one more", group.text, 1, 0), "LimitsExceeded", "200");
        assert_int_equal(b->n_asked, 0);
        (void)orders_make_claim(b, admin, "1", &group, 1);
        (void)orders_make_claim(b, b->root, "1", &group, 1);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 202);
        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        bench_expect_success(CREATE("one more", group.text, 1, 0));
        bench_disconnect(user);
        bench_disconnect(admin);
}

static void test_a_restart_keeps_claims(void **state) {
        static const char *const properties[] = {"Id",       "Vm",      "Name",    "Description",
                                                 "Group",    "Count",   "Order",   "Owner",
                                                 "Optional", "Enabled", "Created", "Modified"};
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL), claim, other;
        char *values[ELEMENTSOF(properties)];

        claim = orders_take_path(CREATE("web", group.text, 2, 4, "name", "s", "fast", "optional", "b", 1,
                                        "enabled", "b", 0, "order", "u", 7));
        other = orders_make_claim(b, user, "web", &group, 3);
        bench_expect_success(UPDATE(user, 1, "description", "s", "two\nlines"));
        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                values[i] = strdup(orders_get_claim(b, &claim, properties[i]));

        for (int i = 0; i < 2; i++) { /* by force, and well */
                if (i == 0)
                        bench_kill_daemon(b);
                else
                        bench_stop_daemon(b);
                bench_start_daemon(b);
                for (size_t k = 0; k < ELEMENTSOF(properties); k++)
                        assert_string_equal(orders_get_claim(b, &claim, properties[k]), values[k]);
                assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");
                assert_string_equal(orders_get_claim(b, &other, "Count"), "3");
                assert_non_null(strstr(orders_get_group(b, &group, "Claims"), claim.text));
                assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 2);
        }
        for (size_t i = 0; i < ELEMENTSOF(properties); i++)
                free(values[i]);

        /* It is still its owner's. */
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        bench_stop_daemon(b);
        bench_start_daemon(b);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 1);
        bench_disconnect(user);
}

/* Neither groups nor claims are known: what is refused is refused for that. */
static void test_a_read_only_database(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);

        bench_stop_daemon(b);
        fake_host_write(b->host, STATE_DIR "/store.db", "%s", "");
        fake_host_remove(b->host, STATE_DIR "/store.db-wal");
        fake_host_remove(b->host, STATE_DIR "/store.db-shm");
        assert_int_equal(fchownat(b->host->fd, STATE_DIR "/store.db", DAEMON_UID, (gid_t)-1, 0), 0);
        bench_start_daemon(b);
        assert_string_equal(orders_get_manager(b, "ReadOnly"), "true");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 0);
        bench_expect_error(CREATE("web", group.text, 1, 0), "ReadOnly", "store.db");
        bench_expect_error(bench_call_manager(b, b->root, "CreateRule", "ossa{sv}", group.text, "x",
                                              "name eq 'x'", 0),
                           "ReadOnly", "store.db");
        bench_expect_error(UPDATE(user, 1, "enabled", "b", 0), UNKNOWN_OBJECT, "");
        assert_int_equal(b->n_asked, 1);
        bench_disconnect(user);
}

static void test_a_vm_that_does_not_run(void **state) {
        Bench *b = *state;
        sd_bus *nobody = bench_connect(b, NOBODY_UID);
        Path group = orders_make_group(b, b->root, "pool", NULL),
             claim = orders_make_claim(b, b->root, "web", &group, 2);

        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(orders_call_claim(b, nobody, &claim, "QemuArguments", ""), "NotRunning",
                           "\"web\"");
        bench_expect_error(orders_call_claim(b, nobody, &claim, "LibvirtXml", ""), "NotRunning",
                           "\"pool 1\"");
        assert_int_equal(b->n_asked, 0);
        bench_disconnect(nobody);
}

static Path make_pool(Bench *b, sd_bus *admin, const char *addresses) {
        sd_bus_message *reply = orders_make(b, admin, addresses, NULL, "pool", NULL);
        const char *path = NULL;
        Path p = {0};

        if (sd_bus_message_get_error(reply))
                fail_msg("%s", sd_bus_message_get_error(reply)->message);
        assert_true(sd_bus_message_read_basic(reply, 'o', &path) > 0);
        (void)snprintf(p.text, sizeof p.text, "%s", path);
        sd_bus_message_unref(reply);
        return p;
}

static sd_bus_message *start_vm(Bench *b, sd_bus *user, const char *vm) {
        return bench_call_manager(b, user, "StartVm", "sa{sv}", vm, 2, "track", "s", "manual", "access", "s",
                                  "acl");
}

/* What is changed while the VM runs takes effect at its next start. */
static void test_changes_while_the_vm_runs(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *user = bench_connect(b, OTHER_UID);
        Path group = make_pool(b, admin, NIC), claim = orders_make_claim(b, user, "web", &group, 1), other;

        bench_expect_success(start_vm(b, user, "web"));
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[" NIC "]");
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        assert_non_null(strstr(orders_show(orders_call_claim(b, user, &claim, "QemuArguments", "")), NIC));
        assert_non_null(strstr(orders_show(orders_call_claim(b, user, &claim, "LibvirtXml", "")),
                               "<hostdev"));

        orders_forget_signals(b);
        bench_expect_success(UPDATE(user, 1, "count", "u", 2));
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "true");
        assert_int_equal(orders_count_told(b, claim.text, "RestartNeeded"), 1);
        bench_expect_success(UPDATE(user, 2, "count", "u", 1, "enabled", "b", 0));
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "true");
        bench_expect_success(UPDATE(user, 1, "enabled", "b", 1));
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[" NIC "]");

        orders_forget_signals(b);
        other = orders_make_claim(b, user, "web", &group, 1);
        assert_string_equal(orders_get_claim(b, &other, "RestartNeeded"), "true");
        assert_int_equal(orders_count_told(b, other.text, "RestartNeeded"), 0); /* it came with it */
        assert_string_equal(orders_get_claim(b, &other, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        bench_expect_success(orders_call_claim(b, user, &other, "Delete", "")); /* it has nothing */
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 1);
        bench_disconnect(admin);
        bench_disconnect(user);
}

/* What is deleted while the VM runs goes at its end, and a restart does not forget that. */
static void test_deleted_while_the_vm_runs(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *user = bench_connect(b, OTHER_UID);
        Path group = make_pool(b, admin, NIC), claim = orders_make_claim(b, user, "web", &group, 1);
        char text[200];

        bench_expect_success(start_vm(b, user, "web"));
        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "true");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), "deleted"));
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[" NIC "]");

        bench_kill_daemon(b);
        bench_start_daemon(b);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), "deleted"));
        bench_expect_error(UPDATE(user, 1, "enabled", "b", 0), "NoSuchObject", "deleted");
        bench_expect_error(CREATE("web", group.text, 1, 1, "name", "s", "pool 1"), "NameTaken", "deleted");
        bench_expect_error(orders_call_group(b, admin, &group, "Delete", ""), "Claimed", "pool 1");
        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", "")); /* it is so already */

        orders_forget_signals(b);
        bench_expect_success(bench_call_manager(b, user, "StopVm", "sa{sv}", "web", 0));
        (void)snprintf(text, sizeof text, "InterfacesRemoved %s", claim.text);
        bench_until_signal(b, text);
        orders_until_device(b, NIC, "State", "host");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 0);
        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));
        bench_disconnect(admin);
        bench_disconnect(user);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, orders_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_introspection),
                        CASE(test_a_claim_as_it_is_made),
                        CASE(test_bad_claims),
                        CASE(test_all_options),
                        CASE(test_made_up_names),
                        CASE(test_updates),
                        CASE(test_whose_claim_it_is),
                        CASE(test_no_growth_behind_the_back),
                        CASE(test_who_is_not_authorized),
                        CASE(test_gone_while_a_prompt_stands),
                        CASE(test_changes_while_the_vm_runs),
                        CASE(test_deleted_while_the_vm_runs),
                        CASE(test_stale_paths),
                        CASE(test_a_vm_that_does_not_run),
                        CASE(test_a_claimed_group_stays),
                        CASE(test_a_group_that_is_claimed_before_it_is_undone),
                        CASE(test_claims_are_not_exported),
                        CASE(test_quota),
                        CASE(test_the_201st_claim_of_a_user),
                        CASE(test_a_restart_keeps_claims),
                        CASE(test_a_read_only_database),
        };

        return suite_run("bus-claims", "runs its parts under several users", tests);
}
