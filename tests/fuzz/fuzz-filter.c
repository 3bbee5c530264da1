/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filter.h"
#include "fuzz.h"

/* A device of which each field says something else, and some nothing. */
static FilterSubject subject(void) {
        FilterSubject s = {0};

        for (int i = 0; i < FILTER_FIELD_MAX; i++)
                s.values[i] = (FilterValue){.text = filter_field_to_string(i), .number = (uint64_t)i};
        s.values[FILTER_SLOT].text = "03:00.0";
        s.values[FILTER_VENDOR].text = "Intel Corporation";
        s.values[FILTER_DEVICE].text =
                        "82574L Gigabit 'Network' Connection aaaaaaaaaaaaaaaaaaaaaaaa M\xc3\xbcller";
        s.values[FILTER_NAME].text = "\x01\xff\xc3";
        s.values[FILTER_MODULE].text = NULL;
        s.values[FILTER_SERIAL].unknown = true;
        s.values[FILTER_IOMMU_GROUP].unknown = true;
        return s;
}

static void must_be_refused_well(const FilterError *e, size_t size) {
        char begin[32];

        (void)snprintf(begin, sizeof begin, "column %u: ", e->column);
        must(e->column >= 1 && e->column <= size + 1);
        must(startswith(e->sentence, begin));
        for (const char *c = e->sentence; *c; c++)
                must(*c >= ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_(filter_freep) Filter *f = NULL, *again = NULL;
        const FilterSubject s = subject();
        char sentence[200], few[8];
        const char *value;
        FilterField field;
        FilterError e;
        bool matches;

        if (filter_parse(text, &f, &e) < 0) {
                must_be_refused_well(&e, size);
                return 0;
        }

        /* What was understood can be written, and is understood the same way again. */
        must(strlen(filter_text(f)) <= FILTER_TEXT_MAX);
        must(filter_parse(filter_text(f), &again, &e) == 0);
        must(streq(filter_text(f), filter_text(again)));
        for (int i = 0; i < FILTER_FIELD_MAX; i++)
                must(filter_uses(f, i) == filter_uses(again, i));

        matches = filter_match(f, &s);
        must(filter_match(again, &s) == matches);
        must(filter_explain(f, &s, sentence, sizeof sentence) == matches);
        must(sentence[0]);
        must(filter_explain(f, &s, few, sizeof few) == matches);
        if (matches && filter_requires(f, &field, &value))
                must(streq(value, strempty(s.values[field].text)));
        return 0;
}
