/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How a VM comes to its devices and gives them back: the protocol between daemon, store, helper and kernel, for two
 * VMs of two users and two devices, with crashes of the daemon and of the helper between any two steps. Each atomic
 * block is one step of its process; between two steps anything else may happen.
 *
 * What is shown, by trying everything:
 * - no device can be reached by two users at once, and none by a user whose run is not stored;
 * - a run that is stored as online has access to all of its devices;
 * - no device goes to the next VM without a reset;
 * - a start ends, a run whose VM has ended or that was stopped ends, and so does all that a crash has left.
 *
 * What is taken for granted: the store writes all or nothing. The helper does what concerns one set one after the
 * other, in the order in which it was asked, also when the asking daemon has died meanwhile. Crashes come to an end,
 * and so does a VM that has lost its access.
 *
 * ONE_SET: both devices are in one IOMMU set. ONE_VM: the other one never starts. LIVENESS: for `ends` below.
 * BUG_...: mistakes, each of which must be found; claims.py lists them.
 */

#define N 2 /* of VMs, devices, and sets */
#ifdef ONE_SET
#define SET(device) 0
#else
#define SET(device) (device)
#endif
#ifndef DAEMON_CRASHES
#define DAEMON_CRASHES 2
#endif
#ifndef HELPER_CRASHES
#define HELPER_CRASHES 1
#endif

#define BIT(i) (1 << (i))
#define IS_IN(i, bits) (((bits) >> (i)) & 1)

/* what a run is, in the store and in the daemon's memory */
#define NONE 0
#define PICKED 1 /* only in memory */
#define STARTING 2
#define ANSWERING 3 /* only in memory */
#define ONLINE 4
#define ENDING 5

/* what the helper is asked, and what it answers */
#define NOTHING 0
#define BIND 1
#define OPEN 2
#define CLOSE 3
#define RELEASE 4
#define OK 5
#define FAILED 6
#define IN_USE 7
#define NO_RESET 8

/* how far a set is, in the daemon's memory */
#define AT_HOST 0
#define BOUND 1
#define OPENED 2
#define CLOSED 3
#define NOT_RESET 4
#define BACK 5
#define GIVEN_UP 6 /* for BUG_NO_SECOND_TRY */

/* the kernel: of each set, the users who may open it and those who have it open */
byte acl[N];
byte held[N];
bool bound[N];
bool dirty[N]; /* has been a VM's since it was reset */

/* the store */
byte stored[N];      /* of each VM, its run */
byte stored_sets[N]; /* and the sets of that */
byte quarantined;    /* sets */

/* the daemon's memory */
bool up = true;
byte life[N];
byte sets[N];
byte devices[N]; /* picked; not stored here, since its sets say what matters */
byte phase[N];   /* of each set */
byte late;       /* for BUG_QUARANTINE_LATE: sets */

/* between daemon and helper: one call for each set, for which VM, and whether who asked is dead */
byte call[N];
byte who[N];
byte answer[N];
bool orphaned[N];
byte overtaken[N]; /* for BUG_OPEN_IS_OVERTAKEN: 1 + the VM for which a call of a dead daemon still waits */

bool alive[N]; /* the VM has its lifeline */
byte daemon_crashes = DAEMON_CRASHES;
byte helper_crashes = HELPER_CRASHES;

/* the daemon */

#ifdef BUG_SPLIT_SETS
#define IS_FREE(d) (!IS_IN(SET(d), quarantined) && !IS_IN(d, devices[0] | devices[1]))
#else
#define IS_FREE(d) (!IS_IN(SET(d), quarantined | sets[0] | sets[1]))
#endif
#ifdef ONE_VM
#define MAY_BEGIN(vm) (up && life[vm] == NONE && vm == 0)
#else
#define MAY_BEGIN(vm) (up && life[vm] == NONE)
#endif
#define MAY_ASK(vm, s) (up && IS_IN(s, sets[vm]) && call[s] == NOTHING)
#define IS_ANSWERED(vm, s) (up && IS_IN(s, sets[vm]) && answer[s] != NOTHING)
#define IS_OPENED(vm, s) (!IS_IN(s, sets[vm]) || phase[s] == OPENED)

