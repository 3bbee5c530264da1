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
} StoreVerb;

typedef struct StoreOrder {
        StoreVerb verb;
        union {
                GroupRecord group; /* owned */
                RuleRecord rule;
                IntentRecord intent;
                char id[RECORD_ID_SIZE]; /* of what is deleted */
        };
} StoreOrder;

struct StoreChange {
        StoreOrder *orders;
        size_t n;
};
