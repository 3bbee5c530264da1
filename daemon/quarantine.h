/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices that could not be reset after a VM: what edits put and remove here is on the devices' foreheads, also
 * when they leave and come back. It ends with the boot: a power cycle, or the firmware, resets what we could not. */

#include "manager.h"

/* As edits apply them. Takes over the texts of *q; -ENOMEM. */
int quarantine_put(Manager *m, QuarantineRecord *q);
void quarantine_remove(Manager *m, const PciAddress *a);

/* What the store had. */
void quarantine_load(Manager *m);
void quarantine_clear(Manager *m);

/* A device has come. */
void quarantine_apply(Manager *m, Device *d);

/* Adds to the plan that the device goes into quarantine. -errno: no memory, no clock. */
int quarantine_plan(const Manager *m, OrderPlan *p, const Device *d, const char *reason);

/* Device.EndQuarantine. */
int quarantine_call_end(Manager *m, sd_bus_message *message, const Device *d);
