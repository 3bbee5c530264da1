/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "bench.h"
#include "fake-kernel.h"
#include "suite.h"

static int setup(void **state) {
        Bench *b;

        *state = b = bench_new(0);
        bench_start_daemon(b);
        return 0;
}

/* The helper itself asks for the grants, as root's tool does. */
static int setup_granted(void **state) {
        Bench *b;

        *state = b = bench_new(0);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 3, NIC, PAIR_NIC, PAIR_NVME,
                                               0, 0, 0, ""));
        fake_host_clear(b->host);
        bench_start_daemon(b);
        return 0;
}

static void expect_log(Bench *b, const char *expected) {
        _cleanup_free_ char *log = fake_host_log(b->host);

        assert_string_equal(log, expected);
}

static sd_bus_message *grant(Bench *b, sd_bus *from, const char *first, const char *second) {
        char one[128], two[128];

        (void)snprintf(one, sizeof one, "%s", bench_device_path(first));
        (void)snprintf(two, sizeof two, "%s", bench_device_path(second ?: first));
        return second ? bench_call_manager(b, from, "Grant", "aoa{sv}", 2, one, two, 0)
                      : bench_call_manager(b, from, "Grant", "aoa{sv}", 1, one, 0);
}

static sd_bus_message *take_back(Bench *b, sd_bus *from, const char *address) {
        return bench_call_manager(b, from, "Revoke", "ao", 1, bench_device_path(address));
}

static void expect_home(Bench *b) {
        bench_until_property(b, PAIR_NIC, "State", "host");
        bench_until_property(b, PAIR_NVME, "State", "host");
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "e1000e");
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "nvme");
        assert_string_equal(fake_host_override(b->host, PAIR_NIC), "(null)");
        assert_string_equal(fake_host_override(b->host, PAIR_NVME), "(null)");
}

static void test_introspection_of_manager(void **state) {
        bench_expect_introspection(*state, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER);
}

static void test_introspection_of_device(void **state) {
        bench_expect_introspection(*state, BUS_NAME, bench_device_path(NIC), BUS_INTERFACE_DEVICE);
}

static sd_bus_message *list(Bench *b, sd_bus *from) {
        return bench_finish(b, bench_start(b, from, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.ObjectManager",
                                           "GetManagedObjects", false, ""));
}

static unsigned count_objects(Bench *b, sd_bus *from) {
        sd_bus_message *m = list(b, from);
        unsigned n = 0;

        assert_null(sd_bus_message_get_error(m));
        assert_true(sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}") >= 0);
        while (sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}") > 0) {
                assert_true(sd_bus_message_skip(m, "oa{sa{sv}}") >= 0);
                assert_true(sd_bus_message_exit_container(m) >= 0);
                n++;
        }
        sd_bus_message_unref(m);
        return n;
}

static void test_objects_are_listed_to_everybody(void **state) {
        Bench *b = *state;
        sd_bus *nobody = bench_connect(b, NOBODY_UID);
        unsigned n = count_objects(b, nobody);

        assert_true(n == 4 || n == 5); /* with or without the manager's own object */
        bench_disconnect(nobody);
}

static void test_properties_of_a_device(void **state) {
        Bench *b = *state;

        assert_string_equal(bench_get(b, NIC, "Address"), NIC);
        assert_string_equal(bench_get(b, NIC, "Node"), "test-node");
        assert_string_equal(bench_get(b, NIC, "Driver"), "e1000e");
        assert_string_equal(bench_get(b, NIC, "HostDriver"), "e1000e");
        assert_string_equal(bench_get(b, NIC, "State"), "host");
        assert_string_equal(bench_get(b, NIC, "Slot"), "1");
}

