/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"
#include "runs.h"
#include "manager.h"

/* Of a run whose end a connection or a machine tells. */
struct RunWatch {
        Manager *manager;
        RunWatch *next;
        char run[RECORD_ID_SIZE];
        MachineWatch *watch;
        sd_event_source *again; /* systemd-machined was not there to be asked */
        unsigned tries;
};

#define AGAIN_USEC (500ULL * 1000)
#define DOUBLINGS_MAX 6U /* 32 s */

static RunWatch *run_watch_free(RunWatch *w) {
        if (!w)
                return NULL;

        (void)LIST_REMOVE(w->manager->run_watches, w, next);
        machine_watch_free(w->watch);
        sd_event_source_disable_unref(w->again);
        free(w);
        return NULL;
}

void run_watches_free_all(Manager *m) {
        while (m->run_watches)
                run_watch_free(m->run_watches);
}

void run_watch_drop(Manager *m, const char *run) {
        RunWatch *next;

        for (RunWatch *w = m->run_watches; w; w = next) {
                next = w->next;
                if (streq(w->run, run))
                        run_watch_free(w);
        }
}

void run_ended(Manager *m, const char *run, const char *why) {
        Run *r = claim_table_find_run(m->claims, run);
        Failure f = {0};

        if (!r)
                return;
        log_info("VM \"%s\" has ended (%s): its devices come back.", r->record.vm, why);
        if (run_stop(m, r, NULL, NULL, NULL, &f) < 0)
                log_error("VM \"%s\" has ended, but: %s", r->record.vm, f.sentence);
}

static void on_gone(const char *reason, void *userdata) {
        RunWatch *w = userdata;
        char run[RECORD_ID_SIZE];
        Manager *m = w->manager;

        memcpy(run, w->run, sizeof run);
        run_watch_free(w);
        run_ended(m, run, reason);
}

static int begin(RunWatch *w);

static int on_again(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        RunWatch *w = userdata;

        if (begin(w) < 0)
                log_error("Out of memory: the end of a VM is not watched; StopVm brings its devices back.");
        return 0;
}

static int wait_for_machined(RunWatch *w) {
        uint64_t delay = AGAIN_USEC << (w->tries < DOUBLINGS_MAX ? w->tries : DOUBLINGS_MAX);

        if (w->tries++ == 0)
                log_warning("Whether a VM is still there cannot be asked of systemd-machined now; it is "
                            "asked again, and StopVm brings the VM's devices back in any case.");
        w->watch = machine_watch_free(w->watch);
        w->again = sd_event_source_disable_unref(w->again);
        return sd_event_add_time_relative(w->manager->event, &w->again, CLOCK_MONOTONIC, delay, 0, on_again,
                                          w);
}

static void on_found(int r, bool there, void *userdata) {
        RunWatch *w = userdata;

        if (r >= 0 && !there)
                on_gone("systemd-machined does not know it any more", w);
        else if (r < 0 && wait_for_machined(w) < 0)
                log_error("Out of memory: the end of a VM is not watched; StopVm brings its devices back.");
}

static int begin(RunWatch *w) {
        const Run *r = claim_table_find_run(w->manager->claims, w->run);
        Machines *m = w->manager->machines;

        if (!r) /* about to be dropped */
                return 0;
        return r->record.track == RUN_TRACK_CONNECTION
                               ? machines_watch_connection(m, r->record.tracked, on_gone, w, &w->watch)
                               : machines_watch_machine(m, r->record.tracked, on_found, on_gone, w,
                                                        &w->watch);
}

int run_watch(Manager *m, const Run *run) {
        RunWatch *w;
        int r;

        assert(m);
        assert(run);

        if (run->record.track != RUN_TRACK_CONNECTION && run->record.track != RUN_TRACK_MACHINE)
                return 0;

        w = calloc(1, sizeof *w);
        if (!w)
                return -ENOMEM;
        w->manager = m;
        w->next = m->run_watches;
        m->run_watches = w;
        memcpy(w->run, run->record.id, sizeof w->run);

        r = begin(w);
        if (r < 0)
                run_watch_free(w);
        return r;
}
