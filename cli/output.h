/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The terminal: its width, colours, and a pager between it and long answers. Pipes and files get plain text. */

#include <stdio.h>

#include "macro.h"

typedef enum Tint {
        TINT_NONE, /* also: back to normal */
        TINT_GOOD,
        TINT_WARN,
        TINT_BAD,
        TINT_DIM,
        TINT_BOLD,
        TINT_MAX,
} Tint;

/* Takes NO_COLOR and TERM from the environment. color: "auto", "always" or "never"; NULL: "auto". -EINVAL. */
int output_setup(const char *color);

/* The escape sequence for it on this stream; "" where there are no colours. */
const char *output_tint(FILE *stream, Tint tint);

/* Columns of standard output: of the terminal, or COLUMNS; SIZE_MAX: no limit, as in a pipe. */
size_t output_columns(void);

/* Whether a person sits at it: standard error, for progress and prompts. */
bool output_is_interactive(void);

/* From here on standard output goes through PASSTHROUGHCTL_PAGER, PAGER or less, if it is a terminal. Without one that
 * can be run, or with an empty variable, nothing changes. output_close_pager() waits for the person to leave it. */
void output_open_pager(void);
void output_close_pager(void);

/* Columns that the text takes on a terminal; what cannot be printed counts as one. */
size_t text_columns(const char *text) _pure_;

/* Prints at most so many columns of it, with an ellipsis in place of what does not fit, and no control character.
 * Returns how many were printed. */
size_t output_text(FILE *stream, const char *text, size_t columns);
