/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Starting VMs: who may, what they get and how, what is refused, and who waits for whom. */

#include <fcntl.h>
#include <sys/stat.h>

#include "suite.h"
#include "vms.h"

#define CLAIM "org.verge.Passthrough.claim"

static void test_start_and_lifeline(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a;

        orders_forget_signals(b);
        a = vm_take_answer(START(b, user, "web", 0));
        assert_int_equal(a.n, 1);
        assert_string_equal(a.devices[0].address, NIC);
        assert_string_equal(a.devices[0].claim, claim.text);
        assert_int_equal(a.devices[0].set, NIC_SET);
        assert_string_equal(a.devices[0].node, "/dev/vfio/7");
        assert_int_equal(a.n_fds, 0);
        assert_int_equal(a.iommufd, -1);
        assert_true(a.lifeline >= 0);

        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_true(vms_may_open(b, NIC_SET, OTHER_UID));
        assert_false(vms_may_open(b, NIC_SET, ADMIN_UID));
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        assert_string_equal(orders_get_claim(b, &claim, "StatusInfo"), "");
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[" NIC "]");
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        assert_string_equal(orders_get_device(b, NIC, "State"), "claimed");
        assert_string_equal(orders_get_device(b, NIC, "Claim"), claim.text);
        assert_string_equal(orders_get_group(b, &group, "Available"), "0");
        assert_true(orders_count_told(b, claim.text, "Status") >= 2);
        assert_true(orders_count_told(b, claim.text, "Devices") >= 1);
        assert_true(orders_count_told(b, NIC, "Claim") >= 1);
        bench_expect_error(START(b, user, "web", 0), "Running", "web");
        bench_expect_error(orders_call_claim(b, user, &claim, "Start", "a{sv}", 0), "Running", "pool 1");

        vm_let_go(&a);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        vms_expect_shut(b, NIC_SET);
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[]");
        assert_string_equal(orders_get_claim(b, &claim, "StatusInfo"), "");
        assert_string_equal(orders_get_group(b, &group, "Available"), "1");
        bench_expect_error(STOP(b, user, "web", 0), "NotRunning", "web");
        bench_expect_error(orders_call_claim(b, user, &claim, "Stop", ""), "NotRunning", "web");
        bench_disconnect(user);
}

static void test_a_persistent_group(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, "persistent"),
             claim = orders_make_claim(b, user, "web", &group, 1);
        _cleanup_free_ char *log = NULL;
        Answer a;

        a = vm_take_answer(START(b, user, "web", 0));
        assert_true(vms_may_open(b, NIC_SET, OTHER_UID));
        fake_host_clear(b->host);
        vm_let_go(&a);
        vms_until_pooled(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        vms_expect_shut(b, NIC_SET);
        log = fake_host_log(b->host);
        assert_string_equal(log, "reset " NIC "\n");
        assert_string_equal(orders_get_group(b, &group, "Available"), "1");
        bench_disconnect(user);
}

static void test_stop_answers_when_it_is_back(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        Answer a = vm_take_answer(START(b, user, "web", 0));

        assert_int_equal(a.n, 2);
        bench_expect_success(STOP(b, user, "web", 0));
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        assert_string_equal(fake_host_driver(b->host, CARD), "nouveau");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");
        vm_let_go(&a);

        /* And all of it once more, by the claim itself. */
        a = vm_take_answer(orders_call_claim(b, user, &claim, "Start", "a{sv}", 0));
        assert_int_equal(a.n, 2);
        bench_expect_success(orders_call_claim(b, user, &claim, "Stop", ""));
        vms_until_home(b, NIC);
        vm_let_go(&a);
        bench_disconnect(user);
}

