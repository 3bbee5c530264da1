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
int host_cards_load(int root, HostFacts *facts);    /* for host_links_load(): from the cards up */
int host_displays_load(int root, HostFacts *facts); /* screens and console ttys */
int host_services_load(int root, HostFacts *facts); /* keyboards, watchdogs, the way to a BMC, TPMs */

/* Is it a whole keyboard that has these keys, as in capabilities/key of an input? */
bool host_keys_are_keyboard(const char *bits) _pure_;

/* The next PCI address in a sysfs path; *at moves behind it, or to the end when there is none. */
bool host_path_next_device(const char **at, PciAddress *ret);
bool host_path_has_device(const char *path) _pure_;

/* What the host needs one of, wherever it is: a keyboard, a graphics adapter. Collected by sysfs path, and in the end a
 * use of what would take all of them away if it left together with its IOMMU set. */
typedef struct HostProviders {
        char **paths; /* each up to its last PCI address */
        size_t n;
        bool elsewhere; /* there is one that hangs on no PCI device */
} HostProviders;

void host_providers_done(HostProviders *p);
int host_providers_add(HostProviders *p, const char *path);
int host_providers_add_use(const HostProviders *p, int root, HostFacts *facts, CriticalReason reason,
                           const char *what);
