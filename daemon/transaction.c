/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confirm.h"
#include "grant-confirm.h"
#include "grants.h"
#include "log.h"
#include "operation.h"
#include "order-book.h"
#include "runs.h"
#include "steward.h"
#include "transaction.h"
#include "wanted.h"

Transaction *transaction_free(Transaction *t) {
        if (!t)
                return NULL;

        confirm_forget(t);
        changes_touch(&t->manager->changes); /* what is said about its devices waited for its end */
        (void)LIST_REMOVE(t->manager->transactions, t, next);
        helper_call_free(t->helper);
        free(t);
        return NULL;
}

void transactions_free_all(Manager *m) {
        while (m->transactions)
                transaction_free(m->transactions);
}

Transaction *transaction_new(Manager *m, IntentKind kind, Call *call) {
        OrderStamp stamp;
        Transaction *t;

        assert(m);

        if (order_book_stamp(&stamp) < 0)
                return NULL;
        t = calloc(1, sizeof *t);
        if (!t)
                return NULL;

        *t = (Transaction){.manager = m,
                           .next = m->transactions,
                           .call = call,
                           .kind = kind,
                           .consented = !call,
                           .began = stamp.now};
        (void)snprintf(t->id, sizeof t->id, "%s", stamp.id);
        m->transactions = t;
        return t;
}

bool transactions_cover(const Manager *m, const PciAddress *a) {
        for (const Transaction *t = m->transactions; t; t = t->next)
                if ((t->consented || t->kind == INTENT_RETURN) && iommu_set_contains(&t->movers, a))
                        return true;
        return false;
}

bool transactions_hold(const Manager *m, const PciAddress *a) {
        for (const Transaction *t = m->transactions; t; t = t->next)
                if (t->consented && iommu_set_contains(&t->movers, a))
                        return true;
        return false;
}

int transactions_check_free(const Manager *m, const IommuSet *movers, Failure *f) {
        char address[PCI_ADDRESS_SIZE];
        const Device *d;

        if (confirm_check_none(m, f) < 0)
                return -EREMOTEIO;
        for (size_t i = 0; i < movers->n_members; i++) {
                (void)pci_address_format(&movers->members[i], address);
                if (transactions_hold(m, &movers->members[i]))
                        return failure_set(
                                        f, FAILURE_BUSY,
                                        "Device %s is being made passthrough or returned by another call; "
                                        "wait for its end and try again.",
                                        address);
                d = device_table_find(&m->devices, &movers->members[i]);
                if (d && claim_table_check_device(d, f) < 0)
                        return -EREMOTEIO;
        }
        return 0;
}

/* The answer goes out when nothing of it is under way any more. */
static void end(Transaction *t, const Failure *failure, transaction_answer_t answer) {
        Manager *m = t->manager;
        Call *c = t->call;

        confirm_forget(t);
        manager_flush(m);
        if (answer)
                answer(t);
        else if (c)
                call_finish(c, failure);
        transaction_free(t);
        run_queue_nudge(m);
        steward_run(m);
}

void transaction_end(Transaction *t, const Failure *failure) {
        end(t, failure, NULL);
}

static void on_forgotten(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        if (failure) /* the next start will find that all is done, and forget it then */
                log_warning("What is done could not be noted as done: %s", failure->sentence);
        end(t, NULL, t->answer);
}

void transaction_finish(Transaction *t, transaction_answer_t answer) {
        Failure f = {0};

        assert(t);

        t->answer = answer;
        if (!t->stored)
                end(t, NULL, answer);
        else if (edit_start(t->manager, &(EditRequest){.delete_intent = t->id}, on_forgotten, t, &f) < 0)
                on_forgotten(&f, t);
}

int transaction_ask_helper(Transaction *t, const HelperRequest *q, helper_done_t done) {
        return helper_client_call(t->manager->helper, q, done, t, &t->helper);
}

int transaction_plan_removal(Manager *m, OrderPlan *p, void *userdata, Failure *f _unused_) {
        const Transaction *t = userdata;
        size_t ours = 0;
        Group *g;
        int r = 0;

        for (size_t i = 0; i < t->n_rules && r >= 0; i++)
                if (registry_find_rule(m->registry, t->rules[i])) {
                        r = order_plan_remove_rule(p, t->rules[i]);
                        ours++;
                }

        /* Somebody else may have put a rule into it meanwhile, or have claimed of it. */
        g = t->makes_group ? registry_find_group(m->registry, t->group) : NULL;
        if (g && g->n_rules == ours && !claim_table_next_of_group(m->claims, g->record.id, &(size_t){0}) &&
            r >= 0)
                r = order_plan_remove_group(p, g->record.id);
        return r;
}

/* Undoing: the devices go home, the pending grants are dropped, what was stored is removed. Each is tried though
 * another failed; then the intent stays, so that the next start tries again. */
