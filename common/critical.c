/* SPDX-License-Identifier: LGPL-2.1-or-later */
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
                [CRITICAL_ADDRESS] = "remove the address first",
                [CRITICAL_BRIDGE_OR_BOND_MEMBER] = "take it out of there first",
                [CRITICAL_YOUR_CONNECTION] =
                                "come in through another interface, or use the console of the host",
                [CRITICAL_WAKE_PATH] = "'ethtool -s INTERFACE wol d' if nothing wakes the host through it",
                [CRITICAL_CONSOLE] = "move the console to another device first",
                [CRITICAL_INPUT] = "plug a keyboard into another controller first",
                [CRITICAL_WATCHDOG_OR_BMC] = "stop what uses it first",
                [CRITICAL_BRIDGE_DEVICE] = "pass the devices behind it instead",
                [CRITICAL_PF_WITH_VFS] = "write 0 to its sriov_numvfs first",
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
        char target[512];
        uint64_t vga, vendor;
        Critical c = {0};
        int r;

        assert(facts);
        assert(identity);
        assert(ret);

        if (pci_class_is_bridge(identity->class_code))
                add_reason(&c, CRITICAL_BRIDGE_DEVICE, identity,
                           "it is a bridge, and the devices behind it hang on it");

        for (size_t i = 0; i < facts->n_uses; i++)
                if (pci_address_in_path(&identity->address, facts->uses[i].path))
                        add_reason_with_remedy(&c, facts->uses[i].reason, identity, facts->uses[i].what,
                                               facts->uses[i].remedy);

        if (sysfs_read_u64(device_fd, "boot_vga", 10, &vga) >= 0 && vga == 1)
                add_reason(&c, CRITICAL_CONSOLE, identity, "it is the boot VGA device");

        if (sysfs_read_link(device_fd, "virtfn0", target, sizeof target) >= 0)
                add_reason(&c, CRITICAL_PF_WITH_VFS, identity, "it has virtual functions");

        r = evaluate_iommu(device_fd, identity, &c);
        if (r < 0)
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
