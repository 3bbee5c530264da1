/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The root-owned files that the helper writes and everybody may read: grants and the journal of moves.
 * Watched by inotify; their directories may come, go and come back. (That a parent of theirs was renamed is
 * not seen.)
 */

#include <systemd/sd-event.h>

#include "grant.h"
#include "move.h"

typedef enum RootDirectory {
        ROOT_GRANTS,
        ROOT_PENDING_GRANTS,
        ROOT_MOVES,
        ROOT_DIRECTORY_MAX,
} RootDirectory;

/* Something in that directory may have changed: read it again. */
typedef void (*root_files_changed_t)(RootDirectory which, void *userdata);

typedef struct RootFiles RootFiles;

int root_files_new(sd_event *event, int root, root_files_changed_t changed, void *userdata, RootFiles **ret);
RootFiles *root_files_free(RootFiles *f);

/* Reads all journal entries; *ret is the caller's to free. Entries that are damaged or half-written are left
 * out: their writing ends with another event. A directory that is not there holds none. */
int root_files_read_moves(int root, Move **ret, size_t *ret_n);

/* The boot guard's (helper/boots.h): is its list of boots there? Which boots have tripped it, "" for none, a
 * line each, or "damaged"; a file that is not root's alone is none. */
bool root_files_has_boots(int root);
void root_files_read_guard(int root, uid_t root_uid, char *ret, size_t size);
