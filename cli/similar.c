/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "similar.h"

#define LENGTH_MAX 32U
#define SLIPS_MAX 2U

static size_t least(size_t a, size_t b) {
        return a < b ? a : b;
}

static bool same(char a, char b) {
        return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Of Damerau and Levenshtein: d[i][j] slips lie between the first i letters of a and the first j of b. */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
        size_t d[LENGTH_MAX + 1][LENGTH_MAX + 1];

        for (size_t i = 0; i <= n; i++)
                for (size_t j = 0; j <= m; j++) {
                        if (i == 0 || j == 0) {
                                d[i][j] = i + j;
                                continue;
                        }
                        d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                                        d[i - 1][j - 1] + !same(a[i - 1], b[j - 1]));
                        if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
                }
        return d[n][m];
}

bool similar(const char *a, const char *b) {
        size_t n = strlen(a), m = strlen(b), slips;

        if (n == 0 || n > LENGTH_MAX || m > LENGTH_MAX)
                return false;
        slips = distance(a, n, b, m);
        return slips <= SLIPS_MAX && 2 * slips < m;
}
