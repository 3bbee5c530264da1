/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The looks at what the host uses, when the kernel fails or does not answer. Times are short, and each step
 * waits for the report that it is about. */

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "critical.h"
#include "fake-kernel.h"
#include "fake-links.h"
#include "host-functions.h"

#define DEADLINE_USEC (20ULL * 1000 * 1000)

typedef struct Told {
        FakeHost *host;
        sd_event *event;
        HostWatch *watch;
        int error;
        unsigned n;
        size_t n_verdicts;
        uint32_t critical;
} Told;

static int subjects(HostVerdict **ret, size_t *ret_n, void *userdata _unused_) {
        HostVerdict *v = calloc(1, sizeof *v);

        assert_non_null(v);
        v->identity.address = (PciAddress){.bus = 1};
        v->vf_index = -1;
        *ret = v;
        *ret_n = 1;
        return 0;
}

static void done(int error, const HostVerdict *verdicts, size_t n, void *userdata) {
        Told *t = userdata;

        assert_true(n == 0 || verdicts);
        t->error = error;
        t->n_verdicts = n;
        t->critical = n > 0 ? verdicts[0].critical : 0;
        t->n++;
}

/* Patience is short only where the kernel is made to exhaust it: a busy machine must not. */
static int setup_with_patience(void **state, uint64_t patience_usec) {
        HostWatchConfig config = {.patience_usec = patience_usec,
                                  .retry_usec = 20 * 1000,
                                  .recheck_usec = 20 * 1000,
                                  .subjects = subjects,
                                  .done = done};
        Told *t = calloc(1, sizeof *t);

        assert_non_null(t);
        *state = t;
        t->host = fake_host_new();
        fake_host_add_device(t->host, &(FakeDevice){.address = "0000:01:00.0", .class_code = 0x020000});
        assert_true(sd_event_new(&t->event) >= 0);
        assert_true(sd_event_add_time_relative(t->event, NULL, CLOCK_MONOTONIC, DEADLINE_USEC, 0, NULL,
                                               (void *)(intptr_t)-ETIME) >= 0);
        config.root = t->host->fd;
        config.userdata = t;
        assert_int_equal(host_watch_new(t->event, &config, &t->watch), 0);
        return 0;
}

static int setup(void **state) {
        return setup_with_patience(state, DEADLINE_USEC);
}

static int setup_impatient(void **state) {
        return setup_with_patience(state, 20 * 1000);
}

/* libsystemd watches its own /run, whatever the root of the host is: here it is one of this case. */
static int setup_with_sessions(void **state) {
        if (geteuid() == 0 &&
            (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
             mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/systemd", 0755) < 0 ||
             mkdir("/run/systemd/sessions", 0755) < 0))
                return -1;
        return setup(state);
}

static int teardown(void **state) {
        Told *t = *state;

        host_watch_free(t->watch);
        sd_event_unref(t->event);
        fake_host_free(t->host);
        free(t);
        return 0;
}

static void until_told(Told *t) {
        unsigned n = t->n;

        while (t->n == n) {
                assert_true(sd_event_run(t->event, UINT64_MAX) >= 0);
                assert_true(sd_event_get_state(t->event) != SD_EVENT_FINISHED);
        }
}

static void test_a_kernel_that_does_not_answer(void **state) {
        Told *t = *state;

        fake_host_hold_network(t->host, true);
        host_watch_trigger(t->watch);
        until_told(t);
        assert_int_equal(t->error, -ETIMEDOUT);
        assert_int_equal(t->n_verdicts, 0);

        /* Said once; and the answer counts when it comes. */
        fake_host_hold_network(t->host, false);
        until_told(t);
        assert_int_equal(t->error, 0);
        assert_int_equal(t->n_verdicts, 1);
        assert_int_equal(t->n, 2);
}

