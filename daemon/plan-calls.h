/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.Plan: what Bind would ask and write, by the helper's verb of that name; without any effect. And Device.Check,
 * which is a part of it. */

#include "manager.h"

/* Devices of one call, in the order in which they came. */
typedef struct DeviceList {
        PciAddress devices[DEVICES_PER_CALL_MAX];
        size_t n;
} DeviceList;

/* consent: bits of CriticalReason. Returns what a method handler returns. */
int plan_devices(Manager *m, sd_bus_message *message, const DeviceList *devices, uint32_t consent);
int plan_check(Manager *m, sd_bus_message *message, const Device *d);
