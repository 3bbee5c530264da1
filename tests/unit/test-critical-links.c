/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host uses of its network cards, and what not: each layout of interfaces as sysfs shows it. */

#include <arpa/inet.h>

#include "../../common/host-facts.h"
#include "critical-fixture.h"
#include "suite.h"

#define FIRST "0000:00:02.0"
#define SECOND "0000:00:03.0"
#define THIRD "0000:00:04.0"
#define FIRST_PATH "devices/pci0000:00/" FIRST
#define SECOND_PATH "devices/pci0000:00/" SECOND
#define THIRD_PATH "devices/pci0000:00/" THIRD

static void add_card(FakeHost *h, const char *address, uint32_t class_code, const char *driver) {
        static unsigned set = 20;

        fake_host_add_device(h, &(FakeDevice){.address = address,
                                              .class_code = class_code,
                                              .driver = driver,
                                              .iommu_set = set++});
}

static void add_virtual(FakeHost *h, const char *name, const char *kind) {
        char path[128];

        (void)snprintf(path, sizeof path, "devices/virtual/net/%s", name);
        fake_host_add_net(h, path);
        if (!kind)
                return;
        (void)snprintf(path, sizeof path, "sys/devices/virtual/net/%s/%s", name, kind);
        fake_host_mkdir(h, path);
}

/* Three cards with a port each, and nothing configured on them. */
static int setup(void **state) {
        FakeHost *h;

        *state = h = fake_host_new();
        add_card(h, FIRST, 0x020000, "e1000e");
        add_card(h, SECOND, 0x020000, "e1000e");
        add_card(h, THIRD, 0x020000, "e1000e");
        fake_host_add_net(h, FIRST_PATH "/net/eth0");
        fake_host_add_net(h, SECOND_PATH "/net/eth1");
        fake_host_add_net(h, THIRD_PATH "/net/eth2");
        fake_host_add_net(h, "devices/virtual/net/lo");
        fake_host_write(h, "sys/class/net/bonding_masters", "bond0\n");
        fake_host_write(h, "etc/passwd",
                        "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n");
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static bool is_unwatched(FakeHost *h) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;

        assert_int_equal(host_facts_load(h->fd, &facts), 0);
        return host_facts_are_unwatched(facts);
}

/* What each card below one that has the host's address gets. */
#define BELOW (BIT(ADDRESS) | BIT(BRIDGE_OR_BOND_MEMBER))

static void test_refused_address(void **state) {
        FakeHost *h = *state;

        fake_host_add_network_address(h, "eth0", "192.0.2.7");
        fake_host_add_network_address(h, "eth1", "2001:db8::7");
        expect(h, FIRST, BIT(ADDRESS));
        expect(h, SECOND, BIT(ADDRESS));
        expect(h, THIRD, 0);
        expect_sentence(h, FIRST, CRITICAL_ADDRESS,
                        "network interface eth0 has the host's address 192.0.2.7;");
        expect_sentence(h, SECOND, CRITICAL_ADDRESS,
                        "network interface eth1 has the host's address 2001:db8::7;");
}

static void test_refused_default_route(void **state) {
        FakeHost *h = *state;

        fake_host_add_default_route(h, "eth0", "IPv4");
        fake_host_add_default_route(h, "eth1", "IPv6");
        expect(h, FIRST, BIT(DEFAULT_ROUTE));
        expect(h, SECOND, BIT(DEFAULT_ROUTE));
        expect(h, THIRD, 0);
        expect_sentence(h, FIRST, CRITICAL_DEFAULT_ROUTE,
                        "network interface eth0 carries the IPv4 default route;");
}

static void test_refused_bond_with_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "bond0", "bonding");
        fake_host_add_port(h, "bond0", "eth0");
        fake_host_add_port(h, "bond0", "eth1");
        fake_host_add_network_address(h, "bond0", "192.0.2.7");
        expect(h, FIRST, BELOW);
        expect(h, SECOND, BELOW);
        expect(h, THIRD, 0);
        expect_sentence(h, SECOND, CRITICAL_ADDRESS,
                        "bond bond0 has the host's address 192.0.2.7 by way of eth1;");
        expect_sentence(h, SECOND, CRITICAL_BRIDGE_OR_BOND_MEMBER,
                        "network interface eth1 is a part of bond bond0;");
}

