/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "list.h"
#include "names.h"
#include "sentence.h"

static const Column columns[] = {
                {"ADDRESS", 0, 0},
                {"NAME", COLUMN_SHRINKS, 12},
                {"DRIVER", COLUMN_SPARE, 0},
                {"SET", COLUMN_RIGHT | COLUMN_SPARE, 0},
                {"STATE", 0, 0},
                {"GROUP", COLUMN_SHRINKS | COLUMN_OPTIONAL, 8},
                {"CLAIM", COLUMN_SHRINKS | COLUMN_OPTIONAL, 8},
                {"VERDICT", COLUMN_SHRINKS, 16},
                {},
};

static Tint state_tint(const char *state) {
        if (streq(state, "pool") || streq(state, "claimed"))
                return TINT_GOOD;
        if (streq(state, "moving"))
                return TINT_WARN;
        if (streq(state, "stuck") || streq(state, "quarantined"))
                return TINT_BAD;
        return TINT_NONE;
}

/* "Device 0000:01:00.0 is stuck" without what stands at the beginning of the row. */
static const char *without_device(const Object *device, const char *sentence) {
        size_t n = strlen("Device "), m = strlen(device->name);

        if (!startswith(sentence, "Device ") || strncmp(sentence + n, device->name, m) != 0 ||
            sentence[n + m] != ' ')
                return sentence;
        return sentence + n + m + 1;
}

/* The most pressing thing about it: what is wrong, what it waits for, or whether it can leave the host. */
static const char *verdict(const Object *device, const char *critical, Tint *ret_tint) {
        const char *state = object_text(device, "State");

        *ret_tint = TINT_BAD;
        if (streq(state, "stuck"))
                return without_device(device, object_text(device, "Reason"));
        if (streq(state, "quarantined"))
                return without_device(device, object_text(device, "Quarantine"));
        *ret_tint = TINT_WARN;
        if (!isempty(object_text(device, "Attention")))
                return without_device(device, object_text(device, "Attention"));
        *ret_tint = TINT_GOOD;
        if (object_is(device, "Granted"))
                return "granted";
        if (object_is(device, "Eligible"))
                return "eligible";
        if (json_array_size(object_list(device, "Critical")) > 0) {
                *ret_tint = TINT_BAD;
                return critical;
        }
        *ret_tint = TINT_DIM;
        return without_device(device, object_text(device, "Reason"));
}

static void add_row(Table *t, const Model *m, const Object *device, const char *branch) {
        uint64_t set = object_number(device, "IommuSet");
        const char *driver = object_text(device, "Driver"), *sentence;
        const char *group = strempty(json_string_value(json_array_get(object_list(device, "Groups"), 0)));
        _cleanup_free_ char *reasons = object_names(m, device, "Critical"), *critical = NULL, *text = NULL;
        char first[64];
        Tint tint;

        (void)snprintf(first, sizeof first, "%s%s", branch, device->name);
        table_add(t, TINT_BOLD, first);
        table_add(t, TINT_NONE, object_text(device, "Name"));
        table_add(t, TINT_NONE, isempty(driver) ? "-" : driver);
        if (set == UINT32_MAX)
                table_add(t, TINT_DIM, "-");
        else
                table_add_number(t, TINT_NONE, set);
        table_add(t, state_tint(object_text(device, "State")), object_text(device, "State"));
        table_add(t, TINT_NONE, isempty(group) ? "-" : model_name(m, group));
        table_add(t, TINT_NONE,
                  streq(object_text(device, "Claim"), "/") ? "-"
                                                           : model_name(m, object_text(device, "Claim")));
        if (asprintf(&critical, "needed by the host: %s", strempty(reasons)) < 0)
                critical = NULL;
        sentence = verdict(device, strempty(critical), &tint);
        text = sentence_translate(sentence);
        table_add(t, tint, text ? text : sentence);
}

ExitCode list_print_devices(const Cli *cli, const bool shown[]) {
        _cleanup_(table_freep) Table *t = table_new(columns);
        const Model *m = &cli->model;

        if (!t)
                return complain_oom();
        for (size_t i = 0; i < m->n[KIND_DEVICE]; i++)
                if (shown[i])
                        add_row(t, m, &m->objects[KIND_DEVICE][i], "");
        return cli_print_table(cli, t, "No device is like that.\n");
}

static int compare_sets(const void *a, const void *b, void *userdata) {
        const Object *devices = userdata;
        const size_t *x = a, *y = b;
        uint64_t s = object_number(&devices[*x], "IommuSet"), t = object_number(&devices[*y], "IommuSet");

        return s != t ? (s < t ? -1 : 1) : (*x < *y ? -1 : *x > *y);
}

static void add_title(Table *t, uint64_t set) {
        char title[48];

        (void)snprintf(title, sizeof title, set == UINT32_MAX ? "no IOMMU" : "set %" PRIu64, set);
        table_add(t, TINT_DIM, title);
        for (size_t i = 1; columns[i].title; i++)
                table_add(t, TINT_NONE, "");
}

