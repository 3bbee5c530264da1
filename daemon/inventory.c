/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "inventory.h"
#include "sysfs.h"
#include "text.h"

static void read_driver(int device_fd, DeviceFacts *facts) {
        char name[NAME_MAX + 1];

        facts->driver[0] = facts->module[0] = '\0';
        if (sysfs_read_link_name(device_fd, "driver", name, sizeof name) < 0)
                return;
        text_sanitize(facts->driver, sizeof facts->driver, name, strlen(name));

        /* A driver that is built in has no module. */
        if (sysfs_read_link_name(device_fd, "driver/module", name, sizeof name) >= 0)
                text_sanitize(facts->module, sizeof facts->module, name, strlen(name));
}

static void read_set(int device_fd, DeviceFacts *facts) {
        char number[32];
        int r;

        r = iommu_set_read(device_fd, &facts->set);
        facts->set_error = 0;
        if (r >= 0)
                return;

        facts->set = (IommuSet){.number = DEVICE_NO_IOMMU_SET};
        (void)iommu_set_add(&facts->set, &facts->identity.address);
        if (r == -ENOENT)
                return;

        facts->set_error = r;
        if (sysfs_read_link_name(device_fd, "iommu_group", number, sizeof number) >= 0)
                facts->set.number = (unsigned)strtoul(number, NULL, 10);
}

static int take_controller(const char *name, void *userdata) {
        char *controller = userdata;

        if (startswith(name, "nvme"))
                (void)snprintf(controller, 32, "%.31s", name);
        return 0;
}

/* The NVMe driver keeps what the controller said. Asked only of a controller that is up: before that the
 * kernel has nothing to answer with. */
static void read_nvme_serial(int device_fd, PciIdentity *identity) {
        char controller[32] = "", path[64], text[256];

        if (identity->class_code >> 8 != 0x0108 ||
            sysfs_each(device_fd, "nvme", take_controller, controller) < 0 || !controller[0])
                return;

        (void)snprintf(path, sizeof path, "nvme/%s/state", controller);
        if (sysfs_read(device_fd, path, text, sizeof text) >= 0 && !streq(text, "live"))
                return;

        (void)snprintf(path, sizeof path, "nvme/%s/serial", controller);
        if (sysfs_read(device_fd, path, text, sizeof text) > 0)
                text_sanitize(identity->serial, sizeof identity->serial, text, strlen(text));
}

/* "8.0 GT/s PCIe"; "Unknown" and no PCI Express at all are 0. */
static double read_speed(int device_fd, const char *attribute) {
        char text[64], *end;
        double v;

        if (sysfs_read(device_fd, attribute, text, sizeof text) < 0)
                return 0;

        v = strtod(text, &end);
        return end != text && startswith(end, " GT/s") && v > 0 && v < 1e6 ? v : 0;
}

/* 255 is what the kernel says when it does not know. */
static uint32_t read_width(int device_fd, const char *attribute) {
        uint64_t v;

        return sysfs_read_u64(device_fd, attribute, 10, &v) >= 0 && v < 255 ? (uint32_t)v : 0;
}

/* Kernels that have 48991e493507 wake a device up to read these four, with all its bridges, and a power
 * management callback may hang. */
static bool is_awake(int device_fd) {
        char text[32];
        int r;

        r = sysfs_read(device_fd, "power/runtime_status", text, sizeof text);
        return r == -ENOENT || (r > 0 && streq(text, "active"));
}

static void read_link(int device_fd, DeviceFacts *facts) {
        facts->link_asleep = !is_awake(device_fd);
        if (facts->link_asleep)
                return;

        facts->link_speed = read_speed(device_fd, "current_link_speed");
        facts->link_speed_max = read_speed(device_fd, "max_link_speed");
        facts->link_width = read_width(device_fd, "current_link_width");
        facts->link_width_max = read_width(device_fd, "max_link_width");
}

static int32_t read_numa_node(int device_fd) {
        char text[32], *end;
        long v;

        if (sysfs_read(device_fd, "numa_node", text, sizeof text) <= 0)
                return -1;

        v = strtol(text, &end, 10);
        return *end == '\0' && v >= 0 && v <= INT32_MAX ? (int32_t)v : -1;
}

static bool is_vf(int device_fd, uint32_t index, PciAddress *ret) {
        char link[32], name[PCI_ADDRESS_SIZE];

        (void)snprintf(link, sizeof link, "virtfn%u", index);
        return sysfs_read_link_name(device_fd, link, name, sizeof name) >= 0 &&
               pci_address_parse(name, ret) >= 0;
}

static int64_t distance(const PciAddress *from, const PciAddress *to) {
        return ((int64_t)to->bus << 8 | to->device << 3 | to->function) -
               ((int64_t)from->bus << 8 | from->device << 3 | from->function);
}

/* They lie at equal distances; the guess is proved, so what is not so costs time alone. */
static int32_t find_index(int pf_fd, const PciAddress *vf) {
        PciAddress first, second, at;
        int64_t guess = 0;

        if (!is_vf(pf_fd, 0, &first))
                return -1;
        if (is_vf(pf_fd, 1, &second) && distance(&first, &second) > 0)
                guess = distance(&first, vf) / distance(&first, &second);
        if (guess >= 0 && guess < UINT16_MAX && is_vf(pf_fd, (uint32_t)guess, &at) &&
            pci_address_compare(&at, vf) == 0)
                return (int32_t)guess;
        for (uint32_t i = 0; is_vf(pf_fd, i, &at); i++)
                if (pci_address_compare(&at, vf) == 0)
                        return (int32_t)i;
        return -1;
}

