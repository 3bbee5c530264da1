/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Consent by ids, and the grants that Bind makes from it. Both NICs are 8086:10d3, the NVMe is 1b36:0010. */

#include "lock-fixture.h"

#define NICS "8086:10d3"
#define NICS_EXACTLY "8086:10d3:0000:0000"
#define NVMES "1b36:0010"
#define IDS_OF(ids) GRANTS_DIR "/" ids GRANT_IDS_SUFFIX

static void test_grant_and_revoke(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_prepare_grant_ids, LIST(NICS)));
        assert_false(fake_host_exists(h, IDS_OF(NICS)));
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS, NICS_EXACTLY)));
        _cleanup_free_ char *text = fake_host_read(h, IDS_OF(NICS));
        assert_non_null(strstr(text, "\nids=8086:10d3\ngranted-by=1002\n"));
        assert_true(fake_host_exists(h, IDS_OF(NICS_EXACTLY)));

        assert_success(run_on_ids(h, request_prepare_revoke_ids, LIST(NICS)));
        assert_true(fake_host_exists(h, IDS_OF(NICS)));
        assert_success(run_on_ids(h, request_revoke_ids, LIST(NICS)));
        assert_false(fake_host_exists(h, IDS_OF(NICS)));
        assert_true(fake_host_exists(h, IDS_OF(NICS_EXACTLY)));
        assert_failure(run_on_ids(h, request_revoke_ids, LIST(NICS)), FAILURE_NOT_GRANTED, NICS);
}

static void test_all_or_nothing(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        _cleanup_free_ char *before = fake_host_read(h, IDS_OF(NICS));
        fake_host_mkdir(h, GRANTS_DIR "/." NVMES GRANT_IDS_SUFFIX);
        assert_failure(run_on_ids(h, request_grant_ids, LIST(NICS, NICS_EXACTLY, NVMES)), FAILURE_INTERNAL,
                       "Nothing was granted");
        _cleanup_free_ char *after = fake_host_read(h, IDS_OF(NICS));
        assert_string_equal(before, after);
        assert_false(fake_host_exists(h, IDS_OF(NICS_EXACTLY)));
        assert_false(fake_host_exists(h, IDS_OF(NVMES)));
}

static void test_bind_makes_the_grant(void **state) {
        FakeHost *h = *state;
        WorkerResult result;
        Request q = {0};
        Grant g;

        request_devices(&q, LIST(NIC));
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_success(run_work(h, request_plan, &q, &result));
        assert_string_equal(result.rows[2].check, "granted");
        assert_true(result.rows[2].passed);
        assert_false(is_kept(h, NIC));

        assert_success(bind_persistent(h, NIC));
        g = read_grant(h, NIC);
        assert_false(g.pending);
        assert_string_equal(g.ids, NICS);
        assert_string_equal(g.host_driver, "e1000e");
        assert_string_equal(g.identity.slot, "1");
        assert_string_equal(g.persistent, BOOT);
        assert_int_equal(g.granted_by, 1002);
        assert_int_equal(g.consent, 0);
        assert_int_equal(g.set.n_members, 1);
        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_at(h, NIC, "e1000e", "(null)");
}

/* Whatever shares the set must be granted too, by ids or by itself. */
static void test_each_member_must_be_covered(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_failure(move(h, MOVE_BIND, PAIR_NIC), FAILURE_NOT_GRANTED, PAIR_NVME);
        assert_false(is_kept(h, PAIR_NIC));
        assert_log(h, "");
        assert_success(run_on_ids(h, request_grant_ids, LIST(NVMES)));
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_pair_in_pool(h);
        assert_string_equal(read_grant(h, PAIR_NVME).ids, NVMES);
}

static void test_ids_override_nothing_critical(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        fake_host_add_net(h, "devices/pci0000:01/" NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_CRITICAL, "192.0.2.7");
        assert_false(is_kept(h, NIC));
        assert_log(h, "");
}

static void add_other_device(FakeHost *h, uint16_t device) {
        fake_host_remove_device(h, NIC);
        fake_host_add_device(h, &(FakeDevice){.address = NIC,
                                              .vendor = 0x8086,
                                              .device = device,
                                              .class_code = 0x020000,
                                              .revision = 5,
                                              .driver = "igb",
                                              .iommu_set = 7});
}

