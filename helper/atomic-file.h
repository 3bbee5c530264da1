/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "macro.h"

/* Writes <directory>/<name>, mode 0644, whole or not at all: a temporary file ".<name>" is renamed over it. With
 * `sync` it survives a power cut once this returns. */
int atomic_file_write(int root, const char *directory, const char *name, const char *text, bool sync);
