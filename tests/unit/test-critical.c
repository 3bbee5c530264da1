/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical-fixture.h"

#define NVME "devices/pci0000:00/0000:00:04.0"
#define NIC "devices/pci0000:00/0000:00:02.0"

static void add(FakeHost *h, const char *address, uint32_t class_code) {
        static unsigned set = 20;

        fake_host_add_device(
                        h, &(FakeDevice){.address = address, .class_code = class_code, .iommu_set = set++});
}

/* A host with two NICs, two NVMe and a SATA controller, of which it uses nothing. */
static int setup(void **state) {
        FakeHost *h;

        *state = h = fake_host_new();
        add(h, "0000:00:02.0", 0x020000);
        add(h, "0000:00:03.0", 0x020000);
        add(h, "0000:00:04.0", 0x010802);
        add(h, "0000:00:05.0", 0x010802);
        add(h, "0000:00:1f.2", 0x010601);
        fake_host_add_net(h, NIC "/net/eth0");
        fake_host_add_net(h, "devices/pci0000:00/0000:00:03.0/net/eth1");
        fake_host_add_net(h, "devices/virtual/net/lo");
        fake_host_add_block(h, NVME "/nvme/nvme0/nvme0n1", "259:0");
        fake_host_add_block(h, NVME "/nvme/nvme0/nvme0n1/nvme0n1p1", "259:1");
        fake_host_add_block(h, "devices/pci0000:00/0000:00:05.0/nvme/nvme1/nvme1n1", "259:2");
        fake_host_add_block(h, "devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda", "8:0");
        fake_host_add_block(h, "devices/pci0000:00/0000:00:1f.2/ata1/host0/block/sda/sda1", "8:1");
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

/* Guards that cry wolf get switched off: what is idle is not critical. */
static void test_wolf_idle_devices_are_free(void **state) {
        FakeHost *h = *state;

        /* A NIC that is up has a link-local IPv6 address: host_network_each() does not count it, see
         * test-host-network. Nor does the other NIC's default route count, nor another disk's mount. */
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        fake_host_add_default_route(h, "eth1", "IPv4");
        fake_host_mount(h, "8:1", "/", "ext4", "/dev/sda1");
        expect(h, "0000:00:02.0", 0);
        expect(h, "0000:00:04.0", 0);
        expect(h, "0000:00:05.0", 0);
}

static void test_partition_is_mounted(void **state) {
        FakeHost *h = *state;
        Critical c;

        fake_host_mount(h, "259:1", "/srv", "ext4", "/dev/nvme0n1p1");
        expect(h, "0000:00:04.0", BIT(MOUNTED));
        expect(h, "0000:00:05.0", 0);
        expect(h, "0000:00:1f.2", 0);

        c = evaluate(h, "0000:00:04.0");
        assert_non_null(strstr(c.sentence[CRITICAL_MOUNTED], "/dev/nvme0n1p1 is mounted on /srv"));
        assert_non_null(strstr(c.sentence[CRITICAL_MOUNTED], "unmount it first"));
}

static void test_btrfs_over_two_disks(void **state) {
        FakeHost *h = *state;

        /* mountinfo has a number that is no device, and names only one of the two. */
        fake_host_mount(h, "0:42", "/pool", "btrfs", "/dev/nvme0n1");
        fake_host_link(h, "sys/fs/btrfs/8e0d8a4d-0000-4000-8000-000000000000/devices/nvme0n1",
                       "../../../../x");
        fake_host_link(h, "sys/fs/btrfs/8e0d8a4d-0000-4000-8000-000000000000/devices/nvme1n1",
                       "../../../../x");
        fake_host_write(h, "sys/fs/btrfs/features/raid56", "1\n");
        expect(h, "0000:00:04.0", BIT(MOUNTED));
        expect(h, "0000:00:05.0", BIT(MOUNTED));
        expect(h, "0000:00:1f.2", 0);
}

static void test_swap(void **state) {
        FakeHost *h = *state;

        fake_host_swap(h, "/swapfile");
        expect(h, "0000:00:1f.2", 0);
        fake_host_swap(h, "/dev/sda1");
        expect(h, "0000:00:1f.2", BIT(SWAP));
        expect(h, "0000:00:04.0", 0);
}

static void test_a_usb_disk_holds_its_controller(void **state) {
        FakeHost *h = *state;

        add(h, "0000:00:14.0", 0x0c0330);
        fake_host_add_block(h, "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0/host6/block/sdb", "8:16");
        fake_host_mount(h, "8:16", "/mnt", "vfat", "/dev/sdb");
        expect(h, "0000:00:14.0", BIT(MOUNTED));
}

static void test_address_and_route(void **state) {
        FakeHost *h = *state;
        Critical c;

        fake_host_add_network_address(h, "eth0", "192.0.2.7");
        expect(h, "0000:00:02.0", BIT(ADDRESS));
        fake_host_add_default_route(h, "eth0", "IPv6");
        expect(h, "0000:00:02.0", BIT(ADDRESS) | BIT(DEFAULT_ROUTE));
        expect(h, "0000:00:03.0", 0);

        c = evaluate(h, "0000:00:02.0");
        assert_non_null(strstr(c.sentence[CRITICAL_ADDRESS], "eth0 has the host's address 192.0.2.7"));
        assert_non_null(strstr(c.sentence[CRITICAL_DEFAULT_ROUTE], "eth0 carries the IPv6 default route"));
}

static void test_bridge_over_bond_over_nics(void **state) {
        FakeHost *h = *state;

        fake_host_add_net(h, "devices/virtual/net/bond0");
        fake_host_add_net(h, "devices/virtual/net/br0");
        fake_host_add_net(h, "devices/virtual/net/tap0");
        fake_host_add_lower(h, "br0", "tap0");
        fake_host_add_lower(h, "br0", "bond0");
        fake_host_add_lower(h, "bond0", "eth0");
        fake_host_add_lower(h, "bond0", "eth1");
        fake_host_add_network_address(h, "br0", "192.0.2.7");
        fake_host_add_default_route(h, "br0", "IPv4");
        expect(h, "0000:00:02.0", BIT(ADDRESS) | BIT(DEFAULT_ROUTE) | BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, "0000:00:03.0", BIT(ADDRESS) | BIT(DEFAULT_ROUTE) | BIT(BRIDGE_OR_BOND_MEMBER));
}

static void test_vlan(void **state) {
        FakeHost *h = *state;

        fake_host_add_net(h, "devices/virtual/net/eth0.42");
        fake_host_add_lower(h, "eth0.42", "eth0");
        fake_host_add_network_address(h, "eth0.42", "2001:db8::7");
        expect(h, "0000:00:02.0", BIT(ADDRESS) | BIT(BRIDGE_OR_BOND_MEMBER));
        expect(h, "0000:00:03.0", 0);
}

static void test_address_on_an_interface_that_is_gone(void **state) {
        fake_host_add_network_address(*state, "eth9", "192.0.2.7");
        expect(*state, "0000:00:02.0", 0);
}

static void test_console_on_a_pci_uart(void **state) {
        FakeHost *h = *state;

        add(h, "0000:00:16.3", 0x070002);
        add(h, "0000:00:17.0", 0x070002);
        fake_host_mkdir(h, "sys/devices/virtual/tty/tty0");
        fake_host_link(h, "sys/class/tty/tty0", "../../devices/virtual/tty/tty0");
        /* Linux 6.5 and later put the serial bus between the two. */
        fake_host_link(h, "sys/class/tty/ttyS4",
                       "../../devices/pci0000:00/0000:00:16.3/0000:00:16.3:0/0000:00:16.3:0.0/tty/ttyS4");
        fake_host_link(h, "sys/class/tty/ttyS5", "../../devices/pci0000:00/0000:00:17.0/tty/ttyS5");

        expect(h, "0000:00:16.3", 0);
        fake_host_write(h, "sys/class/tty/console/active", "tty0 ttyS4\n");
        expect(h, "0000:00:16.3", BIT(CONSOLE));
        expect(h, "0000:00:17.0", 0);
        fake_host_write(h, "sys/class/tty/console/active", "ttyS5\n");
        expect(h, "0000:00:16.3", 0);
        expect(h, "0000:00:17.0", BIT(CONSOLE));
}

static void test_boot_vga_and_framebuffers(void **state) {
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:00:08.0",
                                              .class_code = 0x030000,
                                              .iommu_set = 40,
                                              .boot_vga = true});
        fake_host_add_device(
                        h,
                        &(FakeDevice){.address = "0000:00:09.0", .class_code = 0x030000, .iommu_set = 41});
        expect(h, "0000:00:08.0", BIT(CONSOLE));
        expect(h, "0000:00:09.0", 0);

        fake_host_mkdir(h, "sys/class/graphics/fbcon");
        fake_host_link(h, "sys/class/graphics/fb0", "../../devices/pci0000:00/0000:00:09.0/graphics/fb0");
        expect(h, "0000:00:09.0", BIT(CONSOLE));
}

