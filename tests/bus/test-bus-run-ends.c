/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ending VMs: what keeps a device from coming back, what is not to be had afterwards, what others may not do meanwhile,
 * and what a restart of the service keeps. */

#include <fcntl.h>
#include <sys/stat.h>

#include "suite.h"
#include "vms.h"

static const FakeDevice nic = {.address = NIC,
                               .vendor = 0x8086,
                               .device = 0x10d3,
                               .class_code = 0x020000,
                               .driver = "e1000e",
                               .iommu_set = NIC_SET,
                               .reset_methods = "flr bus",
                               .slot = "1"};

static void test_a_held_node(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        Answer a = vm_take_answer(START(b, user, "web", 0));

        fake_host_hold_vfio(b->host, NIC_SET, true);
        bench_expect_error(STOP(b, user, "web", 0), "InUse", NIC);
        vms_until_home(b, CARD);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "offline");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), NIC));
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[" NIC "]");
        assert_string_equal(orders_get_device(b, NIC, "State"), "claimed");
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "not back yet");

        /* It comes back by itself, whether or not somebody asks again. */
        bench_expect_error(STOP(b, user, "web", 0), "InUse", NIC);
        fake_host_hold_vfio(b->host, NIC_SET, false);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        vms_expect_shut(b, NIC_SET);
        vm_let_go(&a);
        bench_disconnect(user);
}

static void test_no_way_to_reset(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, PAIR_NIC, PAIR_NVME, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a;
        size_t n;

        a = vm_take_answer(START(b, user, "web", 0));
        assert_string_equal(orders_get_device(b, PAIR_NVME, "State"), "claimed");
        assert_string_equal(orders_get_device(b, PAIR_NVME, "Claim"), claim.text);
        vm_let_go(&a);
        orders_until_device(b, PAIR_NIC, "State", "quarantined");
        orders_until_claim(b, &claim, "Status", "errors");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), "reset"));
        assert_non_null(strstr(orders_get_device(b, PAIR_NIC, "Quarantine"), "reset"));
        assert_string_equal(orders_get_device(b, PAIR_NIC, "Claim"), "/");
        assert_string_equal(orders_get_group(b, &group, "Available"), "0");
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "vfio-pci");
        vms_expect_shut(b, PAIR_SET);
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "1 in quarantine");
        bench_expect_error(bench_call_device(b, user, NIC, "EndQuarantine"), "InvalidArgument", NIC);

        /* It outlives the service, and the way home of the device. */
        bench_stop_daemon(b);
        bench_start_daemon(b);
        assert_string_equal(orders_get_device(b, PAIR_NIC, "State"), "quarantined");
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "1 in quarantine");

        n = b->n_asked;
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(bench_call_device(b, user, PAIR_NIC, "EndQuarantine"), "NotAuthorized", "");
        assert_int_equal(b->n_asked, n + 1);
        assert_string_equal(b->asked[n].action, "org.verge.Passthrough.manage");
        assert_string_equal(polkit_detail(b, n, "verb"), "EndQuarantine");
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(bench_call_device(b, admin, PAIR_NIC, "EndQuarantine"));
        assert_string_equal(orders_get_device(b, PAIR_NIC, "Quarantine"), "");
        orders_until_group(b, &group, "Available", "1");
        a = vm_take_answer(START(b, user, "web", 0));
        vm_let_go(&a);
        orders_until_device(b, PAIR_NIC, "State", "quarantined");
        bench_disconnect(user);
        bench_disconnect(admin);
}

static void test_a_reset_that_fails(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        Answer a;

        /* At the end. */
        a = vm_take_answer(START(b, user, "web", 0));
        fake_host_fail(b->host, "reset " NIC " EIO");
        vm_let_go(&a);
        orders_until_device(b, NIC, "State", "quarantined");
        vms_until_home(b, CARD);
        orders_until_claim(b, &claim, "Status", "errors");
        vms_expect_shut(b, NIC_SET);
        bench_expect_success(bench_call_device(b, b->root, NIC, "EndQuarantine"));
        orders_until_group(b, &group, "Available", "2");

        /* At the start: nobody gets it after that, either. */
        bench_expect_error(START(b, user, "web", 0), "ResetFailed", NIC);
        orders_until_device(b, NIC, "State", "quarantined");
        vms_until_home(b, CARD);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "errors");
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "1 in quarantine");
        fake_host_clear(b->host);
        bench_expect_success(bench_call_device(b, b->root, NIC, "EndQuarantine"));
        a = vm_take_answer(START(b, user, "web", 0));
        vm_let_go(&a);
        vms_until_home(b, NIC);
        vms_until_home(b, CARD);
        bench_disconnect(user);
}

