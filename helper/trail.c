/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "operation-internal.h"
#include "text.h"
#include "trail.h"

#define LIST_SIZE (2U * DEVICES_PER_CALL_MAX * ID_SELECTOR_SIZE + 16)

/* Who only looks is not written down; nor what was refused before anybody was asked, but for what the host needs and
 * for callers who may not call. */
static bool is_worth_it(const Operation *o, const Failure *f) {
        if (f && f->kind == FAILURE_NOT_AUTHORIZED)
                return true;
        if (o->verb->writes == 0)
                return false;
        /* Nobody has called it, and it comes again: each time that somebody else's operation has ended. */
        if (o->ended && f && (!o->worker || f->kind == FAILURE_BUSY))
                return false;
        if (f && !o->action && (f->kind == FAILURE_LIMITS_EXCEEDED || f->kind == FAILURE_INVALID_ARGUMENT))
                return false;
        return !f || !o->preparing || f->kind == FAILURE_CRITICAL;
}

/* To move a device, and to open it to somebody, takes a grant and no question. */
static PolkitVerdict verdict_of(const Operation *o, const Failure *f) {
        bool without = f && (f->kind == FAILURE_NOT_AUTHORIZED || f->kind == FAILURE_NOT_GRANTED);

        return o->verb->move >= 0 && !without ? POLKIT_VERDICT_GRANTED : o->verdict;
}

/* All that were named, and all that moved along. The drivers lie in memory that a worker has written. */
static void take_result(AuditEntry *e, const WorkerResult *result, char *devices, size_t size) {
        char address[PCI_ADDRESS_SIZE];

        if (!result)
                return;
        e->drivers = result->drivers;
        e->n_drivers = result->n_drivers < DEVICES_PER_CALL_MAX ? result->n_drivers : DEVICES_PER_CALL_MAX;
        for (size_t i = 0; i < e->n_drivers; i++) {
                (void)snprintf(address, sizeof address, "%.*s", PCI_ADDRESS_SIZE - 1, e->drivers[i].device);
                text_append_item(devices, size, address);
        }
        if (!e->failure)
                e->overridden = result->critical & CRITICAL_OVERRIDABLE;
}

void trail_operation(const Operation *o, const Failure *f, const WorkerResult *result) {
        char devices[LIST_SIZE] = "", ids[LIST_SIZE] = "", word[ID_SELECTOR_SIZE], settings[VF_LINE_SIZE];
        const Request *q = &o->request;
        AuditEntry e = {
                        .verb = o->verb->name,
                        .failure = f,
                        .has_caller = o->caller != (uid_t)-1,
                        .caller = o->caller,
                        .has_user = o->verb->lets_in && q->uid != o->all->authoriser.root_uid,
                        .user = q->uid,
                        .has_vfs = o->verb->move == MOVE_VFS,
                        .vfs = q->count,
                        .action = o->action,
                        .verdict = verdict_of(o, f),
                        .devices = devices,
                        .ids = ids,
                        .settings = vf_settings_format(&q->settings, settings),
        };

        if (!is_worth_it(o, f))
                return;
        for (size_t i = 0; i < q->n_devices; i++)
                text_append_item(devices, sizeof devices, pci_address_format(&q->devices[i], word));
        for (size_t i = 0; i < q->n_ids; i++)
                text_append_item(ids, sizeof ids, id_selector_format(&q->ids[i], word));
        take_result(&e, result, devices, sizeof devices);
        audit_write(o->all->audit, &e);
}

void trail_early(int root, const PciAddress *a, const WorkerResult *result, int r) {
        _cleanup_(audit_freep) Audit *audit = NULL;
        char devices[LIST_SIZE] = "", address[PCI_ADDRESS_SIZE];
        AuditEntry e = {.verb = "EarlyBind",
                        .failure = r < 0 ? &result->failure : NULL,
                        .verdict = POLKIT_VERDICT_GRANTED,
                        .devices = devices};

        /* Nothing was to be done, or it was done before. */
        if (r == 0 || (r > 0 && result->n_drivers > 0 && streq(result->drivers[0].from, VFIO_DRIVER)))
                return;
        text_append_item(devices, sizeof devices, pci_address_format(a, address));
        if (audit_new(&(AuditConfig){.root = root, .identifier = HELPER_IDENTIFIER}, &audit) < 0)
                return;
        take_result(&e, r < 0 ? NULL : result, devices, sizeof devices);
        audit_write(audit, &e);
}
