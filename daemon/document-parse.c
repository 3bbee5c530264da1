/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "document-internal.h"
#include "names.h"

#define DEPTH_MAX 8U /* a document has five levels */
/* Values at the most: each costs memory that its two bytes of text do not show. */
#define VALUES_MAX (GROUPS_MAX * 40 + RULES_MAX * 10 + 100)

/* Any valid one: records are checked whole, and these parts are not in a document. */
#define SOME_ID "00000000-0000-4000-8000-000000000000"

int document_invalid(Failure *f, const char *path, const char *problem) {
        return failure_set(f, FAILURE_INVALID_ARGUMENT, "The document is not valid: %s%s%s.", path,
                           path[0] ? ": " : "", problem);
}

static int too_many(Failure *f, const char *path, const char *what, unsigned max) {
        char problem[64];

        (void)snprintf(problem, sizeof problem, "there may be %u %s at the most", max, what);
        return document_invalid(f, path, problem);
}

static int no_memory(Failure *f) {
        (void)failure_set(f, FAILURE_INTERNAL,
                          "There is no memory left to read the document; try again later.");
        return -ENOMEM;
}

/* --- text --- */

/* Before the parser makes objects of it: depth and number of values, whatever else the text may be. */
static int check_size(const char *text, Failure *f) {
        unsigned depth = 0, line = 1, values = 1;
        bool in_string = false;
        char where[64];

        for (const char *p = text; *p; p++) {
                line += *p == '\n';
                if (in_string) {
                        if (*p == '\\' && p[1])
                                p++;
                        else if (*p == '"')
                                in_string = false;
                        continue;
                }
                in_string = *p == '"';
                depth += *p == '[' || *p == '{';
                depth -= (*p == ']' || *p == '}') && depth > 0;
                values += *p == ',' || *p == '[' || *p == '{';
                if (depth <= DEPTH_MAX && values <= VALUES_MAX)
                        continue;
                (void)snprintf(where, sizeof where, "line %u", line);
                return document_invalid(f, where,
                                        depth > DEPTH_MAX ? "the values are nested too deeply"
                                                          : "there are too many values");
        }
        return 0;
}

static int load(const char *text, json_t **ret, Failure *f) {
        size_t size = strlen(text);
        json_error_t error;
        char where[64];

        if (size > DOCUMENT_SIZE_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "The document has %zu bytes, and at most %u are taken; split it.", size,
                                   DOCUMENT_SIZE_MAX);
        if (check_size(text, f) < 0)
                return -EREMOTEIO;

        *ret = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
        if (*ret)
                return 0;
        if (json_error_code(&error) == json_error_out_of_memory)
                return no_memory(f);
        (void)snprintf(where, sizeof where, "line %d, column %d", error.line, error.column);
        return document_invalid(f, where, error.text);
}

/* --- members --- */

typedef enum MemberType {
        MEMBER_TEXT,
        MEMBER_BOOLEAN,
        MEMBER_NUMBER,
        MEMBER_LIST,
        MEMBER_OBJECT,
} MemberType;

/* A member that may stand in an object, and where its value goes: a borrowed text, bool, json_int_t, list or object.
 * What is left out leaves there what was there before. */
typedef struct Member {
        const char *name;
        MemberType type;
        bool required;
        void *ret;
} Member;

static const char *const member_type_words[] = {
                [MEMBER_TEXT] = "expected a text",
                [MEMBER_BOOLEAN] = "expected true or false",
                [MEMBER_NUMBER] = "expected a whole number",
                [MEMBER_LIST] = "expected a list",
                [MEMBER_OBJECT] = "expected an object, { ... }",
};

static bool take_value(const Member *m, json_t *value) {
        switch (m->type) {
        case MEMBER_TEXT:
                *(const char **)m->ret = json_string_value(value);
                return json_is_string(value);
        case MEMBER_BOOLEAN:
                *(bool *)m->ret = json_is_true(value);
                return json_is_boolean(value);
        case MEMBER_NUMBER:
                *(json_int_t *)m->ret = json_integer_value(value);
                return json_is_integer(value);
        case MEMBER_LIST:
                *(json_t **)m->ret = value;
                return json_is_array(value);
        case MEMBER_OBJECT:
                *(json_t **)m->ret = value;
                return json_is_object(value);
        }
        return false;
}

int document_refuse_member(Failure *f, const char *path, const char *name, const char *problem) {
        char whole[256];

        (void)snprintf(whole, sizeof whole, "%s%s%.100s", path, path[0] ? "." : "", name);
        return document_invalid(f, whole, problem);
}

/* Takes all members of an object, and refuses one that it does not know: it may be a misspelt wish. */
static int take_members(json_t *object, const char *path, const Member *members, size_t n, Failure *f) {
        const char *name;
        json_t *value;

        if (!json_is_object(object))
                return document_invalid(f, path, "expected an object, { ... }");

        json_object_foreach(object, name, value) {
                size_t i = 0;

                while (i < n && !streq(members[i].name, name))
                        i++;
                if (i == n)
                        return document_refuse_member(f, path, name, "there is no such member");
                if (!take_value(&members[i], value))
                        return document_refuse_member(f, path, name, member_type_words[members[i].type]);
        }

        for (size_t i = 0; i < n; i++)
                if (members[i].required && !json_object_get(object, members[i].name))
                        return document_refuse_member(f, path, members[i].name, "it is missing");
        return 0;
}

