/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The audit trail, read as systemd's journal reads it: at the end of a socket below the root of a fake host. */

#include "audit.h"
#include "critical.h"
#include "journal.h"

#define IDENTIFIER "test"

static size_t largest = SIZE_MAX; /* that the kernel lets through */
static unsigned n_too_large;

ssize_t __real_send(int fd, const void *data, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t n, int flags);

ssize_t __wrap_send(int fd, const void *data, size_t n, int flags) {
        if (n <= largest)
                return __real_send(fd, data, n, flags);
        n_too_large++;
        errno = EMSGSIZE;
        return -1;
}

typedef struct Journal {
        FakeHost *host;
        sd_event *event;
        int fd; /* -1: none */
        Audit *audit;
        char text[65536]; /* of the last entry */
        size_t n;
} Journal;

static void listen_below(Journal *j) {
        j->fd = journal_listen(j->host);
}

static void stop_listening(Journal *j) {
        closep(&j->fd);
        j->fd = -1;
}

static void open_audit(Journal *j, uint64_t window) {
        assert_int_equal(audit_new(&(AuditConfig){j->event, j->host->fd, IDENTIFIER, window}, &j->audit), 0);
}

static int setup(void **state) {
        Journal *j = calloc(1, sizeof *j);

        assert_non_null(j);
        largest = SIZE_MAX;
        n_too_large = 0;
        j->host = fake_host_new();
        j->fd = -1;
        assert_true(sd_event_new(&j->event) >= 0);
        fake_host_write(j->host, "etc/passwd", "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n");
        *state = j;
        return 0;
}

static int setup_listening(void **state) {
        assert_int_equal(setup(state), 0);
        listen_below(*state);
        open_audit(*state, AUDIT_WINDOW_USEC);
        return 0;
}

static int teardown(void **state) {
        Journal *j = *state;

        audit_free(j->audit);
        closep(&j->fd);
        sd_event_unref(j->event);
        fake_host_free(j->host);
        free(j);
        return 0;
}

static bool take(Journal *j) {
        ssize_t n = journal_take(j->fd, j->text, sizeof j->text);

        j->n = n < 0 ? 0 : (size_t)n;
        return n >= 0;
}

static void expect(Journal *j, const char *text) {
        assert_true(take(j));
        assert_string_equal(j->text, text);
        assert_int_equal(j->n, strlen(text));
}

static void expect_part(Journal *j, const char *text) {
        assert_true(take(j));
        if (!strstr(j->text, text))
                fail_msg("no '%s' in:\n%s", text, j->text);
}

static void expect_no_more(Journal *j) {
        if (take(j))
                fail_msg("one too many:\n%s", j->text);
}

static void write_change(Journal *j, const char *verb) {
        audit_write(j->audit, &(AuditEntry){.verb = verb});
}

static void write_refusal(Journal *j, uid_t uid) {
        const Failure f = {FAILURE_NOT_AUTHORIZED, "No."};

        audit_write(j->audit,
                    &(AuditEntry){.verb = "Grant", .failure = &f, .has_caller = true, .caller = uid});
}

