/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "move.h"

static const Move example = {.verb = MOVE_RELEASE,
                             .set = {.n_members = 2, .members = {{0, 5, 1, 0}, {0, 5, 2, 0}}},
                             .stuck = "Device 0000:05:01.0 is held by process 42 (qemu)"};

static void test_round_trip(void **state _unused_) {
        char text[MOVE_TEXT_SIZE];
        Move m = example, back;
        int n;

        for (int verb = 0; verb < MOVE_VERB_MAX; verb++)
                for (int stuck = 0; stuck < 2; stuck++) {
                        m.verb = (MoveVerb)verb;
                        if (!stuck)
                                m.stuck[0] = '\0';
                        else
                                strcpy(m.stuck, example.stuck);
                        n = move_format(&m, text, sizeof text);
                        assert_int_equal(n, strlen(text));
                        assert_int_equal(move_parse(text, &back), 0);
                        assert_int_equal(back.verb, verb);
                        assert_true(iommu_set_same_members(&back.set, &m.set));
                        assert_int_equal(back.set.number, 0);
                        assert_string_equal(back.stuck, m.stuck);
                }
}

static void test_the_longest_move_fits(void **state _unused_) {
        char text[MOVE_TEXT_SIZE];
        Move m = {.verb = MOVE_BIND}, back;

        for (unsigned i = 0; i < DEVICES_PER_CALL_MAX; i++)
                assert_int_equal(iommu_set_add(&m.set, &(PciAddress){0xfffffff0, 0xff, (uint8_t)(i / 8),
                                                                     (uint8_t)(i % 8)}),
                                 0);
        memset(m.stuck, 's', sizeof m.stuck - 1);
        assert_true(move_format(&m, text, sizeof text) > 0);
        assert_int_equal(move_parse(text, &back), 0);
        assert_true(iommu_set_same_members(&back.set, &m.set));
        assert_string_equal(back.stuck, m.stuck);

        for (size_t size = 1; size <= strlen(text); size += 97)
                assert_int_equal(move_format(&m, (char[MOVE_TEXT_SIZE]){0}, size), -ENOBUFS);
}

/* A process names itself: what it is called must not damage the journal that tells of it. */
static void test_a_sentence_cannot_forge_a_line(void **state _unused_) {
        char text[MOVE_TEXT_SIZE];
        Move m = example, back;

        strcpy(m.stuck, "held by x\ndevice=0000:09:00.0\nverb=bind");
        assert_true(move_format(&m, text, sizeof text) > 0);
        assert_int_equal(move_parse(text, &back), 0);
        assert_true(iommu_set_same_members(&back.set, &m.set));
        assert_int_equal(back.verb, MOVE_RELEASE);
        assert_string_equal(back.stuck, "held by x?device=0000:09:00.0?verb=bind");
}

static void test_parse_refuses(void **state _unused_) {
        static const char *const table[] = {
                        "",
                        "\n",
                        "verb=bind\n",
                        "device=0000:05:01.0\n",
                        "verb=fly\ndevice=0000:05:01.0\n",
                        "verb=bind\nverb=bind\ndevice=0000:05:01.0\n",
                        "verb=bind\ndevice=0000:05:01.9\n",
                        "verb=bind\ndevice=\n",
                        "verb=bind\ndevice=0000:05:01.0\nextra=1\n",
                        "verb=bind\ndevice=0000:05:01.0\nnonsense\n",
                        "VERB=bind\ndevice=0000:05:01.0\n",
        };
        Move m = {.verb = MOVE_RESET, .set.number = 77};

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (move_parse(table[i], &m) != -EBADMSG)
                        fail_msg("took '%s'", table[i]);
        assert_int_equal(m.verb, MOVE_RESET);
        assert_int_equal(m.set.number, 77);
}

static void test_every_truncation_is_refused_or_true(void **state _unused_) {
        char text[MOVE_TEXT_SIZE], *cut;
        Move m;

        assert_true(move_format(&example, text, sizeof text) > 0);
        for (size_t n = 0; n < strlen(text); n++) {
                cut = strndup(text, n);
                if (move_parse(cut, &m) == 0)
                        for (size_t i = 0; i < m.set.n_members; i++)
                                assert_true(iommu_set_contains(&example.set, &m.set.members[i]));
                free(cut);
        }
}

static int setup(void **state) {
        *state = fake_host_new();
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static void test_read_by_number(void **state) {
        static const char *const bad[] = {"",   "-1",         "x",          "7x",          "0x7", "../7",
                                          ".7", "4294967296", "9999999999", "99999999999", "07",  "7.tmp"};
        FakeHost *h = *state;
        char text[MOVE_TEXT_SIZE], path[64];
        Move m;

        assert_true(move_format(&example, text, sizeof text) > 0);
        fake_host_write(h, "run/verge-passthrough/moves/7", "%s", text);
        assert_int_equal(move_read(h->fd, "7", &m), 0);
        assert_int_equal(m.set.number, 7);
        assert_true(iommu_set_same_members(&m.set, &example.set));
        assert_int_equal(move_read(h->fd, "8", &m), -ENOENT);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                if (bad[i][0] >= '0' && bad[i][0] <= '9') {
                        (void)snprintf(path, sizeof path, "run/verge-passthrough/moves/%s", bad[i]);
                        fake_host_write(h, path, "%s", text);
                }
                m.set.number = 55;
                if (move_read(h->fd, bad[i], &m) != -EINVAL)
                        fail_msg("took the name '%s'", bad[i]);
                assert_int_equal(m.set.number, 55);
        }

        fake_host_write(h, "run/verge-passthrough/moves/9", "half");
        assert_int_equal(move_read(h->fd, "9", &m), -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_round_trip),
                        cmocka_unit_test(test_the_longest_move_fits),
                        cmocka_unit_test(test_a_sentence_cannot_forge_a_line),
                        cmocka_unit_test(test_parse_refuses),
                        cmocka_unit_test(test_every_truncation_is_refused_or_true),
                        cmocka_unit_test_setup_teardown(test_read_by_number, setup, teardown),
        };

        return cmocka_run_group_tests_name("move", tests, NULL, NULL);
}