static void test_hotplug(void **state) {
        const FakeDevice card = {.address = "0000:66:00.0",
                                 .vendor = 0x1af4,
                                 .class_code = 0x020000,
                                 .driver = "virtio-pci",
                                 .iommu_set = 66};
        Bench *b = *state;
        unsigned before = count_objects(b, b->root);

        fake_host_add_device(b->host, &card);
        bench_until_signal(b, "InterfacesAdded 0000:66:00.0");
        bench_until_property(b, "0000:66:00.0", "Driver", "virtio-pci");
        assert_int_equal(count_objects(b, b->root), before + 1);
        fake_host_remove_device(b->host, "0000:66:00.0");
        bench_until_signal(b, "InterfacesRemoved 0000:66:00.0");
        assert_int_equal(count_objects(b, b->root), before);
        assert_int_equal(bench_count_signals(b, "InterfacesAdded"), 1);
        assert_int_equal(bench_count_signals(b, "InterfacesRemoved"), 1);
}

static void test_rebinding_by_hand_is_one_change(void **state) {
        Bench *b = *state;

        fake_kernel_unbind_address(NIC);
        bench_until_property(b, NIC, "Driver", "");
        assert_int_equal(bench_count_signals(b, "PropertiesChanged " NIC), 1);
}

#define SIBLING "0000:01:00.1"

static void add_sibling(Bench *b) {
        fake_host_add_device(b->host, &(FakeDevice){.address = SIBLING,
                                                    .vendor = 0x8086,
                                                    .device = 0x10d4,
                                                    .class_code = 0x040300,
                                                    .iommu_set = 7});
}

static unsigned count_peers(Bench *b, const char *address) {
        sd_bus_message *m = bench_finish(b, bench_start(b, b->root, BUS_NAME, bench_device_path(address),
                                                        "org.freedesktop.DBus.Properties", "Get", false,
                                                        "ss", BUS_INTERFACE_DEVICE, "IommuPeers"));
        const char *path;
        unsigned n = 0;

        assert_true(sd_bus_message_enter_container(m, 'v', "ao") >= 0);
        assert_true(sd_bus_message_enter_container(m, 'a', "o") >= 0);
        while (sd_bus_message_read_basic(m, 'o', &path) > 0)
                n++;
        sd_bus_message_unref(m);
        return n;
}

static size_t count_told(Bench *b, const char *address, const char *property) {
        char begin[64];
        size_t n = 0;

        (void)snprintf(begin, sizeof begin, "PropertiesChanged %s", address);
        for (size_t i = 0; i < b->n_signals; i++)
                n += startswith(b->signals[i].text, begin) && strstr(b->signals[i].text, property);
        return n;
}

/* All is read, and only what the host uses is not known yet. */
static void test_a_device_comes_during_the_first_look(void **state) {
        Bench *b = *state;

        fake_host_hold_network(b->host, true);
        bench_launch_daemon(b);
        fake_host_wait_for_network(b->host);
        add_sibling(b);
        bench_start_daemon(b);
        assert_int_equal(count_peers(b, NIC), 1);
        assert_int_equal(count_peers(b, SIBLING), 1);
        fake_host_hold_network(b->host, false);
        bench_until_property(b, SIBLING, "Reason", "");
        bench_until_property(b, NIC, "Reason", "");
}

/* The unbind's own event is late; what the sibling's made us see is told all the same. */
static void test_a_sibling_makes_us_look(void **state) {
        Bench *b = *state;
        char link[300];

        (void)snprintf(link, sizeof link, "sys/%s/driver", fake_host_device_path(b->host, NIC));
        fake_host_remove(b->host, link);
        add_sibling(b);
        bench_until_signal(b, "InterfacesAdded " SIBLING);
        bench_until_property(b, NIC, "Driver", "");
        assert_int_equal(count_told(b, NIC, " Driver="), 1);
}

/* The daemon sleeps while they come. */
static void test_a_burst_of_functions_is_one_change(void **state) {
        char address[32], path[300];
        Bench *b = *state;

        (void)snprintf(path, sizeof path, "sys/%s/sriov_totalvfs", fake_host_device_path(b->host, NIC));
        fake_host_write(b->host, path, "8\n");
        assert_int_equal(kill(b->daemon, SIGSTOP), 0);
        assert_int_equal(waitpid(b->daemon, NULL, WUNTRACED), b->daemon);
        fake_kernel_uevent("change", NIC);
        for (unsigned i = 1; i <= 30; i++) {
                (void)snprintf(address, sizeof address, "0000:02:%02x.0", i);
                fake_host_add_device(b->host, &(FakeDevice){.address = address,
                                                            .vendor = 0x8086,
                                                            .device = 0x10ca,
                                                            .class_code = 0x020000,
                                                            .iommu_set = 20 + i,
                                                            .physfn = NIC});
        }
        assert_int_equal(kill(b->daemon, SIGCONT), 0);
        bench_until_signal(b, "InterfacesAdded 0000:02:1e.0");
        bench_until_property(b, NIC, "State", "host"); /* an answer, and so all that came before it */
        assert_int_equal(bench_count_signals(b, "InterfacesAdded"), 30);
        assert_int_equal(count_told(b, NIC, "SriovNumVfs"), 1);
}