static void test_a_failure_is_not_for_ever(void **state) {
        Told *t = *state;

        fake_host_write(t->host, "fake/network", "nonsense\n");
        host_watch_trigger(t->watch);
        until_told(t);
        assert_int_equal(t->error, -EBADMSG);
        until_told(t);
        assert_int_equal(t->error, -EBADMSG);

        /* Nothing tells of it, and it is seen. */
        fake_host_write(t->host, "fake/network", "%s", "");
        until_told(t);
        assert_int_equal(t->error, 0);
        assert_int_equal(t->n_verdicts, 1);
}

/* An unmounted file system that is still being taken down, or one in another namespace. */
static void test_what_ends_without_an_event(void **state) {
        Told *t = *state;

        fake_host_add_block(t->host, "devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1", "259:0");
        fake_host_mkdir(t->host, "sys/fs/ext4/nvme0n1");
        host_watch_trigger(t->watch);
        until_told(t);
        assert_true(t->critical & 1U << CRITICAL_MOUNTED);

        fake_host_remove(t->host, "sys/fs/ext4/nvme0n1");
        while (t->critical & 1U << CRITICAL_MOUNTED)
                until_told(t);
}

/* dm says "remove" while it still has the disks, and nothing more. */
static void test_an_event_that_comes_too_early(void **state) {
        Told *t = *state;

        fake_host_add_block(t->host, "devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0n1", "259:0");
        fake_host_add_block(t->host, "devices/virtual/block/dm-0", "253:0");
        fake_host_write(t->host, "sys/class/block/dm-0/dm/name", "vg-data\n");
        fake_host_write(t->host, "sys/class/block/dm-0/dm/uuid", "LVM-a\n");
        fake_host_add_slave(t->host, "dm-0", "nvme0n1");
        host_watch_trigger_twice(t->watch);
        until_told(t);
        assert_true(t->critical & 1U << CRITICAL_VOLUME_MEMBER);

        fake_host_remove(t->host, "sys/class/block/dm-0");
        until_told(t);
        assert_int_equal(t->critical & 1U << CRITICAL_VOLUME_MEMBER, 0);
        assert_int_equal(t->n, 2);
}

/* What is told during a look may have come too late for it. */
static void test_events_without_end(void **state) {
        Told *t = *state;

        fake_host_hold_network(t->host, true);
        host_watch_trigger(t->watch);
        until_told(t);
        assert_int_equal(t->error, -ETIMEDOUT);
        for (unsigned i = 0; i < 10000; i++)
                host_watch_trigger_twice(t->watch);
        assert_int_equal(t->n, 1);

        fake_host_hold_network(t->host, false);
        until_told(t); /* the one that was under way */
        assert_int_equal(t->error, 0);
        until_told(t); /* one for all of them */
        assert_int_equal(t->n, 3);
}

static void test_a_session_that_begins_and_ends(void **state) {
        Told *t = *state;

        if (geteuid() != 0) {
                print_message("# needs root: mounts a /run of its own\n");
                return;
        }
        fake_host_add_net(t->host, "devices/pci0000:01/0000:01:00.0/net/eth0");
        fake_host_add_route(t->host, "192.0.2.9", "eth0");
        host_watch_trigger(t->watch);
        until_told(t);
        assert_int_equal(t->critical & 1U << CRITICAL_YOUR_CONNECTION, 0);

        /* As logind does it: under another name first. */
        fake_host_add_session(t->host, 1000, "192.0.2.9");
        assert_int_equal(mkdir("/run/systemd/sessions/.#3xyz", 0755), 0);
        assert_int_equal(rename("/run/systemd/sessions/.#3xyz", "/run/systemd/sessions/3"), 0);
        while (!(t->critical & 1U << CRITICAL_YOUR_CONNECTION))
                until_told(t);

        fake_host_remove(t->host, "fake/sessions");
        assert_int_equal(rmdir("/run/systemd/sessions/3"), 0);
        while (t->critical & 1U << CRITICAL_YOUR_CONNECTION)
                until_told(t);
}

