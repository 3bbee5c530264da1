/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "store-db.h"
#include "store-file.h"
#include "store-read.h"
#include "text.h"

#define NEW_FILE STORE_FILE ".new"
#define SIZE_MAX_BYTES (512LL * 1024 * 1024) /* several times what all limits of record.h add up to */

#define NOTHING_CHANGES "Until then groups and rules can be neither shown nor changed."

typedef struct Opening {
        int directory_fd;
        const StoreSchema *schema;
        Failure *failure;
        char path[512]; /* of the file, for sentences */
        int64_t size, wal_size;
        bool had_wal;
} Opening;

static void name_path(int directory_fd, char *buf, size_t size) {
        char link[64], target[400];
        ssize_t n;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", directory_fd);
        n = readlink(link, target, sizeof target - 1);
        if (n < 0)
                n = 0;
        target[n] = '\0';
        (void)snprintf(buf, size, "%s%s" STORE_FILE, target, n > 0 ? "/" : "");
}

/* A hindrance outside the file: with it gone, nothing is wrong. */
static int hindered(Opening *o, const char *what, int error) {
        if (error == -ENOMEM)
                return error;
        return failure_set(o->failure, FAILURE_INTERNAL,
                           "The store %s cannot be used: %s (%s). " NOTHING_CHANGES
                           " Remove the cause, then run 'systemctl restart verge-passthroughd'.",
                           o->path, what, strerror(-error));
}

static int damaged(Opening *o, const char *what) {
        int n = (int)strlen(what);

        if (n > 300) /* the advice must fit, too */
                n = 300;
        while (n > 0 && what[n - 1] == '.')
                n--;
        return failure_set(o->failure, FAILURE_INTERNAL,
                           "The store %s is damaged: %.*s. It has been left as it is. " NOTHING_CHANGES
                           " Restore a backup of it, or move it and " STORE_FILE
                           "-wal away to start with none; then run 'systemctl restart verge-passthroughd'.",
                           o->path, n, what);
}

void store_file_explain(int directory_fd, const char *what, Failure *f) {
        Opening o = {.directory_fd = directory_fd, .failure = f};

        name_path(directory_fd, o.path, sizeof o.path);
        (void)failure_set(f, FAILURE_INTERNAL,
                          "The store %s cannot be written: %s. What was confirmed before is kept, and "
                          "nothing can be "
                          "changed any more. Remove the cause, then run 'systemctl restart "
                          "verge-passthroughd'.",
                          o.path, what);
}

/* What SQLite says about it, r being of store_db_errno(). */
static int refused(Opening *o, sqlite3 *db, int r) {
        char reason[256];

        (void)store_db_reason(db, sqlite3_extended_errcode(db), reason, sizeof reason);
        switch (sqlite3_errcode(db)) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return hindered(o, "another program has it open", r);
        case SQLITE_NOMEM:
        case SQLITE_FULL:
        case SQLITE_READONLY:
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM:
                return hindered(o, "the disk or the system refuses", r);
        default:
                return r == -ENOMEM ? r : damaged(o, reason);
        }
}

