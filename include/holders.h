/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who holds a device that does not come back: the processes that name it, or one that moves along with it, on their
 * command line, as QEMU does. It is a guess, for sentences; nobody decides by it. Nobody needs rights for it.
 *
 * A command line is read from the memory of its process, whose owner can let that take for ever (FUSE); only a signal
 * that kills ends the wait. So a process of its own looks, and after HOLDERS_SECONDS ends.
 */

#include <systemd/sd-event.h>

#include "pci-identity.h"

#define HOLDERS_SECONDS 5U

typedef struct HolderSearch HolderSearch;

/* names: "process 42 (qemu-kvm), process 43 (qemu-kvm)", four at most; "": nobody was found. */
typedef void (*holders_found_t)(const char *names, void *userdata);

/* Calls found once, later; the search may be freed in it. */
int holders_search(sd_event *event, int root, const PciAddress *device, holders_found_t found,
                   void *userdata, HolderSearch **ret);
HolderSearch *holder_search_free(HolderSearch *s);