/* sysfs tells a team, a VRF and Open vSwitch from a bridge by nothing but the name. */
static void test_refused_team_with_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "team0", NULL);
        fake_host_add_port(h, "team0", "eth0");
        fake_host_add_port(h, "team0", "eth1");
        fake_host_add_network_address(h, "team0", "192.0.2.7");
        expect(h, FIRST, BELOW);
        expect(h, SECOND, BELOW);
        expect(h, THIRD, 0);
        expect_sentence(h, FIRST, CRITICAL_BRIDGE_OR_BOND_MEMBER, "eth0 is a part of team0;");
}

static void test_refused_bridge_with_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "br0", "bridge");
        add_virtual(h, "tap0", "tun_flags");
        fake_host_add_port(h, "br0", "tap0");
        fake_host_add_port(h, "br0", "eth0");
        fake_host_add_network_address(h, "br0", "192.0.2.7");
        expect(h, FIRST, BELOW);
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_ADDRESS,
                        "bridge br0 has the host's address 192.0.2.7 by way of eth0;");
}

static void test_refused_vlan_with_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "eth0.42", NULL);
        fake_host_add_lower(h, "eth0.42", "eth0");
        fake_host_add_network_address(h, "eth0.42", "2001:db8::7");
        expect(h, FIRST, BELOW);
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_ADDRESS,
                        "network interface eth0.42 has the host's address 2001:db8::7 by way of eth0;");
        expect_sentence(h, FIRST, CRITICAL_BRIDGE_OR_BOND_MEMBER, "eth0 is used by eth0.42 on top of it;");
}

static void test_refused_macvlan_with_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "macvlan0", NULL);
        fake_host_add_lower(h, "macvlan0", "eth0");
        fake_host_add_network_address(h, "macvlan0", "192.0.2.7");
        expect(h, FIRST, BELOW);
        expect(h, SECOND, 0);
}

static void test_refused_vrf_with_a_default_route(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "vrf-blue", NULL);
        fake_host_add_port(h, "vrf-blue", "eth0");
        fake_host_add_network_address(h, "eth0", "192.0.2.7");
        fake_host_add_default_route(h, "vrf-blue", "IPv4");
        expect(h, FIRST, BELOW | BIT(DEFAULT_ROUTE));
        expect(h, SECOND, 0);
}

/* A VLAN on a bridge on a bond of two cards: as many hypervisors are built. */
static void test_refused_vlan_on_bridge_on_bond(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "bond0", "bonding");
        add_virtual(h, "br0", "bridge");
        add_virtual(h, "br0.5", NULL);
        fake_host_add_port(h, "bond0", "eth0");
        fake_host_add_port(h, "bond0", "eth1");
        fake_host_add_port(h, "br0", "bond0");
        fake_host_add_lower(h, "br0.5", "br0");
        fake_host_add_network_address(h, "br0.5", "192.0.2.7");
        fake_host_add_default_route(h, "br0.5", "IPv4");
        expect(h, FIRST, BELOW | BIT(DEFAULT_ROUTE));
        expect(h, SECOND, BELOW | BIT(DEFAULT_ROUTE));
        expect(h, THIRD, 0);
        expect_sentence(h, SECOND, CRITICAL_ADDRESS,
                        "network interface br0.5 has the host's address 192.0.2.7 by way of bridge br0, "
                        "bond "
                        "bond0 and eth1;");
}

/* The longest sentence that is not cut; deeper, the interfaces next to the card are named. */
static void test_refused_deep_stack(void **state) {
        FakeHost *h = *state;
        char upper[16], lower[16] = "eth0";

        for (unsigned i = 0; i < 7; i++) {
                (void)snprintf(upper, sizeof upper, "level%u-of-stack", i);
                add_virtual(h, upper, NULL);
                fake_host_add_lower(h, upper, lower);
                strcpy(lower, upper);
        }
        fake_host_add_network_address(h, upper, "2001:db8:1111:2222:3333:4444:5555:6666");
        expect(h, FIRST, BELOW);
        expect_sentence(h, FIRST, CRITICAL_ADDRESS,
                        "level6-of-stack has the host's address 2001:db8:1111:2222:3333:4444:5555:6666 by "
                        "way of "
                        "level1-of-stack, level0-of-stack and eth0;");
}

