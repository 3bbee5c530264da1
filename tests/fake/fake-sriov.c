/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * SR-IOV of the fake kernel, after drivers/pci/pci-sysfs.c (sriov_numvfs_store()), iov.c, and pci-driver.c
 * (pci_device_can_probe()). What a physical function has beside its attributes is in <root>/fake/sriov/ADDRESS:
 * "10ca igbvf 0": the device id of its functions, their natural driver or "-", and whether they share its IOMMU set.
 */

#include <fcntl.h>
#include <limits.h>

#include "fake-host.h"
#include "fake-kernel.h"
#include "fake-links.h"
#include "fake-sriov.h"
#include "pci-identity.h"
#include "sysfs.h"

#define SET_FIRST 100U /* of their own sets: the lowest that is free, as the kernel counts */

void fake_sriov_add(FakeHost *h, const char *dir, const FakeDevice *pf) {
        char path[PATH_MAX];

#define ATTRIBUTE(name, ...)                                                                                \
        (snprintf(path, sizeof path, "%s/" name, dir), fake_host_write(h, path, __VA_ARGS__))
        ATTRIBUTE("sriov_totalvfs", "%u\n", pf->total_vfs);
        ATTRIBUTE("sriov_numvfs", "0\n");
        ATTRIBUTE("sriov_drivers_autoprobe", "1\n");
        ATTRIBUTE("sriov_offset", "%u\n", FAKE_SRIOV_OFFSET);
        ATTRIBUTE("sriov_stride", "1\n");
        ATTRIBUTE("sriov_vf_device", "%x\n", pf->vf_device);
#undef ATTRIBUTE
        (void)snprintf(path, sizeof path, "fake/sriov/%s", pf->address);
        fake_host_write(h, path, "%x %s %d\n", pf->vf_device, pf->vf_driver ?: "-", pf->vfs_share_set);
}

static uint64_t number_of(const char *device_dir, const char *attribute, unsigned base) {
        char path[PATH_MAX];
        uint64_t v = 0;

        (void)snprintf(path, sizeof path, "%.4000s/%s", device_dir, attribute);
        return sysfs_read_u64(AT_FDCWD, path, base, &v) < 0 ? 0 : v;
}

static const char *name_of(const char *device_dir) {
        return strrchr(device_dir, '/') + 1;
}

/* Another function's address is that many routing ids behind its own. */
static const char *function_address(const char *pf, unsigned n, char buf[static PCI_ADDRESS_SIZE]) {
        PciAddress a;
        unsigned id;

        (void)pci_address_parse(pf, &a);
        id = (unsigned)(a.bus << 8 | a.device << 3 | a.function) + FAKE_SRIOV_OFFSET + n;
        a.bus = (uint8_t)(id >> 8);
        a.device = id >> 3 & 0x1f;
        a.function = id & 7;
        return pci_address_format(&a, buf);
}

static unsigned free_set(FakeHost *h) {
        char path[64];
        unsigned n = SET_FIRST;

        do
                (void)snprintf(path, sizeof path, "sys/kernel/iommu_groups/%u", n++);
        while (fake_host_exists(h, path));
        return n - 1;
}

/* "" when it is on a root bus. */
static const char *bridge_of(const char *device_dir, char buf[static PCI_ADDRESS_SIZE]) {
        const char *end = strrchr(device_dir, '/'), *begin = end;
        PciAddress a;

        while (begin[-1] != '/')
                begin--;
        (void)snprintf(buf, PCI_ADDRESS_SIZE, "%.*s", (int)(end - begin), begin);
        return pci_address_parse(buf, &a) < 0 ? strcpy(buf, "") : buf;
}

