/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <systemd/sd-login.h>

#include "agent.h"
#include "output.h"

/* As polkit sees it: of the process, or else of its user. */
static bool has_session(void) {
        _cleanup_free_ char *session = NULL;

        return sd_pid_get_session(0, &session) >= 0 || sd_uid_get_display(getuid(), &session) >= 0;
}

/* A desktop's agent goes first (--fallback). But who is in no session, as behind su, has none, and polkit passes over a
 * fallback then (polkitbackendinteractiveauthority.c, get_authentication_agent_for_subject). */
static void run_agent(int notify) {
        char number[16];
        sigset_t none;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)fcntl(notify, F_SETFD, 0);
        (void)snprintf(number, sizeof number, "%d", notify);
        (void)execlp("pkttyagent", "pkttyagent", "--notify-fd", number, has_session() ? "--fallback" : NULL,
                     NULL);
        _exit(127);
}

void agent_open(Client *c) {
        char byte;
        int ends[2];

        if (c->agent_tried || !output_is_interactive() || geteuid() == 0)
                return;
        c->agent_tried = true;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return;
        (void)fflush(NULL);
        c->agent = fork();
        if (c->agent == 0)
                run_agent(ends[1]);
        (void)close(ends[1]);
        /* It closes its end when polkit knows it, or when it ends. */
        if (c->agent > 0)
                while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
                        ;
        (void)close(ends[0]);
}

void agent_close(Client *c) {
        if (c->agent <= 0)
                return;
        (void)kill(c->agent, SIGTERM);
        (void)kill(c->agent, SIGCONT);
        while (waitpid(c->agent, NULL, 0) < 0 && errno == EINTR)
                ;
        c->agent = 0;
}

bool agent_is_installed(void) {
        pid_t child;
        int status = 0;

        (void)fflush(NULL);
        child = fork();
        if (child == 0) {
                (void)close(STDOUT_FILENO);
                (void)execlp("pkttyagent", "pkttyagent", "--version", NULL);
                _exit(127);
        }
        while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        return child > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 127);
}
