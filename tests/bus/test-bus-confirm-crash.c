/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A MakePassthrough that is to be confirmed, with the daemon, the helper or its worker ended by force between any two
 * of their steps: it is confirmed, waits, or is undone, and in time by whoever is left. */

#include "confirm-bench.h"
#include "fake-kernel.h"
#include "suite.h"

#define STEPS_MAX 60U

/* One bench for each step: a failure tells which, and nothing is carried over. */
typedef struct Story {
        const char *verb; /* Confirm or Revert; NULL: the making itself */
        unsigned from;    /* of its steps there are at least so many */
        uint32_t seconds; /* SHORT: the daemon comes back when the time is up */
} Story;

static bool is_settled(void *userdata) {
        Bench *b = userdata;

        return (pair_is_confirmed(b) && streq(orders_get_manager(b, "ConfirmUntil"), "0")) ||
               (is_unconfirmed(b, PAIR_NIC) && is_unconfirmed(b, PAIR_NVME) && is_bound(b, PAIR_NIC) &&
                is_bound(b, PAIR_NVME) && !streq(orders_get_manager(b, "ConfirmUntil"), "0")) ||
               (orders_nothing_is_left(b) && streq(orders_get_manager(b, "ConfirmUntil"), "0"));
}

static bool daemon_dies_at(const Story *s, unsigned step) {
        sd_bus_message *reply;
        void *state = NULL;
        sd_bus *admin;
        bool died;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        if (s->verb)
                make_pair(b, admin, s->seconds);
        orders_die_at(b, step);
        reply = s->verb ? bench_call_manager(b, admin, s->verb, "")
                        : orders_make_until(b, admin, EACH_PAIR, NULL, "pool", "persistent", s->seconds);
        died = orders_daemon_died(b, reply);
        if (died) {
                bench_start_daemon(b);
                orders_until_files(b, is_settled, b);
                /* It does not stay so by chance. */
                bench_kill_daemon(b);
                bench_start_daemon(b);
                orders_until_files(b, is_settled, b);
                if (s->verb && streq(s->verb, "Revert") && pair_is_confirmed(b))
                        fail_msg("step %u: reverted, and confirmed", step);
                if (!s->verb && pair_is_confirmed(b))
                        fail_msg("step %u: nobody has confirmed it", step);
                if (!streq(orders_get_manager(b, "ConfirmUntil"), "0")) {
                        bench_expect_success(REVERT(b, admin));
                        orders_expect_nothing_left(b);
                }
        }
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
        return died;
}

static void daemon_dies_everywhere(const Story *s) {
        unsigned step;

        for (step = 1; step < STEPS_MAX && daemon_dies_at(s, step); step++)
                ;
        assert_in_range(step, s->from, STEPS_MAX - 1);
}

static void test_the_daemon_dies_in_make(void **state _unused_) {
        daemon_dies_everywhere(&(Story){NULL, 8, LONG});
}

static void test_the_daemon_dies_in_confirm(void **state _unused_) {
        daemon_dies_everywhere(&(Story){"Confirm", 10, LONG});
}

static void test_the_daemon_dies_in_revert(void **state _unused_) {
        daemon_dies_everywhere(&(Story){"Revert", 8, LONG});
}

static bool dies_or_is_undone(void *userdata) {
        Bench *b = userdata;

        return !fake_host_exists(b->host, "fake/die") || orders_nothing_is_left(b);
}

/* It dies in the making or while it undoes it, and is not seen again before the time is up: the helper alone brings
 * home what has moved. */
static bool daemon_dies_for_long_at(unsigned step) {
        sd_bus_message *reply;
        void *state = NULL;
        sd_bus *admin;
        bool died;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        orders_die_at(b, step);
        reply = orders_make_until(b, admin, EACH_PAIR, NULL, "pool", "persistent", 1);
        died = orders_daemon_died(b, reply);
        if (!died) {
                orders_until_files(b, dies_or_is_undone, b);
                died = !fake_host_exists(b->host, "fake/die");
                if (died)
                        orders_gather_daemon(b);
        }
        fake_host_remove(b->host, "fake/die");
        if (died) {
                orders_until_files(b, all_is_home, b);
                bench_start_daemon(b);
        }
        until_undone(b);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
        return died;
}

