/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>

#include <systemd/sd-daemon.h>

#include "capabilities.h"
#include "helper.h"
#include "log.h"
#include "operation.h"
#include "record-file.h"
#include "revert.h"
#include "sysfs.h"
#include "text.h"

#define SETTING "deadline-seconds="
#define DEADLINE_DEFAULT 30U
#define DEADLINE_MAX 120U

static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        return operation_start(userdata, m);
}

/* `deadline-seconds=30`, comments and empty lines; only if root alone can write it. */
static unsigned read_deadline(int root) {
        char text[4096], line[4096];
        unsigned deadline = DEADLINE_DEFAULT;
        const char *at = text;
        uint64_t v;
        int r;

        r = record_read(root, HELPER_CONF, geteuid(), text, sizeof text);
        if (r < 0 && r != -ENOENT)
                log_warning("/" HELPER_CONF " is not root's alone or cannot be read; it is ignored.");
        while (r >= 0 && text_next_line(&at, line, sizeof line) > 0)
                if (startswith(line, SETTING) &&
                    record_parse_decimal(line + strlen(SETTING), DEADLINE_MAX, &v) >= 0 && v > 0)
                        deadline = (unsigned)v;
                else if (line[0] && line[0] != '#')
                        log_warning("/" HELPER_CONF
                                    ": '%s' is not understood and ignored; the one setting is " SETTING
                                    "N, 1 to %u.",
                                    line, DEADLINE_MAX);
        return deadline;
}

/* What waits for its deadline keeps us, but not against systemd's will: it starts us again for that. */
static bool is_busy(bool leaving, void *userdata) {
        const Operations *all = userdata;

        return all->n > 0 || audit_is_waiting(all->audit) ||
               (!leaving && all->reverts && reverts_any(all->reverts));
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Operations *all = userdata;
        uint32_t result = 0;

        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &result) < 0 ||
            result != 1) {
                log_error("Cannot own the bus name " HELPER_NAME
                          "; is another helper running, and does the bus policy org.verge.Passthrough.conf "
                          "stand?");
                return sd_event_exit(all->event, -EEXIST);
        }
        return sd_notify(false, "READY=1") < 0 ? 0 : 1;
}

static int on_name_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Operations *all = userdata;
        const char *name, *from, *to;

        if (!bus_message_is_from_driver(m) || sd_bus_message_read(m, "sss", &name, &from, &to) < 0)
                return 0;

        authoriser_owner_changed(&all->authoriser, name);
        if (isempty(to))
                operations_caller_left(all, name);
        return 0;
}

static int on_disconnected(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        Operations *all = userdata;

        return sd_event_exit(all->event, 0);
}

static int set_up(Operations *all) {
        sigset_t set;
        int r;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;

        if ((r = sd_event_new(&all->event)) < 0 || (r = sd_bus_open_system(&all->bus)) < 0 ||
            (r = sd_bus_attach_event(all->bus, all->event, 0)) < 0 ||
            (r = polkit_new(all->bus, &all->polkit)) < 0 ||
            (r = audit_new(&(AuditConfig){all->event, all->root_fd, HELPER_IDENTIFIER, AUDIT_WINDOW_USEC},
                           &all->audit)) < 0)
                return r;

        if ((r = sd_bus_match_signal_async(all->bus, NULL, "org.freedesktop.DBus.Local",
                                           "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                           "Disconnected", on_disconnected, NULL, all)) < 0 ||
            (r = sd_bus_match_signal_async(all->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "NameOwnerChanged", on_name_owner_changed,
                                           NULL, all)) < 0 ||
            (r = sd_bus_add_object_vtable(all->bus, NULL, HELPER_PATH, HELPER_INTERFACE,
                                          verb_vtable(on_call), all)) < 0)
                return r;

        return sd_bus_request_name_async(all->bus, NULL, HELPER_NAME, 0, on_name, all);
}

int helper_run(const HelperConfig *config) {
        Operations all = {
                        .root_fd = config->root_fd,
                        .authoriser = {.root_uid = config->root_uid, .daemon_uid = config->daemon_uid},
                        .confine = config->sandbox,
        };
        int r;

        if (config->sandbox) {
                r = capabilities_settle(config->root_fd);
                if (r < 0) {
                        log_error("The helper must run without any capability but CAP_NET_ADMIN, and be "
                                  "able to "
                                  "give that up (%s); start it by its unit, "
                                  "verge-passthrough-helper.service.",
                                  strerror(-r));
                        return r;
                }
        }
        all.deadline_usec = read_deadline(config->root_fd) * 1000000ULL;

        r = set_up(&all);
        if (r >= 0)
                r = reverts_new(&all, &all.reverts);
        if (r >= 0)
                r = bus_run(all.bus, all.event, HELPER_NAME, config->idle_usec, is_busy, &all);

        operations_free_all(&all);
        reverts_free(all.reverts);
        audit_free(all.audit);
        free(all.authoriser.daemon);
        polkit_free(all.polkit);
        sd_bus_flush_close_unref(all.bus);
        sd_event_unref(all.event);
        return r;
}
