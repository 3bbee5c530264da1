/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "store-db.h"
#include "store-devices.h"
#include "store-read.h"

/* One table. `read` fills the record that is at `index` of its array, which has been made long enough. */
typedef struct Table {
        const char *name, *sql;
        size_t max, size;
        int (*read)(sqlite3_stmt *s, void *record, Failure *f);
} Table;

static int wrong(Failure *f, const char *column) {
        return failure_set(f, FAILURE_INTERNAL, "a row has no valid %s", column);
}

static int get_text(sqlite3_stmt *s, int i, const char **ret, Failure *f) {
        const char *text = (const char *)(const void *)sqlite3_column_text(s, i);

        *ret = ""; /* the compiler does not see that wrong() is a failure */
        if (!text || strlen(text) != (size_t)sqlite3_column_bytes(s, i))
                return wrong(f, sqlite3_column_name(s, i));
        *ret = text;
        return 0;
}

static int get_copy(sqlite3_stmt *s, int i, char **ret, Failure *f) {
        const char *text;

        if (get_text(s, i, &text, f) < 0)
                return -EREMOTEIO;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int get_id(sqlite3_stmt *s, int i, char ret[RECORD_ID_SIZE], Failure *f) {
        const char *text;

        if (get_text(s, i, &text, f) < 0)
                return -EREMOTEIO;
        if (!record_id_is_valid(text))
                return wrong(f, sqlite3_column_name(s, i));
        memcpy(ret, text, RECORD_ID_SIZE);
        return 0;
}

/* For enums; from_string() is one of DEFINE_STRING_TABLE(). */
#define get_word(s, i, from_string, ret, f)                                                                 \
        ({                                                                                                  \
                const char *_word = NULL;                                                                   \
                int _r = get_text(s, i, &_word, f);                                                         \
                                                                                                            \
                if (_r == 0) {                                                                              \
                        *(ret) = from_string(_word);                                                        \
                        _r = (int)*(ret) < 0 ? wrong(f, sqlite3_column_name(s, i)) : 0;                     \
                }                                                                                           \
                _r;                                                                                         \
        })

/* Into a member of the record. */
static int get_part(sqlite3_stmt *s, int i, char *ret, size_t size, Failure *f) {
        const char *text;

        if (get_text(s, i, &text, f) < 0)
                return -EREMOTEIO;
        if (strlen(text) >= size)
                return wrong(f, sqlite3_column_name(s, i));
        strcpy(ret, text);
        return 0;
}

static uint64_t get_number(sqlite3_stmt *s, int i) {
        return (uint64_t)sqlite3_column_int64(s, i); /* the tables have checked that it is in its limits */
}

static int read_group(sqlite3_stmt *s, void *record, Failure *f) {
        GroupRecord *g = record;
        const char *sriov;
        int r;

        if ((r = get_id(s, 0, g->id, f)) < 0 || (r = get_copy(s, 1, &g->name, f)) < 0 ||
            (r = get_word(s, 2, group_type_from_string, &g->type, f)) < 0 ||
            (r = get_copy(s, 3, &g->description, f)) < 0 ||
            (r = get_word(s, 4, group_class_from_string, &g->class, f)) < 0 ||
            (r = get_word(s, 6, group_binding_from_string, &g->binding, f)) < 0 ||
            (r = get_text(s, 8, &sriov, f)) < 0)
                return r;
        if (sriov_settings_parse(sriov, &g->sriov) < 0)
                return wrong(f, sqlite3_column_name(s, 8));

        g->enabled = get_number(s, 5) != 0;
        g->quota = (uint32_t)get_number(s, 7);
        g->created = get_number(s, 9);
        g->modified = get_number(s, 10);
        return group_record_check(g, f);
}

static int read_rule(sqlite3_stmt *s, void *record, Failure *f) {
        RuleRecord *rule = record;
        int r;

        if ((r = get_id(s, 1, rule->id, f)) < 0 || (r = get_id(s, 2, rule->group, f)) < 0 ||
            (r = get_copy(s, 3, &rule->name, f)) < 0 || (r = get_copy(s, 4, &rule->node, f)) < 0 ||
            (r = get_copy(s, 5, &rule->filter, f)) < 0)
                return r;

        rule->age = get_number(s, 0);
        rule->enabled = get_number(s, 6) != 0;
        rule->auto_created = get_number(s, 7) != 0;
        rule->created = get_number(s, 8);
        rule->modified = get_number(s, 9);
        return rule_record_check(rule, f);
}

static int read_intent(sqlite3_stmt *s, void *record, Failure *f) {
        IntentRecord *i = record;
        int r;

        if ((r = get_id(s, 0, i->id, f)) < 0 ||
            (r = get_word(s, 1, intent_kind_from_string, &i->kind, f)) < 0 ||
            (r = get_copy(s, 2, &i->data, f)) < 0)
                return r;

        i->created = get_number(s, 3);
        return 0;
}

static int read_claim(sqlite3_stmt *s, void *record, Failure *f) {
        const char *sriov, *macs;
        ClaimRecord *c = record;
        int r;

        if ((r = get_id(s, 0, c->id, f)) < 0 || (r = get_id(s, 1, c->group, f)) < 0 ||
            (r = get_copy(s, 3, &c->vm, f)) < 0 || (r = get_copy(s, 4, &c->name, f)) < 0 ||
            (r = get_copy(s, 5, &c->description, f)) < 0 || (r = get_text(s, 11, &sriov, f)) < 0 ||
            (r = get_text(s, 12, &macs, f)) < 0)
                return r;
        if (vf_settings_parse(sriov, &c->settings) < 0)
                return wrong(f, sqlite3_column_name(s, 11));
        r = claim_macs_parse(macs, c);
        if (r < 0)
                return r == -EBADMSG ? wrong(f, sqlite3_column_name(s, 12)) : r;

        c->owner = (uid_t)get_number(s, 2);
        c->count = (uint32_t)get_number(s, 6);
        c->order = (uint32_t)get_number(s, 7);
        c->optional = get_number(s, 8) != 0;
        c->enabled = get_number(s, 9) != 0;
        c->doomed = get_number(s, 10) != 0;
        c->created = get_number(s, 13);
        c->modified = get_number(s, 14);
        return claim_record_check(c, f);
}

static int read_run(sqlite3_stmt *s, void *record, Failure *f) {
        const char *devices;
        RunRecord *run = record;
        int r;

        if ((r = get_id(s, 0, run->id, f)) < 0 || (r = get_copy(s, 2, &run->vm, f)) < 0 ||
            (r = get_word(s, 5, run_track_from_string, &run->track, f)) < 0 ||
            (r = get_copy(s, 6, &run->tracked, f)) < 0 ||
            (r = get_word(s, 7, run_access_from_string, &run->access, f)) < 0 ||
            (r = get_part(s, 8, run->boot_id, sizeof run->boot_id, f)) < 0 ||
            (r = get_text(s, 9, &devices, f)) < 0)
                return r;

        r = store_devices_parse(devices, &run->devices, &run->n_devices);
        if (r < 0)
                return r == -EBADMSG ? wrong(f, sqlite3_column_name(s, 9)) : r;

        run->owner = (uid_t)get_number(s, 1);
        run->uid = (uid_t)get_number(s, 3);
        run->starting = get_number(s, 4) != 0;
        run->created = get_number(s, 10);
        return run_record_check(run, f);
}

static int read_quarantine(sqlite3_stmt *s, void *record, Failure *f) {
        QuarantineRecord *q = record;
        PciIdentity *i = &q->identity;
        const char *address;
        int r;

        if ((r = get_text(s, 0, &address, f)) < 0 ||
            (r = get_part(s, 7, i->serial, sizeof i->serial, f)) < 0 ||
            (r = get_part(s, 8, i->slot, sizeof i->slot, f)) < 0 ||
            (r = get_copy(s, 9, &q->reason, f)) < 0 ||
            (r = get_part(s, 10, q->boot_id, sizeof q->boot_id, f)) < 0)
                return r;
        if (pci_address_parse(address, &i->address) < 0)
                return wrong(f, sqlite3_column_name(s, 0));

        i->vendor = (uint16_t)get_number(s, 1);
        i->device = (uint16_t)get_number(s, 2);
        i->subsystem_vendor = (uint16_t)get_number(s, 3);
        i->subsystem_device = (uint16_t)get_number(s, 4);
        i->class_code = (uint32_t)get_number(s, 5);
        i->revision = (uint8_t)get_number(s, 6);
        q->created = get_number(s, 11);
        return quarantine_record_check(q, f);
}

/* Counts in *n before it reads, so that what was half read is cleared with the rest. */
static int read_table(sqlite3 *db, const Table *t, void **records, size_t *n, Failure *f) {
        _cleanup_(sqlite3_finalizep) sqlite3_stmt *s = NULL;
        int rc, r;

        rc = sqlite3_prepare_v2(db, t->sql, -1, &s, NULL);
        while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
                if (*n == t->max)
                        return failure_set(f, FAILURE_INTERNAL, "it has more than %zu %s", t->max, t->name);
                if (array_grow(records, *n, t->size) < 0)
                        return -ENOMEM;
                memset((char *)*records + *n * t->size, 0, t->size);
                r = t->read(s, (char *)*records + (*n)++ * t->size, f);
                if (r < 0)
                        return r;
                rc = SQLITE_OK;
        }
        return store_db_errno(db, rc);
}

