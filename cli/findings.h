/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What doctor has found, in the order in which it is to be put right: JSON objects with Code, Severity ("ok", "info",
 * "warning", "error"), Sentence, Remedy, Commands and Devices, as Manager.Diagnose has them. */

#include "bus-json.h"
#include "client.h"

/* Adds one to the array; command: what to type or to set, or NULL. Lack of memory shows when it is printed: there is
 * nothing in it then. */
void findings_add(json_t *findings, const char *code, const char *severity, const char *command,
                  const char *remedy, const char *format, ...) _printf_(6, 7);

/* What stands between the caller and the service: units, polkit, the terminal's agent, what polkit lets the caller do.
 * *ret_reachable: the service answers. */
ExitCode findings_of_service(Client *c, json_t *findings, bool *ret_reachable);

/* What the service says of this host: Manager.Diagnose(). */
ExitCode findings_of_host(Client *c, json_t *findings);
