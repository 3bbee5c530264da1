/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* MakePassthrough, SetVfCount and ReturnToHost of virtual functions, ended by force between any two steps: all is there
 * after it, or nothing is. */

#include "fake-kernel.h"
#include "sriov-bench.h"
#include "suite.h"

#define STEPS_MAX 60U

typedef enum Deed { MAKE, MAKE_MORE, MAKE_ORDERED, COUNT, RETURN } Deed;

static sd_bus_message *call(Bench *b, sd_bus *admin, Deed deed) {
        if (deed == COUNT)
                return sriov_set_count(b, admin, PF_NVME, 2);
        if (deed == RETURN)
                return orders_return(b, admin, BOTH);
        /* With something to be tried on them, which is a step of its own. */
        return bench_finish(b, sriov_start_make(b, admin, BOTH, "persistent", 2, "trust", "on", NULL));
}

static bool is_done(Bench *b, Deed deed) {
        if (deed == COUNT)
                return sriov_is_granted(b, PF_NVME) && sriov_has(b, PF_NVME, 2, false);
        return sriov_is_granted(b, PF) && sriov_is_granted(b, PF_TWO) && sriov_has(b, PF, 2, true) &&
               sriov_has(b, PF_TWO, 2, true) && orders_count_objects(b, BUS_INTERFACE_GROUP) == 1 &&
               orders_count_objects(b, BUS_INTERFACE_RULE) == 2;
}

/* The group that a return leaves; and the function that was there before. */
static bool is_undone(Bench *b, Deed deed) {
        if (deed == RETURN)
                return sriov_is_untouched(b, PF) && sriov_is_untouched(b, PF_TWO) &&
                       orders_count_objects(b, BUS_INTERFACE_RULE) == 0;
        if (deed == MAKE_ORDERED)
                return sriov_is_untouched(b, PF) && sriov_is_untouched(b, PF_TWO) &&
                       orders_count_objects(b, BUS_INTERFACE_RULE) == 2;
        if (deed == MAKE_MORE)
                return sriov_has(b, PF, 1, false) && sriov_is_granted(b, PF) &&
                       sriov_is_untouched(b, PF_TWO) && orders_count_objects(b, BUS_INTERFACE_GROUP) == 0 &&
                       orders_count_objects(b, BUS_INTERFACE_RULE) == 0;
        return sriov_nothing_is_left(b);
}

typedef struct Scene {
        Bench *b;
        sd_bus *admin;
        Deed deed;
} Scene;

static bool is_settled(void *userdata) {
        const Scene *s = userdata;

        return is_done(s->b, s->deed) || is_undone(s->b, s->deed);
}

/* Group and rules are there, as after Import: only the consent is missing. */
static void order(Bench *b, sd_bus *admin) {
        Path group;

        group = orders_take_path(bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "nics", "sriov-nic",
                                                    2, "binding", "s", "persistent", "sriov", "a{sv}", 2,
                                                    "vfs", "u", 2, "trust", "s", "on"));
        (void)orders_make_rule(b, admin, &group, "one", "physical_function eq '" PF "'");
        (void)orders_make_rule(b, admin, &group, "two", "physical_function eq '" PF_TWO "'");
}

static Scene begin(Deed deed) {
        Scene s = {.deed = deed};
        void *state = NULL;

        (void)sriov_setup(&state);
        s.b = state;
        s.admin = bench_connect(s.b, ADMIN_UID);
        if (deed == RETURN)
                bench_expect_success(sriov_make(s.b, s.admin, BOTH, "persistent", 2));
        if (deed == MAKE_MORE)
                bench_expect_success(sriov_set_count(s.b, s.admin, PF, 1));
        if (deed == MAKE_ORDERED)
                order(s.b, s.admin);
        return s;
}

static void end(Scene *s) {
        void *state = s->b;

        bench_disconnect(s->admin);
        assert_int_equal(bench_teardown(&state), 0);
}

