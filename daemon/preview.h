/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.PreviewRule: what a filter would match now. Anybody may ask, with a filter of his own choice that may be
 * slow, so the devices are looked at in slices between which everything else goes on. Returns what a method handler
 * returns. */

#include "manager.h"

int preview_rule(Manager *m, sd_bus_message *message, const char *filter, const char *node);
