/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions: the grant of the physical one, how many there are, and what becomes of them in between. */

#include "access.h"
#include "confine.h"
#include "early.h"
#include "lock.h"
#include "sysfs-write.h"
#include "vfs-fixture.h"

/* Somebody else has the lock of the first one's set, until somebody waits for it. */
static int held = -1;

int __real_lock_set(int root, unsigned set, const WorkerResult *wait);
int __wrap_lock_set(int root, unsigned set, const WorkerResult *wait);
int __wrap_lock_set(int root, unsigned set, const WorkerResult *wait) {
        if (set == VF0_SET && wait) {
                closep(&held);
                held = -1;
        }
        return __real_lock_set(root, set, wait);
}

/* The fake kernel's own behaviour, by the same writes. */
static int write_numvfs(FakeHost *h, const char *n) {
        _cleanup_close_ int fd = open(h->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int device =
                        openat(fd, "sys/bus/pci/devices/" PF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return sysfs_write(device, "sriov_numvfs", n);
}

static void test_the_fake_acts_like_the_kernel(void **state) {
        FakeHost *h = *state;

        assert_int_equal(write_numvfs(h, "9\n"), -ERANGE);
        assert_int_equal(write_numvfs(h, "0\n"), 0);
        assert_int_equal(write_numvfs(h, "3\n"), 0);
        assert_int_equal(count_vfs(h), 3);
        assert_at(h, VF0, "igbvf", "(null)");
        assert_int_equal(write_numvfs(h, "3\n"), 0);
        assert_int_equal(write_numvfs(h, "2\n"), -EBUSY);
        assert_int_equal(write_numvfs(h, "0\n"), 0);
        assert_int_equal(count_vfs(h), 0);
        assert_false(fake_host_exists(h, "sys/bus/pci/devices/" VF0));

        /* They do not outlive the driver, which alone makes them. */
        assert_int_equal(write_numvfs(h, "3\n"), 0);
        fake_kernel_unbind_address(PF);
        assert_int_equal(count_vfs(h), 0);
        assert_int_equal(write_numvfs(h, "3\n"), -ENOENT);
}

static void test_grant_says_what_and_how_many(void **state) {
        FakeHost *h = *state;
        Grant g;

        assert_success(grant_vfs(h, true, LIST(PF)));
        g = pf_grant(h);
        assert_true(g.covers_vfs && g.pending);
        assert_int_equal(g.vfs, 0);
        assert_int_equal(g.granted_by, 1000);
        assert_string_equal(g.identity.slot, "4");
        assert_string_equal(g.host_driver, "igb");
        assert_success(run_on(h, request_keep, LIST(PF)));
        assert_true(pf_grant(h).covers_vfs && !pf_grant(h).pending);
        assert_success(run_on(h, request_drop, LIST(PF)));
        assert_true(is_kept(h, PF));
        for (unsigned n = 0; n <= VFS_MAX; n++)
                fake_host_link(h, virtfn(n), "../" NIC);
        assert_failure(grant_vfs(h, false, LIST(PF)), FAILURE_LIMITS_EXCEEDED, "has more than 256 virtual");
        assert_failure(set_vfs(h, 0, false), FAILURE_LIMITS_EXCEEDED, "has more than 256 virtual");
        assert_log(h, "");
}

static void test_grant_refuses_what_is_none(void **state) {
        FakeHost *h = *state;
        Failure f;

        f = grant_vfs(h, false, LIST(PF, NIC));
        assert_failure(f, FAILURE_INVALID_ARGUMENT, "");
        assert_string_equal(f.sentence,
                            "Device " NIC " can have no virtual functions (SR-IOV); call Grant to let "
                            "it leave as a whole.");
        assert_false(is_kept(h, PF));

        fake_host_add_device(
                        h, &(FakeDevice){.address = "0000:0b:00.0", .class_code = 0x020000, .total_vfs = 4});
        assert_failure(grant_vfs(h, false, LIST("0000:0b:00.0")), FAILURE_CRITICAL,
                       "No IOMMU stands in front");
        assert_failure(grant_vfs(h, false, LIST("0000:66:00.0")), FAILURE_NO_SUCH_DEVICE, "0000:66:00.0");
}

/* The physical function and its virtual ones are never both given away. */
static void test_one_grant_or_the_other(void **state) {
        FakeHost *h = *state;
        Failure f;

        assert_success(grant(h, 0, LIST(PF)));
        f = grant_vfs(h, false, LIST(PF));
        assert_failure(f, FAILURE_CONFLICT, "");
        assert_string_equal(f.sentence,
                            "Device " PF " is granted as a whole; Revoke that, then call GrantVfs. "
                            "Nothing was granted.");
        assert_success(take_back(h, LIST(PF)));
        assert_success(grant_vfs(h, true, LIST(PF)));
        f = grant(h, 0, LIST(PF));
        assert_failure(f, FAILURE_CONFLICT, "");
        assert_string_equal(f.sentence,
                            "Device " PF " is granted for its virtual functions, and stays with the host "
                            "itself; call ReturnToHost for it first. Nothing was granted.");

        /* Nor does a grant by ids reach it. */
        assert_success(run_on_ids(h, request_grant_ids, LIST("8086:10c9")));
        assert_failure(move(h, MOVE_BIND, PF), FAILURE_NOT_GRANTED,
                       "its virtual functions may leave, not itself");
        assert_failure(move(h, MOVE_RELEASE, PF), FAILURE_NOT_GRANTED, PF);
        assert_true(pf_grant(h).covers_vfs);
        assert_at(h, PF, "igb", "(null)");
        assert_log(h, "");
}

static void test_grant_wants_it_at_the_host(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/bus/pci/devices/" PF "/driver_override", "vfio-pci\n");
        assert_failure(grant_vfs(h, false, LIST(PF)), FAILURE_NOT_BOUND,
                       "only its driver there makes virtual");
        fake_host_write(h, "sys/bus/pci/devices/" PF "/driver_override", "igb\n");
        assert_success(grant_vfs(h, false, LIST(PF)));
}

static void test_make_and_bind(void **state) {
        FakeHost *h = *state;

        assert_success(set_vfs(h, 2, true));
        assert_log(h, POOL_TWO);
        assert_pool_of_two(h);
        assert_int_equal(pf_grant(h).vfs, 2);

        /* Once more is nothing. */
        fake_host_clear(h);
        assert_success(set_vfs(h, 2, true));
        assert_log(h, "");
}

static void test_make_alone(void **state) {
        FakeHost *h = *state;

        assert_success(set_vfs(h, 2, false));
        assert_log(h, MAKE_TWO);
        assert_at(h, VF0, "", "(null)");
        assert_false(has_mark(h, VF0));
        assert_int_equal(pf_grant(h).vfs, 2);

        fake_host_clear(h);
        assert_success(set_vfs(h, 2, true));
        assert_log(h, TAKE(VF0) TAKE(VF1));
        assert_pool_of_two(h);
}

/* Those that were there stay there; what this call has bound does not stay bound. */
static void test_one_of_those_that_are_there_fails(void **state) {
        FakeHost *h = *state;
        Failure f;

        assert_success(set_vfs(h, 3, false));
        fake_host_fail(h, "probe " VF2 " nothing 1");
        f = set_vfs(h, 3, true);
        assert_failure(f, FAILURE_DRIVER, "All that was done before has been undone.");
        assert_int_equal(count_vfs(h), 3);
        assert_at(h, VF0, "", "(null)");
        assert_at(h, VF1, "", "(null)");
        assert_at(h, VF2, "", "(null)");
        assert_false(has_mark(h, VF0) || has_journal(h));
}

/* Somebody was quick and gave one to a VM: it is not taken from that. */
static void test_undo_takes_nothing_that_is_in_use(void **state) {
        FakeHost *h = *state;

        fake_host_hold_vfio(h, VF0_SET, true);
        assert_failure(set_vfs(h, 2, true), FAILURE_IN_USE, "Undoing what was done before failed too");
        assert_int_equal(count_vfs(h), 2);
        fake_host_hold_vfio(h, VF0_SET, false);
        assert_success(set_vfs(h, 0, false));
        assert_none(h);
}

static void test_a_driver_without_sriov(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "numvfs " PF " ENOENT 1");
        assert_failure(set_vfs(h, 2, true), FAILURE_DRIVER, "its driver cannot make virtual functions");
        assert_none(h);
}

static void test_another_number_goes_through_none(void **state) {
        FakeHost *h = *state;

        assert_success(set_vfs(h, 3, true));
        assert_log(h, "autoprobe " PF " 0\n" LEAVE(VF0) LEAVE(VF1) "numvfs " PF " 0\nnumvfs " PF
                                                                   " 3\n" TAKE(VF0) TAKE(VF1) TAKE(VF2));
        assert_true(has_mark(h, VF2));
        assert_int_equal(pf_grant(h).vfs, 3);

        fake_host_clear(h);
        assert_success(set_vfs(h, 0, true));
        assert_log(h, LEAVE(VF0) LEAVE(VF1) LEAVE(VF2) "numvfs " PF " 0\nautoprobe " PF " 1\n");
        assert_none(h);
        assert_int_equal(pf_grant(h).vfs, 0);
}

/* Consent is derived: from the link, and from what the physical function is. */
static void test_a_virtual_function_is_covered(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_RELEASE, VF0));
        assert_at(h, VF0, "", "(null)");
        assert_false(has_mark(h, VF0));
        assert_true(has_mark(h, VF1));
        assert_success(bind_persistent(h, VF0));
        assert_pool_of_two(h);
        assert_success(move(h, MOVE_RESET, VF0));
        assert_false(is_kept(h, VF0) || is_pending(h, VF0));
}

