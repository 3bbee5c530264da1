/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "critical.h"
#include "host-facts.h"
#include "sysfs.h"
#include "text.h"

static const char *const critical_reason_table[CRITICAL_REASON_MAX] = {
                [CRITICAL_ROOT_FILESYSTEM] = "root-filesystem",
                [CRITICAL_MOUNTED] = "mounted",
                [CRITICAL_SWAP] = "swap",
                [CRITICAL_BOOT_DISK] = "boot-disk",
                [CRITICAL_VOLUME_MEMBER] = "volume-member",
                [CRITICAL_DEFAULT_ROUTE] = "default-route",
                [CRITICAL_ADDRESS] = "address",
                [CRITICAL_BRIDGE_OR_BOND_MEMBER] = "bridge-or-bond-member",
                [CRITICAL_YOUR_CONNECTION] = "your-connection",
                [CRITICAL_WAKE_PATH] = "wake-path",
                [CRITICAL_CONSOLE] = "console",
                [CRITICAL_INPUT] = "input",
                [CRITICAL_WATCHDOG_OR_BMC] = "watchdog-or-bmc",
                [CRITICAL_BRIDGE_DEVICE] = "bridge-device",
                [CRITICAL_PF_WITH_VFS] = "pf-with-vfs",
                [CRITICAL_NO_IOMMU] = "no-iommu",
                [CRITICAL_FIRMWARE_MAPPING] = "firmware-mapping",
                [CRITICAL_UNSAFE_INTERRUPTS] = "unsafe-interrupts",
};

DEFINE_STRING_TABLE(critical_reason, CriticalReason, CRITICAL_REASON_MAX);

/* What the user does about it, where the clause itself does not say. */
static const char *const remedy_table[CRITICAL_REASON_MAX] = {
                [CRITICAL_ROOT_FILESYSTEM] = "the host cannot run without it",
                [CRITICAL_MOUNTED] = "unmount it first",
                [CRITICAL_SWAP] = "'swapoff' it first",
                [CRITICAL_BOOT_DISK] = "boot from another disk first",
                [CRITICAL_VOLUME_MEMBER] = "stop the volume first",
                [CRITICAL_DEFAULT_ROUTE] = "route through another interface first",
                [CRITICAL_ADDRESS] = "remove the address, or bring the interface back, first",
                [CRITICAL_BRIDGE_OR_BOND_MEMBER] = "take it out of there first",
                [CRITICAL_YOUR_CONNECTION] =
                                "come in through another interface, or use the console of the host",
                [CRITICAL_WAKE_PATH] = "'ethtool -s INTERFACE wol d' if nothing wakes the host through it",
                [CRITICAL_CONSOLE] = "move the console to another device first",
                [CRITICAL_INPUT] = "plug a keyboard into another controller first",
                [CRITICAL_WATCHDOG_OR_BMC] = "stop what uses it first, or leave it to the host",
                [CRITICAL_BRIDGE_DEVICE] = "pass the devices behind it instead",
                [CRITICAL_PF_WITH_VFS] =
                                ("call ReturnToHost for it if they are for VMs, else write 0 to its "
                                 "sriov_numvfs"),
                [CRITICAL_NO_IOMMU] =
                                "switch the IOMMU on in the firmware setup and on the kernel command line",
                [CRITICAL_FIRMWARE_MAPPING] = "leave it to the host",
                [CRITICAL_UNSAFE_INTERRUPTS] = "set allow_unsafe_interrupts to N",
};

static void add_reason_with_remedy(Critical *c, CriticalReason reason, const PciIdentity *identity,
                                   const char *what, const char *remedy) {
        const bool warns = CRITICAL_WARNINGS & 1U << reason;
        uint32_t *bits = warns ? &c->warnings : &c->reasons;
        char address[PCI_ADDRESS_SIZE];

        if (*bits & 1U << reason)
                return;

        *bits |= 1U << reason;
        (void)snprintf(c->sentence[reason], sizeof c->sentence[reason], "Device %s %s: %.200s; %.96s.",
                       pci_address_format(&identity->address, address),
                       warns ? "would be missed" : "must stay with the host", what,
                       remedy ? remedy : remedy_table[reason]);
        text_make_printable(c->sentence[reason]); /* mount points and sources are anybody's text */
}

