/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "pci-address.h"

static void test_parses_the_canonical_form(void **state _unused_) {
        static const struct {
                const char *text;
                PciAddress address;
        } table[] = {
                        {"0000:00:00.0", {0, 0, 0, 0}},
                        {"0000:3b:00.0", {0, 0x3b, 0, 0}},
                        {"ffff:ff:1f.7", {0xffff, 0xff, 0x1f, 7}},
                        {"10000:e1:00.0", {0x10000, 0xe1, 0, 0}},
                        {"ffffffff:ff:1f.7", {0xffffffff, 0xff, 0x1f, 7}},
        };
        char text[PCI_ADDRESS_SIZE];
        PciAddress a;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(pci_address_parse(table[i].text, &a), 0);
                assert_int_equal(pci_address_compare(&a, &table[i].address), 0);
                assert_string_equal(pci_address_format(&a, text), table[i].text);
        }
}

static void test_refuses_all_else(void **state _unused_) {
        static const char *const table[] = {
                        "",
                        "0",
                        "0000",
                        "0000:",
                        "0000:00",
                        "0000:00:00",
                        "0000:00:00.",
                        "0000:00:00.8",
                        "0000:00:20.0",
                        "0000:00:00.00",
                        "0000:00:00.0 ",
                        "0000:00:00.0\n",
                        " 0000:00:00.0",
                        "00:00.0",
                        "000:00:00.0",
                        "00000:00:00.0",
                        "01000:00:00.0",
                        "100000000:00:00.0",
                        "0000:0:00.0",
                        "0000:000:00.0",
                        "0000:3B:00.0",
                        "0000:00:1F.0",
                        "0x00:00:00.0",
                        "-000:00:00.0",
                        "0000-00-00.0",
                        "0000:00:00:0",
                        "0000:00.00.0",
                        "0000:g0:00.0",
                        "../../../../etc",
                        "0000:00:00.0/..",
                        "0000:00:00.0:0000:00:00.0",
                        "\xff\xff\xff\xff",
        };
        PciAddress a = {1, 2, 3, 4};

        assert_int_equal(pci_address_parse(NULL, &a), -EINVAL);
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (pci_address_parse(table[i], &a) != -EINVAL)
                        fail_msg("took '%s'", table[i]);

        /* A failure leaves the result alone. */
        assert_int_equal(a.domain, 1);
        assert_int_equal(a.function, 4);
}

static void test_every_address_round_trips(void **state _unused_) {
        static const uint32_t domains[] = {0, 1, 0xffff, 0x10000, 0xffffffff};
        char text[PCI_ADDRESS_SIZE];
        PciAddress a, b;

        for (size_t d = 0; d < ELEMENTSOF(domains); d++)
                for (unsigned n = 0; n < 0x10000; n++) {
                        a = (PciAddress){domains[d], (uint8_t)(n >> 8), n >> 3 & 0x1f, n & 7};
                        assert_int_equal(pci_address_parse(pci_address_format(&a, text), &b), 0);
                        assert_int_equal(pci_address_compare(&a, &b), 0);
                }
}

static void test_order_is_that_of_the_text(void **state _unused_) {
        static const char *const sorted[] = {"0000:00:00.0", "0000:00:00.1", "0000:00:01.0",
                                             "0000:01:00.0", "0000:ff:1f.7", "0001:00:00.0",
                                             "ffff:00:00.0", "10000:00:00.0"};
        PciAddress a, b;

        for (size_t i = 0; i < ELEMENTSOF(sorted); i++)
                for (size_t j = 0; j < ELEMENTSOF(sorted); j++) {
                        assert_int_equal(pci_address_parse(sorted[i], &a), 0);
                        assert_int_equal(pci_address_parse(sorted[j], &b), 0);
                        assert_int_equal(pci_address_compare(&a, &b), i < j ? -1 : i > j);
                }
}

static void test_finds_itself_in_paths(void **state _unused_) {
        PciAddress a = {0, 0x1f, 2, 0};

        assert_true(pci_address_in_path(&a, "../devices/pci0000:00/0000:1f:02.0/ata1/block/sda"));
        assert_true(pci_address_in_path(&a, "0000:1f:02.0"));
        assert_true(pci_address_in_path(&a, "0000:1f:02.0/net/eth0"));
        assert_true(pci_address_in_path(&a, "/x0000:1f:02.0/0000:1f:02.0"));
        assert_false(pci_address_in_path(&a, ""));
        assert_false(pci_address_in_path(&a, "../devices/pci0000:00/0000:1f:02.1/ata1"));
        assert_false(pci_address_in_path(&a, "../devices/10000:1f:02.0/ata1"));
        assert_false(pci_address_in_path(&a, "../devices/0000:1f:02.0:pcie001"));
        assert_false(pci_address_in_path(&a, "../devices/00000:1f:02.00000:1f:02.0"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_parses_the_canonical_form),
                        cmocka_unit_test(test_refuses_all_else),
                        cmocka_unit_test(test_every_address_round_trips),
                        cmocka_unit_test(test_order_is_that_of_the_text),
                        cmocka_unit_test(test_finds_itself_in_paths),
        };

        return cmocka_run_group_tests_name("pci-address", tests, NULL, NULL);
}
