/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the ports of network cards do with the frames of their virtual functions, as the kernel has it. Asks
 * rtnetlink, twice for each physical function; can wait for a lock of the kernel, so it is for the thread of
 * host-watch. */

#include "host-watch.h"

/* Fills in `settings` of each that is a virtual function; nothing is given where the kernel tells nothing. */
void host_functions_read(int root, HostVerdict *verdicts, size_t n);
