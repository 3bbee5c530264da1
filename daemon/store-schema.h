/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The tables, their versions, and how it is known that nobody has damaged them.
 *
 * Each row has a checksum of its other columns, and `meta` has the sum of those: a flipped bit in a text, and a row
 * that is lost, are noticed, which SQLite itself does not promise. SQL of a version may use row_checksum(...).
 */

#include <sqlite3.h>

#include "bus-error.h"

#define STORE_APPLICATION_ID 0x56507374 /* "VPst"; file(1) and we know the file by it */

/* From version n to n + 1, n being its index in the table. */
typedef struct StoreStep {
        const char *sql;
        const char *damage; /* of a database of version n + 1: a row for each thing that its checksum contradicts */
        const char *total; /* the sum of the checksums of all rows, as an expression; NULL: as the step before */
} StoreStep;

typedef struct StoreSchema {
        const StoreStep *steps;
        int version; /* and number of steps */
} StoreSchema;

extern const StoreSchema store_schema; /* this program's */

/* Makes row_checksum() known on this handle. */
int store_schema_prepare(sqlite3 *db);

/* Goes on from version `from`; in the caller's transaction. A result of SQLite's. */
int store_schema_migrate(sqlite3 *db, const StoreSchema *schema, int from);

/* Puts the sum over all rows, and who wrote it, into `meta`: the last thing in each transaction. SQLite's result. */
int store_schema_seal(sqlite3 *db);

/* Is it what a database of this version must be, in its pages, tables, references and rows? -EREMOTEIO with what is
 * wrong ("rule 'x' is not as it was written"), without a dot at its end. */
int store_schema_verify(sqlite3 *db, const StoreSchema *schema, int version, Failure *f);
