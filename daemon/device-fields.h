/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device as the filter language sees it. */

#include "device-table.h"
#include "filter.h"

typedef struct DeviceFields {
        FilterSubject subject; /* points into the device and into `text` */
        char text[8][24];      /* what is made up: slot, hex pairs, addresses */
} DeviceFields;

void device_fields_fill(const Device *d, DeviceFields *ret);

/* Properties of Device (bits) whose change can change what a filter says. */
#define DEVICE_FIELDS_PROPERTIES                                                                            \
        (1U << DEVICE_PROPERTY_SLOT | 1U << DEVICE_PROPERTY_SERIAL | 1U << DEVICE_PROPERTY_DRIVER |         \
         1U << DEVICE_PROPERTY_MODULE | 1U << DEVICE_PROPERTY_NUMA_NODE | 1U << DEVICE_PROPERTY_IOMMU_SET | \
         1U << DEVICE_PROPERTY_PHYSICAL_FUNCTION | 1U << DEVICE_PROPERTY_SRIOV_TOTAL_VFS)
