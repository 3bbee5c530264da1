/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "commands.h"
#include "helper-calls.h"
#include "names.h"

/* "10de:1eb8" or "10de:1eb8:1458:3fe4"; no device has such an address. */
static bool is_ids(const char *word) {
        size_t n = strlen(word);

        if (n != strlen("10de:1eb8") && n != strlen("10de:1eb8:1458:3fe4"))
                return false;
        for (size_t i = 0; i < n; i++)
                if (i % 5 == 4 ? word[i] != ':' : !isxdigit((unsigned char)word[i]))
                        return false;
        return true;
}

static size_t count_ids(const Options *o) {
        size_t n = 0;

        for (int i = 0; i < o->n_words; i++)
                n += is_ids(o->words[i]);
        return n;
}

/* The service takes lower case alone. */
static void fold_ids(const Options *o) {
        for (int i = 0; i < o->n_words; i++)
                for (char *c = o->words[i]; *c; c++)
                        *c = (char)tolower((unsigned char)*c);
}

static ExitCode check_ids(const Options *o) {
        if (count_ids(o) < (size_t)o->n_words)
                return complain(EXIT_USAGE,
                                "Give either devices or ids ('10de:1eb8'), not both: each is one consent.");
        if (option_given(o, OPTION_CONSENT) || option_given(o, OPTION_WHOLE_SET))
                return complain(EXIT_USAGE,
                                "--consent and --whole-set are for devices: ids override no critical "
                                "reason, and all that share an IOMMU set have to be granted.");
        return EXIT_DONE;
}

static ExitCode call_ids(Cli *cli, bool grant) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        const Options *o = &cli->options;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER,
                               grant ? "GrantIds" : "RevokeIds", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_open_container(call, 'a', "s");
        for (int i = 0; i < o->n_words && r >= 0; i++)
                r = sd_bus_message_append_basic(call, 's', o->words[i]);
        if (r < 0 || (r = sd_bus_message_close_container(call)) < 0)
                return client_complain_message(r);
        return client_call(&cli->client, call, grant ? "Giving consent" : "Taking consent back", NULL);
}

static ExitCode change_ids(Cli *cli, bool grant) {
        const Options *o = &cli->options;
        ExitCode code = check_ids(o);

        if (code == EXIT_DONE)
                code = cli_connect(cli);
        if (code != EXIT_DONE)
                return code;
        fold_ids(o);
        code = helper_is_ours() ? helper_change_ids(cli, grant, o->words, (size_t)o->n_words)
                                : call_ids(cli, grant);
        if (code != EXIT_DONE)
                return code;
        for (int i = 0; i < o->n_words; i++)
                if (grant)
                        (void)printf("All devices with the ids %s may leave the host, now and later, where "
                                     "all of their IOMMU sets may.\n",
                                     o->words[i]);
                else
                        (void)printf("Devices with the ids %s stay with the host, unless they are granted "
                                     "by themselves.\n",
                                     o->words[i]);
        return EXIT_DONE;
}

static ExitCode call_devices(Cli *cli, bool grant, const Selection *s, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, grant ? "Grant" : "Revoke",
                               &call);
        if (code != EXIT_DONE)
                return code;
        r = selection_append_paths(call, s->devices, s->n_named);
        if (grant && (r < 0 || (r = sd_bus_message_open_container(call, 'a', "{sv}")) < 0 ||
                      (r = selection_append_siblings(call, s)) < 0 ||
                      (r = selection_append_consent(call, &cli->options)) < 0 ||
                      (r = sd_bus_message_close_container(call)) < 0))
                return client_complain_message(r);
        if (r < 0)
                return client_complain_message(r);
        return client_try(&cli->client, call, grant ? "Giving consent" : "Taking consent back", 0, NULL, f);
}

static ExitCode ask_for_devices(Cli *cli, bool grant, const Selection *s) {
        Failure f = {};
        ExitCode code;

        if (!helper_is_ours())
                code = call_devices(cli, grant, s, &f);
        else if (grant)
                code = helper_grant(cli, s->devices, s->n, 0, &f);
        else
                code = helper_revoke(cli, s->devices, s->n_named, false, &f);
        if (f.kind != FAILURE_NONE)
                (void)complain_failure(&f);
        return code;
}

static void report_revoked(const Selection *s, const char *text) {
        bool functions = true;

        for (size_t i = 0; i < s->n; i++)
                functions = functions && object_is(s->devices[i], "VfsGranted");
        if (functions)
                (void)printf("The virtual functions of %s stay with the host until an administrator grants "
                             "them again.\n",
                             text);
        else
                (void)printf("%s %s with the host until an administrator grants %s again.\n", text,
                             s->n == 1 ? "stays" : "stay", s->n == 1 ? "it" : "them");
}

static ExitCode change_devices(Cli *cli, bool grant) {
        _cleanup_free_ char *text = NULL;
        _cleanup_selection_ Selection s = {};
        ExitCode code;

        /* What moves together loses its consent together. */
        code = selection_find(cli, !grant || option_given(&cli->options, OPTION_WHOLE_SET), &s);
        if (code == EXIT_DONE)
                code = ask_for_devices(cli, grant, &s);
        if (code != EXIT_DONE)
                return code;
        text = selection_text(s.devices, s.n);
        if (!text)
                return complain_oom();
        if (grant)
                (void)printf("%s may leave the host. 'passthroughctl make' puts %s into a group, 'bind' "
                             "moves %s now.\n",
                             text, s.n == 1 ? "it" : "them", s.n == 1 ? "it" : "them");
        else
                report_revoked(&s, text);
        return EXIT_DONE;
}

static ExitCode change(Cli *cli, bool grant) {
        return count_ids(&cli->options) > 0 ? change_ids(cli, grant) : change_devices(cli, grant);
}

ExitCode command_grant(Cli *cli) {
        return change(cli, true);
}

ExitCode command_revoke(Cli *cli) {
        return change(cli, false);
}
