/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"
#include "log.h"
#include "operation.h"
#include "sysfs.h"
#include "text.h"

#define OPERATIONS_OF_DAEMON_MAX 48U
#define OPERATIONS_MAX 64U /* at once; each may be a process */
#define UNKNOWN_OF_ONE_MAX 48U
#define UNKNOWN_MAX 512U /* no processes: the bus is about to say whose they are */
#define BUSY_SENTENCE "The helper has too many operations under way; try again when some have ended."
#define MARK_STUCK_USEC (2ULL * 1000 * 1000)

struct Operation {
        Operations *all;
        Operation *next;
        sd_bus_message *call; /* NULL once answered */
        const Verb *verb;
        Request request, mark;
        char *subject;
        char set[16]; /* of a move: the IOMMU set's number, or "" */
        bool preparing, for_daemon;
        Authorisation *authorisation;
        BusUidQuery *who; /* is to be let in */
        PolkitQuery *question;
        Worker *worker, *marker;
};

static Operation *operation_free(Operation *o) {
        if (!o)
                return NULL;

        if (LIST_REMOVE(o->all->list, o, next))
                o->all->n--;

        authorisation_free(o->authorisation);
        bus_uid_query_free(o->who);
        polkit_cancel(o->question);
        worker_free(o->worker);
        worker_free(o->marker);
        sd_bus_message_unref(o->call);
        free(o->subject);
        free(o);
        return NULL;
}

void operations_free_all(Operations *all) {
        while (all->list)
                operation_free(all->list);
}

/* Ends with the last thing that could still call back. */
static void release_if_done(Operation *o) {
        if (!o->call && !o->worker && !o->marker && !o->question)
                operation_free(o);
}

static const char *first_named(const Operation *o, char buf[static ID_SELECTOR_SIZE]) {
        return o->verb->of_ids ? id_selector_format(&o->request.ids[0], buf)
                               : pci_address_format(&o->request.devices[0], buf);
}

