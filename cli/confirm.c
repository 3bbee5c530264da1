/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "helper-calls.h"
#include "names.h"

/* The devices of the change that waits, as text; "" if none does. */
static ExitCode find_unconfirmed(Cli *cli, char **ret) {
        _cleanup_json_ json_t *host = NULL;
        ExitCode code = cli_load_host(cli, &host);

        if (code != EXIT_DONE)
                return code;
        *ret = object_names(&cli->model, &(const Object){.properties = host}, "ConfirmDevices");
        return *ret ? EXIT_DONE : complain_oom();
}

static ExitCode decide(Cli *cli, const char *member, const char *doing, char **ret_devices) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code = find_unconfirmed(cli, ret_devices);

        if (code == EXIT_DONE)
                code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, member, &call);
        return code == EXIT_DONE ? client_call(&cli->client, call, doing, NULL) : code;
}

ExitCode command_confirm(Cli *cli) {
        _cleanup_free_ char *devices = NULL;
        ExitCode code = decide(cli, "Confirm", "Confirming the change", &devices);

        if (code == EXIT_DONE)
                (void)printf("Confirmed: the change of %s stays, also after a reboot.\n", devices);
        return code;
}

ExitCode command_revert(Cli *cli) {
        _cleanup_free_ char *devices = NULL;
        ExitCode code = decide(cli, "Revert", "Undoing the change", &devices);

        if (code == EXIT_DONE)
                (void)printf("Undone: for %s all is as it was before the change.\n", devices);
        return code;
}

static ExitCode call_return(Cli *cli, const Selection *s, const char *doing, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "ReturnToHost", &call);
        if (code != EXIT_DONE)
                return code;
        r = selection_append_paths(call, s->devices, s->n_named);
        if (r < 0)
                return client_complain_message(r);
        return client_try(&cli->client, call, doing, 0, NULL, f);
}

/* The service first: it alone knows whether a claim or an order stands against it, and what the helper does for root
 * then cannot be undone. Last of all it says that root has to take the consent back himself. */
static ExitCode return_all(Cli *cli, const Selection *s, const char *doing) {
        Failure f = {};
        ExitCode code = call_return(cli, s, doing, &f);

        if (f.kind == FAILURE_NOT_AUTHORIZED && helper_is_ours()) {
                f = (Failure){};
                code = helper_revoke(cli, s->devices, s->n, true, &f);
                if (code == EXIT_DONE)
                        code = call_return(cli, s, doing, &f);
        }
        return f.kind != FAILURE_NONE ? complain_failure(&f) : code;
}

/* Those whose virtual functions alone had left were at the host all the time. */
static void report_returned(const Selection *s, const char *text) {
        const char *it = s->n == 1 ? "it" : "them";
        bool only_functions = true;

        for (size_t i = 0; i < s->n; i++)
                only_functions = only_functions && object_is(s->devices[i], "VfsGranted");
        if (only_functions)
                (void)printf("%s %s no virtual functions any more, nor consent for any; the rules that were "
                             "made for %s are removed.\n",
                             text, s->n == 1 ? "has" : "have", it);
        else
                (void)printf("%s %s with the host again, without consent; the rules that were made for %s "
                             "are removed.\n",
                             text, s->n == 1 ? "is" : "are", it);
}

ExitCode command_return(Cli *cli) {
        _cleanup_selection_ Selection s = {};
        _cleanup_free_ char *text = NULL;
        char doing[256];
        ExitCode code = selection_find(cli, true, &s);

        if (code != EXIT_DONE)
                return code;
        text = selection_text(s.devices, s.n);
        if (!text)
                return complain_oom();
        (void)snprintf(doing, sizeof doing, "Returning %s to the host", text);
        code = return_all(cli, &s, doing);
        if (code == EXIT_DONE)
                report_returned(&s, text);
        return code;
}
