/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of the registry, for the files registry-*.c alone. */

#include "rule-index.h"

struct Registry {
        RegistryConfig config;

        Group **groups, **groups_by_id; /* by name, by id */
        size_t n_groups, groups_allocated, groups_by_id_allocated;
        Rule **rules, **rules_by_id; /* oldest first, by id */
        size_t n_rules, rules_allocated, rules_by_id_allocated;

        /* Rules that ask only for what many devices have in common, and rules that do not. */
        RuleIndex shared, single;

        Rule **scratch; /* room for all rules */
        size_t scratch_allocated;

        Group *changed_groups;
        Rule *changed_rules;
        bool is_touched, is_deferred;
};

void registry_mark_group(Registry *r, Group *g, uint32_t mask);
void registry_mark_rule(Registry *r, Rule *rule, uint32_t mask);

int registry_compare_rules(const void *a, const void *b); /* age, then id */

/* Does this node have the devices of the registry? "" means all nodes. */
bool registry_is_node(const Registry *r, const char *node);
RuleIndex *registry_index_for(Registry *r, const Filter *f);

/* The devices that a rule with this filter matches, by address, as an array for the caller; and room for all that has
 * to be written down if `rule` is the one. -ENOMEM. */
int registry_find_devices(Registry *r, Rule *rule, const Filter *f, Device ***ret, size_t *ret_n);
/* Makes these the rule's devices: cannot fail any more. */
void registry_set_devices(Registry *r, Rule *rule, Device *const *devices, size_t n);
