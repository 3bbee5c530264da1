/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The privileged helper as a whole: connects to the system bus, serves the verbs of verb.h, leaves when idle.
 */

#include <sys/types.h>

#include "macro.h"

typedef struct HelperConfig {
        int root_fd;        /* "/", or the root of a fake host in tests */
        uid_t root_uid;     /* 0 but in tests */
        uid_t daemon_uid;   /* the only other user we listen to */
        uint64_t idle_usec; /* how long to stay without work */
        bool sandbox; /* insist on having no capability, and Landlock the workers; false only in tests */
} HelperConfig;

int helper_run(const HelperConfig *config);
