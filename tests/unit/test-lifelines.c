/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Lifelines, with a service manager that is played here: it keeps what it is told to keep, and hands it to the next
 * "process", which is this one again with the descriptors where systemd puts them. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <systemd/sd-daemon.h>

#include "fake-host.h"
#include "lifelines.h"
#include "notify.h"

#define WEB "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
#define MAIL "6ba7b811-9dad-11d1-80b4-00c04fd430c8"

#define STORE_MAX 16
#define HIGH 100 /* where our own descriptors lie, so that those from 3 on are free */
#define DEADLINE_USEC (20ULL * 1000 * 1000)

typedef struct Stored {
        char name[300];
        int fd;
} Stored;

typedef struct Bench {
        FakeHost *host;
        int socket;
        Stored store[STORE_MAX];
        int n_stored;
        unsigned n_added, n_removed; /* messages that said so */
        sd_event *event;
        Lifelines *lines;
        bool inside, drop_when_cut;
        unsigned n_cut;
        char cut[64];
} Bench;

static int move_high(int fd) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH);

        assert_true(high >= HIGH);
        close(fd);
        return high;
}

static void on_cut(const char *run, void *userdata) {
        Bench *b = userdata;

        assert_false(b->inside);
        assert_true(lifelines_has(b->lines, run));
        (void)snprintf(b->cut, sizeof b->cut, "%s", run);
        b->n_cut++;
        if (b->drop_when_cut)
                lifelines_drop(b->lines, b->cut);
}

static void store_remove(Bench *b, const char *name) {
        for (int i = b->n_stored - 1; i >= 0; i--)
                if (streq(b->store[i].name, name)) {
                        close(b->store[i].fd);
                        memmove(&b->store[i], &b->store[i + 1],
                                (size_t)(--b->n_stored - i) * sizeof b->store[0]);
                }
}

