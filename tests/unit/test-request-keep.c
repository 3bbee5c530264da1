/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Grants on their way: pending, kept, dropped, and taken back with the devices still out. */

#include <sys/wait.h>

#include "confine.h"
#include "grant-store.h"
#include "lock-fixture.h"
#include "verb.h"
#include "text.h"

/* Directories in which a file was removed, and which were not synced since. */
static unsigned unsynced;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
        unsynced = 0;
        return __real_fsync(fd);
}

int __real_unlinkat(int fd, const char *path, int flags);
int __wrap_unlinkat(int fd, const char *path, int flags);
int __wrap_unlinkat(int fd, const char *path, int flags) {
        int r = __real_unlinkat(fd, path, flags);

        unsynced += r == 0;
        return r;
}

static Failure revoke_and_release(FakeHost *h, const char *const *addresses) {
        Request q = {.release = true};

        request_devices(&q, addresses);
        return run_work(h, request_revoke, &q, NULL);
}

static Failure prepare_revoke_and_release(FakeHost *h, const char *const *addresses) {
        Request q = {.release = true};

        request_devices(&q, addresses);
        return run_work(h, request_prepare_revoke, &q, NULL);
}

static void test_a_pending_grant_counts(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(PAIR_NIC, PAIR_NVME)));
        assert_false(is_kept(h, PAIR_NIC));
        assert_true(is_pending(h, PAIR_NIC) && is_pending(h, PAIR_NVME));
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_pair_in_pool(h);
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_pair_home(h);
        assert_success(take_back(h, LIST(PAIR_NIC)));
        assert_false(is_pending(h, PAIR_NVME));
}

static void test_the_last_word_counts(void **state) {
        FakeHost *h = *state;

        /* A pending one stands in front of a kept one, which comes back when it goes. */
        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(grant_pending(h, LIST(NIC)));
        assert_int_equal(read_grant(h, NIC).granted_by, 1001);
        assert_success(run_on(h, request_drop, LIST(NIC)));
        assert_int_equal(read_grant(h, NIC).granted_by, 1000);

        /* A new kept one leaves no pending one in front of it. */
        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(grant(h, 0, LIST(NIC)));
        assert_int_equal(read_grant(h, NIC).granted_by, 1000);
        assert_false(is_pending(h, NIC));
}

static void test_keep(void **state) {
        FakeHost *h = *state;
        Grant before;

        assert_failure(run_on(h, request_keep, LIST(NIC)), FAILURE_NOT_GRANTED, NIC);
        assert_success(grant_pending(h, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        before = read_grant(h, NIC);
        for (int again = 0; again < 2; again++) {
                assert_success(run_on(h, request_keep, LIST(NIC, PAIR_NIC, PAIR_NVME)));
                assert_true(is_kept(h, NIC) && is_kept(h, PAIR_NIC) && is_kept(h, PAIR_NVME));
                assert_false(is_pending(h, NIC) || is_pending(h, PAIR_NIC) || is_pending(h, PAIR_NVME));
        }
        assert_int_equal(read_grant(h, NIC).granted_at, before.granted_at);
        assert_int_equal(read_grant(h, NIC).granted_by, 1001);
        assert_log(h, "");
}

/* Consent for one device is none for another that is named beside it. */
static void test_keep_needs_a_grant_of_each(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(NIC)));
        assert_failure(run_on(h, request_keep, LIST(NIC, PAIR_NIC)), FAILURE_NOT_GRANTED, PAIR_NIC);
        assert_true(is_pending(h, NIC));
        assert_false(is_kept(h, NIC) || is_kept(h, PAIR_NIC));
}

static void test_keep_is_all_or_nothing(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(grant_pending(h, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        fake_host_mkdir(h, IN_THE_WAY(PAIR_NVME));
        assert_failure(run_on(h, request_keep, LIST(NIC, PAIR_NIC, PAIR_NVME)), FAILURE_INTERNAL,
                       GRANTS_DIR);
        assert_true(is_pending(h, NIC) && is_pending(h, PAIR_NIC) && is_pending(h, PAIR_NVME));
        assert_false(is_kept(h, PAIR_NIC) || is_kept(h, PAIR_NVME));
        assert_success(run_on(h, request_drop, LIST(NIC)));
        assert_int_equal(read_grant(h, NIC).granted_by, 1000);
}

/* What a helper leaves that dies between two of its writes: kept, and pending or not. */
static void test_keep_after_a_partial_keep(void **state) {
        _cleanup_free_ char *text = NULL;
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(PAIR_NIC, PAIR_NVME)));
        text = fake_host_read(h, PENDING_OF(PAIR_NIC));
        fake_host_write(h, GRANT_OF(PAIR_NIC), "%s", text);
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_success(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)));
        assert_true(is_kept(h, PAIR_NIC) && is_kept(h, PAIR_NVME));

        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_success(take_back(h, LIST(PAIR_NIC)));
        assert_success(grant_pending(h, LIST(PAIR_NIC, PAIR_NVME)));
        fake_host_remove(h, PENDING_OF(PAIR_NIC));
        fake_host_write(h, GRANT_OF(PAIR_NIC), "%s", text);
        assert_success(run_on(h, request_keep, LIST(PAIR_NIC, PAIR_NVME)));
        assert_true(is_kept(h, PAIR_NIC) && is_kept(h, PAIR_NVME));
        assert_false(is_pending(h, PAIR_NIC) || is_pending(h, PAIR_NVME));
}

