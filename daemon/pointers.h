/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arrays of pointers that grow and keep an order. `list` is the address of a T **, `items` is a T **, and `item` a
 * T *. */

#include "macro.h"

/* Room for n. -ENOMEM. */
int pointers_reserve(void *list, size_t *n_allocated, size_t n);
void pointers_insert(void *items, size_t *n, size_t at, const void *item);
void pointers_remove(void *items, size_t *n, size_t at);

/* Where the item is that compares equal with the key, or would be. */
typedef int (*pointers_compare_t)(const void *item, const void *key);
size_t pointers_find(const void *items, size_t n, const void *key, pointers_compare_t compare,
                     bool *ret_found);
