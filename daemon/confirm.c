/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "confirm.h"
#include "grant-confirm.h"
#include "grants.h"
#include "log.h"
#include "operation.h"
#include "user-name.h"
#include "wanted.h"

static const IommuSet nobody;

/* From its answer on. */
static const Transaction *find_shown(const Manager *m) {
        return m->unconfirmed && m->unconfirmed->phase != CONFIRM_MAKING ? m->unconfirmed : NULL;
}

/* For show: from here on the clock may be set. */
static uint64_t in_real_time(uint64_t until) {
        uint64_t now = grant_confirm_now();
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000 + until - now;
}

uint64_t confirm_until(const Manager *m) {
        const Transaction *t = find_shown(m);

        return t ? t->shown_until : 0;
}

uid_t confirm_user(const Manager *m) {
        const Transaction *t = find_shown(m);

        return t ? t->uid : (uid_t)-1;
}

const IommuSet *confirm_devices(const Manager *m) {
        const Transaction *t = find_shown(m);

        return t ? &t->movers : &nobody;
}

static const char *format_time(uint64_t usec, char buf[static 16]) {
        time_t seconds = (time_t)(usec / 1000000);
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(buf, 16, "%H:%M:%S", &tm) == 0)
                strcpy(buf, "?");
        return buf;
}

int confirm_check_none(const Manager *m, Failure *f) {
        char user[USER_NAME_SIZE], until[16], members[256];
        const Transaction *t = m->unconfirmed;

        if (!t)
                return 0;
        (void)user_name(m->root, t->uid, user);
        (void)iommu_set_format(&t->movers, members, sizeof members);
        if (t->phase == CONFIRM_REVERTING)
                return failure_set(
                                f, FAILURE_CONFIRMATION_PENDING,
                                "%s has made %s passthrough, which was not confirmed and is being undone; "
                                "wait until ConfirmUntil is 0.",
                                user, members);
        return failure_set(f, FAILURE_CONFIRMATION_PENDING,
                           "%s has made %s passthrough, which is yet to be confirmed (until %s); Confirm or "
                           "Revert that first.",
                           user, members, format_time(t->shown_until, until));
}

bool confirm_covers(const Manager *m, const PciAddress *a) {
        return m->unconfirmed && iommu_set_contains(&m->unconfirmed->movers, a);
}

void confirm_show(Manager *m) {
        changes_mark_manager(&m->changes, 1U << MANAGER_PROPERTY_CONFIRM_UNTIL |
                                                          1U << MANAGER_PROPERTY_CONFIRM_USER |
                                                          1U << MANAGER_PROPERTY_CONFIRM_DEVICES);
}

void confirm_forget(Transaction *t) {
        Manager *m = t->manager;

        t->timer = sd_event_source_disable_unref(t->timer);
        if (m->unconfirmed != t)
                return;
        m->unconfirmed = NULL;
        confirm_show(m);
}

static bool find_deadline(const Manager *m, const PciAddress *a, GrantConfirm *ret) {
        return grant_confirm_read(m->root, a, m->root_uid, ret) >= 0;
}

void confirm_find_fresh(const Manager *m, uid_t uid, const IommuSet *movers, IommuSet *ret) {
        bool all = uid == 0;
        GrantConfirm c;

        for (size_t i = 0; i < movers->n_members; i++)
                all = all && find_deadline(m, &movers->members[i], &c);
        *ret = all ? nobody : *movers;
}

/* The helper has set it; the first counts. */
static bool read_deadline(Transaction *t) {
        GrantConfirm c;

        t->until = UINT64_MAX;
        for (size_t i = 0; i < t->fresh.n_members; i++) {
                if (!find_deadline(t->manager, &t->fresh.members[i], &c))
                        return false;
                if (c.until < t->until)
                        t->until = c.until;
        }
        return t->fresh.n_members > 0;
}

static int fail_late(const Transaction *t, Failure *f) {
        char members[256];

        return failure_set(f, FAILURE_NOT_GRANTED,
                           "The time to confirm that %s leave the host was over before all was done; give "
                           "more confirm-seconds.",
                           iommu_set_format(&t->movers, members, sizeof members));
}

int confirm_hold(Transaction *t, Failure *f) {
        assert(t);

        if (!read_deadline(t))
                return fail_late(t, f);
        strcpy(t->boot, t->manager->boot_id);
        t->shown_until = in_real_time(t->until);
        t->phase = CONFIRM_MAKING;
        t->manager->unconfirmed = t;
        return 0;
}

static bool is_late(const Transaction *t) {
        return !streq(t->boot, t->manager->boot_id) || t->until <= grant_confirm_now();
}

int confirm_check_time(const Transaction *t, Failure *f) {
        assert(t);

        return is_late(t) ? fail_late(t, f) : 0;
}

