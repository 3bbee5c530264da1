/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* MakePassthrough with confirm-seconds: who may confirm and undo it, what has to wait meanwhile, and what becomes of it
 * when one of the two processes, or the host, goes. */

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "confirm-bench.h"
#include "fake-kernel.h"
#include "suite.h"
#include "vms.h"

#define NEXT_BOOT "fedcba98-7654-3210-fedc-ba9876543210"

static void test_introspection(void **state) {
        bench_expect_introspection(*state, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER);
}

static void test_make_and_confirm(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        uint64_t until, now = (uint64_t)time(NULL);

        assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        make_pair(b, admin, LONG);
        assert_int_equal(b->n_asked, 1);
        assert_false(has_file(b, GRANTS_DIR, PAIR_NIC, "grant"));
        until = strtoull(orders_get_manager(b, "ConfirmUntil"), NULL, 10) / 1000000;
        assert_in_range(until, now + LONG - 1, (uint64_t)time(NULL) + LONG + 1);
        assert_string_equal(orders_get_manager(b, "ConfirmUser"), "2");
        assert_string_equal(orders_get_manager(b, "ConfirmDevices"), "[" EACH_PAIR "]");
        assert_int_equal(bench_count_signals(b, "ConfirmationPending"), 1);
        assert_int_equal(orders_count_told(b, BUS_PATH, "ConfirmUntil"), 1);
        assert_string_equal(orders_get_device(b, PAIR_NIC, "State"), "pool");
        assert_string_equal(orders_get_device(b, PAIR_NIC, "Granted"), "true");

        bench_expect_success(CONFIRM(b, admin));
        assert_int_equal(b->n_asked, 1);
        expect_confirmed(b);
        assert_int_equal(bench_count_signals(b, "ConfirmationPending"), 1);
        bench_expect_error(CONFIRM(b, admin), "NoSuchObject", "already");
        bench_expect_error(REVERT(b, admin), "NoSuchObject", "already");
        expect_confirmed(b);
        bench_expect_success(orders_return(b, admin, PAIR_NIC));
        expect_quiet(b);
        bench_disconnect(admin);
}

static void test_revert(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(REVERT(b, admin), "NoSuchObject", "waits");
        bench_expect_error(CONFIRM(b, admin), "NoSuchObject", "waits");
        for (int again = 0; again < 2; again++) {
                make_pair(b, admin, LONG);
                bench_expect_success(REVERT(b, admin));
                orders_expect_nothing_left(b);
                assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        }
        bench_expect_error(REVERT(b, admin), "NoSuchObject", "");
        assert_int_equal(b->n_asked, 2);
        expect_quiet(b);
        bench_disconnect(admin);
}

/* Both are there and come to it at the same moment. */
static void test_the_time_is_up(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(
                        orders_make_until(b, admin, NIC " " EACH_PAIR, NULL, "pool", "persistent", SHORT));
        until_undone(b);
        bench_expect_error(CONFIRM(b, admin), "NoSuchObject", "");
        expect_quiet(b);
        bench_disconnect(admin);
}

static void test_on_claim(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make_until(b, admin, NIC " " CARD, NULL, "pool", NULL, LONG));
        assert_true(is_unconfirmed(b, NIC) && !is_bound(b, NIC));
        bench_expect_success(CONFIRM(b, admin));
        assert_true(is_kept(b, NIC) && is_kept(b, CARD) && !is_bound(b, NIC));
        assert_false(has_file(b, GRANTS_DIR, NIC, "boot"));
        bench_expect_success(orders_return(b, admin, NIC " " CARD));

        bench_expect_success(orders_make_until(b, admin, NIC " " CARD, NULL, "other", NULL, SHORT));
        orders_until_manager(b, "ConfirmDevices", "[]");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);
        assert_false(has_file(b, PENDING_GRANTS_DIR, NIC, "grant") || is_kept(b, NIC));
        bench_disconnect(admin);
}

