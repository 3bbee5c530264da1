/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attention.h"
#include "log.h"
#include "reconcile.h"
#include "text.h"
#include "transaction.h"

static void say_unapproved(const Manager *m, const Device *d, char *buf, size_t size) {
        const Rule *rule = d->rules[0];
        const Grant *g = grant_files_find(&m->grants, device_address(d));
        DriftKind kind;

        if (g && drift_of_grant(&m->devices, g, &kind, buf, size))
                return;
        (void)snprintf(buf, size,
                       "Device %s needs approval: the rule \"%.100s\" puts it into the group \"%.100s\", "
                       "but no "
                       "administrator has granted it; call MakePassthrough, Grant or GrantIds for it, or "
                       "change "
                       "the rule.",
                       d->address, rule->record.name, rule->group->record.name);
}

/* Why it is not where a persistent group wants it. */
static void say_waiting(const Manager *m, const Device *d, const Group *g, char *buf, size_t size) {
        if (d->taken)
                (void)snprintf(buf, size,
                               "Device %s was taken from vfio-pci by somebody else (driver now: %s) and is "
                               "left "
                               "to him; call Bind to take it again, or ReturnToHost to leave it with the "
                               "host.",
                               d->address, d->facts.driver[0] ? d->facts.driver : "none");
        else if (m->platform.disabled)
                (void)snprintf(buf, size, DEVICE_DISABLED_SENTENCE, d->address);
        else if (m->boot_guard.on)
                (void)snprintf(buf, size, "Device %s stays with the host. %s", d->address,
                               m->boot_guard.reason);
        else if (d->refusal)
                (void)snprintf(buf, size, "%s", d->refusal);
        else if (d->state == DEVICE_HOST && !device_is_spared(d) && d->critical_known)
                (void)snprintf(buf, size, "%s", strempty(d->reason));
        else if (d->state == DEVICE_HOST)
                (void)snprintf(buf, size,
                               "Device %s is about to be bound: the group \"%.100s\" wants it on vfio-pci.",
                               d->address, g->record.name);
}

/* Why it has not the virtual functions that it is to have. */
static void say_unmet(const Manager *m, const Device *d, const VfsOrder *order, VfsObstacle why,
                      const Device *vf, char *buf, size_t size) {
        char wish[320];

        (void)snprintf(wish, sizeof wish, "Device %s is to have %d virtual function%s%s%.200s%s", d->address,
                       order->count, order->count == 1 ? "" : "s", order->group ? ", as the group \"" : "",
                       order->group ? order->group->record.name : "", order->group ? "\" asks for" : "");
        if (why == VFS_NOT_GRANTED)
                (void)snprintf(buf, size,
                               "%s, but no administrator has granted that they leave the host; call "
                               "MakePassthrough for it and that group, or change the rule.",
                               wish);
        else if (why == VFS_TOO_MANY)
                (void)snprintf(buf, size, "%s, but can have %u at most; ask for fewer.", wish,
                               d->facts.sriov_total_vfs);
        else if (m->platform.disabled)
                (void)snprintf(buf, size, DEVICE_DISABLED_SENTENCE, d->address);
        else if (m->boot_guard.on)
                (void)snprintf(buf, size, "%s, and does not get them by itself. %s", wish,
                               m->boot_guard.reason);
        else if (why == VFS_NO_DRIVER)
                (void)snprintf(buf, size,
                               "%s, but no driver of the host has it, which would make them; load its "
                               "driver, "
                               "or call ReturnToHost for it.",
                               wish);
        else if (why == VFS_CLAIMED)
                (void)snprintf(buf, size,
                               "%s, and gets them when the VM \"%.200s\" has given back %s; the number "
                               "cannot "
                               "change before.",
                               wish, vf->claim->record.vm, vf->address);
        else if (why == VFS_HELD)
                (void)snprintf(buf, size,
                               "%s, but %s is used by the host (driver %s); take it from that driver, and "
                               "the "
                               "number is changed by itself.",
                               wish, vf->address, vf->facts.driver);
        else if (d->refusal)
                (void)snprintf(buf, size, "%s", d->refusal);
        else
                (void)snprintf(buf, size, "%s; they are about to be made.", wish);
}

