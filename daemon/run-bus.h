/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The methods that start and stop VMs: of the Manager, and of a Claim for it alone (then userdata is the claim). */

#include "manager.h"

int run_bus_start_vm(sd_bus_message *message, void *userdata, sd_bus_error *error);
int run_bus_stop_vm(sd_bus_message *message, void *userdata, sd_bus_error *error);
int run_bus_start(sd_bus_message *message, void *userdata, sd_bus_error *error);
int run_bus_stop(sd_bus_message *message, void *userdata, sd_bus_error *error);

/* What a start answers. */
#define RUN_BUS_RESULT "a(soous)", devices, "a{sh}", descriptors
