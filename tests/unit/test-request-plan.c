/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Plan says what Bind does: the same writes in the same order, and the sentence with which Bind would refuse. */

#include <ftw.h>

#include "confine.h"
#include "lock.h"
#include "request-fixture.h"
#include "steps.h"
#include "verb.h"

#define THIRD "0000:05:03.0"
#define OVERRIDE_OF(address) "sys/bus/pci/devices/" address "/driver_override"

static int setup(void **state) {
        (void)fixture_setup(state);
        assert_success(grant(*state, 0, LIST(NIC)));
        assert_success(grant(*state, 0, LIST(PAIR_NIC, PAIR_NVME)));
        fake_host_clear(*state);
        return 0;
}

/* The set of the pair and a device that no driver knows. */
static int setup_three(void **state) {
        (void)fixture_setup(state);
        fake_host_add_device(*state, &(FakeDevice){.address = THIRD,
                                                   .vendor = 0x1234,
                                                   .device = 0x11e8,
                                                   .class_code = 0x00ff00,
                                                   .iommu_set = 9,
                                                   .below = BRIDGE});
        assert_success(grant(*state, 0, LIST(PAIR_NIC, PAIR_NVME, THIRD)));
        fake_host_clear(*state);
        return 0;
}

static FILE *snapshot;

