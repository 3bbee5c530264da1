/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What orders wait for, in words: Device.Attention, Manager.Drift and Manager.RestartReason, from what is known now.
 * Cheap enough for every flush of changes. */

#include "manager.h"

uint32_t attention_to_device(Manager *m, Device *d); /* what changed, as bits of DeviceProperty */
void attention_to_host(Manager *m);
void attention_clear(Manager *m);
