/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"
#include "journal.h"
#include "lock.h"
#include "log.h"
#include "operation-internal.h"
#include "revert.h"
#include "sysfs.h"
#include "trail.h"

#define PLANS_OF_SET_MAX 4U
#define DEADLINES_OF_VFS 3U

Operation *operation_free(Operation *o) {
        if (!o)
                return NULL;

        if (LIST_REMOVE(o->all->list, o, next))
                o->all->n--;

        authorisation_free(o->authorisation);
        bus_uid_query_free(o->who);
        polkit_cancel(o->question);
        worker_free(o->worker);
        sd_bus_message_unref(o->call);
        free(o->subject);
        free(o);
        return NULL;
}

void operations_free_all(Operations *all) {
        while (all->list)
                operation_free(all->list);
}

void operation_release_if_done(Operation *o) {
        if (!o->call && !o->worker && !o->question)
                operation_free(o);
}

/* "0000:01:00.0", or ids: the first that it is about. */
static const char *first_named(const Operation *o, char buf[static ID_SELECTOR_SIZE]) {
        if (o->request.n_devices == 0 && o->request.n_ids == 0)
                return strcpy(buf, "this boot");
        return o->verb->of_ids ? id_selector_format(&o->request.ids[0], buf)
                               : pci_address_format(&o->request.devices[0], buf);
}

static int reply(Operation *o, const WorkerResult *result) {
        int fds[WORKER_GIFTS_MAX] = {0}, r;
        size_t n;

        n = verb_gifts(&o->request) > 0 ? worker_take(o->worker, fds) : 0;
        r = n == verb_gifts(&o->request) ? verb_reply(o->verb, o->call, &o->request, result, fds) : -EBADMSG;
        for (size_t i = 0; i < n; i++) /* the message has copies */
                (void)close(fds[i]);
        return r;
}

void operation_answer(Operation *o, const Failure *f, const WorkerResult *result) {
        int r;

        trail_operation(o, f, result);
        if (!o->call)
                return;

        r = f ? bus_reply_failure(o->call, f) : reply(o, result);
        if (r < 0) {
                log_warning("Cannot answer a call of %s: %s", o->verb->name, strerror(-r));
                (void)sd_bus_reply_method_errorf(o->call, SD_BUS_ERROR_FAILED,
                                                 "The answer of %s cannot be sent; see the journal.",
                                                 o->verb->name);
        }
        o->call = sd_bus_message_unref(o->call);
}

void operation_answer_failure(Operation *o, FailureKind kind, const char *format, ...) {
        Failure f = {.kind = kind};
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(f.sentence, sizeof f.sentence, format, ap);
        va_end(ap);
        operation_answer(o, &f, NULL);
}

static void on_worker(Worker *w, WorkerEnd end, const WorkerResult *result, void *userdata);

/* A card may take its time for each of its virtual functions, and there can be many. */
static uint64_t find_deadline(const Operation *o) {
        return o->all->deadline_usec * (o->verb->writes & CONFINE_VFS ? DEADLINES_OF_VFS : 1);
}

int operation_start_worker(Operation *o, worker_work_t work, unsigned writes) {
        int r;

        o->request.work = work;
        o->request.writes = writes;
        r = worker_start(o->all->event, o->all->root_fd, find_deadline(o), confine_and_work, &o->request,
                         on_worker, o, &o->worker);
        if (r < 0)
                operation_answer_failure(o, FAILURE_INTERNAL,
                                         "Nothing was changed: no worker could be started (%s); try again.",
                                         strerror(-r));
        return r;
}

/* No second writer for a set: it could only queue up behind the first. The number is read here without waiting;
 * what holds is the lock that the worker takes. A plan has no lock, and is in nobody's way; but since it may hang, too,
 * and everybody may ask for it, a set has room for a few, and for none beside one that hangs. */
static bool set_is_taken(Operation *o) {
        char address[ID_SELECTOR_SIZE], doing[ID_SELECTOR_SIZE];
        bool looks = o->verb->move < 0;
        _cleanup_close_ int fd = -1;
        unsigned n = 0;

        fd = sysfs_open_device(o->all->root_fd, &o->request.devices[0]);
        if (fd < 0 || sysfs_read_link_name(fd, "iommu_group", o->set, sizeof o->set) < 0)
                (void)pci_address_format(&o->request.devices[0], o->set);

        for (const Operation *i = o->all->list; i; i = i->next) {
                if (i == o || !i->worker || !streq(i->set, o->set) || (i->verb->move < 0) != looks ||
                    (looks && !worker_is_late(i->worker) && ++n < PLANS_OF_SET_MAX))
                        continue;
                operation_answer_failure(
                                o, worker_is_late(i->worker) ? FAILURE_STUCK : FAILURE_BUSY,
                                "Device %s is in an IOMMU set where %s of %s %s; %s.",
                                first_named(o, address), i->verb->name, first_named(i, doing),
                                worker_is_late(i->worker) ? "does not come to an end" : "is under way",
                                worker_is_late(i->worker) ? "end the process that holds it, or reboot"
                                                          : "try again when it has ended");
                return true;
        }
        return false;
}

