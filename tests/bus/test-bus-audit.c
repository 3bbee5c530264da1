/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The audit trail of both processes, as the journal gets it: each change, refusal, failure and override is there, and
 * what only reads is not. */

#include "audit.h"
#include "journal.h"
#include "suite.h"
#include "vms.h"

#define ENTRIES_MAX 256

/* Parts of an entry: all must be in it. */
#define BY_DAEMON "\nSYSLOG_IDENTIFIER=" DAEMON_IDENTIFIER "\n"
#define BY_HELPER "\nSYSLOG_IDENTIFIER=" HELPER_IDENTIFIER "\n"
#define FIELD(name, value) "\n" name "=" value "\n"
#define DONE "MESSAGE_ID=" AUDIT_ID_CHANGE "\nPRIORITY=6\n", FIELD("VERGE_RESULT", "done")
#define REFUSED "MESSAGE_ID=" AUDIT_ID_REFUSAL "\nPRIORITY=5\n", FIELD("VERGE_RESULT", "refused")
#define FAILED "MESSAGE_ID=" AUDIT_ID_FAILURE "\nPRIORITY=4\n", FIELD("VERGE_RESULT", "failed")
#define OVERRIDDEN "MESSAGE_ID=" AUDIT_ID_OVERRIDE "\nPRIORITY=4\n", FIELD("VERGE_RESULT", "done")
#define VERB(verb) FIELD("VERGE_VERB", verb)
#define ADMIN FIELD("VERGE_CALLER_UID", "2") "VERGE_CALLER_NAME=alice\n"
#define USER FIELD("VERGE_CALLER_UID", "3")
#define SERVICE FIELD("VERGE_CALLER_UID", "1") "VERGE_CALLER_NAME=service\n"
#define POLKIT(result) FIELD("VERGE_POLKIT_RESULT", result)
#define ACTION(name, result)                                                                                \
        "\nVERGE_POLKIT_ACTION=org.verge.Passthrough." name "\nVERGE_POLKIT_RESULT=" result "\n"
#define DEVICE(address) FIELD("VERGE_DEVICE", address)

typedef struct Journal {
        Bench *bench;
        sd_bus *admin, *user;
        int fd;
        size_t n;
        char entries[ENTRIES_MAX][4096];
        const char *const *wanted;
} Journal;

static void read_entries(Journal *j) {
        assert_true(j->n < ENTRIES_MAX);
        while (journal_take(j->fd, j->entries[j->n], sizeof j->entries[0]) >= 0)
                assert_true(++j->n < ENTRIES_MAX);
}

static int on_entry(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *userdata) {
        read_entries(userdata);
        return 0;
}

static int setup(void **state) {
        Journal *j = calloc(1, sizeof *j);
        void *bench;

        assert_non_null(j);
        assert_int_equal(vms_setup(&bench), 0);
        j->bench = bench;
        fake_host_write(j->bench->host, "etc/passwd", "service:x:1:1::/:/bin/sh\nalice:x:2:2::/:/bin/sh\n");
        j->fd = journal_listen(j->bench->host);
        assert_true(sd_event_add_io(j->bench->event, NULL, j->fd, EPOLLIN, on_entry, j) >= 0);
        j->admin = bench_connect(j->bench, ADMIN_UID);
        j->user = bench_connect(j->bench, OTHER_UID);
        *state = j;
        return 0;
}

static int teardown(void **state) {
        Journal *j = *state;
        void *bench = j->bench;

        bench_disconnect(j->admin);
        bench_disconnect(j->user);
        assert_int_equal(bench_teardown(&bench), 0);
        closep(&j->fd);
        free(j);
        return 0;
}

static bool has_all(const char *entry, const char *const *parts) {
        for (; *parts; parts++)
                if (!strstr(entry, *parts))
                        return false;
        return true;
}

static size_t count(const Journal *j, const char *const *parts) {
        size_t n = 0;

        for (size_t i = 0; i < j->n; i++)
                n += has_all(j->entries[i], parts);
        return n;
}

static void show(const Journal *j) {
        for (size_t i = 0; i < j->n; i++)
                print_message("%s\n", j->entries[i]);
}

