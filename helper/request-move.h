/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of a move that Revoke, Open and Close need, too. */

#include "steps.h"

/* What Bind asks before its first write, in this order; behind it come the critical reasons. Bind ends at the first no,
 * Plan asks them all. */
typedef struct MoveCheck {
        const char *name;     /* NULL: the end */
        const char *severity; /* in a plan; "warning": Bind is refused, but MakePassthrough would ask for it */
        int (*of_member)(Target *t, Member *m);
        int (*of_set)(Target *t); /* in its place: one answer for all. 1: nothing is left to do */
} MoveCheck;

extern const MoveCheck move_bind_checks[];

static inline int move_ask(const MoveCheck *c, Target *t, size_t member) {
        return c->of_set ? c->of_set(t) : c->of_member(t, &t->members[member]);
}

/* Without its grant a device could not come home: NotBound unless it is there, with no move of ours unfinished. */
int move_check_at_home(Target *t);

/* May it go home, if it is not there? Fills in t->at_home; InUse if a VM holds it. */
int move_check_way_home(Target *t);

/* NotAuthorized if passthrough is switched off. */
int move_check_switched_on(Target *t);

bool move_any_on_vfio(const Target *t) _pure_;

/* InUse if somebody has the set open, or holds a device that Open gave away. */
int move_check_in_use(Target *t);

/* The journal around what changes a set. Past the deadline nothing is begun: Stuck. */
int move_begin(Target *t, MoveVerb verb);
/* After target_check_grants(): first writes down the grants that ids have given, so that it can come home without
 * them. Nothing else is begun when verb is MOVE_VERB_INVALID. */
int move_begin_granted(Target *t, MoveVerb verb);
void move_end(Target *t);

/* Bind of a set within the journal of another; t->facts may be there. Its mark is yet to be written. */
int move_bind_within(Target *t);

/* Brings it home, with the journal, and ends its standing order to be bound at boot. */
int move_home(Target *t);
