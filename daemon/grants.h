/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the helper's grants say about devices, for show and for decisions that the helper checks itself. */

#include "manager.h"

/* Reads the directories, and what they say about each device. */
void grants_read(Manager *m);

/* The virtual functions of a physical one. */
void grants_read_vfs(Manager *m, const PciAddress *pf);

/* One device, and its virtual functions if whether they are covered has changed; the list of ids is as last read. */
void grants_read_device(Manager *m, Device *d);