static void test_keep_outlives_the_device(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        assert_success(run_on(h, request_keep, LIST(NIC)));
        assert_true(is_kept(h, NIC));
}

static void test_drop(void **state) {
        FakeHost *h = *state;

        assert_success(run_on(h, request_drop, LIST(NIC)));
        assert_success(grant_pending(h, LIST(PAIR_NIC, PAIR_NVME)));
        /* The grants of a set go together. */
        for (int again = 0; again < 2; again++) {
                assert_success(run_on(h, request_drop, LIST(PAIR_NIC)));
                assert_false(is_pending(h, PAIR_NIC) || is_pending(h, PAIR_NVME));
        }
        assert_success(grant_pending(h, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        assert_success(run_on(h, request_drop, LIST(NIC)));
        assert_false(is_pending(h, NIC));
        assert_log(h, "");
}

static void test_drop_only_at_home(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_failure(run_on(h, request_drop, LIST(PAIR_NVME)), FAILURE_NOT_BOUND, PAIR_NVME);
        assert_true(is_pending(h, PAIR_NIC) && is_pending(h, PAIR_NVME));
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));

        /* Nor when a move was interrupted: it goes home first, and for that the grant is needed. */
        fake_host_write(h, MOVES_DIR "/9", "verb=bind\ndevice=" PAIR_NIC "\ndevice=" PAIR_NVME "\n");
        assert_failure(run_on(h, request_drop, LIST(PAIR_NIC)), FAILURE_NOT_BOUND, PAIR_NIC);
        assert_success(recover(h, PAIR_NIC));
        assert_success(run_on(h, request_drop, LIST(PAIR_NIC)));
}

static void test_drop_leaves_kept_grants(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(run_on(h, request_drop, LIST(NIC, PAIR_NIC)));
        assert_true(is_kept(h, NIC) && is_kept(h, PAIR_NIC) && is_kept(h, PAIR_NVME));
}

static void test_revoke_that_releases(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        assert_success(prepare_revoke_and_release(h, LIST(NIC, PAIR_NIC)));
        assert_success(revoke_and_release(h, LIST(NIC, PAIR_NIC)));
        assert_at(h, NIC, "e1000e", "(null)");
        assert_pair_home(h);
        assert_no_journal(h);
        assert_false(is_kept(h, NIC) || is_pending(h, NIC) || is_kept(h, PAIR_NIC) || is_kept(h, PAIR_NVME));
        assert_failure(revoke_and_release(h, LIST(NIC)), FAILURE_NOT_GRANTED, NIC);
}

static void test_revoke_does_not_take_a_device_from_a_vm(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        fake_host_hold_vfio(h, 9, true);
        fake_host_clear(h);
        assert_failure(prepare_revoke_and_release(h, LIST(NIC, PAIR_NIC)), FAILURE_IN_USE, PAIR_NIC);
        assert_failure(revoke_and_release(h, LIST(NIC, PAIR_NIC)), FAILURE_IN_USE, PAIR_NIC);
        assert_log(h, "");
        assert_true(is_kept(h, NIC) && is_kept(h, PAIR_NIC));
        fake_host_hold_vfio(h, 9, false);
        assert_success(revoke_and_release(h, LIST(NIC, PAIR_NIC)));
}

static void test_revoke_says_what_was_released(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        assert_success(bind_persistent(h, NIC));
        assert_success(bind_persistent(h, PAIR_NIC));
        fake_host_clear(h);
        fake_host_fail(h, "unbind " PAIR_NVME " EIO 1");
        assert_failure(revoke_and_release(h, LIST(NIC, PAIR_NIC)), FAILURE_DRIVER, "released before: " NIC);
        assert_at(h, NIC, "e1000e", "(null)");
        assert_at(h, PAIR_NVME, "vfio-pci", "(null)");
        assert_true(is_kept(h, NIC) && is_kept(h, PAIR_NIC) && is_kept(h, PAIR_NVME));
        assert_string_equal(read_grant(h, NIC).persistent, "");
        assert_string_equal(read_grant(h, PAIR_NVME).persistent, "");
        assert_true(fake_host_exists(h, MOVES_DIR "/9"));

        fake_host_clear(h);
        assert_success(revoke_and_release(h, LIST(NIC, PAIR_NIC)));
        assert_pair_home(h);
        assert_no_journal(h);
        assert_false(is_kept(h, NIC) || is_kept(h, PAIR_NVME));
}

