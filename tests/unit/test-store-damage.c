/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A database that is not what it was, of another version, or not to be had: it is opened with all that it held, or
 * refused with a sentence and not touched. Nothing between these two. */

#include "store-fixture.h"
#include "store-schema.h"

static uint64_t random_state = 88172645463325252ULL; /* the same damage in each run */

static size_t random_below(size_t n) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return (size_t)(random_state % n);
}

static int setup_filled(void **state) {
        Bench *b;

        (void)bench_setup(state);
        b = *state;
        bench_fill(b);
        bench_close(b);
        return 0;
}

/* --- random damage --- */

typedef struct Damage {
        Bench *b;
        const char *allowed[2]; /* descriptions of what it may hold when it opens */
        unsigned opened, refused;
} Damage;

/* The files are damaged now. */
static void judge(Damage *d, const char *what) {
        _cleanup_snapshot_ Snapshot before = bench_snapshot(d->b);
        _cleanup_free_ char *found = NULL;

        bench_try(d->b);
        if (store_read_only(d->b->store)) {
                d->refused++;
                bench_close(d->b);
                bench_is_untouched(d->b, &before, what);
                return;
        }

        d->opened++;
        found = bench_describe(&d->b->contents);
        if (!streq(found, d->allowed[0]) && !streq(found, d->allowed[1]))
                fail_msg("%s: opened with other contents:\n%s\ninstead of:\n%s", what, found, d->allowed[0]);
        bench_close(d->b);
}

static void truncate_it(Damage *d, const Snapshot *whole, size_t file, size_t n) {
        char what[64];

        bench_restore(d->b, whole);
        bench_write(d->b, bench_files[file], whole->files[file].data, n);
        (void)snprintf(what, sizeof what, "%s cut to %zu bytes", bench_files[file], n);
        judge(d, what);
}

static void flip(Damage *d, const Snapshot *whole, size_t file, size_t offset, unsigned char mask) {
        unsigned char *byte = &whole->files[file].data[offset];
        char what[64];

        *byte ^= mask;
        bench_restore(d->b, whole);
        *byte ^= mask;
        (void)snprintf(what, sizeof what, "%s with bits %02x flipped at %zu", bench_files[file], mask,
                       offset);
        judge(d, what);
}

static char *describe_now(Bench *b) {
        char *text;

        bench_open(b);
        text = bench_describe(&b->contents);
        bench_close(b);
        return text;
}

static void test_truncated(void **state) {
        _cleanup_snapshot_ Snapshot whole = {0};
        _cleanup_free_ char *contents = describe_now(*state);
        Damage d = {*state, {contents, contents}, 0, 0};

        whole = bench_snapshot(d.b);
        for (size_t n = 0; n < whole.files[0].n; n += 509)
                truncate_it(&d, &whole, 0, n);
        for (unsigned i = 0; i < 60; i++)
                truncate_it(&d, &whole, 0, random_below(whole.files[0].n));
        assert_int_equal(d.opened, 0);
        assert_true(d.refused > 60);
}

static void test_flipped(void **state) {
        _cleanup_snapshot_ Snapshot whole = {0};
        _cleanup_free_ char *contents = describe_now(*state);
        Damage d = {*state, {contents, contents}, 0, 0};

        whole = bench_snapshot(d.b);
        for (size_t i = 0; i < 100; i++) /* the header, each byte */
                flip(&d, &whole, 0, i, (unsigned char)(1U << random_below(8)));
        for (unsigned i = 0; i < 300; i++)
                flip(&d, &whole, 0, random_below(whole.files[0].n), (unsigned char)(1 + random_below(255)));
        assert_true(d.refused > 50);
        assert_true(d.opened > 0); /* free space and counters of no importance */
}

/* Every byte of every text: this is where SQLite sees nothing. */
static void test_flipped_texts(void **state) {
        static const char *const texts[] = {"rule number 17", "PCI NICs",    "0000:01:00.0\n",
                                            "line one",       "graphics",    "data base",
                                            "qemu-1-web",     "68-05-ca ff", "It could not be reset"};
        _cleanup_snapshot_ Snapshot whole = {0};
        _cleanup_free_ char *contents = describe_now(*state);
        Damage d = {*state, {contents, contents}, 0, 0};

        whole = bench_snapshot(d.b);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                unsigned char *at =
                                memmem(whole.files[0].data, whole.files[0].n, texts[i], strlen(texts[i]));

                assert_non_null(at);
                for (size_t k = 0; k < strlen(texts[i]); k++)
                        flip(&d, &whole, 0, (size_t)(at - whole.files[0].data) + k, 1);
        }
        assert_int_equal(d.opened, 0);
}

