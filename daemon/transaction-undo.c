/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confirm.h"
#include "grant-confirm.h"
#include "grants.h"
#include "log.h"
#include "operation.h"
#include "wanted.h"

/* The devices go home, the pending grants are dropped, what was stored is removed. Each is tried though another failed;
 * then all of it is tried again, until nothing is left. Only what waiting does not cure is left to the next start. */

#define PAUSE_FIRST_USEC (1000ULL * 1000)
#define PAUSE_MAX_USEC (60ULL * 1000 * 1000)

bool transaction_can_pass(FailureKind kind) {
        switch (kind) {
        case FAILURE_BUSY:
        case FAILURE_IN_USE:
        case FAILURE_STUCK:
        case FAILURE_LIMITS_EXCEEDED:
        case FAILURE_HELPER:
        case FAILURE_INTERNAL: /* a worker was killed, or the disk is full */
                return true;
        default:
                return false;
        }
}

static int on_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Transaction *t = userdata;

        t->take_up(t);
        return 0;
}

static uint64_t next_pause(Transaction *t) {
        uint64_t pause = PAUSE_FIRST_USEC;

        for (unsigned i = 0; i < t->tries && pause < PAUSE_MAX_USEC; i++)
                pause *= 2;
        t->tries++;
        return pause < PAUSE_MAX_USEC ? pause : PAUSE_MAX_USEC;
}

int transaction_try_later(Transaction *t, FailureKind why, transaction_step_t take_up) {
        assert(t);
        assert(take_up);

        if (!t->to_confirm && !transaction_can_pass(why))
                return -EPERM;
        t->take_up = take_up;
        t->again = sd_event_source_disable_unref(t->again);
        return sd_event_add_time_relative(t->manager->event, &t->again, CLOCK_BOOTTIME, next_pause(t), 1000,
                                          on_again, t);
}

/* The kind that can pass is the one that counts. */
static void note_residue(Transaction *t, const Failure *f) {
        size_t n = strlen(t->residue);

        if (n == 0 || !transaction_can_pass(t->residue_kind))
                t->residue_kind = f->kind;
        (void)snprintf(t->residue + n, sizeof t->residue - n, "%s%.200s", n > 0 ? " " : "", f->sentence);
}

static void answer_residue(Transaction *t, bool again, Failure *ret) {
        *ret = (Failure){.kind = t->cause.kind ?: t->residue_kind};
        (void)snprintf(ret->sentence, sizeof ret->sentence, "%.600s%sNot all could be undone%s: %s",
                       t->cause.sentence, t->cause.kind ? " " : "",
                       again ? " yet; it is tried again by itself" : "", t->residue);
}

static void undo_again(Transaction *t) {
        transaction_undo(t, NULL);
}

/* Whoever waits need not wait for that. */
static void undo_later(Transaction *t) {
        /* After a deadline it is the helper, who brings them home at the same moment. */
        const unsigned told = t->to_confirm ? 2 : 1;
        Call *c = t->call;
        Failure f;

        if (t->tries == told)
                log_warning("A change cannot be undone yet; it is tried again: %s", t->residue);
        t->call = NULL;
        if (!t->consented && !t->stored)
                t->movers = t->fresh; /* the others it has never had */
        t->consented = true; /* nobody begins anew with what is yet to be undone, though no consent is known of */
        confirm_show(t->manager);
        manager_flush(t->manager);
        if (!c)
                return;

        answer_residue(t, true, &f);
        call_finish(c, &f);
}

static void give_up(Transaction *t) {
        Failure f;

        log_warning("A change could not be undone, which is tried once more at the next start: %s",
                    t->residue);
        answer_residue(t, false, &f);
        transaction_end(t, &f);
}

