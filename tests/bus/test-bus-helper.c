/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>

#include "bench.h"
#include "fake-kernel.h"
#include "suite.h"

#define GRANT_OF(address) GRANTS_DIR "/" address ".grant"
#define PENDING_OF(address) PENDING_GRANTS_DIR "/" address ".grant"
#define NIC_IDS "8086:10d3"
#define IDS_OF(ids) GRANTS_DIR "/" ids ".ids"

static void expect_untouched(Bench *b) {
        _cleanup_free_ char *log = fake_host_log(b->host);

        assert_string_equal(log, "");
        assert_false(fake_host_exists(b->host, GRANT_OF(NIC)));
        assert_false(fake_host_exists(b->host, GRANT_OF(PAIR_NIC)));
        assert_false(fake_host_exists(b->host, PENDING_OF(NIC)));
        assert_false(fake_host_exists(b->host, PENDING_OF(PAIR_NIC)));
        assert_false(fake_host_exists(b->host, IDS_OF(NIC_IDS)));
}

/* Root's way: no prompt. */
static void grant(Bench *b, const char *address) {
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, address, 0, 0, 0, ""));
}

static void grant_pair(Bench *b) {
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 0,
                                               0, ""));
}

static sd_bus_message *call_one(Bench *b, sd_bus *from, const char *verb, const char *address) {
        return streq(verb, "Plan")   ? bench_call_helper(b, from, verb, "sasb", address, 0, 0)
               : streq(verb, "Bind") ? bench_call_helper(b, from, verb, "sb", address, 0)
                                     : bench_call_helper(b, from, verb, "s", address);
}

static void bind_by(Bench *b, sd_bus *from, const char *address) {
        bench_expect_success(call_one(b, from, "Bind", address));
}

static void expect_driver(Bench *b, const char *address, const char *driver) {
        assert_string_equal(fake_host_driver(b->host, address), driver);
}

static void test_introspection(void **state) {
        bench_expect_introspection(*state, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE);
}

static void test_story_of_root(void **state) {
        Bench *b = *state;

        bench_expect_success(bench_call_helper(b, b->root, "Plan", "sasb", PAIR_NIC, 0, 0));
        grant_pair(b);
        bind_by(b, b->root, PAIR_NIC);
        expect_driver(b, PAIR_NIC, "vfio-pci");
        expect_driver(b, PAIR_NVME, "vfio-pci");
        bench_expect_error(bench_call_helper(b, b->root, "Revoke", "asbs", 1, PAIR_NIC, 0, ""), "NotBound",
                           PAIR_NIC);
        bench_expect_success(bench_call_helper(b, b->root, "Release", "s", PAIR_NVME));
        expect_driver(b, PAIR_NIC, "e1000e");
        expect_driver(b, PAIR_NVME, "nvme");
        bench_expect_success(bench_call_helper(b, b->root, "Revoke", "asbs", 1, PAIR_NIC, 0, ""));
        assert_false(fake_host_exists(b->host, GRANT_OF(PAIR_NVME)));
        assert_int_equal(b->n_asked, 0);
        bench_expect_no_line_twice(b);
}

static void test_root_has_no_subject(void **state) {
        Bench *b = *state;

        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0,
                                             bench_name(b->root)),
                           "InvalidArgument", "empty string");
        expect_untouched(b);
}

static void test_half_a_set_is_refused_with_the_list(void **state) {
        Bench *b = *state;

        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 1, PAIR_NIC, 0, 0, 0, ""),
                           "IncompleteIommuSet", PAIR_NVME);
        expect_untouched(b);
}

static void test_critical_is_refused(void **state) {
        Bench *b = *state;

        fake_host_add_net(b->host, "devices/pci0000:01/" NIC "/net/eth0");
        fake_host_add_network_address(b->host, "eth0", "192.0.2.7");
        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""),
                           "Critical", "192.0.2.7");
        bench_expect_error(
                        bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 1, "no-iommu", 0, 0, ""),
                        "InvalidArgument", "no-iommu");
        expect_untouched(b);
        bench_expect_success(
                        bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 1, "address", 0, 0, ""));
}

/* Every verb, by a user, by nobody, by the daemon's user without the name. */
static void refused_all(Bench *b, sd_bus *from) {
        static const char *const moves[] = {"Plan", "Bind", "Release", "Reset"};

        for (size_t i = 0; i < ELEMENTSOF(moves); i++)
                bench_expect_error(call_one(b, from, moves[i], NIC), "NotAuthorized",
                                   "call org.verge.Passthrough");
        bench_expect_error(bench_call_helper(b, from, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""),
                           "NotAuthorized", "");
        bench_expect_error(bench_call_helper(b, from, "Grant", "asasbus", 1, NIC, 0, 0, 0, bench_name(from)),
                           "NotAuthorized", "");
        bench_expect_error(bench_call_helper(b, from, "Revoke", "asbs", 1, NIC, 0, ""), "NotAuthorized", "");
        bench_expect_error(bench_call_helper(b, from, "Keep", "as", 1, NIC), "NotAuthorized", "");
        bench_expect_error(bench_call_helper(b, from, "Drop", "as", 1, NIC), "NotAuthorized", "");
        for (int i = 0; i < 2; i++)
                bench_expect_error(bench_call_helper(b, from, i ? "GrantIds" : "RevokeIds", "ass", 1,
                                                     NIC_IDS, bench_name(from)),
                                   "NotAuthorized", "");
        assert_int_equal(b->n_asked, 0);
        expect_untouched(b);
}

