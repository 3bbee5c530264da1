/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot-guard.h"
#include "grants.h"
#include "log.h"
#include "operation.h"
#include "reconcile.h"
#include "runs.h"
#include "steward.h"
#include "transaction.h"

static void on_brought_home(const Failure *failure, void *userdata _unused_) {
        if (!failure) /* else operation.c has told, once */
                log_info("An interrupted move was undone.");
}

/* By a transaction, or a VM: then it is left alone. */
static bool is_covered(const PciAddress *a, void *userdata) {
        const Manager *m = userdata;
        const Device *d = device_table_find(&m->devices, a);

        return (d && d->claim) || transactions_cover(m, a);
}

static uint64_t bring_home(Manager *m) {
        char address[PCI_ADDRESS_SIZE];
        ReconcileStep step;

        for (;;) {
                ReconcileState state = {&m->moves, &m->devices, manager_now(m), is_covered, m};
                OperationRequest q = {.verb = HELPER_RECOVER};
                Failure failure = {0};

                step = reconcile_next(&state);
                if (!step.entry)
                        return step.again_at;

                log_debug("The move of %s was interrupted: asking the helper to bring it home.",
                          pci_address_format(&step.device, address));
                step.entry->wanted = false;
                q.device = step.device;
                if (operation_start(m, &q, on_brought_home, m, &failure) < 0) {
                        log_warning("An interrupted move cannot be undone yet: %s", failure.sentence);
                        reconcile_not_tried(step.entry, manager_now(m));
                }
        }
}

/* An order that the helper carries out: whom it is about, as he was. */
struct Errand {
        Manager *manager;
        Errand *next;
        PciAddress device;
        HelperVerb verb;
        uint32_t count; /* of virtual functions */
};

static Errand *errand_free(Errand *e) {
        if (!e)
                return NULL;

        (void)LIST_REMOVE(e->manager->errands, e, next);
        free(e);
        return NULL;
}
DEFINE_CLEANUP(Errand *, errand_free);

void steward_free_all(Manager *m) {
        while (m->errands)
                errand_free(m->errands);
}

/* What each kind of errand leaves for the next decision. */
static void note_tried(const Errand *e, Device *d, const Failure *failure) {
        if (e->verb == HELPER_SET_VFS)
                reconcile_vfs_tried(d, failure, manager_now(e->manager));
        else
                reconcile_order_tried(&e->manager->devices, d, e->verb == HELPER_BIND, failure,
                                      manager_now(e->manager));
        changes_touch_device(&e->manager->changes, d);
}

static void log_done(const Errand *e, const char *address) {
        if (e->verb == HELPER_SET_VFS)
                log_info("Device %s has %u virtual functions now, as was ordered.", address, e->count);
        else
                log_info("Device %s was %s, as the groups want it.", address,
                         e->verb == HELPER_BIND ? "bound" : "released");
}

static void log_failed(const Errand *e, const char *address, const Failure *failure) {
        if (e->verb == HELPER_SET_VFS)
                log_warning("Device %s cannot have %u virtual functions, as was ordered: %s", address,
                            e->count, failure->sentence);
        else
                log_warning("Device %s cannot be %s as the groups want it: %s", address,
                            e->verb == HELPER_BIND ? "bound" : "released", failure->sentence);
}

static void on_errand_done(const Failure *failure, void *userdata) {
        _cleanup_(errand_freep) Errand *e = userdata;
        char address[PCI_ADDRESS_SIZE];
        bool first;
        Device *d;

        d = device_table_find(&e->manager->devices, &e->device);
        if (!d)
                return;

        first = failure && (!d->refusal || !streq(d->refusal, failure->sentence));
        note_tried(e, d, failure);
        (void)pci_address_format(&e->device, address);
        if (!failure)
                log_done(e, address);
        else if (first) /* it is tried again and again, and told once */
                log_failed(e, address, failure);
}

static int send(Manager *m, Device *d, OperationRequest q) {
        Failure failure = {0};
        Errand *e;

        e = malloc(sizeof *e);
        if (!e)
                return -ENOMEM;

        q.device = *device_address(d);
        *e = (Errand){.manager = m,
                      .next = m->errands,
                      .device = q.device,
                      .verb = q.verb,
                      .count = q.count};
        m->errands = e;
        if (operation_start(m, &q, on_errand_done, e, &failure) >= 0)
                return 0;

        note_tried(e, d, &failure);
        errand_free(e);
        return -EREMOTEIO;
}