static void test_not_by_another_physical_function(void **state) {
        FakeHost *h = *state;
        Failure f;

        assert_success(move(h, MOVE_RELEASE, VF0));
        fake_host_write(h, "sys/bus/pci/slots/4/address", "0000:77:00\n");
        fake_host_write(h, "sys/bus/pci/slots/5/address", "0000:0a:00\n");
        fake_host_clear(h);
        f = move(h, MOVE_BIND, VF0);
        assert_failure(f, FAILURE_IDENTITY_CHANGED, "Device " PF " is not what was granted");
        refused(h, 3, FAILURE_IDENTITY_CHANGED, f.sentence);

        /* That keeps none from the host. */
        assert_success(move(h, MOVE_RELEASE, VF1));
        assert_at(h, VF1, "", "(null)");
}

static void test_without_the_grant_nothing_is_covered(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_RELEASE, VF0));
        fake_host_remove(h, GRANT_OF(PF));
        assert_failure(move(h, MOVE_BIND, VF0), FAILURE_NOT_GRANTED, VF0);
        refused(h, 0, FAILURE_NOT_GRANTED,
                "No administrator has granted that virtual functions of device " PF
                " may leave the host; call GrantVfs for it first.");
        fake_host_write(h, GRANT_OF(PF), "vfs=2\n");
        assert_failure(move(h, MOVE_BIND, VF0), FAILURE_NOT_GRANTED, "is damaged");
        refused(h, 0, FAILURE_NOT_GRANTED,
                "The grant of device " PF
                ", /" GRANT_OF(PF) ", is damaged or not root's alone; remove it and "
                                   "GrantVfs again.");
}

