/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "plan-text.h"

static const struct {
        const char *check, *text;
} plain[] = {
                {"moving", "It is not being moved."},
                {"identity", "It is what was granted."},
                {"driver-override", "Nobody else has set its driver_override."},
                {"boot-id", "The id of this boot can be read."},
                {"in-use", "No process holds it open by VFIO."},
                {"switched-off", "Passthrough is switched on."},
                {"driver", "The driver vfio-pci is loaded."},
                {"host-use", "What the host uses could be read."},
};

/* Bridges stay with the host. `wanted`: NULL, or which of the others. */
static IommuSet members_of(const Manager *m, const Device *named, bool (*wanted)(const Device *d)) {
        IommuSet set = {0};
        const Device *d;

        for (size_t i = 0; i < named->facts.set.n_members; i++) {
                d = device_table_find(&m->devices, &named->facts.set.members[i]);
                if (d && !device_is_bridge(d) && (!wanted || wanted(d)))
                        (void)iommu_set_add(&set, device_address(d));
        }
        return set;
}

static bool is_on_vfio(const Device *d) {
        return streq(d->facts.driver, VFIO_DRIVER);
}

static bool is_granted_by_ids(const Device *d) {
        return d->granted_by_ids;
}

static bool is_pending(const Device *d) {
        return d->grant_pending;
}

static void describe_set(const Manager *m, const Device *d, char *buf, size_t size) {
        IommuSet set = members_of(m, d, NULL);
        char members[256];

        if (set.n_members <= 1)
                (void)snprintf(buf, size, "Device %s moves alone.", d->address);
        else
                (void)snprintf(buf, size,
                               "The IOMMU cannot separate these devices, so they move together: %s.",
                               iommu_set_format(&set, members, sizeof members));
}

/* The weakest consent of its members: all move, or none. */
static void describe_consent(const Manager *m, const Device *d, char *buf, size_t size) {
        bool ids = members_of(m, d, is_granted_by_ids).n_members > 0,
             pending = members_of(m, d, is_pending).n_members > 0;

        (void)snprintf(buf, size, "An administrator has granted that %s may leave the host%s.",
                       ids ? "devices with its ids" : "it",
                       pending ? "; the grant is pending and ends with a reboot unless it is kept" : "");
}

static void describe_pool(const Manager *m, const Device *d, char *buf, size_t size) {
        IommuSet there = members_of(m, d, is_on_vfio);
        char members[256];

        (void)snprintf(buf, size, "On vfio-pci already: %s.",
                       there.n_members > 0 ? iommu_set_format(&there, members, sizeof members) : "nothing");
}

const char *plan_text(const Manager *m, const char *address, const char *check,
                      char buf[static PLAN_TEXT_SIZE]) {
        const Device *d = NULL;
        PciAddress a;

        assert(m);
        assert(address);
        assert(check);

        if (pci_address_parse(address, &a) >= 0)
                d = device_table_find(&m->devices, &a);
        if (critical_reason_from_string(check) >= 0)
                (void)snprintf(buf, PLAN_TEXT_SIZE, "The host does not need it (%s).", check);
        else
                (void)snprintf(buf, PLAN_TEXT_SIZE, "Nothing speaks against it.");

        for (size_t i = 0; i < ELEMENTSOF(plain); i++)
                if (streq(plain[i].check, check))
                        (void)snprintf(buf, PLAN_TEXT_SIZE, "%s", plain[i].text);
        if (d && streq(check, "iommu-set"))
                describe_set(m, d, buf, PLAN_TEXT_SIZE);
        else if (d && streq(check, "granted"))
                describe_consent(m, d, buf, PLAN_TEXT_SIZE);
        else if (d && streq(check, "on-vfio-pci"))
                describe_pool(m, d, buf, PLAN_TEXT_SIZE);
        return buf;
}