static void test_a_change(void **state) {
        static const AuditDriver drivers[] = {{"0000:01:00.0", "e1000e", "vfio-pci"},
                                              {"0000:01:00.1", "", "vfio-pci"},
                                              {"0000:01:00.2", "vfio-pci", "vfio-pci"}};
        Journal *j = *state;

        audit_write(j->audit, &(AuditEntry){.verb = "Bind",
                                            .has_caller = true,
                                            .caller = 1000,
                                            .verdict = POLKIT_VERDICT_GRANTED,
                                            .devices = "0000:01:00.0, 0000:01:00.1, 0000:01:00.2",
                                            .drivers = drivers,
                                            .n_drivers = ELEMENTSOF(drivers)});
        expect(j, "MESSAGE_ID=" AUDIT_ID_CHANGE "\n"
                  "PRIORITY=6\n"
                  "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
                  "VERGE_VERB=Bind\n"
                  "VERGE_RESULT=done\n"
                  "VERGE_CALLER_UID=1000\n"
                  "VERGE_CALLER_NAME=alice\n"
                  "VERGE_POLKIT_RESULT=granted\n"
                  "VERGE_DEVICE=0000:01:00.0\n"
                  "VERGE_DEVICE=0000:01:00.1\n"
                  "VERGE_DEVICE=0000:01:00.2\n"
                  "VERGE_MOVED=0000:01:00.0 e1000e vfio-pci\n"
                  "VERGE_MOVED=0000:01:00.1 none vfio-pci\n"
                  "VERGE_DRIVER_FROM=e1000e\n"
                  "VERGE_DRIVER_FROM=none\n"
                  "VERGE_DRIVER_TO=vfio-pci\n"
                  "MESSAGE=Bind of 0000:01:00.0, 0000:01:00.1, 0000:01:00.2 for alice (uid 1000): done. "
                  "0000:01:00.0: e1000e to vfio-pci; 0000:01:00.1: none to vfio-pci.\n");
        expect_no_more(j);
}

static void test_an_override(void **state) {
        Journal *j = *state;

        audit_write(j->audit, &(AuditEntry){.verb = "Grant",
                                            .has_caller = true,
                                            .caller = 0,
                                            .action = "org.verge.Passthrough.grant-critical",
                                            .verdict = POLKIT_VERDICT_YES,
                                            .devices = "0000:01:00.0",
                                            .overridden = 1U << CRITICAL_SWAP | 1U << CRITICAL_ADDRESS});
        expect(j,
               "MESSAGE_ID=" AUDIT_ID_OVERRIDE "\n"
               "PRIORITY=4\n"
               "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
               "VERGE_VERB=Grant\n"
               "VERGE_RESULT=done\n"
               "VERGE_CALLER_UID=0\n"
               "VERGE_CALLER_NAME=root\n"
               "VERGE_POLKIT_ACTION=org.verge.Passthrough.grant-critical\n"
               "VERGE_POLKIT_RESULT=yes\n"
               "VERGE_DEVICE=0000:01:00.0\n"
               "VERGE_REASONS_OVERRIDDEN=swap\n"
               "VERGE_REASONS_OVERRIDDEN=address\n"
               "MESSAGE=Grant of 0000:01:00.0 for root (uid 0): done. Overridden by name: swap, address.\n");
}

static void test_settings(void **state) {
        Journal *j = *state;

        audit_write(j->audit, &(AuditEntry){.verb = "SetVf",
                                            .has_caller = true,
                                            .caller = 0,
                                            .verdict = POLKIT_VERDICT_GRANTED,
                                            .devices = "0000:06:10.0",
                                            .settings = "vlan=100 mac=02:00:00:00:00:01"});
        expect(j, "MESSAGE_ID=" AUDIT_ID_CHANGE "\n"
                  "PRIORITY=6\n"
                  "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
                  "VERGE_VERB=SetVf\n"
                  "VERGE_RESULT=done\n"
                  "VERGE_CALLER_UID=0\n"
                  "VERGE_CALLER_NAME=root\n"
                  "VERGE_POLKIT_RESULT=granted\n"
                  "VERGE_DEVICE=0000:06:10.0\n"
                  "VERGE_SETTINGS=vlan=100 mac=02:00:00:00:00:01\n"
                  "MESSAGE=SetVf of 0000:06:10.0 for root (uid 0): done. Settings: vlan=100 "
                  "mac=02:00:00:00:00:01.\n");
}

