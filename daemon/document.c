/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "document-internal.h"
#include "names.h"

static void clear_group(DocumentGroup *g) {
        group_record_clear(&g->group);
        for (size_t i = 0; i < g->n_rules; i++)
                rule_record_clear(&g->rules[i]);
        free(g->rules);
}

void document_clear(Document *d) {
        assert(d);

        for (size_t i = 0; i < d->n_groups; i++)
                clear_group(&d->groups[i]);
        free(d->groups);
        *d = (Document){0};
}

static int compare_groups(const void *a, const void *b) {
        const DocumentGroup *const *x = a, *const *y = b;

        return strcmp((*x)->group.name, (*y)->group.name);
}

static json_t *rule_to_json(const RuleRecord *r) {
        return json_pack("{s:s, s:s, s:s, s:b, s:b}", "name", r->name, "node", strempty(r->node), "filter",
                         r->filter, "enabled", r->enabled, "auto-created", r->auto_created);
}

static json_t *group_to_json(const DocumentGroup *g) {
        _cleanup_(json_decrefp) json_t *rules = json_array(), *sriov = NULL;

        for (size_t i = 0; i < g->n_rules; i++)
                if (json_array_append_new(rules, rule_to_json(&g->rules[i])) < 0)
                        return NULL;
        if (g->group.type == GROUP_TYPE_SRIOV_NIC && !(sriov = document_sriov_to_json(&g->group.sriov)))
                return NULL;
        return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:i, s:O*, s:O}", "name", g->group.name, "type",
                         group_type_to_string(g->group.type), "description", strempty(g->group.description),
                         "class", group_class_to_string(g->group.class), "enabled", g->group.enabled,
                         "binding", group_binding_to_string(g->group.binding), "quota", (int)g->group.quota,
                         "sriov", sriov, "rules", rules);
}

static json_t *document_to_json(const Document *d) {
        _cleanup_free_ const DocumentGroup **sorted = calloc(d->n_groups + 1, sizeof *sorted);
        _cleanup_(json_decrefp) json_t *groups = json_array();

        if (!sorted)
                return NULL;
        for (size_t i = 0; i < d->n_groups; i++)
                sorted[i] = &d->groups[i];
        qsort(sorted, d->n_groups, sizeof *sorted, compare_groups);

        for (size_t i = 0; i < d->n_groups; i++)
                if (json_array_append_new(groups, group_to_json(sorted[i])) < 0)
                        return NULL;
        return json_pack("{s:s, s:i, s:O}", "format", BUS_NAME, "version", DOCUMENT_VERSION, "groups",
                         groups);
}

int document_format(const Document *d, char **ret) {
        _cleanup_(json_decrefp) json_t *root = NULL;
        _cleanup_free_ char *text = NULL;
        char *longer;
        size_t n;

        assert(d);
        assert(ret);

        root = document_to_json(d);
        text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
        if (!text)
                return -ENOMEM;

        n = strlen(text);
        if (n + 1 > DOCUMENT_SIZE_MAX)
                return -E2BIG;
        longer = realloc(text, n + 2);
        if (!longer)
                return -ENOMEM;
        text = longer;
        text[n] = '\n';
        text[n + 1] = '\0';
        *ret = STEAL(text);
        return 0;
}