static void test_a_serial_that_comes_late(void **state) {
        Bench *b = *state;
        char path[300];

        assert_string_equal(bench_get(b, PAIR_NVME, "Serial"), "");
        (void)snprintf(path, sizeof path, "sys/%s/nvme/nvme0/state",
                       fake_host_device_path(b->host, PAIR_NVME));
        fake_host_write(b->host, path, "live\n");
        (void)snprintf(path, sizeof path, "sys/%s/nvme/nvme0/serial",
                       fake_host_device_path(b->host, PAIR_NVME));
        fake_host_write(b->host, path, "S123\n");
        fake_kernel_uevent("change", PAIR_NVME);
        bench_until_signal(b, "PropertiesChanged " PAIR_NVME " Serial=S123");
}

static bool is_a_member(Bench *b) {
        sd_bus_message *reply;
        const char *reason;
        bool found = false;

        reply = bench_finish(b, bench_start(b, b->root, BUS_NAME, bench_device_path(PAIR_NVME),
                                            "org.freedesktop.DBus.Properties", "Get", false, "ss",
                                            BUS_INTERFACE_DEVICE, "Critical"));
        assert_true(sd_bus_message_enter_container(reply, 'v', "as") > 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "s") > 0);
        while (sd_bus_message_read_basic(reply, 's', &reason) > 0)
                found |= streq(reason, "volume-member");
        sd_bus_message_unref(reply);
        return found;
}

static void until_member(Bench *b, bool is) {
        size_t from;

        for (from = b->n_signals; is_a_member(b) != is; from = b->n_signals)
                bench_until_more_signals(b, from);
}

/* Nothing of it is mounted, so only the block device tells. */
static void test_a_volume_comes_and_goes(void **state) {
        Bench *b = *state;
        char path[300];

        (void)snprintf(path, sizeof path, "%s/nvme/nvme0/nvme0n1",
                       fake_host_device_path(b->host, PAIR_NVME));
        fake_host_add_block(b->host, path, "259:0");
        fake_host_add_block(b->host, "devices/virtual/block/dm-0", "253:0");
        fake_host_write(b->host, "sys/class/block/dm-0/dm/name", "vg-data\n");
        fake_host_write(b->host, "sys/class/block/dm-0/dm/uuid", "LVM-a\n");
        assert_false(is_a_member(b));
        fake_host_add_slave(b->host, "dm-0", "nvme0n1");
        fake_kernel_uevent("change", "block");
        until_member(b, true);

        fake_host_remove(b->host, "sys/class/block/dm-0");
        fake_kernel_uevent("remove", "block");
        until_member(b, false);
}

static void test_story_of_an_admin(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(bench_call_device(b, admin, PAIR_NIC, "Bind"), "NotGranted", PAIR_NIC);
        bench_expect_success(grant(b, admin, PAIR_NIC, PAIR_NVME));
        assert_true(b->n_asked >= 1);
        PolkitAsked *a = &b->asked[b->n_asked - 1];
        assert_string_equal(a->action, POLKIT_ACTION_GRANT);
        assert_string_equal(a->subject, bench_name(admin));
        assert_string_equal(polkit_detail(b, b->n_asked - 1, "device"), PAIR_NIC ", " PAIR_NVME);
        expect_log(b, "");

        bench_expect_success(bench_call_device(b, admin, PAIR_NIC, "Bind"));
        assert_string_equal(b->asked[b->n_asked - 1].action, POLKIT_ACTION_MANAGE);
        bench_until_property(b, PAIR_NVME, "State", "pool");
        assert_string_equal(bench_get(b, PAIR_NVME, "Driver"), "vfio-pci");
        assert_string_equal(bench_get(b, PAIR_NVME, "HostDriver"), "nvme");
        bench_expect_error(take_back(b, admin, PAIR_NIC), "NotBound", PAIR_NIC);

        bench_expect_success(bench_call_device(b, admin, PAIR_NVME, "Release"));
        expect_home(b);
        bench_expect_success(take_back(b, admin, PAIR_NIC));
        assert_string_equal(b->asked[b->n_asked - 1].action, POLKIT_ACTION_REVOKE);
        bench_expect_error(bench_call_device(b, admin, PAIR_NIC, "Bind"), "NotGranted", PAIR_NIC);
        bench_disconnect(admin);
        bench_expect_no_line_twice(b);
}

