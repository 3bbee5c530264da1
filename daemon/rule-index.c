/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pointers.h"
#include "rule-index.h"

#define N_BUCKETS_MIN 16U

/* FNV-1a */
static size_t hash_key(FilterField field, const char *text) {
        uint64_t h = 0xcbf29ce484222325ULL ^ (uint64_t)field;

        for (; *text; text++)
                h = (h ^ (unsigned char)*text) * 0x100000001b3ULL;
        return (size_t)(h ^ h >> 32);
}

static void put(RuleIndex *x, Rule *rule) {
        Rule **bucket = &x->buckets[rule->key_hash & (x->n_buckets - 1)];

        rule->next_in_bucket = *bucket;
        *bucket = rule;
}

int rule_index_reserve(RuleIndex *x, size_t n) {
        size_t n_buckets = x->n_buckets > 0 ? x->n_buckets : N_BUCKETS_MIN;
        RuleIndex old = *x;
        Rule *next;
        int r;

        r = pointers_reserve(&x->others, &x->n_others_allocated, n);
        if (r < 0)
                return r;

        while (n_buckets < n)
                n_buckets *= 2;
        if (n_buckets == x->n_buckets)
                return 0;

        x->buckets = calloc(n_buckets, sizeof *x->buckets);
        if (!x->buckets) {
                x->buckets = old.buckets;
                return -ENOMEM;
        }
        x->n_buckets = n_buckets;
        for (size_t i = 0; i < old.n_buckets; i++)
                for (Rule *rule = old.buckets[i]; rule; rule = next) {
                        next = rule->next_in_bucket;
                        put(x, rule);
                }
        free(old.buckets);
        return 0;
}

void rule_index_clear(RuleIndex *x) {
        assert(x);

        free(x->buckets);
        free(x->others);
        *x = (RuleIndex){0};
}

void rule_index_add(RuleIndex *x, Rule *rule) {
        assert(x);
        assert(rule && !rule->index);

        rule->index = x;
        if (!filter_requires(rule->filter, &rule->key_field, &rule->key_text)) {
                rule->key_field = FILTER_FIELD_INVALID;
                pointers_insert(x->others, &x->n_others, x->n_others, rule);
                return;
        }
        rule->key_hash = hash_key(rule->key_field, rule->key_text);
        x->n_keyed[rule->key_field]++;
        put(x, rule);
}

static void remove_keyed(RuleIndex *x, const Rule *rule) {
        Rule **i = &x->buckets[rule->key_hash & (x->n_buckets - 1)];

        while (*i != rule)
                i = &(*i)->next_in_bucket;
        *i = rule->next_in_bucket;
        x->n_keyed[rule->key_field]--;
}

void rule_index_remove(Rule *rule) {
        RuleIndex *x;
        size_t i = 0;

        assert(rule);

        x = STEAL(rule->index);
        if (!x)
                return;
        if (rule->key_field >= 0) {
                remove_keyed(x, rule);
                return;
        }
        while (x->others[i] != rule)
                i++;
        pointers_remove(x->others, &x->n_others, i);
}

static size_t match_keyed(const RuleIndex *x, FilterField field, const FilterSubject *s, Rule **ret) {
        const char *text = strempty(s->values[field].text);
        size_t hash = hash_key(field, text), n = 0;

        for (Rule *rule = x->buckets[hash & (x->n_buckets - 1)]; rule; rule = rule->next_in_bucket)
                if (rule->key_hash == hash && rule->key_field == field && streq(rule->key_text, text) &&
                    filter_match(rule->filter, s))
                        ret[n++] = rule;
        return n;
}

size_t rule_index_match(const RuleIndex *x, const FilterSubject *s, Rule **ret) {
        size_t n = 0;

        assert(x);
        assert(s);

        for (int field = 0; field < FILTER_FIELD_MAX; field++)
                if (x->n_keyed[field] > 0 && !s->values[field].unknown)
                        n += match_keyed(x, (FilterField)field, s, ret + n);
        for (size_t i = 0; i < x->n_others; i++)
                if (filter_match(x->others[i]->filter, s))
                        ret[n++] = x->others[i];
        return n;
}
