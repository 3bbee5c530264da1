/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-record.h"
#include "model-fixture.h"

#define ID "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
#define BOOT "0123456789abcdef0123456789abcdef"

static char *text(const char *t) {
        return (char *)(uintptr_t)t;
}

static ClaimRecord claim(void) {
        return (ClaimRecord){.id = ID,
                             .group = ID,
                             .owner = 1000,
                             .vm = text("web"),
                             .name = text("nic"),
                             .description = text("two\nlines"),
                             .count = 1,
                             .enabled = true,
                             .created = 7};
}

static RunDevice device(unsigned number) {
        return (RunDevice){.claim = ID,
                           .identity = {.address = {0, (uint8_t)number, 31, 7},
                                        .vendor = 0x8086,
                                        .class_code = 0xffffff,
                                        .serial = "a serial",
                                        .slot = "3-1"}};
}

static RunRecord run(RunDevice *devices, size_t n) {
        return (RunRecord){.id = ID,
                           .owner = 1000,
                           .uid = 0,
                           .vm = text("web"),
                           .track = RUN_TRACK_LIFELINE,
                           .tracked = text(""),
                           .access = RUN_ACCESS_ACL,
                           .boot_id = BOOT,
                           .devices = devices,
                           .n_devices = n};
}

static QuarantineRecord quarantine(void) {
        return (QuarantineRecord){
                        .identity = device(1).identity, .reason = text("No reset."), .boot_id = BOOT};
}

/* NULL: it is fine. */
static void judge(int r, const Failure *f, const char *sentence) {
        if (!sentence && r < 0)
                fail_msg("%s", f->sentence);
        if (!sentence)
                return;

        assert_int_equal(r, -EREMOTEIO);
        assert_int_equal(f->kind, FAILURE_INVALID_ARGUMENT);
        if (!strstr(f->sentence, sentence))
                fail_msg("'%s' is not in: %s", sentence, f->sentence);
        assert_int_equal(f->sentence[strlen(f->sentence) - 1], '.');
}

static void expect_claim(const ClaimRecord *c, const char *sentence) {
        Failure f = {0};
        int r = claim_record_check(c, &f);

        judge(r, &f, sentence);
}

static void expect_run(const RunRecord *r, const char *sentence) {
        Failure f = {0};
        int k = run_record_check(r, &f);

        judge(k, &f, sentence);
}

static void expect_quarantine(const QuarantineRecord *q, const char *sentence) {
        Failure f = {0};
        int r = quarantine_record_check(q, &f);

        judge(r, &f, sentence);
}

static void test_words(void **state _unused_) {
        static const char *const tracks[] = {"lifeline", "connection", "machine", "manual"};
        static const char *const accesses[] = {"acl", "fds"};

        for (int i = 0; i < RUN_TRACK_MAX; i++) {
                assert_string_equal(run_track_to_string((RunTrack)i), tracks[i]);
                assert_int_equal(run_track_from_string(tracks[i]), i);
        }
        for (int i = 0; i < RUN_ACCESS_MAX; i++) {
                assert_string_equal(run_access_to_string((RunAccess)i), accesses[i]);
                assert_int_equal(run_access_from_string(accesses[i]), i);
        }
        assert_int_equal(run_track_from_string("pid"), RUN_TRACK_INVALID);
        assert_int_equal(run_access_from_string(""), RUN_ACCESS_INVALID);
}

