/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "filter-lex.h"

#define BLANKS " \t\n\r"
#define FOUND_CHARACTERS 32U

static bool continues_character(char c) {
        return ((unsigned char)c & 0xc0) == 0x80;
}

int filter_error_set(FilterError *error, const char *text, const char *at, const char *format, ...) {
        va_list ap;
        int n;

        assert(error);
        assert(text && at >= text);

        error->column = 1;
        for (const char *c = text; c < at; c++)
                error->column += !continues_character(*c);
        n = snprintf(error->sentence, sizeof error->sentence, "column %u: ", error->column);
        va_start(ap, format);
        (void)vsnprintf(error->sentence + n, sizeof error->sentence - (size_t)n, format, ap);
        va_end(ap);
        return -EINVAL;
}

size_t filter_character_length(const char *s) {
        static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        unsigned char c = (unsigned char)s[0];
        size_t n = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
        uint32_t code;

        assert(s);

        if (n <= 1)
                return n == 1 && c >= 0x20 && c != 0x7f ? 1 : 0;

        code = c & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
                if (!continues_character(s[i]))
                        return 0;
                code = code << 6 | ((unsigned char)s[i] & 0x3f);
        }
        return code < least[n] || code < 0xa0 || (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff ? 0
                                                                                                       : n;
}

/* *end: behind the closing quote. */
static int read_text(const char *text, const char *begin, const char **end, FilterError *error) {
        const char *c = begin + 1;

        while (*c) {
                size_t n = filter_character_length(c);

                if (n == 0)
                        return filter_error_set(
                                        error, text, c,
                                        "found the byte 0x%02x, expected UTF-8 without control characters",
                                        (unsigned char)*c);
                if (*c == '\'' && c[1] != '\'') {
                        *end = c + 1;
                        return 0;
                }
                c += *c == '\'' ? 2 : n;
        }
        return filter_error_set(
                        error, text, begin,
                        "the text that begins here has no end, expected a single quote (') behind it");
}

int filter_token_read(const char *text, const char **at, FilterToken *ret, FilterError *error) {
        FilterToken t = {.kind = FILTER_TOKEN_WORD};
        const char *end;
        int r;

        assert(text);
        assert(at && *at);
        assert(ret);

        t.begin = end = *at + strspn(*at, BLANKS);
        if (*end == '(' || *end == ')') {
                t.kind = *end == '(' ? FILTER_TOKEN_OPEN : FILTER_TOKEN_CLOSE;
                end++;
        } else if (*end == '\'') {
                t.kind = FILTER_TOKEN_TEXT;
                r = read_text(text, t.begin, &end, error);
                if (r < 0)
                        return r;
        } else if (*end == '\0')
                t.kind = FILTER_TOKEN_END;
        else
                end += strcspn(end, BLANKS "()'");

        t.length = (size_t)(end - t.begin);
        *at = end;
        *ret = t;
        return 0;
}

bool filter_token_is(const FilterToken *t, const char *word) {
        assert(t);
        assert(word);

        return t->kind == FILTER_TOKEN_WORD && t->length == strlen(word) &&
               memcmp(t->begin, word, t->length) == 0;
}

const char *filter_token_found(const FilterToken *t, char buf[static FILTER_FOUND_SIZE]) {
        bool is_text = t->kind == FILTER_TOKEN_TEXT; /* has quotes of its own */
        char found[FOUND_CHARACTERS + 1];
        size_t n = 0, i;

        assert(t);

        if (t->kind == FILTER_TOKEN_END)
                return "the end";

        for (i = 0; i < t->length && n < FOUND_CHARACTERS; i++)
                if (t->begin[i] >= ' ' && t->begin[i] <= '~')
                        found[n++] = t->begin[i];
                else if (!continues_character(t->begin[i]))
                        found[n++] = '?';
        found[n] = '\0';
        (void)snprintf(buf, FILTER_FOUND_SIZE, "%s%s%s%s", is_text ? "the text " : "'", found,
                       i < t->length ? "..." : "", is_text && i == t->length ? "" : "'");
        return buf;
}
