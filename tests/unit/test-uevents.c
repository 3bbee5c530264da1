/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is made of events: by lines in the pipe, and by messages as systemd-udevd sends them, in a network namespace of
 * this case, where nobody else sends any. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "suite.h"
#include "uevents.h"

#define DEADLINE_USEC (20ULL * 1000 * 1000)
#define GROUP_UDEV 2U /* libudev-monitor: those of the kernel are 1 */

typedef struct Told {
        sd_event *event;
        Uevents *uevents;
        int pipe[2], socket;
        unsigned n, n_uses, n_ends;
        UeventAction last;
        PciAddress address;
} Told;

static void take(UeventAction action, const PciAddress *a, void *userdata) {
        Told *t = userdata;

        t->n++;
        if (action == UEVENT_USE) {
                assert_null(a);
                t->n_uses++;
                return;
        }
        t->last = action;
        if (a)
                t->address = *a;
}

static void end(void *userdata) {
        ((Told *)userdata)->n_ends++;
}

static Told *new_told(void) {
        Told *t = calloc(1, sizeof *t);

        assert_non_null(t);
        t->pipe[0] = t->pipe[1] = t->socket = -1;
        assert_true(sd_event_new(&t->event) >= 0);
        assert_true(sd_event_add_time_relative(t->event, NULL, CLOCK_MONOTONIC, DEADLINE_USEC, 0, NULL,
                                               (void *)(intptr_t)-ETIME) >= 0);
        return t;
}

