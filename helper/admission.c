/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "operation-internal.h"

#define OPERATIONS_OF_DAEMON_MAX 48U
#define OPERATIONS_MAX 64U /* at once; each may be a process */
#define UNKNOWN_OF_ONE_MAX 48U
#define UNKNOWN_MAX 512U /* no processes: the bus is about to say whose they are */
#define BUSY_SENTENCE "The helper has too many operations under way; try again when some have ended."

static void on_polkit(const Failure *f, uid_t uid, PolkitVerdict verdict, void *userdata) {
        Operation *o = userdata;

        o->question = NULL;
        o->preparing = false;
        o->caller = uid;
        o->verdict = verdict;
        if (f) {
                operation_answer(o, f, NULL);
                operation_release_if_done(o);
                return;
        }

        o->request.uid = uid;
        operation_start_work(o);
}

void admission_ask(Operation *o, const WorkerResult *result) {
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
        o->action = question.action;

        r = polkit_ask(o->all->polkit, &question, on_polkit, o, &o->question);
        if (r < 0)
                operation_answer_failure(
                                o, FAILURE_LIMITS_EXCEEDED,
                                "Too many requests wait for authorization; try again when some have ended.");
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
                operation_release_if_done(o);
        }
}

static void on_who(int r, uid_t uid, void *userdata) {
        Operation *o = userdata;
        const Authoriser *a = &o->all->authoriser;

        o->who = bus_uid_query_free(o->who);
        if (r >= 0 && uid != a->root_uid && uid != a->daemon_uid) {
                o->request.uid = uid;
                operation_start_work(o);
                return;
        }
        operation_answer_failure(o, FAILURE_NOT_AUTHORIZED,
                                 r < 0 ? "Nobody was let in: the connection %s is not there any more."
                                       : "Nobody was let in: the connection %s is not a user's, but root's "
                                         "or of the service itself. Root passes an empty string.",
                                 o->subject);
        operation_release_if_done(o);
}

/* To let somebody in, the bus has to know him; an empty name is root. */
static void identify(Operation *o) {
        int r;

        if (!bus_name_is_unique(o->subject))
                operation_answer_failure(o, FAILURE_NOT_AUTHORIZED,
                                         "Nobody was let in: the subject is not the unique name of a "
                                         "connection, like ':1.42'.");
        else if ((r = bus_query_uid(o->all->bus, o->subject, on_who, o, &o->who)) < 0)
                operation_answer_failure(o, FAILURE_INTERNAL,
                                         "Nobody was let in: the bus cannot be asked (%s); try again.",
                                         strerror(-r));
        else
                return;
        operation_release_if_done(o);
}

static void on_authorised(CallerKind kind, uid_t uid, void *userdata) {
        Operation *o = userdata;

        o->authorisation = authorisation_free(o->authorisation);
        o->for_daemon = kind == CALLER_DAEMON;
        o->caller = uid;

        if (kind == CALLER_STRANGER)
                operation_answer_failure(o, FAILURE_NOT_AUTHORIZED,
                                         "The helper serves only verge-passthroughd and root; call "
                                         "org.verge.Passthrough.");
        else if (has_no_place(o))
                operation_answer_failure(o, FAILURE_LIMITS_EXCEEDED, BUSY_SENTENCE);
        else if (o->verb->prepare && kind == CALLER_ROOT && o->subject[0])
                operation_answer_failure(
                                o, FAILURE_INVALID_ARGUMENT,
                                "Root consents for itself; pass an empty string as the subject of %s.",
                                o->verb->name);
        else if (o->verb->prepare && kind == CALLER_DAEMON) {
                o->preparing = true;
                (void)operation_start_worker(o, o->verb->prepare, 0);
        } else if (o->verb->lets_in && o->subject[0]) {
                identify(o);
                return;
        } else {
                o->request.uid = o->all->authoriser.root_uid;
                operation_start_work(o);
                return;
        }
        operation_release_if_done(o);
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

        o = operation_new(all, verb, &request);
        if (!o)
                return -ENOMEM;
        o->subject = strdup(subject);
        r = o->subject ? authorise(&all->authoriser, call, on_authorised, o, &o->authorisation) : -ENOMEM;
        if (r < 0) {
                operation_free(o);
                return r;
        }

        o->call = sd_bus_message_ref(call);
        if (r > 0)
                on_authorised(CALLER_DAEMON, all->authoriser.daemon_uid, o);
        return 1;
}
