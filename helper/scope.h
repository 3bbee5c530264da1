/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All that a call about several devices is about: their targets, each IOMMU set once. To change them all are locked;
 * the first is waited for, the others are not: who holds one set must not wait for another that hangs. */

#include "request.h"
#include "target.h"

typedef struct Scope {
        size_t n_targets;
        Target *targets[DEVICES_PER_CALL_MAX];
} Scope;

/* Devices that are not there are a failure, or with or_missing left out. */
int scope_open(Scope *s, int root, const Request *q, TargetAccess access, bool or_missing,
               WorkerResult *result);
void scope_close(Scope *s);

/* NULL: it is not there. */
Target *scope_find(const Scope *s, const PciAddress *a) _pure_;

/* Calls f for each member of each set, then for each named device that is not there; stops at, and returns, the first
 * that is negative. */
typedef int (*scope_address_t)(const PciAddress *a, void *userdata);
int scope_each(const Scope *s, const Request *q, scope_address_t f, void *userdata);
