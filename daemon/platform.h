/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What this host offers for passing devices through: IOMMU, interrupt remapping, VFIO. */

#include "string-table.h"

typedef enum IommuKind {
        IOMMU_NONE,
        IOMMU_INTEL,
        IOMMU_AMD,
        IOMMU_SMMU,
        IOMMU_VIRTIO,
        IOMMU_KIND_MAX,
        IOMMU_KIND_INVALID = -EINVAL,
} IommuKind;

DECLARE_STRING_TABLE(iommu_kind, IommuKind);

typedef struct Platform {
        int iommu_enabled; /* ints: sd-bus reads them as D-Bus booleans */
        IommuKind iommu_kind;
        int interrupt_remapping;
        int vfio, vfio_cdev;
        int disabled; /* verge_passthrough=off */
} Platform;

/* All of it, once at the start. */
void platform_read(int root, Platform *ret);

/* Only what the loading of a driver can change; cheap. */
void platform_reread(int root, Platform *p);
