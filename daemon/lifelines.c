/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "lifelines.h"

#define PREFIX "lifeline-"
#define NAME_MAX_LENGTH 255 /* sd_pid_notify_with_fds(3) */

/* Nothing is ever read, so what a VM writes stays in the kernel: that much, and then its own writing waits. */
#define PIPE_SIZE 4096

typedef struct Lifeline {
        Lifelines *all;
        struct Lifeline *next;
        char run[RECORD_ID_SIZE];
        int fd;
        sd_event_source *source;
} Lifeline;

struct Lifelines {
        sd_event *event;
        lifeline_cut_t cut;
        void *userdata;
        Lifeline *list;
        size_t n;
};

/* To the service manager: "" for what it is to do with all of this name. 0 where there is none. One datagram, which it
 * takes at once; should the manager hang, this waits with it. */
static int tell(const char *what, const char *name, const int *fd) {
        char text[512];
        int r;

        (void)snprintf(text, sizeof text, "%s\nFDNAME=%s", what, name);
        r = fd ? sd_pid_notify_with_fds(0, false, text, fd, 1) : sd_notify(false, text);
        return r < 0 ? r : 0;
}

/* Without FDPOLL=0 the manager would drop one that is cut while we are down, and nobody would hear of it. */
static int keep(const Lifeline *line) {
        char name[sizeof PREFIX + RECORD_ID_SIZE];

        (void)snprintf(name, sizeof name, PREFIX "%s", line->run);
        return tell("FDSTORE=1\nFDPOLL=0", name, &line->fd);
}

static void forget(const char *name) {
        if (strlen(name) > NAME_MAX_LENGTH)
                return;
        for (const char *p = name; *p;
             p++) /* as sd_notify(3) wants names: no line of its own is made by one */
                if (*p <= ' ' || *p >= 0x7f || *p == ':')
                        return;
        (void)tell("FDSTOREREMOVE=1", name, NULL);
}

static Lifeline *find(const Lifelines *l, const char *run) {
        Lifeline *i;

        for (i = l->list; i && !streq(i->run, run); i = i->next)
                ;
        return i;
}

static Lifeline *lifeline_free(Lifeline *line) {
        if (!line)
                return NULL;

        if (LIST_REMOVE(line->all->list, line, next))
                line->all->n--;
        sd_event_source_disable_unref(line->source);
        closep(&line->fd);
        free(line);
        return NULL;
}
DEFINE_CLEANUP(Lifeline *, lifeline_free);

static int on_cut(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *userdata) {
        Lifeline *line = userdata;
        char run[RECORD_ID_SIZE];
        Lifelines *l = line->all;

        /* The source is a one-shot, and the store still has the pipe: until the end of the run is written down, a
         * restart says it again. The callback may drop the lifeline. */
        memcpy(run, line->run, sizeof run);
        l->cut(run, l->userdata);
        return 0;
}

/* Takes the fd over if it succeeds. EPOLLHUP alone, which comes without being asked for: with EPOLLIN a VM that writes
 * without end would keep us busy. */
static int add(Lifelines *l, const char *run, int fd, Lifeline **ret) {
        _cleanup_(lifeline_freep) Lifeline *line = NULL;
        int r;

        line = calloc(1, sizeof *line);
        if (!line)
                return -ENOMEM;
        line->all = l;
        line->fd = -1;
        memcpy(line->run, run, sizeof line->run);

        r = sd_event_add_io(l->event, &line->source, fd, EPOLLHUP, on_cut, line);
        if (r < 0 || (r = sd_event_source_set_enabled(line->source, SD_EVENT_ONESHOT)) < 0)
                return r;

        line->fd = fd;
        line->next = l->list;
        l->list = line;
        l->n++;
        *ret = STEAL(line);
        return 0;
}

static bool is_reading_end(int fd) {
        int flags = fcntl(fd, F_GETFL);
        struct stat st;

        return flags >= 0 && (flags & O_ACCMODE) == O_RDONLY && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* 1: it is ours now; 0: it is nothing of ours. */
static int take(Lifelines *l, const char *name, int fd) {
        const char *run = name + strlen(PREFIX);
        Lifeline *line;
        int r;

        if (!startswith(name, PREFIX) || !record_id_is_valid(run) || !is_reading_end(fd) || find(l, run))
                return 0;
        r = add(l, run, fd, &line);
        return r < 0 ? r : 1;
}

/* What is not ours is thrown out of the store, by its name: so what has the same name goes in again. */
static int take_over(Lifelines *l, char **names, int n) {
        bool thrown_out = false;
        int r = 0;

        for (int i = 0; i < n; i++) {
                _cleanup_close_ int fd = SD_LISTEN_FDS_START + i;
                int q = take(l, names[i], fd);

                if (q > 0)
                        fd = -1;
                else if (q < 0)
                        r = q; /* the store keeps it; the others are closed all the same */
                else {
                        forget(names[i]);
                        thrown_out = true;
                }
        }

        for (Lifeline *i = l->list; i && thrown_out && r >= 0; i = i->next)
                r = keep(i);
        return r;
}

Lifelines *lifelines_free(Lifelines *l) {
        if (!l)
                return NULL;

        while (l->list)
                lifeline_free(l->list);
        sd_event_unref(l->event);
        free(l);
        return NULL;
}

int lifelines_new(sd_event *event, lifeline_cut_t cut, void *userdata, Lifelines **ret) {
        _cleanup_(lifelines_freep) Lifelines *l = NULL;
        char **names = NULL;
        int n, r;

        assert(event);
        assert(cut);
        assert(ret);

        l = calloc(1, sizeof *l);
        if (!l)
                return -ENOMEM;
        l->event = sd_event_ref(event);
        l->cut = cut;
        l->userdata = userdata;

        n = sd_listen_fds_with_names(false, &names);
        if (n < 0)
                return n;
        r = take_over(l, names, n);
        for (int i = 0; i < n; i++)
                free(names[i]);
        free(names);
        if (r < 0)
                return r;

        *ret = STEAL(l);
        return 0;
}

int lifelines_make(Lifelines *l, const char *run, int *ret_fd) {
        _cleanup_close_ int ours = -1, theirs = -1;
        Lifeline *line;
        int fds[2], r;

        assert(l);
        assert(run);
        assert(record_id_is_valid(run));
        assert(ret_fd);

        if (find(l, run))
                return -EEXIST;
        if (l->n >= LIFELINES_MAX)
                return -EMFILE;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        (void)fcntl(ours, F_SETPIPE_SZ, PIPE_SIZE);

        r = add(l, run, ours, &line);
        if (r < 0)
                return r;
        ours = -1;

        r = keep(line);
        if (r < 0) {
                lifeline_free(line);
                return r;
        }
        *ret_fd = STEAL_FD(theirs);
        return 0;
}

bool lifelines_has(const Lifelines *l, const char *run) {
        assert(l);
        assert(run);

        return find(l, run);
}

static void drop(Lifeline *line) {
        char name[sizeof PREFIX + RECORD_ID_SIZE];

        (void)snprintf(name, sizeof name, PREFIX "%s", line->run);
        forget(name);
        lifeline_free(line);
}

void lifelines_drop(Lifelines *l, const char *run) {
        Lifeline *line;

        assert(l);
        assert(run);

        line = find(l, run);
        if (line)
                drop(line);
}

void lifelines_keep_only(Lifelines *l, bool (*wanted)(const char *run, void *userdata), void *userdata) {
        assert(l);
        assert(wanted);

        for (Lifeline *i = l->list, *next; i; i = next) {
                next = i->next;
                if (!wanted(i->run, userdata))
                        drop(i);
        }
}
