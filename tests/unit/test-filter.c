/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "fake-host.h"
#include "filter-lex.h"
#include "filter-tree.h"
#include "sysfs.h"

/* An Intel network card in slot 03:00.0 on NUMA node 1, whose revision is 15, without IOMMU. */
static const FilterValue nic_values[FILTER_FIELD_MAX] = {
                [FILTER_SLOT] = {.text = "03:00.0"},
                [FILTER_ADDRESS] = {.text = "0000:03:00.0"},
                [FILTER_CLASS_HEX] = {.text = "0200"},
                [FILTER_VENDOR] = {.text = "Intel Corporation"},
                [FILTER_DEVICE] = {.text = "82574L Gigabit 'Network' Connection"},
                [FILTER_VENDOR_DEVICE_HEX] = {.text = "8086:10d3"},
                [FILTER_DRIVER] = {.text = "e1000e"},
                [FILTER_NODE] = {.text = "Zeta@["},
                [FILTER_NUMA] = {.number = 1},
                [FILTER_IOMMU_GROUP] = {.unknown = true},
                [FILTER_SERIAL] = {.unknown = true},
                [FILTER_REVISION] = {.number = 15},
                [FILTER_SRIOV_TOTALVFS] = {.number = UINT64_MAX},
};

static FilterSubject nic(void) {
        FilterSubject s;

        memcpy(s.values, nic_values, sizeof s.values);
        return s;
}

static Filter *parse(const char *text) {
        FilterError e = {0};
        Filter *f = NULL;

        if (filter_parse(text, &f, &e) < 0)
                fail_msg("%s: %s", text, e.sentence);
        return f;
}

static void expect_text(const char *text, const char *wanted) {
        _cleanup_(filter_freep) Filter *f = parse(text);

        assert_string_equal(filter_text(f), wanted);
}

static void expect_match(const char *text, bool wanted) {
        _cleanup_(filter_freep) Filter *f = parse(text);
        FilterSubject s = nic();
        char buf[256];

        if (filter_match(f, &s) != wanted)
                fail_msg("%s: expected %s", text, wanted ? "a match" : "none");
        assert_true(filter_explain(f, &s, buf, sizeof buf) == wanted);
}

static void expect_refused(const char *text, unsigned column, const char *words) {
        char sentence[320];
        Filter *f = NULL;
        FilterError e;

        memset(&e, 0x5a, sizeof e);
        assert_int_equal(filter_parse(text, &f, &e), -EINVAL);
        assert_null(f);
        (void)snprintf(sentence, sizeof sentence, "column %u: %s", column, words);
        assert_string_equal(e.sentence, sentence);
        assert_int_equal(e.column, column);
        for (const char *c = e.sentence; *c; c++)
                assert_in_range(*c, ' ', '~');
}

static void expect_explained(const char *text, bool matches, const char *sentence) {
        _cleanup_(filter_freep) Filter *f = parse(text);
        FilterSubject s = nic();
        char buf[512];

        assert_true(filter_explain(f, &s, buf, sizeof buf) == matches);
        assert_string_equal(buf, sentence);
}

static void test_operators_on_texts(void **state _unused_) {
        static const struct {
                const char *op, *value;
                bool matches;
        } table[] = {
                        {"eq", "e1000e", true}, {"eq", "E1000e", false},   {"eq", "e1000", false},
                        {"eq", "", false},      {"ne", "e1000e", false},   {"ne", "e1000", true},
                        {"lt", "e1000f", true}, {"lt", "e1000e", false},   {"lt", "e1000", false},
                        {"lt", "z", true},      {"lt", "Z", false},        {"lt", "\xc3\xbc", true},
                        {"le", "e1000e", true}, {"le", "e1000d", false},   {"le", "e9", true},
                        {"gt", "e1000", true},  {"gt", "e1000e", false},   {"gt", "", true},
                        {"gt", "e2", false},    {"ge", "e1000e", true},    {"ge", "e1000f", false},
                        {"bw", "e1000e", true}, {"bw", "e1", true},        {"bw", "", true},
                        {"bw", "1000", false},  {"bw", "E1", false},       {"bw", "e1000e2", false},
                        {"ew", "000e", true},   {"ew", "e1000e", true},    {"ew", "", true},
                        {"ew", "000E", false},  {"ew", "e1000", false},    {"ew", "xe1000e", false},
                        {"cs", "100", true},    {"cs", "", true},          {"cs", "E", false},
                        {"cs", "e1000e", true}, {"cs", "11", false},       {"ct", "E1000E", true},
                        {"ct", "000E", true},   {"ct", "", true},          {"ct", "E1000EE", false},
                        {"ct", "00e", true},    {"ct", "\xc3\xbc", false}, {"rx", "^e[0-9]+e$", true},
                        {"rx", "0{3}", true},   {"rx", "^1", false},       {"rx", "(?i)E1", true},
                        {"rx", "E1", false},    {"rx", "", true},
        };
        char text[128];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                (void)snprintf(text, sizeof text, "driver %s '%s'", table[i].op, table[i].value);
                expect_match(text, table[i].matches);
        }
}

