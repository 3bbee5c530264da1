/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The methods that change groups and rules: each is one edit. These return what a method handler returns. What the
 * texts of a patch point to lies in the message. */

#include "manager.h"
#include "order-plan.h"

int order_create_group(Manager *m, sd_bus_message *message, const char *name, const char *type,
                       const OrderPatch *patch);
int order_create_rule(Manager *m, sd_bus_message *message, const Group *g, const char *name,
                      const OrderPatch *patch);
int order_update_group(Manager *m, sd_bus_message *message, const Group *g, const OrderPatch *patch);
int order_update_rule(Manager *m, sd_bus_message *message, const Rule *rule, const OrderPatch *patch);
int order_delete_group(Manager *m, sd_bus_message *message, const Group *g);
int order_delete_rule(Manager *m, sd_bus_message *message, const Rule *rule);
int order_import(Manager *m, sd_bus_message *message, const char *document, bool prune);

/* All groups and rules; open to everybody, and counted for each. */
int order_export(Manager *m, sd_bus_message *message);
