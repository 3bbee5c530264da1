/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "commands.h"
#include "helper-calls.h"
#include "names.h"
#include "orders.h"
#include "sriov.h"
#include "time-span.h"

#define CONFIRM_SECONDS_MIN 10U
#define CONFIRM_SECONDS_MAX 3600U

typedef struct Making {
        Selection selection;
        Selection granted; /* by us, at the helper, as root */
        uint64_t confirm;  /* seconds, or 0 */
        bool of_vfs;       /* the group takes virtual functions: the devices stay with the host */
} Making;

static void making_done(Making *m) {
        selection_done(&m->selection);
        selection_done(&m->granted);
}

static bool set_has_consent(const Selection *s, uint64_t set) {
        for (size_t i = 0; i < s->n; i++)
                if (object_number(s->devices[i], "IommuSet") == set && !object_is(s->devices[i], "Granted"))
                        return false;
        return true;
}

static bool is_of_vfs(const Cli *cli) {
        const char *name = option_value(&cli->options, OPTION_GROUP);
        const char *type = option_value(&cli->options, OPTION_TYPE);
        const Model *m = &cli->model;

        for (size_t i = 0; i < m->n[KIND_GROUP]; i++)
                if (streq(m->objects[KIND_GROUP][i].name, name))
                        type = object_text(&m->objects[KIND_GROUP][i], "Type");
        return type && streq(type, "sriov-nic");
}

static bool has_consent(const Making *m, const Object *device) {
        if (m->of_vfs)
                return object_is(device, "VfsGranted");
        return m->confirm == 0 && set_has_consent(&m->selection, object_number(device, "IommuSet"));
}

/* Whole sets, as the helper wants them; what has consent keeps it as it is, so that nothing older than this command is
 * taken back if it fails. With a time to confirm it all is granted anew, and the older consent stays below that. */
static ExitCode choose_grants(Making *m) {
        const Selection *s = &m->selection;

        m->granted.devices = calloc(s->n + 1, sizeof *m->granted.devices);
        if (!m->granted.devices)
                return complain_oom();
        for (size_t i = 0; i < s->n; i++)
                if (!has_consent(m, s->devices[i]))
                        m->granted.devices[m->granted.n++] = s->devices[i];
        return EXIT_DONE;
}

static ExitCode grant_as_root(Cli *cli, Making *m) {
        Failure f = {};
        ExitCode code;

        if (!helper_is_ours())
                return EXIT_DONE;
        code = choose_grants(m);
        if (code != EXIT_DONE || m->granted.n == 0)
                return code;
        code = m->of_vfs ? helper_grant_vfs(cli, m->granted.devices, m->granted.n, &f)
                         : helper_grant(cli, m->granted.devices, m->granted.n, (uint32_t)m->confirm, &f);
        if (f.kind != FAILURE_NONE)
                (void)complain_failure(&f);
        if (code != EXIT_DONE)
                m->granted.n = 0;
        return code;
}

/* What the service does behind an interrupted call needs the consent, and it may come to its end; a service that died
 * in the call decides that when it is back. What is pending the helper itself takes back at the end of its time. */
static void ungrant_as_root(Cli *cli, const Making *m, ExitCode why) {
        _cleanup_free_ char *text = selection_text(m->granted.devices, m->granted.n);
        bool unknown = why == EXIT_INTERRUPTED || why == EXIT_NO_SERVICE;
        const Selection *s = &m->granted;
        Failure f = {};
        ExitCode code;

        if (s->n == 0 || (unknown && m->confirm > 0))
                return;
        if (unknown)
                (void)complain(why, "The consent for %s stays; 'passthroughctl revoke' takes it back.",
                               strempty(text));
        else if (m->confirm > 0)
                (void)helper_drop(cli, s->devices, s->n, &f);
        else {
                code = helper_revoke(cli, s->devices, s->n, false, &f);
                if (f.kind != FAILURE_NONE)
                        (void)complain(code,
                                       "The consent for %s could not be taken back: %s 'passthroughctl "
                                       "return' tries all of it again.",
                                       strempty(text), f.sentence);
        }
}