static void test_another_device_at_the_address(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_success(move(h, MOVE_RELEASE, NIC));

        /* One that the ids do not name is none of theirs. */
        add_other_device(h, 0x1521);
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_IDENTITY_CHANGED, NIC);
        assert_int_equal(read_grant(h, NIC).identity.device, 0x10d3);

        /* One that they name gets a grant of its own. */
        add_other_device(h, 0x10d3);
        assert_success(move(h, MOVE_BIND, NIC));
        assert_int_equal(read_grant(h, NIC).identity.revision, 5);
        assert_string_equal(read_grant(h, NIC).host_driver, "igb");
}

/* What an administrator granted by its address is not replaced behind his back. */
static void test_a_stale_grant_of_its_own_stands(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        add_other_device(h, 0x10d3);
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_IDENTITY_CHANGED, NIC);
        assert_int_equal(read_grant(h, NIC).identity.revision, 0);

        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_string_equal(read_grant(h, NIC).ids, "");
}

static void test_nothing_moves_without_its_grant_on_the_disk(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS, NVMES)));
        fake_host_mkdir(h, IN_THE_WAY(PAIR_NVME));
        assert_failure(move(h, MOVE_BIND, PAIR_NIC), FAILURE_INTERNAL, PAIR_NVME);
        assert_log(h, "");
        assert_no_journal(h);
}

/* Killed before and after each write: the grants that were made bring the set home. */
static void test_bind_that_dies_at_each_step(void **state) {
        static const char *const ways[] = {"kill", "kill-after"};
        FakeHost *h = *state;
        char rule[64];

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS, NVMES)));
        for (unsigned step = 1; step <= 6; step++)
                for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                        fake_host_remove(h, GRANT_OF(PAIR_NIC));
                        fake_host_remove(h, GRANT_OF(PAIR_NVME));
                        fake_host_clear(h);
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[i], step);
                        fake_host_fail(h, rule);
                        assert_false(move_in_child(h, MOVE_BIND, PAIR_NIC));
                        assert_string_equal(read_grant(h, PAIR_NIC).ids, NICS);
                        assert_string_equal(read_grant(h, PAIR_NVME).host_driver, "nvme");
                        assert_failure(run_on_ids(h, request_revoke_ids, LIST(NICS)), FAILURE_NOT_BOUND,
                                       PAIR_NIC);
                        fake_host_clear(h);
                        assert_success(recover(h, PAIR_NIC));
                        assert_pair_home(h);
                        assert_no_journal(h);
                }
}

static void test_a_damaged_selector_selects_nothing(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, IDS_OF(NICS), "ids=8086:10d3\n");
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_NOT_GRANTED, NIC);
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_int_equal(fchmodat(h->fd, IDS_OF(NICS), 0666, 0), 0);
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_NOT_GRANTED, NIC);
}

static void test_revoke_takes_what_was_made(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS, NICS_EXACTLY)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_string_equal(read_grant(h, NIC).ids, NICS_EXACTLY);
        assert_failure(run_on_ids(h, request_prepare_revoke_ids, LIST(NICS_EXACTLY)), FAILURE_NOT_BOUND,
                       NIC);
        assert_failure(run_on_ids(h, request_revoke_ids, LIST(NICS_EXACTLY)), FAILURE_NOT_BOUND, NIC);
        assert_true(fake_host_exists(h, IDS_OF(NICS_EXACTLY)));
        assert_true(is_kept(h, NIC));

        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_success(run_on_ids(h, request_revoke_ids,
                                  LIST(NICS))); /* that is not what it was made from */
        assert_true(is_kept(h, NIC));
        assert_success(run_on_ids(h, request_revoke_ids, LIST(NICS_EXACTLY)));
        assert_false(is_kept(h, NIC));
        assert_true(is_kept(h, PAIR_NIC)); /* granted by its address */
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_NOT_GRANTED, NIC);
}

static void test_revoke_outlives_devices_and_selectors(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_success(move(h, MOVE_RELEASE, NIC));
        fake_host_remove_device(h, NIC);
        fake_host_remove(h, IDS_OF(NICS)); /* by hand, or by a helper that died in between */
        assert_success(run_on_ids(h, request_revoke_ids, LIST(NICS)));
        assert_false(is_kept(h, NIC));
}

static void revoke_nics(void) {
        assert_success(run_on_ids(meanwhile, request_revoke_ids, LIST(NICS)));
}

