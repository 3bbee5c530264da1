/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions: made for a group or by number, made again when they were lost, and taken away. */

#include <fcntl.h>
#include <sys/stat.h>

#include "fake-kernel.h"
#include "sriov-bench.h"
#include "suite.h"

static Path make_group(Bench *b, sd_bus *admin, const char *addresses, const char *binding, uint32_t vfs) {
        Path group;

        (void)sscanf(orders_show(sriov_make(b, admin, addresses, binding, vfs)), "%127s", group.text);
        return group;
}

/* make */

static void test_make_of_two_cards(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = make_group(b, admin, BOTH, "persistent", 3);

        assert_int_equal(b->n_asked, 1); /* one prompt, the helper's */
        assert_string_equal(b->asked[0].action, POLKIT_ACTION_GRANT);
        assert_true(sriov_has(b, PF, 3, true) && sriov_has(b, PF_TWO, 3, true));
        assert_true(sriov_is_granted(b, PF) && sriov_is_granted(b, PF_TWO));
        assert_string_equal(fake_host_driver(b->host, PF), PF_DRIVER);

        /* All of it is known when the answer is there. */
        assert_string_equal(orders_get_group(b, &group, "Total"), "6");
        assert_string_equal(orders_get_group(b, &group, "Available"), "6");
        assert_string_equal(orders_get_device(b, PF, "SriovNumVfs"), "3");
        assert_string_equal(orders_get_device(b, PF, "SriovOrderedVfs"), "3");
        assert_string_equal(orders_get_device(b, PF, "VfsGranted"), "true");
        assert_string_equal(orders_get_device(b, PF, "Granted"), "false");
        assert_string_equal(orders_get_device(b, PF, "State"), "host");
        assert_string_equal(orders_get_device(b, PF, "Attention"), "");
        assert_string_equal(orders_get_device(b, PF, "VfIndex"), "-1");
        assert_string_equal(orders_get_device(b, PF, "NetworkInterfaces"), "[eno1]");
        assert_string_equal(orders_get_device(b, vf_of(PF, 2), "VfIndex"), "2");
        assert_string_equal(orders_get_device(b, vf_of(PF, 2), "PhysicalFunction"), PF);
        assert_string_equal(orders_get_device(b, vf_of(PF, 2), "Granted"), "true");
        assert_string_equal(orders_get_device(b, vf_of(PF, 2), "State"), "pool");
        assert_string_equal(orders_get_device(b, vf_of(PF, 2), "SriovOrderedVfs"), "-1");
        assert_string_equal(orders_get_device(b, vf_of(PF, 2), "NetworkInterfaces"), "[]");
        assert_string_equal(orders_get_device(b, PF_NVME, "SriovOrderedVfs"), "-1");
        bench_disconnect(admin);
}

static void test_the_answer(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        const char *answer = orders_show(sriov_make(b, admin, BOTH, "on-claim", 2));
        Path group;

        assert_int_equal(sscanf(answer, "%127s", group.text), 1);
        assert_string_equal(orders_get_group(b, &group, "Available"), "4"); /* a VM can start now */
        assert_non_null(strstr(answer, "[" PF " " PF_TWO "]"));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 2);
        assert_true(sriov_has(b, PF, 2, false) && sriov_has(b, PF_TWO, 2, false));

        /* A second one of the same group: all is granted, so nobody is asked about that. */
        bench_expect_success(sriov_make(b, admin, PF, "on-claim", 2));
        assert_string_equal(b->asked[b->n_asked - 1].action, POLKIT_ACTION_MANAGE);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 2);
        bench_disconnect(admin);
}

static void expect_refused(Bench *b, sd_bus *admin, const char *addresses, uint32_t vfs, const char *kind,
                           const char *text) {
        bench_expect_error(sriov_make(b, admin, addresses, "on-claim", vfs), kind, text);
        assert_int_equal(b->n_asked, 0); /* what is hopeless does not prompt */
}

