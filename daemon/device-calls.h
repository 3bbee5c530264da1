/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Device.Bind, Release and Reset. Returns what a method handler returns. */

#include "manager.h"

int device_call(Manager *m, sd_bus_message *message, const Device *d, HelperVerb verb);
