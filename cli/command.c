/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"
#include "help.h"
#include "similar.h"
#include "sriov.h"
#include "text.h"

const Command *command_find(int n, char *const words[], int *ret_taken) {
        size_t n_commands;
        const Command *list = commands(&n_commands);

        for (size_t i = 0; n > 0 && i < n_commands; i++) {
                const Command *c = &list[i];
                bool two = c->noun && n > 1 && streq(words[0], c->noun) && streq(words[1], c->verb);

                if (two || (!c->noun && streq(words[0], c->verb))) {
                        *ret_taken = two ? 2 : 1;
                        return c;
                }
        }
        return NULL;
}

static ExitCode complain_first_word(const char *word) {
        size_t n;
        const Command *list = commands(&n);

        for (size_t i = 0; i < n; i++)
                if (list[i].noun && streq(list[i].verb, word))
                        return complain(EXIT_USAGE, "There is no command '%s'; did you mean '%s %s'?", word,
                                        list[i].noun, word);
        for (size_t i = 0; i < n; i++) {
                const char *first = list[i].noun ? list[i].noun : list[i].verb;

                if (!list[i].hidden && similar(word, first))
                        return complain(EXIT_USAGE, "There is no command '%s'; did you mean '%s'?", word,
                                        first);
        }
        return complain(EXIT_USAGE, "There is no command '%s'; see 'passthroughctl help'.", word);
}

ExitCode command_complain(int n, char *const words[]) {
        _cleanup_free_ char *verbs = NULL;
        size_t n_commands, size;
        const Command *list = commands(&n_commands);
        FILE *f = open_memstream(&verbs, &size);

        if (!f)
                return complain_oom();
        for (size_t i = 0; i < n_commands; i++)
                if (list[i].noun && streq(list[i].noun, words[0]))
                        (void)fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", list[i].verb);
        if (fclose(f) != 0)
                return complain_oom();
        if (isempty(verbs))
                return complain_first_word(words[0]);
        if (n == 1)
                return complain(EXIT_USAGE, "'%s' needs a second word: %s.", words[0], verbs);
        return complain(EXIT_USAGE, "There is no command '%s %s'; there are %s.", words[0], words[1], verbs);
}

static const char *name_of(const Command *c, char buffer[static 64]) {
        (void)snprintf(buffer, 64, "%s%s%s", strempty(c->noun), c->noun ? " " : "", c->verb);
        return buffer;
}

static ExitCode check_usage(const Command *c, const Options *o) {
        uint64_t stray = o->given & ~(c->options | OPTIONS_EVERYWHERE);
        char name[64];

        for (Option i = 0; i < OPTION_MAX; i++)
                if (stray >> i & 1)
                        return complain(EXIT_USAGE,
                                        "'%s' takes no option --%s; see 'passthroughctl help %s'.",
                                        name_of(c, name), option_info(i)->name, name_of(c, name));
        if (o->n_words < c->least)
                return complain(EXIT_USAGE,
                                "'%s' takes these words: %s, and some are missing; see 'passthroughctl help "
                                "%s'.",
                                name_of(c, name), c->arguments, name_of(c, name));
        if (o->n_words > c->most && c->most == 0)
                return complain(EXIT_USAGE, "'%s' takes no further word; see 'passthroughctl help %s'.",
                                name_of(c, name), name_of(c, name));
        if (o->n_words > c->most)
                return complain(EXIT_USAGE,
                                "'%s' takes these words: %s; there are too many from '%s' on. A name or a "
                                "filter with blanks stands in quotes.",
                                name_of(c, name), c->arguments, o->words[c->most]);
        return EXIT_DONE;
}

Word command_word(const Command *c, int n) {
        Word kind = WORD_NONE;

        if (n >= c->most)
                return WORD_NONE;
        for (int i = 0; i < WORDS_MAX && i <= n; i++)
                if (c->words[i] != WORD_NONE)
                        kind = c->words[i];
        return kind;
}

/* The bus takes nothing else; files and programs have names of any kind. */
static bool is_utf8(const char *text) {
        for (size_t n; *text; text += n) {
                n = text_utf8_length(text);
                if (n == 0)
                        return false;
        }
        return true;
}

static ExitCode check_text(const Command *c, const Options *o) {
        for (int i = 0; i < o->n_words && !c->hidden; i++) {
                Word kind = command_word(c, i);

                if (kind != WORD_FILE && kind != WORD_PROGRAM && !is_utf8(o->words[i]))
                        return complain(EXIT_USAGE,
                                        "Word %d behind the command is not UTF-8; the service takes nothing "
                                        "else.",
                                        i + 1);
        }
        for (Option i = 0; i < OPTION_MAX; i++)
                if (o->values[i] && !is_utf8(o->values[i]))
                        return complain(EXIT_USAGE,
                                        "The value of --%s is not UTF-8; the service takes nothing else.",
                                        option_info(i)->name);
        for (size_t i = 0; i < o->n_consent; i++)
                if (!is_utf8(o->consent[i]))
                        return complain(EXIT_USAGE, "The value of --consent is not UTF-8; the service takes "
                                                    "nothing else.");
        return EXIT_DONE;
}

