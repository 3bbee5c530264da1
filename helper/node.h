/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The nodes of VFIO below /dev, opened by what sysfs calls them and proved to be that: -ENOENT, there is none; -ENXIO, it
 * is something else. The helper has no other business in /dev. */

/* As a place only (O_PATH): to open a group in earnest is to hold it. */
int node_open_group(int root, unsigned iommu_set);

/* Where the kernel has VFIO's cdev and the device is on vfio-pci. `device` is its directory in sysfs. */
int node_open_device(int root, int device, int flags);

int node_open_iommufd(int root);
