/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>

#include "names.h"
#include "sysfs.h"

int sysfs_open_dir(int at, const char *path) {
        int fd;

        fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int read_up_to(int at, const char *path, char *buf, size_t size, size_t *ret_length) {
        _cleanup_close_ int fd = -1;
        size_t n = 0;
        ssize_t k;

        fd = openat(at, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;

        for (;;) {
                k = read(fd, buf + n, size - n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
                if (n == size)
                        return -E2BIG;
        }

        buf[n] = '\0';
        if (memchr(buf, '\0', n))
                return -EBADMSG;

        *ret_length = n;
        return 0;
}

int sysfs_read(int at, const char *path, char *buf, size_t size) {
        size_t n;
        int r;

        assert(path);
        assert(buf);
        assert(size > 1 && size <= INT_MAX);

        r = read_up_to(at, path, buf, size, &n);
        if (r < 0) {
                buf[0] = '\0';
                return r;
        }

        if (n > 0 && buf[n - 1] == '\n')
                buf[--n] = '\0';
        return (int)n;
}

int sysfs_read_full(int at, const char *path, size_t max, char **ret) {
        _cleanup_free_ char *buf = NULL;
        size_t n;
        int r;

        assert(path);
        assert(ret);

        buf = malloc(max + 1);
        if (!buf)
                return -ENOMEM;

        r = read_up_to(at, path, buf, max + 1, &n);
        if (r < 0)
                return r;

        *ret = STEAL(buf);
        return 0;
}

int sysfs_read_u64(int at, const char *path, unsigned base, uint64_t *ret) {
        unsigned long long v;
        char buf[64], *end;
        int r;

        assert(ret);

        r = sysfs_read(at, path, buf, sizeof buf);
        if (r < 0)
                return r;

        if (!isxdigit((unsigned char)buf[0])) /* strtoull() would take signs, spaces and nothing at all */
                return -EINVAL;

        errno = 0;
        v = strtoull(buf, &end, (int)base);
        if (errno != 0 || *end != '\0')
                return -EINVAL;

        *ret = v;
        return 0;
}

int sysfs_read_link(int at, const char *path, char *buf, size_t size) {
        ssize_t n;

        assert(path);
        assert(buf);

        n = readlinkat(at, path, buf, size);
        if (n < 0)
                return -errno;
        if ((size_t)n >= size)
                return -ENAMETOOLONG;

        buf[n] = '\0';
        return (int)n;
}

int sysfs_read_link_name(int at, const char *path, char *buf, size_t size) {
        char target[PATH_MAX];
        const char *name;
        int r;

        r = sysfs_read_link(at, path, target, sizeof target);
        if (r < 0)
                return r;

        name = strrchr(target, '/');
        name = name ? name + 1 : target;
        if (strlen(name) >= size)
                return -ENAMETOOLONG;

        strcpy(buf, name);
        return (int)strlen(buf);
}

int sysfs_open_device(int root, const PciAddress *a) {
        char address[PCI_ADDRESS_SIZE], path[64];
        int fd;

        assert(a);

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s", pci_address_format(a, address));
        fd = sysfs_open_dir(root, path);
        return fd == -ENOENT || fd == -ENOTDIR ? -ENODEV : fd;
}

int sysfs_each(int at, const char *path, sysfs_entry_t f, void *userdata) {
        _cleanup_closedir_ DIR *dir = NULL;
        _cleanup_close_ int fd = -1;
        struct dirent *e;
        int r;

        assert(path);
        assert(f);

        fd = sysfs_open_dir(at, path);
        if (fd < 0)
                return STEAL_FD(fd);

        dir = fdopendir(fd);
        if (!dir)
                return -errno;
        (void)STEAL_FD(fd);

        for (errno = 0; (e = readdir(dir)); errno = 0) {
                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                r = f(e->d_name, userdata);
                if (r != 0)
                        return r;
        }

        return -errno;
}

bool sysfs_is_switched_off(int root) {
        char line[8192], *save = NULL;

        if (sysfs_read(root, "proc/cmdline", line, sizeof line) < 0)
                return false;
        for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
                if (streq(word, KERNEL_OPTION_OFF))
                        return true;
        return false;
}