static void test_two_claims_of_a_vm(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD " " SPARE, NULL, NULL),
             one = orders_make_claim(b, user, "web", &group, 1),
             two = orders_make_claim(b, user, "web", &group, 1);
        Answer a, other;

        a = vm_take_answer(orders_call_claim(b, user, &two, "Start", "a{sv}", 0));
        assert_int_equal(a.n, 1);
        assert_string_equal(a.devices[0].claim, two.text);
        assert_string_equal(orders_get_claim(b, &one, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &one, "RestartNeeded"), "true");
        bench_expect_error(START(b, user, "web", 0), "Running", "Claim.Start");
        other = vm_take_answer(orders_call_claim(b, user, &one, "Start", "a{sv}", 0));
        assert_string_equal(other.devices[0].claim, one.text);
        assert_string_not_equal(other.devices[0].address, a.devices[0].address);
        assert_string_equal(orders_get_claim(b, &one, "RestartNeeded"), "false");

        /* The end of one leaves the other alone; StopVm ends all. */
        vm_let_go(&a);
        orders_until_claim(b, &two, "Status", "idle");
        assert_string_equal(orders_get_claim(b, &one, "Status"), "online");
        a = vm_take_answer(orders_call_claim(b, user, &two, "Start", "a{sv}", 0));
        bench_expect_success(STOP(b, user, "web", 0));
        assert_string_equal(orders_get_claim(b, &one, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &two, "Status"), "idle");
        vm_let_go(&a);
        vm_let_go(&other);

        /* One start of both; and one of them stops. */
        a = vm_take_answer(START(b, user, "web", 0));
        assert_int_equal(a.n, 2);
        bench_expect_success(orders_call_claim(b, user, &one, "Stop", ""));
        assert_string_equal(orders_get_claim(b, &one, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &one, "RestartNeeded"), "true");
        assert_string_equal(orders_get_claim(b, &two, "Status"), "online");
        vm_let_go(&a);
        orders_until_claim(b, &two, "Status", "idle");
        assert_string_equal(orders_get_claim(b, &one, "RestartNeeded"), "false");
        bench_disconnect(user);
}

static void test_optional_is_left_out(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             empty = orders_make_group(b, b->root, "empty", NULL),
             must = orders_make_claim(b, user, "web", &group, 1),
             may = orders_make_claim(b, user, "web", &empty, 1);
        Answer a;

        /* All or nothing first. */
        fake_host_clear(b->host);
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "\"empty\"");
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        assert_string_equal(orders_get_claim(b, &must, "Status"), "idle");

        bench_expect_success(orders_call_claim(b, user, &may, "Update", "a{sv}", 1, "optional", "b", 1));
        a = vm_take_answer(START(b, user, "web", 0));
        assert_int_equal(a.n, 1);
        assert_string_equal(orders_get_claim(b, &must, "Status"), "online");
        assert_string_equal(orders_get_claim(b, &may, "Status"), "idle");
        assert_non_null(strstr(orders_get_claim(b, &may, "StatusInfo"), "optional"));
        vm_let_go(&a);
        orders_until_claim(b, &must, "Status", "idle");
        orders_until_claim(b, &may, "StatusInfo", "");

        bench_expect_error(orders_call_claim(b, user, &may, "Start", "a{sv}", 0), "Unavailable", "optional");
        bench_disconnect(user);
}

/* The second of two sets fails: the first comes back. */
static void test_all_or_nothing(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        Answer a;

        fake_host_fail(b->host, "unbind " CARD " EBUSY");
        bench_expect_error(START(b, user, "web", 0), "DriverFailed", CARD);
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        assert_string_equal(fake_host_driver(b->host, CARD), "nouveau");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "errors");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), CARD));
        assert_string_equal(orders_get_device(b, NIC, "Claim"), "/");
        vms_expect_shut(b, NIC_SET);

        fake_host_clear(b->host);
        a = vm_take_answer(START(b, user, "web", 0));
        assert_string_equal(orders_get_claim(b, &claim, "StatusInfo"), "");
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
}