/* A to Z and nothing beside it; not what a locale says. */
static void test_case_folding(void **state _unused_) {
        expect_match("node ct 'zETA'", true);
        expect_match("node ct 'Zeta@['", true);
        expect_match("node ct 'zeta`'", false);
        expect_match("node ct 'zeta@{'", false);
        expect_match("node cs 'zeta'", false);
}

static void test_operators_on_numbers(void **state _unused_) {
        static const struct {
                const char *op;
                bool less, equal, greater; /* than the device's 15 */
        } table[] = {
                        {"eq", false, true, false}, {"ne", true, false, true},  {"lt", false, false, true},
                        {"le", false, true, true},  {"gt", true, false, false}, {"ge", true, true, false},
        };
        char text[128];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                (void)snprintf(text, sizeof text, "revision %s 14", table[i].op);
                expect_match(text, table[i].less);
                (void)snprintf(text, sizeof text, "revision %s 0xF", table[i].op);
                expect_match(text, table[i].equal);
                (void)snprintf(text, sizeof text, "revision %s 18446744073709551615", table[i].op);
                expect_match(text, table[i].greater);
        }
        expect_match("sriov_totalvfs eq 0xffffffffffffffff", true);
        expect_match("sriov_totalvfs gt 18446744073709551614", true);
        expect_match("numa eq 001", true);
}

/* Of a text that is not known nothing is true but that it differs; one that is empty is known. */
static void test_unknown_values(void **state _unused_) {
        char text[64];

        for (int o = 0; o < FILTER_OPERATOR_MAX; o++) {
                bool is_ne = o == FILTER_NE;

                (void)snprintf(text, sizeof text, "serial %s ''", filter_operator_to_string(o));
                expect_match(text, is_ne);
                (void)snprintf(text, sizeof text, "not serial %s ''", filter_operator_to_string(o));
                expect_match(text, !is_ne);
                (void)snprintf(text, sizeof text, "physical_slot %s ''", filter_operator_to_string(o));
                expect_match(text, !is_ne && o != FILTER_LT && o != FILTER_GT);
                if (o < FILTER_BW) {
                        (void)snprintf(text, sizeof text, "iommu_group %s 0", filter_operator_to_string(o));
                        expect_match(text, is_ne);
                }
        }
}

static void test_precedence(void **state _unused_) {
        expect_match("numa eq 1 or numa eq 2 and numa eq 3", true);
        expect_match("(numa eq 1 or numa eq 2) and numa eq 3", false);
        expect_match("numa eq 3 and numa eq 2 or numa eq 1", true);
        expect_match("not numa eq 2 and numa eq 3", false);
        expect_match("not (numa eq 2 and numa eq 3)", true);
        expect_match("not numa eq 1 or numa eq 1", true);
        expect_match("not not numa eq 1", true);
}

static void test_canonical_text(void **state _unused_) {
        expect_text("slot eq '03:00.0'", "slot eq '03:00.0'");
        expect_text(" \t\r\n slot\teq\n'03:00.0' ", "slot eq '03:00.0'");
        expect_text("(((numa eq 0x1f)))", "numa eq 31");
        expect_text("numa eq 007", "numa eq 7");
        expect_text("not(numa eq 1)and(slot eq'x'or driver eq''or name cs'b')",
                    "not numa eq 1 and (slot eq 'x' or driver eq '' or name cs 'b')");
        expect_text("(numa eq 1 and numa eq 2) or numa eq 3", "numa eq 1 and numa eq 2 or numa eq 3");
        expect_text("numa eq 1 and (numa eq 2 and (numa eq 3 and numa eq 4))",
                    "numa eq 1 and numa eq 2 and numa eq 3 and numa eq 4");
        expect_text("((numa eq 1 or numa eq 2) or numa eq 3) or (numa eq 4 or numa eq 5)",
                    "numa eq 1 or numa eq 2 or numa eq 3 or numa eq 4 or numa eq 5");
        expect_text("not (not (numa eq 1 or numa eq 2))", "not not (numa eq 1 or numa eq 2)");
        expect_text("(not (numa eq 1)) and numa eq 2", "not numa eq 1 and numa eq 2");
        expect_text("vendor eq 'O''Brien''''s'''", "vendor eq 'O''Brien''''s'''");
        expect_text("vendor eq 'and or not ( ) \"'", "vendor eq 'and or not ( ) \"'");
        expect_text("vendor ct 'M\xc3\xbcller'", "vendor ct 'M\xc3\xbcller'");
        expect_match("device cs '''Network'''", true);
        expect_match("device cs 'Network'' C'", true);
}

#define OPERATORS "expected an operator: eq, ne, lt, le, gt, ge, bw, ew, cs, ct or rx"
#define FIELD "expected a field (verge-passthrough-filter(7) lists them), not or '('"
#define NUMBER "expected a number, decimal or 0x"
#define NO_END "the text that begins here has no end, expected a single quote (') behind it"
#define NO_UTF8 "expected UTF-8 without control characters"

