/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "options.h"
#include "run-bus.h"
#include "run-start.h"
#include "wire.h"

static int read_start(const Manager *m, sd_bus_message *message, bool of_vm, StartOptions *ret, Failure *f) {
        static const Option table[] = {
                        {"track", OPTION_TEXT, offsetof(StartOptions, track), OPTION_NO_FLAG},
                        {"machine", OPTION_TEXT, offsetof(StartOptions, machine), OPTION_NO_FLAG},
                        {"access", OPTION_TEXT, offsetof(StartOptions, access), OPTION_NO_FLAG},
                        {"wait", OPTION_U32, offsetof(StartOptions, wait), OPTION_NO_FLAG},
                        {"memory", OPTION_U64, offsetof(StartOptions, memory), OPTION_NO_FLAG},
                        {"viommu", OPTION_BOOL, offsetof(StartOptions, viommu), OPTION_NO_FLAG},
                        {"numa-node", OPTION_I32, offsetof(StartOptions, numa_node),
                         offsetof(StartOptions, has_numa_node)},
                        {"owner", OPTION_U32, offsetof(StartOptions, owner),
                         offsetof(StartOptions, has_owner)}, /* last: a claim knows its owner */
        };

        return options_read(m, message, table, ELEMENTSOF(table) - !of_vm, ret, f);
}

int run_bus_start_vm(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = userdata;
        StartOptions o = {0};
        Failure f = {0};
        const char *vm;
        int r;

        if ((r = sd_bus_message_read_basic(message, 's', &vm)) < 0 ||
            (r = read_start(m, message, true, &o, &f)) < 0)
                return options_fail(r, &f, error);
        return run_call_start(m, message, vm, NULL, &o, error);
}

int run_bus_start(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = wire_manager(message);
        StartOptions o = {0};
        Failure f = {0};
        int r;

        r = read_start(m, message, false, &o, &f);
        return r < 0 ? options_fail(r, &f, error) : run_call_start(m, message, NULL, userdata, &o, error);
}

int run_bus_stop_vm(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"owner", OPTION_U32, offsetof(StartOptions, owner),
                         offsetof(StartOptions, has_owner)},
        };
        Manager *m = userdata;
        StartOptions o = {0};
        Failure f = {0};
        const char *vm;
        int r;

        if ((r = sd_bus_message_read_basic(message, 's', &vm)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &o, &f)) < 0)
                return options_fail(r, &f, error);
        return run_call_stop(m, message, vm, NULL, o.has_owner ? &o.owner : NULL);
}

int run_bus_stop(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return run_call_stop(wire_manager(message), message, NULL, userdata, NULL);
}
