/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "document.h"

#define HEAD "{\"format\": \"org.verge.Passthrough\", \"version\": 1, \"groups\": ["
#define RULE "{\"name\": \"r\", \"filter\": \"slot eq '03:00.0'\"}"

static char *format(const Document *d) {
        char *text;

        assert_int_equal(document_format(d, &text), 0);
        return text;
}

static Document parse(const char *text) {
        Failure f = {0};
        Document d;

        if (document_parse(text, &d, &f) != 0)
                fail_msg("%s", f.sentence);
        return d;
}

static void test_defaults(void **state _unused_) {
        Document d = parse(HEAD "{\"name\": \"NICs\", \"rules\": [" RULE "]}, {\"name\": \"other\"}]}");
        const GroupRecord *g = &d.groups[0].group;
        const RuleRecord *r = &d.groups[0].rules[0];

        assert_int_equal(d.n_groups, 2);
        assert_string_equal(g->name, "NICs");
        assert_int_equal(g->type, GROUP_TYPE_PCI);
        assert_string_equal(g->description, "");
        assert_int_equal(g->class, GROUP_CLASS_UNKNOWN);
        assert_true(g->enabled);
        assert_int_equal(g->binding, GROUP_BINDING_ON_CLAIM);
        assert_int_equal(g->quota, 0);
        assert_string_equal(g->id, "");
        assert_int_equal(g->created, 0);
        assert_int_equal(d.groups[0].n_rules, 1);
        assert_string_equal(r->name, "r");
        assert_string_equal(r->node, "");
        assert_string_equal(r->filter, "slot eq '03:00.0'");
        assert_true(r->enabled);
        assert_false(r->auto_created);
        assert_string_equal(r->id, "");
        assert_string_equal(r->group, "");
        assert_int_equal(r->age, 0);
        assert_int_equal(d.groups[1].n_rules, 0);
        document_clear(&d);
        assert_int_equal(d.n_groups, 0);
}

static void test_exact_text(void **state _unused_) {
        static const char expected[] = "{\n"
                                       "  \"format\": \"org.verge.Passthrough\",\n"
                                       "  \"version\": 1,\n"
                                       "  \"groups\": [\n"
                                       "    {\n"
                                       "      \"name\": \"A\",\n"
                                       "      \"type\": \"pci\",\n"
                                       "      \"description\": \"Gr\303\266\303\237e\\n\\\"x\\\"\",\n"
                                       "      \"class\": \"network\",\n"
                                       "      \"enabled\": false,\n"
                                       "      \"binding\": \"persistent\",\n"
                                       "      \"quota\": 65535,\n"
                                       "      \"rules\": [\n"
                                       "        {\n"
                                       "          \"name\": \"second\",\n"
                                       "          \"node\": \"n1\",\n"
                                       "          \"filter\": \"slot eq '03:00.0'\",\n"
                                       "          \"enabled\": false,\n"
                                       "          \"auto-created\": true\n"
                                       "        },\n"
                                       "        {\n"
                                       "          \"name\": \"first\",\n"
                                       "          \"node\": \"\",\n"
                                       "          \"filter\": \"slot eq '03:00.0'\",\n"
                                       "          \"enabled\": true,\n"
                                       "          \"auto-created\": false\n"
                                       "        }\n"
                                       "      ]\n"
                                       "    },\n"
                                       "    {\n"
                                       "      \"name\": \"B\",\n"
                                       "      \"type\": \"pci\",\n"
                                       "      \"description\": \"\",\n"
                                       "      \"class\": \"unknown\",\n"
                                       "      \"enabled\": true,\n"
                                       "      \"binding\": \"on-claim\",\n"
                                       "      \"quota\": 0,\n"
                                       "      \"rules\": []\n"
                                       "    }\n"
                                       "  ]\n"
                                       "}\n";
        RuleRecord rules[] = {{.name = (char *)(uintptr_t) "second",
                               .node = (char *)(uintptr_t) "n1",
                               .filter = (char *)(uintptr_t) "slot eq '03:00.0'",
                               .auto_created = true},
                              {.name = (char *)(uintptr_t) "first",
                               .node = (char *)(uintptr_t) "",
                               .filter = (char *)(uintptr_t) "slot eq '03:00.0'",
                               .enabled = true}};
        DocumentGroup groups[] = {{.group = {.name = (char *)(uintptr_t) "B",
                                             .description = (char *)(uintptr_t) "",
                                             .enabled = true}},
                                  {.group = {.name = (char *)(uintptr_t) "A",
                                             .description = (char *)(uintptr_t) "Gr\303\266\303\237e\n\"x\"",
                                             .class = GROUP_CLASS_NETWORK,
                                             .binding = GROUP_BINDING_PERSISTENT,
                                             .quota = GROUP_QUOTA_MAX},
                                   .rules = rules,
                                   .n_rules = 2}};
        Document d = {.groups = groups, .n_groups = 2}, back;
        _cleanup_free_ char *text = format(&d), *again = NULL;

        assert_string_equal(text, expected); /* sorted by name, rules as they stand */
        assert_string_equal(groups[0].group.name, "B");

        back = parse(text);
        again = format(&back);
        assert_string_equal(again, text);
        document_clear(&back);
}

