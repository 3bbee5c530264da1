/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * No device is ever given to two VMs, and none is lost: a small model of claims at work, with the real picker, is led
 * through a million random operations, and what must hold is looked at after each. The model has what the product has:
 * a kernel (who sits where, who has access to which IOMMU set), a store, which survives a crash of the daemon, and the
 * daemon's memory, which does not.
 *
 * A checker that sees nothing proves nothing. So the same operations are done once more with each of a number of faults
 * built in, and each must be found.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "picker.h"

#define N_PLACES 14U
#define N_SETS 8U
#define N_GROUPS 3U
#define N_VMS 6U
#define CLAIMS_OF_VM 3U

#define DRAIN_EVERY 5000U /* steps from one end of everything to the next */
#define FAULT_STEPS 200000U
#if defined(__SANITIZE_ADDRESS__)
#define N_STEPS 100000U
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define N_STEPS 100000U
#endif
#endif
#ifndef N_STEPS
#define N_STEPS 1200000U
#endif

typedef enum Fault {
        FAULT_SPLIT_SETS,       /* the picker looks at devices, not at sets */
        FAULT_PICK_TAKEN,       /* what a run has counts as free */
        FAULT_PICK_PART,        /* the picker gives less than was wanted */
        FAULT_PICK_TWICE,       /* and the same device once more */
        FAULT_SET_BY_PRESENT,   /* a set is free once the member that a run names has been pulled out */
        FAULT_OTHER_IDENTITY,   /* a stranger at a claimed address is the VM's */
        FAULT_EARLY_FREE,       /* a run forgets its devices before their access is gone */
        FAULT_UNSTORED_START,   /* access is given before the run is stored */
        FAULT_CRASH_KEEPS,      /* a start that a crash has interrupted stays as it is */
        FAULT_FAILED_START,     /* a start that fails leaves its run */
        FAULT_NO_QUARANTINE,    /* a device that could not be reset is free */
        FAULT_QUARANTINE_LATE,  /* quarantine is stored after the run has lost the device */
        FAULT_LAST_COME,        /* the queue is served from its end */
        FAULT_OVERTAKE,         /* a newcomer does not look at the queue */
        FAULT_FORGOTTEN_WAITER, /* nobody looks at the queue when devices come free */
        FAULT_MAX,
        FAULT_NONE = FAULT_MAX,
} Fault;

typedef struct RunPart {
        uint32_t place, identity, set;
} RunPart;

typedef struct ModelRun {
        bool used, starting, ending;
        size_t n;
        RunPart parts[PICK_DEVICES_MAX];
} ModelRun;

typedef struct Wishes {
        PickDemand demands[CLAIMS_OF_VM];
        size_t n;
} Wishes;

typedef struct World {
        Fault fault;
        const char *wrong; /* the first thing that must not be */

        /* the kernel */
        struct {
                uint32_t group, set;
                int32_t node;
                uint32_t identity; /* 0: nobody is there */
                uint32_t last;     /* who was there last */
                uint64_t last_used;
                bool unspared; /* the host needs it */
        } places[N_PLACES];
        uint32_t access[N_SETS]; /* bits of VMs */
        bool unclean[N_PLACES];  /* left a VM without a reset */
        uint32_t identities, time;

        /* the store */
        ModelRun stored[N_VMS];
        uint32_t quarantined[N_PLACES]; /* identities */

        /* the daemon */
        ModelRun runs[N_VMS];
        uint32_t queue[N_VMS]; /* VMs, the first come first */
        size_t n_queue;
        Wishes wishes[N_VMS];

        uint64_t came[N_VMS]; /* when each began to wait, for the checker */
        unsigned n_started, n_waited, n_quarantined, n_crashed, n_missing;
        uint64_t seed;
} World;

/* xorshift64* (Vigna); [0, limit) */
static uint32_t draw(World *w, uint32_t limit) {
        w->seed ^= w->seed >> 12;
        w->seed ^= w->seed << 25;
        w->seed ^= w->seed >> 27;
        return (uint32_t)((w->seed * 0x2545f4914f6cdd1dULL >> 32) % limit);
}

static void found(World *w, const char *what) {
        if (!w->wrong)
                w->wrong = what;
}

static void world_init(World *w, Fault fault, uint64_t seed) {
        *w = (World){.fault = fault, .seed = seed};
        for (uint32_t i = 0; i < N_PLACES; i++) {
                w->places[i].group = draw(w, 8) == 0 ? PICK_NO_GROUP : draw(w, N_GROUPS);
                w->places[i].set = i < N_SETS ? i : draw(w, N_SETS);
                w->places[i].node = (int32_t)draw(w, 3) - 1;
                w->places[i].identity = w->places[i].last = ++w->identities;
        }
}