/* A database whose last change is only in its WAL, as a crash between COMMIT and checkpoint leaves it. */
static void make_wal(Bench *b, char **ret_before, char **ret_after) {
        _cleanup_snapshot_ Snapshot crashed = {0};
        Blob *db = &crashed.files[0], *wal = &crashed.files[1];
        sqlite3 *handle = NULL;
        char path[64];

        *ret_before = describe_now(b);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" STORE_FILE, b->fd);
        assert_int_equal(sqlite3_open(path, &handle), 0);
        assert_int_equal(sqlite3_exec(handle,
                                      "PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = ON; BEGIN;"
                                      "UPDATE meta SET total = total - (SELECT sum(checksum) FROM rules);"
                                      "DELETE FROM rules;",
                                      NULL, NULL, NULL),
                         0);
        assert_int_equal(store_schema_prepare(handle), 0);
        assert_int_equal(store_schema_seal(handle), 0);
        assert_int_equal(sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL), 0);
        *db = bench_read(b, STORE_FILE);
        *wal = bench_read(b, STORE_WAL);
        assert_true(wal->n > 0);
        assert_int_equal(sqlite3_close(handle), 0);

        bench_restore(b, &crashed);
        *ret_after = describe_now(b);
        assert_string_not_equal(*ret_before, *ret_after);
        bench_restore(b, &crashed);
}

static void test_a_damaged_wal(void **state) {
        _cleanup_free_ char *before = NULL, *after = NULL;
        _cleanup_snapshot_ Snapshot whole = {0};
        Damage d = {.b = *state};

        make_wal(d.b, &before, &after);
        d.allowed[0] = before;
        d.allowed[1] = after;
        whole = bench_snapshot(d.b);
        for (unsigned i = 0; i < 60; i++)
                truncate_it(&d, &whole, 1, random_below(whole.files[1].n));
        for (unsigned i = 0; i < 120; i++)
                flip(&d, &whole, 1, random_below(whole.files[1].n), (unsigned char)(1 + random_below(255)));
        assert_true(d.opened > 100); /* the change was not yet confirmed, so it may be lost, but whole */

        /* A damaged database below a good WAL. */
        d.opened = d.refused = 0;
        for (unsigned i = 0; i < 60; i++)
                truncate_it(&d, &whole, 0, random_below(whole.files[0].n));
        for (unsigned i = 0; i < 120; i++)
                flip(&d, &whole, 0, random_below(whole.files[0].n), (unsigned char)(1 + random_below(255)));
        assert_true(d.refused > 30);
}

/* --- what another program did to it --- */

static void test_rows_that_somebody_changed(void **state) {
        static const struct {
                const char *sql, *words;
        } table[] = {
                        {"DELETE FROM rules WHERE age = 3", "number of its rows"},
                        {"UPDATE rules SET enabled = 1 - enabled WHERE age = 4", "rule 'rule number 4'"},
                        {"UPDATE rules SET filter = 'slot eq ''04:00.0''' WHERE age = 4",
                         "rule 'rule number 4'"},
                        {"UPDATE rules SET age = 90 WHERE age = 4", "rule 'rule number 4'"},
                        {"UPDATE groups SET binding = 'on-claim' WHERE name = 'PCI NICs'",
                         "group 'PCI NICs'"},
                        {"UPDATE intents SET data = ''", "intent"},
                        {"UPDATE meta SET next_age = 2", "meta"},
                        {"DELETE FROM meta", "meta"},
                        {"PRAGMA foreign_keys = OFF; DELETE FROM groups WHERE name = 'GPUs'",
                         "rules belongs to"},
                        {"CREATE TRIGGER t AFTER INSERT ON rules BEGIN DELETE FROM groups; END", "tables"},
                        {"UPDATE groups SET quota = quota + 1 WHERE name = 'GPUs'", "group 'GPUs'"},
                        {"UPDATE claims SET count = 9 WHERE vm = 'data base'",
                         "claim 'network card' of VM 'data base'"},
                        {"UPDATE claims SET owner = 7 WHERE vm = 'data base'", "claim 'network card'"},
                        {"DELETE FROM claims WHERE vm = 'data base'", "number of its rows"},
                        {"PRAGMA foreign_keys = OFF; UPDATE claims SET group_id = 'none'",
                         "claims belongs to"},
                        {"UPDATE runs SET devices = ''", "run of VM 'web'"},
                        {"UPDATE runs SET starting = 1", "run of VM 'web'"},
                        {"DELETE FROM runs", "number of its rows"},
                        {"UPDATE quarantine SET slot = '' WHERE address = '0002:05:1f.7'",
                         "quarantine of 0002:05:1f.7"},
                        {"DELETE FROM quarantine", "number of its rows"},
                        {"DROP TABLE runs", "tables"},
                        {"DROP TABLE intents", "tables"},
                        {"UPDATE groups SET sriov = 'vfs=8 overridable=trust,mac vlan=100 trust=off' "
                         "WHERE name LIKE 'Gr%'",
                         "group 'Gr"},
                        {"UPDATE claims SET sriov = 'trust=off' WHERE vm = 'data base'",
                         "claim 'network card'"},
                        {"UPDATE claims SET macs = '02:fe:00:00:00:09' WHERE vm = 'data base'",
                         "claim 'network card'"},
                        {"ALTER TABLE rules ADD COLUMN more TEXT", "tables"},
                        {"CREATE TABLE more (x)", "tables"},
                        {"PRAGMA application_id = 7", "another program"},
                        {"PRAGMA user_version = 0", "which format"},
                        {"PRAGMA user_version = -3", "which format"},
        };
        _cleanup_snapshot_ Snapshot whole = bench_snapshot(*state);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                bench_close(*state);
                bench_restore(*state, &whole);
                bench_sql(*state, table[i].sql);
                bench_refuses(*state, table[i].words);
        }
}