static void test_refusals(void **state) {
        FakeHost *h = *state;
        int lock;

        refused(h, 9, FAILURE_INVALID_ARGUMENT,
                "Device " PF " can have at most 8 virtual functions; ask for no more.");

        fake_host_hold_vfio(h, VF0_SET, true);
        refused(h, 0, FAILURE_IN_USE,
                "A VM holds " VF0
                " open (root finds it with 'fuser -v /dev/vfio/100'); shut it down and try "
                "again.");
        assert_success(set_vfs(h, 2, true)); /* nothing is to be done for that */
        fake_host_hold_vfio(h, VF0_SET, false);

        lock = lock_set(h->fd, VF0_SET, NULL);
        assert_true(lock >= 0);
        refused(h, 3, FAILURE_BUSY,
                "Nothing was changed: another operation on IOMMU set 100 is under way; try again when it "
                "has "
                "ended.");
        close(lock);

        fake_host_write(h, "proc/cmdline", "verge_passthrough=off\n");
        refused(h, 3, FAILURE_NOT_AUTHORIZED,
                "Passthrough is switched off by verge_passthrough=off on the kernel command line; boot "
                "without "
                "it.");
        assert_success(set_vfs(h, 0, false));
        assert_none(h);
}

static void test_what_was_opened_stays(void **state) {
        Request q = {.uid = 1000, .verb = MOVE_RESET, .fds = false};
        struct stat st;
        FakeHost *h = *state;

        assert_int_equal(fstatat(h->fd, "dev/vfio/100", &st, 0), 0);
        fake_host_write(h, ACCESS_DIR "/100", "format=1\nuid=1000\naccess=acl\nnode=%llu\n",
                        (unsigned long long)st.st_ino);
        request_devices(&q, LIST(VF0));
        refused(h, 0, FAILURE_CLAIMED,
                "Virtual function " VF0 " was opened for a VM; end that, and try again.");
        assert_failure(take_vfs_back(h, true, PF), FAILURE_CLAIMED, VF0);
        assert_pool_of_two(h);
}

