/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions for VMs: what the port of the card does with their frames before, while and after a VM has them,
 * and what is said of settings that its driver does not take. */

#include "sriov-runs.h"
#include "suite.h"

/* What was written to the kernel, in this order. */
static void expect_order(Bench *b, const char *const *lines, size_t n) {
        _cleanup_free_ char *log = fake_host_log(b->host);
        const char *at = log;

        for (size_t i = 0; i < n; i++) {
                at = strstr(at, lines[i]);
                if (!at)
                        fail_msg("\"%s\" does not come, or not in its place:\n%s", lines[i], log);
        }
}

static void test_a_start_sets_all_before_anybody_is_let_in(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "on-claim", 2, 2);
        const char *first[] = {"probe 0000:06:10.0", "vf-vlan " PF " 0", "vf-mac " PF " 0",
                               "reset 0000:06:10.0"},
                   *second[] = {"probe 0000:06:10.1", "vf-vlan " PF " 1", "vf-mac " PF " 1",
                                "reset 0000:06:10.1"},
                   *back[] = {"reset 0000:06:10.0", "vf-vlan " PF " 0 vlan=100",
                              "vf-mac " PF " 0 mac=" NO_MAC, "unbind 0000:06:10.0"};
        Answer a;

        bench_expect_success(SET_CLAIM(&s, 2, "vlan", "u", 7, "trust", "s", "on"));
        a = vm_take_answer(START(b, s.user, "web", 0));
        assert_int_equal(a.n, 2);
        expect_order(b, first, ELEMENTSOF(first));
        expect_order(b, second, ELEMENTSOF(second));

        /* In the order in which they are answered. */
        runs_expect_function(b, a.devices[0].address, STATE("7", "0", "on", MAC_ONE));
        runs_expect_function(b, a.devices[1].address, STATE("7", "0", "on", MAC_TWO));
        orders_until_device(b, a.devices[1].address, "VfSettings",
                            "[vlan 7 vlan-protocol 802.1Q vlan-qos 0 min-rate 0 max-rate 0 link-state auto "
                            "spoof-checking on trust on mac " MAC_TWO "]");
        assert_string_equal(orders_get_claim(b, &s.claim, "RestartNeeded"), "false");
        assert_string_equal(orders_get_device(b, PF, "VfSettings"), "[]");

        fake_host_clear(b->host);
        bench_expect_success(STOP(b, s.user, "web", 0));
        expect_order(b, back, ELEMENTSOF(back));
        runs_expect_function(b, VF_ONE, AT_REST);
        runs_expect_function(b, VF_TWO, AT_REST);
        orders_until_device(b, VF_TWO, "VfSettings", NO_MAC);
        vm_let_go(&a);
        runs_end(&s);
}

/* Each claim of a VM has settings and addresses of its own. */
static void test_two_claims_of_a_vm(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 3, 1);
        Path other = CLAIM_OF(b, s.user, "web", &s.group, 2, 2, "mac-addresses", "as", 2, MAC_TWO, MAC_THREE,
                              "sriov", "a{sv}", 1, "max-rate", "u", 50);
        Answer a = vm_take_answer(START(b, s.user, "web", 0));
        unsigned n = 0;

        assert_int_equal(a.n, 3);
        for (size_t i = 0; i < a.n; i++)
                if (streq(a.devices[i].claim, s.claim.text))
                        runs_expect_function(b, a.devices[i].address, STATE("100", "0", "off", MAC_ONE));
                else
                        runs_expect_function(b, a.devices[i].address,
                                             n++ == 0 ? STATE("100", "50", "off", MAC_TWO)
                                                      : STATE("100", "50", "off", MAC_THREE));
        assert_int_equal(n, 2);

        /* One of them alone goes, and the others keep theirs. */
        bench_expect_success(orders_call_claim(b, s.user, &s.claim, "Stop", ""));
        for (size_t i = 0; i < a.n; i++)
                if (streq(a.devices[i].claim, s.claim.text))
                        runs_expect_function(b, a.devices[i].address, AT_REST);
        assert_string_equal(orders_get_claim(b, &other, "RestartNeeded"), "false");
        vm_let_go(&a);
        orders_until_claim(b, &other, "Status", "idle");
        runs_expect_at_rest(b, PF, 3);
        runs_end(&s);
}

