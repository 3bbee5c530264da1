/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Grants with a time until which they must be confirmed: what is written, who wins, and what comes home. */

#include "grant-confirm.h"
#include "lock-fixture.h"

#define CONFIRM_OF(address) PENDING_GRANTS_DIR "/" address GRANT_CONFIRM_SUFFIX

static Failure grant_until(FakeHost *h, uint32_t seconds, const char *const *addresses) {
        Request q = {.uid = 1001, .pending = true, .confirm = seconds};

        request_devices(&q, addresses);
        return run_work(h, request_grant, &q, NULL);
}

static Failure revert(FakeHost *h, const char *address) {
        return run_on(h, request_revert, LIST(address));
}

static GrantConfirm read_confirm(FakeHost *h, const char *address) {
        GrantConfirm c;
        PciAddress a;

        assert_int_equal(pci_address_parse(address, &a), 0);
        if (grant_confirm_read(h->fd, &a, geteuid(), &c) < 0)
                fail_msg("%s waits for no confirmation", address);
        return c;
}

/* As if the time were up. */
static void make_due(FakeHost *h, const char *address) {
        GrantConfirm c = read_confirm(h, address);
        char text[GRANT_CONFIRM_TEXT_SIZE], path[128];

        c.until = 1;
        assert_true(grant_confirm_format(&c, text, sizeof text) > 0);
        (void)snprintf(path, sizeof path, CONFIRM_OF("%s"), address);
        fake_host_write(h, path, "%s", text);
}

#define assert_unconfirmed(h, address)                                                                      \
        assert_true(fake_host_exists(h, CONFIRM_OF(address)) && is_pending(h, address))
#define assert_forgotten(h, address)                                                                        \
        assert_false(fake_host_exists(h, CONFIRM_OF(address)) || is_pending(h, address))

