/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Writing grants, each file whole or not at all, on the disk when the function returns. The caller holds the lock of
 * the device's IOMMU set. All return 0 (or a count), or a negative errno.
 */

#include "grant-ids.h"
#include "grant.h"

/* Where g->pending says. What stands there word for word is not written again. */
int grant_store_write(int root, const Grant *g);
int grant_store_remove(int root, bool pending, const PciAddress *a); /* 1: it was there */

/* The boot in which the device was bound to stay so goes into the grant that counts; "" clears it in both. */
int grant_store_mark(int root, const PciAddress *a, const char *boot);

int grant_store_write_ids(int root, const GrantIds *g);
int grant_store_remove_ids(int root, const IdSelector *ids); /* 1: it was there */

/* What stood there before comes back if not all can be written. */
typedef struct GrantBackup {
        size_t n;
        struct {
                PciAddress address;
                bool had[2]; /* kept, pending */
                Grant grant[2];
        } of[DEVICES_PER_CALL_MAX];
} GrantBackup;

void grant_backup_take(GrantBackup *b, int root, const PciAddress *a);
int grant_backup_restore(const GrantBackup *b, int root); /* tries all; the first error */
