/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"
#include "changes.h"

#define BIT(property) (1U << DEVICE_PROPERTY_##property)

/* What was told, and how often the flush was asked for. */
typedef struct Told {
        Changes changes;
        DeviceTable *table;
        unsigned armed, n_device, n_stuck, n_manager;
        uint32_t mask, manager_mask;
        const Device *device, *stuck;
        Device *mark_while_told; /* is marked from within the sink */
} Told;

static void on_arm(void *userdata) {
        Told *told = userdata;

        told->armed++;
}

static void on_device(Device *d, uint32_t mask, void *userdata) {
        Told *told = userdata;

        told->n_device++;
        told->device = d;
        told->mask = mask;
        if (told->mark_while_told)
                changes_mark(&told->changes, told->mark_while_told, BIT(MODULE));
        told->mark_while_told = NULL;
}

static void on_stuck(Device *d, void *userdata) {
        Told *told = userdata;

        told->n_stuck++;
        told->stuck = d;
        assert_ptr_equal(told->device, d); /* who looks at the state on this signal sees the new one */
}

static void on_manager(uint32_t mask, void *userdata) {
        Told *told = userdata;

        told->n_manager++;
        told->manager_mask = mask;
}

static void flush(Told *told) {
        static const ChangesSink sink = {.device = on_device, .stuck = on_stuck, .manager = on_manager};

        told->armed = told->n_device = told->n_stuck = told->n_manager = 0;
        told->mask = told->manager_mask = 0;
        told->device = told->stuck = NULL;
        changes_flush(&told->changes, told->table, false, &sink, told);
}

static int setup(void **state) {
        Told *told = calloc(1, sizeof *told);

        assert_non_null(told);
        told->changes.arm = on_arm;
        told->changes.userdata = told;
        told->table = model_new();
        model_add(told->table, "0000:05:00.0", 5);
        model_add(told->table, "0000:06:00.0", 6);
        model_add(told->table, "0000:07:00.0", 7);
        changes_touch(&told->changes);
        flush(told); /* what was derived first */
        *state = told;
        return 0;
}

static int teardown(void **state) {
        Told *told = *state;

        model_free(told->table);
        free(told);
        return 0;
}

static void test_words(void **state _unused_) {
        for (int i = 0; i < MANAGER_PROPERTY_MAX; i++)
                assert_int_equal(
                                manager_property_from_string(manager_property_to_string((ManagerProperty)i)),
                                i);
        assert_int_equal(manager_property_from_string("Version"),
                         MANAGER_PROPERTY_INVALID); /* never changes */
        assert_null(manager_property_to_string(MANAGER_PROPERTY_MAX));
}

static void test_nothing_changed_nothing_told(void **state) {
        Told *told = *state;

        flush(told);
        assert_int_equal(told->n_device + told->n_stuck + told->n_manager, 0);
        changes_mark(&told->changes, told->table->devices[0], 0);
        changes_mark_manager(&told->changes, 0);
        assert_int_equal(told->armed, 0);
        changes_touch(&told->changes); /* a look, and all is as it was */
        assert_int_equal(told->armed, 1);
        flush(told);
        assert_int_equal(told->n_device + told->n_stuck + told->n_manager, 0);
}

/* A burst of events is one signal for each object. */
static void test_a_burst_is_told_once(void **state) {
        Told *told = *state;
        Device *d = told->table->devices[1];

        for (int i = 0; i < 10; i++) {
                changes_mark(&told->changes, d, BIT(DRIVER));
                changes_mark(&told->changes, d, BIT(MODULE));
                changes_touch(&told->changes);
                changes_mark_manager(&told->changes, 1U << MANAGER_PROPERTY_VFIO_AVAILABLE);
        }
        assert_int_equal(told->armed, 1);
        flush(told);
        assert_int_equal(told->n_device, 1);
        assert_ptr_equal(told->device, d);
        assert_int_equal(told->mask, BIT(DRIVER) | BIT(MODULE));
        assert_int_equal(told->n_manager, 1);
        assert_int_equal(told->manager_mask, 1U << MANAGER_PROPERTY_VFIO_AVAILABLE);
        flush(told);
        assert_int_equal(told->n_device + told->n_manager, 0);

        changes_mark(&told->changes, d, BIT(DRIVER));
        assert_int_equal(told->armed, 1);
        flush(told);
        assert_int_equal(told->n_device, 1);
}

static void test_what_follows_is_told_with_it(void **state) {
        Told *told = *state;
        Device *d = told->table->devices[1];

        strcpy(d->facts.driver, "vfio-pci");
        changes_mark(&told->changes, d, BIT(DRIVER));
        flush(told);
        assert_int_equal(told->n_device, 1);
        assert_int_equal(told->mask, BIT(DRIVER) | BIT(STATE) | BIT(HOST_DRIVER));

        d->operating = true; /* only touched: the state alone */
        changes_touch(&told->changes);
        flush(told);
        assert_int_equal(told->mask, BIT(STATE));
}

