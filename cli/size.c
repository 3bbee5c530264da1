/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "size.h"

static int take_unit(const char *text, unsigned *ret_shift) {
        static const char letters[] = "KMGT";
        const char *letter = text[0] ? strchr(letters, text[0]) : NULL;

        if (!letter || !(streq(text + 1, "") || streq(text + 1, "iB")))
                return -EINVAL;
        *ret_shift = 10U * (unsigned)(letter - letters + 1);
        return 0;
}

int size_parse(const char *text, uint64_t *ret_bytes) {
        bool too_large = false;
        uint64_t n = 0;
        unsigned shift;
        int r;

        assert(text);
        assert(ret_bytes);

        if (*text < '0' || *text > '9')
                return -EINVAL;
        for (; *text >= '0' && *text <= '9'; text++) {
                too_large = too_large || n > (UINT64_MAX - 9) / 10;
                n = too_large ? n : n * 10 + (uint64_t)(*text - '0');
        }
        r = take_unit(text, &shift);
        if (r < 0)
                return r;
        if (too_large || n == 0 || n > UINT64_MAX >> shift)
                return -ERANGE;
        *ret_bytes = n << shift;
        return 0;
}
