/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "atomic-files.h"

#define TEMPORARY_SIZE (ATOMIC_NAME_SIZE + 16)

static int open_directory(int root, const char *path) {
        char directory[128];

        (void)snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
        return openat(root, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static const char *temporary(const AtomicFiles *f, size_t i, char buf[static TEMPORARY_SIZE]) {
        if (f->unlocked)
                (void)snprintf(buf, TEMPORARY_SIZE, ".%s.%d", f->names[i], (int)getpid());
        else
                (void)snprintf(buf, TEMPORARY_SIZE, ".%s", f->names[i]);
        return buf;
}

static int write_temporary(AtomicFiles *f, const char *path, size_t length, const char *text) {
        const char *name = strrchr(path, '/') + 1;
        char new[TEMPORARY_SIZE];
        _cleanup_close_ int fd = -1;
        ssize_t n;

        assert(f->n < ELEMENTSOF(f->names));
        assert(strlen(name) < ATOMIC_NAME_SIZE);

        if (f->dir < 0 && (f->dir = open_directory(f->root, path)) < 0)
                return -errno;

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

void atomic_files_add(AtomicFiles *f, const char *path, int length, const char *text) {
        if (f->error >= 0)
                f->error = length < 0 ? length : write_temporary(f, path, (size_t)length, text);
}

int atomic_files_commit(AtomicFiles *f) {
        char new[TEMPORARY_SIZE];

        if (f->error < 0 || f->n == 0)
                return f->error;
        for (; f->n > 0; f->n--)
                if (renameat(f->dir, temporary(f, f->n - 1, new), f->dir, f->names[f->n - 1]) < 0)
                        return -errno;
        return f->sync && fsync(f->dir) < 0 ? -errno : 0;
}

void atomic_files_close(AtomicFiles *f) {
        char new[TEMPORARY_SIZE];

        for (size_t i = 0; i < f->n; i++)
                (void)unlinkat(f->dir, temporary(f, i, new), 0);
        closep(&f->dir);
}

int atomic_file_remove(int root, const char *path) {
        const char *name = strrchr(path, '/') + 1;
        _cleanup_close_ int dir = -1;

        dir = open_directory(root, path);
        if (dir < 0)
                return errno == ENOENT ? 0 : -errno;
        if (unlinkat(dir, name, 0) < 0) /* on a read-only file system an error, whether it is there or not */
                return errno == ENOENT || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : -errno;
        return fsync(dir) < 0 ? -errno : 1;
}
