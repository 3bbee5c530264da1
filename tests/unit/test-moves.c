/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model-fixture.h"
#include "move-table.h"
#include "reconcile.h"

#define SECOND (1000ULL * 1000)
#define SLOWEST (64 * SECOND)
#define N_SETS 5U
#define N_DEVICES (2 * N_SETS)

/* Ten devices in five sets of two; a call for a set is what operation.c keeps of one. */
typedef struct Host {
        DeviceTable devices;
        MoveTable moves;
        uint64_t now;
        Move files[N_SETS]; /* the journal as it is, by set; without members: there is none */
        struct {
                bool under_way, for_a_caller;
                PciAddress device;
        } calls[N_SETS];
        unsigned started[N_SETS]; /* calls that reconcile began */
} Host;

static PciAddress address_of(unsigned set, unsigned function) {
        return (PciAddress){0, (uint8_t)(set + 1), 0, (uint8_t)function};
}

static IommuSet set_of(unsigned set) {
        return (IommuSet){
                        .number = set, .n_members = 2, .members = {address_of(set, 0), address_of(set, 1)}};
}

static Device *find(const Host *h, unsigned set, unsigned function) {
        PciAddress a = address_of(set, function);

        return device_table_find(&h->devices, &a);
}

static void plug(Host *h, unsigned set, unsigned function) {
        PciAddress a = address_of(set, function);
        Device *d;

        if (find(h, set, function))
                return;
        d = model_device(&a, set);
        d->facts.set = set_of(set);
        d->operating = h->calls[set].under_way; /* hotplug.c */
        assert_int_equal(device_table_insert(&h->devices, d), 0);
}

static void unplug(Host *h, unsigned set, unsigned function) {
        PciAddress a = address_of(set, function);

        device_free(device_table_remove(&h->devices, &a));
}

static int setup(void **state) {
        Host *h = calloc(1, sizeof *h);

        assert_non_null(h);
        h->now = 1000 * SECOND;
        for (unsigned i = 0; i < N_DEVICES; i++)
                plug(h, i / 2, i % 2);
        *state = h;
        return 0;
}

static int teardown(void **state) {
        Host *h = *state;

        device_table_clear(&h->devices);
        move_table_clear(&h->moves);
        free(h);
        return 0;
}

static void read_journal(Host *h) {
        Move moves[N_SETS];
        size_t n = 0;

        for (unsigned i = 0; i < N_SETS; i++)
                if (h->files[i].set.n_members > 0)
                        moves[n++] = h->files[i];
        assert_int_equal(move_table_replace(&h->moves, moves, n), 0);
        assert_int_equal(h->moves.n, n);
}

static void write_file(Host *h, unsigned set, MoveVerb verb, const char *stuck) {
        h->files[set] = (Move){.verb = verb, .set = set_of(set)};
        (void)snprintf(h->files[set].stuck, sizeof h->files[set].stuck, "%s", stuck);
}

static void remove_file(Host *h, unsigned set) {
        h->files[set] = (Move){0};
}

static MoveEntry *entry(const Host *h, unsigned set) {
        PciAddress a = address_of(set, 0);

        return move_table_find(&h->moves, &a);
}

static ReconcileStep next(const Host *h) {
        ReconcileState s = {&h->moves, &h->devices, h->now};

        return reconcile_next(&s);
}

static void mark(Host *h, unsigned set, bool operating) {
        for (unsigned k = 0; k < 2; k++)
                if (find(h, set, k))
                        find(h, set, k)->operating = operating;
}

static void start_call(Host *h, unsigned set, const PciAddress *device, bool for_a_caller) {
        assert_false(h->calls[set].under_way); /* never two for one set */
        h->calls[set].under_way = true;
        h->calls[set].for_a_caller = for_a_caller;
        h->calls[set].device = *device;
        mark(h, set, true);
}

/* As operation.c does when the helper has answered: files and tables first, then what is left. */
static void end_call(Host *h, unsigned set, FailureKind kind) {
        MoveEntry *e;

        assert_true(h->calls[set].under_way);
        h->calls[set].under_way = false;
        mark(h, set, false);
        read_journal(h);
        e = move_table_find(&h->moves, &h->calls[set].device);
        if (!e)
                return;
        reconcile_tried(e, kind, h->now);
        if (kind == FAILURE_STUCK && !e->move.stuck[0])
                strcpy(e->answer, "The helper says that it is stuck.");
        if (h->calls[set].for_a_caller && !e->busy && !move_entry_stuck(e)) {
                e->wanted = true;
                e->failures = 0;
        }
}

