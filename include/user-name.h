/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The name of a user for sentences and the journal, from the host's /etc/passwd alone: other sources of users are asked
 * over a network, and neither main loop may wait for one. For any thread.
 */

#include <sys/types.h>

#include "macro.h"

#define USER_NAME_SIZE 64

/* "alice", or "uid 70001" for who is not in the file (or has a name longer than that). `root` is the host's root
 * directory. Returns buf. */
const char *user_name(int root, uid_t uid, char buf[static USER_NAME_SIZE]);
