/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "names.h"
#include "polkit.h"

/* A prompt may stand for minutes; one that nobody answers must end. */
#define PROMPT_TIMEOUT_USEC (10ULL * 60 * 1000 * 1000)

#define FLAG_ALLOW_USER_INTERACTION 1U

static const char *const polkit_verdict_table[POLKIT_VERDICT_MAX] = {
                [POLKIT_VERDICT_NOT_ASKED] = "not-asked",
                [POLKIT_VERDICT_YES] = "yes",
                [POLKIT_VERDICT_NO] = "no",
                [POLKIT_VERDICT_CHALLENGE] = "challenge",
                [POLKIT_VERDICT_DISMISSED] = "dismissed",
                [POLKIT_VERDICT_UNANSWERED] = "unanswered",
                [POLKIT_VERDICT_UNREACHABLE] = "unreachable",
                [POLKIT_VERDICT_GRANTED] = "granted",
                [POLKIT_VERDICT_BY_HELPER] = "by-helper",
};

DEFINE_STRING_TABLE(polkit_verdict, PolkitVerdict, POLKIT_VERDICT_MAX);

struct PolkitQuery {
        Polkit *polkit;
        PolkitQuery *next;

        char *subject, *action;
        sd_bus_message *call; /* to polkit, made ready at the start */
        char cancel_id[32];
        bool interactive, third_party, asked;
        uid_t refuse_uid, uid; /* uid is (uid_t)-1 until known */
        PolkitVerdict verdict;

        sd_bus_slot *watch, *answer;
        BusUidQuery *who;
        sd_event_source *later; /* carries a verdict out of the caller's stack */

        Failure failure;
        polkit_done_t done;
        void *userdata;
};

struct Polkit {
        sd_bus *bus;
        PolkitQuery *queries;
        size_t n_queries;
        uint64_t last_id;
};

static PolkitQuery *query_free(PolkitQuery *q) {
        if (!q)
                return NULL;

        if (LIST_REMOVE(q->polkit->queries, q, next))
                q->polkit->n_queries--;

        sd_event_source_disable_unref(q->later);
        sd_bus_slot_unref(q->watch);
        sd_bus_slot_unref(q->answer);
        bus_uid_query_free(q->who);
        sd_bus_message_unref(q->call);
        free(q->subject);
        free(q->action);
        free(q);
        return NULL;
}
DEFINE_CLEANUP(PolkitQuery *, query_free);

int polkit_new(sd_bus *bus, Polkit **ret) {
        Polkit *p;

        assert(bus);
        assert(ret);

        p = calloc(1, sizeof *p);
        if (!p)
                return -ENOMEM;

        p->bus = sd_bus_ref(bus);
        *ret = p;
        return 0;
}

Polkit *polkit_free(Polkit *p) {
        if (!p)
                return NULL;

        while (p->queries)
                query_free(p->queries);
        sd_bus_unref(p->bus);
        free(p);
        return NULL;
}

static void finish(PolkitQuery *q) {
        polkit_done_t done = q->done;
        void *userdata = q->userdata;
        Failure failure = q->failure;
        PolkitVerdict verdict = q->verdict;
        uid_t uid = q->uid;

        /* Freed first: done() may tear everything down, this registry included. */
        query_free(q);
        done(failure.kind == FAILURE_NONE ? NULL : &failure, uid, verdict, userdata);
}

static void deny(PolkitQuery *q, FailureKind kind, PolkitVerdict verdict, const char *reason) {
        q->verdict = verdict;
        (void)failure_set(&q->failure, kind, "Not authorized for %s: %s.", q->action, reason);
        finish(q);
}

static void cancel_prompt(PolkitQuery *q) {
        if (q->asked)
                (void)sd_bus_call_method_async(q->polkit->bus, NULL, "org.freedesktop.PolicyKit1",
                                               "/org/freedesktop/PolicyKit1/Authority",
                                               "org.freedesktop.PolicyKit1.Authority",
                                               "CancelCheckAuthorization", NULL, NULL, "s", q->cancel_id);
}

/* Of the details of an answer this one is of use. */
static bool was_dismissed(sd_bus_message *m) {
        const char *key, *value;

        if (sd_bus_message_enter_container(m, 'a', "{ss}") < 0)
                return false;
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0)
                if (streq(key, "polkit.dismissed") && !isempty(value))
                        return true;
        return false;
}

static void take_no(PolkitQuery *q, bool challenge, sd_bus_message *m) {
        if (challenge && !q->interactive)
                deny(q, FAILURE_INTERACTION_REQUIRED, POLKIT_VERDICT_CHALLENGE,
                     "polkit wants to ask for a password; call again with interactive authorization "
                     "allowed");
        else if (challenge)
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_CHALLENGE,
                     "polkit has no authentication agent to prompt you with; start one, for example "
                     "'pkttyagent' in "
                     "a second terminal (see its manual), and call again");
        else if (was_dismissed(m))
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_DISMISSED,
                     "the prompt was dismissed; call again to be asked again");
        else
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_NO,
                     "polkit said no; an administrator can allow it in a polkit rule");
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        PolkitQuery *q = userdata;
        int authorized, challenge;
        const sd_bus_error *e;

        e = sd_bus_message_get_error(m);
        if (e && sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY)) {
                cancel_prompt(q);
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_UNANSWERED,
                     "the prompt was not answered in time; try again");
        } else if (e)
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_UNREACHABLE,
                     "polkit could not be asked; see 'systemctl status polkit' and try again");
        else if (sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 ||
                 sd_bus_message_read(m, "bb", &authorized, &challenge) < 0)
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_UNREACHABLE,
                     "polkit gave an answer that cannot be read");
        else if (authorized) {
                q->verdict = POLKIT_VERDICT_YES;
                finish(q);
        } else
                take_no(q, challenge, m);
        return 1;
}

