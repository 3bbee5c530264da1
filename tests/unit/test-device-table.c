/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"
#include "critical.h"

#define BIT(property) (1U << DEVICE_PROPERTY_##property)

/* Two that share set 7 behind a bridge, one alone in set 8, one that no IOMMU stands in front of. */
static int setup(void **state) {
        DeviceTable *t = model_new();

        model_add(t, "0000:05:02.0", 7);
        model_add(t, "0000:05:00.0", 7)->facts.identity.class_code = MODEL_BRIDGE;
        model_add(t, "0000:05:01.0", 7);
        model_add(t, "0000:06:00.0", 8);
        model_add(t, "0000:07:00.0", DEVICE_NO_IOMMU_SET);
        model_join_sets(t);
        *state = t;
        return 0;
}

static int teardown(void **state) {
        model_free(*state);
        return 0;
}

static Device *get(DeviceTable *t, const char *address) {
        PciAddress a = model_address(address);
        Device *d = device_table_find(t, &a);

        assert_non_null(d);
        return d;
}

static void check_sorted(const DeviceTable *t) {
        for (size_t i = 1; i < t->n; i++)
                assert_true(pci_address_compare(device_address(t->devices[i - 1]),
                                                device_address(t->devices[i])) < 0);
}

/* Against a plain bitmap of what is in. */
static void test_any_order_of_coming_and_going(void **state _unused_) {
        DeviceTable t = {0};
        bool in[256] = {0};
        size_t n = 0;
        Device *d;

        for (int i = 0; i < 5000; i++) {
                unsigned k = (unsigned)(model_draw() % ELEMENTSOF(in));
                PciAddress a = {k & 1, (uint8_t)(k >> 1 & 3), (uint8_t)(k >> 3 & 7), (uint8_t)(k >> 6)};

                assert_int_equal(!!device_table_find(&t, &a), in[k]);
                if (model_draw() % 2) {
                        d = model_device(&a, 1);
                        assert_int_equal(device_table_insert(&t, d), in[k] ? -EEXIST : 0);
                        assert_ptr_equal(d->table, in[k] ? NULL : &t);
                        if (in[k])
                                device_free(d);
                        else
                                n++;
                        in[k] = true;
                } else {
                        d = device_table_remove(&t, &a);
                        assert_int_equal(!!d, in[k]);
                        if (d) {
                                assert_null(d->table);
                                assert_int_equal(pci_address_compare(device_address(d), &a), 0);
                                n--;
                        }
                        device_free(d);
                        in[k] = false;
                }
                assert_int_equal(t.n, n);
                check_sorted(&t);
        }
        device_table_clear(&t);
        assert_int_equal(t.n, 0);
        assert_null(t.devices);
}

static void test_finds_exactly_the_path(void **state) {
        static const char *const wrong[] = {
                        "",
                        "/",
                        BUS_PATH_DEVICES,
                        BUS_PATH_DEVICES "/",
                        BUS_PATH_DEVICES "/_30000_3a06_3a00_2e",
                        BUS_PATH_DEVICES "/_30000_3a06_3a00_2e1", /* no such device */
                        BUS_PATH_DEVICES "/0000_3a06_3a00_2e0",   /* decodes to the same, but is not it */
                        BUS_PATH_DEVICES "/_30000_3A06_3A00_2E0", /* so does this */
                        BUS_PATH_DEVICES "/_30_300_30_3a06_3a00_2e0",
                        BUS_PATH_DEVICES "/_30000_3a06_3a00_2e0/",
                        BUS_PATH_DEVICES "/_30000_3a06_3a00_2e0/x",
                        BUS_PATH_DEVICES "/_30000_3a06_3a00_2e00",
                        BUS_PATH_DEVICES "/_30000_3a06_3a00_2e0_",
                        BUS_PATH_DEVICES "/_",
                        BUS_PATH_DEVICES "/_3",
                        BUS_PATH_DEVICES "/_00",
                        BUS_PATH_DEVICES "/_2f_2e_2e_2f",
                        BUS_PATH_DEVICES "x/_30000_3a06_3a00_2e0",
                        "/org/verge/_30000_3a06_3a00_2e0",
        };
        DeviceTable *t = *state;

        assert_string_equal(get(t, "0000:06:00.0")->path, BUS_PATH_DEVICES "/_30000_3a06_3a00_2e0");
        for (size_t i = 0; i < t->n; i++)
                assert_ptr_equal(device_table_find_path(t, t->devices[i]->path), t->devices[i]);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (device_table_find_path(t, wrong[i]))
                        fail_msg("took the path '%s'", wrong[i]);
}

static void test_the_longest_address_has_a_path(void **state) {
        DeviceTable *t = *state;
        Device *d = model_add(t, "ffffffff:ff:1f.7", 9);

        assert_ptr_equal(device_table_find_path(t, d->path), d);
}

