/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"
#include "record.h"

#define ID "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
#define E_ACUTE "\xc3\xa9" /* two bytes */

static GroupRecord group(const char *name, const char *description) {
        return (GroupRecord){
                        .id = ID, .name = strdup(name), .description = strdup(description), .enabled = true};
}

static RuleRecord rule(const char *name, const char *node, const char *filter) {
        return (RuleRecord){.id = ID,
                            .group = ID,
                            .age = 1,
                            .name = strdup(name),
                            .node = strdup(node),
                            .filter = strdup(filter),
                            .enabled = true};
}

static char *repeat(const char *text, size_t n) {
        char *all = calloc(n, strlen(text) + 1), *at = all;

        assert_non_null(all);
        while (n-- > 0)
                at = stpcpy(at, text);
        return all;
}

static void expect_group(GroupRecord g, const char *sentence) {
        Failure f = {0};
        int r = group_record_check(&g, &f);

        if (sentence) {
                assert_int_equal(r, -EREMOTEIO);
                assert_int_equal(f.kind, FAILURE_INVALID_ARGUMENT);
                if (!strstr(f.sentence, sentence))
                        fail_msg("'%s' is not in: %s", sentence, f.sentence);
        } else if (r < 0)
                fail_msg("%s", f.sentence);
        group_record_clear(&g);
        assert_null(g.name);
}

static void expect_rule(RuleRecord r, const char *sentence, const char *canonical) {
        Failure f = {0};
        int k = rule_record_check(&r, &f);

        if (sentence) {
                assert_int_equal(k, -EREMOTEIO);
                assert_int_equal(f.kind, FAILURE_INVALID_ARGUMENT);
                if (!strstr(f.sentence, sentence))
                        fail_msg("'%s' is not in: %s", sentence, f.sentence);
        } else if (k < 0)
                fail_msg("%s", f.sentence);
        if (canonical)
                assert_string_equal(r.filter, canonical);
        rule_record_clear(&r);
        assert_null(r.filter);
}

static void test_words(void **state _unused_) {
        for (int i = 0; i < GROUP_CLASS_MAX; i++)
                assert_int_equal(group_class_from_string(group_class_to_string((GroupClass)i)), i);
        for (int i = 0; i < GROUP_BINDING_MAX; i++)
                assert_int_equal(group_binding_from_string(group_binding_to_string((GroupBinding)i)), i);
        assert_string_equal(group_type_to_string(GROUP_TYPE_PCI), "pci");
        assert_string_equal(group_type_to_string(GROUP_TYPE_SRIOV_NIC), "sriov-nic");
        assert_int_equal(group_class_from_string("GPU"), GROUP_CLASS_INVALID);
        assert_int_equal(group_binding_from_string("never"), GROUP_BINDING_INVALID);
        assert_int_equal(group_type_from_string(""), GROUP_TYPE_INVALID);
}

static GroupRecord sriov_group(GroupType type, const char *settings) {
        GroupRecord g = group("NICs", "");

        g.type = type;
        assert_int_equal(sriov_settings_parse(settings, &g.sriov), 0);
        return g;
}

static void test_virtual_functions(void **state _unused_) {
        GroupRecord none = sriov_group(GROUP_TYPE_SRIOV_NIC, "vfs=1 overridable="), other = none, copy;

        none.sriov.vfs = 0;
        assert_false(group_record_same(&none, &other));
        assert_int_equal(group_record_copy(&other, &copy), 0);
        assert_true(group_record_same(&copy, &other));
        group_record_clear(&copy);
        expect_group(none, "The group 'NICs' does not say how many virtual functions each of its physical "
                           "functions is to have; give \"vfs\", 1 to 256, in \"sriov\".");
        expect_group(sriov_group(GROUP_TYPE_SRIOV_NIC, "vfs=256 overridable=mac"), NULL);
        expect_group(sriov_group(GROUP_TYPE_SRIOV_NIC, "vfs=257 overridable=mac"),
                     "of group 'NICs', how many virtual functions each physical function is to have, is "
                     "257; "
                     "give 1 to 256.");
        expect_group(sriov_group(GROUP_TYPE_SRIOV_NIC, "vfs=1 overridable= vlan-qos=1"), "needs a VLAN");
        expect_group(sriov_group(GROUP_TYPE_PCI, "vfs=1 overridable="),
                     "The group 'NICs' is of the type \"pci\", which has no settings of virtual functions; "
                     "leave \"sriov\" out, or make a group of the type \"sriov-nic\".");
}

