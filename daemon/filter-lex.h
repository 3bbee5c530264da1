/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The words of a filter's text, and where an error is in it; for the files filter-*.c alone. */

#include "filter.h"

typedef enum FilterTokenKind {
        FILTER_TOKEN_END,
        FILTER_TOKEN_WORD, /* also numbers, and what belongs nowhere */
        FILTER_TOKEN_TEXT, /* with its quotes */
        FILTER_TOKEN_OPEN,
        FILTER_TOKEN_CLOSE,
} FilterTokenKind;

typedef struct FilterToken {
        FilterTokenKind kind;
        const char *begin;
        size_t length;
} FilterToken;

#define FILTER_FOUND_SIZE 56U

/* Reads the token at *at and moves behind it. -EINVAL with *error for a text without an end or with
 * characters that no text may have. `text` is the whole, for the column. */
int filter_token_read(const char *text, const char **at, FilterToken *ret, FilterError *error);

bool filter_token_is(const FilterToken *t, const char *word) _pure_;

/* As an error quotes it: cut and printable. */
const char *filter_token_found(const FilterToken *t, char buf[static FILTER_FOUND_SIZE]);

/* Bytes of the UTF-8 character at s; 0 if it is none, or a control character (RFC 3629; C0, DEL and C1). */
size_t filter_character_length(const char *s) _pure_;

/* Sets "column 12: ..." and returns -EINVAL. */
int filter_error_set(FilterError *error, const char *text, const char *at, const char *format, ...)
                _printf_(4, 5);
