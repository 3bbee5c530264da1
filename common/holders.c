/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/wait.h>

#include "holders.h"
#include "sysfs.h"
#include "text.h"

#define NAMED_MAX 4U

struct HolderSearch {
        sd_event_source *answer, *timer;
        int pipe;
        holders_found_t found;
        void *userdata;
};

HolderSearch *holder_search_free(HolderSearch *s) {
        if (!s)
                return NULL;

        sd_event_source_disable_unref(s->answer);
        sd_event_source_disable_unref(s->timer);
        closep(&s->pipe);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(HolderSearch *, holder_search_free);

typedef struct Look {
        int proc;
        IommuSet set;
        char names[256];
        size_t used;
        unsigned found;
} Look;

static bool names_member(const IommuSet *set, const char *command_line, size_t length) {
        char address[PCI_ADDRESS_SIZE];

        for (size_t i = 0; i < set->n_members; i++) {
                (void)pci_address_format(&set->members[i], address);
                if (memmem(command_line, length, address, strlen(address)))
                        return true;
        }
        return false;
}

static int match_process(const char *name, void *userdata) {
        char path[NAME_MAX + 16], command_line[16384], comm[32], shown[32];
        _cleanup_close_ int fd = -1;
        Look *l = userdata;
        ssize_t n;

        if (name[0] < '1' || name[0] > '9')
                return 0;

        (void)snprintf(path, sizeof path, "%s/cmdline", name);
        fd = openat(l->proc, path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, command_line, sizeof command_line);
        if (n <= 0 || !names_member(&l->set, command_line, (size_t)n))
                return 0;

        (void)snprintf(path, sizeof path, "%s/comm", name);
        if (sysfs_read(l->proc, path, comm, sizeof comm) < 0)
                return 0;

        /* A process chooses its own name: keep it from writing our sentence. */
        text_sanitize(shown, sizeof shown, comm, strlen(comm));
        l->used += (size_t)snprintf(l->names + l->used, sizeof l->names - l->used, "%sprocess %.10s (%s)",
                                    l->found++ > 0 ? ", " : "", name, shown);
        return l->found == NAMED_MAX || l->used >= sizeof l->names;
}

/* Nothing of ours survives here but the root directory and the pipe. What forks in between is nobody's child, so that
 * nobody has to wait for it. */
_Noreturn static void run_child(int root, int out, const PciAddress *device) {
        _cleanup_close_ int fd = -1;
        Look l = {.set = {.n_members = 1, .members = {*device}}};
        IommuSet set = {0};
        sigset_t none;

        if ((root = fcntl(root, F_DUPFD, 5)) < 0 || (out = fcntl(out, F_DUPFD, 5)) < 0 ||
            dup2(root, 3) < 0 || dup2(out, 4) < 0 || close_range(5, ~0U, 0) < 0 || fork() != 0)
                _exit(EXIT_FAILURE);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGALRM, SIG_DFL);
        (void)alarm(HOLDERS_SECONDS);

        fd = sysfs_open_device(3, device);
        if (fd >= 0 && iommu_set_read(fd, &set) >= 0)
                l.set = set;
        l.proc = sysfs_open_dir(3, "proc");
        if (l.proc >= 0)
                (void)sysfs_each(l.proc, ".", match_process, &l);
        (void)!write(4, l.names, strlen(l.names));
        _exit(EXIT_SUCCESS);
}

static void finish(HolderSearch *s, const char *names) {
        sd_event_source_disable_unref(s->answer);
        sd_event_source_disable_unref(s->timer);
        s->answer = s->timer = NULL;
        s->found(names, s->userdata);
}

static int on_answer(sd_event_source *source _unused_, int fd, uint32_t events _unused_, void *userdata) {
        char names[sizeof((Look *)NULL)->names] = "";

        (void)!read(fd, names, sizeof names - 1);
        finish(userdata, names);
        return 0;
}

/* It should have ended, but the kernel does not let it. */
static int on_late(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        finish(userdata, "");
        return 0;
}

int holders_search(sd_event *event, int root, const PciAddress *device, holders_found_t found,
                   void *userdata, HolderSearch **ret) {
        _cleanup_(holder_search_freep) HolderSearch *s = NULL;
        _cleanup_close_ int out = -1;
        int r, fds[2];
        pid_t pid;

        assert(event);
        assert(device);
        assert(found);
        assert(ret);

        s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        *s = (HolderSearch){.pipe = -1, .found = found, .userdata = userdata};
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
                return -errno;
        s->pipe = fds[0];
        out = fds[1];

        if ((r = sd_event_add_io(event, &s->answer, s->pipe, EPOLLIN, on_answer, s)) < 0 ||
            (r = sd_event_add_time_relative(event, &s->timer, CLOCK_MONOTONIC,
                                            (HOLDERS_SECONDS + 1) * 1000000ULL, 0, on_late, s)) < 0)
                return r;

        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                run_child(root, out, device);
        (void)waitpid(pid, NULL, 0); /* it has forked and gone */

        *ret = STEAL(s);
        return 0;
}
