/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The connection to the system bus. One call at a time is under way; while it is, an event loop waits for its answer,
 * for ctrl-C, and for what the service tells of its progress. All complaints are printed here, or returned as a Failure
 * by client_try().
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus-json.h"
#include "exit-code.h"

#define _cleanup_bus_message_ _cleanup_(sd_bus_message_unrefp)

typedef struct Client {
        sd_bus *bus;
        sd_event *event;
        sd_event_source *signals[2];
        bool may_ask;     /* polkit may prompt */
        bool interrupted; /* by SIGINT or SIGTERM, and for good */
        bool agent_tried;
        pid_t agent;
} Client;

/* Connects to the system bus; blocks SIGINT and SIGTERM, which end what is waited for. */
ExitCode client_open(Client *c, bool may_ask);
void client_close(Client *c);

/* The next call: to the service's object, or with "Helper" in place of the interface to the helper. Complains. */
ExitCode client_new_call(Client *c, const char *path, const char *interface, const char *member,
                         sd_bus_message **ret);
ExitCode client_new_helper_call(Client *c, const char *member, sd_bus_message **ret);

/* One entry of an a{sv} that has been opened, whose value is put together by who calls. Negative errno. */
int client_open_entry(sd_bus_message *m, const char *key, const char *type);
int client_close_entry(sd_bus_message *m);

/* What a call that could not even be put together is: a bug or lack of memory. */
ExitCode client_complain_message(int r);
/* An answer that is not of its form; 0: it has ended too early. */
ExitCode client_complain_answer(int r);
/* The next value of an answer. Complains. */
ExitCode client_read_json(sd_bus_message *reply, json_t **ret);

/* Sends the call and waits for its reply, five minutes at the most, since polkit's prompt takes its time. doing: for
 * people who wait, "Binding 0000:01:00.0"; NULL: it is quick, and polkit does not prompt. */
ExitCode client_call(Client *c, sd_bus_message *call, const char *doing, sd_bus_message **ret_reply);

/* A call of the service's object without arguments, which is quick. */
ExitCode client_ask_object(Client *c, const char *path, const char *interface, const char *member,
                           sd_bus_message **ret_reply);

/* The same as client_call() without a complaint: f->kind tells. timeout_usec 0: five minutes. EXIT_NO_SERVICE and
 * EXIT_INTERRUPTED are complained about. */
ExitCode client_try(Client *c, sd_bus_message *call, const char *doing, uint64_t timeout_usec,
                    sd_bus_message **ret_reply, Failure *f);

/* The same for calls to anybody; the reply may be an error. */
ExitCode client_ask(Client *c, sd_bus_message *call, const char *doing, uint64_t timeout_usec,
                    sd_bus_message **ret_reply);

/* Runs the loop until *done, or ctrl-C (EXIT_INTERRUPTED), or the bus is gone (EXIT_NO_SERVICE). */
ExitCode client_run(Client *c, const bool *done);