static bool is_one_of(const char *word, const char *words) {
        size_t n = strlen(word);

        for (const char *at = strstr(words, word); n > 0 && at; at = strstr(at + 1, word))
                if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
                        return true;
        return false;
}

static ExitCode check_values(const Options *o) {
        for (Option i = 0; i < OPTION_MAX; i++) {
                const char *value = option_value(o, i), *values = option_info(i)->values;

                /* What stands in brackets may be left out. */
                if (value && values && !(isempty(value) && option_info(i)->argument[0] == '[') &&
                    !is_one_of(value, values) && !sriov_is_as_group(i, value))
                        return complain(EXIT_USAGE, "--%s=%s: give one of these: %s.", option_info(i)->name,
                                        value, values);
        }
        (void)output_setup(option_value(o, OPTION_COLOR));
        return EXIT_DONE;
}

static ExitCode run(Cli *cli) {
        Options *o = &cli->options;
        const Command *c;
        ExitCode code;
        int taken = 0;

        code = check_values(o);
        if (code != EXIT_DONE)
                return code;
        if (option_given(o, OPTION_VERSION))
                return help_print_version();
        if (o->n_words == 0 || option_given(o, OPTION_HELP))
                return help_print(o->n_words, o->words);
        c = command_find(o->n_words, o->words, &taken);
        if (!c)
                return command_complain(o->n_words, o->words);
        o->n_words -= taken;
        o->words += taken;
        code = check_usage(c, o);
        if (code == EXIT_DONE)
                code = check_text(c, o);
        return code == EXIT_DONE ? c->run(cli) : code;
}

ExitCode command_run(int argc, char **argv) {
        Cli cli = {};
        ExitCode code;

        code = options_parse(argc, argv, &cli.options);
        if (code == EXIT_DONE)
                code = run(&cli);
        model_done(&cli.model);
        client_close(&cli.client);
        options_done(&cli.options);
        output_close_pager();
        return code;
}

ExitCode cli_connect(Cli *cli) {
        return cli->client.bus ? EXIT_DONE
                               : client_open(&cli->client,
                                             !option_given(&cli->options, OPTION_NO_ASK_PASSWORD));
}

ExitCode cli_load(Cli *cli) {
        ExitCode code;

        if (cli->loaded)
                return EXIT_DONE;
        code = cli_connect(cli);
        if (code == EXIT_DONE)
                code = model_load(&cli->client, &cli->model);
        cli->loaded = code == EXIT_DONE;
        return code;
}

ExitCode cli_load_host(Cli *cli, json_t **ret_host) {
        ExitCode code = cli_load(cli);

        return code == EXIT_DONE ? model_load_host(&cli->client, ret_host) : code;
}

void cli_forget(Cli *cli) {
        model_done(&cli->model);
        cli->loaded = false;
}

bool cli_wants_json(const Cli *cli) {
        return option_given(&cli->options, OPTION_JSON);
}

ExitCode cli_print_json(const Cli *cli, json_t *value) {
        const char *form = strempty(option_value(&cli->options, OPTION_JSON));
        size_t flags = JSON_ENCODE_ANY | JSON_SORT_KEYS |
                       (streq(form, "short") ? JSON_COMPACT : JSON_INDENT(2));
        int r = value ? json_dumpf(value, stdout, flags) : -1;

        json_decref(value);
        if (r < 0)
                return complain_oom();
        (void)fputc('\n', stdout);
        return EXIT_DONE;
}

ExitCode cli_print_table(const Cli *cli, const Table *t, const char *empty) {
        bool legend = !option_given(&cli->options, OPTION_NO_LEGEND);

        if (table_rows(t) == 0) {
                (void)printf("%s", legend ? empty : "");
                return EXIT_DONE;
        }
        cli_open_pager(cli);
        return table_print(t, legend) < 0 ? complain_oom() : EXIT_DONE;
}

void cli_open_pager(const Cli *cli) {
        if (!option_given(&cli->options, OPTION_NO_PAGER))
                output_open_pager();
}

ExitCode cli_find_devices(Cli *cli, const Object ***ret, size_t *ret_n) {
        ExitCode code = cli_load(cli);

        return code == EXIT_DONE ? find_objects(&cli->model, KIND_DEVICE, (size_t)cli->options.n_words,
                                                cli->options.words, ret, ret_n)
                                 : code;
}
