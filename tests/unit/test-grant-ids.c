/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "fake-host.h"
#include "grant-ids.h"

#define WIDE_FILE GRANTS_DIR "/10de:1eb8.ids"
#define NARROW_FILE GRANTS_DIR "/10de:1eb8:10de:12a2.ids"

static const IdSelector wide = {.vendor = 0x10de, .device = 0x1eb8};
static const IdSelector narrow = {0x10de, 0x1eb8, true, 0x10de, 0x12a2};
static const PciIdentity gpu = {
                .vendor = 0x10de, .device = 0x1eb8, .subsystem_vendor = 0x10de, .subsystem_device = 0x12a2};

static void test_words(void **state _unused_) {
        static const char *const bad[] = {"",
                                          "10de",
                                          "10de:",
                                          "10de:1eb",
                                          "10DE:1eb8",
                                          "10de:1eb8:",
                                          "10de:1eb8:10de",
                                          "10de:1eb8:10de:",
                                          "10de:1eb8:10de:12a",
                                          "10de:1eb8:10de:12a2:",
                                          "10de:1eb8 10de:12a2",
                                          "10de-1eb8",
                                          " 0de:1eb8",
                                          "+0de:1eb8",
                                          "0x10:1eb8",
                                          "10de:1eb8:*:*",
                                          "../..:1eb8"};
        char word[ID_SELECTOR_SIZE];
        IdSelector ids;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (id_selector_parse(bad[i], &ids) != -EINVAL)
                        fail_msg("'%s' was taken for ids", bad[i]);
        assert_int_equal(id_selector_parse(NULL, &ids), -EINVAL);

        assert_int_equal(id_selector_parse("10de:1eb8", &ids), 0);
        assert_true(id_selector_same(&ids, &wide));
        assert_string_equal(id_selector_format(&ids, word), "10de:1eb8");
        assert_int_equal(id_selector_parse("10de:1eb8:10de:12a2", &ids), 0);
        assert_true(id_selector_same(&ids, &narrow));
        assert_false(id_selector_same(&ids, &wide));
        assert_string_equal(id_selector_format(&ids, word), "10de:1eb8:10de:12a2");
}

static void test_matches(void **state _unused_) {
        PciIdentity other = gpu;

        assert_true(id_selector_matches(&wide, &gpu));
        assert_true(id_selector_matches(&narrow, &gpu));
        other.subsystem_device++;
        assert_true(id_selector_matches(&wide, &other));
        assert_false(id_selector_matches(&narrow, &other));
        other = gpu;
        other.subsystem_vendor++;
        assert_false(id_selector_matches(&narrow, &other));
        other = gpu;
        other.device++;
        assert_false(id_selector_matches(&wide, &other));
        assert_false(id_selector_matches(&narrow, &other));
        other = gpu;
        other.vendor++;
        assert_false(id_selector_matches(&wide, &other));
}

static void format(const IdSelector *ids, char *text) {
        GrantIds g = {*ids, 1000, 1760000000};

        int n = grant_ids_format(&g, text, GRANT_IDS_TEXT_SIZE);

        assert_int_equal(n, strlen(text));
}

