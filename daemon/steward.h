/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carries out what reconcile.h decides: interrupted moves first, then the orders of groups; and what VMs want back
 * (runs_take_back()). Idempotent; to be called after everything that may make a difference, for whom it passes over
 * waits for no event of its own. */

#include "manager.h"

void steward_run(Manager *m);

void steward_free_all(Manager *m);

/* What somebody else did to devices while nobody watched: at the start. */
void steward_look_back(Manager *m);

/* A device's state was derived anew: notices when somebody else takes it from vfio-pci. */
void steward_watch(Manager *m, Device *d);
