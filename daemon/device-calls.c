/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot-guard.h"
#include "calls.h"
#include "confirm.h"
#include "device-calls.h"
#include "operation.h"
#include "wanted.h"

typedef struct DeviceCall {
        HelperVerb verb;
        PciIdentity identity; /* who was meant when the call came in */
} DeviceCall;

static Device *find(const Call *c) {
        const DeviceCall *data = c->data;

        return device_table_find(&c->manager->devices, &data->identity.address);
}

/* Home it may come without a grant that is valid for us: a guest may have rewritten what the device says of
 * itself. There the helper asks for a grant of the address, or for the journal. */
static bool may_have_a_standing(HelperVerb verb, const Device *d) {
        return d->granted ||
               (verb == HELPER_RELEASE && (d->journalled || streq(d->facts.driver, VFIO_DRIVER)));
}

/* It would be bound again at once. */
static int refuse_ordered(const Manager *m, const Device *d, Failure *f) {
        const Group *g = wanted_by(&m->devices, d);

        if (!g || boot_guard_rests(m))
                return 0;
        return failure_set(f, FAILURE_ORDERED,
                           "Device %s must stay on vfio-pci: the group \"%.200s\" binds its devices "
                           "persistently; call ReturnToHost, or disable the rule or the group.",
                           d->address, g->record.name);
}

/* The address is a place; after a prompt somebody else may sit there. */
static int check(Call *c, Failure *f) {
        const DeviceCall *data = c->data;
        char address[PCI_ADDRESS_SIZE];
        const Device *d;

        (void)pci_address_format(&data->identity.address, address);
        d = find(c);
        if (!d)
                return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                   "Device %s is not there any more; list the devices again.", address);
        if (!pci_identity_same(&data->identity, &d->facts.identity))
                return failure_set(f, FAILURE_IDENTITY_CHANGED,
                                   "Another device is at %s now; list the devices again.", address);
        if (claim_table_check_device(d, f) < 0 ||
            (confirm_covers(c->manager, device_address(d)) && confirm_check_none(c->manager, f) < 0))
                return -EREMOTEIO;
        if (data->verb == HELPER_BIND && c->manager->platform.disabled)
                return failure_set(f, FAILURE_NOT_AUTHORIZED, DEVICE_DISABLED_SENTENCE, address);

        /* A hopeless request must not prompt. The helper has the last word. */
        if (d->vfs_granted)
                return failure_set(
                                f, FAILURE_NOT_GRANTED,
                                "Device %s stays with the host: an administrator has granted that its "
                                "virtual "
                                "functions may leave, and not the device itself; call ReturnToHost for it "
                                "first, and then Grant.",
                                address);
        if (!may_have_a_standing(data->verb, d))
                return failure_set(f, FAILURE_NOT_GRANTED,
                                   "No valid grant by an administrator says that device %s may leave the "
                                   "host; call "
                                   "Grant for it first, Check tells more.",
                                   address);
        return data->verb == HELPER_RELEASE ? refuse_ordered(c->manager, d, f) : 0;
}

static void describe(const Call *c, CallDetails *ret) {
        const DeviceCall *data = c->data;
        const Device *d = find(c);

        call_details_add(ret, "device", d->address);
        call_details_add(ret, "model", d->name);
        call_details_add(ret, "driver", d->facts.driver[0] ? d->facts.driver : "none");
        call_details_add(ret, "iommu-set", iommu_set_format(&d->facts.set, ret->text, sizeof ret->text));
        call_details_add(ret, "verb", helper_verb_to_string(data->verb));
}

static void on_operated(const Failure *failure, void *userdata) {
        call_finish(userdata, failure);
}

static void go(Call *c) {
        const DeviceCall *data = c->data;
        OperationRequest q = {.verb = data->verb, .device = data->identity.address};
        Failure f = {0};

        q.persistent = data->verb == HELPER_BIND && wanted_by(&c->manager->devices, find(c));
        if (operation_start(c->manager, &q, on_operated, c, &f) < 0)
                call_finish(c, &f);
}

int device_call(Manager *m, sd_bus_message *message, const Device *d, HelperVerb verb) {
        static const CallKind kind = {.check = check, .describe = describe, .go = go, .free = free};
        DeviceCall *data;

        assert(m);
        assert(d);

        data = calloc(1, sizeof *data);
        if (!data)
                return -ENOMEM;

        *data = (DeviceCall){verb, d->facts.identity};
        return call_start(m, message, &kind, data);
}
