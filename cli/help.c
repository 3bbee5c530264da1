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

static void print_commands(void) {
        size_t n;
        const Command *list = commands(&n);
        const char *noun = "";

        (void)printf("Usage: passthroughctl COMMAND [WORDS...] [OPTIONS...]\n\n"
                     "Gives PCI devices to virtual machines: shows which can leave the host, and moves "
                     "them.\n");
        for (size_t i = 0; i < n; i++) {
                char text[64];

                if (list[i].hidden)
                        continue;
                if (i == 0 || list[i].begins || !streq(noun, strempty(list[i].noun)))
                        (void)fputc('\n', stdout);
                noun = strempty(list[i].noun);
                (void)snprintf(text, sizeof text, "%s%s%s%s%s", noun, isempty(noun) ? "" : " ", list[i].verb,
                               isempty(list[i].arguments) ? "" : " ", strempty(list[i].arguments));
                (void)printf("  %-36s %s\n", text, list[i].help);
        }
        (void)printf("\nA DEVICE is a PCI address (0000:01:00.0 or 01:00.0), a slot, or a part of the "
                     "device's name.\n\n"
                     "Options of each command:\n");
        print_options(OPTIONS_EVERYWHERE);
        (void)printf("\n'passthroughctl help COMMAND' tells more of one, 'man passthroughctl' all.\n");
}

ExitCode help_print(const Command *command) {
        if (command)
                print_command(command);
        else
                print_commands();
        return EXIT_DONE;
}

ExitCode help_print_version(void) {
        (void)printf("passthroughctl %s\n", PROJECT_VERSION);
        return EXIT_DONE;
}

ExitCode command_help(Cli *cli) {
        const Options *o = &cli->options;
        const Command *c;
        int taken;

        if (o->n_words == 0)
                return help_print(NULL);
        c = command_find(o->n_words, o->words, &taken);
        if (c)
                return help_print(c);
        return complain(EXIT_USAGE, "There is no command '%s'; 'passthroughctl help' lists all.",
                        o->words[0]);
}