static void test_addresses(void **state _unused_) {
        static const char *const same[] = {"", "02:00:00:00:00:01", "02:00:00:00:00:01 00:1b:21:00:00:07"};
        static const char *const wrong[] = {" ",
                                            "02:00:00:00:00:01 ",
                                            " 02:00:00:00:00:01",
                                            "02:00:00:00:00:01  02:00:00:00:00:02",
                                            "02:00:00:00:00:01,02:00:00:00:00:02",
                                            "02:00:00:00:00:0102:00:00:00:00:02",
                                            "02:00:00:00:00:AB",
                                            "02:00:00:00:00",
                                            "03:00:00:00:00:01"};
        char line[CLAIM_MACS_SIZE], many[(CLAIM_COUNT_MAX + 1) * VF_MAC_TEXT_SIZE + 1] = "";
        ClaimRecord c = {0}, copy;

        for (size_t i = 0; i < ELEMENTSOF(same); i++) {
                assert_int_equal(claim_macs_parse(same[i], &c), 0);
                assert_string_equal(claim_macs_format(&c, line), same[i]);
                claim_record_clear(&c);
        }
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                if (claim_macs_parse(wrong[i], &c) != -EBADMSG)
                        fail_msg("taken: %s", wrong[i]);
                claim_record_clear(&c);
        }
        for (unsigned i = 0; i <= CLAIM_COUNT_MAX; i++)
                (void)snprintf(many + strlen(many), sizeof many - strlen(many), "%s02:00:00:00:00:%02x",
                               i > 0 ? " " : "", i);
        assert_int_equal(claim_macs_parse(many, &c), -EBADMSG);
        claim_record_clear(&c);
        many[strlen(many) - VF_MAC_TEXT_SIZE] = '\0'; /* without the last */
        assert_int_equal(claim_macs_parse(many, &c), 0);
        assert_int_equal(c.n_macs, CLAIM_COUNT_MAX);
        claim_record_clear(&c);

        c = claim();
        c.count = 2;
        expect_claim(&c, NULL);
        assert_int_equal(claim_macs_parse("02:00:00:00:00:01", &c), 0);
        expect_claim(&c, "Claim 'nic' has 1 addresses for 2 devices; give one for each, or none.");
        assert_int_equal(claim_macs_add(&c, c.macs[0]), 0);
        expect_claim(&c,
                     "Claim 'nic' has the address 02:00:00:00:00:01 twice; give each device another one.");
        c.macs[1][5] = 2;
        expect_claim(&c, NULL);
        assert_int_equal(claim_record_copy(&c, &copy), 0);
        assert_true(claim_record_same(&copy, &c));
        copy.macs[0][0] = 3;
        assert_false(claim_record_same(&copy, &c));
        expect_claim(&copy, "The address 03:00:00:00:00:01 of claim 'nic' is not one of a card");
        claim_record_clear(&copy);
        assert_int_equal(vf_settings_parse("trust=on", &c.settings), 0);
        expect_claim(&c, NULL);
        assert_int_equal(vf_settings_parse("mac=02:00:00:00:00:09", &c.settings), 0);
        expect_claim(&c, "The settings of claim 'nic' have an address");
        free(c.macs);
}

static void test_claims(void **state _unused_) {
        static char longest[RECORD_NAME_MAX + 1], longer[RECORD_NAME_MAX + 2],
                        novel[RECORD_DESCRIPTION_MAX + 2];
        ClaimRecord c = claim();

        memset(longest, 'n', sizeof longest - 1);
        memset(longer, 'n', sizeof longer - 1);
        memset(novel, 'n', sizeof novel - 1);

        expect_claim(&c, NULL);
        c.vm = c.name = longest;
        c.description = text("");
        expect_claim(&c, NULL);
        c.name = longer;
        expect_claim(&c, "The name of claim 'nnn");
        c = claim();
        c.vm = longer;
        expect_claim(&c, "The VM name of claim 'nic' has 257 bytes");
        c = claim();
        c.vm = text("");
        expect_claim(&c, "The VM name of the claim is empty");
        c = claim();
        c.name = text("");
        expect_claim(&c, "The name of the claim is empty");
        c = claim();
        c.vm = text("a\nb");
        expect_claim(&c, "control character at byte 2");
        c = claim();
        c.name = text("\xff");
        expect_claim(&c, "no UTF-8 from byte 1 on");
        c = claim();
        c.description = novel;
        expect_claim(&c, "The description of claim 'nic' has 2049 bytes");
        c = claim();
        c.id[0] = 'X';
        expect_claim(&c, "The id of claim 'nic'");
        c = claim();
        c.group[0] = '\0';
        expect_claim(&c, "The group of claim 'nic' is ''");
        c = claim();
        c.owner = (uid_t)-1;
        expect_claim(&c, "The owner of claim 'nic' is 4294967295, which is no user");
}

