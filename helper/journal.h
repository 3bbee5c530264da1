/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writing the journal of moves (include/move.h). The holder of the set's lock calls these; and the main loop, of a
 * worker that is late, journal_mark_stuck(). */

#include "move.h"

/* Before the first write of a move; replaces an entry that a crash left. Atomic. */
int journal_begin(int root, MoveVerb verb, const IommuSet *set);

/* Says why the move does not end, or did not end well. Only while the entry is there. */
int journal_mark_stuck(int root, unsigned set, const char *sentence);

/* After the last write. */
int journal_end(int root, unsigned set);
