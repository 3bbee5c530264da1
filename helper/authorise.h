/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who is calling? The bus is asked, never the caller. Served are root, and the connection that owns
 * org.verge.Passthrough now while it belongs to the daemon's user.
 */

#include "bus-util.h"

typedef enum CallerKind {
        CALLER_STRANGER,
        CALLER_DAEMON,
        CALLER_ROOT,
} CallerKind;

typedef struct Authorisation Authorisation;

/* Called exactly once, never from inside authorise(). The authorisation may be freed in it. */
typedef void (*authorise_done_t)(CallerKind kind, void *userdata);

int authorise(sd_bus_message *call, uid_t root_uid, uid_t daemon_uid, authorise_done_t done, void *userdata,
              Authorisation **ret);
Authorisation *authorisation_free(Authorisation *a); /* cancels one that is pending */