/* In Open vSwitch sysfs links the cards to the datapath, not to the interface that has the address. */
static void test_refused_open_vswitch(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "ovs-system", NULL);
        add_virtual(h, "br-ex", NULL);
        fake_host_add_port(h, "ovs-system", "eth0");
        fake_host_add_network_address(h, "br-ex", "192.0.2.7");
        expect(h, FIRST, BELOW);
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_ADDRESS, "by way of ovs-system and eth0;");
        expect_sentence(h, FIRST, CRITICAL_BRIDGE_OR_BOND_MEMBER, "eth0 is a part of ovs-system;");
}

static void test_refused_vlan_on_open_vswitch(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "ovs-system", NULL);
        add_virtual(h, "br-ex", NULL);
        add_virtual(h, "br-ex.7", NULL);
        fake_host_add_port(h, "ovs-system", "eth1");
        fake_host_add_lower(h, "br-ex.7", "br-ex");
        fake_host_add_default_route(h, "br-ex.7", "IPv4");
        expect(h, SECOND, BIT(DEFAULT_ROUTE) | BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, FIRST, 0);
}

/* What has no address carries something all the same: virtual machines and containers, mostly. */
static void test_refused_port_of_a_bridge_without_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "br0", "bridge");
        fake_host_add_port(h, "br0", "eth0");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_BRIDGE_OR_BOND_MEMBER,
                        "network interface eth0 is a part of bridge br0;");
}

static void test_refused_macvtap_without_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "macvtap0", NULL);
        fake_host_add_lower(h, "macvtap0", "eth0");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, 0);
}

static void test_refused_vrf_member_without_an_address(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "vrf-blue", NULL);
        fake_host_add_port(h, "vrf-blue", "eth0");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
}

static void test_refused_vlan_in_a_bridge(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "br5", "bridge");
        add_virtual(h, "eth0.5", NULL);
        fake_host_add_lower(h, "eth0.5", "eth0");
        fake_host_add_port(h, "br5", "eth0.5");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, 0);
}

static void test_refused_pppoe(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "ppp0", NULL);
        fake_host_write(h, "proc/net/pppoe",
                        "Id       Address              Device\n"
                        "0000002A 52:54:00:12:34:56     eth0\n");
        fake_host_add_default_route(h, "ppp0", "IPv4");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_BRIDGE_OR_BOND_MEMBER, "eth0 is used by a PPPoE connection;");
}

/* As the kernel shows it when a container has a macvlan on eth0: no links, but one who listens more. */
static void test_refused_macvlan_in_another_namespace(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "proc/net/dev_mcast",
                        "2    eth0            2     0     333300000001\n"
                        "2    eth0            2     0     01005e000001\n"
                        "3    eth1            1     0     333300000001\n"
                        "3    eth1            1     0     01005e000001\n");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_BRIDGE_OR_BOND_MEMBER,
                        "eth0 is used by one on top of it in another network namespace;");
        assert_true(is_unwatched(h));
}

/* 239.0.0.1 is 01:00:5e:00:00:01 on the wire, too, and any user may listen to it. */
static void test_harmless_listener_of_the_host(void **state) {
        const unsigned all_hosts = htonl(0xe0000001), others = htonl(0xef000001), mdns = htonl(0xe00000fb);
        FakeHost *h = *state;

        fake_host_write(h, "proc/net/igmp",
                        "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
                        "2\teth0      :     3      V3\n"
                        "\t\t\t\t%08X     1 0:00000000\t\t0\n"
                        "\t\t\t\t%08X     1 0:00000000\t\t0\n"
                        "\t\t\t\t%08X     1 0:00000000\t\t0\n"
                        "3\teth1      :     1      V3\n"
                        "\t\t\t\t%08X     1 0:00000000\t\t0\n",
                        others, mdns, all_hosts, all_hosts);
        fake_host_write(h, "proc/net/dev_mcast",
                        "2    eth0            2     0     01005e000001\n"
                        "3    eth1            1     0     01005e000001\n");
        expect(h, FIRST, 0);
        expect(h, SECOND, 0);
        fake_host_write(h, "proc/net/dev_mcast",
                        "2    eth0            3     0     01005e000001\n"
                        "3    eth1            2     0     01005e000001\n");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, BIT(BRIDGE_OR_BOND_MEMBER));
}

