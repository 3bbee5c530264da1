/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request-fixture.h"

#define BIND_PAIR                                                                                           \
        "override " PAIR_NIC " vfio-pci\n"                                                                  \
        "override " PAIR_NVME " vfio-pci\n"                                                                 \
        "unbind " PAIR_NIC "\n"                                                                             \
        "probe " PAIR_NIC "\n"                                                                              \
        "unbind " PAIR_NVME "\n"                                                                            \
        "probe " PAIR_NVME "\n"
#define BIND_PAIR_STEPS 6U

#define RELEASE_PAIR                                                                                        \
        "clear " PAIR_NIC "\n"                                                                              \
        "clear " PAIR_NVME "\n"                                                                             \
        "unbind " PAIR_NIC "\n"                                                                             \
        "probe " PAIR_NIC "\n"                                                                              \
        "unbind " PAIR_NVME "\n"                                                                            \
        "probe " PAIR_NVME "\n"
#define RELEASE_PAIR_STEPS 6U

/* All is granted; the log begins after that. */
static int setup(void **state) {
        (void)fixture_setup(state);
        assert_success(grant(*state, 0, LIST(NIC)));
        assert_success(grant(*state, 0, LIST(PAIR_NIC, PAIR_NVME)));
        fake_host_clear(*state);
        return 0;
}

static int setup_bound(void **state) {
        (void)setup(state);
        assert_success(move(*state, MOVE_BIND, NIC));
        assert_success(move(*state, MOVE_BIND, PAIR_NIC));
        fake_host_clear(*state);
        return 0;
}

static void test_bind_one(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_BIND, NIC));
        assert_log(h, "override " NIC " vfio-pci\nunbind " NIC "\nprobe " NIC "\n");
        assert_at(h, NIC, "vfio-pci", "vfio-pci");
        assert_true(fake_host_exists(h, "dev/vfio/7"));
        assert_no_journal(h);
        assert_pair_home(h);
}

static void test_bind_moves_the_whole_set(void **state) {
        FakeHost *h = *state;

        /* Whichever is named; the bridge stays. */
        assert_success(move(h, MOVE_BIND, PAIR_NVME));
        assert_log(h, BIND_PAIR);
        assert_pair_in_pool(h);
        assert_at(h, BRIDGE, "", "(null)");
        assert_at(h, NIC, "e1000e", "(null)");
        assert_no_journal(h);
}

static void test_bind_again_writes_nothing(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_log(h, "");
}

static void test_bind_in_use_is_bound(void **state) {
        FakeHost *h = *state;

        fake_host_hold_vfio(h, 9, true);
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_log(h, "");
        fake_host_hold_vfio(h, 9, false);
}

static void test_bind_without_a_driver_before(void **state) {
        FakeHost *h = *state;

        fake_kernel_unbind_address(NIC);
        assert_success(move(h, MOVE_BIND, NIC));
        assert_log(h, "override " NIC " vfio-pci\nprobe " NIC "\n");
        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_at(h, NIC, "e1000e", "(null)");
}

static void test_bind_finishes_what_is_half_done(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "* * kill 4");
        assert_false(move_in_child(h, MOVE_BIND, PAIR_NIC));
        fake_host_clear(h);
        assert_at(h, PAIR_NIC, "", "vfio-pci");
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_pair_in_pool(h);
        assert_no_journal(h);
}

static void test_release_one(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_log(h, "clear " NIC "\nunbind " NIC "\nprobe " NIC "\n");
        assert_at(h, NIC, "e1000e", "(null)");
        assert_false(fake_host_exists(h, "dev/vfio/7"));
        assert_no_journal(h);
        assert_pair_in_pool(h);
}

static void test_release_moves_the_whole_set(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_log(h, RELEASE_PAIR);
        assert_pair_home(h);
        assert_no_journal(h);
}

static void test_release_at_the_host_writes_nothing(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_log(h, "");
        assert_pair_home(h);
}