static bool is_there(void *userdata) {
        Journal *j = userdata;

        read_entries(j);
        return count(j, j->wanted) > 0;
}

/* It is written before the answer, but may have had to wait for us to read. */
static void expect_parts(Journal *j, const char *const *parts) {
        j->wanted = parts;
        for (size_t i = 0, n = 0; parts[i] && n < sizeof j->bench->waiting_for; i++)
                n += (size_t)snprintf(j->bench->waiting_for + n, sizeof j->bench->waiting_for - n, " [%s]",
                                      parts[i]);
        if (!is_there(j))
                show(j);
        bench_until(j->bench, is_there, j);
        if (count(j, parts) != 1) {
                show(j);
                fail_msg("%zu entries with %s", count(j, parts), parts[0]);
        }
}

#define expect(j, ...) expect_parts(j, (const char *const[]){__VA_ARGS__, NULL})

static void expect_count(Journal *j, size_t n) {
        read_entries(j);
        if (j->n != n) {
                show(j);
                fail_msg("%zu entries, not %zu", j->n, n);
        }
}

static void forget(Journal *j) {
        read_entries(j);
        j->n = 0;
}

static sd_bus_message *grant(Journal *j, const char *address, const char *consent) {
        const char *path = bench_device_path(address);

        return consent ? bench_call_manager(j->bench, j->admin, "Grant", "aoa{sv}", 1, path, 1, "consent",
                                            "as", 1, consent)
                       : bench_call_manager(j->bench, j->admin, "Grant", "aoa{sv}", 1, path, 0);
}

static sd_bus_message *grant_pair(Journal *j) {
        char one[128], two[128];

        (void)snprintf(one, sizeof one, "%s", bench_device_path(PAIR_NIC));
        (void)snprintf(two, sizeof two, "%s", bench_device_path(PAIR_NVME));
        return bench_call_manager(j->bench, j->admin, "Grant", "aoa{sv}", 2, one, two, 0);
}

static void test_grant_and_revoke(void **state) {
        Journal *j = *state;

        bench_expect_success(grant(j, NIC, NULL));
        expect(j, DONE, BY_HELPER, VERB("Grant"), ADMIN, ACTION("grant", "yes"), DEVICE(NIC),
               "\nMESSAGE=Grant of " NIC " for alice (uid 2): done.\n");
        expect(j, DONE, BY_DAEMON, VERB("Grant"), ADMIN, POLKIT("by-helper"), DEVICE(NIC));
        expect_count(j, 2);
        forget(j);

        bench_expect_success(
                        bench_call_manager(j->bench, j->admin, "Revoke", "ao", 1, bench_device_path(NIC)));
        expect(j, DONE, BY_HELPER, VERB("Revoke"), ADMIN, ACTION("revoke", "yes"), DEVICE(NIC));
        expect(j, DONE, BY_DAEMON, VERB("Revoke"), ADMIN, DEVICE(NIC));
        expect_count(j, 2);
        forget(j);

        bench_expect_success(bench_call_manager(j->bench, j->admin, "GrantIds", "as", 1, "8086:10d3"));
        expect(j, DONE, BY_HELPER, VERB("GrantIds"), ADMIN, FIELD("VERGE_IDS", "8086:10d3"));
        expect(j, DONE, BY_DAEMON, VERB("GrantIds"), ADMIN, FIELD("VERGE_IDS", "8086:10d3"));
}