static void test_two_vms_on_one_card(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "on-claim", 2, 1);
        Path other = CLAIM_OF(b, s.user, "db", &s.group, 1, 2, "mac-addresses", "as", 1, MAC_TWO, "sriov",
                              "a{sv}", 1, "vlan", "u", 200);
        Pending *one = START_LATER(b, s.user, "web", 0), *two = START_LATER(b, s.user, "db", 0);
        Answer a = vm_take_answer(bench_finish(b, one)), c = vm_take_answer(bench_finish(b, two));

        runs_expect_function(b, a.devices[0].address, STATE("100", "0", "off", MAC_ONE));
        runs_expect_function(b, c.devices[0].address, STATE("200", "0", "off", MAC_TWO));
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");
        runs_expect_function(b, c.devices[0].address, STATE("200", "0", "off", MAC_TWO));

        /* And its successor finds nothing of it. */
        a = vm_take_answer(START(b, s.user, "web", 0));
        runs_expect_function(b, a.devices[0].address, STATE("100", "0", "off", MAC_ONE));
        vm_let_go(&a);
        vm_let_go(&c);
        orders_until_claim(b, &s.claim, "Status", "idle");
        orders_until_claim(b, &other, "Status", "idle");
        runs_expect_at_rest(b, PF, 2);
        runs_end(&s);
}

typedef enum End { STOPPED, CUT, WHILE_NOBODY_LOOKED, END_MAX } End;

static void test_each_end(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 2, 2);
        Answer a;

        bench_expect_success(SET_CLAIM(&s, 3, "vlan", "u", 7, "trust", "s", "on", "max-rate", "u", 10));
        for (End end = STOPPED; end < END_MAX; end++) {
                a = vm_take_answer(START(b, s.user, "web", 0));
                runs_expect_function(b, a.devices[0].address, STATE("7", "10", "on", MAC_ONE));
                if (end == STOPPED)
                        bench_expect_success(STOP(b, s.user, "web", 0));
                if (end == WHILE_NOBODY_LOOKED)
                        bench_kill_daemon(b);
                vm_let_go(&a);
                if (end == WHILE_NOBODY_LOOKED)
                        bench_start_daemon(b);
                orders_until_claim(b, &s.claim, "Status", "idle");
                assert_string_equal(orders_get_claim(b, &s.claim, "StatusInfo"), "");
                runs_expect_at_rest(b, PF, 2);
                vms_until_pooled(b, VF_ONE);
        }
        runs_end(&s);
}

static void expect_restart_needed(Runs *s, bool needed) {
        assert_string_equal(orders_get_claim(s->b, &s->claim, "RestartNeeded"), needed ? "true" : "false");
}

static void test_restart_needed(void **state) {
        Bench *b = *state;
        Runs s;
        Answer a;

        bench_stop_daemon(b);
        bench_keep_descriptors(b);
        bench_start_daemon(b);
        s = runs_begin(b, PF, "persistent", 1, 1);
        a = vm_take_answer(START(b, s.user, "web", 0));
        expect_restart_needed(&s, false);
        bench_expect_success(SET_GROUP(b, &s.group, 1, "max-rate", "u", 5));
        expect_restart_needed(&s, true);
        bench_expect_success(SET_GROUP(b, &s.group, 1, "max-rate", "u", 0));
        expect_restart_needed(&s, false);
        bench_expect_success(SET_CLAIM(&s, 1, "vlan", "u", 7));
        expect_restart_needed(&s, true);
        bench_expect_success(SET_GROUP(b, &s.group, 1, "overridable", "as", 1, "mac"));
        expect_restart_needed(&s, false); /* it would be as it is: what the claim says does not count */
        bench_expect_success(SET_CLAIM(&s, 0));
        expect_restart_needed(&s, false);
        bench_expect_success(orders_call_claim(b, b->root, &s.claim, "Update", "a{sv}", 1, "mac-addresses",
                                               "as", 1, MAC_TWO));
        expect_restart_needed(&s, true);
        runs_expect_function(b, VF_ONE, STATE("100", "0", "off", MAC_ONE)); /* under a VM nothing changes */

        bench_kill_daemon(b);
        bench_start_daemon(b);
        expect_restart_needed(&s, true);
        bench_expect_success(STOP(b, s.user, "web", 0));
        expect_restart_needed(&s, false);
        vm_let_go(&a);
        a = vm_take_answer(START(b, s.user, "web", 0));
        expect_restart_needed(&s, false);
        runs_expect_function(b, VF_ONE, STATE("100", "0", "off", MAC_TWO));
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");
        runs_end(&s);
}

