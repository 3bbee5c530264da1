/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Finds the rules that match a device without asking all of them: most rules demand that one field be equal to a text
 * (filter_requires()), and are found by that text. The others are asked each time.
 */

#include "registry.h"

typedef struct RuleIndex {
        Rule **buckets; /* a power of two of them */
        size_t n_buckets;
        size_t n_keyed[FILTER_FIELD_MAX]; /* rules with a key, by its field */
        Rule **others;
        size_t n_others, n_others_allocated;
} RuleIndex;

int rule_index_reserve(RuleIndex *x, size_t n); /* room for n rules in all. -ENOMEM */
void rule_index_clear(RuleIndex *x);

/* By rule->filter, which must not change while the rule is in. */
void rule_index_add(RuleIndex *x, Rule *rule);
void rule_index_remove(Rule *rule); /* from where it is, if it is in one */

/* Writes the rules that match to ret, which has room for all, and returns how many. No particular order. */
size_t rule_index_match(const RuleIndex *x, const FilterSubject *s, Rule **ret);
