/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The limit of lockable memory, from the file that the kernel gives and from such as it never would. */

#include <fcntl.h>
#include <sys/resource.h>

#include "fake-host.h"
#include "memlock.h"

#define BEFORE                                                                                              \
        "Limit                     Soft Limit           Hard Limit           Units     \n"                  \
        "Max open files            1024                 524288               files     \n"
#define AFTER "Max address space         unlimited            unlimited            bytes     \n"

static void expect(const char *line, uint64_t value) {
        char text[1024];
        uint64_t v = 0;

        (void)snprintf(text, sizeof text, BEFORE "%s\n" AFTER, line);
        assert_int_equal(memlock_parse(text, &v), 0);
        assert_true(v == value);
}

static void expect_refused(const char *line) {
        char text[1024];
        uint64_t v = 7;

        (void)snprintf(text, sizeof text, BEFORE "%s\n" AFTER, line);
        assert_int_equal(memlock_parse(text, &v), -EBADMSG);
        assert_true(v == 7);
}

static void test_parse(void **state _unused_) {
        expect("Max locked memory         8388608              8388608              bytes     ", 8388608);
        expect("Max locked memory         65536                unlimited            bytes     ", 65536);
        expect("Max locked memory         0                    0                    bytes", 0);
        expect("Max locked memory         unlimited            unlimited            bytes     ",
               MEMLOCK_UNLIMITED);
}

static void test_refused(void **state _unused_) {
        expect_refused("Max locked memory");
        expect_refused("Max locked memory         8388608");
        expect_refused("Max locked memory         8388608              8388608              pages");
        expect_refused("Max locked memory         -1                   8388608              bytes");
        expect_refused("Max locked memory         0x10                 8388608              bytes");
        expect_refused("Max locked memory         99999999999999999999 unlimited            bytes");
        expect_refused("Max locked memory         unlimited            8388608              bytes");
        expect_refused("Max locked memories       8388608              8388608              bytes");
        expect_refused("Max locked memory         00000000000000000000000000000000000001 1 bytes");
        expect_refused("");
}

static void test_file(void **state _unused_) {
        _cleanup_(fake_host_freep) FakeHost *h = fake_host_new();
        _cleanup_free_ char *long_text = malloc(10000);
        uint64_t v = 0;

        fake_host_write(h, "proc/42/limits",
                        BEFORE "Max locked memory         4096 8192 bytes\nMax locked memory 1 1 bytes\n");
        assert_int_equal(memlock_read(h->fd, 42, &v), 0);
        assert_true(v == 4096);

        assert_int_equal(memlock_read(h->fd, 43, &v), -ESRCH);
        assert_int_equal(memlock_read(h->fd, 0, &v), -ESRCH);
        assert_int_equal(memlock_read(h->fd, -1, &v), -ESRCH);

        assert_non_null(long_text);
        memset(long_text, 'x', 10000);
        fake_host_write_bytes(h, "proc/44/limits", long_text, 10000);
        assert_int_equal(memlock_read(h->fd, 44, &v), -EBADMSG);
        fake_host_write(h, "proc/45/limits", "%s", "");
        assert_int_equal(memlock_read(h->fd, 45, &v), -EBADMSG);
        fake_host_write_bytes(h, "proc/46/limits", "Max locked memory \0 1 1 bytes\n", 30);
        assert_int_equal(memlock_read(h->fd, 46, &v), -EBADMSG);
}

/* What this kernel writes for this process. */
static void test_kernel(void **state _unused_) {
        _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct rlimit limit;
        uint64_t v = 0;

        assert_true(root >= 0);
        assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
        assert_int_equal(memlock_read(root, getpid(), &v), 0);
        assert_true(v == (limit.rlim_cur == RLIM_INFINITY ? MEMLOCK_UNLIMITED : limit.rlim_cur));

        limit.rlim_cur = 12288;
        assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
        assert_int_equal(memlock_read(root, getpid(), &v), 0);
        assert_true(v == 12288);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_parse),
                        cmocka_unit_test(test_refused),
                        cmocka_unit_test(test_file),
                        cmocka_unit_test(test_kernel),
        };

        return cmocka_run_group_tests_name("memlock", tests, NULL, NULL);
}
