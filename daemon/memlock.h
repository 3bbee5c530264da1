/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How much memory may a caller's process lock (RLIMIT_MEMLOCK)? Read from /proc/PID/limits; for a warning only, since
 * the VM may well be another process. Where /proc hides the processes of others who asks must do without an answer. */

#include <sys/types.h>

#include "macro.h"

#define MEMLOCK_UNLIMITED UINT64_MAX

/* The soft limit in bytes. -ESRCH: the process is gone or hidden; -EBADMSG: the file is not what we know. */
int memlock_read(int root, pid_t pid, uint64_t *ret);
int memlock_parse(const char *limits, uint64_t *ret); /* the text of that file */
