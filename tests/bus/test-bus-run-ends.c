/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ending VMs: what keeps a device from coming back, what is not to be had afterwards, what others may not do meanwhile,
 * and what a restart of the service keeps. */

#include <fcntl.h>
#include <sys/stat.h>

#include "fake-kernel.h"
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
        Pending *p;

        fake_host_hold_vfio(b->host, NIC_SET, true);
        bench_expect_error(STOP(b, user, "web", 0), "InUse", NIC);
        vms_until_home(b, CARD);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "offline");
        assert_non_null(strstr(orders_get_claim(b, &claim, "StatusInfo"), NIC));
        orders_until_claim(b, &claim, "Devices", "[" NIC "]");
        orders_until_device(b, NIC, "State", "claimed"); /* and moving, while it is tried again */
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "not back yet");

        /* It comes back by itself, whether or not somebody asks again; and whoever waits for that gets it. */
        bench_expect_error(STOP(b, user, "web", 0), "InUse", NIC);
        p = START_LATER(b, user, "web", 1, "wait", "u", 600);
        (void)orders_get_manager(b, "Version");
        fake_host_hold_vfio(b->host, NIC_SET, false);
        vm_let_go(&a);
        a = vm_take_answer(bench_finish(b, p));
        assert_int_equal(a.n, 2);
        bench_expect_success(STOP(b, user, "web", 0));
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

/* Somebody works on its set when it comes back; it is kept for the VM when that has ended. */
static void test_a_device_comes_back_in_the_middle(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0));

        fake_host_remove_device(b->host, NIC);
        orders_until_claim(b, &claim, "Status", "missing");
        fake_host_write(b->host, MOVES_DIR "/7", "verb=reset\ndevice=%s\n", NIC);
        orders_forget_signals(b);
        fake_host_add_device(b->host, &nic);
        bench_until_signal(b, "InterfacesAdded " NIC);
        orders_until_device(b, NIC, "State", "moving");
        orders_until_device(b, NIC, "Reason", ""); /* it is judged */
        assert_string_equal(orders_get_device(b, NIC, "Driver"), "e1000e");

        fake_host_remove(b->host, MOVES_DIR "/7");
        orders_until_device(b, NIC, "Driver", "vfio-pci");
        orders_until_device(b, NIC, "State", "claimed");
        vm_let_go(&a);
        vms_until_home(b, NIC);
        bench_disconnect(user);
}

/* What a move has come to is known at its end, however late udev is. */
static void test_udev_is_late(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL);
        Answer a;

        (void)orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        fake_host_write(b->host, MOVES_DIR "/7", "verb=reset\ndevice=%s\n", NIC);
        orders_until_device(b, NIC, "State", "moving");
        fake_host_hold_uevents(b->host, true);
        fake_kernel_unbind_address(NIC);
        assert_string_equal(orders_get_device(b, NIC, "Driver"), "vfio-pci");
        fake_host_remove(b->host, MOVES_DIR "/7");
        orders_until_device(b, NIC, "Driver", "");
        vm_let_go(&a);
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

/* Nobody gets the answer, and so nobody has the lifeline. */
static void test_the_caller_leaves(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *leaves = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Pending *p;

        fake_host_fail(b->host, "unbind " NIC " hang 1");
        p = START_LATER(b, leaves, "web", 0);
        orders_until_step(b, "sent Bind");
        bench_drop(p);
        bench_disconnect(leaves);
        fake_host_let_go(b->host);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Devices", "[]");
        vms_expect_shut(b, NIC_SET);
        bench_disconnect(user);
}