static int append_text(sd_bus_message *call, const Options *o, Option option) {
        return option_given(o, option) ? sd_bus_message_append(call, "{sv}", option_info(option)->name, "s",
                                                               option_value(o, option))
                                       : 0;
}

static int append_arguments(sd_bus_message *call, const Options *o, const Making *m) {
        const Selection *s = &m->selection;
        int r;

        if ((r = selection_append_paths(call, s->devices, s->n_named)) < 0 ||
            (r = sd_bus_message_append(call, "s", option_value(o, OPTION_GROUP))) < 0 ||
            (r = sd_bus_message_open_container(call, 'a', "{sv}")) < 0 ||
            (r = selection_append_siblings(call, s)) < 0 || (r = selection_append_consent(call, o)) < 0 ||
            (r = append_text(call, o, OPTION_CLASS)) < 0 ||
            (r = append_text(call, o, OPTION_DESCRIPTION)) < 0 ||
            (r = append_text(call, o, OPTION_BINDING)) < 0 || (r = append_text(call, o, OPTION_TYPE)) < 0 ||
            (r = sriov_append(call, o, OPTIONS_SRIOV_GROUP, NULL)) < 0)
                return r;
        if (m->confirm > 0)
                r = sd_bus_message_append(call, "{sv}", "confirm-seconds", "u", (uint32_t)m->confirm);
        return r < 0 ? r : sd_bus_message_close_container(call);
}

static ExitCode call_make(Cli *cli, const Making *m, sd_bus_message **ret) {
        _cleanup_free_ char *text = selection_text(m->selection.devices, m->selection.n_named);
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        char doing[256];
        Failure f = {};
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "MakePassthrough", &call);
        if (code != EXIT_DONE)
                return code;
        r = append_arguments(call, &cli->options, m);
        if (r < 0)
                return client_complain_message(r);
        (void)snprintf(doing, sizeof doing, "Making %s passthrough", strempty(text));
        code = client_try(&cli->client, call, doing, 0, ret, &f);
        if (f.kind != FAILURE_NONE)
                (void)complain_failure(&f);
        return code;
}

static void say_until(uint64_t usec) {
        time_t seconds = (time_t)(usec / 1000000U);
        char text[16];
        struct tm tm;

        if (usec == 0 || !localtime_r(&seconds, &tm) || strftime(text, sizeof text, "%T", &tm) == 0)
                return;
        (void)printf("Unless you type 'passthroughctl confirm' before, all of this is undone at %s. Try "
                     "from a new session whether the host is as it should be; 'passthroughctl revert' "
                     "undoes it now.\n",
                     text);
}

/* Of a physical function those that are in the group, too. */
static uint64_t count_members(const Model *m, const Object *device, const Object *group) {
        uint64_t n = 0;
        json_t *path;
        size_t i;

        json_array_foreach(object_list(device, "VirtualFunctions"), i, path) {
                const Object *function = model_at(m, strempty(json_string_value(path)));

                n += function && list_has(object_list(group, "Devices"), function->path);
        }
        return n;
}

/* How many functions they have by now. */
static void say_vfs(const Model *m, const Selection *s, const Object *group) {
        uint64_t n = 0, n_members = 0;
        char count[COUNT_SIZE], strays[COUNT_SIZE];

        for (size_t i = 0; i < s->n_named; i++) {
                const Object *device = model_at(m, s->devices[i]->path);

                n += device ? object_number(device, "SriovNumVfs") : 0;
                n_members += device ? count_members(m, device, group) : 0;
        }
        (void)printf("%s with the host and %s %s for VMs, %s.\n", s->n_named == 1 ? "It stays" : "They stay",
                     s->n_named == 1 ? "has" : "have", orders_count(n, "virtual function", count),
                     streq(object_text(group, "Binding"), "persistent") && object_is(group, "Enabled")
                                     ? "on vfio-pci now and after each reboot"
                                     : "without a driver until a VM starts");
        if (n_members < n)
                (void)printf("But %s %s to another group, by an older rule: 'passthroughctl vfs' shows "
                             "which, 'passthroughctl rule list' the rules.\n",
                             orders_count(n - n_members, "function", strays),
                             n - n_members == 1 ? "belongs" : "belong");
}

