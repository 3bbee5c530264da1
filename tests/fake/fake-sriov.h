/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SR-IOV of the fake: for fake-host and fake-kernel. device_dir: the whole path; dir: below the root. */

#include "fake-host.h"

#define FAKE_SRIOV_OFFSET 0x80U /* the first function of 0000:01:00.0 is 0000:01:10.0, then 10.1, ... */

void fake_sriov_add(FakeHost *h, const char *dir, const FakeDevice *pf);

/* The writes. -errno as the kernel gives it. */
int fake_sriov_set_number(FakeHost *h, const char *device_dir, unsigned n);
int fake_sriov_set_autoprobe(FakeHost *h, const char *device_dir, const char *data);

/* With their driver, by whomever. */
void fake_sriov_remove_functions(FakeHost *h, const char *device_dir);

/* Of a device without an override. */
bool fake_sriov_may_probe(const char *device_dir);
