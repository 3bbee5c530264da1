/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "critical.h"
#include "grant-ids.h"
#include "grant.h"
#include "record-file.h"
#include "sysfs.h"
#include "text.h"

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
        KEY_IDS,
        KEY_VFS,
        KEY_MAX,
};

/* Grants of earlier releases have them not. */
#define KEYS_OPTIONAL (1U << KEY_IDS | 1U << KEY_VFS)

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
                [KEY_IDS] = "ids",
                [KEY_VFS] = "vfs",
};

static int parse_id(const char *s, uint16_t *ret) {
        uint64_t v;
        int r;

        r = record_parse_hex(s, 4, &v);
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

static int parse_ids(const char *s, char ret[static ID_SELECTOR_SIZE]) {
        IdSelector ids;

        if (s[0] && id_selector_parse(s, &ids) < 0)
                return -EBADMSG;
        strcpy(ret, s);
        return 0;
}

/* "" is a grant of the device itself. */
static int parse_vfs(const char *s, Grant *g) {
        uint64_t v = 0;

        if (s[0] && record_parse_decimal(s, VFS_MAX, &v) < 0)
                return -EBADMSG;
        g->covers_vfs = s[0];
        g->vfs = (uint16_t)v;
        return 0;
}

static int take_value(size_t key, const char *s, void *userdata) {
        Grant *g = userdata;
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
                r = record_parse_hex(s, 6, &v);
                g->identity.class_code = (uint32_t)v;
                return r;
        case KEY_REVISION:
                r = record_parse_hex(s, 2, &v);
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
                r = record_parse_decimal(s, UINT32_MAX - 1, &v);
                g->granted_by = (uid_t)v;
                return r;
        case KEY_GRANTED_AT:
                return record_parse_decimal(s, UINT64_MAX, &g->granted_at);
        case KEY_IDS:
                return parse_ids(s, g->ids);
        case KEY_VFS:
                return parse_vfs(s, g);
        default:
                return -EBADMSG;
        }
}

/* A grant that a selector is said to have made must be of a device that this selector selects. */
static bool ids_fit(const Grant *g) {
        IdSelector ids;

        return !g->ids[0] ||
               (id_selector_parse(g->ids, &ids) >= 0 && id_selector_matches(&ids, &g->identity));
}

int grant_parse(const char *text, Grant *ret) {
        Grant g = {0};
        int r;

        assert(ret);

        r = record_parse(text, key_table, KEY_MAX, KEYS_OPTIONAL, take_value, &g);
        if (r < 0)
                return r;
        if (!iommu_set_contains(&g.set, &g.identity.address) || !ids_fit(&g) || (g.covers_vfs && g.ids[0]))
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
        char address[PCI_ADDRESS_SIZE], members[DEVICES_PER_CALL_MAX * PCI_ADDRESS_SIZE + 1], reasons[512],
                        vfs[8] = "";
        const PciIdentity *i;
        int n;

        assert(g);
        assert(buf);

        i = &g->identity;
        format_words(&g->set, g->consent, members, sizeof members, reasons, sizeof reasons);

        if (g->covers_vfs)
                (void)snprintf(vfs, sizeof vfs, "%u", g->vfs);

        /* What may be missing stands in the middle, so that a file cut short is never a grant. */
        n = snprintf(buf, size,
                     "# Written by verge-passthrough-helper: an administrator's consent that this\n"
                     "# device%s may leave the host. Take it back with Revoke.\n"
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
                     "ids=%s\n"
                     "vfs=%s\n"
                     "granted-by=%u\n"
                     "granted-at=%" PRIu64 "\n",
                     g->covers_vfs ? "'s virtual functions" : "", pci_address_format(&i->address, address),
                     i->vendor, i->device, i->subsystem_vendor, i->subsystem_device, i->class_code,
                     i->revision, i->serial, i->slot, members, g->host_driver, reasons, g->ids, vfs,
                     (unsigned)g->granted_by, g->granted_at);
        return (size_t)n >= size ? -ENOBUFS : n;
}

bool grant_boot_is_valid(const char *s) {
        return strspn(s, "0123456789abcdef") == GRANT_BOOT_SIZE - 1 && s[GRANT_BOOT_SIZE - 1] == '\0';
}