static void test_what_cannot_be_made(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        expect_refused(b, admin, NIC, 2, "InvalidArgument", "cannot have virtual functions");
        expect_refused(b, admin, PF " " NIC, 2, "InvalidArgument", NIC);
        expect_refused(b, admin, PF_NVME, 2, "InvalidArgument", "no network card");
        expect_refused(b, admin, BOTH, 8, "InvalidArgument", "it can have 7 at most");
        expect_refused(b, admin, PF, 0, "InvalidArgument", "");
        bench_expect_error(bench_finish(b, sriov_start_make(b, admin, PF, "on-claim", 2, NULL, NULL,
                                                            "confirm-seconds")),
                           "InvalidArgument", "confirm-seconds");
        bench_expect_error(bench_finish(b, sriov_start_make(b, admin, PF, "on-claim", 2, "link-state",
                                                            "sideways", NULL)),
                           "InvalidArgument", "link-state");
        assert_int_equal(b->n_asked, 0);
        sriov_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void test_what_is_said_of_a_group_that_exists(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "nics", "pci", 0));
        bench_expect_error(sriov_make(b, admin, PF, "on-claim", 2), "InvalidArgument", "another type");
        bench_expect_success(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "others", "sriov-nic", 1,
                                                "sriov", "a{sv}", 1, "vfs", "u", 2));
        /* The group says it all. */
        bench_expect_success(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                                bench_device_path(PF), "others", 0));
        assert_true(sriov_has(b, PF, 2, false));
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                              bench_device_path(PF_TWO), "others", 1, "sriov", "a{sv}", 1,
                                              "vfs", "u", 3),
                           "InvalidArgument", "other settings");
        /* And who is in one group is in no other. */
        bench_expect_success(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "third", "sriov-nic", 1,
                                                "sriov", "a{sv}", 1, "vfs", "u", 4));
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                              bench_device_path(PF), "third", 0),
                           "Ordered", "others");
        bench_disconnect(admin);
}

static void test_polkit_says_no(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(sriov_make(b, admin, BOTH, "persistent", 2), "NotAuthorized", "");
        bench_expect_error(sriov_set_count(b, admin, PF_NVME, 2), "NotAuthorized", "");
        sriov_expect_nothing_left(b);
        assert_string_equal(orders_get_device(b, PF, "VfsGranted"), "false");
        bench_disconnect(admin);
}

/* Who is not let do one of two has changed nothing of the other. */
static void test_polkit_says_no_to_one_of_two(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *nobody = bench_connect(b, NOBODY_UID);

        bench_expect_success(sriov_set_count(b, admin, PF_TWO, 1));
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(sriov_make(b, nobody, BOTH, "persistent", 2), "NotAuthorized", "");
        assert_true(sriov_is_granted(b, PF_TWO) && sriov_has(b, PF_TWO, 1, false));
        assert_string_equal(orders_get_device(b, PF_TWO, "SriovOrderedVfs"), "1");
        assert_true(sriov_is_untouched(b, PF));
        bench_disconnect(nobody);
        bench_disconnect(admin);
}

static void test_root_is_told_the_command(void **state) {
        Bench *b = *state;

        bench_expect_error(sriov_make(b, b->root, PF, "persistent", 2), "NotAuthorized",
                           "GrantVfs asbs 1 " PF " false \"\"");
        bench_expect_error(sriov_set_count(b, b->root, PF_NVME, 2), "NotAuthorized",
                           "GrantVfs asbs 1 " PF_NVME " false \"\"");
        bench_expect_success(bench_call_helper(b, b->root, "GrantVfs", "asbs", 1, PF, 0, ""));
        bench_until_signal(b, "PropertiesChanged " PF);
        bench_expect_success(sriov_make(b, b->root, PF, "persistent", 2));
        assert_true(sriov_has(b, PF, 2, true));
        assert_int_equal(b->n_asked, 0);
        bench_disconnect(NULL);
}

