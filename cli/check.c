/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"
#include "commands.h"
#include "names.h"
#include "sentence.h"

const Column check_columns[] = {
                {"DEVICE", 0, 0},
                {"CHECK", COLUMN_OPTIONAL, 0},
                {"RESULT", 0, 0},
                {"SENTENCE", COLUMN_WRAPS, 30},
                {},
};

bool check_refuses(const CheckRow *row) {
        return !row->passed && streq(row->severity, "error");
}

static Tint tint_of(const CheckRow *row) {
        if (row->passed)
                return TINT_GOOD;
        if (streq(row->severity, "info"))
                return TINT_NONE;
        return streq(row->severity, "error") ? TINT_BAD : TINT_WARN;
}

void check_add_row(Table *t, const CheckRow *row) {
        _cleanup_free_ char *sentence = sentence_translate(row->sentence);

        table_add(t, TINT_BOLD, row->device);
        table_add(t, TINT_NONE, row->check);
        table_add(t, tint_of(row), row->passed ? "ok" : row->severity);
        table_add(t, TINT_NONE, sentence ? sentence : row->sentence);
}

json_t *check_to_json(const CheckRow *row) {
        return json_pack("{s:s, s:s, s:s, s:b, s:s}", "Device", row->device, "Check", row->check, "Severity",
                         row->severity, "Passed", (int)row->passed, "Sentence", row->sentence);
}

static ExitCode ask(Cli *cli, const Object *device, json_t **ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;

        code = client_ask_object(&cli->client, device->path, BUS_INTERFACE_DEVICE, "Check", &reply);
        return code == EXIT_DONE ? client_read_json(reply, ret) : code;
}

/* Adds the answer for one device to the table or the list. EXIT_REFUSED: it could not be bound. */
static ExitCode take_checks(const Object *device, const json_t *checks, Table *t, json_t *list) {
        ExitCode code = EXIT_DONE;
        json_t *item;
        size_t i;

        json_array_foreach(checks, i, item) {
                const CheckRow row = {
                                .device = device->name,
                                .check = strempty(json_string_value(json_array_get(item, 0))),
                                .severity = strempty(json_string_value(json_array_get(item, 1))),
                                .passed = json_is_true(json_array_get(item, 2)),
                                .sentence = strempty(json_string_value(json_array_get(item, 3))),
                };

                check_add_row(t, &row);
                if (json_array_append_new(list, check_to_json(&row)) < 0)
                        return complain_oom();
                if (check_refuses(&row))
                        code = EXIT_REFUSED;
        }
        return code;
}

/* One that cannot be asked about must not hide what is known of the others. */
static ExitCode check_all(Cli *cli, const Object *const devices[], size_t n, Table *t, json_t *list) {
        ExitCode worst = EXIT_DONE;

        for (size_t i = 0; i < n; i++) {
                _cleanup_json_ json_t *checks = NULL;
                ExitCode code = ask(cli, devices[i], &checks);

                if (code == EXIT_DONE)
                        code = take_checks(devices[i], checks, t, list);
                if (code == EXIT_NO_SERVICE || code == EXIT_INTERRUPTED)
                        return code;
                if (code != EXIT_DONE && (worst == EXIT_DONE || worst == EXIT_REFUSED))
                        worst = code;
        }
        return worst;
}

static ExitCode print_answer(const Cli *cli, const Table *t, ExitCode code) {
        ExitCode printed = cli_print_table(cli, t, "");

        if (printed != EXIT_DONE || option_given(&cli->options, OPTION_NO_LEGEND))
                return printed;
        if (code == EXIT_DONE)
                (void)printf("\n%sNothing stands against it.%s\n", output_tint(stdout, TINT_GOOD),
                             output_tint(stdout, TINT_NONE));
        else if (code == EXIT_REFUSED)
                (void)printf("\n%sIt could not be done%s, for what is an error above.\n",
                             output_tint(stdout, TINT_BAD), output_tint(stdout, TINT_NONE));
        return EXIT_DONE;
}

ExitCode command_check(Cli *cli) {
        _cleanup_(table_freep) Table *t = table_new(check_columns);
        _cleanup_free_ const Object **devices = NULL;
        _cleanup_json_ json_t *list = json_array();
        ExitCode code, printed = EXIT_DONE;
        size_t n;

        if (!t || !list)
                return complain_oom();
        code = cli_find_devices(cli, &devices, &n);
        if (code != EXIT_DONE)
                return code;
        code = check_all(cli, devices, n, t, list);
        if (code == EXIT_NO_SERVICE || code == EXIT_INTERRUPTED)
                return code;
        if (cli_wants_json(cli))
                printed = cli_print_json(cli, STEAL(list));
        else
                printed = print_answer(cli, t, code);
        return printed != EXIT_DONE ? printed : code;
}
