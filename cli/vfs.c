/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "commands.h"
#include "helper-calls.h"
#include "names.h"
#include "orders.h"
#include "sriov.h"
#include "table.h"

static const Column columns[] = {
                {"ADDRESS", 0, 0},
                {"NAME", COLUMN_SHRINKS, 12},
                {"VFS", COLUMN_RIGHT, 0},
                {"DRIVER", COLUMN_OPTIONAL, 0},
                {"STATE", 0, 0},
                {"GROUP", COLUMN_SHRINKS | COLUMN_OPTIONAL, 8},
                {"CLAIM", COLUMN_SHRINKS | COLUMN_OPTIONAL, 8},
                {"SETTINGS", COLUMN_SHRINKS | COLUMN_OPTIONAL, 12},
                {},
};

/* What a list of the physical functions and, behind each, their virtual ones is made into. */
typedef struct Output {
        const Model *model;
        Table *table;
        json_t *list;
} Output;

static const char *dash(const char *text) {
        return isempty(text) ? "-" : text;
}

static ExitCode add(const Output *out, const Object *device, const char *branch) {
        const char *group = strempty(json_string_value(json_array_get(object_list(device, "Groups"), 0)));
        uint64_t total = object_number(device, "SriovTotalVfs");
        const json_t *of_vm = streq(object_text(device, "Claim"), "/")
                                              ? NULL /* the next VM has them set anew */
                                              : json_object_get(device->properties, "VfSettings");
        _cleanup_free_ char *settings = sriov_settings_text(of_vm, false);
        json_int_t ordered = json_integer_value(json_object_get(device->properties, "SriovOrderedVfs"));
        uint64_t n = object_number(device, "SriovNumVfs");
        bool differs = total > 0 && ordered >= 0 && (uint64_t)ordered != n;
        char first[64], count[64] = "-";

        (void)snprintf(first, sizeof first, "%s%s", branch, device->name);
        if (total > 0)
                (void)snprintf(count, sizeof count, "%" PRIu64 "/%" PRIu64, n, total);
        if (differs)
                (void)snprintf(count + strlen(count), sizeof count - strlen(count),
                               ", %" JSON_INTEGER_FORMAT " ordered", ordered);
        table_add(out->table, TINT_BOLD, first);
        table_add(out->table, TINT_NONE, object_text(device, "Name"));
        table_add(out->table, differs ? TINT_WARN : TINT_NONE, count);
        table_add(out->table, TINT_NONE, dash(object_text(device, "Driver")));
        table_add(out->table, TINT_NONE, object_text(device, "State"));
        table_add(out->table, TINT_NONE, dash(model_name(out->model, group)));
        table_add(out->table, TINT_NONE, dash(model_name(out->model, object_text(device, "Claim"))));
        table_add(out->table, TINT_NONE, dash(settings));
        if (json_array_append_new(out->list, model_json(out->model, device->properties)) < 0)
                return complain_oom();
        return EXIT_DONE;
}

static ExitCode add_tree(const Output *out, const Object *physical) {
        const json_t *functions = object_list(physical, "VirtualFunctions");
        ExitCode code = add(out, physical, "");
        json_t *path;
        size_t i;

        json_array_foreach(functions, i, path) {
                const Object *device = model_at(out->model, strempty(json_string_value(path)));
                bool last = i + 1 == json_array_size(functions);

                if (code == EXIT_DONE && device)
                        code = add(out, device,
                                   last ? "\342\224\224\342\224\200" : "\342\224\234\342\224\200");
        }
        return code;
}

static bool has_functions(const Object *device) {
        return object_number(device, "SriovTotalVfs") > 0 ||
               json_array_size(object_list(device, "VirtualFunctions")) > 0;
}

static ExitCode add_all(const Output *out) {
        ExitCode code = EXIT_DONE;

        for (size_t i = 0; i < out->model->n[KIND_DEVICE] && code == EXIT_DONE; i++)
                if (has_functions(&out->model->objects[KIND_DEVICE][i]))
                        code = add_tree(out, &out->model->objects[KIND_DEVICE][i]);
        return code;
}

