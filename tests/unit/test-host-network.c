/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "host-network.h"
#include "suite.h"
#include "sysfs.h"

/* The kernel's own answers, in a network namespace of our own for each case; and what sysfs makes of it. */

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

static int collect_interface(const char *interface, void *userdata) {
        Seen *s = userdata;
        size_t n = strlen(s->text);

        (void)snprintf(s->text + n, sizeof s->text - n, "%s ", interface);
        return 0;
}

static bool try_ip(const char *arguments) {
        char command[256];

        (void)snprintf(command, sizeof command, IP_PROGRAM " %s", arguments);
        return system(command) == 0;
}

static void ip(const char *arguments) {
        if (!try_ip(arguments))
                fail_msg("ip %s", arguments);
}

/* Not every kernel was built with every kind. */
static bool has(const char *arguments) {
        bool yes = try_ip(arguments);

        if (!yes)
                print_message("# this kernel has no such interface: %s\n", arguments);
        return yes;
}

static void set(const char *path, const char *value) {
        _cleanup_close_ int fd = -1;

        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, value, strlen(value)), strlen(value));
}

static int setup(void **state _unused_) {
        if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
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

static void expect_way(const char *address, const char *expected) {
        Seen s = {""};

        assert_int_equal(host_network_route(address, collect_interface, &s), 0);
        assert_string_equal(s.text, expected);
}

/* In any order: the kernel begins with the one that it would take itself. */
static void expect_both_ways(const char *address) {
        Seen s = {""};

        assert_int_equal(host_network_route(address, collect_interface, &s), 0);
        if (!streq(s.text, "v0 v1 "))
                assert_string_equal(s.text, "v1 v0 ");
}

static void expect_no_way(const char *address, int error) {
        Seen s = {""};

        assert_int_equal(host_network_route(address, collect_interface, &s), error);
        assert_string_equal(s.text, "");
}

/* Each link that is up has a link-local IPv6 address, and a loopback its own: nobody would miss those. */
static void test_harmless_idle_link(void **state _unused_) {
        expect("");
}

static void test_harmless_bridge_without_members(void **state _unused_) {
        ip("link add br0 type bridge");
        ip("link set br0 up");
        expect("");
}

static void test_refused_addresses(void **state _unused_) {
        ip("addr add 192.0.2.7/24 dev v0");
        expect("v0 address 192.0.2.7\n");
        ip("addr add 2001:db8::7/64 dev v1 nodad");
        expect("v0 address 192.0.2.7\nv1 address 2001:db8::7\n");
}

/* Of an address with a label libc says that its interface is "v0:1". */
static void test_refused_address_with_a_label(void **state _unused_) {
        ip("addr add 192.0.2.7/24 dev v0 label v0:1");
        expect("v0 address 192.0.2.7\n");
}

static void test_refused_default_routes(void **state _unused_) {
        ip("route add 198.51.100.0/24 dev v0");
        expect("");
        ip("route add default dev v0");
        expect("v0 default-route IPv4\n");
        ip("-6 route add default dev v1");
        expect("v0 default-route IPv4\nv1 default-route IPv6\n");
}

static void test_refused_default_route_in_another_table(void **state _unused_) {
        ip("route add default dev v1 table 42");
        ip("rule add from 192.0.2.7 table 42");
        expect("v1 default-route IPv4\n");
}

static void test_refused_default_route_over_two_links(void **state _unused_) {
        ip("route add default nexthop dev v0 nexthop dev v1");
        expect("v0 default-route IPv4\nv1 default-route IPv4\n");
}

static void test_refused_default_route_over_two_links_of_ipv6(void **state _unused_) {
        ip("-6 route add default nexthop via fe80::1 dev v0 nexthop via fe80::1 dev v1");
        expect("v0 default-route IPv6\nv1 default-route IPv6\n");
}

/* As OpenVPN and WireGuard do, to leave the true one where it is. */
static void test_refused_halves_of_a_default_route(void **state _unused_) {
        ip("route add 0.0.0.0/1 dev v0");
        ip("route add 128.0.0.0/1 dev v0");
        expect("v0 default-route IPv4\nv0 default-route IPv4\n");
        ip("-6 route add 2000::/3 dev v1");
        expect("v0 default-route IPv4\nv0 default-route IPv4\nv1 default-route IPv6\n");
}

/* With either mode: by default the kernel names the interfaces beside the object, else the object alone. */
static void test_refused_default_route_over_nexthop_objects(void **state _unused_) {
        ip("nexthop add id 1 dev v0");
        ip("nexthop add id 2 dev v1");
        ip("nexthop add id 10 group 1/2");
        ip("route add default nhid 10");
        expect("v0 default-route IPv4\nv1 default-route IPv4\n");
        set("/proc/sys/net/ipv4/nexthop_compat_mode", "0");
        expect("v0 default-route IPv4\nv1 default-route IPv4\n");

        ip("route replace default nhid 2");
        expect("v1 default-route IPv4\n");
        ip("-6 nexthop add id 3 dev v0");
        ip("-6 route add default nhid 3");
        expect("v1 default-route IPv4\nv0 default-route IPv6\n");
}

static void test_harmless_nexthop_to_nowhere(void **state _unused_) {
        ip("nexthop add id 1 blackhole");
        ip("route add default nhid 1");
        expect("");
        set("/proc/sys/net/ipv4/nexthop_compat_mode", "0");
        expect("");
}

static void test_harmless_routes_to_nowhere(void **state _unused_) {
        ip("route add unreachable default");
        ip("route add blackhole default table 42");
        ip("route add prohibit default table 43");
        ip("-6 route add unreachable default metric 4096");
        ip("-6 route add blackhole default table 42");
        /* As transparent proxies have it. */
        ip("route add local default dev lo table 100");
        expect("");
}

static void test_harmless_large_networks(void **state _unused_) {
        ip("route add 10.0.0.0/8 dev v0");
        ip("route add 64.0.0.0/2 dev v0");
        ip("-6 route add fc00::/7 dev v0");
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

/* What the walker of sysfs builds upon: the kernel links both ways, and names a master. */
static void expect_links(const char *upper, const char *lower, bool master) {
        char path[128], name[64];

        (void)snprintf(path, sizeof path, "/sys/class/net/%s/lower_%s", upper, lower);
        assert_true(sysfs_read_link_name(AT_FDCWD, path, name, sizeof name) > 0);
        assert_string_equal(name, lower);
        (void)snprintf(path, sizeof path, "/sys/class/net/%s/upper_%s", lower, upper);
        assert_true(sysfs_read_link_name(AT_FDCWD, path, name, sizeof name) > 0);
        assert_string_equal(name, upper);
        (void)snprintf(path, sizeof path, "/sys/class/net/%s/master", lower);
        assert_int_equal(sysfs_read_link_name(AT_FDCWD, path, name, sizeof name) > 0, master);
}

static void test_links_of_a_bridge(void **state _unused_) {
        ip("link add br0 type bridge");
        ip("link set v0 master br0");
        expect_links("br0", "v0", true);
        assert_int_equal(access("/sys/class/net/br0/bridge", F_OK), 0);
        ip("addr add 192.0.2.7/24 dev br0");
        ip("link set br0 up");
        ip("route add default via 192.0.2.1");
        expect("br0 address 192.0.2.7\nbr0 default-route IPv4\n");
}

static void test_links_of_a_bond(void **state _unused_) {
        if (!has("link add bond7 type bond"))
                return;
        ip("link set v0 down");
        ip("link set v0 master bond7");
        expect_links("bond7", "v0", true);
        assert_int_equal(access("/sys/class/net/bond7/bonding", F_OK), 0);
}

static void test_links_of_a_team(void **state _unused_) {
        if (!has("link add team0 type team"))
                return;
        ip("link set v0 down");
        ip("link set v0 master team0");
        expect_links("team0", "v0", true);
}

static void test_links_of_a_vrf(void **state _unused_) {
        if (!has("link add vrf-blue type vrf table 10"))
                return;
        ip("link set vrf-blue up");
        ip("link set v0 master vrf-blue");
        expect_links("vrf-blue", "v0", true);
        ip("route add default dev v0 vrf vrf-blue");
        expect("v0 default-route IPv4\n");
}

static void test_links_of_a_vlan(void **state _unused_) {
        if (!has("link add link v0 name v0.5 type vlan id 5"))
                return;
        expect_links("v0.5", "v0", false);
        ip("addr add 192.0.2.7/24 dev v0.5");
        expect("v0.5 address 192.0.2.7\n");
}

static void test_links_of_a_macvlan(void **state _unused_) {
        if (!has("link add link v0 name m0 type macvlan"))
                return;
        expect_links("m0", "v0", false);
}

static void test_links_of_an_ipvlan(void **state _unused_) {
        if (!has("link add link v0 name i0 type ipvlan"))
                return;
        expect_links("i0", "v0", false);
}

/* Lines that the host's view has of those that listen to "all hosts" on v0. */
static unsigned listeners(void) {
        _cleanup_free_ char *text = NULL;
        char *save = NULL, interface[16], address[16];
        unsigned users;

        assert_int_equal(sysfs_read_full(AT_FDCWD, "/proc/net/dev_mcast", 65536, &text), 0);
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                if (sscanf(line, "%*u %15s %u %*u %15s", interface, &users, address) == 3 &&
                    streq(interface, "v0") && streq(address, "01005e000001"))
                        return users;
        return 0;
}

/* A process with a network namespace of its own, in which it runs these when it is told to, and then perhaps connects
 * to the host. */
static pid_t start_container(int control, const char *const *commands, uint16_t port) {
        struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = -1;
        pid_t pid;
        char c;

        pid = fork();
        if (pid != 0)
                return pid;
        if (unshare(CLONE_NEWNET) < 0 || write(control, "", 1) != 1 || read(control, &c, 1) != 1)
                _exit(1);
        for (; *commands; commands++)
                if (!try_ip(*commands))
                        _exit(1);
        if (port > 0) {
                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (inet_pton(AF_INET, "192.0.2.7", &host.sin_addr) != 1 ||
                    connect(fd, (struct sockaddr *)&host, sizeof host) < 0)
                        _exit(1);
        }
        if (write(control, "", 1) != 1 || read(control, &c, 1) != 1)
                _exit(1);
        _exit(0);
}

static void test_listener_in_another_namespace(void **state _unused_) {
        static const char *const commands[] = {"link set m0 up", NULL};
        int sockets[2], status;
        char command[64], c;
        pid_t pid;

        if (!has("link add link v0 name m0 type macvlan"))
                return;
        assert_int_equal(listeners(), 1);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
        pid = start_container(sockets[1], commands, 0);
        assert_true(pid > 0);
        close(sockets[1]);
        assert_int_equal(read(sockets[0], &c, 1), 1);
        (void)snprintf(command, sizeof command, "link set m0 netns %d", (int)pid);
        ip(command);
        assert_int_equal(write(sockets[0], "", 1), 1);
        assert_int_equal(read(sockets[0], &c, 1), 1);
        assert_int_equal(access("/sys/class/net/v0/upper_m0", F_OK), -1);
        assert_int_equal(listeners(), 2);

        assert_int_equal(write(sockets[0], "", 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(sockets[0]);
}

static void test_the_way_to_a_peer(void **state _unused_) {
        ip("addr add 192.0.2.7/24 dev v0");
        ip("addr add 2001:db8::7/64 dev v1 nodad");
        expect_way("192.0.2.9", "v0 ");
        expect_way("::ffff:192.0.2.9", "v0 ");
        expect_way("2001:db8::9", "v1 ");
        expect_no_way("198.51.100.9", -ENETUNREACH);
        ip("route add default via 192.0.2.1");
        expect_way("198.51.100.9", "v0 ");
        ip("route add 198.51.100.0/24 dev v1");
        expect_way("198.51.100.9", "v1 ");
}

static void test_the_way_to_a_link_local_peer(void **state _unused_) {
        char address[64];

        expect_way("fe80::9%v1", "v1 ");
        (void)snprintf(address, sizeof address, "fe80::9%%%u", if_nametoindex("v0"));
        expect_way(address, "v0 ");
        expect_no_way("fe80::9", -EINVAL);
        expect_no_way("fe80::9%nowhere", -EINVAL);
        expect_no_way("fe80::9%4294967295", -EINVAL);
}

/* A server of IPv4 alone, or of both, whose peer is then ::ffff:192.0.2.9. */
static int listen_on(int family, uint16_t *ret_port) {
        struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
        struct sockaddr_in6 a;
        socklen_t size = sizeof a;
        int fd;

        fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&any,
                              family == AF_INET ? sizeof(struct sockaddr_in) : sizeof a),
                         0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
        *ret_port = ntohs(a.sin6_port); /* where IPv4 has it, too */
        return fd;
}

/* By a rule for what comes from 192.0.2.7, as of hosts with two providers, the answers leave through w0. */
static void check_connection(int family) {
        static const char *const commands[] = {"link set v1 up", "addr add 192.0.2.9/24 dev v1", NULL};
        int sockets[2], status, server, connection;
        char command[64], c;
        uint16_t port;
        pid_t pid;

        ip("addr add 192.0.2.7/24 dev v0");
        server = listen_on(family, &port);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
        pid = start_container(sockets[1], commands, port);
        assert_true(pid > 0);
        close(sockets[1]);
        assert_int_equal(read(sockets[0], &c, 1), 1);
        (void)snprintf(command, sizeof command, "link set v1 netns %d", (int)pid);
        ip(command);
        assert_int_equal(write(sockets[0], "", 1), 1);
        assert_int_equal(read(sockets[0], &c, 1), 1);
        connection = accept(server, NULL, NULL);
        assert_true(connection >= 0);

        expect_way("192.0.2.9", "v0 v0 ");
        ip("link add w0 type veth peer name w1");
        ip("link set w0 up");
        ip("route add 192.0.2.0/24 dev w0 table 42");
        ip("rule add from 192.0.2.7 table 42");
        expect_way("192.0.2.9", "v0 w0 ");
        expect_way("192.0.2.10", "v0 "); /* who has no connection */

        assert_int_equal(write(sockets[0], "", 1), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(connection);
        close(server);
        close(sockets[0]);
}

static void test_the_way_of_a_connection(void **state _unused_) {
        check_connection(AF_INET);
}

static void test_the_way_of_a_connection_to_a_server_of_both(void **state _unused_) {
        check_connection(AF_INET6);
}

/* All of them: which one a connection takes is decided by its ports. */
static void test_the_way_over_two_links(void **state _unused_) {
        ip("route add 198.51.100.0/24 nexthop dev v0 nexthop dev v1");
        expect_both_ways("198.51.100.9");
        ip("-6 route add 2001:db8:1::/48 nexthop via fe80::1 dev v0 nexthop via fe80::1 dev v1");
        expect_both_ways("2001:db8:1::9");
}

static void test_the_way_over_a_nexthop_object(void **state _unused_) {
        set("/proc/sys/net/ipv4/nexthop_compat_mode", "0");
        ip("nexthop add id 1 dev v0");
        ip("nexthop add id 2 dev v1");
        ip("nexthop add id 10 group 1/2");
        ip("route add 198.51.100.0/24 nhid 10");
        expect_both_ways("198.51.100.9");
}

static void test_the_way_by_a_rule(void **state _unused_) {
        ip("route add 198.51.100.0/24 dev v0");
        ip("route add default dev v1 table 42");
        ip("rule add to 198.51.100.0/25 table 42");
        expect_way("198.51.100.9", "v1 ");
        expect_way("198.51.100.200", "v0 ");
}

static void test_the_way_to_oneself(void **state _unused_) {
        ip("addr add 192.0.2.7/24 dev v0");
        expect_way("192.0.2.7", "");
        expect_way("127.0.0.1", "");
        expect_way("::1", "");
}

static void test_no_way(void **state _unused_) {
        static const char *const types[] = {"unreachable", "blackhole", "prohibit", "throw"};
        char command[64];

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                (void)snprintf(command, sizeof command, "route replace %s 198.51.100.0/24", types[i]);
                ip(command);
                expect_no_way("198.51.100.9", -ENETUNREACH);
                (void)snprintf(command, sizeof command, "-6 route replace %s 2001:db8:1::/48", types[i]);
                ip(command);
                expect_no_way("2001:db8:1::9", -ENETUNREACH);
        }
}

static void test_what_is_no_address(void **state _unused_) {
        static const char *const texts[] = {
                        "",        "laptop.example.org", "0.0.0.0",         "::",
                        "192.0.2", "192.0.2.9:22",       "192.0.2.9%",      "192.0.2.9%../../../etc",
                        "%v0",     "::ffff:0.0.0.0%",    "fe80::9%999999x", "2001:db8::9%",
        };
        char longest[4096];

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                expect_no_way(texts[i], -EINVAL);
        memset(longest, '1', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        expect_no_way(longest, -EINVAL);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup(name, setup)
        const struct CMUnitTest tests[] = {
                        CASE(test_harmless_idle_link),
                        CASE(test_harmless_bridge_without_members),
                        CASE(test_refused_addresses),
                        CASE(test_refused_address_with_a_label),
                        CASE(test_refused_default_routes),
                        CASE(test_refused_default_route_in_another_table),
                        CASE(test_refused_default_route_over_two_links),
                        CASE(test_refused_default_route_over_two_links_of_ipv6),
                        CASE(test_refused_halves_of_a_default_route),
                        CASE(test_refused_default_route_over_nexthop_objects),
                        CASE(test_harmless_nexthop_to_nowhere),
                        CASE(test_harmless_routes_to_nowhere),
                        CASE(test_harmless_large_networks),
                        CASE(test_the_first_refusal_ends_it),
                        CASE(test_links_of_a_bridge),
                        CASE(test_links_of_a_bond),
                        CASE(test_links_of_a_team),
                        CASE(test_links_of_a_vrf),
                        CASE(test_links_of_a_vlan),
                        CASE(test_links_of_a_macvlan),
                        CASE(test_links_of_an_ipvlan),
                        CASE(test_listener_in_another_namespace),
                        CASE(test_the_way_to_a_peer),
                        CASE(test_the_way_to_a_link_local_peer),
                        CASE(test_the_way_of_a_connection),
                        CASE(test_the_way_of_a_connection_to_a_server_of_both),
                        CASE(test_the_way_over_two_links),
                        CASE(test_the_way_over_a_nexthop_object),
                        CASE(test_the_way_by_a_rule),
                        CASE(test_the_way_to_oneself),
                        CASE(test_no_way),
                        CASE(test_what_is_no_address),
        };

        return suite_run("host-network", "makes network namespaces", tests);
}