static void test_what_the_host_uses_stays(void **state) {
        FakeHost *h = *state;

        assert_int_equal(write_numvfs(h, "2\n"), 0);
        assert_at(h, VF0, "igbvf", "(null)");
        refused(h, 3, FAILURE_CRITICAL,
                "Virtual function " VF0 " is used by the host (driver igbvf); unbind it from that, and try "
                "again.");
        assert_success(take_vfs_back(h, false, PF));
        assert_int_equal(count_vfs(h), 2);
}

static void test_the_driver_makes_them(void **state) {
        FakeHost *h = *state;

        fake_kernel_unbind_address(PF);
        refused(h, 2, FAILURE_DRIVER,
                "Device " PF
                " has no driver of the host, which alone makes and removes virtual functions; load "
                "it (see 'lspci -k -s " PF "') and try again.");
        assert_success(set_vfs(h, 0, false));
}

static void test_fewer_than_asked_for(void **state) {
        FakeHost *h = *state;
        Failure f;

        fake_host_fail(h, "numvfs " PF " nothing 1");
        f = set_vfs(h, 2, true);
        assert_failure(f, FAILURE_DRIVER, "");
        assert_string_equal(f.sentence,
                            "Device " PF " was to have 2 virtual functions, and its driver igb made 0; "
                            "see 'dmesg', and ask for another number. Device " PF
                            " has 0 virtual functions, as before.");
        assert_none(h);
}

/* As without ACS: nothing is bound, nothing stays. */
static void test_what_cannot_be_separated(void **state) {
        FakeHost *h = *state;
        Failure f;

        add_pf(h, true);
        assert_success(grant_vfs(h, false, LIST(PF)));
        f = set_vfs(h, 2, true);
        assert_failure(f, FAILURE_CRITICAL, "");
        assert_string_equal(f.sentence, "The IOMMU cannot separate virtual function " VF0 " from device " PF
                                        ", which stays with the host; put the card into a slot with ACS, "
                                        "and have the firmware "
                                        "switch that on. Device " PF " has 0 virtual functions, as before.");
        assert_none(h);

        /* Nor by Bind. */
        assert_success(set_vfs(h, 2, false));
        assert_failure(move(h, MOVE_BIND, VF0), FAILURE_NOT_GRANTED, "ACS");
        assert_at(h, VF0, "", "(null)");
        assert_success(set_vfs(h, 0, false));
        assert_none(h);
}

/* Those that were just made are waited for; what was there may be in the hands of who hangs. */
static void test_who_has_a_new_one_is_waited_for(void **state) {
        FakeHost *h = *state;

        held = __real_lock_set(h->fd, VF0_SET, NULL);
        assert_true(held >= 0);
        assert_success(set_vfs(h, 2, true));
        assert_int_equal(held, -1);
        assert_pool_of_two(h);

        held = __real_lock_set(h->fd, VF0_SET, NULL);
        assert_failure(set_vfs(h, 2, true), FAILURE_BUSY, "IOMMU set 100");
        assert_true(held >= 0);
        closep(&held);
        held = -1;
        assert_pool_of_two(h);
}

static bool may_write(FakeHost *h, const char *path) {
        _cleanup_close_ int fd = openat(h->fd, path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0 || errno == EACCES);
        return fd >= 0;
}

/* First below the bridge, then no more than what this card needs: to the end of its worker. */
static void confined(FakeHost *h) {
        Request q = {.confine = true, .writes = CONFINE_LOCKS | CONFINE_TARGETS | CONFINE_VFS};
        WorkerResult result = {.deadline = UINT64_MAX};
        static const char pf[] = "sys/bus/pci/devices/" PF "/sriov_numvfs",
                          elsewhere[] = "sys/bus/pci/devices/" NIC "/driver_override",
                          vf0[] = "sys/bus/pci/devices/" VF0 "/driver_override",
                          forbidden[] = "sys/bus/pci/devices/" VF0 "/uevent";
        PciAddress a;
        Target *t, *v;

        assert_int_equal(pci_address_parse(PF, &a), 0);
        assert_int_equal(target_open(h->fd, &a, TARGET_CHANGE, &result, &t), 0);
        t->vfs_to_come = true;
        assert_int_equal(confine(h->fd, &q, &t, 1, &result), 0);
        if (may_write(h, elsewhere)) /* a kernel without Landlock */
                return;
        assert_true(may_write(h, pf) && may_write(h, vf0) && may_write(h, forbidden));

        assert_int_equal(pci_address_parse(VF0, &a), 0);
        assert_int_equal(target_open(h->fd, &a, TARGET_TRY, &result, &v), 0);
        t->vfs = v;
        t->vfs_to_come = false;
        assert_int_equal(confine(h->fd, &q, &t, 1, &result), 0);
        assert_true(may_write(h, pf) && may_write(h, vf0));
        assert_false(may_write(h, forbidden) || may_write(h, elsewhere));
}

