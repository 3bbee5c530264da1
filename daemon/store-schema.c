/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store.h"
#include "store-db.h"
#include "store-schema.h"

#define CHECKSUM_MASK ((1ULL << 48) - 1) /* so that SQL can sum up STORE_ROWS_MAX of them without overflow */
static_assert(STORE_ROWS_MAX < 1U << 15, "the sum has 63 bits");

#define SUM(table) "(SELECT ifnull(sum(checksum), 0) FROM " table ")"
#define TOTAL_1 SUM("groups") " + " SUM("rules") " + " SUM("intents")
#define TOTAL_2 TOTAL_1 " + " SUM("claims") " + " SUM("runs") " + " SUM("quarantine")

/* A step that was released is never changed again, not by a space: databases are compared with what it makes. Lengths
 * are bytes, as in record.h; what else a text must be is checked when it is read. */
static const char tables_1[] =
                "CREATE TABLE meta ("
                "  one INTEGER PRIMARY KEY CHECK (one = 1),"
                "  written_by TEXT NOT NULL,"
                "  next_age INTEGER NOT NULL CHECK (next_age > 0),"
                "  total INTEGER NOT NULL,"
                "  checksum INTEGER NOT NULL"
                ") STRICT;"
                "CREATE TABLE groups ("
                "  id TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(id AS BLOB)) BETWEEN 36 AND 36),"
                "  name TEXT NOT NULL UNIQUE CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 256),"
                "  type TEXT NOT NULL,"
                "  description TEXT NOT NULL CHECK (length(CAST(description AS BLOB)) BETWEEN 0 AND 2048),"
                "  class TEXT NOT NULL,"
                "  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
                "  binding TEXT NOT NULL,"
                "  created INTEGER NOT NULL CHECK (created >= 0),"
                "  modified INTEGER NOT NULL CHECK (modified >= 0),"
                "  checksum INTEGER NOT NULL"
                ") STRICT;"
                "CREATE TABLE rules ("
                "  age INTEGER PRIMARY KEY CHECK (age > 0),"
                "  id TEXT NOT NULL UNIQUE CHECK (length(CAST(id AS BLOB)) BETWEEN 36 AND 36),"
                "  group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,"
                "  name TEXT NOT NULL CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 256),"
                "  node TEXT NOT NULL CHECK (length(CAST(node AS BLOB)) BETWEEN 0 AND 255),"
                "  filter TEXT NOT NULL CHECK (length(CAST(filter AS BLOB)) BETWEEN 1 AND 4096),"
                "  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
                "  auto_created INTEGER NOT NULL CHECK (auto_created IN (0, 1)),"
                "  created INTEGER NOT NULL CHECK (created >= 0),"
                "  modified INTEGER NOT NULL CHECK (modified >= 0),"
                "  checksum INTEGER NOT NULL,"
                "  UNIQUE (group_id, name)"
                ") STRICT;"
                "CREATE TABLE intents ("
                "  id TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(id AS BLOB)) BETWEEN 36 AND 36),"
                "  kind TEXT NOT NULL,"
                "  data TEXT NOT NULL CHECK (length(CAST(data AS BLOB)) BETWEEN 0 AND 65536),"
                "  created INTEGER NOT NULL CHECK (created >= 0),"
                "  checksum INTEGER NOT NULL"
                ") STRICT;"
                "INSERT INTO meta VALUES (1, '', 1, 0, 0);";

static const char damage_1[] =
                "SELECT 'the group ''' || name || '''' FROM groups WHERE checksum <> "
                "  row_checksum(id, name, type, description, class, enabled, binding, created, modified) "
                "UNION ALL SELECT 'the rule ''' || name || '''' FROM rules WHERE checksum <> "
                "  row_checksum(age, id, group_id, name, node, filter, enabled, auto_created, created, "
                "modified) "
                "UNION ALL SELECT 'the intent ' || id FROM intents WHERE checksum <> "
                "  row_checksum(id, kind, data, created) "
                "UNION ALL SELECT 'the table meta' WHERE NOT EXISTS (SELECT * FROM meta WHERE checksum = "
                "  row_checksum(written_by, next_age, total)) "
                "UNION ALL SELECT 'the number of its rows' FROM meta WHERE total <> " TOTAL_1;

