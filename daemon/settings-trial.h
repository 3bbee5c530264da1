/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the driver of a card can do is known when it has been tried: the settings that a group is to have are, on a free
 * function of each of its cards, before they are stored. Whoever gets the function has it set up anew as a whole. */

#include "operation.h"

/* Calls done once, later or at once: with NULL when all could do it, or none was free to be asked. -ENOMEM */
int settings_trial_start(Manager *m, const Group *g, const VfSettings *settings, operation_done_t done,
                         void *userdata);
