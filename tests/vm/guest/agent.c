/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lab's hand inside the guest: runs commands that arrive over a virtio-serial port and sends back what
 * they say and how they end. Several may run at once; each has an id that the host chose.
 *
 * Frame, both ways: u32 length of all that follows, u32 id, u8 type, payload. Little endian, as is the only
 * machine we run on.
 *   to us    R  run: user NUL argv[0] NUL argv[1] NUL ...
 *            I  bytes for its stdin        E  end of its stdin        K  signal (u32) for its process group
 *   from us  H  hello: kernel release (id 0)
 *            S  started: pid (u32)         O, X  bytes of stdout, stderr
 *            D  done: exit code (i32), or minus the signal that ended it; last frame of an id
 *
 * A command is done when its process ends, even if a child keeps the pipes open. What it wrote until then
 * has been sent. A broken frame is the host's mistake and ends the agent: systemd shows it.
 *
 * Static, and users are looked up in the files themselves: no NSS, nothing of the guest's libraries.
 */

#define _GNU_SOURCE
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_NAME "verge.lab.agent"
#define JOBS_MAX 64
#define FRAME_MAX (1024 * 1024)
#define ARGV_MAX 256

typedef struct Job {
        uint32_t id;
        pid_t pid;    /* 0: this slot is free */
        int in;       /* -1 when closed */
        int out[2];   /* stdout, stderr */
        char *queued; /* bytes that its stdin has not taken yet */
        size_t n_queued;
        bool end_queued; /* close stdin when the queue is empty */
} Job;

static Job jobs[JOBS_MAX];
static int port = -1;