/* A claim keeps its group from being deleted, unlike a rule. */
static const char tables_2[] =
                "ALTER TABLE groups ADD COLUMN"
                "  quota INTEGER NOT NULL DEFAULT 0 CHECK (quota BETWEEN 0 AND 65535);"
                "UPDATE groups SET checksum = "
                "  row_checksum(id, name, type, description, class, enabled, binding, quota, created, "
                "modified);"
                "CREATE TABLE claims ("
                "  id TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(id AS BLOB)) BETWEEN 36 AND 36),"
                "  group_id TEXT NOT NULL REFERENCES groups (id),"
                "  owner INTEGER NOT NULL CHECK (owner BETWEEN 0 AND 4294967294),"
                "  vm TEXT NOT NULL CHECK (length(CAST(vm AS BLOB)) BETWEEN 1 AND 256),"
                "  name TEXT NOT NULL CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 256),"
                "  description TEXT NOT NULL CHECK (length(CAST(description AS BLOB)) BETWEEN 0 AND 2048),"
                "  count INTEGER NOT NULL CHECK (count BETWEEN 1 AND 16),"
                "  turn INTEGER NOT NULL CHECK (turn BETWEEN 0 AND 65535),"
                "  optional INTEGER NOT NULL CHECK (optional IN (0, 1)),"
                "  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),"
                "  doomed INTEGER NOT NULL CHECK (doomed IN (0, 1)),"
                "  created INTEGER NOT NULL CHECK (created >= 0),"
                "  modified INTEGER NOT NULL CHECK (modified >= 0),"
                "  checksum INTEGER NOT NULL,"
                "  UNIQUE (owner, vm, name)"
                ") STRICT;"
                "CREATE TABLE runs ("
                "  id TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(id AS BLOB)) BETWEEN 36 AND 36),"
                "  owner INTEGER NOT NULL CHECK (owner BETWEEN 0 AND 4294967294),"
                "  vm TEXT NOT NULL CHECK (length(CAST(vm AS BLOB)) BETWEEN 1 AND 256),"
                "  uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967294),"
                "  starting INTEGER NOT NULL CHECK (starting IN (0, 1)),"
                "  track TEXT NOT NULL,"
                "  tracked TEXT NOT NULL CHECK (length(CAST(tracked AS BLOB)) BETWEEN 0 AND 255),"
                "  access TEXT NOT NULL,"
                "  boot_id TEXT NOT NULL CHECK (length(CAST(boot_id AS BLOB)) BETWEEN 32 AND 32),"
                "  devices TEXT NOT NULL CHECK (length(CAST(devices AS BLOB)) BETWEEN 0 AND 16384),"
                "  created INTEGER NOT NULL CHECK (created >= 0),"
                "  checksum INTEGER NOT NULL"
                ") STRICT;"
                "CREATE TABLE quarantine ("
                "  address TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(address AS BLOB)) BETWEEN 12 AND "
                "16),"
                "  vendor INTEGER NOT NULL CHECK (vendor BETWEEN 0 AND 65535),"
                "  device INTEGER NOT NULL CHECK (device BETWEEN 0 AND 65535),"
                "  subsystem_vendor INTEGER NOT NULL CHECK (subsystem_vendor BETWEEN 0 AND 65535),"
                "  subsystem_device INTEGER NOT NULL CHECK (subsystem_device BETWEEN 0 AND 65535),"
                "  class INTEGER NOT NULL CHECK (class BETWEEN 0 AND 16777215),"
                "  revision INTEGER NOT NULL CHECK (revision BETWEEN 0 AND 255),"
                "  serial TEXT NOT NULL CHECK (length(CAST(serial AS BLOB)) BETWEEN 0 AND 63),"
                "  slot TEXT NOT NULL CHECK (length(CAST(slot AS BLOB)) BETWEEN 0 AND 31),"
                "  reason TEXT NOT NULL CHECK (length(CAST(reason AS BLOB)) BETWEEN 1 AND 1023),"
                "  boot_id TEXT NOT NULL CHECK (length(CAST(boot_id AS BLOB)) BETWEEN 32 AND 32),"
                "  created INTEGER NOT NULL CHECK (created >= 0),"
                "  checksum INTEGER NOT NULL"
                ") STRICT;";

static const char damage_2[] =
                "SELECT 'the group ''' || name || '''' FROM groups WHERE checksum <> "
                "  row_checksum(id, name, type, description, class, enabled, binding, quota, created, "
                "modified) "
                "UNION ALL SELECT 'the rule ''' || name || '''' FROM rules WHERE checksum <> "
                "  row_checksum(age, id, group_id, name, node, filter, enabled, auto_created, created, "
                "modified) "
                "UNION ALL SELECT 'the intent ' || id FROM intents WHERE checksum <> "
                "  row_checksum(id, kind, data, created) "
                "UNION ALL SELECT 'the claim ''' || name || ''' of VM ''' || vm || '''' FROM claims WHERE "
                "  checksum <> row_checksum(id, group_id, owner, vm, name, description, count, turn, "
                "optional, "
                "  enabled, doomed, created, modified) "
                "UNION ALL SELECT 'the run of VM ''' || vm || '''' FROM runs WHERE checksum <> "
                "  row_checksum(id, owner, vm, uid, starting, track, tracked, access, boot_id, devices, "
                "created) "
                "UNION ALL SELECT 'the quarantine of ' || address FROM quarantine WHERE checksum <> "
                "  row_checksum(address, vendor, device, subsystem_vendor, subsystem_device, class, "
                "revision, "
                "  serial, slot, reason, boot_id, created) "
                "UNION ALL SELECT 'the table meta' WHERE NOT EXISTS (SELECT * FROM meta WHERE checksum = "
                "  row_checksum(written_by, next_age, total)) "
                "UNION ALL SELECT 'the number of its rows' FROM meta WHERE total <> " TOTAL_2;

