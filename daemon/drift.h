/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is not as it was when it was granted: grants remember devices and their IOMMU sets, and hardware changes. Pure:
 * compares, and changes nothing. */

#include "device-table.h"
#include "grant.h"

typedef enum DriftKind {
        DRIFT_MOVED,       /* the device is at another address now */
        DRIFT_REPLACED,    /* another one is at this address */
        DRIFT_MISSING,     /* none is */
        DRIFT_SET_CHANGED, /* other functions share its IOMMU set */
        DRIFT_TAKEN,       /* somebody else took it from vfio-pci */
        DRIFT_REFUSED,     /* it should be bound, and cannot be */
        DRIFT_KIND_MAX,
        DRIFT_KIND_INVALID = -EINVAL,
} DriftKind;

DECLARE_STRING_TABLE(drift_kind, DriftKind); /* "moved", ... */

typedef struct Drift {
        DriftKind kind;
        char address[PCI_ADDRESS_SIZE];
        char *sentence;
} Drift;

typedef struct DriftReport {
        Drift *entries; /* owned */
        size_t n;
} DriftReport;

void drift_report_clear(DriftReport *r);
bool drift_report_same(const DriftReport *a, const DriftReport *b) _pure_;

/* What one grant and the devices that are there say. False: nothing is wrong. buf: the sentence. */
bool drift_of_grant(const DeviceTable *t, const Grant *g, DriftKind *ret, char *buf, size_t size);

/* All grants, and what became of the orders. -ENOMEM. */
int drift_compute(const DeviceTable *t, const Grant *grants, size_t n, DriftReport *ret);
