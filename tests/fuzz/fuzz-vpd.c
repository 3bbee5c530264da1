/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "pci-identity.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char serial[PCI_SERIAL_SIZE] = "", again[PCI_SERIAL_SIZE];
        int r;

        r = pci_vpd_serial(data, size, serial, sizeof serial);
        must(r == 0 || r == -ENODATA || r == -EBADMSG);
        if (r < 0)
                return 0;

        /* It goes into a file, a prompt and a property: printable, not empty, and clean already. */
        must(serial[0]);
        for (const char *p = serial; *p; p++)
                must(*p >= ' ' && *p <= '~');
        text_sanitize(again, sizeof again, serial, strlen(serial));
        must(streq(serial, again));
        return 0;
}
