/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "sriov-settings.h"

static SriovSettings parsed(const char *line) {
        SriovSettings s;

        if (sriov_settings_parse(line, &s) < 0)
                fail_msg("no settings: %s", line);
        return s;
}

static VfSettings vf(const char *line) {
        VfSettings v;

        assert_int_equal(vf_settings_parse(line, &v), 0);
        return v;
}

static void test_lines(void **state _unused_) {
        static const char *const same[] = {
                        "",
                        "vfs=1 overridable=",
                        "vfs=256 overridable=mac",
                        "vfs=9 overridable=vlan,vlan-protocol,vlan-qos,min-rate,max-rate,link-state,"
                        "spoof-checking,trust,query-rss,mac vlan=4094 vlan-protocol=802.1ad vlan-qos=7 "
                        "min-rate=9999999 max-rate=10000000 link-state=disable spoof-checking=off trust=off "
                        "query-rss=off",
                        "vfs=4294967295 overridable=", /* for check() */
        };
        static const char *const wrong[] = {
                        " ",
                        "vfs=1",
                        "vfs=1 ",
                        "vfs=0 overridable=",
                        "vfs=01 overridable=",
                        "vfs= overridable=",
                        "vfs=x overridable=",
                        "vfs=4294967296 overridable=",
                        "vfs=11111111111111111111111 overridable=",
                        "overridable= vfs=1",
                        "vfs=1 overridable= ",
                        "vfs=1  overridable=",
                        "vfs=1 overridable=,",
                        "vfs=1 overridable=mac,",
                        "vfs=1 overridable=mac,mac",
                        "vfs=1 overridable=mac,vlan", /* in another order */
                        "vfs=1 overridable=vfs",
                        "vfs=1 overridable=mac vlan=0", /* the default */
                        "vfs=1 overridable=mac trust=default",
                        "vfs=1 overridable=mac trust=on vlan=1",
                        "vfs=1 overridable=mac vlan=5000",
                        "vfs=1 overridable=mac mac=02:00:00:00:00:01",
                        "vlan=1",
        };
        char line[SRIOV_LINE_SIZE];
        SriovSettings s;

        for (size_t i = 0; i < ELEMENTSOF(same); i++) {
                s = parsed(same[i]);
                assert_string_equal(sriov_settings_format(&s, line), same[i]);
                assert_true(sriov_settings_same(&s, &s));
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                if (sriov_settings_parse(wrong[i], &s) != -EBADMSG)
                        fail_msg("taken: %s", wrong[i]);
}

static void test_same(void **state _unused_) {
        static const char *const lines[] = {"vfs=1 overridable=mac", "vfs=2 overridable=mac",
                                            "vfs=1 overridable=", "vfs=1 overridable=mac trust=on"};
        SriovSettings a, b;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                for (size_t k = 0; k < ELEMENTSOF(lines); k++) {
                        a = parsed(lines[i]);
                        b = parsed(lines[k]);
                        assert_int_equal(sriov_settings_same(&a, &b), i == k);
                }
}

static void test_apply(void **state _unused_) {
        SriovSettings s = sriov_settings_default;
        char line[SRIOV_LINE_SIZE];

        sriov_settings_apply(&s, &(SriovPatch){.vfs = 4, .has_vfs = true});
        assert_string_equal(sriov_settings_format(&s, line), "vfs=4 overridable=mac");
        sriov_settings_apply(&s, &(SriovPatch){.vf = vf("vlan=7 trust=on")});
        assert_string_equal(sriov_settings_format(&s, line), "vfs=4 overridable=mac vlan=7 trust=on");
        sriov_settings_apply(&s, &(SriovPatch){.overridable = 1U << VF_VLAN,
                                               .has_overridable = true,
                                               .vf = vf("trust=default")});
        assert_string_equal(sriov_settings_format(&s, line), "vfs=4 overridable=vlan vlan=7");
        sriov_settings_apply(&s, &(SriovPatch){.vfs = 9, .overridable = 1}); /* neither is given */
        assert_string_equal(sriov_settings_format(&s, line), "vfs=4 overridable=vlan vlan=7");
}

static void expect(int r, const Failure *f, const char *sentence) {
        if (!sentence && r == 0 && f->kind == FAILURE_NONE)
                return;
        assert_int_equal(r, -EREMOTEIO);
        assert_int_equal(f->kind, FAILURE_INVALID_ARGUMENT);
        assert_string_equal(f->sentence, strempty(sentence));
}

static void test_check(void **state _unused_) {
        static const struct {
                const char *line, *sentence;
        } table[] = {
                        {"vfs=1 overridable=", NULL},
                        {"vfs=256 overridable=mac vlan=1 vlan-qos=7", NULL},
                        {"vfs=257 overridable=",
                         "The setting \"vfs\" of group 'x', how many virtual functions each physical "
                         "function is to have, is 257; give 1 to 256."},
                        {"vfs=1 overridable= vlan-qos=7",
                         "The setting \"vlan-qos\" of group 'x' needs a VLAN to be the priority in; set "
                         "\"vlan\", too, or \"vlan-qos\" to 0."},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                SriovSettings s = parsed(table[i].line);
                Failure f = {0};

                expect(sriov_settings_check(&s, "group 'x'", &f), &f, table[i].sentence);
        }
}

static void test_check_claim(void **state _unused_) {
        static const char group[] = "vfs=4 overridable=vlan,vlan-qos,min-rate,trust vlan=9 max-rate=100";
        static const struct {
                const char *line, *sentence;
        } table[] = {
                        {"", NULL},
                        {"vlan=100 trust=on", NULL},
                        {"vlan-qos=3", NULL}, /* the group has the VLAN */
                        {"min-rate=99", NULL},
                        {"max-rate=99",
                         "The setting \"max-rate\" of claim 'c' is not for claims of its group to set; "
                         "leave it out, or have an administrator add it to \"overridable\" of the group."},
                        {"min-rate=100",
                         "The setting \"min-rate\" of claim 'c' is 100 Mbit/s, which is not below its "
                         "\"max-rate\" of 100; lower one or raise the other."},
                        {"vlan=0 vlan-qos=3",
                         "The setting \"vlan-qos\" of claim 'c' needs a VLAN to be the priority in; set "
                         "\"vlan\", too, or \"vlan-qos\" to 0."},
        };
        SriovSettings s = parsed(group);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                VfSettings claim = vf(table[i].line);
                Failure f = {0};

                expect(sriov_settings_check_claim(&s, &claim, "claim 'c'", &f), &f, table[i].sentence);
        }
}

