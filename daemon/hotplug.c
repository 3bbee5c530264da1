/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "grants.h"
#include "hotplug.h"
#include "inventory.h"
#include "log.h"
#include "operation.h"
#include "order-book.h"
#include "quarantine.h"
#include "reconcile.h"

#define PROPERTIES_OF_PF (1U << DEVICE_PROPERTY_SRIOV_NUM_VFS | 1U << DEVICE_PROPERTY_VIRTUAL_FUNCTIONS)

void hotplug_take_verdict(Manager *m, Device *d, const HostVerdict *v) {
        uint32_t critical = v->error < 0 ? 0 : v->critical; /* what was true once is not known to be now */
        bool news = !d->critical_known || d->critical_error != v->error || d->critical != critical;

        d->critical_known = true;
        d->critical_error = v->error;
        if (news)
                reconcile_order_nudge(d);
        if (d->critical != critical)
                changes_mark(&m->changes, d, 1U << DEVICE_PROPERTY_CRITICAL);
        d->critical = critical;
        changes_mark(&m->changes, d, device_set_vf_settings(d, &v->settings));
        news |= device_set_text(&d->critical_sentence, v->error < 0 ? "" : strempty(v->sentence));
        if (news) /* each look judges all, and finds most as they were */
                changes_touch_device(&m->changes, d);
}

static uint32_t take_facts(Manager *m, Device *d, const DeviceFacts *facts) {
        uint32_t mask = device_set_facts(d, facts);

        changes_mark(&m->changes, d, mask);
        if (d->vfs_granted && mask & 1U << DEVICE_PROPERTY_DRIVER)
                reconcile_vfs_driver_came(d);
        return mask;
}

void hotplug_reread(Manager *m, Device *d) {
        DeviceFacts facts = d->facts;

        if (inventory_reread(m->root, &facts) >= 0) { /* else it is gone, and its uevent on the way */
                (void)take_facts(m, d, &facts);
                order_book_match(m, d);
        }
        changes_touch_device(&m->changes, d); /* not all facts have a bit */
}

/* Others see it come and go: those that share its IOMMU set, and its physical function. */
static void tell_relatives(Manager *m, const DeviceFacts *facts) {
        Device *p;

        if (!m->scanned) /* the first scan reads everybody anyway */
                return;

        for (size_t i = 0; i < m->devices.n; i++) {
                p = m->devices.devices[i];
                if (pci_address_compare(device_address(p), &facts->identity.address) == 0)
                        continue;
                if (device_in_set(p, facts->set.number)) {
                        hotplug_reread(m, p);
                        changes_mark(&m->changes, p, 1U << DEVICE_PROPERTY_IOMMU_PEERS);
                        grants_read_device(m, p);
                }
                if (facts->is_virtual &&
                    pci_address_compare(device_address(p), &facts->physical_function) == 0)
                        changes_mark(&m->changes, p, PROPERTIES_OF_PF);
        }
}

static int make_device(Manager *m, const DeviceFacts *facts, Device **ret) {
        _cleanup_(device_freep) Device *d = NULL;
        char address[PCI_ADDRESS_SIZE];
        _cleanup_free_ char *path = NULL;
        PciWords words;
        int r;

        (void)pci_address_format(&facts->identity.address, address);
        if ((r = sd_bus_path_encode(BUS_PATH_DEVICES, address, &path)) < 0 ||
            (r = device_new(facts, path, &d)) < 0 ||
            (r = pci_names_find(m->names, &facts->identity, &words)) < 0 ||
            (r = device_set_words(d, words.vendor, words.model, words.class_words, words.svendor,
                                  words.smodel)) < 0 ||
            (r = device_table_insert(&m->devices, d)) < 0)
                return r;

        *ret = STEAL(d);
        return 0;
}

static void add(Manager *m, const DeviceFacts *facts) {
        char address[PCI_ADDRESS_SIZE];
        Device *d;
        int r;

        r = make_device(m, facts, &d);
        if (r < 0) {
                log_error("Cannot take up device %s: %s.",
                          pci_address_format(&facts->identity.address, address), strerror(-r));
                return;
        }

        d->operating = !device_is_bridge(d) && operation_covers(m, device_address(d));
        if (m->scanned) { /* else once for all, when the sets are known */
                grants_read_device(m, d);
                manager_apply_move(m, d);
                order_book_match(m, d);
                claim_table_device_changed(m->claims, d);
                quarantine_apply(m, d);
                d->came_back = d->claim;
        }
        if (m->ready) {
                (void)device_table_derive(&m->devices, d, m->platform.disabled);
                d->changed = 0; /* all its properties go out with the signal */
                m->wire->device_added(m, d);
        }
        m->platform_stale = true; /* the first behind an IOMMU, perhaps */
        changes_touch_device(&m->changes, d);
        tell_relatives(m, facts);
}