static void test_counts_and_orders(void **state _unused_) {
        ClaimRecord c = claim();

        c.count = CLAIM_COUNT_MAX;
        c.order = CLAIM_ORDER_MAX;
        expect_claim(&c, NULL);
        c.count++;
        expect_claim(&c, "Claim 'nic' asks for 17 devices; ask for 1 to 16");
        c.count = 0;
        expect_claim(&c, "asks for 0 devices");
        c.count = 1;
        c.order++;
        expect_claim(&c, "The order of claim 'nic' is 65536; give a number from 0 to 65535");
}

static void test_claims_that_say_the_same(void **state _unused_) {
        ClaimRecord a = claim(), b = claim();

        b.id[0] = b.group[0] = '0';
        b.owner = 7;
        b.created = b.modified = 8;
        assert_true(claim_record_same(&a, &b));
        b.count = 2;
        assert_false(claim_record_same(&a, &b));
        b = claim();
        b.order = 1;
        assert_false(claim_record_same(&a, &b));
        b = claim();
        b.optional = true;
        assert_false(claim_record_same(&a, &b));
        b = claim();
        b.enabled = false;
        assert_false(claim_record_same(&a, &b));
        b = claim();
        b.doomed = true;
        assert_false(claim_record_same(&a, &b));
        b = claim();
        b.vm = text("wep");
        assert_false(claim_record_same(&a, &b));
        b = claim();
        b.name = text("");
        assert_false(claim_record_same(&a, &b));
        b = claim();
        b.description = text("");
        assert_false(claim_record_same(&a, &b));
}

static void test_runs(void **state _unused_) {
        RunDevice devices[RUN_DEVICES_MAX + 1];
        RunRecord r;

        for (unsigned i = 0; i < ELEMENTSOF(devices); i++)
                devices[i] = device(i);
        r = run(devices, RUN_DEVICES_MAX);
        expect_run(&r, NULL);
        r.n_devices++;
        expect_run(&r, "Run 'web' has 65 devices, and 64 is the most");
        r = run(NULL, 0); /* with claims that are optional */
        expect_run(&r, NULL);

        r.id[35] = 'g';
        expect_run(&r, "The id of run 'web'");
        r = run(NULL, 0);
        r.vm = text("");
        expect_run(&r, "The VM name of the run is empty");
        r = run(NULL, 0);
        r.owner = (uid_t)-1;
        expect_run(&r, "The owner of run 'web'");
        r = run(NULL, 0);
        r.uid = (uid_t)-1;
        expect_run(&r, "The user of run 'web'");
        r = run(NULL, 0);
        r.boot_id[0] = 'A';
        expect_run(&r, "The boot of run 'web' is 'A123");
        r.boot_id[0] = '\0';
        expect_run(&r, "is no id of one");
        r = run(NULL, 0);
        r.boot_id[31] = '\0';
        expect_run(&r, "is no id of one");
}

static void test_what_is_tracked(void **state _unused_) {
        static char longest[RUN_TRACKED_MAX + 1], longer[RUN_TRACKED_MAX + 2];
        static const struct {
                RunTrack track;
                const char *tracked;
                bool fits;
        } table[] = {
                        {RUN_TRACK_LIFELINE, "", true},
                        {RUN_TRACK_LIFELINE, ":1.7", false},
                        {RUN_TRACK_MANUAL, "", true},
                        {RUN_TRACK_MANUAL, "qemu", false},
                        {RUN_TRACK_MACHINE, "qemu", true},
                        {RUN_TRACK_MACHINE, "", false},
                        {RUN_TRACK_CONNECTION, ":1.7", true},
                        {RUN_TRACK_CONNECTION, "", false},
                        {RUN_TRACK_CONNECTION, "org.example", false},
        };
        RunRecord r = run(NULL, 0);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                r.track = table[i].track;
                r.tracked = text(table[i].tracked);
                expect_run(&r, table[i].fits ? NULL : "does not fit");
        }

        memset(longest, 'm', sizeof longest - 1);
        memset(longer, 'm', sizeof longer - 1);
        r.track = RUN_TRACK_MACHINE;
        r.tracked = longest;
        expect_run(&r, NULL);
        r.tracked = longer;
        expect_run(&r, "The tracked name of run 'web' has 256 bytes");
        r.tracked = text("a\tb");
        expect_run(&r, "control character");
}

