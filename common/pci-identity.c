/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>

#include "pci-identity.h"
#include "sysfs.h"
#include "text.h"

static int read_id(int device_fd, const char *attribute, uint64_t max, uint64_t *ret) {
        uint64_t v;
        int r;

        r = sysfs_read_u64(device_fd, attribute, 16, &v);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        if (v > max)
                return -ERANGE;

        *ret = v;
        return 0;
}

int pci_identity_read(int device_fd, const PciAddress *a, PciIdentity *ret) {
        uint64_t vendor, device, subvendor, subdevice, class_code, revision;
        int r;

        assert(a);
        assert(ret);

        if ((r = read_id(device_fd, "vendor", UINT16_MAX, &vendor)) < 0 ||
            (r = read_id(device_fd, "device", UINT16_MAX, &device)) < 0 ||
            (r = read_id(device_fd, "subsystem_vendor", UINT16_MAX, &subvendor)) < 0 ||
            (r = read_id(device_fd, "subsystem_device", UINT16_MAX, &subdevice)) < 0 ||
            (r = read_id(device_fd, "class", 0xffffff, &class_code)) < 0 ||
            (r = read_id(device_fd, "revision", UINT8_MAX, &revision)) < 0)
                return r;

        *ret = (PciIdentity){
                        .address = *a,
                        .vendor = (uint16_t)vendor,
                        .device = (uint16_t)device,
                        .subsystem_vendor = (uint16_t)subvendor,
                        .subsystem_device = (uint16_t)subdevice,
                        .class_code = (uint32_t)class_code,
                        .revision = (uint8_t)revision,
        };
        return 0;
}

/* PCI 3.0 appendix I: large resources 0x82 (identifier string) and 0x90 (VPD-R), with a 16-bit length; a small
 * resource 0x78 ends it. VPD-R holds fields of a two-letter keyword, a length byte and data. */
int pci_vpd_serial(const uint8_t *vpd, size_t size, char *ret, size_t ret_size) {
        size_t at = 0, length, end;

        assert(vpd);
        assert(ret);

        while (at + 3 <= size && vpd[at] != 0x78) {
                if (!(vpd[at] & 0x80))
                        return -EBADMSG;
                length = (size_t)vpd[at + 1] | (size_t)vpd[at + 2] << 8;
                end = at + 3 + length;
                if (end > size)
                        return -EBADMSG;

                if (vpd[at] == 0x90)
                        for (size_t f = at + 3; f + 3 <= end; f += 3U + vpd[f + 2]) {
                                if (f + 3 + vpd[f + 2] > end)
                                        return -EBADMSG;
                                if (vpd[f] == 'S' && vpd[f + 1] == 'N') {
                                        text_sanitize(ret, ret_size, (const char *)vpd + f + 3, vpd[f + 2]);
                                        return ret[0] ? 0 : -ENODATA;
                                }
                        }
                at = end;
        }

        return -ENODATA;
}