static void test_polkit_refuses(void **state) {
        static const struct {
                PolkitMode mode;
                const char *result;
        } cases[] = {{POLKIT_NO, POLKIT("no")},
                     {POLKIT_DISMISSED, POLKIT("dismissed")},
                     {POLKIT_CHALLENGE, POLKIT("challenge")},
                     {POLKIT_ERROR, POLKIT("unreachable")},
                     {POLKIT_GONE, POLKIT("unreachable")}};
        Journal *j = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                polkit_set_mode(j->bench, cases[i].mode);
                /* The helper asks... */
                bench_expect_error(grant(j, NIC, NULL), "NotAuthorized", "grant");
                expect(j, REFUSED, BY_HELPER, VERB("Grant"), ADMIN, FIELD("VERGE_ERROR", "NotAuthorized"),
                       "\nVERGE_POLKIT_ACTION=org.verge.Passthrough.grant\n", cases[i].result, DEVICE(NIC));
                expect(j, REFUSED, BY_DAEMON, VERB("Grant"), ADMIN, POLKIT("by-helper"), DEVICE(NIC));
                expect_count(j, 2);
                forget(j);
                /* ... or the daemon. */
                bench_expect_error(bench_call_manager(j->bench, j->admin, "CreateGroup", "ssa{sv}", "pool",
                                                      "pci", 0),
                                   "NotAuthorized", "manage");
                expect(j, REFUSED, BY_DAEMON, VERB("CreateGroup"), ADMIN,
                       FIELD("VERGE_ERROR", "NotAuthorized"),
                       "\nVERGE_POLKIT_ACTION=org.verge.Passthrough.manage\n", cases[i].result,
                       FIELD("VERGE_GROUP", "pool"));
                expect_count(j, 1);
                forget(j);
        }
}

static void test_nobody_answers(void **state) {
        Journal *j = *state;
        sd_bus *other = bench_connect(j->bench, ADMIN_UID);
        Pending *p;

        polkit_set_mode(j->bench, POLKIT_HANG);
        p = bench_start(j->bench, other, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateGroup", true,
                        "ssa{sv}", "pool", "pci", 0);
        bench_until_asked(j->bench, 1);
        bench_drop(p);
        bench_disconnect(other);
        expect(j, REFUSED, BY_DAEMON, VERB("CreateGroup"), ADMIN, ACTION("manage", "unanswered"));
}

static void use_nic(Journal *j) {
        fake_host_add_net(j->bench->host, "devices/pci0000:01/" NIC "/net/eth0");
        fake_host_add_network_address(j->bench->host, "eth0", "192.0.2.7");
}

static void test_critical_is_refused_and_overridden(void **state) {
        Journal *j = *state;

        use_nic(j);
        bench_expect_error(grant(j, NIC, NULL), "Critical", "192.0.2.7");
        assert_int_equal(j->bench->n_asked, 0);
        expect(j, REFUSED, BY_HELPER, VERB("Grant"), FIELD("VERGE_ERROR", "Critical"), POLKIT("not-asked"),
               DEVICE(NIC), "192.0.2.7");
        expect(j, REFUSED, BY_DAEMON, VERB("Grant"), ADMIN, FIELD("VERGE_ERROR", "Critical"), DEVICE(NIC));
        expect_count(j, 2);
        forget(j);

        /* By the daemon itself. */
        bench_expect_error(grant(j, BRIDGE, NULL), "Critical", BRIDGE);
        expect(j, REFUSED, BY_DAEMON, VERB("Grant"), ADMIN, FIELD("VERGE_ERROR", "Critical"),
               DEVICE(BRIDGE));
        expect_count(j, 1);
        forget(j);

        bench_expect_success(grant(j, NIC, "address"));
        expect(j, OVERRIDDEN, BY_HELPER, VERB("Grant"), ADMIN, ACTION("grant-critical", "yes"), DEVICE(NIC),
               FIELD("VERGE_REASONS_OVERRIDDEN", "address"), "done. Overridden by name: address.\n");
        expect(j, DONE, BY_DAEMON, VERB("Grant"), ADMIN, DEVICE(NIC));
        forget(j);

        /* And each time that it matters. */
        bench_expect_success(bench_call_device(j->bench, j->admin, NIC, "Bind"));
        expect(j, OVERRIDDEN, BY_HELPER, VERB("Bind"), SERVICE, POLKIT("granted"),
               FIELD("VERGE_REASONS_OVERRIDDEN", "address"));
        expect(j, DONE, BY_DAEMON, VERB("Bind"), ADMIN, ACTION("manage", "yes"), DEVICE(NIC));
        expect_count(j, 2);
}

