/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the shells ask while somebody types: `passthroughctl complete -- WORD...`, the words behind
 * "passthroughctl", the last one being typed. It answers with lines "CANDIDATE<TAB>DESCRIPTION"; ":file":
 * files fit here; ":program<TAB>N": word N, from 0, is a program of its own, which the shell knows better.
 * Silent where there is nothing to say: nobody wants to read complaints while typing.
 */

#include <strings.h>

#include "commands.h"
#include "critical.h"
#include "names.h"
#include "sriov.h"
#include "users.h"
#include "vf-settings.h"

#define TIMEOUT_USEC (2ULL * 1000 * 1000)

typedef struct Typed {
        int n, n_all;     /* n_all: with the options and the word being typed */
        char **words;     /* what is no option, without the word being typed */
        int *places;      /* in the command line */
        bool separated;   /* "--" was typed */
        uint64_t given;   /* options that stand there */
        Option expecting; /* the option whose value is being typed, or OPTION_INVALID */
        const char *word; /* being typed */
} Typed;

static void candidate(const Typed *t, const char *before, const char *text, const char *description) {
        size_t n = strlen(before);

        /* Nothing that a line cannot carry. */
        if (strpbrk(text, "\t\n") || strncmp(t->word, before, n) != 0 || !startswith(text, t->word + n))
                return;
        (void)printf("%s%s\t", before, text);
        (void)output_text(stdout, strempty(description), SIZE_MAX);
        (void)fputc('\n', stdout);
}

/* Without a word of complaint, and without starting the service. */
static int load(Model *ret) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &call, BUS_NAME, BUS_PATH,
                                           "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        if (r < 0)
                return r;
        (void)sd_bus_message_set_auto_start(call, false);
        r = sd_bus_call(bus, call, TIMEOUT_USEC, NULL, &reply);
        return r < 0 ? r : model_read(reply, ret);
}

/* By its address; without the domain, when what is typed begins like that. */
static void complete_device(const Typed *t, const char *before, const Object *o) {
        const char *description = object_text(o, "Name"), *word = t->word + strlen(before);

        if (startswith(o->name, "0000:") && !startswith(o->name, word))
                candidate(t, before, o->name + strlen("0000:"), description);
        else
                candidate(t, before, o->name, description);
}

static void complete_vm(const Typed *t, const char *before, const Model *m, size_t i) {
        const Object *claims = m->objects[KIND_CLAIM];

        for (size_t j = 0; j < i; j++)
                if (streq(object_text(&claims[j], "Vm"), object_text(&claims[i], "Vm")))
                        return;
        candidate(t, before, object_text(&claims[i], "Vm"), object_text(&claims[i], "Status"));
}

static const char *describe(const Object *o) {
        const char *text = object_text(o, "Description");

        if (o->kind == KIND_CLAIM && isempty(text))
                return object_text(o, "Status");
        return o->kind == KIND_RULE && isempty(text) ? object_text(o, "Filter") : text;
}

/* Anybody may choose a name: it must not look like our orders to the shell, nor be an option once it stands there. */
static bool is_plain(const Object *o, bool vms) {
        const char *name = vms ? object_text(o, "Vm") : o->name;

        return name[0] != ':' && name[0] != '-';
}

static void complete_objects(const Typed *t, const char *before, Kind kind, bool vms) {
        Model m = {};

        if (load(&m) < 0)
                return;
        for (size_t i = 0; i < m.n[kind]; i++) {
                const Object *o = &m.objects[kind][i];

                if (isempty(before) && !is_plain(o, vms))
                        continue;
                if (vms)
                        complete_vm(t, before, &m, i);
                else if (kind == KIND_DEVICE)
                        complete_device(t, before, o);
                else
                        candidate(t, before, o->name, describe(o));
        }
        model_done(&m);
}

/* Users who have claims. */
static void complete_owners(const Typed *t, const char *before) {
        Model m = {};

        if (load(&m) < 0)
                return;
        for (size_t i = 0; i < m.n[KIND_CLAIM]; i++) {
                const Object *claims = m.objects[KIND_CLAIM];
                bool known = false;
                char owner[USER_TEXT_SIZE];

                for (size_t j = 0; j < i; j++)
                        known = known ||
                                object_number(&claims[j], "Owner") == object_number(&claims[i], "Owner");
                if (!known)
                        candidate(t, before, users_owner(&claims[i], owner), "");
        }
        model_done(&m);
}