/* As manager.c does after each event; sees that it comes to an end and what it asks for makes sense. */
static void reconcile(Host *h) {
        ReconcileStep step, again;
        unsigned set;

        for (unsigned n = 0;; n++) {
                assert_true(n <= N_SETS); /* each step is another entry's */
                step = next(h);
                again = next(h); /* pure: asked once more it says the same */
                assert_ptr_equal(step.entry, again.entry);
                assert_true(step.again_at == again.again_at);
                if (!step.entry)
                        break;

                set = step.entry->move.set.number;
                assert_true(step.entry->wanted);
                assert_true(iommu_set_contains(&step.entry->move.set, &step.device));
                assert_non_null(device_table_find(&h->devices, &step.device));
                step.entry->wanted = false;
                start_call(h, set, &step.device, false);
                h->started[set]++;
        }
        /* The timer is never for a moment that has passed, nor for one too far away. */
        assert_true(step.again_at > h->now);
        assert_true(step.again_at == UINT64_MAX || step.again_at <= h->now + SLOWEST);
}

static void forget_started(Host *h) {
        memset(h->started, 0, sizeof h->started);
}

static void test_entries_come_and_go(void **state) {
        PciAddress stranger = {0, 99, 0, 0};
        Host *h = *state;

        read_journal(h);
        assert_int_equal(h->moves.n, 0);
        assert_null(entry(h, 1));

        write_file(h, 1, MOVE_BIND, "");
        write_file(h, 3, MOVE_RELEASE, "");
        read_journal(h);
        assert_int_equal(entry(h, 1)->move.verb, MOVE_BIND);
        assert_ptr_equal(move_table_find(&h->moves, &entry(h, 3)->move.set.members[1]), entry(h, 3));
        assert_true(entry(h, 1)->wanted);
        assert_null(move_table_find(&h->moves, &stranger));
        move_table_nudge(&h->moves, &stranger);

        entry(h, 1)->wanted = false;
        entry(h, 1)->failures = 3;
        strcpy(entry(h, 1)->answer, "stuck");
        remove_file(h, 3);
        write_file(h, 0, MOVE_RESET, ""); /* others move up in the table, what is known goes with them */
        read_journal(h);
        assert_null(entry(h, 3));
        assert_false(entry(h, 1)->wanted);
        assert_int_equal(entry(h, 1)->failures, 3);
        assert_string_equal(move_entry_stuck(entry(h, 1)), "stuck");
        assert_null(move_entry_stuck(entry(h, 0)));

        write_file(h, 3, MOVE_RELEASE, ""); /* a new one knows nothing of the old */
        read_journal(h);
        assert_true(entry(h, 3)->wanted);
        assert_int_equal(entry(h, 3)->failures, 0);
        move_table_clear(&h->moves);
        assert_int_equal(h->moves.n, 0);
}

static void test_a_changed_file_is_news_but_stuck_is_none(void **state) {
        Host *h = *state;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        *entry(h, 0) = (MoveEntry){.move = entry(h, 0)->move, .busy = true, .answer = "old answer"};
        read_journal(h); /* the same again is no change */
        assert_true(entry(h, 0)->busy);
        assert_string_equal(move_entry_stuck(entry(h, 0)), "old answer");

        write_file(h, 0, MOVE_RELEASE, "");
        read_journal(h);
        assert_true(entry(h, 0)->wanted);
        assert_false(entry(h, 0)->busy);
        assert_null(move_entry_stuck(entry(h, 0)));

        entry(h, 0)->wanted = false;
        entry(h, 0)->busy = true;
        write_file(h, 0, MOVE_RELEASE, "Process 42 holds it.");
        read_journal(h);
        assert_false(entry(h, 0)->wanted);
        assert_false(entry(h, 0)->busy);
        assert_string_equal(move_entry_stuck(entry(h, 0)), "Process 42 holds it.");

        entry(h, 0)->wanted = true; /* nor does it take back what was wanted before */
        write_file(h, 0, MOVE_RELEASE, "Process 43 holds it.");
        read_journal(h);
        assert_true(entry(h, 0)->wanted);
}

/* After a restart of the daemon it cannot know how old the sentence is. */
static void test_a_stuck_entry_is_tried_at_start(void **state) {
        Host *h = *state;

        write_file(h, 0, MOVE_RELEASE, "Process 42 holds it.");
        read_journal(h);
        reconcile(h);
        assert_int_equal(h->started[0], 1);
}

