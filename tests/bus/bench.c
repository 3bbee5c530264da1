/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <systemd/sd-daemon.h>

#include "bench.h"
#include "fake-kernel.h"
#include "notify.h"

/* Longer than any step takes on a slow machine under a sanitizer. */
#define DEADLINE_USEC (30ULL * 1000 * 1000)

#define OK(expression)                                                                                      \
        ({                                                                                                  \
                int _r = (expression);                                                                      \
                if (_r < 0)                                                                                 \
                        fail_msg("%s: %s", #expression, strerror(-_r));                                     \
                _r;                                                                                         \
        })

static void write_bus_files(Bench *b, unsigned helper_idle_ms) {
        FakeHost *h = b->host;
        char idle[32] = "";

        (void)snprintf(b->bus_address, sizeof b->bus_address, "unix:path=%s/fake/bus", h->root);
        fake_host_write(h, "fake/bus.conf",
                        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" "
                        "\"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                        "<busconfig>\n"
                        "  <type>system</type>\n"
                        "  <listen>%s</listen>\n"
                        "  <auth>EXTERNAL</auth>\n"
                        "  <servicedir>%s/fake/services</servicedir>\n"
                        "  <policy context=\"default\">\n"
                        "    <allow user=\"*\"/>\n"
                        "    <allow own=\"*\"/>\n"
                        "    <allow send_destination=\"*\" eavesdrop=\"false\"/>\n"
                        "    <allow receive_sender=\"*\"/>\n"
                        "  </policy>\n"
                        "</busconfig>\n",
                        b->bus_address, h->root);

        if (helper_idle_ms > 0)
                (void)snprintf(idle, sizeof idle, " --idle-ms %u", helper_idle_ms);
        fake_host_write(h, "fake/services/" HELPER_NAME ".service",
                        "[D-BUS Service]\n"
                        "Name=" HELPER_NAME "\n"
                        "User=root\n"
                        "Exec=/usr/bin/env DBUS_SYSTEM_BUS_ADDRESS=%s %s --root %s --daemon-uid %d --log "
                        "%s/fake/helper.log%s\n",
                        b->bus_address, FAKE_HELPER, h->root, DAEMON_UID, h->root, idle);
}

/* The bus says on a pipe when it listens. */
static void start_bus(Bench *b) {
        char config[512], log[512], line[512];
        int ready[2];
        ssize_t n;

        (void)snprintf(config, sizeof config, "--config-file=%s/fake/bus.conf", b->host->root);
        (void)snprintf(log, sizeof log, "%s/fake/bus.log", b->host->root);
        assert_int_equal(pipe2(ready, 0), 0);
        b->bus = fork();
        assert_true(b->bus >= 0);
        if (b->bus == 0) {
                (void)close(ready[0]);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives the test, however that ends */
                (void)dup2(open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), STDERR_FILENO);
                (void)dup2(ready[1], 3);
                execlp("dbus-daemon", "dbus-daemon", config, "--nofork", "--nopidfile", "--print-address=3",
                       NULL);
                _exit(EXIT_FAILURE);
        }
        close(ready[1]);
        n = read(ready[0], line, sizeof line);
        close(ready[0]);
        assert_true(n > 0);
}

sd_bus *bench_connect(Bench *b, uid_t uid) {
        sd_bus *bus;

        OK(sd_bus_new(&bus));
        OK(sd_bus_set_address(bus, b->bus_address));
        OK(sd_bus_set_bus_client(bus, true));
        assert_int_equal(seteuid(uid), 0);
        OK(sd_bus_start(bus)); /* the bus takes the uid from the socket */
        assert_int_equal(seteuid(0), 0);
        OK(sd_bus_attach_event(bus, b->event, 0));
        (void)bench_name(bus);
        return bus;
}

sd_bus *bench_disconnect(sd_bus *bus) {
        return sd_bus_flush_close_unref(bus);
}

const char *bench_name(sd_bus *bus) {
        const char *name;

        OK(sd_bus_get_unique_name(bus, &name));
        return name;
}

sd_bus *bench_connect_as_daemon(Bench *b) {
        sd_bus *bus = bench_connect(b, DAEMON_UID);

        OK(sd_bus_request_name(bus, BUS_NAME, 0));
        return bus;
}

