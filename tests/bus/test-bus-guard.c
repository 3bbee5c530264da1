/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The boot guard over several boots: what early binding, the unit's program, the helper and the daemon make of each
 * other's files. A host that dies is one whose processes are killed, and which then has another boot id. */

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "fake-kernel.h"
#include "suite.h"
#include "vms.h"

#define LIST_FILE BOOTS_FILE
#define MARK GRANTS_DIR "/" NIC ".boot"
#define FIRST_BOOT "0123456789abcdef0123456789abcdef" /* of a fake host */

static const char *id_of(char digit) {
        static char id[2][33];
        static size_t i;

        i = (i + 1) % ELEMENTSOF(id);
        (void)memset(id[i], digit, 32);
        return id[i];
}

static void expect_list(Bench *b, const char *first, const char *second) {
        _cleanup_free_ char *text = fake_host_read(b->host, LIST_FILE);
        char expected[128];

        (void)snprintf(expected, sizeof expected, "%s\n%s%s", first, strempty(second), second ? "\n" : "");
        assert_non_null(text);
        assert_string_equal(text, expected);
}

/* From the next start of the daemon on. NULL: no boot is called healthy. */
static void healthy_after(Bench *b, const char *ms) {
        if (ms)
                fake_host_write(b->host, "fake/healthy-ms", "%s\n", ms);
        else
                fake_host_remove(b->host, "fake/healthy-ms");
}

static bool is_unlisted(void *userdata) {
        return !fake_host_exists(((Bench *)userdata)->host, LIST_FILE);
}

static bool is_listed(void *userdata) {
        return !is_unlisted(userdata);
}

static bool is_unmarked(void *userdata) {
        return !fake_host_exists(((Bench *)userdata)->host, MARK);
}

/* The program itself, as udev or the unit runs it; what it says is in fake/boot.log. */
static void run_at_boot(Bench *b, const char *what, const char *address) {
        char log[512];
        int status;
        pid_t pid;

        (void)snprintf(log, sizeof log, "%s/fake/boot.log", b->host->root);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)dup2(open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), STDERR_FILENO);
                (void)execl(FAKE_HELPER, FAKE_HELPER, "--root", b->host->root, what, address, NULL);
                _exit(EXIT_FAILURE);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
}

static void expect_said_at_boot(Bench *b, const char *text) {
        _cleanup_free_ char *log = fake_host_read(b->host, "fake/boot.log");

        if (!log || !strstr(log, text))
                fail_msg("'%s' does not speak of '%s'", strempty(log), text);
}

static void host_driver_probes(Bench *b) {
        char path[512];

        if (fake_host_driver(b->host, NIC)[0])
                return;
        (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root, fake_host_device_path(b->host, NIC));
        assert_int_equal(fake_kernel_bind(path, "e1000e"), 0);
}

static void power_cut(Bench *b) {
        if (b->daemon > 0)
                bench_kill_daemon(b);
        bench_kill_helper(b);
        fake_host_clear(b->host);
        fake_host_remove(b->host, MOVES_DIR "/7");
        fake_host_remove(b->host, BOOT_GUARD_FILE);
        fake_host_remove(b->host, "fake/boot.log");
        fake_host_remove(b->host, "fake/steps");
        fake_kernel_unbind_address(NIC);
        fake_host_write(b->host, "sys/bus/pci/devices/" NIC "/driver_override", "(null)\n");
}

/* As a boot that died before it was written; a service that runs would have it written again. */
static void remove_mark(Bench *b) {
        if (b->daemon > 0)
                bench_kill_daemon(b);
        bench_kill_helper(b);
        fake_host_remove(b->host, MARK);
}

/* As far as the daemon, which does not come up. */
static void boot(Bench *b, char digit) {
        const char *id = id_of(digit);

        power_cut(b);
        fake_host_write(b->host, "proc/sys/kernel/random/boot_id", "%.8s-%.4s-%.4s-%.4s-%.12s\n", id, id, id,
                        id, id);
        if (fake_host_exists(b->host, MARK)) /* as the udev rule asks */
                run_at_boot(b, "--early-bind", NIC);
        if (fake_host_exists(b->host, MARK) || fake_host_exists(b->host, LIST_FILE)) /* and the unit */
                run_at_boot(b, "--boot-begin", NULL);
        host_driver_probes(b);
}

