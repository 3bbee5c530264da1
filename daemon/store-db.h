/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SQLite as this store wants it: one handle, used by one thread at a time, that trusts nothing which stands in the
 * file. It holds the file's lock for as long as it is open (locking_mode=EXCLUSIVE): nobody writes behind the back of
 * the store, and there is no -shm file. Nothing in the file is changed by itself, not even at the end.
 *
 * Results are SQLite's (SQLITE_OK is 0) where `rc` stands, negative errnos where `r` stands.
 */

#include <sqlite3.h>

#include "macro.h"

/* -errno of what went wrong last on this handle. */
int store_db_errno(sqlite3 *db, int rc);

/* A part of a sentence about what went wrong last: "Input/output error". Returns buf. */
const char *store_db_reason(sqlite3 *db, int rc, char *buf, size_t size);

/* path may begin with /proc/self/fd/N; that fd is needed until this returns. *ret is to be closed after a failure,
 * too. */
int store_db_open(const char *path, sqlite3 **ret);
sqlite3 *store_db_close(sqlite3 *db);
DEFINE_CLEANUP(sqlite3 *, store_db_close);

/* Whether at the end what the WAL holds is brought home, and the WAL removed. Not until it is said. */
void store_db_settle(sqlite3 *db, bool settle);

/* Brings home what the WAL holds, and empties it. */
int store_db_checkpoint(sqlite3 *db);

int store_db_exec(sqlite3 *db, const char *sql); /* constant SQL; rows are ignored */

/* The first column of the first row; -ENODATA: there is no row or it is NULL; else store_db_errno(). */
int store_db_number(sqlite3 *db, const char *sql, int64_t *ret);
int store_db_text(sqlite3 *db, const char *sql, char **ret);

static inline void sqlite3_finalizep(sqlite3_stmt **s) {
        (void)sqlite3_finalize(*s);
}
