/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What one edit changes, all or nothing: groups and rules that are put (inserted or replaced) and removed. A plan is
 * made against the registry as it is, then stored, then applied to the registry. Pure; the plan owns its records.
 */

#include "registry.h"

typedef struct OrderPlan {
        GroupRecord *groups;
        size_t n_groups;
        RuleRecord *rules;
        size_t n_rules;
        char (*dead_groups)[RECORD_ID_SIZE]; /* their rules go with them */
        size_t n_dead_groups;
        char (*dead_rules)[RECORD_ID_SIZE];
        size_t n_dead_rules;
} OrderPlan;

void order_plan_clear(OrderPlan *p);

/* These take over the texts of the record when they succeed. -ENOMEM. */
int order_plan_put_group(OrderPlan *p, GroupRecord *g);
int order_plan_put_rule(OrderPlan *p, RuleRecord *r);
int order_plan_remove_group(OrderPlan *p, const char *id);
int order_plan_remove_rule(OrderPlan *p, const char *id);

/* What is asked to be changed: NULL and has_* false are left as they are. */
typedef struct OrderPatch {
        const char *name, *description, *class, *binding; /* of a group */
        const char *node, *filter;                        /* of a rule; name, too */
        int enabled;
        bool has_enabled, has_if_modified;
        uint64_t if_modified;
} OrderPatch;

/* Who gives ids, ages and times: the manager. */
typedef struct OrderStamp {
        char id[RECORD_ID_SIZE];
        uint64_t age, now;
} OrderStamp;

/* These check everything and add to the plan, or fail with a sentence (-EREMOTEIO; out of memory is one, too). */
int order_plan_create_group(OrderPlan *p, const Registry *r, const OrderStamp *stamp, const char *name,
                            const char *type, const OrderPatch *patch, Failure *f);
int order_plan_update_group(OrderPlan *p, const Registry *r, const Group *g, const OrderPatch *patch,
                            uint64_t now, Failure *f);
/* The group by its object, or, when the same plan makes it, by its id alone (then g is NULL). */
int order_plan_create_rule(OrderPlan *p, const Registry *r, const OrderStamp *stamp, const Group *g,
                           const char *group_id, const char *name, bool auto_created,
                           const OrderPatch *patch, Failure *f);
int order_plan_update_rule(OrderPlan *p, const Registry *r, const Rule *rule, const OrderPatch *patch,
                           uint64_t now, Failure *f);