inline take(vm, d) {
        devices[vm] = devices[vm] | BIT(d);
        sets[vm] = sets[vm] | BIT(SET(d));
        phase[SET(d)] = AT_HOST
}

/* Nothing moves before it is stored. */
inline store_start(vm) {
#ifndef BUG_START_NOT_STORED
        stored[vm] = STARTING;
        stored_sets[vm] = sets[vm];
#endif
        life[vm] = STARTING
}

inline store_online(vm) {
        stored[vm] = ONLINE;
        stored_sets[vm] = sets[vm];
        life[vm] = ANSWERING
}

/* Before the first Close: after a crash, half a run must not count as online. */
inline store_end(vm) {
#ifndef BUG_END_NOT_STORED
        stored[vm] = ENDING;
#endif
        life[vm] = ENDING
}

/* The set is back: the run has it no more, and a run without sets is none. */
inline store_return(vm, s) {
        sets[vm] = sets[vm] & ~BIT(s);
        stored_sets[vm] = sets[vm];
        if
        :: sets[vm] == 0 ->
                life[vm] = NONE;
                stored[vm] = NONE;
                devices[vm] = 0
        :: else
        fi
}

inline put_away(s) {
#ifdef BUG_QUARANTINE_LATE
        late = late | BIT(s);
#else
        quarantined = quarantined | BIT(s);
#endif
        phase[s] = CLOSED
}

inline ask(vm, s, verb) {
        call[s] = verb;
        who[s] = vm;
        orphaned[s] = false
}

inline hear_start(vm, s) {
        if
        :: answer[s] == OK -> phase[s] = phase[s] + 1
        :: else -> store_end(vm)
        fi;
        call[s] = NOTHING;
        answer[s] = NOTHING
}

/* An answer to Bind or Open that comes only now says nothing, and what failed is asked again. */
inline hear_end(vm, s) {
        if
        :: call[s] == CLOSE && answer[s] == OK -> phase[s] = CLOSED
        :: call[s] == CLOSE && answer[s] == NO_RESET -> phase[s] = NOT_RESET
#ifdef BUG_IN_USE_IS_DONE
        :: call[s] == CLOSE && answer[s] == IN_USE -> phase[s] = CLOSED
#endif
#ifdef BUG_NO_SECOND_TRY
        :: call[s] == CLOSE && answer[s] == FAILED -> phase[s] = GIVEN_UP
#endif
        :: call[s] == RELEASE && answer[s] == OK -> phase[s] = BACK
        :: else
        fi;
        call[s] = NOTHING;
        answer[s] = NOTHING
}

/* One of the sets belongs to a persistent group, and stays on vfio-pci. */
#define IS_PERSISTENT(s) ((s) == 0)

/* What the daemon does for one VM and, of that, for one set. */
#define SET_STEPS(vm, s) \
        :: atomic { life[vm] == STARTING && MAY_ASK(vm, s) && phase[s] == AT_HOST -> ask(vm, s, BIND) } \
        :: atomic { life[vm] == STARTING && MAY_ASK(vm, s) && phase[s] == BOUND -> ask(vm, s, OPEN) } \
        :: atomic { life[vm] == STARTING && IS_ANSWERED(vm, s) -> hear_start(vm, s) } \
        :: atomic { life[vm] == ENDING && MAY_ASK(vm, s) && phase[s] <= OPENED -> ask(vm, s, CLOSE) } \
        :: atomic { life[vm] == ENDING && MAY_ASK(vm, s) && phase[s] == NOT_RESET -> put_away(s) } \
        :: atomic { life[vm] == ENDING && MAY_ASK(vm, s) && phase[s] == CLOSED && !IS_PERSISTENT(s) -> \
                ask(vm, s, RELEASE) } \
        :: atomic { life[vm] == ENDING && MAY_ASK(vm, s) && phase[s] == CLOSED && IS_PERSISTENT(s) -> \
                store_return(vm, s) } \
        :: atomic { life[vm] == ENDING && MAY_ASK(vm, s) && phase[s] == BACK -> store_return(vm, s) } \
        :: atomic { life[vm] == ENDING && IS_ANSWERED(vm, s) -> hear_end(vm, s) }