static void complete_values(const Typed *t, const char *before, const char *list) {
        _cleanup_free_ char *values = strdup(list);

        for (char *save = NULL, *word = values ? strtok_r(values, " ", &save) : NULL; word;
             word = strtok_r(NULL, " ", &save))
                candidate(t, before, word, "");
}

/* The last of some with commas between. */
static void complete_settings(const Typed *t, const char *before) {
        const char *comma = strrchr(t->word, ',');
        _cleanup_free_ char *typed = strndup(t->word, comma ? (size_t)(comma - t->word) + 1 : 0);

        for (int s = 0; typed && s < VF_SETTING_MAX; s++)
                candidate(t, isempty(typed) ? before : typed, vf_setting_to_string((VfSetting)s), "");
}

/* before: "--json=", what stands in front of the value in its word. c: NULL: none was typed yet. */
static void complete_value(const Typed *t, const Command *c, const char *before, Option option) {
        const OptionInfo *info = option_info(option);

        if (c && c->options & OPT(MAC) && sriov_is_as_group(option, "group"))
                candidate(t, before, "group", "As the group has it");
        if (info->values)
                complete_values(t, before, info->values);
        else if (option == OPTION_OVERRIDABLE)
                complete_settings(t, before);
        else if (option == OPTION_GROUP)
                complete_objects(t, before, KIND_GROUP, false);
        else if (option == OPTION_OWNER)
                complete_owners(t, before);
        else if (option == OPTION_CONSENT)
                for (CriticalReason i = 0; i < CRITICAL_REASON_MAX; i++)
                        if (CRITICAL_OVERRIDABLE >> i & 1)
                                candidate(t, before, critical_reason_to_string(i), "");
}

static void complete_options(const Typed *t, const Command *c) {
        uint64_t all = OPTIONS_EVERYWHERE | (c ? c->options : 0);

        for (Option i = 0; i < OPTION_MAX; i++) {
                char name[64];

                if (!(all >> i & 1) || (t->given >> i & 1 && i != OPTION_CONSENT))
                        continue;
                (void)snprintf(name, sizeof name, "--%s", option_info(i)->name);
                candidate(t, "", name, option_info(i)->help);
        }
}

static bool is_new_noun(const Command *list, size_t i) {
        for (size_t j = 0; j < i; j++)
                if (list[j].noun && streq(list[j].noun, list[i].noun))
                        return false;
        return true;
}

/* The verbs of a noun, with what they do. Who sees the nouns wants to know which verbs they have. */
static void complete_noun(const Typed *t, const Command *list, size_t n, size_t noun) {
        char verbs[256] = "";

        for (size_t i = noun; i < n; i++)
                if (list[i].noun && streq(list[i].noun, list[noun].noun))
                        (void)snprintf(verbs + strlen(verbs), sizeof verbs - strlen(verbs), "%s%s",
                                       isempty(verbs) ? "" : ", ", list[i].verb);
        candidate(t, "", list[noun].noun, verbs);
}

/* The next word of a command: words[0..n-1] stand there. */
static void complete_command(const Typed *t, int n, char *const words[]) {
        size_t n_commands;
        const Command *list = commands(&n_commands);

        for (size_t i = 0; i < n_commands; i++) {
                if (list[i].hidden)
                        continue;
                if (n == 0 ? !list[i].noun : n == 1 && list[i].noun && streq(list[i].noun, words[0]))
                        candidate(t, "", list[i].verb, list[i].help);
                else if (n == 0 && is_new_noun(list, i))
                        complete_noun(t, list, n_commands, i);
        }
}

/* Wherever we are in its arguments. */
static int place_of_program(const Typed *t, const Command *c, int taken) {
        int n = taken;

        for (int i = 0; i < WORDS_MAX && c->words[i] != WORD_PROGRAM; i++)
                n++;
        return n < t->n ? t->places[n] : t->n_all - 1;
}

