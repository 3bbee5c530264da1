/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* MakePassthrough and ReturnToHost, ended by force between any two steps: all is there after it, or nothing is. */

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "fake-kernel.h"
#include "orders.h"
#include "suite.h"
#include "vms.h"

#define STEPS_MAX 60U

typedef struct Case {
        const char *addresses, *siblings, *binding;
} Case;

static const Case alone = {NIC, NULL, "persistent"}, pair = {PAIR_NIC, PAIR_NVME, "persistent"},
                  two_sets = {NIC " " PAIR_NIC, PAIR_NVME, "persistent"},
                  on_claim = {NIC " " CARD, NULL, "on-claim"};

static const char *const all[] = {NIC, CARD, PAIR_NIC, PAIR_NVME};

static bool is_meant(const Case *c, const char *address) {
        return strstr(c->addresses, address) || (c->siblings && strstr(c->siblings, address));
}

static bool file_exists(Bench *b, const char *directory, const char *address) {
        char path[256];

        (void)snprintf(path, sizeof path, "%s/%s.grant", directory, address);
        return fake_host_exists(b->host, path);
}

static unsigned count_words(const char *list) {
        unsigned n = 1;

        for (; *list; list++)
                n += *list == ' ';
        return n;
}

static bool all_is_there(Bench *b, const Case *c) {
        const char *driver;

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                if (!is_meant(c, all[i]))
                        continue;
                driver = fake_host_driver(b->host, all[i]);
                if (!file_exists(b, GRANTS_DIR, all[i]) || file_exists(b, PENDING_GRANTS_DIR, all[i]) ||
                    streq(driver, "vfio-pci") != streq(c->binding, "persistent"))
                        return false;
        }
        return orders_count_objects(b, BUS_INTERFACE_GROUP) == 1 &&
               orders_count_objects(b, BUS_INTERFACE_RULE) == count_words(c->addresses);
}

static bool any_grant(Bench *b) {
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (file_exists(b, GRANTS_DIR, all[i]) || file_exists(b, PENDING_GRANTS_DIR, all[i]))
                        return true;
        return false;
}

/* After a return: the group stays. */
static bool all_is_back(Bench *b) {
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (streq(fake_host_driver(b->host, all[i]), "vfio-pci") ||
                    !streq(fake_host_override(b->host, all[i]), "(null)"))
                        return false;
        return !any_grant(b) && orders_count_objects(b, BUS_INTERFACE_RULE) == 0;
}

typedef struct Settled {
        Bench *b;
        const Case *c;
        bool returning;
} Settled;

static bool is_settled(void *userdata) {
        const Settled *s = userdata;

        return all_is_there(s->b, s->c) || (s->returning ? all_is_back(s->b) : orders_nothing_is_left(s->b));
}

static void until_settled(Bench *b, const Case *c, bool returning) {
        orders_until_files(b, is_settled, &(Settled){b, c, returning});
}

/* It does not stay so by chance: a further start changes nothing, and finds nothing to take up. */
static void expect_final(Bench *b, const Case *c, bool returning) {
        bool granted = any_grant(b);

        bench_kill_daemon(b);
        bench_start_daemon(b);
        until_settled(b, c, returning);
        if (any_grant(b) != granted)
                fail_msg("it was %s, and is not after another start", granted ? "granted" : "gone");
}

/* One bench for each step: a failure tells which, and nothing is carried over. */
static bool make_dies_at(const Case *c, unsigned step) {
        sd_bus_message *reply;
        void *state = NULL;
        sd_bus *admin;
        bool died;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        orders_die_at(b, step);
        reply = orders_make(b, admin, c->addresses, c->siblings, "pool", c->binding);
        died = orders_daemon_died(b, reply);
        if (died) {
                bench_start_daemon(b);
                until_settled(b, c, false);
                expect_final(b, c, false);
        } else
                assert_true(all_is_there(b, c));
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
        return died;
}

static void make_dies_everywhere(const Case *c) {
        unsigned step;

        for (step = 1; step < STEPS_MAX && make_dies_at(c, step); step++)
                ;
        assert_in_range(step, 8, STEPS_MAX - 1);
}

static void test_make_of_one_device(void **state _unused_) {
        make_dies_everywhere(&alone);
}

static void test_make_of_a_set(void **state _unused_) {
        make_dies_everywhere(&pair);
}

static void test_make_of_two_sets(void **state _unused_) {
        make_dies_everywhere(&two_sets);
}

static void test_make_on_claim(void **state _unused_) {
        make_dies_everywhere(&on_claim);
}

