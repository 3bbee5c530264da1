/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sched.h>

#include "host-network.h"
#include "suite.h"

/* The kernel's own answers, in a network namespace of our own for each case. */

typedef struct Seen {
        char text[1024]; /* "v0 address 192.0.2.7\n", in the order of the kernel */
} Seen;

static int collect(const char *interface, NetworkUse use, const char *text, void *userdata) {
        Seen *s = userdata;
        size_t n = strlen(s->text);

        (void)snprintf(s->text + n, sizeof s->text - n, "%s %s %s\n", interface,
                       use == NETWORK_ADDRESS ? "address" : "default-route", text);
        return 0;
}

static void ip(const char *arguments) {
        char command[256];

        (void)snprintf(command, sizeof command, IP_PROGRAM " %s", arguments);
        if (system(command) != 0)
                fail_msg("%s", command);
}

static int setup(void **state _unused_) {
        if (unshare(CLONE_NEWNET) < 0)
                return -1;
        ip("link set lo up");
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        ip("link set v1 up");
        return 0;
}

static void expect(const char *expected) {
        Seen s = {""};

        assert_int_equal(host_network_each(collect, &s), 0);
        assert_string_equal(s.text, expected);
}

/* Each link that is up has a link-local IPv6 address, and a loopback its own: nobody would miss those. */
static void test_wolf_an_idle_link_is_not_in_use(void **state _unused_) {
        expect("");
}

static void test_addresses(void **state _unused_) {
        ip("addr add 192.0.2.7/24 dev v0");
        expect("v0 address 192.0.2.7\n");
        ip("addr add 2001:db8::7/64 dev v1 nodad");
        expect("v0 address 192.0.2.7\nv1 address 2001:db8::7\n");
}

/* Of an address with a label libc says that its interface is "v0:1". */
static void test_an_address_with_a_label(void **state _unused_) {
        ip("addr add 192.0.2.7/24 dev v0 label v0:1");
        expect("v0 address 192.0.2.7\n");
}

static void test_default_routes(void **state _unused_) {
        ip("route add 198.51.100.0/24 dev v0");
        expect("");
        ip("route add default dev v0");
        expect("v0 default-route IPv4\n");
        ip("-6 route add default dev v1");
        expect("v0 default-route IPv4\nv1 default-route IPv6\n");
}

static void test_a_default_route_in_another_table(void **state _unused_) {
        ip("route add default dev v1 table 42");
        expect("v1 default-route IPv4\n");
}

static void test_a_default_route_over_two_links(void **state _unused_) {
        ip("route add default nexthop dev v0 nexthop dev v1");
        expect("v0 default-route IPv4\nv1 default-route IPv4\n");
}

static void test_a_route_to_nowhere(void **state _unused_) {
        ip("route add unreachable default");
        expect("");
}

static int stop(const char *interface _unused_, NetworkUse use _unused_, const char *text _unused_,
                void *userdata) {
        unsigned *n = userdata;

        (*n)++;
        return -E2BIG;
}

static void test_the_first_refusal_ends_it(void **state _unused_) {
        unsigned n = 0;

        ip("addr add 192.0.2.7/24 dev v0");
        ip("route add default dev v0");
        assert_int_equal(host_network_each(stop, &n), -E2BIG);
        assert_int_equal(n, 1);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup(name, setup)
        const struct CMUnitTest tests[] = {
                        CASE(test_wolf_an_idle_link_is_not_in_use),
                        CASE(test_addresses),
                        CASE(test_an_address_with_a_label),
                        CASE(test_default_routes),
                        CASE(test_a_default_route_in_another_table),
                        CASE(test_a_default_route_over_two_links),
                        CASE(test_a_route_to_nowhere),
                        CASE(test_the_first_refusal_ends_it),
        };

        return suite_run("host-network", "makes network namespaces", tests);
}
