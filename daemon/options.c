/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "grant-ids.h"
#include "options.h"
#include "vf-options.h"

/* The next Device object of an array of paths. Duplicates count too: they cost the same. */
static int take_device(const Manager *m, const char *path, DeviceList *list, Failure *f) {
        const Device *d;

        if (list->n == DEVICES_PER_CALL_MAX)
                return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                   "More than %u devices were named; name fewer in one call.",
                                   DEVICES_PER_CALL_MAX);

        d = device_table_find_path(&m->devices, path);
        if (!d)
                return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                   "The object %.256s is no device of this host; list the devices and take "
                                   "a path from there.",
                                   path);
        list->devices[list->n++] = *device_address(d);
        return 0;
}

int options_read_list(const Manager *m, sd_bus_message *message, bool some, DeviceList *ret, Failure *f) {
        const char *path;
        int r;

        assert(m);
        assert(ret);

        r = sd_bus_message_enter_container(message, 'a', "o");
        while (r >= 0 && (r = sd_bus_message_read_basic(message, 'o', &path)) > 0)
                r = take_device(m, path, ret, f);
        if (r >= 0 && some && ret->n == 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "No device was named; name one to %u devices.", DEVICES_PER_CALL_MAX);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int options_read_devices(const Manager *m, sd_bus_message *message, bool some, IommuSet *ret, Failure *f) {
        DeviceList list = {.n = 0};
        int r;

        assert(ret);

        r = options_read_list(m, message, some, &list, f);
        for (size_t i = 0; i < list.n && r >= 0; i++)
                r = iommu_set_add(ret, &list.devices[i]);
        return r;
}

int options_read_ids(sd_bus_message *message, IdList *ret, Failure *f) {
        IdSelector parsed;
        const char *ids;
        int r;

        assert(ret);

        r = sd_bus_message_enter_container(message, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(message, 's', &ids)) > 0) {
                if (ret->n == ELEMENTSOF(ret->ids))
                        return failure_set(f, FAILURE_LIMITS_EXCEEDED,
                                           "More than %u ids were named; name fewer in one call.",
                                           SELECTORS_PER_CALL_MAX);
                if (id_selector_parse(ids, &parsed) < 0)
                        return failure_set(
                                        f, FAILURE_INVALID_ARGUMENT,
                                        "\"%.64s\" is no selector of ids; write \"10de:1eb8\" or, with the "
                                        "subsystem, \"10de:1eb8:10de:12a2\", in lower-case hexadecimal.",
                                        ids);
                ret->ids[ret->n++] = ids;
        }
        if (r >= 0 && ret->n == 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT, "No ids were named; name one to %u.",
                                   SELECTORS_PER_CALL_MAX);
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

static const char *signature_of(OptionKind kind) {
        static const char *const signatures[] = {
                        [OPTION_TEXT] = "s",     [OPTION_BOOL] = "b",      [OPTION_U32] = "u",
                        [OPTION_I32] = "i",      [OPTION_U64] = "t",       [OPTION_DEVICES] = "ao",
                        [OPTION_CONSENT] = "as", [OPTION_SRIOV] = "a{sv}", [OPTION_VF] = "a{sv}",
                        [OPTION_MACS] = "as",
        };

        return signatures[kind];
}

static int read_value(const Manager *m, sd_bus_message *message, const Option *o, void *value, Failure *f) {
        switch (o->kind) {
        case OPTION_DEVICES:
                return options_read_devices(m, message, false, value, f);
        case OPTION_CONSENT:
                return read_consent(message, value, f);
        case OPTION_SRIOV:
                return vf_options_read_group(message, o->name, value, f);
        case OPTION_VF:
                return vf_options_read_claim(message, o->name, value, f);
        case OPTION_MACS:
                return vf_options_read_macs(message, o->name, value, f);
        case OPTION_TEXT:
        case OPTION_BOOL:
        case OPTION_U32:
        case OPTION_I32:
        case OPTION_U64:
                return sd_bus_message_read_basic(message, signature_of(o->kind)[0], value);
        }
        return -EINVAL;
}

static int fail_unknown(const char *name, const Option *table, size_t n, Failure *f) {
        char known[256] = "";
        size_t used = 0;

        for (size_t i = 0; i < n && used < sizeof known; i++)
                used += (size_t)snprintf(known + used, sizeof known - used, "%s\"%s\"",
                                         i == 0       ? ""
                                         : i + 1 == n ? " and "
                                                      : ", ",
                                         table[i].name);
        return failure_set(f, FAILURE_INVALID_ARGUMENT, "There is no option \"%.64s\"; there %s %s.", name,
                           n == 1 ? "is" : "are", known);
}

static int read_option(const Manager *m, sd_bus_message *message, const Option *table, size_t n,
                       uint32_t *seen, void *target, Failure *f) {
        const char *name, *contents;
        size_t i;
        char type;
        int r;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
                return r;
        for (i = 0; i < n && !streq(table[i].name, name); i++)
                ;
        if (i == n)
                return fail_unknown(name, table, n, f);
        if (*seen & 1U << i)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option \"%s\" was given twice; give it once.", name);
        *seen |= 1U << i;

        if ((r = sd_bus_message_peek_type(message, &type, &contents)) < 0)
                return r;
        if (type != 'v' || !streq(contents, signature_of(table[i].kind)))
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option \"%s\" must be of the D-Bus type %s.", name,
                                   signature_of(table[i].kind));

        if ((r = sd_bus_message_enter_container(message, 'v', contents)) < 0 ||
            (r = read_value(m, message, &table[i], (char *)target + table[i].value, f)) < 0)
                return r;
        if (table[i].has != OPTION_NO_FLAG)
                *(bool *)((char *)target + table[i].has) = true;
        return sd_bus_message_exit_container(message);
}

int options_read(const Manager *m, sd_bus_message *message, const Option *table, size_t n, void *target,
                 Failure *f) {
        uint32_t seen = 0;
        int r;

        assert(table);
        assert(n <= 32);
        assert(target);

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_option(m, message, table, n, &seen, target, f);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

int options_fail(int r, const Failure *f, sd_bus_error *error) {
        return f->kind != FAILURE_NONE ? failure_to_bus(f, error) : r;
}