static void test_nothing(void **state _unused_) {
        Document d = parse(HEAD "]}");
        _cleanup_free_ char *text = format(&d);

        assert_int_equal(d.n_groups, 0);
        document_clear(&d);
        d = parse(text);
        assert_int_equal(d.n_groups, 0);
        document_clear(&d);
}

/* Written with all that they say, read with what is not the default. */
static void test_virtual_functions(void **state _unused_) {
        static const char lines[][120] = {"vfs=4 overridable=mac",
                                          "vfs=256 overridable=vlan,trust vlan=100 vlan-protocol=802.1ad "
                                          "max-rate=7 trust=off"};
        Document d = parse(HEAD "{\"name\": \"a\", \"sriov\": {\"vfs\": 4}, \"type\": \"sriov-nic\"},"
                                "{\"name\": \"b\", \"type\": \"sriov-nic\", \"sriov\": {\"vlan\": 100, "
                                "\"vlan-protocol\": \"802.1ad\", \"max-rate\": 7, \"trust\": \"off\", "
                                "\"link-state\": \"auto\", \"overridable\": [\"trust\", \"vlan\"], \"vfs\": "
                                "256}, "
                                "\"rules\": [{\"name\": \"r\", \"filter\": \"physical_function eq "
                                "'0000:3b:00.0'\"}]}]}"),
                 back;
        _cleanup_free_ char *text = format(&d), *again = NULL;
        char line[SRIOV_LINE_SIZE];

        assert_non_null(strstr(text, "      \"quota\": 0,\n"
                                     "      \"sriov\": {\n"
                                     "        \"vfs\": 256,\n"
                                     "        \"vlan\": 100,\n"
                                     "        \"vlan-protocol\": \"802.1ad\",\n"
                                     "        \"vlan-qos\": 0,\n"
                                     "        \"min-rate\": 0,\n"
                                     "        \"max-rate\": 7,\n"
                                     "        \"link-state\": \"auto\",\n"
                                     "        \"spoof-checking\": \"default\",\n"
                                     "        \"trust\": \"off\",\n"
                                     "        \"query-rss\": \"default\",\n"
                                     "        \"overridable\": [\n"
                                     "          \"vlan\",\n"
                                     "          \"trust\"\n"
                                     "        ]\n"
                                     "      },\n"
                                     "      \"rules\": [\n"));
        back = parse(text);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(back.groups[i].group.type, GROUP_TYPE_SRIOV_NIC);
                assert_string_equal(sriov_settings_format(&back.groups[i].group.sriov, line), lines[i]);
                assert_true(group_record_same(&back.groups[i].group, &d.groups[i].group));
        }
        again = format(&back);
        assert_string_equal(again, text);
        document_clear(&back);
        document_clear(&d);
}

#define VFS_GROUP(sriov) HEAD "{\"name\": \"a\", \"type\": \"sriov-nic\", \"sriov\": " sriov "}]}"

