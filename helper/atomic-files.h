/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Files of one directory that are written together, mode 0644, each whole: first all beside their places, as ".<name>",
 * which is where a disk is full, then all are renamed. With `sync` they survive a power cut once that returns.
 */

#include "pci-identity.h"

#define ATOMIC_NAME_SIZE 32

typedef struct AtomicFiles {
        int dir;
        bool sync;
        size_t n; /* written and not yet in their places */
        char names[DEVICES_PER_CALL_MAX][ATOMIC_NAME_SIZE];
} AtomicFiles;

int atomic_files_open(AtomicFiles *f, int root, const char *directory, bool sync);
int atomic_files_add(AtomicFiles *f, const char *name, const char *text);
int atomic_files_commit(AtomicFiles *f);

/* Removes what was not committed. Needed after a failed open, too. */
void atomic_files_close(AtomicFiles *f);

/* One file, with no lock between those who write it: each under a name of its process, and whoever comes last stays. */
int atomic_file_replace(int dir, const char *name, const char *text, bool sync);
