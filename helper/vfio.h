/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pci-identity.h"

/* Does a process hold the VFIO group open? 1, 0, or a negative errno: -ENOENT where the group has no node. It opens the
 * group for an instant, so a VM that starts just then would see it busy: ask only before a move. */
int vfio_in_use(int root, unsigned iommu_set);

/* The nodes of VFIO, each proved to be what sysfs speaks of: -ENOENT, there is none; -ENXIO, it is something else. The
 * group is opened as a place only (O_PATH): to open it in earnest is to hold it. A device, `device` being its directory
 * in sysfs, has a node where the kernel has VFIO's cdev and it is on vfio-pci; it is opened with a lock on it, by
 * which we know our own again until the last copy is closed. -EWOULDBLOCK: another has that lock. */
int vfio_open_group(int root, unsigned iommu_set);
int vfio_open_device(int root, int device);
int vfio_open_iommufd(int root);

/* Does somebody hold a copy? That he does not is no proof, for he may have unlocked it. */
bool vfio_device_is_given(int root, int device);
