/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "changes.h"

static const char *const manager_property_table[MANAGER_PROPERTY_MAX] = {
                [MANAGER_PROPERTY_IOMMU_ENABLED] = "IommuEnabled",
                [MANAGER_PROPERTY_IOMMU_KIND] = "IommuKind",
                [MANAGER_PROPERTY_VFIO_AVAILABLE] = "VfioAvailable",
                [MANAGER_PROPERTY_VFIO_CDEV_AVAILABLE] = "VfioCdevAvailable",
                [MANAGER_PROPERTY_GRANTED_IDS] = "GrantedIds",
                [MANAGER_PROPERTY_DRIFT] = "Drift",
                [MANAGER_PROPERTY_READ_ONLY] = "ReadOnly",
                [MANAGER_PROPERTY_READ_ONLY_REASON] = "ReadOnlyReason",
                [MANAGER_PROPERTY_RESTART_NEEDED] = "RestartNeeded",
                [MANAGER_PROPERTY_RESTART_REASON] = "RestartReason",
                [MANAGER_PROPERTY_BOOT_GUARD] = "BootGuard",
                [MANAGER_PROPERTY_BOOT_GUARD_REASON] = "BootGuardReason",
                [MANAGER_PROPERTY_CONFIRM_UNTIL] = "ConfirmUntil",
                [MANAGER_PROPERTY_CONFIRM_USER] = "ConfirmUser",
                [MANAGER_PROPERTY_CONFIRM_DEVICES] = "ConfirmDevices",
};

DEFINE_STRING_TABLE(manager_property, ManagerProperty, MANAGER_PROPERTY_MAX);

void changes_arm(Changes *c) {
        assert(c);

        if (c->armed)
                return;

        c->armed = true;
        if (c->arm)
                c->arm(c->userdata);
}

void changes_touch(Changes *c) {
        assert(c);

        c->all = true;
        changes_arm(c);
}

static bool is_touched(const Changes *c, const PciAddress *a) {
        for (size_t i = 0; i < c->n_touched; i++)
                if (pci_address_compare(&c->touched[i], a) == 0)
                        return true;
        return false;
}

void changes_touch_device(Changes *c, const Device *d) {
        assert(c);
        assert(d);

        if (!c->all && !is_touched(c, device_address(d))) {
                if (c->n_touched < CHANGES_TOUCHED_MAX)
                        c->touched[c->n_touched++] = *device_address(d);
                else
                        c->all = true;
        }
        changes_arm(c);
}

void changes_mark(Changes *c, Device *d, uint32_t mask) {
        assert(c);
        assert(d);

        if (mask == 0)
                return;
        d->changed |= mask;
        changes_touch_device(c, d);
}

void changes_mark_manager(Changes *c, uint32_t mask) {
        assert(c);

        if (mask == 0)
                return;
        c->manager |= mask;
        changes_arm(c);
}

/* Asked of the device and not of who was touched: what d follows from are the members that d knows of, and who left
 * cannot be asked any more. */
static bool must_derive(const Changes *c, const Device *d) {
        if (c->all || is_touched(c, device_address(d)))
                return true;
        for (size_t i = 0; i < d->facts.set.n_members; i++)
                if (is_touched(c, &d->facts.set.members[i]))
                        return true;
        return false;
}

static void flush_device(Device *d, const DeviceTable *t, bool disabled, const ChangesSink *sink,
                         void *userdata) {
        DeviceState before = d->state;
        uint32_t mask;

        mask = d->changed | device_table_derive(t, d, disabled);
        if (sink->attend)
                mask |= sink->attend(d, userdata);
        d->changed = 0;
        if (mask != 0)
                sink->device(d, mask, userdata);
        if (d->state == DEVICE_STUCK && before != DEVICE_STUCK)
                sink->stuck(d, userdata);
}

void changes_flush(Changes *c, const DeviceTable *t, bool disabled, const ChangesSink *sink,
                   void *userdata) {
        Changes now;
        uint32_t mask;

        assert(c);
        assert(t);
        assert(sink);

        /* What is touched from now on, by who is told, is for the next flush. */
        now = *c;
        now.all = now.all || disabled != c->disabled;
        c->armed = c->all = false;
        c->disabled = disabled;
        c->n_touched = 0;

        for (size_t i = 0; i < t->n && (now.all || now.n_touched > 0); i++)
                if (must_derive(&now, t->devices[i]))
                        flush_device(t->devices[i], t, disabled, sink, userdata);

        if (sink->settled)
                sink->settled(userdata);
        mask = c->manager;
        c->manager = 0;
        if (mask != 0)
                sink->manager(mask, userdata);
}