/* Whatever step fails, with whatever error: all is as before, and the sentence names device and cause. */
static void test_bind_is_all_or_nothing(void **state) {
        static const char *const errors[] = {"EBUSY", "EIO", "ENODEV", "EINVAL", "EPERM"};
        FakeHost *h = *state;
        char rule[64];
        Failure f;

        for (unsigned step = 1; step <= BIND_PAIR_STEPS; step++)
                for (size_t e = 0; e < ELEMENTSOF(errors); e++) {
                        (void)snprintf(rule, sizeof rule, "* * %s %u", errors[e], step);
                        fake_host_fail(h, rule);
                        f = move(h, MOVE_BIND, PAIR_NIC);
                        assert_failure(f, FAILURE_DRIVER, "has been undone");
                        assert_non_null(strstr(f.sentence, "0000:05:0"));
                        assert_pair_home(h);
                        assert_no_journal(h);
                        fake_host_clear(h);
                }

        /* And nothing stands in the way of the next try. */
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        assert_pair_in_pool(h);
}

static void test_unwinding_is_the_reverse(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "unbind " PAIR_NVME " EBUSY 1");
        assert_failure(move(h, MOVE_BIND, PAIR_NIC), FAILURE_DRIVER, "unbinding " PAIR_NVME " from nvme");
        assert_log(h, "override " PAIR_NIC " vfio-pci\n"
                      "override " PAIR_NVME " vfio-pci\n"
                      "unbind " PAIR_NIC "\n"
                      "probe " PAIR_NIC "\n"
                      "unbind " PAIR_NVME " = EBUSY\n"
                      "clear " PAIR_NVME "\n"
                      "clear " PAIR_NIC "\n"
                      "unbind " PAIR_NIC "\n"
                      "probe " PAIR_NIC "\n");
        assert_pair_home(h);
}

/* drivers_probe says success whatever happens: only the link tells. */
static void test_a_probe_that_binds_nothing_is_a_failure(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "probe " PAIR_NVME " nothing 1");
        assert_failure(move(h, MOVE_BIND, PAIR_NIC), FAILURE_DRIVER, "did not bind it");
        assert_log(h, BIND_PAIR "clear " PAIR_NVME "\n"
                                "probe " PAIR_NVME "\n"
                                "clear " PAIR_NIC "\n"
                                "unbind " PAIR_NIC "\n"
                                "probe " PAIR_NIC "\n");
        assert_pair_home(h);
}

static void test_a_failed_unwinding_is_told_behind_the_cause(void **state) {
        FakeHost *h = *state;
        Failure f;

        fake_host_fail(h, "unbind " PAIR_NVME " EBUSY 1");
        fake_host_fail(h, "unbind " PAIR_NIC " EIO 2");
        f = move(h, MOVE_BIND, PAIR_NIC);
        assert_failure(f, FAILURE_DRIVER, "unbinding " PAIR_NVME);
        assert_non_null(strstr(f.sentence, "Undoing what was done before failed too"));
        assert_non_null(strstr(f.sentence, "unbinding " PAIR_NIC " from vfio-pci"));
        assert_at(h, PAIR_NVME, "nvme", "(null)");
        assert_at(h, PAIR_NIC, "vfio-pci", "(null)");

        /* Release is the next step, whatever it was. */
        fake_host_clear(h);
        assert_success(move(h, MOVE_RELEASE, PAIR_NVME));
        assert_pair_home(h);
}

