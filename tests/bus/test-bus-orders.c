/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon does by itself for persistent groups: after a change of an order, a grant, a device, and at start. */

#include "fake-kernel.h"
#include "orders.h"
#include "suite.h"

#define GPU_RULE "vendor_device_hex eq '10de:1eb8'"
#define SECOND_CARD "0000:66:00.0"

static sd_bus_message *grant_ids(Bench *b, sd_bus *from, const char *ids) {
        return bench_call_manager(b, from, "GrantIds", "as", 1, ids);
}

static sd_bus_message *revoke_ids(Bench *b, sd_bus *from, const char *ids) {
        return bench_call_manager(b, from, "RevokeIds", "as", 1, ids);
}

static void add_card(Bench *b, const char *address, uint16_t device, unsigned set) {
        fake_host_add_device(b->host, &(FakeDevice){.address = address,
                                                    .vendor = 0x10de,
                                                    .device = device,
                                                    .subsystem_vendor = 0x10de,
                                                    .subsystem_device = 0x12a2,
                                                    .class_code = 0x030200,
                                                    .driver = "nouveau",
                                                    .iommu_set = set});
}

static void test_who_is_not_granted_is_not_bound(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "gpus", "persistent");
        _cleanup_free_ char *log = NULL;

        (void)orders_make_rule(b, admin, &group, "all", GPU_RULE);
        orders_until_device(b, CARD, "Attention", "needs approval");
        assert_string_equal(orders_get_group(b, &group, "NeedsApproval"), "[" CARD "]");
        assert_string_equal(orders_get_group(b, &group, "Available"), "0");
        bench_expect_error(bench_call_device(b, admin, CARD, "Bind"), "NotGranted", CARD);

        orders_forget_signals(b);
        bench_expect_success(grant_ids(b, admin, "10de:1eb8:10de:12a2"));
        assert_string_equal(b->asked[2].action, "org.verge.Passthrough.grant");
        orders_until_device(b, CARD, "State", "pool");
        orders_until_device(b, CARD, "Attention", "");
        assert_string_equal(orders_get_manager(b, "GrantedIds"), "[10de:1eb8:10de:12a2]");
        assert_string_equal(orders_get_manager(b, "Drift"), "[]");
        assert_string_equal(orders_get_group(b, &group, "NeedsApproval"), "[]");
        assert_string_equal(orders_get_group(b, &group, "Available"), "1");
        assert_int_equal(orders_count_told(b, BUS_PATH, "GrantedIds"), 1);
        assert_in_range(orders_count_told(b, group.text, "NeedsApproval"), 1, 2);
        assert_int_equal(orders_count_told(b, CARD, "Granted"), 1);
        log = fake_host_log(b->host);
        assert_string_equal(log, "override " CARD " vfio-pci\nunbind " CARD "\nprobe " CARD "\n");
        bench_disconnect(admin);
}

static void test_hotplug_of_granted_ids(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "gpus", "persistent");

        (void)orders_make_rule(b, admin, &group, "all", "vendor_device_hex bw '10de:'");
        bench_expect_success(grant_ids(b, admin, "10de:1eb8"));
        orders_until_device(b, CARD, "State", "pool");
        add_card(b, SECOND_CARD, 0x1eb8, 66);
        bench_until_signal(b, "InterfacesAdded " SECOND_CARD);
        orders_until_device(b, SECOND_CARD, "State", "pool");
        assert_string_equal(fake_host_driver(b->host, SECOND_CARD), "vfio-pci");
        add_card(b, "0000:67:00.0", 0x1eb9, 67);
        bench_until_signal(b, "InterfacesAdded 0000:67:00.0");
        orders_until_device(b, "0000:67:00.0", "Attention", "needs approval");
        orders_until_group(b, &group, "NeedsApproval", "[0000:67:00.0]");
        assert_string_equal(fake_host_driver(b->host, "0000:67:00.0"), "nouveau");
        assert_string_equal(orders_get_group(b, &group, "Total"), "3");

        bench_expect_error(revoke_ids(b, admin, "10de:1eb8"), "NotBound", "");
        assert_string_equal(orders_get_manager(b, "GrantedIds"), "[10de:1eb8]");
        bench_expect_success(orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "enabled", "b", 0));
        orders_until_device(b, CARD, "State", "host");
        orders_until_device(b, SECOND_CARD, "State", "host");
        bench_expect_success(revoke_ids(b, admin, "10de:1eb8"));
        assert_string_equal(orders_get_manager(b, "GrantedIds"), "[]");
        assert_string_equal(orders_get_device(b, CARD, "Granted"), "false");
        bench_expect_success(orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "enabled", "b", 1));
        orders_until_device(b, CARD, "Attention", "needs approval");
        assert_string_equal(fake_host_driver(b->host, CARD), "nouveau");
        bench_disconnect(admin);
}