/* Nobody waits for whoever has it open by hand, and the next start takes another one. */
static void test_held_by_hand(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, "persistent"),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a;

        fake_host_hold_vfio(b->host, NIC_SET, true);
        bench_expect_error(START(b, user, "web", 0), "InUse", NIC);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "errors");
        assert_string_equal(orders_get_device(b, NIC, "Claim"), "/");
        assert_string_equal(orders_get_device(b, NIC, "State"), "pool");

        a = vm_take_answer(START(b, user, "web", 0));
        assert_true(vm_has(&a, CARD));
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        vms_expect_shut(b, NIC_SET);
        bench_disconnect(user);
}

static void test_bad_options(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);

        bench_expect_error(START(b, user, "web", 1, "track", "s", "pid"), "InvalidArgument", "\"pid\"");
        bench_expect_error(START(b, user, "web", 1, "access", "s", "all"), "InvalidArgument", "\"all\"");
        bench_expect_error(START(b, user, "web", 1, "access", "s", "fds"), "InvalidArgument", "\"acl\"");
        bench_expect_error(START(b, user, "web", 1, "wait", "u", 86401), "InvalidArgument", "86400");
        bench_expect_error(START(b, user, "web", 1, "wait", "i", 1), "InvalidArgument", "type u");
        bench_expect_error(START(b, user, "web", 1, "numa-node", "i", -2), "InvalidArgument", "-2");
        bench_expect_error(START(b, user, "web", 1, "machine", "s", "web"), "InvalidArgument", "machine");
        bench_expect_error(START(b, user, "web", 2, "track", "s", "machine", "machine", "s", "a/b"),
                           "InvalidArgument", "a/b");
        bench_expect_error(START(b, user, "web", 1, "color", "s", "red"), "InvalidArgument", "color");
        bench_expect_error(START(b, user, "web", 1, "owner", "s", "root"), "InvalidArgument", "type u");
        bench_expect_error(STOP(b, user, "web", 1, "track", "s", "manual"), "InvalidArgument", "track");
        bench_expect_error(orders_call_claim(b, user, &claim, "Start", "a{sv}", 1, "owner", "u", 3),
                           "InvalidArgument", "owner");
        bench_expect_error(START(b, user, "db", 0), "NoSuchObject", "\"db\"");
        bench_expect_error(START(b, user, "", 0), "NoSuchObject", "");
        bench_expect_error(STOP(b, user, "db", 0), "NoSuchObject", "\"db\"");
        bench_expect_error(START(b, user, "web", 1, "owner", "u", 4242), "NoSuchObject", "owner");
        bench_expect_error(STOP(b, user, "web", 0), "NotRunning", "web");

        bench_expect_error(START(b, user, "web", 1, "track", "s", "machine"), "Unavailable",
                           "systemd-machined");
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");

        bench_expect_success(orders_call_claim(b, user, &claim, "Update", "a{sv}", 1, "enabled", "b", 0));
        bench_expect_error(START(b, user, "web", 0), "NoSuchObject", "enabled");
        bench_disconnect(user);
}

static void test_other_tracks(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a;

        a = vm_take_answer(START(b, user, "web", 1, "track", "s", "manual"));
        assert_int_equal(a.lifeline, -1);
        bench_disconnect(user);
        user = bench_connect(b, OTHER_UID);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        bench_expect_success(STOP(b, user, "web", 0));

        a = vm_take_answer(START(b, user, "web", 1, "track", "s", "connection"));
        assert_int_equal(a.lifeline, -1);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        bench_disconnect(user);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
}

/* Root needs no entry; and what root starts another may not stop. */
static void test_root_starts(void **state) {
        Bench *b = *state;
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, b->root, "web", &group, 1);
        sd_bus *user = bench_connect(b, OTHER_UID);
        Answer a;

        a = vm_take_answer(START(b, b->root, "web", 0));
        assert_false(vms_may_open(b, NIC_SET, 0));
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(STOP(b, user, "web", 0), "NotAuthorized", "");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        bench_expect_success(STOP(b, b->root, "web", 0));
        vm_let_go(&a);
        bench_disconnect(user);
}

