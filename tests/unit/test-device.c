/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"

static const PciAddress place = {0, 0x3b, 0, 0}, neighbour = {0, 0x3b, 0, 1};

static int setup(void **state) {
        *state = model_device(&place, 7);
        return 0;
}

static int teardown(void **state) {
        device_free(*state);
        return 0;
}

/* The words are D-Bus names: there is one for each value, and no two are the same. */
static void test_words(void **state _unused_) {
        for (int i = 0; i < DEVICE_STATE_MAX; i++) {
                assert_non_null(device_state_to_string((DeviceState)i));
                assert_int_equal(device_state_from_string(device_state_to_string((DeviceState)i)), i);
        }
        for (int i = 0; i < DEVICE_PROPERTY_MAX; i++) {
                assert_non_null(device_property_to_string((DeviceProperty)i));
                assert_int_equal(device_property_from_string(device_property_to_string((DeviceProperty)i)),
                                 i);
        }
        assert_true(DEVICE_PROPERTY_MAX <= 32); /* they are bits of a uint32_t */
        assert_null(device_state_to_string(DEVICE_STATE_MAX));
        assert_null(device_property_to_string(DEVICE_PROPERTY_INVALID));
        assert_int_equal(device_state_from_string("Host"), DEVICE_STATE_INVALID);
        assert_int_equal(device_property_from_string(NULL), DEVICE_PROPERTY_INVALID);
}

static void test_a_new_device_is_at_the_host_and_not_judged(void **state _unused_) {
        const DeviceFacts facts = {.identity.address = place, .set.number = DEVICE_NO_IOMMU_SET};
        char path[] = "/some/path";
        Device *d;

        assert_int_equal(device_new(&facts, path, &d), 0);
        path[1] = 'x';
        assert_string_equal(d->path, "/some/path");
        assert_string_equal(d->address, "0000:3b:00.0");
        assert_int_equal(d->state, DEVICE_HOST);
        assert_false(d->critical_known || d->eligible || d->granted || d->operating || d->journalled);
        assert_null(d->stuck);
        assert_null(d->table);
        assert_null(device_free(d));
        assert_null(device_free(NULL));
}

static void test_words_are_copied(void **state) {
        char vendor[] = "Intel Corporation", model[] = "82574L", smodel[] = "PRO/1000";
        Device *d = *state;

        assert_int_equal(device_set_words(d, vendor, model, "Ethernet controller", "Dell", smodel), 0);
        vendor[0] = model[0] = smodel[0] = 'x';
        assert_string_equal(d->vendor, "Intel Corporation");
        assert_string_equal(d->name, "Intel Corporation 82574L");
        assert_string_equal(d->class_words, "Ethernet controller");
        assert_string_equal(d->svendor, "Dell");
        assert_string_equal(d->smodel, "PRO/1000");

        assert_int_equal(device_set_words(d, "Red Hat", "Virtio", "", "", ""), 0);
        assert_string_equal(d->name, "Red Hat Virtio");
        assert_string_equal(d->class_words, "");
        assert_string_equal(d->svendor, "");
        assert_string_equal(d->smodel, "");
}

static void change_slot(DeviceFacts *f) {
        strcpy(f->identity.slot, "5-1");
}

static void change_driver(DeviceFacts *f) {
        strcpy(f->driver, "vfio-pci");
}

static void remove_driver(DeviceFacts *f) {
        f->driver[0] = '\0';
}

static void change_module(DeviceFacts *f) {
        strcpy(f->module, "e1000e");
}

static void change_numa_node(DeviceFacts *f) {
        f->numa_node = 0;
}

static void change_set(DeviceFacts *f) {
        f->set.number = 8;
}

static void remove_set(DeviceFacts *f) {
        f->set.number = DEVICE_NO_IOMMU_SET;
}

static void add_peer(DeviceFacts *f) {
        assert_int_equal(iommu_set_add(&f->set, &neighbour), 0);
}

static void change_reset_methods(DeviceFacts *f) {
        strcpy(f->reset_methods, "flr bus");
}

static void change_link_speed(DeviceFacts *f) {
        f->link_speed = 8;
}

static void change_link_speed_max(DeviceFacts *f) {
        f->link_speed_max = 2.5;
}

static void change_link_width(DeviceFacts *f) {
        f->link_width = 4;
}

static void change_link_width_max(DeviceFacts *f) {
        f->link_width_max = 16;
}

static void change_total_vfs(DeviceFacts *f) {
        f->sriov_total_vfs = 63;
}

