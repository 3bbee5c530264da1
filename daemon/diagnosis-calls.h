/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Manager.Diagnose: looks at the host in a thread, one at a time for all who ask, and puts that together with what the
 * service knows. Who asks while a look is under way gets the next one. Of a look that the kernel keeps waiting each
 * caller hears after a while, and everything else goes on.
 */

#include "manager.h"

/* Returns what a method handler returns. */
int diagnose(Manager *m, sd_bus_message *message);

/* Gives a thread that is at work a second to end; one that hangs is left behind. */
void diagnoser_free(Manager *m);
