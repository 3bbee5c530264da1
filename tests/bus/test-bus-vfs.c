/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GrantVfs and SetVfs over the bus, by the helper's own process. */

#include "bench.h"
#include "fake-kernel.h"
#include "suite.h"

#define PF "0000:0a:00.0"
#define VF0 "0000:0a:10.0"
#define VF1 "0000:0a:10.1"
#define PF_GRANT GRANTS_DIR "/" PF ".grant"
#define PENDING_PF_GRANT PENDING_GRANTS_DIR "/" PF ".grant"
#define JOURNAL MOVES_DIR "/20"

static int setup(void **state) {
        Bench *b;

        (void)bench_setup(state);
        b = *state;
        fake_host_add_device(b->host, &(FakeDevice){.address = PF,
                                                    .vendor = 0x8086,
                                                    .device = 0x10c9,
                                                    .class_code = 0x020000,
                                                    .driver = "igb",
                                                    .iommu_set = 20,
                                                    .total_vfs = 8,
                                                    .vf_device = 0x10ca,
                                                    .vf_driver = "igbvf"});
        return 0;
}

static sd_bus_message *set_vfs(Bench *b, sd_bus *from, unsigned n, bool bind) {
        return bench_call_helper(b, from, "SetVfs", "sub", PF, n, bind);
}

static Pending *start_set_vfs(Bench *b, sd_bus *from, unsigned n) {
        return bench_start(b, from, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "SetVfs", true, "sub", PF, n,
                           1);
}

static void grant(Bench *b) {
        bench_expect_success(bench_call_helper(b, b->root, "GrantVfs", "asbs", 1, PF, 0, ""));
}

static void expect_driver(Bench *b, const char *address, const char *driver) {
        assert_string_equal(fake_host_driver(b->host, address), driver);
}

static bool has_written(Bench *b, const char *line) {
        _cleanup_free_ char *log = fake_host_log(b->host);

        return strstr(log, line);
}

static void expect_none(Bench *b) {
        assert_false(fake_host_exists(b->host, "sys/bus/pci/devices/" VF0));
        assert_false(fake_host_exists(b->host, JOURNAL));
        expect_driver(b, PF, "igb");
}

static void expect_two_in_pool(Bench *b) {
        expect_driver(b, VF0, "vfio-pci");
        expect_driver(b, VF1, "vfio-pci");
        assert_false(fake_host_exists(b->host, "sys/bus/pci/devices/" PF "/virtfn2"));
        assert_false(fake_host_exists(b->host, JOURNAL));
}

static void test_story_of_the_daemon(void **state) {
        Bench *b = *state;
        sd_bus *daemon = bench_connect_as_daemon(b), *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(set_vfs(b, daemon, 2, true), "NotGranted", PF);
        bench_expect_success(bench_call_helper(b, daemon, "GrantVfs", "asbs", 1, PF, 1, bench_name(admin)));
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(b->asked[0].action, POLKIT_ACTION_GRANT);
        assert_string_equal(b->asked[0].subject, bench_name(admin));
        assert_string_equal(polkit_detail(b, 0, "device"), PF);
        assert_string_equal(polkit_detail(b, 0, "driver"), "igb");
        assert_non_null(strstr(polkit_detail(b, 0, "model"), "[8086:10c9]"));
        assert_non_null(strstr(polkit_detail(b, 0, "polkit.message"), "virtual functions"));
        assert_true(fake_host_exists(b->host, PENDING_PF_GRANT));

        bench_expect_success(set_vfs(b, daemon, 2, true));
        expect_two_in_pool(b);
        bench_expect_success(bench_call_helper(b, daemon, "Keep", "as", 1, PF));
        assert_true(fake_host_exists(b->host, PF_GRANT));
        bench_expect_success(bench_call_helper(b, daemon, "Release", "s", VF0));
        expect_driver(b, VF0, "");
        bench_expect_success(bench_call_helper(b, daemon, "Bind", "sb", VF0, 1));
        bench_expect_success(bench_call_helper(b, daemon, "Plan", "sasb", VF0, 0, 0));
        assert_int_equal(b->n_asked, 1);

        bench_expect_success(bench_call_helper(b, daemon, "Revoke", "asbs", 1, PF, 1, bench_name(admin)));
        assert_int_equal(b->n_asked, 2);
        assert_false(fake_host_exists(b->host, PF_GRANT));
        expect_none(b);
        bench_disconnect(daemon);
        bench_disconnect(admin);
        bench_expect_no_line_twice(b);
}

static void test_polkit_says_no(void **state) {
        Bench *b = *state;
        sd_bus *daemon = bench_connect_as_daemon(b), *admin = bench_connect(b, ADMIN_UID);

        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(bench_call_helper(b, daemon, "GrantVfs", "asbs", 1, PF, 0, bench_name(admin)),
                           "NotAuthorized", "");
        bench_expect_error(bench_call_helper(b, daemon, "GrantVfs", "asbs", 1, PF, 0, ""), "InvalidArgument",
                           "");
        bench_expect_error(bench_call_helper(b, admin, "GrantVfs", "asbs", 1, PF, 0, ""), "NotAuthorized",
                           "");
        bench_expect_error(set_vfs(b, admin, 2, true), "NotAuthorized", "");
        assert_false(fake_host_exists(b->host, PF_GRANT));
        expect_none(b);
        bench_disconnect(daemon);
        bench_disconnect(admin);
}