static void test_the_confinement(void **state) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                confined(*state);
                _exit(EXIT_SUCCESS);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_each_failure_is_undone(void **state) {
        static const char *const errors[] = {"EBUSY", "EIO", "ENODEV", "ENOSPC"};
        FakeHost *h = *state;
        char rule[64];
        Failure f;

        for (unsigned step = 1; step <= POOL_TWO_STEPS; step++)
                for (size_t e = 0; e < ELEMENTSOF(errors); e++) {
                        (void)snprintf(rule, sizeof rule, "* * %s %u", errors[e], step);
                        fake_host_fail(h, rule);
                        f = set_vfs(h, 2, true);
                        assert_failure(f, FAILURE_DRIVER,
                                       "Device " PF " has 0 virtual functions, as before.");
                        assert_none(h);
                        assert_int_equal(pf_grant(h).vfs, 0);
                        fake_host_clear(h);
                }
        assert_success(set_vfs(h, 2, true));
        assert_pool_of_two(h);
}

/* Two leave, autoprobe, none, three: the number of before comes back, and the next SetVfs gives the rest. */
static void test_each_failure_of_a_change_is_undone(void **state) {
        FakeHost *h = *state;
        char rule[64];
        Failure f;

        for (unsigned step = 1; step <= 5; step++) {
                (void)snprintf(rule, sizeof rule, "* * EIO %u", step);
                fake_host_fail(h, rule);
                f = set_vfs(h, 3, true);
                assert_failure(f, FAILURE_DRIVER, "Device " PF " has 2 virtual functions, as before.");
                assert_int_equal(count_vfs(h), 2);
                assert_int_equal(pf_grant(h).vfs, 2);
                assert_false(has_journal(h));
                if (step < 5) /* they were never gone */
                        assert_at(h, VF0, "vfio-pci", "vfio-pci");
                fake_host_clear(h);
                assert_success(set_vfs(h, 2, true));
                assert_pool_of_two(h);
                fake_host_clear(h);
        }
}

static void test_what_cannot_be_undone_is_told(void **state) {
        FakeHost *h = *state;
        Failure f;
        Move m;

        fake_host_fail(h, "probe * nothing 1");
        fake_host_fail(h, "numvfs " PF " EIO 2");
        f = set_vfs(h, 2, true);
        assert_failure(f, FAILURE_DRIVER,
                       "Undoing what was done before failed too: Failed setting the number of "
                       "virtual functions of " PF " to 0");
        assert_int_equal(move_read(h->fd, "20", &m), 0);
        assert_int_equal(m.verb, MOVE_VFS);
        assert_non_null(strstr(m.stuck, PF));

        fake_host_clear(h);
        assert_success(set_vfs(h, 2, true));
        assert_pool_of_two(h);
}

static bool set_vfs_in_child(FakeHost *h, unsigned n) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)set_vfs(h, n, true);
                _exit(EXIT_SUCCESS);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status);
}

/* kill -9 before and after the effect of each write. Whichever comes next alone mends it. */
static void killed_at_each_step(FakeHost *h, unsigned from, unsigned to, unsigned steps,
                                void (*mend)(FakeHost *h)) {
        static const char *const ways[] = {"kill", "kill-after"};
        char rule[64];

        for (unsigned step = 1; step <= steps; step++)
                for (size_t w = 0; w < ELEMENTSOF(ways); w++) {
                        assert_success(set_vfs(h, from, true));
                        fake_host_clear(h);
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[w], step);
                        fake_host_fail(h, rule);
                        assert_false(set_vfs_in_child(h, to));
                        fake_host_clear(h);
                        assert_true(has_journal(h));
                        mend(h);
                        assert_false(has_journal(h));
                }
}

static void mend_by_two(FakeHost *h) {
        assert_success(set_vfs(h, 2, true));
        assert_pool_of_two(h);
        assert_int_equal(pf_grant(h).vfs, 2);
}

