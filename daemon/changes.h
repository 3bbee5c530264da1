/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What has changed since the bus was told last. Marking is cheap and cannot fail; the first mark calls
 * `arm`, which sees to it that changes_flush() runs before the loop does anything else, so that a burst of
 * events is one PropertiesChanged per object.
 */

#include "device-table.h"

/* The changing properties of the Manager object; the words are their D-Bus names. */
typedef enum ManagerProperty {
        MANAGER_PROPERTY_IOMMU_ENABLED,
        MANAGER_PROPERTY_IOMMU_KIND,
        MANAGER_PROPERTY_VFIO_AVAILABLE,
        MANAGER_PROPERTY_VFIO_CDEV_AVAILABLE,
        MANAGER_PROPERTY_GRANTED_IDS,
        MANAGER_PROPERTY_DRIFT,
        MANAGER_PROPERTY_READ_ONLY,
        MANAGER_PROPERTY_READ_ONLY_REASON,
        MANAGER_PROPERTY_RESTART_NEEDED,
        MANAGER_PROPERTY_RESTART_REASON,
        MANAGER_PROPERTY_BOOT_GUARD,
        MANAGER_PROPERTY_BOOT_GUARD_REASON,
        MANAGER_PROPERTY_CONFIRM_UNTIL,
        MANAGER_PROPERTY_CONFIRM_USER,
        MANAGER_PROPERTY_CONFIRM_DEVICES,
        MANAGER_PROPERTY_MAX,
        MANAGER_PROPERTY_INVALID = -EINVAL,
} ManagerProperty;

DECLARE_STRING_TABLE(manager_property, ManagerProperty);

typedef void (*changes_arm_t)(void *userdata);

/* So many touched devices are remembered; with more, all are derived, which takes about as long. */
#define CHANGES_TOUCHED_MAX 32U

typedef struct Changes {
        uint32_t manager; /* bits 1 << ManagerProperty */
        bool armed;
        bool all;                                /* everything was touched */
        bool disabled;                           /* as of the last flush */
        PciAddress touched[CHANGES_TOUCHED_MAX]; /* addresses: a device may leave before the flush */
        size_t n_touched;
        changes_arm_t arm;
        void *userdata;
} Changes;

/* Something changed that what is derived depends on: of anybody, or of this device and of those in whose IOMMU set it
 * is. One that comes or leaves is touched, too: before it is removed. */
void changes_arm(Changes *c); /* something else is to be told */
void changes_touch(Changes *c);
void changes_touch_device(Changes *c, const Device *d);
void changes_mark(Changes *c, Device *d, uint32_t mask);
void changes_mark_manager(Changes *c, uint32_t mask);

typedef struct ChangesSink {
        void (*device)(Device *d, uint32_t mask, void *userdata);
        void (*stuck)(Device *d, void *userdata); /* it has just become stuck */
        /* Derives more of a device that was derived: what changed, as bits. NULL: there is no more. */
        uint32_t (*attend)(Device *d, void *userdata);
        void (*settled)(void *userdata); /* all devices are told, the manager's properties follow; or NULL */
        void (*manager)(uint32_t mask, void *userdata);
} ChangesSink;

/* Derives anew what was touched and what depends on it, and all when `disabled` has changed; reports each object that
 * changed, once. */
void changes_flush(Changes *c, const DeviceTable *t, bool disabled, const ChangesSink *sink, void *userdata);
