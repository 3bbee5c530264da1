/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "bus-util.h"
#include "names.h"
#include "output.h"
#include "progress.h"

#define DRIVER "org.freedesktop.DBus"
#define TICK_USEC (500ULL * 1000)

struct Progress {
        Client *client;
        char *doing;
        uint64_t began; /* CLOCK_MONOTONIC, microseconds */
        bool moving, clock_shown;
        char *owner; /* the service's unique name; NULL while it is not known, or not there */
        sd_bus_slot *slots[3];
        sd_event_source *timer;
};

static uint64_t now(void) {
        struct timespec t = {};

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

static void wipe(Progress *p) {
        if (p->clock_shown)
                (void)fputs("\r\033[K", stderr);
        p->clock_shown = false;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Progress *p = userdata;

        /* Not before something moves: polkit may prompt on this very line. */
        if (p->moving) {
                (void)fprintf(stderr, "\r%s ... %.0f s\033[K", p->doing, (double)(now() - p->began) / 1e6);
                (void)fflush(stderr);
                p->clock_shown = true;
        }
        (void)sd_event_source_set_time_relative(s, TICK_USEC);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void tell(Progress *p, const char *what, const char *state) {
        wipe(p);
        (void)fprintf(stderr, "%s%6.1f s%s  ", output_tint(stderr, TINT_DIM),
                      (double)(now() - p->began) / 1e6, output_tint(stderr, TINT_NONE));
        (void)output_text(stderr, what, SIZE_MAX);
        (void)fputs(": ", stderr);
        (void)output_text(stderr, state, SIZE_MAX);
        (void)fputc('\n', stderr);
}

/* "0000:01:00.0" of the path of a device, "claim" of one of a claim; NULL: something else. */
static const char *name_of(const char *path, char buffer[static 64]) {
        char *address = NULL;

        if (sd_bus_path_decode(path, BUS_PATH_DEVICES, &address) > 0) {
                (void)snprintf(buffer, 64, "%s", address);
                free(address);
                return buffer;
        }
        return startswith(path, BUS_PATH_CLAIMS "/") ? "claim" : NULL;
}

static int on_change(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *interface, *property, *contents, *text, *name;
        Progress *p = userdata;
        char buffer[64];
        int r;

        /* Anybody may send signals to us alone; only the service's count. */
        if (!p->owner || !streq(strempty(sd_bus_message_get_sender(m)), p->owner))
                return 0;
        name = name_of(strempty(sd_bus_message_get_path(m)), buffer);
        if (!name || sd_bus_message_read(m, "s", &interface) < 0 ||
            sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
                return 0;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                if (sd_bus_message_read(m, "s", &property) < 0 ||
                    sd_bus_message_peek_type(m, NULL, &contents) < 0)
                        return 0;
                if (streq(contents, "s") && (streq(property, "State") || streq(property, "StatusInfo"))) {
                        if (sd_bus_message_read(m, "v", "s", &text) < 0)
                                return 0;
                        p->moving = true;
                        if (!isempty(text))
                                tell(p, name, text);
                } else if (sd_bus_message_skip(m, "v") < 0)
                        return 0;
                if (sd_bus_message_exit_container(m) < 0)
                        return 0;
        }
        return 0;
}

static void set_owner(Progress *p, const char *owner) {
        free(p->owner);
        p->owner = isempty(owner) ? NULL : strdup(owner);
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *before, *owner;

        if (bus_message_is_from_driver(m) && sd_bus_message_read(m, "sss", &name, &before, &owner) > 0 &&
            streq(name, BUS_NAME))
                set_owner(userdata, owner);
        return 0;
}

/* An error: it is not there, and starts with the call. */
static int on_first_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *owner;

        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &owner) > 0)
                set_owner(userdata, owner);
        return 0;
}

/* Without it things merely happen in silence. */
static void listen(Progress *p) {
        sd_bus *bus = p->client->bus;

        (void)sd_bus_match_signal_async(bus, &p->slots[0], BUS_NAME, NULL, "org.freedesktop.DBus.Properties",
                                        "PropertiesChanged", on_change, NULL, p);
        (void)sd_bus_match_signal_async(bus, &p->slots[1], DRIVER, "/org/freedesktop/DBus", DRIVER,
                                        "NameOwnerChanged", on_owner, NULL, p);
        (void)sd_bus_call_method_async(bus, &p->slots[2], DRIVER, "/org/freedesktop/DBus", DRIVER,
                                       "GetNameOwner", on_first_owner, p, "s", BUS_NAME);
}

Progress *progress_new(Client *c, const char *doing) {
        Progress *p;

        if (!output_is_interactive() || !(p = calloc(1, sizeof *p)))
                return NULL;
        *p = (Progress){.client = c, .began = now(), .doing = strdup(doing)};
        listen(p);
        (void)sd_event_add_time_relative(c->event, &p->timer, CLOCK_MONOTONIC, TICK_USEC, 0, on_tick, p);
        return p->doing ? p : progress_free(p);
}

Progress *progress_free(Progress *p) {
        if (!p)
                return NULL;
        wipe(p);
        for (size_t i = 0; i < ELEMENTSOF(p->slots); i++)
                (void)sd_bus_slot_unref(p->slots[i]);
        (void)sd_event_source_unref(p->timer);
        free(p->doing);
        free(p->owner);
        free(p);
        return NULL;
}