static void mend_by_none(FakeHost *h) {
        assert_success(set_vfs(h, 0, true));
        assert_none(h);
        assert_int_equal(pf_grant(h).vfs, 0);
}

/* Recover only ends the entry; those that are there can be bound, and go home. */
static void mend_by_hand(FakeHost *h) {
        static const char *const addresses[] = {VF0, VF1};

        assert_success(recover(h, PF));
        assert_log(h, "");
        assert_false(has_journal(h));
        for (size_t i = 0; i < count_vfs(h) && i < 2; i++) {
                assert_success(bind_persistent(h, addresses[i]));
                assert_at(h, addresses[i], "vfio-pci", "vfio-pci");
                assert_success(move(h, MOVE_RELEASE, addresses[i]));
                assert_at(h, addresses[i], "", "(null)");
        }
}

static void test_killed_while_making(void **state) {
        killed_at_each_step(*state, 0, 2, POOL_TWO_STEPS, mend_by_two);
        killed_at_each_step(*state, 0, 2, POOL_TWO_STEPS, mend_by_none);
        killed_at_each_step(*state, 0, 2, POOL_TWO_STEPS, mend_by_hand);
}

static void test_killed_while_removing(void **state) {
        killed_at_each_step(*state, 2, 0, 4, mend_by_two);
        killed_at_each_step(*state, 2, 0, 4, mend_by_none);
        killed_at_each_step(*state, 2, 0, 4, mend_by_hand);
}

static void test_killed_while_changing(void **state) {
        killed_at_each_step(*state, 3, 2, 10, mend_by_two);
        killed_at_each_step(*state, 3, 2, 10, mend_by_none);
}

/* It has a move of its own behind it, of a set that is not there any more. */
static void test_old_moves_are_forgotten(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "unbind " VF0 " kill-after 1");
        assert_false(move_in_child(h, MOVE_RELEASE, VF0));
        assert_true(fake_host_exists(h, MOVES_DIR "/100"));
        fake_host_clear(h);
        assert_success(set_vfs(h, 0, false));
        assert_false(fake_host_exists(h, MOVES_DIR "/100"));
        assert_none(h);
}

/* Nor is one of the card's own set, from before it was granted for its functions alone. */
static void test_another_move_comes_first(void **state) {
        Move m = {.verb = MOVE_RELEASE, .set = {.number = PF_SET}};
        char text[MOVE_TEXT_SIZE];
        FakeHost *h = *state;
        PciAddress a;

        assert_int_equal(pci_address_parse(PF, &a), 0);
        assert_int_equal(iommu_set_add(&m.set, &a), 0);
        assert_true(move_format(&m, text, sizeof text) > 0);
        fake_host_write(h, MOVES_DIR "/20", "%s", text);
        assert_failure(set_vfs(h, 0, false), FAILURE_BUSY,
                       "An earlier release of the IOMMU set of device " PF);
        assert_true(fake_host_exists(h, MOVES_DIR "/20"));
        assert_int_equal(count_vfs(h), 2);
        assert_log(h, "");

        assert_success(recover(h, PF));
        assert_success(set_vfs(h, 0, false));
}

static void test_a_disk_that_is_full(void **state) {
        FakeHost *h = *state;

        fake_host_mkdir(h, IN_THE_WAY(PF));
        assert_failure(set_vfs(h, 2, false), FAILURE_INTERNAL, "but that could not be written to its grant");
        assert_int_equal(count_vfs(h), 2);
        fake_host_remove(h, IN_THE_WAY(PF));
        fake_host_mkdir(h, IN_THE_WAY_OF_MARK(VF1));
        assert_failure(set_vfs(h, 2, true), FAILURE_INTERNAL, GRANTS_DIR);
        fake_host_remove(h, IN_THE_WAY_OF_MARK(VF1));
        assert_success(set_vfs(h, 2, true));
        assert_pool_of_two(h);
        assert_int_equal(pf_grant(h).vfs, 2);
}

static void test_revoke(void **state) {
        FakeHost *h = *state;
        Failure f;

        f = take_vfs_back(h, false, PF);
        assert_failure(f, FAILURE_NOT_BOUND, "");
        assert_string_equal(f.sentence,
                            "Virtual function " VF0 " is not at the host; Release it, or have all of "
                            "them removed, before their grant is taken back.");
        fake_host_hold_vfio(h, VF0_SET, true);
        assert_failure(take_vfs_back(h, true, PF), FAILURE_IN_USE, VF0);
        fake_host_hold_vfio(h, VF0_SET, false);
        assert_log(h, "");
        assert_pool_of_two(h);

        assert_success(take_vfs_back(h, true, PF));
        assert_log(h, LEAVE(VF0) LEAVE(VF1) "numvfs " PF " 0\nautoprobe " PF " 1\n");
        assert_none(h);
        assert_false(is_kept(h, PF));
}

