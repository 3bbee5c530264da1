/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "calls.h"
#include "critical.h"
#include "log.h"
#include "manager-bus.h"

#define GETTER_ARGUMENTS                                                                                    \
        sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,                    \
                        const char *property _unused_, sd_bus_message *reply, void *userdata _unused_,      \
                        sd_bus_error *error _unused_

static int get_version(GETTER_ARGUMENTS) {
        return sd_bus_message_append_basic(reply, 's', PROJECT_VERSION);
}

static int get_iommu_kind(GETTER_ARGUMENTS) {
        const Manager *m = userdata;

        return sd_bus_message_append_basic(reply, 's', iommu_kind_to_string(m->platform.iommu_kind));
}

/* Nothing that can be asked for yet needs a reboot to be finished. */
static int get_restart_needed(GETTER_ARGUMENTS) {
        return sd_bus_message_append_basic(reply, 'b', &(int){false});
}

static int get_restart_reason(GETTER_ARGUMENTS) {
        return sd_bus_message_append_basic(reply, 's', "");
}

/* The next Device object of an array of paths, into the set. Duplicates count too: they cost the same. */
static int take_device(const Manager *m, const char *path, size_t *count, IommuSet *set, Failure *f) {
        const Device *d;

        if (++*count > DEVICES_PER_CALL_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "More than %u devices were named; name fewer in one call.",
                                   DEVICES_PER_CALL_MAX);

        d = device_table_find_path(&m->devices, path);
        if (!d)
                return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                   "The object %.256s is no device of this host; list the devices and take "
                                   "a path from there.",
                                   path);
        return iommu_set_add(set, device_address(d));
}

static int read_devices(const Manager *m, sd_bus_message *message, IommuSet *set, Failure *f) {
        size_t count = 0;
        const char *path;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "o");
        while (r >= 0 && (r = sd_bus_message_read_basic(message, 'o', &path)) > 0)
                r = take_device(m, path, &count, set, f);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int read_consent(sd_bus_message *message, uint32_t *consent, Failure *f) {
        const char *word;
        int r, reason;

        r = sd_bus_message_enter_container(message, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(message, 's', &word)) > 0) {
                reason = (int)critical_reason_from_string(word);
                if (reason < 0)
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "\"%.64s\" in the option \"consent\" is no critical reason; "
                                           "Device.Critical lists those of a device.",
                                           word);
                /* Or a message could be of any size, and it is kept while a prompt stands. */
                if (*consent & 1U << reason)
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "\"%s\" stands twice in the option \"consent\"; name it once.",
                                           word);
                *consent |= 1U << reason;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

typedef struct GrantOptions {
        IommuSet siblings;
        uint32_t consent;
        bool has_siblings, has_consent;
} GrantOptions;

static int enter_option(sd_bus_message *message, const char *name, const char *signature, bool *seen,
                        Failure *f) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(message, &type, &contents);
        if (r < 0)
                return r;
        if (type != 'v' || !streq(contents, signature))
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option \"%s\" must be of the D-Bus type %s.", name, signature);
        if (*seen)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option \"%s\" was given twice; give it once.", name);
        *seen = true;
        return sd_bus_message_enter_container(message, 'v', signature);
}

static int read_option(const Manager *m, sd_bus_message *message, GrantOptions *o, Failure *f) {
        const char *name;
        int r;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
                return r;

        if (streq(name, "siblings")) {
                if ((r = enter_option(message, name, "ao", &o->has_siblings, f)) < 0 ||
                    (r = read_devices(m, message, &o->siblings, f)) < 0)
                        return r;
        } else if (streq(name, "consent")) {
                if ((r = enter_option(message, name, "as", &o->has_consent, f)) < 0 ||
                    (r = read_consent(message, &o->consent, f)) < 0)
                        return r;
        } else
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "There is no option \"%.64s\"; there are \"siblings\" and \"consent\".",
                                   name);

        return sd_bus_message_exit_container(message);
}

