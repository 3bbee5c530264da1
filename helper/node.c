/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "node.h"
#include "sysfs.h"

int node_check(int fd, int at, const char *number) {
        char is[32], expected[32];
        struct stat st;
        int r;

        r = sysfs_read(at, number, expected, sizeof expected);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return -errno;

        (void)snprintf(is, sizeof is, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
        return S_ISCHR(st.st_mode) && streq(is, expected) ? 0 : -ENXIO;
}