/* Nobody says any more that it was turned; all the same the next VM does not find it so. */
static void test_a_switch_that_is_not_ordered_any_more(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 1, 1);
        Answer a;

        bench_expect_success(SET_CLAIM(&s, 1, "trust", "s", "on"));
        a = vm_take_answer(START(b, s.user, "web", 0));
        runs_expect_function(b, VF_ONE, STATE("100", "0", "on", MAC_ONE));
        bench_expect_success(SET_CLAIM(&s, 0));
        bench_expect_success(SET_GROUP(b, &s.group, 1, "overridable", "as", 0));
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");
        runs_expect_at_rest(b, PF, 1);

        /* Nor is what nobody ever turned touched. */
        fake_host_clear(b->host);
        a = vm_take_answer(START(b, s.user, "web", 0));
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");
        runs_expect_unwritten(b, "vf-trust");
        runs_expect_unwritten(b, "vf-spoof-checking");
        runs_end(&s);
}

/* --- a start that fails --- */

/* Whatever went wrong: nobody has anything, nothing stays reserved, and the next start has all of it. */
static void expect_undone(Runs *s, const char *sentence) {
        Bench *b = s->b;
        Answer a;

        orders_until_claim(b, &s->claim, "Status", "errors");
        assert_non_null(strstr(orders_get_claim(b, &s->claim, "StatusInfo"), sentence));
        assert_string_equal(orders_get_claim(b, &s->claim, "Devices"), "[]");
        fake_host_clear(b->host);
        orders_until_group(b, &s->group, "Available", "2");
        runs_expect_no_address(b, PF, 2);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 1);

        a = vm_take_answer(START(b, s->user, "web", 0));
        runs_expect_function(b, a.devices[0].address, STATE("7", "10", "off", MAC_ONE));
        runs_expect_function(b, a.devices[1].address, STATE("7", "10", "off", MAC_TWO));
        vm_let_go(&a);
        orders_until_claim(b, &s->claim, "Status", "idle");
        runs_expect_at_rest(b, PF, 2);
}

static void fail_start(Runs *s, const char *rule, const char *error, const char *sentence) {
        fake_host_clear(s->b->host);
        orders_forget_signals(s->b);
        fake_host_fail(s->b->host, rule);
        bench_expect_error(START(s->b, s->user, "web", 0), error, sentence);
        expect_undone(s, sentence);
}

static void start_fails(Bench *b, const char *binding) {
        Runs s = runs_begin(b, PF, binding, 2, 2);

        bench_expect_success(SET_CLAIM(&s, 2, "vlan", "u", 7, "max-rate", "u", 10));
        fail_start(&s, "vf-vlan " PF " EINVAL 1", "DriverFailed",
                   "vlan=7 vlan-protocol=802.1Q vlan-qos=0 cannot be set");
        fail_start(&s, "vf-mac " PF " EIO 2", "DriverFailed", "mac=");
        fail_start(&s, "vf-mac " PF " nothing 1", "DriverFailed", "but afterwards its driver igb says mac=");
        fail_start(&s, "vf-rate " PF " EBUSY 1", "Busy", "Try again in a moment");
        fail_start(&s, "vf-rate " PF " kill 1", NULL, "");
        fail_start(&s, "vf-mac " PF " crash 2", "HelperFailed", "did not answer");
        runs_end(&s);
}

static void test_a_start_fails_of_a_pool(void **state) {
        start_fails(*state, "persistent");
}

static void test_a_start_fails_at_the_host(void **state) {
        start_fails(*state, "on-claim");
}

/* It never came to the port, and so nothing is to be set back there. */
static void test_a_start_that_cannot_bind(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "on-claim", 1, 1);

        fake_host_fail(b->host, "probe " VF_ONE " EIO 1");
        bench_expect_error(START(b, s.user, "web", 0), "DriverFailed", VF_ONE);
        orders_until_group(b, &s.group, "Available", "1");
        runs_expect_unwritten(b, "vf-");
        runs_end(&s);
}

