/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "device-table.h"
#include "pointers.h"

static int compare_address(const void *item, const void *address) {
        return pci_address_compare(device_address(item), address);
}

/* Where the address is, or would be. */
static size_t find_place(const DeviceTable *t, const PciAddress *a, bool *ret_found) {
        return pointers_find(t->devices, t->n, a, compare_address, ret_found);
}

Device *device_table_find(const DeviceTable *t, const PciAddress *a) {
        bool found;
        size_t i;

        assert(t);
        assert(a);

        i = find_place(t, a, &found);
        return found ? t->devices[i] : NULL;
}

size_t device_table_after(const DeviceTable *t, const PciAddress *a) {
        bool found;
        size_t i;

        assert(t);
        assert(a);

        i = find_place(t, a, &found);
        return found ? i + 1 : i;
}

static int hex_digit(char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes the escapes of sd_bus_path_encode() ("_3a" is ":") without allocating: this runs for each object of
 * a listing. Not strict, since find_path() compares the whole path in the end. */
static bool decode_label(const char *label, char ret[static PCI_ADDRESS_SIZE]) {
        size_t n = 0;

        for (; *label && n + 1 < PCI_ADDRESS_SIZE; n++)
                if (label[0] == '_' && hex_digit(label[1]) >= 0 && hex_digit(label[2]) >= 0) {
                        ret[n] = (char)(hex_digit(label[1]) << 4 | hex_digit(label[2]));
                        label += 3;
                } else
                        ret[n] = *label++;

        ret[n] = '\0';
        return *label == '\0';
}

Device *device_table_find_path(const DeviceTable *t, const char *path) {
        char text[PCI_ADDRESS_SIZE];
        PciAddress a;
        Device *d;

        assert(t);
        assert(path);

        if (!startswith(path, BUS_PATH_DEVICES "/") ||
            !decode_label(path + strlen(BUS_PATH_DEVICES "/"), text) || pci_address_parse(text, &a) < 0)
                return NULL;

        d = device_table_find(t, &a);
        return d && streq(d->path, path) ? d : NULL;
}

int device_table_insert(DeviceTable *t, Device *d) {
        bool found;
        size_t i;

        assert(t);
        assert(d);

        i = find_place(t, device_address(d), &found);
        if (found)
                return -EEXIST;

        if (pointers_reserve(&t->devices, &t->n_allocated, t->n + 1) < 0)
                return -ENOMEM;

        pointers_insert(t->devices, &t->n, i, d);
        d->table = t;
        return 0;
}

Device *device_table_remove(DeviceTable *t, const PciAddress *a) {
        bool found;
        Device *d;
        size_t i;

        assert(t);
        assert(a);

        i = find_place(t, a, &found);
        if (!found)
                return NULL;

        d = t->devices[i];
        pointers_remove(t->devices, &t->n, i);
        d->table = NULL;
        return d;
}

void device_table_clear(DeviceTable *t) {
        assert(t);

        for (size_t i = 0; i < t->n; i++)
                device_free(t->devices[i]);
        free(t->devices);
        *t = (DeviceTable){0};
}

const Device *device_table_next_vf(const DeviceTable *t, const Device *pf, size_t *at) {
        const Device *d;

        assert(t);
        assert(pf);
        assert(at);

        while (pf->facts.sriov_total_vfs > 0 && *at < t->n) {
                d = t->devices[(*at)++];
                if (device_is_vf_of(d, device_address(pf)))
                        return d;
        }
        return NULL;
}

uint32_t device_table_count_vfs(const DeviceTable *t, const Device *pf) {
        uint32_t n = 0;

        for (size_t at = 0; device_table_next_vf(t, pf, &at); n++)
                ;
        return n;
}

/* Why this one alone cannot leave the host; NULL when nothing speaks against it. */
static const char *own_reason(const Device *d, char *buf, size_t size) {
        if (!d->critical_known) {
                (void)snprintf(buf, size,
                               "Device %s cannot be judged yet: what the host uses is still being read; "
                               "try again in a moment.",
                               d->address);
                return buf;
        }
        if (d->critical_error == -ETIMEDOUT) {
                (void)snprintf(buf, size,
                               "Device %s must stay with the host: the kernel does not answer what the host "
                               "uses (mounts, swap, addresses, routes); see 'journalctl -k' for a driver "
                               "that "
                               "hangs. As soon as the kernel answers this is judged anew.",
                               d->address);
                return buf;
        }
        if (d->critical_error < 0) {
                (void)snprintf(buf, size,
                               "Device %s must stay with the host: " CRITICAL_UNKNOWN_SENTENCE ".",
                               d->address);
                return buf;
        }
        return d->critical != 0 ? strempty(d->critical_sentence) : NULL;
}

static const char *set_reason(const Device *d, char *buf, size_t size) {
        if (d->facts.set.number == DEVICE_NO_IOMMU_SET)
                (void)snprintf(buf, size,
                               "Device %s must stay with the host: it is in no IOMMU set, so nothing would "
                               "keep it from the host's memory; switch the IOMMU on in the firmware setup "
                               "and on the kernel command line.",
                               d->address);
        else if (d->facts.set_error == -E2BIG)
                (void)snprintf(buf, size,
                               "Device %s must stay with the host: its IOMMU set %u has more than %u "
                               "functions, which is more than can move together; use a slot that the IOMMU "
                               "separates.",
                               d->address, d->facts.set.number, DEVICES_PER_CALL_MAX);
        else if (d->facts.set_error < 0)
                (void)snprintf(buf, size,
                               "Device %s must stay with the host: its IOMMU set %u cannot be read or holds "
                               "devices that are not on the PCI bus; leave it to the host.",
                               d->address, d->facts.set.number);
        else
                return NULL;
        return buf;
}

static const char *peer_reason(const DeviceTable *t, const Device *d, char *buf, size_t size) {
        const IommuSet *set = &d->facts.set;
        char address[PCI_ADDRESS_SIZE], inner[512];
        const char *why;
        const Device *p;

        for (size_t i = 0; i < set->n_members; i++) {
                p = device_table_find(t, &set->members[i]);
                if (p == d || (p && device_is_bridge(p)))
                        continue;

                why = p ? own_reason(p, inner, sizeof inner) : "It is not known yet; try again in a moment.";
                if (!why)
                        continue;
                (void)snprintf(buf, size, "Device %s shares IOMMU set %u with %s and moves only with it. %s",
                               d->address, set->number, pci_address_format(&set->members[i], address), why);
                return buf;
        }
        return NULL;
}

static const char *find_reason(const DeviceTable *t, const Device *d, bool disabled, char *buf,
                               size_t size) {
        const char *why;

        if (d->state == DEVICE_STUCK)
                return strempty(d->stuck);
        if (disabled) {
                (void)snprintf(buf, size, DEVICE_DISABLED_SENTENCE, d->address);
                return buf;
        }
        if ((why = own_reason(d, buf, size)) || (why = set_reason(d, buf, size)))
                return why;
        return peer_reason(t, d, buf, size);
}

static DeviceState find_state(const Device *d) {
        if (d->stuck)
                return DEVICE_STUCK;
        if (d->operating || d->journalled)
                return DEVICE_MOVING;
        if (d->claim)
                return DEVICE_CLAIMED;
        if (d->quarantine)
                return DEVICE_QUARANTINED;
        return streq(d->facts.driver, VFIO_DRIVER) ? DEVICE_POOL : DEVICE_HOST;
}

static uint32_t derive_text(char *text, size_t size, const char *value, DeviceProperty property) {
        if (streq(text, value))
                return 0;

        (void)snprintf(text, size, "%s", value);
        return 1U << property;
}

uint32_t device_table_derive(const DeviceTable *t, Device *d, bool disabled) {
        bool at_host, eligible;
        const char *reason;
        DeviceState state;
        uint32_t mask;
        char buf[1024];

        assert(t);
        assert(d);

        at_host = device_is_driven(d);
        if (at_host)
                (void)memcpy(d->host_module, d->facts.module, sizeof d->host_module);
        mask = derive_text(d->host_driver, sizeof d->host_driver,
                           at_host ? d->facts.driver : d->grant_driver, DEVICE_PROPERTY_HOST_DRIVER);
        mask |= derive_text(d->serial, sizeof d->serial,
                            d->grant_serial[0] ? d->grant_serial : d->facts.identity.serial,
                            DEVICE_PROPERTY_SERIAL);

        state = find_state(d);
        mask |= state != d->state ? 1U << DEVICE_PROPERTY_STATE : 0;
        d->state = state;

        reason = find_reason(t, d, disabled, buf, sizeof buf);
        eligible = !reason;
        mask |= eligible != (d->eligible != 0) ? 1U << DEVICE_PROPERTY_ELIGIBLE : 0;
        d->eligible = eligible;
        mask |= device_set_text(&d->reason, strempty(reason)) ? 1U << DEVICE_PROPERTY_REASON : 0;
        return mask;
}