static void test_options(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        const uint32_t bad[] = {3601, UINT32_MAX};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                bench_expect_error(orders_make_until(b, admin, NIC, NULL, "pool", NULL, bad[i]),
                                   "InvalidArgument", "3600");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                              bench_device_path(NIC), "pool", 1, "confirm-seconds", "u", 0),
                           "InvalidArgument", "confirm-seconds");
        bench_expect_error(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                              bench_device_path(NIC), "pool", 1, "confirm-seconds", "i", 60),
                           "InvalidArgument", "type u");
        assert_int_equal(b->n_asked, 0);
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void test_who_may(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *other = bench_connect(b, OTHER_UID);

        make_pair(b, admin, LONG);
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(CONFIRM(b, other), "NotAuthorized", "");
        bench_expect_error(REVERT(b, other), "NotAuthorized", "");
        assert_string_equal(b->asked[1].action, "org.verge.Passthrough.manage");
        assert_string_equal(polkit_detail(b, 1, "verb"), "Confirm");
        assert_string_equal(polkit_detail(b, 2, "verb"), "Revert");
        assert_string_equal(polkit_detail(b, 2, "device"), PAIR_NIC ", " PAIR_NVME);
        assert_true(is_unconfirmed(b, PAIR_NIC));
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(CONFIRM(b, other));
        assert_int_equal(b->n_asked, 4);
        expect_confirmed(b);
        bench_expect_success(orders_return(b, admin, PAIR_NIC));

        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(orders_make_until(b, admin, NIC, NULL, "pool", NULL, LONG));
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_success(REVERT(b, b->root));
        assert_false(is_bound(b, NIC));
        bench_disconnect(admin);
        bench_disconnect(other);
}

/* While its prompt stands the change ends, and another begins. */
static void test_not_another_change(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *other = bench_connect(b, OTHER_UID);
        Pending *p;

        make_pair(b, admin, LONG);
        polkit_set_mode(b, POLKIT_HANG);
        p = bench_start(b, other, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "Revert", true, "");
        bench_until_asked(b, 2);
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(REVERT(b, admin));
        make_pair(b, admin, LONG);
        polkit_settle(b, 1, true);
        bench_expect_error(bench_finish(b, p), "Conflict", "Another change");
        assert_true(is_unconfirmed(b, PAIR_NIC));
        bench_expect_success(CONFIRM(b, admin));
        bench_disconnect(admin);
        bench_disconnect(other);
}