/* Of a virtual function the tree that it is in. */
static ExitCode add_named(const Output *out, const char *word) {
        const Object *device = NULL, *physical;
        ExitCode code = find_object(out->model, KIND_DEVICE, word, &device);

        if (code != EXIT_DONE)
                return code;
        physical = model_at(out->model, object_text(device, "PhysicalFunction"));
        device = physical ? physical : device;
        if (!has_functions(device))
                return complain(EXIT_NOT_FOUND,
                                "Device %s has no virtual functions and cannot have any; 'passthroughctl "
                                "vfs' shows which devices can.",
                                device->name);
        return add_tree(out, device);
}

/* As root the helper is asked for the consent first: it does not take root's word from the service. */
static ExitCode grant_as_root(Cli *cli, const Object *device) {
        Failure f = {};
        ExitCode code = helper_grant_vfs(cli, &device, 1, &f);

        if (f.kind != FAILURE_NONE)
                (void)complain_failure(&f);
        return code;
}

/* After an interrupted call the service goes on, and needs it. */
static void ungrant_as_root(Cli *cli, const Object *device, ExitCode why) {
        Failure f = {};

        if (why == EXIT_INTERRUPTED || why == EXIT_NO_SERVICE)
                (void)complain(why,
                               "The consent for virtual functions of %s stays; 'passthroughctl return' "
                               "takes it back.",
                               device->name);
        else if (helper_revoke(cli, &device, 1, false, &f) != EXIT_DONE && f.kind != FAILURE_NONE)
                (void)complain_failure(&f);
}

static ExitCode call_set(Cli *cli, const Object *device, uint64_t n) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        char count[COUNT_SIZE], doing[128];
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, device->path, BUS_INTERFACE_DEVICE, "SetVfCount", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "u", (uint32_t)n);
        if (r < 0)
                return client_complain_message(r);
        (void)snprintf(doing, sizeof doing, "Giving %s %s", device->name,
                       orders_count(n, "virtual function", count));
        return client_call(&cli->client, call, doing, NULL);
}

static ExitCode set_count(Cli *cli) {
        const char *word = cli->options.words[1];
        const Object *device = NULL;
        char count[COUNT_SIZE];
        bool grants;
        ExitCode code;
        uint64_t n;

        if (!number_parse(word, &n) || n > VFS_MAX)
                return complain(EXIT_USAGE, "'%s' is no number of virtual functions; give 0 to %u.", word,
                                VFS_MAX);
        code = orders_find(cli, KIND_DEVICE, &device);
        if (code != EXIT_DONE)
                return code;

        grants = helper_is_ours() && n > 0 && !object_is(device, "VfsGranted");
        if (grants)
                code = grant_as_root(cli, device);
        if (code != EXIT_DONE)
                return code;
        code = call_set(cli, device, n);
        if (code == EXIT_DONE && !cli_wants_json(cli))
                (void)printf("%s has %s now, and after each reboot.\n", device->name,
                             n > 0 ? orders_count(n, "virtual function", count) : "no virtual functions");
        else if (code != EXIT_DONE && grants)
                ungrant_as_root(cli, device, code);
        return code;
}

ExitCode command_vfs(Cli *cli) {
        _cleanup_(table_freep) Table *t = table_new(columns);
        _cleanup_json_ json_t *list = json_array();
        const Output out = {&cli->model, t, list};
        ExitCode code;

        if (!t || !list)
                return complain_oom();
        if (cli->options.n_words > 1) {
                code = set_count(cli);
                if (code != EXIT_DONE || !cli_wants_json(cli))
                        return code;
                cli_forget(cli);
        }
        code = cli_load(cli);
        if (code == EXIT_DONE)
                code = cli->options.n_words > 0 ? add_named(&out, cli->options.words[0]) : add_all(&out);
        if (code != EXIT_DONE)
                return code;
        if (cli_wants_json(cli))
                return cli_print_json(cli, STEAL(list));
        return cli_print_table(cli, t, "No device of this host can have virtual functions.\n");
}
