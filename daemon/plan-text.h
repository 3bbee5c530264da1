/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What Plan and Check say of a check that has passed. The helper has words for what is wrong only. */

#include "manager.h"

#define PLAN_TEXT_SIZE 512

/* Returns buf. address: the device that the row is about; check: a code of Manager.Plan. */
const char *plan_text(const Manager *m, const char *address, const char *check,
                      char buf[static PLAN_TEXT_SIZE]);