/* What is wrong, and what the sentence must say about where and why. */
static void test_refused(void **state _unused_) {
        static const struct {
                const char *text, *words;
        } table[] = {
                        {"", "line 1, column 0"},
                        {"{", "line 1, column 1"},
                        {"{\n \"format\": x\n}", "line 2"},
                        {"[]", "expected an object"},
                        {"7", "line 1"},
                        {"{} {}", "line 1"},
                        {"{}", "format: it is missing"},
                        {"{\"format\": \"org.verge.Passthrough\", \"version\": 1}", "groups: it is missing"},
                        {"{\"format\": \"org.verge.Passthrough\", \"groups\": []}",
                         "version: it is missing"},
                        {"{\"format\": \"x\", \"version\": 1, \"groups\": []}", "format: expected"},
                        {"{\"format\": \"org.verge.Passthrough\", \"version\": 2, \"groups\": []}",
                         "version: this version"},
                        {"{\"format\": \"org.verge.Passthrough\", \"version\": 1.0, \"groups\": []}",
                         "version: expected a whole number"},
                        {"{\"format\": \"org.verge.Passthrough\", \"version\": 99999999999999999999, "
                         "\"groups\": []}",
                         "line 1"},
                        {"{\"format\": \"org.verge.Passthrough\", \"version\": 1, \"groups\": {}}",
                         "groups: expected a list"},
                        {HEAD "], \"groups\": []}", "duplicate"},
                        {HEAD "], \"grops\": []}", "grops: there is no such member"},
                        {HEAD "7]}", "groups[0]: expected an object"},
                        {HEAD "{}]}", "groups[0].name: it is missing"},
                        {HEAD "{\"name\": \"a\", \"Name\": \"b\"}]}",
                         "groups[0].Name: there is no such member"},
                        {HEAD "{\"name\": null}]}", "groups[0].name: expected a text"},
                        {HEAD "{\"name\": \"\"}]}", "groups[0]: "},
                        {HEAD "{\"name\": \"a\\u0000b\"}]}", "line 1"},
                        {HEAD "{\"name\": \"a\\nb\"}]}", "groups[0]: "},
                        {HEAD "{\"name\": \"\xff\"}]}", "line 1"},
                        {HEAD "{\"name\": \"a\", \"type\": \"isa\"}]}",
                         "groups[0].type: there is no such type"},
                        {HEAD "{\"name\": \"a\", \"class\": \"x\"}]}",
                         "groups[0].class: there is no such class"},
                        {HEAD "{\"name\": \"a\", \"binding\": \"x\"}]}",
                         "groups[0].binding: there is no such"},
                        {HEAD "{\"name\": \"a\", \"quota\": -1}]}",
                         "groups[0].quota: expected a number from"},
                        {HEAD "{\"name\": \"a\", \"quota\": 65536}]}", "groups[0].quota: expected a number"},
                        {HEAD "{\"name\": \"a\", \"quota\": 4294967296}]}",
                         "groups[0].quota: expected a number"},
                        {HEAD "{\"name\": \"a\", \"quota\": \"1\"}]}",
                         "groups[0].quota: expected a whole number"},
                        {HEAD "{\"name\": \"a\", \"enabled\": 1}]}",
                         "groups[0].enabled: expected true or false"},
                        {HEAD "{\"name\": \"a\", \"rules\": null}]}", "groups[0].rules: expected a list"},
                        {HEAD "{\"name\": \"a\"}, {\"name\": \"b\"}, {\"name\": \"a\"}]}",
                         "groups[2].name: groups[0] has this name"},
                        {HEAD "{\"name\": \"a\", \"rules\": [" RULE ", " RULE "]}]}",
                         "groups[0].rules[1].name: groups[0].rules[0] has"},
                        {HEAD "{\"name\": \"z\"}, {\"name\": \"a\", \"rules\": [{\"name\": \"r\"}]}]}",
                         "groups[1].rules[0].filter: it is missing"},
                        {HEAD "{\"name\": \"a\", \"rules\": [{\"name\": \"r\", \"filter\": \"\"}]}]}",
                         "groups[0].rules[0]: "},
                        {HEAD "{\"name\": \"a\", \"rules\": [{\"name\": \"r\", \"filter\": \"x\", \"node\": "
                              "3}]}]}",
                         "groups[0].rules[0].node: expected a text"},
                        {HEAD "{\"name\": \"a\", \"type\": \"sriov-nic\"}]}",
                         "groups[0]: The group 'a' does not say how many virtual functions"},
                        {HEAD "{\"name\": \"a\", \"sriov\": {\"vfs\": 1}}]}",
                         "groups[0]: The group 'a' is of the type \"pci\", which has no settings"},
                        {HEAD "{\"name\": \"a\", \"sriov\": 7}]}", "groups[0].sriov: expected an object"},
                        {HEAD "{\"name\": \"a\", \"type\": \"sriov-nic\", \"sriov\": {\"vfs\": 1}, "
                              "\"rules\": [" RULE "]}]}",
                         "groups[0].rules[0]: The rule 'r' does not name the physical function"},
                        {VFS_GROUP("{\"vfs\": 257}"), "is 257; give 1 to 256"},
                        {VFS_GROUP("{\"vfs\": -1}"), "groups[0].sriov.vfs: expected a number from 0"},
                        {VFS_GROUP("{\"vfs\": 4294967297}"),
                         "groups[0].sriov.vfs: expected a number from 0"},
                        {VFS_GROUP("{\"vfs\": \"1\"}"), "groups[0].sriov.vfs: expected a whole number"},
                        {VFS_GROUP("{\"vfs\": 1, \"vlan\": 4095}"),
                         "groups[0].sriov: The setting \"vlan\" of the group is 4095; give 0 to 4094"},
                        {VFS_GROUP("{\"vfs\": 1, \"trust\": true}"),
                         "groups[0].sriov.trust: expected a text"},
                        {VFS_GROUP("{\"vfs\": 1, \"trust\": \"yes\"}"),
                         "is 'yes'; give one of: default, on"},
                        {VFS_GROUP("{\"vfs\": 1, \"mac\": \"02:00:00:00:00:01\"}"),
                         "groups[0].sriov.mac: there is no such setting of a group"},
                        {VFS_GROUP("{\"vfs\": 1, \"vlans\": 1}"),
                         "groups[0].sriov.vlans: there is no such setting of a group"},
                        {VFS_GROUP("{\"vfs\": 1, \"vlan-qos\": 1}"), "needs a VLAN"},
                        {VFS_GROUP("{\"vfs\": 1, \"overridable\": \"mac\"}"),
                         "groups[0].sriov.overridable: expected a list"},
                        {VFS_GROUP("{\"vfs\": 1, \"overridable\": [\"vfs\"]}"),
                         "groups[0].sriov.overridable: expected names of settings"},
                        {VFS_GROUP("{\"vfs\": 1, \"overridable\": [7]}"), "expected names of settings"},
                        {VFS_GROUP("{\"vfs\": 1, \"overridable\": [\"mac\", \"mac\"]}"), "each once"},
                        {"[[[[[[[[[[", "line 1: the values are nested too deeply"},
        };
        Document d = {.n_groups = 77};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Failure f = {0};

                if (document_parse(table[i].text, &d, &f) != -EREMOTEIO)
                        fail_msg("took: %s", table[i].text);
                if (!strstr(f.sentence, table[i].words))
                        fail_msg("'%s' says nothing of '%s'", f.sentence, table[i].words);
                assert_int_equal(f.sentence[strlen(f.sentence) - 1], '.');
                assert_int_equal(f.kind, FAILURE_INVALID_ARGUMENT);
                assert_int_equal(d.n_groups, 77); /* untouched */
        }
}