/* Consent must not need a driver to be taken back; and those that the host makes later are its own. */
static void test_revoke_without_a_driver(void **state) {
        FakeHost *h = *state;
        char path[4400];

        fake_kernel_unbind_address(PF);
        fake_host_clear(h);
        assert_success(take_vfs_back(h, true, PF));
        assert_log(h, "autoprobe " PF " 1\n");
        assert_false(is_kept(h, PF));

        (void)snprintf(path, sizeof path, "%s/sys/%s", h->root, fake_host_device_path(h, PF));
        assert_int_equal(fake_kernel_bind(path, "igb"), 0);
        assert_int_equal(count_vfs(h), 0);
        expect_attribute(h, "sriov_drivers_autoprobe", "1\n");
}

/* In another slot it is not what was granted, but its functions would never come home without that grant. */
static void test_revoke_of_what_has_moved(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/bus/pci/slots/4/address", "0000:77:00\n");
        fake_host_write(h, "sys/bus/pci/slots/5/address", "0000:0a:00\n");
        assert_failure(take_vfs_back(h, false, PF), FAILURE_NOT_BOUND, VF0);
        assert_true(is_kept(h, PF));
        assert_pool_of_two(h);

        assert_success(take_vfs_back(h, true, PF));
        assert_none(h);
        assert_false(is_kept(h, PF));
}

/* Of another make it is another card, and what that has is none of ours. */
static void test_revoke_of_another_card(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/bus/pci/devices/" PF "/device", "0x10fb\n");
        fake_host_clear(h);
        assert_success(take_vfs_back(h, true, PF));
        assert_log(h, "");
        assert_int_equal(count_vfs(h), 2);
        assert_false(is_kept(h, PF));
}

static void test_revoke_that_fails_keeps_the_grant(void **state) {
        FakeHost *h = *state;
        Failure f;

        fake_host_fail(h, "numvfs " PF " EBUSY 1");
        f = take_vfs_back(h, true, PF);
        assert_failure(f, FAILURE_DRIVER,
                       "Device " PF " has 2 virtual functions, as before. No grant was removed");
        assert_at(h, VF0, "vfio-pci", "vfio-pci");
        assert_true(is_kept(h, PF));
}

static void test_drop(void **state) {
        FakeHost *h = *state;

        assert_success(grant_vfs(h, true, LIST(PF)));
        assert_success(set_vfs(h, 2, true));
        assert_failure(run_on(h, request_drop, LIST(PF)), FAILURE_NOT_BOUND, VF0);
        assert_true(is_pending(h, PF));
        assert_success(set_vfs(h, 0, false));
        assert_success(run_on(h, request_drop, LIST(PF)));
        assert_false(is_pending(h, PF));
        assert_none(h);
}

/* A card with two ports, which share a set: the other one's grant is another matter. */
static void test_ports_of_one_set(void **state) {
        Request both = {.release = true};
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:0a:01.0",
                                              .vendor = 0x8086,
                                              .device = 0x10c9,
                                              .class_code = 0x020000,
                                              .driver = "igb",
                                              .iommu_set = PF_SET,
                                              .total_vfs = 8});
        assert_success(grant_vfs(h, false, LIST(PF)));
        assert_success(grant_vfs(h, true, LIST("0000:0a:01.0")));
        assert_success(set_vfs(h, 2, true));
        assert_pool_of_two(h);
        assert_success(run_on(h, request_drop, LIST("0000:0a:01.0")));
        assert_success(grant_vfs(h, false, LIST("0000:0a:01.0")));
        assert_success(take_vfs_back(h, false, "0000:0a:01.0"));
        assert_pool_of_two(h);
        assert_true(is_kept(h, PF));

        assert_success(grant_vfs(h, false, LIST("0000:0a:01.0")));
        assert_success(set_vfs_of(h, "0000:0a:01.0", 1, true));
        assert_at(h, "0000:0a:11.0", "vfio-pci", "vfio-pci");
        request_devices(&both, LIST(PF, "0000:0a:01.0"));
        assert_success(run_work(h, request_revoke, &both, NULL));
        assert_none(h);
        assert_false(fake_host_exists(h, "sys/bus/pci/devices/0000:0a:11.0"));
        assert_false(is_kept(h, PF) || is_kept(h, "0000:0a:01.0") || has_mark(h, "0000:0a:11.0"));
}

