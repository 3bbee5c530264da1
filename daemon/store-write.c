/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store-change.h"
#include "store-db.h"
#include "store-devices.h"
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
        PUT_CLAIM,
        DELETE_CLAIM,
        PUT_RUN,
        DELETE_RUN,
        PUT_QUARANTINE,
        DELETE_QUARANTINE,
        HAS_CLAIM,
        HAS_RUN,
        STATEMENT_MAX,
} Statement;

/* Not INSERT OR REPLACE: that deletes first, and a group's rules with it. */
static const char *const statement_sql[STATEMENT_MAX] = {
                [BEGIN] = "BEGIN IMMEDIATE",
                [COMMIT] = "COMMIT",
                [ROLLBACK] = "ROLLBACK",
                [PUT_GROUP] = "INSERT INTO groups (id, name, type, description, class, enabled, binding, "
                              "  quota, sriov, created, modified, checksum) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
                              "  row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)) "
                              "ON CONFLICT (id) DO UPDATE SET name = excluded.name, type = excluded.type, "
                              "  description = excluded.description, class = excluded.class, "
                              "  enabled = excluded.enabled, binding = excluded.binding, "
                              "  quota = excluded.quota, sriov = excluded.sriov, "
                              "  created = excluded.created, "
                              "  modified = excluded.modified, "
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
                [PUT_CLAIM] = "INSERT INTO claims (id, group_id, owner, vm, name, description, count, turn, "
                              "  optional, enabled, doomed, sriov, macs, created, modified, checksum) "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, "
                              "  row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "
                              "?15)) "
                              "ON CONFLICT (id) DO UPDATE SET group_id = excluded.group_id, "
                              "  owner = excluded.owner, vm = excluded.vm, name = excluded.name, "
                              "  description = excluded.description, count = excluded.count, "
                              "  turn = excluded.turn, optional = excluded.optional, "
                              "  enabled = excluded.enabled, doomed = excluded.doomed, "
                              "  sriov = excluded.sriov, macs = excluded.macs, "
                              "  created = excluded.created, modified = excluded.modified, "
                              "  checksum = excluded.checksum",
                [DELETE_CLAIM] = "DELETE FROM claims WHERE id = ?1",
                [PUT_RUN] = "INSERT INTO runs (id, owner, vm, uid, starting, track, tracked, access, "
                            "  boot_id, devices, created, checksum) "
                            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
                            "  row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)) "
                            "ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, vm = excluded.vm, "
                            "  uid = excluded.uid, starting = excluded.starting, track = excluded.track, "
                            "  tracked = excluded.tracked, access = excluded.access, "
                            "  boot_id = excluded.boot_id, devices = excluded.devices, "
                            "  created = excluded.created, checksum = excluded.checksum",
                [DELETE_RUN] = "DELETE FROM runs WHERE id = ?1",
                [PUT_QUARANTINE] = "INSERT INTO quarantine (address, vendor, device, subsystem_vendor, "
                                   "  subsystem_device, class, revision, serial, slot, reason, boot_id, "
                                   "  created, checksum) "
                                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
                                   "  row_checksum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)) "
                                   "ON CONFLICT (address) DO UPDATE SET vendor = excluded.vendor, "
                                   "  device = excluded.device, "
                                   "  subsystem_vendor = excluded.subsystem_vendor, "
                                   "  subsystem_device = excluded.subsystem_device, "
                                   "  class = excluded.class, revision = excluded.revision, "
                                   "  serial = excluded.serial, slot = excluded.slot, "
                                   "  reason = excluded.reason, boot_id = excluded.boot_id, "
                                   "  created = excluded.created, checksum = excluded.checksum",
                [DELETE_QUARANTINE] = "DELETE FROM quarantine WHERE address = ?1",
                /* Questions: a row is a yes. */
                [HAS_CLAIM] = "SELECT 1 FROM claims WHERE id = ?1",
                [HAS_RUN] = "SELECT 1 FROM runs WHERE instr(char(10) || devices, char(10) || ?1) > 0",
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
        char sriov[SRIOV_LINE_SIZE];
        int rc = SQLITE_OK;

        rc = rc ?: bind_text(s, 1, g->id);
        rc = rc ?: bind_text(s, 2, g->name);
        rc = rc ?: bind_text(s, 3, group_type_to_string(g->type));
        rc = rc ?: bind_text(s, 4, g->description);
        rc = rc ?: bind_text(s, 5, group_class_to_string(g->class));
        rc = rc ?: bind_number(s, 6, g->enabled);
        rc = rc ?: bind_text(s, 7, group_binding_to_string(g->binding));
        rc = rc ?: bind_number(s, 8, g->quota);
        rc = rc ?: bind_text(s, 9, sriov_settings_format(&g->sriov, sriov));
        rc = rc ?: bind_number(s, 10, g->created);
        rc = rc ?: bind_number(s, 11, g->modified);
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

static int put_claim(StoreWriter *w, const ClaimRecord *c) {
        sqlite3_stmt *s = w->statements[PUT_CLAIM];
        char sriov[VF_LINE_SIZE], macs[CLAIM_MACS_SIZE];
        int rc = SQLITE_OK;

        rc = rc ?: bind_text(s, 1, c->id);
        rc = rc ?: bind_text(s, 2, c->group);
        rc = rc ?: bind_number(s, 3, c->owner);
        rc = rc ?: bind_text(s, 4, c->vm);
        rc = rc ?: bind_text(s, 5, c->name);
        rc = rc ?: bind_text(s, 6, c->description);
        rc = rc ?: bind_number(s, 7, c->count);
        rc = rc ?: bind_number(s, 8, c->order);
        rc = rc ?: bind_number(s, 9, c->optional);
        rc = rc ?: bind_number(s, 10, c->enabled);
        rc = rc ?: bind_number(s, 11, c->doomed);
        rc = rc ?: bind_text(s, 12, vf_settings_format(&c->settings, sriov));
        rc = rc ?: bind_text(s, 13, claim_macs_format(c, macs));
        rc = rc ?: bind_number(s, 14, c->created);
        rc = rc ?: bind_number(s, 15, c->modified);
        return rc ?: run(s);
}

static int put_run(StoreWriter *w, const RunRecord *r) {
        _cleanup_free_ char *devices = NULL;
        sqlite3_stmt *s = w->statements[PUT_RUN];
        int rc = SQLITE_OK;

        if (store_devices_format(r->devices, r->n_devices, &devices) < 0)
                return SQLITE_NOMEM;

        rc = rc ?: bind_text(s, 1, r->id);
        rc = rc ?: bind_number(s, 2, r->owner);
        rc = rc ?: bind_text(s, 3, r->vm);
        rc = rc ?: bind_number(s, 4, r->uid);
        rc = rc ?: bind_number(s, 5, r->starting);
        rc = rc ?: bind_text(s, 6, run_track_to_string(r->track));
        rc = rc ?: bind_text(s, 7, r->tracked);
        rc = rc ?: bind_text(s, 8, run_access_to_string(r->access));
        rc = rc ?: bind_text(s, 9, r->boot_id);
        rc = rc ?: bind_text(s, 10, devices);
        rc = rc ?: bind_number(s, 11, r->created);
        return rc ?: run(s);
}

static int put_quarantine(StoreWriter *w, const QuarantineRecord *q) {
        sqlite3_stmt *s = w->statements[PUT_QUARANTINE];
        const PciIdentity *i = &q->identity;
        char address[PCI_ADDRESS_SIZE];
        int rc = SQLITE_OK;

        rc = rc ?: bind_text(s, 1, pci_address_format(&i->address, address));
        rc = rc ?: bind_number(s, 2, i->vendor);
        rc = rc ?: bind_number(s, 3, i->device);
        rc = rc ?: bind_number(s, 4, i->subsystem_vendor);
        rc = rc ?: bind_number(s, 5, i->subsystem_device);
        rc = rc ?: bind_number(s, 6, i->class_code);
        rc = rc ?: bind_number(s, 7, i->revision);
        rc = rc ?: bind_text(s, 8, i->serial);
        rc = rc ?: bind_text(s, 9, i->slot);
        rc = rc ?: bind_text(s, 10, q->reason);
        rc = rc ?: bind_text(s, 11, q->boot_id);
        rc = rc ?: bind_number(s, 12, q->created);
        return rc ?: run(s);
}

static int delete_by_id(StoreWriter *w, Statement statement, const char *id) {
        sqlite3_stmt *s = w->statements[statement];

        return bind_text(s, 1, id) ?: run(s);
}

static int carry_out(StoreWriter *w, const StoreOrder *o) {
        char address[PCI_ADDRESS_SIZE];

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
        case STORE_PUT_CLAIM:
                return put_claim(w, &o->claim);
        case STORE_DELETE_CLAIM:
                return delete_by_id(w, DELETE_CLAIM, o->id);
        case STORE_PUT_RUN:
                return put_run(w, &o->run);
        case STORE_DELETE_RUN:
                return delete_by_id(w, DELETE_RUN, o->id);
        case STORE_PUT_QUARANTINE:
                return put_quarantine(w, &o->quarantine);
        case STORE_DELETE_QUARANTINE:
                return delete_by_id(w, DELETE_QUARANTINE, pci_address_format(&o->address, address));
        }
        assert(!"no such verb");
        return SQLITE_MISUSE;
}