static void expect_effective(const char *group, const char *claim, const uint8_t *mac, const char *line) {
        SriovSettings s = parsed(group);
        VfSettings c = vf(claim), v;
        char buf[VF_LINE_SIZE];

        sriov_settings_effective(&s, &c, mac, &v);
        assert_string_equal(vf_settings_format(&v, buf), line);
}

/* All is said of it but spoof-checking that nobody has turned: what that is then is the driver's to know. */
static void test_effective(void **state _unused_) {
        static const uint8_t mac[VF_MAC_LENGTH] = {2, 0, 0, 0, 0, 7};

        expect_effective("vfs=1 overridable=mac", "", mac,
                         "vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                         "spoof-checking=default trust=off query-rss=off mac=02:00:00:00:00:07");
        expect_effective("vfs=1 overridable=vlan,trust vlan=9 link-state=enable spoof-checking=on",
                         "vlan=10 trust=on", mac,
                         "vlan=10 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=enable "
                         "spoof-checking=on trust=on query-rss=off mac=02:00:00:00:00:07");
        expect_effective("vfs=1 overridable= vlan=9", "vlan=10 trust=on", NULL, /* is let neither any more */
                         "vlan=9 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                         "spoof-checking=default trust=off query-rss=off mac=00:00:00:00:00:00");
}

static void expect_after(const char *group, const char *claim, const char *line) {
        SriovSettings s = parsed(group);
        VfSettings c = vf(strempty(claim)), v;
        char buf[VF_LINE_SIZE];

        sriov_settings_after(&s, claim ? &c : NULL, &v);
        assert_string_equal(vf_settings_format(&v, buf), line);
}

/* Nothing of the claim's stays; what neither it nor any other could turn is not touched. */
static void test_after(void **state _unused_) {
        expect_after("vfs=1 overridable=mac vlan=9", "",
                     "vlan=9 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                     "spoof-checking=default trust=default query-rss=default mac=00:00:00:00:00:00");
        expect_after("vfs=1 overridable=spoof-checking query-rss=on", "vlan=7 trust=on",
                     "vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                     "spoof-checking=on trust=off query-rss=on mac=00:00:00:00:00:00");
        expect_after("vfs=1 overridable=", NULL,
                     "vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                     "spoof-checking=on trust=off query-rss=off mac=00:00:00:00:00:00");
}

static void test_fingerprint(void **state _unused_) {
        VfSettings a = vf("vlan=1 trust=on"), b = vf("trust=on vlan=1"), c = vf("vlan=1 trust=off"),
                   none = vf("");

        a.values[VF_MIN_RATE] = 5; /* not given */
        assert_true(sriov_settings_fingerprint(&a) == sriov_settings_fingerprint(&b));
        assert_true(sriov_settings_fingerprint(&a) != sriov_settings_fingerprint(&c));
        assert_true(sriov_settings_fingerprint(&none) != 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_lines),       cmocka_unit_test(test_same),
                        cmocka_unit_test(test_apply),       cmocka_unit_test(test_check),
                        cmocka_unit_test(test_check_claim), cmocka_unit_test(test_effective),
                        cmocka_unit_test(test_after),       cmocka_unit_test(test_fingerprint),
        };

        return cmocka_run_group_tests_name("sriov-settings", tests, NULL, NULL);
}
