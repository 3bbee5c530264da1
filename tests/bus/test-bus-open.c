/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Open and Close over the wire: who may be let in, and what becomes of the descriptors. */

#include <acl/libacl.h>
#include <fcntl.h>
#include <sys/acl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fake-kernel.h"
#include "orders.h"
#include "suite.h"

#define RECORD ACCESS_DIR "/9"
#define NODE "dev/vfio/9"

typedef struct People {
        sd_bus *daemon, *user;
} People;

static People gather(Bench *b) {
        return (People){bench_connect_as_daemon(b), bench_connect(b, OTHER_UID)};
}

static void part(People p) {
        bench_disconnect(p.daemon);
        bench_disconnect(p.user);
}

static void make_resettable(Bench *b, const char *address) {
        char path[128];

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/reset_method", address);
        fake_host_write(b->host, path, "flr\n");
        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/reset", address);
        fake_host_write(b->host, path, "%s", "");
}

/* The pair is granted and bound, and can be reset. */
static int setup(void **state) {
        Bench *b;

        (void)bench_setup(state);
        b = *state;
        fake_host_add_cdev(b->host);
        make_resettable(b, PAIR_NIC);
        make_resettable(b, PAIR_NVME);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 0,
                                               0, ""));
        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", PAIR_NIC, 0));
        fake_host_clear(b->host);
        return 0;
}

static sd_bus_message *open_pair(Bench *b, sd_bus *from, bool fds, const char *subject) {
        return bench_call_helper(b, from, "Open", "asbs", 2, PAIR_NIC, PAIR_NVME, (int)fds, subject);
}

static sd_bus_message *close_pair(Bench *b, sd_bus *from) {
        return bench_call_helper(b, from, "Close", "s", PAIR_NVME);
}

static bool has_entries(Bench *b) {
        char path[4096];
        acl_t acl;
        int n;

        (void)snprintf(path, sizeof path, "%s/" NODE, b->host->root);
        acl = acl_get_file(path, ACL_TYPE_ACCESS);
        assert_non_null(acl);
        n = acl_entries(acl);
        (void)acl_free(acl);
        return n > 3;
}

static void expect_closed(Bench *b) {
        assert_false(has_entries(b));
        assert_false(fake_host_exists(b->host, RECORD));
        assert_false(fake_host_exists(b->host, MOVES_DIR "/9"));
}

static void expect_untouched(Bench *b) {
        _cleanup_free_ char *log = fake_host_log(b->host);

        assert_string_equal(log, "");
        expect_closed(b);
}

/* Takes the descriptors of an answer by their names, which come in this order; frees it. */
static void take_fds(sd_bus_message *reply, const char *const *names, size_t n, int *ret) {
        const char *name;
        int fd;

        if (sd_bus_message_is_method_error(reply, NULL))
                fail_msg("%s", sd_bus_message_get_error(reply)->message);
        assert_true(sd_bus_message_has_signature(reply, "a{sh}") > 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "{sh}") > 0);
        for (size_t i = 0; i < n; i++) {
                assert_true(sd_bus_message_read(reply, "{sh}", &name, &fd) > 0);
                assert_string_equal(name, names[i]);
                assert_true((ret[i] = fcntl(fd, F_DUPFD_CLOEXEC, 3)) >= 0);
        }
        assert_true(sd_bus_message_at_end(reply, false) > 0);
        sd_bus_message_unref(reply);
}

static void expect_node(Bench *b, int fd, const char *path) {
        struct stat is, node;

        assert_int_equal(fstatat(b->host->fd, path, &node, 0), 0);
        assert_int_equal(fstat(fd, &is), 0);
        assert_int_equal(is.st_ino, node.st_ino);
        assert_int_equal(is.st_dev, node.st_dev);
}

static const char *const pair[] = {PAIR_NIC, PAIR_NVME, "iommufd"};

static void test_story_of_a_list(void **state) {
        Bench *b = *state;
        People p = gather(b);

        take_fds(open_pair(b, p.daemon, false, bench_name(p.user)), NULL, 0, NULL);
        _cleanup_free_ char *record = fake_host_read(b->host, RECORD);
        assert_non_null(strstr(record, "\nuid=3\naccess=acl\n"));
        assert_true(has_entries(b));

        fake_host_hold_vfio(b->host, 9, true);
        bench_expect_error(close_pair(b, p.daemon), "InUse", PAIR_NIC);
        assert_true(has_entries(b));
        fake_host_hold_vfio(b->host, 9, false);
        bench_expect_success(close_pair(b, p.daemon));
        expect_closed(b);
        assert_int_equal(b->n_asked, 0);
        bench_expect_no_line_twice(b);
        bench_expect_success(close_pair(b, p.daemon));
        part(p);
}