static void test_strangers_are_refused(void **state) {
        static const uid_t uids[] = {ADMIN_UID, OTHER_UID, NOBODY_UID};
        Bench *b = *state;

        for (size_t i = 0; i < ELEMENTSOF(uids); i++) {
                sd_bus *stranger = bench_connect(b, uids[i]);

                refused_all(b, stranger);
                bench_disconnect(stranger);
        }
}

static void test_the_daemons_user_without_the_name_is_refused(void **state) {
        Bench *b = *state;
        sd_bus *nameless = bench_connect(b, DAEMON_UID), *daemon;

        refused_all(b, nameless); /* nobody has the name */
        daemon = bench_connect_as_daemon(b);
        refused_all(b, nameless); /* another connection of the same user has it */
        bench_disconnect(nameless);
        bench_disconnect(daemon);
}

static void test_the_name_without_the_daemons_user_is_refused(void **state) {
        Bench *b = *state;
        sd_bus *fake = bench_connect(b, OTHER_UID);

        assert_true(sd_bus_request_name(fake, BUS_NAME, 0) >= 0);
        refused_all(b, fake);
        bench_disconnect(fake);
}

static void test_a_stranger_may_start_it_and_that_is_all(void **state) {
        sd_bus *stranger = bench_connect(*state, NOBODY_UID);
        Bench *b = *state;

        bench_expect_success(
                        bench_finish(b, bench_start(b, stranger, "org.freedesktop.DBus",
                                                    "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                                    "StartServiceByName", false, "su", HELPER_NAME, 0)));
        refused_all(b, stranger);
        bench_disconnect(stranger);
}

typedef struct People {
        sd_bus *daemon, *admin;
} People;

static People gather(Bench *b) {
        return (People){bench_connect_as_daemon(b), bench_connect(b, ADMIN_UID)};
}

static void part(People p) {
        bench_disconnect(p.daemon);
        bench_disconnect(p.admin);
}

static Pending *ask_for_pair(Bench *b, People p, bool interactive) {
        return bench_start(b, p.daemon, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Grant", interactive,
                           "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 0, 0, bench_name(p.admin));
}

static void test_story_of_the_daemon(void **state) {
        Bench *b = *state;
        People p = gather(b);

        bench_expect_success(bench_finish(b, ask_for_pair(b, p, true)));
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(b->asked[0].action, POLKIT_ACTION_GRANT);
        assert_string_equal(b->asked[0].subject_kind, "system-bus-name");
        assert_string_equal(b->asked[0].subject, bench_name(p.admin));
        assert_int_equal(b->asked[0].flags, 1);
        assert_string_equal(polkit_detail(b, 0, "device"), PAIR_NIC ", " PAIR_NVME);
        assert_string_equal(polkit_detail(b, 0, "iommu-set"), PAIR_NIC ", " PAIR_NVME);
        assert_string_equal(polkit_detail(b, 0, "driver"), "e1000e, nvme");
        assert_non_null(strstr(polkit_detail(b, 0, "model"), "[8086:10d3]"));

        _cleanup_free_ char *text = fake_host_read(b->host, GRANT_OF(PAIR_NIC));
        assert_non_null(strstr(text, "\ngranted-by=2\n"));

        /* Bind and Release need the grant and no prompt. */
        bind_by(b, p.daemon, PAIR_NVME);
        bench_expect_success(bench_call_helper(b, p.daemon, "Release", "s", PAIR_NVME));
        assert_int_equal(b->n_asked, 1);

        bench_expect_success(bench_call_helper(b, p.daemon, "Revoke", "asbs", 1, PAIR_NIC, 0,
                                               bench_name(p.admin)));
        assert_int_equal(b->n_asked, 2);
        assert_string_equal(b->asked[1].action, POLKIT_ACTION_REVOKE);
        part(p);
        bench_expect_no_line_twice(b);
}

/* One prompt when a grant is made; what becomes of a pending one is no new question. */
static void test_pending_grants_are_kept_or_dropped_without_a_prompt(void **state) {
        Bench *b = *state;
        People p = gather(b);

        for (int round = 0; round < 2; round++) {
                bench_expect_success(bench_call_helper(b, p.daemon, "Grant", "asasbus", 1, NIC, 0, 1, 0,
                                                       bench_name(p.admin)));
                assert_int_equal(b->n_asked, round + 1);
                assert_true(fake_host_exists(b->host, PENDING_OF(NIC)));
                assert_false(fake_host_exists(b->host, GRANT_OF(NIC)));
                bench_expect_success(bench_call_helper(b, p.daemon, round ? "Keep" : "Drop", "as", 1, NIC));
                assert_int_equal(b->n_asked, round + 1);
                assert_false(fake_host_exists(b->host, PENDING_OF(NIC)));
                assert_int_equal(fake_host_exists(b->host, GRANT_OF(NIC)), round);
        }

        bench_expect_success(bench_call_helper(b, p.daemon, "Drop", "as", 1, NIC));
        assert_true(fake_host_exists(b->host, GRANT_OF(NIC)));
        bench_expect_error(bench_call_helper(b, p.daemon, "Keep", "as", 1, PAIR_NIC), "NotGranted",
                           PAIR_NIC);
        part(p);
}

static void test_revoke_that_releases(void **state) {
        Bench *b = *state;
        People p = gather(b);

        grant_pair(b);
        bind_by(b, p.daemon, PAIR_NIC);
        fake_host_hold_vfio(b->host, 9, true);
        bench_expect_error(bench_call_helper(b, p.daemon, "Revoke", "asbs", 1, PAIR_NIC, 1,
                                             bench_name(p.admin)),
                           "InUse", PAIR_NIC);
        assert_int_equal(b->n_asked, 0);
        fake_host_hold_vfio(b->host, 9, false);
        bench_expect_success(bench_call_helper(b, p.daemon, "Revoke", "asbs", 1, PAIR_NIC, 1,
                                               bench_name(p.admin)));
        assert_int_equal(b->n_asked, 1);
        expect_driver(b, PAIR_NIC, "e1000e");
        expect_driver(b, PAIR_NVME, "nvme");
        assert_false(fake_host_exists(b->host, GRANT_OF(PAIR_NVME)));
        part(p);
}

/* A VM that starts while the prompt stands keeps its device, and the grant that it came with. */
static void test_a_vm_that_starts_during_the_prompt_of_revoke(void **state) {
        Bench *b = *state;
        People p = gather(b);
        Pending *call;

        grant(b, NIC);
        bind_by(b, p.daemon, NIC);
        polkit_set_mode(b, POLKIT_HANG);
        call = bench_start(b, p.daemon, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Revoke", true, "asbs",
                           1, NIC, 1, bench_name(p.admin));
        bench_until_asked(b, 1);
        fake_host_hold_vfio(b->host, 7, true);
        polkit_settle(b, 0, true);
        bench_expect_error(bench_finish(b, call), "InUse", NIC);
        expect_driver(b, NIC, "vfio-pci");
        assert_true(fake_host_exists(b->host, GRANT_OF(NIC)));
        fake_host_hold_vfio(b->host, 7, false);
        part(p);
}

static void test_the_prompt_of_ids(void **state) {
        static const char *const verbs[] = {"GrantIds", "RevokeIds"};
        static const char *const actions[] = {POLKIT_ACTION_GRANT, POLKIT_ACTION_REVOKE};
        Bench *b = *state;
        People p = gather(b);

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                bench_expect_success(bench_call_helper(b, p.daemon, verbs[i], "ass", 2, NIC_IDS,
                                                       "1b36:0010:1af4:1100", bench_name(p.admin)));
                assert_int_equal(b->n_asked, i + 1);
                assert_string_equal(b->asked[i].action, actions[i]);
                assert_string_equal(b->asked[i].subject, bench_name(p.admin));
                assert_string_equal(polkit_detail(b, i, "device"), NIC_IDS ", 1b36:0010:1af4:1100");
                assert_non_null(strstr(polkit_detail(b, i, "model"), "[8086:10d3]"));
                assert_non_null(strstr(polkit_detail(b, i, "model"), "[1b36:0010]"));
                assert_non_null(strcasestr(polkit_detail(b, i, "polkit.message"), "all PCI devices"));
                assert_string_equal(polkit_detail(b, i, "driver"), "any");
                assert_string_equal(polkit_detail(b, i, "iommu-set"),
                                    "whatever shares it: each must be granted too");
                assert_string_equal(polkit_detail(b, i, "consent"), "");
                assert_int_equal(fake_host_exists(b->host, IDS_OF(NIC_IDS)), i == 0);

                if (i == 0) {
                        bind_by(b, p.daemon, NIC);
                        bench_expect_error(bench_call_helper(b, p.daemon, "RevokeIds", "ass", 1, NIC_IDS,
                                                             bench_name(p.admin)),
                                           "NotBound", NIC);
                        assert_int_equal(b->n_asked, 1);
                        bench_expect_success(bench_call_helper(b, p.daemon, "Release", "s", NIC));
                }
        }
        assert_false(fake_host_exists(b->host, GRANT_OF(NIC)));
        part(p);
}

static void test_bad_ids(void **state) {
        static const char *const bad[] = {"",
                                          "8086",
                                          "8086:10D3",
                                          "8086:10d3:",
                                          "8086:10d",
                                          "8086-10d3",
                                          "8086:10d3:8086",
                                          "*:*",
                                          "8086:10d3*",
                                          "../86:10d3",
                                          "8086:10d3:8086:a01f:0"};
        Bench *b = *state;
        char ids[65][16];
        sd_bus_message *m;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                bench_expect_error(bench_call_helper(b, b->root, "GrantIds", "ass", 1, bad[i], ""),
                                   "InvalidArgument", "by their ids");
        bench_expect_error(bench_call_helper(b, b->root, "GrantIds", "ass", 0, ""), "InvalidArgument", "");
        bench_expect_error(bench_call_helper(b, b->root, "GrantIds", "ass", 2, NIC_IDS, NIC_IDS, ""),
                           "InvalidArgument", "twice");
        bench_expect_error(bench_call_helper(b, b->root, "RevokeIds", "ass", 1, NIC_IDS, ""), "NotGranted",
                           NIC_IDS);

        assert_true(sd_bus_message_new_method_call(b->root, &m, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE,
                                                   "GrantIds") >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "s") >= 0);
        for (unsigned i = 0; i < ELEMENTSOF(ids); i++) {
                (void)snprintf(ids[i], sizeof ids[i], "8086:%04x", i);
                assert_true(sd_bus_message_append(m, "s", ids[i]) >= 0);
        }
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_append(m, "s", "") >= 0);
        bench_expect_error(bench_send(b, b->root, m), "LimitsExceeded", "64");
        expect_untouched(b);
}

/* A daemon that was taken over, with nobody's consent: all that it can say, in every order of three. */
static void test_a_hostile_daemon_gets_nothing(void **state) {
        Bench *b = *state;
        People p = gather(b);
        const char *self = bench_name(p.daemon);
        unsigned first, second;

        polkit_set_mode(b, POLKIT_NO);
        for (unsigned order = 0; order < 64; order++) {
                first = order / 8;
                second = order % 8;
                for (unsigned step = 0; step < 3; step++) {
                        sd_bus_message *reply = NULL;

                        switch (step == 0 ? first : step == 1 ? second : 0) {
                        case 0:
                                reply = bench_call_helper(b, p.daemon, "Bind", "sb", NIC, 1);
                                break;
                        case 1:
                                reply = bench_call_helper(b, p.daemon, "Keep", "as", 1, NIC);
                                break;
                        case 2:
                                reply = bench_call_helper(b, p.daemon, "GrantIds", "ass", 1, NIC_IDS, self);
                                break;
                        case 3:
                                reply = bench_call_helper(b, p.daemon, "Grant", "asasbus", 1, NIC, 0, 1, 0,
                                                          self);
                                break;
                        case 4:
                                reply = bench_call_helper(b, p.daemon, "GrantIds", "ass", 1, NIC_IDS, "");
                                break;
                        case 5:
                                reply = bench_call_helper(b, p.daemon, "Grant", "asasbus", 1, NIC, 0, 1, 0,
                                                          bench_name(p.admin));
                                break;
                        case 6:
                                reply = bench_call_helper(b, p.daemon, "Revoke", "asbs", 1, NIC, 1, self);
                                break;
                        default: /* the one that may succeed: there is nothing to drop */
                                sd_bus_message_unref(bench_call_helper(b, p.daemon, "Drop", "as", 1, NIC));
                                continue;
                        }
                        assert_true(sd_bus_message_is_method_error(reply, NULL));
                        sd_bus_message_unref(reply);
                }
        }
        expect_untouched(b);
        expect_driver(b, NIC, "e1000e");
        part(p);
}

/* Nor does it get rid of a consent that was kept, or of one for a device that is not at the host. */
static void test_a_hostile_daemon_drops_no_kept_consent(void **state) {
        Bench *b = *state;
        People p = gather(b);

        grant(b, NIC);
        bench_expect_success(bench_call_helper(b, b->root, "GrantIds", "ass", 1, NIC_IDS, ""));
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 1,
                                               0, ""));
        bind_by(b, p.daemon, PAIR_NIC);
        polkit_set_mode(b, POLKIT_NO);

        bench_expect_success(bench_call_helper(b, p.daemon, "Drop", "as", 1, NIC));
        bench_expect_error(bench_call_helper(b, p.daemon, "Drop", "as", 1, PAIR_NIC), "NotBound", PAIR_NIC);
        bench_expect_error(bench_call_helper(b, p.daemon, "Revoke", "asbs", 1, NIC, 1, bench_name(p.admin)),
                           "NotAuthorized", "");
        bench_expect_error(bench_call_helper(b, p.daemon, "Revoke", "asbs", 1, NIC, 1, bench_name(p.daemon)),
                           "NotAuthorized", "");
        bench_expect_error(
                        bench_call_helper(b, p.daemon, "RevokeIds", "ass", 1, NIC_IDS, bench_name(p.daemon)),
                        "NotAuthorized", "");
        assert_true(fake_host_exists(b->host, GRANT_OF(NIC)));
        assert_true(fake_host_exists(b->host, IDS_OF(NIC_IDS)));
        assert_true(fake_host_exists(b->host, PENDING_OF(PAIR_NVME)));
        part(p);
}