static void test_who_is_asked_for(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        size_t n = b->n_asked;
        Answer a;

        polkit_set_mode(b, POLKIT_NO);
        a = vm_take_answer(START(b, user, "web", 0)); /* his own */
        assert_int_equal(b->n_asked, n);
        bench_expect_error(STOP(b, admin, "web", 0), "NotAuthorized", "");
        assert_string_equal(b->asked[n].action, CLAIM);
        assert_string_equal(polkit_detail(b, n, "verb"), "StopVm");
        assert_string_equal(polkit_detail(b, n, "vm"), "web");
        assert_string_equal(polkit_detail(b, n, "group"), "pool");
        assert_string_equal(polkit_detail(b, n, "count"), "2");
        bench_expect_error(orders_call_claim(b, admin, &claim, "Stop", ""), "NotAuthorized", "");
        bench_expect_success(STOP(b, user, "web", 0));
        vm_let_go(&a);
        assert_int_equal(b->n_asked, n + 2);

        bench_expect_error(START(b, admin, "web", 0), "NotAuthorized", "");
        assert_string_equal(polkit_detail(b, n + 2, "verb"), "StartVm");
        assert_string_equal(polkit_detail(b, n + 2, "vm"), "web");
        assert_string_equal(polkit_detail(b, n + 2, "group"), "pool");
        assert_string_equal(polkit_detail(b, n + 2, "count"), "2");
        bench_expect_error(orders_call_claim(b, admin, &claim, "Start", "a{sv}", 0), "NotAuthorized", "");
        bench_expect_error(START(b, admin, "web", 1, "owner", "u", OTHER_UID), "NotAuthorized", "");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");

        /* With leave: whoever starts it has the access. */
        polkit_set_mode(b, POLKIT_YES);
        a = vm_take_answer(START(b, admin, "web", 0));
        assert_true(vms_may_open(b, NIC_SET, ADMIN_UID));
        assert_false(vms_may_open(b, NIC_SET, OTHER_UID));
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* What was true when polkit was asked need not be when it answers. */
static void test_while_a_prompt_stands(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1),
             other = orders_make_claim(b, user, "other", &group, 1);
        size_t n = b->n_asked;
        Pending *p;
        Answer a;

        polkit_set_mode(b, POLKIT_HANG);
        p = START_LATER(b, admin, "web", 0);
        bench_until_asked(b, n + 1);
        a = vm_take_answer(START(b, user, "web", 0));
        polkit_settle(b, n, true);
        bench_expect_error(bench_finish(b, p), "Running", "web");

        p = bench_start(b, admin, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "StopVm", true, "sa{sv}", "web",
                        0);
        bench_until_asked(b, n + 2);
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        polkit_settle(b, n + 1, true);
        bench_expect_error(bench_finish(b, p), "NotRunning", "web");

        p = START_LATER(b, admin, "web", 0);
        bench_until_asked(b, n + 3);
        a = vm_take_answer(START(b, user, "other", 0));
        polkit_settle(b, n + 2, true);
        bench_expect_error(bench_finish(b, p), "Unavailable", "1 claimed by a VM");
        vm_let_go(&a);
        orders_until_claim(b, &other, "Status", "idle");

        p = START_LATER(b, admin, "web", 0);
        bench_until_asked(b, n + 4);
        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        polkit_settle(b, n + 3, true);
        bench_expect_error(bench_finish(b, p), "NoSuchObject", "web");

        /* Nobody waits for the answer any more: polkit is told, and nothing starts. */
        p = START_LATER(b, admin, "other", 0);
        bench_until_asked(b, n + 5);
        bench_drop(p);
        bench_disconnect(admin);
        bench_until_cancelled(b, 1);
        assert_string_equal(orders_get_claim(b, &other, "Status"), "idle");
        bench_disconnect(user);
}

