/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>

#include "critical.h"
#include "host-functions.h"
#include "host-watch.h"
#include "sysfs.h"

/* Between two looks: mounts come in storms, and block devices by the thousand. A look at a large host takes long. */
#define PAUSE_USEC (100ULL * 1000)
#define PAUSE_FACTOR 9
#define STACK_SIZE (1024U * 1024U) /* the facts follow links with PATH_MAX buffers, a dozen deep */

/* What the thread works on. It belongs to the thread until that has written to the eventfd. */
typedef struct Job {
        int root, done_fd;
        int error;
        HostVerdict *verdicts;
        size_t n;
        bool unwatched; /* what was found can change without an event */
} Job;

struct HostWatch {
        HostWatchConfig config;
        sd_event *event;
        sd_event_source *io[4], *done_source;
        sd_event_source *timer; /* the next look; while one is under way, the end of the patience with it */
        int fds[3], done_fd;    /* mountinfo, swaps, rtnetlink; eventfd */
        sd_login_monitor *sessions;
        Job *job; /* NULL: no thread is at work */
        pthread_t thread;
        bool again;
        uint64_t started, earliest; /* the look under way or the last one, and when the next may start */
        uint64_t settled;           /* one is to start then or later */
};

static Job *job_free(Job *job) {
        if (!job)
                return NULL;

        for (size_t i = 0; i < job->n; i++)
                free(job->verdicts[i].sentence);
        free(job->verdicts);
        free(job);
        return NULL;
}

static void judge(const Job *job, const HostFacts *facts, HostVerdict *v) {
        _cleanup_close_ int fd = -1;
        Critical c;

        fd = sysfs_open_device(job->root, &v->identity.address);
        v->error = fd < 0 ? fd : critical_evaluate(facts, fd, &v->identity, &c);
        if (v->error < 0)
                return;

        v->error = 0;
        v->critical = c.reasons;
        for (int i = 0; i < CRITICAL_REASON_MAX && !v->sentence; i++)
                if (c.reasons & 1U << i) {
                        v->sentence = strdup(c.sentence[i]);
                        if (!v->sentence)
                                v->error = -ENOMEM;
                }
}

static void *work(void *userdata) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int done_fd = ((Job *)userdata)->done_fd;
        Job *job = userdata;

        job->error = host_facts_load(job->root, &facts);
        job->unwatched = job->error >= 0 && host_facts_are_unwatched(facts);
        for (size_t i = 0; i < job->n && job->error >= 0; i++)
                judge(job, facts, &job->verdicts[i]);
        if (job->error >= 0)
                host_functions_read(job->root, job->verdicts, job->n);

        (void)eventfd_write(done_fd, 1);
        return NULL;
}

static int start_thread(HostWatch *w, Job *job) {
        pthread_attr_t attributes;
        int r;

        r = pthread_attr_init(&attributes);
        if (r == 0) {
                (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
                r = pthread_create(&w->thread, &attributes, work, job);
                (void)pthread_attr_destroy(&attributes);
        }
        return -r;
}

static int start_job(HostWatch *w) {
        Job *job;
        int r;

        job = calloc(1, sizeof *job);
        if (!job)
                return -ENOMEM;
        job->root = w->config.root;
        job->done_fd = w->done_fd;

        r = w->config.subjects(&job->verdicts, &job->n, w->config.userdata);
        if (r >= 0)
                r = start_thread(w, job);
        if (r < 0) {
                job_free(job);
                return r;
        }

        w->job = job;
        return 0;
}

static void arm(HostWatch *w, uint64_t at) {
        (void)sd_event_source_set_time(w->timer, at);
        (void)sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
}

static uint64_t now_usec(const HostWatch *w) {
        uint64_t now = 0;

        (void)sd_event_now(w->event, CLOCK_MONOTONIC, &now);
        return now;
}

static void report(HostWatch *w, int error, const Job *job) {
        w->config.done(error, error < 0 ? NULL : job->verdicts, error < 0 ? 0 : job->n, w->config.userdata);
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        HostWatch *w = userdata;
        int r;

        if (w->job) { /* what it finds in the end is taken all the same */
                report(w, -ETIMEDOUT, NULL);
                return 0;
        }

        w->again = false;
        r = start_job(w);
        w->started = now_usec(w);
        arm(w, w->started + (r < 0 ? w->config.retry_usec : w->config.patience_usec));
        if (r < 0)
                report(w, r, NULL);
        return 0;
}

void host_watch_trigger(HostWatch *w) {
        uint64_t now;

        assert(w);

        if (w->job) {
                w->again = true;
                return;
        }

        now = now_usec(w);
        arm(w, w->earliest > now ? w->earliest : now);
}

void host_watch_trigger_twice(HostWatch *w) {
        assert(w);

        w->settled = now_usec(w) + w->config.recheck_usec;
        host_watch_trigger(w);
}

/* Not after one that the kernel has kept waiting: there is no work in that. */
static uint64_t pause_after(const HostWatch *w, uint64_t now) {
        uint64_t pause = PAUSE_FACTOR * (now - w->started);

        if (pause > w->config.recheck_usec)
                pause = w->config.recheck_usec;
        return pause > PAUSE_USEC ? pause : PAUSE_USEC;
}

static int on_done(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *userdata) {
        HostWatch *w = userdata;
        eventfd_t value;
        uint64_t now;
        Job *job;

        if (eventfd_read(fd, &value) < 0)
                return 0;

        (void)pthread_join(w->thread, NULL);
        job = STEAL(w->job);
        now = now_usec(w);
        w->earliest = now + pause_after(w, now);

        /* What failed may have been a moment's trouble, and not all that was found promises an event when it ends. */
        if (w->again)
                arm(w, w->earliest);
        else if (job->error < 0)
                arm(w, now + w->config.retry_usec);
        else if (job->unwatched)
                arm(w, now + w->config.recheck_usec);
        else if (w->started < w->settled)
                arm(w, w->settled > w->earliest ? w->settled : w->earliest);
        else
                (void)sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);

        report(w, job->error, job);
        job_free(job);
        return 0;
}