/* undo */

static void test_the_second_card_fails(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        fake_host_fail(b->host, "numvfs " PF_TWO " EIO");
        bench_expect_error(sriov_make(b, admin, BOTH, "persistent", 3), "DriverFailed", PF_TWO);
        sriov_expect_nothing_left(b);
        assert_string_equal(orders_get_device(b, PF, "VfsGranted"), "false");
        assert_string_equal(orders_get_device(b, PF, "SriovNumVfs"), "0");
        fake_host_clear(b->host);
        bench_expect_success(sriov_make(b, admin, BOTH, "persistent", 3));
        bench_disconnect(admin);
}

static void test_one_function_cannot_be_bound(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char rule[64];

        (void)snprintf(rule, sizeof rule, "probe %s EIO", vf_of(PF_TWO, 1));
        fake_host_fail(b->host, rule);
        bench_expect_error(sriov_make(b, admin, BOTH, "persistent", 3), "DriverFailed", "");
        sriov_expect_nothing_left(b);
        bench_disconnect(admin);
}

/* The driver is like igb: it has no link-state of its own for a function. */
static void test_the_driver_lacks_a_setting(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(bench_finish(b, sriov_start_make(b, admin, BOTH, "persistent", 3, "link-state",
                                                            "disable", NULL)),
                           "DriverFailed", "link-state");
        sriov_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void set_number(Bench *b, const char *pf, unsigned n) {
        char path[4400];

        (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root, fake_host_device_path(b->host, pf));
        fake_kernel_attach(b->host->root);
        assert_int_equal(fake_sriov_set_autoprobe(b->host, path, n > 0 ? "0" : "1"), 0);
        assert_int_equal(fake_sriov_set_number(b->host, path, n), 0);
}

/* Those that somebody had made before, without a driver, are there again. */
static void test_what_was_there_before(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        set_number(b, PF_TWO, 3);
        orders_until_device(b, PF_TWO, "SriovNumVfs", "3");
        bench_expect_error(bench_finish(b, sriov_start_make(b, admin, BOTH, "persistent", 2, "link-state",
                                                            "disable", NULL)),
                           "DriverFailed", "link-state");
        assert_true(sriov_has(b, PF, 0, false) && sriov_has(b, PF_TWO, 3, false));
        set_number(b, PF_TWO, 0);
        sriov_expect_nothing_left(b);
        bench_disconnect(admin);
}

/* Undoing would take from somebody what is his: so it does not begin. */
static void test_what_somebody_else_has_out(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        const char *vf = vf_of(PF, 0);

        set_number(b, PF, 2);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, vf, 0, 0, 0, ""));
        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", vf, 0));
        orders_until_device(b, vf, "Driver", "vfio-pci");
        bench_expect_error(sriov_make(b, admin, BOTH, "persistent", 4), "InUse", vf);
        assert_int_equal(b->n_asked, 0);
        assert_int_equal(sriov_count(b, PF), 2);
        assert_string_equal(fake_host_driver(b->host, vf), "vfio-pci");
        bench_disconnect(admin);
}

/* What cannot be undone is told, and not forgotten. */
static void test_undoing_fails(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(sriov_set_count(b, admin, PF, 1));
        fake_host_clear(b->host);
        fake_host_fail(b->host, "numvfs " PF_TWO " EIO");
        fake_host_fail(b->host, "numvfs " PF " EIO 3"); /* behind 0 and 2 */
        bench_expect_error(sriov_make(b, admin, BOTH, "persistent", 2), "DriverFailed",
                           "Not all could be undone");
        bench_kill_daemon(b);
        fake_host_clear(b->host);
        bench_start_daemon(b);
        orders_until_device(b, PF, "SriovNumVfs", "1");
        assert_true(sriov_is_granted(b, PF) && sriov_is_untouched(b, PF_TWO));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        bench_disconnect(admin);
}

