/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Changes of groups, rules, claims and runs, one after the other: each is planned against what its predecessor has
 * left, stored safely, and only then applied and told. So two administrators at once get one answer each, and neither
 * half of the other's change.
 */

#include "manager.h"
#include "order-plan.h"

typedef int (*edit_plan_t)(Manager *m, OrderPlan *p, void *userdata, Failure *f);
typedef void (*edit_done_t)(const Failure *failure, void *userdata);

typedef struct EditRequest {
        edit_plan_t plan;               /* fills the plan when its turn comes; NULL: there is none */
        const IntentRecord *put_intent; /* in the same transaction; copied */
        const char *delete_intent;      /* its id, or NULL */
} EditRequest;

/* Calls done once, later: with NULL when all of it is stored and applied, else nothing has changed. Fills *f (and
 * returns -EREMOTEIO) when it cannot be taken in. userdata serves both callbacks. */
int edit_start(Manager *m, const EditRequest *q, edit_done_t done, void *userdata, Failure *f);

int edits_init(Manager *m);
/* ReadOnly, when no edit can succeed. */
int edit_check_possible(const Manager *m, Failure *f);

void edits_free_all(Manager *m); /* drops those that were not stored yet; calls nothing */

#define EDITS_WAITING_MAX 256U