/* Bound for a persistent group, in a boot that went well. */
static void make_and_be_healthy(Bench *b) {
        bench_kill_daemon(b);
        healthy_after(b, "0");
        bench_start_daemon(b);
        (void)vms_make_group(b, NIC, NULL, "persistent");
        vms_until_pooled(b, NIC);
        orders_until_files(b, is_unlisted, b);
        assert_true(fake_host_exists(b->host, MARK));
        healthy_after(b, NULL);
}

static void start_guarded(Bench *b, char one, char two) {
        char boots[128];

        bench_start_daemon(b);
        (void)snprintf(boots, sizeof boots, "%s and %s", id_of(one), id_of(two));
        assert_string_equal(orders_get_manager(b, "BootGuard"), "true");
        assert_non_null(strstr(orders_get_manager(b, "BootGuardReason"), boots));
        assert_string_equal(orders_get_manager(b, "Disabled"), "false");
}

static void test_the_third_boot_leaves_it_to_the_host(void **state) {
        sd_bus *admin = bench_connect(*state, ADMIN_UID);
        Bench *b = *state;

        make_and_be_healthy(b);
        assert_string_equal(orders_get_manager(b, "BootGuard"), "false");
        assert_string_equal(orders_get_manager(b, "BootGuardReason"), "");
        boot(b, '1');
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        expect_list(b, id_of('1'), NULL);
        boot(b, '2');
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        expect_list(b, id_of('1'), id_of('2'));

        boot(b, '3');
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        expect_said_at_boot(b, NIC " stays with the host");
        assert_true(fake_host_exists(b->host, MARK));
        start_guarded(b, '1', '2');
        orders_until_files(b, is_unmarked, b); /* or the next boot would take it before anybody looks */
        vms_until_home(b, NIC);
        orders_until_device(b, NIC, "Attention", "stays with the host");
        assert_non_null(strstr(orders_get_device(b, NIC, "Attention"), "journalctl -b "));
        assert_string_equal(orders_get_manager(b, "RestartNeeded"), "true");
        assert_non_null(strstr(orders_get_manager(b, "RestartReason"), NIC));
        assert_string_equal(orders_get_device(b, NIC, "Eligible"), "true");
        expect_list(b, id_of('1'), id_of('2'));

        /* It holds for this boot, whoever starts again; a boot that went well ends it for the next. */
        bench_kill_daemon(b);
        healthy_after(b, "0");
        start_guarded(b, '1', '2');
        orders_until_files(b, is_unlisted, b);
        bench_kill_daemon(b);
        start_guarded(b, '1', '2');
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");

        boot(b, '4');
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        bench_start_daemon(b);
        vms_until_pooled(b, NIC);
        orders_until_device(b, NIC, "Attention", "");
        assert_string_equal(orders_get_manager(b, "BootGuard"), "false");
        assert_null(strstr(orders_get_manager(b, "RestartReason"), "boots"));
        orders_until_files(b, is_unlisted, b);
        boot(b, '5');
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        bench_disconnect(admin);
}

/* Which no mark tells of: the helper writes the boot down before it moves anything. */
static void test_late_binding_counts_too(void **state) {
        Bench *b = *state;
        _cleanup_free_ char *log = NULL;

        make_and_be_healthy(b);
        for (char digit = '1'; digit <= '2'; digit++) {
                remove_mark(b);
                boot(b, digit);
                fake_host_fail(b->host, "override " NIC " crash");
                bench_start_daemon(b);
                orders_until_files(b, is_listed, b);
                orders_until_step(b, "answer Bind"); /* it is dead, and what comes now does not happen */
        }
        expect_list(b, id_of('1'), id_of('2'));

        remove_mark(b);
        boot(b, '3');
        expect_said_at_boot(b, BOOT_GUARD_FILE);
        fake_host_clear(b->host);
        start_guarded(b, '1', '2');
        orders_until_device(b, NIC, "Attention", "stays with the host");
        bench_expect_success(bench_call_device(b, b->root, NIC, "Check")); /* an answer, and all before it */
        log = fake_host_log(b->host);
        assert_string_equal(log, "");
        vms_until_home(b, NIC);
}

