/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which devices a VM gets: each sentence of picker.h in a table, and all of them at once on random tables, against a
 * picker that tries everything. */

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "picker.h"

#define A 1U
#define B 2U
#define C 3U
#define ANY_NODE (-1)

/* A device of a group in a set; on a node; that was used at some time; that is not free. */
#define DEVICE(g, s) ((PickDevice){.group = (g), .set = (s), .numa_node = -1, .free = true})
#define ON(g, s, n) ((PickDevice){.group = (g), .set = (s), .numa_node = (n), .free = true})
#define USED(g, s, n, t)                                                                                    \
        ((PickDevice){.group = (g), .set = (s), .numa_node = (n), .last_used = (t), .free = true})
#define TAKEN(g, s) ((PickDevice){.group = (g), .set = (s), .numa_node = -1})
#define NEEDS(g, n) ((PickDemand){.group = (g), .count = (n)})
#define LIKES(g, n) ((PickDemand){.group = (g), .count = (n), .optional = true})
#define DEVICES(...) ((PickDevice[]){__VA_ARGS__}), ELEMENTSOF(((PickDevice[]){__VA_ARGS__}))
#define DEMANDS(...) ((PickDemand[]){__VA_ARGS__}), ELEMENTSOF(((PickDemand[]){__VA_ARGS__}))

/* "0:3 0:4 1:7 -2": demand 0 got devices 3 and 4, demand 1 got 7, demand 2 was left out. */
static void describe(const PickResult *p, size_t n_demands, char *ret, size_t size) {
        size_t length = 0;

        ret[0] = '\0';
        for (size_t i = 0; i < p->n; i++)
                length += (size_t)snprintf(ret + length, size - length, "%s%" PRIu32 ":%" PRIu32,
                                           length > 0 ? " " : "", p->picked[i].demand, p->picked[i].device);
        for (size_t i = 0; i < n_demands; i++)
                if (!p->served[i])
                        length += (size_t)snprintf(ret + length, size - length, "%s-%zu",
                                                   length > 0 ? " " : "", i);
}

static void expect_near(const PickDevice *devices, size_t n_devices, const PickDemand *demands,
                        size_t n_demands, int32_t node, const char *expected) {
        char text[1024];
        PickResult p;

        assert_int_equal(picker_pick(devices, n_devices, demands, n_demands, node, &p), 0);
        describe(&p, n_demands, text, sizeof text);
        assert_string_equal(text, expected);
}

static void expect(const PickDevice *devices, size_t n_devices, const PickDemand *demands, size_t n_demands,
                   const char *expected) {
        expect_near(devices, n_devices, demands, n_demands, ANY_NODE, expected);
}

static void expect_short(const PickDevice *devices, size_t n_devices, const PickDemand *demands,
                         size_t n_demands, size_t short_of, uint32_t available) {
        PickResult p;

        assert_int_equal(picker_pick(devices, n_devices, demands, n_demands, ANY_NODE, &p), -EAGAIN);
        assert_int_equal(p.short_of, short_of);
        assert_int_equal(p.available, available);
        assert_int_equal(p.n, 0);
        for (size_t i = 0; i < n_demands; i++)
                assert_false(p.served[i]);
}

/* "every claim that is not optional gets its whole count, or nothing is picked" */
static void test_all_or_nothing(void **state) {
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 1), DEVICE(B, 2)), DEMANDS(NEEDS(A, 2), NEEDS(B, 1)),
               "0:0 0:1 1:2");
        expect_short(DEVICES(DEVICE(A, 0), DEVICE(A, 1)), DEMANDS(NEEDS(A, 3)), 0, 2);
        expect_short(DEVICES(DEVICE(A, 0), DEVICE(A, 1)), DEMANDS(NEEDS(A, 2), NEEDS(B, 1)), 1, 0);
        expect_short(DEVICES(DEVICE(A, 0), DEVICE(A, 1), DEVICE(A, 2)), DEMANDS(NEEDS(A, 2), NEEDS(A, 2)), 1,
                     1);
        expect_short(DEVICES(DEVICE(A, 0), TAKEN(A, 1)), DEMANDS(NEEDS(A, 2)), 0, 1);
        expect_short(DEVICES(DEVICE(B, 0)), DEMANDS(NEEDS(A, 1)), 0, 0);
        expect_short(NULL, 0, DEMANDS(NEEDS(A, 1)), 0, 0);
        expect(NULL, 0, NULL, 0, "");
}