/* Whoever listens to a million addresses must not keep all devices with the host. */
static void test_harmless_million_of_groups(void **state) {
        static const char line[] = "2    eth0            1     0     333300000001\n";
        const size_t n = (18U << 20) / (sizeof line - 1);
        FakeHost *h = *state;
        char *text, *end;

        end = text = malloc(n * (sizeof line - 1) + 1);
        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
                end = stpcpy(end, line);
        fake_host_write_bytes(h, "proc/net/dev_mcast", text, (size_t)(end - text));
        expect(h, FIRST, 0);
        fake_host_append(h, "proc/net/dev_mcast", "2    eth0            2     0     01005e000001\n");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        free(text);
}

/* As the kernel shows it: the directory of the interfaces stays, and is empty for us. */
static void test_refused_interface_in_another_namespace(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, "sys/" FIRST_PATH "/net/eth0");
        fake_host_remove(h, "sys/class/net/eth0");
        expect(h, FIRST, BIT(ADDRESS));
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_ADDRESS,
                        "its network interface is in another network namespace;");
        assert_false(is_unwatched(h));
}

/* Between the card and the interface is what the driver put there. */
static void test_refused_virtio_and_usb_in_another_namespace(void **state) {
        FakeHost *h = *state;

        add_card(h, "0000:00:05.0", 0x020000, "virtio-pci");
        add_card(h, "0000:00:14.0", 0x0c0330, "xhci_hcd");
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:05.0/virtio3/net");
        fake_host_link(h, "sys/devices/pci0000:00/0000:00:05.0/virtio3/driver",
                       "../../../../bus/virtio/drivers/virtio_net");
        fake_host_link(h, "sys/bus/virtio/devices/virtio3",
                       "../../../devices/pci0000:00/0000:00:05.0/virtio3");
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/net");
        fake_host_link(h, "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/driver",
                       "../../../../../../bus/usb/drivers/ax88179_178a");
        fake_host_link(h, "sys/bus/usb/devices/2-1:1.0",
                       "../../../devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0");
        expect(h, "0000:00:05.0", BIT(ADDRESS));
        expect(h, "0000:00:14.0", BIT(ADDRESS));
        expect(h, FIRST, 0);
}

static void test_refused_wireless_in_another_namespace(void **state) {
        FakeHost *h = *state;

        add_card(h, "0000:00:06.0", 0x028000, "iwlwifi");
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:06.0/ieee80211");
        expect(h, "0000:00:06.0", BIT(ADDRESS));
        expect_sentence(h, "0000:00:06.0", CRITICAL_ADDRESS,
                        "its wireless interface is in another network namespace;");
}

static void test_refused_rdma_in_another_namespace(void **state) {
        FakeHost *h = *state;

        fake_host_mkdir(h, "sys/" FIRST_PATH "/infiniband");
        fake_host_mkdir(h, "sys/" SECOND_PATH "/infiniband/mlx5_0");
        expect(h, FIRST, BIT(ADDRESS));
        expect(h, SECOND, 0);
        expect_sentence(h, FIRST, CRITICAL_ADDRESS, "its RDMA device is in another network namespace;");
        assert_true(is_unwatched(h));
}

static void test_refused_session(void **state) {
        FakeHost *h = *state;

        fake_host_add_session(h, 1000, "192.0.2.9");
        fake_host_add_route(h, "192.0.2.9", "eth1");
        expect(h, SECOND, BIT(YOUR_CONNECTION));
        expect(h, FIRST, 0);
        expect_sentence(h, SECOND, CRITICAL_YOUR_CONNECTION,
                        "the remote session of alice from 192.0.2.9 comes in through network interface "
                        "eth1;");
}

/* Nobody cuts off another administrator by mistake either. */
static void test_refused_sessions_of_others(void **state) {
        FakeHost *h = *state;

        fake_host_add_session(h, 1000, "192.0.2.9");
        fake_host_add_session(h, 0, "2001:db8::9");
        fake_host_add_route(h, "192.0.2.9", "eth0");
        fake_host_add_route(h, "2001:db8::9", "eth1");
        expect(h, FIRST, BIT(YOUR_CONNECTION));
        expect(h, SECOND, BIT(YOUR_CONNECTION));
        expect(h, THIRD, 0);
        expect_sentence(h, SECOND, CRITICAL_YOUR_CONNECTION, "the remote session of root from 2001:db8::9");
}

