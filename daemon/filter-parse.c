/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "filter-lex.h"
#include "filter-tree.h"

/* Reads ahead by one token. The nodes are as many as the text could need: a term has 9 bytes, a not 3, and
 * there are fewer lists than terms. */
typedef struct Parser {
        const char *text, *at;
        FilterToken token;
        FilterNode *nodes;
        size_t n_nodes, n_nodes_max;
        char *pool; /* texts without quotes, no longer than with */
        size_t n_pool;
        unsigned depth, n_terms, n_regexes;
        FilterError *error;
} Parser;

#define refuse(p, where, ...) filter_error_set((p)->error, (p)->text, (where), __VA_ARGS__)

static void parser_clear(Parser *p) {
        for (size_t i = 0; i < p->n_nodes; i++)
                (void)filter_regex_free(p->nodes[i].regex);
        free(p->nodes);
        free(p->pool);
}

static int advance(Parser *p) {
        return filter_token_read(p->text, &p->at, &p->token, p->error);
}

static int refuse_token(Parser *p, const char *expected) {
        char buf[FILTER_FOUND_SIZE];

        return refuse(p, p->token.begin, "found %s, expected %s", filter_token_found(&p->token, buf),
                      expected);
}

static void insert_node(Parser *p, size_t at, FilterNode node) {
        assert(p->n_nodes < p->n_nodes_max);

        memmove(p->nodes + at + 1, p->nodes + at, (p->n_nodes - at) * sizeof *p->nodes);
        p->nodes[at] = node;
        p->n_nodes++;
}

static void remove_node(Parser *p, size_t at) {
        p->n_nodes--;
        memmove(p->nodes + at, p->nodes + at + 1, (p->n_nodes - at) * sizeof *p->nodes);
}

/* How many letters differ, case aside (Levenshtein). */
static size_t distance(const FilterToken *t, const char *name) {
        size_t row[32], n = strlen(name);

        assert(n < ELEMENTSOF(row));

        for (size_t k = 0; k <= n; k++)
                row[k] = k;
        for (size_t i = 0; i < t->length; i++) {
                size_t diagonal = row[0];

                row[0] = i + 1;
                for (size_t k = 0; k < n; k++) {
                        bool differs = (t->begin[i] | 0x20) != (name[k] | 0x20);
                        size_t best = diagonal + differs;

                        diagonal = row[k + 1];
                        best = row[k] + 1 < best ? row[k] + 1 : best;
                        row[k + 1] = diagonal + 1 < best ? diagonal + 1 : best;
                }
        }
        return row[n];
}

/* Names that differ by at most two letters are taken for one misspelt. */
static const char *nearest_field(const FilterToken *t) {
        const char *nearest = NULL;
        size_t best = 3;

        if (t->kind != FILTER_TOKEN_WORD || t->length > 32)
                return NULL;
        for (int f = 0; f < FILTER_FIELD_MAX; f++) {
                const char *name = filter_field_to_string(f);
                size_t d = distance(t, name);

                if (d < best && d < strlen(name) / 2) {
                        best = d;
                        nearest = name;
                }
        }
        return nearest;
}

static int parse_field(Parser *p, FilterNode *n) {
        const char *nearest;
        char expected[128];

        for (int f = 0; f < FILTER_FIELD_MAX; f++)
                if (filter_token_is(&p->token, filter_field_to_string(f))) {
                        n->field = (uint8_t)f;
                        return advance(p);
                }

        nearest = nearest_field(&p->token);
        (void)snprintf(expected, sizeof expected, "a field (%s%s%s), not or '('",
                       nearest ? "did you mean " : "",
                       nearest ? nearest : "verge-passthrough-filter(7) lists them", nearest ? "?" : "");
        return refuse_token(p, expected);
}

static int parse_operator(Parser *p, FilterNode *n) {
        bool is_number = filter_field_is_number(n->field);
        char expected[128];

        for (int o = 0; o < FILTER_OPERATOR_MAX; o++)
                if (filter_token_is(&p->token, filter_operator_to_string(o))) {
                        if (is_number && o >= FILTER_BW)
                                break;
                        n->op = (uint8_t)o;
                        return advance(p);
                }

        (void)snprintf(expected, sizeof expected, "an operator%s%s: eq, ne, lt, le, gt%s",
                       is_number ? " for the number " : "",
                       is_number ? filter_field_to_string(n->field) : "",
                       is_number ? " or ge" : ", ge, bw, ew, cs, ct or rx");
        return refuse_token(p, expected);
}