static void test_two_administrators(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *other = bench_connect(b, OTHER_UID);
        static const char *const verbs[] = {"Bind", "Release", "Reset"};
        char time_of_day[32];
        time_t until;
        struct tm tm;
        Pending *p;

        fake_host_write(b->host, "etc/passwd", "alice:x:%d:2::/:/bin/sh\n", ADMIN_UID);
        bench_expect_success(orders_make(b, other, CARD, NULL, "cards", NULL));

        /* One that waits at its prompt is refused behind it, too, and leaves nothing. */
        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_make_until(b, other, NIC, NULL, "late", "persistent", LONG);
        bench_until_asked(b, 2);
        polkit_set_mode(b, POLKIT_YES);
        make_pair(b, admin, LONG);
        polkit_settle(b, 1, true);
        bench_expect_error(bench_finish(b, p), "ConfirmationPending", "alice");
        assert_false(has_file(b, PENDING_GRANTS_DIR, NIC, "grant") || is_bound(b, NIC));

        until = (time_t)(strtoull(orders_get_manager(b, "ConfirmUntil"), NULL, 10) / 1000000);
        assert_true(strftime(time_of_day, sizeof time_of_day, "until %H:%M:%S", localtime_r(&until, &tm)) >
                    0);
        bench_expect_error(orders_make(b, other, NIC, NULL, "pool", NULL), "ConfirmationPending", "alice");
        bench_expect_error(orders_make_until(b, other, NIC, NULL, "pool", NULL, LONG), "ConfirmationPending",
                           time_of_day);
        bench_expect_error(orders_return(b, other, CARD), "ConfirmationPending", "Confirm or Revert");
        bench_expect_error(bench_call_manager(b, other, "Import", "sa{sv}", "{}", 0), "ConfirmationPending",
                           "alice");
        bench_expect_error(bench_call_manager(b, other, "Grant", "aoa{sv}", 1, bench_device_path(NIC), 0),
                           "ConfirmationPending", "alice");
        bench_expect_error(bench_call_manager(b, other, "Revoke", "ao", 1, bench_device_path(CARD)),
                           "ConfirmationPending", "alice");
        bench_expect_error(bench_call_manager(b, other, "GrantIds", "as", 1, "10de:1eb8"),
                           "ConfirmationPending", "alice");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                bench_expect_error(bench_call_device(b, admin, PAIR_NVME, verbs[i]), "ConfirmationPending",
                                   "alice");
        /* The helper refuses it by itself, too. */
        bench_expect_error(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 0, 0,
                                             ""),
                           "ConfirmationPending", PAIR_NIC);
        assert_int_equal(b->n_asked, 3);

        /* Others' devices go their ways. */
        bench_expect_success(bench_call_device(b, other, CARD, "Bind"));
        bench_expect_success(bench_call_device(b, other, CARD, "Release"));
        bench_expect_success(CONFIRM(b, admin));
        bench_expect_success(orders_make(b, other, NIC, NULL, "late", "persistent"));
        bench_disconnect(admin);
        bench_disconnect(other);
}

static void test_no_vm_gets_it(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *user = bench_connect(b, OTHER_UID);
        Path group;
        Pending *p;
        Answer a;

        for (int persistent = 0; persistent < 2; persistent++) {
                (void)sscanf(orders_show(orders_make_until(b, admin, persistent ? NIC : CARD, NULL,
                                                           persistent ? "nics" : "cards",
                                                           persistent ? "persistent" : NULL, LONG)),
                             "%127s", group.text);
                (void)orders_make_claim(b, user, persistent ? "one" : "two", &group, 1);
                bench_expect_error(START(b, user, persistent ? "one" : "two", 0), "Unavailable",
                                   "1 not confirmed yet");
                p = START_LATER(b, user, persistent ? "one" : "two", 1, "wait", "u", 60);
                bench_expect_success(CONFIRM(b, admin));
                a = vm_take_answer(bench_finish(b, p));
                assert_true(vm_has(&a, persistent ? NIC : CARD));
                vm_let_go(&a);
        }
        bench_disconnect(admin);
        bench_disconnect(user);
}

/* An ssh session that dies of it. */
static void test_the_caller_is_gone(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *back;
        Pending *p;

        polkit_set_mode(b, POLKIT_HANG);
        p = orders_start_make_until(b, admin, EACH_PAIR, NULL, "pool", "persistent", LONG);
        bench_until_asked(b, 1);
        p = bench_drop(p);
        bench_disconnect(admin);
        bench_until_cancelled(b, 1);
        polkit_settle(b, 0, false);
        orders_expect_nothing_left(b);

        polkit_set_mode(b, POLKIT_YES);
        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        admin = bench_connect(b, ADMIN_UID);
        p = orders_start_make_until(b, admin, EACH_PAIR, NULL, "pool", "persistent", LONG);
        bench_until_property(b, PAIR_NIC, "State", "moving");
        p = bench_drop(p);
        bench_disconnect(admin);
        fake_host_let_go(b->host);
        bench_until_signal(b, "ConfirmationPending");
        assert_true(is_unconfirmed(b, PAIR_NIC) && is_bound(b, PAIR_NIC));
        back = bench_connect(b, ADMIN_UID);
        bench_expect_success(CONFIRM(b, back));
        expect_confirmed(b);
        bench_disconnect(back);
}

static int on_moment(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        *(bool *)userdata = true;
        return 0;
}