/* Texts of sriov-settings.h, vf-settings.h and claim-record.h: empty in groups of other types, and so in all that are
 * older than this. */
static const char tables_3[] =
                "ALTER TABLE groups ADD COLUMN"
                "  sriov TEXT NOT NULL DEFAULT '' CHECK (length(CAST(sriov AS BLOB)) BETWEEN 0 AND 1024);"
                "UPDATE groups SET checksum = "
                "  row_checksum(id, name, type, description, class, enabled, binding, quota, sriov, "
                "created, "
                "modified);"
                "ALTER TABLE claims ADD COLUMN"
                "  sriov TEXT NOT NULL DEFAULT '' CHECK (length(CAST(sriov AS BLOB)) BETWEEN 0 AND 1024);"
                "ALTER TABLE claims ADD COLUMN"
                "  macs TEXT NOT NULL DEFAULT '' CHECK (length(CAST(macs AS BLOB)) BETWEEN 0 AND 1024);"
                "UPDATE claims SET checksum = "
                "  row_checksum(id, group_id, owner, vm, name, description, count, turn, optional, enabled, "
                "doomed, "
                "  sriov, macs, created, modified);";

static const char damage_3[] =
                "SELECT 'the group ''' || name || '''' FROM groups WHERE checksum <> "
                "  row_checksum(id, name, type, description, class, enabled, binding, quota, sriov, "
                "created, "
                "modified) "
                "UNION ALL SELECT 'the rule ''' || name || '''' FROM rules WHERE checksum <> "
                "  row_checksum(age, id, group_id, name, node, filter, enabled, auto_created, created, "
                "modified) "
                "UNION ALL SELECT 'the intent ' || id FROM intents WHERE checksum <> "
                "  row_checksum(id, kind, data, created) "
                "UNION ALL SELECT 'the claim ''' || name || ''' of VM ''' || vm || '''' FROM claims WHERE "
                "  checksum <> row_checksum(id, group_id, owner, vm, name, description, count, turn, "
                "optional, "
                "  enabled, doomed, sriov, macs, created, modified) "
                "UNION ALL SELECT 'the run of VM ''' || vm || '''' FROM runs WHERE checksum <> "
                "  row_checksum(id, owner, vm, uid, starting, track, tracked, access, boot_id, devices, "
                "created) "
                "UNION ALL SELECT 'the quarantine of ' || address FROM quarantine WHERE checksum <> "
                "  row_checksum(address, vendor, device, subsystem_vendor, subsystem_device, class, "
                "revision, "
                "  serial, slot, reason, boot_id, created) "
                "UNION ALL SELECT 'the table meta' WHERE NOT EXISTS (SELECT * FROM meta WHERE checksum = "
                "  row_checksum(written_by, next_age, total)) "
                "UNION ALL SELECT 'the number of its rows' FROM meta WHERE total <> " TOTAL_2;

static const StoreStep steps[] = {
                {.sql = tables_1, .damage = damage_1, .total = TOTAL_1},
                {.sql = tables_2, .damage = damage_2, .total = TOTAL_2},
                {.sql = tables_3, .damage = damage_3},
};

static_assert(ELEMENTSOF(steps) == STORE_VERSION, "each version has its step");
const StoreSchema store_schema = {.steps = steps, .version = ELEMENTSOF(steps)};

/* FNV-1a: what differs in one byte never has the same sum. It is for accidents, not against forgers: whoever can
 * write the file is its owner. */
static uint64_t add_bytes(uint64_t sum, const void *data, size_t n) {
        const unsigned char *bytes = data;

        for (size_t i = 0; i < n; i++)
                sum = (sum ^ bytes[i]) * 0x100000001b3ULL;
        return sum;
}

/* Each argument with its type and length, so that none can borrow from its neighbour. Numbers are hashed as text. */
static void row_checksum(sqlite3_context *context, int n, sqlite3_value **values) {
        uint64_t sum = 0xcbf29ce484222325ULL;
        const void *bytes;
        char head[32];

        for (int i = 0; i < n; i++) {
                int type = sqlite3_value_type(values[i]);

                bytes = sqlite3_value_text(values[i]);
                if (!bytes && type != SQLITE_NULL) {
                        sqlite3_result_error_nomem(context);
                        return;
                }
                (void)snprintf(head, sizeof head, "%d:%d:", type, sqlite3_value_bytes(values[i]));
                sum = add_bytes(sum, head, strlen(head));
                if (bytes)
                        sum = add_bytes(sum, bytes, (size_t)sqlite3_value_bytes(values[i]));
        }
        sqlite3_result_int64(context, (sqlite3_int64)(sum & CHECKSUM_MASK));
}

