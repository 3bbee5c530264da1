/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One line on standard output for each thing that happens: for people what they care about, or all, as
 * JSON. */

#include "model.h"

typedef struct MonitorEvent {
        const char *what; /* "added", "removed", "changed", "device-stuck", ... */
        const char *kind; /* "device", ..., "host" */
        const char *name;
        json_t *properties; /* as they are on the bus; borrowed; NULL: none */
} MonitorEvent;

/* -EPIPE and the like: nobody reads it any more; -ENOMEM. */
int monitor_event_print(const Model *m, bool json, const MonitorEvent *event);
