/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* "      Driver: e1000e": what the show commands print, one line a field. */

#include "model.h"
#include "output.h"

/* Nothing for an empty text. */
void field_print(const char *title, Tint tint, const char *text);
void field_printf(const char *title, Tint tint, const char *format, ...) _printf_(3, 4);
/* A sentence of the service, translated and wrapped; nothing for an empty one. */
void field_print_sentence(const char *title, Tint tint, const char *text);
/* Of several lines. */
void field_print_lines(const char *title, const char *text);
/* One line for each text of the list, the title before the first. */
void field_print_list(const Model *m, const char *title, const json_t *list);
/* Microseconds since the epoch, in local time; nothing for 0. */
void field_print_time(const char *title, uint64_t usec);
