/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* MakePassthrough and ReturnToHost: who is asked, what is refused, and that what fails leaves nothing behind. */

#include <fcntl.h>

#include "fake-kernel.h"
#include "orders.h"
#include "suite.h"

#define EACH_PAIR PAIR_NIC " " PAIR_NVME

static void test_make_and_back(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent"));
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "vfio-pci");
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "vfio-pci");
        assert_true(fake_host_exists(b->host, KEPT(PAIR_NIC)));
        assert_false(fake_host_exists(b->host, PENDING(PAIR_NIC)));
        assert_string_equal(orders_get_device(b, PAIR_NIC, "State"), "pool");
        bench_expect_error(bench_call_device(b, admin, PAIR_NIC, "Release"), "Ordered", "pool");

        bench_expect_success(orders_return(b, admin, PAIR_NIC));
        assert_int_equal(b->n_asked, 2);
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "e1000e");
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "nvme");
        assert_false(fake_host_exists(b->host, KEPT(PAIR_NIC)));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        bench_disconnect(admin);
}

/* One prompt for all, and its details. */
static void test_one_prompt_for_many(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        const char *reply;

        reply = orders_show(
                        orders_make(b, admin, NIC " " CARD " " PAIR_NIC, PAIR_NVME, "pool", "persistent"));
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(b->asked[0].action, "org.verge.Passthrough.grant");
        assert_string_equal(b->asked[0].subject, bench_name(admin));
        assert_string_equal(polkit_detail(b, 0, "device"), NIC ", " CARD ", " PAIR_NIC ", " PAIR_NVME);
        assert_non_null(strstr(reply, "] [" NIC " " CARD " " PAIR_NIC " " PAIR_NVME "]"));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 3);
        assert_string_equal(fake_host_driver(b->host, CARD), "vfio-pci");

        bench_expect_success(orders_return(b, admin, NIC " " CARD " " PAIR_NVME));
        assert_int_equal(b->n_asked, 2);
        assert_string_equal(b->asked[1].action, "org.verge.Passthrough.revoke");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        bench_disconnect(admin);
}

/* What is made, and that it is told once. */
static void test_what_is_made(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group, rule;
        char text[256];

        (void)sscanf(orders_show(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                                    bench_device_path(CARD), "GPUs", 3, "class", "s", "gpu",
                                                    "description", "s", "For VMs", "binding", "s",
                                                    "on-claim")),
                     "%127s [%127[^]]", group.text, rule.text);
        assert_string_equal(orders_get_group(b, &group, "Name"), "GPUs");
        assert_string_equal(orders_get_group(b, &group, "Class"), "gpu");
        assert_string_equal(orders_get_group(b, &group, "Description"), "For VMs");
        assert_string_equal(orders_get_group(b, &group, "Binding"), "on-claim");
        assert_string_equal(orders_get_group(b, &group, "Devices"), "[" CARD "]");
        assert_string_equal(orders_get_group(b, &group, "NeedsApproval"), "[]");
        assert_string_equal(orders_get_group(b, &group, "Available"), "1");
        assert_string_equal(orders_get_rule(b, &rule, "Name"), CARD);
        assert_string_equal(orders_get_rule(b, &rule, "AutoCreated"), "true");
        assert_string_equal(orders_get_rule(b, &rule, "Node"), "test-node");
        assert_string_equal(orders_get_rule(b, &rule, "Filter"),
                            "address eq '" CARD
                            "' and vendor_device_hex eq '10de:1eb8' and subsystem_hex eq "
                            "'10de:12a2'");
        (void)snprintf(text, sizeof text, "[%s]", group.text);
        assert_string_equal(orders_get_device(b, CARD, "Groups"), text);
        assert_string_equal(fake_host_driver(b->host, CARD), "nouveau"); /* on claim */
        assert_string_equal(orders_get_device(b, CARD, "Attention"), "");

        (void)snprintf(text, sizeof text, "InterfacesAdded %s", group.text);
        assert_int_equal(bench_count_signals(b, text), 1);
        (void)snprintf(text, sizeof text, "InterfacesAdded %s", rule.text);
        assert_int_equal(bench_count_signals(b, text), 1);
        assert_int_equal(orders_count_told(b, CARD, "Groups"), 1);
        assert_int_equal(orders_count_told(b, CARD, "Granted"), 1);
        bench_disconnect(admin);
}