static void test_by_hand_all_works(void **state) {
        sd_bus *admin = bench_connect(*state, ADMIN_UID), *user = bench_connect(*state, OTHER_UID);
        Bench *b = *state;
        Path group, claim;
        Answer a;

        make_and_be_healthy(b);
        boot(b, '1');
        boot(b, '2');
        boot(b, '3');
        start_guarded(b, '1', '2');
        orders_until_files(b, is_unmarked, b);
        vms_until_home(b, NIC);

        bench_expect_success(bench_call_device(b, admin, NIC, "Bind"));
        vms_until_pooled(b, NIC);
        assert_true(fake_host_exists(b->host, MARK));
        bench_kill_daemon(b);
        start_guarded(b, '1', '2');
        assert_string_equal(orders_get_device(b, NIC, "State"), "pool");   /* and stays so */
        bench_expect_success(bench_call_device(b, admin, NIC, "Release")); /* nothing binds it again */
        vms_until_home(b, NIC);
        assert_false(fake_host_exists(b->host, MARK));

        group = orders_make_group(b, admin, "other", NULL);
        bench_expect_success(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                                bench_device_path(CARD), "other", 0));
        claim = orders_make_claim(b, user, "web", &group, 1);
        a = vm_take_answer(START(b, user, "web", 0));
        assert_true(vm_has(&a, CARD));
        vm_let_go(&a);
        vms_until_home(b, CARD);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
        bench_disconnect(admin);
}

/* What a persistent group wants goes home after its VM, as it was found. */
static void test_a_vm_of_a_persistent_group(void **state) {
        sd_bus *user = bench_connect(*state, OTHER_UID);
        Bench *b = *state;
        Path group, claim;
        Answer a;

        bench_kill_daemon(b);
        healthy_after(b, "0");
        bench_start_daemon(b);
        group = vms_make_group(b, NIC, NULL, "persistent");
        claim = orders_make_claim(b, user, "web", &group, 1);
        orders_until_files(b, is_unlisted, b);
        healthy_after(b, NULL);
        boot(b, '1');
        boot(b, '2');
        boot(b, '3');
        start_guarded(b, '1', '2');
        orders_until_files(b, is_unmarked, b);
        vms_until_home(b, NIC);

        a = vm_take_answer(START(b, user, "web", 0));
        assert_true(vm_has(&a, NIC));
        vm_let_go(&a);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");
        assert_false(fake_host_exists(b->host, MARK));
        bench_disconnect(user);
}

/* Idle is, who has nothing under way: a host that hangs in a Bind has not gone well. */
static void test_healthy_waits_for_the_steward(void **state) {
        Bench *b = *state;
        _cleanup_free_ char *steps = NULL;

        make_and_be_healthy(b);
        remove_mark(b);
        boot(b, '1');
        healthy_after(b, "0");
        fake_host_fail(b->host, "probe " NIC " hang 1");
        bench_start_daemon(b);
        orders_until_files(b, is_listed, b);
        bench_expect_success(bench_call_device(b, b->root, CARD, "Check")); /* it has had its time */
        expect_list(b, id_of('1'), NULL);
        fake_host_let_go(b->host);
        orders_until_files(b, is_unlisted, b);
        steps = fake_host_read(b->host, "fake/steps");
        assert_true(strstr(steps, "answer Bind") < strstr(steps, "call Healthy"));
}

