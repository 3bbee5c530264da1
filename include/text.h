/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Text that comes from devices, mount tables, processes and callers: none of it may forge a log line, break out of a
 * file format, or be refused by D-Bus as invalid UTF-8. */

#include "macro.h"

/* Copies printable ASCII without spaces at either end; anything else in the text becomes '?'. */
void text_sanitize(char *ret, size_t size, const char *text, size_t length);

/* Makes every byte that is no part of a UTF-8 character a '?', and every control character, in place. Where a text was
 * cut in the middle of a character, too. */
void text_make_utf8(char *text);

/* Makes every byte that is not printable ASCII a '?', in place. */
void text_make_printable(char *text);

/* Appends ", item" to a list that ends in "..." once it is full. An item that stands there already is not repeated. */
void text_append_item(char *list, size_t size, const char *item);

/* Length of the UTF-8 sequence at s (not at its end), 0 when it is none (RFC 3629). */
size_t text_utf8_length(const char *s) _pure_;

/* Copies the next line of *text without its newline and moves *text behind it. 1; 0: there is no more; -E2BIG. */
int text_next_line(const char **text, char *ret, size_t size);
