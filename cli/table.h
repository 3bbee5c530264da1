/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Rows of cells, as wide as they need be, and no wider than the terminal. */

#include "output.h"

#define TABLE_COLUMNS_MAX 12

typedef enum ColumnFlags {
        COLUMN_SHRINKS = 1 << 0, /* may be cut, to `least` */
        COLUMN_OPTIONAL =
                        1 << 1, /* left out where the terminal is too narrow for all, the last such first */
        COLUMN_SPARE = 1 << 4,  /* the same, before those that are merely optional */
        COLUMN_RIGHT = 1 << 2,  /* numbers */
        COLUMN_WRAPS = 1
                       << 3, /* sentences: the last column alone, which goes on below itself, from `least` */
} ColumnFlags;

typedef struct Column {
        const char *title;
        unsigned flags;
        size_t least;
} Column;

typedef struct Table Table;

/* columns: static, ended by one without title. NULL: no memory. */
Table *table_new(const Column columns[]);
Table *table_free(Table *t);
DEFINE_CLEANUP(Table *, table_free);

/* The next cell; text is copied. Lack of memory is told by table_print(). depth: of a tree, in the first column. */
void table_add(Table *t, Tint tint, const char *text);
void table_add_number(Table *t, Tint tint, uint64_t number);

size_t table_rows(const Table *t) _pure_;

/* Prints it with a line of titles, unless legend is false. 0 or -ENOMEM. */
int table_print(const Table *t, bool legend);