/* To its owner, on the claim's object. */
static void tell_vm(Manager *m, Device *d) {
        const Run *r = d->claim ? d->claim->run : NULL;

        for (size_t i = 0; r && i < r->record.n_devices; i++) {
                const RunDevice *rd = &r->record.devices[i];
                Claim *c = claim_table_find(m->claims, rd->claim);

                if (claim_table_device(m->claims, rd) != d || !c)
                        continue;
                log_warning("Device %s of VM \"%s\" has vanished from the host.", d->address, r->record.vm);
                if (m->ready)
                        m->wire->claim_device_vanished(m, c, device_address(d));
        }
}

void hotplug_remove(Manager *m, const PciAddress *a) {
        Device *d = device_table_find(&m->devices, a), *pf;
        DeviceFacts facts;

        if (!d)
                return;

        tell_vm(m, d);
        if (m->ready)
                m->wire->device_removed(m, d);
        claim_table_device_leaves(m->claims, d);
        registry_forget_device(m->registry, d);
        facts = d->facts;
        changes_touch_device(&m->changes, d);
        device_free(device_table_remove(&m->devices, a));
        m->platform_stale = true;
        pf = facts.is_virtual ? device_table_find(&m->devices, &facts.physical_function) : NULL;
        if (pf && pf->vfs_granted && !pf->operating) { /* else it is no loss */
                hotplug_reread(m, pf); /* its driver may be about to leave it, which takes them with it */
                reconcile_vfs_lost(pf, manager_now(m));
        }
        tell_relatives(m, &facts);
}

static void update(Manager *m, Device *d, const DeviceFacts *facts) {
        DeviceFacts old = d->facts;
        uint32_t mask;

        mask = take_facts(m, d, facts);
        order_book_match(m, d);
        if (mask & (1U << DEVICE_PROPERTY_IOMMU_SET | 1U << DEVICE_PROPERTY_IOMMU_PEERS |
                    1U << DEVICE_PROPERTY_PHYSICAL_FUNCTION)) {
                claim_table_device_changed(m->claims, d);
                tell_relatives(m, &old);
                tell_relatives(m, facts);
        }
        grants_read_device(m, d);
        m->platform_stale = true;
}

void hotplug_update(Manager *m, const PciAddress *a) {
        char address[PCI_ADDRESS_SIZE];
        DeviceFacts facts;
        Device *d;
        int r;

        r = inventory_read(m->root, a, &facts);
        if (r == -ENODEV) {
                hotplug_remove(m, a);
                return;
        }
        if (r < 0) {
                log_warning("Device %s cannot be read: %s.", pci_address_format(a, address), strerror(-r));
                return;
        }

        d = device_table_find(&m->devices, a);
        if (d && !pci_identity_same(&d->facts.identity, &facts.identity)) {
                hotplug_remove(m, a);
                d = NULL;
        }
        if (d)
                update(m, d, &facts);
        else
                add(m, &facts);
}

static int found(const PciAddress *a, void *userdata) {
        hotplug_update(userdata, a);
        return 0;
}

/* One of a physical function: is it among those that are there? */
static void renew(Manager *m, const PciAddress *a) {
        Device *d;

        hotplug_update(m, a);
        d = device_table_find(&m->devices, a);
        if (!d)
                return;
        /* It is not the one that was on vfio-pci before, and nobody has taken that. */
        if (!streq(d->facts.driver, VFIO_DRIVER))
                d->was_pool = d->taken = false;
        changes_touch_device(&m->changes, d);
}

static int found_vf(const PciAddress *a, void *userdata) {
        renew(userdata, a);
        return 0;
}

void hotplug_take_vfs(Manager *m, const PciAddress *pf) {
        PciAddress a;

        assert(m);
        assert(pf);

        /* Those that are known, of which some are gone; backwards, since this removes. */
        for (size_t i = m->devices.n; i > 0; i--)
                if (i <= m->devices.n && device_is_vf_of(m->devices.devices[i - 1], pf)) {
                        a = *device_address(m->devices.devices[i - 1]);
                        if (!inventory_has(m->root, &a))
                                hotplug_remove(m, &a);
                }
        (void)inventory_each_vf(m->root, pf, found_vf, m);
}

void hotplug_read_interfaces(Manager *m) {
        DeviceFacts facts;
        Device *d;

        assert(m);

        for (size_t i = 0; i < m->devices.n; i++) {
                d = m->devices.devices[i];
                if (!device_is_network(d) || (!device_is_driven(d) && !d->facts.interfaces[0]))
                        continue;
                facts = d->facts;
                if (inventory_read_interfaces(m->root, &facts) >= 0)
                        changes_mark(&m->changes, d, device_set_facts(d, &facts));
        }
}

int hotplug_scan(Manager *m) {
        PciAddress a;

        /* Those that are gone: what is there is read below. Backwards, since this removes. */
        for (size_t i = m->devices.n; i > 0; i--) {
                a = *device_address(m->devices.devices[i - 1]);
                if (!inventory_has(m->root, &a))
                        hotplug_remove(m, &a);
        }
        return inventory_each(m->root, found, m);
}
