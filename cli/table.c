/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "array.h"
#include "sentence.h"
#include "table.h"

#define GAP 2U

typedef struct Cell {
        char *text;
        Tint tint;
} Cell;

struct Table {
        const Column *columns;
        size_t n_columns, n_cells;
        Cell *cells;
        bool oom;
};

Table *table_new(const Column columns[]) {
        Table *t = calloc(1, sizeof *t);

        if (!t)
                return NULL;
        t->columns = columns;
        while (columns[t->n_columns].title)
                t->n_columns++;
        assert(t->n_columns <= TABLE_COLUMNS_MAX);
        return t;
}

Table *table_free(Table *t) {
        if (!t)
                return NULL;
        for (size_t i = 0; i < t->n_cells; i++)
                free(t->cells[i].text);
        free(t->cells);
        free(t);
        return NULL;
}

void table_add(Table *t, Tint tint, const char *text) {
        char *copy = strdup(strempty(text));
        Cell *cells = t->oom || !copy ? NULL : reallocarray(t->cells, t->n_cells + 1, sizeof *cells);

        if (!cells) {
                free(copy);
                t->oom = true;
                return;
        }
        t->cells = cells;
        t->cells[t->n_cells++] = (Cell){copy, tint};
}

void table_add_number(Table *t, Tint tint, uint64_t number) {
        char text[24];

        (void)snprintf(text, sizeof text, "%" PRIu64, number);
        table_add(t, tint, text);
}

size_t table_rows(const Table *t) {
        return t->n_cells / t->n_columns;
}

static size_t total(const Table *t, const size_t widths[], const bool shown[]) {
        size_t sum = 0;

        for (size_t i = 0; i < t->n_columns; i++)
                if (shown[i])
                        sum += widths[i] + (sum > 0 ? GAP : 0);
        return sum;
}

static size_t least(const Table *t, const size_t widths[], size_t i) {
        return t->columns[i].flags & (COLUMN_SHRINKS | COLUMN_WRAPS) && widths[i] > t->columns[i].least
                               ? t->columns[i].least
                               : widths[i];
}

/* Takes one column at a time from the widest that can spare it, so that the widths become alike. */
static void shrink(const Table *t, size_t widths[], const bool shown[], size_t room) {
        while (total(t, widths, shown) > room) {
                size_t widest = SIZE_MAX;

                for (size_t i = 0; i < t->n_columns; i++)
                        if (shown[i] && widths[i] > least(t, widths, i) &&
                            (widest == SIZE_MAX || widths[i] > widths[widest]))
                                widest = i;
                if (widest == SIZE_MAX)
                        return;
                widths[widest]--;
        }
}

/* The last such first. */
static void leave_out(const Table *t, unsigned flag, const size_t leasts[], bool shown[], size_t room) {
        for (size_t i = t->n_columns; i > 0 && total(t, leasts, shown) > room; i--)
                if (t->columns[i - 1].flags & flag)
                        shown[i - 1] = false;
}

static void fit(const Table *t, size_t widths[], bool shown[], size_t room) {
        size_t leasts[TABLE_COLUMNS_MAX] = {};

        for (size_t i = 0; i < t->n_columns; i++)
                leasts[i] = least(t, widths, i);
        leave_out(t, COLUMN_SPARE, leasts, shown, room);
        leave_out(t, COLUMN_OPTIONAL, leasts, shown, room);
        shrink(t, widths, shown, room);
}

static void pad(size_t n) {
        for (; n > 0; n--)
                (void)fputc(' ', stdout);
}

/* *gap: blanks that are still due before the next text; a line does not end in some. */
static void print_cell(const char *text, Tint tint, unsigned flags, size_t width, size_t *gap) {
        size_t columns = text_columns(text), rest = columns < width ? width - columns : 0;

        if (columns > 0) {
                pad(*gap + (flags & COLUMN_RIGHT ? rest : 0));
                *gap = 0;
                (void)fputs(tint != TINT_NONE ? output_tint(stdout, tint) : "", stdout);
                columns = output_text(stdout, text, width);
                (void)fputs(tint != TINT_NONE ? output_tint(stdout, TINT_NONE) : "", stdout);
        }
        /* Less than it could be, where half a wide character was left. */
        *gap += GAP + (columns == 0 || !(flags & COLUMN_RIGHT) ? width - columns : 0);
}

/* The widths that all of it needs. */
static void measure(const Table *t, bool legend, size_t widths[]) {
        for (size_t i = 0; i < t->n_columns; i++)
                widths[i] = legend ? text_columns(t->columns[i].title) : 0;
        for (size_t i = 0; i < t->n_cells; i++) {
                size_t width = text_columns(t->cells[i].text), *column = &widths[i % t->n_columns];

                *column = width > *column ? width : *column;
        }
}

/* cells NULL: the titles. */
static void print_row(const Table *t, const Cell cells[], const size_t widths[], const bool shown[]) {
        size_t gap = 0, last = t->n_columns - 1, offset = total(t, widths, shown) - widths[last];

        for (size_t i = 0; i < t->n_columns; i++) {
                const char *text = cells ? cells[i].text : t->columns[i].title;
                Tint tint = cells ? cells[i].tint : TINT_DIM;

                if (t->columns[i].flags & COLUMN_WRAPS) {
                        pad(gap);
                        sentence_wrap(text, tint, offset, offset, offset + widths[i]);
                } else if (shown[i])
                        print_cell(text, tint, t->columns[i].flags, widths[i], &gap);
        }
        (void)fputc('\n', stdout);
}

int table_print(const Table *t, bool legend) {
        size_t widths[TABLE_COLUMNS_MAX] = {};
        bool shown[TABLE_COLUMNS_MAX];

        if (t->oom)
                return -ENOMEM;
        memset(shown, true, sizeof shown);
        measure(t, legend, widths);
        fit(t, widths, shown, output_columns());
        if (legend)
                print_row(t, NULL, widths, shown);
        for (size_t row = 0; row < table_rows(t); row++)
                print_row(t, &t->cells[row * t->n_columns], widths, shown);
        return 0;
}
