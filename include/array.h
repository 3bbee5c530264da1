/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Arrays that grow by one element at a time. */

#include "macro.h"

/* Room for one more behind n elements of this size; `list` is the address of the pointer to the first. How much there
 * is follows from n alone (powers of two, 4 at least): so nothing else may allocate the array. -ENOMEM: it is as it
 * was. */
int array_grow(void *list, size_t n, size_t size);