static int on_deadline(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        ((Bench *)userdata)->failed_wait = true;
        return 0;
}

/* For whoever was not there: what both said last. */
static void show_end_of_log(Bench *b, const char *path) {
        _cleanup_free_ char *log = fake_host_read(b->host, path);
        size_t n = log ? strlen(log) : 0;

        print_message("end of %s:\n%s\n", path, n > 3000 ? log + n - 3000 : strempty(log));
}

void bench_until(Bench *b, bool (*condition)(void *userdata), void *userdata) {
        sd_event_source *timer = NULL;

        OK(sd_event_add_time_relative(b->event, &timer, CLOCK_MONOTONIC, DEADLINE_USEC, 0, on_deadline, b));
        while (!condition(userdata) && !b->failed_wait) /* a condition may wait for something itself */
                OK(sd_event_run(b->event, UINT64_MAX));
        sd_event_source_disable_unref(timer);
        if (b->failed_wait) {
                show_end_of_log(b, "fake/daemon.log");
                show_end_of_log(b, "fake/helper.log");
                fail_msg("waited too long%s; polkit was asked %zu times, %zu were cancelled", b->waiting_for,
                         b->n_asked, b->n_cancelled);
        }
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        ((Pending *)userdata)->reply = sd_bus_message_ref(m);
        return 1;
}

static Pending *start(sd_bus *from, const char *to, const char *path, const char *interface,
                      const char *member, bool interactive, const char *types, va_list ap) {
        sd_bus_message *m;
        Pending *p;

        p = calloc(1, sizeof *p);
        assert_non_null(p);
        OK(sd_bus_message_new_method_call(from, &m, to, path, interface, member));
        OK(sd_bus_message_set_allow_interactive_authorization(m, interactive));
        if (!isempty(types))
                OK(sd_bus_message_appendv(m, types, ap));
        OK(sd_bus_call_async(from, &p->slot, m, on_reply, p, 2 * DEADLINE_USEC));
        sd_bus_message_unref(m);
        return p;
}

Pending *bench_start(Bench *b _unused_, sd_bus *from, const char *to, const char *path,
                     const char *interface, const char *member, bool interactive, const char *types, ...) {
        va_list ap;
        Pending *p;

        va_start(ap, types);
        p = start(from, to, path, interface, member, interactive, types, ap);
        va_end(ap);
        return p;
}

Pending *bench_drop(Pending *p) {
        if (p) {
                sd_bus_slot_unref(p->slot);
                sd_bus_message_unref(p->reply);
                free(p);
        }
        return NULL;
}

static bool has_reply(void *userdata) {
        return ((Pending *)userdata)->reply;
}

sd_bus_message *bench_finish(Bench *b, Pending *p) {
        sd_bus_message *reply;

        bench_until(b, has_reply, p);
        reply = sd_bus_message_ref(p->reply);
        bench_drop(p);
        return reply;
}

sd_bus_message *bench_call_helper(Bench *b, sd_bus *from, const char *member, const char *types, ...) {
        va_list ap;
        Pending *p;

        va_start(ap, types);
        p = start(from, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, member, true, types, ap);
        va_end(ap);
        return bench_finish(b, p);
}

sd_bus_message *bench_callv(Bench *b, sd_bus *from, const char *path, const char *interface,
                            const char *member, const char *types, va_list ap) {
        return bench_finish(b, start(from, BUS_NAME, path, interface, member, true, types, ap));
}

Pending *bench_start_message(Bench *b _unused_, sd_bus *from, sd_bus_message *m) {
        Pending *p;

        p = calloc(1, sizeof *p);
        assert_non_null(p);
        OK(sd_bus_call_async(from, &p->slot, m, on_reply, p, 2 * DEADLINE_USEC));
        sd_bus_message_unref(m);
        return p;
}

sd_bus_message *bench_send(Bench *b, sd_bus *from, sd_bus_message *m) {
        return bench_finish(b, bench_start_message(b, from, m));
}

void bench_expect_success(sd_bus_message *reply) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                fail_msg("%s: %s", e->name, e->message);
        sd_bus_message_unref(reply);
}