/* A claim is not taken out of a start that brings others, too: it is called off. */
static void test_one_of_two_is_stopped_at_the_start(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             one = orders_make_claim(b, user, "web", &group, 1),
             two = orders_make_claim(b, user, "web", &group, 1);
        Pending *p, *stop;

        fake_host_fail(b->host, "unbind * hang 1");
        p = START_LATER(b, user, "web", 0);
        orders_until_step(b, "sent Bind");
        assert_string_equal(orders_get_claim(b, &one, "Status"), "initializing");
        stop = bench_start(b, user, BUS_NAME, one.text, BUS_INTERFACE_CLAIM, "Stop", true, "");
        (void)orders_get_manager(b, "Version");
        fake_host_let_go(b->host);
        bench_expect_error(bench_finish(b, p), "Cancelled", "web");
        bench_expect_success(bench_finish(b, stop));
        vms_until_home(b, NIC);
        vms_until_home(b, CARD);
        assert_string_equal(orders_get_claim(b, &one, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &two, "Status"), "idle");
        bench_disconnect(user);
}

/* Two claims of one VM have each a device of one IOMMU set: it comes back as a whole. */
static void test_claims_that_share_a_set(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, PAIR_NIC, PAIR_NVME, NULL), disks, one, two;
        Answer a;

        disks = orders_make_group(b, b->root, "disks", NULL);
        (void)orders_make_rule(b, b->root, &disks, "one", "address eq '" PAIR_NVME "'");
        one = orders_make_claim(b, user, "web", &group, 1);
        two = orders_make_claim(b, user, "web", &disks, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        assert_int_equal(a.n, 2);
        assert_string_equal(orders_get_device(b, PAIR_NVME, "Claim"), two.text);
        assert_string_equal(orders_get_device(b, PAIR_NIC, "Claim"), one.text);

        bench_expect_error(orders_call_claim(b, user, &one, "Stop", ""), "InUse", "share");
        assert_string_equal(orders_get_claim(b, &one, "Status"), "offline");
        assert_string_equal(orders_get_claim(b, &two, "Status"), "online");
        assert_string_equal(orders_get_device(b, PAIR_NIC, "State"), "claimed");
        bench_expect_success(orders_call_claim(b, user, &two, "Stop", ""));
        orders_until_device(b, PAIR_NIC, "State", "quarantined");
        orders_until_device(b, PAIR_NVME, "State", "quarantined");
        assert_string_equal(orders_get_claim(b, &two, "Devices"), "[]");
        vm_let_go(&a);
        bench_disconnect(user);
}

static void test_a_move_by_hand_comes_first(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Pending *move, *p;
        Answer a;

        fake_host_fail(b->host, "unbind " NIC " hang 1");
        move = bench_start(b, admin, BUS_NAME, bench_device_path(NIC), BUS_INTERFACE_DEVICE, "Bind", true,
                           "");
        orders_until_step(b, "sent Bind");
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "1 being moved");
        p = START_LATER(b, user, "web", 1, "wait", "u", 600);
        orders_until_claim(b, &claim, "Status", "waiting");
        fake_host_let_go(b->host);
        bench_expect_success(bench_finish(b, move));
        a = vm_take_answer(bench_finish(b, p));
        assert_true(vms_may_open(b, NIC_SET, OTHER_UID));

        /* By the group it is at the host while it is nobody's. */
        vm_let_go(&a);
        vms_until_home(b, NIC);
        bench_disconnect(user);
        bench_disconnect(admin);
}

static void test_a_device_vanishes_on_its_way(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        sd_bus_message *reply;
        Answer a;

        fake_host_fail(b->host, "unbind " NIC " remove:" NIC " 1");
        reply = START(b, user, "web", 0);
        bench_expect_error(reply, NULL, NIC);
        vms_until_home(b, CARD);
        orders_until_claim(b, &claim, "Devices", "[]");
        orders_until_group(b, &group, "Available", "1");
        bench_expect_error(START(b, user, "web", 0), "Unavailable", "of which 1 can be had");

        fake_host_clear(b->host);
        fake_host_add_device(b->host, &nic);
        orders_until_group(b, &group, "Available", "2");
        a = vm_take_answer(START(b, user, "web", 0));
        fake_host_clear(b->host);
        fake_host_fail(b->host, "reset " NIC " remove:" NIC " 1");
        vm_let_go(&a);
        vms_until_home(b, CARD);
        orders_until_claim(b, &claim, "Devices", "[]");
        fake_host_clear(b->host);
        fake_host_add_device(b->host, &nic);
        orders_until_group(b, &group, "Available", "2");
        vms_until_home(b, NIC);
        bench_disconnect(user);
}

