/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * MakePassthrough and ReturnToHost as one step each: several changes, by the helper, the kernel and the store, of which
 * all are done or none. What is under way is written down first (an intent in the store); an end removes it, a failure
 * undoes what was done, and after a crash the intent that is left is undone, or finished if all that needs somebody's
 * consent was done already. Undoing is tried again until it has succeeded (transaction-undo.c).
 *
 *   make:    Grant, pending (prompt) -> group, rules and intent stored -> Bind -> Keep the grants -> intent removed;
 *            of virtual functions: make-vfs.h
 *   return:  intent stored -> Revoke, which brings home (prompt) -> rules and intent removed
 *
 * One that is to be confirmed stays open behind Bind and its answer: confirm.h.
 *
 * A crash before the intent leaves pending grants that nobody speaks of: those are dropped at the next start, and by a
 * reboot anyway.
 */

#include "calls.h"
#include "edits.h"

/* Of one that is to be confirmed (confirm.h). */
typedef enum ConfirmPhase {
        CONFIRM_NONE,
        CONFIRM_MAKING,    /* on the way there */
        CONFIRM_WAITING,   /* for Confirm, Revert or the deadline */
        CONFIRM_KEEPING,   /* Confirm is at it */
        CONFIRM_REVERTING, /* it is undone, until that has succeeded */
} ConfirmPhase;

#define TRANSACTION_RULES_MAX DEVICES_PER_CALL_MAX

typedef struct Transaction Transaction;
typedef void (*transaction_answer_t)(Transaction *t);
typedef void (*transaction_step_t)(Transaction *t);

struct Transaction {
        Manager *manager;
        Transaction *next;
        Call *call; /* NULL: after a crash, nobody waits */
        IntentKind kind;
        char id[RECORD_ID_SIZE];
        uint64_t began; /* microseconds since the epoch: a grant that is older was not ours */

        IommuSet named;   /* the devices that were asked for */
        IommuSet movers;  /* these and all that move along */
        IommuSet fresh;   /* make: those that this grants */
        IommuSet at_host; /* make: those that were with the host before, and go back there if it fails */

        char group[RECORD_ID_SIZE];
        bool makes_group;
        char rules[TRANSACTION_RULES_MAX][RECORD_ID_SIZE]; /* that are made, or to be removed */
        size_t n_rules;

        bool of_vfs; /* make: not these leave, but virtual functions that they get */
        uint32_t vfs_before[DEVICES_PER_CALL_MAX]; /* then: how many they had, in the order of the movers */
        uint32_t vfs;                              /* then, without a group: how many they get */
        unsigned vfs_calls;

        IommuSet unmarked; /* make: those that were bound before, but not to stay so */

        bool consented;  /* whoever may say so has said yes */
        bool recovered;  /* from the intent of a service that was before this one */
        bool stored;     /* the intent is in the store */
        bool unsure;     /* make: a Bind or SetVfs had no answer, and may be done yet */
        bool kept_again; /* make: the grants are to be kept by a second call */
        size_t at;       /* of the step that goes through the movers */
        unsigned n_waiting;
        HelperCall *helper;
        transaction_answer_t answer;
        Failure cause;     /* why it is undone */
        char residue[256]; /* "" or what could not be undone */
        FailureKind residue_kind;

        unsigned tries;         /* to undo it, or after a crash to finish it, that have failed */
        sd_event_source *again; /* when the next comes */
        transaction_step_t
                        take_up; /* make, before that: what follows when the virtual functions are there */

        bool drops_all;       /* make: no pending grant of it may be kept */
        bool to_confirm;      /* make: somebody has to confirm it; what follows is of such a one */
        bool confirmed;       /* and has: it can only be finished */
        uint64_t until;       /* CLOCK_BOOTTIME, microseconds */
        uint64_t shown_until; /* the same, CLOCK_REALTIME */
        char boot[GRANT_BOOT_SIZE];
        uid_t uid; /* who made it */
        ConfirmPhase phase;
        sd_event_source *timer; /* the deadline */
};

Transaction *transaction_new(Manager *m, IntentKind kind, Call *call);
Transaction *transaction_free(Transaction *t); /* one that has done nothing yet */
void transactions_free_all(Manager *m);        /* calls nothing; what is stored tells the next start */

/* A device is held with what is to be done to its virtual functions, too.
 * Is one under way for this device, so that its state is not what it will be? Not while a prompt stands, but for a
 * return, of which the helper says nothing before all is done. */
bool transactions_cover(const Manager *m, const PciAddress *a);
/* And nobody else may begin another: a prompt that stands holds nobody up. */
bool transactions_hold(const Manager *m, const PciAddress *a);
bool transactions_hold_beside(const Transaction *t, const PciAddress *a); /* another than t */
int transactions_check_free(const Manager *m, const IommuSet *movers,
                            Failure *f); /* Busy, when one is held */

/* make: Conflict, when somebody has changed the group or a rule of it since they were made. advice: the end of the
 * sentence, what to do. */
int transaction_check_orders(const Transaction *t, const char *advice, Failure *f);

/* Ends it with success: removes the intent and answers by the function, or with nothing. */
void transaction_finish(Transaction *t, transaction_answer_t answer);

/* Ends it as it is, and answers with nothing or the failure. */
void transaction_end(Transaction *t, const Failure *failure);

/* Undoes all of it, removes the intent and answers with the cause (set before, or here when it is given). Where that
 * fails it answers, too, and tries again with growing pauses, for as long as it may help; the intent and the hold on
 * the devices stay until all of it is undone. */
void transaction_undo(Transaction *t, const Failure *cause);
void transaction_drop_grants(Transaction *t); /* behind the way home: the rest of it */

bool transaction_can_pass(FailureKind kind) _const_; /* is it something that waiting cures? */

/* Calls take_up after a pause, longer each time. -EPERM: why is nothing that waiting cures. */
int transaction_try_later(Transaction *t, FailureKind why, transaction_step_t take_up);

/* Has it a kept grant that was given after this time (microseconds since the epoch)? */
bool transaction_is_kept(const Transaction *t, const PciAddress *a, uint64_t since);

/* Of those that it grants: is one kept already? From there on it can only be finished. */
bool transaction_any_kept(const Transaction *t);

/* Makes a call of the helper for these devices. */
int transaction_ask_helper(Transaction *t, const HelperRequest *q, helper_done_t done);

/* The intent's text, and back. */
int transaction_format(const Transaction *t, char **ret);
int transaction_parse(Transaction *t, const char *data);
int transaction_intent(const Transaction *t, IntentRecord *ret); /* data is the caller's to free */

/* A plan for edit_start(): removes t's rules, and its group if it made that and nothing else is in it. */
int transaction_plan_removal(Manager *m, OrderPlan *p, void *userdata, Failure *f);

/* After a crash: what is to become of it? Then that. */
void transaction_recover(Transaction *t);

/* At start: takes up what a crash has left. */
void transactions_recover(Manager *m, const IntentRecord *intents, size_t n);

/* Later: drops the pending grants that the helper was about to write, for a service that died meanwhile or for a call
 * that was answered as Stuck. What root himself has granted so is his. */
void transactions_drop_late(Manager *m);