/* A Bind that has looked at the selector already. */
static void test_revoke_just_before_a_bind(void **state) {
        FakeHost *h = meanwhile = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        before_lock = revoke_nics;
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_NOT_GRANTED, "just now");
        assert_false(is_kept(h, NIC));

        /* And one that has made its grant before. */
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_success(move(h, MOVE_RELEASE, NIC));
        fake_host_clear(h);
        before_lock = revoke_nics;
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_NOT_GRANTED, "just now");
        assert_false(is_kept(h, NIC));
        assert_log(h, "");
        assert_no_journal(h);
}

static void refuse_nics(void) {
        assert_failure(run_on_ids(meanwhile, request_revoke_ids, LIST(NICS)), FAILURE_NOT_BOUND, NIC);
}

/* One that has begun is not at home, though it has moved nothing yet. */
static void test_revoke_just_after_a_bind_has_begun(void **state) {
        FakeHost *h = meanwhile = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        fake_host_fail(h, "* * kill 1");
        assert_false(move_in_child(h, MOVE_BIND, NIC));
        refuse_nics();
        fake_host_clear(h);
        assert_success(recover(h, NIC));
        revoke_nics();
        assert_false(is_kept(h, NIC));
}

/* By `rm`: what was made of it is no consent any more, but brings home what is out. */
static void test_a_selector_that_is_gone(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_success(move(h, MOVE_BIND, NIC));
        fake_host_remove(h, IDS_OF(NICS));
        assert_failure(move(h, MOVE_RESET, NIC), FAILURE_NOT_GRANTED, NIC);
        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_at(h, NIC, "e1000e", "(null)");
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_NOT_GRANTED, NIC);

        /* Another selector makes another grant, and knows where the device belongs even if it is out. */
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS_EXACTLY)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_string_equal(read_grant(h, NIC).ids, NICS_EXACTLY);
        fake_host_remove(h, IDS_OF(NICS_EXACTLY));
        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        assert_success(bind_persistent(h, NIC));
        assert_string_equal(read_grant(h, NIC).ids, NICS);
        assert_string_equal(read_grant(h, NIC).host_driver, "e1000e");
}

static void test_revoke_while_a_sibling_goes(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS, NVMES)));
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        fake_host_remove(h, "sys/bus/pci/devices/" PAIR_NVME);
        assert_failure(run_on_ids(h, request_revoke_ids, LIST(NICS)), FAILURE_BUSY, PAIR_NIC);
        assert_true(is_kept(h, PAIR_NIC));
        assert_true(fake_host_exists(h, IDS_OF(NICS)));
}

static void test_the_directory_is_read_up_to_a_limit(void **state) {
        FakeHost *h = *state;
        char path[128];

        assert_success(run_on_ids(h, request_grant_ids, LIST(NICS)));
        for (unsigned i = 0; i <= 4096; i++) {
                (void)snprintf(path, sizeof path, GRANTS_DIR "/0001:%02x:%02x.%u" GRANT_SUFFIX, i >> 8,
                               i >> 3 & 0x1f, i & 7);
                fake_host_write(h, path, "%s", "");
        }
        assert_failure(run_on_ids(h, request_revoke_ids, LIST(NICS)), FAILURE_LIMITS_EXCEEDED, "4096");
        assert_true(fake_host_exists(h, IDS_OF(NICS)));
        fake_host_remove(h, path);
        assert_success(run_on_ids(h, request_revoke_ids, LIST(NICS)));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_grant_and_revoke),
                        CASE(test_all_or_nothing),
                        CASE(test_bind_makes_the_grant),
                        CASE(test_each_member_must_be_covered),
                        CASE(test_ids_override_nothing_critical),
                        CASE(test_another_device_at_the_address),
                        CASE(test_a_stale_grant_of_its_own_stands),
                        CASE(test_nothing_moves_without_its_grant_on_the_disk),
                        CASE(test_bind_that_dies_at_each_step),
                        CASE(test_a_damaged_selector_selects_nothing),
                        CASE(test_revoke_takes_what_was_made),
                        CASE(test_revoke_outlives_devices_and_selectors),
                        CASE(test_revoke_just_before_a_bind),
                        CASE(test_revoke_just_after_a_bind_has_begun),
                        CASE(test_a_selector_that_is_gone),
                        CASE(test_revoke_while_a_sibling_goes),
                        CASE(test_the_directory_is_read_up_to_a_limit),
        };

        return cmocka_run_group_tests_name("request-ids", tests, NULL, NULL);
}
