/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The standing order to be bound at boot: who gets the mark, who loses it, and what early binding does with it. */

#include <sched.h>

#include "audit.h"
#include "early.h"
#include "journal.h"
#include "request-fixture.h"
#include "lock.h"

static void expect_early(FakeHost *h, const char *address, int expected, const char *sentence) {
        Failure f = {0};
        int r;

        r = early_bind(h->fd, address, 0, &f);
        if ((r < 0 ? -1 : r) != expected)
                fail_msg("%d: %s", r, f.sentence);
        if (expected < 0)
                assert_true(f.kind != FAILURE_NONE);
        else
                assert_int_equal(f.kind, FAILURE_NONE);
        if (!strstr(f.sentence, sentence))
                fail_msg("'%s' does not speak of '%s'", f.sentence, sentence);
}

static void test_bind_marks_and_unmarks(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(bind_persistent(h, PAIR_NIC));
        expect_mark(h, PAIR_NIC, BOOT);
        expect_mark(h, PAIR_NVME, BOOT);

        /* Bound already: nothing is moved, the mark is set all the same. */
        fake_host_clear(h);
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        expect_mark(h, PAIR_NVME, "");
        assert_success(bind_persistent(h, PAIR_NIC));
        expect_mark(h, PAIR_NVME, BOOT);
        assert_log(h, "");

        /* In another boot it is another mark. */
        fake_host_write(h, "proc/sys/kernel/random/boot_id", "ffffffff-89ab-cdef-0123-456789abcdef\n");
        assert_success(bind_persistent(h, PAIR_NVME));
        expect_mark(h, PAIR_NIC, "ffffffff89abcdef0123456789abcdef");
}

static void test_each_way_home_unmarks(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(bind_persistent(h, PAIR_NIC));
        assert_success(move(h, MOVE_RELEASE, PAIR_NVME));
        expect_mark(h, PAIR_NIC, "");
        expect_mark(h, PAIR_NVME, "");

        /* At home already, as after a boot in which it could not be taken. */
        mark_by_hand(h, PAIR_NIC);
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        expect_mark(h, PAIR_NIC, "");

        assert_success(bind_persistent(h, PAIR_NIC));
        fake_host_write(h, MOVES_DIR "/9", "verb=release\ndevice=" PAIR_NIC "\ndevice=" PAIR_NVME "\n");
        assert_success(recover(h, PAIR_NIC));
        assert_pair_home(h);
        expect_mark(h, PAIR_NVME, "");
}

/* A pending grant may lie over a kept one that has the mark: both must lose it. */
static void test_release_unmarks_the_grant_below(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        assert_success(grant_pending(h, LIST(NIC)));
        expect_mark(h, NIC, BOOT); /* granted again while it is out: that is no reason to lose it */
        assert_success(move(h, MOVE_RELEASE, NIC));
        expect_mark(h, NIC, "");
        assert_success(run_on(h, request_drop, LIST(NIC)));
        assert_true(is_kept(h, NIC));
        expect_mark(h, NIC, "");
}

static void test_the_mark_goes_before_the_device_comes_home(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        fake_host_clear(h);
        fake_host_fail(h, "* * kill 1");
        assert_false(move_in_child(h, MOVE_RELEASE, NIC));
        expect_mark(h, NIC, "");
}

static void test_a_mark_that_cannot_be_written(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        fake_host_mkdir(h, IN_THE_WAY_OF_MARK(PAIR_NVME));
        assert_failure(bind_persistent(h, PAIR_NIC), FAILURE_INTERNAL, "is bound, but");
        assert_pair_in_pool(h);
        assert_no_journal(h);
        expect_mark(h, PAIR_NIC, ""); /* both or none */

        fake_host_remove(h, IN_THE_WAY_OF_MARK(PAIR_NVME));
        assert_success(bind_persistent(h, PAIR_NIC));
        expect_mark(h, PAIR_NVME, BOOT);
}

