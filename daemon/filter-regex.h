/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Regular expressions for the operator rx, by PCRE2. Rules come from people and values from devices, so a
 * search may cost only so much: past a number of steps it is given up. The expressions share their working
 * memory and are for one thread.
 */

#include "macro.h"

#define FILTER_REGEX_TEXT_MAX 256U      /* bytes of an expression */
#define FILTER_REGEX_COMPILED_MAX 8192U /* bytes that it takes compiled: repetitions are copies */
#define FILTER_REGEX_VALUE_MAX 512U     /* bytes that are searched */
#define FILTER_REGEX_STEPS_MAX 5000U    /* items of the expression that are tried in one search */

typedef struct FilterRegex FilterRegex;

typedef enum FilterRegexResult {
        FILTER_REGEX_NO,
        FILTER_REGEX_YES,
        FILTER_REGEX_GAVE_UP, /* counts as no */
} FilterRegexResult;

/* Where in the text, in bytes, and why. */
typedef struct FilterRegexError {
        size_t offset;
        char reason[128];
} FilterRegexError;

/* `text` is valid UTF-8. -EINVAL with *error; -ENOMEM. */
int filter_regex_new(const char *text, FilterRegex **ret, FilterRegexError *error);
FilterRegex *filter_regex_free(FilterRegex *r);
DEFINE_CLEANUP(FilterRegex *, filter_regex_free);

/* Is it found anywhere in the value? */
FilterRegexResult filter_regex_match(const FilterRegex *r, const char *value);
