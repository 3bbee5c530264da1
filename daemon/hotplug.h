/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How devices come, change and go: one way for those there at the start and those that come later. */

#include "manager.h"

/* Reads the device and adds it, updates it, or removes it when it is not there any more. A different device
 * at the same address is a removal and an addition. */
void hotplug_update(Manager *m, const PciAddress *a);
void hotplug_remove(Manager *m, const PciAddress *a);

/* What its uevent says has come already: the functions of this one that are there are known when this returns, and
 * those that are not are no more. */
void hotplug_take_vfs(Manager *m, const PciAddress *pf);

/* A link was renamed, or came or went. */
void hotplug_read_interfaces(Manager *m);

/* All devices: updates those that are there, removes those that are not. */
int hotplug_scan(Manager *m);

/* What moves with a driver, and the IOMMU set, of a device that is known. */
void hotplug_reread(Manager *m, Device *d);

void hotplug_take_verdict(Manager *m, Device *d, const HostVerdict *v);