static const Table group_rows = {
                "groups",
                "SELECT id, name, type, description, class, enabled, binding, quota, sriov, created, "
                "modified "
                "FROM groups ORDER BY name",
                GROUPS_MAX,
                sizeof(GroupRecord),
                read_group,
};

static const Table rule_rows = {
                "rules",
                "SELECT age, id, group_id, name, node, filter, enabled, auto_created, created, modified "
                "FROM rules "
                "ORDER BY age",
                RULES_MAX,
                sizeof(RuleRecord),
                read_rule,
};

static const Table intent_rows = {
                "intents",         "SELECT id, kind, data, created FROM intents ORDER BY created, id",
                STORE_INTENTS_MAX, sizeof(IntentRecord),
                read_intent,
};

static const Table claim_rows = {
                "claims",
                "SELECT id, group_id, owner, vm, name, description, count, turn, optional, enabled, doomed, "
                "sriov, macs, created, modified "
                "FROM claims ORDER BY id",
                CLAIMS_MAX,
                sizeof(ClaimRecord),
                read_claim,
};

static const Table run_rows = {
                "runs",
                "SELECT id, owner, vm, uid, starting, track, tracked, access, boot_id, devices, created "
                "FROM runs ORDER BY created, id",
                RUNS_MAX,
                sizeof(RunRecord),
                read_run,
};

