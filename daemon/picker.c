/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "picker.h"

typedef struct Member {
        uint32_t set, device; /* the caller's numbers */
} Member;

typedef struct SetState {
        bool taken;    /* by this pick */
        bool withheld; /* a member is not free */
} SetState;

typedef struct Wanted { /* one group, whoever of the demands wants it */
        uint32_t group;
        uint32_t available, promised; /* devices */
} Wanted;

typedef struct Candidate {
        uint32_t device;
        uint32_t set;    /* which state is its set's */
        uint32_t wanted; /* which group */
        bool picked;
} Candidate;

typedef struct Pick {
        const PickDevice *devices;
        size_t n_devices;
        const PickDemand *demands;
        size_t n_demands;
        int32_t node;

        uint32_t *set_of; /* of each device, counted from 0: the caller's numbers may be anything */
        SetState *sets;
        Candidate *candidates; /* what may be had and is wanted, by address */
        size_t n_candidates;
        Wanted wanted[PICK_CLAIMS_MAX];
        uint32_t wanted_of[PICK_CLAIMS_MAX]; /* of each demand */
        size_t n_wanted;
} Pick;

static void pick_clear(Pick *p) {
        free(p->set_of);
        free(p->sets);
        free(p->candidates);
}

static int member_compare(const void *a, const void *b) {
        const Member *x = a, *y = b;

        return x->set < y->set ? -1 : x->set > y->set;
}

static int find_sets(Pick *p) {
        _cleanup_free_ Member *members = calloc(p->n_devices + 1, sizeof *members);
        uint32_t set = 0;

        p->set_of = calloc(p->n_devices + 1, sizeof *p->set_of);
        p->sets = calloc(p->n_devices + 1, sizeof *p->sets);
        if (!members || !p->set_of || !p->sets)
                return -ENOMEM;

        for (size_t i = 0; i < p->n_devices; i++)
                members[i] = (Member){p->devices[i].set, (uint32_t)i};
        qsort(members, p->n_devices, sizeof *members, member_compare);
        for (size_t i = 0; i < p->n_devices; i++) {
                if (i > 0 && members[i].set != members[i - 1].set)
                        set++;
                p->set_of[members[i].device] = set;
                if (!p->devices[members[i].device].free)
                        p->sets[set].withheld = true;
        }
        return 0;
}

/* n_wanted when nobody wants this group. */
static uint32_t find_wanted(const Pick *p, uint32_t group) {
        uint32_t i = 0;

        while (i < p->n_wanted && p->wanted[i].group != group)
                i++;
        return i;
}

static int find_wants(Pick *p) {
        uint64_t devices = 0;

        if (p->n_demands > PICK_CLAIMS_MAX)
                return -E2BIG;

        for (size_t i = 0; i < p->n_demands; i++) {
                const PickDemand *d = &p->demands[i];
                uint32_t w = find_wanted(p, d->group);

                assert(d->count > 0);
                devices += d->count;
                if (devices > PICK_DEVICES_MAX)
                        return -E2BIG;

                if (w == p->n_wanted)
                        p->wanted[p->n_wanted++].group = d->group;
                p->wanted_of[i] = w;
        }
        return 0;
}

static int find_candidates(Pick *p) {
        p->candidates = calloc(p->n_devices + 1, sizeof *p->candidates);
        if (!p->candidates)
                return -ENOMEM;

        for (size_t i = 0; i < p->n_devices; i++) {
                uint32_t w = find_wanted(p, p->devices[i].group);

                if (w == p->n_wanted || p->devices[i].group == PICK_NO_GROUP ||
                    p->sets[p->set_of[i]].withheld)
                        continue;
                p->wanted[w].available++;
                p->candidates[p->n_candidates++] =
                                (Candidate){.device = (uint32_t)i, .set = p->set_of[i], .wanted = w};
        }
        return 0;
}

/* A device is of one group, and claims of a VM may share sets: so all can be served just if each group has enough. */
static int serve(Pick *p, PickResult *result) {
        for (size_t i = 0; i < p->n_demands; i++) {
                Wanted *w = &p->wanted[p->wanted_of[i]];

                if (p->demands[i].optional)
                        continue;
                if (w->available - w->promised < p->demands[i].count) {
                        *result = (PickResult){.short_of = i, .available = w->available - w->promised};
                        return -EAGAIN;
                }
                w->promised += p->demands[i].count;
                result->served[i] = true;
        }

        for (size_t i = 0; i < p->n_demands; i++) {
                Wanted *w = &p->wanted[p->wanted_of[i]];

                if (!p->demands[i].optional || w->available - w->promised < p->demands[i].count)
                        continue;
                w->promised += p->demands[i].count;
                result->served[i] = true;
        }
        return 0;
}

