/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "node.h"
#include "sysfs.h"
#include "vfio.h"

static int open_node(int root, const char *node, int flags, int at, const char *number) {
        _cleanup_close_ int fd = -1;
        int r;

        fd = openat(root, node, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        r = vfio_check_node(fd, at, number);
        return r == -ENOENT ? -ENXIO : r < 0 ? r : STEAL_FD(fd);
}

int node_open_group(int root, unsigned iommu_set) {
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

int node_open_device(int root, int device, int flags) {
        char name[16], node[48], number[48];
        int r;

        r = sysfs_each(device, "vfio-dev", take_name, name);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;

        (void)snprintf(node, sizeof node, "dev/vfio/devices/%s", name);
        (void)snprintf(number, sizeof number, "vfio-dev/%s/dev", name);
        return open_node(root, node, flags, device, number);
}

int node_open_iommufd(int root) {
        return open_node(root, "dev/iommu", O_RDWR, root, "sys/class/misc/iommu/dev");
}
