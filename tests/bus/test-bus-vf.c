/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetVf over the wire, on the fake card. */

#include "bench.h"
#include "suite.h"
#include "vf-card.h"

static int setup(void **state) {
        Bench *b;

        (void)bench_setup(state);
        b = *state;
        card_add(b->host);
        return 0;
}

static sd_bus_message *set_vf(Bench *b, sd_bus *from, const char *first, const char *second) {
        return bench_call_helper(b, from, "SetVf", "sas", CARD_VF1, 2, first, second);
}

static void expect_state(Bench *b, const char *expected) {
        _cleanup_free_ char *text = fake_host_read(b->host, CARD_STATE);

        assert_string_equal(strempty(text), expected);
}

static void test_story(void **state) {
        Bench *b = *state;

        bench_expect_success(set_vf(b, b->root, "mac=02:00:00:00:00:07", "vlan=100"));
        expect_state(b, "1: vlan=100 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                        "spoof-checking=on trust=off mac=02:00:00:00:00:07\n");
        bench_expect_error(set_vf(b, b->root, "vlan=5", "link-state=enable"), "DriverFailed",
                           "link-state=enable cannot be set for device " CARD_VF1);
        expect_state(b, "1: vlan=100 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                        "spoof-checking=on trust=off mac=02:00:00:00:00:07\n");
        bench_expect_success(set_vf(b, b->root, "mac=00:00:00:00:00:00", "vlan=0"));
        bench_expect_success(bench_call_helper(b, b->root, "SetVf", "sas", CARD_VF0, 0));
        expect_state(b, "");
        assert_int_equal(b->n_asked, 0);
}

static void test_bad_arguments(void **state) {
        Bench *b = *state;

        bench_expect_error(set_vf(b, b->root, "vlan=5", "vlan=6"), "InvalidArgument", "given twice");
        bench_expect_error(set_vf(b, b->root, "vlan=5", "vlan-qos=8"), "InvalidArgument", "0 to 7");
        bench_expect_error(set_vf(b, b->root, "vlan=5", "speed"), "InvalidArgument", "no setting");
        bench_expect_error(set_vf(b, b->root, "vlan=5", "mac=01:00:00:00:00:00"), "InvalidArgument", "mac");
        bench_expect_error(bench_call_helper(b, b->root, "SetVf", "ss", CARD_VF1, "vlan=5"), NULL, "");
        bench_expect_error(bench_call_helper(b, b->root, "SetVf", "sas", "enp6s0", 0), "InvalidArgument",
                           "is not a PCI address");
        expect_state(b, "");
}

/* Nobody but the daemon and root, and the daemon only as far as the consent goes. */
static void test_who_may(void **state) {
        Bench *b = *state;
        sd_bus *stranger = bench_connect(b, OTHER_UID), *daemon = bench_connect_as_daemon(b);

        bench_expect_error(set_vf(b, stranger, "vlan=5", "trust=on"), NULL, "");
        bench_expect_success(set_vf(b, daemon, "vlan=5", "trust=on"));
        fake_host_remove(b->host, CARD_GRANT);
        bench_expect_error(set_vf(b, daemon, "vlan=6", "trust=off"), "NotGranted", CARD);
        expect_state(b, "1: vlan=5 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                        "spoof-checking=on trust=on mac=00:00:00:00:00:00\n");
        stranger = bench_disconnect(stranger);
        daemon = bench_disconnect(daemon);
}

/* Half is written then; who asks again has it all. */
static void test_a_helper_that_dies(void **state) {
        static const char *const rules[] = {"vf-vlan * crash 1", "vf-vlan * crash-after 1",
                                            "vf-mac * crash 1", "vf-mac * crash-after 1"};
        Bench *b = *state;

        for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
                fake_host_clear(b->host);
                fake_host_fail(b->host, rules[i]);
                bench_expect_error(set_vf(b, b->root, "mac=02:00:00:00:00:07", "vlan=100"), NULL, "");
                fake_host_clear(b->host);
                bench_expect_success(set_vf(b, b->root, "mac=02:00:00:00:00:07", "vlan=100"));
                expect_state(b, "1: vlan=100 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 "
                                "link-state=auto spoof-checking=on trust=off mac=02:00:00:00:00:07\n");
                bench_expect_success(set_vf(b, b->root, "mac=00:00:00:00:00:00", "vlan=0"));
        }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_story),
                        CASE(test_bad_arguments),
                        CASE(test_who_may),
                        CASE(test_a_helper_that_dies),
        };

        return suite_run("bus-vf", "runs its parts under several users", tests);
}