static const Table quarantine_rows = {
                "devices in quarantine",
                "SELECT address, vendor, device, subsystem_vendor, subsystem_device, class, revision, "
                "serial, "
                "slot, reason, boot_id, created "
                "FROM quarantine ORDER BY address",
                QUARANTINE_MAX,
                sizeof(QuarantineRecord),
                read_quarantine,
};

static int compare_claim(const void *id, const void *claim) {
        return strcmp(id, ((const ClaimRecord *)claim)->id);
}

/* Claims come sorted by id. That each has its group, SQLite has checked. */
static int check_runs(const StoreContents *c, Failure *f) {
        for (size_t i = 0; i < c->n_runs; i++)
                for (size_t k = 0; k < c->runs[i].n_devices; k++)
                        if (c->n_claims == 0 || !bsearch(c->runs[i].devices[k].claim, c->claims, c->n_claims,
                                                         sizeof *c->claims, compare_claim))
                                return failure_set(f, FAILURE_INTERNAL,
                                                   "a device of VM '%.64s' belongs to no claim",
                                                   c->runs[i].vm);
        return 0;
}

static int check_ages(const StoreContents *c, Failure *f) {
        if (c->n_rules > 0 && c->next_age <= c->rules[c->n_rules - 1].age)
                return failure_set(f, FAILURE_INTERNAL, "a rule is younger than the youngest");
        return 0;
}

#define read_rows(db, rows, c, records, f)                                                                  \
        read_table(db, &(rows), (void **)(void *)&(c)->records, &(c)->n_##records, f)

static int read_all(sqlite3 *db, StoreContents *c, Failure *f) {
        int64_t next_age;
        int r;

        if ((r = read_rows(db, group_rows, c, groups, f)) < 0 ||
            (r = read_rows(db, rule_rows, c, rules, f)) < 0 ||
            (r = read_rows(db, intent_rows, c, intents, f)) < 0 ||
            (r = read_rows(db, claim_rows, c, claims, f)) < 0 ||
            (r = read_rows(db, run_rows, c, runs, f)) < 0 ||
            (r = read_rows(db, quarantine_rows, c, quarantine, f)) < 0 ||
            (r = store_db_number(db, "SELECT next_age FROM meta", &next_age)) < 0)
                return r;

        c->next_age = (uint64_t)next_age;
        r = check_ages(c, f);
        return r < 0 ? r : check_runs(c, f);
}

int store_read(sqlite3 *db, StoreContents *ret, Failure *f) {
        StoreContents c = {0};
        int r;

        assert(db);
        assert(ret);
        assert(f);

        r = read_all(db, &c, f);
        if (r < 0)
                store_contents_clear(&c);
        else
                *ret = c;
        return r;
}
