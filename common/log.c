/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "log.h"

static int log_max_level = LOG_INFO;

void log_set_max_level(int level) {
        log_max_level = level;
}

void log_full(int level, const char *format, ...) {
        char line[1024];
        va_list ap;

        if (level > log_max_level)
                return;

        va_start(ap, format);
        (void)vsnprintf(line, sizeof line, format, ap);
        va_end(ap);

        /* A line is one record: text from a device or a caller must not be able to forge another. */
        for (char *p = line; *p; p++)
                if ((unsigned char)*p < ' ' || *p == 0x7f)
                        *p = '?';

        (void)dprintf(STDERR_FILENO, "<%d>%s\n", level, line);
}