static bool has_come(void *userdata) {
        return *(bool *)userdata;
}

/* What the clock of the deadlines says is all that is waited for. */
static void until_moment(Bench *b, uint64_t usec) {
        sd_event_source *timer = NULL;
        bool come = false;

        assert_true(sd_event_add_time(b->event, &timer, CLOCK_BOOTTIME, usec, 1, on_moment, &come) >= 0);
        bench_until(b, has_come, &come);
        sd_event_source_disable_unref(timer);
}

static uint64_t read_deadline(Bench *b, const char *address) {
        GrantConfirm c;
        PciAddress a;

        assert_int_equal(pci_address_parse(address, &a), 0);
        assert_int_equal(grant_confirm_read(b->host->fd, &a, 0, &c), 0);
        return c.until;
}

/* Longer than it would hold: it is undone, and the caller is told. */
static void test_making_it_takes_too_long(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *p;

        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        p = orders_start_make_until(b, admin, EACH_PAIR, NULL, "pool", "persistent", 1);
        bench_until_property(b, PAIR_NIC, "State", "moving");
        bench_expect_error(CONFIRM(b, admin), "NoSuchObject", "");
        until_moment(b, read_deadline(b, PAIR_NIC));
        fake_host_let_go(b->host);
        bench_expect_error(bench_finish(b, p), "NotGranted", "was over before all was done");
        until_undone(b);
        assert_int_equal(bench_count_signals(b, "ConfirmationPending"), 0);
        bench_disconnect(admin);
}

/* It goes home as soon as the operation has ended that was at it when the time was up: no other comes first. */
static void test_something_is_at_it(void **state) {
        sd_bus_message *another;
        Bench *b = *state;
        Pending *p;

        bench_kill_daemon(b);
        bench_expect_success(
                        bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, true, (uint32_t)3, ""));
        fake_host_fail(b->host, "unbind " NIC " hang");
        p = bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Bind", false, "sb", NIC,
                        false);
        until_moment(b, read_deadline(b, NIC) + 200000);
        fake_host_let_go(b->host);
        bench_expect_success(bench_finish(b, p));
        another = bench_call_helper(b, b->root, "Bind", "sb", NIC, false);
        if (sd_bus_error_has_name(sd_bus_message_get_error(another),
                                  "org.verge.Passthrough.Error.NotGranted"))
                (void)sd_bus_message_unref(another); /* it was quick, and has ended */
        else
                bench_expect_error(another, "Busy", "Revert");
        orders_until_files(b, all_is_home, b);
}

static void test_a_vm_holds_it(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        make_pair(b, admin, LONG);
        fake_host_hold_vfio(b->host, PAIR_SET, true);
        bench_expect_error(REVERT(b, admin), "InUse", PAIR_NIC);
        bench_expect_error(REVERT(b, admin), "NoSuchObject", "being undone");
        bench_expect_error(CONFIRM(b, admin), "NoSuchObject", "being undone");
        bench_expect_error(orders_make(b, admin, NIC, NULL, "other", NULL), "ConfirmationPending",
                           "being undone");
        assert_string_equal(orders_get_manager(b, "ConfirmDevices"), "[" EACH_PAIR "]");
        assert_true(is_bound(b, PAIR_NIC) && !has_file(b, GRANTS_DIR, PAIR_NIC, "boot"));
        fake_host_hold_vfio(b->host, PAIR_SET, false);
        until_undone(b);

        fake_host_remove(b->host, "fake/steps");
        make_pair(b, admin, SHORT);
        fake_host_hold_vfio(b->host, PAIR_SET, true);
        orders_until_step(b, "answer Release");
        bench_expect_error(CONFIRM(b, admin), "NoSuchObject", "");
        fake_host_hold_vfio(b->host, PAIR_SET, false);
        until_undone(b);
        bench_disconnect(admin);
}

typedef struct Slow {
        Bench *b;
        char path[256];
        int fd;
} Slow;