static void die(const char *what) {
        fprintf(stderr, "lab agent: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void write_all(int fd, const void *data, size_t n) {
        const char *p = data;

        while (n > 0) {
                ssize_t done = write(fd, p, n);

                if (done < 0 && (errno == EINTR || errno == EAGAIN)) {
                        (void)poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
                        continue;
                }
                if (done < 0)
                        die("port");
                p += done;
                n -= (size_t)done;
        }
}

static void send_frame(uint32_t id, char type, const void *payload, size_t n) {
        char head[9];
        uint32_t length = (uint32_t)(5 + n);

        memcpy(head, &length, 4);
        memcpy(head + 4, &id, 4);
        head[8] = type;
        write_all(port, head, sizeof(head));
        write_all(port, payload, n);
}

static int open_port(void) {
        struct dirent *entry;
        DIR *dir;
        int fd = -1;

        dir = opendir("/sys/class/virtio-ports");
        while (dir && fd < 0 && (entry = readdir(dir))) {
                char path[512], name[64] = "";
                FILE *f;

                (void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
                f = fopen(path, "re");
                if (!f)
                        continue;
                if (fgets(name, sizeof(name), f) && strcmp(name, PORT_NAME "\n") == 0) {
                        (void)snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
                        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
                }
                (void)fclose(f);
        }
        if (dir)
                (void)closedir(dir);
        return fd;
}

/* In the child. The groups come from the group file: initgroups() would want NSS. */
static int become(const char *user) {
        gid_t groups[64];
        size_t n = 0;
        struct passwd *pw;
        struct group *gr;
        FILE *f;

        f = fopen("/etc/passwd", "re");
        if (!f)
                return -errno;
        while ((pw = fgetpwent(f)))
                if (strcmp(pw->pw_name, user) == 0)
                        break;
        if (!pw)
                return -ENOENT;

        f = fopen("/etc/group", "re");
        if (!f)
                return -errno;
        groups[n++] = pw->pw_gid;
        while ((gr = fgetgrent(f)) && n < 64)
                for (char **member = gr->gr_mem; *member; member++)
                        if (strcmp(*member, user) == 0)
                                groups[n++] = gr->gr_gid;

        if (setgroups(n, groups) < 0 || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)
                return -errno;
        if (chdir(pw->pw_dir) < 0 && chdir("/") < 0)
                return -errno;

        (void)clearenv();
        (void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
        (void)setenv("HOME", pw->pw_dir, 1);
        (void)setenv("USER", user, 1);
        (void)setenv("LOGNAME", user, 1);
        (void)setenv("SHELL", "/bin/sh", 1);
        (void)setenv("LC_ALL", "C.UTF-8", 1);
        (void)setenv("SYSTEMD_PAGER", "cat", 1);
        (void)setenv("SYSTEMD_COLORS", "0", 1);
        return 0;
}

_Noreturn static void child(const char *user, char **argv, const int *fds) {
        sigset_t none;
        int r;

        (void)setsid();
        for (int i = 0; i < 3; i++)
                if (dup2(fds[i], i) < 0)
                        _exit(126);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);

        r = become(user);
        if (r < 0) {
                fprintf(stderr, "lab agent: user %s: %s\n", user, strerror(-r));
                _exit(126);
        }
        (void)execvp(argv[0], argv);
        fprintf(stderr, "lab agent: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
}

static Job *find_job(uint32_t id) {
        for (size_t i = 0; i < JOBS_MAX; i++)
                if (jobs[i].pid > 0 && jobs[i].id == id)
                        return &jobs[i];
        return NULL;
}

static void close_fd(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
        *fd = -1;
}

static void start_job(uint32_t id, char *payload, size_t n) {
        char *argv[ARGV_MAX + 1];
        int in[2], out[2], err[2];
        size_t argc = 0;
        uint32_t pid;
        Job *job = NULL;

        assert(n > 0 && payload[n - 1] == '\0');
        for (char *p = payload + strlen(payload) + 1; p < payload + n && argc < ARGV_MAX; p += strlen(p) + 1)
                argv[argc++] = p;
        argv[argc] = NULL;
        assert(argc > 0);

        for (size_t i = 0; i < JOBS_MAX && !job; i++)
                if (jobs[i].pid == 0)
                        job = &jobs[i];
        if (!job || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
                die("no room for another command");

        *job = (Job){.id = id, .in = in[1], .out = {out[0], err[0]}};
        job->pid = fork();
        if (job->pid < 0)
                die("fork");
        if (job->pid == 0)
                child(payload, argv, (int[]){in[0], out[1], err[1]});

        (void)close(in[0]);
        (void)close(out[1]);
        (void)close(err[1]);
        (void)fcntl(job->in, F_SETFL, O_NONBLOCK);
        (void)fcntl(job->out[0], F_SETFL, O_NONBLOCK);
        (void)fcntl(job->out[1], F_SETFL, O_NONBLOCK);
        pid = (uint32_t)job->pid;
        send_frame(id, 'S', &pid, sizeof(pid));
}

static void feed(Job *job) {
        while (job->in >= 0 && job->n_queued > 0) {
                ssize_t n = write(job->in, job->queued, job->n_queued);

                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0) {
                        /* It reads no more. That is its right. */
                        close_fd(&job->in);
                        break;
                }
                job->n_queued -= (size_t)n;
                memmove(job->queued, job->queued + n, job->n_queued);
        }
        if (job->end_queued || job->in < 0)
                close_fd(&job->in);
}

static void queue(Job *job, const char *data, size_t n) {
        char *grown = realloc(job->queued, job->n_queued + n + 1);

        if (!grown)
                die("memory");
        memcpy(grown + job->n_queued, data, n);
        job->queued = grown;
        job->n_queued += n;
        feed(job);
}

/* Sends what is there now; closes at the end. */
static void drain(Job *job, int which) {
        static char buffer[64 * 1024];
        ssize_t n;

        while (job->out[which] >= 0 && (n = read(job->out[which], buffer, sizeof(buffer))) != 0) {
                if (n < 0) {
                        if (errno != EAGAIN)
                                close_fd(&job->out[which]);
                        return;
                }
                send_frame(job->id, which == 0 ? 'O' : 'X', buffer, (size_t)n);
        }
        close_fd(&job->out[which]);
}

static void reap(void) {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                for (size_t i = 0; i < JOBS_MAX; i++) {
                        Job *job = &jobs[i];
                        int32_t code;

                        if (job->pid != pid)
                                continue;
                        drain(job, 0);
                        drain(job, 1);
                        code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
                        send_frame(job->id, 'D', &code, sizeof(code));
                        close_fd(&job->in);
                        close_fd(&job->out[0]);
                        close_fd(&job->out[1]);
                        free(job->queued);
                        *job = (Job){};
                }
}

static void dispatch(uint32_t id, char type, char *payload, size_t n) {
        Job *job = find_job(id);
        uint32_t signal_number;

        if (type == 'R') {
                start_job(id, payload, n);
                return;
        }
        if (!job)
                return; /* it ended meanwhile */
        switch (type) {
        case 'I':
                queue(job, payload, n);
                break;
        case 'E':
                job->end_queued = true;
                feed(job);
                break;
        case 'K':
                assert(n == sizeof(signal_number));
                memcpy(&signal_number, payload, sizeof(signal_number));
                (void)kill(-job->pid, (int)signal_number);
                break;
        default:
                assert(false);
        }
}

static void read_port(void) {
        static char buffer[FRAME_MAX + 4];
        static size_t filled;
        uint32_t length, id;
        ssize_t n;

        n = read(port, buffer + filled, sizeof(buffer) - filled);
        if (n <= 0) {
                /* Nobody at the other end (yet): the port is readable all the time then. */
                if (n == 0)
                        (void)poll(NULL, 0, 100);
                return;
        }
        filled += (size_t)n;
        while (filled >= 4) {
                memcpy(&length, buffer, 4);
                assert(length >= 5 && length <= FRAME_MAX);
                if (filled < 4 + length)
                        return;
                memcpy(&id, buffer + 4, 4);
                dispatch(id, buffer[8], buffer + 9, length - 5);
                filled -= 4 + length;
                memmove(buffer, buffer + 4 + length, filled);
        }
}

static void loop(int signals) {
        for (;;) {
                struct pollfd fds[2 + 3 * JOBS_MAX] = {
                                {.fd = port, .events = POLLIN},
                                {.fd = signals, .events = POLLIN},
                };
                struct signalfd_siginfo info;

                for (size_t i = 0; i < JOBS_MAX; i++) {
                        const Job *job = &jobs[i];
                        bool used = job->pid > 0, writes = used && job->n_queued > 0;

                        fds[2 + 3 * i] = (struct pollfd){.fd = writes ? job->in : -1, .events = POLLOUT};
                        fds[3 + 3 * i] = (struct pollfd){.fd = used ? job->out[0] : -1, .events = POLLIN};
                        fds[4 + 3 * i] = (struct pollfd){.fd = used ? job->out[1] : -1, .events = POLLIN};
                }
                if (poll(fds, 2 + 3 * JOBS_MAX, -1) < 0 && errno != EINTR)
                        die("poll");

                for (size_t i = 0; i < JOBS_MAX; i++) {
                        if (fds[2 + 3 * i].revents)
                                feed(&jobs[i]);
                        if (fds[3 + 3 * i].revents)
                                drain(&jobs[i], 0);
                        if (fds[4 + 3 * i].revents)
                                drain(&jobs[i], 1);
                }
                if (fds[1].revents && read(signals, &info, sizeof(info)) > 0)
                        reap();
                if (fds[0].revents)
                        read_port();
        }
}

int main(void) {
        struct utsname kernel;
        sigset_t mask;
        int signals;

        for (int tries = 0; port < 0 && tries < 600; tries++) {
                port = open_port();
                if (port < 0)
                        (void)poll(NULL, 0, 100);
        }
        if (port < 0)
                die("no virtio-serial port " PORT_NAME);

        (void)signal(SIGPIPE, SIG_IGN);
        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &mask, NULL);
        signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals < 0)
                die("signalfd");

        (void)uname(&kernel);
        send_frame(0, 'H', kernel.release, strlen(kernel.release));
        loop(signals);
}