int store_schema_prepare(sqlite3 *db) {
        return sqlite3_create_function_v2(db, "row_checksum", -1,
                                          SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
                                          row_checksum, NULL, NULL, NULL);
}

/* Its ?1 is who we are. */
static int update_meta(sqlite3 *db, const char *sql) {
        _cleanup_(sqlite3_finalizep) sqlite3_stmt *s = NULL;
        int rc;

        rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(s, 1, PROJECT_VERSION, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(s);
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* With the sum that databases of this version have. */
static int seal(sqlite3 *db, const StoreSchema *schema, int version) {
        char sql[1024];

        while (!schema->steps[version - 1].total)
                version--;
        (void)snprintf(sql, sizeof sql, "UPDATE meta SET written_by = ?1, total = %s",
                       schema->steps[version - 1].total);
        return update_meta(db, sql)
                               ?: update_meta(db, "UPDATE meta SET checksum = row_checksum(?1, next_age, "
                                                  "total)");
}

int store_schema_seal(sqlite3 *db) {
        return seal(db, &store_schema, store_schema.version);
}

int store_schema_migrate(sqlite3 *db, const StoreSchema *schema, int from) {
        char version[64];
        int rc;

        assert(schema);
        assert(from >= 0 && from <= schema->version);

        for (int i = from; i < schema->version; i++) {
                rc = store_db_exec(db, schema->steps[i].sql);
                if (rc != SQLITE_OK)
                        return rc;
        }

        (void)snprintf(version, sizeof version, "PRAGMA user_version = %d", schema->version);
        rc = store_db_exec(db, version);
        return rc == SQLITE_OK ? seal(db, schema, schema->version) : rc;
}

static int schema_text(sqlite3 *db, char **ret) {
        return store_db_text(
                        db,
                        "SELECT ifnull(group_concat(line, ';'), '') FROM (SELECT type || ' ' || name || "
                        "' ' || tbl_name || ' ' || ifnull(sql, '') AS line FROM sqlite_schema ORDER BY 1)",
                        ret);
}

/* The tables as this program would make them: a trigger, or a constraint that a bit more or less turned into another,
 * would act on what we write. */
static int compare_schema(sqlite3 *db, const StoreSchema *schema, int version, Failure *f) {
        _cleanup_(store_db_closep) sqlite3 *model = NULL;
        _cleanup_free_ char *expected = NULL, *found = NULL;
        StoreSchema older = {.steps = schema->steps, .version = version};
        int r, rc;

        rc = store_db_open(":memory:", &model);
        if (rc != SQLITE_OK || (rc = store_schema_prepare(model)) != SQLITE_OK ||
            (rc = store_schema_migrate(model, &older, 0)) != SQLITE_OK)
                return store_db_errno(model, rc);

        r = schema_text(model, &expected);
        if (r < 0 || (r = schema_text(db, &found)) < 0)
                return r;
        if (!streq(expected, found))
                return failure_set(f, FAILURE_INTERNAL, "its tables are not those of format %d", version);
        return 0;
}

static int check_rows(sqlite3 *db, const char *damage, Failure *f) {
        _cleanup_free_ char *what = NULL;
        int r;

        r = store_db_text(db, damage, &what);
        if (r == -ENODATA)
                return 0;
        return r < 0 ? r : failure_set(f, FAILURE_INTERNAL, "%s is not as it was written", what);
}

static int check_pages(sqlite3 *db, Failure *f) {
        _cleanup_free_ char *word = NULL, *table = NULL;
        int r;

        r = store_db_text(db, "PRAGMA integrity_check(1)", &word);
        if (r < 0)
                return r;
        if (!streq(word, "ok"))
                return failure_set(f, FAILURE_INTERNAL, "%s", word);

        r = store_db_text(db, "PRAGMA foreign_key_check", &table);
        if (r == -ENODATA)
                return 0;
        return r < 0 ? r : failure_set(f, FAILURE_INTERNAL, "a row of %s belongs to nothing", table);
}

int store_schema_verify(sqlite3 *db, const StoreSchema *schema, int version, Failure *f) {
        int r;

        assert(schema);
        assert(version > 0 && version <= schema->version);
        assert(f);

        r = check_pages(db, f);
        if (r < 0 || (r = compare_schema(db, schema, version, f)) < 0)
                return r;
        return check_rows(db, schema->steps[version - 1].damage, f);
}