static void test_a_mark_that_cannot_be_removed(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        fake_host_remove(h, MARK_OF(NIC));
        fake_host_mkdir(h, MARK_OF(NIC) "/in the way");
        assert_failure(move(h, MOVE_RELEASE, NIC), FAILURE_INTERNAL, "is at the host, but");
        assert_at(h, NIC, "e1000e", "(null)");
        assert_no_journal(h);
        fake_host_remove(h, MARK_OF(NIC));
        assert_success(move(h, MOVE_RELEASE, NIC));
}

/* Taking an order back needs no room. */
static void test_a_full_disk_makes_no_order_outlive_a_release(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        assert_success(grant_pending(h, LIST(NIC)));
        fake_host_mkdir(h, IN_THE_WAY(NIC));
        fake_host_mkdir(h, IN_THE_WAY_OF_MARK(NIC));
        fake_host_mkdir(h, PENDING_GRANTS_DIR "/." NIC GRANT_SUFFIX);
        assert_success(move(h, MOVE_RELEASE, NIC));
        expect_mark(h, NIC, "");
        fake_kernel_unbind_address(NIC); /* the next boot */
        expect_early(h, NIC, 0, "");
}

/* Of those, too, that were granted together and are not there now. */
static void test_release_ends_the_order_of_all_that_were_granted_together(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(bind_persistent(h, PAIR_NIC));
        fake_host_remove_device(h, PAIR_NVME);
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_at(h, PAIR_NIC, "e1000e", "(null)");
        fake_host_add_device(h, &(FakeDevice){.address = PAIR_NVME,
                                              .vendor = 0x1b36,
                                              .device = 0x0010,
                                              .class_code = 0x010802,
                                              .iommu_set = 9,
                                              .below = BRIDGE});
        expect_early(h, PAIR_NVME, 0, "");
        assert_at(h, PAIR_NVME, "", "(null)");
        expect_mark(h, PAIR_NVME, "");
}

static void test_unwinding_ends_the_order(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        mark_by_hand(h, NIC);
        fake_host_fail(h, "probe " NIC " nothing 1");
        assert_failure(bind_persistent(h, NIC), FAILURE_DRIVER, "has been undone");
        assert_at(h, NIC, "e1000e", "(null)");
        expect_mark(h, NIC, "");
}

/* But what is out all the same keeps it. */
static void test_a_refused_bind_of_what_is_out_keeps_the_order(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        mark_by_hand(h, NIC);
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "pci-stub\n");
        assert_failure(bind_persistent(h, NIC), FAILURE_DRIVER, "pci-stub");
        expect_mark(h, NIC, BOOT);
}

static void test_without_a_boot_nothing_is_bound_for_boots(void **state) {
        static const char *const bad[] = {"", "none\n", "01234567-89ab-cdef-0123-456789abcde\n",
                                          "0123456789ABCDEF0123456789ABCDEF\n"};
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                fake_host_write(h, "proc/sys/kernel/random/boot_id", "%s", bad[i]);
                assert_failure(bind_persistent(h, NIC), FAILURE_INTERNAL, "boot_id");
        }
        assert_log(h, "");
}

/* A mark that an earlier boot left, and by now the host needs the device: no later boot may take it. */
static void test_what_the_host_needs_loses_the_mark(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        mark_by_hand(h, NIC);
        fake_host_add_net(h, "devices/pci0000:01/" NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        assert_failure(bind_persistent(h, NIC), FAILURE_CRITICAL, "192.0.2.7");
        expect_mark(h, NIC, "");
}

/* Whatever the refusal was for: it stays with the host, and in the next boot the reason may be gone. */
static void test_a_refused_bind_ends_the_order(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        mark_by_hand(h, NIC);
        fake_host_add_device(
                        h, &(FakeDevice){.address = "0000:01:00.1", .class_code = 0x020000, .iommu_set = 7});
        assert_failure(bind_persistent(h, NIC), FAILURE_IDENTITY_CHANGED, "share");
        expect_mark(h, NIC, "");
        fake_host_remove_device(h, "0000:01:00.1");

        mark_by_hand(h, NIC);
        fake_host_remove(h, "fake/network");
        assert_failure(bind_persistent(h, NIC), FAILURE_CRITICAL, "Nothing was moved");
        expect_mark(h, NIC, "");
        assert_log(h, "");
}

/* A mark that somebody left behind is no part of the consent that is given now. */
static void test_new_consent_is_no_order(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, MARK_OF(NIC), BOOT "\n");
        assert_success(grant(h, 0, LIST(NIC)));
        expect_mark(h, NIC, "");
        fake_host_write(h, MARK_OF(NIC), BOOT "\n");
        assert_success(take_back(h, LIST(NIC)));
        assert_false(fake_host_exists(h, MARK_OF(NIC)));
}