static void test_a_removed_file_ends_it(void **state) {
        Host *h = *state;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        reconcile(h);
        remove_file(h, 0);
        end_call(h, 0, FAILURE_NONE);
        reconcile(h);
        assert_int_equal(h->started[0], 1);
        assert_int_equal(h->moves.n, 0);
}

static void test_a_present_operation_is_left_alone(void **state) {
        PciAddress a = address_of(2, 1);
        Host *h = *state;

        start_call(h, 2, &a, true);
        write_file(h, 2, MOVE_BIND, "");
        write_file(h, 4, MOVE_BIND, "");
        read_journal(h);
        reconcile(h);
        assert_int_equal(h->started[2], 0);
        assert_int_equal(h->started[4], 1); /* others go on */
        end_call(h, 2, FAILURE_DRIVER);
        reconcile(h);
        assert_int_equal(h->started[2], 1); /* what it has left is brought home at once */
}

static void test_busy_waits_for_whoever_it_is(void **state) {
        PciAddress a = address_of(0, 0);
        Host *h = *state;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        reconcile(h);
        end_call(h, 0, FAILURE_BUSY);
        for (int i = 0; i < 3; i++) {
                move_table_nudge(&h->moves, &a); /* the other one's doing */
                assert_null(next(h).entry);
        }

        move_table_unblock(&h->moves);
        reconcile(h);
        assert_int_equal(h->started[0], 2); /* at once: it has not failed */
        end_call(h, 0, FAILURE_BUSY);
        write_file(h, 0, MOVE_RELEASE, "");
        read_journal(h);
        reconcile(h);
        assert_int_equal(h->started[0], 3);
        end_call(h, 0, FAILURE_STUCK);
        move_table_unblock(&h->moves); /* what failed has not become better by that */
        h->now += SLOWEST;
        reconcile(h);
        assert_int_equal(h->started[0], 3);
}

/* Who is busy may change nothing, and the helper may stay for others; a worker may die before its first write; and
 * nothing tells that a node is closed. */
static void test_what_ends_unseen_is_tried_again(void **state) {
        static const FailureKind kinds[] = {FAILURE_BUSY, FAILURE_IN_USE, FAILURE_INTERNAL};
        Host *h = *state;
        uint64_t pause;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        reconcile(h);
        for (unsigned i = 0; i < 40; i++) {
                assert_int_equal(h->started[0], i + 1);
                end_call(h, 0, kinds[i % ELEMENTSOF(kinds)]);
                reconcile(h);
                pause = i < 6 ? SECOND << i : SLOWEST;
                assert_true(next(h).again_at == h->now + pause);
                h->now += pause;
                reconcile(h);
        }
        end_call(h, 0, FAILURE_NONE);
        assert_false(entry(h, 0)->busy);
        assert_false(entry(h, 0)->wanted);
}

/* The uevents and the journal entries of a call are not what it was waiting for. */
static void test_what_a_call_itself_sets_off_is_no_news(void **state) {
        PciAddress a = address_of(0, 0);
        Host *h = *state;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        reconcile(h);
        write_file(h, 0, MOVE_RELEASE, "");
        read_journal(h);
        move_table_nudge(&h->moves, &a);
        reconcile(h);
        end_call(h, 0, FAILURE_DRIVER);
        h->now += SLOWEST;
        reconcile(h);
        assert_int_equal(h->started[0], 1);

        move_table_nudge(&h->moves, &a); /* this one is */
        reconcile(h);
        assert_int_equal(h->started[0], 2);
}

/* 1, 2, 4, ... 64 seconds between tries, with an event always at hand. */
static void test_a_failing_entry_is_tried_ever_more_slowly(void **state) {
        PciAddress a = address_of(0, 0);
        Host *h = *state;
        uint64_t pause;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        reconcile(h);
        for (unsigned i = 0; i < 40; i++) {
                assert_int_equal(h->started[0], i + 1);
                end_call(h, 0, FAILURE_DRIVER);
                reconcile(h);
                assert_true(next(h).again_at == UINT64_MAX); /* not by itself */

                move_table_nudge(&h->moves, &a);
                pause = i < 6 ? SECOND << i : SLOWEST;
                assert_true(next(h).again_at == h->now + pause);
                h->now += pause - 1;
                reconcile(h);
                assert_int_equal(h->started[0], i + 1);
                h->now++;
                reconcile(h);
        }
}