static void test_story_of_descriptors(void **state) {
        Bench *b = *state;
        People p = gather(b);
        int fds[3];

        take_fds(open_pair(b, p.daemon, true, bench_name(p.user)), pair, 3, fds);
        expect_node(b, fds[0], "dev/vfio/devices/vfio0");
        expect_node(b, fds[1], "dev/vfio/devices/vfio1");
        expect_node(b, fds[2], "dev/iommu");
        assert_false(has_entries(b));

        /* The iommufd alone holds no device. */
        bench_expect_error(close_pair(b, p.daemon), "InUse", PAIR_NIC);
        (void)close(fds[0]);
        bench_expect_error(close_pair(b, p.daemon), "InUse", PAIR_NIC);
        (void)close(fds[1]);
        bench_expect_success(close_pair(b, p.daemon)); /* so the helper has kept none */
        expect_closed(b);
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "vfio-pci");
        (void)close(fds[2]);
        part(p);
}

static void test_root(void **state) {
        Bench *b = *state;
        People p = gather(b);

        take_fds(open_pair(b, b->root, false, ""), NULL, 0, NULL);
        assert_false(has_entries(b));
        assert_true(fake_host_exists(b->host, RECORD));
        bench_expect_error(open_pair(b, b->root, false, bench_name(p.user)), "Claimed", "user 0");
        bench_expect_success(close_pair(b, b->root));
        take_fds(open_pair(b, b->root, false, bench_name(p.user)), NULL, 0, NULL);
        assert_true(has_entries(b));
        bench_expect_success(close_pair(b, b->root));

        /* For the daemon an empty name means root, too. */
        take_fds(open_pair(b, p.daemon, false, ""), NULL, 0, NULL);
        assert_false(has_entries(b));
        part(p);
}

static void test_subjects(void **state) {
        static const char *const bad[] = {
                        "root", "org.verge.Passthrough", ":", ":1", "0", "nobody", "1000", ":1.1 ", ":1.1'"};
        Bench *b = *state;
        People p = gather(b);
        sd_bus *second = bench_connect(b, DAEMON_UID);
        const char *const taken[] = {bench_name(b->root), bench_name(p.daemon), bench_name(second)};

        for (unsigned fds = 0; fds < 2; fds++) {
                for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                        bench_expect_error(open_pair(b, p.daemon, fds, bad[i]), "NotAuthorized",
                                           "unique name");
                for (size_t i = 0; i < ELEMENTSOF(taken); i++) {
                        bench_expect_error(open_pair(b, p.daemon, fds, taken[i]), "NotAuthorized",
                                           "not a user's");
                        bench_expect_error(open_pair(b, b->root, fds, taken[i]), "NotAuthorized",
                                           "not a user's");
                }
                bench_expect_error(open_pair(b, p.daemon, fds, ":1.99999"), "NotAuthorized",
                                   "not there any more");
        }
        expect_untouched(b);
        bench_disconnect(second);
        part(p);
}

static void test_strangers(void **state) {
        static const uid_t uids[] = {OTHER_UID, NOBODY_UID, DAEMON_UID};
        Bench *b = *state;

        take_fds(open_pair(b, b->root, false, ""), NULL, 0, NULL);
        fake_host_clear(b->host);
        for (size_t i = 0; i < ELEMENTSOF(uids); i++) {
                sd_bus *stranger = bench_connect(b, uids[i]);

                bench_expect_error(open_pair(b, stranger, false, bench_name(stranger)), "NotAuthorized", "");
                bench_expect_error(open_pair(b, stranger, true, ""), "NotAuthorized", "");
                bench_expect_error(close_pair(b, stranger), "NotAuthorized", "");
                bench_disconnect(stranger);
        }
        assert_true(fake_host_exists(b->host, RECORD));
        bench_expect_success(close_pair(b, b->root));
}

