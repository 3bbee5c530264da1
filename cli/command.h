/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The commands: one table, which dispatch, help and completion are made from. A command is a function
 * `ExitCode command_NOUN_VERB(Cli *cli)` in the file that commands.h names; it returns what the tool ends with, and has
 * complained if that is a failure.
 */

#include <limits.h>

#include "find.h"
#include "model.h"
#include "options.h"
#include "table.h"

typedef struct Cli {
        Client client;
        Options options; /* as given; words[0..] without those of the command itself */
        Model model;     /* after cli_load() */
        bool loaded;
} Cli;

/* What the words behind a command are, for the completion. */
typedef enum Word {
        WORD_NONE,
        WORD_DEVICE,
        WORD_GROUP,
        WORD_RULE,
        WORD_CLAIM,
        WORD_VM,
        WORD_FILTER, /* of devices */
        WORD_FILE,
        WORD_COMMAND, /* of the tool */
        WORD_PROGRAM, /* and its arguments */
        WORD_TEXT,
} Word;

#define WORDS_MAX 3
#define WORDS_ANY INT_MAX

typedef struct Command {
        const char *noun, *verb; /* "group", "add"; or NULL, "list" */
        ExitCode (*run)(Cli *cli);
        const char *arguments; /* for people: "DEVICE..." */
        Word words[WORDS_MAX]; /* of each; the last one that is not WORD_NONE goes on */
        int least, most;
        uint64_t options; /* beside OPTIONS_EVERYWHERE */
        const char *help; /* one line */
        bool hidden;
        bool begins; /* a part of the help */
} Command;

/* All of them, in the order of the help, and how many. */
const Command *commands(size_t *ret_n);

/* The command that these words begin with, and how many words it took; NULL: there is none. */
const Command *command_find(int n, char *const words[], int *ret_taken);

/* What the word number n behind those of the command is. */
Word command_word(const Command *c, int n) _pure_;

/* About words that no command begins with. */
ExitCode command_complain(int n, char *const words[]);

/* Runs the command that the command line asks for. */
ExitCode command_run(int argc, char **argv);

/* Connects to the bus, once. */
ExitCode cli_connect(Cli *cli);
/* Has all objects read from the service, once; cli_forget() before it is to be read anew. */
ExitCode cli_load(Cli *cli);
void cli_forget(Cli *cli);
/* That, and the properties of the host's object. */
ExitCode cli_load_host(Cli *cli, json_t **ret_host);
/* Whether --json is given; then the answer goes out by this: the value is consumed, NULL: no memory. */
bool cli_wants_json(const Cli *cli);
ExitCode cli_print_json(const Cli *cli, json_t *value);
/* The same for a table: with a pager, and the titles that --no-legend leaves out; in place of one without rows the
 * sentence. */
ExitCode cli_print_table(const Cli *cli, const Table *t, const char *empty);
/* Before a long answer, unless --no-pager is given. */
void cli_open_pager(const Cli *cli);
/* The devices that the words of the command line name. */
ExitCode cli_find_devices(Cli *cli, const Object ***ret, size_t *ret_n);