/* Not strtoull(): it takes signs, blanks and octal numbers. */
static int parse_number(Parser *p, FilterNode *n) {
        const char *c = p->token.begin, *end = c + p->token.length;
        unsigned base = 10;
        uint64_t value = 0;

        if (p->token.kind != FILTER_TOKEN_WORD)
                return refuse_token(p, "a number, decimal or 0x");
        if (p->token.length > 2 && c[0] == '0' && c[1] == 'x') {
                base = 16;
                c += 2;
        }
        for (; c < end; c++) {
                unsigned digit = *c >= '0' && *c <= '9'   ? (unsigned)(*c - '0')
                                 : *c >= 'a' && *c <= 'f' ? (unsigned)(*c - 'a' + 10)
                                 : *c >= 'A' && *c <= 'F' ? (unsigned)(*c - 'A' + 10)
                                                          : base;

                if (digit >= base)
                        return refuse_token(p, "a number, decimal or 0x");
                if (value > (UINT64_MAX - digit) / base)
                        return refuse_token(p, "a number up to 18446744073709551615");
                value = value * base + digit;
        }
        n->number = value;
        return advance(p);
}

/* The byte of a text's source that became the byte `offset` without quotes. */
static const char *source_of(const FilterToken *t, size_t offset) {
        const char *c = t->begin + 1;

        while (offset-- > 0)
                c += *c == '\'' ? 2 : 1;
        return c;
}

static int parse_regex(Parser *p, FilterNode *n) {
        FilterRegexError e;
        int r;

        if (p->n_regexes == FILTER_REGEXES_MAX)
                return refuse(p, p->token.begin, "this is one rx more than the %u that a filter may have",
                              FILTER_REGEXES_MAX);

        r = filter_regex_new(n->text, &n->regex, &e);
        if (r == -EINVAL)
                return refuse(p, source_of(&p->token, e.offset), "this is no regular expression: %s",
                              e.reason);
        if (r < 0)
                return r;
        p->n_regexes++;
        return 0;
}

static int parse_text(Parser *p, FilterNode *n) {
        char *out = p->pool + p->n_pool, expected[80];
        int r;

        if (p->token.kind != FILTER_TOKEN_TEXT) {
                (void)snprintf(expected, sizeof expected, "a text in single quotes for %s",
                               filter_field_to_string(n->field));
                return refuse_token(p, expected);
        }
        for (const char *c = p->token.begin + 1; c < p->token.begin + p->token.length - 1; c++) {
                p->pool[p->n_pool++] = *c;
                c += *c == '\'';
        }
        n->text = out;
        n->length = (uint16_t)(p->pool + p->n_pool - out);
        p->pool[p->n_pool++] = '\0';

        if (n->op == FILTER_RX) {
                r = parse_regex(p, n);
                if (r < 0)
                        return r;
        }
        return advance(p);
}

static int parse_term(Parser *p) {
        FilterNode n = {.kind = FILTER_TERM, .span = 1};
        const char *begin = p->token.begin;
        int r;

        r = parse_field(p, &n);
        if (r < 0)
                return r;
        if (p->n_terms++ == FILTER_TERMS_MAX)
                return refuse(p, begin,
                              "this is one term more than the %u that a filter may have; use several rules",
                              FILTER_TERMS_MAX);
        r = parse_operator(p, &n);
        if (r < 0)
                return r;
        r = filter_field_is_number(n.field) ? parse_number(p, &n) : parse_text(p, &n);
        if (r < 0) {
                (void)filter_regex_free(n.regex);
                return r;
        }
        insert_node(p, p->n_nodes, n);
        return 0;
}

static int parse_list(Parser *p, FilterKind kind);

static int parse_parentheses(Parser *p) {
        int r;

        r = advance(p);
        if (r < 0)
                return r;
        r = parse_list(p, FILTER_OR);
        if (r < 0)
                return r;
        return p->token.kind == FILTER_TOKEN_CLOSE ? advance(p) : refuse_token(p, "and, or or ')'");
}

static int parse_operand(Parser *p);

static int parse_not(Parser *p) {
        size_t start = p->n_nodes;
        int r;

        r = advance(p);
        if (r < 0)
                return r;
        r = parse_operand(p);
        if (r < 0)
                return r;
        insert_node(p, start, (FilterNode){.kind = FILTER_NOT, .span = (uint16_t)(p->n_nodes - start + 1)});
        return 0;
}

