/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon makes of the directories of grants, beside what the helper makes of the same files. */

#include "fake-host.h"
#include "grant-files.h"

#define IDS_FILE GRANTS_DIR "/8086:10d3" GRANT_IDS_SUFFIX

static const Grant made = {
                .identity = {.address = {0, 5, 1, 0}, .vendor = 0x8086, .device = 0x10d3},
                .set = {.n_members = 1, .members = {{0, 5, 1, 0}}},
                .ids = "8086:10d3",
};

static void write_grant(FakeHost *h, const Grant *g) {
        char text[GRANT_TEXT_SIZE], path[GRANT_PATH_SIZE];

        assert_true(grant_format(g, text, sizeof text) > 0);
        fake_host_write(h, grant_path(g->pending, &g->identity.address, path), "%s", text);
}

static int setup(void **state) {
        FakeHost *h = fake_host_new();

        write_grant(h, &made);
        fake_host_write(h, IDS_FILE, "format=1\nids=8086:10d3\ngranted-by=1000\ngranted-at=1760000000\n");
        *state = h;
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static void expect_standing(FakeHost *h, const char *ids, bool expected) {
        GrantFiles files;
        Grant g = made;

        (void)snprintf(g.ids, sizeof g.ids, "%s", ids);
        assert_int_equal(grant_files_read(h->fd, geteuid(), &files), 0);
        assert_int_equal(grant_files_stand(&files, &g), expected);
        assert_int_equal(grant_ids_stand(h->fd, &g, geteuid()), expected);
        grant_files_clear(&files);
}

static void test_a_grant_stands_on_its_selector(void **state) {
        FakeHost *h = *state;

        expect_standing(h, "8086:10d3", true);
        expect_standing(h, "", true); /* the device itself was granted */
        expect_standing(h, "8086:10d3:8086:a01f", false);
        fake_host_write(h, IDS_FILE, "damaged\n");
        expect_standing(h, "8086:10d3", false);
        fake_host_remove(h, IDS_FILE);
        expect_standing(h, "8086:10d3", false);
        expect_standing(h, "", true);
}

static void test_marks_are_read_with_their_grants(void **state) {
        static const char boot[] = "0123456789abcdef0123456789abcdef";
        const PciAddress *a = &made.identity.address;
        char path[GRANT_PATH_SIZE];
        FakeHost *h = *state;
        GrantFiles files;

        fake_host_write(h, grant_mark_path(a, path), "%s\n", boot);
        fake_host_write(h, GRANTS_DIR "/0000:05:02.0" GRANT_MARK_SUFFIX, "%s\n", boot); /* of no grant */
        assert_int_equal(grant_files_read(h->fd, geteuid(), &files), 0);
        assert_int_equal(files.n_grants, 1);
        assert_int_equal(files.n_damaged, 0);
        assert_string_equal(grant_files_find(&files, a)->persistent, boot);
        grant_files_clear(&files);

        fake_host_remove(h, grant_mark_path(a, path));
        assert_int_equal(grant_files_read(h->fd, geteuid(), &files), 0);
        assert_string_equal(grant_files_find(&files, a)->persistent, "");
        grant_files_clear(&files);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_a_grant_stands_on_its_selector),
                        CASE(test_marks_are_read_with_their_grants),
        };

        return cmocka_run_group_tests_name("grants-alike", tests, NULL, NULL);
}
