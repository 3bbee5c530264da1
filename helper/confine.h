/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a worker may write, by Landlock, from here on. A kernel without Landlock leaves it to the sandbox of the unit;
 * any other error is one, half a fence would look whole.
 */

#include "request.h"
#include "target.h"

typedef enum ConfineTo {
        CONFINE_LOCKS = 1 << 0,
        CONFINE_MOVES = 1 << 1,
        CONFINE_KEPT = 1 << 2,    /* grants */
        CONFINE_PENDING = 1 << 3, /* grants */
        CONFINE_GRANTS = CONFINE_KEPT | CONFINE_PENDING,
        CONFINE_ACCESS = 1 << 4,
        CONFINE_TARGETS = 1 << 5, /* what moves them; the work itself confines itself when it knows them */
        CONFINE_VFS = 1 << 6,     /* beside them: how many virtual functions the targets have */
        CONFINE_OPEN = CONFINE_LOCKS | CONFINE_MOVES | CONFINE_ACCESS | CONFINE_TARGETS,
        CONFINE_ALL = CONFINE_OPEN | CONFINE_GRANTS,
} ConfineTo;

/* Of a worker (worker_work_t): q->work, confined to q->writes. */
void confine_and_work(int root, const void *request, WorkerResult *result);

/* To q->writes, and what moves the targets and their t->vfs. It can be done again, with less: of a target whose virtual
 * functions are yet to come all attributes below its bridge are among them until then. */
int confine(int root, const Request *q, Target *const *targets, size_t n_targets, WorkerResult *result);
