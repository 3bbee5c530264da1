/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What was given away until somebody confirms it (grant-confirm.h): at the deadline it is brought home, whatever else
 * has died by then. The files say all of it, so a helper that has just been started knows as much as the one before.
 */

#include "operation.h"

/* Looks at what there is. -errno when there can be no timer. */
int reverts_new(Operations *all, Reverts **ret);
Reverts *reverts_free(Reverts *r);

/* Something waits for its deadline, or is to be tried again: then the helper does not leave. */
bool reverts_any(const Reverts *r) _pure_;

/* Looks again: a worker may have written or removed some. left: it was at a set, for somebody else, and is gone: what
 * found its set taken comes before the next one that would take it. */
void reverts_look(Reverts *r, bool left);