static void test_no_link_for_a_rate(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 2, 2);

        bench_expect_success(SET_CLAIM(&s, 2, "vlan", "u", 7, "max-rate", "u", 10));
        runs_set_driver(b, PF, "igb no-link");
        bench_expect_error(START(b, s.user, "web", 0), "DriverFailed", "The port has no link");
        runs_set_driver(b, PF, "igb");
        expect_undone(&s, "The port has no link");
        runs_end(&s);
}

/* What cannot be set back does not keep the VM's trust for the next. */
static void test_a_rate_stays_at_the_end(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 1, 1);
        Answer a;

        bench_expect_success(SET_CLAIM(&s, 2, "trust", "s", "on", "max-rate", "u", 10));
        a = vm_take_answer(START(b, s.user, "web", 0));
        runs_expect_function(b, VF_ONE, STATE("100", "10", "on", MAC_ONE));
        fake_host_fail(b->host, "vf-rate " PF " EIO");
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "errors");
        orders_until_device(b, VF_ONE, "State", "pool");
        runs_expect_function(b, VF_ONE, STATE("100", "10", "off", MAC_ONE));
        runs_end(&s);
}

/* Its users wait for nobody; and the next start takes another one. */
static void test_held_by_hand(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 2, 1);
        unsigned set = runs_set_of(b, VF_ONE);
        Answer a;

        fake_host_hold_vfio(b->host, set, true);
        bench_expect_error(START(b, s.user, "web", 0), "InUse", VF_ONE);
        assert_string_equal(orders_get_device(b, VF_ONE, "State"), "pool");
        assert_string_equal(orders_get_device(b, VF_ONE, "Claim"), "/");
        a = vm_take_answer(START(b, s.user, "web", 0));
        assert_true(vm_has(&a, VF_TWO));
        runs_expect_function(b, VF_TWO, STATE("100", "0", "off", MAC_ONE));
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");
        fake_host_hold_vfio(b->host, set, false);
        runs_end(&s);
}

/* The daemon has not heard of it yet, or has. */
static void test_the_grant_is_gone(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 2, 2);
        _cleanup_free_ char *grant = fake_host_read(b->host, KEPT(PF));
        sd_bus_message *reply;
        Pending *p;

        runs_hold_lock(b, true);
        p = START_LATER(b, s.user, "web", 0);
        orders_until_step(b, "sent SetVf");
        fake_host_remove(b->host, KEPT(PF));
        orders_until_device(b, PF, "VfsGranted", "false");
        runs_hold_lock(b, false);
        reply = bench_finish(b, p);
        bench_expect_error(reply, "NotGranted", "");
        orders_until_claim(b, &s.claim, "Devices", "[]");
        bench_expect_error(START(b, s.user, "web", 0), NULL, "");
        assert_string_equal(orders_get_claim(b, &s.claim, "Devices"), "[]");

        fake_host_write(b->host, KEPT(PF), "%s", grant);
        orders_until_group(b, &s.group, "Available", "2");
        bench_expect_success(SET_CLAIM(&s, 2, "vlan", "u", 7, "max-rate", "u", 10));
        bench_expect_error(START(b, s.user, "nobody", 0), NULL, "");
        runs_end(&s);
}

/* Called off, or its caller has left, while the card is at it. */
static void called_off(Bench *b, bool leaves) {
        Runs s = runs_begin(b, PF, "on-claim", 2, 2);
        sd_bus *caller = bench_connect(b, OTHER_UID);
        Pending *start, *stop = NULL;

        runs_hold_lock(b, true);
        start = START_LATER(b, caller, "web", 0);
        orders_until_step(b, "sent SetVf");
        if (leaves) {
                bench_drop(start);
                caller = bench_disconnect(caller);
        } else
                stop = bench_start(b, s.user, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "StopVm", true,
                                   "sa{sv}", "web", 0);
        (void)orders_get_manager(b, "Version");
        runs_hold_lock(b, false);
        if (!leaves) {
                bench_expect_error(bench_finish(b, start), "Cancelled", "web");
                bench_expect_success(bench_finish(b, stop));
                bench_disconnect(caller);
        }
        orders_until_claim(b, &s.claim, "Devices", "[]");
        orders_until_group(b, &s.group, "Available", "2");
        runs_expect_no_address(b, PF, 2);
        runs_end(&s);
}

static void test_a_start_is_called_off(void **state) {
        called_off(*state, false);
}

