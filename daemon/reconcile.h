/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From orders and the truth of the kernel to the next call of the helper: at start, after each uevent, after each reply
 * and after each change of the helper's files or of an order. Pure, so running it once more never harms; there is no
 * other path for boot, hotplug and crash recovery.
 *
 * First come interrupted moves: they are brought home. A journal entry that nobody works on has one next
 * step, whatever (driver, override) state it stands for: the helper's Recover, which releases its set. That
 * looks at the journal again under the lock of the set, so an entry that was somebody's present work is no
 * mistake. This decides when a try is due; it is pure, so running it once more never harms.
 *
 * A try that failed is not repeated by itself, only after such an event, and then ever more slowly (up to
 * about a minute). The exception is what passes without an event: a helper or a worker that died, a set that is busy,
 * or held open.
 */

#include "move-table.h"
#include "wanted.h"

typedef struct ReconcileState {
        const MoveTable *moves;
        const DeviceTable *devices;
        uint64_t now;
        bool (*covered)(const PciAddress *a, void *userdata); /* a transaction is under way; or NULL */
        void *userdata;
} ReconcileState;

typedef struct ReconcileStep {
        MoveEntry *entry;  /* NULL: nothing to do now */
        PciAddress device; /* what to release: a member that exists */
        uint64_t again_at; /* run again at this time, UINT64_MAX: not before the next event */
} ReconcileStep;

ReconcileStep reconcile_next(const ReconcileState *s);

/*
 * Then orders. A set that a group wants persistently (wanted.h) is bound, and one that was bound persistently and that
 * no group wants any more is released; both by one call for the whole set. The helper's mark in the grant, which boot
 * it was bound in, tells what is the case: bound in this boot and with the host now means that somebody else took it,
 * and then it is left alone until an administrator says Bind.
 */
typedef struct OrderState {
        const DeviceTable *devices;
        const Registry *registry;
        const char *boot_id;
        uint64_t now;
        bool disabled;
        bool (*covered)(const PciAddress *a, void *userdata); /* a transaction is under way for it */
        void *userdata;
} OrderState;

typedef struct OrderStep {
        Device *device; /* NULL: nothing to do now */
        bool bind;      /* or release */
        uint64_t again_at;
} OrderStep;

/* *at: where the walk goes on, 0 at its begin. */
OrderStep reconcile_next_order(const OrderState *s, size_t *at);

/*
 * Before them the numbers of virtual functions (wanted_vfs()), one call for a physical function: it has another number
 * than it is to have, since the order is new, or after a reboot, or when its driver was loaded again. It is left alone
 * while one of them is a VM's. What the kernel makes of it is seen by the number; that the grant has the same one is
 * what the helper writes down last, so a difference there is a call that did not come to its end.
 */
typedef struct VfsStep {
        Device *device; /* NULL: nothing to do now */
        uint32_t count;
        bool bind;
        uint64_t again_at;
} VfsStep;

VfsStep reconcile_next_vfs(const OrderState *s, size_t *at);

/* What keeps it from having them that no call could change. */
typedef enum VfsObstacle {
        VFS_NO_OBSTACLE,
        VFS_NOT_GRANTED,
        VFS_TOO_MANY,  /* it cannot have so many */
        VFS_NO_DRIVER, /* of the host's, which would make them */
        VFS_CLAIMED,   /* a VM has one */
        VFS_HELD,      /* one is driven by the host */
} VfsObstacle;

/* Has it another number than it is to have? Then *ret says whether something keeps it from that. */
bool reconcile_vfs_unmet(const DeviceTable *t, const Device *pf, const VfsOrder *order, VfsObstacle *ret,
                         const Device **ret_vf);

/* Tells how the call for the virtual functions ended: NULL well. */
void reconcile_vfs_tried(Device *pf, const Failure *failure, uint64_t now);

/* One of its virtual functions is gone, and not by us: a driver that is being unloaded takes them away one by one, and
 * should not meet a call that makes them again. */
void reconcile_vfs_lost(Device *pf, uint64_t now);

/* A driver has it that may make them: what took them away before is over. */
void reconcile_vfs_driver_came(Device *pf);

/* Tells how the call for a set ended: FAILURE_NONE well. Members keep the sentence. */
void reconcile_order_tried(const DeviceTable *t, Device *d, bool bind, const Failure *failure, uint64_t now);

/* Something happened to it: a try may end differently now. */
void reconcile_order_nudge(Device *d);

/* Tells that the call could not even be made: no event will say when it can, so the time must. */
void reconcile_not_tried(MoveEntry *e, uint64_t now);

/* Tells that a call of ours has ended, how (FAILURE_NONE: well), and that the entry is still there. */
void reconcile_tried(MoveEntry *left, FailureKind kind, uint64_t now);
