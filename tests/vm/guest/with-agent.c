/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * with-agent: runs a command as somebody who sits at a terminal and answers polkit's password prompt.
 *
 *   with-agent [--password FILE | --wrong | --cancel | --hold] [--as USER] [--log FILE] -- COMMAND ARG...
 *
 * --password FILE   types the first line of FILE
 * --wrong           types a password that is not right
 * --cancel          leaves at the prompt, as with Ctrl-C (the default: no password was given)
 * --hold            never answers: the prompt stays open until COMMAND ends
 * --as USER         whom to be, when polkit offers several administrators (default: the first)
 * --log FILE        what the terminal showed, written as it comes
 *
 * The agent is pkttyagent, on a terminal of its own, registered for the process that then becomes COMMAND.
 * So COMMAND itself has to be the D-Bus client: polkit maps the caller's bus name to that very process and
 * does not look at its parents. Ends with COMMAND's exit code; 125 when the scene could not be set.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD, WRONG, CANCEL, HOLD };

static struct {
        int answer;
        char password[256];
        const char *as;
        int log;
} options = {.answer = CANCEL, .log = -1};

static struct {
        char text[8192]; /* shown since the last answer */
        size_t n;
} screen;

_Noreturn static void die(const char *what) {
        fprintf(stderr, "with-agent: %s: %s\n", what, strerror(errno));
        exit(125);
}

static void read_password(const char *path) {
        FILE *f = fopen(path, "re");

        if (!f || !fgets(options.password, sizeof(options.password), f))
                die(path);
        options.password[strcspn(options.password, "\n")] = '\0';
        (void)fclose(f);
        options.answer = PASSWORD;
}

/* Waits for the go, then becomes the command. Its pid is known, and registered, before. */
static pid_t prepare_command(char **argv, int *ret_go) {
        int go[2];
        pid_t pid;
        char c;

        if (pipe2(go, O_CLOEXEC) < 0)
                die("pipe");
        pid = fork();
        if (pid < 0)
                die("fork");
        if (pid == 0) {
                sigset_t none;

                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)close(go[1]);
                if (read(go[0], &c, 1) != 1)
                        _exit(125);
                (void)sigemptyset(&none);
                (void)sigprocmask(SIG_SETMASK, &none, NULL);
                (void)execvp(argv[0], argv);
                fprintf(stderr, "with-agent: %s: %s\n", argv[0], strerror(errno));
                _exit(127);
        }
        (void)close(go[0]);
        *ret_go = go[1];
        return pid;
}

/* pkttyagent closes the notify descriptor when it is registered, and when it dies. */
static pid_t start_agent(pid_t subject, int *ret_terminal) {
        char process[16], notify[16], c;
        int fds[2], terminal, status;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                die("pipe");
        pid = forkpty(&terminal, NULL, NULL, &(struct winsize){.ws_row = 50, .ws_col = 500});
        if (pid < 0)
                die("forkpty");
        if (pid == 0) {
                sigset_t none;

                (void)sigemptyset(&none);
                (void)sigprocmask(SIG_SETMASK, &none, NULL);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)fcntl(fds[1], F_SETFD, 0);
                (void)snprintf(process, sizeof(process), "%d", (int)subject);
                (void)snprintf(notify, sizeof(notify), "%d", fds[1]);
                (void)execlp("pkttyagent", "pkttyagent", "--process", process, "--notify-fd", notify, NULL);
                fprintf(stderr, "pkttyagent: %s\n", strerror(errno));
                _exit(127);
        }
        (void)close(fds[1]);
        while (read(fds[0], &c, 1) < 0 && errno == EINTR)
                ;
        (void)close(fds[0]);
        /* It says goodbye by closing too: give the dying one the moment to be dead. */
        if (poll(&(struct pollfd){.fd = terminal, .events = POLLIN}, 1, 0) > 0 ||
            waitpid(pid, &status, WNOHANG) == pid) {
                char words[512];
                ssize_t n = read(terminal, words, sizeof(words) - 1);

                words[n > 0 ? n : 0] = '\0';
                fprintf(stderr, "with-agent: pkttyagent did not register: %s\n", words);
                exit(125);
        }
        *ret_terminal = terminal;
        return pid;
}

/*
 * pkttyagent prints its prompt first and turns the echo off after it, which throws away what was typed
 * meanwhile. The change of a terminal's settings makes no event: look until it is done.
 */
