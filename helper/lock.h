/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Locks between workers, of this or an earlier helper. They end with the process, even with one that dies inside the
 * kernel: then not before. Order: any of sets, of which all but the first are tried and not waited for
 * (but by SetVfs those of virtual functions that it has just made: whoever has them waits for no set); then that of the
 * grants, whose holder waits for no other.
 */

#include "worker.h"

/* One IOMMU set, and what is written about its devices. An fd, or a negative errno; without `wait` -EAGAIN when
 * somebody has it. Past its deadline a waiting worker dies: nobody waits for it any more. */
int lock_set(int root, unsigned set, const WorkerResult *wait);

/* Has somebody that of a set? Asked without taking it, and without waiting. */
bool lock_set_is_taken(int root, unsigned set);

/* Grants and selectors, also of devices that are not there and have no set. With a sentence. */
int lock_grants(int root, WorkerResult *result);