static void test_consent_needs_the_stronger_action(void **state) {
        Bench *b = *state;
        People p = gather(b);

        fake_host_add_net(b->host, "devices/pci0000:01/" NIC "/net/eth0");
        fake_host_add_network_address(b->host, "eth0", "192.0.2.7");
        bench_expect_success(bench_call_helper(b, p.daemon, "Grant", "asasbus", 1, NIC, 1, "address", 0, 0,
                                               bench_name(p.admin)));
        assert_string_equal(b->asked[0].action, POLKIT_ACTION_GRANT_CRITICAL);
        assert_string_equal(polkit_detail(b, 0, "consent"), "address");
        part(p);
}

static void polkit_denies(Bench *b, PolkitMode mode, bool interactive, const char *error) {
        People p = gather(b);

        polkit_set_mode(b, mode);
        bench_expect_error(bench_finish(b, ask_for_pair(b, p, interactive)), error, POLKIT_ACTION_GRANT);
        expect_untouched(b);
        part(p);
}

static void test_polkit_says_no(void **state) {
        polkit_denies(*state, POLKIT_NO, true, "NotAuthorized");
}

static void test_polkit_has_no_agent(void **state) {
        polkit_denies(*state, POLKIT_CHALLENGE, true, "NotAuthorized");
}

