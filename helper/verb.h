/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the helper can be asked to do: a closed table (after OpenSSH's monitor.c). A call that has no row here has
 * no effect; a row says which work may run and under whose consent.
 */

#include "request.h"

typedef struct Verb {
        const char *name;
        const char *signature; /* of the call */
        const char *result;    /* of the reply */
        const char *names;     /* of both, for introspection */
        worker_work_t work;
        unsigned writes;             /* what the work may write (confine.h); what prepares it, nothing */
        MoveVerb move;               /* what the journal calls it; MOVE_VERB_INVALID: it moves nothing */
        bool of_ids;                 /* the first list names ids, not devices */
        worker_work_t prepare;       /* run before a prompt; NULL: no prompt, the grant is the consent */
        const char *action;          /* polkit action of the prompt */
        const char *action_critical; /* the stronger one, when critical reasons are overridden */
        const char *message; /* of the prompt, in place of the action's; polkit fills in the details */
        bool lets_in;        /* the subject is whom to let in; the bus is asked who that is */
        bool sets_vf;        /* its list has settings of a virtual function, which take CAP_NET_ADMIN */
} Verb;

/* All of them, each served by that function. */
const sd_bus_vtable *verb_vtable(sd_bus_message_handler_t on_call);

/* NULL: no such verb. */
const Verb *verb_find(const char *name);

/* Parses the arguments. A failure sentence in *f and -EREMOTEIO for anything that is not as documented in
 * dbus/org.verge.Passthrough.Helper.xml; *subject points into the message ("" where the verb has none). */
int verb_parse(const Verb *v, sd_bus_message *m, Request *ret, const char **ret_subject, Failure *f);

/* The reply of a verb that succeeded; fds, as many as verb_gifts() says, are what its worker gave. */
int verb_reply(const Verb *v, sd_bus_message *call, const Request *q, const WorkerResult *result,
               const int *fds);
size_t verb_gifts(const Request *q) _pure_;