/* A quarantine ends with the boot, and so do all VMs of it. */
static void test_another_boot(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1),
             other = orders_make_claim(b, user, "other", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0)), c = vm_take_answer(START(b, user, "other", 0));

        fake_host_fail(b->host, "reset * EIO");
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "errors");
        assert_string_equal(orders_get_claim(b, &other, "Status"), "online");

        bench_kill_daemon(b);
        vm_let_go(&c);
        fake_host_clear(b->host);
        fake_host_write(b->host, "proc/sys/kernel/random/boot_id", "77777777-7777-7777-7777-777777777777\n");
        bench_kill_helper(b);
        bench_start_daemon(b);
        orders_until_claim(b, &other, "Status", "idle");
        orders_until_device(b, NIC, "Quarantine", "");
        orders_until_device(b, CARD, "Quarantine", "");
        assert_string_equal(orders_get_device(b, CARD, "Claim"), "/");
        orders_until_group(b, &group, "Available", "2");
        bench_disconnect(user);
}

static void test_a_device_vanishes(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        Answer a = vm_take_answer(START(b, user, "web", 0));
        char text[200];

        fake_host_remove_device(b->host, NIC);
        (void)snprintf(text, sizeof text, "DeviceVanished %s", claim.text);
        bench_until_signal(b, text);
        assert_int_equal(bench_count_signals(b, text), 1);
        orders_until_claim(b, &claim, "Status", "missing");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), NIC));
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[" CARD "]");

        /* The same one comes back: kept for the VM. */
        fake_host_add_device(b->host, &nic);
        orders_until_device(b, NIC, "Driver", "vfio-pci");
        orders_until_claim(b, &claim, "Status", "online");
        assert_string_equal(orders_get_device(b, NIC, "Claim"), claim.text);
        orders_until_device(b, NIC, "State", "claimed");
        assert_string_equal(orders_get_group(b, &group, "Available"), "0");

        vm_let_go(&a);
        vms_until_home(b, NIC);
        vms_until_home(b, CARD);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
}

static void test_another_device_comes(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0));
        FakeDevice another = nic;

        another.device = 0x10d4;
        fake_host_remove_device(b->host, NIC);
        orders_until_claim(b, &claim, "Status", "missing");
        orders_forget_signals(b);
        fake_host_add_device(b->host, &another);
        bench_until_signal(b, "InterfacesAdded " NIC);
        assert_string_equal(orders_get_device(b, NIC, "Claim"), "/");
        assert_string_equal(orders_get_device(b, NIC, "State"), "host");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "missing");
        assert_string_equal(orders_get_claim(b, &claim, "Devices"), "[]");

        fake_host_clear(b->host);
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        {
                _cleanup_free_ char *log = fake_host_log(b->host);

                assert_string_equal(log, "");
        }
        bench_disconnect(user);
}

/* It vanishes, and the VM ends before it is back: then it is the host's again. */
static void test_the_vm_ends_without_it(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        Answer a = vm_take_answer(START(b, user, "web", 0));

        fake_host_remove_device(b->host, NIC);
        orders_until_claim(b, &claim, "Status", "missing");
        bench_expect_success(STOP(b, user, "web", 0));
        vm_let_go(&a);
        fake_host_add_device(b->host, &nic);
        orders_until_group(b, &group, "Available", "2");
        vms_until_home(b, NIC);
        a = vm_take_answer(START(b, user, "web", 0));
        assert_int_equal(a.n, 2);
        vm_let_go(&a);
        vms_until_home(b, NIC);
        vms_until_home(b, CARD);
        bench_disconnect(user);
}

