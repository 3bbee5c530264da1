/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What one edit changes, all or nothing: groups, rules, claims, runs and quarantine that are put (inserted or
 * replaced) and removed. A plan is made against the tables as they are, then stored, then applied to them. Pure; the
 * plan owns its records. What claims come to is planned by claim-plan.h.
 */

#include "claim-record.h"
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
        ClaimRecord *claims;
        size_t n_claims;
        char (*dead_claims)[RECORD_ID_SIZE];
        size_t n_dead_claims;
        RunRecord *runs;
        size_t n_runs;
        char (*dead_runs)[RECORD_ID_SIZE];
        size_t n_dead_runs;
        QuarantineRecord *quarantine;
        size_t n_quarantine;
        PciAddress *dead_quarantine;
        size_t n_dead_quarantine;
} OrderPlan;

void order_plan_clear(OrderPlan *p);

/* These take over the texts of the record when they succeed. -ENOMEM. */
int order_plan_put_group(OrderPlan *p, GroupRecord *g);
int order_plan_put_rule(OrderPlan *p, RuleRecord *r);
int order_plan_remove_group(OrderPlan *p, const char *id);
int order_plan_remove_rule(OrderPlan *p, const char *id);
int order_plan_put_claim(OrderPlan *p, ClaimRecord *c);
int order_plan_remove_claim(OrderPlan *p, const char *id);
int order_plan_put_run(OrderPlan *p, RunRecord *r);
int order_plan_remove_run(OrderPlan *p, const char *id);
int order_plan_put_quarantine(OrderPlan *p, QuarantineRecord *q);
int order_plan_remove_quarantine(OrderPlan *p, const PciAddress *a);

bool order_plan_is_empty(const OrderPlan *p) _pure_;

/* What is asked to be changed: NULL and has_* false are left as they are. */
typedef struct OrderPatch {
        const char *name, *description, *class, *binding; /* of a group */
        const char *node, *filter;                        /* of a rule; name, too */
        int enabled;
        uint32_t quota;   /* of a group */
        SriovPatch sriov; /* of a group of the type "sriov-nic" */
        bool has_enabled, has_quota, has_sriov, has_if_modified;
        uint64_t if_modified;
} OrderPatch;

/* Who gives ids, ages and times: the manager. */
typedef struct OrderStamp {
        char id[RECORD_ID_SIZE];
        uint64_t age, now;
        uint64_t seed; /* random: what is made up, comes of it */
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

/* What all plans have in common. seen: the value of Modified that the caller has seen, or NULL. */
int order_plan_check_unchanged(const char *what, const char *name, uint64_t modified, const uint64_t *seen,
                               Failure *f);
uint64_t order_plan_next_modified(uint64_t before, uint64_t now) _const_;
int order_plan_set_text(char **text, const char *value); /* -ENOMEM */
int order_plan_fail_memory(Failure *f);
