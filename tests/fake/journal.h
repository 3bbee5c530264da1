/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The journal's end of its native protocol, played by a test. */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "fake-host.h"

#define JOURNAL_SOCKET "run/systemd/journal/socket"

/* Below the root of the host, for everybody; instead of one that was there before. */
static inline int journal_listen(FakeHost *h) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int fd;

        fake_host_mkdir(h, "run/systemd/journal");
        fake_host_remove(h, JOURNAL_SOCKET);
        assert_true(snprintf(a.sun_path, sizeof a.sun_path, "%s/" JOURNAL_SOCKET, h->root) <
                    (int)sizeof a.sun_path);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(chmod(a.sun_path, 0666), 0);
        return fd;
}

/* The next entry of those that were sent so far, which is there as soon as send() has returned. -1: there is none. */
static inline ssize_t journal_take(int fd, char *text, size_t size) {
        ssize_t n = recv(fd, text, size - 1, MSG_DONTWAIT);

        if (n < 0) {
                assert_int_equal(errno, EAGAIN);
                return -1;
        }
        text[n] = '\0';
        return n;
}
