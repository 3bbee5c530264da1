/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a MakePassthrough asks for, whether that can be, and what it means for groups and rules. Asked when the call
 * comes in, again when somebody has consented, and once more when the plan is made: nothing is held in between. */

#include "make-passthrough.h"
#include "transaction.h"

typedef struct Make {
        MakeRequest request;
        PciIdentity identities[DEVICES_PER_CALL_MAX]; /* who was meant, in the order of the devices */
        IommuSet movers, fresh;                       /* as of the last check */
        Transaction *transaction;
} Make;

/* These fail with a sentence (-EREMOTEIO). */
/* The devices are those that were meant when the call came in. */
int make_check_identities(const Manager *m, const Make *data, Failure *f);
/* Those that need consent: whole sets, since a grant is for all that move along. */
void make_find_fresh(const Manager *m, const IommuSet *movers, IommuSet *ret);
/* The group is there and as it is said to be, or can be made. */
int make_check_group(const Manager *m, const Make *data, Failure *f);
/* No device belongs to another group. */
int make_check_members(const Manager *m, const char *group, const Make *data, Failure *f);
/* The rule of a device that is named: made for it, or before. NULL: none yet. */
const Rule *make_rule_of(const Transaction *t, const Device *d);
/* A plan for edit_start(); userdata is the Transaction. */
int make_plan(Manager *m, OrderPlan *p, void *userdata, Failure *f);
