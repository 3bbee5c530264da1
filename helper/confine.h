/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a worker may write, by Landlock, from here on: the directories named, and what moves the targets. A kernel
 * without Landlock leaves it to the sandbox of the unit; any other error is one, half a fence would look whole.
 */

#include "request.h"
#include "target.h"

typedef enum ConfineTo {
        CONFINE_LOCKS = 1 << 0,
        CONFINE_MOVES = 1 << 1,
        CONFINE_KEPT = 1 << 2,    /* grants */
        CONFINE_PENDING = 1 << 3, /* grants */
        CONFINE_GRANTS = CONFINE_KEPT | CONFINE_PENDING,
} ConfineTo;

int confine(int root, const Request *q, unsigned directories, Target *const *targets, size_t n_targets,
            WorkerResult *result);
