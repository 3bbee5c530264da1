/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machines.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

#define MACHINED_NAME "org.freedesktop.machine1"
#define MACHINED_PATH "/org/freedesktop/machine1"
#define MACHINED_INTERFACE "org.freedesktop.machine1.Manager"
#define NO_SUCH_MACHINE "org.freedesktop.machine1.NoSuchMachine"

#define MACHINE_NAME_MAX 64U
#define BUS_NAME_MAX 255U

#define QUESTION_TIMEOUT_USEC (25ULL * 1000 * 1000)

/* Who has a name now; the name itself, in quotes, follows. */
#define OWNER_MATCH                                                                                         \
        "type='signal',sender='" DRIVER_NAME "',path='" DRIVER_PATH "',interface='" DRIVER_NAME             \
        "',member='NameOwnerChanged',arg0="

typedef enum WatchState {
        WATCH_ASKING, /* whether it is there at all */
        WATCH_THERE,
        WATCH_SPENT,
} WatchState;

struct Machines {
        sd_bus *bus;
        sd_bus_slot *owner_match, *removed_match, *owner_question;
        char owner[BUS_NAME_MAX + 1]; /* the connection that is systemd-machined now; "" for none */
        int error;                    /* why the bus does not let us see machines end, or 0 */
        MachineWatch *machines;
};

struct MachineWatch {
        Machines *of;
        MachineWatch *next; /* in of->machines; a connection's stands in no list */
        WatchState state;
        sd_bus_slot *match, *question;
        machine_found_t found; /* NULL: it is a connection */
        machine_gone_t gone;
        void *userdata;
        char name[];
};

/* The bus matches the sender of a broadcast; but anybody may send a signal to us alone, and sd-bus does not know which
 * connection has a well-known name. So each handler looks. */
static bool is_from(sd_bus_message *m, const char *sender) {
        return sender[0] != '\0' && streq(strempty(sd_bus_message_get_sender(m)), sender);
}

static void spend(MachineWatch *w) {
        w->state = WATCH_SPENT;
        w->match = sd_bus_slot_unref(w->match);
        w->question = sd_bus_slot_unref(w->question);
}

MachineWatch *machine_watch_free(MachineWatch *w) {
        if (!w)
                return NULL;

        spend(w);
        (void)LIST_REMOVE(w->of->machines, w, next);
        free(w);
        return NULL;
}
DEFINE_CLEANUP(MachineWatch *, machine_watch_free);

static MachineWatch *watch_new(Machines *m, const char *name, machine_gone_t gone, void *userdata) {
        size_t n = strlen(name) + 1;
        MachineWatch *w;

        w = calloc(1, sizeof *w + n);
        if (!w)
                return NULL;
        w->of = m;
        w->gone = gone;
        w->userdata = userdata;
        memcpy(w->name, name, n);
        return w;
}

/* The callback may free the watch. */
static void tell_gone(MachineWatch *w, const char *what) {
        char reason[128 + BUS_NAME_MAX];

        (void)snprintf(reason, sizeof reason, "The %s %s %s.", w->found ? "machine" : "connection", w->name,
                       what);
        spend(w);
        w->gone(reason, w->userdata);
}

static void tell_found(MachineWatch *w, int r, bool there) {
        if (r < 0 || !there)
                spend(w);
        else
                w->state = WATCH_THERE;
        w->found(r, there, w->userdata);
}

/* Connections */

/* The matches pass one name only. */
static int on_connection_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *from, *to;

        if (is_from(m, DRIVER_NAME) && sd_bus_message_read(m, "sss", &name, &from, &to) >= 0 && isempty(to))
                tell_gone(userdata, "has left the bus");
        return 0;
}

/* The question went out behind the match, and the bus takes them in order: who leaves after the answer is seen. */
static int on_connection_asked(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        MachineWatch *w = userdata;
        int there = 0;

        w->question = sd_bus_slot_unref(w->question);
        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "b", &there) < 0)
                tell_gone(w, "cannot be watched: the bus does not say whether it is there");
        else if (there)
                w->state = WATCH_THERE;
        else
                tell_gone(w, "has left the bus");
        return 1;
}

static int on_connection_matched(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        MachineWatch *w = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                tell_gone(w, "cannot be watched: the bus refuses the match, see its limits");
        return 1;
}

static int ask_driver(sd_bus *bus, sd_bus_slot **ret, const char *member, const char *name,
                      sd_bus_message_handler_t done, void *userdata) {
        return sd_bus_call_method_async(bus, ret, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME, member, done,
                                        userdata, "s", name);
}

int machines_watch_connection(Machines *m, const char *name, machine_gone_t gone, void *userdata,
                              MachineWatch **ret) {
        _cleanup_(machine_watch_freep) MachineWatch *w = NULL;
        char match[sizeof OWNER_MATCH + BUS_NAME_MAX + 3];
        int r;

        assert(m);
        assert(bus_name_is_unique(name));
        assert(gone);
        assert(ret);

        w = watch_new(m, name, gone, userdata);
        if (!w)
                return -ENOMEM;

        (void)snprintf(match, sizeof match, OWNER_MATCH "'%s'", name);
        r = sd_bus_add_match_async(m->bus, &w->match, match, on_connection_changed, on_connection_matched,
                                   w);
        if (r < 0 ||
            (r = ask_driver(m->bus, &w->question, "NameHasOwner", name, on_connection_asked, w)) < 0)
                return r;
        *ret = STEAL(w);
        return 0;
}

/* Machines */

