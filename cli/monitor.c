/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-util.h"
#include "commands.h"
#include "monitor-event.h"
#include "names.h"

#define DRIVER "org.freedesktop.DBus"

typedef struct Monitor {
        Cli *cli;
        Model *model;             /* of the cli */
        json_t *host, *host_next; /* the one that is being read, until it is the other */
        char *owner;              /* the service's unique name; NULL: it is not there */
        bool followed; /* the model is that of this owner; else signals say what it will be read with */
        bool awake;    /* something is to be done outside of the handlers */
        int error;     /* of a handler */
} Monitor;

static const char *host_name(const Monitor *m) {
        const Object host = {.properties = m->host};

        return object_text(&host, "NodeName");
}

static int tell(Monitor *m, const char *what, const char *kind, const char *name, json_t *properties) {
        return monitor_event_print(m->model, cli_wants_json(m->cli),
                                   &(MonitorEvent){what, kind, name, properties});
}

static int tell_object(Monitor *m, const char *what, const Object *o, json_t *properties) {
        return tell(m, what, kind_name(o->kind, false), o->name, properties);
}

/* Those of `now` that are not as they were; the service tells of some that might have changed. */
static json_t *changed_properties(const json_t *before, const json_t *now) {
        json_t *changes = json_object(), *value;
        const char *property;

        json_object_foreach((json_t *)now, property, value) {
                if (changes && !json_equal(value, json_object_get(before, property)) &&
                    json_object_set(changes, property, value) < 0) {
                        json_decref(changes);
                        changes = NULL;
                }
        }
        return changes;
}

static int on_host(Monitor *m, const json_t *told) {
        json_t *host = m->followed ? m->host : m->host_next;
        _cleanup_json_ json_t *changes = changed_properties(host, told);

        if (!changes || json_object_update(host, changes) < 0)
                return -ENOMEM;
        return m->followed && json_object_size(changes) > 0
                               ? tell(m, "changed", "host", host_name(m), changes)
                               : 0;
}

static int on_properties(Monitor *m, sd_bus_message *message) {
        _cleanup_json_ json_t *told = NULL, *changes = NULL;
        const char *path = sd_bus_message_get_path(message), *interface;
        const Object *o;
        int r;

        r = sd_bus_message_read(message, "s", &interface);
        if (r >= 0)
                r = bus_json_read(message, &told); /* what is merely invalid now nobody has read */
        if (r < 0)
                return r;
        if (streq(interface, BUS_INTERFACE_MANAGER))
                return on_host(m, told);
        o = m->followed && kind_from_interface(interface) >= 0 ? model_at(m->model, path) : NULL;
        if (!o)
                return 0;
        changes = changed_properties(o->properties, told);
        if (!changes || json_object_size(changes) == 0)
                return changes ? 0 : -ENOMEM;
        /* Under the name that it has from now on. */
        r = model_change(m->model, path, interface, changes);
        o = r < 0 ? NULL : model_at(m->model, path);
        return o ? tell_object(m, "changed", o, changes) : r;
}

