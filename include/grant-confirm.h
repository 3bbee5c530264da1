/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The deadline of a pending grant that is to be confirmed: `<address>.confirm` beside it, written before it. Where the
 * file is gone, nobody waits for a confirmation any more; while it is there, the helper stays, or is started again, and
 * past the deadline it brings the device home and removes the pending grant. So the file is the decision: Keep removes
 * it first.
 *
 * Lines of `key=value`, as those of a grant.
 */

#include <sys/types.h>

#include "pci-identity.h"

#define GRANT_CONFIRM_SUFFIX ".confirm"
#define GRANT_CONFIRM_TEXT_SIZE 512
#define GRANT_CONFIRM_SECONDS_MAX 3600U

typedef struct GrantConfirm {
        uint64_t until; /* CLOCK_BOOTTIME, microseconds; never 0 */
        bool at_host; /* it was with the host when it was granted: it goes back there; else it stays where it is */
} GrantConfirm;

int grant_confirm_parse(const char *text, GrantConfirm *ret);            /* -EBADMSG */
int grant_confirm_format(const GrantConfirm *c, char *buf, size_t size); /* the length, or -ENOBUFS */

/* -ENOENT: there is none; -EBADMSG, -EPERM: one that is damaged or not root's alone. */
int grant_confirm_read(int root, const PciAddress *a, uid_t root_uid, GrantConfirm *ret);

/* Is there one? Of a damaged one the time is up, and it is for one that was with the host. */
bool grant_confirm_find(int root, const PciAddress *a, uid_t root_uid, GrantConfirm *ret);

/* Where it lies, below the root directory. Returns buf. */
#define GRANT_CONFIRM_PATH_SIZE (sizeof PENDING_GRANTS_DIR + PCI_ADDRESS_SIZE + sizeof GRANT_CONFIRM_SUFFIX)
const char *grant_confirm_path(const PciAddress *a, char buf[static GRANT_CONFIRM_PATH_SIZE]);

uint64_t grant_confirm_now(void); /* CLOCK_BOOTTIME, microseconds: it counts while the host sleeps, too */
