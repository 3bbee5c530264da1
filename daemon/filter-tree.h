/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A parsed filter, for the files filter-*.c alone.
 *
 * The tree stands in one array, each node before its children: a child's subtree ends where the next child
 * begins, `span` nodes on. A list never has a child of its own kind: 'a and (b and c)' is one list of three.
 * So equal meaning of the grammar is an equal array.
 */

#include "filter-regex.h"
#include "filter.h"

#define FILTER_REGEXES_MAX 16U /* terms with rx; one costs as much as a thousand others */

typedef enum FilterOperator {
        FILTER_EQ,
        FILTER_NE,
        FILTER_LT,
        FILTER_LE,
        FILTER_GT,
        FILTER_GE,
        FILTER_BW, /* from here on for texts only */
        FILTER_EW,
        FILTER_CS,
        FILTER_CT,
        FILTER_RX,
        FILTER_OPERATOR_MAX,
        FILTER_OPERATOR_INVALID = -EINVAL,
} FilterOperator;

DECLARE_STRING_TABLE(filter_operator, FilterOperator);

typedef enum FilterKind {
        FILTER_TERM,
        FILTER_NOT, /* one child */
        FILTER_AND, /* two children and more */
        FILTER_OR,
} FilterKind;

typedef struct FilterNode {
        uint8_t kind;
        uint8_t field; /* terms: FilterField, FilterOperator */
        uint8_t op;
        uint16_t length; /* of text, in bytes */
        uint16_t span;   /* nodes of the subtree with this one */
        union {
                const char *text; /* without quotes */
                uint64_t number;
        };
        FilterRegex *regex; /* of rx */
} FilterNode;

/* One block: the nodes, their texts, the canonical text. */
struct Filter {
        const char *text;
        uint32_t uses; /* bits 1 << FilterField */
        uint16_t n_nodes;
        FilterNode nodes[];
};

/* Walks the children of a node. */
#define FILTER_FOREACH_CHILD(child, node)                                                                   \
        for (const FilterNode *child = (node) + 1; child < (node) + (node)->span; child += child->span)

/* As snprintf() does: returns the whole length, writes what fits and a NUL. */
size_t filter_print(const FilterNode *root, char *buf, size_t size);

bool filter_term_match(const FilterNode *term, const FilterSubject *s);