/* A rule that was there before does not keep what has no consent. */
static void test_the_driver_lacks_a_setting_that_was_ordered(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        group = orders_take_path(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "nics", "sriov-nic",
                                                    2, "binding", "s", "persistent", "sriov", "a{sv}", 2,
                                                    "vfs", "u", 2, "link-state", "s", "disable"));
        (void)orders_make_rule(b, admin, &group, "one", "physical_function eq '" PF "'");
        for (unsigned i = 0; i < 2; i++) {
                bench_expect_error(bench_finish(b, sriov_start_make(b, admin, PF, "persistent", 2,
                                                                    "link-state", "disable", NULL)),
                                   "DriverFailed", "link-state");
                assert_true(sriov_is_untouched(b, PF));
        }
        bench_disconnect(admin);
}

/* return */

static void test_return(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = make_group(b, admin, BOTH, "persistent", 3);

        bench_expect_error(orders_return(b, admin, vf_of(PF, 1)), "InvalidArgument", PF);
        bench_expect_error(bench_call_device(b, admin, PF, "Bind"), "NotGranted", "virtual functions");
        bench_expect_error(orders_make(b, admin, PF, NULL, "pool", NULL), "Ordered", "ReturnToHost");
        bench_expect_success(orders_return(b, admin, PF));
        assert_true(sriov_is_untouched(b, PF));
        assert_true(sriov_has(b, PF_TWO, 3, true));
        assert_string_equal(orders_get_device(b, PF, "SriovNumVfs"), "0");
        assert_string_equal(orders_get_device(b, PF, "SriovOrderedVfs"), "-1");
        assert_string_equal(orders_get_group(b, &group, "Total"), "3");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);
        assert_string_equal(fake_host_driver(b->host, PF), PF_DRIVER);
        bench_disconnect(admin);
}

/* Together with what leaves the host itself. */
static void test_return_of_both_kinds(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(sriov_make(b, admin, PF, "persistent", 2));
        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        bench_expect_success(orders_return(b, admin, PF " " NIC));
        assert_true(sriov_is_untouched(b, PF));
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        bench_disconnect(admin);
}

/* by number */

static void test_set_vf_count(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(sriov_set_count(b, admin, NIC, 2), "InvalidArgument", "SR-IOV");
        bench_expect_error(sriov_set_count(b, admin, PF_NVME, 8), "InvalidArgument", "7 at most");
        bench_expect_error(sriov_set_count(b, admin, PF_NVME, 0), "NotGranted", "");
        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 2));
        assert_string_equal(b->asked[b->n_asked - 1].action, POLKIT_ACTION_GRANT);
        assert_true(sriov_has(b, PF_NVME, 2, false) && sriov_is_granted(b, PF_NVME));
        assert_string_equal(orders_get_device(b, PF_NVME, "SriovOrderedVfs"), "2");
        bench_expect_error(sriov_set_count(b, admin, vf_of(PF_NVME, 0), 2), "InvalidArgument", PF_NVME);

        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 5));
        assert_string_equal(b->asked[b->n_asked - 1].action, POLKIT_ACTION_MANAGE);
        assert_true(sriov_has(b, PF_NVME, 5, false));
        assert_string_equal(orders_get_device(b, PF_NVME, "SriovNumVfs"), "5");
        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 0));
        assert_int_equal(sriov_count(b, PF_NVME), 0);
        assert_string_equal(orders_get_device(b, PF_NVME, "SriovOrderedVfs"), "0");
        assert_string_equal(orders_get_device(b, PF_NVME, "VfsGranted"), "true");
        assert_string_equal(fake_host_driver(b->host, PF_NVME), "nvme");
        bench_disconnect(admin);
}

