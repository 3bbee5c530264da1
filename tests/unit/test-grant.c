/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "critical.h"
#include "text.h"
#include "fake-host.h"
#include "grant.h"

static const Grant example = {
                .identity = {.address = {0, 5, 1, 0},
                             .vendor = 0x8086,
                             .device = 0x10d3,
                             .subsystem_vendor = 0x8086,
                             .subsystem_device = 0xa01f,
                             .class_code = 0x020000,
                             .revision = 0xab,
                             .serial = "S=1 # 2",
                             .slot = "5"},
                .set = {.n_members = 2, .members = {{0, 5, 1, 0}, {0, 5, 2, 0}}},
                .host_driver = "e1000e",
                .consent = 1U << CRITICAL_MOUNTED | 1U << CRITICAL_ADDRESS,
                .granted_by = 1000,
                .granted_at = 1760000000,
                .ids = "8086:10d3:8086:a01f",
};

static bool same(const Grant *a, const Grant *b) {
        return pci_address_compare(&a->identity.address, &b->identity.address) == 0 &&
               pci_identity_same(&a->identity, &b->identity) &&
               streq(a->identity.serial, b->identity.serial) && streq(a->identity.slot, b->identity.slot) &&
               iommu_set_same_members(&a->set, &b->set) && streq(a->host_driver, b->host_driver) &&
               a->consent == b->consent && a->granted_by == b->granted_by &&
               a->granted_at == b->granted_at && streq(a->ids, b->ids) && a->covers_vfs == b->covers_vfs &&
               a->vfs == b->vfs;
}

static void format_example(char *text) {
        int n = grant_format(&example, text, GRANT_TEXT_SIZE);

        assert_int_equal(n, strlen(text));
}

static void test_round_trip(void **state _unused_) {
        char text[GRANT_TEXT_SIZE];
        Grant g;

        format_example(text);
        assert_int_equal(grant_parse(text, &g), 0);
        assert_true(same(&g, &example));
        assert_non_null(strstr(text, "\nconsent=mounted address\n"));
        assert_non_null(strstr(text, "\niommu-set=0000:05:01.0 0000:05:02.0\n"));
}

/* xorshift: the same series on each machine, so that a failure can be had again. */
static uint64_t draw(void) {
        static uint64_t x = 88172645463325252ULL;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return x;
}

static void draw_text(char *ret, size_t size, const char *without) {
        char raw[128];
        size_t n = draw() % size;

        for (size_t i = 0; i < n; i++)
                do
                        raw[i] = (char)draw();
                while (without && strchr(without, raw[i]));
        text_sanitize(ret, size, raw, n);
}

static PciAddress draw_address(void) {
        return (PciAddress){(uint32_t)(draw() >> (draw() % 32)), (uint8_t)draw(), draw() & 0x1f, draw() & 7};
}

static void draw_grant(Grant *g) {
        size_t n = draw() % DEVICES_PER_CALL_MAX;
        PciAddress a;

        *g = (Grant){.identity = {.address = draw_address(),
                                  .vendor = (uint16_t)draw(),
                                  .device = (uint16_t)draw(),
                                  .subsystem_vendor = (uint16_t)draw(),
                                  .subsystem_device = (uint16_t)draw(),
                                  .class_code = draw() & 0xffffff,
                                  .revision = (uint8_t)draw()},
                     .consent = draw() & CRITICAL_OVERRIDABLE,
                     .granted_by = (uid_t)(draw() % UINT32_MAX),
                     .granted_at = draw()};
        g->covers_vfs = draw() & 1;
        g->vfs = g->covers_vfs ? (uint16_t)(draw() % (VFS_MAX + 1)) : 0;
        draw_text(g->identity.serial, sizeof g->identity.serial, NULL);
        draw_text(g->identity.slot, sizeof g->identity.slot, NULL);
        draw_text(g->host_driver, sizeof g->host_driver, "/");
        assert_int_equal(iommu_set_add(&g->set, &g->identity.address), 0);
        while (n-- > 0) {
                a = draw_address();
                assert_int_equal(iommu_set_add(&g->set, &a), 0);
        }
}

