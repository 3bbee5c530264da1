/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.MakePassthrough. Returns what a method handler returns; texts lie in the message. */

#include "manager.h"
#include "order-plan.h"

typedef struct MakeRequest {
        IommuSet devices, siblings;
        uint32_t consent; /* bits of CriticalReason */
        uint32_t confirm; /* seconds until which somebody has to confirm it; 0: nobody need */
        bool has_confirm;
        const char *group_name;
        OrderPatch group; /* class, description, binding of a new one */
} MakeRequest;

int make_passthrough(Manager *m, sd_bus_message *message, const MakeRequest *q);