static int on_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Transaction *t = userdata;
        char user[USER_NAME_SIZE];

        /* Where Confirm has asked the helper already, that decides; and a Revert goes on by itself. */
        if (t->phase != CONFIRM_WAITING)
                return 0;
        log_notice("Nobody has confirmed in time what %s has made passthrough: it is undone.",
                   user_name(t->manager->root, t->uid, user));
        transaction_undo(t, NULL);
        return 0;
}

static int arm(Transaction *t, uint64_t at) {
        int r;

        if (!t->timer)
                return sd_event_add_time(t->manager->event, &t->timer, CLOCK_BOOTTIME, at, 1000, on_time, t);
        r = sd_event_source_set_time(t->timer, at);
        return r < 0 ? r : sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
}

static int wait_for_it(Transaction *t) {
        t->phase = CONFIRM_WAITING;
        confirm_show(t->manager);
        return arm(t, t->until);
}

void confirm_wait(Transaction *t, transaction_answer_t answer) {
        Manager *m = t->manager;
        Failure f = {0};

        assert(t);

        if (confirm_check_time(t, &f) >= 0 && wait_for_it(t) < 0)
                (void)failure_set(&f, FAILURE_INTERNAL,
                                  "There is no timer for the confirmation; try again later.");
        if (f.kind != FAILURE_NONE) {
                transaction_undo(t, &f);
                return;
        }

        manager_flush(m);
        m->wire->confirmation_pending(m);
        answer(t);
        t->call = NULL; /* whoever made it may be gone: nothing is undone because of that */
}

static bool binds(const Transaction *t) {
        const Group *g = registry_find_group(t->manager->registry, t->group);

        return g && g->record.enabled && g->record.binding == GROUP_BINDING_PERSISTENT;
}

/* Who brought it home has undone the change; it must not be bound again by a Confirm. */
static int check_still_out(Transaction *t, Failure *f) {
        const Device *d;

        if (!binds(t))
                return 0;
        for (size_t i = 0; i < t->at_host.n_members; i++) {
                d = device_table_find(&t->manager->devices, &t->at_host.members[i]);
                if (d && !streq(d->facts.driver, VFIO_DRIVER))
                        return failure_set(f, FAILURE_NOT_BOUND,
                                           "Device %s has gone back to the host (driver: %s), so there is "
                                           "nothing to confirm; Revert what is left of the change.",
                                           d->address, d->facts.driver[0] ? d->facts.driver : "none");
        }
        return 0;
}

Transaction *confirm_find(const Manager *m, Failure *f) {
        Transaction *t = m->unconfirmed;

        if (!t || t->phase == CONFIRM_MAKING)
                (void)failure_set(f, FAILURE_NO_SUCH_OBJECT,
                                  "No change waits for a confirmation: it was confirmed or undone already, "
                                  "or its time is up; see ConfirmUntil.");
        else if (t->phase == CONFIRM_REVERTING)
                (void)failure_set(f, FAILURE_NO_SUCH_OBJECT,
                                  "The change is being undone already; wait until ConfirmUntil is 0.");
        else if (t->phase == CONFIRM_KEEPING)
                (void)failure_set(f, FAILURE_BUSY,
                                  "The change is being confirmed by another call; wait for its end.");
        else
                return t;
        return NULL;
}

int confirm_check_keep(Transaction *t, Failure *f) {
        if (is_late(t))
                return failure_set(f, FAILURE_NO_SUCH_OBJECT,
                                   "The time to confirm the change is up: it is undone. Make the devices "
                                   "passthrough again.");
        if (transaction_check_orders(t, "Revert the change, or let its time run out", f) < 0)
                return -EREMOTEIO;
        manager_reread_set(t->manager, &t->movers);
        return check_still_out(t, f);
}

static void answer_confirmed(Transaction *t) {
        if (t->call)
                call_finish(t->call, t->cause.kind != FAILURE_NONE ? &t->cause : NULL);
        log_info("A change that had to be confirmed was confirmed.");
}

static void mark_next(Transaction *t);

static void on_marked(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        if (failure)
                (void)failure_set(&t->cause, failure->kind,
                                  "The change is confirmed and its grants are kept, but not all of it is "
                                  "bound for the next boot yet; that is tried again. %.700s",
                                  failure->sentence);
        mark_next(t);
}

static bool is_first_of_set(const Transaction *t, const Device *d) {
        for (size_t i = 0; i < t->named.n_members; i++)
                if (iommu_set_contains(&d->facts.set, &t->named.members[i]))
                        return pci_address_compare(&t->named.members[i], device_address(d)) == 0;
        return true;
}

