/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pci-address.h"

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -EINVAL;
}

/* Reads between min and max lower-case hex digits; returns how many, or -EINVAL. */
static int take_hex(const char *s, int min, int max, uint32_t *ret) {
        uint32_t v = 0;
        int n = 0, d;

        for (; n < max && (d = hex_digit(s[n])) >= 0; n++)
                v = v << 4 | (uint32_t)d;
        if (n < min)
                return -EINVAL;

        *ret = v;
        return n;
}

int pci_address_parse(const char *s, PciAddress *ret) {
        uint32_t domain, bus, device, function;
        int n;

        assert(ret);

        if (!s)
                return -EINVAL;

        n = take_hex(s, 4, 8, &domain);
        if (n < 0 || s[n] != ':')
                return -EINVAL;
        /* The kernel prints %04x: more digits only when they are needed, or one device had two names. */
        if (n > 4 && s[0] == '0')
                return -EINVAL;
        s += n + 1;

        if (take_hex(s, 2, 2, &bus) < 0 || s[2] != ':')
                return -EINVAL;
        s += 3;

        if (take_hex(s, 2, 2, &device) < 0 || device > 31 || s[2] != '.')
                return -EINVAL;
        s += 3;

        if (take_hex(s, 1, 1, &function) < 0 || function > 7 || s[1] != '\0')
                return -EINVAL;

        *ret = (PciAddress){domain, (uint8_t)bus, (uint8_t)device, (uint8_t)function};
        return 0;
}

const char *pci_address_format(const PciAddress *a, char buf[static PCI_ADDRESS_SIZE]) {
        assert(a);

        (void)snprintf(buf, PCI_ADDRESS_SIZE, "%04x:%02x:%02x.%x", a->domain, a->bus, a->device & 0x1f,
                       a->function & 0x7);
        return buf;
}

int pci_address_compare(const PciAddress *a, const PciAddress *b) {
        uint64_t x, y;

        assert(a);
        assert(b);

        x = (uint64_t)a->domain << 16 | (uint64_t)a->bus << 8 | (uint64_t)a->device << 3 | a->function;
        y = (uint64_t)b->domain << 16 | (uint64_t)b->bus << 8 | (uint64_t)b->device << 3 | b->function;
        return x < y ? -1 : x > y;
}

bool pci_address_in_path(const PciAddress *a, const char *path) {
        char text[PCI_ADDRESS_SIZE];
        size_t n;

        assert(a);
        assert(path);

        n = strlen(pci_address_format(a, text));
        for (const char *p = path; (p = strstr(p, text)); p += n)
                if ((p == path || p[-1] == '/') && (p[n] == '/' || p[n] == '\0'))
                        return true;
        return false;
}
