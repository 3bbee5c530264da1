/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filter-tree.h"

static bool compare(FilterOperator op, int order) {
        switch (op) {
        case FILTER_EQ:
                return order == 0;
        case FILTER_NE:
                return order != 0;
        case FILTER_LT:
                return order < 0;
        case FILTER_LE:
                return order <= 0;
        case FILTER_GT:
                return order > 0;
        case FILTER_GE:
                return order >= 0;
        default:
                return false;
        }
}

static unsigned char fold(char c) {
        return c >= 'A' && c <= 'Z' ? (unsigned char)(c - 'A' + 'a') : (unsigned char)c;
}

static bool begins_with(const char *s, const char *wanted) {
        while (*wanted && fold(*s) == fold(*wanted)) {
                s++;
                wanted++;
        }
        return *wanted == '\0';
}

/* Not strcasestr(): what is equal must not depend on a locale. */
static bool contains(const char *s, const char *wanted) {
        for (;; s++) {
                if (begins_with(s, wanted))
                        return true;
                if (*s == '\0')
                        return false;
        }
}

static bool ends_with(const char *s, const FilterNode *term) {
        size_t n = strlen(s);

        return n >= term->length && memcmp(s + n - term->length, term->text, term->length) == 0;
}

static bool text_match(const FilterNode *term, const char *s) {
        switch ((FilterOperator)term->op) {
        case FILTER_BW:
                return strncmp(s, term->text, term->length) == 0;
        case FILTER_EW:
                return ends_with(s, term);
        case FILTER_CS:
                return strstr(s, term->text);
        case FILTER_CT:
                return contains(s, term->text);
        case FILTER_RX:
                return filter_regex_match(term->regex, s) == FILTER_REGEX_YES;
        default:
                return compare(term->op, strcmp(s, term->text));
        }
}

bool filter_term_match(const FilterNode *term, const FilterSubject *s) {
        const FilterValue *v = &s->values[term->field];

        if (v->unknown)
                return term->op == FILTER_NE;
        if (filter_field_is_number(term->field))
                return compare(term->op, (v->number > term->number) - (v->number < term->number));
        return text_match(term, strempty(v->text));
}

/* Goes as deep as the parser let the tree become. */
static bool node_match(const FilterNode *n, const FilterSubject *s) {
        switch ((FilterKind)n->kind) {
        case FILTER_TERM:
                return filter_term_match(n, s);
        case FILTER_NOT:
                return !node_match(n + 1, s);
        case FILTER_AND:
                FILTER_FOREACH_CHILD(child, n)
                if (!node_match(child, s))
                        return false;
                return true;
        case FILTER_OR:
                FILTER_FOREACH_CHILD(child, n)
                if (node_match(child, s))
                        return true;
                return false;
        }
        return false;
}

bool filter_match(const Filter *f, const FilterSubject *s) {
        assert(f);
        assert(s);

        return node_match(f->nodes, s);
}
