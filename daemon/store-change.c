/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "store-change.h"
#include "text.h"

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
        for (size_t i = 0; i < c->n_claims; i++)
                claim_record_clear(&c->claims[i]);
        for (size_t i = 0; i < c->n_runs; i++)
                run_record_clear(&c->runs[i]);
        for (size_t i = 0; i < c->n_quarantine; i++)
                quarantine_record_clear(&c->quarantine[i]);
        free(c->groups);
        free(c->rules);
        free(c->intents);
        free(c->claims);
        free(c->runs);
        free(c->quarantine);
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
        case STORE_PUT_CLAIM:
                claim_record_clear(&o->claim);
                break;
        case STORE_PUT_RUN:
                run_record_clear(&o->run);
                break;
        case STORE_PUT_QUARANTINE:
                quarantine_record_clear(&o->quarantine);
                break;
        case STORE_DELETE_GROUP:
        case STORE_DELETE_RULE:
        case STORE_DELETE_INTENT:
        case STORE_DELETE_CLAIM:
        case STORE_DELETE_RUN:
        case STORE_DELETE_QUARANTINE:
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

/* What the reader would not take for a record must not be written: it would call the whole database damaged. */
int store_change_put_claim(StoreChange *c, const ClaimRecord *claim) {
        StoreOrder *o = next_order(c, STORE_PUT_CLAIM);
        Failure f = {0};

        if (claim_record_check(claim, &f) < 0)
                return -EINVAL;
        if (!o || claim_record_copy(claim, &o->claim) < 0)
                return -ENOMEM;
        c->n++;
        return 0;
}

int store_change_put_run(StoreChange *c, const RunRecord *run) {
        StoreOrder *o = next_order(c, STORE_PUT_RUN);
        Failure f = {0};

        if (run_record_check(run, &f) < 0)
                return -EINVAL;
        if (!o || run_record_copy(run, &o->run) < 0)
                return -ENOMEM;
        c->n++;
        return 0;
}

/* The reason may quote whoever failed, and may have been cut in the middle of a character. */
int store_change_put_quarantine(StoreChange *c, const QuarantineRecord *q) {
        StoreOrder *o = next_order(c, STORE_PUT_QUARANTINE);
        Failure f = {0};

        if (!o || quarantine_record_copy(q, &o->quarantine) < 0)
                return -ENOMEM;
        text_make_utf8(o->quarantine.reason);
        if (quarantine_record_check(&o->quarantine, &f) < 0) {
                quarantine_record_clear(&o->quarantine);
                return -EINVAL;
        }
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

int store_change_delete_claim(StoreChange *c, const char *id) {
        return add_deletion(c, STORE_DELETE_CLAIM, id);
}

int store_change_delete_run(StoreChange *c, const char *id) {
        return add_deletion(c, STORE_DELETE_RUN, id);
}

int store_change_delete_quarantine(StoreChange *c, const PciAddress *a) {
        StoreOrder *o = next_order(c, STORE_DELETE_QUARANTINE);

        assert(a);

        if (!o)
                return -ENOMEM;
        o->address = *a;
        c->n++;
        return 0;
}
