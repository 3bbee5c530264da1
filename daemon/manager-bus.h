/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.verge.Passthrough.Manager and the ObjectManager; see dbus/org.verge.Passthrough.Manager.xml. */

#include "manager.h"

int manager_bus_attach(Manager *m);

void manager_bus_changed(Manager *m, uint32_t mask);
void manager_bus_device_stuck(Manager *m, Device *d);
void manager_bus_confirmation_pending(Manager *m);