/* What an administrator said yes to must still be what it was. */
static void test_granted_as_a_whole_during_the_prompt(void **state) {
        Bench *b = *state;
        sd_bus *daemon = bench_connect_as_daemon(b), *admin = bench_connect(b, ADMIN_UID);
        Pending *call;

        polkit_set_mode(b, POLKIT_HANG);
        call = bench_start(b, daemon, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "GrantVfs", true, "asbs",
                           1, PF, 0, bench_name(admin));
        bench_until_asked(b, 1);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, PF, 0, 0, 0, ""));
        polkit_settle(b, 0, true);
        bench_expect_error(bench_finish(b, call), "Conflict", PF);
        bench_disconnect(daemon);
        bench_disconnect(admin);
}

static void test_bad_arguments(void **state) {
        Bench *b = *state;

        grant(b);
        bench_expect_error(set_vfs(b, b->root, 257, true), "InvalidArgument",
                           "257 virtual functions of one device are too many; ask for 0 to 256.");
        bench_expect_error(set_vfs(b, b->root, 9, true), "InvalidArgument", "at most 8");
        bench_expect_error(bench_call_helper(b, b->root, "SetVfs", "sub", "../0", 1, 0), "InvalidArgument",
                           "");
        bench_expect_error(bench_call_helper(b, b->root, "SetVfs", "sub", NIC, 1, 0), "NotGranted", NIC);
        bench_expect_error(bench_call_helper(b, b->root, "GrantVfs", "asbs", 1, NIC, 0, ""),
                           "InvalidArgument", NIC);
        bench_expect_error(bench_call_helper(b, b->root, "GrantVfs", "asbs", 0, 0, ""), "InvalidArgument",
                           "");
        expect_none(b);
}

/* The daemon finds the new ones by their events, and may want one before SetVfs has come to it. */
static void test_bind_of_one_meanwhile(void **state) {
        Bench *b = *state;
        Pending *call, *bind;

        grant(b);
        fake_host_fail(b->host, "probe " VF1 " hang 1");
        call = start_set_vfs(b, b->root, 2);
        bench_expect_error(set_vfs(b, b->root, 0, false), "Busy", PF);
        while (!has_written(b, "probe " VF1 " = HANG"))
                assert_true(sd_event_run(b->event, 20000) >= 0);
        bind = bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Bind", true, "sb", VF1,
                           1);
        fake_host_let_go(b->host);
        bench_expect_success(bench_finish(b, call));
        bench_expect_success(bench_finish(b, bind));
        expect_two_in_pool(b);
}

/* The driver of the physical function hangs: all others go on, and what comes too late is undone. */
static void test_a_stuck_driver(void **state) {
        Bench *b = *state;

        fake_host_write(b->host, HELPER_CONF, "deadline-seconds=1\n");
        grant(b);
        fake_host_fail(b->host, "numvfs " PF " hang 1");
        bench_expect_error(bench_finish(b, start_set_vfs(b, b->root, 2)), "Stuck",
                           "setting the number of virtual functions of " PF " to 2");
        bench_expect_error(set_vfs(b, b->root, 0, false), "Stuck", PF);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""));

        fake_host_let_go(b->host);
        while (fake_host_exists(b->host, JOURNAL))
                assert_true(sd_event_run(b->event, 20000) >= 0);
        expect_none(b);
}

static void load_driver(Bench *b) {
        char path[4400];

        (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root, fake_host_device_path(b->host, PF));
        fake_kernel_attach(b->host->root);
        assert_int_equal(fake_kernel_bind(path, "igb"), 0);
}

/* With the driver all functions go: that is an end, nothing that somebody must mend. */
static void test_the_driver_leaves_meanwhile(void **state) {
        static const char *const when[] = {"unbind " VF0, "numvfs *", "numvfs *", "override " VF1};
        Bench *b = *state;
        char rule[64];

        grant(b);
        for (size_t i = 0; i < ELEMENTSOF(when); i++) {
                bench_expect_success(set_vfs(b, b->root, 1, true));
                fake_host_clear(b->host); /* its writes are not counted */
                (void)snprintf(rule, sizeof rule, "%s unbind:" PF " %u", when[i], i == 2 ? 2 : 1);
                fake_host_fail(b->host, rule);
                bench_expect_error(set_vfs(b, b->root, 2, true), "DriverFailed",
                                   "The driver of device " PF " left it meanwhile");
                assert_false(fake_host_exists(b->host, JOURNAL));
                fake_host_clear(b->host);
                load_driver(b);
                bench_expect_success(set_vfs(b, b->root, 2, true));
                expect_two_in_pool(b);
                bench_expect_success(set_vfs(b, b->root, 0, false));
        }
}

/* kill -9 of helper and worker before and after each write: the next helper mends it. */
static void test_crash_at_each_step(void **state) {
        static const char *const ways[] = {"crash", "crash-after", "kill"};
        Bench *b = *state;
        char rule[64];

        grant(b);
        for (unsigned step = 1; step <= 6; step++)
                for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[i], step);
                        fake_host_fail(b->host, rule);
                        bench_expect_error(set_vfs(b, b->root, 2, true),
                                           streq(ways[i], "kill") ? "Internal" : SD_BUS_ERROR_NO_REPLY, "");
                        assert_true(fake_host_exists(b->host, JOURNAL));
                        fake_host_clear(b->host);
                        bench_expect_success(set_vfs(b, b->root, 2, true));
                        expect_two_in_pool(b);
                        bench_expect_success(set_vfs(b, b->root, 0, false));
                        expect_none(b);
                        fake_host_clear(b->host);
                }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_story_of_the_daemon),
                        CASE(test_polkit_says_no),
                        CASE(test_granted_as_a_whole_during_the_prompt),
                        CASE(test_bad_arguments),
                        CASE(test_bind_of_one_meanwhile),
                        CASE(test_a_stuck_driver),
                        CASE(test_the_driver_leaves_meanwhile),
                        CASE(test_crash_at_each_step),
        };

        return suite_run("bus-vfs", "runs its parts under several users", tests);
}
