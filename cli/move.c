/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "names.h"
#include "selection.h"

typedef struct Verb {
        const char *member, *doing;
        bool whole_sets; /* one call moves all that move together */
        ExitCode (*report)(Cli *cli, const Object *device);
} Verb;

/* The group that binds one of them persistently, and with it all, if there is one. */
static const Object *find_binder(const Model *m, const Selection *s) {
        for (size_t i = 0; i < s->n; i++) {
                json_t *first = json_array_get(object_list(s->devices[i], "Groups"), 0);
                const Object *group = model_at(m, strempty(json_string_value(first)));

                if (group && object_is(group, "Enabled") &&
                    streq(object_text(group, "Binding"), "persistent"))
                        return group;
        }
        return NULL;
}

/* As the service sees it now; NULL: it has left meanwhile. */
static ExitCode look_again(Cli *cli, const Object *device, Model *ret_model, const Object **ret) {
        ExitCode code = model_load(&cli->client, ret_model);

        if (code == EXIT_DONE)
                *ret = model_at(ret_model, device->path);
        return code;
}

static ExitCode report_bound(Cli *cli, const Object *device) {
        _cleanup_(model_done) Model after = {};
        _cleanup_selection_ Selection s = {};
        _cleanup_free_ char *text = NULL;
        const Object *now = NULL, *group;
        ExitCode code = look_again(cli, device, &after, &now);

        if (code != EXIT_DONE || !now)
                return code;
        code = selection_of_set(&after, now, &s);
        if (code != EXIT_DONE)
                return code;
        text = selection_text(s.devices, s.n);
        if (!text)
                return complain_oom();
        group = find_binder(&after, &s);
        if (group)
                (void)printf("%s %s on vfio-pci, now and after each reboot: the group '%s' binds "
                             "persistently.\n",
                             text, s.n == 1 ? "is" : "are", group->name);
        else
                (void)printf("%s %s on vfio-pci until 'passthroughctl release' or a reboot.\n", text,
                             s.n == 1 ? "is" : "are");
        return EXIT_DONE;
}

static ExitCode report_released(Cli *cli, const Object *device) {
        _cleanup_(model_done) Model after = {};
        _cleanup_selection_ Selection s = {};
        const Object *now = NULL;
        ExitCode code = look_again(cli, device, &after, &now);

        if (code != EXIT_DONE || !now)
                return code;
        code = selection_of_set(&after, now, &s);
        for (size_t i = 0; i < s.n && code == EXIT_DONE; i++) {
                const char *driver = object_text(s.devices[i], "Driver");

                (void)printf("%s is with the host again, %s%s.\n", s.devices[i]->name,
                             isempty(driver) ? "without a driver" : "with its driver ", driver);
        }
        return code;
}

static ExitCode report_reset(Cli *cli, const Object *device) {
        (void)printf("%s was reset.\n", device->name);
        return EXIT_DONE;
}

static ExitCode report_unquarantined(Cli *cli, const Object *device) {
        (void)printf("%s may go to VMs again, as it is.\n", device->name);
        return EXIT_DONE;
}

static const Verb bind_verb = {"Bind", "Binding", true, report_bound};
static const Verb release_verb = {"Release", "Releasing", true, report_released};
static const Verb reset_verb = {"Reset", "Resetting", false, report_reset};
static const Verb end_quarantine_verb = {"EndQuarantine", "Ending the quarantine of", false,
                                         report_unquarantined};

static bool moves_with_one(const Object *device, const Object *const others[], size_t n) {
        uint64_t set = object_number(device, "IommuSet");

        for (size_t i = 0; i < n; i++)
                if (set != UINT32_MAX && object_number(others[i], "IommuSet") == set)
                        return true;
        return false;
}

/* Of each set the one that was named first. */
static size_t keep_one_of_each_set(const Object *devices[], size_t n) {
        size_t kept = 0;

        for (size_t i = 0; i < n; i++)
                if (!moves_with_one(devices[i], devices, kept))
                        devices[kept++] = devices[i];
        return kept;
}

/* One call for each, of the service, as root, too: it does not prompt root, and it alone knows which devices are
 * claimed, wanted by a group, or wait for a confirmation. The helper would move them all the same. */
static ExitCode call_one(Cli *cli, const Verb *verb, const Object *device) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        char doing[128];
        ExitCode code;

        code = client_new_call(&cli->client, device->path, BUS_INTERFACE_DEVICE, verb->member, &call);
        if (code != EXIT_DONE)
                return code;
        (void)snprintf(doing, sizeof doing, "%s %s", verb->doing, device->name);
        code = client_call(&cli->client, call, doing, NULL);
        return code == EXIT_DONE ? verb->report(cli, device) : code;
}

/* They were asked for in this order, and what is behind a failure may rely on what is in front of it. */
static ExitCode stop_at(const Object *const devices[], size_t n, size_t at, ExitCode code) {
        _cleanup_free_ char *done = selection_text(devices, at);
        _cleanup_free_ char *rest = selection_text(devices + at + 1, n - at - 1);

        if (!isempty(done))
                (void)complain(code, "Done before: %s.", done);
        if (!isempty(rest))
                (void)complain(code, "Not tried any more: %s.", rest);
        return code;
}

static ExitCode each(Cli *cli, const Verb *verb) {
        _cleanup_free_ const Object **devices = NULL;
        ExitCode code;
        size_t n;

        code = cli_find_devices(cli, &devices, &n);
        if (code != EXIT_DONE)
                return code;
        if (verb->whole_sets)
                n = keep_one_of_each_set(devices, n);
        for (size_t i = 0; i < n; i++) {
                code = call_one(cli, verb, devices[i]);
                if (code != EXIT_DONE)
                        return stop_at(devices, n, i, code);
        }
        return EXIT_DONE;
}

ExitCode command_bind(Cli *cli) {
        return each(cli, &bind_verb);
}

ExitCode command_release(Cli *cli) {
        return each(cli, &release_verb);
}

ExitCode command_reset(Cli *cli) {
        return each(cli, &reset_verb);
}

ExitCode command_end_quarantine(Cli *cli) {
        return each(cli, &end_quarantine_verb);
}