/* The kernel does not answer what the host uses: nobody waits for that longer than it takes to know. */
static void test_a_look_that_hangs(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[512];
        int fd;

        (void)snprintf(path, sizeof path, "%s/proc/swaps", b->host->root);
        fake_host_remove(b->host, "proc/swaps");
        assert_int_equal(mkfifo(path, 0644), 0);
        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 2));
        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 3)); /* it is known by now */
        assert_string_equal(orders_get_device(b, vf_of(PF_NVME, 2), "Eligible"), "false");

        fd = open(path, O_RDWR | O_CLOEXEC); /* lets it go */
        assert_true(fd >= 0);
        fake_host_remove(b->host, "proc/swaps");
        fake_host_write(b->host, "proc/swaps", "%s", "");
        (void)close(fd);
        orders_until_device(b, vf_of(PF_NVME, 2), "Eligible", "true");
        bench_disconnect(admin);
}

static void test_the_number_fails(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        fake_host_fail(b->host, "numvfs " PF_NVME " EIO");
        bench_expect_error(sriov_set_count(b, admin, PF_NVME, 2), "DriverFailed", PF_NVME);
        sriov_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void test_the_group_says_the_number(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(sriov_make(b, admin, PF, "persistent", 2));
        bench_expect_error(sriov_set_count(b, admin, PF, 3), "Ordered", "nics");
        assert_true(sriov_has(b, PF, 2, true));
        bench_disconnect(admin);
}

/* Storage: its functions are devices like any. */
static void test_functions_of_an_nvme_in_a_pool(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 2));
        group = orders_make_group(b, admin, "disks", "persistent");
        (void)orders_make_rule(b, admin, &group, "all", "physical_function eq '" PF_NVME "'");
        bench_until_property(b, vf_of(PF_NVME, 0), "State", "pool");
        bench_until_property(b, vf_of(PF_NVME, 1), "State", "pool");
        assert_string_equal(orders_get_group(b, &group, "Total"), "2");
        bench_expect_error(bench_call_device(b, admin, vf_of(PF_NVME, 0), "Release"), "Ordered", "disks");
        bench_disconnect(admin);
}

/* the steward */

static bool has_four(void *userdata) {
        Bench *b = userdata;

        return sriov_has(b, PF, 4, true) && sriov_has(b, PF_TWO, 4, true);
}

static void test_the_group_gets_another_number(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = make_group(b, admin, BOTH, "persistent", 2);

        bench_expect_success(orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "sriov", "a{sv}", 1,
                                               "vfs", "u", 4));
        orders_until_files(b, has_four, b);
        orders_until_device(b, PF, "Attention", "");
        orders_until_group(b, &group, "Total", "8");
        assert_string_equal(orders_get_device(b, PF, "SriovOrderedVfs"), "4");
        bench_disconnect(admin);
}

static void test_a_number_that_one_cannot_have(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = make_group(b, admin, PF, "persistent", 2), more;

        bench_expect_error(orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "sriov", "a{sv}", 1,
                                             "vfs", "u", 9),
                           "InvalidArgument", PF " can have 7 at most");

        /* By a rule that comes to a group which asks for more. */
        bench_expect_success(sriov_set_count(b, admin, PF_TWO, 2));
        more = orders_take_path(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "more", "sriov-nic",
                                                   1, "sriov", "a{sv}", 1, "vfs", "u", 9));
        (void)orders_make_rule(b, admin, &more, "card", "physical_function eq '" PF_TWO "'");
        orders_until_device(b, PF_TWO, "Attention", "can have 7 at most");
        assert_non_null(strstr(orders_get_manager(b, "Drift"), "refused " PF_TWO));
        assert_true(sriov_has(b, PF, 2, true) && sriov_has(b, PF_TWO, 2, false));
        bench_disconnect(admin);
}

static void reload_driver(Bench *b, const char *pf) {
        char path[4400];

        (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root, fake_host_device_path(b->host, pf));
        fake_kernel_attach(b->host->root);
        assert_int_equal(fake_kernel_unbind(path), 0);
        orders_until_device(b, pf, "Attention", "no driver of the host");
        assert_string_equal(orders_get_device(b, pf, "SriovNumVfs"), "0");
        assert_int_equal(fake_kernel_bind(path, PF_DRIVER), 0);
}

