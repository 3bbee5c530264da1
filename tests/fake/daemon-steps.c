/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The daemon under test can be made to die between any two of its steps, or to lose an answer; in front of the two
 * functions by which it changes anything (-Wl,--wrap=helper_client_call,--wrap=store_commit). A step is each call of
 * the helper before and after it is sent, each answer before it is looked at, each commit, and its end. And its disk
 * can be made slow (--wrap=store_writer_commit).
 *
 *   <root>/fake/die    a number: dies at that step from now on, 1 being the next
 *   <root>/fake/lose   a verb of the helper: the next answer to it is that the helper did not answer
 *   <root>/fake/slow   a FIFO: the disk writes nothing until somebody has opened it for writing, and closed it
 *   <root>/fake/slow-look  a FIFO: a look at the host, for Diagnose (--wrap=diagnosis_host_load), waits for a byte or
 *                          the end of it, and while it does there is a file <root>/fake/looking
 *
 * The first two go when that has happened. <root>/fake/steps tells which steps there were.
 */

#include <signal.h>
#include <stdarg.h>

#include "daemon-steps.h"
#include "diagnosis-host.h"
#include "helper-client.h"
#include "store-write.h"

int __real_helper_client_call(HelperClient *c, const HelperRequest *q, helper_done_t done, void *userdata,
                              HelperCall **ret);
int __wrap_helper_client_call(HelperClient *c, const HelperRequest *q, helper_done_t done, void *userdata,
                              HelperCall **ret);
int __real_store_commit(Store *s, StoreChange *c, store_done_t done, void *userdata);
int __wrap_store_commit(Store *s, StoreChange *c, store_done_t done, void *userdata);
int __real_store_writer_commit(StoreWriter *w, const StoreChange *c, Failure *broken);
int __wrap_store_writer_commit(StoreWriter *w, const StoreChange *c, Failure *broken);
int __real_diagnosis_host_load(int root_fd, DiagnosisHost *ret);
int __wrap_diagnosis_host_load(int root_fd, DiagnosisHost *ret);

/* One that is under way; all stay reachable, since who drops a call does not tell us. */
typedef struct Step {
        struct Step *next;
        HelperVerb verb;
        helper_done_t helped;
        store_done_t stored;
        void *userdata;
} Step;

static char root[4096];
static Step *steps;

void daemon_steps_attach(const char *path) {
        (void)snprintf(root, sizeof root, "%s", path);
}

static FILE *open_file(const char *name, const char *mode) {
        char path[4200];

        (void)snprintf(path, sizeof path, "%s/fake/%s", root, name);
        return fopen(path, mode);
}

static void remove_file(const char *name) {
        char path[4200];

        (void)snprintf(path, sizeof path, "%s/fake/%s", root, name);
        (void)unlink(path);
}

/* -1: there is no such file. */
static long read_number(void) {
        _cleanup_fclose_ FILE *f = open_file("die", "re");
        long n;

        return f && fscanf(f, "%ld", &n) == 1 ? n : -1;
}

static _printf_(1, 2) void pass(const char *format, ...) {
        long n = read_number();
        va_list ap;
        FILE *f;

        f = open_file("steps", "ae");
        if (f) {
                va_start(ap, format);
                (void)vfprintf(f, format, ap);
                va_end(ap);
                (void)fputs(n == 1 ? ": dies\n" : "\n", f);
                (void)fclose(f);
        }
        if (n < 0)
                return;

        if (n <= 1) {
                remove_file("die");
                (void)kill(getpid(), SIGKILL);
        }
        f = open_file("die", "we"); /* never gone before its time: the test waits for that */
        if (f) {
                (void)fprintf(f, "%ld\n", n - 1);
                (void)fclose(f);
        }
}

static Step *step_new(void *userdata) {
        Step *s = calloc(1, sizeof *s);

        if (!s)
                abort();
        *s = (Step){.next = steps, .userdata = userdata};
        return steps = s;
}

static bool is_lost(HelperVerb verb) {
        _cleanup_fclose_ FILE *f = open_file("lose", "re");
        char word[32];

        if (!f || fscanf(f, "%31s", word) != 1 || !streq(word, helper_verb_to_string(verb)))
                return false;
        remove_file("lose");
        return true;
}

static void on_helped(const Failure *failure, sd_bus_message *reply, void *userdata) {
        Failure lost = {.kind = FAILURE_HELPER, .sentence = "The answer was lost, as the test wants it."};
        Step *s = userdata;

        pass("answer %s", helper_verb_to_string(s->verb));
        if (is_lost(s->verb))
                s->helped(&lost, NULL, s->userdata);
        else
                s->helped(failure, reply, s->userdata);
}

int __wrap_helper_client_call(HelperClient *c, const HelperRequest *q, helper_done_t done, void *userdata,
                              HelperCall **ret) {
        Step *s = step_new(userdata);
        int r;

        s->verb = q->verb;
        s->helped = done;
        pass("call %s", helper_verb_to_string(q->verb));
        r = __real_helper_client_call(c, q, on_helped, s, ret);
        pass("sent %s", helper_verb_to_string(q->verb));
        return r;
}

static void on_stored(int r, void *userdata) {
        Step *s = userdata;

        pass("committed");
        s->stored(r, s->userdata);
}

int __wrap_store_commit(Store *store, StoreChange *c, store_done_t done, void *userdata) {
        Step *s = step_new(userdata);

        s->stored = done;
        pass("commit");
        return __real_store_commit(store, c, on_stored, s);
}

/* In a thread of its own. */
int __wrap_diagnosis_host_load(int root_fd, DiagnosisHost *ret) {
        FILE *f = open_file("slow-look", "re"), *told = f ? open_file("looking", "we") : NULL;

        if (told)
                (void)fclose(told);
        if (f) {
                (void)fgetc(f);
                (void)fclose(f);
                remove_file("looking");
        }
        return __real_diagnosis_host_load(root_fd, ret);
}

/* In the thread of the store. */
int __wrap_store_writer_commit(StoreWriter *w, const StoreChange *c, Failure *broken) {
        FILE *f = open_file("slow", "re");

        if (f) {
                (void)fgetc(f);
                (void)fclose(f);
        }
        return __real_store_writer_commit(w, c, broken);
}