void operation_start_work(Operation *o) {
        o->preparing = false;
        if ((o->verb->move < 0 && o->verb->work != request_plan) || !set_is_taken(o))
                (void)operation_start_worker(o, o->verb->work, o->verb->writes);
        operation_release_if_done(o);
}

/* The kernel does not come back. Say so now; the worker goes on when it does. */
static void on_worker_late(Operation *o, const WorkerResult *result) {
        const unsigned set = result->set.number;
        _cleanup_close_ int lock = -1;
        char address[ID_SELECTOR_SIZE];
        Failure f = {0};
        int r;

        (void)failure_set(&f, FAILURE_STUCK,
                          "The kernel has not answered for %llu s while %.160s; %s of %s ends by itself "
                          "when the process that uses the device lets it go.",
                          (unsigned long long)(find_deadline(o) / 1000000), result->doing, o->verb->name,
                          first_named(o, address));
        log_warning("%s", f.sentence);

        /* Only a move has something in the journal; the set is known from the first write on. */
        if (result->set.n_members > 0) {
                r = journal_mark_stuck(o->all->root_fd, set, f.sentence);
                if (r < 0 && r != -ENOENT)
                        log_warning("Cannot mark IOMMU set %u as stuck: %s", set, strerror(-r));
                /* If the move ended just now, this entry came back from the dead. */
                lock = lock_set(o->all->root_fd, set, NULL);
                if (lock >= 0)
                        (void)journal_end(o->all->root_fd, set);
        }
        operation_answer(o, &f, NULL);
}

static void end_own(Operation *o, WorkerEnd end, const WorkerResult *result) {
        static const Failure died = {FAILURE_INTERNAL, "Its worker was killed."};
        const Failure *f = end == WORKER_DIED ? &died : &result->failure;

        if (o->ended)
                o->ended(&o->request.devices[0], f->kind ? f : NULL, o->userdata);
}

static void on_worker(Worker *w, WorkerEnd end, const WorkerResult *result, void *userdata) {
        Operation *o = userdata;
        Operations *all = o->all;
        bool left = o->verb->move >= 0 && !o->ended;
        char address[ID_SELECTOR_SIZE];

        if (end == WORKER_LATE) {
                on_worker_late(o, result);
                return;
        }

        if (worker_is_late(w))
                log_notice("%s of %s has come to an end after all%s%s", o->verb->name,
                           first_named(o, address), result->failure.kind ? ": " : ".",
                           result->failure.sentence);

        if (end == WORKER_DIED)
                operation_answer_failure(o, FAILURE_INTERNAL, "The worker for %s of %s was killed; %s.",
                                         o->verb->name, first_named(o, address),
                                         o->verb->move < 0 || o->verb->move == MOVE_VFS || o->verb->sets_vf
                                                         ? "call it again"
                                                         : "Release brings the device home");
        else if (result->failure.kind != FAILURE_NONE)
                operation_answer(o, &result->failure, result);
        else if (o->preparing) {
                if (o->call)
                        admission_ask(o, result);
        } else
                operation_answer(o, NULL, result);

        end_own(o, end, result);
        o->worker = worker_free(w);
        operation_release_if_done(o);
        if (all->reverts)
                reverts_look(all->reverts, left);
}

Operation *operation_new(Operations *all, const Verb *verb, const Request *q) {
        Operation *o;

        o = calloc(1, sizeof *o);
        if (!o)
                return NULL;
        o->all = all;
        o->verb = verb;
        o->request = *q;
        o->request.confine = all->confine;
        o->caller = (uid_t)-1;
        o->next = all->list;
        all->list = o;
        all->n++;
        return o;
}

int operation_start_own(Operations *all, const Verb *verb, const PciAddress *device, operation_ended_t ended,
                        void *userdata) {
        const Request q = {.n_devices = 1, .devices = {*device}, .verb = verb->move};
        Operation *o;
        int r;

        o = operation_new(all, verb, &q);
        if (!o)
                return -ENOMEM;
        o->ended = ended;
        o->userdata = userdata;

        r = set_is_taken(o) ? -EBUSY : operation_start_worker(o, verb->work, verb->writes);
        if (r < 0)
                operation_free(o);
        return r;
}
