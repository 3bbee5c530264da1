/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What somebody else does just before the lock of the grants is had: set before_lock, once for each time. For programs
 * that are linked with -Wl,--wrap=lock_grants. */

#include "lock.h"
#include "request-fixture.h"

static void (*before_lock)(void);
static FakeHost *meanwhile;

int __real_lock_grants(int root, WorkerResult *result);
int __wrap_lock_grants(int root, WorkerResult *result);
int __wrap_lock_grants(int root, WorkerResult *result) {
        void (*now)(void) = before_lock;

        before_lock = NULL;
        if (now)
                now();
        return __real_lock_grants(root, result);
}
