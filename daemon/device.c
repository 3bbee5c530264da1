/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

static const char *const device_state_table[DEVICE_STATE_MAX] = {
                [DEVICE_HOST] = "host",   [DEVICE_POOL] = "pool",       [DEVICE_MOVING] = "moving",
                [DEVICE_STUCK] = "stuck", [DEVICE_CLAIMED] = "claimed", [DEVICE_QUARANTINED] = "quarantined",
};

DEFINE_STRING_TABLE(device_state, DeviceState, DEVICE_STATE_MAX);

static const char *const device_property_table[DEVICE_PROPERTY_MAX] = {
                [DEVICE_PROPERTY_SLOT] = "Slot",
                [DEVICE_PROPERTY_SERIAL] = "Serial",
                [DEVICE_PROPERTY_DRIVER] = "Driver",
                [DEVICE_PROPERTY_MODULE] = "Module",
                [DEVICE_PROPERTY_HOST_DRIVER] = "HostDriver",
                [DEVICE_PROPERTY_NUMA_NODE] = "NumaNode",
                [DEVICE_PROPERTY_IOMMU_SET] = "IommuSet",
                [DEVICE_PROPERTY_IOMMU_PEERS] = "IommuPeers",
                [DEVICE_PROPERTY_RESET_METHODS] = "ResetMethods",
                [DEVICE_PROPERTY_LINK_SPEED] = "LinkSpeed",
                [DEVICE_PROPERTY_LINK_WIDTH] = "LinkWidth",
                [DEVICE_PROPERTY_LINK_SPEED_MAX] = "LinkSpeedMax",
                [DEVICE_PROPERTY_LINK_WIDTH_MAX] = "LinkWidthMax",
                [DEVICE_PROPERTY_SRIOV_TOTAL_VFS] = "SriovTotalVfs",
                [DEVICE_PROPERTY_SRIOV_NUM_VFS] = "SriovNumVfs",
                [DEVICE_PROPERTY_PHYSICAL_FUNCTION] = "PhysicalFunction",
                [DEVICE_PROPERTY_VIRTUAL_FUNCTIONS] = "VirtualFunctions",
                [DEVICE_PROPERTY_SRIOV_ORDERED_VFS] = "SriovOrderedVfs",
                [DEVICE_PROPERTY_VFS_GRANTED] = "VfsGranted",
                [DEVICE_PROPERTY_VF_INDEX] = "VfIndex",
                [DEVICE_PROPERTY_NETWORK_INTERFACES] = "NetworkInterfaces",
                [DEVICE_PROPERTY_VF_SETTINGS] = "VfSettings",
                [DEVICE_PROPERTY_CRITICAL] = "Critical",
                [DEVICE_PROPERTY_ELIGIBLE] = "Eligible",
                [DEVICE_PROPERTY_REASON] = "Reason",
                [DEVICE_PROPERTY_GRANTED] = "Granted",
                [DEVICE_PROPERTY_STATE] = "State",
                [DEVICE_PROPERTY_GROUPS] = "Groups",
                [DEVICE_PROPERTY_ATTENTION] = "Attention",
                [DEVICE_PROPERTY_CLAIM] = "Claim",
                [DEVICE_PROPERTY_QUARANTINE] = "Quarantine",
};

DEFINE_STRING_TABLE(device_property, DeviceProperty, DEVICE_PROPERTY_MAX);

Device *device_free(Device *d) {
        if (!d)
                return NULL;

        free(d->path);
        free(d->words);
        free(d->rules);
        free(d->critical_sentence);
        free(d->stuck);
        free(d->reason);
        free(d->refusal);
        free(d->attention);
        free(d->quarantine);
        free(d);
        return NULL;
}

int device_new(const DeviceFacts *facts, const char *path, Device **ret) {
        _cleanup_(device_freep) Device *d = NULL;

        assert(facts);
        assert(path);
        assert(ret);

        d = calloc(1, sizeof *d);
        if (!d)
                return -ENOMEM;

        d->facts = *facts;
        d->ordered_vfs = -1;
        (void)pci_address_format(&facts->identity.address, d->address);
        d->path = strdup(path);
        if (!d->path)
                return -ENOMEM;

        *ret = STEAL(d);
        return 0;
}

static const char *take_word(char **at, const char *word) {
        const char *taken = *at;

        *at = stpcpy(*at, word) + 1;
        return taken;
}