/* n groups of k rules each, with distinct names. */
static char *many(unsigned n, unsigned k) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        fputs(HEAD, f);
        for (unsigned i = 0; i < n; i++) {
                fprintf(f, "%s{\"name\": \"g%u\", \"rules\": [", i > 0 ? "," : "", i);
                for (unsigned j = 0; j < k; j++)
                        fprintf(f, "%s{\"name\": \"r%u\", \"filter\": \"slot eq '03:00.0'\"}",
                                j > 0 ? "," : "", j);
                fputs("]}", f);
        }
        fputs("]}", f);
        assert_int_equal(fclose(f), 0);
        return text;
}

static void test_limits(void **state _unused_) {
        static const struct {
                unsigned n, k;
                const char *words; /* NULL: just right */
        } table[] = {
                        {GROUPS_MAX, RULES_MAX / GROUPS_MAX, NULL},
                        {GROUPS_MAX + 1, 0, "groups: there may be 1000 groups"},
                        {1, RULES_MAX, NULL},
                        {1, RULES_MAX + 1, "groups[0].rules: there may be 10000 rules"},
                        {2, RULES_MAX / 2 + 1, "groups[1].rules: there may be 10000 rules"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *text = many(table[i].n, table[i].k), *again = NULL;
                Failure f = {0};
                Document d, back;

                if (table[i].words) {
                        assert_int_equal(document_parse(text, &d, &f), -EREMOTEIO);
                        if (!strstr(f.sentence, table[i].words))
                                fail_msg("'%s' says nothing of '%s'", f.sentence, table[i].words);
                        continue;
                }
                d = parse(text);
                assert_int_equal(d.n_groups, table[i].n);
                assert_int_equal(d.groups[0].n_rules, table[i].k);
                again = format(&d);
                back = parse(again);
                assert_int_equal(back.n_groups, table[i].n);
                document_clear(&back);
                document_clear(&d);
        }
}

/* Two bytes of text can cost a hundred times that as objects. */
static void test_what_would_eat_memory(void **state _unused_) {
        _cleanup_free_ char *text = malloc(DOCUMENT_SIZE_MAX + 2);
        Failure f = {0};
        Document d;

        assert_non_null(text);
        for (size_t i = 0; i < DOCUMENT_SIZE_MAX; i++)
                text[i] = "[],"[i % 3];
        text[0] = '[';
        text[DOCUMENT_SIZE_MAX] = '\0';
        assert_int_equal(document_parse(text, &d, &f), -EREMOTEIO);
        assert_non_null(strstr(f.sentence, "too many values"));

        memset(text, ' ', DOCUMENT_SIZE_MAX + 1);
        text[DOCUMENT_SIZE_MAX + 1] = '\0';
        f = (Failure){0};
        assert_int_equal(document_parse(text, &d, &f), -EREMOTEIO);
        assert_int_equal(f.kind, FAILURE_LIMITS_EXCEEDED);
        assert_non_null(strstr(f.sentence, "bytes"));
}

/* No more is written than would be taken. */
static void test_too_long_to_come_back(void **state _unused_) {
        static char filter[4097], names[5000][16];
        static RuleRecord rules[5000];
        DocumentGroup g = {.group = {.name = names[0], .description = names[0]}, .rules = rules};
        Document d = {.groups = &g, .n_groups = 1};
        char *text = NULL;

        memset(filter, 'f', sizeof filter - 1);
        for (unsigned i = 0; i < ELEMENTSOF(rules); i++) {
                (void)snprintf(names[i], sizeof names[i], "%u", i);
                rules[i] = (RuleRecord){.name = names[i], .node = names[i], .filter = filter};
        }
        g.n_rules = 3000;
        assert_int_equal(document_format(&d, &text), 0);
        free(text);
        text = NULL;
        g.n_rules = 5000;
        assert_int_equal(document_format(&d, &text), -E2BIG);
        assert_null(text);
}

/* Undoes the escapes of a manual page. */
static void append_line(FILE *f, const char *line) {
        for (; *line; line++)
                if (startswith(line, "\\(aq")) {
                        (void)fputc('\'', f);
                        line += strlen("\\(aq") - 1;
                } else if (!startswith(line, "\\-"))
                        (void)fputc(*line, f);
}

/* The example is a document, and says what the page says that it does. */
static void test_man_page(void **state _unused_) {
        _cleanup_fclose_ FILE *page = fopen(MAN_PAGE, "re");
        _cleanup_free_ char *text = NULL;
        bool is_example = false;
        char line[512];
        size_t size;
        Document d;
        FILE *f;

        assert_non_null(page);
        f = open_memstream(&text, &size);
        assert_non_null(f);
        while (fgets(line, sizeof line, page)) {
                is_example = (is_example || streq(line, "{\n")) && !streq(line, ".EE\n");
                if (is_example)
                        append_line(f, line);
        }
        assert_int_equal(fclose(f), 0);

        d = parse(text);
        assert_int_equal(d.n_groups, 3);
        assert_int_equal(d.groups[0].group.binding, GROUP_BINDING_PERSISTENT);
        assert_int_equal(d.groups[0].n_rules, 2);
        assert_true(d.groups[0].rules[0].auto_created);
        assert_string_equal(d.groups[0].rules[0].filter, "address eq '0000:01:00.0'");
        assert_false(d.groups[0].rules[1].auto_created);
        assert_int_equal(d.groups[1].group.sriov.vfs, 7);
        assert_int_equal(d.groups[1].group.sriov.overridable, 1U << VF_MAC | 1U << VF_MAX_RATE);
        assert_int_equal(d.groups[2].n_rules, 0);
        document_clear(&d);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_defaults),
                        cmocka_unit_test(test_exact_text),
                        cmocka_unit_test(test_nothing),
                        cmocka_unit_test(test_virtual_functions),
                        cmocka_unit_test(test_refused),
                        cmocka_unit_test(test_limits),
                        cmocka_unit_test(test_what_would_eat_memory),
                        cmocka_unit_test(test_too_long_to_come_back),
                        cmocka_unit_test(test_man_page),
        };

        return cmocka_run_group_tests_name("document", tests, NULL, NULL);
}