static int take_entry(const char *path, const struct stat *st, int type _unused_, struct FTW *ftw _unused_) {
        (void)fprintf(snapshot, "%s %o %lld %lld.%09ld %lld.%09ld\n", path, (unsigned)st->st_mode,
                      (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                      (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
        return 0;
}

/* Every file of the host, with all that a write would change of it. */
static char *look_at_all(FakeHost *h) {
        char *text = NULL;
        size_t size;

        snapshot = open_memstream(&text, &size);
        assert_non_null(snapshot);
        assert_int_equal(nftw(h->root, take_entry, 16, FTW_PHYS), 0);
        assert_int_equal(fclose(snapshot), 0);
        return text;
}

/* Has no effect, whatever comes of it. */
static WorkerResult plan_for(FakeHost *h, const char *address, uint32_t consent, bool persistent) {
        _cleanup_free_ char *before = NULL, *after = NULL;
        Request q = {.consent = consent, .persistent = persistent};
        WorkerResult result;

        request_devices(&q, LIST(address));
        before = look_at_all(h);
        (void)run_work(h, request_plan, &q, &result);
        after = look_at_all(h);
        assert_string_equal(before, after);
        return result;
}

static WorkerResult plan(FakeHost *h, const char *address) {
        WorkerResult result = plan_for(h, address, 0, false);

        assert_success(result.failure);
        return result;
}

static const CheckRow *find_row(const WorkerResult *result, const char *check) {
        for (size_t i = 0; i < result->n_rows; i++)
                if (streq(result->rows[i].check, check))
                        return &result->rows[i];
        fail_msg("no row %s", check);
        return NULL;
}

static bool is_no(const CheckRow *row) {
        return !row->passed && !streq(row->severity, "info") && !streq(row->check, "moving") &&
               !streq(row->check, "wake-path");
}

/* The planned writes as the fake kernel would log them. */
static void writes_as_log(const WorkerResult *result, char *text, size_t size) {
        char address[PCI_ADDRESS_SIZE], path[STEP_PATH_SIZE], own[STEP_PATH_SIZE];
        const char *value, *what;
        size_t n = 0;

        text[0] = '\0';
        for (size_t i = 0; i < result->plan.n_writes; i++) {
                const PlannedWrite *w = &result->plan.writes[i];

                (void)pci_address_format(&result->plan.set.members[w->member], address);
                value = steps_describe(w, address, path);
                (void)snprintf(own, sizeof own, "/sys/bus/pci/devices/%s/", address);
                if (streq(path, "/sys/bus/pci/drivers_probe")) {
                        assert_string_equal(value, address);
                        what = "probe";
                } else {
                        assert_true(startswith(path, own));
                        what = path + strlen(own);
                        if (streq(what, "driver/unbind")) {
                                assert_string_equal(value, address);
                                what = "unbind";
                        } else {
                                assert_string_equal(what, "driver_override");
                                what = "override";
                        }
                }
                n += (size_t)snprintf(text + n, size - n, "%s %s%s%s\n", what, address,
                                      streq(what, "override") ? " " : "",
                                      streq(what, "override") ? value : "");
                assert_true(n < size);
        }
}

/* The end of it all: plans, binds, and compares. Returns how many writes there were. */
static size_t bind_as_planned(FakeHost *h, const char *address) {
        WorkerResult result = plan(h, address);
        char expected[4096];

        writes_as_log(&result, expected, sizeof expected);
        assert_false(result.refused);
        assert_log(h, "");
        assert_success(move(h, MOVE_BIND, address));
        assert_log(h, expected);
        return result.plan.n_writes;
}

static void test_the_plan_of_one_device(void **state) {
        static const struct {
                const char *path, *value;
        } expected[] = {{"/" OVERRIDE_OF(NIC), "vfio-pci"},
                        {"/sys/bus/pci/devices/" NIC "/driver/unbind", NIC},
                        {"/sys/bus/pci/drivers_probe", NIC}};
        WorkerResult result = plan(*state, NIC);
        char path[STEP_PATH_SIZE];

        assert_int_equal(result.plan.n_writes, ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                assert_string_equal(steps_describe(&result.plan.writes[i], NIC, path), expected[i].value);
                assert_string_equal(path, expected[i].path);
        }
        assert_int_equal(bind_as_planned(*state, NIC), 3);
}

/* Each check of Bind has a row, in its order, and all of them passed. */
static void test_all_is_asked_in_the_order_of_bind(void **state) {
        static const char *const checks[] = {"iommu-set",       "moving",  "granted",     "identity",
                                             "driver-override", "boot-id", "on-vfio-pci", "in-use",
                                             "switched-off",    "driver",  "host-use"};
        WorkerResult result = plan(*state, PAIR_NVME);

        assert_int_equal(result.n_rows, ELEMENTSOF(checks) + CRITICAL_REASON_MAX);
        for (size_t i = 0; i < result.n_rows; i++) {
                assert_string_equal(
                                result.rows[i].check,
                                i < ELEMENTSOF(checks)
                                                ? checks[i]
                                                : critical_reason_to_string(
                                                                  (CriticalReason)(i - ELEMENTSOF(checks))));
                assert_string_equal(result.rows[i].device, PAIR_NVME);
                assert_true(result.rows[i].passed);
                assert_string_equal(result.rows[i].sentence, ""); /* the words are the daemon's */
        }
        assert_string_equal(find_row(&result, "granted")->severity, "warning");
        assert_string_equal(find_row(&result, "driver")->severity, "error");
}

static void test_three_with_three_drivers(void **state) {
        FakeHost *h = *state;

        assert_int_equal(bind_as_planned(h, THIRD), 8); /* one has no driver to be taken from */
        assert_at(h, THIRD, "vfio-pci", "vfio-pci");
        assert_pair_in_pool(h);
        fake_host_clear(h);
        assert_int_equal(bind_as_planned(h, PAIR_NIC), 0);
}

static void put(FakeHost *h, const char *address, const char *driver, bool overridden) {
        char path[256], dir[512];

        fake_kernel_unbind_address(address);
        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/driver_override", address);
        fake_host_write(h, path, "%s\n", overridden ? "vfio-pci" : "(null)");
        (void)snprintf(dir, sizeof dir, "%s/sys/%s", h->root, fake_host_device_path(h, address));
        if (driver)
                assert_int_equal(fake_kernel_bind(dir, driver), 0);
}

/* Whatever a crash, a user or another program has left: every state of each member of a set of three. */
static void test_each_state_that_can_be_left(void **state) {
        static const char *const of_nic[] = {"e1000e", NULL, "vfio-pci"},
                                 *of_nvme[] = {"nvme", NULL, "vfio-pci"}, *of_third[] = {NULL, "vfio-pci"};
        FakeHost *h = *state;
        size_t longest = 0, n;

        for (unsigned i = 0; i < 6 * 6 * 4; i++) {
                put(h, PAIR_NIC, of_nic[i % 3], i / 3 % 2);
                put(h, PAIR_NVME, of_nvme[i / 6 % 3], i / 18 % 2);
                put(h, THIRD, of_third[i / 36 % 2], i / 72 % 2);
                fake_host_clear(h);
                n = bind_as_planned(h, PAIR_NIC);
                longest = n > longest ? n : longest;
                assert_pair_in_pool(h);
                assert_at(h, THIRD, "vfio-pci", "vfio-pci");
        }
        assert_int_equal(longest, 8);
}

/* As a killed helper leaves it, the journal's entry too. */
static void test_after_a_crash_at_each_step(void **state) {
        static const MoveVerb verbs[] = {MOVE_BIND, MOVE_RELEASE};
        FakeHost *h = *state;
        WorkerResult result;
        char rule[64];

        for (size_t v = 0; v < ELEMENTSOF(verbs); v++)
                for (unsigned step = 1; step <= 6; step++) {
                        assert_success(move(h, verbs[v] == MOVE_BIND ? MOVE_RELEASE : MOVE_BIND, PAIR_NIC));
                        fake_host_clear(h);
                        (void)snprintf(rule, sizeof rule, "* * kill-after %u", step);
                        fake_host_fail(h, rule);
                        assert_false(move_in_child(h, verbs[v], PAIR_NIC));
                        fake_host_clear(h);

                        result = plan(h, PAIR_NIC);
                        assert_false(find_row(&result, "moving")->passed);
                        assert_string_equal(find_row(&result, "moving")->severity, "warning");
                        (void)bind_as_planned(h, PAIR_NIC);
                        assert_pair_in_pool(h);
                }
}

static void test_what_is_on_vfio_is_told(void **state) {
        FakeHost *h = *state;
        WorkerResult result;

        put(h, PAIR_NVME, "vfio-pci", true);
        fake_host_clear(h);
        result = plan(h, PAIR_NIC);
        assert_true(find_row(&result, "on-vfio-pci")->passed);
        assert_int_equal(bind_as_planned(h, PAIR_NIC), 3);

        /* Then a VM may have it open, and Bind asks no further. */
        fake_host_clear(h);
        fake_host_hold_vfio(h, 9, true);
        result = plan(h, PAIR_NIC);
        assert_string_equal(result.rows[result.n_rows - 1].check, "on-vfio-pci");
        assert_int_equal(bind_as_planned(h, PAIR_NIC), 0);
        fake_host_hold_vfio(h, 9, false);
}

/* Each is one thing that keeps Bind from it. */
static void no_grant(FakeHost *h) {
        fake_host_remove(h, GRANT_OF(PAIR_NVME));
}

static void damaged_grant(FakeHost *h) {
        fake_host_write(h, GRANT_OF(PAIR_NVME), "format=1\n");
}

static void another_device(FakeHost *h) {
        fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/device", "0x1234\n");
}

static void another_set(FakeHost *h) {
        fake_host_add_device(h, &(FakeDevice){.address = "0000:05:04.0",
                                              .class_code = 0x00ff00,
                                              .iommu_set = 9,
                                              .below = BRIDGE});
}

static void foreign_override(FakeHost *h) {
        fake_host_write(h, OVERRIDE_OF(PAIR_NVME), "pci-stub\n");
}

static void no_boot_id(FakeHost *h) {
        fake_host_write(h, "proc/sys/kernel/random/boot_id", "x\n");
}

static void in_use(FakeHost *h) {
        fake_host_hold_vfio(h, 9, true);
}

static void switched_off(FakeHost *h) {
        fake_host_write(h, "proc/cmdline", "quiet " KERNEL_OPTION_OFF "\n");
}

static void no_driver(FakeHost *h) {
        fake_host_remove(h, "sys/bus/pci/drivers/vfio-pci");
}

static void unknown_use(FakeHost *h) {
        fake_host_remove(h, "fake/network");
}

static void has_address(FakeHost *h) {
        fake_host_add_net(h, "devices/pci0000:04/" BRIDGE "/" PAIR_NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
}

static void is_mounted(FakeHost *h) {
        fake_host_add_block(h, "devices/pci0000:04/" BRIDGE "/" PAIR_NVME "/nvme/nvme0/nvme0n1", "259:0");
        fake_host_mount(h, "259:0", "/srv", "ext4", "/dev/nvme0n1");
}

static void has_vfs(FakeHost *h) {
        fake_host_add_device(h, &(FakeDevice){.address = "0000:05:10.0",
                                              .class_code = 0x020000,
                                              .iommu_set = 30,
                                              .physfn = PAIR_NIC});
}

static const struct {
        void (*inject)(FakeHost *h);
        const char *check, *device, *severity;
} faults[] = {
                {no_grant, "granted", PAIR_NVME, "warning"},
                {damaged_grant, "granted", PAIR_NVME, "warning"},
                {another_device, "identity", PAIR_NVME, "warning"},
                {foreign_override, "driver-override", PAIR_NVME, "error"},
                {no_boot_id, "boot-id", PAIR_NIC, "error"},
                {in_use, "in-use", PAIR_NIC, "error"},
                {switched_off, "switched-off", PAIR_NIC, "error"},
                {no_driver, "driver", PAIR_NIC, "error"},
                {unknown_use, "host-use", PAIR_NIC, "error"},
                {has_address, "address", PAIR_NIC, "error"},
                {is_mounted, "mounted", PAIR_NVME, "error"},
                {has_vfs, "pf-with-vfs", PAIR_NIC, "error"},
                {another_set, "identity", PAIR_NIC, "warning"},
};

static const CheckRow *first_no(const WorkerResult *result) {
        for (size_t i = 0; i < result->n_rows; i++)
                if (is_no(&result->rows[i]))
                        return &result->rows[i];
        fail_msg("nothing is said to be wrong");
        return NULL;
}

static void test_the_first_no_is_what_bind_says(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(faults); i++) {
                const CheckRow *row;
                WorkerResult result;
                FakeHost *h;
                void *own;
                Failure f;

                (void)setup(&own);
                h = own;
                faults[i].inject(h);
                fake_host_clear(h);
                result = plan_for(h, PAIR_NIC, 0, true);
                assert_success(result.failure);
                row = first_no(&result);
                assert_string_equal(row->check, faults[i].check);
                assert_string_equal(row->device, faults[i].device);
                assert_string_equal(row->severity, faults[i].severity);

                f = bind_persistent(h, PAIR_NIC);
                assert_int_not_equal(f.kind, FAILURE_NONE);
                assert_string_equal(row->sentence, f.sentence);
                assert_log(h, "");
                /* What MakePassthrough would ask for is no end of it. */
                assert_int_equal(result.refused, streq(row->severity, "error"));
                assert_int_equal(result.plan.n_writes, result.refused                ? 0
                                                       : i + 1 == ELEMENTSOF(faults) ? 8
                                                                                     : 6);
                fake_host_hold_vfio(h, 9, false);
                fake_host_free(h);
        }
        fake_kernel_attach("");
}

/* Of many at once each has its row, and Bind tells of the first. */
static void test_each_no_is_told(void **state _unused_) {
        for (size_t begin = 0; begin < ELEMENTSOF(faults); begin++) {
                WorkerResult result;
                FakeHost *h;
                void *own;
                Failure f;

                (void)setup(&own);
                h = own;
                for (size_t i = begin; i < ELEMENTSOF(faults); i++)
                        if (faults[i].inject != unknown_use)
                                faults[i].inject(h);
                fake_host_clear(h);
                result = plan_for(h, PAIR_NIC, 0, true);
                for (size_t i = begin; i < ELEMENTSOF(faults); i++)
                        if (faults[i].inject != unknown_use)
                                assert_false(find_row(&result, faults[i].check)->passed);
                f = bind_persistent(h, PAIR_NIC);
                assert_string_equal(first_no(&result)->sentence, f.sentence);
                assert_int_equal(result.refused, begin + 1 < ELEMENTSOF(faults));
                fake_host_hold_vfio(h, 9, false);
                fake_host_free(h);
        }
        fake_kernel_attach("");
}

static void test_both_members_are_told_of(void **state) {
        FakeHost *h = *state;
        WorkerResult result;
        unsigned n = 0;

        has_address(h);
        fake_host_add_net(h, "devices/pci0000:04/" BRIDGE "/" PAIR_NVME "/net/eth2");
        fake_host_add_network_address(h, "eth2", "192.0.2.8");
        result = plan(h, PAIR_NIC);
        for (size_t i = 0; i < result.n_rows; i++)
                n += streq(result.rows[i].check, "address") && !result.rows[i].passed;
        assert_int_equal(n, 2);
}

/* The consent of the call counts as the grant's would. */
static void test_consent(void **state) {
        const uint32_t consent = 1U << CRITICAL_ADDRESS;
        FakeHost *h = *state;
        WorkerResult result;
        char expected[4096];

        has_address(h);
        fake_host_clear(h);
        result = plan(h, PAIR_NIC);
        assert_true(result.refused);
        assert_int_equal(result.plan.n_writes, 0);

        result = plan_for(h, PAIR_NIC, consent, false);
        assert_string_equal(find_row(&result, "address")->severity, "info");
        assert_false(result.refused);
        assert_success(grant(h, consent, LIST(PAIR_NIC, PAIR_NVME)));
        writes_as_log(&result, expected, sizeof expected);
        (void)bind_as_planned(h, PAIR_NIC);
        assert_log(h, expected);

        /* The one that a grant has holds until the set has to be granted anew. */
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        no_grant(h);
        result = plan(h, PAIR_NIC);
        assert_string_equal(find_row(&result, "address")->severity, "error");
        assert_true(result.refused);
}

/* Nothing can be said for the root file system, or for what the kernel refuses. */
static void test_what_nobody_consents_to(void **state) {
        FakeHost *h = *state;
        WorkerResult result;

        has_vfs(h);
        fake_host_clear(h);
        result = plan_for(h, PAIR_NIC, UINT32_MAX, false);
        assert_string_equal(find_row(&result, "pf-with-vfs")->severity, "error");
        assert_true(result.refused);
        assert_int_equal(result.plan.n_writes, 0);
}

/* What a worker of ours has in hands is not looked at: reading could block for as long as it does. */
static void test_while_it_moves(void **state) {
        _cleanup_close_ int lock = -1;
        FakeHost *h = *state;
        WorkerResult result;

        fake_host_fail(h, "unbind * kill 1");
        assert_false(move_in_child(h, MOVE_BIND, PAIR_NIC));
        fake_host_clear(h);
        lock = lock_set(h->fd, 9, NULL);
        assert_true(lock >= 0);
        fake_host_remove(h, OVERRIDE_OF(PAIR_NVME)); /* whoever looks at it has something to say */

        result = plan(h, PAIR_NIC);
        assert_int_equal(result.n_rows, 2);
        assert_string_equal(find_row(&result, "moving")->severity, "error");
        assert_non_null(strstr(find_row(&result, "moving")->sentence, "IOMMU set 9 is being moved (bind)"));
        assert_true(result.refused);
        assert_int_equal(result.plan.n_writes, 0);
}

/* A lock alone is that of a Grant, or of a plan's neighbour, and no move. */
static void test_a_lock_alone_is_no_move(void **state) {
        _cleanup_close_ int lock = -1;
        FakeHost *h = *state;
        WorkerResult result;

        lock = lock_set(h->fd, 9, NULL);
        assert_true(lock >= 0);
        result = plan(h, PAIR_NIC);
        assert_true(find_row(&result, "moving")->passed);
        assert_int_equal(result.plan.n_writes, 6);
}

static void test_bridges_and_strangers(void **state) {
        assert_failure(plan_for(*state, BRIDGE, 0, false).failure, FAILURE_CRITICAL, BRIDGE);
        assert_failure(plan_for(*state, "0000:66:00.0", 0, false).failure, FAILURE_NO_SUCH_DEVICE,
                       "0000:66:00.0");
}

/* A set as large as may be, with more to be told than there is room for: that it cannot be done is not lost. */
static void test_more_than_can_be_told(void **state) {
        char address[32], path[128];
        FakeHost *h = *state;
        WorkerResult result;

        for (unsigned i = 0; i < DEVICES_PER_CALL_MAX; i++) {
                (void)snprintf(address, sizeof address, "0000:20:%02x.%u", i / 8, i % 8);
                fake_host_add_device(h, &(FakeDevice){.address = address,
                                                      .vendor = 0x1234,
                                                      .device = (uint16_t)i,
                                                      .class_code = 0x088000,
                                                      .driver = "edu",
                                                      .iommu_set = 40});
        }
        result = plan(h, "0000:20:00.0");
        assert_false(result.refused);
        assert_int_equal(result.plan.n_writes, PLANNED_WRITES_MAX);
        assert_int_equal(result.n_rows, DEVICES_PER_CALL_MAX + 9 + CRITICAL_REASON_MAX);

        for (unsigned i = 0; i < DEVICES_PER_CALL_MAX; i++) {
                (void)snprintf(path, sizeof path, "sys/bus/pci/devices/0000:20:%02x.%u/driver_override",
                               i / 8, i % 8);
                fake_host_write(h, path, "pci-stub\n");
        }
        fake_host_write(h, "proc/cmdline", "quiet " KERNEL_OPTION_OFF "\n");
        result = plan(h, "0000:20:00.0");
        assert_int_equal(result.n_rows, CHECK_ROWS_MAX);
        assert_true(result.refused);
        assert_string_equal(result.rows[CHECK_ROWS_MAX - 1].severity, "error");
        assert_false(result.rows[CHECK_ROWS_MAX - 1].passed);
        assert_int_equal(result.plan.n_writes, 0);
}

/* As the helper runs it: where Landlock lets it write nothing at all. */
static void test_from_within_the_confinement(void **state) {
        const Verb *verb = verb_find("Plan");
        Request q = {.confine = true, .work = verb->work, .writes = verb->writes, .persistent = true};
        WorkerResult result = {.deadline = UINT64_MAX};
        FakeHost *h = *state;
        int status;
        pid_t pid;

        assert_int_equal(verb->writes, 0);
        request_devices(&q, LIST(PAIR_NIC));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                confine_and_work(h->fd, &q, &result);
                _exit(result.failure.kind == FAILURE_NONE && !result.refused ? (int)result.plan.n_writes
                                                                             : 99);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 6);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
#define CASE_THREE(name) cmocka_unit_test_setup_teardown(name, setup_three, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_the_plan_of_one_device),
                        CASE(test_all_is_asked_in_the_order_of_bind),
                        CASE_THREE(test_three_with_three_drivers),
                        CASE_THREE(test_each_state_that_can_be_left),
                        CASE(test_after_a_crash_at_each_step),
                        CASE(test_what_is_on_vfio_is_told),
                        cmocka_unit_test(test_the_first_no_is_what_bind_says),
                        cmocka_unit_test(test_each_no_is_told),
                        CASE(test_both_members_are_told_of),
                        CASE(test_consent),
                        CASE(test_what_nobody_consents_to),
                        CASE(test_while_it_moves),
                        CASE(test_a_lock_alone_is_no_move),
                        CASE(test_bridges_and_strangers),
                        CASE(test_more_than_can_be_told),
                        CASE(test_from_within_the_confinement),
        };

        return cmocka_run_group_tests_name("request-plan", tests, NULL, NULL);
}
