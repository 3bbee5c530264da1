/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent.h"
#include "findings.h"
#include "names.h"

#define DRIVER "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"
#define SYSTEMD "org.freedesktop.systemd1"
#define POLKIT "org.freedesktop.PolicyKit1"

/* One of the services that must be there. */
typedef struct Service {
        const char *code, *name, *unit, *what;
} Service;

static const Service services[] = {
                {"service", BUS_NAME, "verge-passthroughd.service", "The service"},
                {"helper", HELPER_NAME, "verge-passthrough-helper.service", "The privileged helper"},
                {"polkit", POLKIT, "polkit.service", "polkit, which says who may do what,"},
};

/* What systemd knows of a unit. */
typedef struct Unit {
        char *load, *active, *result, *file;
} Unit;

static void unit_done(Unit *u) {
        free(u->load);
        free(u->active);
        free(u->result);
        free(u->file);
}

/* Calls somebody else than the service. *ret NULL: it failed, and *ret_error (if not NULL) says why. */
static ExitCode ask(Client *c, const char *to, const char *path, const char *interface, const char *member,
                    sd_bus_message **ret, char **ret_error, const char *types, ...) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *reply = NULL;
        ExitCode code;
        va_list ap;
        int r;

        r = sd_bus_message_new_method_call(c->bus, &call, to, path, interface, member);
        if (r < 0)
                return client_complain_message(r);
        va_start(ap, types);
        r = sd_bus_message_appendv(call, types, ap);
        va_end(ap);
        if (r < 0)
                return client_complain_message(r);
        code = client_ask(c, call, NULL, 0, &reply);
        if (code != EXIT_DONE)
                return code;
        if (!sd_bus_message_is_method_error(reply, NULL))
                *ret = STEAL(reply);
        else if (ret_error)
                *ret_error = strdup(strempty(sd_bus_message_get_error(reply)->message));
        return EXIT_DONE;
}

static ExitCode unit_property(Client *c, const char *path, const char *interface, const char *property,
                              char **ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *text;
        ExitCode code;

        code = ask(c, SYSTEMD, path, "org.freedesktop.DBus.Properties", "Get", &reply, NULL, "ss", interface,
                   property);
        *ret = reply && sd_bus_message_read(reply, "v", "s", &text) >= 0 ? strdup(text) : NULL;
        return code;
}

/* ret->load is NULL if systemd cannot be asked. */
static ExitCode load_unit(Client *c, const char *name, Unit *ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;
        const char *path;

        code = ask(c, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "LoadUnit", &reply, NULL,
                   "s", name);
        if (code != EXIT_DONE || !reply || sd_bus_message_read(reply, "o", &path) < 0)
                return code;
        code = unit_property(c, path, SYSTEMD ".Unit", "LoadState", &ret->load);
        if (code == EXIT_DONE)
                code = unit_property(c, path, SYSTEMD ".Unit", "ActiveState", &ret->active);
        if (code == EXIT_DONE)
                code = unit_property(c, path, SYSTEMD ".Unit", "UnitFileState", &ret->file);
        if (code == EXIT_DONE)
                code = unit_property(c, path, SYSTEMD ".Service", "Result", &ret->result);
        return code;
}

static void add_unit(json_t *findings, const Service *s, const Unit *u, const char *why) {
        char command[128];

        if (streq(u->load, "masked")) {
                (void)snprintf(command, sizeof command, "sudo systemctl unmask %s%s",
                               streq(strempty(u->file), "masked-runtime") ? "--runtime " : "", s->unit);
                findings_add(findings, s->code, "error", command, "Take the mask away.",
                             "%s cannot be started: its unit %s is masked.", s->what, s->unit);
        } else if (streq(u->load, "not-found"))
                findings_add(findings, s->code, "error", NULL,
                             "Install the package, then run 'systemctl daemon-reload'.",
                             "%s is not installed: systemd knows no unit %s.", s->what, s->unit);
        else if (streq(u->active, "failed") && streq(strempty(u->result), "start-limit-hit")) {
                (void)snprintf(command, sizeof command, "sudo systemctl reset-failed %s", s->unit);
                findings_add(findings, s->code, "error", command,
                             "The journal says why it ended; then let systemd try again.",
                             "%s ended too often, so systemd starts it no more.", s->what);
        } else if (streq(u->active, "failed")) {
                (void)snprintf(command, sizeof command, "journalctl -b -u %s", s->unit);
                findings_add(findings, s->code, "error", command, "The journal says more.",
                             "%s has failed (%s).", s->what, strempty(u->result));
        } else {
                (void)snprintf(command, sizeof command, "systemctl status %s", s->unit);
                findings_add(findings, s->code, "error", command, "Its status and the journal say more.",
                             "%s does not answer (%s).", s->what, why);
        }
}

