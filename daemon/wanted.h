/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the orders of groups say about one device. Pure. */

#include "registry.h"

/* The group that wants the device on vfio-pci now and after each boot: it is enabled, binds persistently, and has this
 * device, or one that moves along, as a granted member. NULL: none. */
const Group *wanted_by(const DeviceTable *t, const Device *d);

/* The rule that MakePassthrough has made for this very device: an automatic one that asks for its address. NULL. */
Rule *rule_made_for(const Device *d);

/* The next rule that was made for an address, also one that is disabled and so matches nothing: *at starts at 0. */
Rule *rule_next_made_for(const Registry *r, const char *address, size_t *at);
