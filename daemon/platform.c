/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "names.h"
#include "pci-address.h"
#include "platform.h"
#include "sysfs.h"

static const char *const iommu_kind_table[IOMMU_KIND_MAX] = {
                [IOMMU_NONE] = "none", [IOMMU_INTEL] = "intel",   [IOMMU_AMD] = "amd",
                [IOMMU_SMMU] = "smmu", [IOMMU_VIRTIO] = "virtio",
};

DEFINE_STRING_TABLE(iommu_kind, IommuKind, IOMMU_KIND_MAX);

/* The names that the drivers give: dmar0 (intel/dmar.c), ivhd0 (amd/init.c), smmu3.0x... (arm-smmu-v3.c). A
 * virtio IOMMU is called by the device that it is itself, often a PCI function (virtio-iommu.c). */
static int take_iommu(const char *name, void *userdata) {
        static const struct {
                const char *prefix;
                IommuKind kind;
        } known[] = {
                        {"dmar", IOMMU_INTEL},    {"ivhd", IOMMU_AMD},      {"smmu", IOMMU_SMMU},
                        {"arm-smmu", IOMMU_SMMU}, {"viommu", IOMMU_VIRTIO}, {"virtio", IOMMU_VIRTIO},
        };
        IommuKind *kind = userdata;
        PciAddress a;

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (startswith(name, known[i].prefix)) {
                        *kind = known[i].kind;
                        return 1;
                }
        if (pci_address_parse(name, &a) >= 0)
                *kind = IOMMU_VIRTIO;
        return 0;
}

static int any_entry(const char *name _unused_, void *userdata _unused_) {
        return 1;
}

static bool has_line(int root, const char *path, bool (*wanted)(const char *line)) {
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        int fd;

        fd = openat(root, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        f = fdopen(fd, "re");
        if (!f) {
                (void)close(fd);
                return false;
        }

        while (getline(&line, &size, f) >= 0)
                if (wanted(line))
                        return true;
        return false;
}

/* Interrupt chips behind a remapper: "IR-PCI-MSI" on x86; on Arm the ITS keeps devices apart. */
static bool is_remapped(const char *line) {
        return strstr(line, " IR-") || strstr(line, " ITS-");
}

static bool is_vfio_dev(const char *line) {
        return strstr(line, " vfio-dev\n");
}

static bool exists(int root, const char *path) {
        return faccessat(root, path, F_OK, AT_EACCESS) >= 0;
}

void platform_reread(int root, Platform *p) {
        assert(p);

        p->iommu_kind = IOMMU_NONE;
        (void)sysfs_each(root, "sys/class/iommu", take_iommu, &p->iommu_kind);
        p->iommu_enabled = sysfs_each(root, "sys/class/iommu", any_entry, NULL) > 0 &&
                           sysfs_each(root, "sys/kernel/iommu_groups", any_entry, NULL) > 0;
        p->vfio = exists(root, "sys/bus/pci/drivers/" VFIO_DRIVER);

        /* class/vfio-dev is there since 6.1 whether or not the kernel was built with the cdev, and
         * /dev/vfio/devices only while a device is bound. What tells is the range of character devices that
         * vfio_cdev_init() takes. The sandbox hides /dev/iommu from us, hence its class entry. */
        p->vfio_cdev = (exists(root, "dev/vfio/devices") || has_line(root, "proc/devices", is_vfio_dev)) &&
                       (exists(root, "dev/iommu") || exists(root, "sys/class/misc/iommu"));
}

void platform_read(int root, Platform *ret) {
        Platform p = {0};

        assert(ret);

        platform_reread(root, &p);
        p.interrupt_remapping = has_line(root, "proc/interrupts", is_remapped);
        p.disabled = sysfs_is_switched_off(root);
        *ret = p;
}