static void test_vms_of_one_name(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1),
             other = orders_make_claim(b, admin, "web", &group, 1);
        Answer a, c;

        bench_expect_error(START(b, b->root, "web", 0), "NoSuchObject", "owner");
        a = vm_take_answer(START(b, user, "web", 0));
        assert_string_equal(a.devices[0].claim, claim.text);
        assert_string_equal(orders_get_claim(b, &other, "RestartNeeded"), "false");
        c = vm_take_answer(START(b, b->root, "web", 1, "owner", "u", ADMIN_UID));
        assert_string_equal(c.devices[0].claim, other.text);
        bench_expect_success(STOP(b, user, "web", 0));
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &other, "Status"), "online");
        vm_let_go(&a);
        bench_expect_success(STOP(b, b->root, "web", 1, "owner", "u", ADMIN_UID));
        vm_let_go(&c);
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* Both at once: one gets it, and the other is told why not. */
static void test_two_want_the_last(void **state) {
        Bench *b = *state;
        sd_bus *users[] = {bench_connect(b, OTHER_UID), bench_connect(b, ADMIN_UID)};
        Path group = vms_make_group(b, NIC, NULL, NULL), claims[2];
        sd_bus_message *replies[2];
        Pending *p[2];
        size_t winner;
        Answer a;

        for (size_t i = 0; i < 2; i++)
                claims[i] = orders_make_claim(b, users[i], "web", &group, 1);
        for (size_t i = 0; i < 2; i++)
                p[i] = START_LATER(b, users[i], "web", 0);
        for (size_t i = 0; i < 2; i++)
                replies[i] = bench_finish(b, p[i]);
        winner = sd_bus_message_get_error(replies[0]) ? 1 : 0;
        bench_expect_error(replies[!winner], "Unavailable", "pool");
        a = vm_take_answer(replies[winner]);
        assert_int_equal(a.n, 1);
        assert_true(vms_may_open(b, NIC_SET, winner ? ADMIN_UID : OTHER_UID));
        assert_false(vms_may_open(b, NIC_SET, winner ? OTHER_UID : ADMIN_UID));
        bench_expect_error(START(b, users[!winner], "web", 0), "Unavailable", "1 claimed by a VM");
        assert_string_equal(orders_get_claim(b, &claims[!winner], "Devices"), "[]");

        vm_let_go(&a);
        orders_until_claim(b, &claims[winner], "Status", "idle");
        a = vm_take_answer(START(b, users[!winner], "web", 0));
        vm_let_go(&a);
        orders_until_claim(b, &claims[!winner], "Status", "idle");
        for (size_t i = 0; i < 2; i++)
                bench_disconnect(users[i]);
}

/* First come, first served, also where a later one would fit. */
static void test_the_queue(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             has = orders_make_claim(b, user, "has", &group, 1),
             first = orders_make_claim(b, user, "first", &group, 2),
             second = orders_make_claim(b, admin, "second", &group, 1);
        Pending *p[2];
        Answer a, c;

        a = vm_take_answer(START(b, user, "has", 0));
        p[0] = START_LATER(b, user, "first", 1, "wait", "u", 600);
        orders_until_claim(b, &first, "Status", "waiting");
        assert_non_null(strstr(orders_get_claim(b, &first, "StatusInfo"), "of which 1 can be had"));
        bench_expect_error(START(b, admin, "second", 0), "Unavailable", "1 starts wait");
        p[1] = START_LATER(b, admin, "second", 1, "wait", "u", 600);
        orders_until_claim(b, &second, "Status", "waiting");
        assert_null(p[0]->reply);
        assert_null(p[1]->reply);

        vm_let_go(&a);
        c = vm_take_answer(bench_finish(b, p[0]));
        assert_int_equal(c.n, 2);
        assert_string_equal(orders_get_claim(b, &has, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &first, "Status"), "online");
        assert_string_equal(orders_get_claim(b, &second, "Status"), "waiting");
        vm_let_go(&c);
        a = vm_take_answer(bench_finish(b, p[1]));
        vm_let_go(&a);
        orders_until_claim(b, &second, "Status", "idle");
        bench_disconnect(user);
        bench_disconnect(admin);
}