void bench_expect_error(sd_bus_message *reply, const char *name, const char *text) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        char full[128];

        (void)snprintf(full, sizeof full, "%s%s",
                       !name || strchr(name, '.') ? "" : "org.verge.Passthrough.Error.", strempty(name));
        if (!e)
                fail_msg("no error, wanted %s", full);
        else if ((name && !streq(e->name, full)) || !strstr(e->message, text))
                fail_msg("%s: %s; wanted %s: ...%s...", e->name, e->message, full, text);
        sd_bus_message_unref(reply);
}

/* polkit */

static int answer_polkit(sd_bus_message *call, bool yes, bool challenge) {
        return sd_bus_reply_method_return(call, "(bba{ss})", yes, challenge, 0);
}

static void record(Bench *b, PolkitAsked *a, sd_bus_message *m) {
        const char *kind, *key, *value, *action, *cancel_id;
        size_t n = 0;

        OK(sd_bus_message_enter_container(m, 'r', "sa{sv}"));
        OK(sd_bus_message_read(m, "s", &kind));
        OK(sd_bus_message_read(m, "a{sv}", 1, &key, "s", &value));
        (void)snprintf(a->subject_kind, sizeof a->subject_kind, "%s", kind);
        (void)snprintf(a->subject, sizeof a->subject, "%s", value);
        OK(sd_bus_message_exit_container(m));
        OK(sd_bus_message_read(m, "s", &action));
        (void)snprintf(a->action, sizeof a->action, "%s", action);
        OK(sd_bus_message_enter_container(m, 'a', "{ss}"));
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0 && n < sizeof a->details)
                n += (size_t)snprintf(a->details + n, sizeof a->details - n, "%s=%s\n", key, value);
        OK(sd_bus_message_exit_container(m));
        OK(sd_bus_message_read(m, "us", &a->flags, &cancel_id));
        (void)snprintf(a->cancel_id, sizeof a->cancel_id, "%s", cancel_id);
        b->n_asked++;
}

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Bench *b = userdata;
        PolkitAsked *a;

        a = &b->asked[b->n_asked];
        record(b, a, m);

        if (b->polkit_mode == POLKIT_HANG) {
                a->call = sd_bus_message_ref(m);
                return 1;
        }
        if (b->polkit_mode == POLKIT_ERROR)
                return sd_bus_error_set(error, "org.freedesktop.PolicyKit1.Error.Failed",
                                        "scripted to fail");
        if (b->polkit_mode == POLKIT_DISMISSED)
                return sd_bus_reply_method_return(m, "(bba{ss})", 0, 0, 1, "polkit.dismissed", "true");
        return answer_polkit(m, b->polkit_mode == POLKIT_YES, b->polkit_mode == POLKIT_CHALLENGE);
}

