/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The address of a PCI function as Linux writes it, `DDDD:BB:DD.F` in lower-case hex
 * (Documentation/ABI/testing/sysfs-bus-pci). The domain has four digits, or up to eight where the kernel
 * makes more than 65536 domains (VMD, Hyper-V).
 */

#include "macro.h"

typedef struct PciAddress {
        uint32_t domain;
        uint8_t bus;
        uint8_t device;   /* 0..31 */
        uint8_t function; /* 0..7 */
} PciAddress;

/* Bytes for the longest text with its NUL: "ffffffff:ff:1f.7". */
#define PCI_ADDRESS_SIZE 17

/* Takes exactly the canonical form. Returns 0, or -EINVAL for anything else; *ret is then untouched. */
int pci_address_parse(const char *s, PciAddress *ret);

/* Writes the canonical form and returns buf. */
const char *pci_address_format(const PciAddress *a, char buf[static PCI_ADDRESS_SIZE]);

int pci_address_compare(const PciAddress *a, const PciAddress *b) _pure_;

/* Is this component part of a sysfs path, as in "../devices/pci0000:00/0000:00:1f.2/ata1/..."? */
bool pci_address_in_path(const PciAddress *a, const char *path) _pure_;