/* what the daemon knows */

static bool run_has_set(const ModelRun *r, uint32_t set) {
        for (size_t i = 0; i < r->n; i++)
                if (r->parts[i].set == set)
                        return true;
        return false;
}

static const RunPart *run_part_at(const ModelRun *r, uint32_t place) {
        for (size_t i = 0; i < r->n; i++)
                if (r->parts[i].place == place)
                        return &r->parts[i];
        return NULL;
}

static bool is_there(const World *w, const RunPart *p) {
        return w->places[p->place].identity == p->identity;
}

static bool is_claimed(const World *w, const ModelRun *runs, uint32_t place) {
        for (size_t vm = 0; vm < N_VMS; vm++)
                for (size_t i = 0; i < runs[vm].n; i++)
                        if (runs[vm].parts[i].set == w->places[place].set &&
                            (w->fault != FAULT_SET_BY_PRESENT || is_there(w, &runs[vm].parts[i])))
                                return true;
        return false;
}

static bool is_free(const World *w, uint32_t place) {
        return w->places[place].identity != 0 && !w->places[place].unspared &&
               w->quarantined[place] != w->places[place].identity && !is_claimed(w, w->runs, place);
}

static size_t make_table(const World *w, PickDevice *table, uint32_t *places) {
        size_t n = 0;

        for (uint32_t i = 0; i < N_PLACES; i++)
                if (w->places[i].identity != 0) {
                        places[n] = i;
                        table[n++] = (PickDevice){.group = w->places[i].group,
                                                  .set = w->places[i].set,
                                                  .numa_node = w->places[i].node,
                                                  .last_used = w->places[i].last_used,
                                                  .free = is_free(w, i)};
                }
        return n;
}

/* What a picker sees that looks at devices alone, or at what is there alone. */
static void blind(const World *w, PickDevice *table, size_t n, const uint32_t *places) {
        for (size_t i = 0; i < n; i++) {
                if (w->fault == FAULT_SPLIT_SETS)
                        table[i].set = places[i];
                table[i].free = !w->places[places[i]].unspared;
                for (size_t vm = 0; vm < N_VMS && w->fault == FAULT_SPLIT_SETS; vm++)
                        if (run_part_at(&w->runs[vm], places[i]))
                                table[i].free = false;
        }
}

static int pick(World *w, const Wishes *wishes, PickResult *ret, uint32_t *places) {
        PickDevice table[N_PLACES];
        size_t n = make_table(w, table, places);
        int r;

        if (w->fault == FAULT_SPLIT_SETS || w->fault == FAULT_PICK_TAKEN)
                blind(w, table, n, places);
        r = picker_pick(table, n, wishes->demands, wishes->n, (int32_t)draw(w, 4) - 1, ret);
        if (r >= 0 && w->fault == FAULT_PICK_PART && ret->n > 1)
                ret->n--;
        if (r >= 0 && w->fault == FAULT_PICK_TWICE && ret->n > 1)
                ret->picked[1].device = ret->picked[0].device;
        return r;
}

static void save(World *w, uint32_t vm) {
        w->stored[vm] = w->runs[vm];
}

/* what the kernel does */

static bool set_is_present(const World *w, uint32_t set) {
        for (uint32_t i = 0; i < N_PLACES; i++)
                if (w->places[i].set == set && w->places[i].identity != 0)
                        return true;
        return false;
}

static void open_set(World *w, uint32_t vm, uint32_t set) {
        if (w->access[set] & ~(1U << vm))
                found(w, "access to a set that another VM has");
        for (uint32_t i = 0; i < N_PLACES; i++)
                if (w->places[i].set == set && w->places[i].identity != 0) {
                        if (w->unclean[i])
                                found(w, "a device went from one VM to the next without a reset");
                        w->places[i].last_used = ++w->time;
                }
        w->access[set] |= 1U << vm;
}

/* beginning */

/* The whole count of each that is served, each that must be, no device twice. */
static void check_pick(World *w, const Wishes *wishes, const PickResult *p) {
        uint32_t got[CLAIMS_OF_VM] = {0};
        uint64_t seen = 0;

        for (size_t i = 0; i < p->n; i++) {
                got[p->picked[i].demand]++;
                if (seen & 1ULL << p->picked[i].device)
                        found(w, "a device was picked twice");
                seen |= 1ULL << p->picked[i].device;
        }
        for (size_t i = 0; i < wishes->n; i++)
                if (got[i] != (p->served[i] ? wishes->demands[i].count : 0) ||
                    (!p->served[i] && !wishes->demands[i].optional))
                        found(w, "a claim got a part of its count");
}