static int on_added(Monitor *m, sd_bus_message *message) {
        _cleanup_json_ json_t *interfaces = NULL;
        const char *path, *interface;
        json_t *properties;
        int r;

        r = sd_bus_message_read(message, "o", &path);
        if (r >= 0)
                r = bus_json_read(message, &interfaces);
        if (r < 0)
                return r;
        json_object_foreach(interfaces, interface, properties) {
                const Object *o;

                if (kind_from_interface(interface) < 0)
                        continue;
                r = model_change(m->model, path, interface, properties);
                o = r < 0 ? NULL : model_at(m->model, path);
                r = o ? tell_object(m, "added", o, o->properties) : r;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int on_removed(Monitor *m, sd_bus_message *message) {
        const char *path;
        const Object *o;
        int r;

        r = sd_bus_message_read(message, "o", &path);
        o = r < 0 ? NULL : model_at(m->model, path);
        if (!o)
                return r;
        r = tell_object(m, "removed", o, NULL);
        return r < 0 ? r : model_remove(m->model, path);
}

static int on_stuck(Monitor *m, sd_bus_message *message) {
        _cleanup_json_ json_t *properties = NULL;
        const char *path, *reason;
        const Object *o;
        int r;

        r = sd_bus_message_read(message, "os", &path, &reason);
        o = r < 0 ? NULL : model_at(m->model, path);
        if (!o)
                return r;
        properties = json_pack("{s:s}", "Reason", reason);
        return properties ? tell_object(m, "device-stuck", o, properties) : -ENOMEM;
}

static int on_vanished(Monitor *m, sd_bus_message *message) {
        const Object *o = model_at(m->model, sd_bus_message_get_path(message));
        _cleanup_json_ json_t *properties = NULL;
        const char *address;
        int r;

        r = sd_bus_message_read(message, "s", &address);
        if (r < 0 || !o)
                return r;
        properties = json_pack("{s:s}", "Address", address);
        return properties ? tell_object(m, "device-vanished", o, properties) : -ENOMEM;
}

static int on_pending(Monitor *m, sd_bus_message *message) {
        _cleanup_json_ json_t *properties = NULL;
        json_t *devices = NULL;
        uint64_t until;
        uint32_t uid;
        int r;

        r = sd_bus_message_read(message, "tu", &until, &uid);
        if (r >= 0)
                r = bus_json_read(message, &devices);
        if (r <= 0)
                return r;
        properties = json_pack("{s:I, s:I, s:o}", "ConfirmUntil", (json_int_t)until, "ConfirmUser",
                               (json_int_t)uid, "ConfirmDevices", devices);
        return properties ? tell(m, "confirmation-pending", "host", host_name(m), properties) : -ENOMEM;
}

static const struct {
        const char *interface, *member;
        int (*run)(Monitor *m, sd_bus_message *message);
} handlers[] = {
                {"org.freedesktop.DBus.Properties", "PropertiesChanged", on_properties},
                {"org.freedesktop.DBus.ObjectManager", "InterfacesAdded", on_added},
                {"org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", on_removed},
                {BUS_INTERFACE_MANAGER, "DeviceStuck", on_stuck},
                {BUS_INTERFACE_MANAGER, "ConfirmationPending", on_pending},
                {BUS_INTERFACE_CLAIM, "DeviceVanished", on_vanished},
};

/* Anybody may send signals to us alone; only the service's count. */
static bool is_from_service(const Monitor *m, sd_bus_message *message) {
        return m->owner && streq(strempty(sd_bus_message_get_sender(message)), m->owner);
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Monitor *m = userdata;
        int r = 0;

        if (!(m->followed || m->host_next) || m->error < 0 || !is_from_service(m, message))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(handlers); i++)
                if ((m->followed || handlers[i].run == on_properties) &&
                    sd_bus_message_is_signal(message, handlers[i].interface, handlers[i].member) > 0)
                        r = handlers[i].run(m, message);
        if (r < 0) {
                m->error = r;
                m->awake = true;
        }
        return 0;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Monitor *m = userdata;
        const char *name, *before, *now;

        if (!bus_message_is_from_driver(message) ||
            sd_bus_message_read(message, "sss", &name, &before, &now) < 0 || !streq(name, BUS_NAME))
                return 0;
        if (m->followed && m->error >= 0)
                m->error = tell(m, "service-lost", "host", host_name(m), NULL);
        free(m->owner);
        m->owner = isempty(now) ? NULL : strdup(now);
        m->followed = false;
        m->awake = true;
        return 0;
}

static int subscribe(Monitor *m) {
        sd_bus *bus = m->cli->client.bus;
        int r;

        r = sd_bus_add_match_async(bus, NULL,
                                   "type='signal',sender='" DRIVER
                                   "',path='/org/freedesktop/DBus',interface='" DRIVER
                                   "',member='NameOwnerChanged',arg0='" BUS_NAME "'",
                                   on_owner, NULL, m);
        return r < 0 ? r
                     : sd_bus_add_match_async(bus, NULL, "type='signal',sender='" BUS_NAME "'", on_signal,
                                              NULL, m);
}

/* Starts the service if need be, and asks who answers: no other's signals count. */
static ExitCode find_service(Monitor *m) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;

        code = client_ask_object(&m->cli->client, BUS_PATH, "org.freedesktop.DBus.Peer", "Ping", &reply);
        if (code != EXIT_DONE)
                return code;
        free(m->owner);
        m->owner = strdup(strempty(sd_bus_message_get_sender(reply)));
        return m->owner ? EXIT_DONE : complain_oom();
}

/* What the service sends before an answer is in the answer; what it sends after it is to be told. The
 * objects come last, and nothing more is taken from the bus then; what the host's properties become before
 * that is noted meanwhile. */