static void test_refused_session_through_a_bridge_on_a_bond(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "bond0", "bonding");
        add_virtual(h, "br0", "bridge");
        fake_host_add_port(h, "bond0", "eth0");
        fake_host_add_port(h, "bond0", "eth1");
        fake_host_add_port(h, "br0", "bond0");
        fake_host_add_session(h, 70001, "192.0.2.9");
        fake_host_add_route(h, "192.0.2.9", "br0");
        expect(h, FIRST, BIT(YOUR_CONNECTION) | BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, BIT(YOUR_CONNECTION) | BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, THIRD, 0);
        expect_sentence(h, FIRST, CRITICAL_YOUR_CONNECTION,
                        "the remote session of uid 70001 from 192.0.2.9 comes in through bridge br0 by way "
                        "of "
                        "bond bond0 and eth0;");
}

static void test_refused_session_over_two_ways(void **state) {
        FakeHost *h = *state;

        fake_host_add_session(h, 1000, "192.0.2.9");
        fake_host_add_route(h, "192.0.2.9", "eth0");
        fake_host_add_route(h, "192.0.2.9", "eth2");
        expect(h, FIRST, BIT(YOUR_CONNECTION));
        expect(h, THIRD, BIT(YOUR_CONNECTION));
        expect(h, SECOND, 0);
}

/* sshd that looks names up, and services that say nothing. */
static void test_refused_session_from_a_name(void **state) {
        static const char *const peers[] = {"laptop.example.org", "", "192.0.2.99"};
        FakeHost *h = *state;

        add_virtual(h, "bond0", "bonding");
        fake_host_add_port(h, "bond0", "eth0");
        fake_host_add_default_route(h, "bond0", "IPv4");
        for (size_t i = 0; i < ELEMENTSOF(peers); i++) {
                fake_host_remove(h, "fake/sessions");
                expect(h, FIRST, BIT(DEFAULT_ROUTE) | BIT(BRIDGE_OR_BOND_MEMBER));
                fake_host_add_session(h, 1000, peers[i]);
                expect(h, FIRST, BIT(DEFAULT_ROUTE) | BIT(BRIDGE_OR_BOND_MEMBER) | BIT(YOUR_CONNECTION));
                expect(h, SECOND, 0);
        }

        fake_host_write(h, "fake/sessions", "1000 a\x1b[2Jb\n");
        expect_sentence(h, FIRST, CRITICAL_YOUR_CONNECTION,
                        "the remote session of alice from a?[2Jb comes in by the default route;");
}

static void test_warned_wake_path(void **state) {
        FakeHost *h = *state;
        Critical c;

        fake_host_write(h, "sys/" FIRST_PATH "/power/wakeup", "enabled\n");
        fake_host_write(h, "sys/" SECOND_PATH "/power/wakeup", "disabled\n");
        fake_host_write(h, "sys/" THIRD_PATH "/power/wakeup", "\n");
        c = evaluate(h, FIRST);
        assert_int_equal(c.reasons, 0);
        assert_int_equal(c.warnings, BIT(WAKE_PATH));
        expect_sentence(h, FIRST, CRITICAL_WAKE_PATH,
                        "the host can be woken up through network interface eth0;");
        assert_int_equal(evaluate(h, SECOND).warnings, 0);
        assert_int_equal(evaluate(h, THIRD).warnings, 0);
}

/* Nearly every host controller of USB can wake the host; and a card without a driver does not. */
static void test_harmless_wakeup_of_others(void **state) {
        FakeHost *h = *state;

        add_card(h, "0000:00:14.0", 0x0c0330, "xhci_hcd");
        add_card(h, "0000:00:07.0", 0x020000, NULL);
        fake_host_write(h, "sys/devices/pci0000:00/0000:00:14.0/power/wakeup", "enabled\n");
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:14.0/net/usb0");
        fake_host_write(h, "sys/devices/pci0000:00/0000:00:07.0/power/wakeup", "enabled\n");
        assert_int_equal(evaluate(h, "0000:00:14.0").warnings, 0);
        assert_int_equal(evaluate(h, "0000:00:07.0").warnings, 0);
}

