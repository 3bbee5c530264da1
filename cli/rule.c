/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "fields.h"
#include "list.h"
#include "names.h"
#include "orders.h"
#include "properties.h"

#define PROPERTIES_NEW (OPT(NODE) | OPT(DISABLE))
#define PROPERTIES (PROPERTIES_NEW | OPT(NAME) | OPT(FILTER) | OPT(ENABLE))

static const Column columns[] = {
                {"GROUP", COLUMN_SHRINKS, 8}, {"RULE", COLUMN_SHRINKS, 8}, {"FILTER", COLUMN_SHRINKS, 12},
                {"MATCHES", COLUMN_RIGHT, 0}, {"ENABLED", 0, 0},           {},
};

static void add_row(Table *t, const Model *m, const Object *rule) {
        size_t matches = json_array_size(object_list(rule, "Devices"));
        bool enabled = object_is(rule, "Enabled");

        table_add(t, TINT_NONE, model_name(m, object_text(rule, "Group")));
        table_add(t, TINT_BOLD, object_text(rule, "Name"));
        table_add(t, TINT_NONE, object_text(rule, "Filter"));
        table_add_number(t, matches > 0 ? TINT_GOOD : TINT_NONE, matches);
        table_add(t, enabled ? TINT_NONE : TINT_WARN, enabled ? "yes" : "no");
}

ExitCode command_rule_list(Cli *cli) {
        return orders_list(cli, KIND_RULE, columns, add_row);
}

/* "0000:01:00.0  NICs/all": pairs of a device and a rule that matches it, too. */
static void show_overlaps(const Model *m, const char *title, const json_t *overlaps) {
        json_t *pair;
        size_t i;

        json_array_foreach(overlaps, i, pair)
                        field_printf(i == 0 ? title : "", TINT_WARN, "%s  %s",
                                     model_name(m, strempty(json_string_value(json_array_get(pair, 0)))),
                                     model_name(m, strempty(json_string_value(json_array_get(pair, 1)))));
}

static void show_rule(const Model *m, const Object *rule) {
        const char *node = object_text(rule, "Node");
        bool enabled = object_is(rule, "Enabled");

        (void)printf("%s%s%s\n", output_tint(stdout, TINT_BOLD), rule->name, output_tint(stdout, TINT_NONE));
        field_print("Group", TINT_NONE, model_name(m, object_text(rule, "Group")));
        field_print("Enabled", enabled ? TINT_NONE : TINT_WARN, enabled ? "yes" : "no: it matches nothing");
        field_print("Filter", TINT_NONE, object_text(rule, "Filter"));
        field_print("Node", TINT_NONE, isempty(node) ? "all" : node);
        if (object_is(rule, "AutoCreated"))
                field_print("Made by", TINT_NONE, "'passthroughctl make', for one device");
        if (json_array_size(object_list(rule, "Devices")) > 0)
                field_print_list(m, "Matches", object_list(rule, "Devices"));
        else
                field_print("Matches", TINT_DIM, "nothing");
        show_overlaps(m, "Overlaps with", object_list(rule, "Overlaps"));
        field_print_time("Created", object_number(rule, "Created"));
        field_print_time("Changed", object_number(rule, "Modified"));
        field_print("Id", TINT_NONE, object_text(rule, "Id"));
}

ExitCode command_rule_show(Cli *cli) {
        return orders_show(cli, KIND_RULE, show_rule);
}

/* How many devices of the rule need approval, and how many an older rule has in another group. */
static void count_devices(const Model *m, const Object *rule, size_t *ret_ungranted, size_t *ret_elsewhere) {
        json_t *item;
        size_t i;

        *ret_ungranted = *ret_elsewhere = 0;
        json_array_foreach(object_list(rule, "Devices"), i, item) {
                const Object *device = model_at(m, strempty(json_string_value(item)));
                const char *group =
                                device ? json_string_value(json_array_get(object_list(device, "Groups"), 0))
                                       : NULL;

                if (!device)
                        continue;
                *ret_elsewhere += !streq(strempty(group), object_text(rule, "Group"));
                *ret_ungranted += !object_is(device, "Granted");
        }
}