static void test_errors(void **state _unused_) {
        expect_refused("", 1, "found the end, " FIELD);
        expect_refused("  ", 3, "found the end, " FIELD);
        expect_refused("vendr eq 'x'", 1,
                       "found 'vendr', expected a field (did you mean vendor?), not or '('");
        expect_refused("numa eq 1 or Vendor eq 'x'", 14,
                       "found 'Vendor', expected a field (did you mean vendor?), not or '('");
        expect_refused("iommu-group eq 1", 1,
                       "found 'iommu-group', expected a field (did you mean iommu_group?), not or '('");
        expect_refused("colour eq 'x'", 1, "found 'colour', " FIELD);
        expect_refused("eq", 1, "found 'eq', " FIELD);
        expect_refused("'vendor' eq 'x'", 1, "found the text 'vendor', " FIELD);
        expect_refused("and numa eq 1", 1, "found 'and', " FIELD);
        expect_refused("numa eq 1 or", 13, "found the end, " FIELD);
        expect_refused("numa eq 1 or or numa eq 1", 14, "found 'or', " FIELD);
        expect_refused("not", 4, "found the end, " FIELD);
        expect_refused("()", 2, "found ')', " FIELD);

        expect_refused("vendor", 7, "found the end, " OPERATORS);
        expect_refused("vendor lik 'x'", 8, "found 'lik', " OPERATORS);
        expect_refused("vendor EQ 'x'", 8, "found 'EQ', " OPERATORS);
        expect_refused("vendor 'x'", 8, "found the text 'x', " OPERATORS);
        expect_refused("vendor = 'abcdefghijklmnopqrstuvwxyz'", 8, "found '=', " OPERATORS);
        expect_refused("numa ct 1", 6,
                       "found 'ct', expected an operator for the number numa: eq, ne, lt, le, gt or ge");
        expect_refused("vendor\x01 eq 'x'", 1,
                       "found 'vendor?', expected a field (did you mean vendor?), not or '('");

        expect_refused("numa eq", 8, "found the end, " NUMBER);
        expect_refused("numa eq '1'", 9, "found the text '1', " NUMBER);
        expect_refused("numa eq -1", 9, "found '-1', " NUMBER);
        expect_refused("numa eq 1a", 9, "found '1a', " NUMBER);
        expect_refused("numa eq 0x", 9, "found '0x', " NUMBER);
        expect_refused("numa eq 0xg", 9, "found '0xg', " NUMBER);
        expect_refused("numa eq 18446744073709551616", 9,
                       "found '18446744073709551616', expected a number up to 18446744073709551615");
        expect_refused("numa eq 0x10000000000000000", 9,
                       "found '0x10000000000000000', expected a number up to 18446744073709551615");
        expect_refused("vendor eq 0x8086", 11,
                       "found '0x8086', expected a text in single quotes for vendor");
        expect_refused("vendor eq \"x\"", 11, "found '\"x\"', expected a text in single quotes for vendor");

        expect_refused("vendor eq 'x", 11, NO_END);
        expect_refused("vendor eq 'x''", 11, NO_END);
        expect_refused("vendor eq '", 11, NO_END);
        expect_refused("vendor eq 'a\tb'", 13, "found the byte 0x09, " NO_UTF8);
        expect_refused("vendor eq 'a\x7f'", 13, "found the byte 0x7f, " NO_UTF8);
        expect_refused("vendor eq '\xc3\xbc\xc3\xbc\xff'", 14, "found the byte 0xff, " NO_UTF8);
        expect_refused("vendor eq '\xc2\x80'", 12, "found the byte 0xc2, " NO_UTF8);     /* C1 */
        expect_refused("vendor eq '\xc0\xaf'", 12, "found the byte 0xc0, " NO_UTF8);     /* overlong */
        expect_refused("vendor eq '\xe0\x9f\xbf'", 12, "found the byte 0xe0, " NO_UTF8); /* overlong */
        expect_refused("vendor eq '\xed\xa0\x80'", 12, "found the byte 0xed, " NO_UTF8); /* surrogate */
        expect_refused("vendor eq '\xf4\x90\x80\x80'", 12, "found the byte 0xf4, " NO_UTF8);
        expect_refused("vendor eq '\xc3", 12, "found the byte 0xc3, " NO_UTF8);
        expect_text("vendor eq '\xc2\xa0\xed\x9f\xbf\xf4\x8f\xbf\xbf'",
                    "vendor eq '\xc2\xa0\xed\x9f\xbf\xf4\x8f\xbf\xbf'");

        expect_refused("(numa eq 1", 11, "found the end, expected and, or or ')'");
        expect_refused("(numa eq 1 numa eq 1)", 12, "found 'numa', expected and, or or ')'");
        expect_refused("numa eq 1)", 10, "found ')', expected and, or or the end");
        expect_refused("vendor eq '\xc3\xbc' AND numa eq 1", 15, "found 'AND', expected and, or or the end");
        expect_refused("vendor eq 'x' 'abcdefghijklmnopqrstuvwxyz abcdef'", 15,
                       "found the text 'abcdefghijklmnopqrstuvwxyz abcd...', expected and, or or the end");
        expect_refused("numa eq 1 \xc3\xbc\xc3\xbc"
                       "abcdefghijklmnopqrstuvwxyzabcdef",
                       11, "found '?\?abcdefghijklmnopqrstuvwxyzabcd...', expected and, or or the end");

        expect_refused("vendor rx '('", 13, "this is no regular expression: missing closing parenthesis");
        expect_refused("vendor rx '\xc3\xbc''''[a'", 19,
                       "this is no regular expression: missing terminating ] for character class");
        expect_refused("vendor rx '*'", 12,
                       "this is no regular expression: quantifier does not follow a repeatable item");
}

