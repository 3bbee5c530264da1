/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "critical.h"
#include "text.h"
#include "grant.h"
#include "sysfs.h"

enum {
        KEY_FORMAT,
        KEY_ADDRESS,
        KEY_VENDOR,
        KEY_DEVICE,
        KEY_SUBSYSTEM_VENDOR,
        KEY_SUBSYSTEM_DEVICE,
        KEY_CLASS,
        KEY_REVISION,
        KEY_SERIAL,
        KEY_SLOT,
        KEY_IOMMU_SET,
        KEY_HOST_DRIVER,
        KEY_CONSENT,
        KEY_GRANTED_BY,
        KEY_GRANTED_AT,
        KEY_MAX,
};

static const char *const key_table[KEY_MAX] = {
                [KEY_FORMAT] = "format",
                [KEY_ADDRESS] = "address",
                [KEY_VENDOR] = "vendor",
                [KEY_DEVICE] = "device",
                [KEY_SUBSYSTEM_VENDOR] = "subsystem-vendor",
                [KEY_SUBSYSTEM_DEVICE] = "subsystem-device",
                [KEY_CLASS] = "class",
                [KEY_REVISION] = "revision",
                [KEY_SERIAL] = "serial",
                [KEY_SLOT] = "slot",
                [KEY_IOMMU_SET] = "iommu-set",
                [KEY_HOST_DRIVER] = "host-driver",
                [KEY_CONSENT] = "consent",
                [KEY_GRANTED_BY] = "granted-by",
                [KEY_GRANTED_AT] = "granted-at",
};

static int parse_decimal(const char *s, uint64_t max, uint64_t *ret) {
        char *end;

        if (s[0] < '0' || s[0] > '9' || (s[0] == '0' && s[1]))
                return -EBADMSG;

        errno = 0;
        *ret = strtoull(s, &end, 10);
        return errno != 0 || *end != '\0' || *ret > max ? -EBADMSG : 0;
}

/* Exactly as it was written: lower-case, with leading zeros. */
static int parse_hex(const char *s, size_t digits, uint64_t *ret) {
        if (strlen(s) != digits || strspn(s, "0123456789abcdef") != digits)
                return -EBADMSG;

        *ret = strtoull(s, NULL, 16);
        return 0;
}

static int parse_id(const char *s, uint16_t *ret) {
        uint64_t v;
        int r;

        r = parse_hex(s, 4, &v);
        if (r >= 0)
                *ret = (uint16_t)v;
        return r;
}

static int parse_text(const char *s, char *ret, size_t size) {
        text_sanitize(ret, size, s, strlen(s));
        return streq(ret, s) ? 0 : -EBADMSG;
}

static int parse_set(const char *s, IommuSet *ret) {
        char word[PCI_ADDRESS_SIZE];
        PciAddress a;
        size_t n;

        for (*ret = (IommuSet){0}; *s; s += n + (s[n] == ' ' && s[n + 1])) {
                n = strcspn(s, " ");
                if (n >= sizeof word)
                        return -EBADMSG;
                memcpy(word, s, n);
                word[n] = '\0';
                if (pci_address_parse(word, &a) < 0 || iommu_set_contains(ret, &a) ||
                    iommu_set_add(ret, &a) < 0)
                        return -EBADMSG;
        }
        return 0;
}

static int parse_consent(const char *s, uint32_t *ret) {
        char word[32];
        size_t n;
        int reason;

        for (*ret = 0; *s; s += n + (s[n] == ' ' && s[n + 1])) {
                n = strcspn(s, " ");
                if (n >= sizeof word)
                        return -EBADMSG;
                memcpy(word, s, n);
                word[n] = '\0';
                reason = (int)critical_reason_from_string(word);
                if (reason < 0 || !(CRITICAL_OVERRIDABLE & 1U << reason) || *ret & 1U << reason)
                        return -EBADMSG;
                *ret |= 1U << reason;
        }
        return 0;
}

static int parse_value(int key, const char *s, Grant *g) {
        uint64_t v = 0;
        int r;

        switch (key) {
        case KEY_FORMAT:
                return streq(s, "1") ? 0 : -EBADMSG;
        case KEY_ADDRESS:
                return pci_address_parse(s, &g->identity.address) < 0 ? -EBADMSG : 0;
        case KEY_VENDOR:
                return parse_id(s, &g->identity.vendor);
        case KEY_DEVICE:
                return parse_id(s, &g->identity.device);
        case KEY_SUBSYSTEM_VENDOR:
                return parse_id(s, &g->identity.subsystem_vendor);
        case KEY_SUBSYSTEM_DEVICE:
                return parse_id(s, &g->identity.subsystem_device);
        case KEY_CLASS:
                r = parse_hex(s, 6, &v);
                g->identity.class_code = (uint32_t)v;
                return r;
        case KEY_REVISION:
                r = parse_hex(s, 2, &v);
                g->identity.revision = (uint8_t)v;
                return r;
        case KEY_SERIAL:
                return parse_text(s, g->identity.serial, sizeof g->identity.serial);
        case KEY_SLOT:
                return parse_text(s, g->identity.slot, sizeof g->identity.slot);
        case KEY_IOMMU_SET:
                return parse_set(s, &g->set);
        case KEY_HOST_DRIVER:
                return strchr(s, '/') ? -EBADMSG : parse_text(s, g->host_driver, sizeof g->host_driver);
        case KEY_CONSENT:
                return parse_consent(s, &g->consent);
        case KEY_GRANTED_BY:
                r = parse_decimal(s, UINT32_MAX - 1, &v);
                g->granted_by = (uid_t)v;
                return r;
        case KEY_GRANTED_AT:
                return parse_decimal(s, UINT64_MAX, &g->granted_at);
        default:
                return -EBADMSG;
        }
}