static int on_cancel(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Bench *b = userdata;
        const char *id;

        OK(sd_bus_message_read(m, "s", &id));
        for (size_t i = 0; i < b->n_asked; i++)
                if (streq(b->asked[i].cancel_id, id) && b->asked[i].call) {
                        b->asked[i].cancelled = true;
                        b->n_cancelled++;
                }
        return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable polkit_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", on_check,
                              SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD("CancelCheckAuthorization", "s", "", on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_VTABLE_END,
};

void polkit_set_mode(Bench *b, PolkitMode mode) {
        if (mode == POLKIT_GONE && b->polkit_mode != POLKIT_GONE)
                OK(sd_bus_release_name(b->polkit_bus, "org.freedesktop.PolicyKit1"));
        if (mode != POLKIT_GONE && b->polkit_mode == POLKIT_GONE)
                OK(sd_bus_request_name(b->polkit_bus, "org.freedesktop.PolicyKit1", 0));
        b->polkit_mode = mode;
}

void polkit_settle(Bench *b, size_t i, bool yes) {
        assert_non_null(b->asked[i].call);
        OK(answer_polkit(b->asked[i].call, yes, false));
        b->asked[i].call = sd_bus_message_unref(b->asked[i].call);
}

const char *polkit_detail(Bench *b, size_t i, const char *key) {
        static char value[1024];
        const char *at = b->asked[i].details;
        size_t n = strlen(key);

        for (; at && *at; at = strchr(at, '\n') + 1)
                if (strncmp(at, key, n) == 0 && at[n] == '=') {
                        (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(at + n + 1, "\n"),
                                       at + n + 1);
                        return value;
                }
        return NULL;
}

typedef struct Count {
        const size_t *n;
        size_t wanted;
} Count;

static bool count_reached(void *userdata) {
        const Count *c = userdata;

        return *c->n >= c->wanted;
}

void bench_until_asked(Bench *b, size_t n) {
        bench_until(b, count_reached, &(Count){&b->n_asked, n});
}

void bench_until_cancelled(Bench *b, size_t n) {
        bench_until(b, count_reached, &(Count){&b->n_cancelled, n});
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *from, *to;

        OK(sd_bus_message_read(m, "sss", &name, &from, &to));
        if (isempty(to))
                *(bool *)userdata = true;
        return 0;
}

static bool is_true(void *userdata) {
        return *(bool *)userdata;
}

void bench_until_gone(Bench *b, const char *name) {
        sd_bus_slot *slot = NULL;
        bool gone = false;
        char match[256];

        (void)snprintf(match, sizeof match,
                       "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                       name);
        OK(sd_bus_add_match(b->root, &slot, match, on_owner_changed, &gone));
        if (sd_bus_get_name_creds(b->root, name, 0, NULL) < 0)
                gone = true;
        bench_until(b, is_true, &gone);
        sd_bus_slot_unref(slot);
}

pid_t bench_helper_pid(Bench *b) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        pid_t pid;

        if (sd_bus_get_name_creds(b->root, HELPER_NAME, SD_BUS_CREDS_PID, &creds) < 0 ||
            sd_bus_creds_get_pid(creds, &pid) < 0)
                return 0;
        return pid;
}

void bench_kill_helper(Bench *b) {
        pid_t pid = bench_helper_pid(b);

        if (pid <= 0)
                return;
        assert_int_equal(kill(pid, SIGKILL), 0);
        bench_until_gone(b, HELPER_NAME);
}

static void expect_no_line_twice(char *log) {
        char *save = NULL, *lines[256];
        size_t n = 0;

        for (char *line = log ? strtok_r(log, "\n", &save) : NULL; line;
             line = strtok_r(NULL, "\n", &save)) {
                for (size_t i = 0; i < n; i++)
                        if (streq(lines[i], line))
                                fail_msg("logged twice: %s", line);
                assert_true(n < ELEMENTSOF(lines));
                lines[n++] = line;
        }
}

/* the daemon */

const char *bench_device_path(const char *address) {
        static char path[128];
        char *encoded = NULL;

        OK(sd_bus_path_encode(BUS_PATH_DEVICES, address, &encoded));
        (void)snprintf(path, sizeof path, "%s", encoded);
        free(encoded);
        return path;
}

/* "0000:01:00.0" of a device's path, else the path. */
static void show_path(const char *path, char *ret, size_t size) {
        char *address = NULL;

        if (sd_bus_path_decode(path, BUS_PATH_DEVICES, &address) > 0)
                (void)snprintf(ret, size, "%s", address);
        else
                (void)snprintf(ret, size, "%s", path);
        free(address);
}

static void show_properties(sd_bus_message *m, char *text, size_t size) {
        const char *key, *type, *value;
        size_t n;

        OK(sd_bus_message_skip(m, "s"));
        OK(sd_bus_message_enter_container(m, 'a', "{sv}"));
        while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                OK(sd_bus_message_read(m, "s", &key));
                OK(sd_bus_message_peek_type(m, NULL, &type));
                n = strlen(text);
                if (streq(type, "s")) {
                        OK(sd_bus_message_read(m, "v", "s", &value));
                        (void)snprintf(text + n, size - n, " %s=%.64s", key, value);
                } else {
                        OK(sd_bus_message_skip(m, "v"));
                        (void)snprintf(text + n, size - n, " %s", key);
                }
                OK(sd_bus_message_exit_container(m));
        }
        OK(sd_bus_message_exit_container(m));

        OK(sd_bus_message_enter_container(m, 'a', "s")); /* whose values are to be asked for */
        while (sd_bus_message_read(m, "s", &key) > 0) {
                n = strlen(text);
                (void)snprintf(text + n, size - n, " %s", key);
        }
}