static bool return_dies_at(const Case *c, unsigned step) {
        void *state = NULL;
        sd_bus *admin;
        bool died;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        bench_expect_success(orders_make(b, admin, c->addresses, c->siblings, "pool", c->binding));
        orders_die_at(b, step);
        died = orders_daemon_died(b, orders_return(b, admin, c->addresses));
        if (died) {
                bench_start_daemon(b);
                until_settled(b, c, true);
                expect_final(b, c, true);
        } else
                assert_true(all_is_back(b));
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
        return died;
}

static void return_dies_everywhere(const Case *c) {
        unsigned step;

        for (step = 1; step < STEPS_MAX && return_dies_at(c, step); step++)
                ;
        assert_in_range(step, 6, STEPS_MAX - 1);
}

static void test_return_of_a_set(void **state _unused_) {
        return_dies_everywhere(&pair);
}

static void test_return_on_claim(void **state _unused_) {
        return_dies_everywhere(&on_claim);
}

/* The helper dies between the deed and its answer. */
static void answer_is_lost(const Case *c, const char *verb, bool returning) {
        void *state = NULL;
        sd_bus *admin;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        if (returning)
                bench_expect_success(orders_make(b, admin, c->addresses, c->siblings, "pool", c->binding));
        orders_lose_answer(b, verb);
        sd_bus_message_unref(
                        returning ? orders_return(b, admin, c->addresses)
                                  : orders_make(b, admin, c->addresses, c->siblings, "pool", c->binding));
        assert_false(fake_host_exists(b->host, "fake/lose"));
        until_settled(b, c, returning);
        expect_final(b, c, returning);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void test_the_answer_of_grant_is_lost(void **state _unused_) {
        answer_is_lost(&pair, "Grant", false);
}

static void test_the_answer_of_bind_is_lost(void **state _unused_) {
        answer_is_lost(&two_sets, "Bind", false);
}

static void test_the_answer_of_keep_is_lost(void **state _unused_) {
        answer_is_lost(&pair, "Keep", false);
}

static void test_the_answer_of_revoke_is_lost(void **state _unused_) {
        answer_is_lost(&pair, "Revoke", true);
}

/* The helper dies at the nth write to the kernel, its worker with it; or only the worker does. */
static void helper_dies_at(const Case *c, const char *how, unsigned nth, bool returning) {
        void *state = NULL;
        char rule[64];
        sd_bus *admin;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        if (returning)
                bench_expect_success(orders_make(b, admin, c->addresses, c->siblings, "pool", c->binding));
        fake_host_clear(b->host);
        (void)snprintf(rule, sizeof rule, "* * %s %u", how, nth);
        fake_host_fail(b->host, rule);
        sd_bus_message_unref(
                        returning ? orders_return(b, admin, c->addresses)
                                  : orders_make(b, admin, c->addresses, c->siblings, "pool", c->binding));
        until_settled(b, c, returning);
        expect_final(b, c, returning);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void helper_dies_everywhere(const char *how, bool returning) {
        for (unsigned nth = 1; nth <= 6; nth++) /* two devices, three writes each */
                helper_dies_at(&pair, how, nth, returning);
}

static void test_the_worker_dies_in_make(void **state _unused_) {
        helper_dies_everywhere("kill", false);
}

static void test_the_helper_dies_in_make(void **state _unused_) {
        helper_dies_everywhere("crash-after", false);
}

static void test_the_worker_dies_in_return(void **state _unused_) {
        helper_dies_everywhere("kill-after", true);
}

static void test_the_helper_dies_in_return(void **state _unused_) {
        helper_dies_everywhere("crash", true);
}

static bool dies_or_is_settled(void *userdata) {
        const Settled *s = userdata;

        return !fake_host_exists(s->b->host, "fake/die") || is_settled(userdata);
}

/* It dies in the middle, and once more while it takes up what is left. */
static void dies_twice(unsigned first, unsigned second, bool returning) {
        void *state = NULL;
        sd_bus *admin;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        if (returning)
                bench_expect_success(orders_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent"));
        orders_die_at(b, first);
        assert_true(orders_daemon_died(
                        b, returning ? orders_return(b, admin, PAIR_NIC)
                                     : orders_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent")));

        orders_die_at(b, second);
        bench_launch_daemon(b);
        orders_until_files(b, dies_or_is_settled, &(Settled){b, &pair, returning});
        bench_kill_daemon(b); /* dead already, or done and about to count on */
        fake_host_remove(b->host, "fake/die");
        bench_start_daemon(b);
        until_settled(b, &pair, returning);
        expect_final(b, &pair, returning);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void test_the_daemon_dies_twice(void **state _unused_) {
        static const unsigned makes[] = {3, 5, 7, 8, 10, 11}, returns[] = {2, 4, 5};

        for (size_t i = 0; i < ELEMENTSOF(makes); i++)
                for (unsigned second = 1; second <= 6; second++)
                        dies_twice(makes[i], second, false);
        for (size_t i = 0; i < ELEMENTSOF(returns); i++)
                for (unsigned second = 1; second <= 3; second++)
                        dies_twice(returns[i], second, true);
}

static bool hangs(void *userdata) {
        _cleanup_free_ char *log = fake_host_log(((Bench *)userdata)->host);

        return strstr(log, "= HANG");
}

/* It dies while the helper moves a set, and is back before the kernel has answered: what it cannot undo at once it
 * undoes when it can, and not only at a further start. */
static void worker_outlives(const Case *c, const char *write) {
        void *state = NULL;
        char rule[64];
        sd_bus *admin;
        Pending *p;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        (void)snprintf(rule, sizeof rule, "%s hang 1", write);
        fake_host_fail(b->host, rule);
        p = orders_start_make(b, admin, c->addresses, c->siblings, "pool", c->binding);
        orders_until_files(b, hangs, b);
        bench_kill_daemon(b);
        sd_bus_message_unref(bench_finish(b, p));
        bench_start_daemon(b);
        orders_until_step(b, "answer Release");
        assert_false(orders_nothing_is_left(b));
        bench_expect_error(orders_make(b, admin, c->addresses, c->siblings, "pool", c->binding), "Busy", "");
        fake_host_let_go(b->host);
        orders_until_files(b, is_settled, &(Settled){b, c, false});
        orders_expect_nothing_left(b);
        expect_final(b, c, false);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void test_the_worker_outlives_the_daemon(void **state _unused_) {
        worker_outlives(&pair, "override " PAIR_NIC);
        worker_outlives(&pair, "unbind " PAIR_NVME);
        worker_outlives(&pair, "probe " PAIR_NVME);
        worker_outlives(&two_sets, "unbind " NIC);
}

/* Without any crash: who called is answered when it cannot be undone, and then it is undone all the same. */
static void test_a_failure_while_a_node_is_held(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        sd_bus_message *reply;
        Pending *p;

        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        fake_host_fail(b->host, "probe " PAIR_NIC " EIO 1");
        p = orders_start_make(b, admin, two_sets.addresses, two_sets.siblings, "pool", "persistent");
        orders_until_step(b, "answer Bind");
        fake_host_hold_vfio(b->host, NIC_SET, true);
        fake_host_let_go(b->host);
        reply = bench_finish(b, p);
        assert_true(sd_bus_message_is_method_error(reply, NULL));
        assert_non_null(strstr(sd_bus_message_get_error(reply)->message, "tried again by itself"));
        sd_bus_message_unref(reply);
        bench_expect_error(orders_make(b, admin, NIC, NULL, "pool", NULL), "Busy", "yet to be undone");

        fake_host_hold_vfio(b->host, NIC_SET, false);
        orders_until_files(b, is_settled, &(Settled){b, &two_sets, false});
        orders_expect_nothing_left(b);
        expect_final(b, &two_sets, false);
        bench_disconnect(admin);
}

/* Nobody changes a grant while we have this. */
static int lock_grants(Bench *b) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = openat(b->host->fd, LOCKS_DIR "/grants", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        return fd;
}

/* The helper dies, and the worker that it has begun has not come to anything that could be seen. */
static void test_a_worker_has_not_begun(void **state) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        sd_bus_message *reply;
        Pending *p;
        int fd;

        bench_expect_success(bench_call_manager(b, admin, "Grant", "aoa{sv}", 1, bench_device_path(NIC), 0));
        fd = openat(b->host->fd, LOCKS_DIR "/7", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        p = orders_start_make(b, admin, NIC, NULL, "pool", "persistent");
        orders_until_step(b, "sent Bind");
        bench_kill_helper(b);
        orders_until_step(b, "call Release");
        (void)close(fd);
        reply = bench_finish(b, p);
        assert_true(sd_bus_message_is_method_error(reply, NULL));
        sd_bus_message_unref(reply);
        bench_disconnect(admin);
}

static int on_opened(sd_event_source *s _unused_, const struct inotify_event *e _unused_, void *userdata) {
        *(bool *)userdata = true;
        return 0;
}

static bool is_true(void *userdata) {
        return *(bool *)userdata;
}

/* It dies when a worker of the helper is about to write grants, and has looked at what is left before that happens. */
static void daemon_dies_before_grants(Bench *b, Pending *p, int slow) {
        sd_event_source *source = NULL;
        bool opened = false;
        char path[4200];

        (void)snprintf(path, sizeof path, "%s/" LOCKS_DIR "/grants", b->host->root);
        assert_true(sd_event_add_inotify(b->event, &source, path, IN_OPEN, on_opened, &opened) >= 0);
        if (slow >= 0)
                (void)close(slow);
        bench_until(b, is_true, &opened);
        sd_event_source_disable_unref(source);
        bench_kill_daemon(b);
        sd_bus_message_unref(bench_finish(b, p));
        bench_start_daemon(b);
        (void)orders_get_manager(b, "ConfirmUntil");
}

static void test_a_grant_that_comes_late(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        int lock = lock_grants(b);

        daemon_dies_before_grants(b, orders_start_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent"),
                                  -1);
        orders_expect_nothing_left(b);
        (void)close(lock);
        orders_until_step(b, "answer Drop");
        orders_until_files(b, is_settled, &(Settled){b, &pair, false});
        orders_expect_nothing_left(b);
        bench_disconnect(admin);
}

/* The intent was stored, and then removed. */
static bool has_come_to_an_end(void *userdata) {
        _cleanup_free_ char *steps = fake_host_read(((Bench *)userdata)->host, "fake/steps");
        const char *stored = strstr(strempty(steps), "committed");

        return stored && strstr(stored + 1, "committed");
}

/* From there on it can only be finished. */
static void test_a_keep_that_comes_late(void **state) {
        static const Case loose = {PAIR_NIC, PAIR_NVME, "on-claim"};
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        char path[4200];
        int slow, lock;
        Pending *p;

        (void)snprintf(path, sizeof path, "%s/fake/slow", b->host->root);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(chown(path, DAEMON_UID, (gid_t)-1), 0);
        p = orders_start_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "on-claim");
        orders_until_step(b, "commit");
        slow = open(path, O_WRONLY | O_CLOEXEC); /* when the disk waits for it */
        assert_true(slow >= 0);
        (void)unlink(path);
        lock = lock_grants(b);
        daemon_dies_before_grants(b, p, slow);
        orders_until_step(b, "sent Drop");
        (void)close(lock);
        orders_until_files(b, has_come_to_an_end, b); /* for a moment all is there in any case */
        assert_true(all_is_there(b, &loose));
        expect_final(b, &loose, false);
        bench_disconnect(admin);
}

/* While the prompt stands the daemon dies, or the helper; the answer that comes then is worth nothing. */
static void prompt_outlives(bool daemon, bool returning) {
        void *state = NULL;
        sd_bus *admin;
        Pending *p;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        if (returning)
                bench_expect_success(orders_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent"));
        polkit_set_mode(b, POLKIT_HANG);
        p = returning ? orders_start_return(b, admin, PAIR_NIC)
                      : orders_start_make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent");
        bench_until_asked(b, returning ? 2 : 1);
        if (daemon)
                bench_kill_daemon(b);
        else
                bench_kill_helper(b);
        polkit_settle(b, returning ? 1 : 0, true);
        sd_bus_message_unref(bench_finish(b, p));
        if (daemon)
                bench_start_daemon(b);
        until_settled(b, &pair, returning);
        expect_final(b, &pair, returning);
        assert_int_equal(any_grant(b), returning);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void test_the_prompt_outlives_the_daemon(void **state _unused_) {
        prompt_outlives(true, false);
        prompt_outlives(true, true);
}

static void test_the_prompt_outlives_the_helper(void **state _unused_) {
        prompt_outlives(false, false);
        prompt_outlives(false, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_make_of_one_device),
                        cmocka_unit_test(test_make_of_a_set),
                        cmocka_unit_test(test_make_of_two_sets),
                        cmocka_unit_test(test_make_on_claim),
                        cmocka_unit_test(test_return_of_a_set),
                        cmocka_unit_test(test_return_on_claim),
                        cmocka_unit_test(test_the_answer_of_grant_is_lost),
                        cmocka_unit_test(test_the_answer_of_bind_is_lost),
                        cmocka_unit_test(test_the_answer_of_keep_is_lost),
                        cmocka_unit_test(test_the_answer_of_revoke_is_lost),
                        cmocka_unit_test(test_the_daemon_dies_twice),
                        cmocka_unit_test(test_the_worker_outlives_the_daemon),
                        cmocka_unit_test_setup_teardown(test_a_worker_has_not_begun, orders_setup,
                                                        bench_teardown),
                        cmocka_unit_test_setup_teardown(test_a_failure_while_a_node_is_held, orders_setup,
                                                        bench_teardown),
                        cmocka_unit_test_setup_teardown(test_a_grant_that_comes_late, orders_setup,
                                                        bench_teardown),
                        cmocka_unit_test_setup_teardown(test_a_keep_that_comes_late, orders_setup,
                                                        bench_teardown),
                        cmocka_unit_test(test_the_prompt_outlives_the_daemon),
                        cmocka_unit_test(test_the_prompt_outlives_the_helper),
                        cmocka_unit_test(test_the_worker_dies_in_make),
                        cmocka_unit_test(test_the_helper_dies_in_make),
                        cmocka_unit_test(test_the_worker_dies_in_return),
                        cmocka_unit_test(test_the_helper_dies_in_return),
        };

        return suite_run("bus-crash", "runs its parts under several users", tests);
}
