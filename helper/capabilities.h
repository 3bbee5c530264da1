/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The helper is root by uid. Of what else root has it keeps CAP_NET_ADMIN, for the settings of virtual functions, and
 * that in hand only in the worker that writes them: nowhere else is it effective, and no other worker can make it so.
 */

#include "macro.h"

/* At the start: nothing is effective from here on. -EPERM: the process has, or could get, others than that one. */
int capabilities_settle(int root);

/* Of a worker, for the rest of its life: CAP_NET_ADMIN, if the helper has it, and nothing else; or nothing at all. */
int capabilities_keep(bool net_admin);