static int on_daemon_signal(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const char *member = sd_bus_message_get_member(m), *path = sd_bus_message_get_path(m);
        Bench *b = userdata;
        char shown[128], *text;

        if (b->deaf)
                return 0;
        assert_true(b->n_signals < SIGNALS_MAX);
        text = b->signals[b->n_signals++].text;
        if (startswith(member, "Interfaces") || streq(member, "DeviceStuck"))
                OK(sd_bus_message_read(m, "o", &path));
        show_path(path, shown, sizeof shown);
        (void)snprintf(text, sizeof b->signals[0].text, "%s %s", member, shown);
        if (streq(member, "PropertiesChanged"))
                show_properties(m, text, sizeof b->signals[0].text);
        return 0;
}

typedef struct SignalWait {
        Bench *b;
        const char *text;
        size_t from;
} SignalWait;

size_t bench_count_signals(Bench *b, const char *text) {
        size_t n = 0;

        for (size_t i = 0; i < b->n_signals; i++)
                n += startswith(b->signals[i].text, text);
        return n;
}

static bool signal_came(void *userdata) {
        const SignalWait *w = userdata;

        return bench_count_signals(w->b, w->text) > 0;
}

void bench_until_signal(Bench *b, const char *text) {
        bench_until(b, signal_came, &(SignalWait){.b = b, .text = text});
}

static bool any_signal_came(void *userdata) {
        const SignalWait *w = userdata;

        return w->b->n_signals > w->from;
}

void bench_until_more_signals(Bench *b, size_t than) {
        bench_until(b, any_signal_came, &(SignalWait){.b = b, .from = than});
}

const char *bench_get(Bench *b, const char *address, const char *property) {
        static char value[1024];
        sd_bus_message *reply;
        const char *s;

        reply = bench_finish(b, bench_start(b, b->root, BUS_NAME, bench_device_path(address),
                                            "org.freedesktop.DBus.Properties", "Get", false, "ss",
                                            BUS_INTERFACE_DEVICE, property));
        if (sd_bus_message_read(reply, "v", "s", &s) < 0)
                fail_msg("no property %s of %s", property, address);
        (void)snprintf(value, sizeof value, "%s", s);
        sd_bus_message_unref(reply);
        return value;
}

void bench_until_property(Bench *b, const char *address, const char *property, const char *value) {
        size_t from;

        for (;;) {
                from = b->n_signals;
                if (streq(bench_get(b, address, property), value))
                        return;
                bench_until_more_signals(b, from);
        }
}

sd_bus_message *bench_call_device(Bench *b, sd_bus *from, const char *address, const char *member) {
        return bench_finish(b, bench_start(b, from, BUS_NAME, bench_device_path(address),
                                           BUS_INTERFACE_DEVICE, member, true, ""));
}

sd_bus_message *bench_call_manager(Bench *b, sd_bus *from, const char *member, const char *types, ...) {
        va_list ap;
        Pending *p;

        va_start(ap, types);
        p = start(from, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, member, true, types, ap);
        va_end(ap);
        return bench_finish(b, p);
}

static bool daemon_is_there(void *userdata) {
        return sd_bus_get_name_creds(((Bench *)userdata)->root, BUS_NAME, 0, NULL) >= 0;
}

/* Any NameOwnerChanged wakes the loop, which then asks. */
static int on_names(sd_bus_message *m _unused_, void *userdata _unused_, sd_bus_error *error _unused_) {
        return 0;
}

/* The service manager: what sd_notify(3) says of descriptors. */

static void forget_kept(Bench *b, const char *name) {
        for (size_t i = b->n_kept; i > 0; i--)
                if (!name || streq(b->kept[i - 1].name, name)) {
                        close(b->kept[i - 1].fd);
                        b->kept[i - 1] = b->kept[--b->n_kept];
                }
}