typedef struct Place { /* where a candidate sits */
        int32_t node;
        uint32_t wanted;
} Place;

static int place_compare(const void *a, const void *b) {
        const Place *x = a, *y = b;

        if (x->node != y->node)
                return x->node < y->node ? -1 : 1;
        return x->wanted < y->wanted ? -1 : x->wanted > y->wanted;
}

/* The node that can give most; the lowest of those that can give as many; -1 when no candidate has a node. */
static int choose_node(Pick *p) {
        _cleanup_free_ Place *places = calloc(p->n_candidates + 1, sizeof *places);
        uint32_t of_group = 0, of_node = 0, most = 0;

        if (!places)
                return -ENOMEM;

        for (size_t i = 0; i < p->n_candidates; i++)
                places[i] = (Place){p->devices[p->candidates[i].device].numa_node, p->candidates[i].wanted};
        qsort(places, p->n_candidates, sizeof *places, place_compare);

        for (size_t i = 0; i < p->n_candidates; i++) {
                bool new_node = i == 0 || places[i].node != places[i - 1].node;

                if (new_node)
                        of_node = 0;
                if (new_node || places[i].wanted != places[i - 1].wanted)
                        of_group = 0;
                if (places[i].node < 0 || ++of_group > p->wanted[places[i].wanted].promised)
                        continue;
                if (++of_node > most) {
                        most = of_node;
                        p->node = places[i].node;
                }
        }
        return 0;
}

/* Not about addresses: the candidates are in their order, and the first stays. */
static bool is_better(const Pick *p, const Candidate *a, const Candidate *b) {
        const PickDevice *x = &p->devices[a->device], *y = &p->devices[b->device];
        bool a_idles = p->sets[a->set].taken, b_idles = p->sets[b->set].taken;
        bool a_near = x->numa_node == p->node, b_near = y->numa_node == p->node;

        if (a_idles != b_idles)
                return a_idles;
        if (a_near != b_near)
                return a_near;
        return x->last_used < y->last_used;
}

static uint32_t take_best(Pick *p, uint32_t wanted) {
        Candidate *best = NULL;

        for (size_t i = 0; i < p->n_candidates; i++) {
                Candidate *c = &p->candidates[i];

                if (c->wanted == wanted && !c->picked && (!best || is_better(p, c, best)))
                        best = c;
        }

        assert(best); /* serve() has counted them */
        best->picked = true;
        p->sets[best->set].taken = true;
        return best->device;
}

/* Those that must be served choose first: an optional one does not cost them the better device either. */
static void take_all(Pick *p, bool optional, PickResult *result) {
        size_t at = 0;

        for (size_t i = 0; i < p->n_demands; i++) {
                if (!result->served[i])
                        continue;
                for (uint32_t k = 0; k < p->demands[i].count; k++, at++)
                        if (p->demands[i].optional == optional) {
                                result->picked[at].demand = (uint32_t)i;
                                result->picked[at].device = take_best(p, p->wanted_of[i]);
                        }
        }
        result->n = at;
}

int picker_pick(const PickDevice *devices, size_t n_devices, const PickDemand *demands, size_t n_demands,
                int32_t numa_node, PickResult *ret) {
        _cleanup_(pick_clear) Pick p = {
                        .devices = devices,
                        .n_devices = n_devices,
                        .demands = demands,
                        .n_demands = n_demands,
                        .node = numa_node,
        };
        int r;

        assert(devices || n_devices == 0);
        assert(n_devices < UINT32_MAX);
        assert(demands || n_demands == 0);
        assert(ret);

        *ret = (PickResult){0};
        r = find_wants(&p);
        if (r >= 0)
                r = find_sets(&p);
        if (r >= 0)
                r = find_candidates(&p);
        if (r >= 0)
                r = serve(&p, ret);
        if (r >= 0 && numa_node < 0)
                r = choose_node(&p);
        if (r < 0)
                return r;

        take_all(&p, false, ret);
        take_all(&p, true, ret);
        return 0;
}