int grant_parse(const char *text, Grant *ret) {
        char line[GRANT_TEXT_SIZE], *value;
        uint32_t seen = 0;
        Grant g = {0};
        int key, r;

        assert(text);
        assert(ret);

        while ((r = text_next_line(&text, line, sizeof line)) > 0) {
                if (line[0] == '\0' || line[0] == '#')
                        continue;

                value = strchr(line, '=');
                if (!value)
                        return -EBADMSG;
                *value++ = '\0';

                for (key = 0; key < KEY_MAX && !streq(key_table[key], line); key++)
                        ;
                if (key == KEY_MAX || seen & 1U << key || parse_value(key, value, &g) < 0)
                        return -EBADMSG;
                seen |= 1U << key;
        }
        if (r < 0)
                return -EBADMSG;

        if (seen != (1U << KEY_MAX) - 1 || !iommu_set_contains(&g.set, &g.identity.address))
                return -EBADMSG;

        *ret = g;
        return 0;
}

static void format_words(const IommuSet *set, uint32_t consent, char *members, size_t members_size,
                         char *reasons, size_t reasons_size) {
        char address[PCI_ADDRESS_SIZE];
        size_t used = 0;

        members[0] = reasons[0] = '\0';
        for (size_t i = 0; i < set->n_members; i++)
                used += (size_t)snprintf(members + used, members_size - used, "%s%s", i > 0 ? " " : "",
                                         pci_address_format(&set->members[i], address));
        used = 0;
        for (int i = 0; i < CRITICAL_REASON_MAX; i++)
                if (consent & 1U << i)
                        used += (size_t)snprintf(reasons + used, reasons_size - used, "%s%s",
                                                 used > 0 ? " " : "", critical_reason_to_string(i));
}

int grant_format(const Grant *g, char *buf, size_t size) {
        char address[PCI_ADDRESS_SIZE], members[DEVICES_PER_CALL_MAX * PCI_ADDRESS_SIZE + 1], reasons[512];
        const PciIdentity *i;
        int n;

        assert(g);
        assert(buf);

        i = &g->identity;
        format_words(&g->set, g->consent, members, sizeof members, reasons, sizeof reasons);

        n = snprintf(buf, size,
                     "# Written by verge-passthrough-helper: an administrator's consent that this\n"
                     "# device may leave the host. Take it back with Revoke.\n"
                     "format=1\n"
                     "address=%s\n"
                     "vendor=%04x\n"
                     "device=%04x\n"
                     "subsystem-vendor=%04x\n"
                     "subsystem-device=%04x\n"
                     "class=%06x\n"
                     "revision=%02x\n"
                     "serial=%s\n"
                     "slot=%s\n"
                     "iommu-set=%s\n"
                     "host-driver=%s\n"
                     "consent=%s\n"
                     "granted-by=%u\n"
                     "granted-at=%" PRIu64 "\n",
                     pci_address_format(&i->address, address), i->vendor, i->device, i->subsystem_vendor,
                     i->subsystem_device, i->class_code, i->revision, i->serial, i->slot, members,
                     g->host_driver, reasons, (unsigned)g->granted_by, g->granted_at);
        return (size_t)n >= size ? -ENOBUFS : n;
}

int grant_read(int root, const PciAddress *a, uid_t root_uid, Grant *ret) {
        char path[sizeof GRANTS_DIR + PCI_ADDRESS_SIZE + sizeof GRANT_SUFFIX], text[GRANT_TEXT_SIZE];
        char address[PCI_ADDRESS_SIZE];
        struct stat st;
        Grant g;
        int r;

        assert(a);
        assert(ret);

        (void)snprintf(path, sizeof path, GRANTS_DIR "/%s" GRANT_SUFFIX, pci_address_format(a, address));

        if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != root_uid || st.st_mode & 022)
                return -EPERM;

        r = sysfs_read(root, path, text, sizeof text);
        if (r < 0)
                return r == -ENOENT ? r : -EBADMSG;

        r = grant_parse(text, &g);
        if (r < 0 || pci_address_compare(&g.identity.address, a) != 0)
                return -EBADMSG;

        *ret = g;
        return 0;
}