static bool has_two(void *userdata) {
        return sriov_has(userdata, PF, 2, true);
}

static void test_the_driver_is_loaded_again(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = make_group(b, admin, PF, "persistent", 2);

        for (unsigned i = 0; i < 2; i++) { /* without a growing pause */
                reload_driver(b, PF);
                orders_until_files(b, has_two, b);
                orders_until_device(b, PF, "Attention", "");
        }
        orders_until_group(b, &group, "Available", "2");
        bench_disconnect(admin);
}

/* As after a reboot: the order is there, the functions are not. Otherwise a start finds nothing to do. */
static void test_another_start(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        _cleanup_free_ char *log = NULL;
        char path[4400];

        bench_expect_success(sriov_make(b, admin, PF, "persistent", 2));
        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 3));
        bench_kill_daemon(b);
        fake_host_clear(b->host);
        bench_start_daemon(b);
        assert_string_equal(orders_get_device(b, vf_of(PF, 1), "State"), "pool");
        assert_string_equal(orders_get_device(b, PF_NVME, "SriovOrderedVfs"), "3");
        log = fake_host_log(b->host);
        assert_string_equal(log, "");

        bench_kill_daemon(b);
        fake_kernel_attach(b->host->root);
        for (size_t i = 0; i < ELEMENTSOF(every_pf); i++) {
                (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root,
                               fake_host_device_path(b->host, every_pf[i]));
                assert_int_equal(fake_sriov_set_number(b->host, path, 0), 0);
        }
        bench_start_daemon(b);
        orders_until_device(b, PF, "SriovNumVfs", "2");
        orders_until_device(b, PF_NVME, "SriovNumVfs", "3");
        orders_until_device(b, vf_of(PF, 1), "State", "pool");
        assert_true(sriov_has(b, PF, 2, true) && sriov_has(b, PF_NVME, 3, false));
        bench_disconnect(admin);
}

/* The helper cannot do it: told once, and tried again when it can be. */
static void test_they_cannot_be_made_again(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(sriov_make(b, admin, PF, "persistent", 2));
        fake_host_fail(b->host, "numvfs " PF " EIO");
        reload_driver(b, PF);
        orders_until_step(b, "answer SetVfs");
        orders_until_manager(b, "Drift", "refused " PF);
        orders_until_device(b, PF, "Attention", PF);
        fake_host_clear(b->host);
        orders_until_files(b, has_two, b);
        orders_until_device(b, PF, "Attention", "");
        bench_expect_no_line_twice(b);
        bench_disconnect(admin);
}

/* while a VM has one */

static unsigned count_refused(Bench *b) {
        _cleanup_free_ char *log = fake_host_log(b->host);
        unsigned n = 0;

        for (const char *at = log; (at = strstr(at, "numvfs " PF " = EIO")); at++)
                n++;
        return n;
}

static bool refused_thrice(void *userdata) {
        return count_refused(userdata) >= 3;
}

/* Who is refused something else has nothing tried again by that. */
static void test_pauses_are_kept(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *nobody = bench_connect(b, NOBODY_UID);

        bench_expect_success(sriov_set_count(b, admin, PF_NVME, 1));
        bench_expect_success(sriov_make(b, admin, PF, "persistent", 2));
        fake_host_clear(b->host);
        fake_host_fail(b->host, "numvfs " PF " EIO");
        reload_driver(b, PF);
        orders_until_files(b, refused_thrice, b);
        orders_until_device(b, PF, "Attention", PF);
        polkit_set_mode(b, POLKIT_NO);
        for (unsigned i = 0; i < 3; i++)
                bench_expect_error(orders_return(b, nobody, PF_NVME), "NotAuthorized", "");
        assert_string_equal(orders_get_device(b, PF, "State"), "host");
        assert_int_equal(count_refused(b), 3);
        bench_disconnect(nobody);
        bench_disconnect(admin);
}