static void test_the_end_of_waiting(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *leaves = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL), claim, other;
        Pending *p;
        Answer a;

        other = orders_make_claim(b, user, "other", &group, 1);
        claim = orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "other", 0));

        bench_expect_error(START(b, user, "web", 1, "wait", "u", 1), "Unavailable", "The 1 s are over");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "errors");

        p = START_LATER(b, user, "web", 1, "wait", "u", 600);
        orders_until_claim(b, &claim, "Status", "waiting");
        bench_expect_success(STOP(b, user, "web", 0));
        bench_expect_error(bench_finish(b, p), "Cancelled", "web");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");

        p = bench_start(b, user, BUS_NAME, claim.text, BUS_INTERFACE_CLAIM, "Start", true, "a{sv}", 1,
                        "wait", "u", 600);
        orders_until_claim(b, &claim, "Status", "waiting");
        bench_expect_success(orders_call_claim(b, user, &claim, "Stop", ""));
        bench_expect_error(bench_finish(b, p), "Cancelled", "web");

        /* Whoever asked has gone. */
        p = START_LATER(b, leaves, "web", 1, "wait", "u", 600);
        orders_until_claim(b, &claim, "Status", "waiting");
        bench_drop(p);
        bench_disconnect(leaves);
        orders_until_claim(b, &claim, "Status", "idle");

        /* The claim goes while its start waits. */
        p = START_LATER(b, user, "web", 1, "wait", "u", 600);
        orders_until_claim(b, &claim, "Status", "waiting");
        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        vm_let_go(&a);
        bench_expect_error(bench_finish(b, p), "NoSuchObject", "web");
        orders_until_claim(b, &other, "Status", "idle");
        vms_until_home(b, NIC);
        bench_disconnect(user);
}

static void test_quota(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC " " CARD " " SPARE, NULL, NULL), one, two, others;
        Pending *p;
        Answer a, c, d;

        one = orders_make_claim(b, user, "one", &group, 1);
        two = orders_make_claim(b, user, "two", &group, 1);
        others = orders_make_claim(b, admin, "others", &group, 1);
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "u", 1));
        a = vm_take_answer(START(b, user, "one", 0));
        bench_expect_error(START(b, user, "two", 0), "Unavailable", "quota");
        c = vm_take_answer(START(b, admin, "others", 0));
        p = START_LATER(b, user, "two", 1, "wait", "u", 600);
        orders_until_claim(b, &two, "Status", "waiting");
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "u", 2));
        d = vm_take_answer(bench_finish(b, p));
        vm_let_go(&d);
        vm_let_go(&a);
        vm_let_go(&c);
        orders_until_claim(b, &one, "Status", "idle");

        /* Waiting would be in vain. */
        bench_expect_success(orders_call_claim(b, b->root, &one, "Update", "a{sv}", 1, "count", "u", 3));
        bench_expect_error(START(b, user, "one", 1, "wait", "u", 600), "LimitsExceeded", "quota");

        orders_until_claim(b, &two, "Status", "idle");
        orders_until_claim(b, &others, "Status", "idle");
        bench_disconnect(user);
        bench_disconnect(admin);
}

static void test_too_many_wait(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = orders_make_group(b, b->root, "empty", NULL), claims[9];
        Pending *p[9];
        char vm[16];

        for (unsigned i = 0; i < 9; i++) {
                (void)snprintf(vm, sizeof vm, "vm%u", i);
                claims[i] = orders_make_claim(b, user, vm, &group, 1);
        }
        for (unsigned i = 0; i < 8; i++) {
                (void)snprintf(vm, sizeof vm, "vm%u", i);
                p[i] = START_LATER(b, user, vm, 1, "wait", "u", 600);
                orders_until_claim(b, &claims[i], "Status", "waiting");
        }
        bench_expect_error(START(b, user, "vm8", 1, "wait", "u", 600), "LimitsExceeded", "wait");
        for (unsigned i = 0; i < 8; i++) {
                (void)snprintf(vm, sizeof vm, "vm%u", i);
                bench_expect_success(STOP(b, user, vm, 0));
                bench_expect_error(bench_finish(b, p[i]), "Cancelled", vm);
        }

        /* More devices than a VM can have. */
        for (unsigned i = 0; i < 5; i++)
                (void)orders_make_claim(b, user, "huge", &group, 16);
        bench_expect_error(START(b, user, "huge", 0), "LimitsExceeded", "huge");
        bench_disconnect(user);
}

