/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * stage: the bench of tests/bus for scripts. It sets up a fake host, a private bus, a scripted polkit, the helper and
 * the daemon, prints "stage ADDRESS ROOT", and then carries out the lines of its standard input, each answered by a
 * line that begins with "ok". It ends with its input. tests/cli/stage.py is its client.
 */

#include <fcntl.h>

#include "bench.h"
#include "fake-kernel.h"
#include "fake-links.h"
#include "fake-sriov.h"
#include "orders.h"

#define LINE_SIZE 512
#define WORDS_MAX 8

typedef struct Stage {
        Bench *bench;
        char line[LINE_SIZE];
        size_t n_line;
        bool ended;
} Stage;

typedef struct Order {
        const char *name;
        size_t n_words; /* with the name */
        void (*run)(Bench *b, char *words[]);
} Order;

static void order_polkit(Bench *b, char *words[]) {
        static const char *const modes[] = {"yes", "no", "challenge", "dismissed", "hang", "error", "gone"};

        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (streq(words[1], modes[i]))
                        polkit_set_mode(b, (PolkitMode)i);
}

/* Answers what hangs last. */
static void order_settle(Bench *b, char *words[]) {
        bench_until_asked(b, 1);
        polkit_settle(b, b->n_asked - 1, streq(words[1], "yes"));
}

/* Waits until polkit was asked so often. */
static void order_asked(Bench *b, char *words[]) {
        bench_until_asked(b, (size_t)atoi(words[1]));
}

static void order_start(Bench *b, char *words[]) {
        bench_start_daemon(b);
}

static void order_kill(Bench *b, char *words[]) {
        bench_kill_daemon(b);
}

/* The daemon answers nobody, and is there. */
static void order_freeze(Bench *b, char *words[]) {
        (void)kill(b->daemon, streq(words[1], "yes") ? SIGSTOP : SIGCONT);
}

static void order_hold(Bench *b, char *words[]) {
        fake_host_hold_vfio(b->host, (unsigned)atoi(words[1]), streq(words[2], "yes"));
}

/* A process has the node of a device open, where there is a cdev. */
static void order_hold_device(Bench *b, char *words[]) {
        fake_host_hold_device(b->host, words[1], streq(words[2], "yes"));
}

static void order_cdev(Bench *b, char *words[]) {
        fake_host_add_cdev(b->host);
}

static void order_fail(Bench *b, char *words[]) {
        fake_host_fail(b->host, words[1]);
}

static void order_clear(Bench *b, char *words[]) {
        fake_host_clear(b->host);
}

static void order_let_go(Bench *b, char *words[]) {
        fake_host_let_go(b->host);
}

/* NICs alone in their sets, on buses from 0x20 on. */
static void order_fill(Bench *b, char *words[]) {
        for (unsigned i = 0; i < (unsigned)atoi(words[1]); i++) {
                char address[PATH_MAX];

                (void)snprintf(address, sizeof address, "0000:%02x:%02x.0", 0x20 + i / 32, i % 32);
                fake_host_add_device(b->host, &(FakeDevice){.address = address,
                                                            .vendor = 0x8086,
                                                            .device = 0x10d3,
                                                            .class_code = 0x020000,
                                                            .driver = "e1000e",
                                                            .iommu_set = 100 + i,
                                                            .reset_methods = "flr"});
        }
}

/* A physical function and a virtual one of it. */
static void order_sriov(Bench *b, char *words[]) {
        fake_host_add_device(b->host, &(FakeDevice){.address = "0000:0a:00.0",
                                                    .vendor = 0x8086,
                                                    .device = 0x10c9,
                                                    .class_code = 0x020000,
                                                    .driver = "igb",
                                                    .iommu_set = 20,
                                                    .reset_methods = "flr"});
        fake_host_write(b->host, "sys/bus/pci/devices/0000:0a:00.0/sriov_totalvfs", "7\n");
        fake_host_write(b->host, "sys/bus/pci/devices/0000:0a:00.0/sriov_numvfs", "1\n");
        fake_host_add_device(b->host, &(FakeDevice){.address = "0000:0a:10.0",
                                                    .vendor = 0x8086,
                                                    .device = 0x10ca,
                                                    .class_code = 0x020000,
                                                    .driver = "igbvf",
                                                    .iommu_set = 21,
                                                    .physfn = "0000:0a:00.0",
                                                    .reset_methods = "flr"});
}

static void add_port(Bench *b, const char *address, unsigned set, const char *interface) {
        fake_host_add_device(b->host, &(FakeDevice){.address = address,
                                                    .vendor = 0x8086,
                                                    .device = 0x10c9,
                                                    .class_code = 0x020000,
                                                    .driver = "igb",
                                                    .iommu_set = set,
                                                    .total_vfs = 7,
                                                    .vf_device = 0x10ca,
                                                    .vf_driver = "igbvf",
                                                    .reset_methods = "flr"});
        fake_links_add(b->host, address, interface, set, "igb");
}

/* Two ports of network cards and a disk controller that act like physical functions. */
static void order_ports(Bench *b, char *words[]) {
        add_port(b, "0000:06:00.0", 21, "eno1");
        add_port(b, "0000:07:00.0", 22, "eno2");
        fake_host_add_device(b->host, &(FakeDevice){.address = "0000:08:00.0",
                                                    .vendor = 0x1b36,
                                                    .device = 0x0010,
                                                    .class_code = 0x010802,
                                                    .driver = "nvme",
                                                    .iommu_set = 23,
                                                    .total_vfs = 4,
                                                    .vf_device = 0x0010,
                                                    .vf_driver = "nvme",
                                                    .reset_methods = "flr"});
        assert_int_equal(fchownat(b->host->fd, "fake", DAEMON_UID, (gid_t)-1, 0), 0);
}