static void test_the_same_device_twice(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, NIC " " NIC, NULL, "pool", NULL));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);
        /* Once more is no harm, and asks for nothing that is there. */
        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", NULL));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);
        assert_int_equal(b->n_asked, 2);
        assert_string_equal(b->asked[1].action, "org.verge.Passthrough.manage");
        bench_disconnect(admin);
}

static void test_siblings_must_be_named(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(orders_make(b, admin, PAIR_NIC, NULL, "pool", NULL), "IncompleteIommuSet",
                           PAIR_NVME);
        bench_expect_error(orders_make(b, admin, NIC, CARD, "pool", NULL), "InvalidArgument", CARD);
        bench_expect_error(orders_make(b, admin, BRIDGE, NULL, "pool", NULL), "Critical", BRIDGE);
        bench_expect_error(orders_make(b, admin, "0000:77:00.0", NULL, "pool", NULL), "NoSuchDevice", "77");
        bench_expect_error(orders_make(b, admin, "", NULL, "pool", NULL), "InvalidArgument", "No device");
        assert_int_equal(b->n_asked, 0);
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void test_bad_options(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[128], long_name[300];

        (void)snprintf(path, sizeof path, "%s", bench_device_path(NIC));
        (void)memset(long_name, 'x', 257);
        long_name[257] = '\0';
        bench_expect_error(orders_make(b, admin, NIC, NULL, "", NULL), "InvalidArgument", "empty");
        bench_expect_error(orders_make(b, admin, NIC, NULL, long_name, NULL), "InvalidArgument", "257");
        bench_expect_error(orders_make(b, admin, NIC, NULL, "a\nb", NULL), "InvalidArgument", "control");
        bench_expect_error(orders_make(b, admin, NIC, NULL, "pool", "often"), "InvalidArgument", "often");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1, path, "pool", 1,
                                              "class", "s", "toy"),
                           "InvalidArgument", "toy");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1, path, "pool", 1,
                                              "colour", "s", "red"),
                           "InvalidArgument", "colour");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1, path, "pool", 1,
                                              "binding", "b", 1),
                           "InvalidArgument", "type s");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1, path, "pool", 2,
                                              "class", "s", "gpu", "class", "s", "gpu"),
                           "InvalidArgument", "twice");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1, path, "pool", 1,
                                              "consent", "as", 1, "luck"),
                           "InvalidArgument", "luck");
        assert_int_equal(b->n_asked, 0);
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void test_too_many_devices(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char list[65 * 13 + 1] = "";

        for (size_t i = 0; i < 65; i++)
                (void)strcat(list, i > 0 ? " " NIC : NIC);
        bench_expect_error(orders_make(b, admin, list, NULL, "pool", NULL), "LimitsExceeded", "64");
        bench_expect_error(orders_return(b, admin, list), "LimitsExceeded", "64");
        list[64 * 13 - 1] = '\0';
        bench_expect_success(orders_make(b, admin, list, NULL, "pool", NULL));
        bench_disconnect(admin);
}

/* The NVMe is mounted: the host would lose it. */
static void test_critical_needs_consent(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[300], one[128], two[128];

        (void)snprintf(path, sizeof path, "%s/nvme/nvme0/nvme0n1",
                       fake_host_device_path(b->host, PAIR_NVME));
        fake_host_add_block(b->host, path, "259:0");
        fake_host_mount(b->host, "259:0", "/srv", "ext4", "/dev/nvme0n1");
        (void)snprintf(one, sizeof one, "%s", bench_device_path(PAIR_NIC));
        (void)snprintf(two, sizeof two, "%s", bench_device_path(PAIR_NVME));

        bench_expect_error(orders_make(b, admin, EACH_PAIR, NULL, "pool", "persistent"), "Critical",
                           "mounted");
        orders_expect_nothing_left(b);
        assert_int_equal(b->n_asked, 0);

        bench_expect_success(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 2, one, two, "pool",
                                                2, "consent", "as", 1, "mounted", "binding", "s",
                                                "persistent"));
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(b->asked[0].action, "org.verge.Passthrough.grant-critical");
        assert_string_equal(polkit_detail(b, 0, "consent"), "mounted");
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "vfio-pci");
        bench_disconnect(admin);
}