static bool thread_waits(void *userdata) {
        Slow *s = userdata;

        s->fd = open(s->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        return s->fd >= 0;
}

/* The time is over before anything moves: an older grant must not let it go all the same, with no deadline. */
static void test_a_slow_disk(void **state) {
        _cleanup_free_ char *log = NULL;
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Slow slow = {.b = b, .fd = -1};
        Pending *p;

        bench_expect_success(
                        bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(CARD), 0));
        (void)snprintf(slow.path, sizeof slow.path, "%s/fake/slow", b->host->root);
        assert_int_equal(mkfifo(slow.path, 0600), 0);
        assert_int_equal(chown(slow.path, DAEMON_UID, (gid_t)-1), 0);
        p = orders_start_make_until(b, admin, CARD, NULL, "cards", "persistent", 1);
        orders_until_files(b, thread_waits, &slow);
        orders_until_files(b, all_is_home, b);

        (void)unlink(slow.path);
        (void)close(slow.fd);
        bench_expect_error(bench_finish(b, p), "NotGranted", "was over before all was done");
        log = fake_host_log(b->host);
        assert_string_equal(log, "");
        assert_true(is_kept(b, CARD));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);
        assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        bench_disconnect(admin);
}

static bool pair_is_home(void *userdata) {
        Bench *b = userdata;

        return streq(fake_host_driver(b->host, PAIR_NIC), "e1000e") &&
               streq(fake_host_driver(b->host, PAIR_NVME), "nvme");
}

/* One set that does not come home keeps no other from it. */
static void test_one_set_of_two_is_held(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(
                        orders_make_until(b, admin, NIC " " EACH_PAIR, NULL, "pool", "persistent", SHORT));
        fake_host_hold_vfio(b->host, NIC_SET, true);
        orders_until_files(b, pair_is_home, b);
        assert_true(is_bound(b, NIC) && has_file(b, PENDING_GRANTS_DIR, NIC, "confirm"));
        assert_string_not_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        fake_host_hold_vfio(b->host, NIC_SET, false);
        until_undone(b);
        bench_disconnect(admin);
}

static bool is_stuck(void *userdata) {
        _cleanup_free_ char *entry = fake_host_read(((Bench *)userdata)->host, MOVES_DIR "/9");

        return entry && strstr(entry, "stuck=");
}

/* The kernel does not answer on the way back: it is told, and goes on when it does. */
static void test_the_kernel_hangs(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        fake_host_write(b->host, HELPER_CONF, "deadline-seconds=1\n");
        for (int alone = 0; alone < 2; alone++) {
                make_pair(b, admin, SHORT);
                fake_host_clear(b->host);
                fake_host_fail(b->host, "unbind " PAIR_NVME " hang 1");
                if (alone)
                        bench_kill_daemon(b);
                orders_until_files(b, is_stuck, b);
                fake_host_let_go(b->host);
                orders_until_files(b, all_is_home, b);
                if (alone)
                        bench_start_daemon(b);
                until_undone(b);
        }
        bench_disconnect(admin);
}

/* Grants that were kept before come through it, and what was bound stays so; root's own way there. */
static void test_what_was_there_before(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, NIC, NULL, "nics", "persistent"));
        bench_expect_success(
                        bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(CARD), 0));
        for (int confirm = 0; confirm < 2; confirm++) {
                orders_forget_signals(b);
                bench_expect_success(orders_make_until(b, admin, NIC, NULL, "nics", NULL, LONG));
                assert_true(is_bound(b, NIC) && has_file(b, GRANTS_DIR, NIC, "boot"));
                bench_expect_success(confirm ? CONFIRM(b, admin) : REVERT(b, admin));
                assert_true(is_bound(b, NIC) && has_file(b, GRANTS_DIR, NIC, "boot") && is_kept(b, NIC));
                assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 1);
        }
        bench_expect_success(orders_make_until(b, admin, CARD, NULL, "cards", "persistent", LONG));
        assert_true(is_bound(b, CARD));
        bench_expect_success(REVERT(b, admin));
        assert_true(is_kept(b, CARD) && !is_bound(b, CARD) && !has_file(b, GRANTS_DIR, CARD, "boot"));
        assert_int_equal(b->n_asked, 5);
        bench_disconnect(admin);
}

