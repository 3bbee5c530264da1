/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the driver of a card can do is known when it has been tried: the settings that a group is to have are, on a free
 * function of each of its cards, before they are stored. That function is set back at once, whatever came of it: its
 * next VM has it set up as a whole, but for the switches that nobody turns. */

#include "operation.h"

typedef struct SettingsTrial SettingsTrial;

/* Calls done once, later or at once: with NULL when all could do it, or none was free to be asked. The trial is the
 * caller's, and goes behind done, or with the manager. -ENOMEM */
int settings_trial_start(Manager *m, const Group *g, const VfSettings *settings, operation_done_t done,
                         void *userdata, SettingsTrial **ret);
SettingsTrial *settings_trial_free(SettingsTrial *t);
