/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "commands.h"
#include "fields.h"
#include "names.h"
#include "orders.h"
#include "properties.h"
#include "sriov.h"
#include "users.h"

#define PROPERTIES_NEW                                                                                      \
        (OPT(CLASS) | OPT(DESCRIPTION) | OPT(BINDING) | OPT(QUOTA) | OPT(DISABLE) | OPTIONS_SRIOV_GROUP)
#define PROPERTIES (PROPERTIES_NEW | OPT(NAME) | OPT(ENABLE))

static const Column columns[] = {
                {"NAME", COLUMN_SHRINKS, 8},
                {"CLASS", COLUMN_OPTIONAL, 0},
                {"BINDING", 0, 0},
                {"TOTAL", COLUMN_RIGHT, 0},
                {"FREE", COLUMN_RIGHT, 0},
                {"QUOTA", COLUMN_RIGHT | COLUMN_OPTIONAL, 0},
                {"CLAIMS", COLUMN_RIGHT | COLUMN_OPTIONAL, 0},
                {"ENABLED", 0, 0},
                {"APPROVAL", 0, 0},
                {},
};

/* Devices that no administrator has granted. */
static void add_approval(Table *t, const Object *group) {
        size_t n = json_array_size(object_list(group, "NeedsApproval"));
        char text[32];

        if (n == 0) {
                table_add(t, TINT_NONE, "-");
                return;
        }
        (void)snprintf(text, sizeof text, "%zu need%s it", n, n == 1 ? "s" : "");
        table_add(t, TINT_WARN, text);
}

static void add_row(Table *t, const Model *m _unused_, const Object *group) {
        uint64_t available = object_number(group, "Available"), quota = object_number(group, "Quota");
        bool enabled = object_is(group, "Enabled");

        table_add(t, TINT_BOLD, group->name);
        table_add(t, TINT_NONE, object_text(group, "Class"));
        table_add(t, TINT_NONE, object_text(group, "Binding"));
        table_add_number(t, TINT_NONE, object_number(group, "Total"));
        table_add_number(t, available > 0 ? TINT_GOOD : TINT_NONE, available);
        if (quota > 0)
                table_add_number(t, TINT_NONE, quota);
        else
                table_add(t, TINT_DIM, "-");
        table_add_number(t, TINT_NONE, json_array_size(object_list(group, "Claims")));
        table_add(t, enabled ? TINT_NONE : TINT_WARN, enabled ? "yes" : "no");
        add_approval(t, group);
}

ExitCode command_group_list(Cli *cli) {
        return orders_list(cli, KIND_GROUP, columns, add_row);
}

static void show_devices(const Model *m, const Object *group) {
        const json_t *ungranted = object_list(group, "NeedsApproval");
        json_t *item;
        size_t i;

        if (object_number(group, "Total") == 0)
                field_print("Devices", TINT_NONE, "none");
        else
                field_printf("Devices", TINT_NONE, "%" PRIu64 ", %" PRIu64 " free",
                             object_number(group, "Total"), object_number(group, "Available"));
        json_array_foreach(object_list(group, "Devices"), i, item) {
                const Object *device = model_at(m, strempty(json_string_value(item)));
                bool waits = device && list_has(ungranted, device->path);

                if (device)
                        field_printf("", waits ? TINT_WARN : TINT_NONE, "%s  %-7s  %s%s", device->name,
                                     object_text(device, "State"), object_text(device, "Name"),
                                     waits ? ", needs approval" : "");
        }
        if (json_array_size(ungranted) > 0)
                field_print("Approval", TINT_WARN,
                            "'passthroughctl make DEVICE --group GROUP' grants what needs it");
}

static void show_rules(const Model *m, const Object *group) {
        json_t *item;
        size_t i;

        json_array_foreach(object_list(group, "Rules"), i, item) {
                const Object *rule = model_at(m, strempty(json_string_value(item)));

                if (rule)
                        field_printf(i == 0 ? "Rules" : "", TINT_NONE, "%s: %s%s", object_text(rule, "Name"),
                                     object_text(rule, "Filter"),
                                     object_is(rule, "Enabled") ? "" : " (disabled)");
        }
}

static void show_claims(const Model *m, const Object *group) {
        json_t *item;
        char count[COUNT_SIZE], user[USER_TEXT_SIZE];
        size_t i;

        json_array_foreach(object_list(group, "Claims"), i, item) {
                const Object *claim = model_at(m, strempty(json_string_value(item)));

                if (claim)
                        field_printf(i == 0 ? "Claims" : "", TINT_NONE, "%s: %s, %s, of %s", claim->name,
                                     orders_count(object_number(claim, "Count"), "device", count),
                                     object_text(claim, "Status"), users_owner(claim, user));
        }
}