static int read_options(const Manager *m, sd_bus_message *message, GrantOptions *o, Failure *f) {
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_option(m, message, o, f);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int refuse_none(const IommuSet *devices, Failure *f) {
        if (devices->n_members > 0)
                return 0;
        return failure_set(f, FAILURE_INVALID_ARGUMENT, "No device was named; name one to %u devices.",
                           DEVICES_PER_CALL_MAX);
}

static int on_grant(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        IommuSet devices = {0};
        GrantOptions o = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        if ((r = read_devices(m, message, &devices, &f)) < 0 || (r = read_options(m, message, &o, &f)) < 0 ||
            (r = refuse_none(&devices, &f)) < 0)
                return f.kind != FAILURE_NONE ? failure_to_bus(&f, error) : r;

        return call_grant(m, message, &devices, &o.siblings, o.consent);
}

static int on_revoke(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        IommuSet devices = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        if ((r = read_devices(m, message, &devices, &f)) < 0 || (r = refuse_none(&devices, &f)) < 0)
                return f.kind != FAILURE_NONE ? failure_to_bus(&f, error) : r;

        return call_revoke(m, message, &devices);
}

#define AT(member) offsetof(Manager, member)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable manager_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Grant", SD_BUS_ARGS("ao", devices, "a{sv}", options),
                                        SD_BUS_RESULT("ao", granted), on_grant, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Revoke", SD_BUS_ARGS("ao", devices), SD_BUS_NO_RESULT, on_revoke,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_SIGNAL_WITH_ARGS("DeviceStuck", SD_BUS_ARGS("o", device, "s", reason), 0),
                SD_BUS_PROPERTY("Version", "s", get_version, 0, CONST),
                SD_BUS_PROPERTY("NodeName", "s", NULL, AT(node_name), CONST),
                SD_BUS_PROPERTY("IommuEnabled", "b", NULL, AT(platform.iommu_enabled), CHANGES),
                SD_BUS_PROPERTY("IommuKind", "s", get_iommu_kind, 0, CHANGES),
                SD_BUS_PROPERTY("InterruptRemapping", "b", NULL, AT(platform.interrupt_remapping), CONST),
                SD_BUS_PROPERTY("VfioAvailable", "b", NULL, AT(platform.vfio), CHANGES),
                SD_BUS_PROPERTY("VfioCdevAvailable", "b", NULL, AT(platform.vfio_cdev), CHANGES),
                SD_BUS_PROPERTY("RestartNeeded", "b", get_restart_needed, 0, CHANGES),
                SD_BUS_PROPERTY("RestartReason", "s", get_restart_reason, 0, CHANGES),
                SD_BUS_PROPERTY("Disabled", "b", NULL, AT(platform.disabled), CONST),
                SD_BUS_VTABLE_END,
};

int manager_bus_attach(Manager *m) {
        int r;

        assert(m);

        r = sd_bus_add_object_manager(m->bus, NULL, BUS_PATH);
        return r < 0 ? r
                     : sd_bus_add_object_vtable(m->bus, NULL, BUS_PATH, BUS_INTERFACE_MANAGER,
                                                manager_vtable, m);
}

void manager_bus_changed(Manager *m, uint32_t mask) {
        char *names[MANAGER_PROPERTY_MAX + 1];
        size_t n = 0;
        int r;

        for (int i = 0; i < MANAGER_PROPERTY_MAX; i++)
                if (mask & 1U << i)
                        names[n++] = (char *)(uintptr_t)manager_property_to_string((ManagerProperty)i);
        names[n] = NULL;

        r = sd_bus_emit_properties_changed_strv(m->bus, BUS_PATH, BUS_INTERFACE_MANAGER, names);
        if (r < 0)
                log_warning("A change of the host could not be told to the bus: %s.", strerror(-r));
}

void manager_bus_device_stuck(Manager *m, Device *d) {
        int r;

        r = sd_bus_emit_signal(m->bus, BUS_PATH, BUS_INTERFACE_MANAGER, "DeviceStuck", "os", d->path,
                               strempty(d->reason));
        if (r < 0)
                log_warning("That %s is stuck could not be told to the bus: %s.", d->address, strerror(-r));
}