static ExitCode print_tree(const Cli *cli, const bool shown[]) {
        _cleanup_(table_freep) Table *t = table_new(columns);
        const Model *m = &cli->model;
        const Object *devices = m->objects[KIND_DEVICE];
        _cleanup_free_ size_t *order = calloc(m->n[KIND_DEVICE] + 1, sizeof *order);
        size_t n = 0;

        if (!t || !order)
                return complain_oom();
        for (size_t i = 0; i < m->n[KIND_DEVICE]; i++)
                if (shown[i])
                        order[n++] = i;
        qsort_r(order, n, sizeof *order, compare_sets, (void *)devices);
        for (size_t i = 0; i < n; i++) {
                uint64_t set = object_number(&devices[order[i]], "IommuSet");
                bool last = i + 1 == n || object_number(&devices[order[i + 1]], "IommuSet") != set;

                if (i == 0 || object_number(&devices[order[i - 1]], "IommuSet") != set)
                        add_title(t, set);
                add_row(t, m, &devices[order[i]],
                        last ? "\342\224\224\342\224\200" : "\342\224\234\342\224\200");
        }
        return cli_print_table(cli, t, "No device is like that.\n");
}

static ExitCode print_json(const Cli *cli, const bool shown[]) {
        _cleanup_json_ json_t *list = json_array();
        const Model *m = &cli->model;

        for (size_t i = 0; i < m->n[KIND_DEVICE]; i++)
                if (shown[i] &&
                    json_array_append_new(list, model_json(m, m->objects[KIND_DEVICE][i].properties)) < 0)
                        return complain_oom();
        return cli_print_json(cli, STEAL(list));
}

/* One filter of the language that rules have, from the words and --class; NULL in *ret: all. */
static ExitCode make_filter(const Options *o, char **ret) {
        const char *class = option_value(o, OPTION_CLASS), *filter = o->n_words > 0 ? o->words[0] : NULL;
        int r = 0;

        if (class && filter)
                r = asprintf(ret, "device_type eq '%s' and (%s)", class, filter);
        else if (class)
                r = asprintf(ret, "device_type eq '%s'", class);
        else if (filter)
                r = asprintf(ret, "%s", filter);
        return r < 0 ? complain_oom() : EXIT_DONE;
}

static ExitCode keep_matches(Cli *cli, const char *filter, bool shown[]) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_json_ json_t *matches = NULL;
        const Model *m = &cli->model;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "PreviewRule", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "ss", filter, "");
        if (r < 0)
                return client_complain_message(r);
        code = client_call(&cli->client, call, NULL, &reply);
        if (code == EXIT_DONE)
                code = client_read_json(reply, &matches);
        if (code != EXIT_DONE)
                return code;
        for (size_t i = 0; i < m->n[KIND_DEVICE]; i++)
                shown[i] = shown[i] && list_has(matches, m->objects[KIND_DEVICE][i].path);
        return EXIT_DONE;
}

static ExitCode keep_group(const Model *m, const char *word, bool shown[]) {
        const Object *group = NULL;
        ExitCode code = find_object(m, KIND_GROUP, word, &group);

        if (code != EXIT_DONE)
                return code;
        for (size_t i = 0; i < m->n[KIND_DEVICE]; i++) {
                json_t *first = json_array_get(object_list(&m->objects[KIND_DEVICE][i], "Groups"), 0);

                shown[i] = shown[i] && streq(strempty(json_string_value(first)), group->path);
        }
        return EXIT_DONE;
}

/* Half a set cannot be moved. */
static void add_whole_sets(const Model *m, bool shown[]) {
        const Object *devices = m->objects[KIND_DEVICE];

        for (size_t i = 0; i < m->n[KIND_DEVICE]; i++)
                for (size_t j = 0; j < m->n[KIND_DEVICE] && !shown[i]; j++)
                        shown[i] = shown[j] &&
                                   list_has(object_list(&devices[j], "IommuPeers"), devices[i].path);
}

static ExitCode choose(Cli *cli, bool shown[]) {
        const Options *o = &cli->options;
        _cleanup_free_ char *filter = NULL;
        ExitCode code;

        for (size_t i = 0; i < cli->model.n[KIND_DEVICE]; i++)
                shown[i] = true;
        code = make_filter(o, &filter);
        if (code == EXIT_DONE && filter)
                code = keep_matches(cli, filter, shown);
        if (code == EXIT_DONE && option_given(o, OPTION_GROUP))
                code = keep_group(&cli->model, option_value(o, OPTION_GROUP), shown);
        if (code == EXIT_DONE && option_given(o, OPTION_IOMMU))
                add_whole_sets(&cli->model, shown);
        return code;
}

ExitCode command_list(Cli *cli) {
        _cleanup_free_ bool *shown = NULL;
        ExitCode code;

        code = cli_load(cli);
        if (code != EXIT_DONE)
                return code;
        shown = calloc(cli->model.n[KIND_DEVICE] + 1, sizeof *shown);
        if (!shown)
                return complain_oom();
        code = choose(cli, shown);
        if (code != EXIT_DONE)
                return code;
        if (cli_wants_json(cli))
                return print_json(cli, shown);
        return option_given(&cli->options, OPTION_IOMMU) ? print_tree(cli, shown)
                                                         : list_print_devices(cli, shown);
}