static int setup_pipe(void **state) {
        Told *t = new_told();

        *state = t;
        assert_int_equal(pipe2(t->pipe, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(uevents_new(t->event, t->pipe[0], take, end, t, &t->uevents), 0);
        return 0;
}

/* libudev hears nothing where systemd-udevd does not seem to run. */
static int setup_monitor(void **state) {
        const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
        Told *t;

        if (geteuid() != 0)
                return 0;
        if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/udev", 0755) < 0 ||
            mknod("/run/udev/control", S_IFREG | 0644, 0) < 0)
                return -1;

        *state = t = new_told();
        t->socket = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
        assert_true(t->socket >= 0);
        assert_int_equal(bind(t->socket, (const struct sockaddr *)(const void *)&address, sizeof address),
                         0);
        assert_int_equal(uevents_new(t->event, -1, take, end, t, &t->uevents), 0);
        return 0;
}

static int teardown(void **state) {
        Told *t = *state;

        if (!t)
                return 0;
        uevents_free(t->uevents);
        sd_event_unref(t->event);
        closep(&t->pipe[0]);
        closep(&t->pipe[1]);
        closep(&t->socket);
        free(t);
        return 0;
}

static void run(Told *t) {
        assert_true(sd_event_run(t->event, UINT64_MAX) >= 0);
        assert_true(sd_event_get_state(t->event) != SD_EVENT_FINISHED);
}

static void write_line(Told *t, const char *line) {
        assert_int_equal(write(t->pipe[1], line, strlen(line)), (ssize_t)strlen(line));
        run(t);
}

static void test_lines(void **state) {
        Told *t = *state;

        write_line(t, "add 0000:01:00.0\n");
        assert_int_equal(t->last, UEVENT_ADD);
        assert_int_equal(t->address.bus, 1);
        assert_int_equal(t->n_ends, 1);

        /* Of these the rest of the service hears nothing. */
        write_line(t, "change block\nremove block\nchange drm\nadd input\n");
        assert_int_equal(t->n_uses, 4);
        assert_int_equal(t->n_ends, 1);

        write_line(t, "change net\nblock\nchange\n");
        assert_int_equal(t->n, 5);
        write_line(t, "add block\nmove 0000:02:00.0\n");
        assert_int_equal(t->last, UEVENT_CHANGE);
        assert_int_equal(t->n, 7);
        assert_int_equal(t->n_ends, 3);
}

/* Austin Appleby's MurmurHash2, as libudev has it: by its value the kernel filters. */
static uint32_t hash(const char *text) {
        const uint32_t m = 0x5bd1e995;
        uint32_t h = (uint32_t)strlen(text), k;
        const unsigned char *p = (const unsigned char *)text;
        size_t n = strlen(text);

        for (; n >= 4; n -= 4, p += 4) {
                memcpy(&k, p, sizeof k);
                k *= m;
                k ^= k >> 24;
                h = (h * m) ^ (k * m);
        }
        if (n > 0) {
                for (size_t i = 0; i < n; i++)
                        h ^= (uint32_t)p[i] << 8 * i;
                h *= m;
        }
        h ^= h >> 13;
        h *= m;
        return h ^ h >> 15;
}

/* systemd, monitor_netlink_header: what comes before the properties. */
typedef struct Header {
        char prefix[8];
        uint32_t magic, header_size, properties_off, properties_len;
        uint32_t subsystem_hash, devtype_hash, tag_bloom_hi, tag_bloom_lo;
} Header;

static void send_event(Told *t, const char *action, const char *devpath, const char *subsystem) {
        const struct sockaddr_nl all = {.nl_family = AF_NETLINK, .nl_groups = GROUP_UDEV};
        Header header = {"libudev", htonl(0xfeedcafe),     sizeof header, sizeof header,
                         0,         htonl(hash(subsystem))};
        char buf[512] = {0};
        int n;

        n = snprintf(buf + sizeof header, sizeof buf - sizeof header,
                     "ACTION=%s%cDEVPATH=%s%cSUBSYSTEM=%s%cSEQNUM=1%c", action, 0, devpath, 0, subsystem, 0,
                     0);
        assert_true(n > 0 && (size_t)n < sizeof buf - sizeof header);
        header.properties_len = (uint32_t)n;
        memcpy(buf, &header, sizeof header);
        assert_true(sendto(t->socket, buf, sizeof header + (size_t)n, 0,
                           (const struct sockaddr *)(const void *)&all, sizeof all) > 0);
}

#define PCI_PATH "/devices/pci0000:00/0000:00:03.0"

static void test_messages(void **state) {
        static const char *const subsystems[] = {"block", "drm",      "graphics", "input", "bluetooth",
                                                 "tty",   "watchdog", "ipmi",     "tpm"};
        Told *t = *state;

        if (!t) {
                print_message("# needs root: sends events in a network namespace of its own\n");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(subsystems); i++) {
                send_event(t, "change", "/devices/virtual/x/x0", subsystems[i]);
                run(t);
                assert_int_equal(t->n_uses, i + 1);
        }
        assert_int_equal(t->n, t->n_uses);
        assert_int_equal(t->n_ends, 0);

        /* One that nobody asked for, and one behind it. */
        send_event(t, "add", "/devices/virtual/net/eth9", "net");
        send_event(t, "bind", PCI_PATH, "pci");
        run(t);
        assert_int_equal(t->last, UEVENT_BIND);
        assert_int_equal(t->address.device, 3);
        assert_int_equal(t->n, ELEMENTSOF(subsystems) + 1);
        assert_int_equal(t->n_ends, 1);
}

/* More than any socket holds: those of functions are not among what is lost. */
static void test_a_storm(void **state) {
        Told *t = *state;

        if (!t) {
                print_message("# needs root: sends events in a network namespace of its own\n");
                return;
        }
        for (unsigned i = 0; i < 5000; i++)
                send_event(t, "change", "/devices/virtual/block/dm-0", "block");
        send_event(t, "remove", PCI_PATH, "pci");
        while (t->n_ends == 0 || t->n_uses == 0)
                run(t);
        assert_int_equal(t->last, UEVENT_REMOVE);
        assert_int_equal(t->n - t->n_uses, 1);
        assert_in_range(t->n_uses, 1, 5000 / 256 + 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_lines, setup_pipe, teardown),
                        cmocka_unit_test_setup_teardown(test_messages, setup_monitor, teardown),
                        cmocka_unit_test_setup_teardown(test_a_storm, setup_monitor, teardown),
        };

        return cmocka_run_group_tests_name("uevents", tests, NULL, NULL);
}