static void test_bad_ids(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        sd_bus_message *m;

        bench_expect_error(grant_ids(b, admin, "10DE:1EB8"), "InvalidArgument", "10DE");
        bench_expect_error(grant_ids(b, admin, "10de"), "InvalidArgument", "10de");
        bench_expect_error(grant_ids(b, admin, "10de:1eb8:*"), "InvalidArgument", "*");
        bench_expect_error(grant_ids(b, admin, "../../x"), "InvalidArgument", "");
        bench_expect_error(bench_call_manager(b, admin, "GrantIds", "as", 0), "InvalidArgument", "No ids");
        bench_expect_error(bench_call_manager(b, admin, "RevokeIds", "as", 0), "InvalidArgument", "No ids");
        bench_expect_error(grant_ids(b, b->root, "10de:1eb8"), "NotAuthorized", "GrantIds ass 1 10de:1eb8");
        assert_int_equal(sd_bus_message_new_method_call(admin, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER,
                                                        "GrantIds"),
                         0);
        assert_true(sd_bus_message_open_container(m, 'a', "s") >= 0);
        for (int i = 0; i < 65; i++)
                assert_true(sd_bus_message_append(m, "s", "10de:1eb8") >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        bench_expect_error(bench_send(b, admin, m), "LimitsExceeded", "64");
        assert_int_equal(b->n_asked, 0);
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(grant_ids(b, admin, "10de:1eb8"), "NotAuthorized", "");
        assert_string_equal(orders_get_manager(b, "GrantedIds"), "[]");
        bench_disconnect(admin);
}

static void take_away(Bench *b, const char *address, const char *driver) {
        char directory[512];

        (void)snprintf(directory, sizeof directory, "%s/sys/%s", b->host->root,
                       fake_host_device_path(b->host, address));
        fake_kernel_unbind_address(address);
        assert_int_equal(fake_kernel_bind(directory, driver), 0);
}

static void test_taken_by_somebody_else(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char *log;

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        fake_host_clear(b->host);
        take_away(b, NIC, "e1000e");
        orders_until_device(b, NIC, "State", "host");
        orders_until_device(b, NIC, "Attention", "taken from vfio-pci by somebody else");
        orders_until_manager(b, "Drift", "(taken " NIC " Device");
        log = fake_host_log(b->host);
        assert_string_equal(log, "");
        free(log);

        /* Nor by a new start: the mark in the grant tells. */
        bench_kill_daemon(b);
        bench_start_daemon(b);
        orders_until_device(b, NIC, "Attention", "taken from vfio-pci by somebody else");
        orders_until_manager(b, "Drift", "(taken " NIC " Device");
        log = fake_host_log(b->host);
        assert_string_equal(log, "");
        free(log);

        bench_expect_success(bench_call_device(b, admin, NIC, "Bind"));
        orders_until_device(b, NIC, "State", "pool");
        orders_until_device(b, NIC, "Attention", "");
        assert_string_equal(orders_get_manager(b, "Drift"), "[]");
        bench_expect_success(orders_return(b, admin, NIC));
        orders_forget_signals(b);
        assert_string_equal(orders_get_manager(b, "Drift"), "[]");
        bench_disconnect(admin);
}

/* It was bound by hand: no order speaks of it, so there is nothing to say. */
static void test_taken_without_an_order(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(NIC), 0));
        bench_expect_success(bench_call_device(b, admin, NIC, "Bind"));
        take_away(b, NIC, "e1000e");
        orders_until_device(b, NIC, "State", "host");
        assert_string_equal(orders_get_manager(b, "Drift"), "[]");
        assert_string_equal(orders_get_device(b, NIC, "Attention"), "");
        bench_disconnect(admin);
}

