/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "helper-client.h"
#include "holders.h"
#include "log.h"

/* The helper answers within its own deadline (30 s, configurable up to a little over a minute); this one is
 * for a helper that is gone or wedged. Where somebody is prompted it has to outlast the prompt (ten
 * minutes). */
#define OPERATION_TIMEOUT_USEC (150ULL * 1000 * 1000)
#define VFS_TIMEOUT_USEC (3 * OPERATION_TIMEOUT_USEC) /* the helper takes so much longer for them, too */
#define PROMPT_TIMEOUT_USEC (11ULL * 60 * 1000 * 1000)

static const char *const helper_verb_table[HELPER_VERB_MAX] = {
                [HELPER_PLAN] = "Plan",
                [HELPER_GRANT] = "Grant",
                [HELPER_REVOKE] = "Revoke",
                [HELPER_BIND] = "Bind",
                [HELPER_RELEASE] = "Release",
                [HELPER_RESET] = "Reset",
                [HELPER_RECOVER] = "Recover",
                [HELPER_KEEP] = "Keep",
                [HELPER_DROP] = "Drop",
                [HELPER_GRANT_IDS] = "GrantIds",
                [HELPER_REVOKE_IDS] = "RevokeIds",
                [HELPER_OPEN] = "Open",
                [HELPER_CLOSE] = "Close",
                [HELPER_HEALTHY] = "Healthy",
                [HELPER_GRANT_VFS] = "GrantVfs",
                [HELPER_SET_VFS] = "SetVfs",
                [HELPER_SET_VF] = "SetVf",
};

DEFINE_STRING_TABLE(helper_verb, HelperVerb, HELPER_VERB_MAX);

/* At once; each is a process. What is not asked then goes without a name. */
#define SEARCHES_MAX 8U

struct HelperClient {
        sd_bus *bus;
        int root;
        unsigned n_searches;
        sd_bus_slot *watch;
        helper_left_t left;
        void *userdata;
};

struct HelperCall {
        HelperClient *client;
        PciAddress device; /* the first that it is about */
        sd_bus_slot *slot;
        Failure failure;
        sd_bus_message *reply;
        HolderSearch *search; /* who holds it, when it could not be moved */
        helper_done_t done;
        void *userdata;
};

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *from, *to;
        HelperClient *c = userdata;

        if (!bus_message_is_from_driver(m) || sd_bus_message_read(m, "sss", &name, &from, &to) < 0 ||
            !streq(name, HELPER_NAME))
                return 0;

        if (isempty(to))
                c->left(c->userdata);
        return 0;
}

HelperClient *helper_client_free(HelperClient *c) {
        if (!c)
                return NULL;

        sd_bus_slot_unref(c->watch);
        sd_bus_unref(c->bus);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(HelperClient *, helper_client_free);

static int on_watch_installed(sd_bus_message *m, void *userdata _unused_, sd_bus_error *error _unused_) {
        if (!sd_bus_message_is_method_error(m, NULL))
                return 0;

        /* Without it an interrupted move would wait for ever for a helper that has died. */
        log_error("The bus does not let us see when the helper leaves; see its log and start the service "
                  "again.");
        return sd_event_exit(sd_bus_get_event(sd_bus_message_get_bus(m)), -EIO);
}

int helper_client_new(sd_bus *bus, int root, helper_left_t left, void *userdata, HelperClient **ret) {
        _cleanup_(helper_client_freep) HelperClient *c = NULL;
        int r;

        assert(bus);
        assert(left);
        assert(ret);

        c = calloc(1, sizeof *c);
        if (!c)
                return -ENOMEM;
        c->bus = sd_bus_ref(bus);
        c->root = root;
        c->left = left;
        c->userdata = userdata;

        r = sd_bus_add_match_async(bus, &c->watch,
                                   "type='signal',sender='org.freedesktop.DBus',"
                                   "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                                   "member='NameOwnerChanged',arg0='" HELPER_NAME "'",
                                   on_owner_changed, on_watch_installed, c);
        if (r < 0)
                return r;
        *ret = STEAL(c);
        return 0;
}

HelperCall *helper_call_free(HelperCall *call) {
        if (!call)
                return NULL;

        sd_bus_slot_unref(call->slot);
        sd_bus_message_unref(call->reply);
        if (call->search)
                call->client->n_searches--;
        holder_search_free(call->search);
        free(call);
        return NULL;
}
DEFINE_CLEANUP(HelperCall *, helper_call_free);

/* Unhooked first: done() may tear everything down. */
static void finish(HelperCall *call) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = sd_bus_message_ref(call->reply);
        Failure failure = call->failure;
        helper_done_t done = call->done;
        void *userdata = call->userdata;

        (void)helper_call_free(call);
        done(failure.kind ? &failure : NULL, reply, userdata);
}

static void on_holders(const char *names, void *userdata) {
        HelperCall *call = userdata;
        size_t n = strlen(call->failure.sentence);

        if (names[0])
                (void)snprintf(call->failure.sentence + n, sizeof call->failure.sentence - n,
                               " It is probably held by %s.", names);
        finish(call);
}

