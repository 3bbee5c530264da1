/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Block devices, from what is used down to the disks: the walk that mounts, boot and volumes have in common. All
 * reading is of sysfs and of udev's records, below a root fd; no device is opened and none is asked anything. */

#include <limits.h>

#include "host-facts.h"

#define BLOCK_WHAT_SIZE 384

typedef struct Blocks {
        int root;
        HostFacts *facts;

        /* What is added: */
        CriticalReason reason;
        const char *what;       /* of the device itself: "/dev/md0 is mounted on /srv" */
        const char *what_below; /* of what it stands on: "... and has a member on it"; NULL: the same */
        const char *remedy;     /* NULL: the reason's own */
        bool spare_root;        /* nothing more of what the root file system is on */
        bool one_level;         /* not below volumes, each of which is looked at by itself */

        int depth;         /* private */
        const char *below; /* private */
} Blocks;

/* Adds a block device by its name in sysfs ("dm-0"), by its number ("253:0"), or by any name in /dev, and all that it
 * stands on. 1: it is one; 0: there is none (any more). -ELOOP: it stands on itself. */
int blocks_add(Blocks *b, const char *name);
int blocks_add_number(Blocks *b, const char *number);
int blocks_add_device(Blocks *b, const char *device);

/* The member devices of a mounted btrfs that this one belongs to, by its name in sysfs. 0: it belongs to none. */
int blocks_add_btrfs(Blocks *b, const char *name);

/* All members of a ZFS pool. */
int blocks_add_zfs(Blocks *b, const char *pool);

/* The name in sysfs of "/dev/mapper/vg-root". 1; 0: there is no such device. */
int blocks_find(int root, const char *device, char *ret, size_t size);

/* "/dev/mapper/vg-root" for "dm-0". Returns buf. */
const char *blocks_node(int root, const char *name, char *buf, size_t size);

/* Where a device is in sysfs. 1; 0: gone. */
int blocks_path(int root, const char *name, char *ret, size_t size);

/* udev's record of each block device, empty where it has none. Stops at, and returns, the first non-zero result. */
typedef int (*blocks_record_t)(const char *name, const char *record, void *userdata);
int blocks_each_record(int root, blocks_record_t f, void *userdata);

/* What there is to know: */
int host_swaps_load(int root, HostFacts *facts);
int host_mounts_load(int root, HostFacts *facts);  /* file systems, in all mount namespaces */
int host_boot_load(int root, HostFacts *facts);    /* what the next boot needs */
int host_volumes_load(int root, HostFacts *facts); /* assembled volumes, in use or not */
