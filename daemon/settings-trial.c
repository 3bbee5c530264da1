/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "settings-trial.h"

typedef struct Trial {
        operation_done_t done;
        void *userdata;
        unsigned n_waiting;
        Failure cause;
} Trial;

static void on_tried(const Failure *failure, void *userdata) {
        Trial *t = userdata;

        if (failure)
                (void)failure_set(&t->cause, failure->kind, "%s", failure->sentence);
        if (--t->n_waiting > 0)
                return;
        t->done(t->cause.kind == FAILURE_NONE ? NULL : &t->cause, t->userdata);
        free(t);
}

static bool is_free(const Device *d) {
        return d->facts.is_virtual && d->granted && !d->claim && !d->quarantine &&
               (d->state == DEVICE_HOST || d->state == DEVICE_POOL) && !device_is_driven(d);
}

static bool was_tried(const IommuSet *cards, const Device *d) {
        return iommu_set_contains(cards, &d->facts.physical_function);
}

/* One that is busy, or that somebody holds open by hand, has nothing to say about what its card can do. */
static bool is_no_verdict(FailureKind kind) {
        return kind == FAILURE_BUSY || kind == FAILURE_IN_USE || kind == FAILURE_NO_SUCH_DEVICE;
}

static void on_answer(const Failure *failure, void *userdata) {
        on_tried(failure && is_no_verdict(failure->kind) ? NULL : failure, userdata);
}

int settings_trial_start(Manager *m, const Group *g, const VfSettings *settings, operation_done_t done,
                         void *userdata) {
        IommuSet cards = {0};
        Trial *t;

        assert(m);
        assert(g);
        assert(settings);
        assert(done);

        t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;
        *t = (Trial){.done = done, .userdata = userdata, .n_waiting = 1};

        for (size_t i = 0; i < g->n_devices; i++) {
                const Device *d = g->devices[i];
                OperationRequest q = {.verb = HELPER_SET_VF, .settings = settings};
                Failure busy = {0};

                if (!is_free(d) || was_tried(&cards, d))
                        continue;
                q.device = *device_address(d);
                if (operation_start(m, &q, on_answer, t, &busy) < 0)
                        continue;
                t->n_waiting++;
                if (iommu_set_add(&cards, &d->facts.physical_function) < 0)
                        break;
        }
        on_tried(NULL, t);
        return 0;
}