static void test_half_a_set_is_refused_with_the_list(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(grant(b, admin, PAIR_NIC, NULL), "IncompleteIommuSet", PAIR_NVME);
        assert_int_equal(b->n_asked, 0);
        bench_disconnect(admin);
}

static void test_critical_is_refused(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        fake_host_add_net(b->host, "devices/pci0000:01/" NIC "/net/eth0");
        fake_host_add_network_address(b->host, "eth0", "192.0.2.7");
        bench_expect_error(grant(b, admin, NIC, NULL), "Critical", "192.0.2.7");
        bench_expect_error(grant(b, admin, BRIDGE, NULL), "Critical", BRIDGE);
        bench_disconnect(admin);
}

/* polkit says yes to whatever root asks: so root's consent cannot come through us. */
static void test_root_consents_at_the_helper(void **state) {
        Bench *b = *state;

        bench_expect_error(grant(b, b->root, NIC, NULL), "NotAuthorized", "helper");
        assert_int_equal(b->n_asked, 0);
        assert_false(fake_host_exists(b->host, GRANTS_DIR "/" NIC ".grant"));
}

static void denied(Bench *b, PolkitMode mode, const char *error) {
        static const char *const verbs[] = {"Bind", "Release", "Reset"};
        sd_bus *user = bench_connect(b, OTHER_UID);

        polkit_set_mode(b, mode);
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                bench_expect_error(bench_finish(b, bench_start(b, user, BUS_NAME, bench_device_path(NIC),
                                                               BUS_INTERFACE_DEVICE, verbs[i],
                                                               mode != POLKIT_CHALLENGE, "")),
                                   error, "");
        expect_log(b, "");
        assert_string_equal(bench_get(b, NIC, "State"), "host");
        bench_disconnect(user);
}

static void test_polkit_says_no(void **state) {
        denied(*state, POLKIT_NO, "NotAuthorized");
}

static void test_polkit_would_prompt(void **state) {
        denied(*state, POLKIT_CHALLENGE, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED);
}

static void test_polkit_fails(void **state) {
        denied(*state, POLKIT_ERROR, "NotAuthorized");
}

static void test_polkit_is_gone(void **state) {
        denied(*state, POLKIT_GONE, "NotAuthorized");
}

static void test_the_caller_vanishes_while_polkit_asks(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *call;

        polkit_set_mode(b, POLKIT_HANG);
        call = bench_start(b, admin, BUS_NAME, bench_device_path(NIC), BUS_INTERFACE_DEVICE, "Bind", true,
                           "");
        bench_until_asked(b, 1);
        bench_drop(call);
        bench_disconnect(admin);
        bench_until_cancelled(b, 1);
        polkit_settle(b, 0, true);
        assert_string_equal(bench_get(b, NIC, "State"), "host");
        expect_log(b, "");
}

