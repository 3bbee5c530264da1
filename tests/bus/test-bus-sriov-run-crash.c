/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Starts and ends of a VM with virtual functions, ended by force between any two steps: after that nothing of the VM is
 * left in the card, its functions are nobody's, and the next VM has its own settings and nothing else. */

#include "sriov-runs.h"
#include "suite.h"

#define STEPS_MAX 40U
#define WRITES_MAX 16U
#define HAD STATE("7", "10", "on", MAC_ONE)

typedef struct Scene {
        Bench *b;
        Runs runs;
        Answer answer;
} Scene;

static Scene begin(void) {
        Scene s = {.answer = {.lifeline = -1, .iommufd = -1}};
        void *state = NULL;

        (void)sriov_setup(&state);
        s.b = state;
        s.runs = runs_begin(s.b, PF, "on-claim", 1, 1);
        bench_expect_success(SET_CLAIM(&s.runs, 3, "vlan", "u", 7, "max-rate", "u", 10, "trust", "s", "on"));
        fake_host_clear(s.b->host);
        return s;
}

static void start(Scene *s) {
        s->answer = vm_take_answer(START(s->b, s->runs.user, "web", 0));
        runs_expect_function(s->b, VF_ONE, HAD);
        fake_host_clear(s->b->host);
}

static void end(Scene *s) {
        void *state = s->b;

        vm_let_go(&s->answer);
        runs_end(&s->runs);
        assert_int_equal(bench_teardown(&state), 0);
}

/* "": nobody answers. */
static const char *look(Bench *b, const char *path, const char *interface, const char *property) {
        sd_bus_message *reply;

        reply = bench_finish(b, bench_start(b, b->root, BUS_NAME, path, "org.freedesktop.DBus.Properties",
                                            "Get", false, "ss", interface, property));
        if (!sd_bus_message_get_error(reply))
                return orders_show(reply);
        sd_bus_message_unref(reply);
        return "";
}

static bool wait_for(const Scene *s, const char *what, const char *is) {
        (void)snprintf(s->b->waiting_for, sizeof s->b->waiting_for, ", last for %s, which is %.200s", what,
                       is);
        return false;
}

/* Whether or not the last start has failed. */
static bool is_back(void *userdata) {
        const Scene *s = userdata;
        const char *status = look(s->b, s->runs.claim.text, BUS_INTERFACE_CLAIM, "Status");

        if (!streq(status, "idle") && !streq(status, "errors"))
                return wait_for(s, "the claim", status);
        if (!streq(look(s->b, s->runs.claim.text, BUS_INTERFACE_CLAIM, "Devices"), "[]"))
                return wait_for(s, "the devices of the claim", "some");
        if (!streq(look(s->b, bench_device_path(VF_ONE), BUS_INTERFACE_DEVICE, "State"), "host"))
                return wait_for(s, "the device", "not at rest");
        if (!streq(look(s->b, s->runs.group.text, BUS_INTERFACE_GROUP, "Available"), "1"))
                return wait_for(s, "the group", "without it");
        return runs_is_clean(s->b, VF_ONE) || wait_for(s, "the port", runs_function(s->b, VF_ONE));
}

static void until_back(Scene *s) {
        orders_until_files(s->b, is_back, s);
        s->b->waiting_for[0] = '\0';
}

/* Nothing of it is in the way of the next start. */
static void expect_as_new(Scene *s) {
        until_back(s);
        start(s);
        vm_let_go(&s->answer);
        until_back(s);
        runs_expect_at_rest(s->b, PF, 1);
        fake_host_clear(s->b->host);
        orders_forget_signals(s->b);
}

/* True: it has died. What is left of that stands before the next one. */
static bool start_dies_at(Scene *s, unsigned step) {
        sd_bus_message *reply;
        bool died;

        orders_die_at(s->b, step);
        reply = START(s->b, s->runs.user, "web", 0);
        died = !!sd_bus_message_get_error(reply);
        if (died) {
                assert_true(orders_daemon_died(s->b, reply));
                bench_start_daemon(s->b);
                expect_as_new(s);
        } else
                s->answer = vm_take_answer(reply);
        fake_host_remove(s->b->host, "fake/die");
        return died;
}

static bool stop_dies_at(Scene *s, unsigned step) {
        bool died;

        start(s);
        orders_die_at(s->b, step);
        died = orders_daemon_died(s->b, STOP(s->b, s->runs.user, "web", 0));
        vm_let_go(&s->answer);
        fake_host_remove(s->b->host, "fake/die");
        if (died) {
                bench_start_daemon(s->b);
                expect_as_new(s);
        } else
                runs_expect_at_rest(s->b, PF, 1);
        return died;
}

static void dies_everywhere(bool (*dies_at)(Scene *s, unsigned step)) {
        Scene s = begin();
        unsigned step;

        for (step = 1; step < STEPS_MAX && dies_at(&s, step); step++)
                ;
        assert_in_range(step, 13, STEPS_MAX - 1);
        end(&s);
}

static void test_the_daemon_dies_in_start(void **state _unused_) {
        dies_everywhere(start_dies_at);
}

static void test_the_daemon_dies_in_stop(void **state _unused_) {
        dies_everywhere(stop_dies_at);
}

/* At the nth write to the kernel, with its worker or not; the daemon stays. True: it has died. */
static bool helper_dies_at(Scene *s, const char *how, unsigned nth, bool stopping) {
        _cleanup_free_ char *log = NULL;
        sd_bus_message *reply;
        char rule[64];
        bool died;

        if (stopping)
                start(s);
        (void)snprintf(rule, sizeof rule, "* * %s %u", how, nth);
        fake_host_fail(s->b->host, rule);
        if (!stopping) {
                reply = START(s->b, s->runs.user, "web", 0);
                fake_host_remove(s->b->host, "fake/fail");
                if (sd_bus_message_get_error(reply))
                        sd_bus_message_unref(reply);
                else
                        s->answer = vm_take_answer(reply);
        }
        vm_let_go(&s->answer);
        until_back(s);
        log = fake_host_log(s->b->host);
        died = strstr(log, "= KILL");
        fake_host_clear(s->b->host);
        if (died)
                expect_as_new(s);
        return died;
}

/* Two of Bind, four of the settings, a reset; and as many on the way back. */
static void helper_dies_everywhere(const char *how, bool stopping) {
        Scene s = begin();
        unsigned nth;

        for (nth = 1; nth < WRITES_MAX && helper_dies_at(&s, how, nth, stopping); nth++)
                ;
        assert_in_range(nth, 8, WRITES_MAX - 1);
        end(&s);
}

static void test_the_worker_dies_in_start(void **state _unused_) {
        helper_dies_everywhere("kill-after", false);
}

static void test_the_helper_dies_in_start(void **state _unused_) {
        helper_dies_everywhere("crash", false);
}

static void test_the_worker_dies_in_stop(void **state _unused_) {
        helper_dies_everywhere("kill", true);
}

static void test_the_helper_dies_in_stop(void **state _unused_) {
        helper_dies_everywhere("crash-after", true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_the_daemon_dies_in_start),
                        cmocka_unit_test(test_the_daemon_dies_in_stop),
                        cmocka_unit_test(test_the_worker_dies_in_start),
                        cmocka_unit_test(test_the_helper_dies_in_start),
                        cmocka_unit_test(test_the_worker_dies_in_stop),
                        cmocka_unit_test(test_the_helper_dies_in_stop),
        };

        return suite_run("bus-sriov-run-crash", "runs its parts under several users", tests);
}