static ExitCode load(Monitor *m, Model *ret_model) {
        ExitCode code;

        json_decref(m->host_next);
        m->host_next = NULL;
        m->awake = false;
        code = model_load_host(&m->cli->client, &m->host_next);
        return code == EXIT_DONE ? model_load(&m->cli->client, ret_model) : code;
}

/* From here on it is told what happens. host: that of before, for the caller. */
static json_t *set_followed(Monitor *m) {
        json_t *before = m->host;

        m->host = STEAL(m->host_next);
        m->followed = true;
        return before;
}

static int tell_difference(Monitor *m, const Object *before, const Object *now) {
        _cleanup_json_ json_t *changes = NULL;

        if (!before)
                return tell_object(m, "added", now, now->properties);
        changes = changed_properties(before->properties, now->properties);
        if (!changes)
                return -ENOMEM;
        return json_object_size(changes) > 0 ? tell_object(m, "changed", now, changes) : 0;
}

/* What has happened while nobody told. */
static int tell_differences(Monitor *m, const Model *before, const json_t *host_before) {
        _cleanup_json_ json_t *changes = changed_properties(host_before, m->host);
        int r = changes ? 0 : -ENOMEM;

        for (Kind kind = 0; kind < KIND_MAX; kind++) {
                for (size_t i = 0; i < before->n[kind] && r >= 0; i++)
                        if (!model_at(m->model, before->objects[kind][i].path))
                                r = tell_object(m, "removed", &before->objects[kind][i], NULL);
                for (size_t i = 0; i < m->model->n[kind] && r >= 0; i++) {
                        const Object *now = &m->model->objects[kind][i];

                        r = tell_difference(m, model_at(before, now->path), now);
                }
        }
        if (r >= 0 && json_object_size(changes) > 0)
                r = tell(m, "changed", "host", host_name(m), changes);
        return r;
}

/* The service is back: reads all anew. It may go at any time; then there is nothing to follow until it comes
 * again. */
static ExitCode take_up(Monitor *m) {
        _cleanup_json_ json_t *host_before = NULL;
        Model before, now = {};
        ExitCode code;

        code = load(m, &now);
        if (code != EXIT_DONE)
                return code;
        if (m->awake) { /* it is another one already */
                model_done(&now);
                return EXIT_DONE;
        }
        before = *m->model;
        *m->model = now;
        host_before = set_followed(m);
        m->error = tell(m, "service-back", "host", host_name(m), NULL);
        if (m->error >= 0)
                m->error = tell_differences(m, &before, host_before);
        model_done(&before);
        return EXIT_DONE;
}

static ExitCode begin(Monitor *m) {
        ExitCode code = cli_connect(m->cli);
        int r;

        if (code != EXIT_DONE)
                return code;
        r = subscribe(m);
        if (r < 0)
                return complain(EXIT_FAILED, "The signals of the service cannot be followed: %s.",
                                strerror(-r));
        do {
                model_done(m->model);
                code = find_service(m);
                if (code == EXIT_DONE)
                        code = load(m, m->model);
                if (code != EXIT_DONE)
                        return code;
        } while (m->awake); /* it was another one by then */
        m->cli->loaded = true;
        json_decref(set_followed(m));
        (void)fprintf(stderr,
                      "Following what happens to devices, groups, rules and claims; ctrl-C ends it.\n");
        return EXIT_DONE;
}

static ExitCode follow(Monitor *m) {
        Client *c = &m->cli->client;
        ExitCode code = EXIT_DONE;

        while (code == EXIT_DONE && m->error >= 0) {
                code = client_run(c, &m->awake);
                if (code != EXIT_DONE)
                        break;
                m->awake = false;
                if (m->owner && !m->followed)
                        code = take_up(m);
                if (code == EXIT_NO_SERVICE && sd_bus_is_open(c->bus) > 0)
                        code = EXIT_DONE; /* its next owner will be told of */
        }
        if (c->interrupted || m->error == -EPIPE)
                return EXIT_DONE;
        if (code == EXIT_DONE && m->error < 0)
                return complain(EXIT_FAILED, "An event cannot be told: %s.", strerror(-m->error));
        return code;
}

ExitCode command_monitor(Cli *cli) {
        Monitor m = {.cli = cli, .model = &cli->model};
        ExitCode code = begin(&m);

        if (code == EXIT_DONE)
                code = follow(&m);
        free(m.owner);
        json_decref(m.host);
        json_decref(m.host_next);
        return code;
}