/* The mark of a pending grant is no order yet, and Keep makes none of it for what the host has by now. */
static void test_keep_makes_no_order_for_a_device_at_home(void **state) {
        FakeHost *h = *state;

        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        expect_mark(h, NIC, BOOT);
        fake_kernel_unbind_address(NIC);
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "(null)\n");
        expect_early(h, NIC, 0, "");
        assert_success(run_on(h, request_keep, LIST(NIC)));
        expect_mark(h, NIC, "");
        expect_early(h, NIC, 0, "");

        /* Nor for what is not there; but what is out keeps its own. */
        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        assert_success(run_on(h, request_keep, LIST(NIC)));
        expect_mark(h, NIC, BOOT);
        assert_success(grant_pending(h, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        assert_success(run_on(h, request_keep, LIST(NIC)));
        expect_mark(h, NIC, "");
}

static void test_a_damaged_mark_is_none(void **state) {
        static const char *const bad[] = {"",
                                          "yes\n",
                                          BOOT "0\n",
                                          "boot=" BOOT "\n",
                                          BOOT "\n" BOOT "\n",
                                          "0123456789ABCDEF0123456789abcdef\n"};
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                fake_host_write(h, MARK_OF(NIC), "%s", bad[i]);
                expect_mark(h, NIC, "");
        }
        mark_by_hand(h, NIC);
        assert_int_equal(fchmodat(h->fd, MARK_OF(NIC), 0666, 0), 0);
        expect_mark(h, NIC, "");
        fake_kernel_unbind_address(NIC);
        expect_early(h, NIC, 0, "");
}

static void test_rm_of_a_selector_ends_what_was_made_of_it(void **state) {
        FakeHost *h = *state;

        assert_success(run_on_ids(h, request_grant_ids, LIST("8086:10d3")));
        assert_success(bind_persistent(h, NIC));
        fake_host_remove(h, GRANTS_DIR "/8086:10d3.ids");
        fake_kernel_unbind_address(NIC);
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "(null)\n");
        expect_early(h, NIC, 0, "");
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_NOT_GRANTED, NIC);
}

