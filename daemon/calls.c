/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "grant-set.h"
#include "log.h"
#include "operation.h"

struct Call {
        Manager *manager;
        Call *next;
        sd_bus_message *message;
        const Authorisation *row;
        HelperVerb verb;
        uid_t uid; /* (uid_t)-1 until the bus has said it */
        BusUidQuery *who;
        HelperCall *helper; /* Check, Grant, Revoke; the others are operations */

        PciIdentity identity; /* Device methods: who was meant when the call came in */
        IommuSet devices;     /* who it is about */
        IommuSet siblings;    /* Grant */
        uint32_t consent;
};

static Call *call_free(Call *c) {
        if (!c)
                return NULL;

        for (Call **i = &c->manager->calls; *i; i = &(*i)->next)
                if (*i == c) {
                        *i = c->next;
                        c->manager->n_calls--;
                        break;
                }
        bus_uid_query_free(c->who);
        helper_call_free(c->helper);
        sd_bus_message_unref(c->message);
        free(c);
        return NULL;
}

void calls_free_all(Manager *m) {
        while (m->calls)
                call_free(m->calls);
}

static void finish(Call *c, const Failure *failure) {
        int r;

        r = failure ? bus_reply_failure(c->message, failure) : sd_bus_reply_method_return(c->message, NULL);
        if (r < 0)
                log_debug("A reply could not be sent: %s.", strerror(-r));
        call_free(c);
}

static void fail_internal(Call *c, int error) {
        char set[512];
        Failure f = {0};

        (void)failure_set(&f, FAILURE_INTERNAL,
                          "The call %s of %s could not be carried out: %s; try again later.",
                          sd_bus_message_get_member(c->message),
                          iommu_set_format(&c->devices, set, sizeof set), strerror(-error));
        finish(c, &f);
}

static void on_operated(const Failure *failure, void *userdata) {
        finish(userdata, failure);
}

/* Home it may come without a grant that is valid for us: a guest may have rewritten what the device says of
 * itself. There the helper asks for a grant of the address, or for the journal. */
static bool may_have_a_standing(const Call *c, const Device *d) {
        return d->granted ||
               (c->verb == HELPER_RELEASE && (d->journalled || streq(d->facts.driver, VFIO_DRIVER)));
}

/* The address is a place; after a prompt somebody else may sit there. */
static int look_again(const Call *c, const Device **ret, Failure *f) {
        const PciIdentity *i = &c->identity;
        char address[PCI_ADDRESS_SIZE];
        const Device *d;

        (void)pci_address_format(&i->address, address);
        d = device_table_find(&c->manager->devices, &i->address);
        if (!d)
                return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                   "Device %s is not there any more; list the devices again.", address);
        if (!pci_identity_same(i, &d->facts.identity))
                return failure_set(f, FAILURE_IDENTITY_CHANGED,
                                   "Another device is at %s now; list the devices again.", address);
        if (c->verb == HELPER_BIND && c->manager->platform.disabled)
                return failure_set(f, FAILURE_NOT_AUTHORIZED, DEVICE_DISABLED_SENTENCE, address);

        /* A hopeless request must not prompt. The helper has the last word. */
        if (!may_have_a_standing(c, d))
                return failure_set(f, FAILURE_NOT_GRANTED,
                                   "No valid grant by an administrator says that device %s may leave the "
                                   "host; call "
                                   "Grant for it first, Check tells more.",
                                   address);

        *ret = d;
        return 0;
}

static void operate(Call *c) {
        Failure f = {0};
        const Device *d;

        if (look_again(c, &d, &f) < 0 ||
            operation_start(c->manager, device_address(d), c->verb, on_operated, c, &f) < 0)
                finish(c, &f);
}

static void on_authorised(const Failure *failure, uid_t uid _unused_, void *userdata) {
        Call *c = userdata;

        if (failure)
                finish(c, failure);
        else
                operate(c);
}