/* Killed before and after each write: the grants stand, and the next one comes to its end. */
static void test_revoke_that_dies_at_each_step(void **state) {
        static const char *const ways[] = {"kill", "kill-after"};
        FakeHost *h = *state;
        char rule[64];
        int status;
        pid_t pid;

        for (unsigned step = 1; step <= 6; step++)
                for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
                        assert_success(bind_persistent(h, PAIR_NIC));
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[i], step);
                        fake_host_clear(h);
                        fake_host_fail(h, rule);
                        pid = fork();
                        assert_true(pid >= 0);
                        if (pid == 0) {
                                (void)revoke_and_release(h, LIST(PAIR_NIC));
                                _exit(EXIT_SUCCESS);
                        }
                        assert_int_equal(waitpid(pid, &status, 0), pid);
                        assert_true(WIFSIGNALED(status));
                        fake_host_clear(h);
                        assert_true(is_kept(h, PAIR_NIC) && is_kept(h, PAIR_NVME));
                        assert_true(fake_host_exists(h, MOVES_DIR "/9"));
                        /* Whatever the host comes to use now, no boot takes it away. */
                        assert_string_equal(read_grant(h, PAIR_NIC).persistent, "");
                        assert_string_equal(read_grant(h, PAIR_NVME).persistent, "");

                        assert_success(revoke_and_release(h, LIST(PAIR_NVME)));
                        assert_pair_home(h);
                        assert_false(is_kept(h, PAIR_NIC) || is_kept(h, PAIR_NVME));
                        assert_no_journal(h);
                }
}

static void revoke_now(void) {
        assert_success(take_back(meanwhile, LIST(NIC)));
}

/* Nobody has the set's lock for a device that is not there. */
static void test_keep_brings_back_nothing_that_was_revoked(void **state) {
        FakeHost *h = meanwhile = *state;

        assert_success(grant_pending(h, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        before_lock = revoke_now;
        assert_failure(run_on(h, request_keep, LIST(NIC)), FAILURE_NOT_GRANTED, NIC);
        assert_false(is_kept(h, NIC) || is_pending(h, NIC));
}

/* What could not be read before is not gone afterwards. */
static void test_a_keep_that_fails_removes_nothing(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        fake_host_write(h, GRANT_OF(NIC), "# edited by hand, with a slip\nformat=1\n");
        fake_host_mkdir(h, IN_THE_WAY(PAIR_NVME));
        assert_failure(run_on(h, request_keep, LIST(NIC, PAIR_NIC, PAIR_NVME)), FAILURE_INTERNAL, "");
        assert_true(fake_host_exists(h, GRANT_OF(NIC)));
        assert_false(fake_host_exists(h, IN_THE_WAY(NIC)) || fake_host_exists(h, IN_THE_WAY(PAIR_NIC)));
}

/* bus_remove_device() comes before the group forgets it: that is not a set which is not there. */
static void test_drop_while_a_sibling_goes(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        fake_host_remove(h, "sys/bus/pci/devices/" PAIR_NVME);
        assert_failure(run_on(h, request_drop, LIST(PAIR_NIC)), FAILURE_BUSY, PAIR_NIC);
        assert_true(is_pending(h, PAIR_NIC) && is_pending(h, PAIR_NVME));
        assert_failure(take_back(h, LIST(PAIR_NIC)), FAILURE_BUSY, PAIR_NIC);
        assert_true(is_pending(h, PAIR_NIC));
}

/* Consent is no less taken back because somebody else uses the device in another way. */
static void test_a_foreign_override_keeps_no_consent(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "pci-stub\n");
        assert_success(take_back(h, LIST(NIC)));
        assert_success(run_on_ids(h, request_grant_ids, LIST("8086:10d3")));
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "(null)\n");
        assert_success(move(h, MOVE_BIND, NIC));
        assert_success(move(h, MOVE_RELEASE, NIC));
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "pci-stub\n");
        assert_success(run_on_ids(h, request_revoke_ids, LIST("8086:10d3")));
        assert_false(is_kept(h, NIC));
}

/* Without consent nobody locks anything; and with it, one set that hangs holds no other. */
static void test_one_set_that_hangs_holds_no_other(void **state) {
        _cleanup_close_ int hung = -1, other = -1;
        FakeHost *h = *state;

        hung = lock_set(h->fd, 9, NULL);
        assert_true(hung >= 0);
        assert_failure(run_on(h, request_keep, LIST(NIC, PAIR_NIC)), FAILURE_NOT_GRANTED, NIC);
        assert_failure(run_on(h, request_keep, LIST(PAIR_NIC)), FAILURE_NOT_GRANTED, PAIR_NIC);
        assert_failure(run_on(h, request_drop, LIST(NIC, PAIR_NIC)), FAILURE_BUSY, "try again");
        other = lock_set(h->fd, 7, NULL);
        assert_true(other >= 0);
}

