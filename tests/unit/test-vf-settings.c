/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "vf-settings.h"

static VfSettings parsed(const char *line) {
        VfSettings v;

        assert_int_equal(vf_settings_parse(line, &v), 0);
        return v;
}

static void assert_line(const VfSettings *v, const char *expected) {
        char line[VF_LINE_SIZE];

        assert_string_equal(vf_settings_format(v, line), expected);
}

static void test_lines(void **state _unused_) {
        static const char *const same[] = {
                        "",
                        "vlan=0",
                        "vlan=4094 vlan-protocol=802.1ad vlan-qos=7 min-rate=1 max-rate=10000000 "
                        "link-state=disable spoof-checking=default trust=on query-rss=off "
                        "mac=02:ab:cd:ef:00:01",
                        "link-state=auto mac=00:00:00:00:00:00",
        };
        static const char *const wrong[] = {
                        " ",
                        "vlan",
                        "vlan=",
                        "vlan=4095",
                        "vlan=-1",
                        "vlan=1 ",
                        " vlan=1",
                        "vlan=1  trust=on",
                        "vlan=1 vlan=1",
                        "vlan-qos=8",
                        "max-rate=10000001",
                        "max-rate=99999999999999999999",
                        "vlan-protocol=802.1q",
                        "link-state=up",
                        "trust=yes",
                        "mac=01:00:00:00:00:01", /* a group's */
                        "mac=02:00:00:00:00:1",
                        "mac=02-00-00-00-00-01",
                        "mac=02:00:00:00:00:0g",
                        "vfs=7",
                        "=1",
                        "a-setting-with-a-name-that-is-longer-than-any-other-of-them-all=1",
        };
        VfSettings v;

        for (size_t i = 0; i < ELEMENTSOF(same); i++) {
                v = parsed(same[i]);
                assert_line(&v, same[i]);
                assert_true(vf_settings_same(&v, &v));
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(vf_settings_parse(wrong[i], &v), -EBADMSG);
        v = parsed("trust=on vlan=5 mac=02:AB:00:00:00:01");
        assert_line(&v, "vlan=5 trust=on mac=02:ab:00:00:00:01");
}

static void refused(int r, const Failure *f, const char *sentence) {
        assert_int_equal(r, -EREMOTEIO);
        assert_int_equal(f->kind, FAILURE_INVALID_ARGUMENT);
        assert_string_equal(f->sentence, sentence);
}

static void test_sentences(void **state _unused_) {
        VfSettings v = {0};
        Failure f[7] = {0};

        refused(vf_settings_set_number(&v, VF_VLAN, 4095, "group \"x\"", &f[0]), &f[0],
                "The setting \"vlan\" of group \"x\" is 4095; give 0 to 4094, 0 for none.");
        refused(vf_settings_set_number(&v, VF_VLAN_QOS, 8, "group \"x\"", &f[1]), &f[1],
                "The setting \"vlan-qos\" of group \"x\" is 8; give 0 to 7.");
        refused(vf_settings_set_word(&v, VF_LINK_STATE, "up\n", "group \"x\"", &f[2]), &f[2],
                "The setting \"link-state\" of group \"x\" is 'up?'; give one of: auto, enable, disable.");
        refused(vf_settings_set_word(&v, VF_MAC, "ff:ff:ff:ff:ff:ff", "claim \"y\"", &f[3]), &f[3],
                "The setting \"mac\" of claim \"y\" is 'ff:ff:ff:ff:ff:ff'; give an address of one card, "
                "like "
                "02:00:00:00:00:01.");
        assert_int_equal(v.given, 0);

        v = parsed("min-rate=200 max-rate=200");
        refused(vf_settings_check(&v, "group \"x\"", &f[4]), &f[4],
                "The setting \"min-rate\" of group \"x\" is 200 Mbit/s, which is not below its \"max-rate\" "
                "of "
                "200; lower one or raise the other.");
        v = parsed("vlan=0 vlan-qos=3");
        refused(vf_settings_check(&v, "group \"x\"", &f[5]), &f[5],
                "The setting \"vlan-qos\" of group \"x\" needs a VLAN to be the priority in; set \"vlan\", "
                "too, "
                "or \"vlan-qos\" to 0.");
        v = parsed("vlan-protocol=802.1ad");
        refused(vf_settings_check(&v, "group \"x\"", &f[6]), &f[6],
                "The setting \"vlan-protocol\" of group \"x\" needs a VLAN; set \"vlan\", too, or "
                "\"vlan-protocol\" to '802.1Q'.");
}

static void test_what_fits(void **state _unused_) {
        static const char *const lines[] = {"",
                                            "min-rate=200 max-rate=201",
                                            "min-rate=200 max-rate=0",
                                            "min-rate=200",
                                            "vlan-qos=0 vlan-protocol=802.1Q",
                                            "vlan=1 vlan-qos=7 vlan-protocol=802.1ad"};
        Failure f = {0};

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                VfSettings v = parsed(lines[i]);

                assert_int_equal(vf_settings_check(&v, "group \"x\"", &f), 0);
        }
}

static void test_merging(void **state _unused_) {
        VfSettings v = parsed("vlan=5 trust=on max-rate=100"),
                   over = parsed("vlan=0 spoof-checking=off mac=02:00:00:00:00:01");

        vf_settings_merge(&v, &over);
        assert_line(&v, "vlan=0 max-rate=100 spoof-checking=off trust=on mac=02:00:00:00:00:01");
        assert_false(vf_settings_same(&v, &over));
        vf_settings_merge(&over, &v);
        assert_true(vf_settings_same(&v, &over));
        over.mac[5]++;
        assert_false(vf_settings_same(&v, &over));
}

static void test_completing(void **state _unused_) {
        VfSettings v = parsed("vlan=5 trust=default query-rss=on");

        vf_settings_complete(&v, 1U << VF_MAX_RATE | 1U << VF_TRUST | 1U << VF_QUERY_RSS);
        assert_line(&v, "vlan=5 max-rate=0 trust=off query-rss=on");

        v = (VfSettings){0};
        vf_settings_complete(&v, UINT32_MAX);
        assert_line(&v, "vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                        "spoof-checking=on trust=off query-rss=off mac=00:00:00:00:00:00");
}

static void test_the_longest_line_fits(void **state _unused_) {
        VfSettings v = parsed(
                        "vlan=4094 vlan-protocol=802.1ad vlan-qos=7 min-rate=10000000 max-rate=10000000 "
                        "link-state=disable spoof-checking=default trust=default query-rss=default "
                        "mac=02:00:00:00:00:01");
        char line[VF_LINE_SIZE];

        assert_true(strlen(vf_settings_format(&v, line)) < VF_LINE_SIZE - 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_lines),      cmocka_unit_test(test_sentences),
                        cmocka_unit_test(test_what_fits),  cmocka_unit_test(test_merging),
                        cmocka_unit_test(test_completing), cmocka_unit_test(test_the_longest_line_fits),
        };

        return cmocka_run_group_tests_name("vf-settings", tests, NULL, NULL);
}
