/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The boot guard: who writes down which boot, what two of them do to the third, and what ends it. */

#include "boots.h"
#include "early.h"
#include "request-fixture.h"

#define LIST_FILE BOOTS_FILE
#define ONE "11111111111111111111111111111111"
#define TWO "22222222222222222222222222222222"
#define THREE "33333333333333333333333333333333"

static void expect_list(FakeHost *h, const char *expected) {
        _cleanup_free_ char *text = fake_host_read(h, LIST_FILE);

        if (!text || !expected)
                assert_true(!text && !expected);
        else
                assert_string_equal(text, expected);
}

static void set_boot(FakeHost *h, char digit) {
        char d = digit;

        fake_host_write(h, "proc/sys/kernel/random/boot_id",
                        "%c%c%c%c%c%c%c%c-%c%c%c%c-%c%c%c%c-%c%c%c%c-%c%c%c%c%c%c%c%c%c%c%c%c\n", d, d, d, d,
                        d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d, d);
}

static void list_boots(FakeHost *h, const char *text) {
        fake_host_write(h, LIST_FILE, "%s", text);
        assert_int_equal(fchmodat(h->fd, LIST_FILE, 0644, 0), 0);
}

/* NULL: this boot binds. */
static void expect_guard(FakeHost *h, const char *text) {
        _cleanup_free_ char *said = NULL;
        bool on = boots_guard(h->fd);

        assert_int_equal(on, text != NULL);
        assert_int_equal(fake_host_exists(h, BOOT_GUARD_FILE), on);
        if (!on)
                return;
        said = fake_host_read(h, BOOT_GUARD_FILE);
        if (!strstr(said, text))
                fail_msg("'%s' does not speak of '%s'", said, text);
}

/* The power is cut, and comes back: nothing of /run, no driver, no override. */
static void next_boot(FakeHost *h, char digit) {
        set_boot(h, digit);
        fake_host_remove(h, BOOT_GUARD_FILE);
        fake_kernel_unbind_address(NIC);
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "(null)\n");
        fake_host_clear(h);
}

static int early(FakeHost *h, Failure *f) {
        *f = (Failure){0};
        return early_bind(h->fd, NIC, 0, f);
}

static void expect_early(FakeHost *h, bool binds) {
        Failure f;
        int r = early(h, &f);

        if ((r > 0) != binds)
                fail_msg("%d: %s", r, f.sentence);
        assert_string_equal(fake_host_driver(h, NIC), binds ? "vfio-pci" : "");
        assert_string_equal(fake_host_override(h, NIC), binds ? "vfio-pci" : "(null)");
}

static Failure healthy(FakeHost *h) {
        Request q = {0};

        return run_work(h, request_healthy, &q, NULL);
}

static void test_a_boot_counts_once(void **state) {
        FakeHost *h = *state;

        assert_int_equal(boots_record(h->fd), 0);
        assert_int_equal(boots_record(h->fd), 0);
        expect_list(h, BOOT "\n");
        set_boot(h, '1');
        assert_int_equal(boots_record(h->fd), 0);
        expect_list(h, BOOT "\n" ONE "\n");
        assert_int_equal(boots_record(h->fd), 0);
        expect_list(h, BOOT "\n" ONE "\n");

        /* What must be known are the last two. */
        set_boot(h, '2');
        assert_int_equal(boots_record(h->fd), 0);
        set_boot(h, '3');
        assert_int_equal(boots_record(h->fd), 0);
        expect_list(h, ONE "\n" TWO "\n" THREE "\n");
}

static void test_two_others_trip_and_own_does_not(void **state) {
        FakeHost *h = *state;

        set_boot(h, '3');
        expect_guard(h, NULL);
        list_boots(h, ONE "\n");
        expect_guard(h, NULL);
        list_boots(h, ONE "\n" ONE "\n" THREE "\n");
        expect_guard(h, NULL);
        list_boots(h, ONE "\n" TWO "\n");
        expect_guard(h, ONE "\n" TWO "\n");

        /* Decided for this boot: what becomes of the list changes nothing. */
        fake_host_remove(h, LIST_FILE);
        expect_guard(h, ONE "\n" TWO "\n");
}

