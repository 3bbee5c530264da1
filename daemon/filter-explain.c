/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "filter-lex.h"
#include "filter-tree.h"

#define NODES_MAX (FILTER_TEXT_MAX / 3 + 1) /* see the parser */
#define QUOTE_SIZE 72U
#define REASON_SIZE 400U
#define SEPARATOR "; "
#define DOTS "..."
#define TURNED ", and a not turns that round"

typedef struct Explanation {
        const Filter *filter;
        const FilterSubject *subject;
        bool holds[NODES_MAX]; /* by node */
        char *buf;
        size_t size, n;
        bool is_full;
} Explanation;

/* Children stand behind their parents. Each term once: what an rx costs, it costs once. */
static void evaluate(Explanation *e) {
        const FilterNode *nodes = e->filter->nodes;

        assert(e->filter->n_nodes <= NODES_MAX);

        for (size_t i = e->filter->n_nodes; i-- > 0;) {
                const FilterNode *n = nodes + i;

                if (n->kind == FILTER_TERM)
                        e->holds[i] = filter_term_match(n, e->subject);
                else if (n->kind == FILTER_NOT)
                        e->holds[i] = !e->holds[i + 1];
                else {
                        e->holds[i] = n->kind == FILTER_AND;
                        FILTER_FOREACH_CHILD(child, n)
                        if (e->holds[child - nodes] != e->holds[i]) {
                                e->holds[i] = !e->holds[i];
                                break;
                        }
                }
        }
}

static bool holds(const Explanation *e, const FilterNode *n) {
        return e->holds[n - e->filter->nodes];
}

/* Adds an item that fits together with the dots for all that may follow; else the dots. */
static void add(Explanation *e, const char *separator, const char *item) {
        size_t room = e->size - e->n, n = strlen(separator) + strlen(item);

        if (e->is_full)
                return;
        if (n + sizeof SEPARATOR DOTS > room) {
                e->is_full = true;
                item = DOTS;
        }
        n = (size_t)snprintf(e->buf + e->n, room, "%s%s", separator, item);
        e->n += n < room ? n : room - 1;
}

/* All there is to say: cut inside when it must be. */
static void add_only(Explanation *e, const char *item) {
        size_t n = e->size - 1;

        (void)snprintf(e->buf, e->size, "%s", item);
        if (strlen(item) <= n)
                return;
        if (n > strlen(DOTS))
                n -= strlen(DOTS);
        while (n > 0 && ((unsigned char)item[n] & 0xc0) == 0x80)
                n--;
        (void)snprintf(e->buf + n, e->size - n, "%s", e->size > sizeof DOTS ? DOTS : "");
}

/* As a filter would write it, but cut and without what cannot be printed: devices say what they like. */
static const char *quote(const char *text, char buf[static QUOTE_SIZE]) {
        size_t n = 0;

        buf[n++] = '\'';
        while (*text) {
                size_t k = filter_character_length(text);

                if (n + 4 + sizeof DOTS "'" > QUOTE_SIZE) {
                        n += (size_t)snprintf(buf + n, QUOTE_SIZE - n, DOTS);
                        break;
                }
                if (k == 0 || *text == '\'')
                        buf[n++] = k == 0 ? '?' : '\'';
                memcpy(buf + n, text, k);
                n += k;
                text += k > 0 ? k : 1;
        }
        (void)snprintf(buf + n, QUOTE_SIZE - n, "'");
        return buf;
}

static const char *show(FilterField field, uint64_t number, const char *text, char buf[static QUOTE_SIZE]) {
        if (!filter_field_is_number(field))
                return quote(strempty(text), buf);
        (void)snprintf(buf, QUOTE_SIZE, "%" PRIu64, number);
        return buf;
}

static const char *asks(const FilterNode *term) {
        static const char *const table[FILTER_OPERATOR_MAX] = {
                        [FILTER_EQ] = "be",          [FILTER_NE] = "not be",
                        [FILTER_LT] = "come before", [FILTER_LE] = "be or come before",
                        [FILTER_GT] = "come after",  [FILTER_GE] = "be or come after",
                        [FILTER_BW] = "begin with",  [FILTER_EW] = "end with",
                        [FILTER_CS] = "contain",     [FILTER_CT] = "contain, in upper or lower case,",
                        [FILTER_RX] = "match",
        };
        static const char *const of_numbers[] = {
                        [FILTER_LT] = "be less than",
                        [FILTER_LE] = "be at most",
                        [FILTER_GT] = "be more than",
                        [FILTER_GE] = "be at least",
        };

        return filter_field_is_number(term->field) && term->op >= FILTER_LT ? of_numbers[term->op]
                                                                            : table[term->op];
}