static void test_text(void **state _unused_) {
        static const struct {
                const char *line, *with;
        } table[] = {
                        {"format=1", "format=2"},
                        {"format=1\n", ""},
                        {"format=1\n", "format=1\nformat=1\n"},
                        {"format=1\n", "format=1\nconsent=mounted\n"},
                        {"ids=10de:1eb8", "ids="},
                        {"ids=10de:1eb8", "ids=10de:*"},
                        {"ids=10de:1eb8", "ids=10de:1eb8 "},
                        {"granted-by=1000", "granted-by=-1"},
                        {"granted-by=1000", "granted-by=4294967295"},
                        {"granted-at=1760000000", "granted-at="},
        };
        char text[GRANT_IDS_TEXT_SIZE], bad[GRANT_IDS_TEXT_SIZE * 2], *at;
        GrantIds g;

        format(&wide, text);
        assert_int_equal(grant_ids_parse(text, &g), 0);
        assert_true(id_selector_same(&g.ids, &wide));
        assert_int_equal(g.granted_by, 1000);
        assert_int_equal(g.granted_at, 1760000000);

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                at = strstr(text, table[i].line);
                assert_non_null(at);
                (void)snprintf(bad, sizeof bad, "%.*s%s%s", (int)(at - text), text, table[i].with,
                               at + strlen(table[i].line));
                if (grant_ids_parse(bad, &g) != -EBADMSG)
                        fail_msg("'%s' was taken for '%s'", table[i].with, table[i].line);
        }

        /* Half a consent is none. */
        for (size_t n = 0; n <= (size_t)(strstr(text, "granted-at=") - text) + strlen("granted-at="); n++) {
                (void)snprintf(bad, sizeof bad, "%.*s", (int)n, text);
                assert_int_equal(grant_ids_parse(bad, &g), -EBADMSG);
        }
        for (size_t size = 1; size <= strlen(text); size++)
                assert_int_equal(grant_ids_format(&g, bad, size), -ENOBUFS);
}

static int setup(void **state) {
        *state = fake_host_new();
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static int find(FakeHost *h, IdSelector *ret) {
        GrantIds g;
        int r;

        r = grant_ids_find(h->fd, &gpu, geteuid(), &g);
        if (r >= 0)
                *ret = g.ids;
        return r;
}

static void test_the_narrower_one_is_found_first(void **state) {
        char text[GRANT_IDS_TEXT_SIZE];
        FakeHost *h = *state;
        IdSelector found;

        assert_int_equal(find(h, &found), -ENOENT);
        format(&wide, text);
        fake_host_write(h, WIDE_FILE, "%s", text);
        assert_int_equal(find(h, &found), 0);
        assert_true(id_selector_same(&found, &wide));
        format(&narrow, text);
        fake_host_write(h, NARROW_FILE, "%s", text);
        assert_int_equal(find(h, &found), 0);
        assert_true(id_selector_same(&found, &narrow));
        fake_host_remove(h, WIDE_FILE);
        assert_int_equal(find(h, &found), 0);
}

static void test_only_a_file_of_roots_alone_with_its_own_name(void **state) {
        char text[GRANT_IDS_TEXT_SIZE];
        FakeHost *h = *state;
        IdSelector found;
        GrantIds g;

        /* A narrow consent under the name of the wide one must not become wide. */
        format(&narrow, text);
        fake_host_write(h, WIDE_FILE, "%s", text);
        assert_int_equal(find(h, &found), -EBADMSG);

        format(&wide, text);
        fake_host_write(h, WIDE_FILE, "%s", text);
        assert_int_equal(grant_ids_find(h->fd, &gpu, geteuid() + 1, &g), -EPERM);
        assert_int_equal(fchmodat(h->fd, WIDE_FILE, 0664, 0), 0);
        assert_int_equal(find(h, &found), -EPERM);
        fake_host_remove(h, WIDE_FILE);
        fake_host_write(h, GRANTS_DIR "/other", "%s", text);
        fake_host_link(h, WIDE_FILE, "other");
        assert_int_equal(find(h, &found), -EPERM);

        /* A damaged narrow one takes nothing from a wide one that stands. */
        fake_host_remove(h, WIDE_FILE);
        fake_host_write(h, WIDE_FILE, "%s", text);
        fake_host_write(h, NARROW_FILE, "nonsense\n");
        assert_int_equal(find(h, &found), 0);
        assert_true(id_selector_same(&found, &wide));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_words),
                        cmocka_unit_test(test_matches),
                        cmocka_unit_test(test_text),
                        cmocka_unit_test_setup_teardown(test_the_narrower_one_is_found_first, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_only_a_file_of_roots_alone_with_its_own_name,
                                                        setup, teardown),
        };

        return cmocka_run_group_tests_name("grant-ids", tests, NULL, NULL);
}
