/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the helper writes into the audit trail. */

#include "operation.h"

/* What has become of an operation; result: of its worker, or NULL. Comes a second time for one that was late. */
void trail_operation(const Operation *o, const Failure *f, const WorkerResult *result);

/* The same for a device that was, or was to be, bound early; r < 0: it stays with the host. */
void trail_early(int root, const PciAddress *a, const WorkerResult *result, int r);