/* After a reboot: the mark is there, and neither driver nor override. */
static void reboot(FakeHost *h, bool vfio_is_loaded) {
        assert_success(grant(h, 0, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        assert_success(bind_persistent(h, NIC));
        assert_success(bind_persistent(h, PAIR_NIC));
        for (size_t i = 0; i < 3; i++) {
                const char *address = LIST(NIC, PAIR_NIC, PAIR_NVME)[i];
                char path[128];

                fake_kernel_unbind_address(address);
                (void)snprintf(path, sizeof path, "sys/%s/driver_override",
                               fake_host_device_path(h, address));
                fake_host_write(h, path, "(null)\n");
        }
        if (!vfio_is_loaded)
                fake_host_remove(h, "sys/bus/pci/drivers/" VFIO_DRIVER);
        fake_host_clear(h);
}

static void test_taken_before_vfio_is_loaded(void **state) {
        FakeHost *h = *state;

        reboot(h, false);
        expect_early(h, NIC, 1, "");
        assert_log(h, "override " NIC " vfio-pci\n");
        assert_at(h, NIC, "", "vfio-pci");
        /* udev may come twice. */
        expect_early(h, NIC, 1, "");
}

/* Where the card beside it has no mark, its event would load the driver of both. What cannot be had yet keeps its mark:
 * its own event comes. */
static void test_all_before_the_first_event(void **state) {
        FakeHost *h = *state;

        reboot(h, false);
        fake_host_remove(h, "sys/bus/pci/devices/" PAIR_NIC "/iommu_group");
        assert_int_equal(unlinkat(h->fd, GRANTS_DIR "/" PAIR_NVME ".boot", 0), 0);
        fake_host_write(h, GRANTS_DIR "/no-address.boot", BOOT "\n");
        fake_host_write(h, GRANTS_DIR "/0000:99:00.0.boot", BOOT "\n");
        early_bind_all(h->fd);
        assert_log(h, "override " NIC " vfio-pci\n");
        expect_mark(h, PAIR_NIC, BOOT);

        fake_host_clear(h);
        expect_early(h, NIC, 1, "");
        expect_early(h, PAIR_NIC, -1, "No IOMMU");
}

static void test_nothing_before_the_first_event_when_switched_off(void **state) {
        FakeHost *h = *state;

        reboot(h, false);
        fake_host_write(h, "proc/cmdline", "quiet verge_passthrough=off\n");
        early_bind_all(h->fd);
        assert_log(h, "");
        expect_mark(h, NIC, BOOT);
}

static void test_taken_at_once_when_vfio_is_there(void **state) {
        FakeHost *h = *state;

        reboot(h, true);
        expect_early(h, PAIR_NIC, 1, "");
        assert_log(h, "override " PAIR_NIC " vfio-pci\nprobe " PAIR_NIC "\n");
        expect_early(h, PAIR_NVME, 1, "");
        assert_pair_in_pool(h);
        fake_host_clear(h);
        expect_early(h, PAIR_NIC, 1, ""); /* the replay of the event */
        assert_log(h, "");
        assert_success(bind_persistent(h, PAIR_NIC)); /* and for the helper it is what a Bind left */
        assert_log(h, "");
}

static void test_siblings_may_come_later_but_no_others(void **state) {
        FakeHost *h = *state;

        reboot(h, true);
        fake_host_remove_device(h, PAIR_NVME);
        expect_early(h, PAIR_NIC, 1, "");

        fake_kernel_unbind_address(PAIR_NIC);
        fake_host_add_device(
                        h, &(FakeDevice){.address = "0000:05:03.0", .class_code = 0x020000, .iommu_set = 9});
        fake_host_clear(h);
        expect_early(h, PAIR_NIC, -1, "share the IOMMU set");
        assert_log(h, "");
}

static void test_not_ours(void **state) {
        FakeHost *h = *state;

        expect_early(h, NIC, 0, ""); /* no grant */
        assert_success(grant(h, 0, LIST(NIC)));
        expect_early(h, NIC, 0, ""); /* at home, unmarked */
        assert_success(move(h, MOVE_BIND, NIC));
        expect_early(h, NIC, 0, ""); /* bound, but not for boots */
        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_success(take_back(h, LIST(NIC)));

        /* Pending consent does not outlive a boot, wherever its file comes from. */
        assert_success(grant_pending(h, LIST(NIC)));
        assert_success(bind_persistent(h, NIC));
        expect_mark(h, NIC, BOOT);
        fake_kernel_unbind_address(NIC);
        fake_host_clear(h);
        expect_early(h, NIC, 0, "");
        assert_log(h, "");
}

static void test_switched_off(void **state) {
        FakeHost *h = *state;

        reboot(h, true);
        fake_host_write(h, "proc/cmdline", "quiet verge_passthrough=off root=/dev/vda1\n");
        expect_early(h, NIC, 0, "");
        assert_log(h, "");
}

static void test_only_an_address(void **state) {
        static const char *const bad[] = {
                        "",       "01:00.0",           NIC " ", "../" NIC, NIC "/../" PAIR_NIC,
                        "--help", "0000:01:00.0.grant"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                expect_early(*state, bad[i], -1, "PCI address");
}

static void test_left_to_the_host(void **state) {
        FakeHost *h = *state;

        reboot(h, true);

        fake_host_write(h, "sys/bus/pci/devices/" NIC "/revision", "0x07\n");
        expect_early(h, NIC, -1, "not what was granted");
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/revision", "0x00\n");
        expect_mark(h, NIC, ""); /* each time: the host may use it by the next boot */

        mark_by_hand(h, NIC);
        fake_host_write(h, "sys/bus/pci/slots/1/address", "0000:99:00\n");
        fake_host_write(h, "sys/bus/pci/slots/2/address", "0000:01:00\n");
        expect_early(h, NIC, -1, "not what was granted");
        fake_host_write(h, "sys/bus/pci/slots/2/address", "0000:99:00\n");
        fake_host_write(h, "sys/bus/pci/slots/1/address", "0000:01:00\n");

        mark_by_hand(h, NIC);
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "pci-stub\n");
        expect_early(h, NIC, -1, "pci-stub");
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "(null)\n");

        mark_by_hand(h, NIC);
        fake_host_remove(h, "sys/bus/pci/devices/" NIC "/iommu_group");
        expect_early(h, NIC, -1, "No IOMMU");
        assert_log(h, "");
        mark_by_hand(h, NIC);

        assert_int_equal(fchmodat(h->fd, GRANT_OF(NIC), 0666, 0), 0);
        expect_early(h, NIC, -1, "root's alone");
        assert_int_equal(fchmodat(h->fd, GRANT_OF(NIC), 0644, 0), 0);
        fake_host_remove_device(h, NIC);
        expect_early(h, NIC, -1, NIC);
        assert_log(h, "");
}

static void test_a_driver_that_was_faster_keeps_it(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        mark_by_hand(h, NIC);
        expect_early(h, NIC, -1, "e1000e");
        expect_mark(h, NIC, "");
        assert_log(h, "");
        assert_at(h, NIC, "e1000e", "(null)");
}

static void test_what_vfio_does_not_take_goes_back(void **state) {
        FakeHost *h = *state;

        reboot(h, true);
        fake_host_fail(h, "probe " NIC " nothing 1");
        expect_early(h, NIC, -1, "not taken by vfio-pci");
        assert_at(h, NIC, "e1000e", "(null)"); /* offered to the host again, whose driver may be loaded */
        expect_mark(h, NIC, "");

        fake_kernel_unbind_address(NIC);
        mark_by_hand(h, NIC);
        fake_host_clear(h);
        fake_host_fail(h, "override " NIC " EIO 1");
        expect_early(h, NIC, -1, "Input/output error");
        assert_at(h, NIC, "", "(null)");
}

static void expect_told(int journal, const char *result, const char *message) {
        char text[4096];

        assert_true(journal_take(journal, text, sizeof text) > 0);
        if (!strstr(text, result) || !strstr(text, message) || !strstr(text, "\nVERGE_VERB=EarlyBind\n") ||
            !strstr(text, "\nVERGE_DEVICE=" NIC "\n") ||
            !strstr(text, "\nSYSLOG_IDENTIFIER=" HELPER_IDENTIFIER "\n"))
                fail_msg("no '%s' and '%s' in:\n%s", result, message, text);
}

/* What was done and what was not, once; that there was nothing to do is nothing to tell. */
static void test_what_the_audit_trail_has(void **state) {
        FakeHost *h = *state;
        char text[4096];
        int journal;

        reboot(h, true);
        journal = journal_listen(h);
        expect_early(h, NIC, 1, "");
        expect_told(journal, AUDIT_ID_CHANGE, "done. " NIC ": none to vfio-pci.\n");
        expect_early(h, NIC, 1, ""); /* the replay of the event */
        expect_early(h, BRIDGE, 0, "");
        assert_int_equal(journal_take(journal, text, sizeof text), -1);

        reboot(h, true);
        fake_host_fail(h, "probe " NIC " nothing 1");
        expect_early(h, NIC, -1, "not taken by vfio-pci");
        expect_told(journal, AUDIT_ID_FAILURE, "not taken by vfio-pci");
        assert_int_equal(journal_take(journal, text, sizeof text), -1);
        (void)close(journal);
}

static void test_where_the_helper_is_at_work(void **state) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _cleanup_close_ int fd = -1;
        FakeHost *h = *state;

        reboot(h, true);
        fd = openat(h->fd, LOCKS_DIR "/7", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        expect_early(h, NIC, -1, "Cannot lock");
        assert_log(h, "");

        /* Early in a boot there is nothing of ours below /run yet. */
        fake_host_remove(h, "run/verge-passthrough");
        expect_early(h, NIC, 1, "");
        assert_at(h, NIC, "vfio-pci", "vfio-pci");
}

/* udev handles the functions of a device side by side: each waits for the other, and both are taken. */
static void test_siblings_at_the_same_time(void **state) {
        FakeHost *h = *state;
        int status, lock;
        pid_t pid;

        reboot(h, true);
        fake_host_fail(h, "override " PAIR_NIC " hang 1");
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Failure f = {0};

                _exit(early_bind(h->fd, PAIR_NIC, 60, &f) > 0 ? 0 : 1);
        }
        while ((lock = lock_set(h->fd, 9, NULL)) >= 0) {
                (void)close(lock);
                (void)sched_yield();
        }
        expect_early(h, PAIR_NVME, -1, "Cannot lock");
        fake_host_let_go(h);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        expect_early(h, PAIR_NVME, 1, "");
        assert_pair_in_pool(h);
}

