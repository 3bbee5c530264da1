/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Landlock (Documentation/userspace-api/landlock.rst): from landlock_restrict() on, this process and what it
 * forks can write only to the paths that were allowed. Reading stays as it was.
 */

#include "macro.h"

/* A ruleset that allows no writing. -EOPNOTSUPP: the kernel has no Landlock, or it is switched off. */
int landlock_new(void);

/* Allows to write the file; below a directory also to create, rename and remove regular files. A path that does
 * not exist is no error: it cannot be written either. */
int landlock_allow_file(int ruleset, int at, const char *path);
int landlock_allow_directory(int ruleset, int at, const char *path);

int landlock_restrict(int ruleset);