/* A helper that was killed leaves no event behind: the timer alone has to do. */
static void test_a_helper_that_does_not_answer_is_asked_again(void **state) {
        Host *h = *state;
        uint64_t begin = h->now;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        reconcile(h);
        while (h->now < begin + 3600 * SECOND) {
                end_call(h, 0, FAILURE_HELPER);
                reconcile(h);
                assert_true(next(h).again_at != UINT64_MAX);
                h->now = next(h).again_at;
                reconcile(h);
        }
        assert_in_range(h->started[0], 3600 / 64, 3600 / 64 + 8); /* not for ever, and not in a loop */
}

static void test_only_what_is_there_can_be_released(void **state) {
        Host *h = *state;
        ReconcileStep step;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        unplug(h, 0, 0);
        step = next(h);
        assert_non_null(step.entry);
        assert_int_equal(step.device.function, 1);
        unplug(h, 0, 1);
        step = next(h);
        assert_null(step.entry);
        assert_true(step.again_at == UINT64_MAX);
        plug(h, 0, 1);
        assert_non_null(next(h).entry);
}

/* An address that meanwhile is a bridge's is nothing that a helper would release. */
static void test_a_bridge_is_never_released(void **state) {
        Host *h = *state;

        write_file(h, 0, MOVE_BIND, "");
        read_journal(h);
        find(h, 0, 0)->facts.identity.class_code = MODEL_BRIDGE;
        assert_int_equal(next(h).device.function, 1);
        find(h, 0, 1)->facts.identity.class_code = MODEL_BRIDGE;
        assert_null(next(h).entry);
}

/* Numbers of sets are given anew: a device may stand in an old entry and in a new one. */
static void test_a_uevent_is_news_for_every_entry_of_the_device(void **state) {
        PciAddress a = address_of(0, 0);
        Host *h = *state;

        write_file(h, 0, MOVE_BIND, "");
        write_file(h, 1, MOVE_BIND, "");
        h->files[1].set = set_of(0);
        h->files[1].set.number = 1;
        read_journal(h);
        for (size_t i = 0; i < h->moves.n; i++)
                h->moves.entries[i].wanted = false;
        move_table_nudge(&h->moves, &a);
        for (size_t i = 0; i < h->moves.n; i++)
                assert_true(h->moves.entries[i].wanted);
}

static void change_journal(Host *h) {
        unsigned set = (unsigned)(model_draw() % N_SETS);

        if (model_draw() % 4 == 0)
                remove_file(h, set);
        else
                write_file(h, set, (MoveVerb)(model_draw() % MOVE_VERB_MAX),
                           model_draw() % 3 ? "" : "Process 42 holds it.");
        if (model_draw() % 4) /* else it is read with the next event */
                read_journal(h);
}

static void send_uevent(Host *h) {
        unsigned k = (unsigned)(model_draw() % N_DEVICES);
        PciAddress a = address_of(k / 2, k % 2);

        if (model_draw() % 4 == 0)
                unplug(h, k / 2, k % 2);
        else
                plug(h, k / 2, k % 2);
        move_table_nudge(&h->moves, &a);
}

static void answer(Host *h) {
        static const FailureKind kinds[] = {FAILURE_NONE,   FAILURE_NONE,  FAILURE_BUSY,
                                            FAILURE_HELPER, FAILURE_STUCK, FAILURE_DRIVER};
        unsigned set = (unsigned)(model_draw() % N_SETS);
        FailureKind kind = kinds[model_draw() % ELEMENTSOF(kinds)];

        if (!h->calls[set].under_way)
                return;
        if (kind == FAILURE_NONE || model_draw() % 4 == 0)
                remove_file(h, set);
        else if (kind == FAILURE_STUCK && model_draw() % 2)
                write_file(h, set, MOVE_RELEASE, "Process 42 holds it.");
        end_call(h, set, kind);
}

static void call_for_somebody(Host *h) {
        unsigned set = (unsigned)(model_draw() % N_SETS);
        PciAddress a = address_of(set, 0);

        if (find(h, set, 0) && !h->calls[set].under_way)
                start_call(h, set, &a, true);
}

static void pass_time(Host *h) {
        uint64_t at = next(h).again_at;

        h->now = model_draw() % 2 && at != UINT64_MAX ? at : h->now + model_draw() % (3 * SECOND);
}

