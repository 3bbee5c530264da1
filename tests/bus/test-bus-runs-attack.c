/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What those try who want more than is theirs, who err, or who come at a bad moment. */

#include <fcntl.h>
#include <sys/stat.h>

#include "suite.h"
#include "vms.h"

/* A signal that only its addressee sees, and that the bus itself never sent. */
static void forge_leave(Bench *b, sd_bus *from, const char *to, const char *name, const char *owner) {
        sd_bus_message *m;

        assert_true(sd_bus_message_new_signal(from, &m, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                              "NameOwnerChanged") >= 0);
        assert_true(sd_bus_message_append(m, "sss", name, owner, "") >= 0);
        assert_true(sd_bus_message_set_destination(m, to) >= 0);
        assert_true(sd_bus_send(from, m, NULL) >= 0);
        assert_true(sd_bus_flush(from) >= 0);
        sd_bus_message_unref(m);
        /* The bus keeps the order: what it says now has been said behind the forgery. */
        bench_expect_error(bench_finish(b, bench_start(b, from, to, "/", "no.such", "Interface", false, "")),
                           NULL, "");
}

static void test_a_forged_leave_cancels_no_prompt(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *mallory = bench_connect(b, NOBODY_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL);
        size_t n = b->n_asked;
        Pending *p[2];

        /* Asked by the daemon, and by the helper. */
        polkit_set_mode(b, POLKIT_HANG);
        p[0] = bench_start(b, user, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateClaim", true,
                           "soua{sv}", "web", group.text, 1U, 0);
        bench_until_asked(b, n + 1);
        p[1] = orders_start_make(b, user, CARD, NULL, "pool", NULL);
        bench_until_asked(b, n + 2);

        forge_leave(b, mallory, BUS_NAME, bench_name(user), bench_name(user));
        forge_leave(b, mallory, HELPER_NAME, bench_name(user), bench_name(user));
        forge_leave(b, mallory, HELPER_NAME, BUS_NAME, bench_name(user));
        assert_int_equal(b->n_cancelled, 0);
        assert_null(p[0]->reply);
        assert_null(p[1]->reply);
        polkit_settle(b, n, true);
        polkit_settle(b, n + 1, true);
        bench_expect_success(bench_finish(b, p[0]));
        bench_expect_success(bench_finish(b, p[1]));
        bench_disconnect(mallory);
        bench_disconnect(user);
}

static size_t count_steps(Bench *b, const char *step) {
        _cleanup_free_ char *steps = fake_host_read(b->host, "fake/steps");
        size_t n = 0;

        for (const char *at = steps; at && (at = strstr(at, step)); at++)
                n++;
        return n;
}

/* Root moves a device by hand. The daemon was told Busy, and asks again only when the helper that is at it has left. */
static void test_a_forged_leave_of_the_helper(void **state) {
        Bench *b = *state;
        sd_bus *mallory = bench_connect(b, NOBODY_UID);
        Pending *p;
        size_t n;

        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""));
        fake_host_fail(b->host, "unbind " NIC " hang 1");
        p = bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "Bind", false, "sb", NIC, 0);
        orders_until_step(b, "answer Recover");
        n = count_steps(b, "call Recover");
        forge_leave(b, mallory, BUS_NAME, HELPER_NAME, ":1.3");
        bench_expect_success(bench_call_device(b, mallory, CARD, "Check"));
        assert_int_equal(count_steps(b, "call Recover"), n);
        fake_host_let_go(b->host);
        bench_expect_success(bench_finish(b, p));
        bench_disconnect(mallory);
}

/* It is bound, as its group wants it: there is nothing to be done again and again. */
static void test_quarantine_in_a_persistent_group(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, "persistent");
        size_t n;
        Answer a;

        (void)orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        fake_host_fail(b->host, "reset " NIC " EIO");
        vm_let_go(&a);
        orders_until_device(b, NIC, "Quarantine", "reset");
        n = count_steps(b, "call Bind");
        for (unsigned i = 0; i < 5; i++) /* the helper answers these behind what it was asked before */
                bench_expect_success(bench_call_device(b, user, CARD, "Check"));
        assert_int_equal(count_steps(b, "call Bind"), n);
        assert_string_equal(orders_get_device(b, NIC, "State"), "quarantined");
        bench_disconnect(user);
}