static void test_polkit_would_prompt(void **state) {
        Bench *b = *state;

        polkit_denies(b, POLKIT_CHALLENGE, false, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);
        assert_int_equal(b->asked[0].flags, 0);
}

static void test_polkit_fails(void **state) {
        polkit_denies(*state, POLKIT_ERROR, true, "NotAuthorized");
}

static void test_polkit_is_gone(void **state) {
        polkit_denies(*state, POLKIT_GONE, true, "NotAuthorized");
}

static void test_polkit_leaves_while_it_asks(void **state) {
        Bench *b = *state;
        People p = gather(b);
        Pending *call;

        polkit_set_mode(b, POLKIT_HANG);
        call = ask_for_pair(b, p, true);
        bench_until_asked(b, 1);
        b->asked[0].call = sd_bus_message_unref(b->asked[0].call);
        b->polkit_bus = bench_disconnect(b->polkit_bus);
        bench_expect_error(bench_finish(b, call), "NotAuthorized", POLKIT_ACTION_GRANT);
        expect_untouched(b);
        part(p);
}

static void test_the_caller_vanishes_while_polkit_asks(void **state) {
        Bench *b = *state;
        People p = gather(b);
        Pending *call;

        polkit_set_mode(b, POLKIT_HANG);
        call = ask_for_pair(b, p, true);
        bench_until_asked(b, 1);
        p.admin = bench_disconnect(p.admin);
        bench_expect_error(bench_finish(b, call), "NotAuthorized", "left the bus");
        bench_until_cancelled(b, 1);
        assert_true(b->asked[0].cancelled);

        /* A yes that comes after that is nobody's. */
        polkit_settle(b, 0, true);
        bench_expect_success(bench_call_helper(b, b->root, "Plan", "sasb", NIC, 0, 0));
        expect_untouched(b);
        part(p);
}

