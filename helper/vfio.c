/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>

#include "node.h"
#include "sysfs.h"
#include "vfio.h"

int vfio_in_use(int root, unsigned iommu_set) {
        _cleanup_close_ int fd = -1;
        char path[32];

        (void)snprintf(path, sizeof path, "dev/vfio/%u", iommu_set);
        fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0)
                return 0;
        return errno == EBUSY ? 1 : -errno;
}

static int open_node(int root, const char *node, int flags, int at, const char *number) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = openat(root, node, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        r = node_check(fd, at, number);
        return r == -ENOENT ? -ENXIO : r < 0 ? r : STEAL_FD(fd);
}

int vfio_open_group(int root, unsigned iommu_set) {
        char node[32], number[48];

        (void)snprintf(node, sizeof node, "dev/vfio/%u", iommu_set);
        (void)snprintf(number, sizeof number, "sys/class/vfio/%u/dev", iommu_set);
        return open_node(root, node, O_PATH, root, number);
}

static int take_name(const char *name, void *userdata) {
        size_t n = strlen(name);

        if (!startswith(name, "vfio") || n <= 4 || n > 14 || strspn(name + 4, "0123456789") != n - 4)
                return 0;
        strcpy(userdata, name);
        return 1;
}

static int open_device(int root, int device, int flags) {
        char name[16], node[48], number[48];
        int r;

        r = sysfs_each(device, "vfio-dev", take_name, name);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;

        (void)snprintf(node, sizeof node, "dev/vfio/devices/%s", name);
        (void)snprintf(number, sizeof number, "vfio-dev/%s/dev", name);
        return open_node(root, node, flags, device, number);
}

int vfio_open_iommufd(int root) {
        return open_node(root, "dev/iommu", O_RDWR, root, "sys/class/misc/iommu/dev");
}

/* Of the open file description, so it lives as long as any copy of that. It is asked for without being taken: two who
 * ask at once must not see each other. */
static const struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

int vfio_open_device(int root, int device) {
        _cleanup_close_ int fd = -1;

        fd = open_device(root, device, O_RDWR);
        if (fd < 0)
                return STEAL_FD(fd);
        return fcntl(fd, F_OFD_SETLK, &whole) < 0 ? -errno : STEAL_FD(fd);
}

bool vfio_device_is_given(int root, int device) {
        struct flock lock = whole;
        _cleanup_close_ int fd = -1;

        fd = open_device(root, device, O_RDONLY);
        return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) >= 0 && lock.l_type != F_UNLCK;
}
