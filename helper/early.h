/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Early binding, for the udev rule: a device that an administrator has granted and that was last bound to stay so is
 * given to vfio-pci when it appears, before the module of its host driver is loaded. It unbinds nothing, asks nobody
 * and is quick. docs/security.md says why it may act without looking at what the host needs.
 */

#include "bus-error.h"

/* 1: the device is vfio-pci's, or will be when that is loaded; 0: it is none of ours; -EREMOTEIO and a sentence in *f:
 * it should be, but was left to the host. `patience`: seconds to wait for the lock of its IOMMU set. */
int early_bind(int root, const char *address, unsigned patience, Failure *f);

/* All that are there and have a mark, before udev's first event: the host driver of one that has none would take every
 * card of its make. What does not come of it is said when the device's own event comes. */
void early_bind_all(int root);

/* The whole program: gives up all capabilities, binds the device and tells udev by VERGE_PASSTHROUGH=1 on standard
 * output; or (NULL) binds all. */
void early_run(int root, const char *address);
