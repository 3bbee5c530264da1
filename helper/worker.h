/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A disposable process for one piece of work that the kernel may never finish. The main loop forks it, shares a
 * page or two with it for the result, and waits for it to exit or to be late; a late worker is left alone, because
 * it may be inside a sysfs write that no signal ends, and a second writer would only queue up behind it.
 */

#include <systemd/sd-event.h>

#include "audit.h"
#include "bus-error.h"
#include "grant-ids.h"

#define CHECK_ROWS_MAX 96U
#define PLANNED_WRITES_MAX (3 * DEVICES_PER_CALL_MAX)
#define WORKER_GIFTS_MAX 16U /* descriptors; dbus-daemon lets no message with more of them through */
#define MODEL_SIZE 176       /* words and ids, cut to fit */

typedef struct CheckRow {
        char device[PCI_ADDRESS_SIZE]; /* that it speaks of */
        char check[32];
        char severity[8]; /* "info", "warning" or "error" */
        bool passed;
        char sentence[512];
} CheckRow;

/* A write to sysfs as Bind would do it; steps_describe() puts it into words. */
typedef struct PlannedWrite {
        uint8_t member; /* of the set */
        uint8_t step;
} PlannedWrite;

/* Whom a prompt speaks of: the work that follows it must find the same, in the same sets. */
typedef struct Prompted {
        bool asked; /* there was a prompt */
        size_t n;
        PciIdentity identities[DEVICES_PER_CALL_MAX];
        unsigned sets[DEVICES_PER_CALL_MAX];
} Prompted;

/* Shared memory: the worker writes, the main loop reads. No pointers. */
typedef struct WorkerResult {
        Failure failure;
        uint64_t deadline; /* CLOCK_MONOTONIC, usec: past it nothing new is begun */
        char doing[192];   /* "unbinding 0000:01:00.0 from e1000e": what a late worker hangs in */

        IommuSet set; /* what a move moves, once known; n_members 0 before */

        size_t n_rows; /* of Plan */
        CheckRow rows[CHECK_ROWS_MAX];
        bool refused; /* an "error" among them did not pass */

        struct {              /* of Plan */
                IommuSet set; /* what would move; not the one above, by which a late worker is told of */
                size_t n_writes;
                PlannedWrite writes[PLANNED_WRITES_MAX];
        } plan;

        struct {                                                            /* what the prompt says */
                char device[DEVICES_PER_CALL_MAX * (ID_SELECTOR_SIZE + 2)]; /* addresses, or ids: whole */
                char iommu_set[DEVICES_PER_CALL_MAX * (PCI_ADDRESS_SIZE + 1)];
                char model[DEVICES_PER_CALL_MAX * (MODEL_SIZE + 2)];
                char driver[DEVICES_PER_CALL_MAX * (PCI_DRIVER_SIZE + 2)];
                char consent[256];
        } prompt;
        Prompted prompted;
        uint32_t critical; /* reasons that hold for the devices, of Grant and Bind all consented to when it succeeds */

        size_t n_drivers; /* of all devices that were opened: for the audit trail */
        AuditDriver drivers[DEVICES_PER_CALL_MAX];
} WorkerResult;

typedef enum WorkerEnd {
        WORKER_FINISHED, /* read its result */
        WORKER_DIED,     /* killed or crashed: the result is not to be trusted */
        WORKER_LATE,     /* still there past its deadline; comes at most once, before one of the others */
} WorkerEnd;

typedef struct Worker Worker;
typedef void (*worker_work_t)(int root, const void *argument, WorkerResult *result);
typedef void (*worker_done_t)(Worker *w, WorkerEnd end, const WorkerResult *result, void *userdata);

/* Runs work(root_fd, argument) in a child with nothing of the bus connection left in it. */
int worker_start(sd_event *event, int root_fd, uint64_t timeout_usec, worker_work_t work,
                 const void *argument, worker_done_t done, void *userdata, Worker **ret);

/* Forgets a worker that has ended. */
Worker *worker_free(Worker *w);

bool worker_is_late(const Worker *w);

/* The descriptors that a finished worker gave, which are the caller's to close; how many. What nobody takes goes with
 * the worker. */
size_t worker_take(Worker *w, int ret[static WORKER_GIFTS_MAX]);

/* For the inside of a worker. worker_fail(): as failure_set(). */
#define worker_fail(result, ...) failure_set(&(result)->failure, __VA_ARGS__)
int worker_fail_write(WorkerResult *result, const char *nothing, const char *path, int r);
int worker_fail_remove(WorkerResult *result, const char *what, const char *of, const char *directory, int r);
bool worker_past_deadline(const WorkerResult *result);
unsigned worker_seconds_left(const WorkerResult *result); /* rounded up */
int worker_give(const int *fds, size_t n);                /* once; the main loop gets copies */
void worker_note_driver(WorkerResult *result, const char *address,
                        const char *driver); /* "": it has none now */
void worker_doing(WorkerResult *result, const char *format, ...) _printf_(2, 3);