/* One who may have no more waits for himself, not in the way of others. */
static void test_whoever_has_his_share_stands_in_nobodys_way(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL), two, big;
        Pending *p[2];
        Answer a, c;

        (void)orders_make_claim(b, user, "one", &group, 1);
        two = orders_make_claim(b, user, "two", &group, 1);
        big = orders_make_claim(b, user, "big", &group, 3);
        (void)orders_make_claim(b, admin, "others", &group, 1);
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "u", 1));
        a = vm_take_answer(START(b, user, "one", 0));
        p[0] = START_LATER(b, user, "two", 1, "wait", "u", 600);
        orders_until_claim(b, &two, "Status", "waiting");
        c = vm_take_answer(START(b, admin, "others", 0));
        vm_let_go(&c);
        orders_until_group(b, &group, "Available", "1");

        /* Nor one who wants more than there is at all. */
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "quota", "u", 0));
        c = vm_take_answer(bench_finish(b, p[0]));
        vm_let_go(&c);
        orders_until_group(b, &group, "Available", "1");
        p[1] = START_LATER(b, user, "big", 1, "wait", "u", 600);
        orders_until_claim(b, &big, "Status", "waiting");
        c = vm_take_answer(START(b, admin, "others", 0));
        vm_let_go(&c);
        vm_let_go(&a);
        bench_expect_success(STOP(b, user, "big", 0));
        bench_expect_error(bench_finish(b, p[1]), "Cancelled", "");
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* What was asked about is what is done: not the VM of another who has made one of this name meanwhile. */
static void test_the_owner_changes_under_the_prompt(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID),
               *mallory = bench_connect(b, NOBODY_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             first = orders_make_claim(b, user, "web", &group, 1), second;
        size_t n = b->n_asked;
        Pending *p;
        Answer a;

        polkit_set_mode(b, POLKIT_HANG);
        p = START_LATER(b, mallory, "web", 0);
        bench_until_asked(b, n + 1);
        assert_string_equal(polkit_detail(b, n, "owner"), "3");
        polkit_set_mode(b, POLKIT_YES);
        bench_expect_success(orders_call_claim(b, user, &first, "Delete", ""));
        second = orders_make_claim(b, admin, "web", &group, 1);
        polkit_settle(b, n, true);
        bench_expect_error(bench_finish(b, p), "NoSuchObject", "web");
        assert_string_equal(orders_get_claim(b, &second, "Status"), "idle");

        a = vm_take_answer(START(b, admin, "web", 0));
        first = orders_make_claim(b, user, "other", &group, 1);
        n = b->n_asked;
        polkit_set_mode(b, POLKIT_HANG);
        p = bench_start(b, mallory, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "StopVm", true, "sa{sv}",
                        "web", 0);
        bench_until_asked(b, n + 1);
        assert_string_equal(polkit_detail(b, n, "owner"), "2");
        polkit_settle(b, n, true);
        bench_expect_success(bench_finish(b, p));
        vm_let_go(&a);
        bench_disconnect(user);
        bench_disconnect(admin);
        bench_disconnect(mallory);
}

#define NEXT_BOOT "77777777-7777-7777-7777-777777777777"

static bool is_marked(void *userdata) {
        _cleanup_free_ char *mark = fake_host_read(((Bench *)userdata)->host, GRANTS_DIR "/" NIC ".boot");

        return mark && strstr(mark, "77777777777777777777777777777777"); /* without hyphens */
}

/* A boot has ended the VM, and the group wants its device as before. */
static void test_a_persistent_group_after_a_boot(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, "persistent");
        Answer a;

        (void)orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        bench_kill_daemon(b);
        vm_let_go(&a);
        fake_host_write(b->host, "proc/sys/kernel/random/boot_id", NEXT_BOOT "\n");
        bench_kill_helper(b);
        bench_start_daemon(b);
        orders_until_files(b, is_marked, b);
        vms_until_pooled(b, NIC);
        bench_disconnect(user);
}

static void test_a_claim_is_disabled_while_it_waits(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL), claim;
        Pending *p;
        Answer a;

        (void)orders_make_claim(b, user, "has", &group, 1);
        claim = orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "has", 0));
        p = START_LATER(b, user, "web", 1, "wait", "u", 600);
        orders_until_claim(b, &claim, "Status", "waiting");
        bench_expect_success(orders_call_claim(b, user, &claim, "Update", "a{sv}", 1, "enabled", "b", 0));
        bench_expect_error(bench_finish(b, p), "NoSuchObject", "no enabled claim");
        bench_expect_error(STOP(b, user, "web", 0), "NotRunning", "web");
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "idle");
        assert_string_equal(orders_get_claim(b, &claim, "StatusInfo"), "");
        vm_let_go(&a);
        bench_disconnect(user);
}