static void test_a_refusal_and_a_failure(void **state) {
        const Failure no = {FAILURE_CRITICAL, "The host is on it."}, late = {FAILURE_STUCK, "It hangs."};
        Journal *j = *state;

        audit_write(j->audit, &(AuditEntry){.verb = "GrantIds",
                                            .failure = &no,
                                            .has_caller = true,
                                            .caller = 70001,
                                            .action = "org.verge.Passthrough.grant",
                                            .verdict = POLKIT_VERDICT_DISMISSED,
                                            .ids = "10de:1eb8, 8086:10d3"});
        expect(j, "MESSAGE_ID=" AUDIT_ID_REFUSAL "\n"
                  "PRIORITY=5\n"
                  "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
                  "VERGE_VERB=GrantIds\n"
                  "VERGE_RESULT=refused\n"
                  "VERGE_ERROR=Critical\n"
                  "VERGE_CALLER_UID=70001\n" /* has no name */
                  "VERGE_POLKIT_ACTION=org.verge.Passthrough.grant\n"
                  "VERGE_POLKIT_RESULT=dismissed\n"
                  "VERGE_IDS=10de:1eb8\n"
                  "VERGE_IDS=8086:10d3\n"
                  "MESSAGE=GrantIds of 10de:1eb8, 8086:10d3 for uid 70001: refused. The host is on it.\n");

        audit_write(j->audit, &(AuditEntry){.verb = "Open",
                                            .failure = &late,
                                            .has_user = true,
                                            .user = 1000,
                                            .verdict = POLKIT_VERDICT_GRANTED});
        expect(j, "MESSAGE_ID=" AUDIT_ID_FAILURE "\n"
                  "PRIORITY=4\n"
                  "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
                  "VERGE_VERB=Open\n"
                  "VERGE_RESULT=failed\n"
                  "VERGE_ERROR=Stuck\n"
                  "VERGE_USER_UID=1000\n"
                  "VERGE_USER_NAME=alice\n"
                  "VERGE_POLKIT_RESULT=granted\n"
                  "MESSAGE=Open: failed. Access for alice (uid 1000). It hangs.\n");

        audit_write(j->audit, &(AuditEntry){.verb = "SetVfs",
                                            .has_vfs = true,
                                            .vfs = 7,
                                            .devices = "0000:01:00.0",
                                            .verdict = POLKIT_VERDICT_GRANTED});
        expect(j, "MESSAGE_ID=" AUDIT_ID_CHANGE "\n"
                  "PRIORITY=6\n"
                  "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
                  "VERGE_VERB=SetVfs\n"
                  "VERGE_RESULT=done\n"
                  "VERGE_POLKIT_RESULT=granted\n"
                  "VERGE_DEVICE=0000:01:00.0\n"
                  "VERGE_VFS=7\n"
                  "MESSAGE=SetVfs of 0000:01:00.0: done. Virtual functions: 7.\n");
}

/* Each error says no, or that something broke, and nothing else. */
static void test_each_error_has_a_result(void **state) {
        static const FailureKind broken[] = {FAILURE_DRIVER,   FAILURE_STUCK,  FAILURE_RESET,
                                             FAILURE_NO_RESET, FAILURE_HELPER, FAILURE_INTERNAL};
        Journal *j = *state;
        Failure f = {FAILURE_NONE, "Why."};
        bool breaks;

        for (int kind = FAILURE_NONE + 1; kind < FAILURE_KIND_MAX; kind++) {
                breaks = false;
                for (size_t i = 0; i < ELEMENTSOF(broken); i++)
                        breaks |= kind == (int)broken[i];
                f.kind = (FailureKind)kind;
                audit_write(j->audit, &(AuditEntry){.verb = "Bind",
                                                    .failure = &f,
                                                    .has_caller = true,
                                                    .caller = 1000U + (unsigned)kind});
                expect_part(j, breaks ? "\nVERGE_RESULT=failed\n" : "\nVERGE_RESULT=refused\n");
                assert_non_null(strstr(j->text, breaks ? AUDIT_ID_FAILURE : AUDIT_ID_REFUSAL));
        }
}