/* The first line of the log that this device has after the swap, if any. */
static const char *line_of(const char *log, unsigned after, const char *address) {
        for (const char *line = log; line && *line;
             line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (after > 0)
                        after--;
                else if (memmem(line, strcspn(line, "\n"), address, strlen(address)))
                        return line;
        return NULL;
}

/* Another card in the place of a member, before each of the writes: the new card is never written to. */
static void identity_changes(FakeHost *h, MoveVerb verb, unsigned steps, const char *what) {
        static const char *const members[] = {PAIR_NIC, PAIR_NVME};
        char rule[64];

        for (unsigned step = 1; step < steps; step++)
                for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                        _cleanup_free_ char *log = NULL;
                        const char *line;
                        void *state;

                        (void)(verb == MOVE_BIND ? setup(&state) : setup_bound(&state));
                        h = state;
                        (void)snprintf(rule, sizeof rule, "* * %s:%s %u", what, members[i], step);
                        fake_host_fail(h, rule);
                        Failure f = move(h, verb, PAIR_NIC);
                        log = fake_host_log(h);
                        line = line_of(log, step, members[i]);
                        if (line)
                                fail_msg("%s after step %u wrote to it:\n%s", rule, step, log);
                        /* The first member is done with after the fourth write: what becomes of it then is
                         * nobody's concern. One that goes while it is probed was just not bound. */
                        if (f.kind == FAILURE_NONE)
                                assert_true(i == 0 && step >= 4);
                        else if (f.kind == FAILURE_DRIVER)
                                assert_true(i == 0 && step == 4 && streq(what, "remove"));
                        else
                                assert_int_equal(f.kind, streq(what, "swap") ? FAILURE_IDENTITY_CHANGED
                                                                             : FAILURE_NO_SUCH_DEVICE);
                        fake_host_free(h);
                }
        fake_kernel_attach("");
}

static void test_bind_notices_another_card(void **state _unused_) {
        identity_changes(NULL, MOVE_BIND, BIND_PAIR_STEPS, "swap");
}

static void test_release_notices_another_card(void **state _unused_) {
        identity_changes(NULL, MOVE_RELEASE, RELEASE_PAIR_STEPS, "swap");
}

static void test_bind_notices_surprise_unplug(void **state _unused_) {
        identity_changes(NULL, MOVE_BIND, BIND_PAIR_STEPS, "remove");
}

static void test_release_notices_surprise_unplug(void **state _unused_) {
        identity_changes(NULL, MOVE_RELEASE, RELEASE_PAIR_STEPS, "remove");
}

static void refused(FakeHost *h, MoveVerb verb, const char *address, FailureKind kind, const char *text) {
        assert_failure(move(h, verb, address), kind, text);
        assert_log(h, "");
        assert_no_journal(h);
}

static void test_a_damaged_grant_is_named(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, GRANT_OF(PAIR_NVME), "format=1\n");
        refused(h, MOVE_BIND, PAIR_NIC, FAILURE_NOT_GRANTED, GRANT_OF(PAIR_NVME));
}

