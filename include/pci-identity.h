/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which device is this? What is compared before each write, and what a grant remembers: an address alone names
 * a place, and devices renumber when hardware changes.
 *
 * Sources: Documentation/ABI/testing/sysfs-bus-pci (vendor, device, subsystem_*, revision, class, vpd),
 * sysfs-kernel-iommu_groups (iommu_group/devices), PCI Local Bus 3.0 appendix I (VPD).
 */

#include "names.h"
#include "pci-address.h"

#define PCI_SERIAL_SIZE 64
#define PCI_SLOT_SIZE 32
#define PCI_DRIVER_SIZE 64

typedef struct PciIdentity {
        PciAddress address;
        uint16_t vendor, device;
        uint16_t subsystem_vendor, subsystem_device;
        uint32_t class_code; /* base class, subclass and programming interface, 24 bits */
        uint8_t revision;
        char serial[PCI_SERIAL_SIZE]; /* from VPD or NVMe; "" when the device has none that can be read */
        char slot[PCI_SLOT_SIZE];     /* name of the physical slot; "" when the firmware names none */
} PciIdentity;

/* The functions that the IOMMU cannot separate, sorted by address (kernel: iommu group). */
typedef struct IommuSet {
        unsigned number; /* the kernel's number; not stable over a reboot */
        size_t n_members;
        PciAddress members[DEVICES_PER_CALL_MAX];
} IommuSet;

/* Reads the ids (not serial and slot) through the device's own directory fd: cannot block. -ENODEV: it is gone. */
int pci_identity_read(int device_fd, const PciAddress *a, PciIdentity *ret);

/* Fills in the serial number, from VPD (root only; a device may take seconds to answer, so never in a main
 * loop) or else from its NVMe controller. Leaves "" when there is none. */
void pci_identity_read_serial(int device_fd, PciIdentity *identity);

/* Fills in the physical slot from bus/pci/slots. `likely` (or NULL) is looked at first; that saves reading all. */
void pci_identity_read_slot(int root, const char *likely, PciIdentity *identity);

/* Same ids, and same serial and slot where both sides know one. */
bool pci_identity_same(const PciIdentity *a, const PciIdentity *b) _pure_;

/* The serial number (keyword SN) out of Vital Product Data. -ENODATA: none; -EBADMSG: not VPD. */
int pci_vpd_serial(const uint8_t *vpd, size_t size, char *ret, size_t ret_size);

/* -ENOENT: no IOMMU stands in front of the device. -E2BIG: more members than we move. */
int iommu_set_read(int device_fd, IommuSet *ret);

bool iommu_set_contains(const IommuSet *set, const PciAddress *a) _pure_;
bool iommu_set_same_members(const IommuSet *a, const IommuSet *b) _pure_;

/* Adds an address at its sorted place; adding one twice is fine. -E2BIG. */
int iommu_set_add(IommuSet *set, const PciAddress *a);

/* "0000:05:01.0, 0000:05:02.0"; cut with "..." when it does not fit. Returns buf. */
const char *iommu_set_format(const IommuSet *set, char *buf, size_t size);

/* Base class 06 (PCI Code and ID Assignment Specification). All stay with the host. */
static inline bool pci_class_is_bridge(uint32_t class_code) {
        return class_code >> 16 == 0x06;
}

/* PCI-to-PCI, CardBus and semi-transparent bridges, the classes with a header of their own (type 1 or 2): for
 * VFIO these do not count in a set. An ISA or host bridge has a header like any device, and counts. */
static inline bool pci_class_is_forwarding_bridge(uint32_t class_code) {
        uint32_t c = class_code >> 8;

        return c == 0x0604 || c == 0x0607 || c == 0x0609;
}