static void show_group(const Model *m, const Object *group) {
        bool enabled = object_is(group, "Enabled"), persistent;
        char count[COUNT_SIZE];

        persistent = streq(object_text(group, "Binding"), "persistent");
        (void)printf("%s%s%s\n", output_tint(stdout, TINT_BOLD), group->name,
                     output_tint(stdout, TINT_NONE));
        field_print_lines("Description", object_text(group, "Description"));
        field_print("Enabled", enabled ? TINT_NONE : TINT_WARN,
                    enabled ? "yes" : "no: it gives nothing, and nothing is bound for it");
        field_print("Class", TINT_NONE, object_text(group, "Class"));
        field_printf("Binding", TINT_NONE, "%s: %s", object_text(group, "Binding"),
                     persistent ? "its granted devices are on vfio-pci from boot"
                                : "its devices are at the host until a VM starts");
        if (object_number(group, "Quota") > 0)
                field_printf("Quota", TINT_NONE, "%s for the VMs of one user",
                             orders_count(object_number(group, "Quota"), "device", count));
        sriov_show_group(group);
        show_devices(m, group);
        show_rules(m, group);
        show_claims(m, group);
        field_print_time("Created", object_number(group, "Created"));
        field_print_time("Changed", object_number(group, "Modified"));
        field_print("Id", TINT_NONE, object_text(group, "Id"));
}

ExitCode command_group_show(Cli *cli) {
        return orders_show(cli, KIND_GROUP, show_group);
}

ExitCode command_group_add(Cli *cli) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        const char *name = cli->options.words[0];
        const Object *group = NULL;
        ExitCode code;
        int r;

        code = properties_check(&cli->options, PROPERTIES_NEW, false);
        if (code == EXIT_DONE)
                code = cli_connect(cli);
        if (code == EXIT_DONE)
                code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateGroup", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "ss", name,
                                  option_given(&cli->options, OPTION_TYPE)
                                                  ? option_value(&cli->options, OPTION_TYPE)
                                                  : "pci");
        if (r < 0)
                return client_complain_message(r);
        code = properties_append(call, &cli->options, PROPERTIES_NEW, NULL);
        if (code == EXIT_DONE)
                code = orders_create(cli, call, "Making the group", &group);
        if (code == EXIT_DONE && group)
                (void)printf("Group '%s' was made. It has no devices yet: 'passthroughctl make DEVICE... "
                             "--group GROUP' or 'passthroughctl rule add GROUP NAME FILTER' puts some into "
                             "it.\n",
                             group->name);
        return code;
}

/* What comes of it for the devices. */
static const char *consequence(const Object *group, uint64_t given) {
        if (given & OPT(VFS))
                return " Its physical functions get as many virtual ones, one after the other: "
                       "'passthroughctl vfs' shows them.";
        if (given & OPTIONS_SETTINGS)
                return " VMs get functions with these settings when they start.";
        if (!(given & (OPT(ENABLE) | OPT(DISABLE) | OPT(BINDING))))
                return "";
        if (!object_is(group, "Enabled"))
                return " No VM gets its devices; those that were bound for it return to the host.";
        if (streq(object_text(group, "Binding"), "persistent"))
                return " Its granted devices move to vfio-pci now, and at each boot.";
        return " Its devices are at the host until a VM starts.";
}

ExitCode command_group_edit(Cli *cli) {
        const Object *group = NULL;
        bool changed = false;
        ExitCode code;

        code = orders_update(cli, KIND_GROUP, PROPERTIES, &group, &changed);
        if (code != EXIT_DONE || !group)
                return code;
        if (changed)
                (void)printf("Group '%s' was changed.%s\n", group->name,
                             consequence(group, cli->options.given));
        else
                (void)printf("Nothing was changed: group '%s' is so already.\n", group->name);
        return EXIT_DONE;
}

ExitCode command_group_delete(Cli *cli) {
        const Object *group = NULL;
        char rules[COUNT_SIZE];
        size_t n_rules;
        ExitCode code;

        code = orders_delete(cli, KIND_GROUP, &group);
        if (code != EXIT_DONE)
                return code;

        n_rules = json_array_size(object_list(group, "Rules"));
        (void)printf("Group '%s' was deleted%s%s.%s\n", group->name, n_rules > 0 ? ", with " : "",
                     n_rules > 0 ? orders_count(n_rules, "rule", rules) : "",
                     object_number(group, "Total") > 0
                                     ? " Grants stay; devices that were bound for it return to the host."
                                     : "");
        return EXIT_DONE;
}
