/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "grants.h"
#include "log.h"
#include "reconcile.h"

/* Who moves is who was consented to: nobody joined, nobody left. Bridges do not move. */
static bool covers_set(const Manager *m, const Grant *g, const IommuSet *set) {
        IommuSet movers = {0};
        const Device *p;

        for (size_t i = 0; i < set->n_members; i++) {
                p = device_table_find(&m->devices, &set->members[i]);
                if (!p || !device_is_bridge(p))
                        (void)iommu_set_add(&movers, &set->members[i]);
        }
        return iommu_set_same_members(&g->set, &movers);
}

/* The serial number in it may be of the VPD and ours of the NVMe controller, so these two are not compared. */
static bool is_for(const Grant *g, const Device *d) {
        PciIdentity identity = d->facts.identity;

        identity.serial[0] = '\0';
        return pci_identity_same(&identity, &g->identity);
}

static bool is_approved_by_ids(const Manager *m, const Device *d) {
        return d->facts.set.number != DEVICE_NO_IOMMU_SET &&
               grant_files_cover(&m->grants, &d->facts.identity);
}

/* All that move along must be approved, each by its own grant or by its ids; the helper then makes the grants that are
 * missing when it binds. */
static bool covers_by_ids(const Manager *m, const Device *d) {
        const Device *p;
        const Grant *g;

        if (!is_approved_by_ids(m, d))
                return false;
        for (size_t i = 0; i < d->facts.set.n_members; i++) {
                p = device_table_find(&m->devices, &d->facts.set.members[i]);
                if (!p)
                        return false;
                if (p == d || device_is_bridge(p) || is_approved_by_ids(m, p))
                        continue;
                g = grant_files_find(&m->grants, device_address(p));
                if (!g || g->covers_vfs || !is_for(g, p) || !grant_files_stand(&m->grants, g))
                        return false;
        }
        return true;
}

/* The physical function whose grant covers this virtual one, if that is the device which was granted. */
static const Device *find_covering(const Manager *m, const Device *d) {
        const Device *pf;

        pf = d->facts.is_virtual ? device_table_find(&m->devices, &d->facts.physical_function) : NULL;
        return pf && pf->vfs_granted ? pf : NULL;
}

/* All that move along must be covered, too, each in its own way. */
static bool covers_by_pf(const Manager *m, const Device *d) {
        const Device *p;
        const Grant *g;

        if (!find_covering(m, d) || d->facts.set.number == DEVICE_NO_IOMMU_SET)
                return false;
        for (size_t i = 0; i < d->facts.set.n_members; i++) {
                p = device_table_find(&m->devices, &d->facts.set.members[i]);
                if (!p)
                        return false;
                if (device_is_bridge(p) || find_covering(m, p))
                        continue;
                g = grant_files_find(&m->grants, device_address(p));
                if (!g || g->covers_vfs || !is_for(g, p) || !grant_files_stand(&m->grants, g))
                        return false;
        }
        return true;
}

static void set_vfs_granted(Manager *m, Device *d, const Grant *g) {
        int granted = g && g->covers_vfs && d->facts.sriov_total_vfs > 0 && is_for(g, d);

        d->vfs = granted ? g->vfs : 0;
        if (granted == d->vfs_granted)
                return;

        d->vfs_granted = granted;
        changes_mark(&m->changes, d, 1U << DEVICE_PROPERTY_VFS_GRANTED);
        reconcile_order_nudge(d);
}

static void set_granted(Manager *m, Device *d, bool granted) {
        if (granted == !!d->granted)
                return;

        d->granted = granted;
        changes_mark(&m->changes, d, 1U << DEVICE_PROPERTY_GRANTED);
        reconcile_order_nudge(d);
}

/* Its mark, when the grant of its physical function is all there is. */
static void read_mark(const Manager *m, const Device *d, char ret[static GRANT_BOOT_SIZE]) {
        Grant g;

        ret[0] = '\0';
        if (find_covering(m, d) &&
            grant_read_vf(m->root, device_address(d), &d->facts.physical_function, m->root_uid, &g) >= 0)
                memcpy(ret, g.persistent, sizeof g.persistent);
}