static void test_the_caller_of_a_start_leaves(void **state) {
        called_off(*state, true);
}

/* --- an end that fails --- */

static Answer start_for_end(Runs *s) {
        Answer a = vm_take_answer(START(s->b, s->user, "web", 0));

        runs_expect_function(s->b, VF_ONE, STATE("7", "10", "off", MAC_ONE));
        fake_host_clear(s->b->host);
        orders_forget_signals(s->b);
        return a;
}

/* What passes is tried again until it is done. */
static void test_the_settings_go_back_late(void **state) {
        static const char *const rules[] = {"vf-vlan " PF " EBUSY 1", "vf-mac " PF " crash 1",
                                            "vf-mac " PF " crash-after 1"};
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 1, 1);
        Answer a;

        bench_expect_success(SET_CLAIM(&s, 2, "vlan", "u", 7, "max-rate", "u", 10));
        for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
                a = start_for_end(&s);
                fake_host_fail(b->host, rules[i]);
                vm_let_go(&a);
                orders_until_claim(b, &s.claim, "Status", "idle");
                runs_expect_at_rest(b, PF, 1);
                vms_until_pooled(b, VF_ONE);
        }

        /* It is held open just then. */
        a = start_for_end(&s);
        orders_lose_answer(b, "SetVf");
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");
        runs_expect_at_rest(b, PF, 1);
        runs_end(&s);
}

/* Nobody waits for a driver that refuses: it is the next VM's, who has it set up as a whole. */
static void test_the_settings_do_not_go_back(void **state) {
        static const char *const rules[] = {"vf-vlan " PF " EIO", "vf-rate " PF " EINVAL",
                                            "vf-vlan " PF " nothing"};
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "on-claim", 1, 1);
        Path other = CLAIM_OF(b, s.user, "db", &s.group, 1, 1, "mac-addresses", "as", 1, MAC_TWO);
        Answer a, c;

        bench_expect_success(SET_CLAIM(&s, 2, "vlan", "u", 7, "max-rate", "u", 10));
        for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
                a = start_for_end(&s);
                fake_host_fail(b->host, rules[i]);
                vm_let_go(&a);
                orders_until_claim(b, &s.claim, "Devices", "[]");
                orders_until_group(b, &s.group, "Available", "1");
                assert_string_equal(orders_get_claim(b, &s.claim, "Status"), "errors");
                assert_non_null(strstr(orders_get_claim(b, &s.claim, "StatusInfo"), VF_ONE));
                assert_string_equal(fake_host_driver(b->host, VF_ONE), "");
                runs_expect_function(b, VF_ONE, STATE("7", "10", "off", MAC_ONE));

                fake_host_clear(b->host);
                c = vm_take_answer(START(b, s.user, "db", 0));
                runs_expect_function(b, VF_ONE, STATE("100", "0", "off", MAC_TWO));
                vm_let_go(&c);
                orders_until_claim(b, &other, "Status", "idle");
                runs_expect_at_rest(b, PF, 1);
        }
        runs_end(&s);
}

static bool has_two_calls(void *userdata) {
        Bench *b = userdata;
        _cleanup_free_ char *steps = fake_host_read(b->host, "fake/steps");
        const char *first = strstr(steps, "call SetVf");

        return first && strstr(first + 1, "answer SetVf");
}

/* The helper dies alone, and its worker writes later: it has the lock, and whoever comes waits for it. */
static void test_a_worker_outlives_the_helper(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 1, 1);
        Answer a;

        bench_expect_success(SET_CLAIM(&s, 2, "vlan", "u", 7, "max-rate", "u", 10));
        a = start_for_end(&s);
        fake_host_remove(b->host, "fake/steps");
        runs_hold_lock(b, true);
        vm_let_go(&a);
        orders_until_step(b, "sent SetVf");
        bench_kill_helper(b);
        orders_until_files(b, has_two_calls, b);
        assert_string_equal(orders_get_claim(b, &s.claim, "Status"), "offline");
        runs_hold_lock(b, false);
        orders_until_claim(b, &s.claim, "Status", "idle");
        runs_expect_at_rest(b, PF, 1);
        runs_end(&s);
}

/* --- settings of a group are tried --- */