/* Nobody's devices are nobody's, even if somebody asks for them by that number. */
static void test_no_group(void **state) {
        expect_short(DEVICES(DEVICE(PICK_NO_GROUP, 0)), DEMANDS(NEEDS(PICK_NO_GROUP, 1)), 0, 0);
        expect(DEVICES(DEVICE(PICK_NO_GROUP, 0), DEVICE(A, 1)), DEMANDS(NEEDS(A, 1)), "0:1");
}

/* "whole count or nothing, the first in order first, and never at the cost of one that is not optional" */
static void test_optional(void **state) {
        expect(DEVICES(DEVICE(A, 0)), DEMANDS(LIKES(A, 2)), "-0");
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 1)), DEMANDS(LIKES(A, 2)), "0:0 0:1");
        expect(DEVICES(DEVICE(A, 0)), DEMANDS(LIKES(A, 1), LIKES(A, 1)), "0:0 -1");
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 1)), DEMANDS(LIKES(A, 3), LIKES(A, 2)), "1:0 1:1 -0");
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 1)), DEMANDS(LIKES(A, 1), NEEDS(A, 2)), "1:0 1:1 -0");
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 1)), DEMANDS(LIKES(B, 1), NEEDS(A, 1)), "1:0 -0");
        expect_short(DEVICES(DEVICE(A, 0), DEVICE(B, 1)), DEMANDS(LIKES(A, 1), NEEDS(A, 1), NEEDS(B, 2)), 2,
                     1);

        /* Nor do they cost it the better device. */
        expect_near(DEVICES(ON(A, 0, 1), ON(A, 1, 0)), DEMANDS(LIKES(A, 1), NEEDS(A, 1)), 0, "0:0 1:1");
}

/* "with a device its set is taken, also from other groups"; "if one member of a set is not, none of the set is" */
static void test_sets(void **state) {
        expect(DEVICES(DEVICE(A, 0), TAKEN(B, 0), DEVICE(A, 1)), DEMANDS(NEEDS(A, 1)), "0:2");
        expect(DEVICES(DEVICE(A, 0), TAKEN(PICK_NO_GROUP, 0), DEVICE(A, 1)), DEMANDS(NEEDS(A, 1)), "0:2");
        expect_short(DEVICES(DEVICE(A, 7), DEVICE(A, 7), TAKEN(A, 7)), DEMANDS(NEEDS(A, 1)), 0, 0);
        expect(DEVICES(DEVICE(A, UINT32_MAX), DEVICE(A, 0), TAKEN(B, UINT32_MAX)), DEMANDS(NEEDS(A, 1)),
               "0:1");

        /* Several claims of the VM share one. */
        expect(DEVICES(DEVICE(A, 0), DEVICE(B, 0)), DEMANDS(NEEDS(A, 1), NEEDS(B, 1)), "0:0 1:1");
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 0)), DEMANDS(NEEDS(A, 1), LIKES(A, 1)), "0:0 1:1");
}

/* "first: devices of sets that this pick has taken already and that would else lie idle" */
static void test_prefers_taken_sets(void **state) {
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 1), DEVICE(A, 0)), DEMANDS(NEEDS(A, 2)), "0:0 0:2");
        expect(DEVICES(DEVICE(B, 1), DEVICE(A, 0), DEVICE(B, 0)), DEMANDS(NEEDS(A, 1), NEEDS(B, 1)),
               "0:1 1:2");
        /* before the node, and before who was used least recently */
        expect_near(DEVICES(ON(A, 0, 1), ON(A, 1, 1), USED(A, 0, 0, 9)), DEMANDS(NEEDS(A, 2)), 1, "0:0 0:2");
        /* Idle ones among each other: node, use, address. */
        expect(DEVICES(DEVICE(A, 0), USED(B, 0, -1, 2), USED(B, 0, -1, 1), DEVICE(B, 1)),
               DEMANDS(NEEDS(A, 1), NEEDS(B, 2)), "0:0 1:2 1:1");
}

