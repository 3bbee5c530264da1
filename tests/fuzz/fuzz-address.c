/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "pci-address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        char formatted[PCI_ADDRESS_SIZE];
        PciAddress a;

        text[strcspn(text, "\n")] = '\0'; /* the corpus is made of text files */
        if (pci_address_parse(text, &a) < 0)
                return 0;

        /* One device, one name: only the canonical form is taken. */
        must(streq(pci_address_format(&a, formatted), text));
        must(pci_address_in_path(&a, text));
        return 0;
}
