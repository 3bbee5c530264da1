/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "inventory.h"

#define NIC "0000:01:00.0"

static const PciAddress nic = {.bus = 1};

static int setup(void **state) {
        FakeHost *h;

        *state = h = fake_host_new();
        fake_host_add_device(h, &(FakeDevice){.address = NIC,
                                              .vendor = 0x8086,
                                              .device = 0x10d3,
                                              .class_code = 0x020000,
                                              .driver = "e1000e",
                                              .iommu_set = 7});
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static void attribute(FakeHost *h, const char *name, const char *text) {
        char path[300];

        (void)snprintf(path, sizeof path, "sys/%s/%s", fake_host_device_path(h, NIC), name);
        fake_host_write(h, path, "%s\n", text);
}

static void test_the_link_of_a_sleeping_device_is_not_asked_for(void **state) {
        static const struct {
                const char *status;
                bool asleep;
        } table[] = {{"active", false},  {"suspended", true},   {"suspending", true},
                     {"resuming", true}, {"unsupported", true}, {"error", true}};
        FakeHost *h = *state;
        DeviceFacts f;

        attribute(h, "current_link_speed", "8.0 GT/s PCIe");
        attribute(h, "max_link_speed", "16.0 GT/s PCIe");
        attribute(h, "current_link_width", "4");
        attribute(h, "max_link_width", "8");
        assert_int_equal(inventory_read(h->fd, &nic, &f), 0); /* a kernel without power management */
        assert_false(f.link_asleep);
        assert_int_equal(f.link_width, 4);
        assert_int_equal(f.link_width_max, 8);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                attribute(h, "power/runtime_status", table[i].status);
                assert_int_equal(inventory_read(h->fd, &nic, &f), 0);
                assert_int_equal(f.link_asleep, table[i].asleep);
                assert_int_equal(f.link_width, table[i].asleep ? 0 : 4);
        }
}

static void test_another_in_its_place_is_not_reread(void **state) {
        FakeHost *h = *state;
        DeviceFacts f;

        assert_int_equal(inventory_read(h->fd, &nic, &f), 0);
        assert_int_equal(inventory_reread(h->fd, &f), 0);
        attribute(h, "device", "0x10d4");
        assert_int_equal(inventory_reread(h->fd, &f), -ENODEV);
        assert_string_equal(f.driver, "e1000e");
        fake_host_remove_device(h, NIC);
        assert_int_equal(inventory_reread(h->fd, &f), -ENODEV);
        assert_false(inventory_has(h->fd, &nic));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_the_link_of_a_sleeping_device_is_not_asked_for,
                                                        setup, teardown),
                        cmocka_unit_test_setup_teardown(test_another_in_its_place_is_not_reread, setup,
                                                        teardown),
        };

        return cmocka_run_group_tests_name("inventory", tests, NULL, NULL);
}