static void read_mark(int root, uid_t root_uid, Grant *g) {
        char path[GRANT_PATH_SIZE], boot[64];

        if (record_read(root, grant_mark_path(&g->identity.address, path), root_uid, boot, sizeof boot) >=
                            0 &&
            grant_boot_is_valid(boot))
                strcpy(g->persistent, boot);
}

/* A UUID, of which marks leave the dashes out (proc(5), /proc/sys/kernel/random). */
int grant_read_boot(int root, char ret[static GRANT_BOOT_SIZE]) {
        char text[64];
        size_t n = 0;
        int r;

        r = sysfs_read(root, "proc/sys/kernel/random/boot_id", text, sizeof text);
        if (r < 0)
                return r;

        for (const char *c = text; *c && n + 1 < GRANT_BOOT_SIZE; c++)
                if (*c != '-')
                        ret[n++] = *c;
        ret[n] = '\0';
        return grant_boot_is_valid(ret) ? 0 : -EBADMSG;
}

int grant_read_from(int root, bool pending, const PciAddress *a, uid_t root_uid, Grant *ret) {
        char path[GRANT_PATH_SIZE], text[GRANT_TEXT_SIZE];
        Grant g;
        int r;

        assert(a);
        assert(ret);

        r = record_read(root, grant_path(pending, a, path), root_uid, text, sizeof text);
        if (r < 0)
                return r;
        if (grant_parse(text, &g) < 0 || pci_address_compare(&g.identity.address, a) != 0)
                return -EBADMSG;

        g.pending = pending;
        read_mark(root, root_uid, &g);
        *ret = g;
        return 0;
}

static int read_any(int root, const PciAddress *a, uid_t root_uid, Grant *ret) {
        int pending, kept;

        pending = grant_read_from(root, true, a, root_uid, ret);
        if (pending >= 0)
                return pending;

        kept = grant_read_from(root, false, a, root_uid, ret);
        return kept == -ENOENT ? pending : kept;
}

static int read_kind(int root, bool covers_vfs, const PciAddress *a, uid_t root_uid, Grant *ret) {
        Grant g;
        int r;

        r = read_any(root, a, root_uid, &g);
        if (r < 0)
                return r;
        if (g.covers_vfs != covers_vfs)
                return -ENOENT;
        *ret = g;
        return 0;
}

int grant_read(int root, const PciAddress *a, uid_t root_uid, Grant *ret) {
        return read_kind(root, false, a, root_uid, ret);
}

int grant_read_pf(int root, const PciAddress *pf, uid_t root_uid, Grant *ret) {
        return read_kind(root, true, pf, root_uid, ret);
}

int grant_read_vf(int root, const PciAddress *vf, const PciAddress *pf, uid_t root_uid, Grant *ret) {
        Grant g, own = {.identity.address = *vf};
        int r;

        assert(vf);
        assert(pf);
        assert(ret);

        r = grant_read_pf(root, pf, root_uid, &g);
        if (r < 0)
                return r;

        read_mark(root, root_uid, &own);
        memcpy(g.persistent, own.persistent, sizeof g.persistent);
        *ret = g;
        return 0;
}

static const char *format_path(const char *directory, const PciAddress *a, const char *suffix,
                               char buf[static GRANT_PATH_SIZE]) {
        char address[PCI_ADDRESS_SIZE];

        (void)snprintf(buf, GRANT_PATH_SIZE, "%s/%s%s", directory, pci_address_format(a, address), suffix);
        return buf;
}

const char *grant_path(bool pending, const PciAddress *a, char buf[static GRANT_PATH_SIZE]) {
        return format_path(pending ? PENDING_GRANTS_DIR : GRANTS_DIR, a, GRANT_SUFFIX, buf);
}

const char *grant_mark_path(const PciAddress *a, char buf[static GRANT_PATH_SIZE]) {
        return format_path(GRANTS_DIR, a, GRANT_MARK_SUFFIX, buf);
}

bool grant_file_is(const char *name, const char *suffix, PciAddress *ret) {
        char address[PCI_ADDRESS_SIZE];
        const char *dot = strchr(name, '.'), *end;

        /* The address has a dot, too. */
        end = dot ? strchr(dot + 1, '.') : NULL;
        if (!end || !streq(end, suffix) || (size_t)(end - name) >= sizeof address)
                return false;
        (void)snprintf(address, sizeof address, "%.*s", (int)(end - name), name);
        return pci_address_parse(address, ret) >= 0;
}
