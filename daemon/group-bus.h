/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.verge.Passthrough.Group, for each group; see dbus/org.verge.Passthrough.Group.xml. */

#include "manager.h"

int group_bus_attach(Manager *m);

void group_bus_added(Manager *m, Group *o);
void group_bus_removed(Manager *m, Group *o);
void group_bus_changed(Manager *m, Group *o, uint32_t mask);