static void take_word(Bench *b, const char *text, int fd) {
        char name[256];

        if (fd >= 0) {
                assert_int_equal(sscanf(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%255s", name), 1);
                assert_true(b->n_kept < KEPT_MAX);
                b->kept[b->n_kept].fd = fd;
                (void)snprintf(b->kept[b->n_kept++].name, sizeof b->kept[0].name, "%s", name);
        } else if (sscanf(text, "FDSTOREREMOVE=1\nFDNAME=%255s", name) == 1)
                forget_kept(b, name);
}

static void take_words(Bench *b) {
        char text[1024];
        int fd;

        while (notify_take(b->notify, text, sizeof text, &fd))
                take_word(b, text, fd);
}

size_t bench_count_kept(Bench *b) {
        take_words(b);
        return b->n_kept;
}

static int on_word(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_, void *userdata) {
        take_words(userdata);
        return 0;
}

void bench_keep_descriptors(Bench *b) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};

        assert_int_equal(b->notify, -1);
        (void)snprintf(a.sun_path, sizeof a.sun_path, "%s/fake/notify", b->host->root);
        b->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(b->notify >= 0);
        assert_int_equal(bind(b->notify, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(chmod(a.sun_path, 0666), 0);
        OK(sd_event_add_io(b->event, NULL, b->notify, EPOLLIN, on_word, b));
}

/* In the new process: hands it what was kept, from 3 on. Our own descriptors close at the exec. */
static void hand_over_kept(Bench *b, char **environment, char *buf, size_t size) {
        size_t n;
        int fd;

        n = (size_t)snprintf(buf, size, "NOTIFY_SOCKET=%s/fake/notify", b->host->root) + 1;
        *environment++ = buf;
        if (b->n_kept == 0)
                return;
        *environment++ = buf + n;
        n += (size_t)snprintf(buf + n, size - n, "LISTEN_PID=%d", (int)getpid()) + 1;
        *environment++ = buf + n;
        n += (size_t)snprintf(buf + n, size - n, "LISTEN_FDS=%zu", b->n_kept) + 1;
        *environment = buf + n;
        n += (size_t)snprintf(buf + n, size - n, "LISTEN_FDNAMES=");
        for (size_t i = 0; i < b->n_kept; i++) {
                n += (size_t)snprintf(buf + n, size - n, "%s%s", i > 0 ? ":" : "", b->kept[i].name);
                fd = fcntl(b->kept[i].fd, F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + KEPT_MAX);
                close(b->kept[i].fd);
                b->kept[i].fd = fd;
        }
        for (size_t i = 0; i < b->n_kept; i++)
                (void)dup2(b->kept[i].fd, SD_LISTEN_FDS_START + (int)i);
}

_Noreturn static void exec_daemon(Bench *b) {
        char root[256], uevents[300], address[512], log[300];
        char *argv[] = {(char[]){"fake-daemon"}, (char[]){"--root"},    root,    (char[]){"--root-uid"},
                        (char[]){"0"},           (char[]){"--uevents"}, uevents, NULL};
        char *envp[6] = {address}, kept[8192];
        int fd;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)snprintf(root, sizeof root, "%s", b->host->root);
        (void)snprintf(uevents, sizeof uevents, "%s/fake/uevents", root);
        (void)snprintf(address, sizeof address, "DBUS_SYSTEM_BUS_ADDRESS=%s", b->bus_address);
        (void)snprintf(log, sizeof log, "%s/fake/daemon.log", root);
        (void)dup2(open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), STDERR_FILENO);

        /* By descriptor: its user need not be able to reach the build directory. */
        fd = fcntl(open(FAKE_DAEMON, O_RDONLY | O_CLOEXEC), F_DUPFD_CLOEXEC,
                   SD_LISTEN_FDS_START + 2 * KEPT_MAX);
        if (b->notify >= 0)
                hand_over_kept(b, envp + 1, kept, sizeof kept);
        if (fd >= 0 && setresgid(NOBODY_UID, NOBODY_UID, NOBODY_UID) == 0 &&
            setresuid(DAEMON_UID, DAEMON_UID, DAEMON_UID) == 0)
                (void)fexecve(fd, argv, envp);
        _exit(EXIT_FAILURE);
}

void bench_launch_daemon(Bench *b) {
        if (!b->watching)
                OK(sd_bus_add_match(b->root, NULL, "type='signal',sender='" BUS_NAME "'", on_daemon_signal,
                                    b));
        b->watching = true;
        if (b->notify >= 0)
                take_words(b);

        b->daemon = fork();
        assert_true(b->daemon >= 0);
        if (b->daemon == 0)
                exec_daemon(b);
}

void bench_start_daemon(Bench *b) {
        sd_bus_slot *slot = NULL;

        OK(sd_bus_add_match(b->root, &slot,
                            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
                            "arg0='" BUS_NAME "'",
                            on_names, NULL));
        if (b->daemon == 0)
                bench_launch_daemon(b);
        bench_until(b, daemon_is_there, b);
        sd_bus_slot_unref(slot);
}

