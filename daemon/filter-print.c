/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "filter-tree.h"

/* Counts all, keeps what fits. */
typedef struct Printer {
        char *buf;
        size_t size, n;
} Printer;

static void put_bytes(Printer *p, const char *s, size_t length) {
        if (p->n < p->size)
                memcpy(p->buf + p->n, s, length < p->size - p->n ? length : p->size - p->n);
        p->n += length;
}

static void put(Printer *p, const char *s) {
        put_bytes(p, s, strlen(s));
}

static void put_quoted(Printer *p, const char *s) {
        put(p, "'");
        while (*s) {
                size_t n = strcspn(s, "'");

                put_bytes(p, s, n);
                s += n;
                if (*s) {
                        put(p, "''");
                        s++;
                }
        }
        put(p, "'");
}

static void put_term(Printer *p, const FilterNode *n) {
        char number[24];

        put(p, filter_field_to_string(n->field));
        put(p, " ");
        put(p, filter_operator_to_string(n->op));
        put(p, " ");
        if (filter_field_is_number(n->field)) {
                (void)snprintf(number, sizeof number, "%" PRIu64, n->number);
                put(p, number);
        } else
                put_quoted(p, n->text);
}

static void put_node(Printer *p, const FilterNode *n);

static void put_child(Printer *p, const FilterNode *n, bool in_parentheses) {
        if (in_parentheses)
                put(p, "(");
        put_node(p, n);
        if (in_parentheses)
                put(p, ")");
}

static void put_node(Printer *p, const FilterNode *n) {
        switch ((FilterKind)n->kind) {
        case FILTER_TERM:
                put_term(p, n);
                break;
        case FILTER_NOT:
                put(p, "not ");
                put_child(p, n + 1, n[1].kind == FILTER_AND || n[1].kind == FILTER_OR);
                break;
        case FILTER_AND:
        case FILTER_OR:
                FILTER_FOREACH_CHILD(child, n) {
                        if (child > n + 1)
                                put(p, n->kind == FILTER_AND ? " and " : " or ");
                        put_child(p, child, n->kind == FILTER_AND && child->kind == FILTER_OR);
                }
        }
}

size_t filter_print(const FilterNode *root, char *buf, size_t size) {
        Printer p = {.buf = buf, .size = size};

        assert(root);
        assert(buf || size == 0);

        put_node(&p, root);
        if (size > 0)
                buf[p.n < size ? p.n : size - 1] = '\0';
        return p.n;
}