static bool nic_is_reverted(void *userdata) {
        return !has_file(userdata, PENDING_GRANTS_DIR, NIC, "confirm");
}

/* Nobody confirms it, and the helper is first: it stays as it was, and nothing is held for ever. */
static void test_what_was_there_before_expires(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make(b, admin, NIC, NULL, "nics", "persistent"));
        for (int alone = 0; alone < 2; alone++) {
                bench_expect_success(orders_make_until(b, admin, NIC, NULL, "nics", NULL, SHORT));
                if (alone)
                        bench_kill_daemon(b);
                orders_until_files(b, nic_is_reverted, b);
                if (alone)
                        bench_start_daemon(b);
                orders_until_manager(b, "ConfirmDevices", "[]");
                assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
                assert_true(is_bound(b, NIC) && has_file(b, GRANTS_DIR, NIC, "boot") && is_kept(b, NIC));
                bench_expect_success(orders_make(b, admin, NIC, NULL, "nics", NULL));
        }
        bench_disconnect(admin);
}

static void test_root(void **state) {
        Bench *b = *state;

        bench_expect_error(orders_make_until(b, b->root, EACH_PAIR, NULL, "pool", "persistent", 120),
                           "NotAuthorized", "Grant asasbus 2 " PAIR_NIC " " PAIR_NVME " 0 true 120");
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 2, PAIR_NIC, PAIR_NVME, 0, 1,
                                               LONG, ""));
        make_pair(b, b->root, LONG);
        assert_string_equal(orders_get_manager(b, "ConfirmUser"), "0");
        bench_expect_success(CONFIRM(b, b->root));
        expect_confirmed(b);
        assert_int_equal(b->n_asked, 0);
}

static void test_rules_are_changed_meanwhile(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group, rule;

        (void)sscanf(orders_show(orders_make_until(b, admin, NIC, NULL, "pool", "persistent", LONG)),
                     "%127s [%127[^]]", group.text, rule.text);
        bench_expect_success(orders_call_rule(b, admin, &rule, "Delete", ""));
        bench_expect_error(CONFIRM(b, admin), "Conflict", NIC);
        assert_true(is_unconfirmed(b, NIC) && is_bound(b, NIC));
        bench_expect_success(REVERT(b, admin));
        orders_expect_nothing_left(b);

        (void)sscanf(orders_show(orders_make_until(b, admin, NIC, NULL, "pool", "persistent", LONG)),
                     "%127s [%127[^]]", group.text, rule.text);
        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));
        bench_expect_error(CONFIRM(b, admin), "Conflict", NIC);
        assert_true(is_bound(b, NIC));
        bench_expect_success(REVERT(b, admin));
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

static void test_unplugged_meanwhile(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(orders_make_until(b, admin, NIC " " CARD, NULL, "pool", "persistent", LONG));
        fake_host_remove_device(b->host, CARD);
        bench_until_signal(b, "InterfacesRemoved " CARD);
        assert_string_equal(orders_get_manager(b, "ConfirmDevices"), "[" NIC "]");
        bench_expect_success(REVERT(b, admin));
        assert_false(has_file(b, PENDING_GRANTS_DIR, CARD, "grant") ||
                     has_file(b, PENDING_GRANTS_DIR, CARD, "confirm") || is_bound(b, NIC));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
        bench_disconnect(admin);
}

