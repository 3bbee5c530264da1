/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who has left, on a real bus of its own with a systemd-machined that is played here. Whatever is to have no effect is
 * followed by round trips: the bus takes and gives in order, so what is not there by then does not come. */

#include <sys/prctl.h>
#include <sys/wait.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "fake-host.h"
#include "machines.h"

#define DEADLINE_USEC (20ULL * 1000 * 1000)
#define MATCHES_MAX 6 /* that one connection may have, below */

#define OK(expression)                                                                                      \
        ({                                                                                                  \
                int _r = (expression);                                                                      \
                if (_r < 0)                                                                                 \
                        fail_msg("%s: %s", #expression, strerror(-_r));                                     \
                _r;                                                                                         \
        })

typedef struct Told {
        MachineWatch *watch;
        struct Bench *bench;
        unsigned n_gone, n_found;
        char reason[256];
        int found_r;
        bool there, free_when_gone;
        struct Told *free_too;
} Told;

typedef struct Bench {
        FakeHost *host;
        char address[256];
        pid_t daemon;
        sd_event *event;
        sd_bus *bus, *machined, *other;
        Machines *machines;
        bool inside;
        Told told[8];
        /* machined */
        const char *known; /* the one machine that it knows */
        const char *error; /* what it answers instead */
        bool hang;
        unsigned n_asked;
} Bench;

static void start_bus(Bench *b) {
        char config[512], line[512];
        int ready[2];

        (void)snprintf(b->address, sizeof b->address, "unix:path=%s/bus", b->host->root);
        fake_host_write(b->host, "bus.conf",
                        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
                        "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                        "<busconfig><listen>%s</listen><auth>EXTERNAL</auth>\n"
                        "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>"
                        "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>\n"
                        "<limit name=\"max_match_rules_per_connection\">%d</limit></busconfig>\n",
                        b->address, MATCHES_MAX);
        (void)snprintf(config, sizeof config, "--config-file=%s/bus.conf", b->host->root);

        assert_int_equal(pipe2(ready, 0), 0);
        b->daemon = fork();
        assert_true(b->daemon >= 0);
        if (b->daemon == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives the test, however that ends */
                (void)close(ready[0]);
                (void)dup2(ready[1], STDOUT_FILENO);
                (void)close(ready[1]);
                execl(DBUS_DAEMON, DBUS_DAEMON, config, "--nofork", "--nopidfile", "--print-address=1",
                      NULL);
                _exit(EXIT_FAILURE);
        }
        close(ready[1]);
        assert_true(read(ready[0], line, sizeof line) > 0);
        close(ready[0]);
}

static sd_bus *connect_bus(Bench *b) {
        const char *name;
        sd_bus *bus;

        OK(sd_bus_new(&bus));
        OK(sd_bus_set_address(bus, b->address));
        OK(sd_bus_set_bus_client(bus, true));
        OK(sd_bus_start(bus));
        OK(sd_bus_get_unique_name(bus, &name));
        OK(sd_bus_attach_event(bus, b->event, 0));
        return bus;
}

static const char *name_of(sd_bus *bus) {
        const char *name;

        OK(sd_bus_get_unique_name(bus, &name));
        return name;
}

static int on_pong(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        *(bool *)userdata = true;
        return 1;
}

static void round_trip(Bench *b, sd_bus *bus) {
        bool back = false;

        OK(sd_bus_call_method_async(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                    "org.freedesktop.DBus", "GetId", on_pong, &back, ""));
        while (!back)
                OK(sd_event_run(b->event, UINT64_MAX));
}

/* What this one has sent is with the bus, and what the bus had for us is done. */
static void settle(Bench *b, sd_bus *from) {
        round_trip(b, from);
        round_trip(b, b->bus);
        if (b->machined) /* it may have been asked */
                round_trip(b, b->machined);
        round_trip(b, b->bus);
}

static int on_machined_call(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const char *name;
        Bench *b = userdata;

        if (!sd_bus_message_is_method_call(m, "org.freedesktop.machine1.Manager", "GetMachine"))
                return 0;

        OK(sd_bus_message_read(m, "s", &name));
        assert_int_equal(sd_bus_message_get_auto_start(m), 0);
        b->n_asked++;
        if (b->hang)
                return 1;
        if (b->error)
                return OK(sd_bus_reply_method_errorf(m, b->error, "No."));
        if (!b->known || !streq(b->known, name))
                return OK(sd_bus_reply_method_errorf(m, "org.freedesktop.machine1.NoSuchMachine",
                                                     "No machine '%s' known", name));
        return OK(sd_bus_reply_method_return(m, "o", "/org/freedesktop/machine1/machine/x"));
}

static void start_machined(Bench *b, const char *known) {
        b->known = known;
        b->machined = connect_bus(b);
        OK(sd_bus_add_object(b->machined, NULL, "/org/freedesktop/machine1", on_machined_call, b));
        OK(sd_bus_request_name(b->machined, "org.freedesktop.machine1", 0));
}

/* Its calls that nobody has answered get an error from the bus. */
static void stop_machined(Bench *b) {
        OK(sd_bus_release_name(b->machined, "org.freedesktop.machine1"));
        b->machined = sd_bus_flush_close_unref(b->machined);
}

static void send_removed(sd_bus *from, const char *to, const char *name) {
        sd_bus_message *m;

        OK(sd_bus_message_new_signal(from, &m, "/org/freedesktop/machine1",
                                     "org.freedesktop.machine1.Manager", "MachineRemoved"));
        OK(sd_bus_message_append(m, "so", name, "/org/freedesktop/machine1/machine/x"));
        if (to)
                OK(sd_bus_message_set_destination(m, to));
        OK(sd_bus_send(from, m, NULL));
        sd_bus_message_unref(m);
}

static void on_gone(const char *reason, void *userdata) {
        Told *t = userdata;

        assert_false(t->bench->inside);
        (void)snprintf(t->reason, sizeof t->reason, "%s", reason);
        t->n_gone++;
        if (t->free_when_gone)
                t->watch = machine_watch_free(t->watch);
        if (t->free_too)
                t->free_too->watch = machine_watch_free(t->free_too->watch);
}

static void on_found(int r, bool there, void *userdata) {
        Told *t = userdata;

        assert_false(t->bench->inside);
        t->found_r = r;
        t->there = there;
        t->n_found++;
        if (t->free_when_gone && !there)
                t->watch = machine_watch_free(t->watch);
}

static void watch_connection(Bench *b, Told *t, const char *name) {
        b->inside = true;
        OK(machines_watch_connection(b->machines, name, on_gone, t, &t->watch));
        b->inside = false;
}

static void watch_machine(Bench *b, Told *t, const char *name) {
        b->inside = true;
        OK(machines_watch_machine(b->machines, name, on_found, on_gone, t, &t->watch));
        b->inside = false;
}

static void until(Bench *b, const unsigned *n) {
        while (*n == 0)
                OK(sd_event_run(b->event, UINT64_MAX));
        assert_int_equal(*n, 1);
}

static void expect_found(Bench *b, Told *t, int r, bool there) {
        until(b, &t->n_found);
        assert_int_equal(t->found_r, r);
        assert_int_equal(t->there, there);
}

static void expect_gone(Bench *b, Told *t, const char *reason) {
        until(b, &t->n_gone);
        assert_string_equal(t->reason, reason);
}

static int setup_either(void **state, const char *known) {
        Bench *b = calloc(1, sizeof *b);

        assert_non_null(b);
        *state = b;
        for (size_t i = 0; i < ELEMENTSOF(b->told); i++)
                b->told[i].bench = b;
        b->host = fake_host_new();
        OK(sd_event_new(&b->event));
        OK(sd_event_add_time_relative(b->event, NULL, CLOCK_MONOTONIC, DEADLINE_USEC, 0, NULL,
                                      (void *)(intptr_t)-ETIME));
        start_bus(b);
        b->bus = connect_bus(b);
        b->other = connect_bus(b);
        if (known)
                start_machined(b, known);
        OK(machines_new(b->bus, &b->machines));
        return 0;
}

static int setup(void **state) {
        return setup_either(state, NULL);
}

static int setup_with_machined(void **state) {
        return setup_either(state, "web");
}

static int teardown(void **state) {
        Bench *b = *state;

        for (size_t i = 0; i < ELEMENTSOF(b->told); i++)
                machine_watch_free(b->told[i].watch);
        machines_free(b->machines);
        sd_bus_flush_close_unref(b->other);
        sd_bus_flush_close_unref(b->machined);
        sd_bus_flush_close_unref(b->bus);
        sd_event_unref(b->event);
        assert_int_equal(kill(b->daemon, SIGTERM), 0);
        assert_int_equal(waitpid(b->daemon, NULL, 0), b->daemon);
        fake_host_free(b->host);
        free(b);
        return 0;
}

static void test_connection(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];
        char reason[256];

        (void)snprintf(reason, sizeof reason, "The connection %s has left the bus.", name_of(b->other));
        watch_connection(b, t, name_of(b->other));
        settle(b, b->other);
        assert_int_equal(t->n_gone, 0);

        b->other = sd_bus_flush_close_unref(b->other);
        expect_gone(b, t, reason);
        settle(b, b->bus);
        assert_int_equal(t->n_gone, 1);
}

