/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "time-span.h"

#define SECONDS_MAX UINT32_MAX

static const struct {
        const char *name;
        uint64_t seconds;
} units[] = {{"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}};

/* The unit that the text begins with, and that ends before a blank, a number or the end; NULL in *text: none. */
static uint64_t take_unit(const char **text) {
        size_t n = strcspn(*text, " 0123456789");

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (n == strlen(units[i].name) && strncmp(*text, units[i].name, n) == 0) {
                        *text += n;
                        return units[i].seconds;
                }
        *text = NULL;
        return 0;
}

static int take_number(const char **text, uint64_t *ret) {
        uint64_t n = 0;

        if (**text < '0' || **text > '9')
                return -EINVAL;
        for (; **text >= '0' && **text <= '9'; (*text)++) {
                n = n * 10 + (uint64_t)(**text - '0');
                if (n > SECONDS_MAX)
                        return -ERANGE;
        }
        *ret = n;
        return 0;
}

int time_span_parse(const char *text, uint64_t *ret_seconds) {
        uint64_t sum = 0, n, unit;
        bool first = true;
        int r;

        assert(text);
        assert(ret_seconds);

        do {
                r = take_number(&text, &n);
                if (r < 0)
                        return r;
                /* A number alone is seconds; "1h 30" could be anything. */
                unit = first && *text == '\0' ? 1 : take_unit(&text);
                if (!text)
                        return -EINVAL;
                sum += n * unit;
                if (sum > SECONDS_MAX)
                        return -ERANGE;
                first = false;
                if (*text == ' ' && text[1] != '\0')
                        text++;
        } while (*text != '\0');
        *ret_seconds = sum;
        return 0;
}

const char *time_span_format(uint64_t seconds, char buffer[static TIME_SPAN_SIZE]) {
        if (seconds >= 3600 && seconds % 3600 == 0)
                (void)snprintf(buffer, TIME_SPAN_SIZE, "%" PRIu64 "h", seconds / 3600);
        else if (seconds >= 60 && seconds % 60 == 0)
                (void)snprintf(buffer, TIME_SPAN_SIZE, "%" PRIu64 "min", seconds / 60);
        else
                (void)snprintf(buffer, TIME_SPAN_SIZE, "%" PRIu64 "s", seconds);
        return buffer;
}

ExitCode time_span_option(const Options *o, Option option, uint64_t least, uint64_t most, uint64_t *ret) {
        const char *text = option_value(o, option);
        char from[TIME_SPAN_SIZE], to[TIME_SPAN_SIZE];
        uint64_t seconds = 0;
        int r;

        if (!text)
                return EXIT_DONE;
        r = time_span_parse(text, &seconds);
        if (r < 0 || seconds < least || seconds > most)
                return complain(EXIT_USAGE, "--%s=%s: give a time from %s to %s, as in 60s, 5min or 1h.",
                                option_info(option)->name, text, time_span_format(least, from),
                                time_span_format(most, to));
        *ret = seconds;
        return EXIT_DONE;
}