static void test_a_group_that_exists_is_picked(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", "persistent");

        bench_expect_error(orders_make(b, admin, NIC, NULL, "pool", "on-claim"), "InvalidArgument",
                           "binding");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                              bench_device_path(NIC), "pool", 1, "class", "s", "gpu"),
                           "InvalidArgument", "class");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                              bench_device_path(NIC), "pool", 1, "description", "s", "x"),
                           "InvalidArgument", "description");
        orders_forget_signals(b);
        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", NULL));
        assert_string_equal(orders_get_group(b, &group, "Devices"), "[" NIC "]");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_int_equal(orders_count_told(b, group.text, "Rules"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Devices"), 1);
        assert_int_equal(orders_count_told(b, group.text, "Total"), 1);

        /* When it fails, the group that was there stays. */
        fake_host_fail(b->host, "probe " CARD " EIO");
        bench_expect_error(orders_make(b, admin, CARD, NULL, "pool", NULL), "DriverFailed", CARD);
        assert_string_equal(orders_get_group(b, &group, "Devices"), "[" NIC "]");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);
        bench_disconnect(admin);
}

static void test_a_device_of_another_group(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path other;

        bench_expect_success(orders_make(b, admin, NIC, NULL, "one", "persistent"));
        bench_expect_error(orders_make(b, admin, NIC, NULL, "two", "persistent"), "Ordered", "\"one\"");

        /* By a rule of the administrator's. */
        other = orders_make_group(b, admin, "cards", NULL);
        (void)orders_make_rule(b, admin, &other, "all", "address eq '" CARD "'");
        bench_expect_error(orders_make(b, admin, CARD, NULL, "two", "persistent"), "Ordered", "\"cards\"");
        assert_false(fake_host_exists(b->host, KEPT(CARD)));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 2);
        bench_expect_success(orders_make(b, admin, CARD, NULL, "cards", NULL));
        bench_disconnect(admin);
}

static void test_root_gets_the_command(void **state) {
        Bench *b = *state;

        bench_expect_error(orders_make(b, b->root, PAIR_NIC, PAIR_NVME, "pool", "persistent"),
                           "NotAuthorized", "Grant asasbus 2 " PAIR_NIC " " PAIR_NVME " 0 false 0");
        orders_expect_nothing_left(b);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 0,
                                               0, ""));
        orders_until_device(b, PAIR_NVME, "Granted", "true");
        bench_expect_success(orders_make(b, b->root, PAIR_NIC, PAIR_NVME, "pool", "persistent"));
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "vfio-pci");
        bench_expect_error(orders_return(b, b->root, PAIR_NIC), "NotAuthorized", "Revoke asbs 2 " PAIR_NIC);
        assert_int_equal(b->n_asked, 0);
}

static void test_who_is_not_authorized(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(orders_make(b, admin, EACH_PAIR, NULL, "pool", "persistent"), "NotAuthorized",
                           "");
        orders_expect_nothing_left(b);
        polkit_set_mode(b, POLKIT_CHALLENGE);
        bench_expect_error(orders_make(b, admin, NIC, NULL, "pool", "persistent"), "NotAuthorized", "agent");
        orders_expect_nothing_left(b);
        polkit_set_mode(b, POLKIT_GONE);
        bench_expect_error(orders_make(b, admin, NIC, NULL, "pool", "persistent"), "NotAuthorized", "");
        orders_expect_nothing_left(b);

        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(orders_return(b, admin, NIC), "NotAuthorized", "");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_true(fake_host_exists(b->host, KEPT(NIC)));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);

        /* Granted already: the other action is asked. */
        bench_expect_error(orders_make(b, admin, NIC, NULL, "pool", NULL), "NotAuthorized", "manage");
        bench_disconnect(admin);
}

/* The kernel refuses each write of Bind in turn, in one set and in another. */
static void test_bind_fails(void **state) {
        static const char *const writes[] = {"override", "unbind", "probe"};
        static const char *const devices[] = {NIC, PAIR_NIC, PAIR_NVME};
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char rule[64];

        for (size_t i = 0; i < ELEMENTSOF(writes); i++)
                for (size_t k = 0; k < ELEMENTSOF(devices); k++) {
                        (void)snprintf(rule, sizeof rule, "%s %s EIO 1", writes[i], devices[k]);
                        orders_forget_signals(b);
                        fake_host_clear(b->host);
                        fake_host_fail(b->host, rule);
                        bench_expect_error(
                                        orders_make(b, admin, NIC " " EACH_PAIR, NULL, "pool", "persistent"),
                                        "DriverFailed", devices[k]);
                        orders_expect_nothing_left(b);
                }

        fake_host_clear(b->host);
        bench_expect_success(orders_make(b, admin, NIC " " EACH_PAIR, NULL, "pool", "persistent"));
        bench_disconnect(admin);
}