/* A call that is under way says nothing yet. */
static uint32_t attend_vfs(const Manager *m, Device *d, char *buf, size_t size) {
        VfsOrder order = wanted_vfs(m->registry, d);
        bool told = order.count != d->ordered_vfs;
        VfsObstacle why;
        const Device *vf;

        d->ordered_vfs = order.count;
        d->vfs_unmet = reconcile_vfs_unmet(&m->devices, d, &order, &why, &vf);
        if (d->vfs_unmet && d->state != DEVICE_MOVING && d->state != DEVICE_STUCK &&
            !transactions_cover(m, device_address(d)))
                say_unmet(m, d, &order, why, vf, buf, size);
        else
                d->vfs_unmet = false;
        return told ? 1U << DEVICE_PROPERTY_SRIOV_ORDERED_VFS : 0;
}

uint32_t attention_to_device(Manager *m, Device *d) {
        uint32_t mask = 0;
        const Group *g;
        char text[1024];

        text[0] = '\0';
        if (d->facts.sriov_total_vfs > 0)
                mask = attend_vfs(m, d, text, sizeof text);
        if (!d->vfs_unmet && d->state != DEVICE_MOVING && d->state != DEVICE_STUCK &&
            !transactions_cover(m, device_address(d))) {
                g = d->granted ? wanted_by(&m->devices, d) : NULL;
                if (g ? d->state == DEVICE_POOL && streq(d->persistent, m->boot_id) : !d->persistent[0])
                        (void)device_set_text(&d->refusal,
                                              ""); /* the order is gone, or carried out after all */
                if (registry_needs_approval(d))
                        say_unapproved(m, d, text, sizeof text);
                else if (g && d->state == DEVICE_HOST)
                        say_waiting(m, d, g, text, sizeof text);
                else if (d->refusal)
                        (void)snprintf(text, sizeof text, "%s", d->refusal);
        }
        text_make_utf8(text); /* a name may be cut in the middle of a character */
        return mask | (device_set_text(&d->attention, text) ? 1U << DEVICE_PROPERTY_ATTENTION : 0);
}

static void refresh_drift(Manager *m) {
        DriftReport report;

        if (drift_compute(&m->devices, m->grants.grants, m->grants.n_grants, &report) < 0)
                return;
        if (drift_report_same(&report, &m->drift)) {
                drift_report_clear(&report);
                return;
        }

        for (size_t i = 0; i < report.n; i++)
                log_debug("Drift: %s %s: %s", drift_kind_to_string(report.entries[i].kind),
                          report.entries[i].address, report.entries[i].sentence);
        drift_report_clear(&m->drift);
        m->drift = report;
        changes_mark_manager(&m->changes, 1U << MANAGER_PROPERTY_DRIFT);
}

static const char *find_restart_reason(const Manager *m, char *buf, size_t size) {
        const Device *waiting = NULL, *stuck = NULL;
        const Group *g;

        for (size_t i = 0; i < m->devices.n && !stuck; i++) {
                const Device *d = m->devices.devices[i];

                if (d->state == DEVICE_STUCK)
                        stuck = d;
                g = registry_group_of(d);
                if (!waiting && g && g->record.enabled && g->record.binding == GROUP_BINDING_PERSISTENT)
                        waiting = d;
        }

        if (stuck)
                (void)snprintf(buf, size,
                               "Device %s is stuck; end the process that holds it, and if there is none, "
                               "reboot.",
                               stuck->address);
        else if (waiting && m->platform.disabled)
                (void)snprintf(buf, size,
                               "The persistent groups bind nothing (device %s, for one), "
                               "because " KERNEL_OPTION_OFF
                               " stands on the kernel command line; remove it there and reboot.",
                               waiting->address);
        else if (waiting && m->boot_guard.on)
                (void)snprintf(buf, size, "The persistent groups bind nothing (device %s, for one). %s",
                               waiting->address, m->boot_guard.reason);
        else if (waiting && !m->platform.iommu_enabled)
                (void)snprintf(buf, size,
                               "The persistent groups bind nothing (device %s, for one), because no IOMMU "
                               "is on; "
                               "switch it on in the firmware setup and on the kernel command line, and "
                               "reboot.",
                               waiting->address);
        else
                buf[0] = '\0';
        return buf;
}

static void refresh_restart(Manager *m) {
        char reason[1024];

        (void)find_restart_reason(m, reason, sizeof reason);
        if (!device_set_text(&m->restart_reason, reason))
                return;
        m->restart_needed = reason[0] != '\0';
        changes_mark_manager(&m->changes,
                             1U << MANAGER_PROPERTY_RESTART_NEEDED | 1U << MANAGER_PROPERTY_RESTART_REASON);
}

void attention_to_host(Manager *m) {
        assert(m);

        refresh_drift(m);
        refresh_restart(m);
}

void attention_clear(Manager *m) {
        drift_report_clear(&m->drift);
        free(m->restart_reason);
}