static void test_what_changed_during_the_prompt_counts(void **state) {
        Bench *b = *state;
        People p = gather(b);
        Pending *call;

        polkit_set_mode(b, POLKIT_HANG);
        call = ask_for_pair(b, p, true);
        bench_until_asked(b, 1);
        fake_host_add_net(b->host, "devices/pci0000:04/" BRIDGE "/" PAIR_NIC "/net/eth1");
        fake_host_add_network_address(b->host, "eth1", "192.0.2.7");
        polkit_settle(b, 0, true);
        bench_expect_error(bench_finish(b, call), "Critical", "192.0.2.7");
        expect_untouched(b);
        part(p);
}

/* polkit says yes to root and to the owner of an action without asking anybody: they are no subjects. */
static void test_subjects_that_prove_nothing(void **state) {
        Bench *b = *state;
        People p = gather(b);
        sd_bus *left = bench_connect(b, ADMIN_UID);
        char gone[64];

        (void)snprintf(gone, sizeof gone, "%s", bench_name(left));
        bench_disconnect(left);
        const char *subjects[] = {bench_name(b->root),    bench_name(p.daemon),         gone,     "",
                                  "org.freedesktop.DBus", "org.freedesktop.PolicyKit1", BUS_NAME, ":1.x'y"};

        for (size_t i = 0; i < ELEMENTSOF(subjects); i++) {
                sd_bus_message *reply;
                const sd_bus_error *e;

                reply = bench_call_helper(b, p.daemon, "Grant", "asasbus", 1, NIC, 0, 0, 0, subjects[i]);
                e = sd_bus_message_get_error(reply);
                if (!e || !(strstr(e->name, ".NotAuthorized") || strstr(e->name, ".InvalidArgument")))
                        fail_msg("subject '%s': %s", subjects[i], e ? e->name : "yes");
                sd_bus_message_unref(reply);
        }
        assert_int_equal(b->n_asked, 0);
        expect_untouched(b);
        part(p);
}

