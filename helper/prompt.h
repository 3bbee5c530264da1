/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a prompt shows. It must not be written by whom it is about: words come from the system's hardware database, by
 * ids that the kernel reads or that were checked digit by digit, never from the daemon. */

#include "scope.h"

/* Also notes who they are: q->identities of the work that follows. */
void prompt_devices(const Scope *s, const Request *q, WorkerResult *result);
void prompt_ids(const Request *q, WorkerResult *result);
