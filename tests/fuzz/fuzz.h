/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A fuzz target: LLVMFuzzerTestOneInput(). Built with -Dfuzz=enabled it is a libFuzzer program; else fuzz-main.c
 * runs it over its corpus and over damaged copies of that, as an ordinary test. What may not be is an abort().
 */

#include "macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* assert() that stands with NDEBUG too. */
#define must(expression)                                                                                    \
        do {                                                                                                \
                if (!(expression)) {                                                                        \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #expression);                    \
                        abort();                                                                            \
                }                                                                                           \
        } while (0)

/* As text: a copy that ends where the data end, so that a sanitizer sees whoever reads on. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
        char *text = malloc(size + 1);

        must(text);
        memcpy(text, data, size);
        text[size] = '\0';
        return text;
}
