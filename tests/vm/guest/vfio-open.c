/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define _GNU_SOURCE
#include "vfio-open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <linux/vfio.h>
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
struct ioas_map {
        __u32 size;
        __u32 flags;
        __u32 ioas_id;
        __u32 reserved;
        __aligned_u64 user_va;
        __aligned_u64 length;
        __aligned_u64 iova;
};
#define BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH_IOMMUFD_PT _IO(VFIO_TYPE, VFIO_BASE + 19)
#define IOAS_ALLOC _IO(';', 0x81)
#define IOAS_MAP _IO(';', 0x85)
#define IOAS_MAP_FIXED_WRITE_READ 7

#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY 2
#define PCI_COMMAND_MASTER 4

_Noreturn void die(const char *what) {
        fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
        exit(1);
}

int vfio_open_node(const char *path) {
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                die(path);
        return fd;
}

int vfio_set_of(const char *address, char *ret_node, size_t size) {
        char link[128], target[512];
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", address);
        n = readlink(link, target, sizeof(target) - 1);
        if (n < 0)
                die(link);
        target[n] = '\0';
        (void)snprintf(ret_node, size, "/dev/vfio/%s", strrchr(target, '/') + 1);
        return atoi(strrchr(target, '/') + 1);
}

int vfio_open_container(void) {
        return vfio_open_node("/dev/vfio/vfio");
}

void vfio_join_container(int container, int group) {
        struct vfio_group_status status = {.argsz = sizeof(status)};

        if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
                die("group status");
        if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
                errno = EPERM;
                die("the IOMMU set is not viable");
        }
        if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0)
                die("set container");
        /* Once for a container, when it has its first group. */
        if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0 && errno != EINVAL)
                die("set IOMMU");
}

int vfio_device_of_group(int group, const char *address) {
        int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);

        if (device < 0)
                die("get device");
        return device;
}

int vfio_open_cdev(const char *address) {
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
                        return vfio_open_node(path);
                }
        errno = ENOENT;
        die(path);
}

uint32_t vfio_make_address_space(int iommufd) {
        struct ioas_alloc alloc = {.size = sizeof(alloc)};

        if (ioctl(iommufd, IOAS_ALLOC, &alloc) < 0)
                die("allocate address space");
        return alloc.out_ioas_id;
}

void vfio_attach_cdev(int device, int iommufd, uint32_t address_space) {
        struct bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = iommufd};
        struct attach_iommufd_pt attach = {.argsz = sizeof(attach), .pt_id = address_space};

        if (ioctl(device, BIND_IOMMUFD, &bind) < 0)
                die("bind iommufd");
        if (ioctl(device, ATTACH_IOMMUFD_PT, &attach) < 0)
                die("attach address space");
}

static void *memory_to_share(size_t size) {
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                            -1, 0);

        if (memory == MAP_FAILED)
                die("memory to share");
        return memory;
}

void *vfio_share_by_container(int container, size_t size, uint64_t bus) {
        void *memory = memory_to_share(size);
        struct vfio_iommu_type1_dma_map map = {.argsz = sizeof(map),
                                               .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                               .vaddr = (uintptr_t)memory,
                                               .iova = bus,
                                               .size = size};

        if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map) < 0)
                die("share memory");
        return memory;
}

void *vfio_share_by_iommufd(int iommufd, uint32_t address_space, size_t size, uint64_t bus) {
        void *memory = memory_to_share(size);
        struct ioas_map map = {.size = sizeof(map),
                               .flags = IOAS_MAP_FIXED_WRITE_READ,
                               .ioas_id = address_space,
                               .user_va = (uintptr_t)memory,
                               .length = size,
                               .iova = bus};

        if (ioctl(iommufd, IOAS_MAP, &map) < 0)
                die("share memory");
        return memory;
}

static struct vfio_region_info region(int device, unsigned index) {
        struct vfio_region_info info = {.argsz = sizeof(info), .index = index};

        if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
                die("region info");
        return info;
}

uint32_t vfio_read_config(int device, unsigned offset, unsigned n_bytes) {
        struct vfio_region_info config = region(device, VFIO_PCI_CONFIG_REGION_INDEX);
        uint32_t value = 0;

        if (pread(device, &value, n_bytes, (off_t)(config.offset + offset)) != (ssize_t)n_bytes)
                die("read configuration space");
        return value;
}

static void allow(int device, uint16_t bits) {
        struct vfio_region_info config = region(device, VFIO_PCI_CONFIG_REGION_INDEX);
        uint16_t command = (uint16_t)(vfio_read_config(device, PCI_COMMAND, 2) | bits);

        if (pwrite(device, &command, 2, (off_t)config.offset + PCI_COMMAND) != 2)
                die("write command register");
}

void vfio_make_bus_master(int device) {
        allow(device, PCI_COMMAND_MASTER);
}

volatile uint32_t *vfio_map_bar0(int device, size_t *ret_size) {
        struct vfio_region_info bar = region(device, VFIO_PCI_BAR0_REGION_INDEX);
        void *memory;

        *ret_size = 0;
        if (bar.size == 0 || !(bar.flags & VFIO_REGION_INFO_FLAG_MMAP))
                return NULL;

        /* What the guest's BIOS would do. */
        allow(device, PCI_COMMAND_MEMORY);
        memory = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar.offset);
        if (memory == MAP_FAILED)
                die("map BAR 0");
        *ret_size = bar.size;
        return memory;
}
