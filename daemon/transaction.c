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
        sd_event_source_disable_unref(t->again);
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

/* The device, or its physical function. */
static bool touches(const Transaction *t, const PciAddress *a) {
        const Device *d = device_table_find(&t->manager->devices, a);

        return iommu_set_contains(&t->movers, a) ||
               (d && d->facts.is_virtual && iommu_set_contains(&t->movers, &d->facts.physical_function));
}

/* Its pending grant, or that of its physical function, is there before the helper's answer is. */
static bool has_pending_grant(const Transaction *t, const PciAddress *a) {
        const DeviceTable *devices = &t->manager->devices;
        const Device *d = device_table_find(devices, a), *pf = NULL;

        if (d && d->facts.is_virtual)
                pf = device_table_find(devices, &d->facts.physical_function);
        return (d && d->grant_pending && iommu_set_contains(&t->fresh, a)) ||
               (pf && pf->grant_pending && iommu_set_contains(&t->fresh, device_address(pf)));
}

bool transactions_cover(const Manager *m, const PciAddress *a) {
        for (const Transaction *t = m->transactions; t; t = t->next)
                if (((t->consented || t->kind == INTENT_RETURN) && touches(t, a)) || has_pending_grant(t, a))
                        return true;
        return false;
}

static const Transaction *find_holder(const Manager *m, const PciAddress *a) {
        for (const Transaction *t = m->transactions; t; t = t->next)
                if (t->consented && touches(t, a))
                        return t;
        return NULL;
}

bool transactions_hold(const Manager *m, const PciAddress *a) {
        return !!find_holder(m, a);
}

bool transactions_hold_beside(const Transaction *t, const PciAddress *a) {
        for (const Transaction *o = t->manager->transactions; o; o = o->next)
                if (o != t && o->consented && touches(o, a))
                        return true;
        return false;
}

static int refuse_held(const Transaction *t, const char *address, Failure *f) {
        if (t->tries == 0)
                return failure_set(
                                f, FAILURE_BUSY,
                                "Device %s is being made passthrough or returned by another call; wait for "
                                "its end and try again.",
                                address);
        return failure_set(f, FAILURE_BUSY,
                           "Device %s belongs to an earlier change that failed and is yet to be undone; "
                           "that is "
                           "tried again by itself%s%s Wait for its end.",
                           address, t->residue[0] ? ": " : ".", t->residue);
}

static int check_device_free(const Manager *m, const PciAddress *a, Failure *f) {
        const Transaction *holder = find_holder(m, a);
        const Device *d = device_table_find(&m->devices, a);
        char address[PCI_ADDRESS_SIZE];

        if (holder)
                return refuse_held(holder, pci_address_format(a, address), f);
        return d ? claim_table_check_device(d, f) : 0;
}

int transactions_check_free(const Manager *m, const IommuSet *movers, Failure *f) {
        const Device *d, *vf;
        size_t at;

        if (confirm_check_none(m, f) < 0)
                return -EREMOTEIO;
        for (size_t i = 0; i < movers->n_members; i++) {
                if (check_device_free(m, &movers->members[i], f) < 0)
                        return -EREMOTEIO;
                d = device_table_find(&m->devices, &movers->members[i]);
                for (at = 0; d && (vf = device_table_next_vf(&m->devices, d, &at));)
                        if (check_device_free(m, device_address(vf), f) < 0)
                                return -EREMOTEIO;
        }
        return 0;
}

