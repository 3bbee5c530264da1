/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is under way for VMs: starts (run-start.c), the queue of those that wait (run-queue.c), ends (run-stop.c), and
 * what tells that a VM has ended (run-watch.c).
 *
 *   start:  run picked and stored, `starting`; each IOMMU set: Bind, Open; run stored without `starting`; answer
 *   end:    each IOMMU set: Close, again and again while somebody has it open, Release; run stored without it
 *
 * A start that fails is ended like a run, and so is one that a crash has interrupted: there is no other way back.
 */

#include "manager.h"

typedef struct RunRequest {
        uid_t owner, uid; /* of the claims; of who starts */
        const char *vm;
        const char *claim; /* its id: this one alone; NULL: all enabled ones of the VM */
        int32_t numa_node; /* -1: any */
} RunRequest;

/* A walk over the claims that it is about, enabled or not, in order: *at starts at 0. */
Claim *run_request_next(const Manager *m, const RunRequest *q, size_t *at);

/* Picks devices as things stand. -EREMOTEIO with *f; Unavailable is what waiting may mend. */
typedef struct RunPick {
        RunDevice devices[RUN_DEVICES_MAX];
        size_t n_devices;
        bool hopeless; /* no end of another VM brings what is missing */
} RunPick;
int run_pick(const Manager *m, const RunRequest *q, RunPick *ret, Failure *f);

/* Ends what the run has of this claim (NULL: all of it). done comes once, later: NULL when all is back, or with the
 * first thing that keeps a device from coming back, and then it goes on by itself. done may be NULL. */
typedef void (*run_stopped_t)(const Failure *failure, void *userdata);
int run_stop(Manager *m, Run *r, const Claim *c, run_stopped_t done, void *userdata, Failure *f);
bool run_is_stopping(const Manager *m, const Run *r);
void run_stops_free_all(Manager *m);
/* Somebody who waited for the end is gone. */
void run_stop_forget(Manager *m, void *userdata);

/* The lifeline, the connection or the machine says so. */
void run_ended(Manager *m, const char *run, const char *why);

/* While the VM has a run it cannot be started: Running; or Unavailable, while that is on its way back. */
int run_check_none(const Manager *m, uid_t owner, const char *vm, Failure *f);

/* What the store had: behind the scan of devices. Then what a crash, or a stop of the service, has left is ended or
 * watched again: behind the name of the service. */
int runs_load(Manager *m);
void runs_recover(Manager *m);

/* A device of a run that had vanished and is back goes to vfio-pci again, so that nobody else takes it. */
void runs_take_back(Manager *m);

/* Begins to wait for what tells the end of an online run. -errno */
int run_watch(Manager *m, const Run *r);
void run_watch_drop(Manager *m, const char *run);
void run_watches_free_all(Manager *m);

/* Something is free, perhaps: has the queue looked at, soon. */
void run_queue_nudge(Manager *m);
int run_queue_init(Manager *m);
size_t run_queue_before(const RunStart *s);

/* A start that fails, or is called off, never came to open the IOMMU set of this device: nobody has had it, so
 * nothing is to be closed or reset. */
bool run_start_spared(const Manager *m, const char *run, const PciAddress *a);
/* Nor did it come to its settings in the network. */
bool run_start_left_unset(const Manager *m, const char *run, const PciAddress *a);
/* Its Bind had no answer: it may be bound yet, by a worker that outlives its helper, until the next one has said
 * otherwise. */
bool run_start_unsure(const Manager *m, const char *run, const PciAddress *a);

/* Starts that wait or are under way for this VM (or claim of it) are called off. */
bool run_starts_cancel(Manager *m, uid_t owner, const char *vm, const char *claim);

/* StartVm and StopVm, and Start and Stop of a claim; vm is in the message, or the claim's. */
struct StartOptions;
int run_call_start(Manager *m, sd_bus_message *message, const char *vm, const Claim *c,
                   const struct StartOptions *options, sd_bus_error *error);
int run_call_stop(Manager *m, sd_bus_message *message, const char *vm, const Claim *c,
                  const uint32_t *owner);
