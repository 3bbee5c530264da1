/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <time.h>

#include "fields.h"
#include "sentence.h"

#define TITLE_COLUMNS 14

static void print_title(const char *title) {
        (void)printf("%*s%s ", TITLE_COLUMNS, title, isempty(title) ? " " : ":");
}

void field_print(const char *title, Tint tint, const char *text) {
        if (isempty(text))
                return;
        print_title(title);
        (void)fputs(tint == TINT_NONE ? "" : output_tint(stdout, tint), stdout);
        (void)output_text(stdout, text, SIZE_MAX);
        (void)fputs(tint == TINT_NONE ? "" : output_tint(stdout, TINT_NONE), stdout);
        (void)fputc('\n', stdout);
}

void field_print_sentence(const char *title, Tint tint, const char *text) {
        if (isempty(text))
                return;
        print_title(title);
        sentence_print(text, tint, TITLE_COLUMNS + 2, TITLE_COLUMNS + 2);
}

void field_printf(const char *title, Tint tint, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r >= 0)
                field_print(title, tint, text);
        else
                text = NULL;
}

void field_print_lines(const char *title, const char *text) {
        for (size_t n; *text; text += n + (text[n] == '\n'), title = "") {
                n = strcspn(text, "\n");
                field_printf(title, TINT_NONE, "%.*s", (int)n, text);
        }
}

void field_print_list(const Model *m, const char *title, const json_t *list) {
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item) {
                const char *text = strempty(json_string_value(item));
                const Object *o = startswith(text, "/") ? model_at(m, text) : NULL;

                if (o && o->kind == KIND_DEVICE)
                        field_printf(i == 0 ? title : "", TINT_NONE, "%s  %s", o->name,
                                     object_text(o, "Name"));
                else
                        field_print(i == 0 ? title : "", TINT_NONE, o ? o->name : text);
        }
}

void field_print_time(const char *title, uint64_t usec) {
        time_t seconds = (time_t)(usec / 1000000U);
        char text[64];
        struct tm tm;

        if (usec == 0 || !localtime_r(&seconds, &tm) || strftime(text, sizeof text, "%F %T %Z", &tm) == 0)
                return;
        field_print(title, TINT_NONE, text);
}