/* A value with newlines has its length before it, so it cannot pretend to be a field; the message is one line. */
static void test_nobody_forges_a_field(void **state) {
        static const char binary[] =
                        "VERGE_VM\n\x16\0\0\0\0\0\0\0web\nVERGE_CALLER_UID=0\nVERGE_CLAIM=a=b\n";
        const Failure f = {FAILURE_DRIVER, "One\nPRIORITY=0\x01 \xff two"};
        Journal *j = *state;

        audit_write(j->audit, &(AuditEntry){.verb = "StartVm",
                                            .failure = &f,
                                            .vm = "web\nVERGE_CALLER_UID=0",
                                            .claim = "a=b"});
        assert_true(take(j));
        assert_non_null(memmem(j->text, j->n, binary, sizeof binary - 1));
        assert_null(memmem(j->text, j->n, "\nPRIORITY=0", 11));
        assert_non_null(memmem(
                        j->text, j->n,
                        "\nMESSAGE=StartVm of VM \"web?VERGE_CALLER_UID=0\", claim \"a=b\": failed. "
                        "One?PRIORITY=0? ? two\n",
                        strlen("\nMESSAGE=StartVm of VM \"web?VERGE_CALLER_UID=0\", claim \"a=b\": failed. "
                               "One?PRIORITY=0? ? two\n")));
}

static void test_only_the_message_is_cut(void **state) {
        Failure f = {FAILURE_DRIVER, ""};
        Journal *j = *state;
        char name[257];

        memset(name, 'n', 256);
        name[256] = '\0';
        for (size_t i = 0; i + 2 < sizeof f.sentence; i += 2)
                memcpy(f.sentence + i, "ä", 3);
        largest = 700;
        audit_write(j->audit, &(AuditEntry){.verb = "Bind", .failure = &f, .group = name});
        assert_true(n_too_large > 0);
        expect_part(j, "MESSAGE=Bind of group \"nnn");
        assert_non_null(strstr(j->text, "\nVERGE_RESULT=failed\n"));
        assert_non_null(strstr(j->text, name));
        assert_true(j->n > 350 && j->n <= 700);
        assert_int_equal(j->text[j->n - 1], '\n');
        expect_no_more(j);

        largest = 100; /* there is no room even for the rest: it is lost, and told */
        write_change(j, "Bind");
        expect_no_more(j);
        largest = SIZE_MAX;
        write_change(j, "Release");
        expect_part(j, "MESSAGE=1 entries of the audit trail are lost");
        expect_part(j, "VERGE_VERB=Release\n");
        expect_no_more(j);
}

/* All that can be long at once: nothing of it is left out. */
static void test_the_largest_entry(void **state) {
        AuditDriver drivers[DEVICES_PER_CALL_MAX] = {0};
        char devices[2048] = "", text[257];
        Failure f = {FAILURE_DRIVER, ""};
        Journal *j = *state;
        size_t n = 0;

        memset(f.sentence, 's', sizeof f.sentence - 1);
        memset(text, 'x', 256);
        text[256] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(drivers); i++) {
                (void)snprintf(drivers[i].device, sizeof drivers[i].device, "0000:%02zx:00.0", i);
                memset(drivers[i].from, 'a', sizeof drivers[i].from - 1);
                memset(drivers[i].to, 'b', sizeof drivers[i].to - 1);
                n += (size_t)snprintf(devices + n, sizeof devices - n, "%s%s", n > 0 ? ", " : "",
                                      drivers[i].device);
        }
        audit_write(j->audit, &(AuditEntry){.verb = "Bind",
                                            .failure = &f,
                                            .devices = devices,
                                            .drivers = drivers,
                                            .n_drivers = ELEMENTSOF(drivers),
                                            .overridden = (1U << CRITICAL_REASON_MAX) - 1,
                                            .group = text,
                                            .rule = text,
                                            .vm = text,
                                            .claim = text});
        expect_part(j, "\nVERGE_DEVICE=0000:3f:00.0\n");
        assert_non_null(strstr(j->text, "\nVERGE_MOVED=0000:3f:00.0 aaa"));
        assert_non_null(strstr(j->text, "\nVERGE_REASONS_OVERRIDDEN=unsafe-interrupts\n"));
        assert_non_null(strstr(j->text, "\nVERGE_CLAIM=xxx"));
        assert_non_null(strstr(j->text, f.sentence));
        assert_int_equal(j->text[j->n - 1], '\n');
}

