/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vfio-hold: plays the VM. Takes a PCI device through VFIO the way a hypervisor does, and keeps it.
 *
 *   vfio-hold [--group-only | --cdev [--open-only]] ADDRESS
 *
 * (default)       /dev/vfio/N, a type 1 container, the device, its BAR 0 mapped
 * --group-only    opens /dev/vfio/N and no more: the least that makes the set "in use"
 * --cdev          /dev/vfio/devices/vfioX bound to an iommufd, the device, its BAR 0 mapped
 * --open-only     with --cdev: opens the node and no more
 *
 * Prints `ready` when it holds. Then each line on stdin is a question: `read OFFSET` answers with
 * `OFFSET: VALUE` (32 bits of BAR 0, both in hex). End of input, or a signal, lets go of everything.
 * Errors are one line on stderr with the errno's name in words, exit code 1.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* From kernel headers newer than Debian 12's: the cdev and iommufd. */
struct bind_iommufd {
        __u32 argsz;
        __u32 flags;
        __s32 iommufd;
        __u32 out_devid;
};
struct attach_iommufd_pt {
        __u32 argsz;
        __u32 flags;
        __u32 pt_id;
};
struct ioas_alloc {
        __u32 size;
        __u32 flags;
        __u32 out_ioas_id;
};
#define BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#define IOAS_ALLOC _IO(';', 0x81)

#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY 2

_Noreturn static void die(const char *what) {
        fprintf(stderr, "vfio-hold: %s: %s\n", what, strerror(errno));
        exit(1);
}

static int open_node(const char *path) {
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                die(path);
        return fd;
}

static int open_group(const char *address) {
        char link[128], target[512], node[64];
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", address);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                die(link);
        target[n] = '\0';
        (void)snprintf(node, sizeof(node), "/dev/vfio/%s", strrchr(target, '/') + 1);
        return open_node(node);
}

static int device_by_group(int group, const char *address) {
        struct vfio_group_status status = {.argsz = sizeof(status)};
        int container, device;

        container = open_node("/dev/vfio/vfio");
        if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
                die("group status");
        if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
                errno = EPERM;
                die("the IOMMU set is not viable");
        }
        if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0)
                die("set container");
        if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
                die("set IOMMU");
        device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
        if (device < 0)
                die("get device");
        return device;
}

static int open_cdev(const char *address) {
        char path[320];
        struct dirent *entry;
        DIR *dir;

        (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", address);
        dir = opendir(path);
        if (!dir)
                die(path);
        while ((entry = readdir(dir)))
                if (strncmp(entry->d_name, "vfio", 4) == 0) {
                        (void)snprintf(path, sizeof(path), "/dev/vfio/devices/%s", entry->d_name);
                        return open_node(path);
                }
        errno = ENOENT;
        die(path);
}

static void attach_cdev(int device) {
        struct bind_iommufd bind = {.argsz = sizeof(bind)};
        struct ioas_alloc alloc = {.size = sizeof(alloc)};
        struct attach_iommufd_pt attach = {.argsz = sizeof(attach)};

        bind.iommufd = open_node("/dev/iommu");
        if (ioctl(device, BIND_IOMMUFD, &bind) < 0)
                die("bind iommufd");
        if (ioctl(bind.iommufd, IOAS_ALLOC, &alloc) < 0)
                die("allocate address space");
        attach.pt_id = alloc.out_ioas_id;
        if (ioctl(device, ATTACH_IOMMUFD_PT, &attach) < 0)
                die("attach address space");
}

static const volatile uint32_t *map_bar0(int device, size_t *ret_size) {
        struct vfio_region_info config = {.argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX};
        struct vfio_region_info bar = {.argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX};
        uint16_t command;
        void *memory;

        if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) < 0 ||
            ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) < 0)
                die("region info");
        if (bar.size == 0 || !(bar.flags & VFIO_REGION_INFO_FLAG_MMAP))
                return NULL;

        /* What the guest's BIOS would do: let the device decode memory. */
        if (pread(device, &command, 2, (off_t)config.offset + PCI_COMMAND) != 2)
                die("read command register");
        command |= PCI_COMMAND_MEMORY;
        if (pwrite(device, &command, 2, (off_t)config.offset + PCI_COMMAND) != 2)
                die("write command register");

        memory = mmap(NULL, bar.size, PROT_READ, MAP_SHARED, device, (off_t)bar.offset);
        if (memory == MAP_FAILED)
                die("map BAR 0");
        *ret_size = bar.size;
        return memory;
}

static void answer_questions(const volatile uint32_t *bar, size_t size) {
        unsigned long offset;
        char line[128];

        while (fgets(line, sizeof(line), stdin)) {
                if (sscanf(line, "read %lx", &offset) != 1)
                        printf("?\n");
                else if (!bar || offset % 4 != 0 || offset >= size)
                        printf("%lx: out of range\n", offset);
                else
                        printf("%lx: %x\n", offset, bar[offset / 4]);
                (void)fflush(stdout);
        }
}

int main(int argc, char **argv) {
        bool group_only = false, cdev = false, open_only = false;
        const volatile uint32_t *bar = NULL;
        const char *address = NULL;
        size_t size = 0;
        int device = -1, group;

        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--group-only") == 0)
                        group_only = true;
                else if (strcmp(argv[i], "--cdev") == 0)
                        cdev = true;
                else if (strcmp(argv[i], "--open-only") == 0)
                        open_only = true;
                else
                        address = argv[i];
        if (!address) {
                fprintf(stderr, "vfio-hold: no address\n");
                return 2;
        }

        if (cdev) {
                device = open_cdev(address);
                if (!open_only)
                        attach_cdev(device);
        } else {
                group = open_group(address);
                if (!group_only)
                        device = device_by_group(group, address);
        }
        if (device >= 0 && !open_only)
                bar = map_bar0(device, &size);

        printf("ready\n");
        (void)fflush(stdout);
        answer_questions(bar, size);
        return 0;
}