/* What the driver of the first port can do, and how the port is: a word of fake-links.h. */
static void order_port(Bench *b, char *words[]) {
        fake_host_write(b->host, "fake/links/21", "0000:06:00.0 eno1 %s\n", words[1]);
}

/* So many functions of a port, made by somebody else. */
static void order_numvfs(Bench *b, char *words[]) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%s/sys/%s", b->host->root,
                       fake_host_device_path(b->host, words[1]));
        fake_kernel_attach(b->host->root);
        assert_int_equal(fake_sriov_set_number(b->host, path, (unsigned)atoi(words[2])), 0);
}

/* A file system on the NVMe drive of the pair is mounted: its set is critical. */
static void order_mount(Bench *b, char *words[]) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%s/nvme/nvme0/nvme0n1",
                       fake_host_device_path(b->host, PAIR_NVME));
        fake_host_add_block(b->host, path, "259:0");
        fake_host_mount(b->host, "259:0", "/srv/data", "ext4", "/dev/nvme0n1");
}

/* Waits until a property of a device has this in it. */
static void order_until(Bench *b, char *words[]) {
        orders_until_device(b, words[1], words[2], words[3]);
}

/* Waits until so many prompts were called off. */
static void order_cancelled(Bench *b, char *words[]) {
        bench_until_cancelled(b, (size_t)atoi(words[1]));
}

/* What the helper reads when it starts next. */
static void order_deadline(Bench *b, char *words[]) {
        fake_host_write(b->host, HELPER_CONF, "deadline-seconds=%s\n", words[1]);
}

static void order_unplug(Bench *b, char *words[]) {
        fake_host_remove_device(b->host, words[1]);
}

static const Order orders[] = {
                {"polkit", 2, order_polkit},     {"settle", 2, order_settle},
                {"asked", 2, order_asked},       {"start", 1, order_start},
                {"kill", 1, order_kill},         {"freeze", 2, order_freeze},
                {"hold", 3, order_hold},         {"fail", 2, order_fail},
                {"clear", 1, order_clear},       {"hold-device", 3, order_hold_device},
                {"cdev", 1, order_cdev},         {"let-go", 1, order_let_go},
                {"fill", 2, order_fill},         {"sriov", 1, order_sriov},
                {"mount", 1, order_mount},       {"unplug", 2, order_unplug},
                {"until", 4, order_until},       {"cancelled", 2, order_cancelled},
                {"deadline", 2, order_deadline}, {"ports", 1, order_ports},
                {"port", 2, order_port},         {"numvfs", 3, order_numvfs},
};

static void carry_out(Bench *b, char *line) {
        char *words[WORDS_MAX] = {};
        size_t n = 0;

        /* "fail" takes the rest of the line, which has blanks. */
        for (char *save = NULL, *word = strtok_r(line, " ", &save); word && n < WORDS_MAX;
             word = strtok_r(NULL, n == 1 && streq(words[0], "fail") ? "" : " ", &save))
                words[n++] = word;
        for (size_t i = 0; n > 0 && i < ELEMENTSOF(orders); i++)
                if (streq(orders[i].name, words[0]) && orders[i].n_words == n) {
                        orders[i].run(b, words);
                        (void)printf("ok %zu %s\n", b->n_asked,
                                     b->n_asked > 0 ? b->asked[b->n_asked - 1].action : "-");
                        (void)fflush(stdout);
                        return;
                }
        fail_msg("stage: no order like '%s' with %zu words", n > 0 ? words[0] : "", n);
}

static int on_input(sd_event_source *s, int fd, uint32_t events, void *userdata) {
        Stage *stage = userdata;
        ssize_t n = read(fd, stage->line + stage->n_line, sizeof stage->line - 1 - stage->n_line);

        if (n <= 0) {
                stage->ended = true;
                return 0;
        }
        stage->n_line += (size_t)n;
        stage->line[stage->n_line] = '\0';
        return 0;
}

/* Not from within the loop: what is carried out runs it, too. */
static void carry_out_lines(Stage *stage) {
        char *end;

        while ((end = strchr(stage->line, '\n'))) {
                size_t length = (size_t)(end - stage->line) + 1;

                *end = '\0';
                carry_out(stage->bench, stage->line);
                memmove(stage->line, stage->line + length, stage->n_line - length + 1);
                stage->n_line -= length;
        }
}

/* In the tests of cmocka, since the bench's complaints are. */
static void run_stage(void **state) {
        Stage stage = {.bench = *state};

        (void)printf("stage %s %s\n", stage.bench->bus_address, stage.bench->host->root);
        (void)fflush(stdout);
        assert_true(sd_event_add_io(stage.bench->event, NULL, STDIN_FILENO, EPOLLIN, on_input, &stage) >= 0);
        while (!stage.ended) {
                assert_true(sd_event_run(stage.bench->event, UINT64_MAX) >= 0);
                stage.bench->n_signals = 0; /* nobody asks for them here, and there is room for some only */
                carry_out_lines(&stage);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(run_stage, bench_setup, bench_teardown)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}