/* Now a reboot may find them bound. */
static void mark_next(Transaction *t) {
        while (binds(t) && t->at < t->named.n_members) {
                OperationRequest q = {.verb = HELPER_BIND,
                                      .device = t->named.members[t->at++],
                                      .persistent = true};
                const Device *d = device_table_find(&t->manager->devices, &q.device);
                Failure f = {0};

                if (!d || (d->facts.set.number != DEVICE_NO_IOMMU_SET && !is_first_of_set(t, d)))
                        continue;
                if (operation_start(t->manager, &q, on_marked, t, &f) < 0)
                        on_marked(&f, t);
                return;
        }
        transaction_finish(t, answer_confirmed);
}

static void on_stored_back(const Failure *failure, void *userdata) {
        Transaction *t = userdata;
        Manager *m = t->manager;
        Failure f = t->cause;
        Call *c = t->call;

        if (failure)
                log_warning("That a change was not confirmed could not be noted: %s", failure->sentence);
        t->confirmed = !!failure; /* as the store has it, so has it the next start */
        t->cause = (Failure){0};
        t->call = NULL;
        if (wait_for_it(t) < 0)
                transaction_undo(t, NULL);
        manager_flush(m);
        if (c)
                call_finish(c, &f);
}

static int store_intent(Transaction *t, bool confirmed, edit_done_t done, Failure *f) {
        IntentRecord intent = {0};
        int r;

        t->confirmed = confirmed;
        r = transaction_intent(t, &intent);
        if (r >= 0)
                r = edit_start(t->manager, &(EditRequest){.put_intent = &intent}, done, t, f);
        else
                r = failure_set(f, FAILURE_INTERNAL, "Nothing was changed: out of memory; try again later.");
        intent_record_clear(&intent);
        return r;
}

/* Nothing was kept: it waits as before. */
static void wait_on(Transaction *t, const Failure *failure) {
        char until[16];
        Failure f = {0};

        (void)failure_set(
                        &t->cause, failure->kind,
                        "Nothing was confirmed; until %s it can be tried again, then all is undone. %.800s",
                        format_time(t->shown_until, until), failure->sentence);
        if (store_intent(t, false, on_stored_back, &f) < 0)
                on_stored_back(&f, t);
}

static void on_kept(const Failure *failure, sd_bus_message *reply, void *userdata);

static void ask_keep(Transaction *t) {
        HelperRequest q = {.verb = HELPER_KEEP, .devices = &t->fresh};

        if (transaction_ask_helper(t, &q, on_kept) < 0)
                on_kept(&(Failure){FAILURE_INTERNAL, "The helper cannot be called."}, NULL, t);
}

/* A helper that died before its answer may have done it: asked once more it says so. */
static void on_kept(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;
        Manager *m = t->manager;
        Failure f = {0};

        t->helper = NULL;
        manager_reread_set(m, &t->movers);
        grants_read(m);
        manager_flush(m);
        if (failure && (failure->kind == FAILURE_HELPER || failure->kind == FAILURE_STUCK) &&
            !t->kept_again) {
                t->kept_again = true;
                ask_keep(t);
        } else if (failure && is_late(t))
                transaction_undo(t, failure);
        else if (failure)
                wait_on(t, failure);
        else if (streq(t->boot, m->boot_id) && check_still_out(t, &f) < 0)
                transaction_undo(t, &f);
        else {
                t->at = 0;
                mark_next(t);
        }
}

static void on_stored(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        if (!failure) {
                ask_keep(t);
                return;
        }
        (void)failure_set(&t->cause, failure->kind, "%s", failure->sentence);
        on_stored_back(NULL, t);
}

void confirm_keep(Transaction *t, Call *call) {
        Failure f = {0};

        assert(t);

        t->call = call;
        t->phase = CONFIRM_KEEPING;
        t->kept_again = false;
        t->cause = (Failure){0};
        if (store_intent(t, true, on_stored, &f) < 0)
                on_stored(&f, t);
}

void confirm_revert(Transaction *t, Call *call) {
        assert(t);

        t->call = call;
        t->cause = (Failure){0};
        transaction_undo(t, NULL);
}

void confirm_recover(Transaction *t) {
        Manager *m = t->manager;
        uint64_t until = t->until;

        assert(t);

        if (!m->unconfirmed)
                m->unconfirmed = t;
        t->shown_until = in_real_time(streq(t->boot, m->boot_id) ? until : grant_confirm_now());
        confirm_show(m);
        if (t->confirmed) {
                t->phase = CONFIRM_KEEPING;
                ask_keep(t);
        } else if (!is_late(t) && read_deadline(t) && check_still_out(t, &(Failure){0}) >= 0 &&
                   wait_for_it(t) >= 0)
                log_info("A change still waits for its confirmation.");
        else {
                t->until = until;
                transaction_undo(t, NULL);
        }
}