static void test_connection_left(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        t->free_when_gone = true;
        watch_connection(b, t, ":1.4711");
        expect_gone(b, t, "The connection :1.4711 has left the bus.");
        settle(b, b->bus);
        assert_int_equal(t->n_gone, 1);
}

/* Between the request and all of its answers. */
static void test_connection_leaves_at_once(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_connection(b, t, name_of(b->other));
        b->other = sd_bus_flush_close_unref(b->other);
        until(b, &t->n_gone);
        settle(b, b->bus);
        assert_int_equal(t->n_gone, 1);
}

static void test_connection_dropped(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_connection(b, t, name_of(b->other));
        settle(b, b->bus);
        watch_connection(b, &b->told[1], name_of(b->other));
        t->watch = machine_watch_free(t->watch);

        b->other = sd_bus_flush_close_unref(b->other);
        until(b, &b->told[1].n_gone);
        settle(b, b->bus);
        assert_int_equal(t->n_gone, 0);
}

/* The bus hands on what somebody sends to us alone, whatever it calls itself. */
static void test_connection_forged(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];
        sd_bus *forger = connect_bus(b);
        sd_bus_message *m;

        watch_connection(b, t, name_of(b->other));
        settle(b, b->bus);

        OK(sd_bus_message_new_signal(forger, &m, "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "NameOwnerChanged"));
        OK(sd_bus_message_append(m, "sss", name_of(b->other), name_of(b->other), ""));
        OK(sd_bus_message_set_destination(m, name_of(b->bus)));
        OK(sd_bus_send(forger, m, NULL));
        sd_bus_message_unref(m);
        settle(b, forger);
        assert_int_equal(t->n_gone, 0);

        b->other = sd_bus_flush_close_unref(b->other);
        until(b, &t->n_gone);
        sd_bus_flush_close_unref(forger);
}

static void test_limit(void **state) {
        Bench *b = *state;
        Told *last = &b->told[MATCHES_MAX - 2];

        for (int i = 0; i < MATCHES_MAX - 2; i++)
                watch_connection(b, &b->told[i], name_of(b->other));
        settle(b, b->bus);
        for (int i = 0; i < MATCHES_MAX - 2; i++)
                assert_int_equal(b->told[i].n_gone, 0);

        watch_connection(b, last, name_of(b->other));
        until(b, &last->n_gone);
        assert_non_null(strstr(last->reason, "the bus refuses"));

        b->told[0].watch = machine_watch_free(b->told[0].watch); /* makes room */
        watch_connection(b, &b->told[MATCHES_MAX - 1], name_of(b->other));
        settle(b, b->bus);
        assert_int_equal(b->told[MATCHES_MAX - 1].n_gone, 0);
}

static void test_machine(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_machine(b, t, "web");
        expect_found(b, t, 0, true);

        send_removed(b->machined, NULL, "webber");
        settle(b, b->machined);
        assert_int_equal(t->n_gone, 0);

        send_removed(b->machined, NULL, "web");
        expect_gone(b, t, "The machine web has ended, says systemd-machined.");
        send_removed(b->machined, NULL, "web");
        settle(b, b->machined);
        assert_int_equal(t->n_gone, 1);
        assert_int_equal(t->n_found, 1);
}

static void test_machine_unknown(void **state) {
        Bench *b = *state;

        watch_machine(b, &b->told[0], "mail");
        b->told[1].free_when_gone = true;
        watch_machine(b, &b->told[1], "mail");
        expect_found(b, &b->told[0], 0, false);
        expect_found(b, &b->told[1], 0, false);

        send_removed(b->machined, NULL, "mail");
        stop_machined(b);
        start_machined(b, NULL);
        settle(b, b->machined);
        assert_int_equal(b->told[0].n_gone, 0);
        assert_int_equal(b->n_asked, 2);
}

static void test_no_machined(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_machine(b, t, "web");
        expect_found(b, t, -ENXIO, false);
        start_machined(b, NULL);
        settle(b, b->machined);
        assert_int_equal(t->n_gone, 0);

        watch_machine(b, &b->told[1], "web"); /* one that came later is asked as well */
        expect_found(b, &b->told[1], 0, false);
        b->known = "web";
        watch_machine(b, &b->told[2], "web");
        expect_found(b, &b->told[2], 0, true);
        send_removed(b->machined, NULL, "web");
        until(b, &b->told[2].n_gone);
}

static void test_machined_fails(void **state) {
        Bench *b = *state;

        b->error = SD_BUS_ERROR_ACCESS_DENIED;
        watch_machine(b, &b->told[0], "web");
        expect_found(b, &b->told[0], -EACCES, false);

        b->error = NULL;
        b->hang = true;
        watch_machine(b, &b->told[1], "web");
        while (b->n_asked < 2)
                OK(sd_event_run(b->event, UINT64_MAX));
        stop_machined(b);
        until(b, &b->told[1].n_found);
        assert_true(b->told[1].found_r < 0);
        assert_false(b->told[1].there);
}

static void test_machined_restarts(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_machine(b, t, "web");
        expect_found(b, t, 0, true);

        stop_machined(b);
        settle(b, b->bus);
        assert_int_equal(t->n_gone, 0);

        start_machined(b, "web");
        settle(b, b->machined);
        assert_int_equal(b->n_asked, 2);
        assert_int_equal(t->n_gone, 0);

        send_removed(b->machined, NULL, "web"); /* the new one is listened to */
        until(b, &t->n_gone);
        assert_int_equal(t->n_found, 1);
}

static void test_machine_ends_meanwhile(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_machine(b, t, "web");
        expect_found(b, t, 0, true);
        t->free_when_gone = true;
        stop_machined(b);
        start_machined(b, NULL);
        expect_gone(b, t, "The machine web is not known to systemd-machined any more.");
        assert_int_equal(t->n_found, 1);
}

/* machined that comes back and fails says nothing about the VM; the next one does. */
static void test_machined_comes_back_ill(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_machine(b, t, "web");
        expect_found(b, t, 0, true);
        stop_machined(b);
        b->error = SD_BUS_ERROR_FAILED;
        start_machined(b, NULL);
        settle(b, b->machined);
        assert_int_equal(b->n_asked, 2);
        assert_int_equal(t->n_gone, 0);

        stop_machined(b);
        b->error = NULL;
        start_machined(b, NULL);
        until(b, &t->n_gone);
}

static void test_machine_forged(void **state) {
        Bench *b = *state;
        Told *t = &b->told[0];

        watch_machine(b, t, "web");
        expect_found(b, t, 0, true);
        send_removed(b->other, name_of(b->bus), "web");
        send_removed(b->other, NULL, "web");
        settle(b, b->other);
        assert_int_equal(t->n_gone, 0);

        stop_machined(b); /* nobody has the name */
        send_removed(b->other, name_of(b->bus), "web");
        settle(b, b->other);
        assert_int_equal(t->n_gone, 0);
}

/* Two of one machine; the first that hears of the end frees both. */
static void test_machine_twice(void **state) {
        Bench *b = *state;

        watch_machine(b, &b->told[0], "web");
        watch_machine(b, &b->told[1], "web");
        watch_machine(b, &b->told[2], "web");
        expect_found(b, &b->told[0], 0, true);
        expect_found(b, &b->told[1], 0, true);
        expect_found(b, &b->told[2], 0, true);
        b->told[0].free_when_gone = b->told[1].free_when_gone = true;
        b->told[0].free_too = &b->told[1];
        b->told[1].free_too = &b->told[0];

        send_removed(b->machined, NULL, "web");
        until(b, &b->told[2].n_gone);
        settle(b, b->machined);
        assert_int_equal(b->told[0].n_gone + b->told[1].n_gone, 1);
        assert_null(b->told[0].watch);
        assert_null(b->told[1].watch);
}

static void test_names(void **state _unused_) {
        static const char *const
                        good[] = {"web",
                                  "Qemu-1-web",
                                  "a.b.c",
                                  "7",
                                  "a--b",
                                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
                        *const bad[] = {"",
                                        ".",
                                        "a.",
                                        ".a",
                                        "a..b",
                                        "-a",
                                        "a-",
                                        "a.-b",
                                        "a-.b",
                                        "a b",
                                        "a_b",
                                        "a/b",
                                        "a\n",
                                        "\xc3\xa4",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(machine_name_is_valid(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(machine_name_is_valid(bad[i]));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_connection, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_connection_left, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_connection_leaves_at_once, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_connection_dropped, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_connection_forged, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_machine, setup_with_machined, teardown),
                        cmocka_unit_test_setup_teardown(test_machine_unknown, setup_with_machined, teardown),
                        cmocka_unit_test_setup_teardown(test_no_machined, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_machined_fails, setup_with_machined, teardown),
                        cmocka_unit_test_setup_teardown(test_machined_restarts, setup_with_machined,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_machine_ends_meanwhile, setup_with_machined,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_machined_comes_back_ill, setup_with_machined,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_machine_forged, setup_with_machined, teardown),
                        cmocka_unit_test_setup_teardown(test_machine_twice, setup_with_machined, teardown),
                        cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests_name("machines", tests, NULL, NULL);
}
