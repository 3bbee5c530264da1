/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.ReturnToHost: the inverse of MakePassthrough. Returns what a method handler returns. */

#include "manager.h"

int return_to_host(Manager *m, sd_bus_message *message, const IommuSet *devices);