static bool want_alike(const Wishes *a, const Wishes *b) {
        for (size_t i = 0; i < a->n; i++)
                for (size_t k = 0; k < b->n; k++)
                        if (a->demands[i].group == b->demands[k].group)
                                return true;
        return false;
}

/* Waits somebody before it who wants of the same groups? */
static bool is_behind(const World *w, uint32_t vm) {
        for (size_t i = 0; i < w->n_queue && w->queue[i] != vm; i++)
                if (want_alike(&w->wishes[w->queue[i]], &w->wishes[vm]))
                        return true;
        return false;
}

/* The same, by the time at which each came. */
static bool overtakes(const World *w, uint32_t vm) {
        for (uint32_t i = 0; i < N_VMS; i++)
                if (i != vm && w->came[i] != 0 && (w->came[vm] == 0 || w->came[i] < w->came[vm]) &&
                    want_alike(&w->wishes[i], &w->wishes[vm]))
                        return true;
        return false;
}

/* Stores a run before anything moves; false: there is not enough. */
static bool begin(World *w, uint32_t vm) {
        ModelRun *r = &w->runs[vm];
        uint32_t places[N_PLACES];
        PickResult p;

        if (pick(w, &w->wishes[vm], &p, places) < 0)
                return false;

        check_pick(w, &w->wishes[vm], &p);
        if (overtakes(w, vm))
                found(w, "somebody who came later was served first");
        *r = (ModelRun){.used = true, .starting = true, .n = p.n};
        for (size_t i = 0; i < p.n; i++) {
                uint32_t place = places[p.picked[i].device];

                r->parts[i] = (RunPart){place, w->places[place].identity, w->places[place].set};
        }
        if (w->fault != FAULT_UNSTORED_START)
                save(w, vm);
        w->came[vm] = 0;
        w->n_started++;
        return true;
}

static void leave_queue(World *w, uint32_t vm) {
        size_t at = 0;

        while (at < w->n_queue && w->queue[at] != vm)
                at++;
        if (at == w->n_queue)
                return;
        memmove(&w->queue[at], &w->queue[at + 1], (w->n_queue - at - 1) * sizeof w->queue[0]);
        w->n_queue--;
}

static void serve_queue(World *w) {
        bool again = w->fault != FAULT_FORGOTTEN_WAITER;

        while (again) {
                again = false;
                for (size_t i = 0; i < w->n_queue && !again; i++) {
                        uint32_t vm = w->queue[w->fault == FAULT_LAST_COME ? w->n_queue - 1 - i : i];

                        again = (w->fault == FAULT_LAST_COME || !is_behind(w, vm)) && begin(w, vm);
                        if (again)
                                leave_queue(w, vm);
                }
        }
}

static void op_start(World *w, uint32_t vm) {
        Wishes *wishes = &w->wishes[vm];

        if (w->runs[vm].used || w->came[vm] != 0)
                return;

        wishes->n = 1 + draw(w, 1 + draw(w, CLAIMS_OF_VM));
        for (size_t i = 0; i < wishes->n; i++)
                wishes->demands[i] = (PickDemand){draw(w, N_GROUPS), 1 + (draw(w, 3) == 0), draw(w, 4) == 0};
        if ((w->fault == FAULT_OVERTAKE || !is_behind(w, vm)) && begin(w, vm))
                return;
        if (draw(w, 2) == 0) {
                w->queue[w->n_queue++] = vm;
                w->came[vm] = ++w->time;
                w->n_waited++;
        }
}

/* the way back */

static void crash(World *w);

static void quarantine(World *w, uint32_t place) {
        if (w->fault == FAULT_NO_QUARANTINE)
                return;
        w->quarantined[place] = w->places[place].identity;
        w->n_quarantined++;
}

/* Close of one set: access goes, then what can be reset is; what cannot is put away, by what is returned. */
static uint32_t close_set(World *w, uint32_t vm, uint32_t set) {
        uint32_t failed = 0;

        if (!(w->access[set] & 1U << vm))
                return 0;
        w->access[set] &= ~(1U << vm);
        for (uint32_t i = 0; i < N_PLACES; i++)
                if (w->places[i].set == set && w->places[i].identity != 0) {
                        w->unclean[i] = draw(w, 16) == 0;
                        failed |= (uint32_t)w->unclean[i] << i;
                }
        return failed;
}

