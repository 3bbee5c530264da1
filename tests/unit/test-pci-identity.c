/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "pci-identity.h"
#include "text.h"
#include "sysfs.h"

/* Identifier string "NIC", then VPD-R with PN "A1" and SN "S123 ", then the end tag. */
static const uint8_t vpd[] = {0x82, 3,   0,   'N', 'I', 'C', 0x90, 13,  0,   'P', 'N', 2,
                              'A',  '1', 'S', 'N', 5,   'S', '1',  '2', '3', ' ', 0x78};

static const FakeDevice nic = {.address = "0000:3b:00.0",
                               .vendor = 0x8086,
                               .device = 0x10d3,
                               .subsystem_vendor = 0x1af4,
                               .subsystem_device = 0x1100,
                               .class_code = 0x020000,
                               .revision = 2,
                               .driver = "e1000e",
                               .iommu_set = 7,
                               .slot = "5-1",
                               .vpd = vpd,
                               .vpd_size = sizeof vpd};
static const PciAddress nic_address = {0, 0x3b, 0, 0};

static int setup(void **state) {
        *state = fake_host_new();
        fake_host_add_device(*state, &nic);
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static int open_nic(FakeHost *h) {
        int fd = sysfs_open_device(h->fd, &nic_address);

        assert_true(fd >= 0);
        return fd;
}

static void test_reads_the_ids(void **state) {
        _cleanup_close_ int fd = open_nic(*state);
        FakeHost *h = *state;
        PciIdentity i;

        assert_int_equal(pci_identity_read(fd, &nic_address, &i), 0);
        assert_int_equal(i.vendor, 0x8086);
        assert_int_equal(i.device, 0x10d3);
        assert_int_equal(i.subsystem_vendor, 0x1af4);
        assert_int_equal(i.subsystem_device, 0x1100);
        assert_int_equal(i.class_code, 0x020000);
        assert_int_equal(i.revision, 2);
        assert_string_equal(i.serial, "");
        assert_string_equal(i.slot, "");

        pci_identity_read_serial(fd, &i);
        assert_string_equal(i.serial, "S123");
        pci_identity_read_slot(h->fd, NULL, &i);
        assert_string_equal(i.slot, "5-1");
}

static void test_bad_attributes_are_errors(void **state) {
        _cleanup_close_ int fd = open_nic(*state);
        FakeHost *h = *state;
        PciIdentity i;

        fake_host_write(h, "sys/bus/pci/devices/0000:3b:00.0/vendor", "0x18086\n");
        assert_int_equal(pci_identity_read(fd, &nic_address, &i), -ERANGE);
        fake_host_write(h, "sys/bus/pci/devices/0000:3b:00.0/vendor", "intel\n");
        assert_int_equal(pci_identity_read(fd, &nic_address, &i), -EINVAL);
        fake_host_remove(h, "sys/bus/pci/devices/0000:3b:00.0/vendor");
        assert_int_equal(pci_identity_read(fd, &nic_address, &i), -ENODEV);
}

static void test_a_device_that_left_is_no_device(void **state) {
        _cleanup_close_ int fd = open_nic(*state);
        PciIdentity i;

        fake_host_remove_device(*state, nic.address);
        assert_int_equal(pci_identity_read(fd, &nic_address, &i), -ENODEV);
}

static void test_nvme_serial_comes_from_its_controller(void **state) {
        const FakeDevice nvme = {.address = "0000:04:00.0", .class_code = 0x010802, .driver = "nvme"};
        _cleanup_close_ int fd = -1;
        PciAddress a = {0, 4, 0, 0};
        FakeHost *h = *state;
        PciIdentity i;

        fake_host_add_device(h, &nvme);
        fake_host_write(h, "sys/bus/pci/devices/0000:04:00.0/nvme/nvme0/serial", "  PHX123 \x80         \n");
        fd = sysfs_open_device(h->fd, &a);
        assert_true(fd >= 0);
        assert_int_equal(pci_identity_read(fd, &a, &i), 0);
        pci_identity_read_serial(fd, &i);
        assert_string_equal(i.serial, "PHX123 ?");

        fake_host_remove(h, "sys/bus/pci/devices/0000:04:00.0/nvme/nvme0");
        pci_identity_read_serial(fd, &i);
        assert_string_equal(i.serial, "");
}

static void test_same_compares_what_is_known(void **state _unused_) {
        const PciIdentity a = {
                        .address = {0, 1, 0, 0}, .vendor = 1, .device = 2, .serial = "S", .slot = "5"};
        PciIdentity b = a;

        assert_true(pci_identity_same(&a, &b));
#define DIFFERS(field, value)                                                                               \
        do {                                                                                                \
                b = a;                                                                                      \
                b.field = value;                                                                            \
                assert_false(pci_identity_same(&a, &b));                                                    \
                assert_false(pci_identity_same(&b, &a));                                                    \
        } while (0)
        DIFFERS(address.bus, 2);
        DIFFERS(vendor, 3);
        DIFFERS(device, 3);
        DIFFERS(subsystem_vendor, 3);
        DIFFERS(subsystem_device, 3);
        DIFFERS(class_code, 3);
        DIFFERS(revision, 3);
        DIFFERS(serial[0], 'T');
        DIFFERS(slot[0], '6');

        b = a;
        b.serial[0] = '\0';
        b.slot[0] = '\0';
        assert_true(pci_identity_same(&a, &b));
        assert_true(pci_identity_same(&b, &a));
}

static void test_sanitize(void **state _unused_) {
        static const struct {
                const char *text;
                size_t length, size;
                const char *result;
        } table[] = {
                        {"abc", 3, 16, "abc"},   {"  abc  ", 7, 16, "abc"}, {"a\nb", 3, 16, "a?b"},
                        {"a\0b", 3, 16, "a"},    {"\xc3\xa4", 2, 16, "??"}, {"abcdef", 6, 4, "abc"},
                        {"ab   cd", 7, 5, "ab"}, {"", 0, 16, ""},           {"     ", 5, 16, ""},
                        {"abc", 2, 16, "ab"},    {"x", 1, 1, ""},           {"\x7f", 1, 16, "?"},
        };
        char buf[16];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                text_sanitize(buf, table[i].size, table[i].text, table[i].length);
                assert_string_equal(buf, table[i].result);
        }
}

