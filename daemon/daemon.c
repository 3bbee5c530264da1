/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "claim-bus.h"
#include "daemon.h"
#include "device-bus.h"
#include "group-bus.h"
#include "log.h"
#include "manager-bus.h"
#include "rule-bus.h"

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        sd_event *event = userdata;
        uint32_t answer = 0;

        if (e)
                log_error("The bus does not give us the name " BUS_NAME
                          " (%s); check that the package's bus "
                          "policy is installed and that this runs as user " DAEMON_USER ".",
                          strempty(e->message));
        else if (sd_bus_message_read(m, "u", &answer) < 0 ||
                 answer != 1) /* DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER */
                log_error("Another process has the name " BUS_NAME "; end that one first.");
        else {
                (void)sd_notify(false, "READY=1");
                return 1;
        }

        (void)sd_event_exit(event, -EBUSY);
        return 1;
}

static void on_ready(Manager *m) {
        int r;

        log_debug("%zu devices are known; taking the name " BUS_NAME ".", m->devices.n);
        r = sd_bus_request_name_async(m->bus, NULL, BUS_NAME, 0, on_name, m->event);
        if (r < 0)
                (void)sd_event_exit(m->event, r);
}

static const ManagerWire wire = {
                .device_added = device_bus_added,
                .device_removed = device_bus_removed,
                .device_changed = device_bus_changed,
                .device_stuck = manager_bus_device_stuck,
                .group_added = group_bus_added,
                .group_removed = group_bus_removed,
                .group_changed = group_bus_changed,
                .rule_added = rule_bus_added,
                .rule_removed = rule_bus_removed,
                .rule_changed = rule_bus_changed,
                .claim_added = claim_bus_added,
                .claim_removed = claim_bus_removed,
                .claim_changed = claim_bus_changed,
                .claim_device_vanished = claim_bus_device_vanished,
                .manager_changed = manager_bus_changed,
                .confirmation_pending = manager_bus_confirmation_pending,
                .ready = on_ready,
};

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si _unused_,
                     void *userdata _unused_) {
        (void)sd_notify(false, "STOPPING=1");
        return sd_event_exit(sd_event_source_get_event(s), 0);
}

/* Blocked before any thread exists, so that none of them takes a signal. */
static int handle_signals(sd_event *event) {
        sigset_t mask;
        int r;

        if (sigemptyset(&mask) < 0 || sigaddset(&mask, SIGTERM) < 0 || sigaddset(&mask, SIGINT) < 0 ||
            sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;

        r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, NULL);
        return r < 0 ? r : sd_event_add_signal(event, NULL, SIGINT, on_signal, NULL);
}

static int connect_bus(sd_event *event, sd_bus **ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system_with_description(&bus, "verge-passthroughd");
        if (r < 0 || (r = sd_bus_set_exit_on_disconnect(bus, true)) < 0 ||
            (r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL)) < 0) {
                log_error("Cannot connect to the system bus: %s.", strerror(-r));
                return r;
        }

        *ret = STEAL(bus);
        return 0;
}

int daemon_run(const DaemonConfig *config) {
        ManagerConfig manager_config;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        assert(config);

        if ((r = sd_event_new(&event)) < 0 || (r = handle_signals(event)) < 0) {
                log_error("Cannot set up the event loop: %s.", strerror(-r));
                return r;
        }
        r = connect_bus(event, &bus);
        if (r < 0)
                return r;

        manager_config = (ManagerConfig){config->root_fd, config->root_uid, config->node_name,
                                         config->healthy_usec, config->confirm_min};
        if ((r = manager_new(bus, event, &manager_config, &wire, &m)) < 0 ||
            (r = manager_bus_attach(m)) < 0 || (r = device_bus_attach(m)) < 0 ||
            (r = group_bus_attach(m)) < 0 || (r = rule_bus_attach(m)) < 0 || (r = claim_bus_attach(m)) < 0) {
                log_error("Cannot set up the service: %s.", strerror(-r));
                return r;
        }

        r = manager_start(m, config->uevent_fd);
        return r < 0 ? r : sd_event_loop(event);
}