static void add_card(FakeHost *h, const char *address, unsigned n, unsigned number, const char *driver) {
        char vf[PCI_ADDRESS_SIZE], interface[16];

        fake_host_add_device(h,
                             &(FakeDevice){.address = address, .class_code = 0x020000, .iommu_set = number});
        for (unsigned i = 0; i < n; i++) {
                (void)snprintf(vf, sizeof vf, "%.8s10.%u", address, i);
                fake_host_add_device(h, &(FakeDevice){.address = vf,
                                                      .class_code = 0x020000,
                                                      .physfn = address,
                                                      .iommu_set = 10 * number + i});
        }
        (void)snprintf(interface, sizeof interface, "eth%u", number);
        fake_links_add(h, address, interface, number, driver);
}

static HostVerdict function(uint8_t bus, int32_t index) {
        return (HostVerdict){.physical_function = {.bus = bus}, .vf_index = index, .settings.given = 1};
}

static void expect_settings(const HostVerdict *v, const char *text) {
        char line[VF_LINE_SIZE];

        assert_string_equal(vf_settings_format(&v->settings, line), text);
}

#define SET(vlan, max, trust, rest, mac)                                                                    \
        "vlan=" vlan " vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=" max                            \
        " link-state=auto spoof-checking=on trust=" trust rest " mac=" mac
#define NO_MAC "00:00:00:00:00:00"
#define MAC "02:00:00:00:00:01"

/* Three cards, in no order, and who is no function, or not any more. */
static void test_settings_of_functions(void **state _unused_) {
        HostVerdict v[] = {function(7, 1), function(6, 2), function(7, 0),   function(0, -1), function(6, 0),
                           function(9, 0), function(6, 1), function(6, 200), function(8, 0)};
        FakeHost *h = fake_host_new();

        fake_kernel_attach(h->root);
        add_card(h, "0000:06:00.0", 3, 2, "igb");
        add_card(h, "0000:07:00.0", 2, 3, "igb all");
        add_card(h, "0000:08:00.0", 1, 4, "igb silent");
        fake_host_write(h, "run/fake-vf-link/0000:06:00.0", "%s",
                        "1: " SET("100", "0", "off", "", NO_MAC) "\n2: " SET("7", "0", "off", "", MAC) "\n");
        fake_host_write(h, "run/fake-vf-link/0000:07:00.0", "%s",
                        "1: " SET("0", "5", "on", " query-rss=off", NO_MAC) "\n");
        host_functions_read(h->fd, v, ELEMENTSOF(v));
        expect_settings(&v[0], SET("0", "5", "on", " query-rss=off", NO_MAC));
        expect_settings(&v[1], SET("7", "0", "off", "", MAC));
        expect_settings(&v[2], SET("0", "0", "off", " query-rss=off", NO_MAC));
        expect_settings(&v[3], "");
        expect_settings(&v[4], SET("0", "0", "off", "", NO_MAC));
        expect_settings(&v[5], "");
        expect_settings(&v[6], SET("100", "0", "off", "", NO_MAC));
        expect_settings(&v[7], "");
        expect_settings(&v[8], "");

        /* In another network namespace. */
        fake_host_remove(h, "sys/class/net/eth2");
        fake_host_remove(h, "sys/devices/pci0000:06/0000:06:00.0/net");
        host_functions_read(h->fd, v, ELEMENTSOF(v));
        expect_settings(&v[1], "");
        expect_settings(&v[0], SET("0", "5", "on", " query-rss=off", NO_MAC));
        host_functions_read(h->fd, NULL, 0);
        fake_host_free(h);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_a_kernel_that_does_not_answer, setup_impatient,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_a_failure_is_not_for_ever, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_what_ends_without_an_event, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_an_event_that_comes_too_early, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_events_without_end, setup_impatient, teardown),
                        cmocka_unit_test(test_settings_of_functions),
                        cmocka_unit_test_setup_teardown(test_a_session_that_begins_and_ends,
                                                        setup_with_sessions, teardown),
        };

        return cmocka_run_group_tests_name("host-watch", tests, NULL, NULL);
}