/* The group goes while somebody else has the device: it is not torn from him. */
static void test_taken_and_not_wanted_any_more(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        (void)sscanf(orders_show(orders_make(b, admin, NIC, NULL, "pool", "persistent")), "%127s",
                     group.text);
        fake_host_clear(b->host);
        take_away(b, NIC, "nvme");
        orders_until_manager(b, "Drift", "(taken " NIC " Device");
        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));
        orders_until_step(b, "answer Release"); /* the mark goes */
        orders_until_manager(b, "Drift", "[]");
        assert_string_equal(fake_host_driver(b->host, NIC), "nvme");
        bench_disconnect(admin);
}

static void test_changes_of_orders_move_devices(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group, rule;

        (void)sscanf(orders_show(orders_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent")),
                     "%127s [%127[^]]", group.text, rule.text);
        for (int i = 0; i < 2; i++) {
                const char *off = i == 0 ? "on-claim" : "persistent";

                bench_expect_success(orders_call_group(b, admin, &group, "Update", "a{sv}", 2, "enabled",
                                                       "b", i == 0, "binding", "s", off));
                orders_until_device(b, PAIR_NIC, "State", "host");
                orders_until_device(b, PAIR_NVME, "State", "host");
                assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "nvme");
                assert_string_equal(fake_host_override(b->host, PAIR_NVME), "(null)");
                assert_string_equal(orders_get_manager(b, "Drift"), "[]");
                bench_expect_success(orders_call_group(b, admin, &group, "Update", "a{sv}", 2, "enabled",
                                                       "b", 1, "binding", "s", "persistent"));
                orders_until_device(b, PAIR_NIC, "State", "pool");
                orders_until_device(b, PAIR_NVME, "State", "pool");
                orders_until_device(b, PAIR_NVME, "Attention", "");
        }

        bench_expect_error(bench_call_device(b, admin, PAIR_NIC, "Release"), "Ordered", "pool");
        bench_expect_error(bench_call_device(b, admin, PAIR_NVME, "Release"), "Ordered",
                           "pool"); /* sibling */
        bench_expect_success(orders_call_rule(b, admin, &rule, "Update", "a{sv}", 1, "enabled", "b", 0));
        orders_until_device(b, PAIR_NIC, "State", "host");
        bench_expect_success(orders_call_rule(b, admin, &rule, "Update", "a{sv}", 1, "enabled", "b", 1));
        orders_until_device(b, PAIR_NIC, "State", "pool");
        bench_expect_success(orders_call_rule(b, admin, &rule, "Delete", ""));
        orders_until_device(b, PAIR_NIC, "State", "host");
        assert_string_equal(orders_get_device(b, PAIR_NIC, "Granted"), "true");

        /* Of no order: bound by hand it stays, and goes home by hand. */
        bench_expect_success(bench_call_device(b, admin, PAIR_NIC, "Bind"));
        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));
        orders_until_device(b, PAIR_NIC, "State", "pool");
        bench_expect_success(bench_call_device(b, admin, PAIR_NIC, "Release"));
        orders_until_device(b, PAIR_NIC, "State", "host");
        bench_disconnect(admin);
}

static void test_the_group_is_deleted(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        (void)sscanf(orders_show(orders_make(b, admin, NIC, NULL, "pool", "persistent")), "%127s",
                     group.text);
        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));
        orders_until_device(b, NIC, "State", "host");
        assert_true(fake_host_exists(b->host, KEPT(NIC)));
        bench_disconnect(admin);
}

