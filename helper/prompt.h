/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a prompt shows. It must not be written by whom it is about: words come from the system's hardware database, by
 * ids that the kernel reads or that were checked digit by digit, never from the daemon. */

#include "scope.h"

/* Also notes who they are. */
void prompt_devices(const Scope *s, const Request *q, WorkerResult *result);

/* Whoever sits at these addresses after the prompt must be whom it named, in the same sets. */
int prompt_check(const Scope *s, const Prompted *p, WorkerResult *result);
void prompt_ids(const Request *q, WorkerResult *result);
