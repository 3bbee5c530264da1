/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "check.h"
#include "commands.h"
#include "names.h"
#include "selection.h"

/* One set of the answer: number, devices, whether it could be done, checks, writes. */
typedef struct PlannedSet {
        uint64_t number;
        const json_t *devices, *checks, *writes;
        bool possible;
} PlannedSet;

static PlannedSet read_set(const json_t *set) {
        return (PlannedSet){
                        .number = (uint64_t)json_integer_value(json_array_get(set, 0)),
                        .devices = json_array_get(set, 1),
                        .possible = json_is_true(json_array_get(set, 2)),
                        .checks = json_array_get(set, 3),
                        .writes = json_array_get(set, 4),
        };
}

static const char *text_in(const json_t *list, size_t i) {
        return strempty(json_string_value(json_array_get(list, i)));
}

static CheckRow read_check(const Model *m, const json_t *check) {
        return (CheckRow){
                        .device = model_name(m, text_in(check, 0)),
                        .check = text_in(check, 1),
                        .severity = text_in(check, 2),
                        .passed = json_is_true(json_array_get(check, 3)),
                        .sentence = text_in(check, 4),
        };
}

static json_t *set_to_json(const Model *m, const PlannedSet *s) {
        _cleanup_json_ json_t *devices = json_array(), *checks = json_array(), *writes = json_array();
        json_t *item;
        size_t i;
        int r = 0;

        json_array_foreach(s->devices, i, item) r |= json_array_append_new(
                        devices, json_string(model_name(m, strempty(json_string_value(item)))));
        json_array_foreach(s->checks, i, item) {
                const CheckRow row = read_check(m, item);

                r |= json_array_append_new(checks, check_to_json(&row));
        }
        json_array_foreach(s->writes, i, item) r |= json_array_append_new(
                        writes, json_pack("{s:s, s:s, s:s}", "Device", model_name(m, text_in(item, 0)),
                                          "File", text_in(item, 1), "Value", text_in(item, 2)));
        if (r < 0)
                return NULL;
        return json_pack("{s:o, s:O, s:b, s:O, s:O}", "IommuSet",
                         s->number == UINT32_MAX ? json_null() : json_integer((json_int_t)s->number),
                         "Devices", devices, "Possible", (int)s->possible, "Checks", checks, "Writes",
                         writes);
}

static ExitCode print_json(const Cli *cli, const json_t *sets) {
        _cleanup_json_ json_t *list = json_array();
        json_t *item;
        size_t i;

        json_array_foreach(sets, i, item) {
                const PlannedSet s = read_set(item);

                if (json_array_append_new(list, set_to_json(&cli->model, &s)) < 0)
                        return complain_oom();
        }
        return cli_print_json(cli, STEAL(list));
}

static void print_title(const Model *m, const PlannedSet *s) {
        json_t *item;
        size_t i;

        (void)fputs(output_tint(stdout, TINT_BOLD), stdout);
        if (s->number == UINT32_MAX)
                (void)fputs("Without an IOMMU", stdout);
        else
                (void)printf("IOMMU set %" PRIu64, s->number);
        json_array_foreach(s->devices, i, item)(void)
                        printf("%s %s", i > 0 ? "," : ":", model_name(m, strempty(json_string_value(item))));
        (void)printf("%s\n", output_tint(stdout, TINT_NONE));
}

/* Not as a table: a value is to be seen as it is written, and whole. */
static void print_writes(const Model *m, const PlannedSet *s) {
        json_t *item;
        size_t i;

        if (!s->possible)
                (void)printf("\n%sIt could not be done.%s\n", output_tint(stdout, TINT_BAD),
                             output_tint(stdout, TINT_NONE));
        else if (json_array_size(s->writes) == 0)
                (void)printf("\nNothing is left to do.\n");
        else
                (void)printf("\n%sIt could be done%s, by these writes in this order:\n",
                             output_tint(stdout, TINT_GOOD), output_tint(stdout, TINT_NONE));
        json_array_foreach(s->writes, i, item)(void)
                        printf("%4zu. %s: \"%s\" to %s\n", i + 1, model_name(m, text_in(item, 0)),
                               text_in(item, 2), text_in(item, 1));
}

static ExitCode print_set(const Cli *cli, const PlannedSet *s) {
        _cleanup_(table_freep) Table *t = table_new(check_columns);
        ExitCode code;
        json_t *item;
        size_t i;

        if (!t)
                return complain_oom();
        json_array_foreach(s->checks, i, item) {
                const CheckRow row = read_check(&cli->model, item);

                check_add_row(t, &row);
        }
        print_title(&cli->model, s);
        code = cli_print_table(cli, t, "");
        if (code == EXIT_DONE)
                print_writes(&cli->model, s);
        return code;
}

static ExitCode print_sets(const Cli *cli, const json_t *sets) {
        ExitCode code = EXIT_DONE;
        json_t *item;
        size_t i;

        cli_open_pager(cli);
        json_array_foreach(sets, i, item) {
                const PlannedSet s = read_set(item);

                (void)fputs(i > 0 ? "\n" : "", stdout);
                code = print_set(cli, &s);
                if (code != EXIT_DONE)
                        break;
        }
        return code;
}

static ExitCode ask(Cli *cli, const Object *const devices[], size_t n, json_t **ret) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *reply = NULL;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "Plan", &call);
        if (code != EXIT_DONE)
                return code;
        if ((r = selection_append_paths(call, devices, n)) < 0 ||
            (r = sd_bus_message_open_container(call, 'a', "{sv}")) < 0 ||
            (r = selection_append_consent(call, &cli->options)) < 0 ||
            (r = sd_bus_message_close_container(call)) < 0)
                return client_complain_message(r);
        code = client_call(&cli->client, call, NULL, &reply);
        return code == EXIT_DONE ? client_read_json(reply, ret) : code;
}

ExitCode command_plan(Cli *cli) {
        _cleanup_free_ const Object **devices = NULL;
        _cleanup_json_ json_t *sets = NULL;
        bool possible = true;
        ExitCode code;
        json_t *item;
        size_t n, i;

        code = cli_find_devices(cli, &devices, &n);
        if (code == EXIT_DONE)
                code = ask(cli, devices, n, &sets);
        if (code == EXIT_DONE)
                code = cli_wants_json(cli) ? print_json(cli, sets) : print_sets(cli, sets);
        if (code != EXIT_DONE)
                return code;
        json_array_foreach(sets, i, item) possible = possible && read_set(item).possible;
        return possible ? EXIT_DONE : EXIT_REFUSED;
}
