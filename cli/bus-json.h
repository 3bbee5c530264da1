/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands on the bus, as JSON: structs and arrays are arrays, dictionaries with text keys are objects, a variant is
 * what it holds. */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "macro.h"

#define _cleanup_json_ _cleanup_(json_decrefp)

/* Reads the next complete value of the message. 1; 0: there is none; or a negative errno (-ENOMEM, -EBADMSG). */
int bus_json_read(sd_bus_message *m, json_t **ret);