/* To say it again and again costs nothing. */
static void test_an_impatient_stop(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             one = orders_make_claim(b, user, "web", &group, 1),
             two = orders_make_claim(b, user, "web", &group, 1);
        Answer a = vm_take_answer(START(b, user, "web", 0));
        bool nic_first = streq(a.devices[0].address, NIC);

        fake_host_hold_vfio(b->host, nic_first ? NIC_SET : CARD_SET, true);
        for (unsigned i = 0; i < 20; i++)
                bench_expect_error(orders_call_claim(b, user, &one, "Stop", ""), "InUse", "");
        (void)sd_bus_message_unref(orders_call_claim(b, user, &two, "Stop", ""));
        vms_until_home(b, nic_first ? CARD : NIC);
        fake_host_hold_vfio(b->host, nic_first ? NIC_SET : CARD_SET, false);
        vms_until_home(b, nic_first ? NIC : CARD);
        vm_let_go(&a);
        bench_disconnect(user);
}

/* What no VM has had needs no reset. */
static void test_a_start_that_never_came_to_it(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " PAIR_NIC, PAIR_NVME, NULL);
        Pending *p;

        (void)orders_make_claim(b, user, "web", &group, 2);
        fake_host_fail(b->host, "unbind " NIC " EIO");
        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        fake_host_remove(b->host, "fake/steps");
        p = START_LATER(b, user, "web", 0);
        orders_until_step(b, "answer Bind");
        fake_host_let_go(b->host);
        bench_expect_error(bench_finish(b, p), "DriverFailed", NIC);
        vms_until_home(b, PAIR_NIC);
        assert_string_equal(orders_get_device(b, PAIR_NIC, "Quarantine"), "");
        assert_string_equal(orders_get_device(b, NIC, "Quarantine"), "");
        bench_disconnect(user);
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

static bool nic_is_home(void *userdata) {
        return streq(fake_host_driver(((Slow *)userdata)->b->host, NIC), "e1000e");
}

/* One comes back while the disk still writes that the other is back. */
static void test_a_slow_disk(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC " " CARD, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 2);
        Answer a = vm_take_answer(START(b, user, "web", 0));
        Slow slow = {.b = b, .fd = -1};

        fake_host_hold_vfio(b->host, NIC_SET, true);
        fake_host_hold_vfio(b->host, CARD_SET, true);
        bench_expect_error(STOP(b, user, "web", 0), "InUse", "");
        (void)snprintf(slow.path, sizeof slow.path, "%s/fake/slow", b->host->root);
        assert_int_equal(mkfifo(slow.path, 0600), 0);
        assert_int_equal(chown(slow.path, DAEMON_UID, (gid_t)-1), 0);
        fake_host_hold_vfio(b->host, CARD_SET, false);
        orders_until_files(b, thread_waits, &slow);
        fake_host_hold_vfio(b->host, NIC_SET, false);
        orders_until_files(b, nic_is_home, &slow);
        orders_until_device(b, NIC, "State", "claimed");
        assert_string_equal(orders_get_device(b, CARD, "State"), "claimed");

        (void)unlink(slow.path);
        (void)close(slow.fd);
        vms_until_home(b, CARD);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        vm_let_go(&a);
        bench_disconnect(user);
}

/* Bound by hand, or by the kernel's command line, and consented to by its ids alone. */
static void test_close_what_ids_have_granted(void **state) {
        Bench *b = *state;

        bench_stop_daemon(b); /* it would look after what is under way */
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, NIC, 0, 0, 0, ""));
        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", NIC, 0));
        fake_host_remove(b->host, KEPT(NIC));
        bench_expect_success(bench_call_helper(b, b->root, "GrantIds", "ass", 1, "8086:10d3", ""));
        bench_expect_success(bench_call_helper(b, b->root, "Open", "asbs", 1, NIC, 0, ""));
        bench_expect_success(bench_call_helper(b, b->root, "Close", "s", NIC));
        assert_false(fake_host_exists(b->host, ACCESS_DIR "/7"));
        assert_false(fake_host_exists(b->host, MOVES_DIR "/7"));
        bench_expect_success(bench_call_helper(b, b->root, "Release", "s", NIC));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_a_forged_leave_cancels_no_prompt),
                        CASE(test_a_forged_leave_of_the_helper),
                        CASE(test_quarantine_in_a_persistent_group),
                        CASE(test_whoever_has_his_share_stands_in_nobodys_way),
                        CASE(test_the_owner_changes_under_the_prompt),
                        CASE(test_a_persistent_group_after_a_boot),
                        CASE(test_a_claim_is_disabled_while_it_waits),
                        CASE(test_an_impatient_stop),
                        CASE(test_a_start_that_never_came_to_it),
                        CASE(test_a_slow_disk),
                        CASE(test_close_what_ids_have_granted),
        };

        return suite_run("bus-runs-attack", "runs its parts under several users", tests);
}
