/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lock.h"
#include "request-move.h"
#include "request.h"

/* What moves now will be another thing when it has come to rest, and may not even be looked at: on some kernels nobody
 * reads a driver_override while the device is held. */
static bool is_moving(Target *t) {
        char sentence[800] = "It is not being moved.";
        bool left, taken;
        Move m;

        left = target_is_interrupted(t, &m);
        taken = left && lock_set_is_taken(t->root, t->movers.number);
        if (left)
                (void)snprintf(sentence, sizeof sentence, "IOMMU set %u %s (%s); %s.%s%s", t->movers.number,
                               taken ? "is being moved" : "was left half-way by a move",
                               move_verb_to_string(m.verb),
                               taken ? "try again when that has ended"
                                     : "Release brings it home, and Bind goes on from where it is",
                               m.stuck[0] ? " " : "", m.stuck);
        check_add(t, target_named(t)->address, "moving", left && !taken ? "warning" : "error", !left,
                  sentence);
        return taken;
}

void request_plan(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        const Request *q = request;

        if (target_open(root, &q->devices[0], TARGET_READ, result, &t) < 0)
                return;
        t->planning = true;
        t->persistent = q->persistent;
        result->plan.set = t->movers;

        check_add_set(t);
        if (is_moving(t))
                return;
        for (const MoveCheck *c = move_bind_checks; c->name; c++)
                if (check_ask(t, c) > 0)
                        return;
        if (check_add_critical(t, q->consent) >= 0 && !result->refused)
                (void)steps_bind(t);
}
