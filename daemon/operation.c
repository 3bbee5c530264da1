/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "grants.h"
#include "hotplug.h"
#include "log.h"
#include "operation.h"
#include "reconcile.h"
#include "steward.h"

struct Operation {
        Manager *manager;
        Operation *next;
        HelperVerb verb;
        bool persistent;
        PciAddress device;
        IommuSet set;
        HelperCall *call; /* NULL: it has succeeded, and waits for verdicts */
        operation_done_t done;
        void (*answered)(sd_bus_message *reply, void *userdata);
        void *userdata;
};

static bool covers(const Operation *o, const Device *d) {
        return iommu_set_contains(&o->set, device_address(d)) ||
               (o->verb == HELPER_SET_VFS && device_is_vf_of(d, &o->device));
}

static void mark(const Operation *o, bool operating) {
        Manager *m = o->manager;
        Device *d;

        for (size_t i = 0; i < m->devices.n; i++) {
                d = m->devices.devices[i];
                if (device_is_bridge(d) || !covers(o, d))
                        continue;
                d->operating = operating;
                changes_touch_device(&m->changes, d);
        }
}

static Operation *operation_free(Operation *o) {
        if (!o)
                return NULL;

        (void)LIST_REMOVE(o->manager->operations, o, next);
        helper_call_free(o->call);
        free(o);
        return NULL;
}

void operation_free_all(Manager *m) {
        while (m->operations)
                operation_free(m->operations);
}

bool operation_covers(const Manager *m, const PciAddress *a) {
        const Device *d = device_table_find(&m->devices, a);

        for (const Operation *o = m->operations; o; o = o->next)
                if (d ? covers(o, d) : iommu_set_contains(&o->set, a))
                        return true;
        return false;
}

bool operation_binds_to_stay(const Manager *m) {
        for (const Operation *o = m->operations; o; o = o->next)
                if (o->persistent)
                        return true;
        return false;
}

static bool is_under_way(const Manager *m, const Device *d, HelperVerb verb) {
        const Device *vf;
        size_t at = 0;

        for (size_t i = 0; i < d->facts.set.n_members; i++)
                if (operation_covers(m, &d->facts.set.members[i]))
                        return true;
        while (verb == HELPER_SET_VFS && (vf = device_table_next_vf(&m->devices, d, &at)))
                if (operation_covers(m, device_address(vf)))
                        return true;
        return false;
}

/* It is tried again and again. */
static void tell_once(const Operation *o, MoveEntry *e, const Failure *failure) {
        if ((int)failure->kind == e->told)
                return;
        e->told = (int)failure->kind;
        if (failure->kind == FAILURE_BUSY)
                log_info("%s has to wait: %s", helper_verb_to_string(o->verb), failure->sentence);
        else if (o->verb == HELPER_RECOVER)
                log_warning("An interrupted move could not be undone yet: %s", failure->sentence);
}

/* What the call has left behind in the journal, and what is to become of it. */
static void mind_what_is_left(Manager *m, const Operation *o, const Failure *failure) {
        MoveEntry *e = move_table_find(&m->moves, &o->device);

        if (!e)
                return;

        if (failure)
                tell_once(o, e, failure);
        reconcile_tried(e, failure ? failure->kind : FAILURE_NONE, manager_now(m));
        /* Where the file says the same, the answer may also name who holds it. */
        if (failure && failure->kind == FAILURE_STUCK && startswith(failure->sentence, e->move.stuck)) {
                (void)snprintf(e->answer, sizeof e->answer, "%.*s", (int)sizeof e->answer - 1,
                               failure->sentence);
                manager_apply_moves(m);
        }
        /* An interrupted move is brought home at once; only a Release that failed has to wait. */
        if (o->verb != HELPER_RELEASE && o->verb != HELPER_RECOVER && !e->busy && !move_entry_stuck(e)) {
                e->wanted = true;
                e->failures = 0;
        }
}

/* What leaves vfio-pci by us is not taken by somebody else; what we bound is ours again. */
static void note_success(Manager *m, const Operation *o) {
        Device *d;

        if (o->verb != HELPER_BIND && o->verb != HELPER_RELEASE && o->verb != HELPER_RECOVER)
                return;
        for (size_t i = 0; i < o->set.n_members; i++)
                if ((d = device_table_find(&m->devices, &o->set.members[i]))) {
                        d->was_pool = d->taken = false;
                        (void)device_set_text(&d->refusal, "");
                }
}