static void test_random_grants_round_trip(void **state _unused_) {
        char text[GRANT_TEXT_SIZE], again[GRANT_TEXT_SIZE];
        Grant g, back;
        int n;

        for (int i = 0; i < 5000; i++) {
                draw_grant(&g);
                n = grant_format(&g, text, sizeof text);
                assert_int_equal(n, strlen(text));
                if (grant_parse(text, &back) < 0 || !same(&g, &back))
                        fail_msg("grant %d does not come back:\n%s", i, text);
                assert_int_equal(grant_format(&back, again, sizeof again), n);
                assert_string_equal(text, again);
        }
}

static void test_the_longest_grant_fits(void **state _unused_) {
        char text[GRANT_TEXT_SIZE];
        Grant g = example, back;

        memset(g.identity.serial, 's', sizeof g.identity.serial - 1);
        memset(g.identity.slot, 's', sizeof g.identity.slot - 1);
        memset(g.host_driver, 'd', sizeof g.host_driver - 1);
        g.consent = CRITICAL_OVERRIDABLE;
        g.granted_by = UINT32_MAX - 1;
        g.granted_at = UINT64_MAX;
        g.set.n_members = 0;
        for (unsigned i = 0; i < DEVICES_PER_CALL_MAX; i++)
                assert_int_equal(iommu_set_add(&g.set, &(PciAddress){0xfffffff0, 0xff, (uint8_t)(i / 8),
                                                                     (uint8_t)(i % 8)}),
                                 0);
        g.identity.address = g.set.members[0];
        assert_true(grant_format(&g, text, sizeof text) > 0);
        assert_int_equal(grant_parse(text, &back), 0);
        assert_true(same(&g, &back));
}

static void test_format_never_writes_half(void **state _unused_) {
        char text[GRANT_TEXT_SIZE], *small;
        size_t n;

        format_example(text);
        n = strlen(text);
        for (size_t size = 1; size <= n; size += 7) {
                small = malloc(size);
                assert_int_equal(grant_format(&example, small, size), -ENOBUFS);
                free(small);
        }
        assert_int_equal(grant_format(&example, text, n + 1), n);
}

/* Half a consent is none. Only digits of the last line's date can go unseen, and they decide nothing. */
static void test_truncated_text_is_no_grant(void **state _unused_) {
        char text[GRANT_TEXT_SIZE], *cut;
        size_t last;
        Grant g, whole = example;

        format_example(text);
        last = (size_t)(strstr(text, "granted-at=") - text) + strlen("granted-at=");
        for (size_t n = 0; n < strlen(text); n++) {
                cut = strndup(text, n);
                memset(&g, 0x5a, sizeof g);
                if (n <= last) {
                        assert_int_equal(grant_parse(cut, &g), -EBADMSG);
                        assert_int_equal(g.granted_by, 0x5a5a5a5a);
                } else {
                        assert_int_equal(grant_parse(cut, &g), 0);
                        whole.granted_at = g.granted_at;
                        assert_true(same(&g, &whole));
                }
                free(cut);
        }
}

/* One changed byte: either refused, or a grant whose text is just what stands there. */
static void test_damaged_text_never_says_more(void **state _unused_) {
        char whole[GRANT_TEXT_SIZE], text[GRANT_TEXT_SIZE], again[GRANT_TEXT_SIZE];
        unsigned taken = 0;
        Grant g, back;

        format_example(whole);
        for (size_t n = 0; whole[n]; n++)
                for (unsigned v = 1; v < 256; v += 3) {
                        strcpy(text, whole);
                        text[n] = (char)v;
                        if (grant_parse(text, &g) < 0)
                                continue;
                        taken++;
                        assert_true(iommu_set_contains(&g.set, &g.identity.address));
                        assert_int_equal(g.consent & ~CRITICAL_OVERRIDABLE, 0);
                        assert_true(grant_format(&g, again, sizeof again) > 0);
                        assert_int_equal(grant_parse(again, &back), 0);
                        assert_true(same(&g, &back));
                }
        assert_true(taken > 0);
}

static void replaced(char *text, const char *line, const char *with) {
        char *at, rest[GRANT_TEXT_SIZE];

        format_example(text);
        at = strstr(text, line);
        assert_non_null(at);
        strcpy(rest, at + strlen(line));
        strcpy(at, with);
        strcat(text, rest);
}