static void put_away(World *w, uint32_t places) {
        for (uint32_t i = 0; i < N_PLACES; i++)
                if (places & 1U << i)
                        quarantine(w, i);
}

static void forget_set(World *w, uint32_t vm, uint32_t set) {
        ModelRun *r = &w->runs[vm];
        size_t n = 0;

        for (size_t i = 0; i < r->n; i++)
                if (r->parts[i].set != set)
                        r->parts[n++] = r->parts[i];
        r->n = n;
        r->used = n > 0;
        save(w, vm);
}

/* One set of a run that ends; a run without devices has ended. */
static void go_back(World *w, uint32_t vm) {
        ModelRun *r = &w->runs[vm];
        uint32_t set, failed;

        if (r->n == 0) {
                *r = (ModelRun){0};
                save(w, vm);
                return;
        }
        if (draw(w, 4) == 0)
                return; /* InUse: later again */

        set = r->parts[0].set;
        if (w->fault == FAULT_EARLY_FREE && draw(w, 2) == 0) {
                forget_set(w, vm, set);
                return;
        }
        failed = close_set(w, vm, set);
        if (w->fault != FAULT_QUARANTINE_LATE)
                put_away(w, failed);
        if (draw(w, 8) == 0 && w->fault != FAULT_QUARANTINE_LATE) {
                crash(w);
                return;
        }
        forget_set(w, vm, set);
        if (w->fault == FAULT_QUARANTINE_LATE && draw(w, 8) == 0)
                crash(w);
        else if (w->fault == FAULT_QUARANTINE_LATE)
                put_away(w, failed);
}

static void end(World *w, uint32_t vm) {
        w->runs[vm].ending = true;
        save(w, vm);
}

static void fail_start(World *w, uint32_t vm) {
        if (w->fault == FAULT_FAILED_START)
                w->runs[vm].starting = false; /* and is forgotten */
        else
                end(w, vm);
}

/* The next step of a start: one set, or the answer. */
static void go_on(World *w, uint32_t vm) {
        ModelRun *r = &w->runs[vm];

        for (size_t i = 0; i < r->n; i++) {
                if (!is_there(w, &r->parts[i]) || draw(w, 16) == 0) {
                        fail_start(w, vm);
                        return;
                }
                if (!(w->access[r->parts[i].set] & 1U << vm)) {
                        open_set(w, vm, r->parts[i].set);
                        return;
                }
        }
        r->starting = false;
        save(w, vm);
}

static void op_advance(World *w, uint32_t vm) {
        ModelRun *r = &w->runs[vm];

        if (r->used && r->ending)
                go_back(w, vm);
        else if (r->used && r->starting)
                go_on(w, vm);
}

/* A start that is stopped is undone, a wait is cancelled. */
static void op_stop(World *w, uint32_t vm) {
        if (w->came[vm] != 0) {
                leave_queue(w, vm);
                w->came[vm] = 0;
        }
        if (w->runs[vm].used && w->fault == FAULT_FAILED_START && w->runs[vm].starting)
                fail_start(w, vm);
        else if (w->runs[vm].used)
                end(w, vm);
}

/* misfortune */

/* Memory goes, and whoever waited with it; then what the store has is taken up. */
static void crash(World *w) {
        w->n_queue = 0;
        memset(w->came, 0, sizeof w->came);
        memcpy(w->runs, w->stored, sizeof w->runs);
        w->n_crashed++;

        for (uint32_t vm = 0; vm < N_VMS; vm++)
                if (w->runs[vm].used && w->runs[vm].starting) {
                        if (w->fault == FAULT_CRASH_KEEPS)
                                w->runs[vm].starting = false;
                        else
                                w->runs[vm].ending = true;
                        save(w, vm);
                }
}

static void op_unplug(World *w, uint32_t place) {
        if (w->places[place].identity == 0)
                return;
        w->n_missing += is_claimed(w, w->runs, place);
        w->places[place].identity = 0;
        w->unclean[place] = false; /* without power it forgets, too; its quarantine lasts */
        if (!set_is_present(w, w->places[place].set))
                w->access[w->places[place].set] = 0; /* its node is gone */
}