/* Who knows the checksums can still put in what no record may be. */
static void test_rows_that_are_no_records(void **state) {
        static const struct {
                const char *sql, *words;
        } table[] = {
                        {"UPDATE groups SET class = 'teapot'", "valid class"},
                        {"UPDATE groups SET name = 'two' || char(10) || 'lines' WHERE name = 'GPUs'",
                         "control character"},
                        {"UPDATE groups SET description = 'cut' || char(0) || 'short'", "valid description"},
                        {"UPDATE rules SET id = replace(id, '-', '+')", "valid id"},
                        {"UPDATE intents SET kind = 'fancy'", "valid kind"},
                        {"UPDATE meta SET next_age = 5", "younger than the youngest"},
                        {"UPDATE claims SET vm = 'two' || char(10) || 'lines' WHERE vm = 'data base'",
                         "control character"},
                        {"UPDATE claims SET id = replace(id, '-', '+') WHERE vm = 'data base'", "valid id"},
                        {"DELETE FROM claims WHERE name = 'graphics'", "belongs to no claim"},
                        {"UPDATE runs SET track = 'smell'", "valid track"},
                        {"UPDATE runs SET tracked = ''", "does not fit"},
                        {"UPDATE runs SET access = 'all'", "valid access"},
                        {"UPDATE runs SET boot_id = upper(boot_id)", "no id of one"},
                        {"UPDATE runs SET devices = devices || devices", "twice"},
                        {"UPDATE runs SET devices = rtrim(devices, char(10))", "valid devices"},
                        {"UPDATE runs SET devices = replace(devices, ' here ', ' there ')", "valid devices"},
                        {"UPDATE runs SET devices = replace(devices, ':000000000000fedc', ':fedc')",
                         "valid devices"},
                        {"UPDATE runs SET devices = replace(devices, 'fedc', '0000')", "valid devices"},
                        {"UPDATE groups SET sriov = sriov || ' '", "valid sriov"},
                        {"UPDATE groups SET sriov = 'overridable=mac vfs=7' WHERE sriov <> ''",
                         "valid sriov"},
                        {"UPDATE groups SET sriov = '' WHERE sriov <> ''", "does not say how many"},
                        {"UPDATE groups SET sriov = 'vfs=300 overridable=' WHERE sriov <> ''",
                         "give 1 to 256"},
                        {"UPDATE groups SET sriov = 'vfs=1 overridable=' WHERE sriov = ''",
                         "no settings of virtual functions"},
                        {"UPDATE groups SET type = 'pci'", "no settings of virtual functions"},
                        {"UPDATE claims SET sriov = 'trust'", "valid sriov"},
                        {"UPDATE claims SET sriov = 'mac=02:fe:00:00:00:01'", "have an address"},
                        {"UPDATE claims SET macs = macs || ' '", "valid macs"},
                        {"UPDATE claims SET macs = upper(macs)", "valid macs"},
                        {"UPDATE claims SET macs = macs || ' 02:fe:00:00:00:09'", "addresses for"},
                        {"UPDATE claims SET macs = '', count = 2 WHERE vm = 'none'; UPDATE claims SET macs "
                         "= "
                         "'02:fe:00:00:00:01 02:fe:00:00:00:01' WHERE count = 2",
                         "twice"},
                        {"UPDATE claims SET macs = replace(macs, '02:fe', '03:fe')", "valid macs"},
                        {"UPDATE quarantine SET address = '00' || address", "valid address"},
                        {"UPDATE quarantine SET serial = ' ' || serial", "serial number that no device has"},
                        {"UPDATE quarantine SET reason = char(10)", "control character"},
        };
        _cleanup_snapshot_ Snapshot whole = bench_snapshot(*state);
        Bench *b = *state;
        char path[64];

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" STORE_FILE, b->fd);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                sqlite3 *db = NULL;

                bench_close(b);
                bench_restore(b, &whole);
                assert_int_equal(sqlite3_open(path, &db), 0);
                assert_int_equal(store_schema_prepare(db), 0);
                assert_int_equal(sqlite3_exec(db, table[i].sql, NULL, NULL, NULL), 0);
                assert_int_equal(sqlite3_exec(db,
                                              "UPDATE groups SET checksum = row_checksum(id, name, type, "
                                              "description, class, enabled, binding, quota, sriov, "
                                              "created, modified);"
                                              "UPDATE claims SET checksum = row_checksum(id, group_id, "
                                              "owner, "
                                              "vm, name, description, count, turn, optional, enabled, "
                                              "doomed, "
                                              "sriov, macs, created, modified);"
                                              "UPDATE runs SET checksum = row_checksum(id, owner, vm, uid, "
                                              "starting, track, tracked, access, boot_id, devices, created);"
                                              "UPDATE quarantine SET checksum = row_checksum(address, "
                                              "vendor, "
                                              "device, subsystem_vendor, subsystem_device, class, revision, "
                                              "serial, slot, reason, boot_id, created);"
                                              "UPDATE rules SET checksum = row_checksum(age, id, group_id, "
                                              "name, "
                                              "node, filter, enabled, auto_created, created, modified);"
                                              "UPDATE intents SET checksum = row_checksum(id, kind, data, "
                                              "created);",
                                              NULL, NULL, NULL),
                                 0);
                assert_int_equal(store_schema_seal(db), 0);
                assert_int_equal(sqlite3_close(db), 0);
                bench_refuses(b, table[i].words);
        }
}