/* That a link-local address of IPv6 does not count is in test-host-network. */
static void test_harmless_interface_that_is_up(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/class/net/eth0/operstate", "up\n");
        fake_host_write(h, "sys/class/net/eth0/carrier", "1\n");
        fake_host_write(h, "proc/net/dev_mcast",
                        "2    eth0            1     0     333300000001\n"
                        "2    eth0            1     0     01005e000001\n"
                        "2    eth0            2     0     01005e0000fb\n"
                        "1    lo              2     0     01005e000001\n"
                        "not a line of it\n");
        expect(h, FIRST, 0);
        assert_false(is_unwatched(h));
}

static void test_harmless_neighbour_of_a_used_one(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "br0", "bridge");
        fake_host_add_port(h, "br0", "eth1");
        fake_host_add_network_address(h, "br0", "192.0.2.7");
        fake_host_add_default_route(h, "br0", "IPv4");
        fake_host_add_session(h, 1000, "192.0.2.9");
        fake_host_add_route(h, "192.0.2.9", "br0");
        expect(h, SECOND, BELOW | BIT(DEFAULT_ROUTE) | BIT(YOUR_CONNECTION));
        expect(h, FIRST, 0);
        expect(h, THIRD, 0);
}

static void test_harmless_bridge_without_members(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "docker0", "bridge");
        add_virtual(h, "virbr0", "bridge");
        add_virtual(h, "tap0", "tun_flags");
        fake_host_add_port(h, "virbr0", "tap0");
        fake_host_add_network_address(h, "docker0", "172.17.0.1");
        fake_host_add_network_address(h, "virbr0", "192.168.122.1");
        expect(h, FIRST, 0);
        expect(h, SECOND, 0);
        expect(h, THIRD, 0);
}

/* Of a bridge's address the cards in Open vSwitch know nothing; that they are in it is another matter. */
static void test_harmless_bridge_beside_open_vswitch(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "ovs-system", NULL);
        add_virtual(h, "docker0", "bridge");
        fake_host_add_port(h, "ovs-system", "eth0");
        fake_host_add_network_address(h, "docker0", "172.17.0.1");
        expect(h, FIRST, BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, SECOND, 0);
}

static void test_harmless_interfaces_of_their_own(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "dummy0", NULL);
        add_virtual(h, "wg0", NULL);
        add_virtual(h, "tun0", "tun_flags");
        fake_host_add_network_address(h, "dummy0", "192.0.2.7");
        fake_host_add_network_address(h, "tun0", "192.0.2.8");
        fake_host_add_default_route(h, "wg0", "IPv4");
        expect(h, FIRST, 0);
        expect(h, SECOND, 0);
        expect(h, THIRD, 0);
}

/* No driver, a driver that makes no interface, and one that serves a virtual machine. */
static void test_harmless_cards_without_an_interface(void **state) {
        FakeHost *h = *state;

        add_card(h, "0000:00:07.0", 0x020000, NULL);
        add_card(h, "0000:00:08.0", 0x020000, "uio_pci_generic");
        add_card(h, "0000:00:09.0", 0x020000, "vfio-pci");
        add_card(h, "0000:00:0a.0", 0x020000, NULL);
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:0a.0/net");
        fake_host_mkdir(h, "sys/devices/pci0000:00/0000:00:09.0/net");
        expect(h, "0000:00:07.0", 0);
        expect(h, "0000:00:08.0", 0);
        expect(h, "0000:00:09.0", 0);
        expect(h, "0000:00:0a.0", 0);
}

/* A session from the host itself, by a tunnel or a proxy, comes in through no card. */
static void test_harmless_session_from_the_host_itself(void **state) {
        FakeHost *h = *state;

        fake_host_add_default_route(h, "eth0", "IPv4");
        fake_host_add_session(h, 1000, "127.0.0.1");
        fake_host_add_route(h, "127.0.0.1", "lo");
        expect(h, FIRST, BIT(DEFAULT_ROUTE));
        expect(h, SECOND, 0);
}

static void test_harmless_interfaces_that_are_gone(void **state) {
        FakeHost *h = *state;

        fake_host_add_network_address(h, "eth9", "192.0.2.7");
        fake_host_add_default_route(h, "eth9", "IPv4");
        fake_host_add_session(h, 1000, "192.0.2.9");
        fake_host_add_route(h, "192.0.2.9", "eth9");
        expect(h, FIRST, 0);
        expect(h, SECOND, 0);
        expect(h, THIRD, 0);
}

