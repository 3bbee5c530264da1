/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "macro.h"
#include "sysfs-write.h"

int sysfs_write(int at, const char *path, const char *data) {
        _cleanup_close_ int fd = -1;
        ssize_t n;

        assert(path);
        assert(data);

        fd = openat(at, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        n = write(fd, data, strlen(data));
        if (n < 0)
                return -errno;
        return (size_t)n == strlen(data) ? 0 : -EIO;
}
