/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The journal of moves: while an IOMMU set is between host and vfio-pci, the helper keeps a root-owned file
 * run/verge-passthrough/moves/<iommu set number> that says so. It is there before the first write to sysfs and
 * goes after the last, so a file that is left tells of a crash (or of a kernel that does not answer), and the
 * daemon can see it without asking anything that might block. It dies with a reboot, as overrides do.
 *
 * An interrupted move has one next step, whatever it was: Recover, which brings the set home; of "vfs" it only ends the
 * entry, for the next SetVfs does what that one did not.
 */

#include "pci-identity.h"
#include "string-table.h"

typedef enum MoveVerb {
        MOVE_BIND,
        MOVE_RELEASE,
        MOVE_RESET,
        MOVE_VFS, /* the number of virtual functions; the set is the physical one's, which stays with the host */
        MOVE_VERB_MAX,
        MOVE_VERB_INVALID = -EINVAL,
} MoveVerb;

DECLARE_STRING_TABLE(move_verb, MoveVerb); /* "bind", "release", "reset", "vfs" */

#define MOVE_TEXT_SIZE 4096

typedef struct Move {
        MoveVerb verb;
        IommuSet set;    /* the devices that move; number is the file's name */
        char stuck[512]; /* "" or the sentence that says what the kernel is waiting for */
} Move;

int move_parse(const char *text, Move *ret); /* -EBADMSG: not a journal entry; set.number is left 0 */
int move_format(const Move *move, char *buf, size_t size); /* returns the length, or -ENOBUFS */

/* Reads run/verge-passthrough/moves/<name>. -ENOENT: gone. */
int move_read(int root, const char *name, Move *ret);