static void add_reason(Critical *c, CriticalReason reason, const PciIdentity *identity, const char *what) {
        add_reason_with_remedy(c, reason, identity, what, NULL);
}

static int take_child(const char *name, void *userdata) {
        PciAddress *child = userdata;

        return pci_address_parse(name, child) == 0;
}

/* drivers/pci/pcie/portdrv.c: the services of a port are devices below it, "0000:00:1c.0:pcie004". The first digit is
 * the kind of port (0: root port, 2: downstream), the last the service (4: hot-plug). */
static bool watches_a_slot(int device_fd, const char *address) {
        static const char *const services[] = {"pcie004", "pcie204"};
        char path[64], driver[32];

        for (size_t i = 0; i < ELEMENTSOF(services); i++) {
                (void)snprintf(path, sizeof path, "%s:%s/driver", address, services[i]);
                if (sysfs_read_link_name(device_fd, path, driver, sizeof driver) >= 0 &&
                    streq(driver, "pciehp"))
                        return true;
        }
        return false;
}

static void judge_bridge(int device_fd, const PciIdentity *identity, Critical *c) {
        char what[128], address[PCI_ADDRESS_SIZE];
        PciAddress child;

        if (!watches_a_slot(device_fd, pci_address_format(&identity->address, address))) {
                add_reason(c, CRITICAL_BRIDGE_DEVICE, identity,
                           "it is a bridge, and the devices behind it hang on it");
                return;
        }

        if (sysfs_each(device_fd, ".", take_child, &child) > 0)
                (void)snprintf(what, sizeof what,
                               "it is a PCIe port whose hot-plug service watches the slot of %s",
                               pci_address_format(&child, address));
        else
                (void)snprintf(what, sizeof what,
                               "it is a PCIe port whose hot-plug service watches an empty slot");
        add_reason(c, CRITICAL_BRIDGE_DEVICE, identity, what);
}

typedef struct Functions {
        int device_fd;
        bool any;
        char held[PCI_ADDRESS_SIZE]; /* the lowest that is passed through, or "" */
} Functions;

static int take_function(const char *name, void *userdata) {
        char path[64], driver[PCI_DRIVER_SIZE], address[PCI_ADDRESS_SIZE];
        Functions *f = userdata;

        if (!startswith(name, "virtfn"))
                return 0;
        f->any = true;

        (void)snprintf(path, sizeof path, "%.32s/driver", name);
        if (sysfs_read_link_name(f->device_fd, path, driver, sizeof driver) < 0 || !strstr(driver, "vfio"))
                return 0;
        (void)snprintf(path, sizeof path, "%.32s", name);
        if (sysfs_read_link_name(f->device_fd, path, address, sizeof address) >= 0 &&
            (!f->held[0] || strcmp(address, f->held) < 0))
                (void)snprintf(f->held, sizeof f->held, "%s", address);
        return 0;
}

/* The links only: sriov_numvfs can block. While a VM has a virtual function, writing 0 to it hangs, and with it every
 * other hot-plug of the host. */
static int judge_functions(int device_fd, const PciIdentity *identity, Critical *c) {
        Functions f = {.device_fd = device_fd};
        char what[128];
        struct stat st;
        int r;

        if (fstatat(device_fd, "sriov_numvfs", &st, 0) < 0) /* it could have none */
                return 0;
        r = sysfs_each(device_fd, ".", take_function, &f);
        if (r < 0 || !f.any)
                return r == -ENOENT ? 0 : r; /* gone: the caller sees it, too */
        if (!f.held[0]) {
                add_reason(c, CRITICAL_PF_WITH_VFS, identity, "it has virtual functions");
                return 0;
        }

        (void)snprintf(what, sizeof what, "its virtual function %s is passed through", f.held);
        add_reason_with_remedy(c, CRITICAL_PF_WITH_VFS, identity, what,
                               "end the VM that has it, then call ReturnToHost for it if they are for VMs, "
                               "else return that one and write 0 to its sriov_numvfs");
        return 0;
}