/* Processes are numbered as they stand here: Run, Crash, Administrator, Helper, User. */
active [N] proctype Run() {
        byte vm = _pid;

        do
        :: atomic { MAY_BEGIN(vm) && IS_FREE(0) -> take(vm, 0); life[vm] = PICKED }
        :: atomic { MAY_BEGIN(vm) && IS_FREE(1) -> take(vm, 1); life[vm] = PICKED }
        :: atomic { MAY_BEGIN(vm) && IS_FREE(0) && IS_FREE(1) ->
                take(vm, 0);
                take(vm, 1);
                life[vm] = PICKED
        }
        :: atomic { up && life[vm] == PICKED -> store_start(vm) }
        :: atomic { up && life[vm] == STARTING && IS_OPENED(vm, 0) && IS_OPENED(vm, 1) -> store_online(vm) }
        :: atomic { up && life[vm] == ANSWERING -> alive[vm] = true; life[vm] = ONLINE }
        :: atomic { up && life[vm] == ONLINE && !alive[vm] -> store_end(vm) }
        :: atomic { up && (life[vm] == STARTING || life[vm] == ONLINE) -> store_end(vm) } /* StopVm */
        :: atomic { up && late != 0 -> quarantined = quarantined | late; late = 0 }
        SET_STEPS(vm, 0)
        SET_STEPS(vm, 1)
        od
}

/* Memory is lost, the helper goes on with what it was asked. */
inline forget(i) {
        life[i] = NONE;
        sets[i] = 0;
        devices[i] = 0;
        phase[i] = AT_HOST;
        if
        :: answer[i] != NOTHING ->
                call[i] = NOTHING;
                answer[i] = NOTHING
#ifdef BUG_OPEN_IS_OVERTAKEN
        :: call[i] == OPEN && answer[i] == NOTHING ->
                overtaken[i] = 1 + who[i];
                call[i] = NOTHING
#endif
        :: else -> orphaned[i] = call[i] != NOTHING
        fi
}

inline remember(vm) {
        sets[vm] = stored_sets[vm];
        devices[vm] = stored_sets[vm];
        if
        :: stored[vm] == STARTING ->
#ifdef BUG_CRASH_FORGETS_STARTS
                sets[vm] = 0;
                devices[vm] = 0
#else
                store_end(vm)
#endif
        :: else -> life[vm] = stored[vm]
        fi
}

active proctype Crash() {
        do
        :: atomic { up && daemon_crashes > 0 -> daemon_crashes--; up = false; late = 0; forget(0); forget(1) }
        :: atomic { !up -> up = true; remember(0); remember(1) }
        od
}

/* EndQuarantine: somebody has seen to what could not be reset. */
inline end_quarantine(s) {
        quarantined = quarantined & ~BIT(s);
        dirty[s] = false
}

active proctype Administrator() {
        do
        :: atomic { up && IS_IN(0, quarantined) -> end_quarantine(0) }
        :: atomic { up && IS_IN(1, quarantined) -> end_quarantine(1) }
        od
}

/* the helper: a worker for each set */

inline reply(s, what) {
        if
        :: orphaned[s] ->
                call[s] = NOTHING;
                orphaned[s] = false
        :: else -> answer[s] = what
        fi
}

inline die_or_reply(s, what) {
        if
        :: helper_crashes > 0 -> helper_crashes--; reply(s, FAILED)
        :: reply(s, what)
        fi
}

/* The last steps of Open. */
inline give(s) {
        if
        :: atomic { helper_crashes > 0 -> helper_crashes--; reply(s, FAILED) }
        :: atomic { true -> acl[s] = acl[s] | BIT(who[s]); die_or_reply(s, OK) }
        fi
}

/* The last steps of Close. */
inline reset(s) {
        if
        :: atomic { helper_crashes > 0 -> helper_crashes--; reply(s, FAILED) }
        :: atomic { held[s] != 0 -> reply(s, IN_USE) }
        :: atomic { held[s] == 0 -> dirty[s] = false; die_or_reply(s, OK) }
        :: atomic { held[s] == 0 -> die_or_reply(s, NO_RESET) }
        fi
}

/* The same where nobody looks after access is gone. */
inline take_away(s) {
        acl[s] = 0;
        atomic { dirty[s] = false; reply(s, OK) }
}