static void test_stuck_is_told_once(void **state) {
        Told *told = *state;
        Device *d = told->table->devices[2];

        (void)device_set_text(&d->stuck, "Process 42 holds it.");
        changes_touch(&told->changes);
        flush(told);
        assert_int_equal(told->n_stuck, 1);
        assert_ptr_equal(told->stuck, d);
        assert_int_equal(told->mask, BIT(STATE) | BIT(ELIGIBLE) | BIT(REASON));

        (void)device_set_text(&d->stuck, "Process 43 holds it.");
        changes_touch(&told->changes);
        flush(told);
        assert_int_equal(told->n_stuck, 0);
        assert_int_equal(told->mask, BIT(REASON));

        (void)device_set_text(&d->stuck, "");
        changes_touch_device(&told->changes, d);
        flush(told);
        assert_int_equal(told->n_stuck, 0);
        assert_int_equal(told->mask, BIT(STATE) | BIT(ELIGIBLE) | BIT(REASON));
        (void)device_set_text(&d->stuck, "Process 44 holds it.");
        changes_touch_device(&told->changes, d);
        flush(told);
        assert_int_equal(told->n_stuck, 1);
}

/* What comes up while others are told is not lost, whether its turn is over or not. */
static void test_a_mark_during_the_flush_is_not_lost(void **state) {
        Told *told = *state;

        for (size_t i = 0; i < told->table->n; i++) {
                Device *d = told->table->devices[i];
                unsigned n;

                changes_mark(&told->changes, told->table->devices[1], BIT(DRIVER));
                told->mark_while_told = d;
                flush(told);
                n = told->n_device;
                assert_int_equal(told->armed, 1);
                flush(told);
                assert_int_equal(n + told->n_device, 2);
                flush(told);
                assert_int_equal(told->n_device, 0);
        }
}

static void set_critical(Device *d, bool critical) {
        d->critical = critical;
        (void)device_set_text(&d->critical_sentence, critical ? "The host needs it." : "");
}

/* Who was not touched is left alone, unless what follows for it depends on who was. */
static void test_only_who_depends_on_it_is_derived(void **state) {
        Told *told = *state;
        Device *d = told->table->devices[0], *other = told->table->devices[1],
               *third = told->table->devices[2];

        assert_int_equal(iommu_set_add(&other->facts.set, device_address(d)), 0);
        set_critical(d, true);
        set_critical(third, true);
        changes_touch_device(&told->changes, d);
        changes_touch_device(&told->changes, d);
        assert_int_equal(told->armed, 1);
        flush(told);
        assert_int_equal(told->n_device, 2);
        assert_false(d->eligible || other->eligible);
        assert_true(third->eligible);

        changes_touch(&told->changes);
        flush(told);
        assert_int_equal(told->n_device, 1);
        assert_false(third->eligible);
}

static void test_a_switch_for_all_touches_all(void **state) {
        static const ChangesSink sink = {.device = on_device, .stuck = on_stuck, .manager = on_manager};
        Told *told = *state;

        told->n_device = 0;
        changes_flush(&told->changes, told->table, true, &sink, told);
        assert_int_equal(told->n_device, 3);
        changes_flush(&told->changes, told->table, true, &sink, told);
        assert_int_equal(told->n_device, 3);
}

#define MANY (CHANGES_TOUCHED_MAX + 5)

static void draw_change(Told *told, const char *address) {
        PciAddress a = model_address(address);
        Device *d = device_table_find(told->table, &a);

        switch (d ? model_draw() % 6 : 0) {
        case 0:
                if (d) {
                        changes_touch_device(&told->changes, d);
                        device_free(device_table_remove(told->table, &a));
                        return;
                }
                /* It need not know yet who else is in its set, and they may know of it before it is there. */
                d = model_add(told->table, address, (unsigned)(model_draw() % 8));
                for (unsigned n = model_draw() % 4; n > 0; n--) {
                        a.bus = (uint8_t)(model_draw() % MANY);
                        assert_int_equal(iommu_set_add(&d->facts.set, &a), 0);
                }
                break;
        case 1:
                set_critical(d, d->critical == 0);
                break;
        case 2:
                d->critical_error = d->critical_error ? 0 : -EIO;
                break;
        case 3:
                d->operating = !d->operating;
                break;
        case 4:
                (void)device_set_text(&d->stuck, d->stuck ? "" : "Process 42 holds it.");
                break;
        default:
                d->facts.set_error = d->facts.set_error ? 0 : -EXDEV;
                break;
        }
        changes_touch_device(&told->changes, d);
}

/* Whatever happens: after the flush a look at all devices finds nothing that was left out. */
static void test_equals_a_full_derivation(void **state) {
        Told *told = *state;
        char address[PCI_ADDRESS_SIZE];

        for (int round = 0; round < 400; round++) {
                for (uint64_t n = model_draw() % (round % 10 == 0 ? 2 * MANY : 4); n > 0; n--) {
                        PciAddress a = {.bus = (uint8_t)(model_draw() % MANY)};

                        draw_change(told, pci_address_format(&a, address));
                }
                flush(told);
                for (size_t i = 0; i < told->table->n; i++)
                        assert_int_equal(device_table_derive(told->table, told->table->devices[i], false),
                                         0);
        }
}

/* The daemon's first steps: nobody is there yet who could be asked to come back. */
static void test_marks_without_somebody_to_arm(void **state) {
        Told *told = *state;

        told->changes.arm = NULL;
        changes_mark_manager(&told->changes, 1U << MANAGER_PROPERTY_IOMMU_KIND);
        flush(told);
        assert_int_equal(told->manager_mask, 1U << MANAGER_PROPERTY_IOMMU_KIND);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_words),
                        cmocka_unit_test_setup_teardown(test_nothing_changed_nothing_told, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_burst_is_told_once, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_what_follows_is_told_with_it, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_stuck_is_told_once, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_mark_during_the_flush_is_not_lost, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_only_who_depends_on_it_is_derived, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_a_switch_for_all_touches_all, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_equals_a_full_derivation, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_marks_without_somebody_to_arm, setup, teardown),
        };

        return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
