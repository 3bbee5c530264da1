/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Manager.Grant, Revoke, GrantIds and RevokeIds: the helper asks polkit about the caller whom we name. These return
 * what a method handler returns. */

#include "manager.h"

/* Ids of one call, as they came; they lie in the message. */
typedef struct IdList {
        const char *ids[SELECTORS_PER_CALL_MAX];
        size_t n;
} IdList;

/* Grant of `devices`, which with `siblings` are to be whole IOMMU sets; consent: bits of CriticalReason. */
int consent_grant(Manager *m, sd_bus_message *message, const IommuSet *devices, const IommuSet *siblings,
                  uint32_t consent);
int consent_revoke(Manager *m, sd_bus_message *message, const IommuSet *devices);

/* verb: HELPER_GRANT_IDS or HELPER_REVOKE_IDS. */
int consent_ids(Manager *m, sd_bus_message *message, HelperVerb verb, const IdList *ids);
