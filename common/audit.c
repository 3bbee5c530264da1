/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "audit-entry.h"
#include "log.h"

#define JOURNAL_SOCKET "run/systemd/journal/socket"

typedef struct Waiting Waiting;

struct Waiting {
        Waiting *next;
        size_t n, message;
        char data[];
};

/* How many refusals a user has had since. */
typedef struct Quota {
        bool used, known; /* known: of uid; else of all whom nobody knows, or for whom there was no place */
        uid_t uid;
        uint64_t since;
        unsigned n, left_out;
} Quota;

struct Audit {
        AuditConfig config;
        int fd; /* connected, or -1 */
        bool told_missing;
        sd_event_source *writable, *window;
        Waiting *first, *last;
        size_t n_waiting;
        uint64_t n_lost;
        Quota quotas[AUDIT_USERS_MAX], rest;
};

static void disconnect(Audit *a) {
        a->writable = sd_event_source_disable_unref(a->writable);
        if (a->fd >= 0)
                (void)close(a->fd);
        a->fd = -1;
}

/* By way of /proc, since connect() knows no directory to start from. A host without a journal is one, too. */
static int connect_journal(Audit *a) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_close_ int fd = -1;
        int r;

        if (a->fd >= 0)
                return 0;

        (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/" JOURNAL_SOCKET,
                       a->config.root);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        r = fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
        if (r < 0) {
                if (!a->told_missing)
                        log_debug("There is no journal to write to (/" JOURNAL_SOCKET "): %s.",
                                  strerror(-r));
                a->told_missing = true;
                return r;
        }

        a->fd = STEAL_FD(fd);
        return 0;
}