static void test_virtual_functions(void **state) {
        DeviceTable *t = *state;
        Device *pf = get(t, "0000:06:00.0"), *vf[3];
        size_t at = 0;

        assert_int_equal(device_table_count_vfs(t, pf), 0);
        vf[0] = model_add(t, "0000:06:10.0", 20);
        vf[1] = model_add(t, "0000:06:10.1", 21);
        vf[2] = model_add(t, "0000:08:10.0", 22); /* another one's */
        for (size_t i = 0; i < 3; i++) {
                vf[i]->facts.is_virtual = true;
                vf[i]->facts.physical_function = i < 2 ? *device_address(pf) : model_address("0000:08:00.0");
        }
        assert_int_equal(device_table_count_vfs(t, pf), 0); /* not without SR-IOV */
        pf->facts.sriov_total_vfs = 8;
        assert_int_equal(device_table_count_vfs(t, pf), 2);
        assert_ptr_equal(device_table_next_vf(t, pf, &at), vf[0]);
        assert_ptr_equal(device_table_next_vf(t, pf, &at), vf[1]);
        assert_null(device_table_next_vf(t, pf, &at));
        assert_null(device_table_next_vf(t, pf, &at));
        assert_int_equal(device_table_count_vfs(t, vf[0]), 0);
}

static void derive_all(DeviceTable *t) {
        for (size_t i = 0; i < t->n; i++)
                (void)device_table_derive(t, t->devices[i], false);
}

static void test_a_free_device_is_eligible(void **state) {
        DeviceTable *t = *state;
        Device *d = get(t, "0000:05:01.0");

        assert_int_equal(device_table_derive(t, d, false), BIT(HOST_DRIVER) | BIT(ELIGIBLE));
        assert_true(d->eligible);
        assert_null(d->reason);
        assert_string_equal(d->host_driver, "e1000e");
        assert_int_equal(device_table_derive(t, d, false), 0);
}

static void test_states(void **state) {
        static const struct {
                const char *driver;
                bool operating, journalled, stuck;
                DeviceState wanted;
        } table[] = {
                        {"e1000e", false, false, false, DEVICE_HOST},
                        {"", false, false, false, DEVICE_HOST},
                        {"vfio-pci", false, false, false, DEVICE_POOL},
                        {"vfio-pcix", false, false, false, DEVICE_HOST},
                        {"vfio-pci", true, false, false, DEVICE_MOVING},
                        {"e1000e", false, true, false, DEVICE_MOVING},
                        {"", true, true, false, DEVICE_MOVING},
                        {"vfio-pci", true, true, true, DEVICE_STUCK},
                        {"", false, true, true, DEVICE_STUCK},
        };
        DeviceTable *t = *state;
        Device *d = get(t, "0000:06:00.0");
        DeviceState before;
        uint32_t mask;

        derive_all(t);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                strcpy(d->facts.driver, table[i].driver);
                d->operating = table[i].operating;
                d->journalled = table[i].journalled;
                (void)device_set_text(&d->stuck, table[i].stuck ? "Process 42 holds it." : "");
                before = d->state;
                mask = device_table_derive(t, d, false);
                assert_int_equal(d->state, table[i].wanted);
                assert_int_equal(!!(mask & BIT(STATE)), d->state != before);
                assert_int_equal(device_table_derive(t, d, false), 0);
                assert_int_equal(d->eligible, !table[i].stuck);
                if (table[i].stuck)
                        assert_string_equal(d->reason, "Process 42 holds it.");
        }
}

/* Where it goes back to: what drives it now, or what did when it was granted. */
static void test_host_driver_and_serial(void **state) {
        DeviceTable *t = *state;
        Device *d = get(t, "0000:06:00.0");

        derive_all(t);
        strcpy(d->facts.driver, "vfio-pci");
        assert_int_equal(device_table_derive(t, d, false), BIT(HOST_DRIVER) | BIT(STATE));
        assert_string_equal(d->host_driver, "");
        strcpy(d->grant_driver, "igb");
        assert_int_equal(device_table_derive(t, d, false), BIT(HOST_DRIVER));
        assert_string_equal(d->host_driver, "igb");
        d->facts.driver[0] = '\0';
        assert_int_equal(device_table_derive(t, d, false), BIT(STATE));
        assert_string_equal(d->host_driver, "igb");
        strcpy(d->facts.driver, "e1000e");
        assert_int_equal(device_table_derive(t, d, false), BIT(HOST_DRIVER));
        assert_string_equal(d->host_driver, "e1000e");

        strcpy(d->facts.identity.serial, "NVME1");
        assert_int_equal(device_table_derive(t, d, false), BIT(SERIAL));
        assert_string_equal(d->serial, "NVME1");
        strcpy(d->grant_serial, "VPD1");
        assert_int_equal(device_table_derive(t, d, false), BIT(SERIAL));
        assert_string_equal(d->serial, "VPD1");
}