static void note_residue(Transaction *t, const Failure *f) {
        size_t n = strlen(t->residue);

        if (n == 0)
                t->residue_kind = f->kind;
        (void)snprintf(t->residue + n, sizeof t->residue - n, "%s%.200s", n > 0 ? " " : "", f->sentence);
}

static void end_undone(Transaction *t) {
        Failure f = {.kind = t->cause.kind};

        if (t->to_confirm && t->residue[0]) {
                confirm_later(t);
                return;
        }
        if (t->residue[0])
                log_warning("Undoing a change failed in part: %s", t->residue);
        if (!t->call) {
                log_info(t->to_confirm ? "A change that nobody has confirmed was undone."
                                       : "A change that a crash had interrupted was undone.");
                end(t, NULL, NULL);
                return;
        }
        if (t->cause.kind == FAILURE_NONE) { /* that was what the call was for */
                end(t, NULL, NULL);
                return;
        }

        (void)snprintf(f.sentence, sizeof f.sentence, "%.700s%s%.250s", t->cause.sentence,
                       t->residue[0] ? " Not all could be undone: " : "", t->residue);
        end(t, &f, NULL);
}

static void on_orders_removed(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        if (failure)
                note_residue(t, failure);
        end_undone(t);
}

static void remove_orders(Transaction *t) {
        EditRequest q = {.plan = t->kind == INTENT_MAKE ? transaction_plan_removal : NULL,
                         .delete_intent = t->residue[0] ? NULL : t->id};
        Failure f = {0};

        if (!t->stored || (t->to_confirm && t->residue[0]))
                end_undone(t);
        else if (edit_start(t->manager, &q, on_orders_removed, t, &f) < 0)
                on_orders_removed(&f, t);
}

static bool is_kept(const Transaction *t, const PciAddress *a, uint64_t since) {
        Grant g;

        return grant_read_from(t->manager->root, false, a, t->manager->root_uid, &g) >= 0 &&
               g.granted_at >= since / 1000000;
}

static bool any_kept(const Transaction *t, const IommuSet *set, uint64_t since) {
        for (size_t i = 0; i < set->n_members; i++)
                if (is_kept(t, &set->members[i], since))
                        return true;
        return false;
}

bool transaction_any_kept(const Transaction *t) {
        assert(t);

        return any_kept(t, &t->fresh, t->began);
}

static void take_helper(Transaction *t, const Failure *failure) {
        t->helper = NULL;
        if (failure)
                note_residue(t, failure);
        grants_read(t->manager);
}

static void on_merged(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        take_helper(userdata, failure);
        remove_orders(userdata);
}

static void call_helper(Transaction *t, HelperVerb verb, const IommuSet *devices, helper_done_t done) {
        HelperRequest q = {.verb = verb, .devices = devices};

        if (devices->n_members == 0 || t->kind != INTENT_MAKE)
                done(NULL, NULL, t);
        else if (transaction_ask_helper(t, &q, done) < 0)
                done(&(Failure){FAILURE_HELPER, "the helper cannot be called."}, NULL, t);
}

static void pick_fresh(const Transaction *t, bool kept, IommuSet *ret) {
        *ret = (IommuSet){0};
        for (size_t i = 0; i < t->fresh.n_members; i++)
                if (is_kept(t, &t->fresh.members[i], 0) == kept)
                        (void)iommu_set_add(ret, &t->fresh.members[i]);
}

/* Somebody else was granted the same meanwhile, and his grant stays: two files for one device become one. */
static void merge_grants(Transaction *t) {
        IommuSet kept;

        if (t->drops_all) {
                remove_orders(t);
                return;
        }
        pick_fresh(t, true, &kept);
        call_helper(t, HELPER_KEEP, &kept, on_merged);
}

static void on_dropped(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        take_helper(userdata, failure);
        merge_grants(userdata);
}

static void drop_grants(Transaction *t) {
        IommuSet pending;

        if (t->to_confirm && t->residue[0]) { /* not before all are home */
                end_undone(t);
                return;
        }
        pending = t->fresh;
        if (!t->drops_all)
                pick_fresh(t, false, &pending);
        call_helper(t, HELPER_DROP, &pending, on_dropped);
}

static bool is_made_here(const Transaction *t, const Rule *rule) {
        for (size_t i = 0; i < t->n_rules; i++)
                if (streq(t->rules[i], rule->record.id))
                        return true;
        return false;
}

/* An intent that was left long ago must not take what somebody else has ordered since. */
static bool is_wanted_otherwise(const Transaction *t, const Device *d) {
        return wanted_by(&t->manager->devices, d) && d->n_rules > 0 && !is_made_here(t, d->rules[0]);
}

/* What was at the host goes home; what was bound stays so, without the mark that it has got. */
static bool needs_undoing(const Transaction *t, const Device *d, OperationRequest *ret) {
        bool was_at_host = iommu_set_contains(&t->at_host, device_address(d));

        *ret = (OperationRequest){.verb = was_at_host ? HELPER_RELEASE : HELPER_BIND,
                                  .device = *device_address(d)};
        if (!t->to_confirm && is_wanted_otherwise(t, d))
                return false;
        if (was_at_host)
                return d->state != DEVICE_HOST || d->persistent[0];
        return iommu_set_contains(&t->unmarked, device_address(d)) && d->persistent[0];
}