static void test_swapped_at_the_same_address(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, CARD, NULL, "pool", "persistent"));
        fake_host_remove_device(b->host, CARD);
        bench_until_signal(b, "InterfacesRemoved " CARD);
        orders_until_manager(b, "Drift", "(missing " CARD " Device");
        fake_host_clear(b->host);
        orders_forget_signals(b);
        add_card(b, CARD, 0x2204, 8);
        bench_until_signal(b, "InterfacesAdded " CARD);
        orders_until_manager(b, "Drift", "(replaced " CARD " Device");
        assert_string_equal(fake_host_driver(b->host, CARD), "nouveau");
        assert_string_equal(orders_get_device(b, CARD, "Granted"), "false");
        assert_string_equal(orders_get_device(b, CARD, "Groups"), "[]");

        /* The old one is elsewhere now. */
        orders_forget_signals(b);
        add_card(b, SECOND_CARD, 0x1eb8, 66);
        bench_until_signal(b, "InterfacesAdded " SECOND_CARD);
        orders_until_manager(b, "Drift", "(moved " CARD " Device");
        assert_string_equal(fake_host_driver(b->host, SECOND_CARD), "nouveau");

        /* And back. */
        orders_forget_signals(b);
        fake_host_remove_device(b->host, SECOND_CARD);
        fake_host_remove_device(b->host, CARD);
        add_card(b, CARD, 0x1eb8, 8);
        bench_until_signal(b, "InterfacesAdded " CARD);
        orders_until_device(b, CARD, "State", "pool");
        orders_until_device(b, CARD, "Attention", "");
        assert_string_equal(orders_get_manager(b, "Drift"), "[]");
        bench_disconnect(admin);
}

static void test_somebody_joins_the_set(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, CARD, NULL, "pool", "persistent"));
        add_card(b, "0000:02:00.1", 0x10f8, 8);
        bench_until_signal(b, "InterfacesAdded 0000:02:00.1");
        orders_until_manager(b, "Drift", "(set-changed " CARD " Device");
        assert_string_equal(orders_get_device(b, CARD, "Granted"), "false");
        assert_string_equal(fake_host_driver(b->host, CARD), "vfio-pci");
        assert_string_equal(fake_host_driver(b->host, "0000:02:00.1"), "nouveau");
        fake_host_remove_device(b->host, "0000:02:00.1");
        orders_until_device(b, CARD, "Granted", "true");
        orders_until_device(b, CARD, "State", "pool");
        assert_string_equal(orders_get_manager(b, "Drift"), "[]");
        bench_disconnect(admin);
}

/* Another boot, and the host's drivers were first. */
static void reboot(Bench *b) {
        static const struct {
                const char *address, *driver;
        } natural[] = {{NIC, "e1000e"}, {PAIR_NIC, "e1000e"}, {PAIR_NVME, "nvme"}};
        char path[512];

        bench_stop_daemon(b);
        bench_kill_helper(b);
        for (size_t i = 0; i < ELEMENTSOF(natural); i++) {
                if (streq(fake_host_driver(b->host, natural[i].address), "vfio-pci"))
                        take_away(b, natural[i].address, natural[i].driver);
                (void)snprintf(path, sizeof path, "sys/%s/driver_override",
                               fake_host_device_path(b->host, natural[i].address));
                fake_host_write(b->host, path, "(null)\n");
        }
        fake_host_write(b->host, "proc/sys/kernel/random/boot_id", "fedcba98-7654-3210-fedc-ba9876543210\n");
        fake_host_clear(b->host);
        b->n_signals = 0;
}

static void test_bound_after_a_reboot(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, NIC " " PAIR_NIC, PAIR_NVME, "pool", "persistent"));
        reboot(b);
        bench_start_daemon(b);
        orders_until_device(b, NIC, "State", "pool");
        orders_until_device(b, PAIR_NIC, "State", "pool");
        orders_until_device(b, PAIR_NVME, "State", "pool");
        assert_string_equal(orders_get_manager(b, "Drift"), "[]");
        assert_int_equal(b->n_asked, 1);
        bench_disconnect(admin);
}

/* The sentence stands in Attention and Drift; it is tried again, and told once. */
static void test_refused_after_a_reboot(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        reboot(b);
        fake_host_fail(b->host, "override " NIC " EIO");
        bench_start_daemon(b);
        orders_until_manager(b, "Drift", "(refused " NIC " ");
        orders_until_device(b, NIC, "Attention", NIC);
        assert_non_null(strstr(orders_get_manager(b, "Drift"), orders_get_device(b, NIC, "Attention")));
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        fake_host_clear(b->host);
        orders_until_device(b, NIC, "State", "pool");
        orders_until_device(b, NIC, "Attention", "");
        orders_until_manager(b, "Drift", "[]");
        bench_disconnect(admin);
}

