/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands in a StoreChange: for whoever makes it (store-change.c) and whoever carries it out (store-write.c). */

#include "store.h"

typedef enum StoreVerb {
        STORE_PUT_GROUP,
        STORE_DELETE_GROUP,
        STORE_PUT_RULE,
        STORE_DELETE_RULE,
        STORE_PUT_INTENT,
        STORE_DELETE_INTENT,
        STORE_PUT_CLAIM,
        STORE_DELETE_CLAIM,
        STORE_PUT_RUN,
        STORE_DELETE_RUN,
        STORE_PUT_QUARANTINE,
        STORE_DELETE_QUARANTINE,
} StoreVerb;

typedef struct StoreOrder {
        StoreVerb verb;
        union {
                GroupRecord group; /* owned */
                RuleRecord rule;
                IntentRecord intent;
                ClaimRecord claim;
                RunRecord run;
                QuarantineRecord quarantine;
                char id[RECORD_ID_SIZE]; /* of what is deleted */
                PciAddress address;      /* the same, of a quarantine */
        };
} StoreOrder;

struct StoreChange {
        StoreOrder *orders;
        size_t n;
};