static void test_bridges_stay(void **state) {
        FakeHost *h = *state;

        add(h, "0000:00:1c.0", 0x060400);
        add(h, "0000:00:1f.0", 0x060100);
        expect(h, "0000:00:1c.0", BIT(BRIDGE_DEVICE));
        expect(h, "0000:00:1f.0", BIT(BRIDGE_DEVICE));
}

static void test_functions_virtual_and_physical(void **state) {
        FakeHost *h = *state;

        add(h, "0000:00:0a.0", 0x020000);
        expect(h, "0000:00:0a.0", 0);
        fake_host_add_device(h, &(FakeDevice){.address = "0000:00:0a.1",
                                              .class_code = 0x020000,
                                              .iommu_set = 50,
                                              .physfn = "0000:00:0a.0"});
        expect(h, "0000:00:0a.0", BIT(PF_WITH_VFS));
        expect(h, "0000:00:0a.1", 0);
}

static void test_firmware_mappings(void **state) {
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:00:0b.0",
                                              .iommu_set = 60,
                                              .reserved = "0x00000000bdf6f000 0x00000000bdf7dfff direct\n"
                                                          "0x00000000fee00000 0x00000000feefffff msi\n"});
        fake_host_add_device(h, &(FakeDevice){.address = "0000:00:0c.0",
                                              .iommu_set = 61,
                                              .reserved = "0x00000000bdf6f000 0x00000000bdf7dfff "
                                                          "direct-relaxable\n"
                                                          "0x00000000fee00000 0x00000000feefffff msi\n"});
        expect(h, "0000:00:0b.0", BIT(FIRMWARE_MAPPING));
        expect(h, "0000:00:0c.0", 0);
}