static void op_come_back(World *w, uint32_t place) {
        bool other = draw(w, 3) == 0;

        if (w->places[place].identity != 0)
                return;
        if (other)
                w->places[place].last = ++w->identities;
        w->places[place].identity = w->places[place].last;

        /* The VM whose device it is takes it up again. */
        for (uint32_t vm = 0; vm < N_VMS; vm++) {
                const RunPart *p = run_part_at(&w->runs[vm], place);

                if (p && !w->runs[vm].starting && !w->runs[vm].ending &&
                    (is_there(w, p) || w->fault == FAULT_OTHER_IDENTITY))
                        open_set(w, vm, p->set);
        }
}

/* the checker; it asks the kernel and the store, not the daemon */

static bool has_reason_for(const World *w, uint32_t vm, uint32_t set) {
        return w->stored[vm].used && run_has_set(&w->stored[vm], set);
}

/* Is there a device of this run's in the set, itself and nobody in its place? */
static bool has_own_in(const World *w, uint32_t vm, uint32_t set) {
        for (size_t i = 0; i < w->stored[vm].n; i++)
                if (w->stored[vm].parts[i].set == set && is_there(w, &w->stored[vm].parts[i]))
                        return true;
        return false;
}

static void check_sets(World *w) {
        for (uint32_t set = 0; set < N_SETS; set++) {
                uint32_t owners = 0, strangers = 0, members = 0;

                if (w->access[set] & (w->access[set] - 1))
                        found(w, "two VMs have access to a set");
                for (uint32_t vm = 0; vm < N_VMS; vm++) {
                        bool reason = has_reason_for(w, vm, set);

                        owners += reason;
                        if (w->access[set] & 1U << vm && !reason)
                                found(w, "a VM has access to a set that no stored run of it names");
                        if (reason && !w->stored[vm].starting && !w->stored[vm].ending &&
                            has_own_in(w, vm, set) && !(w->access[set] & 1U << vm))
                                found(w, "a running VM has no access to its device");
                        if (w->access[set] & 1U << vm && !has_own_in(w, vm, set))
                                strangers++;
                }
                for (uint32_t i = 0; i < N_PLACES; i++)
                        members += w->places[i].set == set;
                if (owners > 1)
                        found(w, "two runs share a set");
                if (strangers > 0 && members == 1)
                        found(w, "a VM has access to a stranger in its device's place");
        }
}

static void check_runs(World *w) {
        uint32_t seen = 0;

        for (uint32_t vm = 0; vm < N_VMS; vm++) {
                const ModelRun *m = &w->runs[vm], *s = &w->stored[vm];

                if (m->used != s->used || (m->used && (m->n != s->n || m->starting != s->starting)))
                        found(w, "the daemon and its store are not of one opinion");
                for (size_t i = 0; i < s->n && s->used; i++) {
                        if (seen & 1U << s->parts[i].place)
                                found(w, "a device is in two runs");
                        seen |= 1U << s->parts[i].place;
                }
                if (w->came[vm] != 0 && s->used)
                        found(w, "a VM waits and runs");
        }
}

/* Every device is missing, kept by the host, quarantined, a run's (claimed or on its way back), or can be picked. */
static void check_leaks(World *w) {
        PickDevice table[N_PLACES];
        uint32_t places[N_PLACES], nowhere = 0;
        size_t n = make_table(w, table, places);

        for (uint32_t i = 0; i < N_PLACES; i++) {
                uint32_t owners = 0;

                for (uint32_t vm = 0; vm < N_VMS; vm++)
                        owners += has_reason_for(w, vm, w->places[i].set);
                nowhere |= (uint32_t)(owners == 0 && w->places[i].identity != 0 && !w->places[i].unspared &&
                                      w->quarantined[i] != w->places[i].identity)
                           << i;
        }
        for (size_t i = 0; i < n; i++)
                if (table[i].free != !!(nowhere & 1U << places[i]))
                        found(w, table[i].free ? "a device that is somebody's can be picked"
                                               : "a device is nobody's, and cannot be picked");
}

/* Nobody waits who could be served. */
static void check_queue(World *w) {
        uint32_t places[N_PLACES];
        PickResult p;

        for (size_t i = 0; i < w->n_queue; i++) {
                if (i > 0 && w->came[w->queue[i - 1]] >= w->came[w->queue[i]])
                        found(w, "the queue is not in order");
                if (!overtakes(w, w->queue[i]) && pick(w, &w->wishes[w->queue[i]], &p, places) >= 0)
                        found(w, "somebody waits who could be served");
        }
}

/* everything */

static void check(World *w) {
        check_runs(w);
        check_sets(w);
        check_leaks(w);
        check_queue(w);
}

