/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A table of devices out of thin air, for what decides without looking at a host. */

#include <systemd/sd-bus.h>

#include "fake-host.h"
#include "device-table.h"

/* The classes that make a difference. */
#define MODEL_NIC 0x020000U
#define MODEL_BRIDGE 0x060400U

static inline PciAddress model_address(const char *text) {
        PciAddress a;

        assert_int_equal(pci_address_parse(text, &a), 0);
        return a;
}

static inline Device *model_device(const PciAddress *a, unsigned set) {
        DeviceFacts facts = {.identity = {.address = *a, .class_code = MODEL_NIC},
                             .numa_node = -1,
                             .set.number = set,
                             .driver = "e1000e"};
        char address[PCI_ADDRESS_SIZE];
        _cleanup_free_ char *path = NULL;
        Device *d;

        assert_true(sd_bus_path_encode(BUS_PATH_DEVICES, pci_address_format(a, address), &path) >= 0);
        assert_int_equal(iommu_set_add(&facts.set, a), 0);
        assert_int_equal(device_new(&facts, path, &d), 0);
        d->critical_known = true; /* and nothing speaks against it */
        return d;
}

static inline Device *model_add(DeviceTable *t, const char *address, unsigned set) {
        PciAddress a = model_address(address);
        Device *d = model_device(&a, set);

        assert_int_equal(device_table_insert(t, d), 0);
        return d;
}

/* Has every device know the others of its IOMMU set. */
static inline void model_join_sets(DeviceTable *t) {
        for (size_t i = 0; i < t->n; i++)
                for (size_t k = 0; k < t->n; k++)
                        if (device_in_set(t->devices[i], t->devices[k]->facts.set.number))
                                assert_int_equal(iommu_set_add(&t->devices[i]->facts.set,
                                                               device_address(t->devices[k])),
                                                 0);
}

static inline DeviceTable *model_new(void) {
        DeviceTable *t = calloc(1, sizeof *t);

        assert_non_null(t);
        return t;
}

static inline void model_free(DeviceTable *t) {
        device_table_clear(t);
        free(t);
}

/* xorshift: the same series on each machine, so that a failure can be had again. */
static inline uint64_t model_draw(void) {
        static uint64_t x = 88172645463325252ULL;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return x;
}
