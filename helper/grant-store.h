/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writing grants, selectors and marks, on the disk when the function returns. What is written together is there as a
 * whole, or if there is no room for it, not at all. All return 0 (or a count), or a negative errno.
 *
 * Grants and selectors are written and removed under lock_grants(); marks under the lock of the IOMMU set.
 */

#include "grant-confirm.h"
#include "grant-ids.h"
#include "grant.h"

int grant_store_write(int root, bool pending, const Grant *const *grants, size_t n);
int grant_store_remove(int root, bool pending, const PciAddress *a); /* 1: it was there */

/* Deadlines, confirms[i] of grants[i]: to be written before the pending grants, and to be removed behind them. */
int grant_store_write_confirms(int root, const Grant *const *grants, const GrantConfirm *confirms, size_t n);
int grant_store_remove_confirm(int root, const PciAddress *a);

/* Removes both. With `out`, of a device that was out before and still is, the grant stays if it is the only one: or
 * nobody could bring it home. */
int grant_store_remove_pending(int root, bool out, const PciAddress *a); /* 1: a grant was there */

/* What was pending is kept, and no deadline holds for it any more. When there is room for all of it the deadlines go,
 * and only then are the grants in their places: so nothing that is kept is brought home, and nothing is left without
 * its deadline because a disk is full. */
int grant_store_keep(int root, const Grant *const *grants, size_t n);

int grant_store_write_ids(int root, const GrantIds *grants, size_t n);
int grant_store_remove_ids(int root, const IdSelector *ids); /* 1: it was there */

/* The order to be bound at boot. Taking it back needs no room on the disk; of those that cannot be removed the first
 * error is told. */
int grant_store_mark(int root, const IommuSet *set, const char *boot);
int grant_store_unmark(int root, const IommuSet *set);