static void test_wrong_values(void **state _unused_) {
        static const struct {
                const char *line, *with;
        } table[] = {
                        {"format=1\n", "format=2\n"},
                        {"format=1\n", ""},
                        {"format=1\n", "format=1\nformat=1\n"},
                        {"format=1\n", "format=1\nextra=1\n"},
                        {"format=1\n", "format=1\nnonsense\n"},
                        {"format=1\n", "format=1\n=1\n"},
                        {"format=1\n", "Format=1\n"},
                        {"address=0000:05:01.0", "address=0000:05:03.0"}, /* not in its own set */
                        {"address=0000:05:01.0", "address=0000:05:01.9"},
                        {"address=0000:05:01.0", "address="},
                        {"vendor=8086", "vendor=18086"},
                        {"vendor=8086", "vendor=-1"},
                        {"vendor=8086", "vendor= 8086"},
                        {"vendor=8086", "vendor=8086 "},
                        {"vendor=8086", "vendor="},
                        {"class=020000", "class=1000000"},
                        {"revision=ab", "revision=100"},
                        {"serial=S=1 # 2", "serial= S"},
                        {"serial=S=1 # 2", "serial=S\tT"},
                        {"serial=S=1 # 2",
                         "serial=0123456789012345678901234567890123456789012345678901234567890123"},
                        {"slot=5\n", "slot=5 \n"},
                        {"iommu-set=0000:05:01.0 0000:05:02.0", "iommu-set="},
                        {"iommu-set=0000:05:01.0 0000:05:02.0", "iommu-set=0000:05:02.0"},
                        {"iommu-set=0000:05:01.0 0000:05:02.0", "iommu-set=0000:05:01.0 0000:05:01.0"},
                        {"iommu-set=0000:05:01.0 0000:05:02.0", "iommu-set=0000:05:01.0,0000:05:02.0"},
                        {"iommu-set=0000:05:01.0 0000:05:02.0", "iommu-set=0000:05:01.0  0000:05:02.0"},
                        {"host-driver=e1000e", "host-driver=../e1000e"},
                        {"consent=mounted address", "consent=mounted no-iommu"},
                        {"consent=mounted address", "consent=bridge-device"},
                        {"consent=mounted address", "consent=pf-with-vfs"},
                        {"consent=mounted address", "consent=everything"},
                        {"consent=mounted address", "consent=mounted,address"},
                        {"granted-by=1000", "granted-by=4294967295"},
                        {"granted-by=1000", "persistent=0123456789abcdef0123456789abcdef\ngranted-by=1000"},
                        {"ids=8086:10d3:8086:a01f", "ids=8086"},
                        {"ids=8086:10d3:8086:a01f", "ids=8086:10d3:8086"},
                        {"ids=8086:10d3:8086:a01f", "ids=8086:10d4"}, /* does not select this device */
                        {"ids=8086:10d3:8086:a01f", "ids=8086:10d3\nids=8086:10d3"},
                        {"granted-by=1000", "granted-by=root"},
                        {"granted-by=1000", "granted-by=0x3e8"},
                        {"granted-at=1760000000", "granted-at=18446744073709551616"},
        };
        char text[GRANT_TEXT_SIZE];
        Grant g;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                replaced(text, table[i].line, table[i].with);
                if (grant_parse(text, &g) != -EBADMSG)
                        fail_msg("'%s' was taken for '%s'", table[i].with, table[i].line);
        }

        replaced(text, "format=1\n", "# a comment\n\nformat=1\n");
        assert_int_equal(grant_parse(text, &g), 0);
        assert_true(same(&g, &example));
}

/* As the first release wrote them. */
static void test_the_newer_key_may_be_missing(void **state _unused_) {
        char text[GRANT_TEXT_SIZE];
        Grant g, older = example;

        replaced(text, "ids=8086:10d3:8086:a01f\n", "");
        older.ids[0] = '\0';
        assert_int_equal(grant_parse(text, &g), 0);
        assert_true(same(&g, &older));
        replaced(text, "ids=8086:10d3:8086:a01f\n", "ids=\n");
        assert_int_equal(grant_parse(text, &g), 0);
        assert_true(same(&g, &older));
}

