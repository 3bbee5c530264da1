/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Times as people write them: "90" and "90s" are seconds, "5min" (or "5m"), "2h"; also several, "1h 30min". */

#include "options.h"

/* *ret_seconds is set only on success. -EINVAL: not of this form; -ERANGE: more than 2^32 seconds. */
int time_span_parse(const char *text, uint64_t *ret_seconds);

#define TIME_SPAN_SIZE 32

/* "10s", "5min", "1h"; in the largest unit that needs no fraction. */
const char *time_span_format(uint64_t seconds, char buffer[static TIME_SPAN_SIZE]);

/* The option's value in seconds, least..most; complains. *ret is untouched if it is not given. */
ExitCode time_span_option(const Options *o, Option option, uint64_t least, uint64_t most, uint64_t *ret);