static void ask_polkit(Call *c) {
        char set[DEVICES_PER_CALL_MAX * (PCI_ADDRESS_SIZE + 1)];
        PolkitQuestion q;
        const Device *d;
        Failure f = {0};
        int r;

        if (look_again(c, &d, &f) < 0) {
                finish(c, &f);
                return;
        }
        if (c->uid == 0) { /* polkit never says no to root, who could do it all without us */
                operate(c);
                return;
        }

        (void)iommu_set_format(&d->facts.set, set, sizeof set);
        const char *const details[] = {
                        "device",    d->address,
                        "model",     d->name,
                        "driver",    d->facts.driver[0] ? d->facts.driver : "none",
                        "iommu-set", set,
                        "verb",      helper_verb_to_string(c->verb),
                        NULL,
        };

        q = (PolkitQuestion){
                        .subject = sd_bus_message_get_sender(c->message),
                        .action = c->row->action,
                        .details = details,
                        .interactive = sd_bus_message_get_allow_interactive_authorization(c->message) > 0,
        };
        r = polkit_ask(c->manager->polkit, &q, on_authorised, c, NULL);
        if (r == -EDQUOT) {
                (void)failure_set(&f, FAILURE_LIMITS_EXCEEDED,
                                  "Too many requests wait for an authorization already; try again later.");
                finish(c, &f);
        } else if (r < 0)
                fail_internal(c, r);
}

static int reply_checks(sd_bus_message *call, sd_bus_message *answer) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_has_signature(answer, "a(ssbs)");
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        if ((r = sd_bus_message_new_method_return(call, &reply)) < 0 ||
            (r = sd_bus_message_copy(reply, answer, true)) < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static int reply_granted(Call *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Device *d;
        int r;

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r < 0 || (r = sd_bus_message_open_container(reply, 'a', "o")) < 0)
                return r;
        for (size_t i = 0; i < c->devices.n_members && r >= 0; i++) {
                d = device_table_find(&c->manager->devices, &c->devices.members[i]);
                if (d && d->granted)
                        r = sd_bus_message_append(reply, "o", d->path);
        }
        if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static void on_helped(const Failure *failure, sd_bus_message *answer, void *userdata) {
        Call *c = userdata;
        int r;

        c->helper = NULL;
        if (c->verb != HELPER_CHECK) {
                manager_read_grants(c->manager);
                manager_flush(c->manager);
        }

        if (failure || c->verb == HELPER_REVOKE) {
                finish(c, failure);
                return;
        }

        r = c->verb == HELPER_CHECK ? reply_checks(c->message, answer) : reply_granted(c);
        if (r < 0)
                fail_internal(c, r);
        else
                call_free(c);
}

static void ask_helper(Call *c) {
        HelperRequest q = {
                        .verb = c->verb,
                        .device = &c->identity.address,
                        .devices = &c->devices,
                        .consent = c->consent,
                        .subject = sd_bus_message_get_sender(c->message),
                        .interactive = sd_bus_message_get_allow_interactive_authorization(c->message) > 0,
        };
        int r;

        r = helper_client_call(c->manager->helper, &q, on_helped, c, &c->helper);
        if (r < 0)
                fail_internal(c, r);
}

static void ask_helper_for_consent(Call *c) {
        Failure f = {0};
        int r;

        r = grant_set_check(&c->manager->devices, c->verb == HELPER_GRANT, &c->devices, &c->siblings, &f);
        /* polkit says yes to every subject of uid 0, so the helper takes none from us. */
        if (r >= 0 && c->uid == 0)
                r = grant_set_refuse_root(c->verb == HELPER_GRANT, &c->devices, c->consent, &f);
        if (r < 0)
                finish(c, &f);
        else
                ask_helper(c);
}

static size_t count_of_uid(const Manager *m, uid_t uid) {
        size_t n = 0;

        for (const Call *c = m->calls; c; c = c->next)
                n += c->uid == uid;
        return n;
}

static size_t count_of_sender(const Manager *m, const char *sender) {
        size_t n = 0;

        for (const Call *c = m->calls; c; c = c->next)
                n += streq(strempty(sd_bus_message_get_sender(c->message)), strempty(sender));
        return n;
}

static int refuse_many_of_one(Failure *f) {
        return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                           "Too many of your calls (%u) are under way already; wait for their answers and "
                           "try again.",
                           CALLS_PENDING_PER_UID);
}

