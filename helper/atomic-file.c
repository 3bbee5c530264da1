/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "atomic-file.h"

static int write_new(int dir, const char *name, const char *text, bool sync) {
        _cleanup_close_ int fd = -1;
        size_t length = strlen(text);
        ssize_t n;

        (void)unlinkat(dir, name, 0);
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;

        n = write(fd, text, length);
        if (n < 0)
                return -errno;
        if ((size_t)n != length)
                return -ENOSPC;
        if (fchmod(fd, 0644) < 0 || (sync && fsync(fd) < 0))
                return -errno;
        return 0;
}

int atomic_file_write(int root, const char *directory, const char *name, const char *text, bool sync) {
        _cleanup_close_ int dir = -1;
        char temporary[64];
        int r;

        if ((size_t)snprintf(temporary, sizeof temporary, ".%s", name) >= sizeof temporary)
                return -ENAMETOOLONG;

        dir = openat(root, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return -errno;

        r = write_new(dir, temporary, text, sync);
        if (r == 0 && renameat(dir, temporary, dir, name) < 0)
                r = -errno;
        if (r < 0)
                (void)unlinkat(dir, temporary, 0);
        else if (sync && fsync(dir) < 0)
                r = -errno;
        return r;
}
