/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "findings.h"
#include "orders.h"
#include "sentence.h"

#define TEXT_COLUMN 9
#define COMMAND_COLUMN 13

static Tint severity_tint(const char *severity) {
        if (streq(severity, "ok"))
                return TINT_GOOD;
        if (streq(severity, "warning"))
                return TINT_WARN;
        return streq(severity, "error") ? TINT_BAD : TINT_DIM;
}

static const char *text(const json_t *finding, const char *key) {
        return strempty(json_string_value(json_object_get(finding, key)));
}

/* Commands and settings are to be copied: no line of theirs is broken. */
static void print_command(const char *command) {
        (void)printf("%*s%s", COMMAND_COLUMN, "", output_tint(stdout, TINT_BOLD));
        (void)output_text(stdout, command, SIZE_MAX);
        (void)printf("%s\n", output_tint(stdout, TINT_NONE));
}

static void print_finding(const json_t *finding) {
        const char *severity = text(finding, "Severity"), *code = text(finding, "Code");
        json_t *item;
        size_t i;

        (void)printf("%s%-8s%s %s%s%s: ", output_tint(stdout, severity_tint(severity)), severity,
                     output_tint(stdout, TINT_NONE), output_tint(stdout, TINT_BOLD), code,
                     output_tint(stdout, TINT_NONE));
        sentence_print(text(finding, "Sentence"), TINT_NONE, TEXT_COLUMN + strlen(code) + 2, TEXT_COLUMN);
        if (!isempty(text(finding, "Remedy"))) {
                (void)printf("%*s", TEXT_COLUMN, "");
                sentence_print(text(finding, "Remedy"), TINT_NONE, TEXT_COLUMN, TEXT_COLUMN);
        }
        json_array_foreach(json_object_get(finding, "Commands"), i, item)
                        print_command(strempty(json_string_value(item)));
}

static size_t count(const json_t *findings, const char *severity) {
        size_t i, n = 0;
        json_t *finding;

        json_array_foreach(findings, i, finding) n += streq(text(finding, "Severity"), severity);
        return n;
}

static ExitCode examine(Cli *cli, json_t *findings) {
        bool reachable = false;
        ExitCode code = cli_connect(cli);

        if (code == EXIT_DONE)
                code = findings_of_service(&cli->client, findings, &reachable);
        if (code != EXIT_DONE)
                return code;
        if (reachable)
                return findings_of_host(&cli->client, findings);
        findings_add(findings, "host", "info", "passthroughctl doctor",
                     "Put this right first, then look again.",
                     "What the host lacks only the service can tell.");
        return EXIT_DONE;
}

ExitCode command_doctor(Cli *cli) {
        _cleanup_json_ json_t *findings = json_array();
        char texts[2][COUNT_SIZE];
        size_t errors, warnings, i;
        json_t *finding;
        ExitCode code;

        code = examine(cli, findings);
        if (code != EXIT_DONE)
                return code;
        errors = count(findings, "error");
        warnings = count(findings, "warning");
        if (cli_wants_json(cli)) {
                code = cli_print_json(cli, STEAL(findings));
                return code == EXIT_DONE && errors > 0 ? EXIT_REFUSED : code;
        }

        cli_open_pager(cli);
        json_array_foreach(findings, i, finding) print_finding(finding);
        if (errors + warnings == 0)
                (void)printf("\nThis host is ready. 'passthroughctl list' shows which devices can leave "
                             "it.\n");
        else
                (void)printf("\n%s%s%s. Begin with the first: what follows may come of it.\n",
                             errors > 0 ? orders_count(errors, "error", texts[0]) : "",
                             errors > 0 && warnings > 0 ? ", " : "",
                             warnings > 0 ? orders_count(warnings, "warning", texts[1]) : "");
        return errors > 0 ? EXIT_REFUSED : EXIT_DONE;
}
