/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an edit of claims comes to: order-plan.h for claims, and for the ends of runs. Pure.
 */

#include "claim-settings.h"
#include "order-plan.h"

/* What is asked to be changed: NULL and has_* false are left as they are. A blank name is made up: "GROUP 1". */
typedef struct ClaimPatch {
        const char *name, *description;
        uint32_t count, order;
        int optional, enabled;
        bool has_count, has_order, has_optional, has_enabled, has_sriov, has_macs, has_if_modified;
        uint64_t if_modified;
        VfSettings sriov; /* all that the claim is to set, in place of what it has set */
        MacList macs;     /* the same */
} ClaimPatch;

/* These check everything and add to the plan, or fail with a sentence (-EREMOTEIO; out of memory is one, too). */
int claim_plan_create(OrderPlan *p, const ClaimTable *t, const OrderStamp *stamp, uid_t owner,
                      const char *vm, const Group *g, const ClaimPatch *patch, Failure *f);
int claim_plan_update(OrderPlan *p, const ClaimTable *t, const OrderStamp *stamp, const Claim *c,
                      const Group *g, const ClaimPatch *patch, Failure *f);
/* Of a claim that is running only the order goes at once; the claim goes with its run. */
int claim_plan_delete(OrderPlan *p, const Claim *c, uint64_t now, Failure *f);

/* The run goes, and with it those of its claims that were deleted meanwhile. -ENOMEM. */
int claim_plan_end_run(OrderPlan *p, const ClaimTable *t, const Run *r);

/* May the number of virtual functions of its physical functions change to this? InvalidArgument, with a sentence that
 * names one that cannot have so many; Claimed, naming a claim, while a run has one of them: they would all be made
 * anew. */
int claim_plan_check_vfs(const ClaimTable *t, const Group *g, uint32_t vfs, Failure *f);

/* May the group go? Claimed, with a sentence that names a claim, while it may not. */
int claim_plan_check_unclaimed(const ClaimTable *t, const Group *g, Failure *f);