static void read_physical_function(int root, int device_fd, DeviceFacts *facts) {
        _cleanup_close_ int pf_fd = -1;
        char name[PCI_ADDRESS_SIZE];

        facts->vf_index = -1;
        facts->is_virtual = sysfs_read_link_name(device_fd, "physfn", name, sizeof name) >= 0 &&
                            pci_address_parse(name, &facts->physical_function) >= 0;
        if (!facts->is_virtual)
                return;

        pf_fd = sysfs_open_device(root, &facts->physical_function);
        if (pf_fd >= 0)
                facts->vf_index = find_index(pf_fd, &facts->identity.address);
}

static int take_interface(const char *name, void *userdata) {
        DeviceFacts *facts = userdata;
        size_t n = strlen(facts->interfaces);

        if (n + 1 + strlen(name) >= sizeof facts->interfaces)
                return 0;
        if (n > 0)
                facts->interfaces[n++] = ' ';
        strcpy(facts->interfaces + n, name);
        return 0;
}

/* Names of the kernel's, which allows neither white space nor a slash in them. */
static void read_interfaces(int device_fd, DeviceFacts *facts) {
        facts->interfaces[0] = '\0';
        if (facts->identity.class_code >> 16 == PCI_BASE_CLASS_NETWORK)
                (void)sysfs_each(device_fd, "net", take_interface, facts);
        text_make_utf8(facts->interfaces);
}

int inventory_each_vf(int root, const PciAddress *pf, inventory_found_t f, void *userdata) {
        _cleanup_close_ int fd = -1;
        PciAddress a;
        int r = 0;

        assert(pf);
        assert(f);

        fd = sysfs_open_device(root, pf);
        if (fd < 0)
                return fd;
        for (uint32_t i = 0; r == 0 && i < UINT16_MAX && is_vf(fd, i, &a); i++)
                r = f(&a, userdata);
        return r;
}

int inventory_read(int root, const PciAddress *a, DeviceFacts *ret) {
        char text[SYSFS_ATTRIBUTE_SIZE];
        _cleanup_close_ int fd = -1;
        DeviceFacts f = {0};
        uint64_t v;
        int r;

        assert(a);
        assert(ret);

        fd = sysfs_open_device(root, a);
        if (fd < 0)
                return fd;

        r = pci_identity_read(fd, a, &f.identity);
        if (r < 0)
                return r;

        pci_identity_read_slot(root, NULL, &f.identity);
        read_nvme_serial(fd, &f.identity);
        read_driver(fd, &f);
        read_set(fd, &f);
        read_physical_function(root, fd, &f);
        read_interfaces(fd, &f);
        f.numa_node = read_numa_node(fd);
        read_link(fd, &f);

        if (sysfs_read(fd, "reset_method", text, sizeof text) > 0)
                text_sanitize(f.reset_methods, sizeof f.reset_methods, text, strlen(text));
        if (sysfs_read_u64(fd, "sriov_totalvfs", 10, &v) >= 0 && v <= UINT16_MAX)
                f.sriov_total_vfs = (uint32_t)v;

        *ret = f;
        return 0;
}

bool inventory_has(int root, const PciAddress *a) {
        _cleanup_close_ int fd = sysfs_open_device(root, a);

        return fd >= 0;
}

int inventory_reread(int root, DeviceFacts *facts) {
        _cleanup_close_ int fd = -1;
        PciIdentity now;
        int r;

        assert(facts);

        fd = sysfs_open_device(root, &facts->identity.address);
        if (fd < 0)
                return fd;
        r = pci_identity_read(fd, &facts->identity.address, &now);
        if (r < 0)
                return r;
        if (!pci_identity_same(&now, &facts->identity))
                return -ENODEV;

        read_driver(fd, facts);
        read_set(fd, facts);
        read_interfaces(fd, facts);
        read_nvme_serial(fd, &facts->identity);
        return 0;
}

int inventory_read_interfaces(int root, DeviceFacts *facts) {
        _cleanup_close_ int fd = -1;

        assert(facts);

        fd = sysfs_open_device(root, &facts->identity.address);
        if (fd < 0)
                return fd;
        read_interfaces(fd, facts);
        return 0;
}

typedef struct Each {
        inventory_found_t f;
        void *userdata;
} Each;

static int found(const char *name, void *userdata) {
        const Each *e = userdata;
        PciAddress a;

        return pci_address_parse(name, &a) < 0 ? 0 : e->f(&a, e->userdata);
}

/* The directory is read here and not by libudev's enumeration, because that reads each device's `uevent`,
 * and on Linux 6.1 this read waits for the device's lock: one device that is stuck in its unbind would
 * freeze us at the next start, for ever. */
int inventory_each(int root, inventory_found_t f, void *userdata) {
        assert(f);

        return sysfs_each(root, "sys/bus/pci/devices", found, &(Each){f, userdata});
}
