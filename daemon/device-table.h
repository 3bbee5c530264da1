/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All devices, sorted by address; and what follows for one of them from itself and from those that share its
 * IOMMU set. */

#include "device.h"

/* Why nothing moves when the kernel command line says so; for printf, with the address. */
#define DEVICE_DISABLED_SENTENCE                                                                            \
        "Device %s must stay with the host: " KERNEL_OPTION_OFF                                             \
        " stands on the kernel command line; remove it there and reboot."

typedef struct DeviceTable {
        const char *node; /* name of the node that has them; the owner of the table keeps it */
        Device **devices; /* owned */
        size_t n, n_allocated;
} DeviceTable;

Device *device_table_find(const DeviceTable *t, const PciAddress *a);
/* By object path; NULL for a path that is not exactly a device's. */
Device *device_table_find_path(const DeviceTable *t, const char *path);

/* Where the first device behind this address is, or t->n. */
size_t device_table_after(const DeviceTable *t, const PciAddress *a);

int device_table_insert(DeviceTable *t, Device *d); /* takes d over when it succeeds; -EEXIST */
Device *device_table_remove(DeviceTable *t, const PciAddress *a); /* hands it back; NULL: there is none */
void device_table_clear(DeviceTable *t);

/* Calls itself for the next virtual function of a physical one: *at starts at 0. */
const Device *device_table_next_vf(const DeviceTable *t, const Device *pf, size_t *at);
uint32_t device_table_count_vfs(const DeviceTable *t, const Device *pf);

/* Computes state, eligibility with its reason, serial and host driver of d; returns what changed, as bits of
 * DeviceProperty. `disabled`: nothing may be moved on this host. */
uint32_t device_table_derive(const DeviceTable *t, Device *d, bool disabled);