static void test_there_and_back(void **state) {
        Journal *j = *state;

        bench_expect_success(grant_pair(j));
        forget(j);
        bench_expect_success(bench_call_device(j->bench, j->admin, PAIR_NIC, "Bind"));
        expect(j, DONE, BY_HELPER, VERB("Bind"), SERVICE, POLKIT("granted"), DEVICE(PAIR_NIC),
               DEVICE(PAIR_NVME), FIELD("VERGE_MOVED", PAIR_NIC " e1000e vfio-pci"),
               FIELD("VERGE_MOVED", PAIR_NVME " nvme vfio-pci"), FIELD("VERGE_DRIVER_FROM", "e1000e"),
               FIELD("VERGE_DRIVER_FROM", "nvme"), FIELD("VERGE_DRIVER_TO", "vfio-pci"),
               PAIR_NIC ": e1000e to vfio-pci; " PAIR_NVME ": nvme to vfio-pci.");
        expect(j, DONE, BY_DAEMON, VERB("Bind"), ADMIN, ACTION("manage", "yes"), DEVICE(PAIR_NIC));
        forget(j);

        bench_expect_success(bench_call_device(j->bench, j->admin, PAIR_NVME, "Release"));
        expect(j, DONE, BY_HELPER, VERB("Release"), SERVICE,
               FIELD("VERGE_MOVED", PAIR_NIC " vfio-pci e1000e"),
               FIELD("VERGE_MOVED", PAIR_NVME " vfio-pci nvme"));
        expect(j, DONE, BY_DAEMON, VERB("Release"), ADMIN, DEVICE(PAIR_NVME));
        expect_count(j, 2);
}

static void test_what_fails(void **state) {
        Journal *j = *state;

        bench_expect_success(grant(j, NIC, NULL));
        bench_expect_success(bench_call_device(j->bench, j->admin, NIC, "Bind"));
        forget(j);
        fake_host_fail(j->bench->host, "reset " NIC " EIO");
        bench_expect_error(bench_call_device(j->bench, j->admin, NIC, "Reset"), "ResetFailed", NIC);
        expect(j, FAILED, BY_HELPER, VERB("Reset"), SERVICE, FIELD("VERGE_ERROR", "ResetFailed"),
               DEVICE(NIC));
        expect(j, FAILED, BY_DAEMON, VERB("Reset"), ADMIN, ACTION("manage", "yes"), DEVICE(NIC));
        expect_count(j, 2);
        forget(j);

        /* A Bind that is undone has moved nothing. */
        fake_host_clear(j->bench->host);
        bench_expect_success(bench_call_device(j->bench, j->admin, NIC, "Release"));
        forget(j);
        fake_host_clear(j->bench->host); /* it counts what comes */
        fake_host_fail(j->bench->host, "probe " NIC " nothing 1");
        bench_expect_error(bench_call_device(j->bench, j->admin, NIC, "Bind"), "DriverFailed", NIC);
        expect(j, FAILED, BY_HELPER, VERB("Bind"), SERVICE, DEVICE(NIC));
        assert_null(strstr(j->entries[0], "VERGE_MOVED"));
}

/* A kernel that does not answer, and comes back when the caller has long been answered. */
static void test_what_is_late(void **state) {
        Journal *j = *state;

        fake_host_write(j->bench->host, HELPER_CONF, "deadline-seconds=1\n");
        bench_expect_success(grant_pair(j));
        forget(j);
        fake_host_fail(j->bench->host, "probe " PAIR_NVME " hang 1");
        bench_expect_error(bench_call_device(j->bench, j->admin, PAIR_NIC, "Bind"), "Stuck", PAIR_NVME);
        expect(j, FAILED, BY_HELPER, VERB("Bind"), FIELD("VERGE_ERROR", "Stuck"), "has not answered",
               DEVICE(PAIR_NIC));
        expect(j, FAILED, BY_DAEMON, VERB("Bind"), ADMIN, FIELD("VERGE_ERROR", "Stuck"));
        forget(j);
        fake_host_let_go(j->bench->host);
        expect(j, FAILED, BY_HELPER, VERB("Bind"), "The time was up", DEVICE(PAIR_NVME));
}

