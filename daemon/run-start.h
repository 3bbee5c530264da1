/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One StartVm, or Start of a claim: from the call to its answer. Authorised like any call; then it waits (run-queue.c)
 * or has its run stored, brings its IOMMU sets to vfio-pci and open, all at once, and answers.
 */

#include "calls.h"
#include "runs.h"

#define STARTS_WAITING_MAX 32U /* in all: each is a call under way, and others must have a place */
#define STARTS_WAITING_PER_USER 8U
/* dbus-daemon carries 16 descriptors in a message: these, the lifeline and the iommufd. */
#define START_FDS_MAX 14U
#define START_WAIT_MAX (24U * 60 * 60) /* seconds */

/* As they stand in the options; texts are in the message. */
typedef struct StartOptions {
        const char *track, *machine, *access;
        uint32_t wait; /* seconds */
        uint64_t memory;
        int viommu;
        int32_t numa_node;
        uint32_t owner;
        bool has_owner, has_numa_node;
} StartOptions;

typedef enum StartPhase {
        START_ASKING, /* for the right to */
        START_QUEUED,
        START_STORING, /* the run */
        START_OPENING,
        START_ANSWERING,
        START_UNDOING,
} StartPhase;

typedef struct StartSet StartSet;
typedef struct StartFd {
        PciAddress device;
        int fd;
} StartFd;

struct RunStart {
        Manager *manager;
        RunStart *next;
        Call *call;
        StartPhase phase;

        const char *vm; /* in the message, or vm_copy */
        char *vm_copy;
        char claim[RECORD_ID_SIZE]; /* "": all of the VM */
        uid_t owner;
        bool has_owner;
        RunTrack track;
        char *tracked;
        RunAccess access;
        uint32_t wait;
        uint64_t memory;
        bool viommu;
        int32_t numa_node;

        char run[RECORD_ID_SIZE]; /* "": none is stored */
        StartSet *sets;
        StartFd fds[RUN_DEVICES_MAX];
        size_t n_fds;
        int iommufd, lifeline; /* -1: none */
        uint64_t memlock;      /* what the caller may lock, when memory was said */
        bool knows_memlock;

        sd_event_source *deadline;
        MachineWatch *caller;
        MachineWatch *machine; /* seen to be there */
        sd_bus_slot *pid;
        bool listed, cancelled;
        bool aside;    /* waits for what no end of another VM brings: it holds nobody up */
        Failure cause; /* why it is undone */
};

RunRequest run_start_request(const RunStart *s);

/* Of run-queue.c: the start waits, after it has failed for this; or fails, if it may not wait (any more). */
void run_queue_enter(RunStart *s, const Failure *why);
void run_queue_leave(RunStart *s);

/* Goes on: has its run picked and stored. */
void run_start_try(RunStart *s);
void run_start_fail(RunStart *s, const Failure *failure);

/* NULL: it is not stored, or gone. */
Run *run_start_run(const RunStart *s);

/* Of run-open.c: has all IOMMU sets of the run bound and opened, and then calls one of these. */
void run_start_open(RunStart *s);
void run_start_opened(RunStart *s);
void run_start_undo(RunStart *s); /* s->cause says why */
void run_start_free_sets(RunStart *s);
void run_start_fail_cancelled(RunStart *s); /* the cause, if there is no other */

/* Of run-answer.c: what its claims show from now on, and what the caller gets. */
void run_answer_note(const RunStart *s, const Run *r);
int run_answer_make(const RunStart *s, const Run *r, sd_bus_message **ret);

/* Of run-calls.c: goes on when the call may be carried out. */
void run_start_go(Call *c);
void run_start_free(RunStart *s);
