/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "text.h"

#define SEPARATOR ", "
#define ELLIPSIS "..."

static char printable(char c) {
        return c >= ' ' && c <= '~' ? c : '?';
}

void text_make_printable(char *text) {
        assert(text);

        for (; *text; text++)
                *text = printable(*text);
}

void text_sanitize(char *ret, size_t size, const char *text, size_t length) {
        size_t n = 0;

        assert(ret);
        assert(size > 0);
        assert(text);

        while (length > 0 && isspace((unsigned char)text[0])) {
                text++;
                length--;
        }
        for (; n < length && n + 1 < size && text[n] != '\0'; n++)
                ret[n] = printable(text[n]);
        while (n > 0 && ret[n - 1] == ' ')
                n--;
        ret[n] = '\0';
}

static bool has_item(const char *list, const char *item) {
        size_t n = strlen(item), k;

        for (; *list; list += k + (list[k] ? strlen(SEPARATOR) : 0)) {
                const char *end = strstr(list, SEPARATOR);

                k = end ? (size_t)(end - list) : strlen(list);
                if (k == n && memcmp(list, item, n) == 0)
                        return true;
        }
        return false;
}

void text_append_item(char *list, size_t size, const char *item) {
        size_t used, room;

        assert(list);
        assert(size > sizeof ELLIPSIS);
        assert(item);

        used = strlen(list);
        room = size - sizeof ELLIPSIS; /* what may be used and still leave room for the dots */
        if (!item[0] || has_item(list, item) ||
            (used >= strlen(ELLIPSIS) && streq(list + used - strlen(ELLIPSIS), ELLIPSIS)))
                return;
        if (used + strlen(SEPARATOR) + strlen(item) <= room)
                (void)snprintf(list + used, size - used, "%s%s", used > 0 ? SEPARATOR : "", item);
        else
                (void)snprintf(list + used, size - used, ELLIPSIS);
}

size_t text_utf8_length(const char *text) {
        const unsigned char *s = (const unsigned char *)text;
        size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;

        if (n == 4 && (s[0] < 0xf0 || s[0] > 0xf4))
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        /* overlong forms, surrogates, past U+10FFFF */
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
            (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}

/* C0, DEL and C1. */
static bool is_control(const char *s) {
        unsigned char c = (unsigned char)s[0];

        return c < ' ' || c == 0x7f || (c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

void text_make_utf8(char *text) {
        size_t n;

        assert(text);

        for (; *text; text += n) {
                n = text_utf8_length(text);
                if (n == 0 || is_control(text)) {
                        *text = '?';
                        n = 1;
                }
        }
}

int text_next_line(const char **text, char *ret, size_t size) {
        size_t n;

        assert(text && *text);
        assert(ret);

        if (**text == '\0')
                return 0;

        n = strcspn(*text, "\n");
        if (n >= size)
                return -E2BIG;

        memcpy(ret, *text, n);
        ret[n] = '\0';
        *text += n + ((*text)[n] == '\n');
        return 1;
}
