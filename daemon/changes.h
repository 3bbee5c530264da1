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
        MANAGER_PROPERTY_MAX,
        MANAGER_PROPERTY_INVALID = -EINVAL,
} ManagerProperty;

DECLARE_STRING_TABLE(manager_property, ManagerProperty);

typedef void (*changes_arm_t)(void *userdata);

typedef struct Changes {
        uint32_t manager; /* bits 1 << ManagerProperty */
        bool armed;
        changes_arm_t arm;
        void *userdata;
} Changes;

/* Something changed that what is derived depends on. */
void changes_touch(Changes *c);
void changes_mark(Changes *c, Device *d, uint32_t mask);
void changes_mark_manager(Changes *c, uint32_t mask);

typedef struct ChangesSink {
        void (*device)(Device *d, uint32_t mask, void *userdata);
        void (*stuck)(Device *d, void *userdata); /* it has just become stuck */
        void (*manager)(uint32_t mask, void *userdata);
} ChangesSink;

/* Derives all devices anew and reports each object that changed, once. */
void changes_flush(Changes *c, const DeviceTable *t, bool disabled, const ChangesSink *sink, void *userdata);
