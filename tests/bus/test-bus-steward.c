/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench.h"
#include "fake-kernel.h"
#include "suite.h"

static int setup(void **state) {
        Bench *b;

        *state = b = bench_new(0);
        bench_start_daemon(b);
        return 0;
}

static sd_bus_message *make(Bench *b, sd_bus *from, const char *address, const char *group,
                            const char *binding) {
        char one[128];

        (void)snprintf(one, sizeof one, "%s", bench_device_path(address));
        return bench_call_manager(b, from, "MakePassthrough", "aosa{sv}", 1, one, group, 1, "binding", "s",
                                  binding);
}

static char *get_path(sd_bus_message *reply) {
        const char *path;
        char *copy;

        if (sd_bus_message_get_error(reply))
                fail_msg("%s", sd_bus_message_get_error(reply)->message);
        assert_true(sd_bus_message_read(reply, "o", &path) > 0);
        copy = strdup(path);
        sd_bus_message_unref(reply);
        return copy;
}

/* What a device belongs to must be known after a restart, and nothing may leave the pool for that. */
static void test_restart_keeps_members(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(make(b, admin, NIC, "pool", "persistent"));
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        bench_kill_daemon(b);
        bench_start_daemon(b);
        bench_expect_error(bench_call_device(b, admin, NIC, "Release"), "Ordered", "pool");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        bench_disconnect(admin);
}

/* Ends with a device in a group: the teardown looks for what a sanitizer says. */
static void test_end_with_members(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(make(b, admin, NIC, "pool", "on-claim"));
        bench_disconnect(admin);
}

/* Nobody authorised it: a refusal must not move a device that the administrator has bound meanwhile. */
static void test_refused_prompt_moves_nothing(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *other = bench_connect(b, OTHER_UID);
        char nic[128], pair[128], nvme[128];
        Pending *p;

        (void)snprintf(nic, sizeof nic, "%s", bench_device_path(NIC));
        (void)snprintf(pair, sizeof pair, "%s", bench_device_path(PAIR_NIC));
        (void)snprintf(nvme, sizeof nvme, "%s", bench_device_path(PAIR_NVME));
        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, nic, 0));

        polkit_set_mode(b, POLKIT_HANG);
        p = bench_start(b, other, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "MakePassthrough", true,
                        "aosa{sv}", 3, nic, pair, nvme, "mine", 0);
        bench_until_asked(b, 2);
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(bench_call_device(b, admin, NIC, "Bind"));
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");

        polkit_settle(b, 1, false);
        bench_expect_error(bench_finish(b, p), "NotAuthorized", "");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        bench_disconnect(other);
        bench_disconnect(admin);
}

/* An older rule of another group has the device: then it cannot be in this group. */
static void test_make_where_another_group_has_it(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char *group;

        group = get_path(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "wide", "pci", 0));
        bench_expect_success(bench_call_manager(b, admin, "CreateRule", "ossa{sv}", group, "all",
                                                "address eq '" NIC "'", 0));
        bench_expect_error(make(b, admin, NIC, "pool", "persistent"), "Ordered", "wide");
        assert_int_equal(b->n_asked, 2); /* for the group and the rule */
        free(group);
        bench_disconnect(admin);
}

/* What nobody wants any more waits for nothing. */
static void test_refusal_ends_with_the_order(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char *group;
        sd_bus_message *reply;
        const char *text;

        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(NIC), 0));
        fake_host_fail(b->host, "probe " NIC " EIO 1");
        group = get_path(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "g", "pci", 1, "binding",
                                            "s", "persistent"));
        bench_expect_success(bench_call_manager(b, admin, "CreateRule", "ossa{sv}", group, "all",
                                                "address eq '" NIC "'", 0));
        bench_until_signal(b, "PropertiesChanged " NIC);
        bench_until_property(b, NIC, "State", "host");
        assert_non_null(strstr(bench_get(b, NIC, "Attention"), "Failed"));
        reply = bench_finish(b, bench_start(b, admin, BUS_NAME, group, BUS_INTERFACE_GROUP, "Update", true,
                                            "a{sv}", 1, "enabled", "b", 0));
        bench_expect_success(reply);
        text = bench_get(b, NIC, "Attention");
        assert_string_equal(text, "");
        free(group);
        bench_disconnect(admin);
}