static void expect_refused(Runs *s, const char *before, sd_bus_message *reply, const char *text) {
        bench_expect_error(reply, "DriverFailed", text);
        assert_string_equal(orders_get_group(s->b, &s->group, "Sriov"), before);
        assert_int_equal(orders_count_told(s->b, s->group.text, "Sriov"), 0);
        runs_expect_no_address(s->b, PF, 2);
}

static void test_settings_that_the_driver_refuses(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 2, 1);
        _cleanup_free_ char *before = strdup(orders_get_group(b, &s.group, "Sriov"));

        orders_forget_signals(b);
        expect_refused(&s, before, SET_GROUP(b, &s.group, 1, "link-state", "s", "disable"),
                       "leave it at its default");
        expect_refused(&s, before, SET_GROUP(b, &s.group, 1, "max-rate", "u", 2000), "max-rate=2000");
        expect_refused(&s, before,
                       SET_GROUP(b, &s.group, 2, "vlan", "u", 5, "vlan-protocol", "s", "802.1ad"),
                       "no such VLAN protocol");

        /* It was a try; what it is when nobody has it is as before. */
        bench_expect_success(SET_GROUP(b, &s.group, 2, "max-rate", "u", 1000, "trust", "s", "on"));
        assert_non_null(strstr(orders_get_group(b, &s.group, "Sriov"), "max-rate 1000"));
        runs_expect_function(b, VF_ONE, AT_REST);
        orders_until_device(b, VF_ONE, "VfSettings", "vlan 100");
        runs_expect_function(b, VF_TWO, ""); /* one of a card is enough */
        runs_end(&s);
}

/* One card takes them and the other does not: nothing of it stays on either. */
static void test_one_card_refuses(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, BOTH, "persistent", 2, 1);
        _cleanup_free_ char *before = strdup(orders_get_group(b, &s.group, "Sriov"));

        runs_set_driver(b, PF, "igb all");
        bench_expect_error(SET_GROUP(b, &s.group, 3, "link-state", "s", "disable", "trust", "s", "on",
                                     "vlan", "u", 9),
                           "DriverFailed", "link-state=disable cannot be set for device 0000:07:10.0");
        assert_string_equal(orders_get_group(b, &s.group, "Sriov"), before);
        assert_null(strstr(runs_function(b, VF_ONE), "trust=on"));
        assert_null(strstr(runs_function(b, VF_ONE), "link-state=disable"));
        assert_non_null(strstr(runs_function(b, VF_ONE), "vlan=100"));
        runs_set_driver(b, PF_TWO, "igb all");
        bench_expect_success(SET_GROUP(b, &s.group, 1, "link-state", "s", "disable"));
        runs_end(&s);
}

/* Whoever cannot be asked has nothing against it. */
static void test_nobody_to_ask(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 1, 1);
        Answer a = vm_take_answer(START(b, s.user, "web", 0));

        fake_host_clear(b->host);
        bench_expect_success(SET_GROUP(b, &s.group, 1, "link-state", "s", "enable"));
        runs_expect_unwritten(b, "vf-");
        runs_expect_function(b, VF_ONE, STATE("100", "0", "off", MAC_ONE));
        vm_let_go(&a);

        /* The end cannot set it, then, and the next start says so. */
        orders_until_claim(b, &s.claim, "Status", "errors");
        bench_expect_error(START(b, s.user, "web", 0), "DriverFailed", "link-state=enable cannot be set");
        fake_host_hold_vfio(b->host, runs_set_of(b, VF_ONE), true);
        bench_expect_success(SET_GROUP(b, &s.group, 1, "link-state", "s", "disable"));
        fake_host_hold_vfio(b->host, runs_set_of(b, VF_ONE), false);
        bench_expect_success(SET_GROUP(b, &s.group, 1, "link-state", "s", "auto"));
        a = vm_take_answer(START(b, s.user, "web", 0));
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");
        runs_expect_at_rest(b, PF, 1);
        runs_end(&s);
}

static Pending *update_later(Runs *s, sd_bus *from, unsigned vlan) {
        fake_host_remove(s->b->host, "fake/steps");
        return bench_start(s->b, from, BUS_NAME, s->group.text, BUS_INTERFACE_GROUP, "Update", true, "a{sv}",
                           1, "sriov", "a{sv}", 1, "vlan", "u", vlan);
}

static void until_stored(Runs *s, const char *text) {
        while (!strstr(orders_get_group(s->b, &s->group, "Sriov"), text))
                bench_until_more_signals(s->b, s->b->n_signals);
}