static int read_vpd(int device_fd, char *ret, size_t size) {
        _cleanup_close_ int fd = -1;
        uint8_t vpd[4096];
        ssize_t n;

        fd = openat(device_fd, "vpd", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;

        n = read(fd, vpd, sizeof vpd);
        if (n < 0)
                return -errno;

        return pci_vpd_serial(vpd, (size_t)n, ret, size);
}

static int take_nvme_serial(const char *name, void *userdata) {
        PciIdentity *identity = userdata;

        if (startswith(name, "nvme"))
                (void)snprintf(identity->serial, sizeof identity->serial, "%.32s", name);
        return 0;
}

void pci_identity_read_serial(int device_fd, PciIdentity *identity) {
        char path[128], text[256];

        assert(identity);

        identity->serial[0] = '\0';
        if (read_vpd(device_fd, identity->serial, sizeof identity->serial) >= 0)
                return;

        /* The NVMe driver has read it from the controller (Identify, SN) and keeps it. */
        identity->serial[0] = '\0';
        if (identity->class_code >> 8 != 0x0108 ||
            sysfs_each(device_fd, "nvme", take_nvme_serial, identity) < 0 || !identity->serial[0])
                return;

        (void)snprintf(path, sizeof path, "nvme/%s/serial", identity->serial);
        identity->serial[0] = '\0';
        if (sysfs_read(device_fd, path, text, sizeof text) > 0)
                text_sanitize(identity->serial, sizeof identity->serial, text, strlen(text));
}

typedef struct SlotSearch {
        int slots;
        PciIdentity *identity;
} SlotSearch;

static int match_slot(const char *name, void *userdata) {
        char path[NAME_MAX + 16], text[32], address[PCI_ADDRESS_SIZE];
        SlotSearch *s = userdata;
        char *dot;

        (void)snprintf(path, sizeof path, "%s/address", name);
        if (sysfs_read(s->slots, path, text, sizeof text) < 0)
                return 0;

        /* The slot's address has no function: "0000:3b:00". */
        (void)pci_address_format(&s->identity->address, address);
        dot = strchr(address, '.');
        *dot = '\0';
        if (!streq(address, text))
                return 0;

        text_sanitize(s->identity->slot, sizeof s->identity->slot, name, strlen(name));
        return 1;
}

void pci_identity_read_slot(int root, const char *likely, PciIdentity *identity) {
        _cleanup_close_ int slots = -1;
        SlotSearch search;

        assert(identity);

        identity->slot[0] = '\0';
        slots = sysfs_open_dir(root, "sys/bus/pci/slots");
        if (slots < 0)
                return;

        search = (SlotSearch){slots, identity};
        if (isempty(likely) || strchr(likely, '/') || match_slot(likely, &search) <= 0)
                (void)sysfs_each(slots, ".", match_slot, &search);
}

static bool same_when_known(const char *a, const char *b) {
        return !a[0] || !b[0] || streq(a, b);
}

bool pci_identity_same(const PciIdentity *a, const PciIdentity *b) {
        assert(a);
        assert(b);

        return pci_address_compare(&a->address, &b->address) == 0 && a->vendor == b->vendor &&
               a->device == b->device && a->subsystem_vendor == b->subsystem_vendor &&
               a->subsystem_device == b->subsystem_device && a->class_code == b->class_code &&
               a->revision == b->revision && same_when_known(a->serial, b->serial) &&
               same_when_known(a->slot, b->slot);
}

static int add_member(const char *name, void *userdata) {
        PciAddress a;
        int r;

        /* A set may hold platform devices too; we could not move them, so the set is not ours to move. */
        r = pci_address_parse(name, &a);
        if (r < 0)
                return -EXDEV;

        return iommu_set_add(userdata, &a);
}

int iommu_set_read(int device_fd, IommuSet *ret) {
        char number[32], *end;
        IommuSet set = {0};
        int r;

        assert(ret);

        r = sysfs_read_link_name(device_fd, "iommu_group", number, sizeof number);
        if (r < 0)
                return r;

        set.number = (unsigned)strtoul(number, &end, 10);
        if (end == number || *end != '\0')
                return -EBADMSG;

        r = sysfs_each(device_fd, "iommu_group/devices", add_member, &set);
        if (r < 0)
                return r;

        *ret = set;
        return 0;
}

bool iommu_set_contains(const IommuSet *set, const PciAddress *a) {
        assert(set);

        for (size_t i = 0; i < set->n_members; i++)
                if (pci_address_compare(&set->members[i], a) == 0)
                        return true;
        return false;
}

bool iommu_set_same_members(const IommuSet *a, const IommuSet *b) {
        assert(a);
        assert(b);

        if (a->n_members != b->n_members)
                return false;
        for (size_t i = 0; i < a->n_members; i++)
                if (pci_address_compare(&a->members[i], &b->members[i]) != 0)
                        return false;
        return true;
}

int iommu_set_add(IommuSet *set, const PciAddress *a) {
        size_t i;

        assert(set);
        assert(a);

        if (iommu_set_contains(set, a))
                return 0;
        if (set->n_members == ELEMENTSOF(set->members))
                return -E2BIG;

        for (i = set->n_members++; i > 0 && pci_address_compare(&set->members[i - 1], a) > 0; i--)
                set->members[i] = set->members[i - 1];
        set->members[i] = *a;
        return 0;
}

const char *iommu_set_format(const IommuSet *set, char *buf, size_t size) {
        char address[PCI_ADDRESS_SIZE];
        size_t used = 0;
        int n;

        assert(set);
        assert(buf);
        assert(size >= 8);

        buf[0] = '\0';
        for (size_t i = 0; i < set->n_members; i++) {
                n = snprintf(buf + used, size - used, "%s%s", i > 0 ? ", " : "",
                             pci_address_format(&set->members[i], address));
                if ((size_t)n >= size - used) {
                        strcpy(buf + (used < size - 4 ? used : size - 4), "...");
                        break;
                }
                used += (size_t)n;
        }
        return buf;
}