static size_t count_of_uid(const Polkit *p, uid_t uid) {
        size_t n = 0;

        for (const PolkitQuery *q = p->queries; q; q = q->next)
                n += q->uid == uid;
        return n;
}

static void on_who(int r, uid_t uid, void *userdata) {
        PolkitQuery *q = userdata;

        if (r < 0) {
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_NOT_ASKED, "the caller has left the bus");
                return;
        }

        q->uid = uid;
        if (q->third_party && uid == 0) {
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_NOT_ASKED,
                     "root asks the helper itself, not through the service");
                return;
        }
        if (q->third_party && uid == q->refuse_uid) {
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_NOT_ASKED,
                     "the service cannot consent for itself");
                return;
        }
        if (uid == 0) {
                finish(q);
                return;
        }
        if (count_of_uid(q->polkit, uid) > POLKIT_PENDING_PER_UID) {
                deny(q, FAILURE_LIMITS_EXCEEDED, POLKIT_VERDICT_NOT_ASKED,
                     "too many of your requests wait for an answer already; answer or cancel those first");
                return;
        }

        q->asked = true;
        r = sd_bus_call_async(q->polkit->bus, &q->answer, q->call, on_answer, q, PROMPT_TIMEOUT_USEC);
        if (r < 0)
                deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_UNREACHABLE, "polkit could not be asked");
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        PolkitQuery *q = userdata;
        const char *name, *from, *to;

        if (!bus_message_is_from_driver(m) || sd_bus_message_read(m, "sss", &name, &from, &to) < 0 ||
            !streq(name, q->subject) || !isempty(to))
                return 0;

        cancel_prompt(q);
        deny(q, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_UNANSWERED, "the caller has left the bus");
        return 0;
}

static int on_watch_installed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        if (sd_bus_message_is_method_error(m, NULL)) {
                deny(userdata, FAILURE_NOT_AUTHORIZED, POLKIT_VERDICT_UNREACHABLE,
                     "the bus does not let us watch the caller");
                return 1;
        }
        return 0;
}

static int on_later(sd_event_source *s _unused_, void *userdata) {
        deny(userdata, FAILURE_INVALID_ARGUMENT, POLKIT_VERDICT_NOT_ASKED,
             "the subject is not the unique name of a connection");
        return 0;
}

static int prepare_call(PolkitQuery *q, const PolkitQuestion *question) {
        int r;

        r = sd_bus_message_new_method_call(q->polkit->bus, &q->call, "org.freedesktop.PolicyKit1",
                                           "/org/freedesktop/PolicyKit1/Authority",
                                           "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
        if (r < 0)
                return r;

        r = sd_bus_message_append(q->call, "(sa{sv})s", "system-bus-name", 1, "name", "s", q->subject,
                                  q->action);
        if (r < 0 || (r = sd_bus_message_open_container(q->call, 'a', "{ss}")) < 0)
                return r;

        for (const char *const *d = question->details; d && d[0] && d[1]; d += 2) {
                r = sd_bus_message_append(q->call, "{ss}", d[0], d[1]);
                if (r < 0)
                        return r;
        }

        r = sd_bus_message_close_container(q->call);
        if (r < 0)
                return r;

        return sd_bus_message_append(q->call, "us", q->interactive ? FLAG_ALLOW_USER_INTERACTION : 0U,
                                     q->cancel_id);
}

/* The watch goes first: a subject that leaves after it is seen leaving, one that left before has no uid. */
static int start(PolkitQuery *q) {
        char match[512];
        int r;

        if (!bus_name_is_unique(q->subject)) {
                r = sd_event_add_defer(sd_bus_get_event(q->polkit->bus), &q->later, on_later, q);
                return r;
        }

        (void)snprintf(match, sizeof match,
                       "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                       "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                       q->subject);
        r = sd_bus_add_match_async(q->polkit->bus, &q->watch, match, on_owner_changed, on_watch_installed,
                                   q);
        if (r < 0)
                return r;

        return bus_query_uid(q->polkit->bus, q->subject, on_who, q, &q->who);
}

PolkitQuery *polkit_cancel(PolkitQuery *q) {
        if (q)
                cancel_prompt(q);
        return query_free(q);
}

int polkit_ask(Polkit *p, const PolkitQuestion *question, polkit_done_t done, void *userdata,
               PolkitQuery **ret) {
        _cleanup_(query_freep) PolkitQuery *q = NULL;
        int r;

        assert(p);
        assert(question);
        assert(done);

        if (p->n_queries >= POLKIT_PENDING_MAX)
                return -EDQUOT;

        q = calloc(1, sizeof *q);
        if (!q)
                return -ENOMEM;

        q->polkit = p;
        q->uid = (uid_t)-1;
        q->refuse_uid = question->refuse_uid;
        q->interactive = question->interactive;
        q->third_party = question->third_party;
        q->done = done;
        q->userdata = userdata;
        q->subject = strdup(strempty(question->subject));
        q->action = strdup(question->action);
        (void)snprintf(q->cancel_id, sizeof q->cancel_id, "passthrough-%" PRIu64, ++p->last_id);
        q->next = p->queries;
        p->queries = q;
        p->n_queries++;
        if (!q->subject || !q->action)
                return -ENOMEM;

        if ((r = prepare_call(q, question)) < 0 || (r = start(q)) < 0)
                return r;

        if (ret)
                *ret = q;
        (void)STEAL(q);
        return 0;
}