/* Copies that other tools make are good copies. */
static void test_backups(void **state) {
        _cleanup_free_ char *before = describe_now(*state), *after = NULL;
        Bench *b = *state;
        char sql[PATH_MAX];

        (void)snprintf(sql, sizeof sql, "VACUUM INTO '%s/state/backup'", b->host->root);
        bench_sql(b, sql);
        bench_sql(b, "DROP TABLE rules");
        bench_refuses(b, "is damaged");
        assert_int_equal(renameat(b->fd, "backup", b->fd, STORE_FILE), 0);
        after = describe_now(b);
        assert_string_equal(before, after);

        bench_sql(b, "PRAGMA journal_mode = DELETE");
        free(after);
        after = describe_now(b);
        assert_string_equal(before, after);
}

/* --- what is no database at all --- */

static void test_files_that_are_none(void **state) {
        _cleanup_free_ char *noise = malloc(20000);
        Bench *b = *state;

        assert_non_null(noise);
        memset(noise, 'x', 20000);
        bench_write(b, STORE_FILE, "", 0);
        bench_refuses(b, "it is empty");
        bench_write(b, STORE_FILE, noise, 1);
        bench_refuses(b, "is damaged");
        bench_write(b, STORE_FILE, noise, 20000);
        bench_refuses(b, "is damaged");

        bench_write(b, STORE_FILE ".copy", noise, 20000);
        assert_int_equal(unlinkat(b->fd, STORE_FILE, 0), 0);
        assert_int_equal(symlinkat(STORE_FILE ".copy", b->fd, STORE_FILE), 0);
        bench_refuses(b, "cannot be opened");
        assert_int_equal(unlinkat(b->fd, STORE_FILE, 0), 0);
        assert_int_equal(mkdirat(b->fd, STORE_FILE, 0700), 0);
        bench_refuses(b, "Is a directory");
        assert_int_equal(unlinkat(b->fd, STORE_FILE, AT_REMOVEDIR), 0);
        assert_int_equal(mkfifoat(b->fd, STORE_FILE, 0600), 0);
        bench_refuses(b, "cannot be opened");
}

