/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hotplug: the udev monitor for PCI functions, the NVMe controllers on them (which come up a while after
 * their driver was bound) and drivers, after udev's rules have run; or a pipe with lines of "ACTION ADDRESS"
 * in its place. Nothing is read from sysfs: an event carries its properties.
 *
 * And a second monitor for what sits on PCI devices: disks and volumes, screens, keyboards and so on. Which of them it
 * was is not looked at ("ACTION SUBSYSTEM" in the pipe). They come in thousands, so they have a socket of their own:
 * what is lost there is no loss, and leaves the other one its room.
 */

#include <systemd/sd-event.h>

#include "pci-address.h"
#include "string-table.h"

typedef enum UeventAction {
        UEVENT_ADD,
        UEVENT_REMOVE,
        UEVENT_BIND,
        UEVENT_UNBIND,
        UEVENT_CHANGE,
        UEVENT_DRIVERS, /* a driver or module has come or gone; there is no address */
        UEVENT_LOST,    /* events were lost: look at everything again; there is no address */
        UEVENT_USE, /* what the host uses may have changed, once for many; there is no address and no end */
        UEVENT_ACTION_MAX,
        UEVENT_ACTION_INVALID = -EINVAL,
} UeventAction;

DECLARE_STRING_TABLE(uevent_action, UeventAction);

typedef void (*uevent_t)(UeventAction action, const PciAddress *a, void *userdata);

/* That was all for now: what is worth doing once for many. */
typedef void (*uevents_end_t)(void *userdata);

typedef struct Uevents Uevents;

/* pipe_fd: -1, or a non-blocking fd that stays the caller's; its end of file is the end of hotplug. */
int uevents_new(sd_event *event, int pipe_fd, uevent_t f, uevents_end_t end, void *userdata, Uevents **ret);
Uevents *uevents_free(Uevents *u);