static void complete_word(const Typed *t, const Command *c, int taken) {
        switch (command_word(c, t->n - taken)) {
        case WORD_DEVICE:
                complete_objects(t, "", KIND_DEVICE, false);
                break;
        case WORD_GROUP:
                complete_objects(t, "", KIND_GROUP, false);
                break;
        case WORD_RULE:
                complete_objects(t, "", KIND_RULE, false);
                break;
        case WORD_CLAIM:
                complete_objects(t, "", KIND_CLAIM, false);
                break;
        case WORD_VM:
                complete_objects(t, "", KIND_CLAIM, true);
                break;
        case WORD_FILE:
                (void)puts(":file");
                break;
        case WORD_COMMAND:
                complete_command(t, t->n - taken, t->words + taken);
                break;
        case WORD_PROGRAM:
                if (t->separated)
                        (void)printf(":program\t%d\n", place_of_program(t, c, taken));
                else
                        candidate(t, "", "--", "the command follows");
                break;
        default:
                break;
        }
}

/* Options may be cut as long as it is clear which one is meant, as getopt has it. */
static Option find_option(const char *name, size_t n) {
        Option found = OPTION_INVALID;

        for (Option i = 0; i < OPTION_MAX; i++) {
                const char *full = option_info(i)->name;

                if (strncmp(full, name, n) != 0)
                        continue;
                if (full[n] == '\0')
                        return i;
                if (found != OPTION_INVALID)
                        return OPTION_INVALID;
                found = i;
        }
        return found;
}

static bool needs_value(Option i) {
        const char *argument = i < 0 ? NULL : option_info(i)->argument;

        return argument && argument[0] != '[';
}

/* A word that begins with a hyphen and is done with. */
static void take_option(Typed *t, const char *word) {
        size_t n = strcspn(word + 1, "=");
        Option option;

        if (word[1] == '-') {
                option = find_option(word + 2, n - 1);
                t->expecting = word[1 + n] == '\0' && needs_value(option) ? option : OPTION_INVALID;
        } else { /* letters, of which the last may have its value in the next word */
                option = option_from_letter(word[1]);
                for (n = 1; word[n + 1] && !needs_value(option); n++)
                        option = option_from_letter(word[n + 1]);
                t->expecting = needs_value(option) && word[n + 1] == '\0' ? option : OPTION_INVALID;
        }
        if (option >= 0)
                t->given |= UINT64_C(1) << option;
}

static void take_words(Typed *t, int n, char **words) {
        for (int i = 0; i + 1 < n; i++)
                if (t->expecting != OPTION_INVALID)
                        t->expecting = OPTION_INVALID;
                else if (!t->separated && streq(words[i], "--"))
                        t->separated = true;
                else if (!t->separated && words[i][0] == '-' && words[i][1] != '\0')
                        take_option(t, words[i]);
                else {
                        t->places[t->n] = i;
                        t->words[t->n++] = words[i];
                }
}

ExitCode command_complete(Cli *cli) {
        _cleanup_free_ char **words = calloc((size_t)cli->options.n_words + 1, sizeof *words);
        _cleanup_free_ int *places = calloc((size_t)cli->options.n_words + 1, sizeof *places);
        int n = cli->options.n_words, taken = 0;
        Typed t = {.words = words, .places = places, .n_all = n, .expecting = OPTION_INVALID};
        const Command *c;
        const char *equals;

        if (!words || !places || n == 0)
                return EXIT_DONE;
        t.word = cli->options.words[n - 1];
        take_words(&t, n, cli->options.words);
        c = command_find(t.n, t.words, &taken);
        equals = strchr(t.word, '=');
        if (t.expecting != OPTION_INVALID)
                complete_value(&t, c, "", t.expecting);
        else if (!t.separated && startswith(t.word, "--") && equals) {
                _cleanup_free_ char *before = strndup(t.word, (size_t)(equals - t.word) + 1);
                Option option = find_option(t.word + 2, (size_t)(equals - t.word) - 2);

                if (before && option >= 0 && option_info(option)->argument)
                        complete_value(&t, c, before, option);
        } else if (!t.separated && t.word[0] == '-')
                complete_options(&t, c);
        else if (c)
                complete_word(&t, c, taken);
        else
                complete_command(&t, t.n, t.words);
        return EXIT_DONE;
}