/* The vpd is copied to the heap, so that a sanitizer sees every byte that is read beyond its end. */
static int serial_of(const uint8_t *data, size_t size, char ret[static PCI_SERIAL_SIZE]) {
        _cleanup_free_ uint8_t *copy = malloc(size > 0 ? size : 1);

        memcpy(copy, data, size);
        ret[0] = '\0';
        return pci_vpd_serial(copy, size, ret, PCI_SERIAL_SIZE);
}

static void test_vpd_well_formed(void **state _unused_) {
        static const uint8_t no_serial[] = {0x90, 5, 0, 'P', 'N', 2, 'A', '1', 0x78};
        static const uint8_t blank[] = {0x90, 5, 0, 'S', 'N', 2, ' ', ' ', 0x78};
        static const uint8_t writable[] = {0x91, 5, 0, 'S', 'N', 2, 'A', '1', 0x78};
        static const uint8_t late[] = {0x78, 0x90, 5, 0, 'S', 'N', 2, 'A', '1'};
        char serial[PCI_SERIAL_SIZE];

        assert_int_equal(serial_of(vpd, sizeof vpd, serial), 0);
        assert_string_equal(serial, "S123");
        assert_int_equal(serial_of(no_serial, sizeof no_serial, serial), -ENODATA);
        assert_int_equal(serial_of(blank, sizeof blank, serial), -ENODATA);
        assert_int_equal(serial_of(writable, sizeof writable, serial), -ENODATA);
        assert_int_equal(serial_of(late, sizeof late, serial), -ENODATA);
        assert_int_equal(serial_of(vpd, 0, serial), -ENODATA);
}

static void test_vpd_malformed(void **state _unused_) {
        static const uint8_t zeros[64] = {0};
        static const uint8_t too_long[] = {0x90, 0xff, 0xff, 'S', 'N', 1, 'A'};
        static const uint8_t field_too_long[] = {0x90, 4, 0, 'S', 'N', 200, 'A', 0x78};
        uint8_t ones[64];
        char serial[PCI_SERIAL_SIZE];

        memset(ones, 0xff, sizeof ones);
        assert_int_equal(serial_of(zeros, sizeof zeros, serial), -EBADMSG);
        assert_int_equal(serial_of(ones, sizeof ones, serial), -EBADMSG);
        assert_int_equal(serial_of(too_long, sizeof too_long, serial), -EBADMSG);
        assert_int_equal(serial_of(field_too_long, sizeof field_too_long, serial), -EBADMSG);
}

static void test_vpd_at_every_truncation_and_damage(void **state _unused_) {
        uint8_t copy[sizeof vpd];
        char serial[PCI_SERIAL_SIZE];
        int r;

        for (size_t n = 0; n < sizeof vpd; n++) {
                r = serial_of(vpd, n, serial);
                assert_true(r == -EBADMSG || r == -ENODATA || (r == 0 && streq(serial, "S123")));
        }
        for (size_t n = 0; n < sizeof vpd; n++)
                for (unsigned v = 0; v < 256; v++) {
                        memcpy(copy, vpd, sizeof vpd);
                        copy[n] = (uint8_t)v;
                        r = serial_of(copy, sizeof copy, serial);
                        assert_true(r == 0 || r == -EBADMSG || r == -ENODATA);
                }
}