static void test_no_journal(void **state) {
        Journal *j = *state;

        open_audit(j, AUDIT_WINDOW_USEC);
        write_change(j, "Bind");
        write_change(j, "Bind");
        assert_false(audit_is_waiting(j->audit));

        listen_below(j);
        write_change(j, "Release");
        expect(j, "MESSAGE_ID=" AUDIT_ID_LEFT_OUT "\n"
                  "PRIORITY=4\n"
                  "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
                  "VERGE_LEFT_OUT=2\n"
                  "MESSAGE=2 entries of the audit trail are lost: the journal did not take them.\n");
        expect_part(j, "VERGE_VERB=Release\n");
        expect_no_more(j);
}

static void test_a_journal_that_starts_anew(void **state) {
        Journal *j = *state;

        write_change(j, "Bind");
        expect_part(j, "VERGE_VERB=Bind\n");
        stop_listening(j);
        listen_below(j);
        write_change(j, "Release");
        expect_part(j, "VERGE_VERB=Release\n");
        expect_no_more(j);
}

static void write_numbered(Journal *j, unsigned i) {
        char name[16];

        (void)snprintf(name, sizeof name, "%u", i);
        audit_write(j->audit, &(AuditEntry){.verb = "Bind", .vm = name});
}

static unsigned number_of(const Journal *j, const char *field) {
        const char *at = strstr(j->text, field);

        assert_non_null(at);
        return (unsigned)strtoul(at + strlen(field), NULL, 10);
}

/* A journal that does not read: nobody waits for it. Then it reads, and gets all in their order but those for which
 * there was no place, and how many that were. */
static void test_a_journal_that_does_not_read(void **state) {
        Journal *j = *state;
        unsigned n = 0, seen = 0;

        while (!audit_is_waiting(j->audit)) /* as many as the socket takes */
                write_numbered(j, n++);
        while (n < 100000 && audit_is_waiting(j->audit) && seen < AUDIT_QUEUED_MAX + 100) {
                write_numbered(j, n++);
                seen++;
        }

        seen = 0;
        for (;;) {
                while (take(j) && strstr(j->text, AUDIT_ID_CHANGE)) {
                        assert_int_equal(number_of(j, "\nVERGE_VM="), seen);
                        seen++;
                }
                if (strstr(j->text, AUDIT_ID_LEFT_OUT))
                        break;
                assert_true(sd_event_run(j->event, 30U * 1000 * 1000) > 0);
        }
        assert_int_equal(number_of(j, "\nVERGE_LEFT_OUT="), n - seen);
        assert_int_equal(n - seen, 101); /* the first that waits is one of those in the queue */
        assert_false(audit_is_waiting(j->audit));
        write_change(j, "Release");
        expect_part(j, "VERGE_VERB=Release\n");
        expect_no_more(j);
}

/* It does not read until the very end: that is no reason to stay. */
static void test_the_end_does_not_wait(void **state) {
        Journal *j = *state;

        while (!audit_is_waiting(j->audit))
                write_change(j, "Bind");
        j->audit = audit_free(j->audit);
        assert_true(take(j));
}

static void test_floods_are_cut(void **state) {
        Journal *j = *state;

        for (unsigned i = 0; i < AUDIT_REFUSALS_MAX; i++) {
                write_refusal(j, 1000);
                expect_part(j, "VERGE_CALLER_UID=1000\n");
        }
        for (unsigned i = 0; i < 5; i++)
                write_refusal(j, 1000);
        expect_no_more(j);

        /* That is his affair alone; and what was done is always told. */
        write_refusal(j, 1001);
        expect_part(j, "VERGE_CALLER_UID=1001\n");
        audit_write(j->audit, &(AuditEntry){.verb = "Bind", .has_caller = true, .caller = 1000});
        expect_part(j, "VERGE_RESULT=done\n");

        j->audit = audit_free(j->audit);
        expect(j,
               "MESSAGE_ID=" AUDIT_ID_LEFT_OUT "\n"
               "PRIORITY=5\n"
               "SYSLOG_IDENTIFIER=" IDENTIFIER "\n"
               "VERGE_LEFT_OUT=5\n"
               "VERGE_CALLER_UID=1000\n"
               "VERGE_CALLER_NAME=alice\n"
               "MESSAGE=5 more refusals of calls by alice (uid 1000) are left out: there were too many.\n");
        expect_no_more(j);
}