static void expect_a_claimed_device_stays(Bench *b, const char *address) {
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(bench_call_device(b, admin, address, "Bind"), "Claimed", "web");
        bench_expect_error(bench_call_device(b, admin, address, "Release"), "Claimed", "web");
        bench_expect_error(bench_call_device(b, admin, address, "Reset"), "Claimed", "web");
        bench_expect_error(orders_return(b, admin, address), "Claimed", "web");
        bench_expect_error(bench_call_manager(b, admin, "Revoke", "ao", 1, bench_device_path(address)),
                           "Claimed", "web");
        bench_disconnect(admin);
}

static void test_a_claimed_device_stays(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, PAIR_NIC, PAIR_NVME, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0));
        size_t n = b->n_asked;

        expect_a_claimed_device_stays(b, PAIR_NIC);
        expect_a_claimed_device_stays(b, PAIR_NVME);
        bench_expect_error(orders_make(b, admin, PAIR_NVME, PAIR_NIC, "other", "persistent"), "Claimed",
                           "web");
        bench_expect_error(orders_call_group(b, admin, &group, "Delete", ""), "Claimed", "web");
        assert_int_equal(b->n_asked, n);
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "vfio-pci");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");

        /* Nor does a group that does not want it any more take it away. */
        bench_expect_success(orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "enabled", "b", 0));
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        assert_string_equal(orders_get_device(b, PAIR_NIC, "State"), "claimed");
        vm_let_go(&a);
        orders_until_device(b, PAIR_NIC, "State", "quarantined");
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* Also while it is on its way to the VM. */
static void test_a_device_on_its_way(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Pending *p;

        fake_host_fail(b->host, "unbind " NIC " hang 1");
        p = START_LATER(b, user, "web", 0);
        orders_until_step(b, "sent Bind");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "initializing");
        expect_a_claimed_device_stays(b, NIC);
        bench_expect_error(START(b, user, "web", 0), "Running", "web");

        /* Called off: it comes back, and then both are answered. */
        {
                Pending *stop = bench_start(b, user, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "StopVm",
                                            true, "sa{sv}", "web", 0);

                (void)orders_get_manager(b, "Version");
                fake_host_let_go(b->host);
                bench_expect_error(bench_finish(b, p), "Cancelled", "web");
                bench_expect_success(bench_finish(b, stop));
        }
        vms_until_home(b, NIC);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");
        bench_disconnect(user);
}

static void test_restart_needed(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2), new;
        Answer a = vm_take_answer(START(b, user, "web", 0));

        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        bench_expect_success(orders_call_claim(b, user, &claim, "Update", "a{sv}", 1, "count", "u", 1));
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "true");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        new = orders_make_claim(b, user, "web", &group, 1);
        assert_string_equal(orders_get_claim(b, &new, "RestartNeeded"), "true");
        bench_expect_success(orders_call_claim(b, user, &claim, "Update", "a{sv}", 1, "enabled", "b", 0));
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "true");
        bench_expect_success(STOP(b, user, "web", 0));
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        assert_string_equal(orders_get_claim(b, &new, "RestartNeeded"), "false");
        vm_let_go(&a);

        a = vm_take_answer(START(b, user, "web", 0));
        assert_int_equal(a.n, 1);
        assert_string_equal(a.devices[0].claim, new.text);
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "false");
        vm_let_go(&a);
        orders_until_claim(b, &new, "Status", "idle");
        bench_disconnect(user);
}

/* It stays until its devices are back. */
static void test_deleted_while_it_runs(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0));
        char text[200];

        bench_expect_success(orders_call_claim(b, user, &claim, "Delete", ""));
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), "deleted"));
        assert_string_equal(orders_get_claim(b, &claim, "RestartNeeded"), "true");
        bench_expect_error(orders_call_group(b, b->root, &group, "Delete", ""), "Claimed", "web");

        vm_let_go(&a);
        (void)snprintf(text, sizeof text, "InterfacesRemoved %s", claim.text);
        bench_until_signal(b, text);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 0);
        vms_until_home(b, NIC);
        bench_expect_error(START(b, user, "web", 0), "NoSuchObject", "web");
        bench_expect_success(orders_call_group(b, b->root, &group, "Delete", ""));
        bench_disconnect(user);
}

static void begin_to_keep(Bench *b) {
        bench_stop_daemon(b);
        bench_keep_descriptors(b);
        bench_start_daemon(b);
}