/* While it is tried the function is nobody's, and much can happen. */
static void test_what_happens_meanwhile(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 1, 1);
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Pending *update, *start;
        Answer a;

        /* A start waits for it. */
        runs_hold_lock(b, true);
        update = update_later(&s, admin, 5);
        orders_until_step(b, "sent SetVf");
        bench_expect_error(START(b, s.user, "web", 0), "Unavailable", "being moved");
        start = START_LATER(b, s.user, "web", 1, "wait", "u", 60);
        orders_until_claim(b, &s.claim, "Status", "waiting");
        runs_hold_lock(b, false);
        bench_expect_success(bench_finish(b, update));
        a = vm_take_answer(bench_finish(b, start));
        vm_let_go(&a);
        orders_until_claim(b, &s.claim, "Status", "idle");

        /* Who asked has left: it is done all the same. */
        runs_hold_lock(b, true);
        update = update_later(&s, admin, 6);
        orders_until_step(b, "sent SetVf");
        bench_drop(update);
        admin = bench_disconnect(admin);
        runs_hold_lock(b, false);
        until_stored(&s, "vlan 6 ");

        /* Its worker dies of it, or the helper: then nobody knows. */
        fake_host_clear(b->host);
        fake_host_fail(b->host, "vf-vlan " PF " kill-after 1");
        bench_expect_error(SET_GROUP(b, &s.group, 1, "vlan", "u", 8), "Internal", "call it again");
        runs_expect_function(b, VF_ONE, STATE("6", "0", "off", NO_MAC));
        orders_lose_answer(b, "SetVf");
        bench_expect_error(SET_GROUP(b, &s.group, 1, "vlan", "u", 8), NULL, "");
        assert_non_null(strstr(orders_get_group(b, &s.group, "Sriov"), "vlan 6 "));
        runs_expect_function(b, VF_ONE, STATE("6", "0", "off", NO_MAC));

        /* The group is deleted. */
        runs_hold_lock(b, true);
        update = update_later(&s, b->root, 7);
        orders_until_step(b, "sent SetVf");
        bench_expect_success(orders_call_claim(b, s.user, &s.claim, "Delete", ""));
        bench_expect_success(orders_call_group(b, b->root, &s.group, "Delete", ""));
        runs_hold_lock(b, false);
        bench_expect_error(bench_finish(b, update), "NoSuchObject", "nics");
        runs_end(&s);
}

static void test_the_service_stops_meanwhile(void **state) {
        Bench *b = *state;
        Runs s = runs_begin(b, PF, "persistent", 1, 1);
        Pending *update;

        runs_hold_lock(b, true);
        update = update_later(&s, b->root, 5);
        orders_until_step(b, "sent SetVf");
        bench_stop_daemon(b);
        runs_hold_lock(b, false);
        bench_drop(update);
        bench_start_daemon(b);
        assert_non_null(strstr(orders_get_group(b, &s.group, "Sriov"), "vlan 100 "));
        runs_end(&s);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sriov_setup, bench_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        CASE(test_a_start_sets_all_before_anybody_is_let_in),
                        CASE(test_two_claims_of_a_vm),
                        CASE(test_two_vms_on_one_card),
                        CASE(test_each_end),
                        CASE(test_restart_needed),
                        CASE(test_a_switch_that_is_not_ordered_any_more),
                        CASE(test_a_start_fails_of_a_pool),
                        CASE(test_a_start_fails_at_the_host),
                        CASE(test_a_start_that_cannot_bind),
                        CASE(test_no_link_for_a_rate),
                        CASE(test_a_rate_stays_at_the_end),
                        CASE(test_held_by_hand),
                        CASE(test_the_grant_is_gone),
                        CASE(test_a_start_is_called_off),
                        CASE(test_the_caller_of_a_start_leaves),
                        CASE(test_the_settings_go_back_late),
                        CASE(test_the_settings_do_not_go_back),
                        CASE(test_a_worker_outlives_the_helper),
                        CASE(test_settings_that_the_driver_refuses),
                        CASE(test_one_card_refuses),
                        CASE(test_nobody_to_ask),
                        CASE(test_what_happens_meanwhile),
                        CASE(test_the_service_stops_meanwhile),
        };

        return suite_run("bus-sriov-runs", "runs its parts under several users", tests);
}