static int parse_operand(Parser *p) {
        bool is_not = filter_token_is(&p->token, "not");
        int r;

        if (!is_not && p->token.kind != FILTER_TOKEN_OPEN)
                return parse_term(p);

        if (p->depth == FILTER_DEPTH_MAX)
                return refuse(p, p->token.begin, "more than %u parentheses and nots inside each other",
                              FILTER_DEPTH_MAX);
        p->depth++;
        r = is_not ? parse_not(p) : parse_parentheses(p);
        p->depth--;
        return r;
}

/* One more operand for the list that begins at `start`, or that begins now. */
static int parse_further(Parser *p, size_t start, FilterKind kind) {
        size_t child;
        int r;

        if (p->nodes[start].kind != kind)
                insert_node(p, start, (FilterNode){.kind = (uint8_t)kind});
        child = p->n_nodes;
        r = advance(p);
        if (r < 0)
                return r;
        r = kind == FILTER_OR ? parse_list(p, FILTER_AND) : parse_operand(p);
        if (r < 0)
                return r;
        if (p->nodes[child].kind == kind)
                remove_node(p, child);
        p->nodes[start].span = (uint16_t)(p->n_nodes - start);
        return 0;
}

static int parse_list(Parser *p, FilterKind kind) {
        size_t start = p->n_nodes;
        int r;

        r = kind == FILTER_OR ? parse_list(p, FILTER_AND) : parse_operand(p);
        while (r >= 0 && filter_token_is(&p->token, kind == FILTER_OR ? "or" : "and"))
                r = parse_further(p, start, kind);
        return r;
}

static int parse_all(Parser *p) {
        int r;

        r = advance(p);
        if (r < 0)
                return r;
        r = parse_list(p, FILTER_OR);
        if (r < 0)
                return r;
        return p->token.kind == FILTER_TOKEN_END ? 0 : refuse_token(p, "and, or or the end");
}

/* Moves the tree into a block of its own. */
static int finish(Parser *p, Filter **ret) {
        size_t nodes = p->n_nodes * sizeof *p->nodes, n_text;
        Filter *f;

        /* Numbers in hex and missing blanks make it grow. */
        n_text = filter_print(p->nodes, NULL, 0);
        if (n_text > FILTER_TEXT_MAX)
                return refuse(p, p->at,
                              "written with single blanks and decimal numbers it has %zu bytes, more than "
                              "%u",
                              n_text, FILTER_TEXT_MAX);

        f = malloc(sizeof *f + nodes + p->n_pool + n_text + 1);
        if (!f)
                return -ENOMEM;
        *f = (Filter){.n_nodes = (uint16_t)p->n_nodes};
        memcpy(f->nodes, p->nodes, nodes);
        f->text = memcpy((char *)f->nodes + nodes, p->pool, p->n_pool);
        for (FilterNode *n = f->nodes; n < f->nodes + f->n_nodes; n++)
                if (n->kind == FILTER_TERM) {
                        f->uses |= 1U << n->field;
                        if (!filter_field_is_number(n->field))
                                n->text = f->text + (n->text - p->pool);
                }
        f->text += p->n_pool;
        (void)filter_print(f->nodes, (char *)f->text, n_text + 1);
        p->n_nodes = 0; /* the expressions are the filter's now */
        *ret = f;
        return 0;
}

static int check_length(const char *text, size_t length, FilterError *error) {
        if (length <= FILTER_TEXT_MAX)
                return 0;
        return filter_error_set(error, text, text + FILTER_TEXT_MAX,
                                "the filter has %zu bytes, more than %u; use several rules", length,
                                FILTER_TEXT_MAX);
}

int filter_parse(const char *text, Filter **ret, FilterError *error) {
        _cleanup_(parser_clear) Parser p = {.text = text, .at = text, .error = error};
        size_t length;
        int r;

        assert(text);
        assert(ret);
        assert(error);

        length = strlen(text);
        r = check_length(text, length, error);
        if (r < 0)
                return r;
        p.n_nodes_max = length / 3 + 1;
        p.nodes = malloc(p.n_nodes_max * sizeof *p.nodes);
        p.pool = malloc(length + 1);
        if (!p.nodes || !p.pool)
                return -ENOMEM;

        r = parse_all(&p);
        if (r < 0)
                return r;
        return finish(&p, ret);
}