/* `n` times `item`, before and behind the rest. */
static char *repeated(const char *before, const char *item, size_t n, const char *behind) {
        size_t size = strlen(before) + strlen(item) * n + strlen(behind) + 1;
        char *text = malloc(size), *c = text;

        assert_non_null(text);
        c = stpcpy(c, before);
        for (size_t i = 0; i < n; i++)
                c = stpcpy(c, item);
        (void)stpcpy(c, behind);
        return text;
}

static void expect_limit(const char *before, const char *item, size_t n, const char *behind, unsigned column,
                         const char *words) {
        _cleanup_free_ char *most = repeated(before, item, n, behind);
        _cleanup_free_ char *more = repeated(before, item, n + 1, behind);

        expect_match(most, true);
        expect_refused(more, column, words);
}

static void test_limits(void **state _unused_) {
        _cleanup_free_ char *parentheses = repeated("", "(", 33, "numa eq 1"), *deepest = NULL, *hex = NULL;
        static const char deep[] = "more than 32 parentheses and nots inside each other";
        FilterError e;
        Filter *f;

        expect_limit("numa eq 1", " or numa eq 1", 255, "", 3329,
                     "this is one term more than the 256 that a filter may have; use several rules");
        expect_limit("name bw '' or vendor bw '", "x", FILTER_TEXT_MAX - 26, "'", FILTER_TEXT_MAX + 1,
                     "the filter has 4097 bytes, more than 4096; use several rules");
        expect_limit("numa eq 1", " or slot rx 'a'", 16, "", 262,
                     "this is one rx more than the 16 that a filter may have");
        expect_limit("numa eq 1 or vendor rx '", "x", 256, "'", 25,
                     "this is no regular expression: it has more than 256 bytes");
        expect_refused("vendor rx '((abc){50}){10}'", 12,
                       "this is no regular expression: its repetitions make it too large");
        expect_refused(parentheses, 33, deep);
        expect_match("not not (not (not (numa eq 1)))", true);
        deepest = repeated("", "not ", 32, "numa eq 1");
        expect_match(deepest, true);
        free(deepest);
        deepest = repeated("(numa eq 2 or ", "not (", 16, "numa eq 1))))))))))))))))))");
        expect_refused(deepest, 94, deep);

        /* Numbers become longer in decimal: a text that fits may have a canonical one that does not. */
        hex = repeated("numa eq 0xffffffffffffffff", " or numa eq 0xffffffffffffffff", 134, "");
        assert_true(strlen(hex) <= FILTER_TEXT_MAX);
        assert_int_equal(filter_parse(hex, &f, &e), -EINVAL);
        assert_int_equal(e.column, strlen(hex) + 1);
        assert_non_null(strstr(e.sentence, "written with single blanks and decimal numbers it has 43"));
}

/* Each of these would take years without a limit. They end, do not match, and Explain tells why. */
static void test_regexes_that_explode(void **state _unused_) {
        static const char *const table[] = {
                        "(a+)+$",
                        "(a|aa)+$",
                        "(a|a?)+$",
                        "(?:(?:a*)*)*b",
                        "(.+)+(.+)+(.+)+[A-Z]b",
                        "(|a)*(|a)*b",
                        "a*a*a*a*a*a*a*b",
                        "(?=(a+)+b)",
                        "(.*?a){12}b",
                        "(?R)?a(?R)?b",
        };
        FilterSubject s = nic();
        char value[80], text[128], buf[512];

        memset(value, 'a', sizeof value);
        (void)snprintf(value + 60, sizeof value - 60, "b!");
        value[59] = 'c';
        s.values[FILTER_NAME].text = value;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(filter_freep) Filter *f = NULL;

                (void)snprintf(text, sizeof text, "name rx '%s'", table[i]);
                f = parse(text);
                assert_false(filter_match(f, &s));
                assert_false(filter_explain(f, &s, buf, sizeof buf));
                if (!strstr(buf, "was given up: the search would take too long"))
                        fail_msg("%s: %s", text, buf);
        }
}

static void test_regex_limits_are_for_one_search(void **state _unused_) {
        _cleanup_(filter_freep) Filter *f = parse("name rx '(a+)+$' or name rx 'c' or name rx '(a|aa)+$'");
        FilterSubject s = nic();
        char value[FILTER_REGEX_VALUE_MAX + 2];

        memset(value, 'a', sizeof value);
        value[FILTER_REGEX_VALUE_MAX - 1] = 'c';
        value[FILTER_REGEX_VALUE_MAX] = '\0';
        s.values[FILTER_NAME].text = value;
        for (int i = 0; i < 10; i++)
                assert_true(filter_match(f, &s));
        value[FILTER_REGEX_VALUE_MAX] = 'c'; /* too long now */
        value[FILTER_REGEX_VALUE_MAX + 1] = '\0';
        assert_false(filter_match(f, &s));

        s.values[FILTER_NAME].text = "c\xff"; /* no UTF-8 */
        assert_false(filter_match(f, &s));
        s.values[FILTER_NAME].text = "\xc3\xbc"
                                     "c";
        assert_true(filter_match(f, &s));
}