static void test_orders(void **state) {
        Journal *j = *state;
        Bench *b = j->bench;
        Path group, rule;

        group = orders_make_group(b, j->admin, "pool", NULL);
        expect(j, DONE, BY_DAEMON, VERB("CreateGroup"), ADMIN, ACTION("manage", "yes"),
               FIELD("VERGE_GROUP", "pool"),
               "MESSAGE=CreateGroup of group \"pool\" for alice (uid 2): done.\n");
        rule = orders_make_rule(b, j->admin, &group, "nics", "driver eq 'e1000e'");
        expect(j, DONE, BY_DAEMON, VERB("CreateRule"), ADMIN, FIELD("VERGE_GROUP", "pool"));
        bench_expect_success(
                        orders_call_group(b, j->admin, &group, "Update", "a{sv}", 1, "name", "s", "other"));
        expect(j, DONE, BY_DAEMON, VERB("UpdateGroup"), ADMIN, FIELD("VERGE_GROUP", "pool"));
        bench_expect_success(orders_call_rule(b, j->admin, &rule, "Delete", ""));
        expect(j, DONE, BY_DAEMON, VERB("DeleteRule"), ADMIN, FIELD("VERGE_RULE", "nics"),
               FIELD("VERGE_GROUP", "other"));
        bench_expect_success(orders_call_group(b, j->admin, &group, "Delete", ""));
        expect(j, DONE, BY_DAEMON, VERB("DeleteGroup"), ADMIN, FIELD("VERGE_GROUP", "other"));
        expect_count(j, 5);
}

static void test_make_and_return(void **state) {
        Journal *j = *state;

        bench_expect_success(orders_make(j->bench, j->admin, NIC, NULL, "pool", "persistent"));
        expect(j, DONE, BY_HELPER, VERB("Grant"), ADMIN, ACTION("grant", "yes"), DEVICE(NIC));
        expect(j, DONE, BY_HELPER, VERB("Bind"), SERVICE, FIELD("VERGE_MOVED", NIC " e1000e vfio-pci"));
        expect(j, DONE, BY_HELPER, VERB("Keep"), SERVICE, POLKIT("not-asked"), DEVICE(NIC));
        expect(j, DONE, BY_DAEMON, VERB("MakePassthrough"), ADMIN, FIELD("VERGE_GROUP", "pool"),
               DEVICE(NIC));
        expect_count(j, 4);
        forget(j);
        bench_expect_success(orders_return(j->bench, j->admin, NIC));
        expect(j, DONE, BY_HELPER, VERB("Revoke"), ADMIN, ACTION("revoke", "yes"),
               FIELD("VERGE_MOVED", NIC " vfio-pci e1000e"));
        expect(j, DONE, BY_DAEMON, VERB("ReturnToHost"), ADMIN, DEVICE(NIC));
        expect_count(j, 2);
}

static void test_a_vm(void **state) {
        Journal *j = *state;
        Bench *b = j->bench;
        Path group = vms_make_group(b, NIC, NULL, NULL);
        Answer a;

        forget(j);
        (void)orders_make_claim(b, j->user, "web", &group, 1);
        expect(j, DONE, BY_DAEMON, VERB("CreateClaim"), USER, ACTION("claim", "yes"),
               FIELD("VERGE_VM", "web"), FIELD("VERGE_GROUP", "pool"));
        forget(j);

        a = vm_take_answer(START(b, j->user, "web", 0));
        expect(j, DONE, BY_HELPER, VERB("Bind"), SERVICE, FIELD("VERGE_MOVED", NIC " e1000e vfio-pci"));
        expect(j, DONE, BY_HELPER, VERB("Open"), SERVICE, POLKIT("granted"), FIELD("VERGE_USER_UID", "3"),
               DEVICE(NIC));
        expect(j, DONE, BY_DAEMON, VERB("StartVm"), USER, POLKIT("not-asked"), FIELD("VERGE_VM", "web"),
               FIELD("VERGE_GROUP", "pool"), DEVICE(NIC));
        expect_count(j, 3);
        forget(j);

        /* Somebody else's. */
        polkit_set_mode(b, POLKIT_NO);
        bench_expect_error(STOP(b, j->admin, "web", 1, "owner", "u", OTHER_UID), "NotAuthorized", "claim");
        expect(j, REFUSED, BY_DAEMON, VERB("StopVm"), ADMIN, ACTION("claim", "no"),
               FIELD("VERGE_VM", "web"));
        expect_count(j, 1);
        forget(j);

        bench_expect_success(STOP(b, j->user, "web", 0));
        expect(j, DONE, BY_HELPER, VERB("Close"), SERVICE, DEVICE(NIC));
        expect(j, DONE, BY_HELPER, VERB("Release"), SERVICE, FIELD("VERGE_MOVED", NIC " vfio-pci e1000e"));
        expect(j, DONE, BY_DAEMON, VERB("StopVm"), USER, FIELD("VERGE_VM", "web"), DEVICE(NIC));
        expect_count(j, 3);
        vm_let_go(&a);
}

