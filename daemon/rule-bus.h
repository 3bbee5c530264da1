/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.verge.Passthrough.Rule, for each rule; see dbus/org.verge.Passthrough.Rule.xml. */

#include "manager.h"

int rule_bus_attach(Manager *m);

void rule_bus_added(Manager *m, Rule *o);
void rule_bus_removed(Manager *m, Rule *o);
void rule_bus_changed(Manager *m, Rule *o, uint32_t mask);
