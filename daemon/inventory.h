/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading PCI functions from sysfs, below the host's root directory.
 *
 * Only attributes that answer without the device's lock are read: while the kernel waits for a VFIO user, a
 * read of `uevent`, `driver_override`, `sriov_numvfs` or `vpd` may never return. Those are vendor, device,
 * subsystem_*, class, revision, numa_node, reset_method, sriov_totalvfs, power/runtime_status, and outside of
 * the device slots/.../address and nvme/.../{state,serial}, where the kernel prints what it has in memory; and
 * links and directories, virtfnN and `net` among them. The link's speed and width are asked of the hardware, and that
 * only of a device that is awake.
 */

#include "device.h"

/* -ENODEV: there is no such function (any more). */
int inventory_read(int root, const PciAddress *a, DeviceFacts *ret);

bool inventory_has(int root, const PciAddress *a);

/* Reads again what moves with a driver, and the IOMMU set; the rest of *facts stays. -ENODEV: it is gone, or
 * another is in its place. */
int inventory_reread(int root, DeviceFacts *facts);

/* The names of its network interfaces alone. -ENODEV: it is gone. */
int inventory_read_interfaces(int root, DeviceFacts *facts);

/* Calls f for each PCI function; stops at the first non-zero result. */
typedef int (*inventory_found_t)(const PciAddress *a, void *userdata);
int inventory_each(int root, inventory_found_t f, void *userdata);

/* The same for the virtual functions of a physical one, in their order. -ENODEV: that is gone. */
int inventory_each_vf(int root, const PciAddress *pf, inventory_found_t f, void *userdata);
