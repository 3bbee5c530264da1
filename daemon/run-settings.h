/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the port of an SR-IOV network card is to do with the frames of a function, for a VM and after it. */

#include "manager.h"

/* Of the device number n of the claim, from 0. False: its group is no such group. */
bool run_settings_of_claim(const Manager *m, const Claim *c, size_t n, VfSettings *ret);

/* For the VM of this run: what its group and its claim say, and its address. False: the device has no such settings. */
bool run_settings(const Manager *m, const Run *r, const PciAddress *a, VfSettings *ret);

/* When it has given it back: what the group says, and nothing of the claim's. */
bool run_settings_after(const Manager *m, const Run *r, const PciAddress *a, VfSettings *ret);
