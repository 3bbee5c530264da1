/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The claim table's own: its parts are claim-list.c (claims), claim-runs.c (runs and their devices) and claim-view.c
 * (what claims show). */

#include "claim-table.h"

struct ClaimTable {
        ClaimTableConfig config;
        Claim **claims; /* by owner, VM, order and age */
        Claim **by_id;
        size_t n, n_by_id, n_allocated, n_by_id_allocated;
        Run *runs;
        size_t n_runs;
        Claim *changed;
        bool is_touched;
};

void run_free(Run *r);
