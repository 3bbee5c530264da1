/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Asking polkit, without ever waiting for it on the main loop
 * (org.freedesktop.PolicyKit1.Authority.CheckAuthorization, subject kind "system-bus-name").
 *
 * One question: who is this connection (asked of the bus, never of the caller); is it root; and if not, what
 * does polkit say. Everything but a plain yes is a no: polkit missing, failing or silent, a subject that
 * vanishes while the prompt stands. Questions are counted, per user and in all.
 */

#include "bus-util.h"
#include "string-table.h"

/* What has become of the question whether somebody may: for the audit trail. */
typedef enum PolkitVerdict {
        POLKIT_VERDICT_NOT_ASKED,   /* of root, of an owner; or refused before polkit was reached */
        POLKIT_VERDICT_YES,         /* also one that polkit has kept */
        POLKIT_VERDICT_NO,          /* by a rule, or the password was wrong */
        POLKIT_VERDICT_CHALLENGE,   /* polkit would have to prompt, and may not or cannot */
        POLKIT_VERDICT_DISMISSED,   /* the prompt was closed */
        POLKIT_VERDICT_UNANSWERED,  /* the prompt was left alone, or the caller left */
        POLKIT_VERDICT_UNREACHABLE, /* no polkit, or an error */
        POLKIT_VERDICT_GRANTED,     /* there is no question: a grant is the consent */
        POLKIT_VERDICT_BY_HELPER,   /* the helper asks, and writes down what the answer was */
        POLKIT_VERDICT_MAX,
        POLKIT_VERDICT_INVALID = -EINVAL,
} PolkitVerdict;

DECLARE_STRING_TABLE(polkit_verdict, PolkitVerdict); /* "not-asked", "yes", ... */

typedef struct Polkit Polkit;
typedef struct PolkitQuery PolkitQuery;

typedef struct PolkitQuestion {
        const char *subject;        /* unique bus name of the one who wants it */
        const char *action;         /* polkit action id */
        const char *const *details; /* key, value, key, value, NULL: shown in the prompt, seen by rules */
        bool interactive;           /* may polkit prompt? (the caller's ALLOW_INTERACTIVE_AUTHORIZATION) */
        bool third_party; /* the subject was named by somebody else: then root and `refuse_uid` never
                                     * pass, because polkit would say yes to them without asking anybody */
        uid_t refuse_uid;
} PolkitQuestion;

/* failure: NULL is yes. uid: of the subject, known with yes, else perhaps (uid_t)-1. The query is freed by the callee's
 * return. */
typedef void (*polkit_done_t)(const Failure *failure, uid_t uid, PolkitVerdict verdict, void *userdata);

int polkit_new(sd_bus *bus, Polkit **ret);
Polkit *polkit_free(Polkit *p); /* drops pending questions without calling back */
DEFINE_CLEANUP(Polkit *, polkit_free);

/* Calls done exactly once, later (never from inside). Returns a negative errno when that cannot be promised;
 * -EDQUOT: too many questions pending in all (too many of one user comes as a Failure, LimitsExceeded). */
int polkit_ask(Polkit *p, const PolkitQuestion *q, polkit_done_t done, void *userdata, PolkitQuery **ret);

/* Takes a question back: the prompt goes away and done is not called. ret above may be NULL for who never does. */
PolkitQuery *polkit_cancel(PolkitQuery *q);