/* Is it there? 1 or 0; a negative errno: who knows. */
static int read_answer(const Machines *machines, sd_bus_message *m) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        int r;

        if (machines->error < 0) /* its end would not be seen */
                return machines->error;
        if (!e)
                return 1;
        if (sd_bus_error_has_name(e, NO_SUCH_MACHINE))
                return 0;
        if (sd_bus_error_has_names(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_SERVICE_UNKNOWN))
                return -ENXIO;
        r = sd_bus_error_get_errno(e);
        return r > 0 ? -r : -EIO;
}

static int on_machine_asked(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        MachineWatch *w = userdata;
        int r;

        w->question = sd_bus_slot_unref(w->question);
        r = read_answer(w->of, m);
        if (w->state == WATCH_ASKING)
                tell_found(w, r < 0 ? r : 0, r > 0);
        else if (r == 0)
                tell_gone(w, "is not known to systemd-machined any more");
        return 1; /* else it is there; or machined has gone again, and is asked when it comes back */
}

static int ask_machined(MachineWatch *w) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        w->question = sd_bus_slot_unref(w->question);
        r = sd_bus_message_new_method_call(w->of->bus, &m, MACHINED_NAME, MACHINED_PATH, MACHINED_INTERFACE,
                                           "GetMachine");
        if (r < 0 || (r = sd_bus_message_append(m, "s", w->name)) < 0 ||
            (r = sd_bus_message_set_auto_start(m, false)) < 0)
                return r;
        return sd_bus_call_async(w->of->bus, &w->question, m, on_machine_asked, w, QUESTION_TIMEOUT_USEC);
}

int machines_watch_machine(Machines *m, const char *name, machine_found_t found, machine_gone_t gone,
                           void *userdata, MachineWatch **ret) {
        _cleanup_(machine_watch_freep) MachineWatch *w = NULL;
        int r;

        assert(m);
        assert(machine_name_is_valid(name));
        assert(found);
        assert(gone);
        assert(ret);

        w = watch_new(m, name, gone, userdata);
        if (!w)
                return -ENOMEM;
        w->found = found;

        r = ask_machined(w);
        if (r < 0)
                return r;
        w->next = m->machines;
        m->machines = w;
        *ret = STEAL(w);
        return 0;
}

/* A callback may free any watch: so there is no next one to go on to, only a first one again. */
static MachineWatch *first_there(Machines *m, const char *name) {
        MachineWatch *w;

        for (w = m->machines; w && (w->state != WATCH_THERE || !streq(w->name, name)); w = w->next)
                ;
        return w;
}

static int on_machine_removed(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *path;
        Machines *m = userdata;
        MachineWatch *w;

        if (!is_from(message, m->owner) || sd_bus_message_read(message, "so", &name, &path) < 0)
                return 0;

        while ((w = first_there(m, name)))
                tell_gone(w, "has ended, says systemd-machined");
        return 0;
}

static int on_machined_changed(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *from, *to;
        Machines *m = userdata;

        if (!is_from(message, DRIVER_NAME) || sd_bus_message_read(message, "sss", &name, &from, &to) < 0)
                return 0;

        (void)snprintf(m->owner, sizeof m->owner, "%s", to);
        if (to[0] == '\0')
                return 0;
        /* Machines may have ended while nobody looked. It takes its name when it knows those that are left. */
        for (MachineWatch *w = m->machines; w; w = w->next)
                if (w->state == WATCH_THERE)
                        (void)ask_machined(w);
        return 0;
}

static int on_machined_named(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *owner = "";
        Machines *m = userdata;

        m->owner_question = sd_bus_slot_unref(m->owner_question);
        if (!sd_bus_message_is_method_error(message, NULL) && sd_bus_message_read(message, "s", &owner) >= 0)
                (void)snprintf(m->owner, sizeof m->owner, "%s", owner);
        return 1;
}

static int on_matched(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        Machines *m = userdata;
        int r;

        if (sd_bus_message_is_method_error(message, NULL)) {
                r = sd_bus_message_get_errno(message);
                m->error = r > 0 ? -r : -EIO;
        }
        return 1;
}

Machines *machines_free(Machines *m) {
        if (!m)
                return NULL;

        assert(!m->machines);
        sd_bus_slot_unref(m->owner_question);
        sd_bus_slot_unref(m->removed_match);
        sd_bus_slot_unref(m->owner_match);
        sd_bus_unref(m->bus);
        free(m);
        return NULL;
}

int machines_new(sd_bus *bus, Machines **ret) {
        _cleanup_(machines_freep) Machines *m = NULL;
        int r;

        assert(bus);
        assert(ret);

        m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;
        m->bus = sd_bus_ref(bus);

        /* Two matches for all machines: the bus has a limit on them. */
        r = sd_bus_add_match_async(bus, &m->owner_match, OWNER_MATCH "'" MACHINED_NAME "'",
                                   on_machined_changed, on_matched, m);
        if (r < 0 ||
            (r = sd_bus_add_match_async(bus, &m->removed_match,
                                        "type='signal',sender='" MACHINED_NAME "',path='" MACHINED_PATH
                                        "',interface='" MACHINED_INTERFACE "',member='MachineRemoved'",
                                        on_machine_removed, on_matched, m)) < 0 ||
            (r = ask_driver(bus, &m->owner_question, "GetNameOwner", MACHINED_NAME, on_machined_named, m)) <
                            0)
                return r;

        *ret = STEAL(m);
        return 0;
}

/* hostname_is_valid() of systemd: labels of letters, digits and hyphens that neither begin nor end with one. */
bool machine_name_is_valid(const char *name) {
        const char *label = name;
        size_t n;

        assert(name);

        if (strlen(name) > MACHINE_NAME_MAX)
                return false;
        for (;; label += n + 1) {
                n = strcspn(label, ".");
                if (n == 0 || label[0] == '-' || label[n - 1] == '-' ||
                    strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") < n)
                        return false;
                if (label[n] == '\0')
                        return true;
        }
}