static void test_what_is_removed_is_gone_from_the_disk(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        unsynced = 0;
        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_int_equal(unsynced, 1); /* the journal's entry, which no reboot outlives */
        unsynced = 0;
        assert_success(take_back(h, LIST(NIC)));
        assert_int_equal(unsynced, 0);
        assert_success(run_on_ids(h, request_grant_ids, LIST("8086:10d3")));
        assert_success(run_on_ids(h, request_revoke_ids, LIST("8086:10d3")));
        assert_int_equal(unsynced, 0);
}

/* 1: it could be written to; 0: it could not. In a child, since there is no way back. */
static bool may_write(FakeHost *h, unsigned directories, const char *path) {
        WorkerResult result = {.deadline = UINT64_MAX};
        Request q = {.confine = true, .writes = directories};
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                _cleanup_close_ int fd = -1;

                if (confine(h->fd, &q, NULL, 0, &result) < 0)
                        _exit(2);
                fd = openat(h->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                _exit(fd >= 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        return WEXITSTATUS(status) == 0;
}

static void test_confinement(void **state) {
        static const char *const files[] = {LOCKS_DIR "/x", MOVES_DIR "/x", GRANTS_DIR "/x",
                                            PENDING_GRANTS_DIR "/x"};
        FakeHost *h = *state;

        if (may_write(h, 0, "etc/x"))
                skip(); /* a kernel without Landlock */
        for (unsigned allowed = 0; allowed < 16; allowed++)
                for (unsigned i = 0; i < ELEMENTSOF(files); i++)
                        assert_int_equal(may_write(h, allowed, files[i]), allowed >> i & 1);
        assert_false(may_write(h, CONFINE_GRANTS, "etc/verge-passthrough/x"));
        assert_false(may_write(h, CONFINE_GRANTS, "run/verge-passthrough/x"));
}

/* The verbs that only write grants, as they run: confined to what their row of the table says. */
static void test_grants_are_written_from_within_the_confinement(void **state) {
        static const char *const verbs[] = {"Grant",  "Keep",     "Drop",     "Plan",
                                            "Revoke", "GrantIds", "RevokeIds"};
        Request q = {.confine = true, .pending = true, .uid = 1000};
        WorkerResult result = {.deadline = UINT64_MAX};
        FakeHost *h = *state;
        const Verb *verb;
        int status;
        pid_t pid;

        request_devices(&q, LIST(NIC, PAIR_NIC, PAIR_NVME));
        assert_int_equal(id_selector_parse("8086:10d3", &q.ids[q.n_ids++]), 0);
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                verb = verb_find(verbs[i]);
                assert_non_null(verb);
                q.work = verb->work;
                q.writes = verb->writes;
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0) {
                        confine_and_work(h->fd, &q, &result);
                        if (result.failure.kind)
                                fprintf(stderr, "%s\n", result.failure.sentence);
                        _exit(result.failure.kind == FAILURE_NONE ? 0 : 1);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
                assert_int_equal(is_pending(h, NIC), i == 0);
                assert_int_equal(is_kept(h, NIC), i >= 1 && i <= 3);
        }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_a_pending_grant_counts),
                        CASE(test_the_last_word_counts),
                        CASE(test_keep),
                        CASE(test_keep_needs_a_grant_of_each),
                        CASE(test_keep_is_all_or_nothing),
                        CASE(test_keep_after_a_partial_keep),
                        CASE(test_keep_outlives_the_device),
                        CASE(test_drop),
                        CASE(test_drop_only_at_home),
                        CASE(test_drop_leaves_kept_grants),
                        CASE(test_revoke_that_releases),
                        CASE(test_revoke_does_not_take_a_device_from_a_vm),
                        CASE(test_revoke_says_what_was_released),
                        CASE(test_revoke_that_dies_at_each_step),
                        CASE(test_keep_brings_back_nothing_that_was_revoked),
                        CASE(test_a_keep_that_fails_removes_nothing),
                        CASE(test_drop_while_a_sibling_goes),
                        CASE(test_a_foreign_override_keeps_no_consent),
                        CASE(test_one_set_that_hangs_holds_no_other),
                        CASE(test_what_is_removed_is_gone_from_the_disk),
                        CASE(test_confinement),
                        CASE(test_grants_are_written_from_within_the_confinement),
        };

        return cmocka_run_group_tests_name("request-keep", tests, NULL, NULL);
}
