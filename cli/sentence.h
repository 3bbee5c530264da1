/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service's sentences, for people at a terminal: they name methods and options of the D-Bus API, and here the
 * commands that stand for these take their place. JSON has them as the service says them.
 */

#include "output.h"

/* Freed by the caller; NULL: no memory. */
char *sentence_translate(const char *text);

/* Prints text on standard output from column `at`, where the cursor is, to `end`, and goes on at `column` of the next
 * line; lines are broken at blanks. No newline at the end. */
void sentence_wrap(const char *text, Tint tint, size_t at, size_t column, size_t end);

/* The same with the translation, to the end of the terminal's line, and with a newline. */
void sentence_print(const char *text, Tint tint, size_t at, size_t column);
