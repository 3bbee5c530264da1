/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "edits.h"
#include "log.h"
#include "order-book.h"
#include "quarantine.h"
#include "reconcile.h"
#include "runs.h"

/* From so many on one matching of all devices is faster than one for each rule. */
#define MANY_RULES 8U

struct Edit {
        Manager *manager;
        Edit *next;
        edit_plan_t plan_it;
        edit_done_t done;
        void *userdata;
        IntentRecord put_intent; /* id "": none */
        char delete_intent[RECORD_ID_SIZE];
        OrderPlan plan;
        bool storing;
};

static Edit *edit_free(Edit *e) {
        if (!e)
                return NULL;

        intent_record_clear(&e->put_intent);
        order_plan_clear(&e->plan);
        free(e);
        return NULL;
}

void edits_free_all(Manager *m) {
        Edit *e;

        while ((e = m->edits)) {
                m->edits = e->next;
                m->n_edits--;
                edit_free(e);
        }
}

static void arm(Manager *m) {
        if (m->edits && !m->edits->storing)
                (void)sd_event_source_set_enabled(m->edit_next, SD_EVENT_ONESHOT);
}

/* The head of the queue has ended. */
static void end(Edit *e, const Failure *failure) {
        Manager *m = e->manager;
        edit_done_t done = e->done;
        void *userdata = e->userdata;

        m->edits = e->next;
        m->n_edits--;
        edit_free(e);
        arm(m);
        done(failure, userdata);
}

/* All at once: one after the other costs as much as there are rules on each device, each time. If it fails, that. */
static void retire_many(Manager *m, const OrderPlan *p) {
        size_t n = 0;
        Group *g;
        Rule *r;

        for (size_t i = 0; i < p->n_dead_rules; i++, n++)
                if ((r = registry_find_rule(m->registry, p->dead_rules[i])))
                        registry_retire_rule(r);
        for (size_t i = 0; i < p->n_dead_groups; i++)
                if ((g = registry_find_group(m->registry, p->dead_groups[i])))
                        for (size_t k = 0; k < g->n_rules; k++, n++)
                                registry_retire_rule(g->rules[k]);
        if (n >= MANY_RULES)
                (void)registry_rebuild(m->registry);
}

static void apply_removals(Manager *m, const OrderPlan *p) {
        Group *g;
        Rule *r;

        retire_many(m, p);
        for (size_t i = 0; i < p->n_dead_rules; i++)
                if ((r = registry_find_rule(m->registry, p->dead_rules[i]))) {
                        m->wire->rule_removed(m, r);
                        registry_remove_rule(m->registry, r);
                }
        for (size_t i = 0; i < p->n_dead_groups; i++)
                if ((g = registry_find_group(m->registry, p->dead_groups[i]))) {
                        while (g->n_rules > 0) {
                                r = g->rules[g->n_rules - 1];
                                m->wire->rule_removed(m, r);
                                registry_remove_rule(m->registry, r);
                        }
                        m->wire->group_removed(m, g);
                        registry_remove_group(m->registry, g);
                }
}

static void note_claim(Manager *m, const Claim *c) {
        Group *g = registry_find_group(m->registry, c->record.group);

        if (g)
                registry_group_claimed(m->registry, g);
}

/* Before their claims, which may go when no run has devices of them any more. */
static int apply_runs(Manager *m, OrderPlan *p) {
        Run *run;
        int r;

        for (size_t i = 0; i < p->n_dead_runs; i++)
                if ((run = claim_table_find_run(m->claims, p->dead_runs[i])))
                        claim_table_remove_run(m->claims, run);
        for (size_t i = 0; i < p->n_runs; i++)
                if ((r = claim_table_put_run(m->claims, &p->runs[i], &run)) < 0)
                        return r;
        return 0;
}

static void apply_removals_of_claims(Manager *m, const OrderPlan *p) {
        Claim *c;

        for (size_t i = 0; i < p->n_dead_claims; i++)
                if ((c = claim_table_find(m->claims, p->dead_claims[i]))) {
                        note_claim(m, c);
                        m->wire->claim_removed(m, c);
                        claim_table_remove(m->claims, c);
                }
        for (size_t i = 0; i < p->n_dead_quarantine; i++)
                quarantine_remove(m, &p->dead_quarantine[i]);
}