static void test_what_stands_beside_it(void **state) {
        _cleanup_snapshot_ Snapshot whole = bench_snapshot(*state);
        Bench *b = *state;

        bench_write(b, STORE_FILE "-journal", "hot", 3);
        bench_refuses(b, "interrupted");
        assert_int_equal(unlinkat(b->fd, STORE_FILE "-journal", 0), 0);

        assert_int_equal(mkdirat(b->fd, STORE_WAL, 0700), 0);
        bench_refuses(b, "Is a directory");
        assert_int_equal(unlinkat(b->fd, STORE_WAL, AT_REMOVEDIR), 0);

        /* Its changes would be played into whatever database comes next. */
        bench_write(b, STORE_WAL, "some", 4);
        assert_int_equal(unlinkat(b->fd, STORE_FILE, 0), 0);
        bench_refuses(b, "it is missing");

        bench_restore(b, &whole);
        bench_write(b, STORE_WAL, "", 0);
        bench_open(b);
}

static void test_no_permission(void **state) {
        _cleanup_snapshot_ Snapshot whole = bench_snapshot(*state);
        uid_t uid = geteuid();
        Bench *b = *state;

        /* Root may everything, so be somebody else meanwhile. */
        assert_int_equal(uid == 0 ? fchownat(b->fd, STORE_FILE, 65534, (gid_t)-1, 0) : 0, 0);
        assert_int_equal(fchmodat(b->fd, STORE_FILE, 0400, 0), 0);
        assert_int_equal(fchmod(b->fd, 0755), 0);
        assert_int_equal(uid == 0 ? seteuid(65534) : 0, 0);
        bench_refuses(b, "Permission denied");
        assert_int_equal(seteuid(uid), 0);

        assert_int_equal(fchmodat(b->fd, STORE_FILE, 0600, 0), 0);
        assert_int_equal(fchmod(b->fd, 0555), 0);
        assert_int_equal(uid == 0 ? seteuid(65534) : 0, 0);
        bench_refuses(b, "its directory cannot be written");
        assert_int_equal(seteuid(uid), 0);

        assert_int_equal(fchmod(b->fd, 0755), 0);
        assert_int_equal(unlinkat(b->fd, STORE_FILE, 0), 0);
        assert_int_equal(fchmod(b->fd, 0555), 0);
        assert_int_equal(uid == 0 ? seteuid(65534) : 0, 0);
        bench_refuses(b, "it cannot be made");
        assert_int_equal(seteuid(uid), 0);

        assert_int_equal(fchmod(b->fd, 0700), 0);
        bench_restore(b, &whole);
        bench_open(b);
}

/* --- versions --- */

#define STEPS_MAX 8

/* The program of the future: what there is, and these steps. */
static StoreSchema future(StoreStep buffer[STEPS_MAX], const StoreStep *more, int n) {
        assert_true(store_schema.version + n <= STEPS_MAX);
        for (int i = 0; i < store_schema.version; i++)
                buffer[i] = store_schema.steps[i];
        for (int i = 0; i < n; i++)
                buffer[store_schema.version + i] = more[i];
        return (StoreSchema){.steps = buffer, .version = store_schema.version + n};
}

static void try_as(Bench *b, const StoreSchema *schema) {
        bench_close(b);
        assert_int_equal(store_open_as(b->event, b->fd, schema, &b->store, &b->contents), 0);
}

static void test_migration(void **state) {
        static const StoreStep more[] = {
                        {"ALTER TABLE groups ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';",
                         "SELECT 'a group' FROM groups WHERE colour <> 'blue'"},
                        {"CREATE TABLE spares (id TEXT PRIMARY KEY) STRICT; INSERT INTO spares VALUES "
                         "('one');",
                         "SELECT 'spares' WHERE (SELECT count(*) FROM spares) <> 1"},
        };
        _cleanup_free_ char *before = describe_now(*state), *after = NULL;
        StoreStep buffer[STEPS_MAX];
        Bench *b = *state;
        StoreSchema schema;

        for (int n = 1; n <= 2; n++) {
                schema = future(buffer, more, n);
                for (int i = 0; i < 2; i++) { /* migrates, then finds it as it must be */
                        try_as(b, &schema);
                        assert_null(store_read_only(b->store));
                        free(after);
                        after = bench_describe(&b->contents);
                        assert_string_equal(after, before);
                }
                assert_int_equal(bench_commit(b, bench_change()), 0);
        }
        bench_refuses(b, "has format 5, written by version " PROJECT_VERSION);
        bench_refuses(b, "knows format 3");

        bench_sql(b, "ALTER TABLE meta DROP COLUMN written_by");
        bench_refuses(b, "has format 5, written by a newer version");
}

/* --- databases of older versions --- */

