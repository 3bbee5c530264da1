/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Method calls that cost somebody's work or change something: counted for each user and in all, authorised as
 * their row of the table says (authorisation.h), and answered once. What a call does is its kind's business;
 * nothing is held while a prompt stands, so a kind looks at everything again after it.
 */

#include "manager.h"

typedef struct CallDetails {
        const char *pairs[24]; /* key, value, ..., NULL: what a prompt shows, and what polkit's rules see */
        size_t n;
        char text[DEVICES_PER_CALL_MAX * (PCI_ADDRESS_SIZE + 1)]; /* for what has to be made up */
} CallDetails;

typedef struct CallKind {
        /* Would it be carried out as things stand? A hopeless call must not prompt. Asked before polkit is, and
         * again before `go`. -EREMOTEIO with *f. NULL: always. */
        int (*check)(Call *c, Failure *f);
        /* Where the row says AUTHORISATION_OWNER: may this caller do it unasked? What that follows from may be another
         * when it is done: see Call.by_owner. */
        bool (*is_owner)(const Call *c);
        /* For polkit, and for the audit trail: after a check that passed, or failed with Critical. NULL: of what only
         * reads. */
        void (*describe)(const Call *c, CallDetails *ret);
        void (*go)(Call *c); /* may it be done: does it, and sees to it that one call_finish*() follows */
        void (*free)(void *data);
} CallKind;

typedef struct CallTrail CallTrail;

struct Call {
        Manager *manager;
        Call *next;
        sd_bus_message *message; /* what the data points to stays valid */
        const Authorisation *row;
        const CallKind *kind;
        void *data;    /* of the kind */
        uid_t uid;     /* (uid_t)-1 until the bus has said it */
        bool by_owner; /* polkit was not asked, since is_owner() said so */
        BusUidQuery *who;
        HelperCall *helper;    /* one that dies with the call */
        void (*then)(Call *c); /* after polkit's yes */
        const char *action;    /* that polkit was asked about here */
        PolkitVerdict verdict;
        bool passed;      /* its first check */
        CallTrail *trail; /* call-trail.c */
};

/* Takes the call in, and takes over the data in any case. Returns what a method handler returns. */
int call_start(Manager *m, sd_bus_message *message, const CallKind *kind, void *data);

/* Asks polkit about the caller, who is not asked when he is root; then goes on, or answers with the refusal. */
void call_ask(Call *c, const char *action, void (*then)(Call *c));

void call_details_add(CallDetails *d, const char *key, const char *value);

/* These answer and free the call. NULL: success without a result. */
void call_finish(Call *c, const Failure *failure);
void call_finish_with(Call *c, sd_bus_message *reply);
void call_fail(Call *c, int error); /* of ours: out of memory and the like */

static inline const char *call_sender(const Call *c) {
        return sd_bus_message_get_sender(c->message);
}

static inline bool call_is_interactive(const Call *c) {
        return sd_bus_message_get_allow_interactive_authorization(c->message) > 0;
}

/* What it is about, for the audit trail: as describe() says it now, and devices that are known only later. */
void call_trail_describe(Call *c);
void call_trail_add_device(Call *c, const PciAddress *a);

/* Writes down how the call has ended, if it was more than to read. */
void call_trail_end(Call *c, const Failure *failure);
CallTrail *call_trail_free(CallTrail *t);

void calls_free_all(Manager *m); /* drops them without an answer */