static void end_undone(Transaction *t) {
        Failure cause = t->cause;

        if (t->residue[0]) {
                if (transaction_try_later(t, t->residue_kind, undo_again) >= 0)
                        undo_later(t);
                else
                        give_up(t);
                return;
        }
        if (!t->call)
                log_info(t->to_confirm  ? "A change that nobody has confirmed was undone."
                         : t->tries > 0 ? "A change was undone, after all."
                                        : "A change that a crash had interrupted was undone.");
        /* Without a cause that was what the call was for. */
        transaction_end(t, cause.kind != FAILURE_NONE ? &cause : NULL);
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

static void take_helper(Transaction *t, const Failure *failure) {
        Failure f;

        t->helper = NULL;
        if (failure) {
                f = *failure;
                /* They were bound behind our look, by a worker that has outlived its helper: the next try sees them. */
                if (t->of_vfs && t->stored && f.kind == FAILURE_NOT_BOUND)
                        f.kind = FAILURE_BUSY;
                note_residue(t, &f);
        }
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

/* Kept by somebody meanwhile: a grant that is older is none any more, else this one would not have been asked for. */
static void pick_fresh(const Transaction *t, bool kept, IommuSet *ret) {
        *ret = (IommuSet){0};
        for (size_t i = 0; i < t->fresh.n_members; i++)
                if (transaction_is_kept(t, &t->fresh.members[i], t->began) == kept)
                        (void)iommu_set_add(ret, &t->fresh.members[i]);
}

/* What was out before stays out; the helper, who was first, has taken back what there was of this change. */
static void leave_reverted(const Transaction *t, IommuSet *set) {
        const IommuSet all = *set;
        GrantConfirm c;

        *set = (IommuSet){0};
        for (size_t i = 0; i < all.n_members; i++)
                if (iommu_set_contains(&t->at_host, &all.members[i]) ||
                    grant_confirm_find(t->manager->root, &all.members[i], t->manager->root_uid, &c))
                        (void)iommu_set_add(set, &all.members[i]);
}

/* What another has in hands by now is his. */
static void keep_ours(const Transaction *t, IommuSet *set) {
        const IommuSet all = *set;

        *set = (IommuSet){0};
        for (size_t i = 0; i < all.n_members; i++)
                if (!transactions_hold_beside(t, &all.members[i]))
                        (void)iommu_set_add(set, &all.members[i]);
}

/* Somebody else was granted the same meanwhile, and his grant stays: two files for one device become one. */
static void merge_grants(Transaction *t) {
        IommuSet kept;

        if (t->drops_all) {
                remove_orders(t);
                return;
        }
        pick_fresh(t, true, &kept);
        keep_ours(t, &kept);
        call_helper(t, HELPER_KEEP, &kept, on_merged);
}

static void on_dropped(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;

        take_helper(t, failure);
        /* The helper may have been about to keep them, for a service that died meanwhile. */
        if (t->recovered && !t->drops_all && transaction_any_kept(t))
                transaction_recover(t);
        else
                merge_grants(t);
}

void transaction_drop_grants(Transaction *t) {
        IommuSet pending;

        if (t->to_confirm && t->residue[0]) { /* not before all are home */
                end_undone(t);
                return;
        }
        pending = t->fresh;
        if (!t->drops_all)
                pick_fresh(t, false, &pending);
        keep_ours(t, &pending);
        if (t->to_confirm)
                leave_reverted(t, &pending);
        call_helper(t, HELPER_DROP, &pending, on_dropped);
}

static bool is_made_here(const Transaction *t, const Rule *rule) {
        for (size_t i = 0; i < t->n_rules; i++)
                if (streq(t->rules[i], rule->record.id))
                        return true;
        return false;
}

/* Without its consent nobody else's order counts. */
static bool loses_grant(const Transaction *t, const Device *d) {
        return iommu_set_contains(&t->fresh, device_address(d)) &&
               !transaction_is_kept(t, device_address(d), t->began);
}

/* An intent that was left long ago must not take what somebody else has ordered since. */
static bool is_wanted_otherwise(const Transaction *t, const Device *d) {
        return !loses_grant(t, d) && wanted_by(&t->manager->devices, d) && d->n_rules > 0 &&
               !is_made_here(t, d->rules[0]);
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

/* Though it is with the host as far as we can see: only a helper who answers knows. */
static bool may_be_bound(const Transaction *t, const Device *d) {
        return t->unsure && iommu_set_contains(&t->at_host, device_address(d)) &&
               (t->to_confirm || !is_wanted_otherwise(t, d));
}

/* True: they are ours to change. Those of a grant that is to be dropped must not be on vfio-pci, and by another number
 * they get off it. */
static bool judge_vfs(const Transaction *t, const Device *pf, uint32_t *ret_wanted, bool *ret_differ) {
        const Rule *rule = wanted_rule_of_vfs(t->manager->registry, pf);
        bool loses = loses_grant(t, pf);
        const Device *vf;
        size_t at = 0;

        if (!pf->vfs_granted || (!loses && rule && !is_made_here(t, rule)))
                return false;
        *ret_wanted = t->vfs_before[t->at];
        while (loses && (vf = device_table_next_vf(&t->manager->devices, pf, &at)))
                if (streq(vf->facts.driver, VFIO_DRIVER))
                        *ret_wanted = 0;
        *ret_differ = device_table_count_vfs(&t->manager->devices, pf) != *ret_wanted ||
                      (!loses && pf->vfs != *ret_wanted);
        return true;
}

/* Though none is there as far as we can see: a worker may be at it, for a service or by a helper that died. Whoever
 * asks for the port waits for that. */
static bool may_get_vfs(const Transaction *t) {
        return (t->recovered || t->unsure) && t->vfs_calls == 0;
}

static void take_vfs_away(Transaction *t);

static void on_vfs_away(const Failure *failure, void *userdata) {
        Transaction *t = userdata;
        const Device *pf = device_table_find(&t->manager->devices, &t->movers.members[t->at]);
        uint32_t wanted;
        bool differ;

        if (failure && pf && judge_vfs(t, pf, &wanted, &differ) &&
            (differ || (transaction_can_pass(failure->kind) && may_get_vfs(t))))
                note_residue(t, failure);
        if (failure || ++t->vfs_calls >= 2) {
                t->vfs_calls = 0;
                t->at++;
        }
        take_vfs_away(t);
}

/* One after the other, as below. */
static void take_vfs_away(Transaction *t) {
        Manager *m = t->manager;
        bool differ;

        for (; t->at < t->movers.n_members; t->at++, t->vfs_calls = 0) {
                const Device *pf = device_table_find(&m->devices, &t->movers.members[t->at]);
                OperationRequest q = {.verb = HELPER_SET_VFS, .device = t->movers.members[t->at]};
                Failure f = {0};

                if (!pf || !judge_vfs(t, pf, &q.count, &differ) || (!differ && !may_get_vfs(t)))
                        continue;
                if (operation_start(m, &q, on_vfs_away, t, &f) >= 0)
                        return;
                note_residue(t, &f);
        }
        transaction_drop_grants(t);
}

static void release_next(Transaction *t);

/* The helper may have brought them home by itself, or have died behind it. */
static void on_released(const Failure *failure, void *userdata) {
        Transaction *t = userdata;
        OperationRequest q;
        const Device *d;

        d = device_table_find(&t->manager->devices, &t->movers.members[t->at - 1]);
        if (failure && d &&
            (needs_undoing(t, d, &q) || (transaction_can_pass(failure->kind) && may_be_bound(t, d))))
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

                if (!d || t->kind != INTENT_MAKE || (!needs_undoing(t, d, &q) && !may_be_bound(t, d)))
                        continue;
                if (operation_start(m, &q, on_released, t, &f) >= 0)
                        return;
                note_residue(t, &f);
        }
        transaction_drop_grants(t);
}

void transaction_undo(Transaction *t, const Failure *cause) {
        assert(t);

        if (cause)
                t->cause = *cause;
        t->at = t->vfs_calls = 0;
        t->residue[0] = '\0';
        t->residue_kind = FAILURE_NONE;
        if (t->to_confirm)
                t->phase = CONFIRM_REVERTING;
        manager_reread_set(t->manager, &t->movers); /* the helper may have done it */
        manager_flush(t->manager);
        if (!t->of_vfs)
                release_next(t);
        else if (t->stored) /* else none was made: those that are there are somebody else's */
                take_vfs_away(t);
        else
                transaction_drop_grants(t);
}