/* "; 2 of them need approval" */
static void tell_part(size_t part, size_t whole, const char *one, const char *many, const char *what) {
        if (part == 0)
                return;
        if (whole == 1)
                (void)printf("; it %s%s", one, what);
        else
                (void)printf("; %zu of them %s%s", part, part == 1 ? one : many, what);
}

/* " It matches 2 devices; ...": what comes of a rule that is new or was changed. */
static void tell_matches(const Model *m, const Object *rule) {
        size_t n = json_array_size(object_list(rule, "Devices")), ungranted, elsewhere;
        const Object *group = model_at(m, object_text(rule, "Group"));
        char count[COUNT_SIZE];

        if (!object_is(rule, "Enabled")) {
                (void)printf(" It is disabled and matches nothing.\n");
                return;
        }
        if (n == 0) {
                (void)printf(" It matches no device of this host now.\n");
                return;
        }
        count_devices(m, rule, &ungranted, &elsewhere);
        (void)printf(" It matches %s", orders_count(n, "device", count));
        tell_part(elsewhere, n, "belongs", "belong", " to another group, by an older rule");
        tell_part(ungranted, n, "needs", "need", " approval: 'passthroughctl make DEVICE... --group GROUP'");
        if (ungranted < n && elsewhere < n && group && object_is(group, "Enabled") &&
            streq(object_text(group, "Binding"), "persistent"))
                (void)printf("; what is granted moves to vfio-pci now, since the group binds persistently");
        (void)printf(".\n");
}

static ExitCode create(Cli *cli, const Object *group) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        char *const *words = cli->options.words;
        const Object *rule = NULL;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "CreateRule", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "oss", group->path, words[1], words[2]);
        if (r < 0)
                return client_complain_message(r);
        code = properties_append(call, &cli->options, PROPERTIES_NEW, NULL);
        if (code == EXIT_DONE)
                code = orders_create(cli, call, "Making the rule", &rule);
        if (code == EXIT_DONE && rule) {
                (void)printf("Rule '%s' was made.", rule->name);
                tell_matches(&cli->model, rule);
        }
        return code;
}

ExitCode command_rule_add(Cli *cli) {
        const Object *group = NULL;
        ExitCode code;

        code = properties_check(&cli->options, PROPERTIES_NEW, false);
        if (code == EXIT_DONE)
                code = orders_find(cli, KIND_GROUP, &group);
        return code == EXIT_DONE ? create(cli, group) : code;
}

ExitCode command_rule_edit(Cli *cli) {
        const Object *rule = NULL;
        bool changed = false;
        ExitCode code;

        code = orders_update(cli, KIND_RULE, PROPERTIES, &rule, &changed);
        if (code != EXIT_DONE || !rule)
                return code;
        if (changed) {
                (void)printf("Rule '%s' was changed.", rule->name);
                tell_matches(&cli->model, rule);
        } else
                (void)printf("Nothing was changed: rule '%s' is so already.\n", rule->name);
        return EXIT_DONE;
}

ExitCode command_rule_delete(Cli *cli) {
        const Object *rule = NULL;
        ExitCode code;

        code = orders_delete(cli, KIND_RULE, &rule);
        if (code == EXIT_DONE)
                (void)printf("Rule '%s' was deleted.%s\n", rule->name,
                             json_array_size(object_list(rule, "Devices")) > 0
                                             ? " Devices that no other rule of the group matches have left "
                                               "it; grants stay."
                                             : "");
        return code;
}

/* --- preview --- */

static json_t *preview_json(const Model *m, json_t *devices, json_t *overlaps) {
        _cleanup_json_ json_t *answer = json_pack("{s:O, s:O}", "Devices", devices, "Overlaps", overlaps);

        return answer ? model_json(m, answer) : NULL;
}