/* A grant of a device that is long gone does not move another one, which root gave to vfio-pci for something else. */
static void test_release_of_another_device_at_the_address(void **state) {
        FakeHost *h = *state;
        char path[256];

        assert_success(grant(h, 0, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        fake_host_add_device(h, &(FakeDevice){.address = NIC,
                                              .vendor = 0x10de,
                                              .device = 0x1eb8,
                                              .class_code = 0x030200,
                                              .iommu_set = 7});
        fake_host_write(h, "sys/bus/pci/devices/" NIC "/driver_override", "vfio-pci\n");
        (void)snprintf(path, sizeof path, "%s/sys/%s", h->root, fake_host_device_path(h, NIC));
        assert_int_equal(fake_kernel_bind(path, "vfio-pci"), 0);
        fake_host_clear(h);
        refused(h, MOVE_BIND, NIC, FAILURE_IDENTITY_CHANGED, NIC);
        refused(h, MOVE_RELEASE, NIC, FAILURE_NOT_GRANTED, NIC);
        assert_at(h, NIC, "vfio-pci", "vfio-pci");
}

static void test_without_a_grant_nothing_moves(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, GRANT_OF(PAIR_NVME));
        refused(h, MOVE_BIND, PAIR_NIC, FAILURE_NOT_GRANTED, PAIR_NVME);
        refused(h, MOVE_BIND, PAIR_NVME, FAILURE_NOT_GRANTED, PAIR_NVME);
        refused(h, MOVE_RESET, PAIR_NIC, FAILURE_NOT_GRANTED, PAIR_NVME);
        fake_host_remove(h, GRANT_OF(PAIR_NIC));
        refused(h, MOVE_RELEASE, PAIR_NIC, FAILURE_NOT_GRANTED, PAIR_NIC);
        assert_pair_home(h);
}

/* Somebody else's unbind waits for the holder: the driver link is gone, the VM still has the device. */
static void test_half_unbound_and_held(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        fake_kernel_unbind_address(PAIR_NIC);
        fake_kernel_unbind_address(PAIR_NVME);
        fake_host_clear(h);
        fake_host_hold_vfio(h, 9, true);
        refused(h, MOVE_RELEASE, PAIR_NIC, FAILURE_IN_USE, PAIR_NIC);
        refused(h, MOVE_BIND, PAIR_NIC, FAILURE_IN_USE, PAIR_NIC);
        fake_host_hold_vfio(h, 9, false);
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_pair_home(h);
}

/* A member without a grant: left alone at the host, and not taken from somebody else's vfio-pci. */
static void test_a_stranger_in_the_set_does_not_keep_it(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        fake_host_clear(h);
        fake_host_remove(h, GRANT_OF(PAIR_NVME));
        refused(h, MOVE_RELEASE, PAIR_NIC, FAILURE_NOT_GRANTED, PAIR_NVME);

        fake_kernel_unbind_address(PAIR_NVME);
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_at(h, PAIR_NIC, "e1000e", "(null)");
        assert_at(h, PAIR_NVME, "", "vfio-pci");
}

static void test_a_bad_grant_is_none(void **state) {
        FakeHost *h = *state;

        assert_int_equal(fchmodat(h->fd, GRANT_OF(NIC), 0666, 0), 0);
        refused(h, MOVE_BIND, NIC, FAILURE_NOT_GRANTED, "not root's alone");
        fake_host_write(h, GRANT_OF(NIC), "format=1\n");
        refused(h, MOVE_BIND, NIC, FAILURE_NOT_GRANTED, "damaged");
        fake_host_remove(h, GRANT_OF(NIC));
        fake_host_link(h, GRANT_OF(NIC), PAIR_NIC GRANT_SUFFIX);
        refused(h, MOVE_BIND, NIC, FAILURE_NOT_GRANTED, "not root's alone");
}

static void test_the_grant_is_for_this_card(void **state) {
        static const struct {
                const char *attribute, *value;
        } table[] = {{"device", "0x10d4\n"},        {"vendor", "0x8087\n"}, {"subsystem_device", "0x1\n"},
                     {"subsystem_vendor", "0x1\n"}, {"revision", "0x99\n"}, {"class", "0x020001\n"}};
        FakeHost *h = *state;
        char path[128];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *before = NULL;

                (void)snprintf(path, sizeof path, "sys/bus/pci/devices/" NIC "/%s", table[i].attribute);
                before = fake_host_read(h, path);
                fake_host_write(h, path, "%s", table[i].value);
                refused(h, MOVE_BIND, NIC, FAILURE_IDENTITY_CHANGED, NIC);
                fake_host_write(h, path, "%s", before);
        }
        assert_success(move(h, MOVE_BIND, NIC));
}

static void test_the_grant_is_for_this_slot(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, "sys/bus/pci/slots/1");
        fake_host_write(h, "sys/bus/pci/slots/2/address", "0000:01:00\n");
        refused(h, MOVE_BIND, NIC, FAILURE_IDENTITY_CHANGED, NIC);
}

static void test_the_grant_is_for_this_set(void **state) {
        FakeHost *h = *state;

        fake_host_add_device(
                        h, &(FakeDevice){.address = "0000:02:00.0", .class_code = 0x020000, .iommu_set = 7});
        fake_host_clear(h);
        refused(h, MOVE_BIND, NIC, FAILURE_IDENTITY_CHANGED, "other devices share its IOMMU set");
        fake_host_remove_device(h, "0000:02:00.0");
        assert_success(move(h, MOVE_BIND, NIC));
}