/* As they were released, to the space: databases are compared with what these make. */
static void test_steps_are_as_they_were_released(void **state _unused_) {
        static const uint64_t sums[] = {0xebd8ebf4b2066b76ULL, 0x21d3207003b7223cULL};

        for (size_t i = 0; i < ELEMENTSOF(sums); i++) {
                uint64_t sum = 0xcbf29ce484222325ULL;

                for (const char *c = store_schema.steps[i].sql; *c; c++)
                        sum = (sum ^ (unsigned char)*c) * 0x100000001b3ULL;
                if (sum != sums[i])
                        fail_msg("step %zu was changed: its sum is %jx", i + 1, (uintmax_t)sum);
        }
}

/* What version 2 did not know. */
static void forget_functions(Bench *b) {
        StoreChange *c = bench_change();

        for (unsigned i = 0; i < b->contents.n_groups; i++) {
                GroupRecord *g = &b->contents.groups[i];

                g->type = GROUP_TYPE_PCI;
                g->sriov = (SriovSettings){0};
                assert_int_equal(store_change_put_group(c, g), 0);
        }
        for (unsigned i = 0; i < b->contents.n_claims; i++) {
                ClaimRecord *k = &b->contents.claims[i];

                k->settings = (VfSettings){0};
                k->n_macs = 0;
                assert_int_equal(store_change_put_claim(c, k), 0);
        }
        for (unsigned i = 0; i < b->contents.n_runs; i++) {
                for (unsigned k = 0; k < b->contents.runs[i].n_devices; k++)
                        b->contents.runs[i].devices[k].settings = 0;
                assert_int_equal(store_change_put_run(c, &b->contents.runs[i]), 0);
        }
        assert_int_equal(bench_commit(b, c), 0);
}

/* What version 1 did not know. */
static void forget(Bench *b) {
        static const char *const names[] = {"PCI NICs", "GPUs", "Gr\303\266\303\237e"};
        StoreChange *c = bench_change();

        for (unsigned i = 0; i < b->contents.n_runs; i++)
                assert_int_equal(store_change_delete_run(c, b->contents.runs[i].id), 0);
        for (unsigned i = 0; i < b->contents.n_claims; i++)
                assert_int_equal(store_change_delete_claim(c, b->contents.claims[i].id), 0);
        for (unsigned i = 0; i < b->contents.n_quarantine; i++)
                assert_int_equal(store_change_delete_quarantine(c,
                                                                &b->contents.quarantine[i].identity.address),
                                 0);
        for (unsigned i = 0; i < ELEMENTSOF(names); i++) {
                GroupRecord g = bench_group(i, names[i]);

                g.quota = 0;
                g.type = GROUP_TYPE_PCI;
                g.sriov = (SriovSettings){0};
                assert_int_equal(store_change_put_group(c, &g), 0);
        }
        assert_int_equal(bench_commit(b, c), 0);
}

static const char fill_1[] = "INSERT INTO groups SELECT id, name, type, description, class, enabled, "
                             "binding, created, "
                             "  modified, row_checksum(id, name, type, description, class, enabled, "
                             "binding, created, "
                             "  modified) FROM later.groups;"
                             "INSERT INTO rules SELECT * FROM later.rules;"
                             "INSERT INTO intents SELECT * FROM later.intents;"
                             "UPDATE meta SET next_age = (SELECT next_age FROM later.meta)";

static const char fill_2[] =
                "INSERT INTO groups SELECT id, name, type, description, class, enabled, binding, created, "
                "  modified, row_checksum(id, name, type, description, class, enabled, binding, quota, "
                "  created, modified), quota FROM later.groups;"
                "INSERT INTO rules SELECT * FROM later.rules;"
                "INSERT INTO intents SELECT * FROM later.intents;"
                "INSERT INTO claims SELECT id, group_id, owner, vm, name, description, count, turn, "
                "  optional, enabled, doomed, created, modified, row_checksum(id, group_id, owner, vm, "
                "name, "
                "  description, count, turn, optional, enabled, doomed, created, modified) FROM "
                "later.claims;"
                "INSERT INTO runs SELECT * FROM later.runs;"
                "INSERT INTO quarantine SELECT * FROM later.quarantine;"
                "UPDATE meta SET next_age = (SELECT next_age FROM later.meta)";