static int on_once(sd_event_source *s _unused_, void *userdata _unused_) {
        return 0;
}

/* Told when the window is over, without another call; then he counts from nothing. */
static void test_what_was_left_out_is_told_in_time(void **state) {
        Journal *j = *state;

        listen_below(j);
        open_audit(j, 20000);
        /* From its first round on the loop's clock stands still between rounds. */
        assert_true(sd_event_add_defer(j->event, NULL, on_once, NULL) >= 0);
        assert_true(sd_event_run(j->event, UINT64_MAX) > 0);

        for (unsigned i = 0; i < AUDIT_REFUSALS_MAX + 3; i++) {
                write_refusal(j, 1000);
                write_refusal(j, 70001);
                for (unsigned k = 0; k < 2 && i < AUDIT_REFUSALS_MAX; k++)
                        expect_part(j, AUDIT_ID_REFUSAL);
                expect_no_more(j);
        }
        while (!take(j))
                assert_true(sd_event_run(j->event, 30U * 1000 * 1000) > 0);
        assert_non_null(strstr(j->text, "VERGE_LEFT_OUT=3\nVERGE_CALLER_UID=1000\n"));
        expect_part(j, "VERGE_LEFT_OUT=3\nVERGE_CALLER_UID=70001\n");
        write_refusal(j, 1000);
        expect_part(j, AUDIT_ID_REFUSAL);
        expect_no_more(j);
}

/* Users are counted apart as far as there is room, the others and those whom nobody knows together. */
static void test_many_users(void **state) {
        const Failure f = {FAILURE_NOT_AUTHORIZED, "No."};
        Journal *j = *state;
        unsigned n = 0;

        for (unsigned uid = 2000; uid < 2000 + AUDIT_USERS_MAX + 6; uid++)
                for (unsigned i = 0; i < AUDIT_REFUSALS_MAX; i++) {
                        write_refusal(j, uid);
                        n += take(j);
                }
        assert_int_equal(n, (AUDIT_USERS_MAX + 1) * AUDIT_REFUSALS_MAX);
        audit_write(j->audit, &(AuditEntry){.verb = "Grant", .failure = &f});
        expect_no_more(j);

        j->audit = audit_free(j->audit);
        expect_part(j, "MESSAGE=101 more refusals of calls by several users are left out");
        assert_null(strstr(j->text, "VERGE_CALLER_UID"));
        expect_no_more(j);
}

/* For who has no loop: an entry, and the end. */
static void test_without_a_loop(void **state) {
        Journal *j = *state;

        j->audit = audit_free(j->audit);
        assert_int_equal(audit_new(&(AuditConfig){.root = j->host->fd, .identifier = IDENTIFIER}, &j->audit),
                         0);
        for (unsigned i = 0; i < AUDIT_REFUSALS_MAX + 5; i++) {
                write_refusal(j, 1000);
                expect_part(j, AUDIT_ID_REFUSAL);
        }
        for (unsigned i = 0; i < 2000; i++)
                write_change(j, "EarlyBind"); /* does not wait */
        assert_false(audit_is_waiting(j->audit));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup_listening, teardown)
#define CASE_COLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        CASE(test_a_change),
                        CASE(test_an_override),
                        CASE(test_settings),
                        CASE(test_a_refusal_and_a_failure),
                        CASE(test_each_error_has_a_result),
                        CASE(test_nobody_forges_a_field),
                        CASE(test_only_the_message_is_cut),
                        CASE(test_the_largest_entry),
                        CASE_COLD(test_no_journal),
                        CASE(test_a_journal_that_starts_anew),
                        CASE(test_a_journal_that_does_not_read),
                        CASE(test_the_end_does_not_wait),
                        CASE(test_floods_are_cut),
                        CASE_COLD(test_what_was_left_out_is_told_in_time),
                        CASE(test_many_users),
                        CASE(test_without_a_loop),
        };

        return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
