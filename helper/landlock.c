/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "landlock.h"

/* All rights of the first Landlock ABI that change something: they exist wherever Landlock does. */
#define RIGHTS_FILE ((uint64_t)LANDLOCK_ACCESS_FS_WRITE_FILE)
#define RIGHTS_DIRECTORY                                                                                    \
        (RIGHTS_FILE | (uint64_t)LANDLOCK_ACCESS_FS_MAKE_REG | (uint64_t)LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define RIGHTS_ALL                                                                                          \
        (RIGHTS_DIRECTORY | (uint64_t)LANDLOCK_ACCESS_FS_EXECUTE |                                          \
         (uint64_t)LANDLOCK_ACCESS_FS_REMOVE_DIR | (uint64_t)LANDLOCK_ACCESS_FS_MAKE_CHAR |                 \
         (uint64_t)LANDLOCK_ACCESS_FS_MAKE_DIR | (uint64_t)LANDLOCK_ACCESS_FS_MAKE_SOCK |                   \
         (uint64_t)LANDLOCK_ACCESS_FS_MAKE_FIFO | (uint64_t)LANDLOCK_ACCESS_FS_MAKE_BLOCK |                 \
         (uint64_t)LANDLOCK_ACCESS_FS_MAKE_SYM)

/* Third ABI, Linux 6.2: before it, truncate(2) was nobody's business. */
#define ABI_WITH_TRUNCATE 3
#define RIGHT_TRUNCATE (UINT64_C(1) << 14)

int landlock_new(void) {
        struct landlock_ruleset_attr attr = {.handled_access_fs = RIGHTS_ALL};
        long fd;

        if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >=
            ABI_WITH_TRUNCATE)
                attr.handled_access_fs |= RIGHT_TRUNCATE;

        fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
        if (fd < 0)
                return errno == ENOSYS ? -EOPNOTSUPP : -errno;
        return (int)fd;
}

static int allow(int ruleset, int at, const char *path, uint64_t rights) {
        struct landlock_path_beneath_attr attr = {.allowed_access = rights};
        _cleanup_close_ int fd = -1;

        fd = openat(at, path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;

        attr.parent_fd = fd;
        return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0 ? -errno
                                                                                                 : 0;
}

int landlock_allow_file(int ruleset, int at, const char *path) {
        return allow(ruleset, at, path, RIGHTS_FILE);
}

int landlock_allow_directory(int ruleset, int at, const char *path) {
        return allow(ruleset, at, path, RIGHTS_DIRECTORY);
}

int landlock_restrict(int ruleset) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return syscall(SYS_landlock_restrict_self, ruleset, 0) < 0 ? -errno : 0;
}