int transaction_check_orders(const Transaction *t, const char *advice, Failure *f) {
        const Device *d;
        const Rule *own;

        for (size_t i = 0; i < t->named.n_members; i++) {
                d = device_table_find(&t->manager->devices, &t->named.members[i]);
                own = !d ? NULL : t->of_vfs ? wanted_rule_of_vfs(t->manager->registry, d) : rule_made_for(d);
                if (d && t->group[0] && (!own || !streq(own->group->record.id, t->group)))
                        return failure_set(f, FAILURE_CONFLICT,
                                           "The group or the rule of device %s was changed by somebody else "
                                           "meanwhile; %s.",
                                           d->address, advice);
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

bool transaction_is_kept(const Transaction *t, const PciAddress *a, uint64_t since) {
        Grant g;

        assert(t);
        assert(a);

        return grant_read_from(t->manager->root, false, a, t->manager->root_uid, &g) >= 0 &&
               g.granted_at >= since / 1000000;
}

static bool any_kept(const Transaction *t, const IommuSet *set, uint64_t since) {
        for (size_t i = 0; i < set->n_members; i++)
                if (transaction_is_kept(t, &set->members[i], since))
                        return true;
        return false;
}

bool transaction_any_kept(const Transaction *t) {
        assert(t);

        return any_kept(t, &t->fresh, t->began);
}

/* After a crash. */
static void finish_later(Transaction *t, const Failure *failure) {
        bool later = transaction_try_later(t, failure->kind, transaction_recover) >= 0;

        if (t->tries <= 1) /* it is tried again and again, and told once */
                log_warning("A change that a crash had interrupted cannot be finished yet; it is tried "
                            "again%s: "
                            "%s",
                            later ? "" : " at the next start", failure->sentence);
        if (!later)
                end(t, NULL, NULL);
}

static void on_kept_after_crash(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        grants_read(t->manager);
        if (failure) {
                finish_later(t, failure);
                return;
        }
        log_info("A change that a crash had interrupted was finished.");
        transaction_finish(t, NULL);
}

static void on_rules_removed(const Failure *failure, void *userdata) {
        if (failure)
                finish_later(userdata, failure);
        else
                end(userdata, NULL, NULL);
}

static void finish_return(Transaction *t) {
        EditRequest q = {.plan = transaction_plan_removal, .delete_intent = t->id};
        Failure f = {0};

        if (edit_start(t->manager, &q, on_rules_removed, t, &f) < 0)
                on_rules_removed(&f, t);
}

static void decide_return(Transaction *t) {
        if (any_kept(t, &t->movers, 0))
                transaction_finish(t, NULL);
        else
                finish_return(t);
}

static void on_quiet(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        grants_read(t->manager);
        if (failure && transaction_can_pass(failure->kind))
                finish_later(t, failure);
        else
                decide_return(t);
}

/* The helper does to its end what the dead service has asked for. Keep, of what is kept already, changes nothing and
 * waits for its locks: what is there then stays. */
static void recover_return(Transaction *t) {
        IommuSet kept = {0};
        HelperRequest keep = {.verb = HELPER_KEEP, .devices = &kept};
        const PciAddress *a;
        Grant g;

        for (size_t i = 0; i < t->movers.n_members; i++) {
                a = &t->movers.members[i];
                if (transaction_is_kept(t, a, 0) &&
                    grant_read_from(t->manager->root, true, a, t->manager->root_uid, &g) < 0)
                        (void)iommu_set_add(&kept, a);
        }
        if (kept.n_members == 0)
                decide_return(t);
        else if (transaction_ask_helper(t, &keep, on_quiet) < 0)
                finish_later(t, &(Failure){FAILURE_HELPER, "the helper cannot be called."});
}

/* What needed somebody's consent decides: was it done, the rest follows; was it not, there is nothing to do. */
void transaction_recover(Transaction *t) {
        HelperRequest keep = {.verb = HELPER_KEEP, .devices = &t->fresh};

        assert(t);

        if (t->to_confirm)
                confirm_recover(t);
        else if (t->kind == INTENT_RETURN)
                recover_return(t);
        else if (t->fresh.n_members == 0) { /* nobody's consent was missing, and the orders are stored */
                transaction_finish(t, NULL);
        } else if (transaction_any_kept(t)) {
                if (transaction_ask_helper(t, &keep, on_kept_after_crash) < 0)
                        finish_later(t, &(Failure){FAILURE_HELPER, "the helper cannot be called."});
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
        transaction_drop_grants(t);
}

static bool is_named(const Manager *m, const PciAddress *a) {
        for (const Transaction *t = m->transactions; t; t = t->next)
                if (iommu_set_contains(&t->movers, a))
                        return true;
        return false;
}

void transactions_drop_late(Manager *m) {
        const PciAddress *a;
        const Grant *g;

        assert(m);

        for (size_t i = 0; i < m->devices.n; i++) {
                a = device_address(m->devices.devices[i]);
                g = m->devices.devices[i]->grant_pending ? grant_files_find(&m->grants, a) : NULL;
                if (g && g->granted_by != m->root_uid && !is_named(m, a))
                        drop_orphan(m, a);
        }
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
                t->stored = t->recovered = true;
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
                transaction_recover(recovered[i]);
}