/* Who subscribes is told of what changed, and of nothing else; there and back. */
static void test_new_facts_tell_what_changed(void **state) {
        static const struct {
                void (*change)(DeviceFacts *f);
                DeviceProperty property;
        } table[] = {
                        {change_slot, DEVICE_PROPERTY_SLOT},
                        {change_driver, DEVICE_PROPERTY_DRIVER},
                        {remove_driver, DEVICE_PROPERTY_DRIVER},
                        {change_module, DEVICE_PROPERTY_MODULE},
                        {change_numa_node, DEVICE_PROPERTY_NUMA_NODE},
                        {change_set, DEVICE_PROPERTY_IOMMU_SET},
                        {remove_set, DEVICE_PROPERTY_IOMMU_SET},
                        {add_peer, DEVICE_PROPERTY_IOMMU_PEERS},
                        {change_reset_methods, DEVICE_PROPERTY_RESET_METHODS},
                        {change_link_speed, DEVICE_PROPERTY_LINK_SPEED},
                        {change_link_speed_max, DEVICE_PROPERTY_LINK_SPEED_MAX},
                        {change_link_width, DEVICE_PROPERTY_LINK_WIDTH},
                        {change_link_width_max, DEVICE_PROPERTY_LINK_WIDTH_MAX},
                        {change_total_vfs, DEVICE_PROPERTY_SRIOV_TOTAL_VFS},
        };
        DeviceFacts old, new;
        Device *d = *state;
        uint32_t all = 0;

        old = d->facts;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                new = old;
                assert_int_equal(device_set_facts(d, &new), 0);
                table[i].change(&new);
                assert_int_equal(device_set_facts(d, &new), 1U << table[i].property);
                assert_int_equal(device_set_facts(d, &new), 0);
                assert_int_equal(device_set_facts(d, &old), 1U << table[i].property);
                all |= 1U << table[i].property;
        }

        for (size_t i = 0; i < ELEMENTSOF(table); i++) /* of two for one property the later one stands */
                table[i].change(&new);
        assert_int_equal(device_set_facts(d, &new), all);
        assert_string_equal(d->facts.reset_methods, "flr bus");
}

/* The NVMe driver takes its serial number with it when it leaves. */
static void test_a_serial_stays_known(void **state) {
        Device *d = *state;
        DeviceFacts facts = d->facts;

        strcpy(facts.identity.serial, "S1");
        (void)device_set_facts(d, &facts);
        facts.identity.serial[0] = '\0';
        strcpy(facts.driver, "vfio-pci");
        assert_int_equal(device_set_facts(d, &facts), 1U << DEVICE_PROPERTY_DRIVER);
        assert_string_equal(d->facts.identity.serial, "S1");
        assert_string_equal(d->facts.driver, "vfio-pci");

        strcpy(facts.identity.serial, "S2");
        (void)device_set_facts(d, &facts);
        assert_string_equal(d->facts.identity.serial, "S2");
}

static void test_the_link_of_a_sleeping_device_stays_known(void **state) {
        Device *d = *state;
        DeviceFacts facts = d->facts;

        facts.link_speed = facts.link_speed_max = 16;
        facts.link_width = facts.link_width_max = 4;
        (void)device_set_facts(d, &facts);
        facts.link_speed = facts.link_speed_max = 0;
        facts.link_width = facts.link_width_max = 0;
        facts.link_asleep = true;
        assert_int_equal(device_set_facts(d, &facts), 0);
        assert_int_equal(d->facts.link_width, 4);
        assert_int_equal(d->facts.link_width_max, 4);
        assert_true(d->facts.link_speed > 15 && d->facts.link_speed_max > 15);
}

static void test_set_text(void **state _unused_) {
        _cleanup_free_ char *text = NULL;
        char value[] = "one";

        assert_false(device_set_text(&text, ""));
        assert_null(text);
        assert_true(device_set_text(&text, value));
        value[0] = 'x';
        assert_string_equal(text, "one");
        assert_false(device_set_text(&text, "one"));
        assert_true(device_set_text(&text, "two"));
        assert_string_equal(text, "two");
        assert_true(device_set_text(&text, ""));
        assert_null(text);
}

static void test_sets_and_bridges(void **state) {
        Device *d = *state;

        assert_true(device_in_set(d, 7));
        assert_false(device_in_set(d, 8));
        d->facts.set.number = DEVICE_NO_IOMMU_SET; /* two without an IOMMU are not in one set */
        assert_false(device_in_set(d, DEVICE_NO_IOMMU_SET));

        assert_false(device_is_bridge(d));
        d->facts.identity.class_code = MODEL_BRIDGE;
        assert_true(device_is_bridge(d));
        d->facts.identity.class_code = 0x060100; /* ISA: has a header like any device */
        assert_false(device_is_bridge(d));
}

static void test_settings(void **state) {
        const VfSettings none = {0}, some = {.given = 1U << VF_VLAN, .values[VF_VLAN] = 7};
        Device *d = *state;

        assert_int_equal(device_set_vf_settings(d, &none), 0);
        assert_int_equal(device_set_vf_settings(d, &some), 1U << DEVICE_PROPERTY_VF_SETTINGS);
        assert_int_equal(device_set_vf_settings(d, &some), 0);
        assert_int_equal(d->vf_settings.values[VF_VLAN], 7);
        assert_int_equal(device_set_vf_settings(d, &none), 1U << DEVICE_PROPERTY_VF_SETTINGS);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_words),
                        cmocka_unit_test(test_a_new_device_is_at_the_host_and_not_judged),
                        cmocka_unit_test_setup_teardown(test_words_are_copied, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_new_facts_tell_what_changed, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_serial_stays_known, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_the_link_of_a_sleeping_device_stays_known,
                                                        setup, teardown),
                        cmocka_unit_test(test_set_text),
                        cmocka_unit_test_setup_teardown(test_settings, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_sets_and_bridges, setup, teardown),
        };

        return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