static void test_requires(void **state _unused_) {
        static const struct {
                const char *text, *value; /* NULL: nothing */
                FilterField field;
        } table[] = {
                        {"slot eq '03:00.0'", "03:00.0", FILTER_SLOT},
                        {"slot eq ''", NULL, 0},
                        {"slot bw '03:00.0'", NULL, 0},
                        {"numa eq 1", NULL, 0},
                        {"not slot eq '03:00.0'", NULL, 0},
                        {"slot eq '03:00.0' or numa eq 1", NULL, 0},
                        {"(slot eq '03:00.0' or numa eq 1) and not driver eq 'x'", NULL, 0},
                        {"(slot eq 'a' or slot eq 'b') and driver eq 'x'", "x", FILTER_DRIVER},
                        {"node eq 'west' and vendor_device_hex eq '8086:10d3' and numa eq 1", "8086:10d3",
                         FILTER_VENDOR_DEVICE_HEX},
                        {"serial eq 's' and address eq 'a' and slot eq 'b'", "a", FILTER_ADDRESS},
                        {"slot eq 'b' and serial eq 's'", "s", FILTER_SERIAL},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(filter_freep) Filter *f = parse(table[i].text);
                const char *value = NULL;
                FilterField field = -1;

                assert_int_equal(filter_requires(f, &field, &value), table[i].value != NULL);
                if (table[i].value) {
                        assert_string_equal(value, table[i].value);
                        assert_int_equal(field, table[i].field);
                }
        }

        /* Each text field can serve. */
        for (int k = 0; k < FILTER_FIELD_MAX; k++) {
                _cleanup_(filter_freep) Filter *f = NULL;
                const char *value;
                FilterField field;
                char text[64];

                if (filter_field_is_number(k))
                        continue;
                (void)snprintf(text, sizeof text, "numa eq 1 and %s eq 'x'", filter_field_to_string(k));
                f = parse(text);
                assert_true(filter_requires(f, &field, &value));
                assert_int_equal(field, k);
        }
}

static void test_uses(void **state _unused_) {
        _cleanup_(filter_freep) Filter *f =
                        parse("slot eq 'x' and not (numa eq 1 or sriov_totalvfs gt 2) and name ct 'x'");

        for (int k = 0; k < FILTER_FIELD_MAX; k++)
                assert_int_equal(filter_uses(f, k), k == FILTER_SLOT || k == FILTER_NUMA ||
                                                                    k == FILTER_NAME ||
                                                                    k == FILTER_SRIOV_TOTALVFS);
}

#define NOT_2 "numa is 1, and numa eq 2 asks that it be 2"
#define NOT_3 "numa is 1, and numa eq 3 asks that it be 3"
#define IS_1 "numa is 1, as numa eq 1 asks"
#define TURNED ", and a not turns that round"

static void test_explain(void **state _unused_) {
        expect_explained("class_hex bw '03'", false,
                         "class_hex is '0200', and class_hex bw '03' asks that it begin with '03'");
        expect_explained("class_hex bw '02'", true, "class_hex is '0200', as class_hex bw '02' asks");
        expect_explained("driver gt 'f'", false,
                         "driver is 'e1000e', and driver gt 'f' asks that it come after 'f'");
        expect_explained("revision gt 0x10", false,
                         "revision is 15, and revision gt 16 asks that it be more than 16");
        expect_explained("revision ne 15", false,
                         "revision is 15, and revision ne 15 asks that it not be 15");
        expect_explained("vendor ct 'amd'", false,
                         "vendor is 'Intel Corporation', and vendor ct 'amd' asks that it "
                         "contain, in upper or lower case, 'amd'");
        expect_explained("physical_slot eq '4'", false,
                         "physical_slot is '', and physical_slot eq '4' asks that it be '4'");
        expect_explained("iommu_group lt 3", false,
                         "iommu_group is not known, and iommu_group lt 3 asks that it be less than 3");
        expect_explained("serial ne 'x'", true, "serial is not known, as serial ne 'x' asks");
        expect_explained("device ew 'x''y'", false,
                         "device is '82574L Gigabit ''Network'' Connection', and device ew 'x''y' asks that "
                         "it end with 'x''y'");

        expect_explained("numa eq 1 and numa eq 2 and numa eq 3", false, NOT_2);
        expect_explained("numa eq 2 or numa eq 1 or numa eq 3", true, IS_1);
        expect_explained("numa eq 2 or numa eq 3", false, "no alternative matches: " NOT_2 "; " NOT_3);
        expect_explained("numa eq 1 and slot bw '03'", true,
                         "every condition holds: " IS_1 "; slot is '03:00.0', as slot bw '03' asks");
        expect_explained("not numa eq 1", false, IS_1 TURNED);
        expect_explained("not numa eq 2", true, NOT_2 TURNED);
        expect_explained("not not numa eq 2", false, NOT_2);
        expect_explained("numa eq 1 and (numa eq 2 or numa eq 3)", false,
                         "no alternative matches: " NOT_2 "; " NOT_3);
        expect_explained("numa eq 2 or numa eq 1 and numa eq 3", false,
                         "no alternative matches: " NOT_2 "; " NOT_3);
        expect_explained("numa eq 2 or not (numa eq 3 or numa eq 1)", false,
                         "no alternative matches: " NOT_2 "; " IS_1 TURNED);
        expect_explained("not (numa eq 2 or numa eq 3)", true,
                         "no alternative matches" TURNED ": " NOT_2 "; " NOT_3);
        expect_explained("not (numa eq 1 and not numa eq 2)", false,
                         "every condition holds" TURNED ": " IS_1 "; " NOT_2 TURNED);
        expect_explained("numa eq 1 and (numa eq 2 or numa eq 1) and not numa eq 3", true,
                         "every condition holds: " IS_1 "; " IS_1 "; " NOT_3 TURNED);
        expect_explained("not (numa eq 1 and (numa eq 2 or numa eq 3)) and numa eq 1", true,
                         "every condition holds: " NOT_2 TURNED "; " NOT_3 TURNED "; " IS_1);
}

