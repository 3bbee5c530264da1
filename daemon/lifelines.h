/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lifelines: pipes whose reading end is ours and whose writing end a VM's processes hold. When the last copy of
 * that is closed, the VM has ended, however it ended. Our ends are kept in the service manager's store of descriptors
 * (sd_pid_notify_with_fds(3), FDSTORE=1 with FDPOLL=0), so they outlive a crash or restart of the daemon.
 */

#include <systemd/sd-event.h>

#include "record.h"

#define LIFELINES_MAX 512U /* as FileDescriptorStoreMax= of the unit */

typedef struct Lifelines Lifelines;

/* The lifeline of this run is cut. Called once for it, later, never from inside a function here. It is there, and
 * in the store, until it is dropped: so a restart before the end of the run is written down tells it again. */
typedef void (*lifeline_cut_t)(const char *run, void *userdata);

/* Takes over what the service manager has kept for us (sd_listen_fds_with_names(3)): one whose name is not
 * "lifeline-" and the id of a run, or that is no pipe's reading end, or whose name was there already, is closed and
 * removed from the store. Once in a process. */
int lifelines_new(sd_event *event, lifeline_cut_t cut, void *userdata, Lifelines **ret);
Lifelines *lifelines_free(Lifelines *l); /* what is in the store stays there */
DEFINE_CLEANUP(Lifelines *, lifelines_free);

/* Makes one for a run; *ret_fd is the end for the VM, the caller's to close. It is in the store when this returns (or
 * the service manager keeps none: then a restart of the daemon loses it). -EEXIST; -EMFILE: LIFELINES_MAX are there;
 * other errors of pipe2(2) or of the service manager: then there is none. */
int lifelines_make(Lifelines *l, const char *run, int *ret_fd);

bool lifelines_has(const Lifelines *l, const char *run);
/* Closes it and takes it out of the store. None is fine. */
void lifelines_drop(Lifelines *l, const char *run);
/* At the start, when all runs are known: drops those of runs that are not there. */
void lifelines_keep_only(Lifelines *l, bool (*wanted)(const char *run, void *userdata), void *userdata);
