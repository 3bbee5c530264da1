/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reconcile.h"

#define BACKOFF_FIRST_USEC (1000ULL * 1000)
#define BACKOFF_DOUBLINGS_MAX 6U /* about a minute */

/* Bridges never move, so one that is found was put where a member had been. */
static const Device *find_member(const ReconcileState *s, const MoveEntry *e) {
        const Device *d;

        for (size_t i = 0; i < e->move.set.n_members; i++) {
                d = device_table_find(s->devices, &e->move.set.members[i]);
                if (d && !device_is_bridge(d))
                        return d;
        }
        return NULL;
}

static bool has_operation(const ReconcileState *s, const MoveEntry *e) {
        const Device *d;

        for (size_t i = 0; i < e->move.set.n_members; i++) {
                d = device_table_find(s->devices, &e->move.set.members[i]);
                if (d && d->operating)
                        return true;
        }
        return false;
}

static uint64_t due(const MoveEntry *e) {
        unsigned doublings;

        if (e->failures == 0)
                return 0;
        doublings = e->failures - 1 < BACKOFF_DOUBLINGS_MAX ? e->failures - 1 : BACKOFF_DOUBLINGS_MAX;
        return e->tried + (BACKOFF_FIRST_USEC << doublings);
}

ReconcileStep reconcile_next(const ReconcileState *s) {
        ReconcileStep step = {.again_at = UINT64_MAX};
        const Device *d;
        MoveEntry *e;
        uint64_t at;

        assert(s);

        for (size_t i = 0; i < s->moves->n; i++) {
                e = &s->moves->entries[i];
                if (!e->wanted || e->busy || has_operation(s, e))
                        continue;
                d = find_member(s, e);
                if (!d) /* all are gone, and their overrides with them */
                        continue;

                at = due(e);
                if (at <= s->now)
                        return (ReconcileStep){e, *device_address(d), UINT64_MAX};
                if (at < step.again_at)
                        step.again_at = at;
        }
        return step;
}

void reconcile_not_tried(MoveEntry *e, uint64_t now) {
        assert(e);

        e->wanted = true;
        e->tried = now;
        e->failures++;
}

void reconcile_tried(MoveEntry *left, FailureKind kind, uint64_t now) {
        assert(left);

        /* What came in during the call was its own doing and no news. */
        left->wanted = false;
        left->busy = kind == FAILURE_BUSY;
        if (left->busy)
                return;

        left->tried = now;
        left->failures++;
        /* A helper that was killed or could not start leaves no event behind that would tell us to go on. */
        if (kind == FAILURE_HELPER)
                left->wanted = true;
}
