/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>

#include <systemd/sd-daemon.h>

#include "bus-util.h"
#include "log.h"

#define BUS_DRIVER_TIMEOUT_USEC (25ULL * 1000 * 1000)

bool bus_message_is_from_driver(sd_bus_message *m) {
        return streq(strempty(sd_bus_message_get_sender(m)), "org.freedesktop.DBus");
}

bool bus_name_is_unique(const char *name) {
        return name && name[0] == ':' && sd_bus_service_name_is_valid(name) > 0;
}

struct BusUidQuery {
        sd_bus_slot *slot;
        bus_uid_t done;
        void *userdata;
};

BusUidQuery *bus_uid_query_free(BusUidQuery *q) {
        if (!q)
                return NULL;

        sd_bus_slot_unref(q->slot);
        free(q);
        return NULL;
}

static int on_uid(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        BusUidQuery *q = userdata;
        const sd_bus_error *e;
        uint32_t uid = 0;
        int r = 0;

        e = sd_bus_message_get_error(m);
        if (e)
                r = sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ? -ENXIO : -EIO;
        else {
                r = sd_bus_message_read(m, "u", &uid);
                if (r > 0)
                        r = 0;
        }

        q->done(r, (uid_t)uid, q->userdata);
        return 1;
}

int bus_query_uid(sd_bus *bus, const char *name, bus_uid_t done, void *userdata, BusUidQuery **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        BusUidQuery *q;
        int r;

        assert(done);
        assert(ret);

        r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "GetConnectionUnixUser");
        if (r < 0 || (r = sd_bus_message_append(m, "s", name)) < 0)
                return r;

        q = calloc(1, sizeof *q);
        if (!q)
                return -ENOMEM;
        q->done = done;
        q->userdata = userdata;

        r = sd_bus_call_async(bus, &q->slot, m, on_uid, q, BUS_DRIVER_TIMEOUT_USEC);
        if (r < 0) {
                bus_uid_query_free(q);
                return r;
        }

        *ret = q;
        return 0;
}

int bus_reply_failure(sd_bus_message *call, const Failure *f) {
        _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;

        (void)failure_to_bus(f, &error);
        return sd_bus_reply_method_error(call, &error);
}

typedef struct Loop {
        sd_bus *bus;
        sd_event *event;
        const char *name;
        bus_busy_t busy;
        void *userdata;
        uint64_t idle_usec, idle_since;
        sd_event_source *timer;
        bool leaving, released;
} Loop;

static int on_released(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        Loop *l = userdata;

        /* The bus answers in order: whatever it had for us came before this reply. */
        l->released = true;
        return 1;
}

static int leave(Loop *l) {
        if (l->leaving)
                return 0;

        l->leaving = true;
        (void)sd_notify(false, "STOPPING=1");
        return sd_bus_release_name_async(l->bus, NULL, l->name, on_released, l);
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec, void *userdata) {
        Loop *l = userdata;

        if (l->leaving) /* the grace after a signal is over */
                return sd_event_exit(l->event, 0);
        if (l->idle_since == UINT64_MAX || usec < l->idle_since + l->idle_usec)
                return 0;
        return leave(l);
}

static int on_signal(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_,
                     void *userdata) {
        Loop *l = userdata;
        int r;

        r = sd_event_source_set_time_relative(l->timer, BUS_RUN_GRACE_USEC);
        if (r < 0 || (r = sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT)) < 0 || (r = leave(l)) < 0)
                return sd_event_exit(l->event, r);
        return 0;
}

/* Keeps the timer at idle_since + idle_usec; idle_since is reset by each round of the loop that found us busy. */
static int mind_idleness(Loop *l) {
        uint64_t now;
        int r;

        if (l->busy(false, l->userdata)) {
                l->idle_since = UINT64_MAX;
                return 0;
        }
        if (l->idle_since != UINT64_MAX || l->idle_usec == UINT64_MAX)
                return 0;

        r = sd_event_now(l->event, CLOCK_MONOTONIC, &now);
        if (r < 0)
                return r;

        l->idle_since = now;
        r = sd_event_source_set_time(l->timer, now + l->idle_usec);
        return r < 0 ? r : sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

static int add_sources(Loop *l) {
        int r;

        r = sd_event_add_time(l->event, &l->timer, CLOCK_MONOTONIC, 0, 0, on_timer, l);
        if (r < 0 || (r = sd_event_source_set_enabled(l->timer, SD_EVENT_OFF)) < 0 ||
            (r = sd_event_add_signal(l->event, NULL, SIGTERM, on_signal, l)) < 0)
                return r;
        return sd_event_add_signal(l->event, NULL, SIGINT, on_signal, l);
}

static int run(Loop *l) {
        int r;

        while (sd_event_get_state(l->event) != SD_EVENT_FINISHED) {
                if (l->released && !l->busy(true, l->userdata))
                        return sd_bus_flush(l->bus);
                if (!l->leaving && (r = mind_idleness(l)) < 0)
                        return r;
                r = sd_event_run(l->event, UINT64_MAX);
                if (r < 0)
                        return r;
        }
        return sd_event_get_exit_code(l->event, &r) < 0 ? 0 : r;
}

int bus_run(sd_bus *bus, sd_event *event, const char *name, uint64_t idle_usec, bus_busy_t busy,
            void *userdata) {
        Loop l = {bus, event, name, busy, userdata, idle_usec, UINT64_MAX, NULL, false, false};
        int r;

        assert(bus);
        assert(event);
        assert(busy);

        r = add_sources(&l);
        if (r >= 0)
                r = run(&l);
        sd_event_source_disable_unref(l.timer);
        return r;
}