static void say_what_comes(const Object *group, bool one, bool waits) {
        const char *they = one ? "It" : "They";

        if (!object_is(group, "Enabled"))
                (void)printf("The group is switched off, so nothing is bound for it.\n");
        else if (!streq(object_text(group, "Binding"), "persistent"))
                (void)printf("%s %s with the host until a VM starts that claims %s.\n", they,
                             one ? "stays" : "stay", one ? "it" : "them");
        else
                (void)printf("%s %s on vfio-pci now%s.\n", they, one ? "is" : "are",
                             waits ? "" : ", and after each reboot");
}

/* What became of it, as the service sees it now: the group may have been there before. */
static ExitCode report_made(Cli *cli, const Making *m, sd_bus_message *reply) {
        const Selection *s = &m->selection;
        _cleanup_free_ char *named = selection_text(s->devices, s->n_named);
        _cleanup_free_ char *others = selection_text(s->devices + s->n_named, s->n - s->n_named);
        _cleanup_(model_done) Model after = {};
        _cleanup_json_ json_t *host = NULL;
        const Object *group;
        const char *path;
        ExitCode code;

        if (!named || !others)
                return complain_oom();
        if (sd_bus_message_read(reply, "o", &path) < 0)
                return client_complain_answer(-EBADMSG);
        code = model_load(&cli->client, &after);
        if (code == EXIT_DONE)
                code = model_load_host(&cli->client, &host);
        if (code != EXIT_DONE)
                return code;
        group = model_at(&after, path);
        (void)printf("%s %s in the group '%s'.", named, s->n_named == 1 ? "is" : "are",
                     group ? group->name : option_value(&cli->options, OPTION_GROUP));
        if (s->n > s->n_named)
                (void)printf(" %s %s along.", others, s->n == s->n_named + 1 ? "moves" : "move");
        (void)fputc('\n', stdout);
        if (group && m->of_vfs)
                say_vfs(&after, s, group);
        else if (group)
                say_what_comes(group, s->n == 1, m->confirm > 0);
        if (m->confirm > 0)
                say_until(object_number(&(const Object){.properties = host}, "ConfirmUntil"));
        return EXIT_DONE;
}

ExitCode command_make(Cli *cli) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_(making_done) Making m = {};
        ExitCode code;

        if (!option_given(&cli->options, OPTION_GROUP))
                return complain(EXIT_USAGE, "'make' needs --group=GROUP: one that exists, or a name for a "
                                            "new one. 'passthroughctl group list' shows which there are.");
        code = sriov_check(&cli->options, OPTIONS_SRIOV_GROUP);
        if (code == EXIT_DONE)
                code = time_span_option(&cli->options, OPTION_CONFIRM, CONFIRM_SECONDS_MIN,
                                        CONFIRM_SECONDS_MAX, &m.confirm);
        if (code == EXIT_DONE)
                code = selection_find(cli, option_given(&cli->options, OPTION_WHOLE_SET), &m.selection);
        m.of_vfs = code == EXIT_DONE && is_of_vfs(cli);
        if (code == EXIT_DONE)
                code = grant_as_root(cli, &m);
        if (code != EXIT_DONE)
                return code;
        code = call_make(cli, &m, &reply);
        if (code != EXIT_DONE) {
                ungrant_as_root(cli, &m, code);
                return code;
        }
        return report_made(cli, &m, reply);
}
