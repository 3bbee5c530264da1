/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files of one directory that are written together, mode 0644, each whole: first all beside their places, as ".<name>",
 * which is where a disk is full, then all are renamed. With `sync` they survive a power cut once that returns.
 *
 *         _cleanup_(atomic_files_close) AtomicFiles f = {.root = root, .dir = -1};
 */

#include "pci-identity.h"

#define ATOMIC_NAME_SIZE 48

typedef struct AtomicFiles {
        int root, dir;
        bool sync;
        bool unlocked; /* others may write the same at once: each under a name of its process, the last one stays */
        int error; /* of the first that could not be written: then none is */
        size_t n;  /* written and not yet in their places */
        char names[DEVICES_PER_CALL_MAX][ATOMIC_NAME_SIZE];
} AtomicFiles;

/* length: of the text, or the error of whoever should have made it. */
void atomic_files_add(AtomicFiles *f, const char *path, int length, const char *text);
int atomic_files_commit(AtomicFiles *f);
void atomic_files_close(AtomicFiles *f); /* removes what was not committed */

/* For good, with no need for room on the disk. 1: it was there. */
int atomic_file_remove(int root, const char *path);
