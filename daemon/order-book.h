/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Groups, rules and claims as the service has them: the registry, the claim table, and the store behind both. */

#include "manager.h"

/* Reads all there is. A store that cannot be read is no error: the service is read-only then, and says so. */
int order_book_open(Manager *m);
void order_book_close(Manager *m);

/* Something that filters ask about has changed: its rules may be others. */
void order_book_match(Manager *m, Device *d);

/* A new id, and the time. -errno: no randomness. */
int order_book_stamp(OrderStamp *ret);
uint64_t order_book_next_age(Manager *m);

/* The store may have become read-only: has it told. */
void order_book_note_store(Manager *m);

/* What a crash has left in the middle. */
void order_book_recover(Manager *m);