/* What a device says goes into a sentence: nothing in it may break out. */
static void test_explain_strange_values(void **state _unused_) {
        static const struct {
                const char *value, *shown;
        } table[] = {
                        {"a\nb\x1b[1m\xff\xc2\x85", "'a?b?[1m?\?\?'"},
                        {"M\xc3\xbcller's", "'M\xc3\xbcller''s'"},
                        {"0123456789012345678901234567890123456789012345678901234567890123456789",
                         "'012345678901234567890123456789012345678901234567890123456789012...'"},
        };
        FilterSubject s = nic();
        char buf[400], begin[128];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(filter_freep) Filter *f = parse("name eq 'x'");

                s.values[FILTER_NAME].text = table[i].value;
                assert_false(filter_explain(f, &s, buf, sizeof buf));
                (void)snprintf(begin, sizeof begin, "name is %s, and name eq 'x' asks", table[i].shown);
                if (!startswith(buf, begin))
                        fail_msg("'%s' does not begin with '%s'", buf, begin);
        }
}

static bool ends_in_dots(const char *s) {
        size_t n = strlen(s);

        return n >= 3 && streq(s + n - 3, "...");
}

/* Of every size: what fits, at most all, and valid UTF-8. */
static void test_explain_cuts(void **state _unused_) {
        static const char *const texts[] = {
                        "name eq '\xc3\xbc\xc3\xbc'",
                        "name eq '\xc3\xbc' or numa eq 2 or not (numa eq 1 or numa eq 5) or numa eq 4",
        };
        FilterSubject s = nic();

        s.values[FILTER_NAME].text = "\xf0\x9f\x90\xa7\xe6\x9d\xb1\xe8\x8a\x9d\xc3\xa4";
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_(filter_freep) Filter *f = parse(texts[i]);
                bool was_whole = false;
                char whole[1024];

                assert_false(filter_explain(f, &s, whole, sizeof whole));
                for (size_t size = 1; size < strlen(whole) + 20; size++) {
                        _cleanup_free_ char *tight = malloc(size);
                        size_t n;

                        assert_false(filter_explain(f, &s, tight, size));
                        n = strnlen(tight, size);
                        assert_true(n < size);
                        for (const char *c = tight; *c; c += filter_character_length(c))
                                assert_true(filter_character_length(c) > 0);
                        if (streq(tight, whole))
                                was_whole = true;
                        else {
                                assert_false(was_whole); /* more room never shows less */
                                assert_true(size <= 4 || ends_in_dots(tight));
                                n -= ends_in_dots(tight) ? 3 : 0;
                                assert_memory_equal(tight, whole, n);
                        }
                }
                assert_true(was_whole);
        }
}

/* A filter made at random, and what a plain-minded reading of it says about a device. */
typedef struct Maker {
        uint32_t seed;
        const FilterSubject *subject;
        unsigned n_terms, depth;
        char text[32768];
        size_t n;
} Maker;

static unsigned pick(Maker *m, unsigned n) {
        m->seed = m->seed * 1664525 + 1013904223;
        return (m->seed >> 8) % n;
}

static void make_text(Maker *m, const char *s) {
        m->n += (size_t)snprintf(m->text + m->n, sizeof m->text - m->n, "%s", s);
}

static void make_blank(Maker *m) {
        static const char *const blanks[] = {" ", "  ", "\n", "\t "};

        make_text(m, blanks[pick(m, ELEMENTSOF(blanks))]);
}

static bool naive_order(FilterOperator op, int order) {
        return op == FILTER_EQ   ? order == 0
               : op == FILTER_NE ? order != 0
               : op == FILTER_LT ? order < 0
               : op == FILTER_LE ? order <= 0
               : op == FILTER_GT ? order > 0
                                 : order >= 0;
}

