/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "pci-identity.h"

/* Does a process hold the VFIO group open? 1, 0, or a negative errno: -ENOENT where the group has no node. It opens the
 * group for an instant, so a VM that starts just then would see it busy: ask only before a move. */
int vfio_in_use(int root, unsigned iommu_set);

/* Is it a character device with the number in this attribute ("10:127")? -ENXIO: no. */
int vfio_check_node(int fd, int at, const char *number);

/* Takes the lock by which we know our own again: it ends with the last copy of fd, wherever that is. It proves that
 * somebody holds the device, but not that nobody does, for he may unlock it. -EWOULDBLOCK: another has it. */
int vfio_lock_device(int fd);

/* Fills buf with a clause about who holds the set: the processes that name one of its devices on their command
 * line, as QEMU does. Without capabilities we cannot look into the descriptors of other processes; where nobody
 * names it, the clause says how root finds out. May block on a hung process: only workers call it. */
void vfio_describe_holder(int root, const IommuSet *set, char *buf, size_t size);

/* The way back in: an administrator who has locked himself out boots with KERNEL_OPTION_OFF. */
bool vfio_is_switched_off(int root);
