/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store-change.h"
#include "store-db.h"
#include "store-schema.h"
#include "store-write.h"

typedef enum Statement {
        BEGIN,
        COMMIT,
        ROLLBACK,
        PUT_GROUP,
        DELETE_GROUP,
        PUT_RULE,
        DELETE_RULE,
        RAISE_AGE,
        PUT_INTENT,
        DELETE_INTENT,
        STATEMENT_MAX,
} Statement;

/* Not INSERT OR REPLACE: that deletes first, and a group's rules with it. */
static const char *const statement_sql[STATEMENT_MAX] = {
                [BEGIN] = "BEGIN IMMEDIATE",
                [COMMIT] = "COMMIT",
                [ROLLBACK] = "ROLLBACK",
                [PUT_GROUP] = "INSERT INTO groups (id, name, type, description, class, enabled, binding, "
                              "created, "
                              "  modified, checksum) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                              "  row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)) "
                              "ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type, "
                              "  description = excluded.description, class = excluded.class, "
                              "  enabled = excluded.enabled, binding = excluded.binding, "
                              "  created = excluded.created, modified = excluded.modified, "
                              "  checksum = excluded.checksum",
                [DELETE_GROUP] = "DELETE FROM groups WHERE id = ?1",
                [PUT_RULE] = "INSERT INTO rules (age, id, group_id, name, node, filter, enabled, "
                             "auto_created, "
                             "  created, modified, checksum) "
                             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
                             "  row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)) "
                             "ON CONFLICT (id) DO UPDATE SET age = excluded.age, group_id = "
                             "excluded.group_id, "
                             "  name = excluded.name, node = excluded.node, filter = excluded.filter, "
                             "  enabled = excluded.enabled, auto_created = excluded.auto_created, "
                             "  created = excluded.created, modified = excluded.modified, "
                             "  checksum = excluded.checksum",
                [DELETE_RULE] = "DELETE FROM rules WHERE id = ?1",
                [RAISE_AGE] = "UPDATE meta SET next_age = ?1 + 1 WHERE next_age <= ?1",
                [PUT_INTENT] = "INSERT INTO intents (id, kind, data, created, checksum) "
                               "VALUES (?1, ?2, ?3, ?4, row_checksum(?1, ?2, ?3, ?4)) "
                               "ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, data = excluded.data, "
                               "  created = excluded.created, checksum = excluded.checksum",
                [DELETE_INTENT] = "DELETE FROM intents WHERE id = ?1",
};

struct StoreWriter {
        sqlite3 *db;
        sqlite3_stmt *statements[STATEMENT_MAX];
        bool broken;
};

int store_writer_new(sqlite3 *db, StoreWriter **ret) {
        _cleanup_(store_writer_freep) StoreWriter *w = NULL;
        int rc, r;

        assert(db);
        assert(ret);

        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;

        w->db = db;
        for (int i = 0; i < STATEMENT_MAX; i++) {
                rc = sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                        &w->statements[i], NULL);
                if (rc != SQLITE_OK) {
                        r = store_db_errno(db, rc);
                        w->db = NULL; /* it stays the caller's; what is prepared goes below */
                        return r;
                }
        }

        *ret = STEAL(w);
        return 0;
}

StoreWriter *store_writer_free(StoreWriter *w) {
        if (!w)
                return NULL;

        for (int i = 0; i < STATEMENT_MAX; i++)
                (void)sqlite3_finalize(w->statements[i]);
        if (w->db)
                store_db_close(w->db);
        free(w);
        return NULL;
}

/* The text must live until run() returns. */
static int bind_text(sqlite3_stmt *s, int i, const char *text) {
        return sqlite3_bind_text(s, i, strempty(text), -1, SQLITE_STATIC);
}

static int bind_number(sqlite3_stmt *s, int i, uint64_t number) {
        /* A number that SQLite has not comes out negative, and each table refuses that. */
        return sqlite3_bind_int64(s, i, (sqlite3_int64)number);
}

