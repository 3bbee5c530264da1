/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which devices a Grant or Revoke is about: whole IOMMU sets, or nothing. Pure. */

#include "bus-error.h"
#include "device-table.h"

/* Checks that all devices are there and, where whole_sets, that with the siblings they are whole IOMMU sets,
 * bridges excepted, and that the siblings are no more than that. Then *devices holds them all.
 * -EREMOTEIO with a sentence in *f. */
int grant_set_check(const DeviceTable *t, bool whole_sets, IommuSet *devices, const IommuSet *siblings,
                    Failure *f);

/* Adds to the devices all that move along. -EREMOTEIO: one is gone, or they are too many. */
int grant_set_close(const DeviceTable *t, IommuSet *devices, Failure *f);

/* The answer to root, who has to go to the helper: with the command to type, if it fits. Always
 * -EREMOTEIO. */
int grant_set_refuse_root(bool grant, const IommuSet *devices, uint32_t consent, bool release,
                          uint32_t confirm, Failure *f);
int grant_set_refuse_root_vfs(const IommuSet *devices, Failure *f); /* GrantVfs */
int grant_set_refuse_root_ids(bool grant, const char *const *ids, size_t n, Failure *f);