static void test_bad_addresses(void **state) {
        static const char *const bad[] = {"",
                                          "nonsense",
                                          "01:00.0",
                                          "0000:01:00.8",
                                          "0000:01:00",
                                          "0000:01:00.0 ",
                                          "../0000:01:00.0",
                                          "0000:01:00.0/..",
                                          "0000:3B:00.0"};
        static const char *const verbs[] = {"Plan", "Bind", "Release", "Reset"};
        Bench *b = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                for (size_t v = 0; v < ELEMENTSOF(verbs); v++)
                        bench_expect_error(call_one(b, b->root, verbs[v], bad[i]), "InvalidArgument",
                                           "is not a PCI address");
        for (size_t v = 0; v < ELEMENTSOF(verbs); v++) {
                bench_expect_error(call_one(b, b->root, verbs[v], "0000:66:00.0"), "NoSuchDevice",
                                   "0000:66:00.0");
                bench_expect_error(call_one(b, b->root, verbs[v], BRIDGE), "Critical", BRIDGE);
        }
        expect_untouched(b);
}

static void test_bad_arrays(void **state) {
        Bench *b = *state;
        sd_bus_message *m;
        char address[32];

        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 0, 0, 0, 0, ""),
                           "InvalidArgument", "No device");
        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 2, NIC, NIC, 0, 0, 0, ""),
                           "InvalidArgument", "twice");
        bench_expect_error(
                        bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 1, "everything", 0, 0, ""),
                        "InvalidArgument", "everything");
        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 60, ""),
                           "InvalidArgument", "pending");
        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 1, 3601, ""),
                           "InvalidArgument", "3600");

        for (unsigned n = 64; n <= 65; n++) {
                assert_true(sd_bus_message_new_method_call(b->root, &m, HELPER_NAME, HELPER_PATH,
                                                           HELPER_INTERFACE, "Revoke") >= 0);
                assert_true(sd_bus_message_open_container(m, 'a', "s") >= 0);
                for (unsigned i = 0; i < n; i++) {
                        (void)snprintf(address, sizeof address, "0000:70:%02x.%u", i / 8 + 1, i % 8);
                        assert_true(sd_bus_message_append(m, "s", address) >= 0);
                }
                assert_true(sd_bus_message_close_container(m) >= 0);
                assert_true(sd_bus_message_append(m, "bs", 0, "") >= 0);
                bench_expect_error(bench_send(b, b->root, m), n == 64 ? "NotGranted" : "LimitsExceeded", "");
        }
        expect_untouched(b);
}

static void test_wrong_signatures(void **state) {
        Bench *b = *state;

        bench_expect_error(bench_call_helper(b, b->root, "Bind", ""), SD_BUS_ERROR_INVALID_ARGS, "");
        bench_expect_error(bench_call_helper(b, b->root, "Bind", "ss", NIC, NIC), SD_BUS_ERROR_INVALID_ARGS,
                           "");
        bench_expect_error(bench_call_helper(b, b->root, "Bind", "u", 1U), SD_BUS_ERROR_INVALID_ARGS, "");
        bench_expect_error(bench_call_helper(b, b->root, "Grant", "as", 1, NIC), SD_BUS_ERROR_INVALID_ARGS,
                           "");
        bench_expect_error(bench_call_helper(b, b->root, "Unplug", "s", NIC), SD_BUS_ERROR_UNKNOWN_METHOD,
                           "");
        expect_untouched(b);
}

static void test_nine_prompts_of_one_user(void **state) {
        Bench *b = *state;
        People p = gather(b);
        Pending *calls[POLKIT_PENDING_PER_UID];

        polkit_set_mode(b, POLKIT_HANG);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = bench_start(b, p.daemon, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Grant",
                                       true, "asasbus", 1, NIC, 0, 0, 0, bench_name(p.admin));
        bench_until_asked(b, ELEMENTSOF(calls));
        bench_expect_error(bench_call_helper(b, p.daemon, "Grant", "asasbus", 1, NIC, 0, 0, 0,
                                             bench_name(p.admin)),
                           "LimitsExceeded", "");

        /* That is no other user's trouble. */
        sd_bus *other = bench_connect(b, OTHER_UID);
        Pending *call = bench_start(b, p.daemon, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Grant", true,
                                    "asasbus", 1, NIC, 0, 0, 0, bench_name(other));
        bench_until_asked(b, ELEMENTSOF(calls) + 1);
        polkit_settle(b, ELEMENTSOF(calls), false);
        bench_expect_error(bench_finish(b, call), "NotAuthorized", "");

        /* The order in which polkit was asked is not that of the calls. */
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                polkit_settle(b, i, false);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                bench_expect_error(bench_finish(b, calls[i]), "NotAuthorized", "");
        expect_untouched(b);
        bench_disconnect(other);
        part(p);
}