static int on_proc(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *userdata) {
        /* proc(5): the poll itself takes the event back. */
        host_watch_trigger(userdata);
        return 0;
}

static int on_netlink(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *userdata) {
        char buf[64]; /* what it says does not matter, so it may be cut */

        /* ENOBUFS says that messages were lost: there was something all the same. */
        while (recv(fd, buf, sizeof buf, MSG_TRUNC) >= 0 || errno == ENOBUFS || errno == EINTR)
                ;
        host_watch_trigger(userdata);
        return 0;
}

/* Of all that host_links_load() asks the kernel about. */
static int open_netlink(void) {
        static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                     RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
                                     RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP};
        const struct sockaddr_nl address = {.nl_family = AF_NETLINK};
        _cleanup_close_ int fd = -1;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        if (fd < 0 || bind(fd, (const struct sockaddr *)(const void *)&address, sizeof address) < 0)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(groups); i++)
                if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) < 0 &&
                    errno != EINVAL) /* a kernel without nexthop objects */
                        return -errno;
        return STEAL_FD(fd);
}

static int on_sessions(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_,
                       void *userdata) {
        HostWatch *w = userdata;

        (void)sd_login_monitor_flush(w->sessions);
        host_watch_trigger_twice(w); /* a graphical one lights its screens then */
        return 0;
}

static int watch_sessions(HostWatch *w) {
        int r, events;

        r = sd_login_monitor_new("session", &w->sessions);
        if (r == -ENOENT) /* no logind, no sessions */
                return 0;
        if (r < 0)
                return r;

        events = sd_login_monitor_get_events(w->sessions);
        return events < 0 ? events
                          : sd_event_add_io(w->event, &w->io[3], sd_login_monitor_get_fd(w->sessions),
                                            (uint32_t)events, on_sessions, w);
}

static int watch_proc(HostWatch *w, int i, const char *path) {
        int r;

        w->fds[i] = openat(w->config.root, path, O_RDONLY | O_CLOEXEC);
        if (w->fds[i] < 0) /* a kernel without swap has no table of it */
                return errno == ENOENT ? 0 : -errno;

        r = sd_event_add_io(w->event, &w->io[i], w->fds[i], EPOLLPRI, on_proc, w);
        return r == -EPERM ? 0 : r; /* a plain file, in a fake host: nothing to wait for */
}

HostWatch *host_watch_free(HostWatch *w) {
        struct pollfd pollfd;
        bool hangs = false;

        if (!w)
                return NULL;

        if (w->job) {
                pollfd = (struct pollfd){.fd = w->done_fd, .events = POLLIN};
                hangs = poll(&pollfd, 1, 1000) <= 0;
                if (hangs)
                        (void)pthread_detach(w->thread);
                else {
                        (void)pthread_join(w->thread, NULL);
                        job_free(w->job);
                }
        }

        for (size_t i = 0; i < ELEMENTSOF(w->io); i++)
                sd_event_source_disable_unref(w->io[i]);
        for (size_t i = 0; i < ELEMENTSOF(w->fds); i++)
                closep(&w->fds[i]);
        (void)sd_login_monitor_unref(w->sessions);
        sd_event_source_disable_unref(w->done_source);
        sd_event_source_disable_unref(w->timer);
        if (!hangs) /* or it would write to whatever takes the number next */
                closep(&w->done_fd);
        free(w);
        return NULL;
}
DEFINE_CLEANUP(HostWatch *, host_watch_free);

static int start_watching(HostWatch *w) {
        int r;

        w->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->done_fd < 0)
                return -errno;
        r = sd_event_add_io(w->event, &w->done_source, w->done_fd, EPOLLIN, on_done, w);
        if (r < 0 || (r = watch_proc(w, 0, "proc/self/mountinfo")) < 0 ||
            (r = watch_proc(w, 1, "proc/swaps")) < 0)
                return r;

        w->fds[2] = open_netlink();
        if (w->fds[2] < 0)
                return w->fds[2];
        r = sd_event_add_io(w->event, &w->io[2], w->fds[2], EPOLLIN, on_netlink, w);
        if (r < 0 || (r = watch_sessions(w)) < 0)
                return r;

        r = sd_event_add_time(w->event, &w->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, w);
        return r < 0 ? r : sd_event_source_set_enabled(w->timer, SD_EVENT_OFF);
}

int host_watch_new(sd_event *event, const HostWatchConfig *config, HostWatch **ret) {
        _cleanup_(host_watch_freep) HostWatch *w = NULL;
        int r;

        assert(event);
        assert(config);
        assert(config->subjects);
        assert(config->done);
        assert(ret);

        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->config = *config;
        w->event = event;
        w->done_fd = -1;
        for (size_t i = 0; i < ELEMENTSOF(w->fds); i++)
                w->fds[i] = -1;

        r = start_watching(w);
        if (r < 0)
                return r;

        *ret = STEAL(w);
        return 0;
}