/* A rule that was there before does not keep what has no consent. */
static void test_a_step_fails_of_what_is_ordered(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", "persistent");

        (void)orders_make_rule(b, admin, &group, "one", "address eq '" NIC "'");
        for (unsigned i = 0; i < 2; i++) {
                fake_host_clear(b->host);
                fake_host_fail(b->host, "probe " CARD " EIO 1");
                bench_expect_error(orders_make(b, admin, NIC " " CARD, NULL, "pool", NULL), "DriverFailed",
                                   CARD);
                assert_string_not_equal(fake_host_driver(b->host, NIC), "vfio-pci");
                assert_false(fake_host_exists(b->host, PENDING_GRANTS_DIR "/" NIC ".grant"));
                assert_false(fake_host_exists(b->host, GRANTS_DIR "/" NIC ".boot"));
        }
        bench_disconnect(admin);
}

/* A grant of what was there before it does not make a consent last that was for a change that failed. */
static void test_a_step_fails_beside_an_old_grant(void **state) {
        _cleanup_free_ char *before = NULL, *after = NULL;
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", "persistent");
        char path[512];

        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""));
        before = fake_host_read(b->host, GRANTS_DIR "/" NIC ".grant");
        assert_non_null(strstr(before, "granted-at=1"));
        strstr(before, "granted-at=1")[strlen("granted-at=1")] = '0'; /* years ago */
        fake_host_write(b->host, GRANTS_DIR "/" NIC ".grant", "%s", before);
        (void)snprintf(path, sizeof path, "sys/%s/subsystem_device", fake_host_device_path(b->host, NIC));
        fake_host_write(b->host, path, "0x7777\n");
        fake_kernel_attach(b->host->root);
        fake_kernel_uevent("change", NIC);
        orders_until_device(b, NIC, "Granted", "false");

        (void)orders_make_rule(b, admin, &group, "one", "address eq '" NIC "'");
        fake_host_fail(b->host, "probe " CARD " EIO 1");
        bench_expect_error(orders_make(b, admin, NIC " " CARD, NULL, "pool", NULL), "DriverFailed", CARD);
        assert_string_not_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_false(fake_host_exists(b->host, PENDING_GRANTS_DIR "/" NIC ".grant"));
        after = fake_host_read(b->host, GRANTS_DIR "/" NIC ".grant");
        assert_string_equal(after, before);
        bench_disconnect(admin);
}

/* Consent until the next boot is not enough for what is to last. */
static void test_a_pending_grant_is_asked_for_again(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 1, 0, ""));
        orders_until_device(b, NIC, "Granted", "true");
        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        assert_true(fake_host_exists(b->host, GRANTS_DIR "/" NIC ".grant"));
        assert_false(fake_host_exists(b->host, PENDING_GRANTS_DIR "/" NIC ".grant"));
        bench_disconnect(admin);
}

/* Consent that an administrator takes back while the prompt of another's return stands is not that other's doing. */
static void test_a_refused_return_removes_nothing(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *nobody = bench_connect(b, NOBODY_UID);
        Pending *p;

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "on-claim"));
        bench_expect_success(bench_call_device(b, admin, NIC, "Release"));
        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_return(b, nobody, NIC);
        bench_until_asked(b, b->n_asked + 1);
        bench_expect_success(bench_call_helper(b, b->root, "Revoke", "asbs", 1, NIC, 0, ""));
        polkit_settle(b, b->n_asked - 1, false);
        bench_expect_error(bench_finish(b, p), "NotAuthorized", "");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);
        bench_disconnect(nobody);
        bench_disconnect(admin);
}

/* A directory stands where the helper writes for an instant: it cannot keep. */
static void test_keep_fails(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *p;

        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        p = orders_start_make(b, admin, EACH_PAIR, NULL, "pool", "persistent");
        bench_until_property(b, PAIR_NIC, "State", "moving");
        fake_host_mkdir(b->host, GRANTS_DIR "/." PAIR_NVME ".grant/x");
        fake_host_let_go(b->host);
        bench_expect_error(bench_finish(b, p), NULL, "");
        fake_host_remove(b->host, GRANTS_DIR "/." PAIR_NVME ".grant");
        orders_expect_nothing_left(b);
        fake_host_clear(b->host);
        bench_expect_success(orders_make(b, admin, EACH_PAIR, NULL, "pool", "persistent"));
        bench_disconnect(admin);
}