static size_t count_drift(Bench *b, bool *ret_empty) {
        sd_bus_message *reply;
        const char *kind, *address, *sentence;
        size_t n = 0;

        reply = bench_finish(b,
                             bench_start(b, b->root, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.Properties",
                                         "Get", false, "ss", BUS_INTERFACE_MANAGER, "Drift"));
        assert_true(sd_bus_message_enter_container(reply, 'v', "a(sss)") > 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "(sss)") > 0);
        while (sd_bus_message_read(reply, "(sss)", &kind, &address, &sentence) > 0) {
                n++;
                *ret_empty = *ret_empty || !sentence[0];
        }
        sd_bus_message_unref(reply);
        return n;
}

/* In no group, and root brought it home itself. */
static void test_drift_has_a_sentence(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        bool empty = false;

        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(NIC), 0));
        bench_expect_success(bench_call_device(b, admin, NIC, "Bind"));
        bench_until_property(b, NIC, "State", "pool");
        bench_expect_success(bench_call_helper(b, b->root, "Release", "s", NIC));
        bench_until_property(b, NIC, "State", "host");
        (void)count_drift(b, &empty);
        assert_false(empty);
        bench_disconnect(admin);
}

/* The rule of a sibling that was named goes with it. */
static void test_return_removes_rules_of_all_that_move(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char nic[128], nvme[128];

        (void)snprintf(nic, sizeof nic, "%s", bench_device_path(PAIR_NIC));
        (void)snprintf(nvme, sizeof nvme, "%s", bench_device_path(PAIR_NVME));
        bench_expect_success(
                        bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 2, nic, nvme, "g", 0));
        bench_expect_success(bench_call_manager(b, admin, "ReturnToHost", "ao", 1, nic));
        assert_string_equal(bench_get(b, PAIR_NVME, "Attention"), "");
        bench_disconnect(admin);
}

/* Disabled rules are rules, too. */
static void test_return_removes_disabled_rule(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        sd_bus_message *reply;
        const char *group, *rule;
        char *path;

        reply = make(b, admin, NIC, "g", "on-claim");
        assert_true(sd_bus_message_read(reply, "o", &group) > 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "o") > 0);
        assert_true(sd_bus_message_read(reply, "o", &rule) > 0);
        path = strdup(rule);
        sd_bus_message_unref(reply);
        bench_expect_success(bench_finish(b, bench_start(b, admin, BUS_NAME, path, BUS_INTERFACE_RULE,
                                                         "Update", true, "a{sv}", 1, "enabled", "b", 0)));
        bench_expect_success(bench_call_manager(b, admin, "ReturnToHost", "ao", 1, bench_device_path(NIC)));
        reply = bench_finish(b,
                             bench_start(b, admin, BUS_NAME, path, BUS_INTERFACE_RULE, "Delete", true, ""));
        assert_non_null(sd_bus_message_get_error(reply));
        sd_bus_message_unref(reply);
        free(path);
        bench_disconnect(admin);
}

static void persistent_rule(Bench *b, sd_bus *admin, const char *filter) {
        char *group;

        group = get_path(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "g", "pci", 1, "binding",
                                            "s", "persistent"));
        bench_expect_success(bench_call_manager(b, admin, "CreateRule", "ossa{sv}", group, "r", filter, 0));
        free(group);
}

/* The host lets go of it while we run. */
static void test_spared_device_is_bound(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char net[256], path[300];

        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(NIC), 0));
        (void)snprintf(net, sizeof net, "%s/net/eth9", fake_host_device_path(b->host, NIC));
        fake_host_add_net(b->host, net);
        fake_host_add_network_address(b->host, "eth9", "192.0.2.1/24");
        fake_kernel_uevent("change", NIC);
        while (bench_get(b, NIC, "Reason")[0] == '\0')
                bench_until_signal(b, "PropertiesChanged " NIC);
        persistent_rule(b, admin, "address eq '" NIC "'");
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        /* As the kernel does, with the directory of interfaces: an empty one says that another namespace has it. */
        (void)snprintf(path, sizeof path, "sys/%s/net", fake_host_device_path(b->host, NIC));
        fake_host_remove(b->host, path);
        fake_host_remove(b->host, "sys/class/net/eth9");
        fake_kernel_uevent("change", NIC);
        bench_until_property(b, NIC, "Reason", "");
        bench_until_property(b, NIC, "State", "pool");
        bench_disconnect(admin);
}