static int apply_puts_of_claims(Manager *m, OrderPlan *p) {
        _cleanup_free_ Claim **new_claims = calloc(p->n_claims + 1, sizeof *new_claims);
        size_t n = 0;
        bool is_new;
        int r;

        if (!new_claims)
                return -ENOMEM;

        for (size_t i = 0; i < p->n_claims; i++) {
                if ((r = claim_table_put(m->claims, &p->claims[i], &new_claims[n], &is_new)) < 0)
                        return r;
                n += is_new;
        }
        for (size_t i = 0; i < p->n_quarantine; i++)
                if ((r = quarantine_put(m, &p->quarantine[i])) < 0)
                        return r;

        for (size_t i = 0; i < n; i++) {
                claim_table_settle(m->claims, new_claims[i]);
                m->wire->claim_added(m, new_claims[i]);
                note_claim(m, new_claims[i]);
        }
        return 0;
}

static void note_group(Manager *m, const Group *g) {
        size_t at = 0;
        Claim *c;

        while ((c = claim_table_next_of_group(m->claims, g->record.id, &at)))
                claim_table_touch(m->claims, c, 0); /* its devices may be set to something else now */
}

/* All properties of a new object go out with its signal, and so after everything that they show. */
static int apply_puts(Manager *m, OrderPlan *p) {
        _cleanup_free_ Group **new_groups = calloc(p->n_groups + 1, sizeof *new_groups);
        _cleanup_free_ Rule **new_rules = calloc(p->n_rules + 1, sizeof *new_rules);
        size_t n_groups = 0, n_rules = 0;
        bool is_new;
        int r;

        if (!new_groups || !new_rules)
                return -ENOMEM;

        for (size_t i = 0; i < p->n_groups; i++) {
                if ((r = registry_put_group(m->registry, &p->groups[i], &new_groups[n_groups], &is_new)) < 0)
                        return r;
                if (!is_new)
                        note_group(m, new_groups[n_groups]);
                n_groups += is_new;
        }
        if (p->n_rules >= MANY_RULES)
                registry_defer(m->registry);
        for (size_t i = 0; i < p->n_rules; i++) {
                if ((r = registry_put_rule(m->registry, &p->rules[i], &new_rules[n_rules], &is_new)) < 0)
                        return r;
                n_rules += is_new;
        }

        if (p->n_rules >= MANY_RULES && (r = registry_rebuild(m->registry)) < 0)
                return r;

        for (size_t i = 0; i < n_groups; i++) {
                new_groups[i]->changed = 0;
                m->wire->group_added(m, new_groups[i]);
        }
        for (size_t i = 0; i < n_rules; i++) {
                new_rules[i]->changed = 0;
                m->wire->rule_added(m, new_rules[i]);
        }
        return 0;
}

/* Users may change claims of their own, and ask for what they are refused, as often as they like: no reason to try
 * again what has failed. */
static bool changes_orders(const Edit *e) {
        const OrderPlan *p = &e->plan;

        return p->n_groups + p->n_rules + p->n_dead_groups + p->n_dead_rules > 0;
}

static void apply(Edit *e) {
        Manager *m = e->manager;
        bool ordered;
        int r;

        r = apply_runs(m, &e->plan);
        if (r >= 0) {
                apply_removals_of_claims(m, &e->plan); /* they name groups */
                apply_removals(m, &e->plan);
                r = apply_puts(m, &e->plan);
        }
        if (r >= 0)
                r = apply_puts_of_claims(m, &e->plan);
        if (r < 0) {
                /* It is stored; what is shown would be half of it. A new start reads all of it. */
                log_error("What was stored could not be applied (%s); starting anew.", strerror(-r));
                (void)sd_event_exit(m->event, r);
        }
        ordered = changes_orders(e);
        for (size_t i = 0; ordered && i < m->devices.n; i++)
                reconcile_order_nudge(m->devices.devices[i]); /* another order, another try */
        if (ordered || e->put_intent.id[0] || e->delete_intent[0])
                changes_touch(&m->changes); /* what devices wait for may have changed */
        run_queue_nudge(m);                 /* a quota, or what a claim asks for */
        manager_flush(m);
}

static void on_stored(int r, void *userdata) {
        Edit *e = userdata;
        Failure f = {0};

        if (r >= 0) {
                apply(e);
                end(e, NULL);
                return;
        }

        order_book_note_store(e->manager);
        (void)failure_set(&f, FAILURE_INTERNAL,
                          "Nothing was changed: the database /" STATE_DIR "/" STORE_FILE
                          " could not be written (%s); see the journal of verge-passthroughd, make room or "
                          "repair the disk, and try again.",
                          strerror(-r));
        end(e, &f);
}

static int fill_removals_of_claims(const OrderPlan *p, StoreChange *c) {
        int r = 0;

        for (size_t i = 0; i < p->n_dead_runs && r >= 0; i++)
                r = store_change_delete_run(c, p->dead_runs[i]);
        for (size_t i = 0; i < p->n_dead_claims && r >= 0; i++)
                r = store_change_delete_claim(c, p->dead_claims[i]);
        for (size_t i = 0; i < p->n_dead_quarantine && r >= 0; i++)
                r = store_change_delete_quarantine(c, &p->dead_quarantine[i]);
        return r;
}

