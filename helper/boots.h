/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The boot guard: who is locked out by what is bound at boot must find his host as it was in the third boot.
 *
 * BOOTS_FILE lists the boots (their ids, a line each) in which something was bound that is to be bound in the next
 * one, too. Each is written there before vfio-pci gets the device, by whoever binds: early binding, and the helper's
 * Bind; and by `--boot-begin` what was bound early while that file could not be written. The list is removed (Healthy)
 * when the service has had nothing to do for a while. Two other boots in it, or a list that is damaged, are the guard's
 * case: then BOOT_GUARD_FILE holds these two, or "damaged", as long as this boot lasts, and nothing is bound by itself.
 *
 * No locks: they are not there so early, and all who write in one boot write the same.
 */

#include "macro.h"

#define BOOTS_TRIP 2U /* so many that did not go well are enough */
#define BOOTS_GUARD_SENTENCE                                                                                \
        "Two boots that bound devices failed, or nobody knows, as /" BOOT_GUARD_FILE                        \
        " says: this one leaves all devices to the host, and the service says what to do."

/* Is this a boot that binds nothing by itself? The first to ask decides. */
bool boots_guard(int root);

/* Writes this boot to the list, on the disk when it returns; nothing if it is there. 0, or a negative errno. */
int boots_record(int root);

/* The whole program `--boot-begin`: decides on the guard, and records the boot if there is a mark. Says what is wrong.
 * Below 0: it could not be written. */
int boots_begin(int root);