static void test_what_became_critical_stays(void **state) {
        FakeHost *h = *state;

        /* One member that the host needs keeps all of them. */
        fake_host_add_net(h, "devices/pci0000:04/" BRIDGE "/" PAIR_NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        refused(h, MOVE_BIND, PAIR_NVME, FAILURE_CRITICAL, "eth1 has the host's address 192.0.2.7");
        fake_host_remove(h, "fake/network");
        refused(h, MOVE_BIND, PAIR_NVME, FAILURE_CRITICAL, "could not be read");
        assert_pair_home(h);
}

static void test_what_was_consented_to_moves(void **state) {
        FakeHost *h = *state;

        fake_host_add_net(h, "devices/pci0000:01/" NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        refused(h, MOVE_BIND, NIC, FAILURE_CRITICAL, "eth1");
        assert_success(grant(h, 1U << CRITICAL_ADDRESS, LIST(NIC)));
        assert_success(move(h, MOVE_BIND, NIC));

        /* The consent was for that reason and no other. */
        assert_success(move(h, MOVE_RELEASE, NIC));
        fake_host_clear(h);
        fake_host_add_default_route(h, "eth1", "IPv4");
        refused(h, MOVE_BIND, NIC, FAILURE_CRITICAL, "default route");
}

static void test_release_asks_nobody_what_is_critical(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, "fake/network");
        fake_host_remove(h, "proc/swaps");
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_pair_home(h);
}

static void test_an_override_of_somebody_else(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/driver_override", "pci-stub\n");
        refused(h, MOVE_BIND, PAIR_NIC, FAILURE_DRIVER, "pci-stub");
        assert_at(h, PAIR_NVME, "nvme", "pci-stub");

        /* Release leaves it alone too. */
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_at(h, PAIR_NVME, "nvme", "pci-stub");
}

static void test_vfio_is_not_loaded(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, "sys/bus/pci/drivers/vfio-pci");
        refused(h, MOVE_BIND, NIC, FAILURE_DRIVER, "modprobe vfio-pci");
}

static void test_in_use(void **state) {
        FakeHost *h = *state;

        fake_host_hold_vfio(h, 9, true);
        refused(h, MOVE_RELEASE, PAIR_NIC, FAILURE_IN_USE, PAIR_NVME);
        refused(h, MOVE_RESET, PAIR_NIC, FAILURE_IN_USE, "/dev/vfio/9");
        assert_pair_in_pool(h);

        /* The other set is nobody's business. */
        assert_success(move(h, MOVE_RELEASE, NIC));
        fake_host_hold_vfio(h, 9, false);
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_pair_home(h);
}

static void test_bridges_and_strangers(void **state) {
        FakeHost *h = *state;

        refused(h, MOVE_BIND, BRIDGE, FAILURE_CRITICAL, BRIDGE);
        refused(h, MOVE_BIND, "0000:66:00.0", FAILURE_NO_SUCH_DEVICE, "0000:66:00.0");
        refused(h, MOVE_RELEASE, "0000:66:00.0", FAILURE_NO_SUCH_DEVICE, "0000:66:00.0");
        refused(h, MOVE_RESET, BRIDGE, FAILURE_CRITICAL, BRIDGE);
}

static void test_a_pf_with_vfs_stays(void **state) {
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:01:10.0",
                                              .class_code = 0x020000,
                                              .iommu_set = 30,
                                              .physfn = NIC});
        fake_host_clear(h);
        refused(h, MOVE_BIND, NIC, FAILURE_CRITICAL, "virtual functions");
}

static void test_the_host_driver_does_not_come_back(void **state) {
        FakeHost *h = *state;
        Move m;

        fake_host_fail(h, "probe " PAIR_NIC " nothing 1");
        assert_failure(move(h, MOVE_RELEASE, PAIR_NIC), FAILURE_DRIVER, "modprobe e1000e");
        /* That does not keep the other one. */
        assert_at(h, PAIR_NIC, "", "(null)");
        assert_at(h, PAIR_NVME, "nvme", "(null)");
        /* What could not be brought to an end stays to be seen, with the reason. */
        assert_int_equal(move_read(h->fd, "9", &m), 0);
        assert_non_null(strstr(m.stuck, "modprobe e1000e"));
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_no_journal(h);
        assert_pair_home(h);
}

