/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The moves themselves: ordered writes to sysfs, each proved to hit the right device, and their unwinding. Sources:
 * Documentation/ABI/testing/sysfs-bus-pci (driver_override, drivers_probe, reset, reset_method).
 *
 * Only for workers, on a target that is locked and checked. The caller keeps the journal.
 */

#include "target.h"

/* All that is ever written, each with a newline behind it: zero bytes would not clear an override. */
typedef enum Step {
        STEP_OVERRIDE,
        STEP_CLEAR,
        STEP_UNBIND,
        STEP_PROBE,
        STEP_RESET,
        STEP_AUTOPROBE, /* of a physical function: may host drivers take its virtual ones by themselves */
        STEP_NUMVFS,
        STEP_MAX,
} Step;

/* Host -> vfio-pci: the overrides of all members first, so that no probe can hand one back to the host; then for
 * each unbind, probe, and a look at the driver link, since a probe that bound nothing reports success. When a step
 * fails, or the deadline passes, all that was done is undone in reverse. When even that fails, the target is
 * left_behind. With t->planning nothing is written: each step that it would take is added to result->plan, as if those
 * before it had come out well. */
int steps_bind(Target *t);

/* Where a planned write goes, and what is written there, but for the newline. */
#define STEP_PATH_SIZE 80
const char *steps_describe(const PlannedWrite *w, const char *address, char path[static STEP_PATH_SIZE]);

/* vfio-pci -> host, also from any state that a crash left. Never unwound: each step brings a device closer to the
 * host. A member that fails does not keep the others; the first failure is told, and the target is left_behind. */
int steps_release(Target *t);

/* vfio-pci -> vfio-pci: no descriptor of a member outlives this, for the kernel lets none go that somebody holds. Those
 * that a crash left without a driver are taken again, those at the host left alone. */
int steps_cycle(Target *t);

/* For request-vfs.h. A virtual function on vfio-pci leaves it, with its override still there; and back again, if it
 * left. What its physical function is told. */
int steps_leave(Target *t, Member *vf);
int steps_return(Target *t, Member *vf);
int steps_set_autoprobe(Target *t, const Member *pf, bool on);
int steps_set_numvfs(Target *t, const Member *pf, unsigned n);

/* Stuck past the deadline. */
int steps_check_time(Target *t);

/* Puts cause and outcome into result->failure. */
void steps_tell_undone(Target *t, Failure *cause, const char *undone, const Failure *worse);

/* Resets one member by its best method. NoReset, or ResetFailed. */
int steps_reset(Target *t, Member *m);

/* Fills in Member.override; and sees that none is somebody else's, which is not ours to replace. */
int steps_read_overrides(Target *t);
int steps_check_overrides(Target *t);
int steps_check_override(Target *t, Member *m);