/* Size of a file beside the database: 0 when there is none. */
static int look_at(const Opening *o, const char *name, int64_t *ret_size) {
        struct stat st;

        *ret_size = 0;
        if (fstatat(o->directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISREG(st.st_mode))
                return S_ISLNK(st.st_mode) ? -ELOOP : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
        *ret_size = st.st_size;
        return 1;
}

/* Before SQLite sees it, for SQLite would take an empty file for a new database, and finish what another program has
 * begun to write. 1: there is a database, 0: there is none. It is not opened here: closing it again would drop the
 * locks of whoever has it open in this process. */
static int survey(Opening *o) {
        int exists, wal, journal;
        int64_t journal_size;

        exists = look_at(o, STORE_FILE, &o->size);
        wal = look_at(o, STORE_FILE "-wal", &o->wal_size);
        journal = look_at(o, STORE_FILE "-journal", &journal_size);
        if (exists < 0)
                return hindered(o, "it cannot be opened", exists);
        if (wal < 0 || journal < 0)
                return hindered(o, "what stands beside it cannot be opened", wal < 0 ? wal : journal);
        o->had_wal = wal > 0;

        if (journal_size > 0)
                return damaged(o, STORE_FILE
                               "-journal is beside it, so another program was interrupted writing it");
        if (!exists && o->wal_size > 0)
                return damaged(o, "it is missing, but its " STORE_FILE "-wal is there");
        if (!exists)
                return 0;
        if (o->size == 0)
                return damaged(o, "it is empty");
        if (o->size > SIZE_MAX_BYTES)
                return damaged(o, "it is larger than it can be");
        if (faccessat(o->directory_fd, STORE_FILE, R_OK | W_OK, AT_EACCESS) < 0)
                return hindered(o, "it cannot be written", -errno);
        if (faccessat(o->directory_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
                return hindered(o, "its directory cannot be written", -errno);
        return 1;
}

static int open_file(Opening *o, const char *name, sqlite3 **ret) {
        char path[PATH_MAX];
        int rc;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", o->directory_fd, name);
        rc = store_db_open(path, ret);
        if (rc == SQLITE_OK)
                rc = store_schema_prepare(*ret);
        return store_db_errno(*ret, rc);
}

static int write_new(Opening *o, sqlite3 *db) {
        char application_id[64];
        int rc;

        (void)snprintf(application_id, sizeof application_id, "PRAGMA application_id = %d",
                       STORE_APPLICATION_ID);
        store_db_settle(db, true);
        if ((rc = store_db_exec(db, "PRAGMA journal_mode = WAL")) == SQLITE_OK &&
            (rc = store_db_exec(db, "BEGIN IMMEDIATE")) == SQLITE_OK &&
            (rc = store_db_exec(db, application_id)) == SQLITE_OK &&
            (rc = store_schema_migrate(db, o->schema, 0)) == SQLITE_OK &&
            (rc = store_db_exec(db, "COMMIT")) == SQLITE_OK)
                rc = store_db_checkpoint(db);
        return store_db_errno(db, rc);
}

static void remove_new(const Opening *o) {
        (void)unlinkat(o->directory_fd, NEW_FILE "-wal", 0);
        (void)unlinkat(o->directory_fd, NEW_FILE "-journal", 0);
        (void)unlinkat(o->directory_fd, NEW_FILE, 0);
}

/* Whole, under another name: what has the name of the store has been a database from its first moment on. */
static int make_new(Opening *o) {
        _cleanup_(store_db_closep) sqlite3 *db = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        remove_new(o); /* of one who was interrupted */
        fd = openat(o->directory_fd, NEW_FILE, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;

        r = open_file(o, NEW_FILE, &db);
        if (r == 0)
                r = write_new(o, db);
        db = store_db_close(db);
        if (r < 0)
                return r;

        if (fsync(fd) < 0 ||
            renameat2(o->directory_fd, NEW_FILE, o->directory_fd, STORE_FILE, RENAME_NOREPLACE) < 0 ||
            fsync(o->directory_fd) < 0)
                return -errno;
        return 0;
}

/* Who wrote a database that is newer than we are; what it says is text of a stranger. */
static int refuse_newer(Opening *o, sqlite3 *db, int version) {
        _cleanup_free_ char *written_by = NULL;
        char who[64] = "a newer version";

        if (store_db_text(db, "SELECT 'version ' || written_by FROM meta", &written_by) == 0)
                text_sanitize(who, sizeof who, written_by, strlen(written_by));
        return failure_set(o->failure, FAILURE_INTERNAL,
                           "The store %s has format %d, written by %s of verge-passthrough; this is "
                           "version " PROJECT_VERSION
                           ", knows format %d, and has left it as it is. " NOTHING_CHANGES
                           " Install the newer version again, or restore a backup from before the update.",
                           o->path, version, who, o->schema->version);
}

/* Returns the version of what is there. */
static int identify(Opening *o, sqlite3 *db) {
        int64_t id, version, pages, page_size;
        int r;

        if ((r = store_db_number(db, "PRAGMA application_id", &id)) < 0 ||
            (r = store_db_number(db, "PRAGMA user_version", &version)) < 0 ||
            (r = store_db_number(db, "PRAGMA page_count", &pages)) < 0 ||
            (r = store_db_number(db, "PRAGMA page_size", &page_size)) < 0)
                return refused(o, db, r);
        /* SQLite takes what is missing of the last page for zeros. While there is a WAL it may stand only there. */
        if (o->size > 0 && o->wal_size == 0 && o->size < pages * page_size)
                return damaged(o, "its end is cut off");
        if (id != STORE_APPLICATION_ID)
                return damaged(o, "it is a database of another program");
        if (version < 1)
                return damaged(o, "it does not say which format it has");
        if (version > o->schema->version)
                return refuse_newer(o, db, (int)version);
        return (int)version;
}

static int check(Opening *o, sqlite3 *db, int version) {
        Failure what = {0};
        int r;

        r = store_schema_verify(db, o->schema, version, &what);
        return r == 0 ? 0 : r == -EREMOTEIO ? damaged(o, what.sentence) : refused(o, db, r);
}

/* In one transaction, which ends well only when all that came out of it is valid: else the file stays what it was. */
static int migrate_and_read(Opening *o, sqlite3 *db, int version, StoreContents *ret) {
        bool old = version < o->schema->version;
        Failure what = {0};
        int r, rc;

        rc = store_db_exec(db, old ? "BEGIN IMMEDIATE" : "BEGIN");
        if (rc == SQLITE_OK && old)
                rc = store_schema_migrate(db, o->schema, version);
        if (rc != SQLITE_OK)
                return refused(o, db, store_db_errno(db, rc));
        if (old && (r = check(o, db, o->schema->version)) < 0)
                return r;

        r = store_read(db, ret, &what);
        if (r < 0)
                return r == -EREMOTEIO ? damaged(o, what.sentence) : refused(o, db, r);

        rc = store_db_exec(db, "COMMIT");
        if (rc == SQLITE_OK)
                return 0;
        store_contents_clear(ret);
        return refused(o, db, store_db_errno(db, rc));
}

static int use(Opening *o, sqlite3 *db, StoreContents *ret) {
        int version, r;

        version = identify(o, db);
        if (version < 0)
                return version;
        r = check(o, db, version);
        return r < 0 ? r : migrate_and_read(o, db, version, ret);
}

/* From here on it is ours. A copy made by another tool may have come without the WAL mode. What a crash has left in the
 * WAL is brought home; a full disk may keep it there. */
static int settle(Opening *o, sqlite3 *db) {
        int rc;

        rc = store_db_exec(db, "PRAGMA journal_mode = WAL");
        if (rc != SQLITE_OK)
                return refused(o, db, store_db_errno(db, rc));

        store_db_settle(db, true);
        (void)store_db_checkpoint(db);
        return 0;
}

static void leave_alone(const Opening *o) {
        struct stat st;

        /* SQLite makes an empty WAL when it only reads. */
        if (!o->had_wal && fstatat(o->directory_fd, STORE_FILE "-wal", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_size == 0)
                (void)unlinkat(o->directory_fd, STORE_FILE "-wal", 0);
}

int store_file_open(int directory_fd, const StoreSchema *schema, sqlite3 **ret, StoreContents *ret_contents,
                    Failure *f) {
        Opening o = {.directory_fd = directory_fd, .schema = schema, .failure = f};
        sqlite3 *db = NULL;
        int r;

        assert(directory_fd >= 0);
        assert(schema);
        assert(ret);
        assert(ret_contents);
        assert(f);

        name_path(directory_fd, o.path, sizeof o.path);
        r = survey(&o);
        if (r < 0)
                return r;
        if (r == 0 && (r = make_new(&o)) < 0) {
                remove_new(&o);
                return hindered(&o, "it cannot be made", r);
        }

        r = open_file(&o, STORE_FILE, &db);
        r = r < 0 ? refused(&o, db, r) : use(&o, db, ret_contents);
        if (r == 0) {
                r = settle(&o, db);
                if (r < 0)
                        store_contents_clear(ret_contents);
        }
        if (r < 0) {
                store_db_close(db);
                leave_alone(&o);
                return r;
        }

        *ret = db;
        return 0;
}
