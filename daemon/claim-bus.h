/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.verge.Passthrough.Claim, for each claim; see dbus/org.verge.Passthrough.Claim.xml. */

#include "manager.h"

int claim_bus_attach(Manager *m);

void claim_bus_added(Manager *m, Claim *c);
void claim_bus_removed(Manager *m, Claim *c);
void claim_bus_changed(Manager *m, Claim *c, uint32_t mask);
/* One of its devices has left the host, while the VM has it. */
void claim_bus_device_vanished(Manager *m, Claim *c, const PciAddress *a);
