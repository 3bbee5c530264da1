/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Logging to standard error with the "<N>" level prefix that systemd's journal reads (sd-daemon(3)).
 * Ranks 0 and 1 log nothing above debug: who decides, logs, and once.
 */

#include <syslog.h>

#include "macro.h"

void log_set_max_level(int level); /* a syslog level; LOG_INFO until set */

void log_full(int level, const char *format, ...) _printf_(2, 3);

#define log_debug(...) log_full(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_full(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_full(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_full(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_full(LOG_ERR, __VA_ARGS__)