/* "then the NUMA node on which most of the wanted devices can be had (or `numa_node`)" */
static void test_prefers_a_node(void **state) {
        expect(DEVICES(ON(A, 0, 0), ON(A, 1, 1), ON(A, 2, 1)), DEMANDS(NEEDS(A, 2)), "0:1 0:2");
        /* What is not wanted does not count, */
        expect(DEVICES(ON(A, 0, 0), ON(A, 1, 1), ON(A, 2, 1), ON(B, 3, 1)), DEMANDS(NEEDS(A, 1)), "0:0");
        expect(DEVICES(ON(A, 0, 0), ON(A, 1, 1), ON(A, 2, 1), ON(B, 3, 0)),
               DEMANDS(NEEDS(A, 1), NEEDS(B, 1)), "0:0 1:3");
        /* nor does what is left out, */
        expect(DEVICES(ON(A, 0, 0), ON(A, 1, 1), ON(B, 2, 1)), DEMANDS(NEEDS(A, 1), LIKES(B, 2)), "0:0 -1");
        /* nor a device that is nowhere. */
        expect(DEVICES(DEVICE(A, 0), DEVICE(A, 1), ON(A, 2, 3)), DEMANDS(NEEDS(A, 1)), "0:2");
        /* The caller knows better; and what is not there comes from elsewhere. */
        expect_near(DEVICES(ON(A, 0, 0), ON(A, 1, 1), ON(A, 2, 1)), DEMANDS(NEEDS(A, 2)), 0, "0:0 0:1");
        expect_near(DEVICES(ON(A, 0, 1)), DEMANDS(NEEDS(A, 1)), 0, "0:0");
        /* before who was used least recently */
        expect_near(DEVICES(USED(A, 0, 0, 1), USED(A, 1, 1, 2)), DEMANDS(NEEDS(A, 1)), 1, "0:1");
}

/* "then the one that was used least recently; then the lowest address" */
static void test_prefers_the_rested(void **state) {
        expect(DEVICES(USED(A, 0, -1, 7), USED(A, 1, -1, 3), USED(A, 2, -1, 5)), DEMANDS(NEEDS(A, 2)),
               "0:1 0:2");
        expect(DEVICES(USED(A, 0, -1, 1), DEVICE(A, 1)), DEMANDS(NEEDS(A, 1)), "0:1");
        expect(DEVICES(DEVICE(A, 5), DEVICE(A, 4), DEVICE(A, 3)), DEMANDS(NEEDS(A, 2)), "0:0 0:1");
}

static void test_limits(void **state) {
        PickDevice devices[PICK_DEVICES_MAX + 1];
        PickDemand demands[PICK_CLAIMS_MAX + 1];
        PickResult p;

        for (uint32_t i = 0; i < ELEMENTSOF(devices); i++)
                devices[i] = DEVICE(A, i);
        for (size_t i = 0; i < ELEMENTSOF(demands); i++)
                demands[i] = NEEDS(A, 1);
        assert_int_equal(picker_pick(devices, ELEMENTSOF(devices), demands, PICK_CLAIMS_MAX, ANY_NODE, &p),
                         0);
        assert_int_equal(p.n, PICK_CLAIMS_MAX);
        assert_int_equal(picker_pick(devices, ELEMENTSOF(devices), demands, PICK_CLAIMS_MAX + 1, ANY_NODE,
                                     &p),
                         -E2BIG);
        assert_int_equal(picker_pick(devices, ELEMENTSOF(devices), DEMANDS(NEEDS(A, PICK_DEVICES_MAX)),
                                     ANY_NODE, &p),
                         0);
        assert_int_equal(picker_pick(devices, ELEMENTSOF(devices),
                                     DEMANDS(NEEDS(A, PICK_DEVICES_MAX), LIKES(A, 1)), ANY_NODE, &p),
                         -E2BIG);
        /* and what is no sum any more */
        assert_int_equal(picker_pick(devices, ELEMENTSOF(devices),
                                     DEMANDS(NEEDS(A, UINT32_MAX), NEEDS(A, UINT32_MAX)), ANY_NODE, &p),
                         -E2BIG);
        assert_int_equal(p.n, 0);
}

/* random tables */

#define FEW_DEVICES 7U
#define FEW_DEMANDS 4U
#define N_TABLES 20000U
#define N_LARGE 10000U

static uint64_t seed = 0x9e3779b97f4a7c15ULL;

/* xorshift64* (Vigna); [0, limit) */
static uint32_t draw(uint32_t limit) {
        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        return (uint32_t)((seed * 0x2545f4914f6cdd1dULL >> 32) % limit);
}

typedef struct Table {
        PickDevice *devices;
        size_t n_devices;
        PickDemand demands[FEW_DEMANDS];
        size_t n_demands;
        int32_t node;
} Table;