/* Makes one of that version that has all of the bench's which it can have. Returns what is in it. */
static char *become_version(Bench *b, int version) {
        const StoreSchema older = {.steps = store_schema.steps, .version = version};
        char path[64], *contents, sql[PATH_MAX];
        sqlite3 *db = NULL;

        bench_open(b);
        if (version == 1)
                forget(b);
        else
                forget_functions(b);
        contents = describe_now(b);
        assert_int_equal(renameat(b->fd, STORE_FILE, b->fd, "later.db"), 0);

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" STORE_FILE, b->fd);
        assert_int_equal(sqlite3_open(path, &db), 0);
        assert_int_equal(store_schema_prepare(db), 0);
        (void)snprintf(sql, sizeof sql,
                       "PRAGMA application_id = %d; PRAGMA journal_mode = WAL; ATTACH '%s/state/later.db' "
                       "AS later",
                       STORE_APPLICATION_ID, b->host->root);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), 0);
        assert_int_equal(store_schema_migrate(db, &older, 0), 0);
        if (sqlite3_exec(db, version == 1 ? fill_1 : fill_2, NULL, NULL, NULL) != 0)
                fail_msg("%s", sqlite3_errmsg(db));
        assert_int_equal(store_schema_migrate(db, &older, version), 0); /* seals it */
        assert_int_equal(sqlite3_close(db), 0);
        assert_int_equal(unlinkat(b->fd, "later.db", 0), 0);
        return contents;
}

static int64_t version_of(const Bench *b) {
        char path[64];
        sqlite3_stmt *s = NULL;
        sqlite3 *db = NULL;
        int64_t version;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" STORE_FILE, b->fd);
        assert_int_equal(sqlite3_open(path, &db), 0);
        assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &s, NULL), 0);
        assert_int_equal(sqlite3_step(s), SQLITE_ROW);
        version = sqlite3_column_int64(s, 0);
        (void)sqlite3_finalize(s);
        assert_int_equal(sqlite3_close(db), 0);
        return version;
}

static void test_version_1_keeps_all(void **state) {
        _cleanup_free_ char *contents = become_version(*state, 1), *found = NULL, *again = NULL;
        Bench *b = *state;
        StoreChange *c;

        assert_int_equal(version_of(b), 1);
        found = describe_now(b);
        assert_string_equal(found, contents);
        assert_int_equal(version_of(b), STORE_VERSION);
        again = describe_now(b);
        assert_string_equal(again, contents);

        bench_open(b);
        assert_int_equal(b->contents.n_groups, 3);
        assert_int_equal(b->contents.n_rules, 29);
        assert_int_equal(b->contents.n_intents, 1);
        assert_int_equal(b->contents.groups[0].quota, 0);
        c = bench_change();
        bench_put_group(c, 1, "GPUs"); /* now with a quota */
        bench_put_claim(c, 1, "web", "network card");
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        assert_int_equal(b->contents.groups[0].quota, 3);
        assert_int_equal(b->contents.n_claims, 1);
}

static void test_version_2_keeps_all(void **state) {
        _cleanup_free_ char *contents = become_version(*state, 2), *found = NULL, *again = NULL;
        Bench *b = *state;
        StoreChange *c;

        assert_int_equal(version_of(b), 2);
        found = describe_now(b);
        assert_string_equal(found, contents);
        assert_int_equal(version_of(b), STORE_VERSION);
        again = describe_now(b);
        assert_string_equal(again, contents);

        bench_open(b);
        assert_int_equal(b->contents.n_claims, 3);
        assert_int_equal(b->contents.n_runs, 1);
        assert_int_equal(b->contents.n_quarantine, 2);
        assert_int_equal(b->contents.groups[2].sriov.vfs, 0);
        c = bench_change();
        bench_put_group(c, BENCH_SRIOV, "Gr\303\266\303\237e"); /* now with settings */
        bench_put_claim(c, 2, "web", "graphics");
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        assert_int_equal(b->contents.groups[1].sriov.vfs, 7);
        assert_int_equal(b->contents.claims[1].n_macs, 3);
}

static void test_version_2_that_is_damaged(void **state) {
        static const struct {
                const char *sql, *words;
        } table[] = {
                        {"UPDATE groups SET quota = 9 WHERE name = 'GPUs'", "group 'GPUs'"},
                        {"UPDATE claims SET count = 9 WHERE vm = 'data base'", "claim 'network card'"},
                        {"DELETE FROM quarantine", "number of its rows"},
                        {"ALTER TABLE claims ADD COLUMN macs TEXT", "not those of format 2"},
        };
        _cleanup_snapshot_ Snapshot whole = {0};

        free(become_version(*state, 2));
        whole = bench_snapshot(*state);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                bench_restore(*state, &whole);
                bench_sql(*state, table[i].sql);
                bench_refuses(*state, table[i].words);
        }
}

