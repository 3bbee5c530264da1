/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "lock.h"

static int take(int root, const char *name, const WorkerResult *wait) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        char path[sizeof LOCKS_DIR + 16];
        _cleanup_close_ int fd = -1;
        int r;

        (void)snprintf(path, sizeof path, LOCKS_DIR "/%s", name);
        fd = openat(root, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;

        /* The default action of SIGALRM ends a wait that has become pointless, a second after the answer. */
        (void)alarm(wait ? worker_seconds_left(wait) + 1 : 0);
        r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) < 0 ? -errno : 0;
        (void)alarm(0);
        return r < 0 ? r : STEAL_FD(fd);
}

int lock_set(int root, unsigned set, const WorkerResult *wait) {
        char name[16];

        (void)snprintf(name, sizeof name, "%u", set);
        return take(root, name, wait);
}

bool lock_set_is_taken(int root, unsigned set) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        char path[sizeof LOCKS_DIR + 16];
        _cleanup_close_ int fd = -1;

        (void)snprintf(path, sizeof path, LOCKS_DIR "/%u", set);
        fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) >= 0 && lock.l_type != F_UNLCK;
}

int lock_grants(int root, WorkerResult *result) {
        int fd;

        worker_doing(result, "waiting for another change of grants");
        fd = take(root, "grants", result);
        if (fd < 0)
                return worker_fail_write(result, "Nothing was changed", LOCKS_DIR "/grants", fd);
        return fd;
}
