/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pointers.h"

int pointers_reserve(void *list, size_t *n_allocated, size_t n) {
        size_t more = *n_allocated + *n_allocated / 2;
        void *old, *new;

        assert(list);
        assert(n_allocated);

        if (n <= *n_allocated)
                return 0;

        more = more > n ? more : n;
        memcpy(&old, list, sizeof old); /* the list is a T **, which void ** must not alias */
        new = reallocarray(old, more, sizeof(void *));
        if (!new)
                return -ENOMEM;
        memcpy(list, &new, sizeof new);
        *n_allocated = more;
        return 0;
}

void pointers_insert(void *items, size_t *n, size_t at, const void *item) {
        char *place = (char *)items + at * sizeof item;

        assert(items);
        assert(at <= *n);

        memmove(place + sizeof item, place, (*n - at) * sizeof item);
        memcpy(place, &item, sizeof item);
        (*n)++;
}

void pointers_remove(void *items, size_t *n, size_t at) {
        char *place = (char *)items + at * sizeof(void *);

        assert(items);
        assert(at < *n);

        (*n)--;
        memmove(place, place + sizeof(void *), (*n - at) * sizeof(void *));
}

size_t pointers_find(const void *items, size_t n, const void *key, pointers_compare_t compare,
                     bool *ret_found) {
        size_t low = 0, high = n, middle;
        const void *item;
        int c;

        assert(items || n == 0);
        assert(compare);
        assert(ret_found);

        while (low < high) {
                middle = low + (high - low) / 2;
                memcpy(&item, (const char *)items + middle * sizeof item, sizeof item);
                c = compare(item, key);
                if (c == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (c < 0)
                        low = middle + 1;
                else
                        high = middle;
        }

        *ret_found = false;
        return low;
}