/* systemd knows a pipe that it has already. */
static bool same_pipe(int a, int b) {
        struct stat one, two;

        assert_int_equal(fstat(a, &one), 0);
        assert_int_equal(fstat(b, &two), 0);
        return one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

static void store_add(Bench *b, const char *name, int fd) {
        for (int i = 0; i < b->n_stored; i++)
                if (same_pipe(b->store[i].fd, fd)) {
                        close(fd);
                        return;
                }
        assert_true(b->n_stored < STORE_MAX);
        (void)snprintf(b->store[b->n_stored].name, sizeof b->store[0].name, "%s", name);
        b->store[b->n_stored++].fd = move_high(fd);
}

static void take_message(Bench *b, const char *text, int fd) {
        char name[300];

        if (fd >= 0) {
                assert_int_equal(sscanf(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%299s", name), 1);
                store_add(b, name, fd);
                b->n_added++;
        } else {
                assert_int_equal(sscanf(text, "FDSTOREREMOVE=1\nFDNAME=%299s", name), 1);
                store_remove(b, name);
                b->n_removed++;
        }
}

static void manage(Bench *b) {
        char text[1024];
        int fd;

        while (notify_take(b->socket, text, sizeof text, &fd))
                take_message(b, text, fd);
}

static int begin(Bench *b) {
        int r;

        assert_true(sd_event_new(&b->event) >= 0);
        assert_true(sd_event_add_time_relative(b->event, NULL, CLOCK_MONOTONIC, DEADLINE_USEC, 0, NULL,
                                               (void *)(intptr_t)-ETIME) >= 0);
        b->inside = true;
        r = lifelines_new(b->event, on_cut, b, &b->lines);
        b->inside = false;
        return r;
}

static void end(Bench *b) {
        b->lines = lifelines_free(b->lines);
        b->event = sd_event_unref(b->event);
}

/* The next process of the unit, with what the store holds. */
static void begin_with_store(Bench *b) {
        char names[STORE_MAX * 310] = "", number[32];

        manage(b);
        for (int i = 0; i < b->n_stored; i++) {
                size_t n = strlen(names);

                assert_true(fcntl(SD_LISTEN_FDS_START + i, F_GETFD) < 0);
                assert_true(dup2(b->store[i].fd, SD_LISTEN_FDS_START + i) >= 0);
                (void)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ":" : "", b->store[i].name);
        }
        (void)snprintf(number, sizeof number, "%d", (int)getpid());
        assert_int_equal(setenv("LISTEN_PID", number, 1), 0);
        (void)snprintf(number, sizeof number, "%d", b->n_stored);
        assert_int_equal(setenv("LISTEN_FDS", number, 1), 0);
        assert_int_equal(setenv("LISTEN_FDNAMES", names, 1), 0);

        assert_int_equal(begin(b), 0);

        assert_int_equal(unsetenv("LISTEN_PID"), 0);
        assert_int_equal(unsetenv("LISTEN_FDS"), 0);
        assert_int_equal(unsetenv("LISTEN_FDNAMES"), 0);
}

static void restart(Bench *b) {
        end(b);
        begin_with_store(b);
}

static void until_cut(Bench *b, unsigned n) {
        while (b->n_cut < n)
                assert_true(sd_event_run(b->event, UINT64_MAX) >= 0);
        assert_int_equal(b->n_cut, n);
}

/* Nothing is there to be done. */
static void expect_quiet(Bench *b) {
        unsigned n = b->n_cut;

        assert_int_equal(sd_event_run(b->event, 0), 0);
        assert_int_equal(b->n_cut, n);
}

static int make(Bench *b, const char *run) {
        int fd = -1;

        b->inside = true;
        assert_int_equal(lifelines_make(b->lines, run, &fd), 0);
        b->inside = false;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
        manage(b);
        return move_high(fd);
}

static int setup(void **state) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        Bench *b = calloc(1, sizeof *b);

        assert_non_null(b);
        *state = b;
        b->host = fake_host_new();
        b->host->fd = move_high(b->host->fd);
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", b->host->root);
        b->socket = move_high(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        assert_int_equal(bind(b->socket, (struct sockaddr *)(void *)&address, sizeof address), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        assert_int_equal(begin(b), 0);
        return 0;
}

static int teardown(void **state) {
        Bench *b = *state;

        end(b);
        for (int i = 0; i < b->n_stored; i++)
                close(b->store[i].fd);
        close(b->socket);
        fake_host_free(b->host);
        free(b);
        return 0;
}

static void test_cut(void **state) {
        Bench *b = *state;
        int web = make(b, WEB), mail = make(b, MAIL);

        assert_int_equal(b->n_stored, 2);
        assert_string_equal(b->store[0].name, "lifeline-" WEB);
        expect_quiet(b);

        close(web);
        until_cut(b, 1);
        assert_string_equal(b->cut, WEB);
        expect_quiet(b); /* once, although it is still there */
        manage(b);
        assert_int_equal(b->n_stored, 2);

        b->inside = true;
        lifelines_drop(b->lines, WEB);
        b->inside = false;
        manage(b);
        assert_int_equal(b->n_stored, 1);
        assert_string_equal(b->store[0].name, "lifeline-" MAIL);
        assert_false(lifelines_has(b->lines, WEB));
        assert_true(lifelines_has(b->lines, MAIL));

        lifelines_drop(b->lines, WEB);
        manage(b);
        assert_int_equal(b->n_removed, 1);
        close(mail);
        until_cut(b, 2);
        assert_string_equal(b->cut, MAIL);
}

static void test_drop_when_cut(void **state) {
        Bench *b = *state;
        int web = make(b, WEB), mail = make(b, MAIL);

        b->drop_when_cut = true;
        close(web);
        close(mail);
        until_cut(b, 2);
        manage(b);
        assert_int_equal(b->n_stored, 0);
        expect_quiet(b);

        close(make(b, WEB)); /* the id may be used again */
        until_cut(b, 3);
}

/* A VM is many processes; the lifeline is that of the last one, however it ends. */
static void test_last_copy(void **state) {
        Bench *b = *state;
        int web = make(b, WEB), status;
        pid_t child;

        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        (void)pause();
        }
        close(web);
        expect_quiet(b);

        assert_int_equal(kill(child, SIGKILL), 0);
        until_cut(b, 1);
        assert_int_equal(waitpid(child, &status, 0), child);
}

static void test_writer(void **state) {
        Bench *b = *state;
        char data[1024] = {0};
        int web = make(b, WEB);
        ssize_t n, sum = 0;

        assert_int_equal(fcntl(web, F_SETFL, O_NONBLOCK), 0);
        while ((n = write(web, data, sizeof data)) > 0)
                sum += n;
        assert_int_equal(errno, EAGAIN);
        assert_true(sum > 0 && sum <= 4096);
        expect_quiet(b);

        close(web);
        until_cut(b, 1);
}

static void test_restart(void **state) {
        Bench *b = *state;
        int web = make(b, WEB), mail = make(b, MAIL);

        restart(b);
        assert_true(lifelines_has(b->lines, WEB));
        assert_true(lifelines_has(b->lines, MAIL));
        assert_true(fcntl(SD_LISTEN_FDS_START, F_GETFD) & FD_CLOEXEC);
        expect_quiet(b);
        manage(b);
        assert_int_equal(b->n_added, 2);
        assert_int_equal(b->n_removed, 0);

        close(web);
        until_cut(b, 1);
        assert_string_equal(b->cut, WEB);

        restart(b); /* before the end of the run was written down */
        until_cut(b, 2);
        assert_string_equal(b->cut, WEB);
        lifelines_drop(b->lines, WEB);

        restart(b);
        assert_false(lifelines_has(b->lines, WEB));
        expect_quiet(b);
        close(mail);
        until_cut(b, 3);
}

static void test_cut_while_down(void **state) {
        Bench *b = *state;
        int web = make(b, WEB), mail = make(b, MAIL);

        end(b);
        close(web);
        begin_with_store(b);
        until_cut(b, 1);
        assert_string_equal(b->cut, WEB);
        expect_quiet(b);
        close(mail);
}

static bool is_mail(const char *run, void *userdata) {
        ++*(unsigned *)userdata;
        return streq(run, MAIL);
}

static void test_keep_only(void **state) {
        Bench *b = *state;
        int web = make(b, WEB), mail = make(b, MAIL);
        unsigned n = 0;

        end(b);
        close(web);
        begin_with_store(b);
        b->inside = true;
        lifelines_keep_only(b->lines, is_mail, &n);
        b->inside = false;
        assert_int_equal(n, 2);
        assert_false(lifelines_has(b->lines, WEB));
        expect_quiet(b); /* although it is cut */
        manage(b);
        assert_int_equal(b->n_stored, 1);

        close(mail);
        until_cut(b, 1);
        assert_string_equal(b->cut, MAIL);
}

/* A pipe's reading end in the store under this name; returns the writing end. */
static int store_pipe(Bench *b, const char *name) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        fds[1] = move_high(fds[1]);
        store_add(b, name, fds[0]);
        return fds[1];
}

static bool has_reader(int fd) {
        struct pollfd p = {.fd = fd};

        assert_true(poll(&p, 1, 0) >= 0);
        return !(p.revents & POLLERR);
}

static void test_strangers(void **state) {
        const char *const names[] = {"stored", "lifeline-", "lifeline-" WEB "x", "lifeline-../../etc",
                                     "lifeline"};
        Bench *b = *state;
        int fds[ELEMENTSOF(names)], pair[2], null, web;

        end(b);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                fds[i] = store_pipe(b, names[i]);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        pair[1] = move_high(pair[1]);
        store_add(b, "lifeline-" MAIL, pair[0]); /* no pipe */
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_true(null >= 0);
        store_add(b, "lifeline-" MAIL, null);
        web = store_pipe(b, "lifeline-" WEB);

        begin_with_store(b);
        assert_false(lifelines_has(b->lines, MAIL));
        assert_true(lifelines_has(b->lines, WEB));
        manage(b);
        assert_int_equal(b->n_stored, 1);
        assert_string_equal(b->store[0].name, "lifeline-" WEB);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                assert_false(has_reader(fds[i]));
                close(fds[i]);
        }
        close(pair[1]);

        close(web);
        until_cut(b, 1);
}

