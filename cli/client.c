/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <signal.h>

#include "agent.h"
#include "client.h"
#include "names.h"
#include "progress.h"

#define TIMEOUT_USEC (300ULL * 1000 * 1000)

typedef struct Answer {
        sd_bus_message *reply;
        bool done;
} Answer;

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
        Client *c = userdata;

        c->interrupted = true;
        return 0;
}

static ExitCode no_bus(int r) {
        return complain(EXIT_NO_SERVICE,
                        "The system bus cannot be reached: %s. Is dbus running? See 'systemctl status "
                        "dbus'.",
                        strerror(-r));
}

ExitCode client_open(Client *c, bool may_ask) {
        sigset_t set;
        int r;

        *c = (Client){.may_ask = may_ask};
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);

        r = sd_event_new(&c->event);
        if (r >= 0)
                r = sd_event_add_signal(c->event, &c->signals[0], SIGINT, on_signal, c);
        if (r >= 0)
                r = sd_event_add_signal(c->event, &c->signals[1], SIGTERM, on_signal, c);
        if (r < 0)
                return complain(EXIT_FAILED, "No event loop can be made: %s.", strerror(-r));
        r = sd_bus_open_system(&c->bus);
        if (r < 0)
                return no_bus(r);
        r = sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? no_bus(r) : EXIT_DONE;
}

void client_close(Client *c) {
        agent_close(c);
        c->bus = sd_bus_close_unref(c->bus);
        for (size_t i = 0; i < ELEMENTSOF(c->signals); i++)
                c->signals[i] = sd_event_source_unref(c->signals[i]);
        c->event = sd_event_unref(c->event);
}

int client_open_entry(sd_bus_message *m, const char *key, const char *type) {
        int r = sd_bus_message_open_container(m, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', key);
        return r < 0 ? r : sd_bus_message_open_container(m, 'v', type);
}

int client_close_entry(sd_bus_message *m) {
        int r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

ExitCode client_complain_message(int r) {
        return complain(EXIT_FAILED, "The call could not be put together: %s.", strerror(-r));
}

ExitCode client_new_call(Client *c, const char *path, const char *interface, const char *member,
                         sd_bus_message **ret) {
        int r = sd_bus_message_new_method_call(c->bus, ret, BUS_NAME, path, interface, member);

        return r < 0 ? client_complain_message(r) : EXIT_DONE;
}

ExitCode client_new_helper_call(Client *c, const char *member, sd_bus_message **ret) {
        int r = sd_bus_message_new_method_call(c->bus, ret, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE,
                                               member);

        return r < 0 ? client_complain_message(r) : EXIT_DONE;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Answer *a = userdata;

        a->reply = sd_bus_message_ref(m);
        a->done = true;
        return 0;
}

ExitCode client_run(Client *c, const bool *done) {
        int r;

        while (!*done) {
                if (c->interrupted)
                        return EXIT_INTERRUPTED;
                r = sd_event_run(c->event, UINT64_MAX);
                if (r < 0 || sd_bus_is_open(c->bus) <= 0)
                        return *done ? EXIT_DONE : no_bus(r < 0 ? r : -ECONNRESET);
        }
        return EXIT_DONE;
}

/* Errors of the bus in the service's place: it is not there, left before it answered, or cannot be started. */
static bool is_lost_service(const sd_bus_error *e) {
        static const char *const names[] = {
                        SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                        SD_BUS_ERROR_NO_REPLY,        SD_BUS_ERROR_TIMEOUT,
                        SD_BUS_ERROR_DISCONNECTED,    "org.freedesktop.DBus.Error.TimedOut",
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (sd_bus_error_has_name(e, names[i]))
                        return true;
        return e->name && (startswith(e->name, "org.freedesktop.DBus.Error.Spawn.") ||
                           startswith(e->name, "org.freedesktop.systemd1."));
}

static ExitCode judge_error(sd_bus_message *call, const sd_bus_error *e, Failure *f) {
        bool helper = streq(strempty(sd_bus_message_get_destination(call)), HELPER_NAME);

        if (is_lost_service(e))
                return complain(EXIT_NO_SERVICE,
                                "The %s does not answer (%s). 'passthroughctl doctor' says why and what to "
                                "do.",
                                helper ? "privileged helper" : "service", strempty(e->message));
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_ACCESS_DENIED))
                return complain(EXIT_NOT_ALLOWED, "The bus does not let you call the %s: %s",
                                helper ? "privileged helper" : "service", strempty(e->message));
        if (sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_METHOD) ||
            sd_bus_error_has_name(e, SD_BUS_ERROR_UNKNOWN_OBJECT))
                (void)failure_set(f, FAILURE_NO_SUCH_OBJECT,
                                  "It is gone, or the service is of another version than this tool: %s",
                                  strempty(e->message));
        else
                failure_from_bus(f, e);
        return exit_code_from_failure(f->kind);
}

static ExitCode complain_interrupted(const char *doing) {
        if (!doing)
                return complain(EXIT_INTERRUPTED, "Interrupted.");
        return complain(EXIT_INTERRUPTED,
                        "Interrupted while %c%s. What had begun by then the service ends or undoes by "
                        "itself; 'passthroughctl show' tells how things stand.",
                        tolower((unsigned char)doing[0]), doing + 1);
}

ExitCode client_ask(Client *c, sd_bus_message *call, const char *doing, uint64_t timeout_usec,
                    sd_bus_message **ret_reply) {
        _cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
        _cleanup_(progress_freep) Progress *progress = NULL;
        Answer answer = {};
        ExitCode code;
        int r;

        if (doing && c->may_ask) {
                agent_open(c);
                (void)sd_bus_message_set_allow_interactive_authorization(call, true);
        }
        if (doing)
                progress = progress_new(c, doing);
        r = sd_bus_call_async(c->bus, &slot, call, on_answer, &answer,
                              timeout_usec ? timeout_usec : TIMEOUT_USEC);
        if (r < 0)
                return no_bus(r);

        code = client_run(c, &answer.done);
        progress = progress_free(progress);
        if (code == EXIT_INTERRUPTED)
                return complain_interrupted(doing);
        *ret_reply = answer.reply;
        return code;
}

ExitCode client_try(Client *c, sd_bus_message *call, const char *doing, uint64_t timeout_usec,
                    sd_bus_message **ret_reply, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;

        code = client_ask(c, call, doing, timeout_usec, &reply);
        if (code != EXIT_DONE)
                return code;
        if (sd_bus_message_is_method_error(reply, NULL))
                return judge_error(call, sd_bus_message_get_error(reply), f);
        if (ret_reply)
                *ret_reply = STEAL(reply);
        return EXIT_DONE;
}

ExitCode client_call(Client *c, sd_bus_message *call, const char *doing, sd_bus_message **ret_reply) {
        Failure f = {};
        ExitCode code = client_try(c, call, doing, 0, ret_reply, &f);

        return f.kind == FAILURE_NONE ? code : complain_failure(&f);
}

ExitCode client_ask_object(Client *c, const char *path, const char *interface, const char *member,
                           sd_bus_message **ret_reply) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code = client_new_call(c, path, interface, member, &call);

        return code == EXIT_DONE ? client_call(c, call, NULL, ret_reply) : code;
}

ExitCode client_complain_answer(int r) {
        return complain(EXIT_FAILED, "The service's answer cannot be read: %s.",
                        strerror(r < 0 ? -r : EBADMSG));
}

ExitCode client_read_json(sd_bus_message *reply, json_t **ret) {
        int r = bus_json_read(reply, ret);

        return r > 0 ? EXIT_DONE : client_complain_answer(r);
}