static void test_bad_arguments(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[128];

        (void)snprintf(path, sizeof path, "%s", bench_device_path(NIC));
        bench_expect_error(bench_call_manager(b, admin, "Grant", "aoa{sv}", 0, 0), "InvalidArgument", "");
        bench_expect_error(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, "/somewhere", 0),
                           "NoSuchDevice", "/somewhere");
        bench_expect_error(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, path, 1, "nonsense", "b", 1),
                           "InvalidArgument", "nonsense");
        bench_expect_error(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, path, 1, "consent", "as", 1,
                                              "no-iommu"),
                           "InvalidArgument", "no-iommu");
        bench_expect_error(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, path, 1, "consent", "as", 2,
                                              "address", "address"),
                           "InvalidArgument", "twice");
        bench_expect_error(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, path, 1, "consent", "s", "x"),
                           "InvalidArgument", "consent");
        bench_expect_error(grant(b, admin, "0000:66:00.0", NULL), "NoSuchDevice", "list the devices");
        bench_expect_error(bench_call_manager(b, admin, "Grant", "ao", 1, path), SD_BUS_ERROR_INVALID_ARGS,
                           "");
        bench_expect_error(bench_finish(b, bench_start(b, admin, BUS_NAME, path, BUS_INTERFACE_DEVICE,
                                                       "Bind", true, "s", "x")),
                           SD_BUS_ERROR_INVALID_ARGS, "");
        bench_expect_error(bench_call_device(b, admin, "0000:66:00.0", "Bind"), SD_BUS_ERROR_UNKNOWN_OBJECT,
                           "");
        assert_int_equal(b->n_asked, 0);
        expect_log(b, "");
        bench_disconnect(admin);
}

static void test_check_is_open_to_everybody(void **state) {
        Bench *b = *state;
        sd_bus *nobody = bench_connect(b, NOBODY_UID);

        bench_expect_success(bench_call_device(b, nobody, NIC, "Check"));
        assert_int_equal(b->n_asked, 0);
        bench_disconnect(nobody);
}

static Pending *start_bind(Bench *b, sd_bus *from, const char *address) {
        return bench_start(b, from, BUS_NAME, bench_device_path(address), BUS_INTERFACE_DEVICE, "Bind", true,
                           "");
}

