/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "changes.h"

static const char *const manager_property_table[MANAGER_PROPERTY_MAX] = {
                [MANAGER_PROPERTY_IOMMU_ENABLED] = "IommuEnabled",
                [MANAGER_PROPERTY_IOMMU_KIND] = "IommuKind",
                [MANAGER_PROPERTY_VFIO_AVAILABLE] = "VfioAvailable",
                [MANAGER_PROPERTY_VFIO_CDEV_AVAILABLE] = "VfioCdevAvailable",
};

DEFINE_STRING_TABLE(manager_property, ManagerProperty, MANAGER_PROPERTY_MAX);

void changes_touch(Changes *c) {
        assert(c);

        if (c->armed)
                return;

        c->armed = true;
        if (c->arm)
                c->arm(c->userdata);
}

void changes_mark(Changes *c, Device *d, uint32_t mask) {
        assert(d);

        if (mask == 0)
                return;
        d->changed |= mask;
        changes_touch(c);
}

void changes_mark_manager(Changes *c, uint32_t mask) {
        assert(c);

        if (mask == 0)
                return;
        c->manager |= mask;
        changes_touch(c);
}

void changes_flush(Changes *c, const DeviceTable *t, bool disabled, const ChangesSink *sink,
                   void *userdata) {
        DeviceState before;
        uint32_t mask;
        Device *d;

        assert(c);
        assert(t);
        assert(sink);

        c->armed = false;

        for (size_t i = 0; i < t->n; i++) {
                d = t->devices[i];
                before = d->state;
                mask = d->changed | device_table_derive(t, d, disabled);
                d->changed = 0;
                if (mask != 0)
                        sink->device(d, mask, userdata);
                if (d->state == DEVICE_STUCK && before != DEVICE_STUCK)
                        sink->stuck(d, userdata);
        }

        mask = c->manager;
        c->manager = 0;
        if (mask != 0)
                sink->manager(mask, userdata);
}