static void test_switched_off(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char *log;

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        reboot(b);
        fake_host_write(b->host, "proc/cmdline", "root=/dev/sda1 verge_passthrough=off\n");
        bench_start_daemon(b);
        orders_until_manager(b, "RestartNeeded", "true");
        assert_non_null(strstr(orders_get_manager(b, "RestartReason"), "verge_passthrough=off"));
        orders_until_device(b, NIC, "Attention", "verge_passthrough=off");
        bench_expect_error(orders_make(b, admin, CARD, NULL, "two", "persistent"), "NotAuthorized", "off");
        bench_expect_error(bench_call_device(b, admin, NIC, "Bind"), "NotAuthorized", "off");
        log = fake_host_log(b->host);
        assert_string_equal(log, "");
        free(log);
        bench_expect_success(orders_return(b, admin, NIC)); /* the way back is open */
        orders_until_manager(b, "RestartNeeded", "false");
        bench_disconnect(admin);
}

/* The host begins to use it while it waits for its turn: it stays, until it is free again. */
static void test_the_host_needs_it(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[300];

        bench_expect_success(orders_make(b, admin, PAIR_NIC " " PAIR_NVME, NULL, "pool", "persistent"));
        reboot(b);
        (void)snprintf(path, sizeof path, "%s/nvme/nvme0/nvme0n1",
                       fake_host_device_path(b->host, PAIR_NVME));
        fake_host_add_block(b->host, path, "259:0");
        fake_host_mount(b->host, "259:0", "/srv", "ext4", "/dev/nvme0n1");
        bench_start_daemon(b);
        orders_until_device(b, PAIR_NVME, "Attention", "/srv");
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "nvme");
        bench_disconnect(admin);
}

/* ReturnToHost of one whose ids are granted, and that a rule of the administrator's chooses: it would come back. */
static void test_return_of_granted_ids(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "gpus", "persistent"),
             rule = orders_make_rule(b, admin, &group, "all", GPU_RULE);

        bench_expect_success(grant_ids(b, admin, "10de:1eb8"));
        orders_until_device(b, CARD, "State", "pool");
        bench_expect_error(orders_return(b, admin, CARD), "Ordered", "\"all\"");
        assert_string_equal(fake_host_driver(b->host, CARD), "vfio-pci");
        bench_expect_success(orders_call_rule(b, admin, &rule, "Delete", ""));
        orders_until_device(b, CARD, "State", "host");
        bench_disconnect(admin);
}

/* Import is an order like any other. */
static void test_an_import_moves_devices(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        _cleanup_free_ char *document = NULL;

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        document = strdup(orders_show(bench_call_manager(b, admin, "Export", "")));
        bench_expect_success(bench_call_manager(b, admin, "Import", "sa{sv}",
                                                "{\"format\": \"org.verge.Passthrough\", \"version\": 1, "
                                                "\"groups\": []}",
                                                1, "prune", "b", 1));
        orders_until_device(b, NIC, "State", "host");
        bench_expect_success(bench_call_manager(b, admin, "Import", "sa{sv}", document, 0));
        orders_until_device(b, NIC, "State", "pool");
        bench_expect_success(orders_return(b, admin, NIC)); /* it is known again as its own rule */
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        bench_disconnect(admin);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, orders_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_who_is_not_granted_is_not_bound),
                        CASE(test_hotplug_of_granted_ids),
                        CASE(test_bad_ids),
                        CASE(test_taken_by_somebody_else),
                        CASE(test_taken_without_an_order),
                        CASE(test_taken_and_not_wanted_any_more),
                        CASE(test_changes_of_orders_move_devices),
                        CASE(test_the_group_is_deleted),
                        CASE(test_swapped_at_the_same_address),
                        CASE(test_somebody_joins_the_set),
                        CASE(test_bound_after_a_reboot),
                        CASE(test_refused_after_a_reboot),
                        CASE(test_switched_off),
                        CASE(test_the_host_needs_it),
                        CASE(test_return_of_granted_ids),
                        CASE(test_an_import_moves_devices),
        };

        return suite_run("bus-orders", "runs its parts under several users", tests);
}
