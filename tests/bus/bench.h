/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A bench for tests over the wire: a fake host, a private bus, a scripted polkit, the helper (which the bus starts
 * when it is called) and, on demand, the daemon. The test itself is one event loop that plays polkit and all
 * callers; it waits for replies, signals and ends of processes, each with a deadline, and never for time to pass.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "standard-devices.h"
#include "names.h"

/* dbus-daemon turns away users without an entry in passwd(5); these numbers have one on each distribution. */
#define DAEMON_UID 1
#define ADMIN_UID 2
#define OTHER_UID 3
#define NOBODY_UID 65534

#define POLKIT_ASKED_MAX 80

typedef enum PolkitMode {
        POLKIT_YES,
        POLKIT_NO,
        POLKIT_CHALLENGE, /* would have to prompt */
        POLKIT_DISMISSED, /* somebody closes the prompt */
        POLKIT_HANG,      /* the prompt stands until polkit_settle() */
        POLKIT_ERROR,
        POLKIT_GONE, /* nobody owns polkit's name */
} PolkitMode;

typedef struct PolkitAsked {
        char subject_kind[32], subject[64], action[96], cancel_id[64];
        char details[1024]; /* "key=value\n" in the order of the call */
        uint32_t flags;
        bool cancelled;
        sd_bus_message *call; /* while it hangs */
} PolkitAsked;

#define SIGNALS_MAX 256
#define KEPT_MAX 16

/* What the daemon has in the store of its service manager, who is us. */
typedef struct Kept {
        char name[256];
        int fd;
} Kept;

/* A signal of the daemon: "PropertiesChanged 0000:01:00.0 Driver=vfio-pci State=pool", "InterfacesAdded 0000:...".
 * Of the properties only strings are shown. */
typedef struct Signal {
        char text[512];
} Signal;

typedef struct Bench {
        FakeHost *host;
        sd_event *event;
        char bus_address[256];
        pid_t bus, daemon;
        sd_bus *root; /* uid 0 */
        sd_bus *polkit_bus;
        PolkitMode polkit_mode;
        size_t n_asked, n_cancelled;
        PolkitAsked asked[POLKIT_ASKED_MAX];
        size_t n_signals;
        Signal signals[SIGNALS_MAX];
        int notify; /* the service manager's socket, or -1: there is none */
        size_t n_kept;
        Kept kept[KEPT_MAX];
        char waiting_for[256];            /* for the message when it waited too long */
        bool failed_wait, watching, deaf; /* deaf: signals are not kept */
} Bench;

typedef struct Pending {
        sd_bus_slot *slot;
        sd_bus_message *reply; /* NULL until it is there */
} Pending;

/* The devices of tests/unit/request-fixture.h. helper_idle_ms 0: the helper stays. */
Bench *bench_new(unsigned helper_idle_ms);
Bench *bench_free(Bench *b);

int bench_setup(void **state);
int bench_teardown(void **state);

/* One more connection to the bus, of this user; bench_disconnect() closes it. */
sd_bus *bench_connect(Bench *b, uid_t uid);
sd_bus *bench_disconnect(sd_bus *bus);
/* Plays the daemon: a connection of the daemon's user that owns the daemon's name. */
sd_bus *bench_connect_as_daemon(Bench *b);
const char *bench_name(sd_bus *bus);

/* Runs the loop until condition() holds; fails the test when that takes too long. */
void bench_until(Bench *b, bool (*condition)(void *userdata), void *userdata);

Pending *bench_start(Bench *b, sd_bus *from, const char *to, const char *path, const char *interface,
                     const char *member, bool interactive, const char *types, ...);
Pending *bench_start_message(Bench *b, sd_bus *from, sd_bus_message *m); /* frees m */
sd_bus_message *bench_finish(Bench *b, Pending *p);                      /* frees p */
Pending *bench_drop(Pending *p);

/* Call and wait. */
sd_bus_message *bench_call_helper(Bench *b, sd_bus *from, const char *member, const char *types, ...);

sd_bus_message *bench_callv(Bench *b, sd_bus *from, const char *path, const char *interface,
                            const char *member, const char *types, va_list ap);

sd_bus_message *bench_send(Bench *b, sd_bus *from, sd_bus_message *m); /* frees m */

/* These free the message. name: without the prefix of our errors, a full one with dots, or NULL for any. */
void bench_expect_success(sd_bus_message *reply);
void bench_expect_error(sd_bus_message *reply, const char *name, const char *text);

void polkit_set_mode(Bench *b, PolkitMode mode);
void polkit_settle(Bench *b, size_t i, bool yes);
void bench_until_asked(Bench *b, size_t n);
void bench_until_cancelled(Bench *b, size_t n);
void bench_until_gone(Bench *b, const char *name); /* nobody owns it any more */
const char *polkit_detail(Bench *b, size_t i, const char *key);

pid_t bench_helper_pid(Bench *b); /* 0: none runs */
void bench_kill_helper(Bench *b); /* by -9; none need run */
/* Each line that was logged stands there once. */
void bench_expect_no_line_twice(Bench *b);

/* The daemon under test, until the end or bench_kill_daemon(); start returns when it owns its name. */
void bench_launch_daemon(Bench *b);
void bench_start_daemon(Bench *b);
void bench_kill_daemon(Bench *b);
/* From its next start on the daemon has a service manager, who keeps descriptors for it. */
void bench_keep_descriptors(Bench *b);
size_t bench_count_kept(Bench *b);
void bench_stop_daemon(Bench *b); /* as systemd does */
const char *bench_device_path(const char *address);
sd_bus_message *bench_call_device(Bench *b, sd_bus *from, const char *address, const char *member);
sd_bus_message *bench_call_manager(Bench *b, sd_bus *from, const char *member, const char *types, ...);
/* A property of a device, in a static buffer; fails the test when there is none. */
const char *bench_get(Bench *b, const char *address, const char *property);
void bench_until_property(Bench *b, const char *address, const char *property, const char *value);
/* A signal that begins with this text; how many there were. */
void bench_until_signal(Bench *b, const char *text);
void bench_until_more_signals(Bench *b, size_t than);
size_t bench_count_signals(Bench *b, const char *text);

/* Compares an interface of an introspection with the one of a file below dbus/. */
void bench_expect_introspection(Bench *b, const char *to, const char *path, const char *interface);