/* The order to be bound at boot is for devices that are there at boot, and are granted themselves. */
static void test_early_binding_knows_none(void **state) {
        static const char *const addresses[] = {PF, VF0};
        FakeHost *h = *state;
        Failure f = {0};

        assert_success(move(h, MOVE_RELEASE, VF0));
        fake_kernel_unbind_address(PF);
        assert_success(set_vfs(h, 0, false));
        fake_host_write(h, MARK_OF(PF), BOOT "\n");
        fake_host_write(h, MARK_OF(VF0), BOOT "\n");
        fake_host_clear(h);
        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                assert_int_equal(early_bind(h->fd, addresses[i], 10, &f), 0);
                assert_int_equal(f.kind, FAILURE_NONE);
        }
        early_bind_all(h->fd);
        assert_log(h, "");
        assert_at(h, PF, "", "(null)");
}

/* More than fit into one batch of files, or one set. */
static void test_many(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/bus/pci/devices/" PF "/sriov_totalvfs", "70\n");
        assert_success(set_vfs(h, 70, true));
        assert_int_equal(count_vfs(h), 70);
        assert_true(has_mark(h, VF0) && has_mark(h, VF2) && has_mark(h, "0000:0a:18.5"));
        assert_at(h, "0000:0a:18.5", "vfio-pci", "vfio-pci");
        assert_int_equal(pf_grant(h).vfs, 70);
        assert_success(set_vfs(h, 0, false));
        assert_none(h);
        assert_false(has_mark(h, "0000:0a:18.5"));
}

#define CASE(name, before) cmocka_unit_test_setup_teardown(name, before, fixture_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        CASE(test_the_fake_acts_like_the_kernel, setup_ungranted),
                        CASE(test_grant_says_what_and_how_many, setup_ungranted),
                        CASE(test_grant_refuses_what_is_none, setup_ungranted),
                        CASE(test_one_grant_or_the_other, setup_ungranted),
                        CASE(test_grant_wants_it_at_the_host, setup_ungranted),
                        CASE(test_make_and_bind, setup),
                        CASE(test_make_alone, setup),
                        CASE(test_one_of_those_that_are_there_fails, setup),
                        CASE(test_undo_takes_nothing_that_is_in_use, setup),
                        CASE(test_a_driver_without_sriov, setup),
                        CASE(test_another_number_goes_through_none, setup_pool),
                        CASE(test_a_virtual_function_is_covered, setup_pool),
                        CASE(test_not_by_another_physical_function, setup_pool),
                        CASE(test_without_the_grant_nothing_is_covered, setup_pool),
                        CASE(test_refusals, setup_pool),
                        CASE(test_what_was_opened_stays, setup_pool),
                        CASE(test_what_the_host_uses_stays, setup),
                        CASE(test_the_driver_makes_them, setup),
                        CASE(test_fewer_than_asked_for, setup),
                        CASE(test_what_cannot_be_separated, fixture_setup),
                        CASE(test_who_has_a_new_one_is_waited_for, setup),
                        CASE(test_the_confinement, setup_pool),
                        CASE(test_each_failure_is_undone, setup),
                        CASE(test_each_failure_of_a_change_is_undone, setup_pool),
                        CASE(test_what_cannot_be_undone_is_told, setup),
                        CASE(test_killed_while_making, setup),
                        CASE(test_killed_while_removing, setup),
                        CASE(test_killed_while_changing, setup),
                        CASE(test_old_moves_are_forgotten, setup_pool),
                        CASE(test_another_move_comes_first, setup_pool),
                        CASE(test_a_disk_that_is_full, setup),
                        CASE(test_revoke, setup_pool),
                        CASE(test_revoke_without_a_driver, setup_pool),
                        CASE(test_revoke_of_what_has_moved, setup_pool),
                        CASE(test_revoke_of_another_card, setup_pool),
                        CASE(test_revoke_that_fails_keeps_the_grant, setup_pool),
                        CASE(test_drop, setup_ungranted),
                        CASE(test_ports_of_one_set, setup_ungranted),
                        CASE(test_early_binding_knows_none, setup_pool),
                        CASE(test_many, setup),
        };

        return cmocka_run_group_tests_name("virtual functions", tests, NULL, NULL);
}