/* Each way to be refused: not eligible, with a sentence that names the device and ends. */
static void expect_refused(DeviceTable *t, const char *address, bool disabled, const char *words) {
        Device *d = get(t, address);

        (void)device_table_derive(t, d, disabled);
        assert_false(d->eligible);
        assert_non_null(d->reason);
        if (!strstr(d->reason, address) || !strstr(d->reason, words) ||
            d->reason[strlen(d->reason) - 1] != '.')
                fail_msg("%s: '%s' without '%s'", address, d->reason, words);
        assert_int_equal(device_table_derive(t, d, disabled), 0);
}

static void expect_eligible(DeviceTable *t, const char *address) {
        Device *d = get(t, address);

        (void)device_table_derive(t, d, false);
        if (!d->eligible)
                fail_msg("%s is not eligible: %s", address, d->reason);
}

static void test_reasons_of_its_own(void **state) {
        DeviceTable *t = *state;
        Device *d = get(t, "0000:06:00.0");

        expect_eligible(t, "0000:06:00.0");
        expect_refused(t, "0000:06:00.0", true, KERNEL_OPTION_OFF);
        expect_eligible(t, "0000:06:00.0");

        d->critical = 1U << CRITICAL_MOUNTED;
        (void)device_set_text(&d->critical_sentence,
                              "Device 0000:06:00.0: /dev/sda1 is mounted on /; unmount it first.");
        expect_refused(t, "0000:06:00.0", false, "mounted on /;");
        d->critical_error = -EIO; /* what was known before is not to be relied on */
        expect_refused(t, "0000:06:00.0", false, CRITICAL_UNKNOWN_SENTENCE);
        d->critical_error = -ETIMEDOUT;
        expect_refused(t, "0000:06:00.0", false, "the kernel does not answer");
        d->critical_known = false;
        expect_refused(t, "0000:06:00.0", false, "still being read");
        d->critical_known = true;
        d->critical_error = 0;
        d->critical = 0;
        expect_eligible(t, "0000:06:00.0");
}

static void test_reasons_of_its_set(void **state) {
        DeviceTable *t = *state;
        Device *d = get(t, "0000:06:00.0");

        expect_refused(t, "0000:07:00.0", false, "in no IOMMU set");
        d->facts.set_error = -E2BIG;
        expect_refused(t, "0000:06:00.0", false, "more than 64");
        d->facts.set_error = -EXDEV;
        expect_refused(t, "0000:06:00.0", false, "not on the PCI bus");
        d->facts.set_error = -EIO;
        expect_refused(t, "0000:06:00.0", false, "cannot be read");
        d->facts.set_error = 0;
        expect_eligible(t, "0000:06:00.0");
}

static void test_reasons_of_its_peers(void **state) {
        DeviceTable *t = *state;
        Device *bridge = get(t, "0000:05:00.0"), *peer = get(t, "0000:05:02.0");
        PciAddress a = *device_address(peer);

        expect_eligible(t, "0000:05:01.0");
        bridge->critical = 1U << CRITICAL_BRIDGE_DEVICE; /* stays, and is no obstacle */
        expect_eligible(t, "0000:05:01.0");

        peer->critical = 1U << CRITICAL_ADDRESS;
        (void)device_set_text(&peer->critical_sentence, "The host has 192.0.2.7 on 0000:05:02.0.");
        expect_refused(t, "0000:05:01.0", false, "shares IOMMU set 7 with 0000:05:02.0");
        expect_refused(t, "0000:05:01.0", false, "192.0.2.7");
        expect_eligible(t, "0000:06:00.0");
        peer->critical = 0;
        peer->critical_error = -EIO;
        expect_refused(t, "0000:05:01.0", false, CRITICAL_UNKNOWN_SENTENCE);

        device_free(device_table_remove(t, &a)); /* the kernel names it, and we have not seen it */
        expect_refused(t, "0000:05:01.0", false, "not known yet");
}

/* The longest sentence that the host can make us build is cut, never run over. */
static void test_a_long_sentence_is_cut(void **state) {
        DeviceTable *t = *state;
        Device *peer = get(t, "0000:05:02.0"), *d = get(t, "0000:05:01.0");
        char text[4096];

        memset(text, 's', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        peer->critical = 1U << CRITICAL_MOUNTED;
        (void)device_set_text(&peer->critical_sentence, text);
        (void)device_table_derive(t, d, false);
        assert_false(d->eligible);
        assert_true(strlen(d->reason) > 512 && strlen(d->reason) < 1024);
        (void)device_table_derive(t, peer, false);
        assert_string_equal(peer->reason, text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_any_order_of_coming_and_going),
                        cmocka_unit_test_setup_teardown(test_finds_exactly_the_path, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_the_longest_address_has_a_path, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_virtual_functions, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_free_device_is_eligible, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_host_driver_and_serial, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_reasons_of_its_own, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_reasons_of_its_set, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_reasons_of_its_peers, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_long_sentence_is_cut, setup, teardown),
        };

        return cmocka_run_group_tests_name("device-table", tests, NULL, NULL);
}
