/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is logged in from elsewhere, from systemd-logind's records (sd-login(3)): ssh, Cockpit and whatever else tells
 * PAM where its user comes from. Without logind there are none. */

#include <sys/types.h>

#include "macro.h"

/* peer: what the login service says, unverified: an address, a name, or "" when it does not say. Non-zero stops. */
typedef int (*host_session_t)(uid_t uid, const char *peer, void *userdata);

/* Each remote session that is not over. -E2BIG: more than anybody has. For any thread. */
int host_sessions_each(host_session_t f, void *userdata);