static void test_iommu_set_is_read_sorted(void **state) {
        _cleanup_close_ int fd = open_nic(*state);
        FakeHost *h = *state;
        char text[64];
        IommuSet set;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:05:02.0", .iommu_set = 7});
        fake_host_add_device(h, &(FakeDevice){.address = "0000:05:01.0", .iommu_set = 7});
        fake_host_add_device(h, &(FakeDevice){.address = "0000:05:03.0", .iommu_set = 8});
        assert_int_equal(iommu_set_read(fd, &set), 0);
        assert_int_equal(set.number, 7);
        assert_string_equal(iommu_set_format(&set, text, sizeof text),
                            "0000:05:01.0, 0000:05:02.0, 0000:3b:00.0");
}

static void test_iommu_set_errors(void **state) {
        _cleanup_close_ int fd = open_nic(*state), bare = -1;
        PciAddress a = {0, 6, 0, 0};
        FakeHost *h = *state;
        char address[PCI_ADDRESS_SIZE];
        IommuSet set;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:06:00.0"});
        bare = sysfs_open_device(h->fd, &a);
        assert_int_equal(iommu_set_read(bare, &set), -ENOENT);

        /* A platform device among the members: nobody could move the whole set. */
        fake_host_link(h, "sys/kernel/iommu_groups/7/devices/arm-smmu.0", "../../../../devices/arm-smmu.0");
        assert_int_equal(iommu_set_read(fd, &set), -EXDEV);
        fake_host_remove(h, "sys/kernel/iommu_groups/7/devices/arm-smmu.0");

        for (unsigned i = 0; i < DEVICES_PER_CALL_MAX; i++) {
                a = (PciAddress){0, 7, (uint8_t)(i / 8), (uint8_t)(i % 8)};
                fake_host_add_device(h, &(FakeDevice){.address = pci_address_format(&a, address),
                                                      .iommu_set = 7});
        }
        assert_int_equal(iommu_set_read(fd, &set), -E2BIG);
        fake_host_remove_device(h, "0000:07:00.0");
        assert_int_equal(iommu_set_read(fd, &set), 0);
        assert_int_equal(set.n_members, DEVICES_PER_CALL_MAX);

        fake_host_link(h, "sys/devices/pci0000:3b/0000:3b:00.0/iommu_group",
                       "../../../kernel/iommu_groups/7x");
        assert_int_equal(iommu_set_read(fd, &set), -EBADMSG);
}

static void test_iommu_set_add_and_compare(void **state _unused_) {
        IommuSet a = {0}, b = {0};
        PciAddress x;

        /* Whatever the order of adding, sets of the same members are the same. */
        for (unsigned i = 0; i < DEVICES_PER_CALL_MAX; i++) {
                x = (PciAddress){0, 0, (uint8_t)(i / 8), (uint8_t)(i % 8)};
                assert_int_equal(iommu_set_add(&a, &x), 0);
                x = (PciAddress){0, 0, (uint8_t)((63 - i) / 8), (uint8_t)((63 - i) % 8)};
                assert_int_equal(iommu_set_add(&b, &x), 0);
                assert_int_equal(iommu_set_add(&b, &x), 0);
        }
        assert_int_equal(a.n_members, 64);
        a.number = 1;
        assert_true(iommu_set_same_members(&a, &b));
        x = (PciAddress){0, 1, 0, 0};
        assert_false(iommu_set_contains(&a, &x));
        assert_int_equal(iommu_set_add(&a, &x), -E2BIG);

        b.n_members--;
        assert_false(iommu_set_same_members(&a, &b));
        assert_int_equal(iommu_set_add(&b, &x), 0);
        assert_false(iommu_set_same_members(&a, &b));
}

static void test_iommu_set_format_is_cut_visibly(void **state _unused_) {
        IommuSet set = {.n_members = 3, .members = {{0, 5, 1, 0}, {0, 5, 2, 0}, {0, 5, 3, 0}}};
        char buf[64];

        for (size_t size = 8; size < sizeof buf; size++) {
                memset(buf, 'x', sizeof buf);
                (void)iommu_set_format(&set, buf, size);
                assert_true(strlen(buf) < size);
                if (size > 40)
                        assert_string_equal(buf, "0000:05:01.0, 0000:05:02.0, 0000:05:03.0");
                else
                        assert_string_equal(buf + strlen(buf) - 3, "...");
        }
        set.n_members = 0;
        assert_string_equal(iommu_set_format(&set, buf, sizeof buf), "");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_reads_the_ids),
                        CASE(test_bad_attributes_are_errors),
                        CASE(test_a_device_that_left_is_no_device),
                        CASE(test_nvme_serial_comes_from_its_controller),
                        cmocka_unit_test(test_same_compares_what_is_known),
                        cmocka_unit_test(test_sanitize),
                        cmocka_unit_test(test_vpd_well_formed),
                        cmocka_unit_test(test_vpd_malformed),
                        cmocka_unit_test(test_vpd_at_every_truncation_and_damage),
                        CASE(test_iommu_set_is_read_sorted),
                        CASE(test_iommu_set_errors),
                        cmocka_unit_test(test_iommu_set_add_and_compare),
                        cmocka_unit_test(test_iommu_set_format_is_cut_visibly),
        };

        return cmocka_run_group_tests_name("pci-identity", tests, NULL, NULL);
}
