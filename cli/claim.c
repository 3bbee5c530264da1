/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "commands.h"
#include "fields.h"
#include "names.h"
#include "orders.h"
#include "properties.h"
#include "sriov.h"
#include "users.h"
#include "vm.h"

/* --count is an argument of its own for a new one. */
#define PROPERTIES_NEW                                                                                      \
        (OPT(NAME) | OPT(DESCRIPTION) | OPT(OPTIONAL) | OPT(ORDER) | OPT(DISABLE) | OPTIONS_SRIOV_CLAIM)
#define PROPERTIES (PROPERTIES_NEW | OPT(COUNT) | OPT(ENABLE))
#define COUNT_MAX 16U /* the service's */

static const Column columns[] = {
                {"VM", COLUMN_SHRINKS, 8},
                {"CLAIM", COLUMN_SHRINKS, 8},
                {"GROUP", COLUMN_SHRINKS | COLUMN_OPTIONAL, 8},
                {"COUNT", COLUMN_RIGHT, 0},
                {"OWNER", COLUMN_SHRINKS, 8},
                {"STATUS", 0, 0},
                {"DEVICES", COLUMN_SHRINKS | COLUMN_OPTIONAL, 12},
                {},
};

static void add_row(Table *t, const Model *m, const Object *claim) {
        const char *status = object_text(claim, "Status");
        _cleanup_free_ char *devices = object_names(m, claim, "Devices");
        char user[USER_TEXT_SIZE];

        table_add(t, TINT_BOLD, object_text(claim, "Vm"));
        table_add(t, TINT_NONE, object_text(claim, "Name"));
        table_add(t, TINT_NONE, model_name(m, object_text(claim, "Group")));
        table_add_number(t, TINT_NONE, object_number(claim, "Count"));
        table_add(t, TINT_NONE, users_owner(claim, user));
        if (streq(status, "idle") && !object_is(claim, "Enabled"))
                table_add(t, TINT_WARN, "disabled");
        else
                table_add(t, vm_status_tint(status), status);
        table_add(t, TINT_NONE, isempty(devices) ? "-" : devices);
}

ExitCode command_claim_list(Cli *cli) {
        return orders_list(cli, KIND_CLAIM, columns, add_row);
}

static void show_bytes(const char *title, uint64_t bytes) {
        static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
        double size = (double)bytes;
        size_t i = 0;

        for (; size >= 1024 && i + 1 < ELEMENTSOF(units); i++)
                size /= 1024;
        if (bytes > 0)
                field_printf(title, TINT_NONE, i > 0 ? "%.1f %s" : "%.0f %s", size, units[i]);
}

static void show_claim(const Model *m, const Object *claim) {
        bool enabled = object_is(claim, "Enabled"), optional = object_is(claim, "Optional");
        const char *status = object_text(claim, "Status");
        char user[USER_TEXT_SIZE], count[COUNT_SIZE];

        (void)printf("%s%s%s\n", output_tint(stdout, TINT_BOLD), claim->name,
                     output_tint(stdout, TINT_NONE));
        field_print_lines("Description", object_text(claim, "Description"));
        field_printf("Wants", TINT_NONE, "%s of group '%s'%s",
                     orders_count(object_number(claim, "Count"), "device", count),
                     model_name(m, object_text(claim, "Group")),
                     optional ? "; the VM may start without" : "");
        field_print("Owner", TINT_NONE, users_owner(claim, user));
        field_print("Enabled", enabled ? TINT_NONE : TINT_WARN,
                    enabled ? "yes" : "no: it is not served when the VM starts");
        field_printf("Order", TINT_NONE, "%" PRIu64, object_number(claim, "Order"));
        field_print("Status", vm_status_tint(status), status);
        field_print_sentence("", vm_status_tint(status), object_text(claim, "StatusInfo"));
        field_print_list(m, "Devices", object_list(claim, "Devices"));
        sriov_show_claim(claim);
        if (object_is(claim, "RestartNeeded"))
                field_print("Restart", TINT_WARN, "the VM's next start gives something else");
        show_bytes("Memory lock", object_number(claim, "MemoryLock"));
        field_print_time("Created", object_number(claim, "Created"));
        field_print_time("Changed", object_number(claim, "Modified"));
        field_print("Id", TINT_NONE, object_text(claim, "Id"));
}

ExitCode command_claim_show(Cli *cli) {
        return orders_show(cli, KIND_CLAIM, show_claim);
}

/* What comes of a claim that is new or was changed. */
static void tell_next(const Model *m, const Object *claim) {
        const Object *group = model_at(m, object_text(claim, "Group"));
        uint64_t count = object_number(claim, "Count");
        char text[COUNT_SIZE];

        if (!object_is(claim, "Enabled"))
                (void)printf(" It is disabled: it is not served when the VM starts.\n");
        else if (object_is(claim, "RestartNeeded"))
                (void)printf(" The VM is running, and gets what it asks for at its next start.\n");
        else if (group && object_number(group, "Available") < count)
                (void)printf(" It asks for %s, and its group has %" PRIu64
                             " free now: 'passthroughctl group show GROUP' tells more.\n",
                             orders_count(count, "device", text), object_number(group, "Available"));
        else
                (void)printf(" The VM gets %s when it starts: 'passthroughctl vm start VM -- COMMAND'.\n",
                             orders_count(count, "device", text));
}

static ExitCode create(Cli *cli, const Object *group, uint64_t count) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        const Object *claim = NULL;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateClaim", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "sou", cli->options.words[0], group->path, (uint32_t)count);
        if (r < 0)
                return client_complain_message(r);
        code = properties_append(call, &cli->options, PROPERTIES_NEW, NULL);
        if (code == EXIT_DONE)
                code = orders_create(cli, call, "Making the claim", &claim);
        if (code == EXIT_DONE && claim) {
                (void)printf("Claim '%s' was made.", claim->name);
                tell_next(&cli->model, claim);
        }
        return code;
}

ExitCode command_claim_add(Cli *cli) {
        const Object *group = NULL;
        uint64_t count = 1;
        ExitCode code;

        code = properties_check(&cli->options, PROPERTIES_NEW, false);
        if (code == EXIT_DONE)
                code = option_number(&cli->options, OPTION_COUNT, 1, COUNT_MAX, &count);
        if (code == EXIT_DONE)
                code = cli_load(cli);
        if (code == EXIT_DONE)
                code = find_object(&cli->model, KIND_GROUP, cli->options.words[1], &group);
        return code == EXIT_DONE ? create(cli, group, count) : code;
}

ExitCode command_claim_edit(Cli *cli) {
        const Object *claim = NULL;
        bool changed = false;
        ExitCode code;

        code = orders_update(cli, KIND_CLAIM, PROPERTIES, &claim, &changed);
        if (code != EXIT_DONE || !claim)
                return code;
        if (changed) {
                (void)printf("Claim '%s' was changed.", claim->name);
                tell_next(&cli->model, claim);
        } else
                (void)printf("Nothing was changed: claim '%s' is so already.\n", claim->name);
        return EXIT_DONE;
}

ExitCode command_claim_delete(Cli *cli) {
        const Object *claim = NULL;
        ExitCode code;

        code = orders_delete(cli, KIND_CLAIM, &claim);
        if (code != EXIT_DONE)
                return code;

        if (json_array_size(object_list(claim, "Devices")) > 0)
                (void)printf("Claim '%s' was deleted, and goes when the devices of its VM are back: "
                             "'passthroughctl vm stop VM', or the VM's end.\n",
                             claim->name);
        else
                (void)printf("Claim '%s' was deleted.\n", claim->name);
        return EXIT_DONE;
}
