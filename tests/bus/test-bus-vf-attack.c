/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a VM, or who owns its claim, may try to keep of the settings in the network, or to take with them. */

#include "sriov-bench.h"
#include "suite.h"

#define STATE "run/fake-vf-link/" PF
#define FRESH "link-state=auto spoof-checking=on trust=off "
#define NO_VLAN "vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 "
#define MAC "02:00:00:00:00:01"

#define SETTINGS(group, n, ...)                                                                             \
        orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "sriov", "a{sv}", n, __VA_ARGS__)
#define CLAIM(...) bench_call_manager(b, user, "CreateClaim", "soua{sv}", "web", group.text, 1, __VA_ARGS__)

/* Of one function. */
static Path make_group(Bench *b) {
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        (void)sscanf(orders_show(sriov_make(b, admin, PF, "persistent", 1)), "%127s", group.text);
        bench_disconnect(admin);
        return group;
}

static void expect_state(Bench *b, const char *expected) {
        _cleanup_free_ char *text = fake_host_read(b->host, STATE);

        assert_string_equal(strempty(text), expected);
}

static void run_once(Bench *b, sd_bus *user, const Path *claim, const char *while_it_runs) {
        Answer a = vm_take_answer(START(b, user, "web", 0));

        expect_state(b, while_it_runs);
        vm_let_go(&a);
        orders_until_claim(b, claim, "Status", "idle");
}

/* Who may set it no more, and says so no more, has set it all the same. */
static void test_orders_change_while_it_runs(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b), claim;
        Answer a;

        bench_expect_success(SETTINGS(group, 1, "overridable", "as", 3, "mac", "trust", "spoof-checking"));
        claim = orders_take_path(CLAIM(2, "mac-addresses", "as", 1, MAC, "sriov", "a{sv}", 2, "trust", "s",
                                       "on", "spoof-checking", "s", "off"));
        a = vm_take_answer(START(b, user, "web", 0));
        expect_state(b, "0: " NO_VLAN "link-state=auto spoof-checking=off trust=on mac=" MAC "\n");

        bench_expect_success(SETTINGS(group, 1, "overridable", "as", 1, "mac"));
        bench_expect_success(orders_call_claim(b, user, &claim, "Update", "a{sv}", 1, "sriov", "a{sv}", 0));
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        expect_state(b, "");
        bench_disconnect(user);
}

/* What a group said once is not what it says now. */
static void test_a_group_trusts_no_more(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b), claim;

        claim = orders_take_path(CLAIM(1, "mac-addresses", "as", 1, MAC));
        bench_expect_success(SETTINGS(group, 1, "trust", "s", "on"));
        run_once(b, user, &claim, "0: " NO_VLAN "link-state=auto spoof-checking=on trust=on mac=" MAC "\n");
        bench_expect_success(SETTINGS(group, 1, "trust", "s", "default"));
        run_once(b, user, &claim, "0: " NO_VLAN FRESH "mac=" MAC "\n");
        expect_state(b, "");
        bench_disconnect(user);
}

/* The frames of the host are the host's. */
static void test_the_address_of_the_port(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b), claim;

        fake_host_write(b->host, "sys/class/net/eno1/address", MAC "\n");
        claim = orders_take_path(CLAIM(1, "mac-addresses", "as", 1, MAC));
        bench_expect_error(START(b, user, "web", 0), "Conflict",
                           "cannot have the address " MAC ": it is that of the interface eno1 of this host");
        expect_state(b, "");
        orders_until_claim(b, &claim, "Status", "errors");

        bench_expect_success(orders_call_claim(b, user, &claim, "Update", "a{sv}", 1, "mac-addresses", "as",
                                               1, "02:00:00:00:00:02"));
        run_once(b, user, &claim, "0: " NO_VLAN FRESH "mac=02:00:00:00:00:02\n");
        bench_disconnect(user);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sriov_setup, bench_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        CASE(test_orders_change_while_it_runs),
                        CASE(test_a_group_trusts_no_more),
                        CASE(test_the_address_of_the_port),
        };

        return suite_run("bus-vf-attack", "processes of several users", tests);
}
