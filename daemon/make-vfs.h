/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * MakePassthrough of physical functions for a group of the type "sriov-nic", and Device.SetVfCount: not they leave the
 * host, but virtual functions that they get. What is special about it; all else is make-passthrough.c's.
 *
 *   GrantVfs, pending (prompt) -> group, rules and intent stored -> SetVfs -> the settings of the group tried on the
 *   first virtual function of each -> Keep the grants -> intent removed
 */

#include "make-plan.h"

/* Is it of this kind? As far as the options and the group that is there say. */
bool make_is_of_vfs(const Manager *m, const Make *data);

/* Can they have so many, and is everything else as it must be? Fills movers and fresh. -EREMOTEIO with a sentence. */
int make_check_vfs(const Call *c, Make *data, Failure *f);

/* Their oldest rules decide, as for any device. */
int make_check_vfs_member(const Manager *m, const Device *pf, const char *group, Failure *f);

/* Has the helper make them, and calls `then`; what fails is undone. */
void make_vfs(Transaction *t, transaction_step_t then);