/* Somebody has brought it home already: there is nothing that could be confirmed. */
static void test_gone_back_meanwhile(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        make_pair(b, admin, LONG);
        bench_expect_success(bench_call_helper(b, b->root, "Release", "s", PAIR_NIC));
        bench_expect_error(CONFIRM(b, admin), "NotBound", "gone back");
        assert_false(is_bound(b, PAIR_NIC));
        bench_expect_success(REVERT(b, admin));
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

/* Nothing is kept, and it waits as before; or all is kept, but for the boot. */
static void test_confirm_fails(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        make_pair(b, admin, LONG);
        fake_host_mkdir(b->host, GRANTS_DIR "/." PAIR_NVME ".grant/x");
        bench_expect_error(CONFIRM(b, admin), "Internal", "Nothing was confirmed");
        assert_true(is_unconfirmed(b, PAIR_NIC) && is_unconfirmed(b, PAIR_NVME));
        assert_false(has_file(b, GRANTS_DIR, PAIR_NIC, "grant"));
        assert_string_equal(orders_get_manager(b, "ConfirmUser"), "2");
        fake_host_remove(b->host, GRANTS_DIR "/." PAIR_NVME ".grant");

        fake_host_mkdir(b->host, GRANTS_DIR "/." PAIR_NVME ".boot/x");
        bench_expect_error(CONFIRM(b, admin), "Internal", "is confirmed and its grants are kept");
        assert_true(pair_is_confirmed(b));
        assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        fake_host_remove(b->host, GRANTS_DIR "/." PAIR_NVME ".boot");
        bench_disconnect(admin);
}

/* Whoever wins, it is whole. */
static void test_confirm_at_the_last_moment(void **state) {
        static const int64_t offsets[] = {-20000, -5000, -1000, 0, 1000};
        sd_bus_message *reply;
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        for (size_t i = 0; i < ELEMENTSOF(offsets); i++) {
                make_pair(b, admin, SHORT);
                until_moment(b, (uint64_t)((int64_t)read_deadline(b, PAIR_NIC) + offsets[i]));
                reply = CONFIRM(b, admin);
                if (sd_bus_message_get_error(reply)) {
                        sd_bus_message_unref(reply);
                        orders_until_files(b, all_is_home, b);
                        orders_until_manager(b, "ConfirmDevices", "[]");
                        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
                } else {
                        bench_expect_success(reply);
                        expect_confirmed(b);
                        bench_expect_success(orders_return(b, admin, PAIR_NIC));
                }
                orders_forget_signals(b);
        }
        bench_disconnect(admin);
}

/* Who dies, and who is left to undo it. */

static void test_the_helper_dies(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        make_pair(b, admin, SHORT);
        bench_kill_helper(b);
        until_undone(b);

        /* And confirming starts it again. */
        make_pair(b, admin, LONG);
        bench_kill_helper(b);
        bench_expect_success(CONFIRM(b, admin));
        expect_confirmed(b);
        bench_disconnect(admin);
}

static void test_the_daemon_dies(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        make_pair(b, admin, SHORT);
        bench_kill_daemon(b);
        orders_until_files(b, all_is_home, b);
        bench_start_daemon(b);
        until_undone(b);
        expect_quiet(b);
        bench_disconnect(admin);
}

static void test_both_die(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        make_pair(b, admin, SHORT);
        bench_kill_daemon(b);
        bench_kill_helper(b);
        start_helper(b);
        orders_until_files(b, all_is_home, b);
        bench_start_daemon(b);
        until_undone(b);

        /* In the other order, and not before the time was up. */
        make_pair(b, admin, SHORT);
        bench_kill_helper(b);
        bench_kill_daemon(b);
        bench_start_daemon(b);
        until_undone(b);
        bench_disconnect(admin);
}

static void test_the_daemon_is_back_in_time(void **state) {
        char until[32], devices[64];
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        make_pair(b, admin, LONG);
        for (int i = 0; i < 3; i++) {
                (void)snprintf(until, sizeof until, "%.9s", orders_get_manager(b, "ConfirmUntil"));
                (void)snprintf(devices, sizeof devices, "%s", orders_get_manager(b, "ConfirmDevices"));
                if (i == 1)
                        bench_stop_daemon(b);
                else
                        bench_kill_daemon(b);
                bench_start_daemon(b);
                assert_memory_equal(orders_get_manager(b, "ConfirmUntil"), until, strlen(until));
                assert_string_equal(orders_get_manager(b, "ConfirmDevices"), devices);
                assert_string_equal(orders_get_manager(b, "ConfirmUser"), "2");
                assert_true(is_unconfirmed(b, PAIR_NIC) && is_bound(b, PAIR_NIC));
                bench_expect_error(orders_make(b, admin, NIC, NULL, "other", NULL), "ConfirmationPending",
                                   "");
        }
        assert_int_equal(bench_count_signals(b, "ConfirmationPending"), 1);
        bench_expect_success(CONFIRM(b, admin));
        expect_confirmed(b);
        expect_quiet(b);
        bench_disconnect(admin);
}

/* All that /run had is gone, and so is what was on the way to be confirmed. */
static void reboot(Bench *b) {
        static const char *const drivers[] = {"e1000e", "nouveau", "e1000e", "nvme"};
        char path[512];

        bench_kill_daemon(b);
        bench_kill_helper(b);
        for (size_t i = 0; i < ELEMENTSOF(every_device); i++) {
                (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root,
                               fake_host_device_path(b->host, every_device[i]));
                if (is_bound(b, every_device[i])) {
                        fake_kernel_unbind_address(every_device[i]);
                        assert_int_equal(fake_kernel_bind(path, drivers[i]), 0);
                }
                (void)snprintf(path, sizeof path, "sys/%s/driver_override",
                               fake_host_device_path(b->host, every_device[i]));
                fake_host_write(b->host, path, "(null)\n");
                (void)snprintf(path, sizeof path, PENDING_GRANTS_DIR "/%s.grant", every_device[i]);
                fake_host_remove(b->host, path);
                (void)snprintf(path, sizeof path, PENDING_GRANTS_DIR "/%s.confirm", every_device[i]);
                fake_host_remove(b->host, path);
        }
        fake_host_write(b->host, "proc/sys/kernel/random/boot_id", NEXT_BOOT "\n");
        fake_host_clear(b->host);
        b->n_signals = 0;
}

static void test_a_reboot(void **state) {
        _cleanup_free_ char *log = NULL;
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(
                        orders_make_until(b, admin, NIC " " EACH_PAIR, NULL, "pool", "persistent", LONG));
        reboot(b);
        bench_start_daemon(b);
        until_undone(b);
        log = fake_host_log(b->host);
        assert_string_equal(log, "");
        expect_quiet(b);
        bench_disconnect(admin);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, orders_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_introspection),
                        CASE(test_make_and_confirm),
                        CASE(test_revert),
                        CASE(test_the_time_is_up),
                        CASE(test_on_claim),
                        CASE(test_options),
                        CASE(test_who_may),
                        CASE(test_not_another_change),
                        CASE(test_two_administrators),
                        CASE(test_no_vm_gets_it),
                        CASE(test_the_caller_is_gone),
                        CASE(test_making_it_takes_too_long),
                        CASE(test_something_is_at_it),
                        CASE(test_a_vm_holds_it),
                        CASE(test_a_slow_disk),
                        CASE(test_one_set_of_two_is_held),
                        CASE(test_the_kernel_hangs),
                        CASE(test_what_was_there_before),
                        CASE(test_what_was_there_before_expires),
                        CASE(test_root),
                        CASE(test_rules_are_changed_meanwhile),
                        CASE(test_unplugged_meanwhile),
                        CASE(test_gone_back_meanwhile),
                        CASE(test_confirm_fails),
                        CASE(test_confirm_at_the_last_moment),
                        CASE(test_the_helper_dies),
                        CASE(test_the_daemon_dies),
                        CASE(test_both_die),
                        CASE(test_the_daemon_is_back_in_time),
                        CASE(test_a_reboot),
        };

        return suite_run("bus-confirm", "runs its parts under several users", tests);
}