static void test_while_one_is_claimed(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *user = bench_connect(b, OTHER_UID);
        Path disks, nics;
        Answer a;

        bench_expect_success(sriov_set_count(b, admin, PF, 2));
        disks = orders_make_group(b, admin, "pool", "on-claim");
        (void)orders_make_rule(b, admin, &disks, "all", "physical_function eq '" PF "'");
        orders_until_device(b, vf_of(PF, 0), "Eligible", "true");
        orders_until_device(b, vf_of(PF, 1), "Eligible", "true");
        (void)orders_make_claim(b, user, "web", &disks, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        assert_int_equal(a.n, 1);

        bench_expect_error(sriov_set_count(b, admin, PF, 3), "Claimed", "web");
        bench_expect_error(orders_return(b, admin, PF), "Claimed", "web");
        bench_expect_error(sriov_make(b, admin, PF, "on-claim", 3), "Claimed", "web");

        /* An order that comes meanwhile waits. */
        nics = orders_take_path(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "nics", "sriov-nic",
                                                   1, "sriov", "a{sv}", 1, "vfs", "u", 4));
        (void)orders_make_rule(b, admin, &nics, "card", "physical_function eq '" PF "'");
        orders_until_device(b, PF, "Attention", "web");
        assert_int_equal(sriov_count(b, PF), 2);
        vm_let_go(&a);
        orders_until_device(b, PF, "SriovNumVfs", "4");
        orders_until_device(b, PF, "Attention", "");
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* Somebody's driver has one of those that he has made himself. */
static void test_while_the_host_drives_one(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[4400];

        (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root, fake_host_device_path(b->host, PF));
        fake_kernel_attach(b->host->root);
        assert_int_equal(fake_sriov_set_number(b->host, path, 2), 0);
        bench_until_property(b, vf_of(PF, 1), "Driver", "igbvf");
        bench_expect_error(sriov_make(b, admin, PF, "persistent", 3), NULL, "igbvf");
        assert_int_equal(sriov_count(b, PF), 2);
        assert_string_equal(fake_host_driver(b->host, vf_of(PF, 0)), "igbvf");
        assert_false(sriov_has_file(b, PENDING_GRANTS_DIR, PF, "grant"));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);
        bench_disconnect(admin);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, sriov_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_make_of_two_cards),
                        CASE(test_the_answer),
                        CASE(test_what_cannot_be_made),
                        CASE(test_what_is_said_of_a_group_that_exists),
                        CASE(test_polkit_says_no),
                        CASE(test_polkit_says_no_to_one_of_two),
                        CASE(test_root_is_told_the_command),
                        CASE(test_the_second_card_fails),
                        CASE(test_one_function_cannot_be_bound),
                        CASE(test_the_driver_lacks_a_setting),
                        CASE(test_what_was_there_before),
                        CASE(test_what_somebody_else_has_out),
                        CASE(test_undoing_fails),
                        CASE(test_the_driver_lacks_a_setting_that_was_ordered),
                        CASE(test_return),
                        CASE(test_return_of_both_kinds),
                        CASE(test_set_vf_count),
                        CASE(test_a_look_that_hangs),
                        CASE(test_the_number_fails),
                        CASE(test_the_group_says_the_number),
                        CASE(test_functions_of_an_nvme_in_a_pool),
                        CASE(test_the_group_gets_another_number),
                        CASE(test_a_number_that_one_cannot_have),
                        CASE(test_the_driver_is_loaded_again),
                        CASE(test_another_start),
                        CASE(test_they_cannot_be_made_again),
                        CASE(test_pauses_are_kept),
                        CASE(test_while_one_is_claimed),
                        CASE(test_while_the_host_drives_one),
        };

        return suite_run("bus-sriov", "runs its parts under several users", tests);
}
