/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the orders of groups say about one device. Pure. */

#include "registry.h"

/* The group that wants the device on vfio-pci now and after each boot: it is enabled, binds persistently, and has this
 * device, or one that moves along, as a granted member. NULL: none. */
const Group *wanted_by(const DeviceTable *t, const Device *d);

/* How many virtual functions a physical one is to have. The oldest enabled rule for it in a group of the type
 * "sriov-nic" decides, whether the group is enabled or not; else it keeps what it was last told, if they are
 * granted. */
typedef struct VfsOrder {
        int32_t count;      /* -1: nobody has said */
        bool bind;          /* and they are to be on vfio-pci */
        const Group *group; /* whose order that is; NULL: none's */
} VfsOrder;

VfsOrder wanted_vfs(const Registry *r, const Device *pf);
Rule *wanted_rule_of_vfs(const Registry *r, const Device *pf); /* that decides; NULL: none */

/* The rule that MakePassthrough has made for this very device: an automatic one that asks for its address. NULL. */
Rule *rule_made_for(const Device *d);

/* The next rule that was made for an address, or for the virtual functions of the device there, also one that is
 * disabled and so matches nothing: *at starts at 0. */
Rule *rule_next_made_for(const Registry *r, const char *address, size_t *at);
