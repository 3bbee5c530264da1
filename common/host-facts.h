/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of HostFacts (critical.h): a flat list of what is used, by the sysfs path that provides it. Each loader
 * knows one kind of use, and fails (negative errno) when it could not tell. */

#include "critical.h"

typedef struct HostUse {
        CriticalReason reason;
        char *path; /* sysfs path of the block device, interface, tty or framebuffer; holds PCI addresses */
        char *what; /* a clause: "/dev/vda1 is mounted on /boot" */
        char *remedy; /* what to do about it: "'mdadm --stop /dev/md0' first"; NULL: what fits the reason */
} HostUse;

struct HostFacts {
        HostUse *uses;
        size_t n_uses;
        bool unwatched;         /* see host_facts_are_unwatched() */
        bool unsafe_interrupts; /* vfio_iommu_type1 or iommufd allows them */
};

/* A use of what lies at or below this sysfs path ("devices/pci0000:00/0000:00:02.0/net/eth0", relative or not): every
 * PCI address in it is meant. The first clause for a reason and path is kept. -E2BIG: too many. */
int host_facts_add(HostFacts *facts, CriticalReason reason, const char *path, const char *what);

int host_facts_add_with_remedy(HostFacts *facts, CriticalReason reason, const char *path, const char *what,
                               const char *remedy);

/* Whether exactly this path has this reason already. */
bool host_facts_have(const HostFacts *facts, CriticalReason reason, const char *path) _pure_;

int host_blocks_load(int root, HostFacts *facts);   /* mounts, swap, boot, volumes, down to disks */
int host_links_load(int root, HostFacts *facts);    /* addresses, routes, sessions, bridges, down to cards */
int host_displays_load(int root, HostFacts *facts); /* screens and console ttys */
