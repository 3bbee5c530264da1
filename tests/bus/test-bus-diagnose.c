/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Diagnose over the wire: for everybody, without effect, and never in anybody's way. */

#include <fcntl.h>
#include <sys/stat.h>

#include "fake-kernel.h"
#include "suite.h"
#include "vms.h"

#define RESULT "a(ssssasao)"

static sd_bus_message *expect_result(sd_bus_message *reply) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                fail_msg("%s: %s", e->name, e->message);
        assert_true(sd_bus_message_has_signature(reply, RESULT) > 0);
        return reply;
}

/* The whole answer as text: "[(firmware ok The ... [] []) ...]". */
static const char *diagnose(Bench *b, sd_bus *from) {
        return orders_show(expect_result(bench_call_manager(b, from, "Diagnose", "")));
}

static Pending *start(Bench *b, sd_bus *from) {
        return bench_start(b, from, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "Diagnose", true, "");
}

static void expect_text(const char *answer, const char *text) {
        if (!strstr(answer, text))
                fail_msg("\"%s\" is not in %s", text, answer);
}

static void test_for_everybody_and_without_effect(void **state) {
        static const char *const codes[] = {"firmware",     "kernel-command-line",
                                            "iommu",        "interrupt-remapping",
                                            "vfio-modules", "initramfs",
                                            "iommu-sets",   "reset",
                                            "permissions",  "memlock",
                                            "boot-guard",   "database",
                                            "groups",       "vfio-cdev"};
        Bench *b = *state;
        sd_bus *nobody = bench_connect(b, NOBODY_UID);
        _cleanup_free_ char *log = NULL;
        const char *answer, *at;
        char begin[64];

        polkit_set_mode(b, POLKIT_NO);
        fake_host_clear(b->host);
        at = answer = diagnose(b, nobody);
        for (size_t i = 0; i < ELEMENTSOF(codes); i++) { /* in this order */
                (void)snprintf(begin, sizeof begin, "(%s ", codes[i]);
                at = strstr(at, begin);
                if (!at)
                        fail_msg("no %s in its place in %s", codes[i], answer);
        }
        expect_text(answer,
                    "(iommu-sets info The devices " PAIR_NIC ", " PAIR_NVME " are in different slots");
        expect_text(answer, "[" PAIR_NIC " " PAIR_NVME "])"); /* as object paths */

        assert_int_equal(b->n_asked, 0);
        log = fake_host_log(b->host);
        assert_string_equal(log, "");
        bench_expect_error(bench_call_manager(b, nobody, "Diagnose", "s", "x"), NULL, "");
        bench_disconnect(nobody);
}

/* What the service itself knows, of orders and of who asks. */
static void test_orders_and_the_caller(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "pool", "persistent");
        char limits[64];

        expect_text(diagnose(b, admin), "(groups ok ");
        expect_text(diagnose(b, admin), "(memlock info How much memory");
        (void)orders_make_rule(b, admin, &group, "all", "address eq '" NIC "'");
        expect_text(diagnose(b, admin),
                    "(groups warning 1 device is a member of groups, but no administrator");

        (void)snprintf(limits, sizeof limits, "proc/%d/limits", (int)getpid());
        fake_host_write(b->host, limits, "Max locked memory 8388608 8388608 bytes\n");
        expect_text(diagnose(b, admin), "may lock 8 MiB of memory");
        expect_text(diagnose(b, b->root), "(memlock ok root");

        bench_stop_daemon(b);
        fake_host_write(b->host, "proc/cmdline", "root=/dev/vda1 verge_passthrough=off\n");
        bench_start_daemon(b);
        expect_text(diagnose(b, admin),
                    "(kernel-command-line error On the kernel command line verge_passthrough=off");
        bench_disconnect(admin);
}

static void test_a_damaged_database(void **state) {
        Bench *b = *state;

        bench_stop_daemon(b);
        fake_host_write(b->host, STATE_DIR "/store.db", "%s", "");
        fake_host_remove(b->host, STATE_DIR "/store.db-wal");
        fake_host_remove(b->host, STATE_DIR "/store.db-shm");
        assert_int_equal(fchownat(b->host->fd, STATE_DIR "/store.db", DAEMON_UID, (gid_t)-1, 0), 0);
        bench_start_daemon(b);
        expect_text(diagnose(b, b->root), "(database error ");
}

/* As the initramfs leaves it: marked in an earlier boot, and with a driver of the host's. */
static void reboot_into_driver(Bench *b) {
        char dir[512], path[512];

        bench_stop_daemon(b);
        bench_kill_helper(b);
        (void)snprintf(dir, sizeof dir, "%s/sys/%s", b->host->root, fake_host_device_path(b->host, NIC));
        (void)snprintf(path, sizeof path, "sys/%s/driver_override", fake_host_device_path(b->host, NIC));
        fake_kernel_unbind_address(NIC);
        fake_host_write(b->host, path, "(null)\n");
        assert_int_equal(fake_kernel_bind(dir, "e1000e"), 0);
        fake_host_write(b->host, "proc/sys/kernel/random/boot_id", "fedcba98-7654-3210-fedc-ba9876543210\n");
}

