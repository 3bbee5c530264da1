/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "authorise.h"
#include "names.h"

struct Authorisation {
        Authoriser *authoriser;
        char *sender;
        BusUidQuery *who;
        sd_bus_slot *owner;
        bool owns_name, owner_known;
        authorise_done_t done;
        void *userdata;
};

Authorisation *authorisation_free(Authorisation *a) {
        if (!a)
                return NULL;

        bus_uid_query_free(a->who);
        sd_bus_slot_unref(a->owner);
        free(a->sender);
        free(a);
        return NULL;
}
DEFINE_CLEANUP(Authorisation *, authorisation_free);

/* Comes first: the bus answers in the order in which it was asked. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Authorisation *a = userdata;
        const char *owner;

        a->owner_known = true;
        a->owns_name = !sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &owner) > 0 &&
                       streq(owner, a->sender);
        return 1;
}

static void on_uid(int r, uid_t uid, void *userdata) {
        CallerKind kind = CALLER_STRANGER;
        Authorisation *a = userdata;

        if (r >= 0 && uid == a->authoriser->root_uid)
                kind = CALLER_ROOT;
        else if (r >= 0 && uid == a->authoriser->daemon_uid && a->owner_known && a->owns_name) {
                kind = CALLER_DAEMON;
                free(a->authoriser->daemon);
                a->authoriser->daemon = strdup(a->sender);
        }
        a->done(kind, r < 0 ? (uid_t)-1 : uid, a->userdata);
}

void authoriser_owner_changed(Authoriser *a, const char *name) {
        if (streq(name, BUS_NAME) || (a->daemon && streq(name, a->daemon))) {
                free(a->daemon);
                a->daemon = NULL;
        }
}

int authorise(Authoriser *authoriser, sd_bus_message *call, authorise_done_t done, void *userdata,
              Authorisation **ret) {
        _cleanup_(authorisation_freep) Authorisation *a = NULL;
        sd_bus *bus = sd_bus_message_get_bus(call);
        int r;

        assert(authoriser);
        assert(done);
        assert(ret);

        if (authoriser->daemon && streq(authoriser->daemon, strempty(sd_bus_message_get_sender(call))))
                return 1;

        a = calloc(1, sizeof *a);
        if (!a)
                return -ENOMEM;
        a->authoriser = authoriser;
        a->done = done;
        a->userdata = userdata;
        a->sender = strdup(strempty(sd_bus_message_get_sender(call)));
        if (!a->sender)
                return -ENOMEM;

        r = sd_bus_call_method_async(bus, &a->owner, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "GetNameOwner", on_owner, a, "s", BUS_NAME);
        if (r < 0 || (r = bus_query_uid(bus, a->sender, on_uid, a, &a->who)) < 0)
                return r;

        *ret = STEAL(a);
        return 0;
}