/* Whose calls these are is known only after the bus has answered. Until then one connection must not take
 * the places of everybody, nor all strangers together those of the users who are known. */
static int refuse_too_many(const Manager *m, const char *sender, Failure *f) {
        if (count_of_sender(m, sender) >= CALLS_PENDING_PER_UID)
                return refuse_many_of_one(f);
        if (m->n_calls >= CALLS_PENDING_MAX || count_of_uid(m, (uid_t)-1) >= CALLS_UNIDENTIFIED_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "Too many calls (%zu) are under way already; try again later.",
                                   m->n_calls);
        return 0;
}

static void on_who(int r, uid_t uid, void *userdata) {
        Failure f = {0};
        Call *c = userdata;

        c->who = bus_uid_query_free(c->who);
        if (r == -ENXIO) { /* the caller has left: nobody waits for an answer */
                call_free(c);
                return;
        }
        if (r < 0) {
                fail_internal(c, r);
                return;
        }

        c->uid = uid;
        if (count_of_uid(c->manager, uid) > CALLS_PENDING_PER_UID) {
                (void)refuse_many_of_one(&f);
                finish(c, &f);
                return;
        }

        switch (c->row->kind) {
        case AUTHORISATION_OPEN:
                ask_helper(c);
                break;
        case AUTHORISATION_POLKIT:
                ask_polkit(c);
                break;
        case AUTHORISATION_HELPER:
                ask_helper_for_consent(c);
                break;
        }
}

/* Takes the call in: the one gate through which all of them go. */
static int admit(Manager *m, sd_bus_message *message, HelperVerb verb, const IommuSet *devices, Call **ret,
                 Failure *f) {
        const Authorisation *row;
        char set[512];
        Call *c;
        int r;

        row = authorisation_find(sd_bus_message_get_interface(message), sd_bus_message_get_member(message));
        if (!row)
                return failure_set(f, FAILURE_NOT_AUTHORIZED,
                                   "Nobody may call %s; see the documentation of the interface for what "
                                   "there is.",
                                   sd_bus_message_get_member(message));
        if ((r = refuse_too_many(m, sd_bus_message_get_sender(message), f)) < 0)
                return r;

        c = calloc(1, sizeof *c);
        if (!c)
                return failure_set(f, FAILURE_INTERNAL,
                                   "The call %s of %s found no memory; try again later.",
                                   sd_bus_message_get_member(message),
                                   iommu_set_format(devices, set, sizeof set));

        c->manager = m;
        c->message = sd_bus_message_ref(message);
        c->row = row;
        c->verb = verb;
        c->devices = *devices;
        c->uid = (uid_t)-1;
        c->next = m->calls;
        m->calls = c;
        m->n_calls++;
        *ret = c;
        return 0;
}

static int start(Call *c) {
        int r;

        r = bus_query_uid(c->manager->bus, sd_bus_message_get_sender(c->message), on_who, c, &c->who);
        if (r < 0)
                fail_internal(c, r);
        return 1;
}

int call_device(Manager *m, sd_bus_message *message, const Device *d, HelperVerb verb) {
        IommuSet devices = {0};
        Failure f = {0};
        Call *c;

        assert(m);
        assert(d);

        (void)iommu_set_add(&devices, device_address(d));
        if (admit(m, message, verb, &devices, &c, &f) < 0)
                return bus_reply_failure(message, &f);
        c->identity = d->facts.identity;
        return start(c);
}

int call_grant(Manager *m, sd_bus_message *message, const IommuSet *devices, const IommuSet *siblings,
               uint32_t consent) {
        Failure f = {0};
        Call *c;

        assert(m);
        assert(devices);
        assert(siblings);

        if (admit(m, message, HELPER_GRANT, devices, &c, &f) < 0)
                return bus_reply_failure(message, &f);
        c->siblings = *siblings;
        c->consent = consent;
        return start(c);
}

int call_revoke(Manager *m, sd_bus_message *message, const IommuSet *devices) {
        Failure f = {0};
        Call *c;

        assert(m);
        assert(devices);

        if (admit(m, message, HELPER_REVOKE, devices, &c, &f) < 0)
                return bus_reply_failure(message, &f);
        return start(c);
}