static int copy(const char *text, char **ret, Failure *f) {
        *ret = strdup(text);
        return *ret ? 0 : no_memory(f);
}

/* What a record's own check says, with the place. */
int document_pass_on(const Failure *found, const char *path, Failure *f) {
        int n = (int)strlen(found->sentence);
        char problem[700];

        while (n > 0 && found->sentence[n - 1] == '.')
                n--;
        (void)snprintf(problem, sizeof problem, "%.*s", n < 600 ? n : 600, found->sentence);
        return document_invalid(f, path, problem);
}

/* --- records --- */

static int take_rule(json_t *object, const char *path, GroupType type, RuleRecord *r, Failure *f) {
        const char *name = NULL, *node = "", *filter = NULL;
        Failure found = {0};
        const Member members[] = {
                        {"name", MEMBER_TEXT, true, &name},
                        {"node", MEMBER_TEXT, false, &node},
                        {"filter", MEMBER_TEXT, true, &filter},
                        {"enabled", MEMBER_BOOLEAN, false, &r->enabled},
                        {"auto-created", MEMBER_BOOLEAN, false, &r->auto_created},
        };
        int k;

        r->enabled = true;
        if ((k = take_members(object, path, members, ELEMENTSOF(members), f)) < 0 ||
            (k = copy(name, &r->name, f)) < 0 || (k = copy(node, &r->node, f)) < 0 ||
            (k = copy(filter, &r->filter, f)) < 0)
                return k;

        r->age = 1;
        strcpy(r->id, SOME_ID);
        strcpy(r->group, SOME_ID);
        k = rule_record_check(r, &found);
        if (k >= 0)
                k = rule_record_check_type(r, type, &found);
        r->age = 0;
        r->id[0] = r->group[0] = '\0';
        return k == -EREMOTEIO ? document_pass_on(&found, path, f) : k < 0 ? no_memory(f) : 0;
}

static int take_words(GroupRecord *g, const char *path, const char *type, const char *class,
                      const char *binding, Failure *f) {
        g->type = group_type_from_string(type);
        if ((int)g->type < 0)
                return document_refuse_member(
                                f, path, "type",
                                "there is no such type of group; expected \"pci\" or \"sriov-nic\"");
        g->class = group_class_from_string(class);
        if ((int)g->class < 0)
                return document_refuse_member(
                                f, path, "class",
                                "there is no such class; expected \"gpu\", \"vgpu\", \"storage\", "
                                "\"hid\", \"usb\", "
                                "\"network\", \"media\", \"audio\", \"fpga\", \"pci\" or \"unknown\"");
        g->binding = group_binding_from_string(binding);
        if ((int)g->binding < 0)
                return document_refuse_member(
                                f, path, "binding",
                                "there is no such binding; expected \"on-claim\" or \"persistent\"");
        return 0;
}

static_assert(GROUP_QUOTA_MAX == 65535, "the sentence says so");

static int take_quota(GroupRecord *g, const char *path, json_int_t quota, Failure *f) {
        if (quota < 0 || quota > GROUP_QUOTA_MAX)
                return document_refuse_member(f, path, "quota",
                                              "expected a number from 0 (no limit) to 65535");
        g->quota = (uint32_t)quota;
        return 0;
}

static int take_group(json_t *object, const char *path, GroupRecord *g, json_t **ret_rules, Failure *f) {
        const char *name = NULL, *type = "pci", *description = "", *class = "unknown", *binding = "on-claim";
        json_int_t quota = 0;
        json_t *sriov = NULL;
        Failure found = {0};
        const Member members[] = {
                        {"name", MEMBER_TEXT, true, &name},
                        {"type", MEMBER_TEXT, false, &type},
                        {"description", MEMBER_TEXT, false, &description},
                        {"class", MEMBER_TEXT, false, &class},
                        {"enabled", MEMBER_BOOLEAN, false, &g->enabled},
                        {"binding", MEMBER_TEXT, false, &binding},
                        {"quota", MEMBER_NUMBER, false, &quota},
                        {"sriov", MEMBER_OBJECT, false, &sriov},
                        {"rules", MEMBER_LIST, false, ret_rules},
        };
        char where[128];
        int r;

        g->enabled = true;
        if ((r = take_members(object, path, members, ELEMENTSOF(members), f)) < 0 ||
            (r = take_words(g, path, type, class, binding, f)) < 0 ||
            (r = take_quota(g, path, quota, f)) < 0 || (r = copy(name, &g->name, f)) < 0 ||
            (r = copy(description, &g->description, f)) < 0)
                return r;

        if (g->type == GROUP_TYPE_SRIOV_NIC)
                g->sriov = sriov_settings_default;
        (void)snprintf(where, sizeof where, "%s.sriov", path);
        if (sriov && document_take_sriov(sriov, where, &g->sriov, f) < 0)
                return -EREMOTEIO;

        strcpy(g->id, SOME_ID);
        r = group_record_check(g, &found);
        g->id[0] = '\0';
        return r == -EREMOTEIO ? document_pass_on(&found, path, f) : r < 0 ? no_memory(f) : 0;
}