/* For show: the helper checks the grant itself, against more than we may read. file: NULL when there is none that can
 * be read. */
static void take_grant(Manager *m, Device *d, const Grant *file, bool has_file) {
        const Grant *g = file && !file->covers_vfs ? file : NULL; /* of the device itself */
        bool same = g && is_for(g, d);
        bool own = same && covers_set(m, g, &d->facts.set) && grant_files_stand(&m->grants, g);
        bool by_pf = !own && covers_by_pf(m, d);
        char mark[GRANT_BOOT_SIZE] = "";

        if (by_pf)
                read_mark(m, d, mark);
        set_vfs_granted(m, d, file);
        d->has_grant = has_file;
        d->grant_pending = file && file->pending;
        d->granted_by_ids = (!own || g->ids[0]) && !by_pf && !device_is_bridge(d) && covers_by_ids(m, d);
        d->consent = same ? g->consent : 0;
        (void)snprintf(d->persistent, sizeof d->persistent, "%s", same && !by_pf ? g->persistent : mark);
        (void)snprintf(d->grant_driver, sizeof d->grant_driver, "%s", same ? g->host_driver : "");
        (void)snprintf(d->grant_serial, sizeof d->grant_serial, "%s", same ? g->identity.serial : "");
        if (!d->has_grant && !by_pf)
                d->taken = d->was_pool = false;
        set_granted(m, d, own || by_pf || d->granted_by_ids);
        changes_touch_device(&m->changes, d);
}

/* Of either kind: as a list of all has it. */
static int read_any(const Manager *m, const PciAddress *a, Grant *ret) {
        int r;

        r = grant_read(m->root, a, m->root_uid, ret);
        return r == -ENOENT ? grant_read_pf(m->root, a, m->root_uid, ret) : r;
}

void grants_read_vfs(Manager *m, const PciAddress *pf) {
        for (size_t i = 0; i < m->devices.n; i++)
                if (device_is_vf_of(m->devices.devices[i], pf))
                        grants_read_device(m, m->devices.devices[i]);
}

void grants_read_device(Manager *m, Device *d) {
        int was = d->vfs_granted;
        Grant g;
        int r;

        r = read_any(m, device_address(d), &g);
        if (r < 0 && r != -ENOENT)
                log_debug("The grant of %s does not count: %s.", d->address, strerror(-r));
        take_grant(m, d, r >= 0 ? &g : NULL, r != -ENOENT);
        if (d->vfs_granted != was)
                grants_read_vfs(m, device_address(d));
}

/* Both are sorted. */
static bool has_same_ids(const GrantFiles *a, const GrantFiles *b) {
        if (a->n_ids != b->n_ids)
                return false;
        for (size_t i = 0; i < a->n_ids; i++)
                if (!id_selector_same(&a->ids[i], &b->ids[i]))
                        return false;
        return true;
}

void grants_read(Manager *m) {
        const PciAddress *a;
        GrantFiles files;
        int r;

        assert(m);

        r = grant_files_read(m->root, m->root_uid, &files);
        if (r < 0) {
                log_error("Cannot read the grants in /" GRANTS_DIR ": %s.", strerror(-r));
                return;
        }
        if (!has_same_ids(&files, &m->grants))
                changes_mark_manager(&m->changes, 1U << MANAGER_PROPERTY_GRANTED_IDS);
        grant_files_clear(&m->grants);
        m->grants = files;

        /* From what was just read: two files a device would be many on a large host. What covers virtual functions
         * must be known before them. */
        for (size_t i = 0; i < m->devices.n; i++)
                if (m->devices.devices[i]->facts.sriov_total_vfs > 0)
                        set_vfs_granted(m, m->devices.devices[i],
                                        grant_files_find(&m->grants, device_address(m->devices.devices[i])));
        for (size_t i = 0; i < m->devices.n; i++) {
                a = device_address(m->devices.devices[i]);
                take_grant(m, m->devices.devices[i], grant_files_find(&m->grants, a),
                           grant_files_has(&m->grants, a));
        }
}
