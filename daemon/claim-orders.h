/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The methods that change claims: each is one edit. These return what a method handler returns. What the texts point to
 * lies in the message. */

#include "claim-plan.h"
#include "manager.h"

int claim_order_create(Manager *m, sd_bus_message *message, const char *vm, const Group *g,
                       const ClaimPatch *patch);
int claim_order_update(Manager *m, sd_bus_message *message, const Claim *c, const ClaimPatch *patch);
int claim_order_delete(Manager *m, sd_bus_message *message, const Claim *c);
