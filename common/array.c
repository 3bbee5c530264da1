/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"

#define ROOM_MIN 4U

int array_grow(void *list, size_t n, size_t size) {
        void *old, *new;

        assert(list);
        assert(size > 0);

        if (n > 0 && (n < ROOM_MIN || (n & (n - 1)) != 0))
                return 0;

        memcpy(&old, list, sizeof old); /* it is some T **, which void ** must not alias */
        new = reallocarray(old, n < ROOM_MIN ? ROOM_MIN : n * 2, size);
        if (!new)
                return -ENOMEM;
        memcpy(list, &new, sizeof new);
        return 0;
}