static void test_seventeen_checks_of_one_user(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *user = bench_connect(b, OTHER_UID);
        Pending *calls[CALLS_PENDING_PER_UID], *other;

        fake_host_hold_network(b->host, true); /* no check comes to an end */
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = bench_start(b, user, BUS_NAME, bench_device_path(PAIR_NVME), BUS_INTERFACE_DEVICE,
                                       "Check", false, "");
        bench_expect_error(bench_call_device(b, user, PAIR_NVME, "Check"), "LimitsExceeded", "");
        other = bench_start(b, admin, BUS_NAME, bench_device_path(NIC), BUS_INTERFACE_DEVICE, "Check", false,
                            "");
        /* Behind that one, so it has been taken or refused. */
        bench_expect_error(bench_call_device(b, admin, "0000:66:00.0", "Check"), SD_BUS_ERROR_UNKNOWN_OBJECT,
                           "");

        fake_host_hold_network(b->host, false);
        bench_expect_success(bench_finish(b, other));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                bench_expect_success(bench_finish(b, calls[i]));
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* One connection sends more than all may: the call of another user has its place. */
static void test_a_burst_of_one_connection(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *user = bench_connect(b, OTHER_UID);
        Pending *calls[CALLS_PENDING_MAX + CALLS_PENDING_PER_UID], *one;
        sd_bus_message *reply;
        size_t refused = 0;

        assert_int_equal(kill(b->daemon, SIGSTOP), 0);
        assert_int_equal(waitpid(b->daemon, NULL, WUNTRACED), b->daemon);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = bench_start(b, user, BUS_NAME, bench_device_path(NIC), BUS_INTERFACE_DEVICE,
                                       "Check", false, "");
        assert_true(sd_bus_get_name_creds(user, BUS_NAME, 0, NULL) >= 0); /* the bus has them all */
        one = bench_start(b, admin, BUS_NAME, bench_device_path(NIC), BUS_INTERFACE_DEVICE, "Check", false,
                          "");
        assert_true(sd_bus_get_name_creds(admin, BUS_NAME, 0, NULL) >= 0);
        assert_int_equal(kill(b->daemon, SIGCONT), 0);

        bench_expect_success(bench_finish(b, one));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                reply = bench_finish(b, calls[i]);
                refused += sd_bus_message_is_method_error(reply,
                                                          "org.verge.Passthrough.Error.LimitsExceeded") > 0;
                sd_bus_message_unref(reply);
        }
        assert_int_equal(refused, CALLS_PENDING_MAX);
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* The guest has flashed it: no grant is valid any more, but home it comes. */
static void test_a_flashed_device_comes_home(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[300];

        bench_expect_success(bench_finish(b, start_bind(b, admin, NIC)));
        bench_until_property(b, NIC, "State", "pool");
        (void)snprintf(path, sizeof path, "sys/%s/revision", fake_host_device_path(b->host, NIC));
        fake_host_write(b->host, path, "0x77\n");
        fake_kernel_uevent("change", NIC);
        bench_until_signal(b, "InterfacesAdded " NIC);
        bench_expect_error(bench_call_device(b, admin, NIC, "Reset"), "NotGranted", NIC);
        bench_expect_success(bench_call_device(b, admin, NIC, "Release"));
        bench_until_property(b, NIC, "State", "host");

        /* There it needs no Release, and nobody is asked for one. */
        b->n_asked = 0;
        bench_expect_error(bench_call_device(b, admin, NIC, "Release"), "NotGranted", NIC);
        assert_int_equal(b->n_asked, 0);
        bench_disconnect(admin);
}

/* A grant is for those that were named, no more and no less. */
static void test_a_member_leaves_the_set(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        fake_host_remove_device(b->host, PAIR_NVME);
        bench_until_signal(b, "InterfacesRemoved " PAIR_NVME);
        bench_expect_error(bench_call_device(b, admin, PAIR_NIC, "Bind"), "NotGranted", PAIR_NIC);
        assert_int_equal(b->n_asked, 0);

        /* What it says of the device itself is still true. */
        fake_kernel_unbind_address(PAIR_NIC);
        bench_until_property(b, PAIR_NIC, "Driver", "");
        assert_string_equal(bench_get(b, PAIR_NIC, "HostDriver"), "e1000e");
        bench_disconnect(admin);
}

static void test_a_bridge_comes_back_during_a_move(void **state) {
        static const char bridge[] = "0000:06:00.0";
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *call;

        fake_host_add_device(b->host,
                             &(FakeDevice){.address = bridge, .class_code = 0x060400, .iommu_set = 9});
        bench_until_signal(b, "InterfacesAdded 0000:06:00.0");
        fake_host_fail(b->host, "override " PAIR_NIC " hang 1");
        call = start_bind(b, admin, PAIR_NIC);
        bench_until_property(b, PAIR_NIC, "State", "moving");
        b->n_signals = 0;
        fake_kernel_uevent("remove", bridge);
        fake_kernel_uevent("add", bridge);
        bench_until_signal(b, "InterfacesAdded 0000:06:00.0");
        assert_string_equal(bench_get(b, bridge, "State"), "host");
        fake_host_let_go(b->host);
        bench_expect_success(bench_finish(b, call));
        assert_string_equal(bench_get(b, bridge, "State"), "host");
        bench_disconnect(admin);
}

static uint64_t now_usec(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void test_a_stuck_kernel(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        uint64_t began;

        fake_host_write(b->host, HELPER_CONF, "deadline-seconds=1\n");
        bench_kill_helper(b); /* the next one reads it */

        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        bench_expect_error(bench_finish(b, start_bind(b, admin, PAIR_NIC)), "Stuck", PAIR_NIC);
        bench_until_property(b, PAIR_NIC, "State", "stuck");
        bench_until_signal(b, "DeviceStuck " PAIR_NIC);
        assert_true(strlen(bench_get(b, PAIR_NIC, "Reason")) > 20);

        /* The list and all other devices do not wait for it. */
        began = now_usec();
        assert_true(count_objects(b, admin) >= 4);
        assert_true(now_usec() - began < 2 * 1000 * 1000);
        bench_expect_success(bench_finish(b, start_bind(b, admin, NIC)));
        bench_until_property(b, NIC, "State", "pool");

        fake_host_let_go(b->host);
        expect_home(b);
        assert_int_equal(bench_count_signals(b, "DeviceStuck " PAIR_NIC), 1);
        bench_disconnect(admin);
        bench_expect_no_line_twice(b);
}

/* Helper and worker die by kill -9 at each write: nobody has to do anything, the set comes home. */
static void test_the_daemon_heals_a_crash(void **state) {
        static const char *const ways[] = {"crash", "crash-after"};
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        sd_bus_message *reply;
        char rule[64];

        for (unsigned step = 1; step <= 6; step++)
                for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                        fake_host_clear(b->host);
                        b->n_signals = 0;
                        b->n_asked = 0;
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[i], step);
                        fake_host_fail(b->host, rule);
                        reply = bench_finish(b, start_bind(b, admin, PAIR_NIC));
                        assert_non_null(sd_bus_message_get_error(reply));
                        sd_bus_message_unref(reply);
                        expect_home(b);
                        assert_false(fake_host_exists(b->host, MOVES_DIR "/9"));
                }
        bench_disconnect(admin);
}