static void test_bad_arguments(void **state) {
        Bench *b = *state;

        bench_expect_error(bench_call_helper(b, b->root, "Open", "asbs", 0, 0, ""), "InvalidArgument",
                           "No device");
        bench_expect_error(bench_call_helper(b, b->root, "Open", "asbs", 1, "05:01.0", 0, ""),
                           "InvalidArgument", "05:01.0");
        bench_expect_error(bench_call_helper(b, b->root, "Open", "asbs", 2, NIC, PAIR_NIC, 0, ""),
                           "InvalidArgument", "one IOMMU set");
        bench_expect_error(bench_call_helper(b, b->root, "Open", "asbs", 1, NIC, 0, ""), "NotGranted", NIC);
        bench_expect_error(bench_call_helper(b, b->root, "Open", "asbb", 1, NIC, 0, 0),
                           SD_BUS_ERROR_INVALID_ARGS, "");
        bench_expect_error(bench_call_helper(b, b->root, "Close", "s", "nonsense"), "InvalidArgument", "");
        bench_expect_error(bench_call_helper(b, b->root, "Close", "s", BRIDGE), "Critical", BRIDGE);
        bench_expect_error(bench_call_helper(b, b->root, "Close", "sb", NIC, 0), SD_BUS_ERROR_INVALID_ARGS,
                           "");
        bench_expect_success(bench_call_helper(b, b->root, "Close", "s", NIC)); /* at the host */
        expect_untouched(b);
}

/* As many descriptors as dbus-daemon lets through in one message; one more would cost the helper its connection. */
static void test_as_many_descriptors_as_the_bus_carries(void **state) {
        char addresses[16][16];
        const char *names[16];
        sd_bus_message *m;
        Bench *b = *state;
        int fds[16];

        for (unsigned i = 0; i < 16; i++) {
                (void)snprintf(addresses[i], sizeof addresses[i], "0000:20:%02x.0", i);
                fake_host_add_device(b->host, &(FakeDevice){.address = addresses[i],
                                                            .vendor = 0x8086,
                                                            .device = 0x1520,
                                                            .class_code = 0x020000,
                                                            .iommu_set = 20});
                names[i] = addresses[i];
        }
        bench_expect_success(bench_call_helper(b, b->root, "GrantIds", "ass", 1, "8086:1520", ""));
        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", addresses[0], 0));

        for (unsigned n = 16; n >= 15; n--) {
                assert_true(sd_bus_message_new_method_call(b->root, &m, HELPER_NAME, HELPER_PATH,
                                                           HELPER_INTERFACE, "Open") >= 0);
                assert_true(sd_bus_message_open_container(m, 'a', "s") >= 0);
                for (unsigned i = 0; i < n; i++)
                        assert_true(sd_bus_message_append(m, "s", addresses[i]) >= 0);
                assert_true(sd_bus_message_close_container(m) >= 0);
                assert_true(sd_bus_message_append(m, "bs", 1, "") >= 0);
                m = bench_send(b, b->root, m);
                if (n == 16)
                        bench_expect_error(m, "LimitsExceeded", "15 devices");
        }
        names[15] = "iommufd";
        take_fds(m, names, 16, fds);
        for (unsigned i = 0; i < 16; i++)
                (void)close(fds[i]);
        bench_expect_error(bench_call_helper(b, b->root, "Close", "s", addresses[0]), "NoReset", "0000:20:");
}

/* It is Busy or Stuck until the helper has seen the end of the worker, which is later than that of the move. */
static sd_bus_message *close_when_free(Bench *b, sd_bus *from) {
        sd_bus_message *reply;

        for (;;) {
                reply = close_pair(b, from);
                if (!sd_bus_message_is_method_error(reply, "org.verge.Passthrough.Error.Busy") &&
                    !sd_bus_message_is_method_error(reply, "org.verge.Passthrough.Error.Stuck"))
                        return reply;
                sd_bus_message_unref(reply);
        }
}

/* The one who asked is gone before the answer: what he would have got goes with it, and Close finds the rest. */
static void test_the_caller_leaves(void **state) {
        Bench *b = *state;
        People p = gather(b);
        Pending *call;

        for (unsigned fds = 0; fds < 2; fds++) {
                fake_host_clear(b->host);
                fake_host_fail(b->host, "reset " PAIR_NIC " hang 1");
                call = bench_start(b, p.daemon, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Open", true,
                                   "asbs", 1, PAIR_NIC, (int)fds, bench_name(p.user));
                while (!fake_host_exists(b->host, MOVES_DIR "/9")) /* it has begun */
                        bench_expect_success(bench_call_helper(b, p.daemon, "Plan", "sasb", NIC, 0, 0));
                bench_drop(call);
                bench_disconnect(p.daemon);
                fake_host_let_go(b->host);
                p.daemon = bench_connect_as_daemon(b);
                fake_host_clear(b->host);

                bench_expect_success(close_when_free(b, p.daemon));
                expect_closed(b);
        }
        part(p);
}