static void test_a_stuck_kernel(void **state) {
        Bench *b = *state;
        Pending *call;

        fake_host_write(b->host, HELPER_CONF, "# short\ndeadline-seconds=1\n");
        grant_pair(b);
        grant(b, NIC);
        fake_host_clear(b->host);
        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");

        call = bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Bind", true, "sb",
                           PAIR_NIC, 0);
        bench_expect_error(bench_finish(b, call), "Stuck", "unbinding " PAIR_NIC " from e1000e");
        _cleanup_free_ char *journal = fake_host_read(b->host, MOVES_DIR "/9");
        assert_non_null(journal);
        assert_non_null(strstr(journal, "\nstuck="));

        /* No second writer for that set; all others go on. */
        bench_expect_error(bench_call_helper(b, b->root, "Release", "s", PAIR_NVME), "Stuck", PAIR_NVME);
        bind_by(b, b->root, NIC);
        expect_driver(b, NIC, "vfio-pci");

        /* The kernel comes back: the worker undoes what it had begun, and then all is as ever. */
        fake_host_let_go(b->host);
        while (fake_host_exists(b->host, MOVES_DIR "/9"))
                assert_true(sd_event_run(b->event, 20000) >= 0);
        expect_driver(b, PAIR_NIC, "e1000e");
        assert_string_equal(fake_host_override(b->host, PAIR_NIC), "(null)");
        bind_by(b, b->root, PAIR_NIC);
        expect_driver(b, PAIR_NVME, "vfio-pci");
        bench_expect_no_line_twice(b);
}

static void test_busy_while_a_move_is_under_way(void **state) {
        Bench *b = *state;
        Pending *call;

        grant_pair(b);
        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        call = bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Bind", true, "sb",
                           PAIR_NIC, 0);
        bench_expect_error(bench_call_helper(b, b->root, "Release", "s", PAIR_NVME), "Busy", PAIR_NVME);
        fake_host_let_go(b->host);
        bench_expect_success(bench_finish(b, call));
        expect_driver(b, PAIR_NVME, "vfio-pci");
}

/* kill -9 of helper and worker before and after each write: the next helper brings the set home. */
static void test_crash_at_each_step(void **state) {
        static const char *const ways[] = {"crash", "crash-after", "kill"};
        Bench *b = *state;
        char rule[64];

        grant_pair(b);
        for (unsigned step = 1; step <= 6; step++)
                for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                        fake_host_clear(b->host);
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[i], step);
                        fake_host_fail(b->host, rule);
                        bench_expect_error(call_one(b, b->root, "Bind", PAIR_NIC),
                                           streq(ways[i], "kill") ? "Internal" : SD_BUS_ERROR_NO_REPLY, "");
                        assert_true(fake_host_exists(b->host, MOVES_DIR "/9"));

                        fake_host_clear(b->host);
                        bench_expect_success(bench_call_helper(b, b->root, "Release", "s", PAIR_NIC));
                        expect_driver(b, PAIR_NIC, "e1000e");
                        expect_driver(b, PAIR_NVME, "nvme");
                        assert_string_equal(fake_host_override(b->host, PAIR_NIC), "(null)");
                        assert_string_equal(fake_host_override(b->host, PAIR_NVME), "(null)");
                        assert_false(fake_host_exists(b->host, MOVES_DIR "/9"));
                }
}

static int setup_short_lived(void **state) {
        *state = bench_new(50);
        return 0;
}

static void test_idle_helper_leaves_and_comes_back(void **state) {
        Bench *b = *state;
        pid_t first;

        grant(b, NIC);
        first = bench_helper_pid(b);
        bench_until_gone(b, HELPER_NAME);
        bind_by(b, b->root, NIC);
        assert_int_not_equal(bench_helper_pid(b), first);
        bench_until_gone(b, HELPER_NAME);
        bench_expect_no_line_twice(b);
}

/* A call that comes while it leaves is served, by it or by the next one: many calls at the edge of idleness. */
static void test_no_call_is_lost_at_the_edge_of_idleness(void **state) {
        Bench *b = *state;
        Pending *calls[4]; /* so many plans a set has room for */

        for (int round = 0; round < 20; round++) {
                bench_until_gone(b, HELPER_NAME);
                for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                        calls[i] = bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE,
                                               "Plan", true, "sasb", NIC, 0, 0);
                for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                        bench_expect_success(bench_finish(b, calls[i]));
        }
}

#define BURST 100U

