/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of a move that Revoke needs, too. */

#include "target.h"

/* Without its grant a device could not come home: NotBound unless it is there, with no move of ours unfinished. */
int move_check_at_home(Target *t);

/* May it go home, if it is not there? Fills in t->at_home; InUse if a VM holds it. */
int move_check_way_home(Target *t);

/* Brings it home, with the journal, and ends its standing order to be bound at boot. */
int move_home(Target *t);
