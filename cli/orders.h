/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `group`, `rule` and `claim` have in common: an order is made, changed and deleted, and looked at. */

#include "command.h"
#include "table.h"

/* Loads the model and finds what the first word names. */
ExitCode orders_find(Cli *cli, Kind kind, const Object **ret);

/* Sends a call that makes one. With --json the new object is printed and *ret is NULL; else *ret is the object
 * as it is now, for a sentence about it. */
ExitCode orders_create(Cli *cli, sd_bus_message *call, const char *doing, const Object **ret);

/* Changes what the first word names by the options of `which`. *ret: as it is now, or NULL with --json; *ret_changed:
 * whether that is something else. */
ExitCode orders_update(Cli *cli, Kind kind, uint64_t which, const Object **ret, bool *ret_changed);

/* Deletes what the first word names, by its whole name: what is gone is gone. *ret: as it was. */
ExitCode orders_delete(Cli *cli, Kind kind, const Object **ret);

/* Those that the words name, one after the other, or as a JSON list. */
ExitCode orders_show(Cli *cli, Kind kind, void (*show)(const Model *m, const Object *o));

/* All of a kind, of one group if --group is given: as a table, each by add(), or as a JSON list. */
ExitCode orders_list(Cli *cli, Kind kind, const Column columns[],
                     void (*add)(Table *t, const Model *m, const Object *o));

/* "1 device", "2 devices" */
#define COUNT_SIZE 48
const char *orders_count(size_t n, const char *what, char buf[static COUNT_SIZE]);