/* Documentation/ABI/testing/sysfs-kernel-iommu_groups: "0x… 0x… direct" is memory that firmware reaches through
 * the device; "direct-relaxable" may be given up. */
static int has_firmware_mapping(int device_fd) {
        char text[SYSFS_ATTRIBUTE_SIZE], *save = NULL, *type;
        int r;

        r = sysfs_read(device_fd, "iommu_group/reserved_regions", text, sizeof text);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                type = strrchr(line, ' ');
                if (type && streq(type + 1, "direct"))
                        return 1;
        }
        return 0;
}

static int evaluate_iommu(int device_fd, const PciIdentity *identity, Critical *c) {
        char name[64];
        int r;

        r = sysfs_read_link_name(device_fd, "iommu_group", name, sizeof name);
        if (r == -ENOENT) {
                add_reason(c, CRITICAL_NO_IOMMU, identity,
                           "no IOMMU stands between it and the memory of the host");
                return 0;
        }
        if (r < 0)
                return r;

        if (sysfs_read(device_fd, "iommu_group/name", name, sizeof name) > 0 && streq(name, "vfio-noiommu"))
                add_reason(c, CRITICAL_NO_IOMMU, identity, "it is in VFIO's no-IOMMU mode");

        r = has_firmware_mapping(device_fd);
        if (r > 0)
                add_reason(c, CRITICAL_FIRMWARE_MAPPING, identity,
                           "the firmware keeps memory mapped through it (RMRR)");
        return r < 0 ? r : 0;
}

int critical_evaluate(const HostFacts *facts, int device_fd, const PciIdentity *identity, Critical *ret) {
        uint64_t vga, vendor;
        Critical c = {0};
        int r;

        assert(facts);
        assert(identity);
        assert(ret);

        if (pci_class_is_bridge(identity->class_code))
                judge_bridge(device_fd, identity, &c);
        if (identity->class_code >> 8 == 0x0c07)
                add_reason(&c, CRITICAL_WATCHDOG_OR_BMC, identity,
                           "it is the way to the management controller (IPMI)");

        for (size_t i = 0; i < facts->n_uses; i++)
                if (pci_address_in_path(&identity->address, facts->uses[i].path))
                        add_reason_with_remedy(&c, facts->uses[i].reason, identity, facts->uses[i].what,
                                               facts->uses[i].remedy);

        if (sysfs_read_u64(device_fd, "boot_vga", 10, &vga) >= 0 && vga == 1)
                add_reason(&c, CRITICAL_CONSOLE, identity, "it is the boot VGA device");

        if ((r = judge_functions(device_fd, identity, &c)) < 0 ||
            (r = evaluate_iommu(device_fd, identity, &c)) < 0)
                return r;

        /* What is missing proves something only while the device is there. */
        if (sysfs_read_u64(device_fd, "vendor", 16, &vendor) < 0)
                return -ENODEV;

        if (facts->unsafe_interrupts)
                add_reason(&c, CRITICAL_UNSAFE_INTERRUPTS, identity,
                           "VFIO is allowed to do without interrupt remapping");

        *ret = c;
        return 0;
}

const char *critical_format(uint32_t reasons, char *buf, size_t size) {
        size_t used = 0;

        assert(buf);
        assert(size > 0);

        buf[0] = '\0';
        for (int i = 0; i < CRITICAL_REASON_MAX && used < size; i++)
                if (reasons & 1U << i)
                        used += (size_t)snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "",
                                                 critical_reason_to_string((CriticalReason)i));
        return buf;
}