static bool naive_text(FilterOperator op, const char *value, const char *wanted) {
        size_t n = strlen(value), k = strlen(wanted);

        switch (op) {
        case FILTER_BW:
                return k <= n && memcmp(value, wanted, k) == 0;
        case FILTER_EW:
                return k <= n && streq(value + n - k, wanted);
        case FILTER_CS:
        case FILTER_RX: /* these values have no character that means something there */
                return memmem(value, n, wanted, k);
        case FILTER_CT:
                return strcasestr(value, wanted);
        default:
                return naive_order(op, strcmp(value, wanted));
        }
}

static bool make_term(Maker *m) {
        static const char *const values[] = {"",    "a",   "A",        "ab", "aB",  "ba",
                                             "aba", "b'a", "\xc3\xbc", "''", "abab"};
        FilterField field = pick(m, FILTER_FIELD_MAX);
        const FilterValue *v = &m->subject->values[field];
        bool is_number = filter_field_is_number(field);
        FilterOperator op = pick(m, is_number ? FILTER_BW : FILTER_OPERATOR_MAX);
        const char *wanted = values[pick(m, ELEMENTSOF(values))];
        uint64_t number = pick(m, 4);
        char text[32];

        make_text(m, filter_field_to_string(field));
        make_blank(m);
        make_text(m, filter_operator_to_string(op));
        make_blank(m);
        if (is_number) {
                (void)snprintf(text, sizeof text, pick(m, 2) ? "%" PRIu64 : "0x%" PRIx64, number);
                make_text(m, text);
        } else {
                make_text(m, "'");
                for (const char *c = wanted; *c; c++) {
                        (void)snprintf(text, sizeof text, *c == '\'' ? "''" : "%c", *c);
                        make_text(m, text);
                }
                make_text(m, "'");
        }
        m->n_terms++;

        if (v->unknown)
                return op == FILTER_NE;
        if (is_number)
                return naive_order(op, v->number < number ? -1 : v->number > number);
        return naive_text(op, strempty(v->text), wanted);
}

static bool make_or(Maker *m);

static bool make_operand(Maker *m) {
        bool holds, is_not = pick(m, 4) == 0;

        if (m->depth >= 8 || m->n_terms > 12 || pick(m, 3) == 0)
                return make_term(m);

        m->depth++;
        if (is_not) {
                make_text(m, "not");
                make_blank(m);
                holds = !make_operand(m);
        } else {
                make_text(m, "(");
                holds = make_or(m);
                make_text(m, ")");
        }
        m->depth--;
        return holds;
}

static bool make_and(Maker *m) {
        bool holds = make_operand(m);

        while (pick(m, 3) == 0) {
                make_blank(m);
                make_text(m, "and");
                make_blank(m);
                holds = make_operand(m) && holds;
        }
        return holds;
}

static bool make_or(Maker *m) {
        bool holds = make_and(m);

        while (pick(m, 3) == 0) {
                make_blank(m);
                make_text(m, "or");
                make_blank(m);
                holds = make_and(m) || holds;
        }
        return holds;
}

static void assert_same_tree(const Filter *a, const Filter *b) {
        assert_int_equal(a->n_nodes, b->n_nodes);
        assert_int_equal(a->uses, b->uses);
        for (size_t i = 0; i < a->n_nodes; i++) {
                const FilterNode *x = a->nodes + i, *y = b->nodes + i;

                assert_true(x->kind == y->kind && x->field == y->field && x->op == y->op &&
                            x->span == y->span && x->length == y->length && !x->regex == !y->regex);
                if (x->kind == FILTER_TERM && filter_field_is_number(x->field))
                        assert_true(x->number == y->number);
                else if (x->kind == FILTER_TERM)
                        assert_string_equal(x->text, y->text);
        }
}

/* Where an index would look the device up, it must find each filter that matches. */
static void check_requires(const Filter *f, const FilterSubject *s) {
        const char *value;
        FilterField field;

        if (filter_match(f, s) && filter_requires(f, &field, &value)) {
                assert_false(s->values[field].unknown);
                assert_string_equal(strempty(s->values[field].text), value);
        }
}

static void test_random_filters(void **state _unused_) {
        static const char *const values[] = {NULL, "", "a", "ab", "abab", "b'a", "\xc3\xbc", "AB"};
        static Maker m = {.seed = 1};
        unsigned n_matches = 0, n_lists = 0;
        enum { ROUNDS = 4000 };

        for (int i = 0; i < ROUNDS; i++) {
                _cleanup_(filter_freep) Filter *f = NULL, *again = NULL;
                FilterSubject s = {0};
                char buf[300];
                bool holds;

                for (int k = 0; k < FILTER_FIELD_MAX; k++)
                        s.values[k] = (FilterValue){.text = values[pick(&m, ELEMENTSOF(values))],
                                                    .number = pick(&m, 4),
                                                    .unknown = pick(&m, 5) == 0};
                m.subject = &s;
                m.n = m.n_terms = m.depth = 0;
                holds = make_or(&m);
                assert_true(m.n < FILTER_TEXT_MAX);

                f = parse(m.text);
                if (filter_match(f, &s) != holds)
                        fail_msg("%s: expected %d", m.text, holds);
                assert_int_equal(filter_explain(f, &s, buf, sizeof buf), holds);
                assert_true(strlen(buf) > 10);
                again = parse(filter_text(f));
                assert_string_equal(filter_text(again), filter_text(f));
                assert_same_tree(again, f);
                check_requires(f, &s);
                n_matches += holds;
                n_lists += f->nodes[0].kind != FILTER_TERM;
        }
        /* They were not all of a kind. */
        assert_in_range(n_matches, ROUNDS / 5, ROUNDS - ROUNDS / 5);
        assert_true(n_lists > ROUNDS / 3);
}

