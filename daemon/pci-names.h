/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Words for ids, from pci.ids by libpci. The list is megabytes when loaded, so it is loaded for the first id
 * that is not known yet and freed by pci_names_trim(); the words found stay.
 */

#include "pci-identity.h"

typedef struct PciNames PciNames;

typedef struct PciWords {
        /* Owned by PciNames; UTF-8, never NULL. The subsystem's are "" for a device without one. */
        const char *vendor, *model, *class_words, *svendor, *smodel;
} PciWords;

int pci_names_new(PciNames **ret);
PciNames *pci_names_free(PciNames *n);

/* Ids that the list does not know become their number in hexadecimal. -ENOMEM. */
int pci_names_find(PciNames *n, const PciIdentity *identity, PciWords *ret);

/* Gives the memory of the list back, after a batch of pci_names_find(). */
void pci_names_trim(PciNames *n);
