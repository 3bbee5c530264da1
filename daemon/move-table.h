/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The helper's journal of moves (move.h) as last read, and what we have tried about each entry. Times are
 * microseconds of one monotonic clock that the caller hands in. */

#include "move.h"

typedef struct MoveEntry {
        Move move;
        char answer[512];  /* "" or the helper's answer Stuck, where it says more than the file */
        bool wanted;       /* something happened that makes a try worth while */
        bool busy;         /* somebody works on it: when he ends it is tried at once */
        unsigned failures; /* tries of ours that did not end it */
        int told;          /* how the last of them failed that was logged: a FailureKind */
        uint64_t tried;    /* when the last one ended */
} MoveEntry;

typedef struct MoveTable {
        MoveEntry *entries;
        size_t n;
} MoveTable;

/* Takes what was read now; what is known about entries that are still there stays. */
int move_table_replace(MoveTable *t, const Move *moves, size_t n);
void move_table_clear(MoveTable *t);

/* What the kernel is waiting for; NULL: it is not stuck. */
static inline const char *move_entry_stuck(const MoveEntry *e) {
        return e->answer[0] ? e->answer : e->move.stuck[0] ? e->move.stuck : NULL;
}

MoveEntry *move_table_find(const MoveTable *t, const PciAddress *a); /* the entry that moves this device */

/* Something happened to a device (a uevent): a try at its entry may end differently now. */
void move_table_nudge(MoveTable *t, const PciAddress *a);
/* The helper has left the bus: nobody is busy any more. What failed has not become better by that. */
void move_table_unblock(MoveTable *t);
