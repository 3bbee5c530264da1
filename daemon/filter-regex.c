/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "filter-regex.h"

#define NEST_MAX 32U /* parentheses; PCRE2 recurses over them while it compiles */
#define MATCH_MAX                                                                                           \
        20000U /* PCRE2's own limits, behind that of the steps: this one begins anew at each character */
#define BACKTRACK_MAX 2000U /* open choices */
#define HEAP_KIB_MAX 512U   /* to remember them in */

struct FilterRegex {
        pcre2_code *code;
};

/* For all expressions: PCRE2 keeps here what it allocates for a search, so that soon none allocates more. */
static struct {
        pcre2_match_data *data;
        pcre2_match_context *context;
        size_t n_users;
        unsigned steps;
} shared;

/* PCRE2_AUTO_CALLOUT makes PCRE2 call before each item. Its own match limit counts anew for each character
 * that the search may begin at, so it does not limit the whole. */
static int count_step(pcre2_callout_block *block _unused_, void *userdata _unused_) {
        return ++shared.steps > FILTER_REGEX_STEPS_MAX ? PCRE2_ERROR_CALLOUT : 0;
}

static void shared_release(void) {
        assert(shared.n_users > 0);

        if (--shared.n_users > 0)
                return;
        pcre2_match_data_free(shared.data);
        pcre2_match_context_free(shared.context);
        shared.data = NULL;
        shared.context = NULL;
}

static int shared_acquire(void) {
        if (shared.n_users++ > 0)
                return 0;

        shared.data = pcre2_match_data_create(1, NULL);
        shared.context = pcre2_match_context_create(NULL);
        if (!shared.data || !shared.context) {
                shared_release();
                return -ENOMEM;
        }
        (void)pcre2_set_match_limit(shared.context, MATCH_MAX);
        (void)pcre2_set_depth_limit(shared.context, BACKTRACK_MAX);
        (void)pcre2_set_heap_limit(shared.context, HEAP_KIB_MAX);
        (void)pcre2_set_callout(shared.context, count_step, NULL);
        return 0;
}

static _printf_(3, 4) int refuse(FilterRegexError *error, size_t offset, const char *format, ...) {
        va_list ap;

        error->offset = offset;
        va_start(ap, format);
        (void)vsnprintf(error->reason, sizeof error->reason, format, ap);
        va_end(ap);
        return -EINVAL;
}

/* No JIT: the service may not make memory executable. */
static int compile(const char *text, pcre2_code **ret, FilterRegexError *error) {
        pcre2_compile_context *context;
        PCRE2_UCHAR message[96];
        PCRE2_SIZE offset = 0;
        int code = 0;

        context = pcre2_compile_context_create(NULL);
        if (!context)
                return -ENOMEM;
        (void)pcre2_set_parens_nest_limit(context, NEST_MAX);
        *ret = pcre2_compile((PCRE2_SPTR)text, strlen(text),
                             PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C |
                                             PCRE2_NO_AUTO_CAPTURE | PCRE2_AUTO_CALLOUT,
                             &code, &offset, context);
        pcre2_compile_context_free(context);
        if (*ret)
                return 0;
        if (code == PCRE2_ERROR_HEAP_FAILED)
                return -ENOMEM;
        (void)pcre2_get_error_message(code, message, sizeof message);
        return refuse(error, offset, "%s", (const char *)message);
}

int filter_regex_new(const char *text, FilterRegex **ret, FilterRegexError *error) {
        _cleanup_(filter_regex_freep) FilterRegex *x = NULL;
        size_t size = 0;
        int r;

        assert(text);
        assert(ret);
        assert(error);

        if (strlen(text) > FILTER_REGEX_TEXT_MAX)
                return refuse(error, 0, "it has more than %u bytes", FILTER_REGEX_TEXT_MAX);

        x = calloc(1, sizeof *x);
        if (!x)
                return -ENOMEM;
        r = shared_acquire();
        if (r < 0) {
                free(STEAL(x));
                return r;
        }
        r = compile(text, &x->code, error);
        if (r < 0)
                return r;
        (void)pcre2_pattern_info(x->code, PCRE2_INFO_SIZE, &size);
        if (size > FILTER_REGEX_COMPILED_MAX)
                return refuse(error, 0, "its repetitions make it too large");

        *ret = STEAL(x);
        return 0;
}

FilterRegex *filter_regex_free(FilterRegex *r) {
        if (!r)
                return NULL;

        pcre2_code_free(r->code);
        free(r);
        shared_release();
        return NULL;
}

FilterRegexResult filter_regex_match(const FilterRegex *r, const char *value) {
        size_t length;
        int k;

        assert(r);
        assert(value);

        length = strlen(value);
        if (length > FILTER_REGEX_VALUE_MAX)
                return FILTER_REGEX_GAVE_UP;

        shared.steps = 0;
        k = pcre2_match(r->code, (PCRE2_SPTR)value, length, 0, 0, shared.data, shared.context);
        if (k >= 0)
                return FILTER_REGEX_YES;
        /* What is no UTF-8 matches nothing, either. */
        if (k == PCRE2_ERROR_NOMATCH || (k <= PCRE2_ERROR_UTF8_ERR1 && k >= PCRE2_ERROR_UTF8_ERR21))
                return FILTER_REGEX_NO;
        return FILTER_REGEX_GAVE_UP;
}