/* A rule of such a group names one physical function, and whoever reads it can tell which. */
static void test_rules_of_virtual_functions(void **state _unused_) {
        static const struct {
                const char *filter;
                bool fine;
        } table[] = {
                        {"physical_function eq '0000:3b:00.0'", true},
                        {"vendor eq 'x' and physical_function eq '0000:3b:00.0' and numa eq 1", true},
                        {"physical_function eq '0000:3b:00.0' and not (slot eq '3b:10.1')", true},
                        {"physical_function eq '3b:00.0'", false},
                        {"physical_function eq ''", false},
                        {"physical_function bw '0000:3b:00.0'", false},
                        {"physical_function ne '0000:3b:00.0'", false},
                        {"physical_function eq '0000:3b:00.0' or numa eq 1", false},
                        {"not physical_function eq '0000:3b:00.0'", false},
                        {"address eq '0000:3b:10.0' and physical_function eq '0000:3b:00.0'", false},
                        {"name eq 'x'", false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                RuleRecord r = rule("port", "", table[i].filter);
                Failure f = {0};

                assert_int_equal(rule_record_check(&r, &f), 0);
                assert_int_equal(rule_record_check_type(&r, GROUP_TYPE_PCI, &f), 0);
                if (rule_record_check_type(&r, GROUP_TYPE_SRIOV_NIC, &f) != (table[i].fine ? 0 : -EREMOTEIO))
                        fail_msg("%s: %s", table[i].filter, f.sentence);
                if (!table[i].fine)
                        assert_string_equal(f.sentence,
                                            "The rule 'port' does not name the physical function whose "
                                            "virtual functions it puts into a group of the type "
                                            "\"sriov-nic\"; write its filter as physical_function eq "
                                            "'0000:3b:00.0', with no address, serial, slot or vendor and "
                                            "device beside it.");
                rule_record_clear(&r);
        }
}

static void test_classes(void **state _unused_) {
        static const struct {
                uint32_t code;
                GroupClass class;
        } table[] = {
                        {0x000100, GROUP_CLASS_GPU},     {0x000000, GROUP_CLASS_PCI},
                        {0x010802, GROUP_CLASS_STORAGE}, {0x0c0400, GROUP_CLASS_STORAGE},
                        {0x020000, GROUP_CLASS_NETWORK}, {0x0c0600, GROUP_CLASS_NETWORK},
                        {0x0d2000, GROUP_CLASS_NETWORK}, {0x0d2100, GROUP_CLASS_NETWORK},
                        {0x0d1100, GROUP_CLASS_PCI}, /* Bluetooth */
                        {0x030000, GROUP_CLASS_GPU},     {0x030200, GROUP_CLASS_GPU},
                        {0x040000, GROUP_CLASS_MEDIA},   {0x040100, GROUP_CLASS_AUDIO},
                        {0x040300, GROUP_CLASS_AUDIO},   {0x048000, GROUP_CLASS_MEDIA},
                        {0x090000, GROUP_CLASS_HID},     {0x0c0330, GROUP_CLASS_USB},
                        {0x0c0500, GROUP_CLASS_PCI},     {0x120000, GROUP_CLASS_FPGA},
                        {0x060400, GROUP_CLASS_PCI},     {0xff0000, GROUP_CLASS_PCI},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (group_class_of(table[i].code) != table[i].class)
                        fail_msg("%06x is '%s'", table[i].code,
                                 group_class_to_string(group_class_of(table[i].code)));
}

static void test_ids(void **state _unused_) {
        static const char *const bad[] = {
                        "",
                        "6ba7b810-9dad-11d1-80b4-00c04fd430c",
                        "6ba7b810-9dad-11d1-80b4-00c04fd430c88",
                        "6BA7B810-9dad-11d1-80b4-00c04fd430c8",
                        "6ba7b8109dad-11d1-80b4-00c04fd430c8-",
                        "6ba7b810-9dad-11d1-80b4-00c04fd430g8",
                        "6ba7b810_9dad_11d1_80b4_00c04fd430c8",
        };

        assert_true(record_id_is_valid(ID));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (record_id_is_valid(bad[i]))
                        fail_msg("'%s' is no id", bad[i]);
}

static void test_names(void **state _unused_) {
        _cleanup_free_ char *longest = repeat(E_ACUTE, RECORD_NAME_MAX / 2),
                            *longer = repeat("n", RECORD_NAME_MAX + 1);

        expect_group(group("PCI NICs", ""), NULL);
        expect_group(group(longest, ""), NULL);
        expect_group(group(longer, ""), "has 257 bytes, and 256 is the most");
        expect_group(group("", ""), "The name of the group is empty");
        expect_group(group("caf" E_ACUTE, ""), NULL);
        expect_group(group("caf\xe9", ""), "no UTF-8 from byte 4 on");
        expect_group(group("caf\xc3", ""), "no UTF-8 from byte 4 on"); /* cut in the middle */
        expect_group(group("a\nb", ""), "control character at byte 2");
        expect_group(group("a\x7f", ""), "control character at byte 2");
        expect_group(group("\xc2\x85", ""), "control character at byte 1"); /* C1: next line */
        expect_group(group("\xc2\xa0", ""), NULL);
}

static void test_descriptions(void **state _unused_) {
        _cleanup_free_ char *longest = repeat("d", RECORD_DESCRIPTION_MAX),
                            *longer = repeat("d", RECORD_DESCRIPTION_MAX + 1);

        expect_group(group("g", longest), NULL);
        expect_group(group("g", longer), "The description of group 'g' has 2049 bytes");
        expect_group(group("g", "two\nlines"), NULL);
        expect_group(group("g", "a tab\t"), "(line breaks may stay)");
        expect_group(group("g", "\xff"), "no UTF-8");
}

static void test_quotas(void **state _unused_) {
        GroupRecord g = group("g", "");

        g.quota = GROUP_QUOTA_MAX;
        expect_group(g, NULL);
        g = group("g", "");
        g.quota = GROUP_QUOTA_MAX + 1;
        expect_group(g, "The quota of group 'g' is 65536 devices, and 65535 is the most");
}

static void test_groups_that_say_the_same(void **state _unused_) {
        GroupRecord a = group("g", ""), b = group("g", "");

        b.id[0] = '0';
        b.created = 7;
        assert_true(group_record_same(&a, &b));
        b.quota = 1;
        assert_false(group_record_same(&a, &b));
        group_record_clear(&a);
        group_record_clear(&b);
}

static void test_ids_are_checked(void **state _unused_) {
        GroupRecord g = group("g", "");
        RuleRecord r = rule("r", "", "vendor eq 'x'");

        g.id[0] = 'x';
        expect_group(g, "The id of group 'g' is 'xba7b810");
        r.group[0] = '\0';
        expect_rule(r, "The group of rule 'r' is ''", NULL);
        r = rule("r", "", "vendor eq 'x'");
        r.id[35] = '-';
        expect_rule(r, "The id of rule 'r'", NULL);
}

static void test_rules(void **state _unused_) {
        _cleanup_free_ char *longest = repeat("n", RECORD_NODE_MAX),
                            *longer = repeat("n", RECORD_NODE_MAX + 1);

        expect_rule(rule("r", "", "vendor eq 'Intel'"), NULL, "vendor eq 'Intel'");
        expect_rule(rule("r", "node1", "  ( vendor   eq 'Intel' ) "), NULL, "vendor eq 'Intel'");
        expect_rule(rule("r", longest, "numa eq 1"), NULL, NULL);
        expect_rule(rule("r", longer, "numa eq 1"), "The node of rule 'r' has 256 bytes", NULL);
        expect_rule(rule("r", "a\nb", "numa eq 1"), "The node of rule 'r' has a control character", NULL);
        expect_rule(rule("", "", "numa eq 1"), "The name of the rule is empty", NULL);
}

/* What cannot be read stays as it was. */
static void test_bad_filters(void **state _unused_) {
        expect_rule(rule("r", "", "vendor lik 'x'"), "The filter of rule 'r'", "vendor lik 'x'");
        expect_rule(rule("r", "", "vendor lik 'x'"), "column 8", "vendor lik 'x'");
        expect_rule(rule("r", "", ""), "column 1", "");
}

static void test_copies(void **state _unused_) {
        GroupRecord g = group("g", "d"), g2;
        RuleRecord r = rule("r", "n", "numa eq 1"), r2;

        g.class = GROUP_CLASS_GPU;
        g.created = 7;
        assert_int_equal(group_record_copy(&g, &g2), 0);
        assert_int_equal(rule_record_copy(&r, &r2), 0);
        assert_true(g.name != g2.name && g.description != g2.description);
        assert_true(r.name != r2.name && r.node != r2.node && r.filter != r2.filter);
        group_record_clear(&g);
        rule_record_clear(&r);
        assert_string_equal(g2.name, "g");
        assert_string_equal(g2.id, ID);
        assert_int_equal(g2.class, GROUP_CLASS_GPU);
        assert_int_equal(g2.created, 7);
        assert_string_equal(r2.filter, "numa eq 1");
        assert_int_equal(r2.age, 1);
        group_record_clear(&g2);
        rule_record_clear(&r2);
        group_record_clear(&g2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_words),
                        cmocka_unit_test(test_virtual_functions),
                        cmocka_unit_test(test_rules_of_virtual_functions),
                        cmocka_unit_test(test_classes),
                        cmocka_unit_test(test_ids),
                        cmocka_unit_test(test_names),
                        cmocka_unit_test(test_descriptions),
                        cmocka_unit_test(test_ids_are_checked),
                        cmocka_unit_test(test_rules),
                        cmocka_unit_test(test_bad_filters),
                        cmocka_unit_test(test_copies),
                        cmocka_unit_test(test_quotas),
                        cmocka_unit_test(test_groups_that_say_the_same),
        };

        return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
