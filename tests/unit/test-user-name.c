/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "user-name.h"

static void expect(FakeHost *h, uid_t uid, const char *expected) {
        char buf[USER_NAME_SIZE];

        assert_string_equal(user_name(h->fd, uid, buf), expected);
}

static void test_names(void **state _unused_) {
        _cleanup_(fake_host_freep) FakeHost *h = fake_host_new();
        char longest[USER_NAME_SIZE], longer[2048];

        expect(h, 0, "uid 0"); /* no such file */

        memset(longest, 'x', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        memset(longer, 'y', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        fake_host_write(h, "etc/passwd",
                        "root:x:0:0:root:/root:/bin/bash\n"
                        "no line of a user\n"
                        "%s:x:1001:1001::/:/bin/sh\n"
                        "%s:x:1002:1002::/:/bin/sh\n"
                        "%sz:x:1003:1003::/:/bin/sh\n"
                        "alice:x:1000:1000:Alice:/home/alice:/bin/bash\n"
                        "second:x:1000:1000::/:/bin/bash\n",
                        longest, longer, longest);
        expect(h, 0, "root");
        expect(h, 1000, "alice");
        expect(h, 1001, longest);
        expect(h, 1002, "uid 1002");
        expect(h, 1003, "uid 1003");
        expect(h, 4294967294U, "uid 4294967294");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests_name("user-name", tests, NULL, NULL);
}