static void test_a_driver_that_was_first(void **state) {
        Bench *b = *state;

        (void)vms_make_group(b, NIC, NULL, "persistent");
        vms_until_pooled(b, NIC);
        expect_text(diagnose(b, b->root), "(initramfs ok ");
        reboot_into_driver(b);
        bench_start_daemon(b);
        vms_until_pooled(b, NIC); /* late, but all the same */
        expect_text(diagnose(b, b->root),
                    "(initramfs warning In this boot a host driver (e1000e) was first at 1");

        /* The next boot had it early. */
        bench_stop_daemon(b);
        bench_start_daemon(b);
        vms_until_pooled(b, NIC);
        expect_text(diagnose(b, b->root), "(initramfs ok ");
}

/* A FIFO that keeps each look at the host waiting for a byte. */
typedef struct Slow {
        Bench *b;
        char path[256];
        int fd;
} Slow;

static bool look_waits(void *userdata) {
        return fake_host_exists(((Slow *)userdata)->b->host, "fake/looking");
}

static void make_slow(Bench *b, Slow *ret) {
        *ret = (Slow){.b = b};
        (void)snprintf(ret->path, sizeof ret->path, "%s/fake/slow-look", b->host->root);
        assert_int_equal(mkfifo(ret->path, 0600), 0);
        assert_int_equal(chown(ret->path, DAEMON_UID, (gid_t)-1), 0);
        ret->fd = open(ret->path, O_RDWR | O_CLOEXEC);
        assert_true(ret->fd >= 0);
}

static void let_go(const Slow *s) {
        assert_int_equal(write(s->fd, "x", 1), 1);
}

static void end_slow(Slow *s) {
        assert_int_equal(unlink(s->path), 0);
        (void)close(s->fd);
}

/* Who comes while a look is under way is not told what was before. */
static void test_one_look_for_all(void **state) {
        Bench *b = *state;
        Pending *first, *later[3];
        Slow slow;

        make_slow(b, &slow);
        first = start(b, b->root);
        orders_until_files(b, look_waits, &slow);
        for (size_t i = 0; i < ELEMENTSOF(later); i++)
                later[i] = start(b, b->root);
        assert_string_equal(orders_get_manager(b, "Disabled"), "false"); /* these have come in before it */
        let_go(&slow);
        (void)sd_bus_message_unref(expect_result(bench_finish(b, first)));

        orders_until_files(b, look_waits, &slow);
        fake_host_write(b->host, "proc/cmdline", "root=/dev/vda1 pci=nomsi\n");
        end_slow(&slow);
        for (size_t i = 0; i < ELEMENTSOF(later); i++)
                expect_text(orders_show(expect_result(bench_finish(b, later[i]))), "pci=nomsi takes");
}

/* A file that cannot be read in time: who asks is told, and everything else goes on. */
static void test_a_look_that_hangs(void **state) {
        Bench *b = *state;
        sd_bus *nobody = bench_connect(b, NOBODY_UID);
        Pending *calls[CALLS_PENDING_PER_UID];
        Slow slow;

        make_slow(b, &slow);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = start(b, nobody);
        bench_expect_error(bench_call_manager(b, nobody, "Diagnose", ""), "LimitsExceeded", "16");
        orders_until_files(b, look_waits, &slow);
        assert_string_equal(orders_get_device(b, NIC, "State"), "host");
        bench_expect_success(bench_call_device(b, b->root, NIC, "Check"));

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                bench_expect_error(bench_finish(b, calls[i]), "Stuck", "cannot be read in time");
        end_slow(&slow);
        expect_text(diagnose(b, nobody), "(firmware ");
        bench_disconnect(nobody);
}

/* The end of the service does not wait for it, nor does one of the caller disturb it. */
static void test_who_leaves(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Pending *call;
        Slow slow;

        make_slow(b, &slow);
        call = start(b, user);
        orders_until_files(b, look_waits, &slow);
        (void)bench_drop(call);
        bench_disconnect(user);
        bench_stop_daemon(b);
        end_slow(&slow);
        bench_start_daemon(b);
        expect_text(diagnose(b, b->root), "(firmware ");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_for_everybody_and_without_effect),
                        CASE(test_orders_and_the_caller),
                        CASE(test_a_damaged_database),
                        CASE(test_a_driver_that_was_first),
                        CASE(test_one_look_for_all),
                        CASE(test_a_look_that_hangs),
                        CASE(test_who_leaves),
        };

        return suite_run("bus-diagnose", "the processes run under several users", tests);
}
