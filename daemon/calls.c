/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "log.h"

static Call *call_free(Call *c) {
        if (!c)
                return NULL;

        if (LIST_REMOVE(c->manager->calls, c, next))
                c->manager->n_calls--;
        bus_uid_query_free(c->who);
        helper_call_free(c->helper);
        if (c->kind->free)
                c->kind->free(c->data);
        call_trail_free(c->trail);
        sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}

void calls_free_all(Manager *m) {
        while (m->calls)
                call_free(m->calls);
}

void call_finish(Call *c, const Failure *failure) {
        int r;

        call_trail_end(c, failure);
        r = failure ? bus_reply_failure(c->message, failure) : sd_bus_reply_method_return(c->message, NULL);
        if (r < 0)
                log_debug("A reply could not be sent: %s.", strerror(-r));
        call_free(c);
}

void call_finish_with(Call *c, sd_bus_message *reply) {
        int r;

        call_trail_end(c, NULL);
        r = sd_bus_send(NULL, reply, NULL);
        if (r < 0)
                log_debug("A reply could not be sent: %s.", strerror(-r));
        call_free(c);
}

void call_fail(Call *c, int error) {
        Failure f = {0};

        (void)failure_set(&f, FAILURE_INTERNAL, "The call %s could not be carried out: %s; try again later.",
                          sd_bus_message_get_member(c->message), strerror(-error));
        call_finish(c, &f);
}

static bool check(Call *c) {
        bool passes = true;
        Failure f = {0};

        if (c->kind->check)
                passes = c->kind->check(c, &f) >= 0;
        if (passes || f.kind == FAILURE_CRITICAL)
                call_trail_describe(c);
        c->passed = c->passed || passes;
        if (!passes)
                call_finish(c, &f);
        return passes;
}

static void on_authorised(const Failure *failure, uid_t uid _unused_, PolkitVerdict verdict,
                          void *userdata) {
        Call *c = userdata;

        c->verdict = verdict;
        if (failure)
                call_finish(c, failure);
        else if (check(c))
                c->then(c);
}

void call_details_add(CallDetails *d, const char *key, const char *value) {
        assert(d->n + 2 < ELEMENTSOF(d->pairs));

        d->pairs[d->n++] = key;
        d->pairs[d->n++] = value;
}

void call_ask(Call *c, const char *action, void (*then)(Call *c)) {
        CallDetails details = {0};
        Failure f = {0};
        PolkitQuestion q;
        int r;

        if (!check(c))
                return;
        if (c->uid == 0) { /* polkit never says no to root, who could do it all without us */
                then(c);
                return;
        }

        c->kind->describe(c, &details);
        c->then = then;
        c->action = action;
        q = (PolkitQuestion){
                        .subject = call_sender(c),
                        .action = action,
                        .details = details.pairs,
                        .interactive = call_is_interactive(c),
        };
        r = polkit_ask(c->manager->polkit, &q, on_authorised, c, NULL);
        if (r == -EDQUOT) {
                (void)failure_set(&f, FAILURE_LIMITS_EXCEEDED,
                                  "Too many requests wait for an authorization already; try again later.");
                call_finish(c, &f);
        } else if (r < 0)
                call_fail(c, r);
}

static size_t count_of_uid(const Manager *m, uid_t uid) {
        size_t n = 0;

        for (const Call *c = m->calls; c; c = c->next)
                n += c->uid == uid;
        return n;
}

static size_t count_of_sender(const Manager *m, const char *sender) {
        size_t n = 0;

        for (const Call *c = m->calls; c; c = c->next)
                n += streq(strempty(call_sender(c)), strempty(sender));
        return n;
}

static int refuse_many_of_one(Failure *f) {
        return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                           "Too many of your calls (%u) are under way already; wait for their answers and "
                           "try again.",
                           CALLS_PENDING_PER_UID);
}

/* Whose calls these are is known only after the bus has answered. Until then one connection must not take
 * the places of everybody, nor all strangers together those of the users who are known. */
static int refuse_too_many(const Manager *m, const char *sender, Failure *f) {
        if (count_of_sender(m, sender) >= CALLS_PENDING_PER_UID)
                return refuse_many_of_one(f);
        if (m->n_calls >= CALLS_PENDING_MAX || count_of_uid(m, (uid_t)-1) >= CALLS_UNIDENTIFIED_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "Too many calls (%zu) are under way already; try again later.",
                                   m->n_calls);
        return 0;
}

static void on_who(int r, uid_t uid, void *userdata) {
        Failure f = {0};
        Call *c = userdata;

        c->who = bus_uid_query_free(c->who);
        if (r == -ENXIO) { /* the caller has left: nobody waits for an answer */
                call_free(c);
                return;
        }
        if (r < 0) {
                call_fail(c, r);
                return;
        }

        c->uid = uid;
        if (count_of_uid(c->manager, uid) > CALLS_PENDING_PER_UID) {
                (void)refuse_many_of_one(&f);
                call_finish(c, &f);
                return;
        }

        c->by_owner = c->row->kind == AUTHORISATION_OWNER && uid != 0 && c->kind->is_owner(c);
        if (c->row->kind == AUTHORISATION_POLKIT || (c->row->kind == AUTHORISATION_OWNER && !c->by_owner))
                call_ask(c, c->row->action, c->kind->go);
        else if (check(c)) /* open to all, his own, or the helper asks polkit */
                c->kind->go(c);
}

/* Takes the call in: the one gate through which all of them go. */
static int admit(Manager *m, sd_bus_message *message, const CallKind *kind, Call **ret, Failure *f) {
        const char *member = sd_bus_message_get_member(message);
        const Authorisation *row;
        Call *c;
        int r;

        row = authorisation_find(sd_bus_message_get_interface(message), member);
        if (!row)
                return failure_set(f, FAILURE_NOT_AUTHORIZED,
                                   "Nobody may call %s; see the documentation of the interface for what "
                                   "there is.",
                                   member);
        if ((r = refuse_too_many(m, sd_bus_message_get_sender(message), f)) < 0)
                return r;

        c = calloc(1, sizeof *c);
        if (!c)
                return failure_set(f, FAILURE_INTERNAL, "The call %s found no memory; try again later.",
                                   member);

        c->manager = m;
        c->message = sd_bus_message_ref(message);
        c->row = row;
        c->kind = kind;
        c->uid = (uid_t)-1;
        c->verdict = row->kind == AUTHORISATION_HELPER ? POLKIT_VERDICT_BY_HELPER : POLKIT_VERDICT_NOT_ASKED;
        c->next = m->calls;
        m->calls = c;
        m->n_calls++;
        *ret = c;
        return 0;
}

int call_start(Manager *m, sd_bus_message *message, const CallKind *kind, void *data) {
        Call *c = NULL;
        Failure f = {0};
        int r;

        assert(m);
        assert(message);
        assert(kind);

        if (admit(m, message, kind, &c, &f) < 0) {
                if (kind->free)
                        kind->free(data);
                return bus_reply_failure(message, &f);
        }

        c->data = data;
        r = bus_query_uid(m->bus, call_sender(c), on_who, c, &c->who);
        if (r < 0)
                call_fail(c, r);
        return 1;
}
