/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "fake-host.h"
#include "sysfs.h"

static int setup(void **state) {
        *state = fake_host_new();
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static void test_reads_text_without_its_newline(void **state) {
        FakeHost *h = *state;
        char buf[8];

        fake_host_write(h, "a", "abc\n");
        assert_int_equal(sysfs_read(h->fd, "a", buf, sizeof buf), 3);
        assert_string_equal(buf, "abc");

        fake_host_write(h, "a", "abc\n\n");
        assert_int_equal(sysfs_read(h->fd, "a", buf, sizeof buf), 4);
        assert_string_equal(buf, "abc\n");

        fake_host_write(h, "a", "%s", "");
        assert_int_equal(sysfs_read(h->fd, "a", buf, sizeof buf), 0);
        assert_string_equal(buf, "");
}

static void test_never_cuts(void **state) {
        FakeHost *h = *state;
        char buf[8];

        fake_host_write(h, "a", "1234567");
        assert_int_equal(sysfs_read(h->fd, "a", buf, sizeof buf), 7);
        fake_host_write(h, "a", "12345678");
        assert_int_equal(sysfs_read(h->fd, "a", buf, sizeof buf), -E2BIG);
        assert_string_equal(buf, "");
}

static void test_refuses_bytes_that_hide_text(void **state) {
        FakeHost *h = *state;
        char buf[8];

        fake_host_write_bytes(h, "a", "a\0b", 3);
        assert_int_equal(sysfs_read(h->fd, "a", buf, sizeof buf), -EBADMSG);
        assert_string_equal(buf, "");
}

static void test_tells_why_it_cannot_read(void **state) {
        FakeHost *h = *state;
        char buf[8];

        assert_int_equal(sysfs_read(h->fd, "none", buf, sizeof buf), -ENOENT);
        assert_int_equal(sysfs_read(h->fd, "sys", buf, sizeof buf), -EISDIR);
        assert_int_equal(sysfs_read(-1, "none", buf, sizeof buf), -EBADF);
        assert_int_equal(sysfs_open_dir(h->fd, "none"), -ENOENT);
        assert_int_equal(sysfs_open_dir(h->fd, "proc/cmdline"), -ENOTDIR);
}

static void test_does_not_wait_for_a_fifo(void **state) {
        FakeHost *h = *state;
        char buf[8];

        assert_int_equal(mkfifoat(h->fd, "fifo", 0600), 0);
        assert_int_equal(sysfs_read(h->fd, "fifo", buf, sizeof buf), 0);
}

static void test_reads_numbers_and_nothing_else(void **state) {
        static const struct {
                const char *text;
                unsigned base;
                int r;
                uint64_t value;
        } table[] = {
                        {"0x8086\n", 16, 0, 0x8086},
                        {"8086", 16, 0, 0x8086},
                        {"0x020000\n", 0, 0, 0x20000},
                        {"42\n", 10, 0, 42},
                        {"18446744073709551615", 10, 0, UINT64_MAX},
                        {"18446744073709551616", 10, -EINVAL, 0},
                        {"", 10, -EINVAL, 0},
                        {"\n", 10, -EINVAL, 0},
                        {"-1\n", 10, -EINVAL, 0},
                        {"+1", 10, -EINVAL, 0},
                        {" 1", 10, -EINVAL, 0},
                        {"\t1", 10, -EINVAL, 0},
                        {"1 ", 10, -EINVAL, 0},
                        {"1\n2", 10, -EINVAL, 0},
                        {"12ab", 10, -EINVAL, 0},
                        {"0x", 16, -EINVAL, 0},
                        {"(null)", 16, -EINVAL, 0},
        };
        FakeHost *h = *state;
        uint64_t v;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                v = 7;
                fake_host_write(h, "n", "%s", table[i].text);
                r = sysfs_read_u64(h->fd, "n", table[i].base, &v);
                if (r != table[i].r || v != (r == 0 ? table[i].value : 7))
                        fail_msg("'%s' gave %d and %llu", table[i].text, r, (unsigned long long)v);
        }
}

