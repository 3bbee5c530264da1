/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One call to the helper on its way: who calls, parse, (check, prompt,) work, answer. It lives until its worker has
 * ended, which can be long after the answer when the kernel does not come back.
 */

#include "audit.h"
#include "authorise.h"
#include "polkit.h"
#include "verb.h"

typedef struct Operation Operation;
typedef struct Reverts Reverts;

/* What operations share. Owned by the helper. */
typedef struct Operations {
        sd_bus *bus;
        sd_event *event;
        Polkit *polkit;
        Audit *audit;
        int root_fd;
        Authoriser authoriser;
        uint64_t deadline_usec;
        bool confine;
        Operation *list;
        size_t n;
        Reverts *reverts; /* or NULL: looks at what each worker has left behind */
} Operations;

/* Takes a method call; answers it now or later, whatever happens. Returns what a sd-bus handler returns. */
int operation_start(Operations *all, sd_bus_message *call);

/* One that nobody has called for, and nobody waits for. -EBUSY: another is at this set, and reverts_look() follows
 * its end. Calls ended once, later; failure: NULL is success. */
typedef void (*operation_ended_t)(const PciAddress *device, const Failure *failure, void *userdata);
int operation_start_own(Operations *all, const Verb *verb, const PciAddress *device, operation_ended_t ended,
                        void *userdata);

/* A connection is gone: its prompts go away. */
void operations_caller_left(Operations *all, const char *name);

/* At the end of the process. */
void operations_free_all(Operations *all);
