/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "host-sessions.h"
#include "suite.h"

/* libsystemd's reading of logind's records, which are ours here: /run/systemd is another one for each case. */

#define SESSIONS "/run/systemd/sessions"

static void write_session(const char *id, const char *text) {
        _cleanup_close_ int fd = -1;
        char path[128];

        (void)snprintf(path, sizeof path, SESSIONS "/%s", id);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int setup(void **state _unused_) {
        if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/systemd", 0755) < 0 ||
            mkdir(SESSIONS, 0755) < 0)
                return -1;
        return 0;
}

typedef struct Seen {
        char text[1024];
        unsigned n;
        int answer;
} Seen;

static int collect(uid_t uid, const char *peer, void *userdata) {
        Seen *s = userdata;
        size_t n = strlen(s->text);

        (void)snprintf(s->text + n, sizeof s->text - n, "%u '%s'\n", (unsigned)uid, peer);
        s->n++;
        return s->answer;
}

static void expect(const char *expected) {
        Seen s = {.text = ""};

        assert_int_equal(host_sessions_each(collect, &s), 0);
        assert_string_equal(s.text, expected);
}

static void test_refused_session_of_ssh(void **state _unused_) {
        write_session("3",
                      "# This is private data. Do not parse.\nUID=1000\nUSER=alice\nACTIVE=1\nIS_DISPLAY=1\n"
                      "STATE=active\nREMOTE=1\nTYPE=tty\nCLASS=user\nSCOPE=session-3.scope\nFIFO=/run/x\n"
                      "REMOTE_HOST=192.0.2.9\nSERVICE=sshd\nLEADER=4242\nAUDIT=3\n");
        expect("1000 '192.0.2.9'\n");
}

static void test_refused_session_of_cockpit(void **state _unused_) {
        write_session("c1", "UID=0\nUSER=root\nACTIVE=0\nSTATE=online\nREMOTE=1\nTYPE=web\nCLASS=user\n"
                            "REMOTE_HOST=::ffff:192.0.2.9\nSERVICE=cockpit\nLEADER=4242\n");
        expect("0 '::ffff:192.0.2.9'\n");
}

/* Where it comes from is left to the caller to guess. */
static void test_refused_session_without_a_host(void **state _unused_) {
        write_session("4", "UID=1000\nSTATE=active\nREMOTE=1\nTYPE=tty\nCLASS=user\n");
        expect("1000 ''\n");
}

static void test_harmless_local_session(void **state _unused_) {
        write_session("5",
                      "UID=1000\nSTATE=active\nREMOTE=0\nTYPE=wayland\nCLASS=user\nSEAT=seat0\nVTNR=2\n");
        expect("");
}

static void test_harmless_session_that_is_over(void **state _unused_) {
        write_session("6",
                      "UID=1000\nSTATE=closing\nREMOTE=1\nREMOTE_HOST=192.0.2.9\nTYPE=tty\nCLASS=user\n");
        expect("");
}

static void test_harmless_host_without_sessions(void **state _unused_) {
        expect("");
        assert_int_equal(rmdir(SESSIONS), 0); /* no logind at all */
        expect("");
}

static void test_the_first_refusal_ends_it(void **state _unused_) {
        Seen s = {.answer = -E2BIG};

        write_session("7", "UID=1000\nSTATE=active\nREMOTE=1\nREMOTE_HOST=192.0.2.9\n");
        write_session("8", "UID=1001\nSTATE=active\nREMOTE=1\nREMOTE_HOST=192.0.2.9\n");
        assert_int_equal(host_sessions_each(collect, &s), -E2BIG);
        assert_int_equal(s.n, 1);
}

/* No verdict is better than half of one. */
static void test_a_record_that_cannot_be_read(void **state _unused_) {
        Seen s = {.text = ""};

        write_session("9", "STATE=active\nREMOTE=1\nREMOTE_HOST=192.0.2.9\n");
        assert_true(host_sessions_each(collect, &s) < 0);
        assert_string_equal(s.text, "");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup(name, setup)
        const struct CMUnitTest tests[] = {
                        CASE(test_refused_session_of_ssh),         CASE(test_refused_session_of_cockpit),
                        CASE(test_refused_session_without_a_host), CASE(test_harmless_local_session),
                        CASE(test_harmless_session_that_is_over),  CASE(test_harmless_host_without_sessions),
                        CASE(test_the_first_refusal_ends_it),      CASE(test_a_record_that_cannot_be_read),
        };

        return suite_run("host-sessions", "mounts a /run of its own", tests);
}
