/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of HostFacts (critical.h): a flat list of what is used, by the sysfs path that provides it. */

#include "critical.h"

typedef struct HostUse {
        CriticalReason reason;
        char *path; /* sysfs path of the block device, interface, tty or framebuffer; holds PCI addresses */
        char *what; /* a clause: "/dev/vda1 is mounted on /boot" */
} HostUse;

struct HostFacts {
        HostUse *uses;
        size_t n_uses;
        bool unwatched;         /* see host_facts_are_unwatched() */
        bool unsafe_interrupts; /* vfio_iommu_type1 or iommufd allows them */
};
