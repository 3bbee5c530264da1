/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Groups and rules from and to a document (document.h). */

#include "document.h"
#include "manager.h"
#include "order-plan.h"

/* Plans what makes groups and rules what the document says; what is so already is not touched. n_changed: groups and
 * rules that are made, changed or removed. */
int import_plan(Manager *m, OrderPlan *p, const Document *d, bool prune, uint32_t *ret_changed, Failure *f);

/* All there is. *ret is the caller's to free. */
int import_export(const Manager *m, char **ret);