static void settle(World *w) {
        serve_queue(w);
        check(w);
}

static void step(World *w) {
        uint32_t vm = draw(w, N_VMS), place = draw(w, N_PLACES), what = draw(w, 100);

        if (what < 24)
                op_start(w, vm);
        else if (what < 76)
                op_advance(w, vm);
        else if (what < 86)
                op_stop(w, vm);
        else if (what < 88)
                op_unplug(w, place);
        else if (what < 94)
                op_come_back(w, place);
        else if (what < 96)
                w->places[place].unspared = !w->places[place].unspared && draw(w, 4) == 0;
        else if (what < 97)
                crash(w);
        else if (w->quarantined[place] != 0) {
                w->quarantined[place] = 0; /* its administrator has seen to it */
                w->unclean[place] = false;
        }
        settle(w);
}

/* All VMs stop, and all that is healthy is there for the next. */
static void drain(World *w) {
        for (uint32_t vm = 0; vm < N_VMS && !w->wrong; vm++) {
                op_stop(w, vm);
                for (unsigned i = 0; i < 1000 && w->runs[vm].used && !w->wrong; i++) {
                        op_advance(w, vm);
                        settle(w);
                }
        }
        /* Who waited may have started meanwhile. */
        for (uint32_t vm = 0; vm < N_VMS; vm++)
                for (unsigned i = 0; i < 1000 && (w->runs[vm].used || w->came[vm] != 0) && !w->wrong; i++) {
                        if (!w->runs[vm].ending)
                                op_stop(w, vm);
                        op_advance(w, vm);
                        settle(w);
                }
        for (uint32_t vm = 0; vm < N_VMS; vm++)
                if (w->stored[vm].used)
                        found(w, "everything was stopped, and a run is left");
        for (uint32_t set = 0; set < N_SETS; set++)
                if (w->access[set] != 0)
                        found(w, "everything was stopped, and somebody has access");
        for (uint32_t i = 0; i < N_PLACES; i++)
                if (w->places[i].identity != 0 && !w->places[i].unspared &&
                    w->quarantined[i] != w->places[i].identity && !is_free(w, i))
                        found(w, "everything was stopped, and a healthy device is not free");
}

/* The number of the step at which something was wrong; `steps`: nothing. */
static unsigned walk(World *w, unsigned steps) {
        for (unsigned i = 0; i < steps; i++) {
                step(w);
                if (i % DRAIN_EVERY == DRAIN_EVERY - 1)
                        drain(w);
                if (w->wrong)
                        return i;
        }
        return steps;
}

static void test_nothing_twice_nothing_lost(void **state) {
        unsigned n_started = 0, n_waited = 0, n_quarantined = 0, n_crashed = 0, n_missing = 0;
        static World w;

        /* Several topologies. */
        for (unsigned i = 0; i < 12; i++) {
                unsigned at;

                world_init(&w, FAULT_NONE, 0x9e3779b97f4a7c15ULL * (i + 1));
                at = walk(&w, N_STEPS / 12);
                if (w.wrong)
                        fail_msg("topology %u, step %u: %s", i, at, w.wrong);
                n_started += w.n_started;
                n_waited += w.n_waited;
                n_quarantined += w.n_quarantined;
                n_crashed += w.n_crashed;
                n_missing += w.n_missing;
        }
        print_message("# %u steps: %u starts, %u waits, %u quarantines, %u crashes, %u claimed devices "
                      "pulled\n",
                      N_STEPS, n_started, n_waited, n_quarantined, n_crashed, n_missing);
        /* Each of these does happen. */
        assert_true(n_started > N_STEPS / 100);
        assert_true(n_waited > N_STEPS / 1000);
        assert_true(n_quarantined > N_STEPS / 1000);
        assert_true(n_crashed > N_STEPS / 1000);
        assert_true(n_missing > N_STEPS / 1000);
}

static void test_faults_are_found(void **state) {
        static World w;
        unsigned at;

        for (Fault fault = 0; fault < FAULT_MAX; fault++) {
                world_init(&w, fault, 0x9e3779b97f4a7c15ULL);
                at = walk(&w, FAULT_STEPS);
                if (!w.wrong)
                        fail_msg("fault %d was not found", fault);
                print_message("# fault %d, step %u: %s\n", fault, at, w.wrong);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_faults_are_found),
                        cmocka_unit_test(test_nothing_twice_nothing_lost),
        };

        return cmocka_run_group_tests_name("claims-model", tests, NULL, NULL);
}