static void release_next(Transaction *t);

/* Where the helper brings them home by itself at the same time, they may be by now. */
static void on_released(const Failure *failure, void *userdata) {
        Transaction *t = userdata;
        OperationRequest q;
        const Device *d;

        d = device_table_find(&t->manager->devices, &t->movers.members[t->at - 1]);
        if (failure && !(t->to_confirm && (!d || !needs_undoing(t, d, &q))))
                note_residue(t, failure);
        release_next(t);
}

/* One set after the other: the first failure must not keep the others from home. */
static void release_next(Transaction *t) {
        Manager *m = t->manager;

        while (t->at < t->movers.n_members) {
                const Device *d = device_table_find(&m->devices, &t->movers.members[t->at++]);
                OperationRequest q;
                Failure f = {0};

                if (!d || t->kind != INTENT_MAKE || !needs_undoing(t, d, &q))
                        continue;
                if (operation_start(m, &q, on_released, t, &f) >= 0)
                        return;
                note_residue(t, &f);
        }
        drop_grants(t);
}

void transaction_undo(Transaction *t, const Failure *cause) {
        assert(t);

        if (cause)
                t->cause = *cause;
        t->at = 0;
        t->residue[0] = '\0';
        if (t->to_confirm) { /* the helper may have done it */
                t->phase = CONFIRM_REVERTING;
                manager_reread_set(t->manager, &t->movers);
        }
        manager_flush(t->manager);
        release_next(t);
}

/* After a crash. */
static void on_kept_after_crash(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        grants_read(t->manager);
        if (failure)
                log_warning("A change that a crash had interrupted cannot be finished yet: %s",
                            failure->sentence);
        else
                log_info("A change that a crash had interrupted was finished.");
        if (failure)
                end(t, NULL, NULL); /* the intent stays for the next start */
        else
                transaction_finish(t, NULL);
}

static void on_rules_removed(const Failure *failure, void *userdata) {
        if (failure)
                log_warning("A return that a crash had interrupted cannot be finished yet: %s",
                            failure->sentence);
        end(userdata, NULL, NULL);
}

static void finish_return(Transaction *t) {
        EditRequest q = {.plan = transaction_plan_removal, .delete_intent = t->id};
        Failure f = {0};

        if (edit_start(t->manager, &q, on_rules_removed, t, &f) < 0)
                on_rules_removed(&f, t);
}

/* What needed somebody's consent decides: was it done, the rest follows; was it not, there is nothing to do. */
static void recover(Transaction *t) {
        HelperRequest keep = {.verb = HELPER_KEEP, .devices = &t->fresh};

        if (t->to_confirm)
                confirm_recover(t);
        else if (t->kind == INTENT_RETURN) {
                if (any_kept(t, &t->movers, 0))
                        transaction_finish(t, NULL);
                else
                        finish_return(t);
        } else if (t->fresh.n_members == 0) { /* nobody's consent was missing, and the orders are stored */
                transaction_finish(t, NULL);
        } else if (transaction_any_kept(t)) {
                if (transaction_ask_helper(t, &keep, on_kept_after_crash) < 0)
                        end(t, NULL, NULL);
        } else
                transaction_undo(t, NULL);
}

static void drop_orphan(Manager *m, const PciAddress *a) {
        Transaction *t;

        t = transaction_new(m, INTENT_MAKE, NULL);
        if (!t)
                return;

        (void)iommu_set_add(&t->fresh, a);
        t->movers = t->fresh;
        t->drops_all = grant_confirm_read(m->root, a, m->root_uid, &(GrantConfirm){0}) != -ENOENT;
        drop_grants(t);
}

void transactions_recover(Manager *m, const IntentRecord *intents, size_t n) {
        _cleanup_free_ Transaction **recovered = calloc(n + 1, sizeof(Transaction *));
        Transaction *t;
        size_t k = 0;

        for (size_t i = 0; i < n && recovered; i++) {
                t = transaction_new(m, intents[i].kind, NULL);
                if (!t)
                        return;
                (void)snprintf(t->id, sizeof t->id, "%s", intents[i].id);
                t->stored = true;
                if (transaction_parse(t, intents[i].data) < 0)
                        log_warning("The intent %s in the database cannot be read; it is removed.", t->id);
                t->began = intents[i].created;
                recovered[k++] = t;
        }

        /* Pending grants that no intent speaks of: a crash came between the consent and the database. */
        for (size_t i = 0; i < m->devices.n; i++)
                if (m->devices.devices[i]->grant_pending &&
                    !transactions_cover(m, device_address(m->devices.devices[i])))
                        drop_orphan(m, device_address(m->devices.devices[i]));

        for (size_t i = 0; i < k; i++)
                recover(recovered[i]);
}
