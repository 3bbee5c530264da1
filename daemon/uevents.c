/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <libudev.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "uevents.h"

/* Takes a few thousand events while we are busy; a rescan of a large host makes some hundred. */
#define RECEIVE_BUFFER_SIZE (1024 * 1024)

/* So many are taken together; then others have their turn. */
#define EVENTS_PER_DISPATCH 256

static const char *const uevent_action_table[UEVENT_ACTION_MAX] = {
                [UEVENT_ADD] = "add",       [UEVENT_REMOVE] = "remove", [UEVENT_BIND] = "bind",
                [UEVENT_UNBIND] = "unbind", [UEVENT_CHANGE] = "change", [UEVENT_DRIVERS] = "drivers",
                [UEVENT_LOST] = "lost",     [UEVENT_USE] = "use",
};

DEFINE_STRING_TABLE(uevent_action, UeventAction, UEVENT_ACTION_MAX);

/* What the critical reasons (critical.h) are made of, beside what host-watch hears of by itself. */
static const char *const use_subsystems[] = {
                "block", "drm", "graphics", "input", "bluetooth", "tty", "watchdog", "ipmi", "tpm",
};

struct Uevents {
        struct udev *udev;
        struct udev_monitor *monitor, *use_monitor;
        sd_event_source *source, *use_source;
        uevent_t f;
        uevents_end_t end;
        void *userdata;
        char line[64]; /* of the pipe, so far */
        size_t length;
};

Uevents *uevents_free(Uevents *u) {
        if (!u)
                return NULL;

        sd_event_source_disable_unref(u->source);
        sd_event_source_disable_unref(u->use_source);
        udev_monitor_unref(u->monitor);
        udev_monitor_unref(u->use_monitor);
        udev_unref(u->udev);
        free(u);
        return NULL;
}
DEFINE_CLEANUP(Uevents *, uevents_free);

static void report(Uevents *u, const char *action, const char *address) {
        int verb = (int)uevent_action_from_string(action);
        PciAddress a;

        if (pci_address_parse(address, &a) < 0)
                return;
        /* "move" and whatever comes: the device is worth a look. */
        u->f(verb < 0 || verb >= UEVENT_DRIVERS ? UEVENT_CHANGE : (UeventAction)verb, &a, u->userdata);
}

/* The last PCI function on the way to a device. From the text of the message: libudev would read the
 * `uevent` of its parents. */
static bool find_function(const char *devpath, PciAddress *ret) {
        char part[PCI_ADDRESS_SIZE];
        bool found = false;
        size_t n;

        for (const char *p = devpath; *p; p += n) {
                p += strspn(p, "/");
                n = strcspn(p, "/");
                if (n < sizeof part) {
                        (void)snprintf(part, sizeof part, "%.*s", (int)n, p);
                        found |= pci_address_parse(part, ret) >= 0;
                }
        }
        return found;
}

static void take_event(Uevents *u, struct udev_device *device) {
        const char *subsystem = strempty(udev_device_get_subsystem(device));
        PciAddress a;

        if (streq(subsystem, "pci"))
                report(u, udev_device_get_action(device), udev_device_get_sysname(device));
        else if (!streq(subsystem, "nvme"))
                u->f(UEVENT_DRIVERS, NULL, u->userdata);
        else if (find_function(strempty(udev_device_get_devpath(device)), &a))
                u->f(UEVENT_CHANGE, &a, u->userdata);
}

static int on_monitor(sd_event_source *s _unused_, int fd _unused_, uint32_t events _unused_,
                      void *userdata) {
        struct udev_device *device;
        Uevents *u = userdata;
        bool lost = false;

        for (unsigned i = 0; i < EVENTS_PER_DISPATCH; i++) {
                errno = 0;
                device = udev_monitor_receive_device(u->monitor);
                if (device) {
                        take_event(u, device);
                        udev_device_unref(device);
                } else if (errno == ENOBUFS)
                        lost = true;
                else
                        break;
        }
        if (lost)
                u->f(UEVENT_LOST, NULL, u->userdata);
        u->end(u->userdata);
        return 0;
}