/* The file of the database was replaced: SQLite notices, and nothing is stored from then on. */
static void break_database(Bench *b) {
        const char *files[] = {STATE_DIR "/store.db", STATE_DIR "/store.db-wal", STATE_DIR "/store.db-shm"};
        int fd;

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                fd = openat(b->host->fd, files[i], O_WRONLY | O_TRUNC | O_CLOEXEC);
                if (fd >= 0) {
                        assert_true(write(fd, "garbage garbage garbage garbage garbage garbage garbage",
                                          50) > 0);
                        (void)close(fd);
                }
        }
}

static void test_the_database_fails(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        break_database(b);
        bench_expect_error(orders_make(b, admin, EACH_PAIR, NULL, "pool", "persistent"), "Internal",
                           "database");
        orders_expect_nothing_left(b);
        orders_until_manager(b, "ReadOnly", "true");
        bench_expect_error(orders_make(b, admin, NIC, NULL, "pool", "persistent"), "ReadOnly", "store.db");
        bench_expect_error(orders_return(b, admin, NIC), "ReadOnly", "store.db");
        bench_disconnect(admin);
}

static void test_the_caller_leaves(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *other = bench_connect(b, OTHER_UID);
        Pending *p;

        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_make(b, admin, EACH_PAIR, NULL, "pool", "persistent");
        bench_until_asked(b, 1);
        p = bench_drop(p);
        bench_disconnect(admin);
        bench_until_cancelled(b, 1);
        polkit_settle(b, 0, false);
        orders_expect_nothing_left(b);

        polkit_set_mode(b, POLKIT_YES);
        for (;;) { /* the helper's answer to the daemon may be on its way */
                sd_bus_message *reply = orders_make(b, other, EACH_PAIR, NULL, "pool", "persistent");

                if (!sd_bus_error_has_name(sd_bus_message_get_error(reply),
                                           "org.verge.Passthrough.Error.Busy")) {
                        bench_expect_success(reply);
                        break;
                }
                sd_bus_message_unref(reply);
        }
        bench_disconnect(other);
}

/* While a prompt stands that nobody has answered yes to, nobody else is kept from anything. */
static void test_a_prompt_holds_nobody_up(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *other = bench_connect(b, OTHER_UID);
        Pending *p;

        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_make(b, other, NIC, NULL, "evil", "persistent");
        bench_until_asked(b, 1);
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        polkit_settle(b, 0, true);
        bench_expect_error(bench_finish(b, p), "Ordered", "\"pool\"");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_true(fake_host_exists(b->host, KEPT(NIC)));
        assert_false(fake_host_exists(b->host, PENDING(NIC)));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);

        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_return(b, other, NIC);
        bench_until_asked(b, 3);
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(orders_return(b, admin, NIC));
        polkit_settle(b, 2, true);
        sd_bus_message_unref(bench_finish(b, p)); /* well, or not: it is home already */
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        bench_disconnect(admin);
        bench_disconnect(other);
}

/* Both make the same group. */
static void test_two_admins_at_once(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *other = bench_connect(b, OTHER_UID);
        Pending *first, *second;
        const char *one, *two;

        polkit_set_mode(b, POLKIT_HANG);
        first = orders_start_make(b, admin, NIC, NULL, "pool", "persistent");
        second = orders_start_make(b, other, EACH_PAIR, NULL, "pool", "persistent");
        bench_until_asked(b, 2);
        polkit_settle(b, 1, true);
        polkit_settle(b, 0, true);
        one = orders_show(bench_finish(b, first));
        two = orders_show(bench_finish(b, second));
        assert_memory_equal(one, two, strcspn(one, " "));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 3);
        bench_disconnect(admin);
        bench_disconnect(other);
}

static void test_unplugged_while_the_prompt_stands(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *p;

        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_make(b, admin, NIC " " CARD, NULL, "pool", "persistent");
        bench_until_asked(b, 1);
        fake_host_remove_device(b->host, CARD);
        bench_until_signal(b, "InterfacesRemoved " CARD);
        polkit_settle(b, 0, true);
        bench_expect_error(bench_finish(b, p), NULL, CARD);
        assert_false(fake_host_exists(b->host, PENDING(CARD)));
        assert_false(fake_host_exists(b->host, PENDING(NIC)));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);
        bench_disconnect(admin);
}