static int load(FakeHost *h) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;

        return host_facts_load(h->fd, &facts);
}

static void test_a_loop_of_interfaces_ends(void **state) {
        FakeHost *h = *state;

        add_virtual(h, "a0", NULL);
        add_virtual(h, "b0", NULL);
        fake_host_add_lower(h, "a0", "b0");
        fake_host_add_lower(h, "b0", "a0");
        fake_host_add_network_address(h, "a0", "192.0.2.7");
        assert_int_equal(load(h), -ELOOP);
}

/* Of the thousands of ends of virtual machines in a bridge none is kept: there is a limit to what can be. */
static void test_harmless_ends_of_virtual_machines(void **state) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        FakeHost *h = *state;
        char name[16];

        add_virtual(h, "br0", "bridge");
        fake_host_add_port(h, "br0", "eth0");
        for (unsigned i = 0; i < 50; i++) {
                (void)snprintf(name, sizeof name, "tap%u", i);
                add_virtual(h, name, NULL);
                fake_host_add_port(h, "br0", name);
        }
        fake_host_add_network_address(h, "br0", "192.0.2.7");
        fake_host_add_network_address(h, "br0", "2001:db8::7");
        expect(h, FIRST, BELOW);
        expect(h, SECOND, 0);

        assert_int_equal(host_facts_load(h->fd, &facts), 0);
        assert_int_equal(facts->n_uses,
                         3); /* the bridge and the card have the address, and the card is in it */
}

static void test_knowing_half_is_an_error(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "fake/sessions", "nonsense\n");
        assert_int_equal(load(h), -EBADMSG);
        fake_host_remove(h, "fake/sessions");
        assert_int_equal(load(h), 0);
        fake_host_remove(h, "sys/class/net");
        assert_int_equal(load(h), -ENOENT);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_refused_address),
                        CASE(test_refused_default_route),
                        CASE(test_refused_bond_with_an_address),
                        CASE(test_refused_team_with_an_address),
                        CASE(test_refused_bridge_with_an_address),
                        CASE(test_refused_vlan_with_an_address),
                        CASE(test_refused_macvlan_with_an_address),
                        CASE(test_refused_vrf_with_a_default_route),
                        CASE(test_refused_vlan_on_bridge_on_bond),
                        CASE(test_refused_deep_stack),
                        CASE(test_refused_open_vswitch),
                        CASE(test_refused_vlan_on_open_vswitch),
                        CASE(test_refused_port_of_a_bridge_without_an_address),
                        CASE(test_refused_macvtap_without_an_address),
                        CASE(test_refused_vrf_member_without_an_address),
                        CASE(test_refused_vlan_in_a_bridge),
                        CASE(test_refused_pppoe),
                        CASE(test_refused_macvlan_in_another_namespace),
                        CASE(test_harmless_listener_of_the_host),
                        CASE(test_harmless_million_of_groups),
                        CASE(test_refused_interface_in_another_namespace),
                        CASE(test_refused_virtio_and_usb_in_another_namespace),
                        CASE(test_refused_wireless_in_another_namespace),
                        CASE(test_refused_rdma_in_another_namespace),
                        CASE(test_refused_session),
                        CASE(test_refused_sessions_of_others),
                        CASE(test_refused_session_through_a_bridge_on_a_bond),
                        CASE(test_refused_session_over_two_ways),
                        CASE(test_refused_session_from_a_name),
                        CASE(test_warned_wake_path),
                        CASE(test_harmless_wakeup_of_others),
                        CASE(test_harmless_interface_that_is_up),
                        CASE(test_harmless_neighbour_of_a_used_one),
                        CASE(test_harmless_bridge_without_members),
                        CASE(test_harmless_bridge_beside_open_vswitch),
                        CASE(test_harmless_interfaces_of_their_own),
                        CASE(test_harmless_cards_without_an_interface),
                        CASE(test_harmless_session_from_the_host_itself),
                        CASE(test_harmless_interfaces_that_are_gone),
                        CASE(test_a_loop_of_interfaces_ends),
                        CASE(test_harmless_ends_of_virtual_machines),
                        CASE(test_knowing_half_is_an_error),
        };

        suite_filter();
        return cmocka_run_group_tests_name("critical-links", tests, NULL, NULL);
}
