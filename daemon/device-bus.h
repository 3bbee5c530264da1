/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.verge.Passthrough.Device, for each device; see dbus/org.verge.Passthrough.Device.xml. */

#include "manager.h"

int device_bus_attach(Manager *m);

void device_bus_added(Manager *m, Device *d);
void device_bus_removed(Manager *m, Device *d);
void device_bus_changed(Manager *m, Device *d, uint32_t mask);