/* An NVMe's serial number is known to its driver alone: unknown now is not another. */
static void test_a_serial_that_cannot_be_read_yet(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/nvme/nvme0/serial", "S123\n");
        reboot(h, true);
        assert_string_equal(read_grant(h, PAIR_NVME).identity.serial, "S123");
        fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/nvme/nvme0/serial", "S124\n");
        expect_early(h, PAIR_NVME, -1, "not what was granted");
        mark_by_hand(h, PAIR_NVME);
        fake_host_remove(h, "sys/bus/pci/devices/" PAIR_NVME "/nvme");
        expect_early(h, PAIR_NVME, 1, "");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_bind_marks_and_unmarks),
                        CASE(test_each_way_home_unmarks),
                        CASE(test_release_unmarks_the_grant_below),
                        CASE(test_the_mark_goes_before_the_device_comes_home),
                        CASE(test_a_mark_that_cannot_be_written),
                        CASE(test_a_mark_that_cannot_be_removed),
                        CASE(test_a_full_disk_makes_no_order_outlive_a_release),
                        CASE(test_release_ends_the_order_of_all_that_were_granted_together),
                        CASE(test_unwinding_ends_the_order),
                        CASE(test_a_refused_bind_of_what_is_out_keeps_the_order),
                        CASE(test_a_refused_bind_ends_the_order),
                        CASE(test_new_consent_is_no_order),
                        CASE(test_keep_makes_no_order_for_a_device_at_home),
                        CASE(test_a_damaged_mark_is_none),
                        CASE(test_rm_of_a_selector_ends_what_was_made_of_it),
                        CASE(test_without_a_boot_nothing_is_bound_for_boots),
                        CASE(test_what_the_host_needs_loses_the_mark),
                        CASE(test_taken_before_vfio_is_loaded),
                        CASE(test_all_before_the_first_event),
                        CASE(test_nothing_before_the_first_event_when_switched_off),
                        CASE(test_taken_at_once_when_vfio_is_there),
                        CASE(test_siblings_may_come_later_but_no_others),
                        CASE(test_not_ours),
                        CASE(test_switched_off),
                        CASE(test_only_an_address),
                        CASE(test_left_to_the_host),
                        CASE(test_a_driver_that_was_faster_keeps_it),
                        CASE(test_what_vfio_does_not_take_goes_back),
                        CASE(test_what_the_audit_trail_has),
                        CASE(test_where_the_helper_is_at_work),
                        CASE(test_siblings_at_the_same_time),
                        CASE(test_a_serial_that_cannot_be_read_yet),
        };

        return cmocka_run_group_tests_name("request-early", tests, NULL, NULL);
}
