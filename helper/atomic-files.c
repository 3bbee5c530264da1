/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "atomic-files.h"

int atomic_files_open(AtomicFiles *f, int root, const char *directory, bool sync) {
        assert(f);
        assert(directory);

        *f = (AtomicFiles){.sync = sync};
        f->dir = openat(root, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return f->dir < 0 ? -errno : 0;
}

static const char *temporary(const AtomicFiles *f, size_t i, char buf[static ATOMIC_NAME_SIZE + 1]) {
        (void)snprintf(buf, ATOMIC_NAME_SIZE + 1, ".%s", f->names[i]);
        return buf;
}

int atomic_files_add(AtomicFiles *f, const char *name, const char *text) {
        char new[ATOMIC_NAME_SIZE + 1];
        _cleanup_close_ int fd = -1;
        size_t length = strlen(text);
        ssize_t n;

        assert(f->n < ELEMENTSOF(f->names));
        assert(strlen(name) < ATOMIC_NAME_SIZE);

        strcpy(f->names[f->n], name);
        (void)unlinkat(f->dir, temporary(f, f->n, new), 0);
        fd = openat(f->dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;

        f->n++;
        n = write(fd, text, length);
        if (n >= 0 && (size_t)n != length)
                return -ENOSPC;
        return n < 0 || fchmod(fd, 0644) < 0 || (f->sync && fsync(fd) < 0) ? -errno : 0;
}

int atomic_files_commit(AtomicFiles *f) {
        char new[ATOMIC_NAME_SIZE + 1];

        for (; f->n > 0; f->n--)
                if (renameat(f->dir, temporary(f, f->n - 1, new), f->dir, f->names[f->n - 1]) < 0)
                        return -errno;
        return f->sync && fsync(f->dir) < 0 ? -errno : 0;
}

void atomic_files_close(AtomicFiles *f) {
        char new[ATOMIC_NAME_SIZE + 1];

        if (f->dir < 0)
                return;
        for (size_t i = 0; i < f->n; i++)
                (void)unlinkat(f->dir, temporary(f, i, new), 0);
        (void)close(f->dir);
}

int atomic_file_replace(int dir, const char *name, const char *text, bool sync) {
        _cleanup_close_ int fd = -1;
        size_t length = strlen(text);
        char new[64];
        ssize_t n;
        int r;

        (void)snprintf(new, sizeof new, ".%s.%d", name, (int)getpid());
        (void)unlinkat(dir, new, 0);
        fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;

        n = write(fd, text, length);
        r = n < 0 || fchmod(fd, 0644) < 0 || (sync && fsync(fd) < 0) ? -errno : 0;
        if (r >= 0 && (size_t)n != length)
                r = -ENOSPC;
        if (r >= 0)
                r = renameat(dir, new, dir, name) < 0 || (sync && fsync(dir) < 0) ? -errno : 0;
        if (r < 0)
                (void)unlinkat(dir, new, 0);
        return r;
}