static int send_once(Audit *a, char *data, size_t message, size_t *n) {
        while (send(a->fd, data, *n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                if (errno != EMSGSIZE || !audit_datagram_cut(data, message, n))
                        return -errno;
        return 0;
}

/* -EAGAIN: it has to wait. A journal that was started anew listens on another socket, perhaps. */
static int send_now(Audit *a, char *data, size_t message, size_t *n) {
        int r;

        if ((r = connect_journal(a)) < 0 || (r = send_once(a, data, message, n)) >= 0 || r == -EAGAIN ||
            r == -EMSGSIZE)
                return r;
        disconnect(a);
        return (r = connect_journal(a)) < 0 ? r : send_once(a, data, message, n);
}

static int on_writable(sd_event_source *s, int fd, uint32_t events, void *userdata);

/* For each connection anew: the source goes with it. */
static int watch(Audit *a) {
        int r;

        if (!a->config.event)
                return -EOPNOTSUPP;
        if (a->writable)
                return sd_event_source_set_enabled(a->writable, SD_EVENT_ON);
        r = sd_event_add_io(a->config.event, &a->writable, a->fd, EPOLLOUT, on_writable, a);
        return r < 0 ? r : 0;
}

static int enqueue(Audit *a, const AuditDatagram *d) {
        Waiting *w;
        int r;

        if (a->n_waiting >= AUDIT_QUEUED_MAX)
                return -ENOBUFS;
        r = watch(a);
        if (r < 0)
                return r;
        w = malloc(sizeof *w + d->n);
        if (!w)
                return -ENOMEM;

        *w = (Waiting){.n = d->n, .message = d->message};
        memcpy(w->data, d->data, d->n);
        *(a->last ? &a->last->next : &a->first) = w;
        a->last = w;
        a->n_waiting++;
        return 0;
}

static void drop_first(Audit *a) {
        Waiting *w = a->first;

        a->first = w->next;
        if (!a->first)
                a->last = NULL;
        a->n_waiting--;
        free(w);
}

/* In their order. */
static int put(Audit *a, AuditDatagram *d) {
        int r;

        r = a->first ? -EAGAIN : send_now(a, d->data, d->message, &d->n);
        return r == -EAGAIN ? enqueue(a, d) : r;
}

/* As soon as there is somebody who takes it. */
static void tell_lost(Audit *a) {
        const AuditMissing missing = {.n = a->n_lost};
        AuditDatagram d;

        if (a->n_lost == 0 || a->first)
                return;
        audit_missing_format(a->config.root, a->config.identifier, &missing, &d);
        if (put(a, &d) >= 0)
                a->n_lost = 0;
}

static void flush(Audit *a) {
        int r;

        while (a->first) {
                r = send_now(a, a->first->data, a->first->message, &a->first->n);
                if (r == -EAGAIN) {
                        if (watch(a) >= 0)
                                return;
                        r = -ENOMEM;
                }
                a->n_lost += r < 0;
                drop_first(a);
        }
        tell_lost(a);
}

static int on_writable(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_,
                       void *userdata) {
        Audit *a = userdata;

        flush(a);
        if (!a->first && a->writable)
                (void)sd_event_source_set_enabled(a->writable, SD_EVENT_OFF);
        return 0;
}

static void write_datagram(Audit *a, AuditDatagram *d) {
        tell_lost(a);
        a->n_lost += put(a, d) < 0;
}

/* Floods of refusals */

static void tell_left_out(Audit *a, Quota *q) {
        const AuditMissing missing = {
                        .n = q->left_out, .refusals = true, .has_caller = q->known, .caller = q->uid};
        AuditDatagram d;

        if (q->left_out == 0)
                return;
        q->left_out = 0;
        audit_missing_format(a->config.root, a->config.identifier, &missing, &d);
        write_datagram(a, &d);
}

static bool is_over(const Audit *a, const Quota *q, uint64_t now) {
        return now >= q->since + a->config.window_usec;
}

static Quota *find_quota(Audit *a, const AuditEntry *e, uint64_t now) {
        Quota *free_one = NULL;

        if (!e->has_caller)
                return &a->rest;
        for (size_t i = 0; i < ELEMENTSOF(a->quotas); i++) {
                Quota *q = &a->quotas[i];

                if (q->used && q->uid == e->caller)
                        return q;
                if (!free_one && (!q->used || (is_over(a, q, now) && q->left_out == 0)))
                        free_one = q;
        }
        if (!free_one)
                return &a->rest;
        *free_one = (Quota){.used = true, .known = true, .uid = e->caller, .since = now};
        return free_one;
}

static void arm_window(Audit *a, uint64_t at) {
        if (sd_event_source_get_enabled(a->window, NULL) > 0) /* earlier; it looks for the next */
                return;
        (void)sd_event_source_set_time(a->window, at);
        (void)sd_event_source_set_enabled(a->window, SD_EVENT_ONESHOT);
}

/* Those whose window is over, or (now is UINT64_MAX) all; how soon the next is. */
static uint64_t tell_all_left_out(Audit *a, uint64_t now) {
        uint64_t next = UINT64_MAX;

        for (size_t i = 0; i <= ELEMENTSOF(a->quotas); i++) {
                Quota *q = i < ELEMENTSOF(a->quotas) ? &a->quotas[i] : &a->rest;

                if (q->left_out > 0 && (now == UINT64_MAX || is_over(a, q, now)))
                        tell_left_out(a, q);
                else if (q->left_out > 0 && q->since + a->config.window_usec < next)
                        next = q->since + a->config.window_usec;
        }
        return next;
}

static int on_window(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Audit *a = userdata;
        uint64_t now, next;

        if (sd_event_now(a->config.event, CLOCK_MONOTONIC, &now) < 0)
                return 0;
        next = tell_all_left_out(a, now);
        if (next != UINT64_MAX)
                arm_window(a, next);
        return 0;
}

static bool may_be_written(Audit *a, const AuditEntry *e) {
        uint64_t now;
        Quota *q;

        if (!a->config.event || !audit_entry_is_refusal(e) ||
            sd_event_now(a->config.event, CLOCK_MONOTONIC, &now) < 0)
                return true;

        q = find_quota(a, e, now);
        if (is_over(a, q, now)) {
                tell_left_out(a, q);
                q->since = now;
                q->n = 0;
        }
        if (q->n < AUDIT_REFUSALS_MAX) {
                q->n++;
                return true;
        }
        q->left_out++;
        arm_window(a, q->since + a->config.window_usec);
        return false;
}

void audit_write(Audit *a, const AuditEntry *e) {
        AuditDatagram d;

        assert(a);
        assert(e);

        if (!may_be_written(a, e))
                return;
        audit_entry_format(a->config.root, a->config.identifier, e, &d);
        write_datagram(a, &d);
}

bool audit_is_waiting(const Audit *a) {
        return a && a->first;
}

int audit_new(const AuditConfig *config, Audit **ret) {
        _cleanup_(audit_freep) Audit *a = NULL;
        int r;

        assert(config && config->identifier);
        assert(ret);

        a = calloc(1, sizeof *a);
        if (!a)
                return -ENOMEM;
        a->config = *config;
        a->fd = -1;
        if (config->event) {
                (void)sd_event_ref(config->event);
                r = sd_event_add_time(config->event, &a->window, CLOCK_MONOTONIC, 0, 0, on_window, a);
                if (r < 0 || (r = sd_event_source_set_enabled(a->window, SD_EVENT_OFF)) < 0)
                        return r;
        }

        *ret = STEAL(a);
        return 0;
}

Audit *audit_free(Audit *a) {
        if (!a)
                return NULL;

        (void)tell_all_left_out(a, UINT64_MAX);
        flush(a);
        while (a->first)
                drop_first(a);
        disconnect(a);
        sd_event_source_disable_unref(a->window);
        sd_event_unref(a->config.event);
        free(a);
        return NULL;
}
