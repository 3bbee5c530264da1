/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device-fields.h"
#include "record.h"

enum {
        TEXT_CLASS,
        TEXT_IDS,
        TEXT_SUBSYSTEM_IDS,
        TEXT_PHYSICAL_FUNCTION,
        TEXT_MAX,
};

/* Not printf: this runs for each device that is matched against the rules. */
static const char *put_hex(char *text, uint16_t value) {
        for (int shift = 12; shift >= 0; shift -= 4)
                *text++ = "0123456789abcdef"[value >> shift & 0xf];
        *text = '\0';
        return text - 4;
}

static const char *put_ids(char *text, uint16_t vendor, uint16_t device) {
        (void)put_hex(text, vendor);
        text[4] = ':';
        (void)put_hex(text + 5, device);
        return text;
}

static FilterValue text_of(const char *text) {
        return (FilterValue){.text = text};
}

static FilterValue number_of(bool known, uint64_t number) {
        return (FilterValue){.number = known ? number : 0, .unknown = !known};
}

void device_fields_fill(const Device *d, DeviceFields *ret) {
        FilterValue *v = ret->subject.values;
        const DeviceFacts *f = &d->facts;
        const PciIdentity *i = &f->identity;
        const char *physical_function = "";
        bool at_host = device_is_driven(d);

        static_assert(TEXT_MAX <= ELEMENTSOF(ret->text), "no room for all texts");
        static_assert(sizeof ret->text[0] >= PCI_ADDRESS_SIZE, "no room for an address");
        assert(d);

        if (f->is_virtual)
                physical_function =
                                pci_address_format(&f->physical_function, ret->text[TEXT_PHYSICAL_FUNCTION]);

        v[FILTER_NAME] = text_of(d->name);
        v[FILTER_SLOT] = text_of(strchr(d->address, ':') + 1);
        v[FILTER_ADDRESS] = text_of(d->address);
        v[FILTER_CLASS] = text_of(d->class_words);
        v[FILTER_CLASS_HEX] = text_of(put_hex(ret->text[TEXT_CLASS], (uint16_t)(i->class_code >> 8)));
        v[FILTER_DEVICE_TYPE] = text_of(group_class_to_string(group_class_of(i->class_code)));
        v[FILTER_VENDOR] = text_of(d->vendor);
        v[FILTER_DEVICE] = text_of(d->model);
        v[FILTER_VENDOR_DEVICE_HEX] = text_of(put_ids(ret->text[TEXT_IDS], i->vendor, i->device));
        v[FILTER_SVENDOR] = text_of(d->svendor);
        v[FILTER_SUBSYSTEM_DEVICE] = text_of(d->smodel);
        v[FILTER_SUBSYSTEM_HEX] = text_of(
                        put_ids(ret->text[TEXT_SUBSYSTEM_IDS], i->subsystem_vendor, i->subsystem_device));
        v[FILTER_PHYSICAL_SLOT] = text_of(i->slot);
        /* Of the host: a rule that asks for a driver must not let go of what vfio-pci has because of it. */
        v[FILTER_DRIVER] = text_of(at_host ? f->driver : d->host_driver);
        v[FILTER_MODULE] = text_of(at_host             ? f->module
                                   : d->host_module[0] ? d->host_module
                                                       : d->host_driver);
        v[FILTER_NUMA] = number_of(f->numa_node >= 0, (uint64_t)f->numa_node);
        v[FILTER_IOMMU_GROUP] = number_of(f->set.number != DEVICE_NO_IOMMU_SET, f->set.number);
        v[FILTER_SERIAL] = text_of(d->serial);
        v[FILTER_REVISION] = number_of(true, i->revision);
        v[FILTER_NODE] = text_of(d->table ? d->table->node : NULL);
        v[FILTER_PHYSICAL_FUNCTION] = text_of(physical_function);
        v[FILTER_SRIOV_TOTALVFS] = number_of(true, f->sriov_total_vfs);
}