static bool has_ended(void *userdata) {
        return !fake_host_exists(((Bench *)userdata)->host, MOVES_DIR "/9");
}

/* Who was told that it is stuck is not let in behind his back, when the kernel answers after all. */
static void test_a_reset_that_takes_too_long(void **state) {
        Bench *b = *state;
        People p = gather(b);

        bench_kill_helper(b);
        fake_host_write(b->host, HELPER_CONF, "deadline-seconds=3\n"); /* a slow machine gets to the reset */
        for (unsigned fds = 0; fds < 2; fds++) {
                fake_host_fail(b->host, "reset " PAIR_NIC " hang 1");
                bench_expect_error(open_pair(b, p.daemon, fds, bench_name(p.user)), "Stuck",
                                   "resetting " PAIR_NIC);
                fake_host_let_go(b->host);
                orders_until_files(b, has_ended, b);
                expect_closed(b);
                fake_host_clear(b->host);
                bench_kill_helper(b); /* which may not have heard of the worker's end yet */
        }
        part(p);
}

/* Whoever hides a descriptor hinders Close until he lets go, is seen to do so, and gains nothing else. */
static void test_a_hidden_descriptor(void **state) {
        Bench *b = *state;
        People p = gather(b);
        int fds[3];

        bench_kill_helper(b);
        fake_host_write(b->host, HELPER_CONF,
                        "deadline-seconds=3\n"); /* a slow machine gets to the unbind */
        take_fds(open_pair(b, p.daemon, true, bench_name(p.user)), pair, 3, fds);
        fake_host_hold_device(b->host, PAIR_NVME, true);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void)close(fds[i]);

        bench_expect_error(close_pair(b, p.daemon), "Stuck", "unbinding " PAIR_NVME);
        assert_true(fake_host_exists(b->host, RECORD));
        bench_expect_error(close_pair(b, p.daemon), "Stuck", PAIR_NVME);
        fake_host_hold_device(b->host, PAIR_NVME, false);
        orders_until_files(b, has_ended, b);
        bench_expect_success(close_when_free(b, p.daemon));
        expect_closed(b);
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "vfio-pci");
        part(p);
}

/* Helper and worker are killed at each write to sysfs: the next helper has what it needs to mend that. */
static void test_crash_at_each_step(void **state) {
        static const char *const ways[] = {"crash", "crash-after", "kill"};
        Bench *b = *state;
        People p = gather(b);
        char rule[64];
        int fds[3];

        for (unsigned step = 1; step <= 8; step++)
                for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                        bool opening = step <= 2; /* two resets; then two of unbind, probe and reset */

                        fake_host_clear(b->host);
                        if (!opening) {
                                take_fds(open_pair(b, p.daemon, true, bench_name(p.user)), pair, 3, fds);
                                for (size_t k = 0; k < ELEMENTSOF(fds); k++)
                                        (void)close(fds[k]);
                                fake_host_clear(b->host);
                        }
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[i], opening ? step : step - 2);
                        fake_host_fail(b->host, rule);
                        bench_expect_error(opening ? open_pair(b, p.daemon, true, bench_name(p.user))
                                                   : close_pair(b, p.daemon),
                                           streq(ways[i], "kill") ? "Internal" : SD_BUS_ERROR_NO_REPLY, "");
                        assert_true(fake_host_exists(b->host, MOVES_DIR "/9"));

                        fake_host_clear(b->host);
                        bench_expect_success(bench_call_helper(b, p.daemon, "Recover", "s", PAIR_NIC));
                        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "e1000e");
                        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "nvme");
                        bench_expect_success(close_pair(b, p.daemon));
                        bench_expect_success(bench_call_helper(b, p.daemon, "Bind", "sb", PAIR_NIC, 0));
                        expect_closed(b);
                }
        part(p);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_story_of_a_list),
                        CASE(test_story_of_descriptors),
                        CASE(test_root),
                        CASE(test_subjects),
                        CASE(test_strangers),
                        CASE(test_bad_arguments),
                        CASE(test_as_many_descriptors_as_the_bus_carries),
                        CASE(test_the_caller_leaves),
                        CASE(test_a_reset_that_takes_too_long),
                        CASE(test_a_hidden_descriptor),
                        CASE(test_crash_at_each_step),
        };

        return suite_run("bus-open", "runs its parts under several users", tests);
}