/* It does not stay so by chance: a further start changes nothing. */
static void expect_final(Scene *s) {
        bool done;

        orders_until_files(s->b, is_settled, s);
        done = is_done(s->b, s->deed);
        bench_kill_daemon(s->b);
        bench_start_daemon(s->b);
        orders_until_files(s->b, is_settled, s);
        if (is_done(s->b, s->deed) != done)
                fail_msg("it was %s, and is not after another start", done ? "done" : "undone");
        if (done || s->deed != MAKE_ORDERED) /* else what is ordered lacks consent */
                assert_string_equal(orders_get_device(s->b, PF, "Attention"), "");
}

static bool dies_at(Deed deed, unsigned step) {
        Scene s = begin(deed);
        bool died;

        orders_die_at(s.b, step);
        died = orders_daemon_died(s.b, call(s.b, s.admin, deed));
        if (died) {
                bench_start_daemon(s.b);
                expect_final(&s);
        } else
                assert_true(deed == RETURN ? is_undone(s.b, deed) : is_done(s.b, deed));
        end(&s);
        return died;
}

static void dies_everywhere(Deed deed) {
        unsigned step;

        for (step = 1; step < STEPS_MAX && dies_at(deed, step); step++)
                ;
        assert_in_range(step, 6, STEPS_MAX - 1);
}

static void test_the_daemon_dies_in_make(void **state _unused_) {
        dies_everywhere(MAKE);
}

static void test_the_daemon_dies_in_make_of_what_is_ordered(void **state _unused_) {
        dies_everywhere(MAKE_ORDERED);
}

static void test_the_daemon_dies_in_a_count(void **state _unused_) {
        dies_everywhere(COUNT);
}

static void test_the_daemon_dies_in_return(void **state _unused_) {
        dies_everywhere(RETURN);
}

/* One is granted already and has another number. */
static void test_the_daemon_dies_in_making_more(void **state _unused_) {
        dies_everywhere(MAKE_MORE);
}

/* The helper dies between the deed and its answer. */
static void test_an_answer_is_lost(void **state _unused_) {
        static const struct {
                Deed deed;
                const char *verb;
        } cases[] = {{MAKE, "GrantVfs"},       {MAKE, "SetVfs"},       {MAKE, "SetVf"},
                     {MAKE, "Keep"},           {COUNT, "SetVfs"},      {COUNT, "Keep"},
                     {RETURN, "Revoke"},       {MAKE_MORE, "SetVfs"},  {COUNT, "GrantVfs"},
                     {MAKE_ORDERED, "SetVfs"}, {MAKE_ORDERED, "SetVf"}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Scene s = begin(cases[i].deed);

                orders_lose_answer(s.b, cases[i].verb);
                sd_bus_message_unref(call(s.b, s.admin, s.deed));
                assert_false(fake_host_exists(s.b->host, "fake/lose"));
                expect_final(&s);
                end(&s);
        }
}

/* The worker dies at the nth write to the kernel, or the helper with it. */
static void dies_in_writes(Deed deed, const char *how, unsigned most) {
        char rule[64];

        for (unsigned nth = 1; nth <= most; nth++) {
                Scene s = begin(deed);

                fake_host_clear(s.b->host);
                (void)snprintf(rule, sizeof rule, "* * %s %u", how, nth);
                fake_host_fail(s.b->host, rule);
                sd_bus_message_unref(call(s.b, s.admin, deed));
                expect_final(&s);
                end(&s);
        }
}

static void test_the_worker_dies(void **state _unused_) {
        dies_in_writes(MAKE, "kill-after", 7);
        dies_in_writes(RETURN, "kill", 5);
}

static void test_the_helper_dies(void **state _unused_) {
        dies_in_writes(MAKE, "crash", 7);
        dies_in_writes(RETURN, "crash-after", 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_the_daemon_dies_in_make),
                        cmocka_unit_test(test_the_daemon_dies_in_make_of_what_is_ordered),
                        cmocka_unit_test(test_the_daemon_dies_in_a_count),
                        cmocka_unit_test(test_the_daemon_dies_in_return),
                        cmocka_unit_test(test_the_daemon_dies_in_making_more),
                        cmocka_unit_test(test_an_answer_is_lost),
                        cmocka_unit_test(test_the_worker_dies),
                        cmocka_unit_test(test_the_helper_dies),
        };

        return suite_run("bus-sriov-crash", "runs its parts under several users", tests);
}
