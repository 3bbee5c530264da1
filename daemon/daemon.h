/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The unprivileged daemon as a whole: connects to the system bus and serves org.verge.Passthrough there
 * until it is told to end. */

#include <sys/types.h>

#include "macro.h"

/* How long a service that has nothing to bind or release has to run until its boot has gone well. */
#define DAEMON_HEALTHY_USEC (30ULL * 1000 * 1000)

typedef struct DaemonConfig {
        int root_fd;    /* "/", or the root of a fake host in tests */
        uid_t root_uid; /* who may have written grants: 0 but in tests */
        int uevent_fd; /* -1: the udev monitor; else a pipe with lines "add 0000:01:00.0" or "change block" in
                         * its place, of which somebody holds the writing end: its end of file is the end of
                         * hotplug */
        const char *node_name;
        uint64_t healthy_usec; /* DAEMON_HEALTHY_USEC but in tests */
        uint32_t confirm_min;  /* the fewest confirm-seconds; 0: the usual, 10 */
} DaemonConfig;

/* Returns 0 after SIGTERM or SIGINT, else a negative errno; what went wrong is logged. */
int daemon_run(const DaemonConfig *config);