static void test_release_goes_on_after_each_failure(void **state) {
        FakeHost *h = *state;
        char rule[64];

        for (unsigned step = 1; step <= RELEASE_PAIR_STEPS; step++) {
                (void)snprintf(rule, sizeof rule, "* * EIO %u", step);
                fake_host_fail(h, rule);
                assert_failure(move(h, MOVE_RELEASE, PAIR_NIC), FAILURE_DRIVER, "0000:05:0");
                fake_host_clear(h);
                assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
                assert_pair_home(h);
                assert_success(move(h, MOVE_BIND, PAIR_NIC));
                fake_host_clear(h);
        }
}

/* kill -9 before and after the effect of each write: Release heals all of it, and so does Bind. */
static void killed_at_each_step(FakeHost *h, MoveVerb verb, MoveVerb next, unsigned steps) {
        static const char *const ways[] = {"kill", "kill-after"};
        char rule[64];

        for (unsigned step = 1; step <= steps; step++)
                for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                        assert_success(move(h, verb == MOVE_BIND ? MOVE_RELEASE : MOVE_BIND, PAIR_NIC));
                        fake_host_clear(h);
                        (void)snprintf(rule, sizeof rule, "* * %s %u", ways[i], step);
                        fake_host_fail(h, rule);
                        assert_false(move_in_child(h, verb, PAIR_NIC));
                        assert_true(fake_host_exists(h, MOVES_DIR "/9"));
                        fake_host_clear(h);

                        assert_success(move(h, next, PAIR_NVME));
                        if (next == MOVE_RELEASE)
                                assert_pair_home(h);
                        else
                                assert_pair_in_pool(h);
                        assert_no_journal(h);
                }
}

static void test_release_heals_a_killed_bind(void **state) {
        killed_at_each_step(*state, MOVE_BIND, MOVE_RELEASE, BIND_PAIR_STEPS);
}

static void test_release_heals_a_killed_release(void **state) {
        killed_at_each_step(*state, MOVE_RELEASE, MOVE_RELEASE, RELEASE_PAIR_STEPS);
}

static void test_bind_heals_a_killed_bind(void **state) {
        killed_at_each_step(*state, MOVE_BIND, MOVE_BIND, BIND_PAIR_STEPS);
}

static void test_bind_heals_a_killed_release(void **state) {
        killed_at_each_step(*state, MOVE_RELEASE, MOVE_BIND, RELEASE_PAIR_STEPS);
}

static void test_the_journal_tells_of_a_crash(void **state) {
        FakeHost *h = *state;
        Move m;

        fake_host_fail(h, "probe " PAIR_NIC " kill");
        assert_false(move_in_child(h, MOVE_BIND, PAIR_NIC));
        assert_int_equal(move_read(h->fd, "9", &m), 0);
        assert_int_equal(m.verb, MOVE_BIND);
        assert_int_equal(m.set.n_members, 2);
        assert_string_equal(m.stuck, "");
}

/* A worker whose deadline has passed while it waited begins nothing that nobody waits for any more. */
static void test_too_late_to_begin(void **state) {
        WorkerResult result = {.deadline = 1};
        Request q = {.verb = MOVE_BIND};
        FakeHost *h = *state;

        request_devices(&q, LIST(PAIR_NIC));
        request_move(h->fd, &q, &result);
        assert_failure(result.failure, FAILURE_STUCK, "nothing was begun");
        assert_log(h, "");
        assert_pair_home(h);

        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        q.verb = MOVE_RELEASE;
        result = (WorkerResult){.deadline = 1};
        request_move(h->fd, &q, &result);
        assert_failure(result.failure, FAILURE_STUCK, "nothing was begun");
        assert_at(h, PAIR_NIC, "vfio-pci", "vfio-pci");
}