static void add_function(FakeHost *h, const char *device_dir, unsigned n, const char *driver, bool shares) {
        char address[PCI_ADDRESS_SIZE], bridge[PCI_ADDRESS_SIZE], path[PATH_MAX], set[32] = "";
        const char *pf = name_of(device_dir);

        (void)snprintf(path, sizeof path, "%.4000s/iommu_group", device_dir);
        (void)sysfs_read_link_name(AT_FDCWD, path, set, sizeof set);
        fake_host_add_device(
                        h,
                        &(FakeDevice){
                                        .address = function_address(pf, n, address),
                                        .vendor = (uint16_t)number_of(device_dir, "vendor", 16),
                                        .device = (uint16_t)number_of(device_dir, "sriov_vf_device", 16),
                                        .class_code = (uint32_t)number_of(device_dir, "class", 16),
                                        .iommu_set = shares ? (unsigned)strtoul(set, NULL, 10) : free_set(h),
                                        .below = bridge_of(device_dir, bridge)[0] ? bridge : NULL,
                                        .physfn = pf,
                                        .reset_methods = "flr",
                        });
        if (streq(driver, "-"))
                return;
        (void)snprintf(path, sizeof path, "fake/natural/%s", address);
        fake_host_write(h, path, "%s", driver);
        (void)snprintf(path, sizeof path, "sys/bus/pci/drivers/%s", driver);
        fake_host_mkdir(h, path);
        (void)snprintf(path, sizeof path, "%s/sys/%s", h->root, fake_host_device_path(h, address));
        if (number_of(device_dir, "sriov_drivers_autoprobe", 10) == 1)
                (void)fake_kernel_bind(path, driver);
}

void fake_sriov_remove_functions(FakeHost *h, const char *device_dir) {
        unsigned n = (unsigned)number_of(device_dir, "sriov_numvfs", 10);
        char address[PCI_ADDRESS_SIZE], path[PATH_MAX], set[32];

        if (n == 0)
                return;
        while (n-- > 0) {
                (void)snprintf(path, sizeof path, "%.4000s/virtfn%u", device_dir, n);
                if (sysfs_read_link_name(AT_FDCWD, path, address, sizeof address) < 0)
                        continue;
                (void)snprintf(path, sizeof path, "%.4000s/virtfn%u/iommu_group", device_dir, n);
                if (sysfs_read_link_name(AT_FDCWD, path, set, sizeof set) < 0)
                        set[0] = '\0';
                fake_kernel_remove(address); /* waits for who holds it, as the kernel does */
                (void)snprintf(path, sizeof path, "%.4000s/virtfn%u", device_dir, n);
                (void)unlink(path);
                (void)snprintf(path, sizeof path, "sys/kernel/iommu_groups/%s", set);
                if (strtoul(set, NULL, 10) >= SET_FIRST)
                        fake_host_remove(h, path);
        }
        fake_links_forget(h->root, name_of(device_dir));
        (void)snprintf(path, sizeof path, "%s/sriov_numvfs", device_dir + strlen(h->root) + 1);
        fake_host_write(h, path, "0\n");
}

static bool has_driver(const char *device_dir) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%.4000s/driver", device_dir);
        return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int fake_sriov_set_number(FakeHost *h, const char *device_dir, unsigned n) {
        unsigned now = (unsigned)number_of(device_dir, "sriov_numvfs", 10), device, shares;
        char path[PATH_MAX], driver[PCI_DRIVER_SIZE];
        _cleanup_free_ char *text = NULL;

        (void)snprintf(path, sizeof path, "fake/sriov/%s", name_of(device_dir));
        text = fake_host_read(h, path);
        if (!text || sscanf(text, "%x %63s %u", &device, driver, &shares) != 3)
                return -EACCES;
        if (n > number_of(device_dir, "sriov_totalvfs", 10))
                return -ERANGE;
        if (n == now)
                return 0;
        if (!has_driver(device_dir))
                return -ENOENT;
        if (n > 0 && now > 0)
                return -EBUSY;

        if (n == 0)
                fake_sriov_remove_functions(h, device_dir);
        for (unsigned i = 0; i < n; i++)
                add_function(h, device_dir, i, driver, shares);
        return 0;
}

int fake_sriov_set_autoprobe(FakeHost *h, const char *device_dir, const char *data) {
        char path[PATH_MAX];

        if (data[0] != '0' && data[0] != '1')
                return -EINVAL;
        (void)snprintf(path, sizeof path, "%s/sriov_drivers_autoprobe", device_dir + strlen(h->root) + 1);
        fake_host_write(h, path, "%c\n", data[0]);
        return 0;
}

bool fake_sriov_may_probe(const char *device_dir) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%.4000s/physfn", device_dir);
        return faccessat(AT_FDCWD, path, F_OK, 0) < 0 ||
               number_of(device_dir, "physfn/sriov_drivers_autoprobe", 10) == 1;
}