/* From wherever it has come to: one event and a minute later each entry with a device is tried. */
static void check_that_nothing_is_forgotten(Host *h) {
        PciAddress a;

        for (unsigned set = 0; set < N_SETS; set++)
                if (h->calls[set].under_way)
                        end_call(h, set, FAILURE_DRIVER);
        read_journal(h);
        move_table_unblock(&h->moves);
        for (unsigned k = 0; k < N_DEVICES; k++) {
                a = address_of(k / 2, k % 2);
                move_table_nudge(&h->moves, &a);
        }
        h->now += SLOWEST;
        forget_started(h);
        reconcile(h);
        for (unsigned set = 0; set < N_SETS; set++)
                assert_int_equal(h->started[set], entry(h, set) && (find(h, set, 0) || find(h, set, 1)));
}

/* Without events and with a helper that says no, there is one try for each entry and then quiet. */
static void check_that_it_comes_to_rest(Host *h) {
        static const FailureKind kinds[] = {FAILURE_STUCK, FAILURE_DRIVER};
        FailureKind kind = kinds[model_draw() % ELEMENTSOF(kinds)];

        for (unsigned set = 0; set < N_SETS; set++)
                h->calls[set].for_a_caller = false;
        forget_started(h);
        for (int i = 0; i < 20; i++) {
                for (unsigned set = 0; set < N_SETS; set++)
                        if (h->calls[set].under_way)
                                end_call(h, set, kind);
                h->now += SLOWEST;
                reconcile(h);
        }
        for (unsigned set = 0; set < N_SETS; set++) {
                assert_false(h->calls[set].under_way);
                assert_in_range(h->started[set], 0, 1);
        }
        assert_true(next(h).again_at == UINT64_MAX);
}

/* No event will say when the call can be made. */
static void test_a_call_that_cannot_be_made_is_tried_again(void **state _unused_) {
        ReconcileStep step;
        PciAddress a = model_address("0000:01:00.0");
        DeviceTable *devices = model_new();
        Move move = {.verb = MOVE_BIND, .set = {.number = 7}};
        MoveTable moves = {0};
        ReconcileState s = {&moves, devices, 1000};

        (void)model_add(devices, "0000:01:00.0", 7);
        assert_int_equal(iommu_set_add(&move.set, &a), 0);
        assert_int_equal(move_table_replace(&moves, &move, 1), 0);
        for (unsigned i = 0; i < 3; i++) {
                step = reconcile_next(&s);
                assert_non_null(step.entry);
                step.entry->wanted = false;
                reconcile_not_tried(step.entry, s.now);
                step = reconcile_next(&s);
                assert_null(step.entry);
                assert_true(step.again_at > s.now && step.again_at < UINT64_MAX);
                s.now = step.again_at;
        }
        move_table_clear(&moves);
        model_free(devices);
}

static void test_any_series_of_events(void **state) {
        static void (*const events[])(Host * h) = {change_journal, send_uevent, answer,
                                                   answer,         pass_time,   call_for_somebody};
        Host *h = *state;
        unsigned calls = 0;

        for (int i = 0; i < 60000; i++) {
                if (model_draw() % 20 == 0)
                        move_table_unblock(&h->moves);
                else
                        events[model_draw() % ELEMENTSOF(events)](h);
                reconcile(h);

                if (i % 97 == 0) {
                        for (unsigned set = 0; set < N_SETS; set++)
                                calls += h->started[set];
                        if (i % 2)
                                check_that_it_comes_to_rest(h);
                        else
                                check_that_nothing_is_forgotten(h);
                        forget_started(h);
                }
        }
        assert_true(calls > 1000); /* it was about something */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_entries_come_and_go, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_changed_file_is_news_but_stuck_is_none, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_a_stuck_entry_is_tried_at_start, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_a_removed_file_ends_it, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_present_operation_is_left_alone, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_busy_waits_for_whoever_it_is, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_what_ends_unseen_is_tried_again, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_what_a_call_itself_sets_off_is_no_news, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_a_failing_entry_is_tried_ever_more_slowly,
                                                        setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_helper_that_does_not_answer_is_asked_again,
                                                        setup, teardown),
                        cmocka_unit_test_setup_teardown(test_only_what_is_there_can_be_released, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_a_bridge_is_never_released, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_a_uevent_is_news_for_every_entry_of_the_device,
                                                        setup, teardown),
                        cmocka_unit_test(test_a_call_that_cannot_be_made_is_tried_again),
                        cmocka_unit_test_setup_teardown(test_any_series_of_events, setup, teardown),
        };

        return cmocka_run_group_tests_name("moves", tests, NULL, NULL);
}
