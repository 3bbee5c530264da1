/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who has left: connections to the bus, and VMs that systemd-machined knows by name (org.freedesktop.machine1(5)).
 * The one edge to systemd-machined, which is never started for this.
 */

#include "bus-util.h"

typedef struct Machines Machines;
typedef struct MachineWatch MachineWatch;

/* Called once, later; the watch is spent then, and is still to be freed. reason: a sentence for a log. */
typedef void (*machine_gone_t)(const char *reason, void *userdata);

int machines_new(sd_bus *bus, Machines **ret);
Machines *machines_free(Machines *m); /* after all its watches */
DEFINE_CLEANUP(Machines *, machines_free);

/* The unique name, and gone when it leaves the bus; also if it has left already, or if the bus refuses to tell (it
 * has a limit on what one connection watches, often 512). */
int machines_watch_connection(Machines *m, const char *name, machine_gone_t gone, void *userdata,
                              MachineWatch **ret);
/* Is there a machine of this name? `found` says so once, later; from `found(true)` on its end is told by `gone`, also
 * when systemd-machined itself restarts meanwhile and does not know it afterwards. An error other than "no such
 * machine" is -errno in r (-ENXIO: machined is not on the bus); without found(true) the watch is spent. machined that
 * leaves the bus and does not come back is no end of the VM. */
typedef void (*machine_found_t)(int r, bool there, void *userdata);
int machines_watch_machine(Machines *m, const char *name, machine_found_t found, machine_gone_t gone,
                           void *userdata, MachineWatch **ret);
MachineWatch *machine_watch_free(MachineWatch *w);

/* A machine's name, as machined takes it: like a host name, at most 64 characters. */
bool machine_name_is_valid(const char *name) _pure_;
