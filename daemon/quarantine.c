/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "calls.h"
#include "edits.h"
#include "log.h"
#include "order-book.h"
#include "quarantine.h"
#include "runs.h"
#include "steward.h"

static QuarantineRecord *find(const Manager *m, const PciAddress *a) {
        for (size_t i = 0; i < m->n_quarantine; i++)
                if (pci_address_compare(&m->quarantine[i].identity.address, a) == 0)
                        return &m->quarantine[i];
        return NULL;
}

void quarantine_apply(Manager *m, Device *d) {
        const QuarantineRecord *q = find(m, device_address(d));

        if (q && !pci_identity_same(&q->identity, &d->facts.identity))
                q = NULL;
        if (!device_set_text(&d->quarantine, q ? q->reason : ""))
                return;
        changes_mark(&m->changes, d, 1U << DEVICE_PROPERTY_QUARANTINE);
        changes_touch_device(&m->changes, d);
        run_queue_nudge(m);
}

static void apply_at(Manager *m, const PciAddress *a) {
        Device *d = device_table_find(&m->devices, a);

        if (d)
                quarantine_apply(m, d);
}

int quarantine_put(Manager *m, QuarantineRecord *q) {
        QuarantineRecord *at = find(m, &q->identity.address);

        if (!at) {
                if (array_grow(&m->quarantine, m->n_quarantine, sizeof *m->quarantine) < 0)
                        return -ENOMEM;
                at = &m->quarantine[m->n_quarantine++];
        } else
                quarantine_record_clear(at);

        *at = *q;
        *q = (QuarantineRecord){0};
        apply_at(m, &at->identity.address);
        return 0;
}

void quarantine_remove(Manager *m, const PciAddress *a) {
        QuarantineRecord *q = find(m, a);

        if (!q)
                return;
        quarantine_record_clear(q);
        *q = m->quarantine[--m->n_quarantine];
        apply_at(m, a);
}

void quarantine_clear(Manager *m) {
        for (size_t i = 0; i < m->n_quarantine; i++)
                quarantine_record_clear(&m->quarantine[i]);
        free(m->quarantine);
        m->quarantine = NULL;
        m->n_quarantine = 0;
}

static int plan_forget(Manager *m, OrderPlan *p, void *userdata _unused_, Failure *f _unused_) {
        int r = 0;

        for (size_t i = 0; i < m->n_quarantine && r >= 0; i++)
                if (!streq(m->quarantine[i].boot_id, m->boot_id))
                        r = order_plan_remove_quarantine(p, &m->quarantine[i].identity.address);
        return r;
}

static void on_forgotten(const Failure *failure, void *userdata _unused_) {
        if (failure)
                log_warning("The quarantine of an earlier boot could not be ended: %s", failure->sentence);
}

void quarantine_load(Manager *m) {
        Failure f = {0};

        for (size_t i = 0; i < m->devices.n; i++)
                quarantine_apply(m, m->devices.devices[i]);
        if (m->n_quarantine > 0 && !m->read_only &&
            edit_start(m, &(EditRequest){.plan = plan_forget}, on_forgotten, m, &f) < 0)
                on_forgotten(&f, m);
}

int quarantine_plan(const Manager *m, OrderPlan *p, const Device *d, const char *reason) {
        QuarantineRecord q = {.identity = d->facts.identity};
        OrderStamp stamp;
        int r;

        r = order_book_stamp(&stamp);
        if (r < 0)
                return r;
        q.created = stamp.now;
        (void)snprintf(q.boot_id, sizeof q.boot_id, "%s", m->boot_id);
        q.reason = strdup(reason);
        r = q.reason ? order_plan_put_quarantine(p, &q) : -ENOMEM;
        quarantine_record_clear(&q);
        return r;
}

static int check(Call *c, Failure *f) {
        const PciIdentity *identity = c->data;
        const Device *d = device_table_find(&c->manager->devices, &identity->address);
        char address[PCI_ADDRESS_SIZE];

        (void)pci_address_format(&identity->address, address);
        if (!d || !pci_identity_same(identity, &d->facts.identity))
                return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                   "Device %s is not there any more; list the devices again.", address);
        if (!d->quarantine)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "Device %s is not in quarantine; there is nothing to end.", address);
        return edit_check_possible(c->manager, f);
}

static void describe(const Call *c, CallDetails *ret) {
        const PciIdentity *identity = c->data;
        const Device *d = device_table_find(&c->manager->devices, &identity->address);

        call_details_add(ret, "device", d->address);
        call_details_add(ret, "model", d->name);
        call_details_add(ret, "driver", d->facts.driver[0] ? d->facts.driver : "none");
        call_details_add(ret, "iommu-set", iommu_set_format(&d->facts.set, ret->text, sizeof ret->text));
        call_details_add(ret, "verb", "EndQuarantine");
}

static int plan_end(Manager *m _unused_, OrderPlan *p, void *userdata, Failure *f _unused_) {
        const Call *c = userdata;
        const PciIdentity *identity = c->data;

        return order_plan_remove_quarantine(p, &identity->address);
}

static void on_ended(const Failure *failure, void *userdata) {
        Call *c = userdata;
        Manager *m = c->manager;

        call_finish(c, failure);
        steward_run(m);
}

static void go(Call *c) {
        Failure f = {0};

        if (edit_start(c->manager, &(EditRequest){.plan = plan_end}, on_ended, c, &f) < 0)
                call_finish(c, &f);
}

int quarantine_call_end(Manager *m, sd_bus_message *message, const Device *d) {
        static const CallKind kind = {.check = check, .describe = describe, .go = go, .free = free};
        PciIdentity *identity;

        identity = malloc(sizeof *identity);
        if (!identity)
                return -ENOMEM;
        *identity = d->facts.identity;
        return call_start(m, message, &kind, identity);
}