static void test_the_daemon_dies_for_long(void **state _unused_) {
        unsigned step;

        for (step = 1; step < STEPS_MAX && daemon_dies_for_long_at(step); step++)
                ;
        assert_in_range(step, 12, STEPS_MAX - 1);
}

/* The helper dies at a write to the kernel, or only its worker does: in the making, and on the way back. */
static void helper_dies_at(const char *how, unsigned nth, bool returning) {
        void *state = NULL;
        char rule[64];
        sd_bus *admin;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        if (returning)
                make_pair(b, admin, SHORT);
        fake_host_clear(b->host);
        (void)snprintf(rule, sizeof rule, "* * %s %u", how, nth);
        fake_host_fail(b->host, rule);
        if (!returning)
                sd_bus_message_unref(
                                orders_make_until(b, admin, EACH_PAIR, NULL, "pool", "persistent", SHORT));
        until_undone(b);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void test_the_helper_dies_at_each_write(void **state _unused_) {
        static const char *const hows[] = {"kill", "crash-after"};

        for (size_t i = 0; i < ELEMENTSOF(hows); i++)
                for (unsigned nth = 1; nth <= 4; nth++) {
                        helper_dies_at(hows[i], nth, false);
                        helper_dies_at(hows[i], nth, true);
                }
}

/* The same with nobody but the helper, which is started again. */
static void helper_dies_alone_at(unsigned nth) {
        void *state = NULL;
        char rule[64];
        sd_bus *admin;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        make_pair(b, admin, SHORT);
        bench_kill_daemon(b);
        fake_host_clear(b->host);
        (void)snprintf(rule, sizeof rule, "* * crash %u", nth);
        fake_host_fail(b->host, rule);
        bench_until_gone(b, HELPER_NAME);
        start_helper(b);
        orders_until_files(b, all_is_home, b);
        bench_start_daemon(b);
        until_undone(b);
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void test_the_helper_dies_alone(void **state _unused_) {
        for (unsigned nth = 1; nth <= 4; nth++)
                helper_dies_alone_at(nth);
}

static void answer_is_lost(const char *verb, const char *call, bool confirmed) {
        void *state = NULL;
        sd_bus *admin;
        Bench *b;

        (void)orders_setup(&state);
        b = state;
        admin = bench_connect(b, ADMIN_UID);
        if (call)
                make_pair(b, admin, LONG);
        orders_lose_answer(b, verb);
        sd_bus_message_unref(
                        call ? bench_call_manager(b, admin, call, "")
                             : orders_make_until(b, admin, EACH_PAIR, NULL, "pool", "persistent", LONG));
        assert_false(fake_host_exists(b->host, "fake/lose"));
        if (confirmed)
                assert_true(pair_is_confirmed(b));
        else
                until_undone(b);
        bench_kill_daemon(b);
        bench_start_daemon(b);
        assert_int_equal(pair_is_confirmed(b), confirmed);
        assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        bench_disconnect(admin);
        assert_int_equal(bench_teardown(&state), 0);
}

static void test_answers_are_lost(void **state _unused_) {
        answer_is_lost("Grant", NULL, false);
        answer_is_lost("Bind", NULL, false);
        answer_is_lost("Keep", "Confirm", true);
        answer_is_lost("Bind", "Confirm", true);
        answer_is_lost("Release", "Revert", false);
        answer_is_lost("Drop", "Revert", false);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_the_daemon_dies_in_make),
                        cmocka_unit_test(test_the_daemon_dies_in_confirm),
                        cmocka_unit_test(test_the_daemon_dies_in_revert),
                        cmocka_unit_test(test_the_daemon_dies_for_long),
                        cmocka_unit_test(test_the_helper_dies_at_each_write),
                        cmocka_unit_test(test_the_helper_dies_alone),
                        cmocka_unit_test(test_answers_are_lost),
        };

        return suite_run("bus-confirm-crash", "runs its parts under several users", tests);
}