static void test_version_1_that_is_damaged(void **state) {
        static const struct {
                const char *sql, *words;
        } table[] = {
                        {"UPDATE groups SET description = '' WHERE name = 'GPUs'", "group 'GPUs'"},
                        {"UPDATE rules SET name = 'x' WHERE age = 4", "rule 'x'"},
                        {"DELETE FROM intents", "number of its rows"},
                        {"CREATE TABLE claims (x)", "not those of format 1"},
                        {"ALTER TABLE groups ADD COLUMN quota INTEGER", "not those of format 1"},
        };
        _cleanup_free_ char *contents = become_version(*state, 1);
        _cleanup_snapshot_ Snapshot whole = bench_snapshot(*state);
        Damage d = {*state, {contents, contents}, 0, 0};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                bench_restore(d.b, &whole);
                bench_sql(d.b, table[i].sql);
                bench_refuses(d.b, table[i].words);
        }
        for (unsigned i = 0; i < 100; i++)
                flip(&d, &whole, 0, random_below(whole.files[0].n), (unsigned char)(1 + random_below(255)));
        for (unsigned i = 0; i < 20; i++)
                truncate_it(&d, &whole, 0, random_below(whole.files[0].n));
        assert_true(d.refused > 30);
        assert_true(d.opened > 0);
}

/* One that fails in its third step leaves what the first two have done to nobody. */
static void test_migration_that_fails(void **state) {
        static const StoreStep fine = {"CREATE TABLE more (x INTEGER) STRICT;", "SELECT 1 WHERE 0"};
        static const StoreStep wrong[] = {
                        {"CREATE TABLE half (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1);",
                         "SELECT 1 WHERE 0"},
                        {"UPDATE rules SET name = name || '!';",
                         "SELECT 'rules' FROM rules WHERE name LIKE '%!'"},
                        {"UPDATE groups SET class = 'teapot';", "SELECT 1 WHERE 0"},
                        {"PRAGMA defer_foreign_keys = ON; UPDATE rules SET group_id = 'none';",
                         "SELECT 1 WHERE 0"},
        };
        _cleanup_snapshot_ Snapshot whole = bench_snapshot(*state);
        StoreStep buffer[STEPS_MAX];
        Bench *b = *state;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                StoreStep more[] = {fine, fine, wrong[i]};
                StoreSchema schema = future(buffer, more, 3);

                try_as(b, &schema);
                if (!store_read_only(b->store))
                        fail_msg("wrong step %zu was taken", i);
                assert_int_equal(b->contents.n_groups, 0);
                bench_close(b);
                bench_is_untouched(b, &whole, wrong[i].sql);
        }
        bench_open(b);
        assert_int_equal(b->contents.n_rules, 29);
}

/* With a full WAL below it. */
static void test_newer_with_a_wal(void **state) {
        _cleanup_free_ char *before = NULL, *after = NULL;
        _cleanup_snapshot_ Snapshot crashed = {0};
        Bench *b = *state;
        sqlite3 *db = NULL;
        char path[64];

        make_wal(b, &before, &after);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" STORE_FILE, b->fd);
        assert_int_equal(sqlite3_open(path, &db), 0);
        assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), 0);
        crashed = bench_snapshot(b);
        assert_int_equal(sqlite3_close(db), 0);
        bench_restore(b, &crashed);
        assert_true(crashed.files[1].n > 0);
        assert_true(crashed.files[2].n > 0); /* this one has a -shm, too */
        bench_refuses(b, "has format 9");
}

#define with(setup, name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        with(setup_filled, test_truncated),
                        with(setup_filled, test_flipped),
                        with(setup_filled, test_flipped_texts),
                        with(setup_filled, test_a_damaged_wal),
                        with(setup_filled, test_rows_that_somebody_changed),
                        with(setup_filled, test_rows_that_are_no_records),
                        with(setup_filled, test_backups),
                        with(bench_setup_closed, test_files_that_are_none),
                        with(setup_filled, test_what_stands_beside_it),
                        with(setup_filled, test_no_permission),
                        with(setup_filled, test_migration),
                        cmocka_unit_test(test_steps_are_as_they_were_released),
                        with(setup_filled, test_version_1_keeps_all),
                        with(setup_filled, test_version_1_that_is_damaged),
                        with(setup_filled, test_version_2_keeps_all),
                        with(setup_filled, test_version_2_that_is_damaged),
                        with(setup_filled, test_migration_that_fails),
                        with(setup_filled, test_newer_with_a_wal),
        };

        return cmocka_run_group_tests_name("store-damage", tests, NULL, NULL);
}