static void bind_pair_until(FakeHost *h) {
        assert_success(grant_until(h, 60, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_pair_in_pool(h);
}

static void test_text(void **state _unused_) {
        static const char *const bad[] = {
                        "",
                        "format=1\nconfirm-until=5\n",
                        "format=1\nconfirm-until=0\nwas=host\n",
                        "format=1\nconfirm-until=-1\nwas=host\n",
                        "format=1\nconfirm-until=18446744073709551616\nwas=host\n",
                        "format=2\nconfirm-until=5\nwas=host\n",
                        "format=1\nconfirm-until=5\nwas=e1000e\n",
                        "format=1\nconfirm-until=5\nwas=host\nwas=host\n",
                        "format=1\nconfirm-until=5\nwas=host\nby=me\n",
        };
        GrantConfirm c = {0};
        char text[GRANT_CONFIRM_TEXT_SIZE];

        for (int host = 0; host < 2; host++) {
                assert_true(grant_confirm_format(&(GrantConfirm){UINT64_MAX, host}, text, sizeof text) > 0);
                assert_int_equal(grant_confirm_parse(text, &c), 0);
                assert_true(c.until == UINT64_MAX && c.at_host == host);
        }
        assert_int_equal(grant_confirm_format(&c, text, 20), -ENOBUFS);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(grant_confirm_parse(bad[i], &c), -EBADMSG);
}

static void test_what_grant_writes(void **state) {
        uint64_t before = grant_confirm_now(), until;
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(NIC)));
        assert_false(fake_host_exists(h, CONFIRM_OF(NIC)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_success(grant_until(h, 60, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        assert_false(read_confirm(h, NIC).at_host);
        assert_true(read_confirm(h, PAIR_NIC).at_host && read_confirm(h, PAIR_NVME).at_host);
        until = read_confirm(h, NIC).until;
        assert_in_range(until, before + 60000000, grant_confirm_now() + 60000000);
        assert_int_equal(until, read_confirm(h, PAIR_NVME).until);
}

/* A directory where the deadline, or behind it the grant, is to be written for an instant. */
static void test_grant_is_all_or_nothing(void **state) {
        static const char *const obstacles[] = {PENDING_GRANTS_DIR "/." PAIR_NVME GRANT_CONFIRM_SUFFIX,
                                                PENDING_GRANTS_DIR "/." PAIR_NVME GRANT_SUFFIX};
        FakeHost *h = *state;

        for (size_t i = 0; i < ELEMENTSOF(obstacles); i++) {
                fake_host_mkdir(h, obstacles[i]);
                assert_failure(grant_until(h, 60, LIST(PAIR_NIC, PAIR_NVME)), FAILURE_INTERNAL,
                               PENDING_GRANTS_DIR);
                assert_forgotten(h, PAIR_NIC);
                assert_forgotten(h, PAIR_NVME);
                fake_host_remove(h, obstacles[i]);
        }
}

static void test_not_before_the_time(void **state) {
        FakeHost *h = *state;

        assert_success(revert(h, NIC)); /* of what waits for nothing */
        bind_pair_until(h);
        assert_success(revert(h, PAIR_NIC));
        assert_pair_in_pool(h);
        assert_unconfirmed(h, PAIR_NIC);
        assert_unconfirmed(h, PAIR_NVME);
}

/* One of a set is enough; and what was kept before stays. */
static void test_the_time_is_up(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        bind_pair_until(h);
        make_due(h, PAIR_NVME);
        assert_success(revert(h, PAIR_NIC));
        assert_pair_home(h);
        assert_no_journal(h);
        assert_forgotten(h, PAIR_NIC);
        assert_forgotten(h, PAIR_NVME);
        assert_int_equal(read_grant(h, PAIR_NIC).granted_by, 1000);
        assert_success(revert(h, PAIR_NIC));
}

/* Nothing was moved yet, or the move stands half-way: the journal's end is ours. */
static void test_an_interrupted_bind(void **state) {
        FakeHost *h = *state;
        char rule[32];

        for (unsigned nth = 0; nth <= 6; nth++) {
                assert_success(grant_until(h, 60, LIST(PAIR_NIC, PAIR_NVME)));
                if (nth > 0) {
                        fake_host_clear(h);
                        (void)snprintf(rule, sizeof rule, "* * kill %u", nth);
                        fake_host_fail(h, rule);
                        assert_false(move_in_child(h, MOVE_BIND, PAIR_NIC));
                        assert_true(fake_host_exists(h, MOVES_DIR "/9"));
                }
                make_due(h, PAIR_NIC);
                assert_success(revert(h, PAIR_NVME));
                assert_pair_home(h);
                assert_no_journal(h);
                assert_forgotten(h, PAIR_NIC);
                assert_forgotten(h, PAIR_NVME);
        }
}

static bool revert_in_child(FakeHost *h, const char *address) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)revert(h, address);
                _exit(EXIT_SUCCESS);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status);
}

/* Killed at each of its writes: the next one ends it, and until then the deadline stands. */
static void test_it_dies_itself(void **state) {
        FakeHost *h = *state;
        unsigned nth = 1;
        char rule[32];

        for (;; nth++) {
                bind_pair_until(h);
                make_due(h, PAIR_NIC);
                fake_host_clear(h);
                (void)snprintf(rule, sizeof rule, "* * kill %u", nth);
                fake_host_fail(h, rule);
                if (revert_in_child(h, PAIR_NIC))
                        break;
                assert_unconfirmed(h, PAIR_NIC);
                assert_success(revert(h, PAIR_NIC));
                assert_pair_home(h);
                assert_no_journal(h);
                assert_forgotten(h, PAIR_NVME);
        }
        assert_true(nth > 4);
        assert_pair_home(h);
}

/* And by somebody's Recover, or Release, in between. */
static void test_others_bring_it_home(void **state) {
        FakeHost *h = *state;

        bind_pair_until(h);
        make_due(h, PAIR_NIC);
        fake_host_clear(h);
        fake_host_fail(h, "* * kill 3");
        assert_false(revert_in_child(h, PAIR_NIC));
        assert_success(recover(h, PAIR_NIC));
        assert_pair_home(h);
        assert_unconfirmed(h, PAIR_NIC);
        assert_success(revert(h, PAIR_NIC));
        assert_forgotten(h, PAIR_NIC);

        bind_pair_until(h);
        make_due(h, PAIR_NIC);
        assert_success(move(h, MOVE_RELEASE, PAIR_NVME));
        assert_success(revert(h, PAIR_NIC));
        assert_forgotten(h, PAIR_NVME);
}

static void test_what_was_out_before_stays(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        assert_success(grant_until(h, 60, LIST(NIC)));
        make_due(h, NIC);
        assert_success(revert(h, NIC));
        assert_at(h, NIC, "vfio-pci", "vfio-pci");
        assert_forgotten(h, NIC);
        assert_int_equal(read_grant(h, NIC).granted_by, 1000);
        expect_mark(h, NIC, BOOT);

        /* And so it does when it is dropped. */
        assert_success(grant_until(h, 60, LIST(NIC)));
        assert_success(run_on(h, request_drop, LIST(NIC)));
        assert_forgotten(h, NIC);
        expect_mark(h, NIC, BOOT);
        assert_success(grant_pending(h, LIST(NIC)));
        assert_failure(run_on(h, request_drop, LIST(NIC)), FAILURE_NOT_BOUND, NIC);
}

/* Its only grant stays with it, or it could never come home; what is gone needs none. */
static void test_the_only_grant_of_what_was_out(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(move(h, MOVE_BIND, NIC));
        for (int drop = 0; drop < 2; drop++) {
                assert_success(grant_until(h, 60, LIST(NIC)));
                make_due(h, NIC);
                assert_success(run_on(h, drop ? request_drop : request_revert, LIST(NIC)));
                assert_true(is_pending(h, NIC));
                assert_false(fake_host_exists(h, CONFIRM_OF(NIC)));
        }
        assert_success(grant_until(h, 60, LIST(NIC)));
        make_due(h, NIC);
        fake_host_remove_device(h, NIC);
        assert_success(revert(h, NIC));
        assert_forgotten(h, NIC);
}

/* By whoever has the service in hand: an order for the next boot, or somebody who holds it past the deadline. */
static void test_nothing_that_outlives_the_deadline(void **state) {
        Request open = {.verb = MOVE_RESET, .uid = 1000};
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        bind_pair_until(h);
        assert_failure(bind_persistent(h, PAIR_NIC), FAILURE_CONFIRMATION_PENDING, PAIR_NIC);
        assert_false(fake_host_exists(h, MARK_OF(PAIR_NIC)));
        request_devices(&open, LIST(PAIR_NIC));
        assert_failure(run_work(h, request_open, &open, NULL), FAILURE_CONFIRMATION_PENDING, PAIR_NIC);
        assert_pair_in_pool(h);

        assert_success(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(bind_persistent(h, PAIR_NIC));
        expect_mark(h, PAIR_NIC, BOOT);
}

static void test_a_vm_holds_it(void **state) {
        FakeHost *h = *state;

        bind_pair_until(h);
        make_due(h, PAIR_NIC);
        fake_host_hold_vfio(h, 9, true);
        assert_failure(revert(h, PAIR_NIC), FAILURE_IN_USE, PAIR_NIC);
        assert_pair_in_pool(h);
        assert_unconfirmed(h, PAIR_NIC);
        fake_host_hold_vfio(h, 9, false);
        assert_success(revert(h, PAIR_NIC));
        assert_pair_home(h);
}

static void test_it_is_unplugged(void **state) {
        FakeHost *h = *state;

        assert_success(grant_until(h, 60, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        assert_success(revert(h, NIC));
        assert_unconfirmed(h, NIC);
        make_due(h, NIC);
        assert_success(revert(h, NIC));
        assert_forgotten(h, NIC);
}

/* Of a damaged one nobody knows how long it would hold. */
static void test_damaged(void **state) {
        FakeHost *h = *state;

        bind_pair_until(h);
        fake_host_write(h, CONFIRM_OF(PAIR_NIC), "confirm-until=\n");
        assert_failure(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)), FAILURE_NOT_GRANTED, "is up");
        assert_success(revert(h, PAIR_NIC));
        assert_pair_home(h);
        assert_forgotten(h, PAIR_NIC);
}

static void test_keep_in_time(void **state) {
        FakeHost *h = *state;

        bind_pair_until(h);
        assert_success(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)));
        assert_forgotten(h, PAIR_NIC);
        assert_forgotten(h, PAIR_NVME);
        assert_true(is_kept(h, PAIR_NIC) && is_kept(h, PAIR_NVME));
        assert_success(revert(h, PAIR_NIC));
        assert_pair_in_pool(h);
}

