/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store-db.h"

#define BUSY_MSEC 1000 /* for a predecessor that is just ending */

/* SQLite remembers the kernel's errno for opening only; of what failed while writing it tells a full disk apart. */
static int kernel_errno(sqlite3 *db, int rc) {
        int error = db && (rc & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;

        return error > 0 ? error : EIO;
}

int store_db_errno(sqlite3 *db, int rc) {
        if (rc == SQLITE_IOERR_NOMEM)
                return -ENOMEM;

        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH:
        case SQLITE_RANGE:
                return -EINVAL;
        case SQLITE_TOOBIG:
                return -E2BIG;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EBADMSG;
        default:
                return -kernel_errno(db, rc);
        }
}

const char *store_db_reason(sqlite3 *db, int rc, char *buf, size_t size) {
        assert(db);
        assert(buf);

        if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN)
                (void)snprintf(buf, size, "%s", strerror(-store_db_errno(db, rc)));
        else
                (void)snprintf(buf, size, "%s", sqlite3_errmsg(db));
        return buf;
}

static void set_limits(sqlite3 *db) {
        static const struct {
                int limit, value;
        } limits[] = {
                        {SQLITE_LIMIT_LENGTH, 1024 * 1024}, {SQLITE_LIMIT_SQL_LENGTH, 64 * 1024},
                        {SQLITE_LIMIT_COLUMN, 64},          {SQLITE_LIMIT_EXPR_DEPTH, 64},
                        {SQLITE_LIMIT_COMPOUND_SELECT, 16}, {SQLITE_LIMIT_FUNCTION_ARG, 32},
                        {SQLITE_LIMIT_ATTACHED, 0},         {SQLITE_LIMIT_VARIABLE_NUMBER, 32},
                        {SQLITE_LIMIT_TRIGGER_DEPTH, 4},    {SQLITE_LIMIT_WORKER_THREADS, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                (void)sqlite3_limit(db, limits[i].limit, limits[i].value);
}

static int configure(sqlite3 *db) {
        static const struct {
                int option, value;
        } options[] = {
                        {SQLITE_DBCONFIG_DEFENSIVE, 1},        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},      {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
                        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},   {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
                        {SQLITE_DBCONFIG_DQS_DDL, 0},          {SQLITE_DBCONFIG_DQS_DML, 0},
                        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
        };
        int rc;

        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                rc = sqlite3_db_config(db, options[i].option, options[i].value, NULL);
                if (rc != SQLITE_OK)
                        return rc;
        }
        return sqlite3_busy_timeout(db, BUSY_MSEC);
}

int store_db_open(const char *path, sqlite3 **ret) {
        int rc;

        assert(path);
        assert(ret);

        rc = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                             NULL);
        if (rc != SQLITE_OK || (rc = configure(*ret)) != SQLITE_OK)
                return rc;
        set_limits(*ret);

        /* The lock first: before the file is looked at, or SQLite would make a -shm. Nothing is written before a
         * COMMIT (no spill), and nothing is brought home from the WAL but when we say so. */
        return store_db_exec(*ret, "PRAGMA locking_mode = EXCLUSIVE;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA mmap_size = 0;"
                                   "PRAGMA wal_autocheckpoint = 0;"
                                   "PRAGMA cell_size_check = ON;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA cache_spill = OFF;"
                                   "PRAGMA foreign_keys = ON;");
}

sqlite3 *store_db_close(sqlite3 *db) {
        int rc = sqlite3_close(db);

        assert(rc == SQLITE_OK); /* a statement of ours is left */
        (void)rc;
        return NULL;
}

void store_db_settle(sqlite3 *db, bool settle) {
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !settle, NULL);
}

int store_db_checkpoint(sqlite3 *db) {
        return sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

int store_db_exec(sqlite3 *db, const char *sql) {
        return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* 0 when there is a row whose first column is not NULL. */
static int first_row(sqlite3 *db, const char *sql, sqlite3_stmt **ret) {
        int rc;

        rc = sqlite3_prepare_v2(db, sql, -1, ret, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(*ret);
        if (rc == SQLITE_DONE)
                return -ENODATA;
        if (rc != SQLITE_ROW)
                return store_db_errno(db, rc);
        return sqlite3_column_type(*ret, 0) == SQLITE_NULL ? -ENODATA : 0;
}

int store_db_number(sqlite3 *db, const char *sql, int64_t *ret) {
        _cleanup_(sqlite3_finalizep) sqlite3_stmt *s = NULL;
        int r;

        r = first_row(db, sql, &s);
        if (r == 0)
                *ret = sqlite3_column_int64(s, 0);
        return r;
}

int store_db_text(sqlite3 *db, const char *sql, char **ret) {
        _cleanup_(sqlite3_finalizep) sqlite3_stmt *s = NULL;
        const unsigned char *text;
        int r;

        r = first_row(db, sql, &s);
        if (r < 0)
                return r;

        text = sqlite3_column_text(s, 0);
        *ret = text ? strdup((const char *)text) : NULL;
        return *ret ? 0 : -ENOMEM;
}