/* Starts it, if it does not run: what cannot be started is what the user would meet, too. */
static ExitCode add_service(Client *c, json_t *findings, const Service *s, bool *ret_there) {
        _cleanup_bus_message_ sd_bus_message *owner = NULL, *reply = NULL;
        _cleanup_free_ char *error = NULL;
        _cleanup_(unit_done) Unit unit = {};
        ExitCode code;

        code = ask(c, DRIVER, DRIVER_PATH, DRIVER, "GetNameOwner", &owner, NULL, "s", s->name);
        if (code == EXIT_DONE && !owner)
                code = ask(c, DRIVER, DRIVER_PATH, DRIVER, "StartServiceByName", &reply, &error, "su",
                           s->name, 0);
        *ret_there = owner || reply;
        if (code == EXIT_DONE && !*ret_there)
                code = load_unit(c, s->unit, &unit);
        if (code != EXIT_DONE)
                return code;
        if (*ret_there)
                findings_add(findings, s->code, "ok", NULL, NULL, "%s runs.", s->what);
        else if (unit.load && unit.active)
                add_unit(findings, s, &unit, strempty(error));
        else
                findings_add(findings, s->code, "error", NULL, "Install the package, and start the service.",
                             "%s does not answer, and there is no systemd to ask why (%s).", s->what,
                             strempty(error));
        return EXIT_DONE;
}

/* What polkit would say to the caller. */
typedef enum Verdict {
        VERDICT_UNKNOWN,
        VERDICT_NO,
        VERDICT_PROMPT,
        VERDICT_YES,
        VERDICT_MAX,
} Verdict;

static ExitCode ask_polkit(Client *c, const char *action, Verdict *ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r, yes = false, prompt = false;
        const char *self;
        ExitCode code;

        *ret = VERDICT_UNKNOWN;
        r = sd_bus_get_unique_name(c->bus, &self);
        if (r < 0)
                return client_complain_message(r);
        code = ask(c, POLKIT, "/org/freedesktop/PolicyKit1/Authority", POLKIT ".Authority",
                   "CheckAuthorization", &reply, NULL, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                   self, action, 0, 0U, "");
        if (reply && sd_bus_message_enter_container(reply, 'r', "bba{ss}") >= 0 &&
            sd_bus_message_read(reply, "bb", &yes, &prompt) >= 0)
                *ret = yes ? VERDICT_YES : prompt ? VERDICT_PROMPT : VERDICT_NO;
        return code;
}

static ExitCode add_authorization(Client *c, json_t *findings) {
        static const char *const words[VERDICT_MAX] = {
                        [VERDICT_NO] = "not",
                        [VERDICT_PROMPT] = "with a password",
                        [VERDICT_YES] = "without a password",
        };
        Verdict manage, claim;
        ExitCode code;

        code = ask_polkit(c, POLKIT_ACTION_MANAGE, &manage);
        if (code == EXIT_DONE)
                code = ask_polkit(c, POLKIT_ACTION_CLAIM, &claim);
        if (code != EXIT_DONE)
                return code;
        if (manage == VERDICT_UNKNOWN || claim == VERDICT_UNKNOWN)
                findings_add(findings, "authorization", "warning",
                             "pkaction --verbose --action-id " POLKIT_ACTION_MANAGE,
                             "See whether polkit knows the service's actions.",
                             "polkit does not say what you may do.");
        else if (manage == VERDICT_NO && claim == VERDICT_NO)
                findings_add(findings, "authorization", "warning", NULL,
                             "An administrator can do it, or let you by a rule of polkit; see "
                             "org.verge.Passthrough(5).",
                             "You may look, but move no device and have no VM claim one: polkit says no.");
        else
                findings_add(findings, "authorization", "ok", NULL, NULL,
                             "You may move devices %s, and have VMs claim them %s.", words[manage],
                             words[claim]);
        return EXIT_DONE;
}

static void add_agent(json_t *findings) {
        if (geteuid() == 0)
                return;
        if (agent_is_installed())
                findings_add(findings, "polkit-agent", "ok", NULL, NULL,
                             "polkit can ask for passwords in a terminal.");
        else
                findings_add(findings, "polkit-agent", "warning", NULL,
                             "Install the package that has pkttyagent: polkitd on Debian, polkit elsewhere.",
                             "polkit cannot ask for passwords in a terminal: there is no pkttyagent.");
}

ExitCode findings_of_service(Client *c, json_t *findings, bool *ret_reachable) {
        bool there = false, polkit = false;
        ExitCode code = EXIT_DONE;

        *ret_reachable = false;
        for (size_t i = 0; i < ELEMENTSOF(services) && code == EXIT_DONE; i++) {
                code = add_service(c, findings, &services[i], &there);
                *ret_reachable = i == 0 ? there : *ret_reachable;
                polkit = there;
        }
        if (code == EXIT_DONE && polkit)
                code = add_authorization(c, findings);
        if (code == EXIT_DONE)
                add_agent(findings);
        return code;
}
