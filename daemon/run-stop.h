/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of an end: run-stop.c, and what is stored of it (run-rest.c). */

#include "runs.h"

#define RUN_STOP_WAITERS_MAX 16U

/* One IOMMU set on its way back. */
typedef struct StopSet {
        RunStop *stop;
        struct StopSet *next;
        IommuSet members; /* addresses of the run's devices in it */
        sd_event_source *again;
        unsigned tries;
        size_t n_reset; /* of the members: nothing of the claim's is left of their settings in the network */
        bool switches_alone; /* of the next of them: all of it has failed, these may do */
        bool begun, operating, closed, done;
        bool planned; /* that it is back is on its way to the disk */
        char *sick;   /* NULL, or why it goes into quarantine */
} StopSet;

typedef struct Waiter {
        run_stopped_t done;
        void *userdata;
} Waiter;

struct RunStop {
        Manager *manager;
        RunStop *next;
        char run[RECORD_ID_SIZE];
        StopSet *sets;
        bool whole;                                   /* all of it ends */
        char claims[RUN_DEVICES_MAX][RECORD_ID_SIZE]; /* or these */
        size_t n_claims;
        unsigned n_marking; /* edits that say so, on their way */
        bool storing;       /* an edit that says what is back */
        bool told;          /* that it failed */
        sd_event_source *again;
        Waiter waiters[RUN_STOP_WAITERS_MAX];
        size_t n_waiters;
};

Run *run_stop_run(const RunStop *stop); /* NULL: it has ended */

/* For edit_start(), userdata is the RunStop: the run without what is back, quarantine for what is sick, and claims that
 * were deleted meanwhile. Marks what it covers as planned. */
int run_stop_plan_rest(Manager *m, OrderPlan *p, void *userdata, Failure *f);
