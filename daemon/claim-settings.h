/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a claim on a group of virtual functions sets, and the addresses of its devices. Pure. */

#include "claim-table.h"

/* In the order of the devices; one that is 00:00:00:00:00:00, or not there, is to be made up. */
typedef struct MacList {
        uint8_t macs[CLAIM_COUNT_MAX][VF_MAC_LENGTH];
        size_t n;
} MacList;

/* Puts them into the claim, and as many addresses as it has devices now: what its group lets it, and what no other
 * claim has. settings, macs: all that it is to have in place of what it has; NULL: as it is. What is made up follows
 * from the seed and from what is taken. -EREMOTEIO with a sentence. */
int claim_settings_plan(const ClaimTable *t, uint64_t seed, const Group *g, ClaimRecord *c,
                        const VfSettings *settings, const MacList *macs, Failure *f);

/* May it start with what it sets? Its group may let it less by now than when it was made. InvalidArgument. */
int claim_settings_check(const Group *g, const ClaimRecord *c, Failure *f);