/* The helper has no eyes for other processes; who holds the device is for us to find out. */
static bool find_holder(HelperCall *call) {
        HelperClient *c = call->client;

        if ((call->failure.kind != FAILURE_IN_USE && call->failure.kind != FAILURE_STUCK) ||
            c->n_searches == SEARCHES_MAX ||
            holders_search(sd_bus_get_event(c->bus), c->root, &call->device, on_holders, call,
                           &call->search) < 0)
                return false;
        c->n_searches++;
        return true;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        HelperCall *call = userdata;
        const sd_bus_error *e;

        e = sd_bus_message_get_error(m);
        if (e)
                failure_from_bus(&call->failure, e);
        call->reply = sd_bus_message_ref(m);
        if (!find_holder(call))
                finish(call);
        return 1;
}

static int append_addresses(sd_bus_message *m, const IommuSet *devices) {
        char address[PCI_ADDRESS_SIZE];
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; i < devices->n_members && r >= 0; i++)
                r = sd_bus_message_append(m, "s", pci_address_format(&devices->members[i], address));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_reasons(sd_bus_message *m, uint32_t reasons) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (int i = 0; i < CRITICAL_REASON_MAX && r >= 0; i++)
                if (reasons & 1U << i)
                        r = sd_bus_message_append(m, "s", critical_reason_to_string((CriticalReason)i));
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_ids(sd_bus_message *m, const HelperRequest *q) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (size_t i = 0; i < q->n_ids && r >= 0; i++)
                r = sd_bus_message_append(m, "s", q->ids[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_settings(sd_bus_message *m, const VfSettings *v) {
        char text[VF_TEXT_SIZE], item[VF_TEXT_SIZE + 24];
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        for (VfSetting s = 0; s < VF_SETTING_MAX && r >= 0; s++) {
                if (!vf_settings_has(v, s))
                        continue;
                (void)snprintf(item, sizeof item, "%s=%s", vf_setting_to_string(s),
                               vf_settings_text(v, s, text));
                r = sd_bus_message_append(m, "s", item);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_arguments(sd_bus_message *m, const HelperRequest *q) {
        char address[PCI_ADDRESS_SIZE];
        int r;

        switch (q->verb) {
        case HELPER_PLAN:
                if ((r = sd_bus_message_append(m, "s", pci_address_format(q->device, address))) < 0 ||
                    (r = append_reasons(m, q->consent)) < 0)
                        return r;
                return sd_bus_message_append(m, "b", (int)q->persistent);
        case HELPER_GRANT:
                if ((r = append_addresses(m, q->devices)) < 0 || (r = append_reasons(m, q->consent)) < 0)
                        return r;
                return sd_bus_message_append(m, "bus", (int)q->pending, q->confirm, q->subject);
        case HELPER_REVOKE:
                r = append_addresses(m, q->devices);
                return r < 0 ? r : sd_bus_message_append(m, "bs", (int)q->release, q->subject);
        case HELPER_OPEN:
                r = append_addresses(m, q->devices);
                return r < 0 ? r : sd_bus_message_append(m, "bs", (int)q->fds, q->subject);
        case HELPER_KEEP:
        case HELPER_DROP:
                return append_addresses(m, q->devices);
        case HELPER_GRANT_IDS:
        case HELPER_REVOKE_IDS:
                r = append_ids(m, q);
                return r < 0 ? r : sd_bus_message_append(m, "s", q->subject);
        case HELPER_HEALTHY:
                return 0;
        case HELPER_GRANT_VFS:
                r = append_addresses(m, q->devices);
                return r < 0 ? r : sd_bus_message_append(m, "bs", (int)q->pending, q->subject);
        case HELPER_SET_VFS:
                return sd_bus_message_append(m, "sub", pci_address_format(q->device, address), q->count,
                                             (int)q->bind);
        case HELPER_SET_VF:
                r = sd_bus_message_append(m, "s", pci_address_format(q->device, address));
                return r < 0 ? r : append_settings(m, q->settings);
        default:
                r = sd_bus_message_append(m, "s", pci_address_format(q->device, address));
                return r < 0 || q->verb != HELPER_BIND ? r
                                                       : sd_bus_message_append(m, "b", (int)q->persistent);
        }
}

/* Those that take a subject. */
static bool prompts(HelperVerb verb) {
        return verb == HELPER_GRANT || verb == HELPER_GRANT_VFS || verb == HELPER_REVOKE ||
               verb == HELPER_GRANT_IDS || verb == HELPER_REVOKE_IDS;
}

int helper_client_call(HelperClient *c, const HelperRequest *q, helper_done_t done, void *userdata,
                       HelperCall **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_(helper_call_freep) HelperCall *call = NULL;
        int r;

        assert(c);
        assert(q);
        assert(done);
        assert(ret);

        r = sd_bus_message_new_method_call(c->bus, &m, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE,
                                           helper_verb_to_string(q->verb));
        if (r < 0 || (r = append_arguments(m, q)) < 0 ||
            (r = sd_bus_message_set_allow_interactive_authorization(m, q->interactive)) < 0)
                return r;

        call = calloc(1, sizeof *call);
        if (!call)
                return -ENOMEM;
        call->client = c;
        call->done = done;
        call->userdata = userdata;
        if (q->device || q->devices)
                call->device = q->device ? *q->device : q->devices->members[0];

        r = sd_bus_call_async(c->bus, &call->slot, m, on_reply, call,
                              prompts(q->verb)            ? PROMPT_TIMEOUT_USEC
                              : q->verb == HELPER_SET_VFS ? VFS_TIMEOUT_USEC
                                                          : OPERATION_TIMEOUT_USEC);
        if (r < 0)
                return r;

        *ret = STEAL(call);
        return 0;
}
