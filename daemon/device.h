/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One PCI function as the service knows it: facts of the kernel, what the helper's files say about it, and
 * what follows from both. Plain data: nothing here reads files or speaks D-Bus, and nothing here is
 * remembered at rest. The owner of all devices is the table (device-table.h).
 */

#include "grant.h"
#include "string-table.h"
#include "vf-settings.h"

#define PCI_BASE_CLASS_NETWORK 0x02U
#define DEVICE_NO_IOMMU_SET UINT32_MAX
#define DEVICE_RESET_METHODS_SIZE 128
#define DEVICE_INTERFACES_SIZE 128

typedef enum DeviceState {
        DEVICE_HOST,
        DEVICE_POOL,        /* on vfio-pci */
        DEVICE_MOVING,      /* an operation is under way, or was interrupted and waits to be undone */
        DEVICE_STUCK,       /* the kernel does not answer one */
        DEVICE_CLAIMED,     /* a VM has it, or one of its IOMMU set */
        DEVICE_QUARANTINED, /* it could not be reset after a VM */
        DEVICE_STATE_MAX,
        DEVICE_STATE_INVALID = -EINVAL,
} DeviceState;

DECLARE_STRING_TABLE(device_state, DeviceState);

/* The properties that can change while the object lives; the words are their D-Bus names. */
typedef enum DeviceProperty {
        DEVICE_PROPERTY_SLOT,
        DEVICE_PROPERTY_SERIAL,
        DEVICE_PROPERTY_DRIVER,
        DEVICE_PROPERTY_MODULE,
        DEVICE_PROPERTY_HOST_DRIVER,
        DEVICE_PROPERTY_NUMA_NODE,
        DEVICE_PROPERTY_IOMMU_SET,
        DEVICE_PROPERTY_IOMMU_PEERS,
        DEVICE_PROPERTY_RESET_METHODS,
        DEVICE_PROPERTY_LINK_SPEED,
        DEVICE_PROPERTY_LINK_WIDTH,
        DEVICE_PROPERTY_LINK_SPEED_MAX,
        DEVICE_PROPERTY_LINK_WIDTH_MAX,
        DEVICE_PROPERTY_SRIOV_TOTAL_VFS,
        DEVICE_PROPERTY_SRIOV_NUM_VFS,
        DEVICE_PROPERTY_PHYSICAL_FUNCTION,
        DEVICE_PROPERTY_VIRTUAL_FUNCTIONS,
        DEVICE_PROPERTY_SRIOV_ORDERED_VFS,
        DEVICE_PROPERTY_VFS_GRANTED,
        DEVICE_PROPERTY_VF_INDEX,
        DEVICE_PROPERTY_NETWORK_INTERFACES,
        DEVICE_PROPERTY_VF_SETTINGS,
        DEVICE_PROPERTY_CRITICAL,
        DEVICE_PROPERTY_ELIGIBLE,
        DEVICE_PROPERTY_REASON,
        DEVICE_PROPERTY_GRANTED,
        DEVICE_PROPERTY_STATE,
        DEVICE_PROPERTY_GROUPS,
        DEVICE_PROPERTY_ATTENTION,
        DEVICE_PROPERTY_CLAIM,
        DEVICE_PROPERTY_QUARANTINE,
        DEVICE_PROPERTY_MAX,
        DEVICE_PROPERTY_INVALID = -EINVAL,
} DeviceProperty;

DECLARE_STRING_TABLE(device_property, DeviceProperty);

/* What the kernel says, read in one go. */
typedef struct DeviceFacts {
        PciIdentity identity; /* the serial only where it can be read without privilege (NVMe) */
        char driver[PCI_DRIVER_SIZE], module[PCI_DRIVER_SIZE]; /* "" for none */
        int32_t numa_node;                                     /* -1 for none */
        IommuSet set;  /* number is DEVICE_NO_IOMMU_SET for none; the device itself is always a member */
        int set_error; /* 0, or why `set` does not hold all members: -E2BIG, -EXDEV, ... */
        char reset_methods[DEVICE_RESET_METHODS_SIZE];
        double link_speed, link_speed_max; /* GT/s */
        uint32_t link_width, link_width_max;
        bool link_asleep; /* these four could not be asked for without waking the device up */
        uint32_t sriov_total_vfs;
        bool is_virtual;
        PciAddress physical_function; /* of a virtual one */
        int32_t vf_index; /* which of its virtual ones: 0...; -1: it is none, or that is not known */
        char interfaces[DEVICE_INTERFACES_SIZE]; /* of the network, with spaces between */
} DeviceFacts;

struct Claim;
struct DeviceTable;
struct Rule;

