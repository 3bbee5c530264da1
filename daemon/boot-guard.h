/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's part of the boot guard (helper/boots.h is the other): in a boot that binds nothing by itself it says so,
 * and it tells the helper that a boot went well: when the list of boots is there and for a while nothing was bound or
 * released by an order, and none of the helper's files has changed. A failed call is repeated, ever more slowly.
 */

#include "manager.h"

int boot_guard_init(Manager *m, uint64_t idle_usec);
void boot_guard_clear(Manager *m); /* before the helper's client goes */

/* Of the start, and whenever the helper's files may have changed: the time without a change begins anew. */
void boot_guard_read(Manager *m);

/* To be called after everything that the steward does. */
void boot_guard_run(Manager *m);

/* Orders rest, and are undone where they are not carried out yet: for the guard, or for KERNEL_OPTION_OFF. */
bool boot_guard_rests(const Manager *m);