/* Connections of the daemon's user that do not own its name fill no place that root needs. */
static void test_root_finds_room(void **state) {
        Pending *calls[2 * BURST], *mine;
        Bench *b = *state;
        sd_bus *from[2];

        bench_expect_success(bench_call_helper(b, b->root, "Plan", "sasb", NIC, 0, 0));
        for (unsigned i = 0; i < 2; i++)
                from[i] = bench_connect(b, DAEMON_UID);
        assert_int_equal(kill(bench_helper_pid(b), SIGSTOP), 0); /* busy for a moment */
        for (unsigned i = 0; i < 2 * BURST; i++)
                calls[i] = bench_start(b, from[i % 2], HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Plan",
                                       false, "sasb", NIC, 0, 0);
        for (unsigned i = 0; i < 2; i++)
                assert_true(sd_bus_call_method(from[i], "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                               "org.freedesktop.DBus", "GetId", NULL, NULL, NULL) >= 0);
        mine = bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Plan", false, "sasb",
                           NIC, 0, 0);
        assert_true(sd_bus_call_method(b->root, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus", "GetId", NULL, NULL, NULL) >= 0);
        assert_int_equal(kill(bench_helper_pid(b), SIGCONT), 0);
        bench_expect_success(bench_finish(b, mine));
        for (unsigned i = 0; i < 2 * BURST; i++)
                bench_drop(calls[i]);
        for (unsigned i = 0; i < 2; i++)
                bench_disconnect(from[i]);
}

#define CONFIRM_OF(address) PENDING_GRANTS_DIR "/" address ".confirm"

/* Idle or not: who leaves before the time is up leaves the file behind. */
static void test_a_deadline_keeps_it(void **state) {
        Bench *b = *state;

        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 1,
                                               2, ""));
        bind_by(b, b->root, PAIR_NIC);
        assert_true(fake_host_exists(b->host, CONFIRM_OF(PAIR_NIC)));
        bench_until_gone(b, HELPER_NAME);
        assert_false(fake_host_exists(b->host, CONFIRM_OF(PAIR_NIC)) ||
                     fake_host_exists(b->host, CONFIRM_OF(PAIR_NVME)));
        expect_driver(b, PAIR_NIC, "e1000e");
        expect_driver(b, PAIR_NVME, "nvme");
}

/* One that a VM holds is tried again and again, and keeps no other waiting; when it is let go it goes home, too. */
static void test_who_is_held_keeps_nobody_waiting(void **state) {
        Bench *b = *state;

        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 1,
                                               1, ""));
        bind_by(b, b->root, PAIR_NIC);
        fake_host_hold_vfio(b->host, 9, true);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 1, 3, ""));
        bind_by(b, b->root, NIC);
        while (fake_host_exists(b->host, CONFIRM_OF(NIC)))
                assert_true(sd_event_run(b->event, 20000) >= 0);
        expect_driver(b, NIC, "e1000e");
        assert_true(fake_host_exists(b->host, CONFIRM_OF(PAIR_NIC)));
        expect_driver(b, PAIR_NIC, "vfio-pci");

        fake_host_hold_vfio(b->host, 9, false);
        bench_until_gone(b, HELPER_NAME);
        assert_false(fake_host_exists(b->host, CONFIRM_OF(PAIR_NIC)));
        expect_driver(b, PAIR_NIC, "e1000e");
        expect_driver(b, PAIR_NVME, "nvme");
}

/* Told to end it does, and leaves what systemd starts it again for; the next one knows of it. */
static void test_a_deadline_outlives_it(void **state) {
        Bench *b = *state;

        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 1, 3600, ""));
        assert_int_equal(kill(bench_helper_pid(b), SIGTERM), 0);
        bench_until_gone(b, HELPER_NAME);
        assert_true(fake_host_exists(b->host, CONFIRM_OF(NIC)));
        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""),
                           "ConfirmationPending", NIC);
        bench_expect_success(bench_call_helper(b, b->root, "Keep", "as", 1, NIC));
        assert_false(fake_host_exists(b->host, CONFIRM_OF(NIC)));
        bench_until_gone(b, HELPER_NAME);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
#define CASE_SHORT(name) cmocka_unit_test_setup_teardown(name, setup_short_lived, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_introspection),
                        CASE(test_story_of_root),
                        CASE(test_root_has_no_subject),
                        CASE(test_half_a_set_is_refused_with_the_list),
                        CASE(test_critical_is_refused),
                        CASE(test_strangers_are_refused),
                        CASE(test_the_daemons_user_without_the_name_is_refused),
                        CASE(test_the_name_without_the_daemons_user_is_refused),
                        CASE(test_a_stranger_may_start_it_and_that_is_all),
                        CASE(test_story_of_the_daemon),
                        CASE(test_pending_grants_are_kept_or_dropped_without_a_prompt),
                        CASE(test_revoke_that_releases),
                        CASE(test_a_vm_that_starts_during_the_prompt_of_revoke),
                        CASE(test_the_prompt_of_ids),
                        CASE(test_bad_ids),
                        CASE(test_a_hostile_daemon_gets_nothing),
                        CASE(test_a_hostile_daemon_drops_no_kept_consent),
                        CASE(test_consent_needs_the_stronger_action),
                        CASE(test_polkit_says_no),
                        CASE(test_polkit_has_no_agent),
                        CASE(test_polkit_would_prompt),
                        CASE(test_polkit_fails),
                        CASE(test_polkit_is_gone),
                        CASE(test_polkit_leaves_while_it_asks),
                        CASE(test_the_caller_vanishes_while_polkit_asks),
                        CASE(test_what_changed_during_the_prompt_counts),
                        CASE(test_subjects_that_prove_nothing),
                        CASE(test_bad_addresses),
                        CASE(test_bad_arrays),
                        CASE(test_wrong_signatures),
                        CASE(test_nine_prompts_of_one_user),
                        CASE(test_a_stuck_kernel),
                        CASE(test_busy_while_a_move_is_under_way),
                        CASE(test_crash_at_each_step),
                        CASE_SHORT(test_idle_helper_leaves_and_comes_back),
                        CASE_SHORT(test_no_call_is_lost_at_the_edge_of_idleness),
                        CASE_SHORT(test_a_deadline_keeps_it),
                        CASE_SHORT(test_who_is_held_keeps_nobody_waiting),
                        CASE_SHORT(test_a_deadline_outlives_it),
                        CASE(test_root_finds_room),
        };

        return suite_run("bus-helper", "runs its parts under several users", tests);
}