static void test_the_daemon_dies_during_a_move(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *call;

        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        call = start_bind(b, admin, PAIR_NIC);
        bench_until_property(b, PAIR_NIC, "State", "moving");
        bench_kill_daemon(b);
        bench_expect_error(bench_finish(b, call), SD_BUS_ERROR_NO_REPLY, "");

        /* The next one sees the move from the files alone, and its end from the kernel. */
        bench_start_daemon(b);
        assert_string_equal(bench_get(b, PAIR_NIC, "State"), "moving");
        fake_host_let_go(b->host);
        bench_until_property(b, PAIR_NIC, "State", "pool");
        bench_until_property(b, PAIR_NVME, "State", "pool");
        bench_disconnect(admin);
}

static void test_a_crash_while_the_daemon_is_away(void **state) {
        Bench *b = *state;
        sd_bus_message *reply;

        bench_kill_daemon(b);
        fake_host_fail(b->host, "* * crash 4");
        reply = bench_call_helper(b, b->root, "Bind", "sb", PAIR_NIC, 0);
        assert_non_null(sd_bus_message_get_error(reply));
        sd_bus_message_unref(reply);
        fake_host_clear(b->host);
        bench_start_daemon(b);
        expect_home(b);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
#define CASE_GRANTED(name) cmocka_unit_test_setup_teardown(name, setup_granted, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_introspection_of_manager),
                        CASE(test_introspection_of_device),
                        CASE(test_objects_are_listed_to_everybody),
                        CASE(test_properties_of_a_device),
                        CASE(test_hotplug),
                        CASE(test_rebinding_by_hand_is_one_change),
                        cmocka_unit_test_setup_teardown(test_a_device_comes_during_the_first_look,
                                                        bench_setup, bench_teardown),
                        CASE(test_a_sibling_makes_us_look),
                        CASE(test_a_burst_of_functions_is_one_change),
                        CASE(test_a_serial_that_comes_late),
                        CASE(test_a_volume_comes_and_goes),
                        CASE(test_story_of_an_admin),
                        CASE(test_half_a_set_is_refused_with_the_list),
                        CASE(test_critical_is_refused),
                        CASE(test_root_consents_at_the_helper),
                        CASE_GRANTED(test_polkit_says_no),
                        CASE_GRANTED(test_polkit_would_prompt),
                        CASE_GRANTED(test_polkit_fails),
                        CASE_GRANTED(test_polkit_is_gone),
                        CASE_GRANTED(test_the_caller_vanishes_while_polkit_asks),
                        CASE(test_bad_arguments),
                        CASE(test_check_is_open_to_everybody),
                        CASE_GRANTED(test_seventeen_checks_of_one_user),
                        CASE(test_a_burst_of_one_connection),
                        CASE_GRANTED(test_a_flashed_device_comes_home),
                        CASE_GRANTED(test_a_member_leaves_the_set),
                        CASE_GRANTED(test_a_bridge_comes_back_during_a_move),
                        CASE_GRANTED(test_a_stuck_kernel),
                        CASE_GRANTED(test_the_daemon_heals_a_crash),
                        CASE_GRANTED(test_the_daemon_dies_during_a_move),
                        CASE_GRANTED(test_a_crash_while_the_daemon_is_away),
        };

        return suite_run("bus-daemon", "runs its parts under several users", tests);
}