/* Told once, tried until it works. */
static void test_healthy_is_tried_again(void **state) {
        Bench *b = *state;
        _cleanup_free_ char *log = NULL;
        const char *first;

        bench_kill_daemon(b);
        healthy_after(b, "1");
        fake_host_mkdir(b->host, LIST_FILE "/in the way");
        bench_start_daemon(b);
        orders_until_step(b, "answer Healthy\ncall Healthy\nsent Healthy\nanswer Healthy\n");
        fake_host_remove(b->host, LIST_FILE);
        fake_host_write(b->host, LIST_FILE, "%s\n", id_of('1'));
        orders_until_files(b, is_unlisted, b);
        log = fake_host_read(b->host, "fake/daemon.log");
        first = strstr(log, "does not hear that this boot went well");
        assert_non_null(first);
        assert_null(strstr(first + 1, "does not hear that this boot went well"));
}

/* The helper dies with the question: it is asked again. */
static void test_the_helper_dies(void **state) {
        Bench *b = *state;

        bench_kill_daemon(b);
        healthy_after(b, "1");
        fake_host_write(b->host, "fake/lose", "Healthy\n");
        assert_int_equal(fchownat(b->host->fd, "fake/lose", DAEMON_UID, (gid_t)-1, 0), 0);
        fake_host_mkdir(b->host, LIST_FILE "/in the way"); /* what was lost has done nothing */
        bench_start_daemon(b);
        orders_until_step(b, "answer Healthy");
        bench_kill_helper(b);
        fake_host_remove(b->host, LIST_FILE);
        fake_host_write(b->host, LIST_FILE, "%s\n", id_of('1'));
        orders_until_files(b, is_unlisted, b);
}

/* A boot with the switch counts for nothing, but one that goes well goes well. */
static void test_switched_off(void **state) {
        Bench *b = *state;

        make_and_be_healthy(b);
        boot(b, '1');
        boot(b, '2');
        fake_host_write(b->host, "proc/cmdline", "quiet verge_passthrough=off\n");
        boot(b, '3');
        bench_start_daemon(b);
        assert_string_equal(orders_get_manager(b, "BootGuard"), "false");
        assert_string_equal(orders_get_manager(b, "Disabled"), "true");
        expect_list(b, id_of('1'), id_of('2'));
        bench_kill_daemon(b);
        healthy_after(b, "0");
        bench_start_daemon(b);
        orders_until_files(b, is_unlisted, b);
}

static void test_who_may_say_it(void **state) {
        sd_bus *admin = bench_connect(*state, ADMIN_UID);
        Bench *b = *state;

        fake_host_write(b->host, LIST_FILE, "%s\n", id_of('1'));
        bench_expect_error(bench_call_helper(b, admin, "Healthy", ""), "NotAuthorized", "serves only");
        bench_expect_error(bench_call_helper(b, b->root, "Healthy", "s", NIC), NULL, "");
        expect_list(b, id_of('1'), NULL);
        bench_expect_success(bench_call_helper(b, b->root, "Healthy", ""));
        assert_false(fake_host_exists(b->host, LIST_FILE));
        bench_expect_success(bench_call_helper(b, b->root, "Healthy", ""));
        bench_disconnect(admin);
}

/* Damaged, and so nobody knows: bound is nothing, and it is not for ever. */
static void test_a_damaged_list(void **state) {
        Bench *b = *state;

        make_and_be_healthy(b);
        bench_kill_daemon(b);
        fake_host_write(b->host, LIST_FILE, "what\n");
        boot(b, '1');
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        healthy_after(b, "0");
        bench_start_daemon(b);
        assert_non_null(strstr(orders_get_manager(b, "BootGuardReason"), "damaged"));
        orders_until_files(b, is_unlisted, b);
        orders_until_files(b, is_unmarked, b);
        boot(b, '2');
        bench_start_daemon(b);
        vms_until_pooled(b, NIC);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_the_third_boot_leaves_it_to_the_host),
                        CASE(test_late_binding_counts_too),
                        CASE(test_by_hand_all_works),
                        CASE(test_a_vm_of_a_persistent_group),
                        CASE(test_healthy_waits_for_the_steward),
                        CASE(test_healthy_is_tried_again),
                        CASE(test_the_helper_dies),
                        CASE(test_switched_off),
                        CASE(test_who_may_say_it),
                        CASE(test_a_damaged_list),
        };

        return suite_run("bus-guard", "runs its parts under several users", tests);
}