/* So early there is nothing below /run; and who asks has a umask of his own. */
static void test_the_reason_is_for_all_to_read(void **state) {
        FakeHost *h = *state;
        struct stat st;
        mode_t old;

        fake_host_remove(h, "run/verge-passthrough");
        list_boots(h, ONE "\n" TWO "\n");
        old = umask(0077);
        expect_guard(h, ONE);
        (void)umask(old);
        assert_int_equal(fstatat(h->fd, "run/verge-passthrough", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0755); /* as tmpfiles.d makes it */
        assert_int_equal(fstatat(h->fd, BOOT_GUARD_FILE, &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
}

/* udev's programs run side by side: each finds the same, and nobody sees half a file. */
static void test_all_at_once(void **state) {
        FakeHost *h = *state;
        pid_t pids[8];
        int status;

        for (unsigned round = 0; round < 2; round++) {
                set_boot(h, round == 0 ? '2' : '3');
                if (round == 0)
                        list_boots(h, ONE "\n");
                for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                        pids[i] = fork();
                        assert_true(pids[i] >= 0);
                        if (pids[i] == 0)
                                _exit(boots_guard(h->fd) ? 1 : boots_record(h->fd) < 0 ? 2 : 0);
                }
                for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                        assert_true(WIFEXITED(status));
                        assert_int_equal(WEXITSTATUS(status), round);
                }
                expect_list(h, ONE "\n" TWO "\n");
                expect_guard(h, round == 0 ? NULL : ONE);
        }
}

/* Nobody knows how those boots went; so nothing is bound, once: a boot that goes well removes it whatever it is. */
static void test_a_damaged_list_trips_and_goes(void **state) {
        static const char *const bad[] = {"", "\n", "yes\n", ONE "0\n", ONE " \n", ONE "\nx"};
        FakeHost *h = *state;
        char big[800];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                list_boots(h, bad[i]);
                expect_guard(h, "damaged");
                assert_int_equal(boots_record(h->fd), 0);
                expect_list(h, bad[i]);
                assert_success(healthy(h));
                expect_list(h, NULL);
                fake_host_remove(h, BOOT_GUARD_FILE);
                expect_guard(h, NULL);
        }

        for (size_t i = 0; i < sizeof big - 1; i++)
                big[i] = i % 33 == 32 ? '\n' : '1';
        big[sizeof big - 1] = '\0';
        list_boots(h, big);
        expect_guard(h, "damaged");
        fake_host_remove(h, BOOT_GUARD_FILE);
        list_boots(h, ONE "\n");
        assert_int_equal(fchmodat(h->fd, LIST_FILE, 0666, 0), 0);
        expect_guard(h, "damaged");
        fake_host_remove(h, BOOT_GUARD_FILE);
        fake_host_remove(h, LIST_FILE);
        fake_host_link(h, LIST_FILE, "/dev/null");
        expect_guard(h, "damaged");
        assert_success(healthy(h));
        assert_false(fake_host_exists(h, LIST_FILE));
}

static void test_what_cannot_be_removed_is_told(void **state) {
        FakeHost *h = *state;

        assert_success(healthy(h)); /* there is none */
        fake_host_mkdir(h, LIST_FILE "/in the way");
        assert_failure(healthy(h), FAILURE_INTERNAL, BOOTS_FILE);
        fake_host_remove(h, LIST_FILE);
        fake_host_remove(h, GRANTS_DIR);
        assert_success(healthy(h));
}

/* A boot that cannot be written down is not counted, and keeps nothing from being bound. */
static void test_a_list_that_cannot_be_written(void **state) {
        char temporary[128];
        FakeHost *h = *state;
        Failure f;

        assert_success(grant(h, 0, LIST(NIC)));
        (void)snprintf(temporary, sizeof temporary, GRANTS_DIR "/.boots.%d", (int)getpid());
        fake_host_mkdir(h, temporary);
        assert_true(boots_record(h->fd) < 0);
        assert_success(bind_persistent(h, NIC));
        next_boot(h, '1');
        assert_int_equal(early(h, &f), 1);
        next_boot(h, '2');
        assert_true(boots_begin(h->fd) < 0);
        fake_host_remove(h, temporary);
        assert_int_equal(boots_begin(h->fd), 0);
        expect_list(h, TWO "\n");
}

/* Written before the first write to the kernel, so a host that does not survive that has it. */
static void test_bind_writes_it_down_first(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(move(h, MOVE_BIND, NIC)); /* not to stay */
        expect_list(h, NULL);
        assert_success(bind_persistent(h, NIC)); /* nothing is moved */
        expect_list(h, NULL);
        assert_success(move(h, MOVE_RELEASE, NIC));

        fake_host_clear(h);
        fake_host_fail(h, "override " NIC " kill 1");
        if (fork() == 0) {
                (void)bind_persistent(h, NIC);
                _exit(EXIT_SUCCESS);
        }
        assert_true(wait(&(int){0}) > 0);
        expect_list(h, BOOT "\n");
        assert_false(fake_host_exists(h, MARK_OF(NIC)));
        fake_host_clear(h);
        fake_host_remove(h, LIST_FILE);
        assert_success(recover(h, NIC));

        /* What is refused binds nothing. */
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "pci-stub\n");
        assert_failure(bind_persistent(h, NIC), FAILURE_DRIVER, "pci-stub");
        expect_list(h, NULL);
}

