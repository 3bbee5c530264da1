/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Virtual functions of a physical one that has a grant for them. It stays with the host; they come and go, all at once.
 * Those that go are taken from vfio-pci first: so the kernel, which removes them under a lock of the whole host's,
 * waits for nobody there.
 */

#include "target.h"

/* By the kernel's links: reading sriov_numvfs may block. */
unsigned vfs_count(const Member *pf);
int vfs_check_limit(Target *t,
                    const Member *pf); /* LimitsExceeded: more than VFS_MAX, which only root can make */

/* Opens the IOMMU sets of all, but for its own; they are t->vfs, and are closed with t. */
int vfs_open(Target *t, Member *pf, TargetAccess access);

/* NotBound: one is on vfio-pci. */
int vfs_check_home(Target *t, Member *pf);

/* May they go? InUse, Claimed; Critical: a host driver has one. */
int vfs_check_free(Target *t, Member *pf);

/* All of them go, with the journal around it. What fails is undone. */
int vfs_remove(Target *t, Member *pf);
