/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake-host.h"

/* What most tests move: a NIC alone in its IOMMU set, and a NIC and an NVMe that share one behind a bridge. */
#define NIC "0000:01:00.0"
#define PAIR_NIC "0000:05:01.0"
#define PAIR_NVME "0000:05:02.0"
#define BRIDGE "0000:04:00.0"
void fake_host_add_standard_devices(FakeHost *h);