int device_set_words(Device *d, const char *vendor, const char *model, const char *class_words,
                     const char *svendor, const char *smodel) {
        size_t n_name = strlen(vendor) + 1 + strlen(model) + 1;
        char *words, *at;

        assert(d);

        words = at = malloc(2 * n_name + strlen(class_words) + 1 + strlen(svendor) + 1 + strlen(smodel) + 1);
        if (!words)
                return -ENOMEM;

        free(d->words);
        d->words = words;
        d->name = at;
        at += snprintf(at, n_name, "%s %s", vendor, model) + 1;
        d->vendor = take_word(&at, vendor);
        d->model = take_word(&at, model);
        d->class_words = take_word(&at, class_words);
        d->svendor = take_word(&at, svendor);
        d->smodel = take_word(&at, smodel);
        return 0;
}

static uint32_t differ(bool different, DeviceProperty property) {
        return different ? 1U << property : 0;
}

/* What is known of a device does not become unknown because it cannot be asked now. */
static void keep_what_stays_known(const DeviceFacts *old, DeviceFacts *new) {
        if (!new->identity.serial[0])
                (void)memcpy(new->identity.serial, old->identity.serial, sizeof new->identity.serial);
        if (new->link_asleep) {
                new->link_speed = old->link_speed;
                new->link_speed_max = old->link_speed_max;
                new->link_width = old->link_width;
                new->link_width_max = old->link_width_max;
        }
}

/* The kernel announces a virtual function before it says whose it is. */
static bool same_function(const DeviceFacts *a, const DeviceFacts *b) {
        return a->is_virtual == b->is_virtual &&
               (!a->is_virtual || pci_address_compare(&a->physical_function, &b->physical_function) == 0);
}

uint32_t device_set_facts(Device *d, const DeviceFacts *facts) {
        const DeviceFacts *old;
        DeviceFacts new;
        uint32_t mask;

        assert(d);
        assert(facts);

        old = &d->facts;
        new = *facts;
        keep_what_stays_known(old, &new);
        mask = differ(!streq(old->identity.slot, new.identity.slot), DEVICE_PROPERTY_SLOT) |
               differ(!streq(old->driver, new.driver), DEVICE_PROPERTY_DRIVER) |
               differ(!streq(old->module, new.module), DEVICE_PROPERTY_MODULE) |
               differ(old->numa_node != new.numa_node, DEVICE_PROPERTY_NUMA_NODE) |
               differ(old->set.number != new.set.number, DEVICE_PROPERTY_IOMMU_SET) |
               differ(!iommu_set_same_members(&old->set, &new.set), DEVICE_PROPERTY_IOMMU_PEERS) |
               differ(!streq(old->reset_methods, new.reset_methods), DEVICE_PROPERTY_RESET_METHODS) |
               differ(old->link_speed < new.link_speed || old->link_speed > new.link_speed,
                      DEVICE_PROPERTY_LINK_SPEED) |
               differ(old->link_width != new.link_width, DEVICE_PROPERTY_LINK_WIDTH) |
               differ(old->link_speed_max < new.link_speed_max || old->link_speed_max > new.link_speed_max,
                      DEVICE_PROPERTY_LINK_SPEED_MAX) |
               differ(old->link_width_max != new.link_width_max, DEVICE_PROPERTY_LINK_WIDTH_MAX) |
               differ(old->sriov_total_vfs != new.sriov_total_vfs, DEVICE_PROPERTY_SRIOV_TOTAL_VFS) |
               differ(!same_function(old, &new), DEVICE_PROPERTY_PHYSICAL_FUNCTION) |
               differ(old->vf_index != new.vf_index, DEVICE_PROPERTY_VF_INDEX) |
               differ(!streq(old->interfaces, new.interfaces), DEVICE_PROPERTY_NETWORK_INTERFACES);

        d->facts = new;
        return mask;
}

uint32_t device_set_vf_settings(Device *d, const VfSettings *now) {
        uint32_t mask;

        assert(d);
        assert(now);

        mask = differ(!vf_settings_same(&d->vf_settings, now), DEVICE_PROPERTY_VF_SETTINGS);
        d->vf_settings = *now;
        return mask;
}

bool device_set_text(char **text, const char *value) {
        char *copy;

        assert(text);
        assert(value);

        if (*text ? streq(*text, value) : value[0] == '\0')
                return false;

        copy = value[0] ? strdup(value) : NULL;
        if (value[0] && !copy) /* what was true is better than nothing */
                return false;

        free(*text);
        *text = copy;
        return true;
}
