/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "store-db.h"
#include "store-read.h"

#define INTENTS_MAX 1000U /* as many as calls at once, and what crashes have left */

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

static uint64_t get_number(sqlite3_stmt *s, int i) {
        return (uint64_t)sqlite3_column_int64(s, i); /* the tables have checked that it is not negative */
}

static int read_group(sqlite3_stmt *s, void *record, Failure *f) {
        GroupRecord *g = record;
        int r;

        if ((r = get_id(s, 0, g->id, f)) < 0 || (r = get_copy(s, 1, &g->name, f)) < 0 ||
            (r = get_word(s, 2, group_type_from_string, &g->type, f)) < 0 ||
            (r = get_copy(s, 3, &g->description, f)) < 0 ||
            (r = get_word(s, 4, group_class_from_string, &g->class, f)) < 0 ||
            (r = get_word(s, 6, group_binding_from_string, &g->binding, f)) < 0)
                return r;

        g->enabled = get_number(s, 5) != 0;
        g->created = get_number(s, 7);
        g->modified = get_number(s, 8);
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
                "SELECT id, name, type, description, class, enabled, binding, created, modified FROM groups "
                "ORDER BY name",
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
                "intents",   "SELECT id, kind, data, created FROM intents ORDER BY created, id",
                INTENTS_MAX, sizeof(IntentRecord),
                read_intent,
};

static int read_all(sqlite3 *db, StoreContents *c, Failure *f) {
        int64_t next_age;
        int r;

        if ((r = read_table(db, &group_rows, (void **)(void *)&c->groups, &c->n_groups, f)) < 0 ||
            (r = read_table(db, &rule_rows, (void **)(void *)&c->rules, &c->n_rules, f)) < 0 ||
            (r = read_table(db, &intent_rows, (void **)(void *)&c->intents, &c->n_intents, f)) < 0 ||
            (r = store_db_number(db, "SELECT next_age FROM meta", &next_age)) < 0)
                return r;

        c->next_age = (uint64_t)next_age;
        if (c->n_rules > 0 && c->next_age <= c->rules[c->n_rules - 1].age)
                return failure_set(f, FAILURE_INTERNAL, "a rule is younger than the youngest");
        return 0;
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
