/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "worker.h"

#define GIFT_SOCKET 4 /* in the worker; see worker_give() */

struct Worker {
        sd_event_source *child, *timer;
        WorkerResult *result;
        worker_done_t done;
        void *userdata;
        int gift; /* our end of the socket for what it gives */
        bool late;
};

Worker *worker_free(Worker *w) {
        if (!w)
                return NULL;

        sd_event_source_disable_unref(w->child);
        sd_event_source_disable_unref(w->timer);
        if (w->result)
                (void)munmap(w->result, sizeof *w->result);
        closep(&w->gift);
        free(w);
        return NULL;
}
DEFINE_CLEANUP(Worker *, worker_free);

static uint64_t now_usec(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

bool worker_past_deadline(const WorkerResult *result) {
        return now_usec() > result->deadline;
}

unsigned worker_seconds_left(const WorkerResult *result) {
        uint64_t now = now_usec();

        return now >= result->deadline ? 0 : (unsigned)((result->deadline - now + 999999) / 1000000);
}

void worker_doing(WorkerResult *result, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(result->doing, sizeof result->doing, format, ap);
        va_end(ap);
}

int worker_fail_write(WorkerResult *result, const char *nothing, const char *path, int r) {
        return worker_fail(result, FAILURE_INTERNAL,
                           "%s: /%s cannot be written (%s); make room there, or run 'systemd-tmpfiles "
                           "--create', and try again.",
                           nothing, path, strerror(-r));
}

int worker_fail_remove(WorkerResult *result, const char *what, const char *of, const char *directory,
                       int r) {
        return worker_fail(result, FAILURE_INTERNAL,
                           "%s %s cannot be removed from /%s (%s); remove it by hand.", what, of, directory,
                           strerror(-r));
}

void worker_note_driver(WorkerResult *result, const char *address, const char *driver) {
        AuditDriver *d = result->drivers;

        while (d < result->drivers + result->n_drivers && !streq(d->device, address))
                d++;
        if (d == result->drivers + ELEMENTSOF(result->drivers))
                return;
        if (d == result->drivers + result->n_drivers) {
                (void)snprintf(d->device, sizeof d->device, "%s", address);
                (void)snprintf(d->from, sizeof d->from, "%s", driver);
                result->n_drivers++;
        }
        (void)snprintf(d->to, sizeof d->to, "%s", driver);
}

static int on_exit_of_child(sd_event_source *s _unused_, const siginfo_t *si, void *userdata) {
        Worker *w = userdata;

        w->done(w, si->si_code == CLD_EXITED && si->si_status == 0 ? WORKER_FINISHED : WORKER_DIED,
                w->result, w->userdata);
        return 0;
}

static int on_late(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Worker *w = userdata;

        w->late = true;
        w->done(w, WORKER_LATE, w->result, w->userdata);
        return 0;
}

bool worker_is_late(const Worker *w) {
        return w->late;
}

/* Room for one control message with this many descriptors. */
typedef union GiftBox {
        struct cmsghdr align;
        char buf[CMSG_SPACE(WORKER_GIFTS_MAX * sizeof(int))];
} GiftBox;

int worker_give(const int *fds, size_t n) {
        struct iovec byte = {.iov_base = (char[]){0}, .iov_len = 1};
        GiftBox box = {0};
        struct msghdr message = {.msg_iov = &byte,
                                 .msg_iovlen = 1,
                                 .msg_control = box.buf,
                                 .msg_controllen = CMSG_SPACE(n * sizeof(int))};
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        assert(fds);
        assert(n > 0 && n <= WORKER_GIFTS_MAX);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
        return sendmsg(GIFT_SOCKET, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

size_t worker_take(Worker *w, int ret[static WORKER_GIFTS_MAX]) {
        struct iovec byte = {.iov_base = (char[]){0}, .iov_len = 1};
        GiftBox box = {0};
        struct msghdr message = {.msg_iov = &byte,
                                 .msg_iovlen = 1,
                                 .msg_control = box.buf,
                                 .msg_controllen = sizeof box.buf};
        struct cmsghdr *c;
        size_t n;

        assert(w);
        assert(ret);

        if (recvmsg(w->gift, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
                return 0;
        c = CMSG_FIRSTHDR(&message);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                return 0;

        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(ret, CMSG_DATA(c), n * sizeof(int));
        return n;
}

_Noreturn static void run_child(int root_fd, int gift, worker_work_t work, const void *argument,
                                WorkerResult *result) {
        sigset_t none;

        /* The bus connection must end with the main process, not with a child that the kernel keeps: so no
         * descriptor survives here but the root directory, the socket for what it gives, and standard error. */
        if (gift == 3 && (gift = dup(gift)) < 0)
                _exit(EXIT_FAILURE);
        if ((root_fd != 3 && dup3(root_fd, 3, O_CLOEXEC) < 0) ||
            (gift != GIFT_SOCKET && dup3(gift, GIFT_SOCKET, O_CLOEXEC) < 0) ||
            close_range(GIFT_SOCKET + 1, ~0U, 0) < 0)
                _exit(EXIT_FAILURE);

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);

        work(3, argument, result);
        _exit(EXIT_SUCCESS);
}

int worker_start(sd_event *event, int root_fd, uint64_t timeout_usec, worker_work_t work,
                 const void *argument, worker_done_t done, void *userdata, Worker **ret) {
        _cleanup_(worker_freep) Worker *w = NULL;
        _cleanup_close_ int gift = -1;
        int r, pair[2];
        pid_t pid;

        assert(event);
        assert(work);
        assert(done);
        assert(ret);

        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->done = done;
        w->userdata = userdata;
        w->gift = -1;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        w->gift = pair[0];
        gift = pair[1];

        w->result = mmap(NULL, sizeof *w->result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (w->result == MAP_FAILED) {
                w->result = NULL;
                return -errno;
        }
        w->result->deadline = now_usec() + timeout_usec;

        r = sd_event_add_time(event, &w->timer, CLOCK_MONOTONIC, w->result->deadline, 0, on_late, w);
        if (r < 0)
                return r;

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                run_child(root_fd, gift, work, argument, w->result);

        r = sd_event_add_child(event, &w->child, pid, WEXITED, on_exit_of_child, w);
        if (r < 0) {
                /* Nobody would know its end: then it must not work. It has not got to anything that blocks. */
                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
                return r;
        }

        *ret = STEAL(w);
        return 0;
}