/* Bind and Release mark them, and Bind may make them. */
static void read_grants(Manager *m, const IommuSet *set) {
        Device *d;

        for (size_t i = 0; i < set->n_members; i++)
                if ((d = device_table_find(&m->devices, &set->members[i])))
                        grants_read_device(m, d);
}

static void end(Operation *o, const Failure *failure, sd_bus_message *reply) {
        operation_done_t done = o->done;
        void *userdata = o->userdata;
        Manager *m = o->manager;

        mark(o, false);
        manager_read_moves(m);
        manager_reread_set(m, &o->set); /* behind it: a worker that outlives its helper may end in between */
        mind_what_is_left(m, o, failure);
        if (!failure)
                note_success(m, o);
        if (!failure && o->answered)
                o->answered(reply, userdata);
        read_grants(m, &o->set);
        if (o->verb == HELPER_SET_VFS)
                grants_read_vfs(m, &o->device);
        if (o->verb == HELPER_SET_VF) /* what the port does is to be read anew */
                host_watch_trigger(m->host_watch);
        operation_free(o);

        manager_flush(m);
        done(failure, userdata);
        steward_run(m);
}

/* A virtual function that came just now is for no VM before it is known whether the host can spare it. But nobody waits
 * for a kernel that does not answer that. */
static bool waits_for_verdict(const Operation *o) {
        const DeviceTable *t = &o->manager->devices;
        const Device *pf = device_table_find(t, &o->device), *vf;
        size_t at = 0;

        if (o->manager->error == -ETIMEDOUT)
                return false;
        while (pf && (vf = device_table_next_vf(t, pf, &at)))
                if (!vf->critical_known && !streq(vf->facts.driver, VFIO_DRIVER))
                        return true;
        return false;
}

static void on_done(const Failure *failure, sd_bus_message *reply, void *userdata) {
        Operation *o = userdata;
        Manager *m = o->manager;

        o->call = NULL;
        if (failure && failure->kind == FAILURE_BUSY)
                log_debug("%s: %s", helper_verb_to_string(o->verb), failure->sentence);
        if (o->verb == HELPER_SET_VFS) {
                hotplug_take_vfs(m, &o->device);
                host_watch_trigger(m->host_watch);
                if (!failure && waits_for_verdict(o))
                        return;
        }
        end(o, failure, reply);
}

void operation_take_verdicts(Manager *m) {
        Operation *o;

        assert(m);

        for (;;) {
                for (o = m->operations; o && (o->call || waits_for_verdict(o)); o = o->next)
                        ;
                if (!o)
                        return;
                end(o, NULL, NULL);
        }
}

int operation_start(Manager *m, const OperationRequest *request, operation_done_t done, void *userdata,
                    Failure *f) {
        char address[PCI_ADDRESS_SIZE];
        const PciAddress *device;
        HelperRequest q;
        Operation *o;
        Device *d;
        int r;

        assert(m);
        assert(request);
        assert(done);
        assert(f);

        device = &request->device;
        (void)pci_address_format(device, address);
        d = device_table_find(&m->devices, device);
        if (!d)
                return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                   "Device %s is not there any more; list the devices again.", address);
        if (is_under_way(m, d, request->verb))
                return failure_set(f, FAILURE_BUSY,
                                   "Device %s cannot be moved now: another operation on its IOMMU set is "
                                   "under way; wait for its end and try again.",
                                   address);

        o = calloc(1, sizeof *o);
        if (!o)
                return failure_set(f, FAILURE_INTERNAL,
                                   "Device %s cannot be moved: out of memory; try again later.", address);
        *o = (Operation){.manager = m,
                         .next = m->operations,
                         .verb = request->verb,
                         .persistent = request->persistent || request->bind,
                         .device = *device,
                         .set = d->facts.set,
                         .done = done,
                         .answered = request->answered,
                         .userdata = userdata};
        m->operations = o;

        q = (HelperRequest){.verb = request->verb,
                            .device = device,
                            .devices = request->devices,
                            .persistent = request->persistent,
                            .fds = request->fds,
                            .count = request->count,
                            .bind = request->bind,
                            .settings = request->settings,
                            .subject = request->subject};
        r = helper_client_call(m->helper, &q, on_done, o, &o->call);
        if (r < 0) {
                operation_free(o);
                return failure_set(f, FAILURE_HELPER,
                                   "Device %s cannot be moved: the helper cannot be called (%s); see "
                                   "'journalctl -u verge-passthroughd' and try again.",
                                   address, strerror(-r));
        }

        mark(o, true);
        return 0;
}