void bench_kill_daemon(Bench *b) {
        assert_true(b->daemon > 0);
        assert_int_equal(kill(b->daemon, SIGKILL), 0);
        assert_int_equal(waitpid(b->daemon, NULL, 0), b->daemon);
        b->daemon = 0;
        bench_until_gone(b, BUS_NAME);
}

void bench_stop_daemon(Bench *b) {
        int status;

        assert_true(b->daemon > 0);
        assert_int_equal(kill(b->daemon, SIGTERM), 0);
        assert_int_equal(waitpid(b->daemon, &status, 0), b->daemon);
        assert_int_equal(status, 0);
        b->daemon = 0;
        bench_until_gone(b, BUS_NAME);
}

void bench_expect_no_line_twice(Bench *b) {
        _cleanup_free_ char *helper = fake_host_read(b->host, "fake/helper.log"),
                            *daemon = fake_host_read(b->host, "fake/daemon.log");

        expect_no_line_twice(helper);
        expect_no_line_twice(daemon);
}

Bench *bench_new(unsigned helper_idle_ms) {
        Bench *b;

        b = calloc(1, sizeof *b);
        assert_non_null(b);
        b->notify = -1;
        b->host = fake_host_new();
        fake_host_add_standard_devices(b->host);
        assert_int_equal(mkfifoat(b->host->fd, "fake/uevents", 0600), 0);
        assert_int_equal(fchownat(b->host->fd, "fake/uevents", DAEMON_UID, (gid_t)-1, 0), 0);
        assert_int_equal(fchownat(b->host->fd, STATE_DIR, DAEMON_UID, (gid_t)-1, 0), 0);

        write_bus_files(b, helper_idle_ms);
        start_bus(b);
        OK(sd_event_new(&b->event));
        b->root = bench_connect(b, 0);
        b->polkit_bus = bench_connect(b, 0);
        OK(sd_bus_add_object_vtable(b->polkit_bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
                                    "org.freedesktop.PolicyKit1.Authority", polkit_vtable, b));
        OK(sd_bus_request_name(b->polkit_bus, "org.freedesktop.PolicyKit1", 0));
        return b;
}

/* By the pid that we started, or that the bus told us of. */
static void end_process(pid_t pid, bool child) {
        if (pid <= 0)
                return;
        (void)kill(pid, SIGKILL);
        if (child)
                (void)waitpid(pid, NULL, 0);
}

Bench *bench_free(Bench *b) {
        if (!b)
                return NULL;

        fake_host_clear(b->host); /* whoever hangs in the fake kernel may go on, and then end */
        fake_host_hold_vfio(b->host, 7, false);
        fake_host_hold_vfio(b->host, 9, false);
        end_process(b->daemon, true);
        end_process(bench_helper_pid(b), false);
        forget_kept(b, NULL);
        for (size_t i = 0; i < b->n_asked; i++)
                sd_bus_message_unref(b->asked[i].call);
        bench_disconnect(b->polkit_bus);
        bench_disconnect(b->root);
        sd_event_unref(b->event);
        closep(&b->notify);
        end_process(b->bus, true);
        fake_host_free(b->host);
        free(b);
        return NULL;
}

int bench_setup(void **state) {
        *state = bench_new(0);
        return 0;
}

/* A sanitizer or an assertion that spoke in one of the processes. */
static bool has_complaint(Bench *b, const char *path) {
        static const char *const words[] = {"Sanitizer", "runtime error", "Assertion"};
        _cleanup_free_ char *log = fake_host_read(b->host, path);

        for (size_t i = 0; log && i < ELEMENTSOF(words); i++)
                if (strstr(log, words[i])) {
                        fprintf(stderr, "%s", log);
                        return true;
                }
        return false;
}

/* A daemon that still runs has to end well when it is told to. */
int bench_teardown(void **state) {
        Bench *b = *state;
        bool failed = false;
        int status;

        if (b->daemon > 0) {
                failed = kill(b->daemon, SIGTERM) < 0 || waitpid(b->daemon, &status, 0) < 0 || status != 0;
                b->daemon = 0;
        }
        failed |= has_complaint(b, "fake/daemon.log") || has_complaint(b, "fake/helper.log");
        bench_free(b);
        return failed ? -1 : 0;
}
