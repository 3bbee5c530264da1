/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "move-table.h"

static bool same_move(const Move *a, const Move *b) {
        return a->verb == b->verb && iommu_set_same_members(&a->set, &b->set) && streq(a->stuck, b->stuck);
}

static const MoveEntry *find_number(const MoveTable *t, unsigned number) {
        for (size_t i = 0; i < t->n; i++)
                if (t->entries[i].move.set.number == number)
                        return &t->entries[i];
        return NULL;
}

/* It has not failed, so it need not wait. */
static void end_busy(MoveEntry *e) {
        if (e->busy)
                e->failures = 0;
        e->busy = false;
}

static MoveEntry take_move(const MoveTable *t, const Move *move) {
        const MoveEntry *old = find_number(t, move->set.number);
        MoveEntry e;

        if (!old)
                return (MoveEntry){.move = *move, .wanted = true};

        e = *old;
        if (!same_move(&old->move, move)) {
                e.move = *move;
                end_busy(&e);
                e.answer[0] = '\0';
                e.told = 0;
                /* "It is stuck" is no news to act on: only the device can tell that it has come back. */
                e.wanted = e.wanted || !move->stuck[0];
        }
        return e;
}

int move_table_replace(MoveTable *t, const Move *moves, size_t n) {
        MoveEntry *entries = NULL;

        assert(t);
        assert(moves || n == 0);

        if (n > 0) {
                entries = calloc(n, sizeof *entries);
                if (!entries)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++)
                entries[i] = take_move(t, &moves[i]);

        free(t->entries);
        *t = (MoveTable){entries, n};
        return 0;
}

void move_table_clear(MoveTable *t) {
        assert(t);

        free(t->entries);
        *t = (MoveTable){0};
}

MoveEntry *move_table_find(const MoveTable *t, const PciAddress *a) {
        assert(t);
        assert(a);

        for (size_t i = 0; i < t->n; i++)
                if (iommu_set_contains(&t->entries[i].move.set, a))
                        return &t->entries[i];
        return NULL;
}

void move_table_nudge(MoveTable *t, const PciAddress *a) {
        MoveEntry *e;

        assert(t);
        assert(a);

        /* More than one: the kernel gives numbers of sets anew, and an old entry may name the device too. */
        for (size_t i = 0; i < t->n; i++) {
                e = &t->entries[i];
                if (iommu_set_contains(&e->move.set, a))
                        e->wanted = true;
        }
}

void move_table_unblock(MoveTable *t) {
        assert(t);

        for (size_t i = 0; i < t->n; i++)
                if (t->entries[i].busy) {
                        end_busy(&t->entries[i]);
                        t->entries[i].wanted = true;
                }
}