/* Carries it out; leaves it without arguments for the next time. */
static int run(sqlite3_stmt *s) {
        int rc = sqlite3_step(s);

        (void)sqlite3_reset(s);
        (void)sqlite3_clear_bindings(s);
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int put_group(StoreWriter *w, const GroupRecord *g) {
        sqlite3_stmt *s = w->statements[PUT_GROUP];
        int rc = SQLITE_OK;

        rc = rc ?: bind_text(s, 1, g->id);
        rc = rc ?: bind_text(s, 2, g->name);
        rc = rc ?: bind_text(s, 3, group_type_to_string(g->type));
        rc = rc ?: bind_text(s, 4, g->description);
        rc = rc ?: bind_text(s, 5, group_class_to_string(g->class));
        rc = rc ?: bind_number(s, 6, g->enabled);
        rc = rc ?: bind_text(s, 7, group_binding_to_string(g->binding));
        rc = rc ?: bind_number(s, 8, g->created);
        rc = rc ?: bind_number(s, 9, g->modified);
        return rc ?: run(s);
}

static int put_rule(StoreWriter *w, const RuleRecord *r) {
        sqlite3_stmt *s = w->statements[PUT_RULE], *raise = w->statements[RAISE_AGE];
        int rc = SQLITE_OK;

        rc = rc ?: bind_number(s, 1, r->age);
        rc = rc ?: bind_text(s, 2, r->id);
        rc = rc ?: bind_text(s, 3, r->group);
        rc = rc ?: bind_text(s, 4, r->name);
        rc = rc ?: bind_text(s, 5, r->node);
        rc = rc ?: bind_text(s, 6, r->filter);
        rc = rc ?: bind_number(s, 7, r->enabled);
        rc = rc ?: bind_number(s, 8, r->auto_created);
        rc = rc ?: bind_number(s, 9, r->created);
        rc = rc ?: bind_number(s, 10, r->modified);
        rc = rc ?: run(s);
        rc = rc ?: bind_number(raise, 1, r->age);
        return rc ?: run(raise);
}

static int put_intent(StoreWriter *w, const IntentRecord *i) {
        sqlite3_stmt *s = w->statements[PUT_INTENT];
        int rc = SQLITE_OK;

        rc = rc ?: bind_text(s, 1, i->id);
        rc = rc ?: bind_text(s, 2, intent_kind_to_string(i->kind));
        rc = rc ?: bind_text(s, 3, i->data);
        rc = rc ?: bind_number(s, 4, i->created);
        return rc ?: run(s);
}

static int delete_by_id(StoreWriter *w, Statement statement, const char *id) {
        sqlite3_stmt *s = w->statements[statement];

        return bind_text(s, 1, id) ?: run(s);
}

static int carry_out(StoreWriter *w, const StoreOrder *o) {
        switch (o->verb) {
        case STORE_PUT_GROUP:
                return put_group(w, &o->group);
        case STORE_DELETE_GROUP:
                return delete_by_id(w, DELETE_GROUP, o->id);
        case STORE_PUT_RULE:
                return put_rule(w, &o->rule);
        case STORE_DELETE_RULE:
                return delete_by_id(w, DELETE_RULE, o->id);
        case STORE_PUT_INTENT:
                return put_intent(w, &o->intent);
        case STORE_DELETE_INTENT:
                return delete_by_id(w, DELETE_INTENT, o->id);
        }
        assert(!"no such verb");
        return SQLITE_MISUSE;
}

static int carry_out_all(StoreWriter *w, const StoreChange *c) {
        int rc;

        rc = run(w->statements[BEGIN]);
        for (size_t i = 0; i < c->n && rc == SQLITE_OK; i++)
                rc = carry_out(w, &c->orders[i]);
        rc = rc ?: store_schema_seal(w->db);
        return rc ?: run(w->statements[COMMIT]);
}

/* After a COMMIT that failed in a sync, its last page may well have reached the WAL, and a crash would then bring back
 * what was reported as failed: an empty WAL cannot. A full disk stops before that page. */
static void undo(StoreWriter *w, int rc, Failure *broken) {
        bool damaged = (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
        bool io = (rc & 0xff) == SQLITE_IOERR, full = (rc & 0xff) == SQLITE_FULL;
        char reason[256];

        (void)store_db_reason(w->db, rc, reason, sizeof reason);
        if (!sqlite3_get_autocommit(w->db))
                (void)run(w->statements[ROLLBACK]);

        w->broken = damaged || !sqlite3_get_autocommit(w->db);
        if (!w->broken && (io || full) && store_db_checkpoint(w->db) != SQLITE_OK)
                w->broken = io;
        if (!w->broken)
                return;

        (void)failure_set(broken, FAILURE_INTERNAL, "%s", reason);
        if (damaged) /* leave it to whoever repairs it */
                store_db_settle(w->db, false);
}

int store_writer_commit(StoreWriter *w, const StoreChange *c, Failure *broken) {
        int rc, r;

        assert(w);
        assert(c);
        assert(broken);

        if (w->broken)
                return -EROFS;

        rc = carry_out_all(w, c);
        if (rc != SQLITE_OK) {
                r = store_db_errno(w->db, rc);
                undo(w, rc, broken);
                return r;
        }

        /* The WAL carries one change at a time and is never the only place of one that was reported: damage to it
         * loses nothing. Should this fail, it still has the change, and the next one tries again. */
        (void)store_db_checkpoint(w->db);
        return 0;
}