/* --- names --- */

typedef struct Named {
        const char *name;
        size_t index;
} Named;

static int compare_named(const void *a, const void *b) {
        const Named *x = a, *y = b;
        int c = strcmp(x->name, y->name);

        return c != 0 ? c : x->index < y->index ? -1 : 1;
}

/* `path` is of the list: "groups". Sorts `named`. */
static int check_unique(Named *named, size_t n, const char *path, Failure *f) {
        char where[128], problem[128];

        if (n > 1)
                qsort(named, n, sizeof *named, compare_named);
        for (size_t i = 1; i < n; i++)
                if (streq(named[i - 1].name, named[i].name)) {
                        (void)snprintf(where, sizeof where, "%s[%zu].name", path, named[i].index);
                        (void)snprintf(problem, sizeof problem, "%s[%zu] has this name already", path,
                                       named[i - 1].index);
                        return document_invalid(f, where, problem);
                }
        return 0;
}

static int check_rule_names(const DocumentGroup *g, const char *path, Failure *f) {
        _cleanup_free_ Named *named = calloc(g->n_rules + 1, sizeof *named);

        if (!named)
                return no_memory(f);
        for (size_t i = 0; i < g->n_rules; i++)
                named[i] = (Named){g->rules[i].name, i};
        return check_unique(named, g->n_rules, path, f);
}

static int check_group_names(const Document *d, Failure *f) {
        _cleanup_free_ Named *named = calloc(d->n_groups + 1, sizeof *named);

        if (!named)
                return no_memory(f);
        for (size_t i = 0; i < d->n_groups; i++)
                named[i] = (Named){d->groups[i].group.name, i};
        return check_unique(named, d->n_groups, "groups", f);
}

/* --- the whole --- */

static int take_rules(json_t *list, const char *path, DocumentGroup *g, size_t *n_rules, Failure *f) {
        char where[128];
        int r;

        *n_rules += json_array_size(list);
        if (*n_rules > RULES_MAX)
                return too_many(f, path, "rules in all", RULES_MAX);
        g->rules = calloc(json_array_size(list) + 1, sizeof *g->rules);
        if (!g->rules)
                return no_memory(f);

        for (size_t i = 0; i < json_array_size(list); i++) {
                (void)snprintf(where, sizeof where, "%s[%zu]", path, i);
                g->n_rules++;
                r = take_rule(json_array_get(list, i), where, g->group.type, &g->rules[i], f);
                if (r < 0)
                        return r;
        }
        return check_rule_names(g, path, f);
}

static int take_groups(json_t *list, Document *d, Failure *f) {
        size_t n_rules = 0;
        char path[64];
        int r;

        if (json_array_size(list) > GROUPS_MAX)
                return too_many(f, "groups", "groups", GROUPS_MAX);
        d->groups = calloc(json_array_size(list) + 1, sizeof *d->groups);
        if (!d->groups)
                return no_memory(f);

        for (size_t i = 0; i < json_array_size(list); i++) {
                json_t *rules = NULL;

                (void)snprintf(path, sizeof path, "groups[%zu]", i);
                d->n_groups++;
                r = take_group(json_array_get(list, i), path, &d->groups[i].group, &rules, f);
                if (r < 0)
                        return r;
                (void)snprintf(path, sizeof path, "groups[%zu].rules", i);
                r = take_rules(rules, path, &d->groups[i], &n_rules, f);
                if (r < 0)
                        return r;
        }
        return check_group_names(d, f);
}

static int take_document(json_t *root, Document *d, Failure *f) {
        const char *format = NULL;
        json_t *groups = NULL;
        json_int_t version = 0;
        const Member members[] = {
                        {"format", MEMBER_TEXT, true, &format},
                        {"version", MEMBER_NUMBER, true, &version},
                        {"groups", MEMBER_LIST, true, &groups},
        };

        if (take_members(root, "", members, ELEMENTSOF(members), f) < 0)
                return -EREMOTEIO;
        if (!streq(strempty(format), BUS_NAME))
                return document_invalid(f, "format", "expected \"" BUS_NAME "\"");
        if (version != DOCUMENT_VERSION)
                return document_invalid(f, "version",
                                        "this version of verge-passthrough takes version 1 only");
        return take_groups(groups, d, f);
}

int document_parse(const char *text, Document *ret, Failure *f) {
        _cleanup_(json_decrefp) json_t *root = NULL;
        Document d = {0};
        int r;

        assert(text);
        assert(ret);
        assert(f);

        r = load(text, &root, f);
        if (r == 0)
                r = take_document(root, &d, f);
        if (r < 0)
                document_clear(&d);
        else
                *ret = d;
        return r;
}
