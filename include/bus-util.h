/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small things around sd-bus that both processes need. Nothing here blocks. */

#include <sys/types.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus-error.h"

#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)
#define BUS_ERROR_INIT ((const sd_bus_error){0})

/* ":1.42" and nothing else: safe to put into a match rule. */
bool bus_name_is_unique(const char *name) _pure_;

/* Does the bus itself say so? A match on a sender holds for broadcasts only: anybody may send a signal to us
 * alone, and sd-bus passes one from ":1.99" to a handler that wants "org.freedesktop.DBus". To be asked of every
 * signal. */
bool bus_message_is_from_driver(sd_bus_message *m);

/* Asks the bus driver who owns a connection. Done gets r = 0 and the uid, or r < 0: -ENXIO when the name is gone.
 * Dropping *ret_slot cancels the question. */
typedef void (*bus_uid_t)(int r, uid_t uid, void *userdata);
typedef struct BusUidQuery BusUidQuery;
int bus_query_uid(sd_bus *bus, const char *name, bus_uid_t done, void *userdata, BusUidQuery **ret);
BusUidQuery *bus_uid_query_free(BusUidQuery *q);

/* Reply to a method call with this failure; returns what the handler returns. */
int bus_reply_failure(sd_bus_message *call, const Failure *f);

/* Runs the loop until something exits it, or `busy` has said no for idle_usec, or SIGTERM or SIGINT comes. It then
 * tells systemd, releases the bus name, serves what was still queued and ends when `busy` says no, so that no call is
 * lost (bus activation starts the next instance). What is merely to be done later is a reason not to leave, but none to
 * stay once it has begun: `busy` is told. After a signal it waits for that BUS_RUN_GRACE_USEC at the most.
 * UINT64_MAX: never idle. */
#define BUS_RUN_GRACE_USEC (2500ULL * 1000)
typedef bool (*bus_busy_t)(bool leaving, void *userdata);
int bus_run(sd_bus *bus, sd_event *event, const char *name, uint64_t idle_usec, bus_busy_t busy,
            void *userdata);
