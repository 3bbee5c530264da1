/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "help.h"

static void print_usage(const Command *c) {
        (void)printf("passthroughctl %s%s%s%s%s\n", strempty(c->noun), c->noun ? " " : "", c->verb,
                     isempty(c->arguments) ? "" : " ", strempty(c->arguments));
}

static void print_option(Option i) {
        const OptionInfo *info = option_info(i);
        char text[64], letter[6] = "    ";

        if (info->letter)
                (void)snprintf(letter, sizeof letter, "-%c, ", info->letter);
        if (!info->argument)
                (void)snprintf(text, sizeof text, "%s--%s", letter, info->name);
        else if (info->argument[0] == '[')
                (void)snprintf(text, sizeof text, "%s--%s[=%s", letter, info->name, info->argument + 1);
        else
                (void)snprintf(text, sizeof text, "%s--%s=%s", letter, info->name, info->argument);
        (void)printf("  %-28s %s\n", text, info->help);
}

static void print_options(uint64_t options) {
        for (Option i = 0; i < OPTION_MAX; i++)
                if (options >> i & 1)
                        print_option(i);
}

static void print_command(const Command *c) {
        (void)printf("Usage: ");
        print_usage(c);
        (void)printf("\n%s.\n", c->help);
        if (c->options) {
                (void)printf("\nOptions:\n");
                print_options(c->options);
        }
        (void)printf("\nOptions of each command: --no-ask-password, --color=WHEN, --help. More: man "
                     "passthroughctl\n");
}

static void print_row(const Command *c) {
        char text[64];

        (void)snprintf(text, sizeof text, "%s%s%s%s%s", strempty(c->noun), c->noun ? " " : "", c->verb,
                       isempty(c->arguments) ? "" : " ", strempty(c->arguments));
        (void)printf("  %-36s %s\n", text, c->help);
}

static void print_commands(void) {
        size_t n;
        const Command *list = commands(&n);

        (void)printf("Usage: passthroughctl COMMAND [WORDS...] [OPTIONS...]\n\n"
                     "Gives PCI devices to virtual machines: shows which can leave the host, and moves "
                     "them.\n");
        for (size_t i = 0; i < n; i++) {
                if (list[i].hidden)
                        continue;
                if (i == 0 || list[i].begins || !streq(strempty(list[i - 1].noun), strempty(list[i].noun)))
                        (void)fputc('\n', stdout);
                print_row(&list[i]);
        }
        (void)printf("\nA DEVICE is a PCI address (0000:01:00.0 or 01:00.0), a slot, or a part of the "
                     "device's name.\n\n"
                     "Options of each command:\n");
        print_options(OPTIONS_EVERYWHERE);
        (void)printf("\n'passthroughctl help COMMAND' tells more of one, 'man passthroughctl' all.\n");
}

static bool print_noun(const char *noun) {
        bool found = false;
        size_t n;
        const Command *list = commands(&n);

        for (size_t i = 0; i < n; i++)
                if (list[i].noun && streq(list[i].noun, noun)) {
                        (void)printf("%s", found ? "" : "Commands:\n");
                        print_row(&list[i]);
                        found = true;
                }
        return found;
}

ExitCode help_print(int n, char *const words[]) {
        const Command *c;
        int taken;

        if (n == 0) {
                print_commands();
                return EXIT_DONE;
        }
        c = command_find(n, words, &taken);
        if (c)
                print_command(c);
        else if (n > 1 || !print_noun(words[0]))
                return command_complain(n, words);
        return EXIT_DONE;
}

ExitCode help_print_version(void) {
        (void)printf("passthroughctl %s\n", PROJECT_VERSION);
        return EXIT_DONE;
}

ExitCode command_help(Cli *cli) {
        return help_print(cli->options.n_words, cli->options.words);
}