static void test_devices(void **state _unused_) {
        RunDevice devices[] = {device(1), device(2)};
        RunRecord r = run(devices, 2);

        expect_run(&r, NULL);
        devices[1].claim[3] = 'X';
        expect_run(&r, "The claim of run 'web'");
        devices[1] = device(1);
        expect_run(&r, "Run 'web' has the device 0000:01:1f.7 twice");
        devices[1] = device(2);
        devices[1].identity.address.device = 32;
        expect_run(&r, "has an address that no device has");
        devices[1] = device(2);
        devices[1].identity.address.function = 8;
        expect_run(&r, "has an address that no device has");
        devices[1] = device(2);
        devices[1].identity.class_code = 0x1000000;
        expect_run(&r, "has a class that no device has");
        devices[1] = device(2);
        strcpy(devices[1].identity.serial, "tab\t");
        expect_run(&r, "has a serial number that no device has");
        devices[1] = device(2);
        strcpy(devices[1].identity.slot, " 1");
        expect_run(&r, "has a slot that no device has");
        strcpy(devices[1].identity.slot, "1/2");
        expect_run(&r, "has a slot that no device has");
}

static void test_quarantine(void **state _unused_) {
        static char longest[QUARANTINE_REASON_MAX + 1], longer[QUARANTINE_REASON_MAX + 2];
        QuarantineRecord q = quarantine();

        memset(longest, 'r', sizeof longest - 1);
        memset(longer, 'r', sizeof longer - 1);
        expect_quarantine(&q, NULL);
        q.reason = longest;
        expect_quarantine(&q, NULL);
        q.reason = longer;
        expect_quarantine(&q, "The reason of quarantine '0000:01:1f.7' has 1024 bytes");
        q.reason = text("");
        expect_quarantine(&q, "The reason of the quarantine is empty");
        q = quarantine();
        q.boot_id[5] = '-';
        expect_quarantine(&q, "The boot of quarantine '0000:01:1f.7'");
        q = quarantine();
        q.identity.class_code = UINT32_MAX;
        expect_quarantine(&q, "A device of quarantine '0000:01:1f.7' has a class");
}

static void test_copies(void **state _unused_) {
        RunDevice devices[] = {device(1), device(2), device(3), device(4), device(5)};
        ClaimRecord c = claim(), c2;
        RunRecord r = run(devices, 5), r2;
        QuarantineRecord q = quarantine(), q2;

        devices[4].returning = true;
        assert_int_equal(claim_record_copy(&c, &c2), 0);
        assert_true(c2.vm != c.vm && c2.name != c.name && c2.description != c.description);
        assert_true(claim_record_same(&c, &c2));
        assert_string_equal(c2.group, ID);
        assert_int_equal(c2.owner, 1000);
        assert_int_equal(c2.created, 7);
        claim_record_clear(&c2);
        claim_record_clear(&c2);
        assert_null(c2.vm);

        assert_int_equal(run_record_copy(&r, &r2), 0);
        assert_true(r2.vm != r.vm && r2.tracked != r.tracked && r2.devices != devices);
        assert_string_equal(r2.vm, "web");
        assert_int_equal(r2.n_devices, 5);
        assert_memory_equal(r2.devices, devices, sizeof devices);
        expect_run(&r2, NULL);
        run_record_clear(&r2);
        run_record_clear(&r2);
        assert_int_equal(r2.n_devices, 0);

        r.n_devices = 0;
        assert_int_equal(run_record_copy(&r, &r2), 0);
        assert_null(r2.devices);
        run_record_clear(&r2);

        assert_int_equal(quarantine_record_copy(&q, &q2), 0);
        assert_true(q2.reason != q.reason);
        assert_string_equal(q2.reason, "No reset.");
        assert_string_equal(q2.boot_id, BOOT);
        quarantine_record_clear(&q2);
        quarantine_record_clear(&q2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_words),
                        cmocka_unit_test(test_addresses),
                        cmocka_unit_test(test_claims),
                        cmocka_unit_test(test_counts_and_orders),
                        cmocka_unit_test(test_claims_that_say_the_same),
                        cmocka_unit_test(test_runs),
                        cmocka_unit_test(test_what_is_tracked),
                        cmocka_unit_test(test_devices),
                        cmocka_unit_test(test_quarantine),
                        cmocka_unit_test(test_copies),
        };

        return cmocka_run_group_tests_name("claim-record", tests, NULL, NULL);
}