static uint64_t carry_out_vfs(Manager *m, const OrderState *state) {
        uint64_t again_at = UINT64_MAX;
        size_t at = 0;
        VfsStep step;

        do {
                step = reconcile_next_vfs(state, &at);
                if (step.again_at < again_at)
                        again_at = step.again_at;
                if (step.device && send(m, step.device,
                                        (OperationRequest){.verb = HELPER_SET_VFS,
                                                           .count = step.count,
                                                           .bind = step.bind}) == -ENOMEM)
                        return manager_now(m) + 1000000;
        } while (step.device);
        return again_at;
}

/* Sets are independent; the kernel makes them wait for each other where it must. */
static uint64_t carry_out_orders(Manager *m) {
        OrderState state = {.devices = &m->devices,
                            .registry = m->registry,
                            .boot_id = m->boot_id,
                            .now = manager_now(m),
                            .disabled = boot_guard_rests(m),
                            .covered = is_covered,
                            .userdata = m};
        uint64_t again_at;
        size_t at = 0;
        OrderStep step;

        /* Of a database that cannot be read nobody knows what it wants. */
        if (store_read_only(m->store))
                return UINT64_MAX;

        again_at = carry_out_vfs(m, &state);
        do {
                step = reconcile_next_order(&state, &at);
                if (step.again_at < again_at)
                        again_at = step.again_at;
                if (step.device && send(m, step.device,
                                        (OperationRequest){.verb = step.bind ? HELPER_BIND : HELPER_RELEASE,
                                                           .persistent = step.bind}) == -ENOMEM)
                        return manager_now(m) + 1000000;
        } while (step.device);
        return again_at;
}

void steward_run(Manager *m) {
        uint64_t home, orders, again_at;

        assert(m);

        if (!m->ready)
                return;
        runs_take_back(m);
        home = bring_home(m);
        orders = carry_out_orders(m);

        again_at = home < orders ? home : orders;
        (void)sd_event_source_set_time(m->again, again_at);
        (void)sd_event_source_set_enabled(m->again,
                                          again_at == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
        boot_guard_run(m);
}

/* A mark that is left tells of a bind that nobody of ours has ended: each Release clears it. */
static void take_note(Manager *m, Device *d) {
        grants_read_device(m, d);
        if (!d->persistent[0] || transactions_cover(m, device_address(d)))
                return;

        d->taken = true;
        changes_touch_device(&m->changes, d);
        if (wanted_by(&m->devices, d))
                log_warning("Device %s was taken from vfio-pci by somebody else (driver now: %s); it is "
                            "left to "
                            "him until Bind is called.",
                            d->address, d->facts.driver[0] ? d->facts.driver : "none");
}

/* Who has a device that an earlier boot has left a mark of came before early binding: it is in the initramfs, or in the
 * kernel. For Diagnose alone; a restart of the service after it was bound does not know it any more. */
static void note_first_driver(const Manager *m, Device *d) {
        if (boot_guard_rests(m) || !device_is_driven(d) || !d->persistent[0] ||
            streq(d->persistent, m->boot_id))
                return;

        (void)snprintf(d->first_driver, sizeof d->first_driver, "%s", d->facts.driver);
        (void)snprintf(d->first_module, sizeof d->first_module, "%s", d->facts.module);
}

void steward_look_back(Manager *m) {
        Device *d;

        for (size_t i = 0; i < m->devices.n; i++) {
                d = m->devices.devices[i];
                d->was_pool = d->state == DEVICE_POOL;
                note_first_driver(m, d);
                if (d->state == DEVICE_HOST && d->persistent[0] && streq(d->persistent, m->boot_id))
                        take_note(m, d);
        }
}

void steward_watch(Manager *m, Device *d) {
        if (d->state == DEVICE_POOL)
                d->was_pool = true;
        else if (d->state == DEVICE_HOST) {
                if (d->was_pool && d->granted)
                        take_note(m, d);
                d->was_pool = false;
        }
}
