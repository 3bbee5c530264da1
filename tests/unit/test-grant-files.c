/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All grants there are, as the daemon lists them. */

#include <sys/stat.h>

#include "fake-host.h"
#include "grant-files.h"

#define FIRST "0000:01:00.0"
#define SECOND "0000:02:00.0"

static int setup(void **state) {
        *state = fake_host_new();
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static void put_grant(FakeHost *h, const char *directory, const char *address, uint16_t device) {
        char text[GRANT_TEXT_SIZE], path[256];
        Grant g = {.identity = {.vendor = 0x8086, .device = device, .class_code = 0x020000}};

        assert_int_equal(pci_address_parse(address, &g.identity.address), 0);
        assert_int_equal(iommu_set_add(&g.set, &g.identity.address), 0);
        assert_true(grant_format(&g, text, sizeof text) > 0);
        (void)snprintf(path, sizeof path, "%s/%s" GRANT_SUFFIX, directory, address);
        fake_host_write(h, path, "%s", text);
}

static void put_ids(FakeHost *h, const char *word) {
        char text[1024], path[256];
        GrantIds g = {0};

        assert_int_equal(id_selector_parse(word, &g.ids), 0);
        assert_true(grant_ids_format(&g, text, sizeof text) > 0);
        (void)snprintf(path, sizeof path, GRANTS_DIR "/%s" GRANT_IDS_SUFFIX, word);
        fake_host_write(h, path, "%s", text);
}

static GrantFiles read_all(FakeHost *h) {
        GrantFiles f;

        assert_int_equal(grant_files_read(h->fd, geteuid(), &f), 0);
        return f;
}

static void test_none(void **state) {
        FakeHost *h = *state;
        GrantFiles f;

        f = read_all(h);
        assert_int_equal(f.n_grants + f.n_ids, 0);
        grant_files_clear(&f);
        fake_host_remove(h, GRANTS_DIR);
        fake_host_remove(h, PENDING_GRANTS_DIR);
        f = read_all(h);
        assert_int_equal(f.n_grants + f.n_ids, 0);
        grant_files_clear(&f);
}

static void test_the_pending_one_counts(void **state) {
        FakeHost *h = *state;
        GrantFiles f;

        put_grant(h, GRANTS_DIR, SECOND, 2);
        put_grant(h, GRANTS_DIR, FIRST, 1);
        put_grant(h, PENDING_GRANTS_DIR, FIRST, 3);
        f = read_all(h);
        assert_int_equal(f.n_grants, 2);
        assert_int_equal(f.grants[0].identity.device, 3);
        assert_true(f.grants[0].pending);
        assert_int_equal(f.grants[1].identity.device, 2);
        assert_false(f.grants[1].pending);
        grant_files_clear(&f);
}

static void test_what_is_left_out(void **state) {
        FakeHost *h = *state;
        GrantFiles f;

        put_grant(h, GRANTS_DIR, FIRST, 1);
        put_grant(h, GRANTS_DIR, SECOND, 2);
        put_ids(h, "10de:1eb8");
        fake_host_write(h, GRANTS_DIR "/" FIRST ".grant", "nonsense\n");
        assert_int_equal(fchmodat(h->fd, GRANTS_DIR "/" SECOND ".grant", 0666, 0), 0);
        fake_host_write(h, GRANTS_DIR "/.0000:03:00.0.grant", "vendor=8086\n");
        fake_host_write(h, GRANTS_DIR "/0000:03:00.0", "vendor=8086\n");
        fake_host_write(h, GRANTS_DIR "/README", "Hands off.\n");
        fake_host_write(h, GRANTS_DIR "/10de:1eb9.ids", "nonsense\n");
        fake_host_write(h, GRANTS_DIR "/a-name-that-is-much-longer-than-any-address-could-be.grant", "x\n");
        fake_host_mkdir(h, GRANTS_DIR "/0000:04:00.0.grant");
        f = read_all(h);
        assert_int_equal(f.n_grants, 0);
        assert_int_equal(f.n_ids, 1);
        grant_files_clear(&f);
}

/* Ids come in order, so that two looks at the same files are the same; and many find room. */
static void test_ids(void **state) {
        static const PciIdentity gpu = {.vendor = 0x10de, .device = 0x1e05};
        FakeHost *h = *state;
        char word[ID_SELECTOR_SIZE], last[ID_SELECTOR_SIZE] = "";
        GrantFiles f;

        for (unsigned i = 40; i > 0; i--) {
                (void)snprintf(word, sizeof word, "10de:1e%02x", i - 1);
                put_ids(h, word);
        }
        f = read_all(h);
        assert_int_equal(f.n_ids, 40);
        for (size_t i = 0; i < f.n_ids; i++) {
                assert_true(strcmp(last, id_selector_format(&f.ids[i], word)) < 0);
                (void)snprintf(last, sizeof last, "%s", word);
        }
        assert_true(grant_files_cover(&f, &gpu));
        assert_false(grant_files_cover(&f, &(PciIdentity){.vendor = 0x10de, .device = 0x1eff}));
        grant_files_clear(&f);
        assert_false(grant_files_cover(&f, &gpu));
}

/* Pending ids there are none: a file there is not looked at. */
static void test_ids_are_never_pending(void **state) {
        FakeHost *h = *state;
        GrantFiles f;

        put_ids(h, "10de:1eb8");
        assert_int_equal(renameat(h->fd, GRANTS_DIR "/10de:1eb8.ids", h->fd,
                                  PENDING_GRANTS_DIR "/10de:1eb8.ids"),
                         0);
        f = read_all(h);
        assert_int_equal(f.n_ids, 0);
        grant_files_clear(&f);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_none), CASE(test_the_pending_one_counts), CASE(test_what_is_left_out),
                        CASE(test_ids),  CASE(test_ids_are_never_pending),
        };

        return cmocka_run_group_tests_name("grant-files", tests, NULL, NULL);
}