static ExitCode print_preview(const Cli *cli, json_t *devices, const json_t *overlaps) {
        const Model *m = &cli->model;
        size_t n = m->n[KIND_DEVICE], i;
        _cleanup_free_ bool *shown = calloc(n + 1, sizeof *shown);
        ExitCode code;
        json_t *pair;

        if (!shown)
                return complain_oom();
        if (json_array_size(devices) == 0) {
                (void)printf("It would match no device of this host now.\n");
                return EXIT_DONE;
        }
        for (i = 0; i < n; i++)
                shown[i] = list_has(devices, m->objects[KIND_DEVICE][i].path);
        code = list_print_devices(cli, shown);
        if (code != EXIT_DONE || json_array_size(overlaps) == 0)
                return code;
        (void)printf("\nMatched already by these rules, which are older and go first:\n");
        json_array_foreach(overlaps, i, pair)(void) printf(
                        "%s  %s\n", model_name(m, strempty(json_string_value(json_array_get(pair, 0)))),
                        model_name(m, strempty(json_string_value(json_array_get(pair, 1)))));
        return EXIT_DONE;
}

static ExitCode call_preview(Cli *cli, json_t **ret_devices, json_t **ret_overlaps) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *reply = NULL;
        const Options *o = &cli->options;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "PreviewRule", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "ss", o->words[0], strempty(option_value(o, OPTION_NODE)));
        if (r < 0)
                return client_complain_message(r);
        code = client_call(&cli->client, call, NULL, &reply);
        if (code != EXIT_DONE)
                return code;
        code = client_read_json(reply, ret_devices);
        return code == EXIT_DONE ? client_read_json(reply, ret_overlaps) : code;
}

ExitCode command_rule_preview(Cli *cli) {
        _cleanup_json_ json_t *devices = NULL, *overlaps = NULL;
        ExitCode code;

        code = cli_load(cli);
        if (code == EXIT_DONE)
                code = call_preview(cli, &devices, &overlaps);
        if (code != EXIT_DONE)
                return code;
        return cli_wants_json(cli) ? cli_print_json(cli, preview_json(&cli->model, devices, overlaps))
                                   : print_preview(cli, devices, overlaps);
}

/* --- explain --- */

static ExitCode call_explain(Cli *cli, const Object *rule, const Object *device, sd_bus_message **ret) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, rule->path, BUS_INTERFACE_RULE, "Explain", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "o", device->path);
        return r < 0 ? client_complain_message(r) : client_call(&cli->client, call, NULL, ret);
}

static ExitCode explain(Cli *cli, const Object *rule, const Object *device) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;
        const char *why;
        int matches, r;

        code = call_explain(cli, rule, device, &reply);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_read(reply, "bs", &matches, &why);
        if (r < 0)
                return client_complain_answer(r);
        if (cli_wants_json(cli))
                code = cli_print_json(cli, json_pack("{s:s, s:s, s:b, s:s}", "Rule", rule->name, "Device",
                                                     device->name, "Matches", matches, "Why", why));
        else {
                (void)printf("Rule '%s' %s%s%s device %s:\n  ", rule->name,
                             output_tint(stdout, matches ? TINT_GOOD : TINT_WARN),
                             matches ? "matches" : "does not match", output_tint(stdout, TINT_NONE),
                             device->name);
                (void)output_text(stdout, why, SIZE_MAX);
                (void)fputc('\n', stdout);
        }
        return code != EXIT_DONE || matches ? code : EXIT_REFUSED;
}

ExitCode command_rule_explain(Cli *cli) {
        const Object *rule = NULL, *device = NULL;
        ExitCode code;

        code = orders_find(cli, KIND_RULE, &rule);
        if (code == EXIT_DONE)
                code = find_object(&cli->model, KIND_DEVICE, cli->options.words[1], &device);
        return code == EXIT_DONE ? explain(cli, rule, device) : code;
}