/* The service may come and go while VMs run. */
static void test_a_restart_keeps_vms(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group, claim, other;
        Answer a, c;

        begin_to_keep(b);
        group = vms_make_group(b, NIC " " CARD, NULL, NULL);
        claim = orders_make_claim(b, user, "web", &group, 1);
        other = orders_make_claim(b, user, "other", &group, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        c = vm_take_answer(START(b, user, "other", 0));
        assert_int_equal(bench_count_kept(b), 2);

        for (unsigned i = 0; i < 2; i++) {
                if (i == 0)
                        bench_kill_daemon(b);
                else
                        bench_stop_daemon(b);
                bench_start_daemon(b);
                assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
                assert_string_equal(orders_get_claim(b, &other, "Status"), "online");
                assert_true(vms_may_open(b, NIC_SET, OTHER_UID));
                assert_string_equal(orders_get_device(b, NIC, "State"), "claimed");
                assert_int_equal(bench_count_kept(b), 2);
        }

        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        assert_string_equal(orders_get_claim(b, &other, "Status"), "online");
        assert_int_equal(bench_count_kept(b), 1);

        /* One that ends while nobody looks. */
        bench_kill_daemon(b);
        vm_let_go(&c);
        bench_start_daemon(b);
        orders_until_claim(b, &other, "Status", "idle");
        vms_until_home(b, NIC);
        vms_until_home(b, CARD);
        vms_expect_shut(b, NIC_SET);
        vms_expect_shut(b, CARD_SET);
        assert_int_equal(bench_count_kept(b), 0);
        bench_disconnect(user);
}

/* Of a lifeline that nobody has kept it is not known whether it still stands. */
static void test_a_restart_without_a_store(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1),
             other = orders_make_claim(b, user, "other", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0)),
               c = vm_take_answer(START(b, user, "other", 1, "track", "s", "manual"));

        fake_host_hold_vfio(b->host, a.devices[0].set, true);
        bench_kill_daemon(b);
        bench_start_daemon(b);
        orders_until_claim(b, &claim, "Status", "offline");
        assert_string_equal(orders_get_claim(b, &other, "Status"), "online");
        fake_host_hold_vfio(b->host, a.devices[0].set, false);
        vms_until_home(b, a.devices[0].address);
        orders_until_claim(b, &claim, "Status", "idle");
        assert_string_equal(orders_get_claim(b, &other, "Status"), "online");
        bench_expect_success(STOP(b, user, "other", 0));
        vms_until_home(b, c.devices[0].address);
        vm_let_go(&a);
        vm_let_go(&c);
        bench_disconnect(user);
}

/* A connection that goes while the service is away. */
static void test_a_restart_and_connections(void **state) {
        Bench *b = *state;
        sd_bus *stays = bench_connect(b, OTHER_UID), *goes = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, stays, "web", &group, 1),
             other = orders_make_claim(b, stays, "other", &group, 1);
        Answer a = vm_take_answer(START(b, stays, "web", 1, "track", "s", "connection")),
               c = vm_take_answer(START(b, goes, "other", 1, "track", "s", "connection"));

        bench_kill_daemon(b);
        bench_disconnect(goes);
        bench_start_daemon(b);
        orders_until_claim(b, &other, "Status", "idle");
        vms_until_home(b, c.devices[0].address);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        bench_disconnect(stays);
        orders_until_claim(b, &claim, "Status", "idle");
        vms_until_home(b, a.devices[0].address);
        vm_let_go(&a);
        vm_let_go(&c);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_a_held_node),
                        CASE(test_no_way_to_reset),
                        CASE(test_a_reset_that_fails),
                        CASE(test_another_boot),
                        CASE(test_a_device_vanishes),
                        CASE(test_another_device_comes),
                        CASE(test_the_vm_ends_without_it),
                        CASE(test_a_claimed_device_stays),
                        CASE(test_a_device_on_its_way),
                        CASE(test_restart_needed),
                        CASE(test_deleted_while_it_runs),
                        CASE(test_a_restart_keeps_vms),
                        CASE(test_a_restart_without_a_store),
                        CASE(test_a_restart_and_connections),
        };

        return suite_run("bus-run-ends", "runs its parts under several users", tests);
}
