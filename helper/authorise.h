/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who is calling? The bus is asked, never the caller. Served are root, and the connection that owns
 * org.verge.Passthrough now while it belongs to the daemon's user.
 *
 * Who that connection is needs to be asked only once: the bus tells of each change of the name, and in order, so what
 * was true when we were told last is true for every message that comes before we are told again.
 */

#include "bus-util.h"

typedef enum CallerKind {
        CALLER_STRANGER,
        CALLER_DAEMON,
        CALLER_ROOT,
} CallerKind;

typedef struct Authoriser {
        uid_t root_uid, daemon_uid;
        char *daemon; /* unique name of the connection that was found to be the daemon; NULL: ask */
} Authoriser;

/* The owner of a name has changed; to be called for every NameOwnerChanged. */
void authoriser_owner_changed(Authoriser *a, const char *name);

typedef struct Authorisation Authorisation;

/* Calls done exactly once, later, never from inside authorise(). The authorisation may be freed in it. uid: the
 * caller's, or (uid_t)-1 if he has left. */
typedef void (*authorise_done_t)(CallerKind kind, uid_t uid, void *userdata);

/* 1: it is the daemon, done is not called; 0: done will be called. */
int authorise(Authoriser *authoriser, sd_bus_message *call, authorise_done_t done, void *userdata,
              Authorisation **ret);
Authorisation *authorisation_free(Authorisation *a); /* cancels one that is pending */