static void test_keep_too_late(void **state) {
        FakeHost *h = *state;

        bind_pair_until(h);
        make_due(h, PAIR_NVME);
        assert_failure(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)), FAILURE_NOT_GRANTED, "is up");
        assert_unconfirmed(h, PAIR_NIC);
        assert_unconfirmed(h, PAIR_NVME);
        assert_false(is_kept(h, PAIR_NIC) || is_kept(h, PAIR_NVME));
        assert_success(revert(h, PAIR_NIC));
        assert_pair_home(h);
        assert_failure(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)), FAILURE_NOT_GRANTED, "");
}

static void time_passes(void) {
        make_due(meanwhile, PAIR_NIC);
}

static void test_the_time_ends_while_keep_waits(void **state) {
        FakeHost *h = meanwhile = *state;

        bind_pair_until(h);
        before_lock = time_passes;
        assert_failure(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)), FAILURE_NOT_GRANTED, "is up");
        assert_false(is_kept(h, PAIR_NIC) || is_kept(h, PAIR_NVME));
}

/* A full disk takes no deadline away. */
static void test_keep_fails(void **state) {
        FakeHost *h = *state;

        bind_pair_until(h);
        fake_host_mkdir(h, IN_THE_WAY(PAIR_NVME));
        assert_failure(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)), FAILURE_INTERNAL, GRANTS_DIR);
        assert_unconfirmed(h, PAIR_NIC);
        assert_unconfirmed(h, PAIR_NVME);
        assert_false(is_kept(h, PAIR_NIC));
        fake_host_remove(h, IN_THE_WAY(PAIR_NVME));
        assert_success(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)));
        assert_forgotten(h, PAIR_NIC);
}

