/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock.h"
#include "request-move.h"
#include "request.h"

/* A row of the answer. What is right needs no words of ours: `no` is the sentence, NULL of what has passed. */
static void add(Target *t, const char *device, const char *check, const char *severity, const char *no) {
        WorkerResult *result = t->result;
        bool refuses = no && streq(severity, "error");
        CheckRow *row;

        /* When all is full, only what refuses gets in. */
        if (result->n_rows == CHECK_ROWS_MAX && !refuses)
                return;
        result->n_rows -= result->n_rows == CHECK_ROWS_MAX;

        row = &result->rows[result->n_rows++];
        (void)snprintf(row->device, sizeof row->device, "%s", device);
        (void)snprintf(row->check, sizeof row->check, "%s", check);
        (void)snprintf(row->severity, sizeof row->severity, "%s", severity);
        row->passed = !no;
        (void)snprintf(row->sentence, sizeof row->sentence, "%s", strempty(no));
        result->refused |= refuses;
}

/* What moves now will be another thing when it has come to rest, and may not even be looked at: on some kernels nobody
 * reads a driver_override while the device is held. */
static bool is_moving(Target *t) {
        char sentence[800];
        bool left, taken;
        Move m;

        left = target_is_interrupted(t, &m) && m.verb != MOVE_VFS;
        taken = left && lock_set_is_taken(t->root, t->movers.number);
        if (left)
                (void)snprintf(sentence, sizeof sentence, "IOMMU set %u %s (%s); %s.%s%s", t->movers.number,
                               taken ? "is being moved" : "was left half-way by a move",
                               move_verb_to_string(m.verb),
                               taken ? "try again when that has ended"
                                     : "Release brings it home, and Bind goes on from where it is",
                               m.stuck[0] ? " " : "", m.stuck);
        add(t, target_named(t)->address, "moving", left && !taken ? "warning" : "error",
            left ? sentence : NULL);
        return taken;
}

/* 1: nothing is left to do. That the grant is another device's is a kind of its own. */
static int ask(Target *t, const MoveCheck *c) {
        const char *named = target_named(t)->address;
        Failure *f = &t->result->failure;
        bool grant = c->of_member == target_check_grant, no = false;
        int r = 0;

        for (size_t i = 0; i < (c->of_set ? 1 : t->n_members); i++) {
                if ((r = move_ask(c, t, i)) >= 0)
                        continue;
                add(t, c->of_set ? named : t->members[i].address,
                    f->kind == FAILURE_IDENTITY_CHANGED ? "identity" : c->name, c->severity, f->sentence);
                *f = (Failure){0};
                no = true;
        }

        t->ungranted |= no && grant;
        if (!no)
                add(t, named, c->name, c->severity, NULL);
        if (!no && grant)
                add(t, named, "identity", c->severity, NULL);
        return r > 0;
}

/* Of what is not refused although it holds: a warning, or what an administrator consented to. */
static const char *severity_of(int reason, uint32_t allowed) {
        if (CRITICAL_WARNINGS & 1U << reason)
                return "warning";
        return allowed & 1U << reason ? "info" : "error";
}

/* A row for each reason of each member, and for each that none has. */
static int ask_critical(Target *t, uint32_t consent) {
        uint32_t all = 0;
        Critical c;
        int r;

        for (const Member *m = t->members; t->facts && m < t->members + t->n_members; m++) {
                if ((r = target_evaluate(t, m, t->facts, &c)) < 0)
                        return r;
                all |= c.reasons | c.warnings;
                for (int reason = 0; reason < CRITICAL_REASON_MAX; reason++)
                        if ((c.reasons | c.warnings) & 1U << reason)
                                add(t, m->address, critical_reason_to_string((CriticalReason)reason),
                                    severity_of(reason, c.reasons & ~target_refused(t, m, &c, consent)),
                                    c.sentence[reason]);
        }

        for (int reason = 0; reason < CRITICAL_REASON_MAX && t->facts; reason++)
                if (!(all & 1U << reason))
                        add(t, target_named(t)->address, critical_reason_to_string((CriticalReason)reason),
                            severity_of(reason, 0), NULL);
        return 0;
}

void request_plan(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        const Request *q = request;

        if (target_open(root, &q->devices[0], TARGET_READ, result, &t) < 0)
                return;
        t->planning = true;
        t->persistent = q->persistent;
        result->plan.set = t->movers;

        add(t, target_named(t)->address, "iommu-set", "info", NULL);
        if (is_moving(t))
                return;
        for (const MoveCheck *c = move_bind_checks; c->name; c++)
                if (ask(t, c) > 0)
                        return;
        if (ask_critical(t, q->consent) >= 0 && !result->refused)
                (void)steps_bind(t);
}