static void wait_echo_off(int terminal) {
        struct termios settings;

        for (int tries = 0; tries < 1000; tries++) {
                if (tcgetattr(terminal, &settings) < 0 || !(settings.c_lflag & ECHO))
                        return;
                (void)poll(NULL, 0, 10);
        }
}

static void type_line(int terminal, const char *line) {
        dprintf(terminal, "%s\n", line);
        screen.n = 0;
}

/* "Choose identity to authenticate as (1-2): " after a list of "1. Name (login)". */
static void choose_identity(int terminal) {
        char needle[128], number[16] = "1";

        for (char *line = strtok(screen.text, "\n"); line && options.as; line = strtok(NULL, "\n")) {
                (void)snprintf(needle, sizeof(needle), "%s", options.as);
                if (line[0] >= '0' && line[0] <= '9' && strstr(line, needle))
                        (void)snprintf(number, sizeof(number), "%d", atoi(line));
        }
        type_line(terminal, number);
}

static void look_at_screen(int terminal, pid_t agent) {
        ssize_t n;

        if (screen.n >= sizeof(screen.text) - 1)
                screen.n = 0;
        n = read(terminal, screen.text + screen.n, sizeof(screen.text) - 1 - screen.n);
        if (n <= 0)
                return;
        if (options.log >= 0 && write(options.log, screen.text + screen.n, (size_t)n) < 0)
                die("log");
        screen.n += (size_t)n;
        screen.text[screen.n] = '\0';

        if (strstr(screen.text, "Choose identity to authenticate as")) {
                choose_identity(terminal);
                return;
        }
        if (!strstr(screen.text, "Password: "))
                return;
        wait_echo_off(terminal);
        if (options.answer == PASSWORD)
                type_line(terminal, options.password);
        else if (options.answer == WRONG)
                type_line(terminal, "this is not the password");
        else if (options.answer == CANCEL)
                (void)kill(agent, SIGINT);
        screen.n = 0;
}

static int play(int terminal, pid_t agent, pid_t command, int signals) {
        struct signalfd_siginfo info;
        bool agent_lives = true;
        int status;
        pid_t pid;

        for (;;) {
                struct pollfd fds[] = {
                                {.fd = agent_lives ? terminal : -1, .events = POLLIN},
                                {.fd = signals, .events = POLLIN},
                };

                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        die("poll");
                if (fds[0].revents & POLLIN)
                        look_at_screen(terminal, agent);
                else if (fds[0].revents)
                        agent_lives = false;
                if (!fds[1].revents || read(signals, &info, sizeof(info)) <= 0)
                        continue;
                while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                        if (pid == agent)
                                agent_lives = false;
                        if (pid != command)
                                continue;
                        /* The last words ("AUTHENTICATION COMPLETE") may still be on their way. */
                        while (agent_lives && poll(fds, 1, 50) > 0 && (fds[0].revents & POLLIN))
                                look_at_screen(terminal, agent);
                        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                }
        }
}

int main(int argc, char **argv) {
        static const struct option long_options[] = {
                        {"password", required_argument, NULL, 'p'},
                        {"wrong", no_argument, NULL, 'w'},
                        {"cancel", no_argument, NULL, 'c'},
                        {"hold", no_argument, NULL, 'h'},
                        {"as", required_argument, NULL, 'a'},
                        {"log", required_argument, NULL, 'l'},
                        {},
        };
        int c, go, terminal, signals, code;
        pid_t command, agent;
        sigset_t mask;

        while ((c = getopt_long(argc, argv, "+", long_options, NULL)) >= 0)
                switch (c) {
                case 'p':
                        read_password(optarg);
                        break;
                case 'w':
                        options.answer = WRONG;
                        break;
                case 'c':
                        options.answer = CANCEL;
                        break;
                case 'h':
                        options.answer = HOLD;
                        break;
                case 'a':
                        options.as = optarg;
                        break;
                case 'l':
                        options.log = open(optarg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
                        if (options.log < 0)
                                die(optarg);
                        break;
                default:
                        return 125;
                }
        if (optind >= argc) {
                fprintf(stderr, "with-agent: no command\n");
                return 125;
        }

        (void)sigemptyset(&mask);
        (void)sigaddset(&mask, SIGCHLD);
        (void)sigprocmask(SIG_BLOCK, &mask, NULL);
        signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals < 0)
                die("signalfd");

        command = prepare_command(argv + optind, &go);
        agent = start_agent(command, &terminal);
        if (write(go, "g", 1) != 1)
                die("go");
        code = play(terminal, agent, command, signals);
        (void)kill(agent, SIGKILL);
        return code;
}