/* What a rule says of the host's driver does not end with the move that it asks for. */
static void test_a_rule_by_driver(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(NIC), 0));
        persistent_rule(b, admin, "driver eq 'e1000e' and module ne 'vfio_pci' and address eq '" NIC "'");
        bench_until_property(b, NIC, "State", "pool");
        bench_expect_success(
                        bench_call_device(b, admin, NIC, "Check")); /* an answer, and all that came before */
        bench_until_property(b, NIC, "State", "pool");
        assert_int_equal(bench_count_signals(b, "PropertiesChanged " NIC " Driver=e1000e"), 0);
        bench_disconnect(admin);
}

/* It was in the pool before, and a make that failed must leave it there. */
static void test_failed_make_leaves_the_pool(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char nic[128], pair[128], nvme[128];

        (void)snprintf(nic, sizeof nic, "%s", bench_device_path(NIC));
        (void)snprintf(pair, sizeof pair, "%s", bench_device_path(PAIR_NIC));
        (void)snprintf(nvme, sizeof nvme, "%s", bench_device_path(PAIR_NVME));
        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, nic, 0));
        bench_expect_success(bench_call_device(b, admin, NIC, "Bind"));
        fake_host_fail(b->host, "override " PAIR_NIC " EIO 1");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 3, nic, pair, nvme,
                                              "g", 1, "binding", "s", "persistent"),
                           "DriverFailed", "");
        bench_until_property(b, NIC, "State", "pool");
        bench_expect_success(bench_call_device(b, admin, NIC, "Check"));
        assert_string_equal(bench_get(b, NIC, "Driver"), "vfio-pci");
        bench_disconnect(admin);
}

/* What a return that failed has brought home is still ordered. */
static void test_failed_return_binds_again(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char nic[128], pair[128], nvme[128];

        (void)snprintf(nic, sizeof nic, "%s", bench_device_path(NIC));
        (void)snprintf(pair, sizeof pair, "%s", bench_device_path(PAIR_NIC));
        (void)snprintf(nvme, sizeof nvme, "%s", bench_device_path(PAIR_NVME));
        bench_expect_success(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 3, nic, pair, nvme,
                                                "g", 1, "binding", "s", "persistent"));
        fake_host_fail(b->host, "unbind " PAIR_NIC " EIO");
        bench_expect_error(bench_call_manager(b, admin, "ReturnToHost", "ao", 2, nic, pair), "DriverFailed",
                           "");
        fake_host_clear(b->host);
        bench_until_property(b, NIC, "State", "pool");
        bench_disconnect(admin);
}

/* The second finds the group that the first has made. */
static void test_two_makes_one_new_group(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char nic[128], pair[128], nvme[128];
        Pending *one, *two;

        (void)snprintf(nic, sizeof nic, "%s", bench_device_path(NIC));
        (void)snprintf(pair, sizeof pair, "%s", bench_device_path(PAIR_NIC));
        (void)snprintf(nvme, sizeof nvme, "%s", bench_device_path(PAIR_NVME));
        polkit_set_mode(b, POLKIT_HANG);
        one = bench_start(b, admin, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "MakePassthrough", true,
                          "aosa{sv}", 1, nic, "g", 0);
        two = bench_start(b, admin, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "MakePassthrough", true,
                          "aosa{sv}", 2, pair, nvme, "g", 0);
        bench_until_asked(b, 2);
        polkit_settle(b, 0, true);
        polkit_settle(b, 1, true);
        bench_expect_success(bench_finish(b, one));
        bench_expect_success(bench_finish(b, two));
        bench_disconnect(admin);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_restart_keeps_members),
                        CASE(test_end_with_members),
                        CASE(test_refused_prompt_moves_nothing),
                        CASE(test_make_where_another_group_has_it),
                        CASE(test_refusal_ends_with_the_order),
                        CASE(test_drift_has_a_sentence),
                        CASE(test_return_removes_rules_of_all_that_move),
                        CASE(test_return_removes_disabled_rule),
                        CASE(test_spared_device_is_bound),
                        CASE(test_a_rule_by_driver),
                        CASE(test_failed_make_leaves_the_pool),
                        CASE(test_failed_return_binds_again),
                        CASE(test_two_makes_one_new_group),
        };

        return suite_run("bus-steward", "runs its parts under several users", tests);
}
