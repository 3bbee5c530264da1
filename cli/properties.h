/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the options of the command line say about an object, as the options of the service's methods: a{sv}. */

#include "command.h"

/* Whether these options (OPT() of each) are of their form, and all words are text that a message can carry; in a
 * change, whether there is anything to change. Complains. Comes before the service is asked anything. */
ExitCode properties_check(const Options *o, uint64_t which, bool change);

/* Appends those that are given. seen: the object of an update, which is refused when it is another by now, unless
 * --force is given; NULL: it is new. */
ExitCode properties_append(sd_bus_message *m, const Options *o, uint64_t which, const Object *seen);