static int check_corpus_file(const char *name, void *userdata) {
        char text[FILTER_TEXT_MAX * 2];
        unsigned *n = userdata;
        FilterError e = {0};
        Filter *f = NULL;
        int dir, r;

        dir = sysfs_open_dir(-1, CORPUS);
        assert_true(dir >= 0);
        assert_true(sysfs_read(dir, name, text, sizeof text) >= 0);
        (void)close(dir);
        r = filter_parse(text, &f, &e);
        if (r != (startswith(name, "good-") ? 0 : -EINVAL))
                fail_msg("%s: %d %s", name, r, e.sentence);
        assert_true(r == 0 || startswith(name, "bad-"));
        (void)filter_free(f);
        (*n)++;
        return 0;
}

/* The files are named good-... and bad-...: they are also there to be read. */
static void test_corpus(void **state _unused_) {
        _cleanup_close_ int dir = sysfs_open_dir(-1, CORPUS);
        unsigned n = 0;

        assert_true(dir >= 0);
        assert_int_equal(sysfs_each(dir, ".", check_corpus_file, &n), 0);
        assert_true(n > 20);
}

/* As troff shows an example: \(aq is a quote, \- a hyphen, \e a backslash. */
static void unescape(char *line) {
        static const struct {
                const char *escape;
                char c;
        } table[] = {{"\\(aq", '\''}, {"\\-", '-'}, {"\\e", '\\'}};
        char *out = line;

        while (*line) {
                char c = *line;
                size_t n = 1;

                for (size_t i = 0; i < ELEMENTSOF(table); i++)
                        if (startswith(line, table[i].escape)) {
                                n = strlen(table[i].escape);
                                c = table[i].c;
                                break;
                        }
                *out++ = c;
                line += n;
        }
        *out = '\0';
}

/* The examples are filters, and every field and operator is told of. */
static void test_man_page(void **state _unused_) {
        _cleanup_fclose_ FILE *page = fopen(MAN_PAGE, "re");
        bool has_field[FILTER_FIELD_MAX] = {0}, has_operator[FILTER_OPERATOR_MAX] = {0};
        bool is_example = false, in_examples = false;
        unsigned n_examples = 0;
        char line[512];

        assert_non_null(page);
        while (fgets(line, sizeof line, page)) {
                line[strcspn(line, "\n")] = '\0';
                if (startswith(line, ".SH "))
                        in_examples = streq(line, ".SH EXAMPLES");
                if (startswith(line, ".B ")) {
                        if (filter_field_from_string(line + 3) >= 0)
                                has_field[filter_field_from_string(line + 3)] = true;
                        if (filter_operator_from_string(line + 3) >= 0)
                                has_operator[filter_operator_from_string(line + 3)] = true;
                }
                if (streq(line, ".EE"))
                        is_example = false;
                if (is_example && in_examples) {
                        unescape(line);
                        (void)filter_free(parse(line));
                        n_examples++;
                }
                if (streq(line, ".EX"))
                        is_example = true;
        }
        assert_true(n_examples >= 8);
        for (int i = 0; i < FILTER_FIELD_MAX; i++)
                if (!has_field[i])
                        fail_msg("the manual page does not tell of the field %s", filter_field_to_string(i));
        for (int i = 0; i < FILTER_OPERATOR_MAX; i++)
                if (!has_operator[i])
                        fail_msg("the manual page does not tell of %s", filter_operator_to_string(i));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_operators_on_texts),
                        cmocka_unit_test(test_case_folding),
                        cmocka_unit_test(test_operators_on_numbers),
                        cmocka_unit_test(test_unknown_values),
                        cmocka_unit_test(test_precedence),
                        cmocka_unit_test(test_canonical_text),
                        cmocka_unit_test(test_errors),
                        cmocka_unit_test(test_limits),
                        cmocka_unit_test(test_regexes_that_explode),
                        cmocka_unit_test(test_regex_limits_are_for_one_search),
                        cmocka_unit_test(test_requires),
                        cmocka_unit_test(test_uses),
                        cmocka_unit_test(test_explain),
                        cmocka_unit_test(test_explain_strange_values),
                        cmocka_unit_test(test_explain_cuts),
                        cmocka_unit_test(test_random_filters),
                        cmocka_unit_test(test_corpus),
                        cmocka_unit_test(test_man_page),
        };

        return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