static bool gave_up(const FilterNode *term, const FilterValue *v) {
        return term->op == FILTER_RX && !v->unknown &&
               filter_regex_match(term->regex, strempty(v->text)) == FILTER_REGEX_GAVE_UP;
}

/* "slot is '04:00.0', and slot eq '03:00.0' asks that it be '03:00.0'" */
static const char *reason(const Explanation *e, const FilterNode *term, bool is_turned,
                          char buf[static REASON_SIZE]) {
        const char *field = filter_field_to_string(term->field), *op = filter_operator_to_string(term->op);
        const FilterValue *v = &e->subject->values[term->field];
        char value_buf[QUOTE_SIZE], wanted_buf[QUOTE_SIZE];
        const char *value = v->unknown ? "not known" : show(term->field, v->number, v->text, value_buf);
        const char *wanted = show(term->field, term->number, term->text, wanted_buf);
        const char *turned = is_turned ? TURNED : "";

        if (holds(e, term))
                (void)snprintf(buf, REASON_SIZE, "%s is %s, as %s %s %s asks%s", field, value, field, op,
                               wanted, turned);
        else if (gave_up(term, v))
                (void)snprintf(buf, REASON_SIZE,
                               "%s is %s, and %s %s %s was given up: the search would take too long%s",
                               field, value, field, op, wanted, turned);
        else
                (void)snprintf(buf, REASON_SIZE, "%s is %s, and %s %s %s asks that it %s %s%s", field, value,
                               field, op, wanted, asks(term), wanted, turned);
        return buf;
}

/* Down to the node that decided about n: a term, or a list of which all children did. */
static const FilterNode *decider(const Explanation *e, const FilterNode *n, bool *is_turned) {
        while (n->kind != FILTER_TERM) {
                const FilterNode *list = n;

                if (n->kind == FILTER_NOT) {
                        *is_turned = !*is_turned;
                        n++;
                        continue;
                }
                if (holds(e, list) == (list->kind == FILTER_AND))
                        return list;
                FILTER_FOREACH_CHILD(child, list) {
                        n = child;
                        if (holds(e, child) == holds(e, list))
                                break;
                }
        }
        return n;
}

static void add_reasons(Explanation *e, const FilterNode *list, bool is_turned, bool *is_first) {
        char buf[REASON_SIZE];

        FILTER_FOREACH_CHILD(child, list) {
                bool is_child_turned = is_turned;
                const FilterNode *n = decider(e, child, &is_child_turned);

                if (e->is_full)
                        return;
                if (n->kind != FILTER_TERM)
                        add_reasons(e, n, is_child_turned, is_first);
                else
                        add(e, *is_first ? "" : SEPARATOR, reason(e, n, is_child_turned, buf));
                *is_first = false;
        }
}

bool filter_explain(const Filter *f, const FilterSubject *s, char *buf, size_t size) {
        Explanation e = {.filter = f, .subject = s, .buf = buf, .size = size};
        bool is_turned = false, is_first = true;
        char only[REASON_SIZE], head[80];
        const FilterNode *n;

        assert(f);
        assert(s);
        assert(buf && size > 0);

        evaluate(&e);
        n = decider(&e, f->nodes, &is_turned);
        if (n->kind == FILTER_TERM)
                add_only(&e, reason(&e, n, is_turned, only));
        else {
                (void)snprintf(head, sizeof head, "%s%s: ",
                               n->kind == FILTER_AND ? "every condition holds" : "no alternative matches",
                               is_turned ? TURNED : "");
                (void)snprintf(only, sizeof only, "%s" DOTS, head);
                if (strlen(head) + sizeof SEPARATOR DOTS > size)
                        add_only(&e, only);
                else {
                        add(&e, "", head);
                        add_reasons(&e, n, false, &is_first);
                }
        }
        return holds(&e, f->nodes);
}