#define IS_CALLED(s, verb) (call[s] == verb && answer[s] == NOTHING)

active [N] proctype Helper() {
        byte s = _pid - (N + 2);

        do
        :: atomic { IS_CALLED(s, BIND) -> bound[s] = true; reply(s, OK) }
        :: atomic { IS_CALLED(s, RELEASE) && held[s] == 0 -> bound[s] = false; reply(s, OK) }
        :: atomic { IS_CALLED(s, RELEASE) && held[s] != 0 -> reply(s, FAILED) }
        :: atomic { call[s] != NOTHING && answer[s] == NOTHING && helper_crashes > 0 ->
                helper_crashes--;
                reply(s, FAILED)
        }

        :: atomic { IS_CALLED(s, OPEN) && (!bound[s] || held[s] != 0) -> reply(s, FAILED) }
        :: atomic { IS_CALLED(s, OPEN) && bound[s] && held[s] == 0 -> dirty[s] = false }; give(s)
        :: atomic { IS_CALLED(s, OPEN) && bound[s] && held[s] == 0 -> assert(!dirty[s]) }; give(s) /* without a reset */

#ifdef BUG_OPEN_IS_OVERTAKEN
        :: atomic {
                overtaken[s] != 0 && bound[s] && held[s] == 0 ->
                acl[s] = acl[s] | BIT(overtaken[s] - 1);
                overtaken[s] = 0
        }
#endif

#ifdef BUG_LOOKS_FIRST
        :: atomic { IS_CALLED(s, CLOSE) && held[s] != 0 -> reply(s, IN_USE) }
        :: atomic { IS_CALLED(s, CLOSE) && held[s] == 0 -> skip }; take_away(s)
#else
        :: atomic { IS_CALLED(s, CLOSE) -> acl[s] = 0 }; reset(s)
#endif
        od
}

/* A VM: opens what it may, when it likes, and has it open for a while after its end. That while must be finite if
 * anything is to end; so it does not amuse itself with one device for ever while it has lost the other. */
#ifdef LIVENESS
#define HAS_LOST(vm, s) (IS_IN(vm, held[s]) && !IS_IN(vm, acl[s]))
#else
#define HAS_LOST(vm, s) false
#endif

#define USER_STEPS(vm, s) \
        :: atomic { IS_IN(vm, acl[s]) && !IS_IN(vm, held[s]) && !HAS_LOST(vm, 0) && !HAS_LOST(vm, 1) -> \
                held[s] = held[s] | BIT(vm); dirty[s] = true } \
        :: atomic { IS_IN(vm, held[s]) -> held[s] = held[s] & ~BIT(vm) }

active [N] proctype User() {
        byte vm = _pid - (2 * N + 2);

        do
        :: atomic { alive[vm] -> alive[vm] = false }
        USER_STEPS(vm, 0)
        USER_STEPS(vm, 1)
        od
}

/* what must hold */

#define REACHED(s) (acl[s] | held[s])
#define HAS_ONE_USER(s) (REACHED(s) != 3)
#define IS_STORED(vm, s) (!IS_IN(vm, REACHED(s)) || (stored[vm] != NONE && IS_IN(s, stored_sets[vm])))
#define HAS_ACCESS(vm, s) (stored[vm] != ONLINE || !IS_IN(s, stored_sets[vm]) || IS_IN(vm, acl[s]))

#ifndef LIVENESS
active proctype Watch() {
        atomic {
                !HAS_ONE_USER(0) || !HAS_ONE_USER(1) || !IS_STORED(0, 0) || !IS_STORED(0, 1) || !IS_STORED(1, 0) ||
                !IS_STORED(1, 1) || !HAS_ACCESS(0, 0) || !HAS_ACCESS(0, 1) || !HAS_ACCESS(1, 0) || !HAS_ACCESS(1, 1) ->
                assert(false)
        }
}
#endif

/* By symmetry for one VM. */
ltl ends {
        [] ((stored[0] == STARTING -> <> (stored[0] != STARTING)) &&
            (stored[0] == ENDING -> <> (stored[0] == NONE)) &&
            ((stored[0] == ONLINE && !alive[0]) -> <> (stored[0] != ONLINE || alive[0])))
}