static void test_early_binding_counts_and_stops(void **state) {
        FakeHost *h = *state;
        Failure f;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        assert_success(healthy(h));

        next_boot(h, '1');
        expect_early(h, true);
        expect_list(h, ONE "\n");
        assert_int_equal(early(h, &f), 1); /* the replay of the event */
        expect_list(h, ONE "\n");
        next_boot(h, '2');
        expect_early(h, true);
        expect_list(h, ONE "\n" TWO "\n");

        next_boot(h, '3');
        expect_early(h, false);
        assert_log(h, "");
        assert_true(early(h, &f) < 0);
        assert_non_null(strstr(f.sentence, NIC " stays with the host"));
        assert_non_null(strstr(f.sentence, BOOT_GUARD_FILE));
        expect_list(h, ONE "\n" TWO "\n");
        assert_true(fake_host_exists(h, MARK_OF(NIC))); /* the service takes it back */
        assert_success(healthy(h));
        expect_early(h, false); /* plugged in later */
        expect_list(h, NULL);

        next_boot(h, '4');
        expect_early(h, true);
}

/* The override comes first: it keeps the host driver off while the disk takes its time. */
static void test_early_binding_writes_it_down_behind_the_override(void **state) {
        FakeHost *h = *state;
        Failure f;

        assert_success(grant(h, 0, LIST(NIC)));
        mark_by_hand(h, NIC);
        next_boot(h, '1');
        for (unsigned i = 0; i < 2; i++) {
                fake_host_fail(h, i == 0 ? "override " NIC " kill 1" : "probe " NIC " kill 1");
                if (fork() == 0) {
                        (void)early(h, &f);
                        _exit(EXIT_SUCCESS);
                }
                assert_true(wait(&(int){0}) > 0);
                expect_list(h, i == 0 ? NULL : ONE "\n");
                fake_host_clear(h);
        }
}

/* What went well is over; what is bound already is not counted again. */
static void test_a_replay_after_a_healthy_boot(void **state) {
        FakeHost *h = *state;
        Failure f;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        next_boot(h, '1');
        expect_early(h, true);
        assert_success(healthy(h));
        assert_int_equal(early(h, &f), 1);
        expect_list(h, NULL);
}

static void test_the_unit(void **state) {
        FakeHost *h = *state;

        assert_int_equal(boots_begin(h->fd), 0); /* no marks */
        assert_true(fake_host_exists(h, BOOT_BEGUN_FILE));
        expect_list(h, NULL);
        assert_success(grant(h, 0, LIST(NIC)));
        mark_by_hand(h, NIC);
        assert_int_equal(boots_begin(h->fd), 0); /* of this boot: a Bind made it */
        expect_list(h, NULL);

        next_boot(h, '1');
        fake_host_write(h, "proc/cmdline", "quiet verge_passthrough=off\n");
        assert_int_equal(boots_begin(h->fd), 0);
        expect_list(h, NULL);
        fake_host_write(h, "proc/cmdline", "quiet\n");
        assert_int_equal(boots_begin(h->fd), 0);
        expect_list(h, ONE "\n");
        assert_int_equal(boots_begin(h->fd), 0);
        next_boot(h, '2');
        assert_int_equal(boots_begin(h->fd), 0);
        expect_list(h, ONE "\n" TWO "\n");

        /* No mark is left: the daemon is to bind it late, and must know. */
        next_boot(h, '3');
        fake_host_remove(h, MARK_OF(NIC));
        assert_int_equal(boots_begin(h->fd), 0);
        expect_guard(h, TWO);
        expect_list(h, ONE "\n" TWO "\n");
        fake_host_remove(h, GRANTS_DIR);
        fake_host_remove(h, BOOT_GUARD_FILE);
        assert_int_equal(boots_begin(h->fd), 0);
}

/* The way back in counts for nothing, and is not guarded: there is nothing to guard. */
static void test_switched_off(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        mark_by_hand(h, NIC);
        next_boot(h, '3');
        list_boots(h, ONE "\n" TWO "\n");
        fake_host_write(h, "proc/cmdline", "verge_passthrough=off\n");
        expect_early(h, false);
        assert_int_equal(boots_begin(h->fd), 0);
        assert_false(fake_host_exists(h, BOOT_GUARD_FILE));
        expect_list(h, ONE "\n" TWO "\n");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_a_boot_counts_once),
                        CASE(test_two_others_trip_and_own_does_not),
                        CASE(test_the_reason_is_for_all_to_read),
                        CASE(test_all_at_once),
                        CASE(test_a_damaged_list_trips_and_goes),
                        CASE(test_what_cannot_be_removed_is_told),
                        CASE(test_a_list_that_cannot_be_written),
                        CASE(test_bind_writes_it_down_first),
                        CASE(test_early_binding_counts_and_stops),
                        CASE(test_early_binding_writes_it_down_behind_the_override),
                        CASE(test_a_replay_after_a_healthy_boot),
                        CASE(test_the_unit),
                        CASE(test_switched_off),
        };

        return cmocka_run_group_tests_name("boots", tests, NULL, NULL);
}
