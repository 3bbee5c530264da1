/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "calls.h"
#include "diagnosis-calls.h"
#include "diagnosis-host.h"
#include "log.h"
#include "memlock.h"
#include "user-name.h"

#define PATIENCE_USEC (5ULL * 1000 * 1000)
#define STACK_SIZE (1024U * 1024U)

/* What the thread works on. It belongs to the thread until that has written to the eventfd. */
typedef struct Look {
        int root, done_fd;
        int error;
        DiagnosisHost host;
} Look;

struct Diagnoser {
        Manager *manager;
        Look *look; /* NULL: no thread is at work */
        pthread_t thread;
        int done_fd;
        sd_event_source *done_source;
};

typedef struct DiagnosisCall {
        sd_bus_slot *pid;
        sd_event_source *patience;
        bool waits, served; /* for a look; it is the one that is under way */
        int memlock_error;
        uint64_t memlock;
} DiagnosisCall;

static void data_free(void *userdata) {
        DiagnosisCall *data = userdata;

        sd_bus_slot_unref(data->pid);
        sd_event_source_disable_unref(data->patience);
        free(data);
}

static void go(Call *c);

static const CallKind diagnosis_kind = {.go = go, .free = data_free};

static int append_strings(sd_bus_message *reply, char *const *strings, size_t n) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_message_append_basic(reply, 's', strings[i]);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_devices(sd_bus_message *reply, const Manager *m, const DiagnosisFinding *f) {
        const Device *d;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; i < f->n_devices && r >= 0; i++) {
                d = device_table_find(&m->devices, &f->devices[i]);
                if (d)
                        r = sd_bus_message_append_basic(reply, 'o', d->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_finding(sd_bus_message *reply, const Manager *m, const DiagnosisFinding *f) {
        int r;

        if ((r = sd_bus_message_open_container(reply, 'r', "ssssasao")) < 0 ||
            (r = sd_bus_message_append(reply, "ssss", f->code, diagnosis_severity_to_string(f->severity),
                                       f->sentence, f->remedy)) < 0 ||
            (r = append_strings(reply, f->commands, f->n_commands)) < 0 ||
            (r = append_devices(reply, m, f)) < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static int make_reply(const Call *c, const DiagnosisReport *report, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        if ((r = sd_bus_message_new_method_return(c->message, &reply)) < 0 ||
            (r = sd_bus_message_open_container(reply, 'a', "(ssssasao)")) < 0)
                return r;
        for (size_t i = 0; i < report->n && r >= 0; i++)
                r = append_finding(reply, c->manager, &report->findings[i]);
        if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
                return r;

        *ret = STEAL(reply);
        return 0;
}

static void answer(Call *c, const DiagnosisHost *host) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const DiagnosisCall *data = c->data;
        const Manager *m = c->manager;
        DiagnosisReport report = {0};
        char user[USER_NAME_SIZE];
        DiagnosisState state = {
                        .devices = &m->devices,
                        .interrupt_remapping = m->platform.interrupt_remapping,
                        .vfio_cdev = m->platform.vfio_cdev,
                        .disabled = m->platform.disabled,
                        .boot_guard = strempty(m->boot_guard.reason),
                        .read_only = strempty(store_read_only(m->store)),
                        .user = user_name(m->root, c->uid, user),
                        .is_root = c->uid == 0,
                        .memlock_error = data->memlock_error,
                        .memlock = data->memlock,
        };
        int r;

        r = diagnosis_make(host, &state, &report);
        if (r >= 0)
                r = make_reply(c, &report, &reply);
        diagnosis_report_clear(&report);
        if (r < 0)
                call_fail(c, r);
        else
                call_finish_with(c, reply);
}

static void *work(void *userdata) {
        Look *look = userdata;
        int done_fd = look->done_fd;

        look->error = diagnosis_host_load(look->root, &look->host);
        (void)eventfd_write(done_fd, 1);
        return NULL;
}

static Look *look_free(Look *look) {
        if (!look)
                return NULL;

        diagnosis_host_clear(&look->host);
        free(look);
        return NULL;
}

static int start_look(Diagnoser *d) {
        pthread_attr_t attributes;
        Look *look;
        int r;

        look = calloc(1, sizeof *look);
        if (!look)
                return -ENOMEM;
        look->root = d->manager->root;
        look->done_fd = d->done_fd;

        r = pthread_attr_init(&attributes);
        if (r == 0) {
                (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
                r = pthread_create(&d->thread, &attributes, work, look);
                (void)pthread_attr_destroy(&attributes);
        }
        if (r != 0) {
                look_free(look);
                return -r;
        }
        d->look = look;
        return 0;
}

/* The oldest call that waits, of those that the look serves or of those that it does not. */
static Call *find_waiting(const Manager *m, bool served) {
        Call *oldest = NULL;

        for (Call *c = m->calls; c; c = c->next) {
                const DiagnosisCall *data = c->data;

                if (c->kind == &diagnosis_kind && data->waits && data->served == served)
                        oldest = c;
        }
        return oldest;
}

static void look_for_all(Diagnoser *d) {
        Call *c;
        int r;

        if (d->look || !find_waiting(d->manager, false))
                return;

        r = start_look(d);
        while ((c = find_waiting(d->manager, false)))
                if (r < 0)
                        call_fail(c, r);
                else
                        ((DiagnosisCall *)c->data)->served = true;
}

static int on_done(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *userdata) {
        Diagnoser *d = userdata;
        eventfd_t value;
        Look *look;
        Call *c;

        if (eventfd_read(fd, &value) < 0)
                return 0;

        (void)pthread_join(d->thread, NULL);
        look = STEAL(d->look);
        while ((c = find_waiting(d->manager, true)))
                if (look->error < 0)
                        call_fail(c, look->error);
                else
                        answer(c, &look->host);
        look_free(look);
        look_for_all(d);
        return 0;
}

void diagnoser_free(Manager *m) {
        Diagnoser *d = m->diagnoser;
        struct pollfd pollfd;
        bool hangs = false;

        if (!d)
                return;

        if (d->look) {
                pollfd = (struct pollfd){.fd = d->done_fd, .events = POLLIN};
                hangs = poll(&pollfd, 1, 1000) <= 0;
                if (hangs)
                        (void)pthread_detach(d->thread);
                else {
                        (void)pthread_join(d->thread, NULL);
                        look_free(d->look);
                }
        }
        sd_event_source_disable_unref(d->done_source);
        if (!hangs) /* or it would write to whatever takes the number next */
                closep(&d->done_fd);
        free(d);
        m->diagnoser = NULL;
}

static int get_diagnoser(Manager *m, Diagnoser **ret) {
        Diagnoser *d = m->diagnoser;
        int r;

        if (!d) {
                d = calloc(1, sizeof *d);
                if (!d)
                        return -ENOMEM;
                d->manager = m;
                m->diagnoser = d;
                d->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                r = d->done_fd < 0 ? -errno
                                   : sd_event_add_io(m->event, &d->done_source, d->done_fd, EPOLLIN, on_done,
                                                     d);
                if (r < 0) {
                        diagnoser_free(m);
                        return r;
                }
        }
        *ret = d;
        return 0;
}

static int on_patience_ends(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Call *c = userdata;
        Failure f = {0};

        (void)failure_set(&f, FAILURE_STUCK,
                          "The kernel does not answer what this host is made of: a file below /etc, /boot, "
                          "/lib/modules, /proc or /sys cannot be read in time. See 'journalctl -k' for a "
                          "disk or an "
                          "automount that hangs, and try again.");
        call_finish(c, &f);
        return 0;
}

static void wait_for_look(Call *c) {
        DiagnosisCall *data = c->data;
        Diagnoser *d;
        int r;

        r = get_diagnoser(c->manager, &d);
        if (r >= 0)
                r = sd_event_add_time_relative(c->manager->event, &data->patience, CLOCK_MONOTONIC,
                                               PATIENCE_USEC, 0, on_patience_ends, c);
        if (r < 0) {
                call_fail(c, r);
                return;
        }
        data->waits = true;
        look_for_all(d);
}

static int on_pid(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        Call *c = userdata;
        DiagnosisCall *data = c->data;
        uint32_t pid;

        data->pid = sd_bus_slot_unref(data->pid);
        if (sd_bus_message_is_method_error(message, NULL) || sd_bus_message_read(message, "u", &pid) <= 0)
                data->memlock_error = -ESRCH;
        else
                data->memlock_error = memlock_read(c->manager->root, (pid_t)pid, &data->memlock);
        wait_for_look(c);
        return 1;
}

static void go(Call *c) {
        DiagnosisCall *data = c->data;
        int r;

        r = sd_bus_call_method_async(c->manager->bus, &data->pid, "org.freedesktop.DBus",
                                     "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "GetConnectionUnixProcessID", on_pid, c, "s", call_sender(c));
        if (r < 0)
                call_fail(c, r);
}

int diagnose(Manager *m, sd_bus_message *message) {
        DiagnosisCall *data;

        assert(m);

        data = calloc(1, sizeof *data);
        return data ? call_start(m, message, &diagnosis_kind, data) : -ENOMEM;
}
