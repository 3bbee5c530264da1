/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-start.h"

static bool wants_group(const RunStart *s, const char *group) {
        RunRequest q = run_start_request(s);
        size_t at = 0;
        const Claim *c;

        while ((c = run_request_next(s->manager, &q, &at)))
                if (c->record.enabled && streq(c->record.group, group))
                        return true;
        return false;
}

static bool compete(const RunStart *a, const RunStart *b) {
        RunRequest q = run_start_request(a);
        size_t at = 0;
        const Claim *c;

        while ((c = run_request_next(a->manager, &q, &at)))
                if (c->record.enabled && wants_group(b, c->record.group))
                        return true;
        return false;
}

/* Those that came before it, or (if it does not wait yet) are there, and want the same. */
size_t run_queue_before(const RunStart *s) {
        size_t n = 0;

        for (const RunStart *other = s->manager->starts; other && other != s; other = other->next)
                n += other->phase == START_QUEUED && !other->aside && compete(s, other);
        return n;
}

static void mark_claims(const RunStart *s, bool waiting, const char *why) {
        ClaimTable *t = s->manager->claims;
        RunRequest q = run_start_request(s);
        size_t at = 0;
        Claim *c;

        while ((c = run_request_next(s->manager, &q, &at))) {
                if (waiting && !c->record.enabled)
                        continue;
                claim_set_waiting(t, c, waiting);
                if (waiting)
                        claim_set_problem(t, c, NULL); /* of an earlier start */
                claim_set_progress(t, c, why);
        }
}

static size_t count_waiting(const Manager *m, uid_t uid) {
        size_t n = 0;

        for (const RunStart *s = m->starts; s; s = s->next)
                n += s->phase == START_QUEUED && (uid == (uid_t)-1 || s->call->uid == uid);
        return n;
}

static int on_deadline(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        RunStart *s = userdata;
        Failure f = {0};

        if (s->phase != START_QUEUED) {
                s->wait = 0; /* the try that is under way is the last */
                return 0;
        }
        (void)failure_set(&f, FAILURE_UNAVAILABLE, "The %u s are over. %.800s", s->wait, s->cause.sentence);
        run_start_fail(s, &f);
        return 0;
}

static void on_caller_gone(const char *reason _unused_, void *userdata) {
        RunStart *s = userdata;

        s->caller = machine_watch_free(s->caller);
        if (s->phase == START_QUEUED)
                run_start_fail(s, &(Failure){FAILURE_CANCELLED, "The caller has left."});
}

static int begin_waiting(RunStart *s) {
        Manager *m = s->manager;
        int r = 0;

        if (!s->deadline)
                r = sd_event_add_time_relative(m->event, &s->deadline, CLOCK_MONOTONIC,
                                               (uint64_t)s->wait * 1000000, 0, on_deadline, s);
        if (r >= 0 && !s->caller)
                r = machines_watch_connection(m->machines, call_sender(s->call), on_caller_gone, s,
                                              &s->caller);
        return r;
}

/* Whoever has his share, or wants more than there is at all, must not keep what is free from those behind him. */
static void look_ahead(RunStart *s) {
        RunRequest q = run_start_request(s);
        Failure f = {0};
        RunPick pick;

        (void)run_pick(s->manager, &q, &pick, &f);
        s->aside = pick.hopeless;
}

void run_queue_enter(RunStart *s, const Failure *why) {
        Failure f = {0};

        if (why->kind != FAILURE_UNAVAILABLE || s->wait == 0 || s->cancelled) {
                run_start_fail(s, why);
                return;
        }
        if (count_waiting(s->manager, (uid_t)-1) >= STARTS_WAITING_MAX ||
            count_waiting(s->manager, s->call->uid) >= STARTS_WAITING_PER_USER) {
                (void)failure_set(&f, FAILURE_LIMITS_EXCEEDED,
                                  "Too many starts wait for devices already; try again later. %.700s",
                                  why->sentence);
                run_start_fail(s, &f);
                return;
        }

        s->cause = *why;
        if (begin_waiting(s) < 0) {
                call_fail(s->call, -ENOMEM);
                return;
        }
        s->phase = START_QUEUED;
        look_ahead(s);
        mark_claims(s, true, why->sentence);
}

void run_queue_leave(RunStart *s) {
        if (s->phase == START_QUEUED)
                mark_claims(s, false, NULL);
        s->cause = (Failure){0};
}

/* First come, first served: who waits for the same groups behind another waits on. */
static int on_turn(sd_event_source *source _unused_, void *userdata) {
        Manager *m = userdata;
        RunStart *next;

        for (RunStart *s = m->starts; s; s = s->next)
                if (s->phase == START_QUEUED)
                        look_ahead(s);
        for (RunStart *s = m->starts; s; s = next) {
                RunRequest q = run_start_request(s);
                Failure f = {0};
                RunPick pick;

                next = s->next;
                if (s->phase != START_QUEUED || run_queue_before(s) > 0)
                        continue;
                if (run_pick(m, &q, &pick, &f) >= 0 || f.kind != FAILURE_UNAVAILABLE) {
                        run_queue_leave(s);
                        run_start_try(s);
                } else
                        mark_claims(s, true, f.sentence);
        }
        return 0;
}

/* A claim that comes with others is not taken out of their start: nothing is given that is being taken back. */
static bool is_meant(const RunStart *s, uid_t owner, const char *vm, const char *claim) {
        const Claim *c = claim ? claim_table_find(s->manager->claims, claim) : NULL;

        if (s->owner != owner || !streq(s->vm, vm))
                return false;
        return !claim || streq(claim, s->claim) || (c && c->run && streq(c->run->record.id, s->run));
}

bool run_starts_cancel(Manager *m, uid_t owner, const char *vm, const char *claim) {
        Failure f = {0};
        RunStart *next;
        bool any = false;

        (void)failure_set(&f, FAILURE_CANCELLED, "The start of VM \"%.200s\" was called off.", vm);
        for (RunStart *s = m->starts; s; s = next) {
                next = s->next;
                if (!is_meant(s, owner, vm, claim))
                        continue;
                any = true;
                s->cancelled = true;
                if (s->phase == START_QUEUED)
                        run_start_fail(s, &f);
        }
        return any;
}

void run_queue_nudge(Manager *m) {
        if (m->queue_next && m->starts)
                (void)sd_event_source_set_enabled(m->queue_next, SD_EVENT_ONESHOT);
}

int run_queue_init(Manager *m) {
        int r;

        r = sd_event_add_defer(m->event, &m->queue_next, on_turn, m);
        return r < 0 ? r : sd_event_source_set_enabled(m->queue_next, SD_EVENT_OFF);
}