/* Not by a pending one, nor by one that is kept: nobody prolongs it, or ends it unseen. */
static void test_no_other_grant_meanwhile(void **state) {
        Request q = {.uid = 1000};
        FakeHost *h = *state;

        request_devices(&q, LIST(NIC));
        assert_success(grant_until(h, 60, LIST(NIC)));
        for (int due = 0; due < 2; due++) {
                assert_failure(run_work(h, request_prepare_grant, &q, NULL), FAILURE_CONFIRMATION_PENDING,
                               NIC);
                assert_failure(grant(h, 0, LIST(NIC)), FAILURE_CONFIRMATION_PENDING, NIC);
                assert_failure(grant_pending(h, LIST(NIC)), FAILURE_CONFIRMATION_PENDING, NIC);
                assert_failure(grant_until(h, 3600, LIST(NIC)), FAILURE_CONFIRMATION_PENDING, NIC);
                assert_false(is_kept(h, NIC));
                make_due(h, NIC);
        }
        assert_success(revert(h, NIC));
        assert_success(grant(h, 0, LIST(NIC)));
}

static void test_dropped_and_revoked(void **state) {
        Request q = {.release = true};
        FakeHost *h = *state;

        assert_success(grant_until(h, 60, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(run_on(h, request_drop, LIST(PAIR_NIC)));
        assert_forgotten(h, PAIR_NIC);
        assert_forgotten(h, PAIR_NVME);

        bind_pair_until(h);
        assert_failure(run_on(h, request_drop, LIST(PAIR_NIC)), FAILURE_NOT_BOUND, PAIR_NIC);
        assert_unconfirmed(h, PAIR_NIC);
        request_devices(&q, LIST(PAIR_NIC));
        assert_success(run_work(h, request_revoke, &q, NULL));
        assert_pair_home(h);
        assert_forgotten(h, PAIR_NIC);
        assert_forgotten(h, PAIR_NVME);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_text),
                        CASE(test_what_grant_writes),
                        CASE(test_grant_is_all_or_nothing),
                        CASE(test_not_before_the_time),
                        CASE(test_the_time_is_up),
                        CASE(test_an_interrupted_bind),
                        CASE(test_it_dies_itself),
                        CASE(test_others_bring_it_home),
                        CASE(test_what_was_out_before_stays),
                        CASE(test_the_only_grant_of_what_was_out),
                        CASE(test_nothing_that_outlives_the_deadline),
                        CASE(test_a_vm_holds_it),
                        CASE(test_it_is_unplugged),
                        CASE(test_damaged),
                        CASE(test_keep_in_time),
                        CASE(test_keep_too_late),
                        CASE(test_the_time_ends_while_keep_waits),
                        CASE(test_keep_fails),
                        CASE(test_no_other_grant_meanwhile),
                        CASE(test_dropped_and_revoked),
        };

        return cmocka_run_group_tests_name("request-revert", tests, NULL, NULL);
}
