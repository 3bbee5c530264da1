/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bringing home what an interrupted move left half-way. A journal entry that nobody works on has one next
 * step, whatever (driver, override) state it stands for: the helper's Recover, which releases its set. That
 * looks at the journal again under the lock of the set, so an entry that was somebody's present work is no
 * mistake. This decides when a try is due; it is pure, so running it once more never harms.
 *
 * It runs at start, after each uevent, after each reply of the helper and after each change of the journal.
 * A try that failed is not repeated by itself, only after such an event, and then ever more slowly (up to
 * about a minute). The exception is a helper that did not answer at all.
 */

#include "bus-error.h"
#include "device-table.h"
#include "move-table.h"

typedef struct ReconcileState {
        const MoveTable *moves;
        const DeviceTable *devices;
        uint64_t now;
} ReconcileState;

typedef struct ReconcileStep {
        MoveEntry *entry;  /* NULL: nothing to do now */
        PciAddress device; /* what to release: a member that exists */
        uint64_t again_at; /* run again at this time, UINT64_MAX: not before the next event */
} ReconcileStep;

ReconcileStep reconcile_next(const ReconcileState *s);

/* Tells that the call could not even be made: no event will say when it can, so the time must. */
void reconcile_not_tried(MoveEntry *e, uint64_t now);

/* Tells that a call of ours has ended, how (FAILURE_NONE: well), and that the entry is still there. */
void reconcile_tried(MoveEntry *left, FailureKind kind, uint64_t now);