static void test_no_journal_no_move(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, MOVES_DIR);
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_INTERNAL, "systemd-tmpfiles");
        assert_log(h, "");
        fake_host_remove(h, LOCKS_DIR);
        assert_failure(move(h, MOVE_BIND, NIC), FAILURE_INTERNAL, "systemd-tmpfiles");
        assert_log(h, "");
}

static void test_reset(void **state) {
        FakeHost *h = *state;

        assert_success(move(h, MOVE_RESET, NIC));
        assert_log(h, "reset " NIC "\n");
        fake_host_clear(h);
        fake_host_fail(h, "reset * ENOTTY");
        assert_failure(move(h, MOVE_RESET, NIC), FAILURE_RESET, "resetting " NIC);
        assert_at(h, NIC, "vfio-pci", "vfio-pci");
        assert_no_journal(h);
        fake_host_clear(h);
        assert_failure(move(h, MOVE_RESET, PAIR_NIC), FAILURE_NO_RESET, PAIR_NIC);
        assert_log(h, "");
}

static void test_reset_is_for_the_pool(void **state) {
        refused(*state, MOVE_RESET, NIC, FAILURE_NOT_BOUND, "e1000e");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
#define CASE_BOUND(name) cmocka_unit_test_setup_teardown(name, setup_bound, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_bind_one),
                        CASE(test_bind_moves_the_whole_set),
                        CASE_BOUND(test_bind_again_writes_nothing),
                        CASE_BOUND(test_bind_in_use_is_bound),
                        CASE(test_bind_without_a_driver_before),
                        CASE(test_bind_finishes_what_is_half_done),
                        CASE_BOUND(test_release_one),
                        CASE_BOUND(test_release_moves_the_whole_set),
                        CASE(test_release_at_the_host_writes_nothing),
                        CASE(test_bind_is_all_or_nothing),
                        CASE(test_unwinding_is_the_reverse),
                        CASE(test_a_probe_that_binds_nothing_is_a_failure),
                        CASE(test_a_failed_unwinding_is_told_behind_the_cause),
                        cmocka_unit_test(test_bind_notices_another_card),
                        cmocka_unit_test(test_release_notices_another_card),
                        cmocka_unit_test(test_bind_notices_surprise_unplug),
                        cmocka_unit_test(test_release_notices_surprise_unplug),
                        CASE(test_without_a_grant_nothing_moves),
                        CASE(test_a_damaged_grant_is_named),
                        CASE(test_release_of_another_device_at_the_address),
                        CASE(test_a_stranger_in_the_set_does_not_keep_it),
                        CASE(test_half_unbound_and_held),
                        CASE(test_a_bad_grant_is_none),
                        CASE(test_the_grant_is_for_this_card),
                        CASE(test_the_grant_is_for_this_slot),
                        CASE(test_the_grant_is_for_this_set),
                        CASE(test_what_became_critical_stays),
                        CASE(test_what_was_consented_to_moves),
                        CASE_BOUND(test_release_asks_nobody_what_is_critical),
                        CASE(test_an_override_of_somebody_else),
                        CASE(test_vfio_is_not_loaded),
                        CASE_BOUND(test_in_use),
                        CASE(test_bridges_and_strangers),
                        CASE(test_a_pf_with_vfs_stays),
                        CASE_BOUND(test_the_host_driver_does_not_come_back),
                        CASE_BOUND(test_release_goes_on_after_each_failure),
                        CASE(test_release_heals_a_killed_bind),
                        CASE(test_release_heals_a_killed_release),
                        CASE(test_bind_heals_a_killed_bind),
                        CASE(test_bind_heals_a_killed_release),
                        CASE(test_the_journal_tells_of_a_crash),
                        CASE(test_too_late_to_begin),
                        CASE(test_no_journal_no_move),
                        CASE_BOUND(test_reset),
                        CASE(test_reset_is_for_the_pool),
        };

        return cmocka_run_group_tests_name("request-move", tests, NULL, NULL);
}
