/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The service manager's end of sd_notify(3), played by a test. */

#include <sys/socket.h>

#include "fake-host.h"

/* The next datagram of those that were sent so far, which is there as soon as sendmsg() has returned. False: there is
 * none. *ret_fd is the descriptor that came with it, or -1. */
static inline bool notify_take(int socket, char *text, size_t size, int *ret_fd) {
        char control[CMSG_SPACE(sizeof(int))];
        struct iovec iov = {text, size - 1};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        struct cmsghdr *c;
        ssize_t n;

        n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0) {
                assert_int_equal(errno, EAGAIN);
                return false;
        }
        text[n] = '\0';
        *ret_fd = -1;
        c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_type == SCM_RIGHTS)
                memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
        return true;
}