static int fill_puts_of_claims(const OrderPlan *p, StoreChange *c) {
        int r = 0;

        for (size_t i = 0; i < p->n_claims && r >= 0; i++)
                r = store_change_put_claim(c, &p->claims[i]);
        for (size_t i = 0; i < p->n_runs && r >= 0; i++)
                r = store_change_put_run(c, &p->runs[i]);
        for (size_t i = 0; i < p->n_quarantine && r >= 0; i++)
                r = store_change_put_quarantine(c, &p->quarantine[i]);
        return r;
}

static int fill_change(const Edit *e, StoreChange *c) {
        const OrderPlan *p = &e->plan;
        int r;

        r = fill_removals_of_claims(p, c);
        for (size_t i = 0; i < p->n_dead_rules && r >= 0; i++)
                r = store_change_delete_rule(c, p->dead_rules[i]);
        for (size_t i = 0; i < p->n_dead_groups && r >= 0; i++)
                r = store_change_delete_group(c, p->dead_groups[i]);
        for (size_t i = 0; i < p->n_groups && r >= 0; i++)
                r = store_change_put_group(c, &p->groups[i]);
        for (size_t i = 0; i < p->n_rules && r >= 0; i++)
                r = store_change_put_rule(c, &p->rules[i]);
        if (r >= 0)
                r = fill_puts_of_claims(p, c);
        if (r >= 0 && e->put_intent.id[0])
                r = store_change_put_intent(c, &e->put_intent);
        if (r >= 0 && e->delete_intent[0])
                r = store_change_delete_intent(c, e->delete_intent);
        return r;
}

static bool is_empty(const Edit *e) {
        return order_plan_is_empty(&e->plan) && !e->put_intent.id[0] && !e->delete_intent[0];
}

static int store(Edit *e) {
        _cleanup_(store_change_freep) StoreChange *c = NULL;
        int r;

        if ((r = store_change_new(&c)) < 0 || (r = fill_change(e, c)) < 0)
                return r;

        e->storing = true;
        r = store_commit(e->manager->store, STEAL(c), on_stored, e);
        if (r < 0)
                e->storing = false;
        return r;
}

static int on_turn(sd_event_source *s _unused_, void *userdata) {
        Manager *m = userdata;
        Edit *e = m->edits;
        Failure f = {0};
        int r;

        if (!e || e->storing)
                return 0;

        if (e->plan_it && e->plan_it(m, &e->plan, e->userdata, &f) < 0) {
                (void)failure_set(&f, FAILURE_INTERNAL,
                                  "Nothing was changed: out of memory; try again later.");
                end(e, &f);
        } else if (is_empty(e))
                end(e, NULL);
        else if ((r = store(e)) < 0)
                on_stored(r, e);
        return 0;
}

int edits_init(Manager *m) {
        int r;

        r = sd_event_add_defer(m->event, &m->edit_next, on_turn, m);
        return r < 0 ? r : sd_event_source_set_enabled(m->edit_next, SD_EVENT_OFF);
}

int edit_check_possible(const Manager *m, Failure *f) {
        const char *why = store_read_only(m->store);

        return why ? failure_set(f, FAILURE_READ_ONLY, "Groups, rules and claims cannot be changed: %s", why)
                   : 0;
}

static int copy_intents(Edit *e, const EditRequest *q) {
        if (q->delete_intent)
                (void)snprintf(e->delete_intent, sizeof e->delete_intent, "%s", q->delete_intent);
        if (!q->put_intent)
                return 0;

        e->put_intent = *q->put_intent;
        e->put_intent.data = strdup(q->put_intent->data);
        return e->put_intent.data ? 0 : -ENOMEM;
}

int edit_start(Manager *m, const EditRequest *q, edit_done_t done, void *userdata, Failure *f) {
        Edit *e, **last;

        assert(m);
        assert(q);
        assert(done);
        assert(f);

        if (edit_check_possible(m, f) < 0)
                return -EREMOTEIO;
        if (m->n_edits >= EDITS_WAITING_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "Too many changes (%zu) wait for the disk already; try "
                                   "again later.",
                                   m->n_edits);

        e = calloc(1, sizeof *e);
        if (e)
                *e = (Edit){.manager = m, .plan_it = q->plan, .done = done, .userdata = userdata};
        if (!e || copy_intents(e, q) < 0) {
                edit_free(e);
                return failure_set(f, FAILURE_INTERNAL,
                                   "Nothing was changed: out of memory; try again later.");
        }

        for (last = &m->edits; *last; last = &(*last)->next)
                ;
        *last = e;
        m->n_edits++;
        arm(m);
        return 0;
}
