/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Method calls that cost somebody's work: counted for each user and in all, authorised as their row of the
 * table says (authorisation.h), and answered when the helper has answered. Nothing is held while a prompt
 * stands, and the device is looked up again after it.
 *
 * These return what a method handler returns; the answer to the caller goes out from here in any case.
 */

#include "manager.h"

/* Check, Bind, Release, Reset. */
int call_device(Manager *m, sd_bus_message *message, const Device *d, HelperVerb verb);

/* Grant of `devices`, which with `siblings` are to be whole IOMMU sets; consent: bits of CriticalReason. */
int call_grant(Manager *m, sd_bus_message *message, const IommuSet *devices, const IommuSet *siblings,
               uint32_t consent);

int call_revoke(Manager *m, sd_bus_message *message, const IommuSet *devices);

void calls_free_all(Manager *m); /* drops them without an answer */