static void test_a_device_vanishes_unseen(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group, claim;
        Answer a;

        begin_to_keep(b);
        group = vms_make_group(b, NIC, NULL, NULL);
        claim = orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        bench_kill_daemon(b);
        fake_host_remove_device(b->host, NIC);
        bench_start_daemon(b);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "missing");
        fake_host_add_device(b->host, &nic);
        orders_until_claim(b, &claim, "Status", "online");
        orders_until_device(b, NIC, "Driver", "vfio-pci");

        /* It goes and comes back while nobody looks. */
        bench_kill_daemon(b);
        fake_host_remove_device(b->host, NIC);
        fake_host_add_device(b->host, &nic);
        bench_start_daemon(b);
        orders_until_device(b, NIC, "Driver", "vfio-pci");
        orders_until_device(b, NIC, "State", "claimed");
        vm_let_go(&a);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
}

/* The lifeline is cut, and a process has a device still. */
static void test_a_held_descriptor(void **state) {
        Bench *b = *state;
        sd_bus *user;
        Path group, claim;
        Answer a;

        bench_stop_daemon(b);
        fake_host_add_cdev(b->host);
        bench_start_daemon(b);
        user = bench_connect(b, OTHER_UID);
        group = vms_make_group(b, NIC, NULL, NULL);
        claim = orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        closep(&a.lifeline);
        a.lifeline = -1;
        orders_until_claim(b, &claim, "Status", "offline");
        bench_expect_error(STOP(b, user, "web", 0), "InUse", NIC);
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        vm_let_go(&a);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
}

static void test_a_group_changes_its_mind(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, "persistent"),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0));

        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "binding", "s",
                                               "on-claim"));
        assert_string_equal(orders_get_device(b, NIC, "State"), "claimed");
        vm_let_go(&a);
        vms_until_home(b, NIC);

        a = vm_take_answer(START(b, user, "web", 0));
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "binding", "s",
                                               "persistent"));
        vm_let_go(&a);
        vms_until_pooled(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
}

static bool hangs(void *userdata) {
        _cleanup_free_ char *log = fake_host_log(((Bench *)userdata)->host);

        return strstr(log, "= HANG");
}

/* Somebody takes it between the two steps of a start: what that start has bound does not stay so. */
static void test_somebody_comes_between(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Pending *p;

        fake_host_fail(b->host, "probe " NIC " hang 1");
        p = START_LATER(b, user, "web", 0);
        orders_until_files(b, hangs, b);
        fake_host_hold_vfio(b->host, NIC_SET, true);
        fake_host_let_go(b->host);
        bench_expect_error(bench_finish(b, p), "InUse", NIC);
        fake_host_hold_vfio(b->host, NIC_SET, false);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Devices", "[]");
        vms_expect_shut(b, NIC_SET);
        bench_disconnect(user);
}

/* systemd stops the service while a VM starts, and starts it again. */
static void test_the_service_stops_in_a_start(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group, claim;
        Pending *p;

        begin_to_keep(b);
        group = vms_make_group(b, NIC " " CARD, NULL, NULL);
        claim = orders_make_claim(b, user, "web", &group, 2);
        fake_host_fail(b->host, "unbind " NIC " hang 1");
        p = START_LATER(b, user, "web", 0);
        orders_until_step(b, "sent Bind");
        bench_stop_daemon(b);
        sd_bus_message_unref(bench_finish(b, p));
        bench_start_daemon(b);
        fake_host_let_go(b->host);
        vms_until_home(b, NIC);
        vms_until_home(b, CARD);
        orders_until_claim(b, &claim, "Devices", "[]");
        assert_int_equal(bench_count_kept(b), 0);
        bench_disconnect(user);
}

/* systemd-machined, with one machine that is there or not. */
typedef struct Machined {
        sd_bus *bus;
        bool there;
} Machined;

