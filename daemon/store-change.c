/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "store-change.h"

static const char *const intent_kind_table[INTENT_KIND_MAX] = {
                [INTENT_MAKE] = "make",
                [INTENT_RETURN] = "return",
};

DEFINE_STRING_TABLE(intent_kind, IntentKind, INTENT_KIND_MAX);

void intent_record_clear(IntentRecord *i) {
        assert(i);

        free(i->data);
        *i = (IntentRecord){0};
}

void store_contents_clear(StoreContents *c) {
        assert(c);

        for (size_t i = 0; i < c->n_groups; i++)
                group_record_clear(&c->groups[i]);
        for (size_t i = 0; i < c->n_rules; i++)
                rule_record_clear(&c->rules[i]);
        for (size_t i = 0; i < c->n_intents; i++)
                intent_record_clear(&c->intents[i]);
        free(c->groups);
        free(c->rules);
        free(c->intents);
        *c = (StoreContents){0};
}

int store_change_new(StoreChange **ret) {
        assert(ret);

        *ret = calloc(1, sizeof **ret);
        return *ret ? 0 : -ENOMEM;
}

static void clear_order(StoreOrder *o) {
        switch (o->verb) {
        case STORE_PUT_GROUP:
                group_record_clear(&o->group);
                break;
        case STORE_PUT_RULE:
                rule_record_clear(&o->rule);
                break;
        case STORE_PUT_INTENT:
                intent_record_clear(&o->intent);
                break;
        case STORE_DELETE_GROUP:
        case STORE_DELETE_RULE:
        case STORE_DELETE_INTENT:
                break;
        }
}

StoreChange *store_change_free(StoreChange *c) {
        if (!c)
                return NULL;

        for (size_t i = 0; i < c->n; i++)
                clear_order(&c->orders[i]);
        free(c->orders);
        free(c);
        return NULL;
}

/* The next order, which counts from `c->n++` on. */
static StoreOrder *next_order(StoreChange *c, StoreVerb verb) {
        assert(c);

        if (array_grow(&c->orders, c->n, sizeof *c->orders) < 0)
                return NULL;

        c->orders[c->n] = (StoreOrder){.verb = verb};
        return &c->orders[c->n];
}

int store_change_put_group(StoreChange *c, const GroupRecord *g) {
        StoreOrder *o = next_order(c, STORE_PUT_GROUP);

        if (!o || group_record_copy(g, &o->group) < 0)
                return -ENOMEM;
        c->n++;
        return 0;
}

int store_change_put_rule(StoreChange *c, const RuleRecord *r) {
        StoreOrder *o = next_order(c, STORE_PUT_RULE);

        if (!o || rule_record_copy(r, &o->rule) < 0)
                return -ENOMEM;
        c->n++;
        return 0;
}

int store_change_put_intent(StoreChange *c, const IntentRecord *i) {
        StoreOrder *o = next_order(c, STORE_PUT_INTENT);

        if (!o)
                return -ENOMEM;
        o->intent = *i;
        o->intent.data = strdup(strempty(i->data));
        if (!o->intent.data)
                return -ENOMEM;
        c->n++;
        return 0;
}

static int add_deletion(StoreChange *c, StoreVerb verb, const char *id) {
        StoreOrder *o = next_order(c, verb);

        assert(id);

        if (!o)
                return -ENOMEM;
        (void)snprintf(o->id, sizeof o->id, "%s", id);
        c->n++;
        return 0;
}

int store_change_delete_group(StoreChange *c, const char *id) {
        return add_deletion(c, STORE_DELETE_GROUP, id);
}

int store_change_delete_rule(StoreChange *c, const char *id) {
        return add_deletion(c, STORE_DELETE_RULE, id);
}

int store_change_delete_intent(StoreChange *c, const char *id) {
        return add_deletion(c, STORE_DELETE_INTENT, id);
}
