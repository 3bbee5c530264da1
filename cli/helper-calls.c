/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <unistd.h>

#include "helper-calls.h"

bool helper_is_ours(void) {
        return geteuid() == 0;
}

/* A call about these devices, which come first in its arguments. */
static ExitCode new_call(Cli *cli, const char *member, const Object *const devices[], size_t n,
                         sd_bus_message **ret) {
        ExitCode code = client_new_helper_call(&cli->client, member, ret);
        int r;

        if (code != EXIT_DONE)
                return code;
        r = selection_append_addresses(*ret, devices, n);
        return r < 0 ? client_complain_message(r) : EXIT_DONE;
}

ExitCode helper_grant(Cli *cli, const Object *const devices[], size_t n, uint32_t confirm, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code = new_call(cli, "Grant", devices, n, &call);
        int r;

        if (code != EXIT_DONE)
                return code;
        if ((r = selection_append_reasons(call, &cli->options)) < 0 ||
            (r = sd_bus_message_append(call, "bus", confirm > 0, confirm, "")) < 0)
                return client_complain_message(r);
        return client_try(&cli->client, call, "Giving consent", 0, NULL, f);
}

ExitCode helper_grant_vfs(Cli *cli, const Object *const devices[], size_t n, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code = new_call(cli, "GrantVfs", devices, n, &call);
        int r;

        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "bs", false, "");
        if (r < 0)
                return client_complain_message(r);
        return client_try(&cli->client, call, "Giving consent", 0, NULL, f);
}

ExitCode helper_revoke(Cli *cli, const Object *const devices[], size_t n, bool release, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code = new_call(cli, "Revoke", devices, n, &call);
        int r;

        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "bs", release, "");
        if (r < 0)
                return client_complain_message(r);
        return client_try(&cli->client, call, "Taking consent back", 0, NULL, f);
}

ExitCode helper_drop(Cli *cli, const Object *const devices[], size_t n, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code = new_call(cli, "Drop", devices, n, &call);

        return code == EXIT_DONE ? client_try(&cli->client, call, "Taking consent back", 0, NULL, f) : code;
}

ExitCode helper_change_ids(Cli *cli, bool grant, char *const ids[], size_t n) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code;
        int r;

        code = client_new_helper_call(&cli->client, grant ? "GrantIds" : "RevokeIds", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_open_container(call, 'a', "s");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_message_append_basic(call, 's', ids[i]);
        if (r < 0 || (r = sd_bus_message_close_container(call)) < 0 ||
            (r = sd_bus_message_append(call, "s", "")) < 0)
                return client_complain_message(r);
        return client_call(&cli->client, call, grant ? "Giving consent" : "Taking consent back", NULL);
}
