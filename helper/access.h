/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who has been let in to an IOMMU set on vfio-pci: an entry for one user in the access control list of /dev/vfio/N, or
 * descriptors. What was given is kept in a root-owned file run/verge-passthrough/access/<number>, which is there before
 * it is given and goes after it was taken away. It speaks of that one node: when the last device of a set leaves
 * vfio-pci, the kernel waits for all who hold one and removes the node, and nobody is let in any more.
 *
 * Only for workers, on a target that is locked. Failures are sentences in result->failure, as with target.h.
 */

#include "target.h"

#define ACCESS_TEXT_SIZE 256

typedef struct Access {
        uid_t uid;     /* root's own: no entry was needed */
        bool fds;      /* descriptors instead of an entry */
        uint64_t node; /* inode of /dev/vfio/N; 0: this kernel has none. access_write() fills it in */
} Access;

int access_parse(const char *text, Access *ret); /* -EBADMSG: not such a record */

/* 1; 0: nobody was let in. A damaged record is a failure: it takes root to say what it was. */
int access_read(Target *t, Access *ret);
int access_write(Target *t, const Access *a);
int access_forget(const Target *t); /* a negative errno; gone already is fine */

/* The entry user:UID:rw. No other right becomes wider; once nobody else has an entry, the node is as it was before. To
 * take it away where there is no node or entry is fine. */
int access_allow(Target *t, uid_t uid);
int access_deny(Target *t, uid_t uid);