typedef struct Device {
        DeviceFacts facts;
        const struct DeviceTable *table;
        char address[PCI_ADDRESS_SIZE];
        char *path;  /* of the D-Bus object, made once: sd_bus_path_encode() costs more than all else */
        char *words; /* one block for these */
        const char *vendor, *model, *class_words, *name, *svendor, *smodel;

        /* What would be lost, as of the last look at the host. */
        bool critical_known;
        int critical_error; /* why it could not be evaluated */
        uint32_t critical;  /* bits 1 << CriticalReason */
        char *critical_sentence;
        VfSettings vf_settings; /* of a virtual function of a network card, at the same look */

        /* What the grant says. */
        int granted;                   /* int: sd-bus reads it as a D-Bus boolean */
        bool has_grant, grant_pending; /* a file for the address, valid or not; until Keep */
        bool granted_by_ids;
        int vfs_granted;  /* it is a PF whose virtual functions may leave, and not itself; int: as above */
        uint32_t vfs;     /* how many it was last told to have, when they are granted */
        uint32_t consent; /* critical reasons that it overrides */
        char persistent[GRANT_BOOT_SIZE]; /* the boot in which the helper bound it persistently; "" */
        char grant_driver[PCI_DRIVER_SIZE], grant_serial[PCI_SERIAL_SIZE];

        /* What is done to it. */
        bool operating, journalled;
        char *stuck; /* NULL, or the sentence */

        /* What became of the orders for it: kept by reconcile.c and attention.c. */
        bool was_pool, taken; /* somebody else took it from vfio-pci */
        int order_done; /* what the last order did: 1 bound, -1 released, 0 failed, or there was none */
        unsigned order_failures;
        uint64_t order_tried;
        unsigned vfs_fights; /* how often its virtual functions went soon after they had been made */
        uint64_t vfs_made, vfs_rest_until; /* when they were last; not made again before */
        char first_driver[PCI_DRIVER_SIZE], first_module[PCI_DRIVER_SIZE]; /* see steward_look_back() */
        char *refusal; /* NULL, or what the helper said to the last try */
        char *attention;
        bool vfs_unmet;      /* it has not the virtual functions that it is to have */
        int32_t ordered_vfs; /* how many the orders ask for; -1: they do not */

        /* Kept by claim-table.c and quarantine.c. */
        struct Claim *claim; /* whose VM has it, or one of its set; NULL */
        bool came_back;      /* it is a VM's, and appeared while that ran */
        char *quarantine;    /* NULL, or why no VM may have it */
        uint64_t last_used; /* monotonic microseconds: when a VM gave it back; 0: never, as far as is known */

        /* What follows; device_table_derive() computes it. */
        DeviceState state;
        int eligible;
        char *reason;
        char host_driver[PCI_DRIVER_SIZE], serial[PCI_SERIAL_SIZE];
        char host_module[PCI_DRIVER_SIZE]; /* as last seen at the host; "" until then */

        /* The rules that match it, oldest first; the first decides its group. Kept by registry.c. */
        struct Rule **rules;
        size_t n_rules;

        uint32_t changed; /* bits 1 << DeviceProperty, kept by changes.c */
} Device;

/* Words are copied; path must be the object's path. */
int device_new(const DeviceFacts *facts, const char *path, Device **ret);
Device *device_free(Device *d);
DEFINE_CLEANUP(Device *, device_free);

int device_set_words(Device *d, const char *vendor, const char *model, const char *class_words,
                     const char *svendor, const char *smodel);

/* Takes newer facts of the same device; returns what changed as bits of DeviceProperty. A serial that cannot
 * be read any more (the NVMe driver has left) stays known, and so does the link of a device that sleeps. */
uint32_t device_set_facts(Device *d, const DeviceFacts *facts);

/* Returns what changed as bits of DeviceProperty. */
uint32_t device_set_vf_settings(Device *d, const VfSettings *now);

/* Puts a copy of value into *text, "" being NULL; returns whether that changed it. */
bool device_set_text(char **text, const char *value);

static inline const PciAddress *device_address(const Device *d) {
        return &d->facts.identity.address;
}

/* May the host spare it, as far as is known? Its critical reasons are consented to. */
static inline bool device_is_spared(const Device *d) {
        return d->critical_known && d->critical_error == 0 && (d->critical & ~d->consent) == 0;
}

/* A driver of the host's has it. */
static inline bool device_is_driven(const Device *d) {
        return d->facts.driver[0] && !streq(d->facts.driver, VFIO_DRIVER);
}

static inline bool device_is_bridge(const Device *d) {
        return pci_class_is_forwarding_bridge(d->facts.identity.class_code);
}

static inline bool device_is_network(const Device *d) {
        return d->facts.identity.class_code >> 16 == PCI_BASE_CLASS_NETWORK;
}

/* The virtual functions of a physical one are known by its address. */
static inline bool device_is_vf_of(const Device *d, const PciAddress *pf) {
        return d->facts.is_virtual && pci_address_compare(&d->facts.physical_function, pf) == 0;
}

static inline bool device_in_set(const Device *d, uint32_t number) {
        return number != DEVICE_NO_IOMMU_SET && d->facts.set.number == number;
}