static void test_writing_end(void **state) {
        Bench *b = *state;
        int fds[2];

        end(b);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        fds[0] = move_high(fds[0]);
        store_add(b, "lifeline-" WEB, fds[1]);
        begin_with_store(b);
        assert_false(lifelines_has(b->lines, WEB));
        manage(b);
        assert_int_equal(b->n_stored, 0);
        close(fds[0]);
}

static void test_name_twice(void **state) {
        Bench *b = *state;
        int first, second;

        end(b);
        first = store_pipe(b, "lifeline-" WEB);
        second = store_pipe(b, "lifeline-" WEB);
        begin_with_store(b);
        manage(b);
        assert_false(has_reader(second));
        assert_true(has_reader(first));
        assert_int_equal(b->n_stored, 1);

        close(second);
        expect_quiet(b);
        restart(b); /* and the first one is still kept */
        close(first);
        until_cut(b, 1);
}

static void test_no_manager(void **state) {
        Bench *b = *state;
        int fd = -1;

        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(lifelines_make(b->lines, WEB, &fd), 0);
        manage(b);
        assert_int_equal(b->n_added, 0);
        close(fd);
        until_cut(b, 1);
        lifelines_drop(b->lines, WEB);
        assert_false(lifelines_has(b->lines, WEB));
}

static void test_manager_fails(void **state) {
        Bench *b = *state;
        int fd = -1;

        fake_host_remove(b->host, "notify");
        assert_int_equal(lifelines_make(b->lines, WEB, &fd), -ENOENT);
        assert_int_equal(fd, -1);
        assert_false(lifelines_has(b->lines, WEB));
        expect_quiet(b);
}

static void test_limits(void **state) {
        struct rlimit limit;
        Bench *b = *state;
        int web = make(b, WEB), fd = -1;
        char run[64];

        assert_int_equal(lifelines_make(b->lines, WEB, &fd), -EEXIST);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_true(limit.rlim_cur > LIFELINES_MAX + HIGH);
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        for (unsigned i = 1; i < LIFELINES_MAX; i++) {
                (void)snprintf(run, sizeof run, "%08x%s", i, &WEB[8]);
                assert_int_equal(lifelines_make(b->lines, run, &fd), 0);
                close(fd);
        }
        fd = -1;
        assert_int_equal(lifelines_make(b->lines, MAIL, &fd), -EMFILE);
        assert_int_equal(fd, -1);
        lifelines_drop(b->lines, run);
        assert_int_equal(lifelines_make(b->lines, MAIL, &fd), 0);
        close(fd);

        until_cut(b, LIFELINES_MAX - 1); /* all but the first */
        expect_quiet(b);
        close(web);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_drop_when_cut, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_last_copy, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_writer, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_cut_while_down, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_keep_only, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_strangers, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_writing_end, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_name_twice, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_no_manager, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_manager_fails, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        };

        /* Whatever was inherited would be in the way. */
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + STORE_MAX; fd++)
                (void)close(fd);
        return cmocka_run_group_tests_name("lifelines", tests, NULL, NULL);
}