/* What was done, for whom, with whose consent: the trail that an administrator follows later. */
static void log_success(const Operation *o) {
        char named[512] = "", word[ID_SELECTOR_SIZE];
        const Request *q = &o->request;

        for (size_t i = 0; i < q->n_devices; i++)
                text_append_item(named, sizeof named, pci_address_format(&q->devices[i], word));
        for (size_t i = 0; i < q->n_ids; i++)
                text_append_item(named, sizeof named, id_selector_format(&q->ids[i], word));

        if (o->verb->prepare)
                log_notice("%s of %s, with the consent of uid %u.", o->verb->name, named, (unsigned)q->uid);
        else if (o->verb->lets_in)
                log_info("%s of %s for uid %u%s.", o->verb->name, named, (unsigned)q->uid,
                         q->fds ? ", by descriptors" : "");
        else if (o->verb->work != request_check)
                log_info("%s of %s%s.", o->verb->name, named,
                         o->verb->move >= 0 ? " and its IOMMU set" : "");
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

static void answer(Operation *o, const Failure *f, const WorkerResult *result) {
        int r;

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

static void _printf_(3, 4) answer_failure(Operation *o, FailureKind kind, const char *format, ...) {
        Failure f = {.kind = kind};
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(f.sentence, sizeof f.sentence, format, ap);
        va_end(ap);
        answer(o, &f, NULL);
}

static void on_worker(Worker *w, WorkerEnd end, const WorkerResult *result, void *userdata);

static int start_worker(Operation *o, worker_work_t work, unsigned writes) {
        int r;

        o->request.work = work;
        o->request.writes = writes;
        r = worker_start(o->all->event, o->all->root_fd, o->all->deadline_usec, confine_and_work,
                         &o->request, on_worker, o, &o->worker);
        if (r < 0)
                answer_failure(o, FAILURE_INTERNAL,
                               "Nothing was changed: no worker could be started (%s); try again.",
                               strerror(-r));
        return r;
}

/* No second writer for a set: it could only queue up behind the first. The number is read here without waiting;
 * what holds is the lock that the worker takes. */
static bool set_is_taken(Operation *o) {
        char address[ID_SELECTOR_SIZE], doing[ID_SELECTOR_SIZE];
        _cleanup_close_ int fd = -1;

        fd = sysfs_open_device(o->all->root_fd, &o->request.devices[0]);
        if (fd < 0 || sysfs_read_link_name(fd, "iommu_group", o->set, sizeof o->set) < 0)
                o->set[0] = '\0';
        if (!o->set[0])
                return false;

        for (const Operation *i = o->all->list; i; i = i->next) {
                if (i == o || !i->worker || !streq(i->set, o->set))
                        continue;
                answer_failure(o, worker_is_late(i->worker) ? FAILURE_STUCK : FAILURE_BUSY,
                               "Device %s is in an IOMMU set where %s of %s %s; %s.",
                               first_named(o, address), i->verb->name, first_named(i, doing),
                               worker_is_late(i->worker) ? "does not come to an end" : "is under way",
                               worker_is_late(i->worker) ? "end the process that holds it, or reboot"
                                                         : "try again when it has ended");
                return true;
        }
        return false;
}

static void start_work(Operation *o) {
        o->preparing = false;
        if (o->verb->move < 0 || !set_is_taken(o))
                (void)start_worker(o, o->verb->work, o->verb->writes);
        release_if_done(o);
}

static void on_polkit(const Failure *f, uid_t uid, void *userdata) {
        Operation *o = userdata;

        o->question = NULL;
        if (f) {
                answer(o, f, NULL);
                release_if_done(o);
                return;
        }

        o->request.uid = uid;
        start_work(o);
}

static void ask(Operation *o, const WorkerResult *result) {
        const char *details[] = {
                        "device",    result->prompt.device,    "model",   result->prompt.model,
                        "driver",    result->prompt.driver,    "consent", result->prompt.consent,
                        "iommu-set", result->prompt.iommu_set, NULL,      NULL,
                        NULL,
        };
        PolkitQuestion question = {
                        .subject = o->subject,
                        .action = result->critical ? o->verb->action_critical : o->verb->action,
                        .details = details,
                        .interactive = sd_bus_message_get_allow_interactive_authorization(o->call) > 0,
                        .third_party = true,
                        .refuse_uid = o->all->authoriser.daemon_uid,
        };
        int r;

        /* The action's own message is about devices that can be looked at. */
        if (o->verb->message) {
                details[10] = "polkit.message";
                details[11] = o->verb->message;
        }

        /* The consent asked for is for what is critical now, not for a list that somebody made long ago. */
        o->request.consent &= result->critical;

        /* Whoever sits at these addresses when the answer comes must be whom the prompt named. */
        o->request.prompted = result->prompted;

        r = polkit_ask(o->all->polkit, &question, on_polkit, o, &o->question);
        if (r < 0)
                answer_failure(o, FAILURE_LIMITS_EXCEEDED,
                               "Too many requests wait for authorization; try again when some have ended.");
}

static void on_marker(Worker *w, WorkerEnd end, const WorkerResult *result, void *userdata) {
        Operation *o = userdata;

        answer(o, end == WORKER_FINISHED && result->failure.kind ? &result->failure : &o->mark.stuck, NULL);
        if (end != WORKER_LATE) {
                o->marker = worker_free(w);
                release_if_done(o);
        }
}

/* The kernel does not come back. Say so now; the worker goes on when it does. */
static void on_worker_late(Operation *o, const WorkerResult *result) {
        char address[ID_SELECTOR_SIZE];
        int r;

        o->mark = (Request){.set = result->set,
                            .confine = o->request.confine,
                            .work = request_mark_stuck,
                            .writes = CONFINE_LOCKS | CONFINE_MOVES};
        (void)failure_set(
                        &o->mark.stuck, FAILURE_STUCK,
                        "The kernel has not answered for %llu s while %.160s; %s of %s ends by itself when "
                        "the process that uses the device lets it go:",
                        (unsigned long long)(o->all->deadline_usec / 1000000), result->doing, o->verb->name,
                        first_named(o, address));
        log_warning("%s", o->mark.stuck.sentence);

        /* Only a move has something in the journal; the set is known from the first write on. */
        if (result->set.n_members == 0) {
                answer(o, &o->mark.stuck, NULL);
                return;
        }

        r = worker_start(o->all->event, o->all->root_fd, MARK_STUCK_USEC, confine_and_work, &o->mark,
                         on_marker, o, &o->marker);
        if (r < 0)
                answer(o, &o->mark.stuck, NULL);
}

static void on_worker(Worker *w, WorkerEnd end, const WorkerResult *result, void *userdata) {
        Operation *o = userdata;
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
                answer_failure(o, FAILURE_INTERNAL,
                               "The worker for %s of %s was killed; Release brings the device home.",
                               o->verb->name, first_named(o, address));
        else if (result->failure.kind != FAILURE_NONE)
                answer(o, &result->failure, NULL);
        else if (o->preparing) {
                if (o->call)
                        ask(o, result);
        } else {
                log_success(o);
                answer(o, NULL, result);
        }

        o->worker = worker_free(w);
        release_if_done(o);
}

/* Calls of whom the bus has not named yet: of one connection, or (NULL) of all. */
static size_t count_unknown(const Operations *all, const char *sender) {
        size_t n = 0;

        for (const Operation *o = all->list; o; o = o->next)
                n += o->authorisation &&
                     (!sender || streq(strempty(sd_bus_message_get_sender(o->call)), sender));
        return n;
}

/* Some places stay free for root, whatever the daemon asks for. */
static bool has_no_place(const Operation *new) {
        size_t known = 0, of_daemon = 0;

        for (const Operation *o = new->all->list; o; o = o->next) {
                known += !o->authorisation;
                of_daemon += o->for_daemon;
        }
        return known > OPERATIONS_MAX || (of_daemon > OPERATIONS_OF_DAEMON_MAX && new->for_daemon);
}

/* Nobody waits for the answer any more, so nothing new is begun for them; what is under way comes to its end. */
void operations_caller_left(Operations *all, const char *name) {
        Operation *next;

        for (Operation *o = all->list; o; o = next) {
                next = o->next;
                if (!o->call || !streq(strempty(sd_bus_message_get_sender(o->call)), name))
                        continue;
                o->call = sd_bus_message_unref(o->call);
                o->question = polkit_cancel(o->question);
                o->authorisation = authorisation_free(o->authorisation);
                o->who = bus_uid_query_free(o->who);
                release_if_done(o);
        }
}

static void on_who(int r, uid_t uid, void *userdata) {
        Operation *o = userdata;
        const Authoriser *a = &o->all->authoriser;

        o->who = bus_uid_query_free(o->who);
        if (r >= 0 && uid != a->root_uid && uid != a->daemon_uid) {
                o->request.uid = uid;
                start_work(o);
                return;
        }
        answer_failure(o, FAILURE_NOT_AUTHORIZED,
                       r < 0 ? "Nobody was let in: the connection %s is not there any more."
                             : "Nobody was let in: the connection %s is not a user's, but root's or of the "
                               "service itself. Root passes an empty string.",
                       o->subject);
        release_if_done(o);
}

/* To let somebody in, the bus has to know him; an empty name is root. */
static void identify(Operation *o) {
        int r;

        if (!bus_name_is_unique(o->subject))
                answer_failure(o, FAILURE_NOT_AUTHORIZED,
                               "Nobody was let in: the subject is not the unique name of a connection, like "
                               "':1.42'.");
        else if ((r = bus_query_uid(o->all->bus, o->subject, on_who, o, &o->who)) < 0)
                answer_failure(o, FAILURE_INTERNAL,
                               "Nobody was let in: the bus cannot be asked (%s); try again.", strerror(-r));
        else
                return;
        release_if_done(o);
}

static void on_authorised(CallerKind kind, void *userdata) {
        Operation *o = userdata;

        o->authorisation = authorisation_free(o->authorisation);
        o->for_daemon = kind == CALLER_DAEMON;

        if (kind == CALLER_STRANGER)
                answer_failure(o, FAILURE_NOT_AUTHORIZED,
                               "The helper serves only verge-passthroughd and root; call "
                               "org.verge.Passthrough.");
        else if (has_no_place(o))
                answer_failure(o, FAILURE_LIMITS_EXCEEDED, BUSY_SENTENCE);
        else if (o->verb->prepare && kind == CALLER_ROOT && o->subject[0])
                answer_failure(o, FAILURE_INVALID_ARGUMENT,
                               "Root consents for itself; pass an empty string as the subject of %s.",
                               o->verb->name);
        else if (o->verb->prepare && kind == CALLER_DAEMON) {
                o->preparing = true;
                (void)start_worker(o, o->verb->prepare, 0);
        } else if (o->verb->lets_in && o->subject[0]) {
                identify(o);
                return;
        } else {
                o->request.uid = o->all->authoriser.root_uid;
                start_work(o);
                return;
        }
        release_if_done(o);
}

int operation_start(Operations *all, sd_bus_message *call) {
        const char *subject;
        Failure f = {0};
        const Verb *verb;
        Operation *o;
        Request request;
        int r;

        verb = verb_find(sd_bus_message_get_member(call));
        if (!verb)
                return -EBADRQC;

        if (count_unknown(all, strempty(sd_bus_message_get_sender(call))) >= UNKNOWN_OF_ONE_MAX ||
            count_unknown(all, NULL) >= UNKNOWN_MAX)
                (void)failure_set(&f, FAILURE_LIMITS_EXCEEDED, BUSY_SENTENCE);
        if (f.kind || verb_parse(verb, call, &request, &subject, &f) < 0)
                return bus_reply_failure(call, &f);

        o = calloc(1, sizeof *o);
        if (!o)
                return -ENOMEM;
        o->all = all;
        o->verb = verb;
        o->request = request;
        o->request.confine = all->confine;
        o->next = all->list;
        all->list = o;
        all->n++;

        o->subject = strdup(subject);
        r = o->subject ? authorise(&all->authoriser, call, on_authorised, o, &o->authorisation) : -ENOMEM;
        if (r < 0) {
                operation_free(o);
                return r;
        }

        o->call = sd_bus_message_ref(call);
        if (r > 0)
                on_authorised(CALLER_DAEMON, o);
        return 1;
}
