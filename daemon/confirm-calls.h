/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.Confirm and Manager.Revert. Return what a method handler returns. */

#include "manager.h"

int confirm_call_confirm(Manager *m, sd_bus_message *message);
int confirm_call_revert(Manager *m, sd_bus_message *message);
