/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "fake-kernel.h"
#include "fake-sriov.h"
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

static int put_first(const PciAddress *a, void *userdata) {
        return pci_address_compare(a, userdata) == 0 ? 0 : 1;
}

static int32_t index_of(FakeHost *h, unsigned n) {
        const PciAddress a = {.bus = 2, .device = (uint8_t)(0x10 + n / 8), .function = (uint8_t)(n % 8)};
        DeviceFacts f;

        assert_int_equal(inventory_read(h->fd, &a, &f), 0);
        assert_true(f.is_virtual);
        return f.vf_index;
}

/* They are not always where arithmetic has them. */
static void test_which_virtual_function_it_is(void **state) {
        const PciAddress pf = {.bus = 2}, gone = {.bus = 3}, first = {.bus = 2, .device = 0x10};
        FakeHost *h = *state;
        DeviceFacts f;
        char link[300];

        fake_host_add_device(h, &(FakeDevice){.address = "0000:02:00.0",
                                              .vendor = 0x8086,
                                              .device = 0x10c9,
                                              .class_code = 0x020000,
                                              .driver = "igb",
                                              .iommu_set = 8,
                                              .total_vfs = 20,
                                              .vf_device = 0x10ca});
        (void)snprintf(link, sizeof link, "%s/sys/%s", h->root, fake_host_device_path(h, "0000:02:00.0"));
        fake_kernel_attach(h->root);
        assert_int_equal(fake_sriov_set_number(h, link, 20), 0);
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(index_of(h, i), i);
        assert_int_equal(inventory_read(h->fd, &pf, &f), 0);
        assert_int_equal(f.vf_index, -1);
        assert_int_equal(inventory_each_vf(h->fd, &pf, put_first, (void *)&first),
                         1); /* stops at the second */
        assert_int_equal(inventory_each_vf(h->fd, &nic, put_first, (void *)&first), 0); /* it has none */
        assert_int_equal(inventory_each_vf(h->fd, &gone, put_first, (void *)&first), -ENODEV);

        (void)snprintf(link, sizeof link, "sys/%s/virtfn5", fake_host_device_path(h, "0000:02:00.0"));
        fake_host_remove(h, link);
        fake_host_link(h, link, "../0000:02:11.0");
        (void)snprintf(link, sizeof link, "sys/%s/virtfn8", fake_host_device_path(h, "0000:02:00.0"));
        fake_host_remove(h, link);
        fake_host_link(h, link, "../0000:02:10.5");
        assert_int_equal(index_of(h, 8), 5);
        assert_int_equal(index_of(h, 5), 8);
        fake_host_remove(h, link); /* its link is gone already, or is yet to come */
        assert_int_equal(index_of(h, 5), -1);
}

static void test_the_names_of_its_interfaces(void **state) {
        FakeHost *h = *state;
        char path[300], name[40];
        DeviceFacts f;

        assert_int_equal(inventory_read(h->fd, &nic, &f), 0);
        assert_string_equal(f.interfaces, "");
        (void)snprintf(path, sizeof path, "%s/net/eno1", fake_host_device_path(h, NIC));
        fake_host_add_net(h, path);
        assert_int_equal(inventory_read_interfaces(h->fd, &f), 0);
        assert_string_equal(f.interfaces, "eno1");
        assert_int_equal(inventory_reread(h->fd, &f), 0);
        assert_string_equal(f.interfaces, "eno1");

        /* As many as there is room for, and whole names. */
        for (unsigned i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof name, "interface-name%u", i);
                (void)snprintf(path, sizeof path, "%s/net/%s", fake_host_device_path(h, NIC), name);
                fake_host_add_net(h, path);
        }
        assert_int_equal(inventory_read_interfaces(h->fd, &f), 0);
        assert_in_range(strlen(f.interfaces), 100, sizeof f.interfaces - 1);
        for (char *save = NULL, *word = strtok_r(f.interfaces, " ", &save); word;
             word = strtok_r(NULL, " ", &save)) {
                (void)snprintf(path, sizeof path, "sys/%s/net/%s", fake_host_device_path(h, NIC), word);
                assert_true(fake_host_exists(h, path));
        }
        fake_host_remove_device(h, NIC);
        assert_int_equal(inventory_read_interfaces(h->fd, &f), -ENODEV);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_the_link_of_a_sleeping_device_is_not_asked_for,
                                                        setup, teardown),
                        cmocka_unit_test_setup_teardown(test_another_in_its_place_is_not_reread, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_which_virtual_function_it_is, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_the_names_of_its_interfaces, setup, teardown),
        };

        return cmocka_run_group_tests_name("inventory", tests, NULL, NULL);
}
