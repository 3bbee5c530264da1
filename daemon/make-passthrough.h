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
        const char *group_name, *type; /* type: of a new group; NULL: the usual one */
        OrderPatch group;              /* class, description, binding, settings of a new one */
        bool has_count;                /* SetVfCount: there is no group, but this */
        uint32_t count;
} MakeRequest;

int make_passthrough(Manager *m, sd_bus_message *message, const MakeRequest *q);

/* Device.SetVfCount, of the physical function d. */
int make_vf_count(Manager *m, sd_bus_message *message, const Device *d, uint32_t count);