/* Who only reads, and whose arguments are wrong. */
static void test_what_is_not_told(void **state) {
        Journal *j = *state;
        Bench *b = j->bench;

        bench_expect_success(bench_call_device(b, j->user, NIC, "Check"));
        bench_expect_success(bench_call_manager(b, j->user, "PreviewRule", "ss", "driver eq 'x'", ""));
        bench_expect_success(bench_call_manager(b, j->user, "Export", ""));
        bench_expect_error(bench_call_manager(b, j->user, "CreateGroup", "ssa{sv}", "", "pci", 0),
                           "InvalidArgument", "empty");
        bench_expect_error(bench_call_device(b, j->user, NIC, "Bind"), "NotGranted", NIC);
        bench_expect_error(grant(j, PAIR_NIC, NULL), "IncompleteIommuSet", PAIR_NVME);
        bench_expect_error(START(b, j->user, "web", 0), "NoSuchObject", "web");
        bench_expect_error(bench_call_helper(b, b->root, "Bind", "sb", "nonsense", 0), "InvalidArgument",
                           "nonsense");
        expect_count(j, 0);
}

static void test_root_at_the_helper(void **state) {
        Journal *j = *state;

        bench_expect_error(bench_call_helper(j->bench, j->bench->root, "Bind", "sb", NIC, 0), "NotGranted",
                           NIC);
        expect(j, REFUSED, BY_HELPER, VERB("Bind"), FIELD("VERGE_CALLER_UID", "0"),
               FIELD("VERGE_ERROR", "NotGranted"), POLKIT("not-asked"), DEVICE(NIC));
        expect_count(j, 1);
}

/* Strangers at the helper, and a flood of refusals: in neither do all of them reach the disk. */
static void test_floods(void **state) {
        Journal *j = *state;

        for (unsigned i = 0; i < AUDIT_REFUSALS_MAX + 5; i++)
                bench_expect_error(bench_call_helper(j->bench, j->user, "Plan", "sasb", NIC, 0, 0),
                                   "NotAuthorized", "");
        expect_count(j, AUDIT_REFUSALS_MAX);
        assert_int_equal(count(j, (const char *const[]){REFUSED, BY_HELPER, VERB("Plan"), USER, NULL}),
                         AUDIT_REFUSALS_MAX);
        forget(j);

        polkit_set_mode(j->bench, POLKIT_NO);
        for (unsigned i = 0; i < AUDIT_REFUSALS_MAX + 5; i++)
                bench_expect_error(bench_call_manager(j->bench, j->user, "CreateGroup", "ssa{sv}", "pool",
                                                      "pci", 0),
                                   "NotAuthorized", "manage");
        expect_count(j, AUDIT_REFUSALS_MAX);
        forget(j);

        /* Nobody else suffers from it; and the daemon tells at its end what it has not. */
        bench_expect_error(
                        bench_call_manager(j->bench, j->admin, "CreateGroup", "ssa{sv}", "pool", "pci", 0),
                        "NotAuthorized", "manage");
        expect(j, REFUSED, ADMIN);
        bench_stop_daemon(j->bench);
        expect(j, "MESSAGE_ID=" AUDIT_ID_LEFT_OUT, BY_DAEMON, FIELD("VERGE_LEFT_OUT", "5"), USER);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        CASE(test_grant_and_revoke), CASE(test_polkit_refuses),
                        CASE(test_nobody_answers),   CASE(test_critical_is_refused_and_overridden),
                        CASE(test_there_and_back),   CASE(test_what_fails),
                        CASE(test_what_is_late),     CASE(test_orders),
                        CASE(test_make_and_return),  CASE(test_a_vm),
                        CASE(test_what_is_not_told), CASE(test_root_at_the_helper),
                        CASE(test_floods),
        };

        return suite_run("bus-audit", "the processes of a test run under several users", tests);
}