static void test_memory(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        char path[64];
        Answer a;

        (void)snprintf(path, sizeof path, "proc/%d/limits", (int)getpid());
        fake_host_write(b->host, path,
                        "Limit  Soft Limit  Hard Limit  Units\n"
                        "Max locked memory         65536                65536                bytes\n");
        a = vm_take_answer(START(b, user, "web", 1, "memory", "t", (uint64_t)4 << 30));
        assert_string_equal(orders_get_claim(b, &claim, "MemoryLock"), "5368709120");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), "LimitMEMLOCK"));
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        assert_string_equal(orders_get_claim(b, &claim, "MemoryLock"), "0");
        assert_string_equal(orders_get_claim(b, &claim, "StatusInfo"), "");

        fake_host_write(b->host, path,
                        "Max locked memory         unlimited            unlimited            bytes\n");
        a = vm_take_answer(START(b, user, "web", 2, "memory", "t", (uint64_t)4 << 30, "viommu", "b", 1));
        assert_string_equal(orders_get_claim(b, &claim, "MemoryLock"), "5368709120");
        assert_string_equal(orders_get_claim(b, &claim, "StatusInfo"), "");
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
}

/* A kernel with VFIO's cdev and iommufd. */
static void test_descriptors(void **state) {
        Bench *b = *state;
        sd_bus *user;
        Path group, claim;
        struct stat one, two;
        char path[64];
        Answer a;

        bench_stop_daemon(b);
        fake_host_add_cdev(b->host);
        bench_start_daemon(b);
        user = bench_connect(b, OTHER_UID);
        group = vms_make_group(b, NIC " " CARD, NULL, NULL);
        claim = orders_make_claim(b, user, "web", &group, 2);

        a = vm_take_answer(START(b, user, "web", 0)); /* what such a kernel is for */
        assert_int_equal(a.n, 2);
        assert_int_equal(a.n_fds, 2);
        assert_true(a.lifeline >= 0);
        assert_int_equal(fstat(a.iommufd, &one), 0);
        (void)snprintf(path, sizeof path, "dev/iommu");
        assert_int_equal(fstatat(b->host->fd, path, &two, 0), 0);
        assert_int_equal(one.st_ino, two.st_ino);
        assert_string_not_equal(a.fds[0].address, a.fds[1].address);
        assert_false(vms_may_open(b, NIC_SET, OTHER_UID));
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        vms_until_home(b, NIC);
        vms_until_home(b, CARD);

        a = vm_take_answer(START(b, user, "web", 1, "access", "s", "acl"));
        assert_int_equal(a.n_fds, 0);
        assert_true(vms_may_open(b, NIC_SET, OTHER_UID));
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_start_and_lifeline),
                        CASE(test_a_persistent_group),
                        CASE(test_stop_answers_when_it_is_back),
                        CASE(test_two_claims_of_a_vm),
                        CASE(test_optional_is_left_out),
                        CASE(test_all_or_nothing),
                        CASE(test_held_by_hand),
                        CASE(test_bad_options),
                        CASE(test_other_tracks),
                        CASE(test_root_starts),
                        CASE(test_who_is_asked_for),
                        CASE(test_while_a_prompt_stands),
                        CASE(test_vms_of_one_name),
                        CASE(test_two_want_the_last),
                        CASE(test_the_queue),
                        CASE(test_the_end_of_waiting),
                        CASE(test_quota),
                        CASE(test_too_many_wait),
                        CASE(test_memory),
                        CASE(test_descriptors),
        };

        return suite_run("bus-runs", "runs its parts under several users", tests);
}