static void draw_table(Table *t, size_t n_devices) {
        t->n_devices = n_devices;
        for (size_t i = 0; i < n_devices; i++)
                t->devices[i] = (PickDevice){.group = draw(8) == 0 ? PICK_NO_GROUP : draw(3),
                                             .set = draw((uint32_t)n_devices) * 1000003U,
                                             .numa_node = (int32_t)draw(3) - 1,
                                             .last_used = draw(3),
                                             .free = draw(8) != 0};
        t->n_demands = draw(FEW_DEMANDS + 1);
        for (size_t i = 0; i < t->n_demands; i++)
                t->demands[i] = (PickDemand){draw(3), 1 + draw(3), draw(3) == 0};
        t->node = draw(2) == 0 ? ANY_NODE : (int32_t)draw(3);
}

static bool may_be_had(const Table *t, size_t device) {
        for (size_t i = 0; i < t->n_devices; i++)
                if (t->devices[i].set == t->devices[device].set && !t->devices[i].free)
                        return false;
        return true;
}

/* Tries every way to give the demands from `at` on what they still need; which[i]: demand i takes part. */
static bool can_serve(const Table *t, const bool *which, size_t at, uint32_t given, size_t from,
                      uint32_t used) {
        if (at < t->n_demands && (!which[at] || given == t->demands[at].count))
                return can_serve(t, which, at + 1, 0, 0, used);
        if (at == t->n_demands)
                return true;
        for (size_t i = from; i < t->n_devices; i++)
                if (t->devices[i].group == t->demands[at].group && !(used & 1U << i) && may_be_had(t, i) &&
                    can_serve(t, which, at, given + 1, i + 1, used | 1U << i))
                        return true;
        return false;
}

static bool is_feasible(const Table *t, const bool *which) {
        return can_serve(t, which, 0, 0, 0, 0);
}

/* What is served, from the words of the header alone. */
static void check_feasibility(Table *t, int r, const PickResult *p) {
        bool which[FEW_DEMANDS] = {false};

        for (size_t i = 0; i < t->n_demands; i++) {
                uint32_t count = t->demands[i].count;

                if (t->demands[i].optional)
                        continue;
                which[i] = true;
                if (is_feasible(t, which))
                        continue;
                assert_int_equal(r, -EAGAIN);
                assert_int_equal(p->short_of, i);
                t->demands[i].count = p->available + 1;
                assert_false(is_feasible(t, which));
                t->demands[i].count = p->available;
                assert_true(is_feasible(t, which));
                t->demands[i].count = count;
                return;
        }

        assert_int_equal(r, 0);
        for (size_t i = 0; i < t->n_demands; i++)
                if (t->demands[i].optional) {
                        which[i] = true;
                        which[i] = is_feasible(t, which);
                }
        for (size_t i = 0; i < t->n_demands; i++)
                assert_int_equal(p->served[i], which[i]);
}

static void check_shape(const Table *t, const PickResult *p) {
        _cleanup_free_ bool *picked = calloc(t->n_devices + 1, sizeof *picked);
        uint32_t got[FEW_DEMANDS] = {0};

        assert_non_null(picked);
        for (size_t i = 0; i < p->n; i++) {
                uint32_t demand = p->picked[i].demand, device = p->picked[i].device;

                assert_true(demand < t->n_demands && device < t->n_devices);
                assert_true(i == 0 || p->picked[i - 1].demand <= demand);
                assert_false(picked[device]);
                picked[device] = true;
                assert_int_equal(t->devices[device].group, t->demands[demand].group);
                assert_true(may_be_had(t, device));
                got[demand]++;
        }
        for (size_t i = 0; i < t->n_demands; i++)
                assert_int_equal(got[i], p->served[i] ? t->demands[i].count : 0);
}

/* The node that is preferred, by counting for each. */
static int32_t preferred_node(const Table *t, const PickResult *p) {
        int32_t best = -1;
        uint32_t most = 0;

        if (t->node >= 0)
                return t->node;
        for (int32_t node = 0; node < 2; node++) {
                uint32_t sum = 0;

                for (uint32_t group = 0; group < 3; group++) {
                        uint32_t wanted = 0, there = 0;

                        for (size_t i = 0; i < t->n_demands; i++)
                                if (t->demands[i].group == group && p->served[i])
                                        wanted += t->demands[i].count;
                        for (size_t i = 0; i < t->n_devices; i++)
                                if (t->devices[i].group == group && t->devices[i].numa_node == node)
                                        there += may_be_had(t, i);
                        sum += wanted < there ? wanted : there;
                }
                if (sum > most) {
                        most = sum;
                        best = node;
                }
        }
        return best;
}