static void test_too_many_members_are_refused(void **state _unused_) {
        char text[GRANT_TEXT_SIZE], address[PCI_ADDRESS_SIZE], members[2048];
        PciAddress a;
        Grant g;

        strcpy(members, "iommu-set=0000:05:01.0");
        for (unsigned i = 0; i < DEVICES_PER_CALL_MAX; i++) {
                a = (PciAddress){0, 6, (uint8_t)(i / 8), (uint8_t)(i % 8)};
                strcat(strcat(members, " "), pci_address_format(&a, address));
        }
        replaced(text, "iommu-set=0000:05:01.0 0000:05:02.0", members);
        assert_int_equal(grant_parse(text, &g), -EBADMSG);
}

#define GRANT_FILE "etc/verge-passthrough/grants.d/0000:05:01.0.grant"

static int setup(void **state) {
        char text[GRANT_TEXT_SIZE];

        *state = fake_host_new();
        format_example(text);
        fake_host_write(*state, GRANT_FILE, "%s", text);
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static int read_example(FakeHost *h, uid_t root_uid) {
        PciAddress a = {0, 5, 1, 0};
        Grant g;
        int r;

        r = grant_read(h->fd, &a, root_uid, &g);
        if (r == 0)
                assert_true(same(&g, &example));
        return r;
}

static void test_read(void **state) {
        assert_int_equal(read_example(*state, geteuid()), 0);
        fake_host_remove(*state, GRANT_FILE);
        assert_int_equal(read_example(*state, geteuid()), -ENOENT);
}

static void test_read_asks_whose_file_it_is(void **state) {
        FakeHost *h = *state;

        assert_int_equal(read_example(h, geteuid() + 1), -EPERM);
        assert_int_equal(fchmodat(h->fd, GRANT_FILE, 0664, 0), 0);
        assert_int_equal(read_example(h, geteuid()), -EPERM);
        assert_int_equal(fchmodat(h->fd, GRANT_FILE, 0646, 0), 0);
        assert_int_equal(read_example(h, geteuid()), -EPERM);
        assert_int_equal(fchmodat(h->fd, GRANT_FILE, 0600, 0), 0);
        assert_int_equal(read_example(h, geteuid()), 0);
}

static void test_read_follows_no_link(void **state) {
        FakeHost *h = *state;

        assert_int_equal(renameat(h->fd, GRANT_FILE, h->fd, "etc/other"), 0);
        fake_host_link(h, GRANT_FILE, "../../other");
        assert_int_equal(read_example(h, geteuid()), -EPERM);
        fake_host_remove(h, GRANT_FILE);
        fake_host_mkdir(h, GRANT_FILE);
        assert_int_equal(read_example(h, geteuid()), -EPERM);
        fake_host_remove(h, GRANT_FILE);
        assert_int_equal(mkfifoat(h->fd, GRANT_FILE, 0600), 0);
        assert_int_equal(read_example(h, geteuid()), -EPERM);
}

static void test_read_takes_only_the_grant_of_this_address(void **state) {
        PciAddress other = {0, 5, 2, 0};
        FakeHost *h = *state;
        char text[GRANT_TEXT_SIZE];
        Grant g;

        format_example(text);
        fake_host_write(h, "etc/verge-passthrough/grants.d/0000:05:02.0.grant", "%s", text);
        assert_int_equal(grant_read(h->fd, &other, geteuid(), &g), -EBADMSG);
        fake_host_write(h, GRANT_FILE, "damaged\n");
        assert_int_equal(read_example(h, geteuid()), -EBADMSG);
        fake_host_write(h, GRANT_FILE, "%5000s", "");
        assert_int_equal(read_example(h, geteuid()), -EBADMSG);
        fake_host_write(h, GRANT_FILE, "%s", "");
        assert_int_equal(read_example(h, geteuid()), -EBADMSG);
}

#define PENDING_FILE PENDING_GRANTS_DIR "/0000:05:01.0.grant"

/* Consent to the one must never pass for consent to the other. */
static void test_read_tells_a_device_from_its_functions(void **state) {
        const PciAddress pf = {0, 5, 1, 0}, vf = {0, 5, 2, 0};
        FakeHost *h = *state;
        char text[GRANT_TEXT_SIZE];
        Grant g = example;

        assert_int_equal(grant_read_pf(h->fd, &pf, geteuid(), &g), -ENOENT);
        assert_int_equal(grant_read_vf(h->fd, &vf, &pf, geteuid(), &g), -ENOENT);

        g = example;
        g.ids[0] = '\0';
        g.covers_vfs = true;
        g.vfs = 7;
        assert_true(grant_format(&g, text, sizeof text) > 0);
        fake_host_write(h, "etc/verge-passthrough/grants.d/0000:05:01.0.grant", "%s", text);
        fake_host_write(h, "etc/verge-passthrough/grants.d/0000:05:02.0.boot",
                        "0123456789abcdef0123456789abcdef");
        assert_int_equal(grant_read(h->fd, &pf, geteuid(), &g), -ENOENT);
        assert_int_equal(grant_read_pf(h->fd, &pf, geteuid(), &g), 0);
        assert_int_equal(g.vfs, 7);
        assert_string_equal(g.persistent, "");
        assert_int_equal(grant_read_vf(h->fd, &vf, &pf, geteuid(), &g), 0);
        assert_string_equal(g.persistent, "0123456789abcdef0123456789abcdef");
        assert_int_equal(grant_read_pf(h->fd, &pf, geteuid() + 1, &g), -EPERM);

        /* A selector names what leaves itself. */
        g.persistent[0] = '\0';
        strcpy(g.ids, example.ids);
        assert_true(grant_format(&g, text, sizeof text) > 0);
        assert_int_equal(grant_parse(text, &g), -EBADMSG);
}

static void test_read_looks_at_the_pending_one_first(void **state) {
        PciAddress a = {0, 5, 1, 0};
        char text[GRANT_TEXT_SIZE];
        FakeHost *h = *state;
        Grant g = example;

        assert_int_equal(grant_read_from(h->fd, true, &a, geteuid(), &g), -ENOENT);
        assert_int_equal(grant_read(h->fd, &a, geteuid(), &g), 0);
        assert_false(g.pending);

        g.granted_by = 7;
        assert_true(grant_format(&g, text, sizeof text) > 0);
        fake_host_write(h, PENDING_FILE, "%s", text);
        assert_int_equal(grant_read(h->fd, &a, geteuid(), &g), 0);
        assert_true(g.pending);
        assert_int_equal(g.granted_by, 7);
        assert_int_equal(grant_read_from(h->fd, false, &a, geteuid(), &g), 0);
        assert_false(g.pending);
        assert_int_equal(g.granted_by, 1000);

        /* One that is none takes nothing from the kept one; alone it is told. */
        fake_host_write(h, PENDING_FILE, "nonsense\n");
        assert_int_equal(grant_read(h->fd, &a, geteuid(), &g), 0);
        assert_false(g.pending);
        fake_host_remove(h, GRANT_FILE);
        assert_int_equal(grant_read(h->fd, &a, geteuid(), &g), -EBADMSG);
        fake_host_remove(h, PENDING_FILE);
        assert_int_equal(grant_read(h->fd, &a, geteuid(), &g), -ENOENT);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_round_trip),
                        cmocka_unit_test(test_random_grants_round_trip),
                        cmocka_unit_test(test_the_longest_grant_fits),
                        cmocka_unit_test(test_format_never_writes_half),
                        cmocka_unit_test(test_truncated_text_is_no_grant),
                        cmocka_unit_test(test_damaged_text_never_says_more),
                        cmocka_unit_test(test_wrong_values),
                        cmocka_unit_test(test_the_newer_key_may_be_missing),
                        cmocka_unit_test(test_too_many_members_are_refused),
                        CASE(test_read),
                        CASE(test_read_asks_whose_file_it_is),
                        CASE(test_read_follows_no_link),
                        CASE(test_read_tells_a_device_from_its_functions),
                        CASE(test_read_looks_at_the_pending_one_first),
                        CASE(test_read_takes_only_the_grant_of_this_address),
        };

        return cmocka_run_group_tests_name("grant", tests, NULL, NULL);
}