/* Not one is parsed: that there are some is enough. The kernel lets nobody but root send any. */
static int on_use_monitor(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *userdata) {
        Uevents *u = userdata;
        char byte;

        for (unsigned i = 0; i < EVENTS_PER_DISPATCH; i++)
                if (recv(fd, &byte, sizeof byte, MSG_DONTWAIT) < 0 && errno != ENOBUFS && errno != EINTR)
                        break;
        u->f(UEVENT_USE, NULL, u->userdata);
        return 0;
}

static bool is_use(const char *subsystem) {
        for (size_t i = 0; i < ELEMENTSOF(use_subsystems); i++)
                if (streq(subsystem, use_subsystems[i]))
                        return true;
        return false;
}

/* false: it was one of the second monitor's. */
static bool take_line(Uevents *u) {
        char *space;

        u->line[u->length] = '\0';
        u->length = 0;
        space = strchr(u->line, ' ');
        if (!space)
                return true;
        *space = '\0';
        if (is_use(space + 1)) {
                u->f(UEVENT_USE, NULL, u->userdata);
                return false;
        }
        report(u, u->line, space + 1);
        return true;
}

static int on_pipe(sd_event_source *s, int fd, uint32_t events _unused_, void *userdata) {
        Uevents *u = userdata;
        bool any = false;
        char buf[4096];
        ssize_t n;

        n = read(fd, buf, sizeof buf);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return sd_event_source_set_enabled(s, SD_EVENT_OFF);

        for (ssize_t i = 0; i < n; i++)
                if (buf[i] == '\n')
                        any |= take_line(u);
                else if (u->length + 1 < sizeof u->line)
                        u->line[u->length++] = buf[i];
        if (any)
                u->end(u->userdata);
        return 0;
}

static int match(struct udev_monitor *monitor, const char *const *subsystems, size_t n) {
        int r;

        for (size_t i = 0; i < n; i++) {
                r = udev_monitor_filter_add_match_subsystem_devtype(monitor, subsystems[i], NULL);
                if (r < 0)
                        return r;
        }
        return udev_monitor_enable_receiving(monitor);
}

static int open_monitors(Uevents *u) {
        static const char *const subsystems[] = {"pci", "nvme", "drivers", "module"};
        int r;

        u->udev = udev_new();
        u->monitor = u->udev ? udev_monitor_new_from_netlink(u->udev, "udev") : NULL;
        u->use_monitor = u->monitor ? udev_monitor_new_from_netlink(u->udev, "udev") : NULL;
        if (!u->use_monitor)
                return errno > 0 ? -errno : -ENOMEM;

        /* Without privilege it is what net.core.rmem_max allows; a lost event is noticed anyway. */
        (void)udev_monitor_set_receive_buffer_size(u->monitor, RECEIVE_BUFFER_SIZE);
        r = match(u->monitor, subsystems, ELEMENTSOF(subsystems));
        return r < 0 ? r : match(u->use_monitor, use_subsystems, ELEMENTSOF(use_subsystems));
}

static int watch_monitors(Uevents *u, sd_event *event) {
        int r;

        if ((r = open_monitors(u)) < 0 ||
            (r = sd_event_add_io(event, &u->source, udev_monitor_get_fd(u->monitor), EPOLLIN, on_monitor,
                                 u)) < 0)
                return r;
        return sd_event_add_io(event, &u->use_source, udev_monitor_get_fd(u->use_monitor), EPOLLIN,
                               on_use_monitor, u);
}

int uevents_new(sd_event *event, int pipe_fd, uevent_t f, uevents_end_t end, void *userdata, Uevents **ret) {
        _cleanup_(uevents_freep) Uevents *u = NULL;
        int r;

        assert(event);
        assert(f);
        assert(end);
        assert(ret);

        u = calloc(1, sizeof *u);
        if (!u)
                return -ENOMEM;
        u->f = f;
        u->end = end;
        u->userdata = userdata;

        if (pipe_fd >= 0)
                r = sd_event_add_io(event, &u->source, pipe_fd, EPOLLIN, on_pipe, u);
        else
                r = watch_monitors(u, event);
        if (r < 0)
                return r;

        *ret = STEAL(u);
        return 0;
}
