/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which devices does a VM get? One pure function over one table, and the only place where this is decided.
 *
 * All or nothing: every claim that is not optional gets its whole count, or nothing is picked. Optional ones get their
 * whole count or nothing, the first in order first, and never at the cost of one that is not optional, which chooses
 * before them. A device belongs to one group, and whole IOMMU sets go to one VM: with a device its set is taken, also
 * from other groups. Several claims of the same VM may share a set.
 *
 * Preferred are: devices of sets that this pick has taken already and that would else lie idle; then the NUMA node on
 * which most of the wanted devices can be had, the lowest of such (or `numa_node`); then the one that was used least
 * recently; then the lowest address. So the answer depends on the table alone.
 */

#include "macro.h"

#define PICK_CLAIMS_MAX 64U
#define PICK_DEVICES_MAX 64U

typedef struct PickDevice {
        uint32_t group; /* any number that is the same for the devices of one group; PICK_NO_GROUP: none's */
        uint32_t set;   /* the same for one IOMMU set */
        int32_t numa_node;  /* -1: none */
        uint64_t last_used; /* any clock; 0: never */
        bool free; /* may be given away: healthy, granted, spared by the host, nobody's. If one member of a set is not,
                      none of the set is. The table is in the order of addresses */
} PickDevice;
#define PICK_NO_GROUP UINT32_MAX

typedef struct PickDemand { /* in the order in which they are served */
        uint32_t group;
        uint32_t count; /* 1.. */
        bool optional;
} PickDemand;

typedef struct PickResult {
        bool served[PICK_CLAIMS_MAX]; /* of each demand; an optional one may be left out */
        size_t n;                     /* picked, in the order of demands */
        struct {
                uint32_t demand, device; /* indices */
        } picked[PICK_DEVICES_MAX];

        size_t short_of;    /* when it failed: the first demand that cannot be served */
        uint32_t available; /* and how many devices of its group could be had beside what comes before it */
} PickResult;

/* numa_node: -1, or where the VM should get its devices. 0, also when nothing was picked because all is optional;
 * -EAGAIN: not now, see short_of; -E2BIG: more than PICK_DEVICES_MAX devices, or PICK_CLAIMS_MAX demands, are asked
 * for; -ENOMEM. */
int picker_pick(const PickDevice *devices, size_t n_devices, const PickDemand *demands, size_t n_demands,
                int32_t numa_node, PickResult *ret);