static void test_reads_links_whole(void **state) {
        FakeHost *h = *state;
        char buf[16];

        fake_host_link(h, "l", "../../bus/e1000e");
        assert_int_equal(sysfs_read_link_name(h->fd, "l", buf, sizeof buf), 6);
        assert_string_equal(buf, "e1000e");
        assert_int_equal(sysfs_read_link(h->fd, "l", buf, sizeof buf), -ENAMETOOLONG);
        assert_int_equal(sysfs_read_link_name(h->fd, "l", buf, 6), -ENAMETOOLONG);
        assert_int_equal(sysfs_read_link(h->fd, "none", buf, sizeof buf), -ENOENT);
        assert_int_equal(sysfs_read_link(h->fd, "proc", buf, sizeof buf), -EINVAL);
}

static void test_reads_tables_of_any_length(void **state) {
        _cleanup_free_ char *text = NULL, *again = NULL;
        FakeHost *h = *state;

        for (int i = 0; i < 2000; i++)
                fake_host_append(h, "table", "line %d\n", i);
        assert_int_equal(sysfs_read_full(h->fd, "table", 1 << 20, &text), 0);
        assert_int_equal(strlen(text), 10 * 7 + 90 * 8 + 900 * 9 + 1000 * 10);
        assert_int_equal(sysfs_read_full(h->fd, "table", 100, &again), -E2BIG);
        assert_null(again);
}

static int count(const char *name, void *userdata) {
        unsigned *n = userdata;

        assert_string_not_equal(name, ".");
        assert_string_not_equal(name, "..");
        return ++*n == 3 ? 42 : 0;
}

static void test_goes_through_entries_until_told_to_stop(void **state) {
        FakeHost *h = *state;
        unsigned n = 0;

        fake_host_write(h, "d/a", "%s", "");
        fake_host_write(h, "d/b", "%s", "");
        assert_int_equal(sysfs_each(h->fd, "d", count, &n), 0);
        assert_int_equal(n, 2);

        fake_host_write(h, "d/c", "%s", "");
        fake_host_write(h, "d/e", "%s", "");
        n = 0;
        assert_int_equal(sysfs_each(h->fd, "d", count, &n), 42);
        assert_int_equal(n, 3);
        assert_int_equal(sysfs_each(h->fd, "none", count, &n), -ENOENT);
        assert_int_equal(sysfs_each(h->fd, "d/a", count, &n), -ENOTDIR);
}

static void test_leaks_no_descriptor(void **state) {
        FakeHost *h = *state;
        char buf[8];
        unsigned n = 0;
        int before, after;

        before = dup(h->fd);
        close(before);
        (void)sysfs_each(h->fd, "sys", count, &n);
        (void)sysfs_each(h->fd, "none", count, &n);
        (void)sysfs_read(h->fd, "proc/cmdline", buf, sizeof buf);
        (void)sysfs_read(h->fd, "none", buf, sizeof buf);
        after = dup(h->fd);
        close(after);
        assert_int_equal(before, after);
}

static void test_a_device_that_is_gone_stays_gone(void **state) {
        const FakeDevice card = {.address = "0000:00:02.0", .vendor = 0x8086, .device = 0x10d3};
        PciAddress a = {0, 0, 2, 0};
        _cleanup_close_ int fd = -1;
        FakeHost *h = *state;
        char buf[16];

        assert_int_equal(sysfs_open_device(h->fd, &a), -ENODEV);
        fake_host_add_device(h, &card);
        fd = sysfs_open_device(h->fd, &a);
        assert_true(fd >= 0);
        assert_true(sysfs_read(fd, "vendor", buf, sizeof buf) > 0);

        /* Another card at the same address is another device: the descriptor does not follow the name. */
        fake_host_remove_device(h, card.address);
        fake_host_add_device(h, &card);
        assert_int_equal(sysfs_read(fd, "vendor", buf, sizeof buf), -ENOENT);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_reads_text_without_its_newline),
                        CASE(test_never_cuts),
                        CASE(test_refuses_bytes_that_hide_text),
                        CASE(test_tells_why_it_cannot_read),
                        CASE(test_does_not_wait_for_a_fifo),
                        CASE(test_reads_numbers_and_nothing_else),
                        CASE(test_reads_links_whole),
                        CASE(test_reads_tables_of_any_length),
                        CASE(test_goes_through_entries_until_told_to_stop),
                        CASE(test_leaks_no_descriptor),
                        CASE(test_a_device_that_is_gone_stays_gone),
        };

        return cmocka_run_group_tests_name("sysfs", tests, NULL, NULL);
}