static void test_without_an_iommu(void **state) {
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:00:0d.0", .class_code = 0x020000});
        expect(h, "0000:00:0d.0", BIT(NO_IOMMU));

        add(h, "0000:00:0d.1", 0x020000);
        fake_host_write(h, "sys/bus/pci/devices/0000:00:0d.1/iommu_group/name", "vfio-noiommu\n");
        expect(h, "0000:00:0d.1", BIT(NO_IOMMU));
        fake_host_write(h, "sys/bus/pci/devices/0000:00:0d.1/iommu_group/name", "something\n");
        expect(h, "0000:00:0d.1", 0);
}

static void test_unsafe_interrupts(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
        expect(h, "0000:00:02.0", 0);
        fake_host_write(h, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
        expect(h, "0000:00:02.0", BIT(UNSAFE_INTERRUPTS));
        fake_host_remove(h, "sys/module/vfio_iommu_type1");
        fake_host_write(h, "sys/module/iommufd/parameters/allow_unsafe_interrupts", "1\n");
        expect(h, "0000:00:02.0", BIT(UNSAFE_INTERRUPTS));
}

static int load(FakeHost *h) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;

        return host_facts_load(h->fd, &facts);
}

/* No verdict is better than a wrong "nothing is lost". */
static void test_knowing_half_is_an_error(void **state) {
        FakeHost *h = *state;

        assert_int_equal(load(h), 0);
        fake_host_remove(h, "fake/network");
        assert_int_equal(load(h), -ENONET);
        fake_host_write(h, "fake/network", "%s", "");

        fake_host_append(h, "proc/self/mountinfo", "40 1 8:1 / /half rw\n");
        assert_int_equal(load(h), -EBADMSG);
        fake_host_remove(h, "proc/self/mountinfo");
        assert_int_equal(load(h), -ENOENT);
        fake_host_write(h, "proc/self/mountinfo", "%s", "");
        fake_host_remove(h, "proc/swaps");
        assert_int_equal(load(h), -ENOENT);
}

static void test_a_device_that_left_has_no_verdict(void **state) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        FakeHost *h = *state;
        _cleanup_close_ int fd = -1;
        PciAddress a = {0, 0, 2, 0};
        PciIdentity identity;
        Critical c;

        fd = sysfs_open_device(h->fd, &a);
        assert_int_equal(pci_identity_read(fd, &a, &identity), 0);
        assert_int_equal(host_facts_load(h->fd, &facts), 0);
        fake_host_remove_device(h, "0000:00:02.0");
        assert_int_equal(critical_evaluate(facts, fd, &identity, &c), -ENODEV);
}

static void test_words(void **state _unused_) {
        char buf[256];

        for (int i = 0; i < CRITICAL_REASON_MAX; i++)
                assert_int_equal(critical_reason_from_string(critical_reason_to_string((CriticalReason)i)),
                                 i);
        assert_string_equal(critical_format(0, buf, sizeof buf), "");
        assert_string_equal(critical_format(BIT(MOUNTED) | BIT(SWAP), buf, sizeof buf), "mounted, swap");
        for (size_t size = 1; size < sizeof buf; size++)
                assert_true(strlen(critical_format(UINT32_MAX, buf, size)) < size);
        assert_int_equal(CRITICAL_OVERRIDABLE & (BIT(NO_IOMMU) | BIT(BRIDGE_DEVICE) | BIT(PF_WITH_VFS)), 0);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_wolf_idle_devices_are_free),
                        CASE(test_partition_is_mounted),
                        CASE(test_btrfs_over_two_disks),
                        CASE(test_swap),
                        CASE(test_a_usb_disk_holds_its_controller),
                        CASE(test_address_and_route),
                        CASE(test_bridge_over_bond_over_nics),
                        CASE(test_vlan),
                        CASE(test_address_on_an_interface_that_is_gone),
                        CASE(test_console_on_a_pci_uart),
                        CASE(test_boot_vga_and_framebuffers),
                        CASE(test_bridges_stay),
                        CASE(test_functions_virtual_and_physical),
                        CASE(test_firmware_mappings),
                        CASE(test_without_an_iommu),
                        CASE(test_unsafe_interrupts),
                        CASE(test_knowing_half_is_an_error),
                        CASE(test_a_device_that_left_has_no_verdict),
                        cmocka_unit_test(test_words),
        };

        return cmocka_run_group_tests_name("critical", tests, NULL, NULL);
}