static int on_get_machine(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const Machined *machined = userdata;
        const char *name;

        assert_true(sd_bus_message_read(m, "s", &name) >= 0);
        if (!machined->there || !streq(name, "web"))
                return sd_bus_error_setf(error, "org.freedesktop.machine1.NoSuchMachine", "No machine %s",
                                         name);
        return sd_bus_reply_method_return(m, "o", "/org/freedesktop/machine1/machine/web");
}

static const sd_bus_vtable machined_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("GetMachine", "s", "o", on_get_machine, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_VTABLE_END,
};

static void machined_begin(Bench *b, Machined *m) {
        m->bus = bench_connect(b, 0);
        assert_true(sd_bus_add_object_vtable(m->bus, NULL, "/org/freedesktop/machine1",
                                             "org.freedesktop.machine1.Manager", machined_vtable, m) >= 0);
        assert_true(sd_bus_request_name(m->bus, "org.freedesktop.machine1", 0) >= 0);
}

static void machined_end_machine(Machined *m) {
        m->there = false;
        assert_true(sd_bus_emit_signal(m->bus, "/org/freedesktop/machine1",
                                       "org.freedesktop.machine1.Manager", "MachineRemoved", "so", "web",
                                       "/org/freedesktop/machine1/machine/web") >= 0);
}

static void test_a_machine(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "VM 1", &group, 1);
        Machined machined = {0};
        Answer a;

        machined_begin(b, &machined);
        bench_expect_error(START(b, user, "VM 1", 1, "track", "s", "machine"), "InvalidArgument", "VM 1");
        bench_expect_error(START(b, user, "VM 1", 2, "track", "s", "machine", "machine", "s", "web"),
                           "NoSuchObject", "\"web\"");
        machined.there = true;
        a = vm_take_answer(START(b, user, "VM 1", 2, "track", "s", "machine", "machine", "s", "web"));
        assert_int_equal(a.lifeline, -1);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        bench_kill_daemon(b);
        bench_start_daemon(b);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        machined_end_machine(&machined);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");

        /* It ends while nobody looks. */
        machined.there = true;
        a = vm_take_answer(START(b, user, "VM 1", 2, "track", "s", "machine", "machine", "s", "web"));
        bench_kill_daemon(b);
        machined_end_machine(&machined);
        bench_start_daemon(b);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");

        /* And while nobody can say so. */
        machined.there = true;
        a = vm_take_answer(START(b, user, "VM 1", 2, "track", "s", "machine", "machine", "s", "web"));
        bench_kill_daemon(b);
        bench_disconnect(machined.bus);
        machined.there = false;
        bench_start_daemon(b);
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        machined_begin(b, &machined);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        vm_let_go(&a);
        bench_disconnect(machined.bus);
        bench_disconnect(user);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_a_held_node),
                        CASE(test_no_way_to_reset),
                        CASE(test_a_reset_that_fails),
                        CASE(test_another_boot),
                        CASE(test_a_device_vanishes),
                        CASE(test_a_device_comes_back_in_the_middle),
                        CASE(test_udev_is_late),
                        CASE(test_another_device_comes),
                        CASE(test_the_vm_ends_without_it),
                        CASE(test_a_claimed_device_stays),
                        CASE(test_a_device_on_its_way),
                        CASE(test_restart_needed),
                        CASE(test_deleted_while_it_runs),
                        CASE(test_a_restart_keeps_vms),
                        CASE(test_a_restart_without_a_store),
                        CASE(test_a_restart_and_connections),
                        CASE(test_the_caller_leaves),
                        CASE(test_one_of_two_is_stopped_at_the_start),
                        CASE(test_claims_that_share_a_set),
                        CASE(test_a_move_by_hand_comes_first),
                        CASE(test_a_device_vanishes_on_its_way),
                        CASE(test_a_device_vanishes_unseen),
                        CASE(test_a_held_descriptor),
                        CASE(test_a_group_changes_its_mind),
                        CASE(test_somebody_comes_between),
                        CASE(test_the_service_stops_in_a_start),
                        CASE(test_a_machine),
        };

        return suite_run("bus-run-ends", "runs its parts under several users", tests);
}
