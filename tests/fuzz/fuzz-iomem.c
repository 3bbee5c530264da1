/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "host-iomem.h"

typedef struct Found {
        const char *text;
        unsigned n;
} Found;

/* What is reported stands in the text, the device before its user. */
static int take(const PciAddress *a, const char *user, void *userdata) {
        char address[PCI_ADDRESS_SIZE], device[32], name[64];
        Found *f = userdata;
        const char *at;

        (void)snprintf(device, sizeof device, " : %s", pci_address_format(a, address));
        (void)snprintf(name, sizeof name, " : %s", user);
        at = strstr(f->text, device);
        must(at);
        must(strstr(at, name));
        f->n++;
        return 0;
}

static int stop(const PciAddress *a _unused_, const char *user _unused_, void *userdata) {
        (*(unsigned *)userdata)++;
        return 7;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        Found found = {.text = text};
        unsigned n = 0;

        must(host_iomem_each_screen(text, take, &found) == 0);
        must(host_iomem_each_screen(text, stop, &n) == (found.n > 0 ? 7 : 0));
        must(n == (found.n > 0 ? 1 : 0));
        return 0;
}