/* The preferences as one number, the lower the better. */
static uint64_t rank(const Table *t, size_t device, int32_t node, const bool *had) {
        const PickDevice *d = &t->devices[device];
        bool idle = false, near = node >= 0 && d->numa_node == node;

        for (size_t i = 0; i < t->n_devices; i++)
                idle = idle || (had[i] && t->devices[i].set == d->set);
        return (uint64_t)!idle << 41 | (uint64_t)(node >= 0 && !near) << 40 | d->last_used << 32 | device;
}

/* At each step there was nothing better to be had. */
static void check_preferences(const Table *t, const PickResult *p) {
        _cleanup_free_ bool *had = calloc(t->n_devices + 1, sizeof *had);
        int32_t node = preferred_node(t, p);

        assert_non_null(had);
        for (int optional = 0; optional < 2; optional++)
                for (size_t i = 0; i < p->n; i++) {
                        const PickDemand *d = &t->demands[p->picked[i].demand];
                        uint64_t chosen = rank(t, p->picked[i].device, node, had);

                        if (d->optional != !!optional)
                                continue;
                        for (size_t k = 0; k < t->n_devices; k++)
                                if (t->devices[k].group == d->group && !had[k] && may_be_had(t, k))
                                        assert_true(chosen <= rank(t, k, node, had));
                        had[p->picked[i].device] = true;
                }
}

static void check_same(const Table *t, int r, const PickResult *p) {
        PickResult again;

        memset(&again, 0xff, sizeof again);
        assert_int_equal(picker_pick(t->devices, t->n_devices, t->demands, t->n_demands, t->node, &again),
                         r);
        assert_memory_equal(&again, p, sizeof again);
}

static void test_random_small(void **state) {
        PickDevice devices[FEW_DEVICES];
        Table t = {.devices = devices};
        unsigned n_served = 0, n_short = 0, n_left_out = 0;
        PickResult p;
        int r;

        for (size_t i = 0; i < N_TABLES; i++) {
                draw_table(&t, draw(FEW_DEVICES + 1));
                r = picker_pick(t.devices, t.n_devices, t.demands, t.n_demands, t.node, &p);
                check_shape(&t, &p);
                check_feasibility(&t, r, &p);
                check_preferences(&t, &p);
                check_same(&t, r, &p);

                n_served += p.n > 0;
                n_short += r < 0;
                for (size_t k = 0; r == 0 && k < t.n_demands; k++)
                        n_left_out += !p.served[k];
        }
        /* The tables are not all of one kind. */
        assert_true(n_served > N_TABLES / 10 && n_short > N_TABLES / 10 && n_left_out > N_TABLES / 100);
}

/* As many devices as a host may have. */
static void test_large(void **state) {
        _cleanup_free_ PickDevice *devices = calloc(N_LARGE, sizeof *devices);
        Table t = {.devices = devices};
        PickResult p;

        assert_non_null(devices);
        draw_table(&t, N_LARGE);
        t.demands[0] = NEEDS(0, 20);
        t.demands[1] = LIKES(1, 20);
        t.demands[2] = NEEDS(2, 24);
        t.n_demands = 3;
        t.node = 1;
        assert_int_equal(picker_pick(t.devices, t.n_devices, t.demands, t.n_demands, t.node, &p), 0);
        assert_int_equal(p.n, 64);
        for (size_t i = 0; i < p.n; i++)
                assert_true(may_be_had(&t, p.picked[i].device));
        check_same(&t, 0, &p);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_all_or_nothing),     cmocka_unit_test(test_no_group),
                        cmocka_unit_test(test_optional),           cmocka_unit_test(test_sets),
                        cmocka_unit_test(test_prefers_taken_sets), cmocka_unit_test(test_prefers_a_node),
                        cmocka_unit_test(test_prefers_the_rested), cmocka_unit_test(test_limits),
                        cmocka_unit_test(test_random_small),       cmocka_unit_test(test_large),
        };

        return cmocka_run_group_tests_name("picker", tests, NULL, NULL);
}