/* Does a row answer this question? SQLITE_ROW, SQLITE_DONE, or what went wrong. */
static int ask(StoreWriter *w, Statement statement, const char *id) {
        sqlite3_stmt *s = w->statements[statement];
        int rc = bind_text(s, 1, id);

        if (rc == SQLITE_OK)
                rc = sqlite3_step(s);
        (void)sqlite3_reset(s);
        (void)sqlite3_clear_bindings(s);
        return rc;
}

/* Does each device of a run have its claim? What the reader would call damage must not come from us. */
static int check_claim(StoreWriter *w, const char *id) {
        int rc = ask(w, HAS_CLAIM, id);

        if (rc == SQLITE_ROW)
                return SQLITE_OK;
        if (rc == SQLITE_DONE)
                rc = ask(w, HAS_RUN, id);
        return rc == SQLITE_ROW ? SQLITE_CONSTRAINT : rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int check_order(StoreWriter *w, const StoreOrder *o) {
        int rc = SQLITE_OK;

        if (o->verb == STORE_DELETE_CLAIM)
                return check_claim(w, o->id);
        if (o->verb == STORE_PUT_RUN)
                for (size_t i = 0; i < o->run.n_devices && rc == SQLITE_OK; i++)
                        rc = check_claim(w, o->run.devices[i].claim);
        return rc;
}

static int carry_out_all(StoreWriter *w, const StoreChange *c) {
        int rc;

        rc = run(w->statements[BEGIN]);
        for (size_t i = 0; i < c->n && rc == SQLITE_OK; i++)
                rc = carry_out(w, &c->orders[i]);
        for (size_t i = 0; i < c->n && rc == SQLITE_OK; i++)
                rc = check_order(w, &c->orders[i]);
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
