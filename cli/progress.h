/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What happens while somebody waits at a terminal: a line on standard error for each step that the service tells of
 * (states of devices and claims), with the time since the call, and a clock once something moves. Not in pipes.
 */

#include "client.h"

typedef struct Progress Progress;

/* NULL where nobody looks. */
Progress *progress_new(Client *c, const char *doing);
Progress *progress_free(Progress *p);
DEFINE_CLEANUP(Progress *, progress_free);
