/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the service has checked of a device: a row "DEVICE CHECK RESULT SENTENCE". */

#include "bus-json.h"
#include "table.h"

typedef struct CheckRow {
        const char *device, *check, *severity, *sentence;
        bool passed;
} CheckRow;

extern const Column check_columns[];

void check_add_row(Table *t, const CheckRow *row);
/* {"Device": ..., "Check": ..., "Severity": ..., "Passed": ..., "Sentence": ...}; NULL: no memory. */
json_t *check_to_json(const CheckRow *row);
/* An "error" that did not pass. */
bool check_refuses(const CheckRow *row) _pure_;