static void test_swapped_while_the_prompt_stands(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *p;

        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_make(b, admin, CARD, NULL, "pool", "persistent");
        bench_until_asked(b, 1);
        fake_host_remove_device(b->host, CARD);
        bench_until_signal(b, "InterfacesRemoved " CARD);
        fake_host_add_device(b->host, &(FakeDevice){.address = CARD,
                                                    .vendor = 0x1af4,
                                                    .device = 0x1041,
                                                    .class_code = 0x020000,
                                                    .driver = "nouveau",
                                                    .iommu_set = 8});
        bench_until_signal(b, "InterfacesAdded " CARD);
        polkit_settle(b, 0, true);
        bench_expect_error(bench_finish(b, p), "IdentityChanged", CARD);
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

/* Both are brought home, so both rules go. */
static void test_return_of_one_of_a_set(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, EACH_PAIR, NULL, "pool", "persistent"));
        bench_expect_success(orders_return(b, admin, PAIR_NIC));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "nvme");
        assert_string_equal(orders_get_device(b, PAIR_NVME, "Attention"), "");
        bench_disconnect(admin);
}

static void test_return_while_a_vm_holds_it(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", "persistent"));
        fake_host_hold_vfio(b->host, 7, true);
        bench_expect_error(orders_return(b, admin, NIC), "InUse", NIC);
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);
        assert_true(fake_host_exists(b->host, KEPT(NIC)));
        fake_host_hold_vfio(b->host, 7, false);
        bench_expect_success(orders_return(b, admin, NIC));
        bench_disconnect(admin);
}

/* Nothing was granted: only rules are removed, under the other action. */
static void test_return_without_a_grant(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, NIC, NULL, "pool", NULL));
        bench_expect_success(bench_call_manager(b, admin, "Revoke", "ao", 1, bench_device_path(NIC)));
        bench_expect_success(orders_return(b, admin, NIC));
        assert_string_equal(b->asked[2].action, "org.verge.Passthrough.manage");
        assert_string_equal(polkit_detail(b, 2, "verb"), "ReturnToHost");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        bench_disconnect(admin);
}

/* A rule of the administrator's brings it into a persistent group again. */
static void test_make_after_return(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        for (int i = 0; i < 3; i++) {
                bench_expect_success(orders_make(b, admin, EACH_PAIR, NULL, "pool",
                                                 i == 0 ? "persistent" : NULL));
                assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "vfio-pci");
                bench_expect_success(orders_return(b, admin, EACH_PAIR));
                assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "e1000e");
        }
        bench_disconnect(admin);
}

/* The first set fails and is brought home while the second still hangs in the kernel: all of it is undone. */
static void test_one_set_fails_while_another_hangs(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *p;

        fake_host_fail(b->host, "probe " NIC " kill 1");
        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        p = orders_start_make(b, admin, NIC " " EACH_PAIR, NULL, "pool", "persistent");
        orders_until_step(b, "answer Bind");
        fake_host_let_go(b->host);
        bench_expect_error(bench_finish(b, p), NULL, NIC);
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, orders_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_make_and_back),
                        CASE(test_one_prompt_for_many),
                        CASE(test_what_is_made),
                        CASE(test_the_same_device_twice),
                        CASE(test_siblings_must_be_named),
                        CASE(test_bad_options),
                        CASE(test_too_many_devices),
                        CASE(test_critical_needs_consent),
                        CASE(test_a_group_that_exists_is_picked),
                        CASE(test_a_device_of_another_group),
                        CASE(test_root_gets_the_command),
                        CASE(test_who_is_not_authorized),
                        CASE(test_bind_fails),
                        CASE(test_a_step_fails_of_what_is_ordered),
                        CASE(test_a_step_fails_beside_an_old_grant),
                        CASE(test_a_pending_grant_is_asked_for_again),
                        CASE(test_a_refused_return_removes_nothing),
                        CASE(test_keep_fails),
                        CASE(test_the_database_fails),
                        CASE(test_the_caller_leaves),
                        CASE(test_a_prompt_holds_nobody_up),
                        CASE(test_two_admins_at_once),
                        CASE(test_unplugged_while_the_prompt_stands),
                        CASE(test_swapped_while_the_prompt_stands),
                        CASE(test_return_of_one_of_a_set),
                        CASE(test_return_while_a_vm_holds_it),
                        CASE(test_return_without_a_grant),
                        CASE(test_make_after_return),
                        CASE(test_one_set_fails_while_another_hangs),
        };

        return suite_run("bus-make", "runs its parts under several users", tests);
}
