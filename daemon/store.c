/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "store.h"
#include "store-db.h"
#include "store-file.h"
#include "store-internal.h"
#include "store-write.h"

#define STACK_SIZE (1024U * 1024U)

typedef struct Job {
        StoreChange *change;
        store_done_t done;
        void *userdata;
        int result;
        struct Job *next;
} Job;

typedef struct Queue {
        Job *first, **last; /* last: where the next one goes */
} Queue;

struct Store {
        /* of the event loop */
        int directory_fd, done_fd;
        sd_event_source *done_source;
        Failure failure; /* kind is set: read-only */
        unsigned n_pending;
        bool has_thread;
        pthread_t thread;

        /* of the thread, while there is one */
        StoreWriter *writer;

        /* of both, under the lock */
        pthread_mutex_t lock;
        pthread_cond_t wake;
        Queue waiting, finished;
        Failure broken; /* a part of a sentence */
        bool stop;
};

static Job *job_free(Job *job) {
        if (!job)
                return NULL;

        store_change_free(job->change);
        free(job);
        return NULL;
}

static void put(Queue *q, Job *job) {
        job->next = NULL;
        *q->last = job;
        q->last = &job->next;
}

static Job *take(Queue *q) {
        Job *job = q->first;

        if (!job)
                return NULL;
        q->first = job->next;
        if (!q->first)
                q->last = &q->first;
        return job;
}

/* What was handed in is done even when the end is near. */
static Job *wait_for_job(Store *s) {
        Job *job;

        (void)pthread_mutex_lock(&s->lock);
        while (!(job = take(&s->waiting)) && !s->stop)
                (void)pthread_cond_wait(&s->wake, &s->lock);
        (void)pthread_mutex_unlock(&s->lock);
        return job;
}

static void *work(void *userdata) {
        Store *s = userdata;
        Job *job;

        while ((job = wait_for_job(s))) {
                Failure broken = {0};

                job->result = store_writer_commit(s->writer, job->change, &broken);

                (void)pthread_mutex_lock(&s->lock);
                if (broken.kind != FAILURE_NONE)
                        s->broken = broken;
                put(&s->finished, job);
                (void)pthread_mutex_unlock(&s->lock);
                (void)eventfd_write(s->done_fd, 1);
        }
        return NULL;
}

static Job *next_finished(Store *s) {
        Job *job;

        (void)pthread_mutex_lock(&s->lock);
        job = take(&s->finished);
        if (s->broken.kind != FAILURE_NONE && s->failure.kind == FAILURE_NONE)
                store_file_explain(s->directory_fd, s->broken.sentence, &s->failure);
        (void)pthread_mutex_unlock(&s->lock);
        return job;
}

static int on_done(sd_event_source *source _unused_, int fd, uint32_t events _unused_, void *userdata) {
        Store *s = userdata;
        eventfd_t value;
        Job *job;

        (void)eventfd_read(fd, &value);
        while ((job = next_finished(s))) {
                s->n_pending--;
                if (job->done)
                        job->done(job->result, job->userdata);
                job_free(job);
        }
        return 0;
}

/* Signals are the event loop's. */
static int start_thread(Store *s) {
        pthread_attr_t attributes;
        sigset_t all, before;
        int r;

        r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;

        (void)sigfillset(&all);
        (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&s->thread, &attributes, work, s);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attributes);

        s->has_thread = r == 0;
        return -r;
}

static int start(Store *s, sd_event *event) {
        int r;

        s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (s->done_fd < 0)
                return -errno;
        r = sd_event_add_io(event, &s->done_source, s->done_fd, EPOLLIN, on_done, s);
        return r < 0 ? r : start_thread(s);
}

static Store *new_store(int directory_fd) {
        Store *s = calloc(1, sizeof *s);

        if (!s)
                return NULL;

        s->done_fd = -1;
        s->directory_fd = fcntl(directory_fd, F_DUPFD_CLOEXEC, 3);
        s->waiting.last = &s->waiting.first;
        s->finished.last = &s->finished.first;
        (void)pthread_mutex_init(&s->lock, NULL);
        (void)pthread_cond_init(&s->wake, NULL);
        return s;
}

static int open_writer(Store *s, const StoreSchema *schema, StoreContents *ret_contents) {
        _cleanup_(store_db_closep) sqlite3 *db = NULL;
        int r;

        r = store_file_open(s->directory_fd, schema, &db, ret_contents, &s->failure);
        if (r < 0 || (r = store_writer_new(db, &s->writer)) < 0)
                return r;
        db = NULL; /* the writer's */
        return 0;
}

int store_open_as(sd_event *event, int directory_fd, const StoreSchema *schema, Store **ret,
                  StoreContents *ret_contents) {
        _cleanup_(store_freep) Store *s = NULL;
        StoreContents contents = {0};
        int r;

        assert(event);
        assert(directory_fd >= 0);
        assert(ret);
        assert(ret_contents);

        s = new_store(directory_fd);
        if (!s)
                return -ENOMEM;

        r = s->directory_fd < 0 ? -errno : open_writer(s, schema, &contents);
        if (r == 0)
                r = start(s, event);
        if (r < 0)
                store_contents_clear(&contents);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && s->failure.kind == FAILURE_NONE)
                store_file_explain(directory_fd, strerror(-r), &s->failure);

        *ret = STEAL(s);
        *ret_contents = contents;
        return 0;
}

int store_open(sd_event *event, int directory_fd, Store **ret, StoreContents *ret_contents) {
        return store_open_as(event, directory_fd, &store_schema, ret, ret_contents);
}

Store *store_free(Store *s) {
        Job *job;

        if (!s)
                return NULL;

        if (s->has_thread) {
                (void)pthread_mutex_lock(&s->lock);
                s->stop = true;
                (void)pthread_cond_signal(&s->wake);
                (void)pthread_mutex_unlock(&s->lock);
                (void)pthread_join(s->thread, NULL);
        }

        while ((job = take(&s->finished)))
                job_free(job);
        store_writer_free(s->writer);
        sd_event_source_disable_unref(s->done_source);
        closep(&s->done_fd);
        closep(&s->directory_fd);
        (void)pthread_cond_destroy(&s->wake);
        (void)pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
}

const char *store_read_only(const Store *s) {
        assert(s);

        return s->failure.kind == FAILURE_NONE ? NULL : s->failure.sentence;
}

int store_commit(Store *s, StoreChange *c, store_done_t done, void *userdata) {
        _cleanup_(store_change_freep) StoreChange *owned = c;
        Job *job;

        assert(s);
        assert(c);

        if (store_read_only(s))
                return -EROFS;
        if (s->n_pending >= STORE_PENDING_MAX)
                return -EBUSY;
        job = calloc(1, sizeof *job);
        if (!job)
                return -ENOMEM;

        *job = (Job){.change = STEAL(owned), .done = done, .userdata = userdata};
        s->n_pending++;
        (void)pthread_mutex_lock(&s->lock);
        put(&s->waiting, job);
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
        return 0;
}
