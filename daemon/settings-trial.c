/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"
#include "settings-trial.h"

#define CARDS_MAX 32U /* of one group are asked */

/* One card, and the function of it that is tried. */
typedef struct Probe {
        SettingsTrial *trial;
        PciAddress card, device;
} Probe;

struct SettingsTrial {
        Manager *manager;
        VfSettings back; /* what they are set to afterwards */
        operation_done_t done;
        void *userdata;
        unsigned n_waiting;
        Failure cause;
        Probe probes[CARDS_MAX];
        size_t n_probes;
};

SettingsTrial *settings_trial_free(SettingsTrial *t) {
        free(t);
        return NULL;
}

static void end_one(SettingsTrial *t) {
        if (--t->n_waiting == 0)
                t->done(t->cause.kind == FAILURE_NONE ? NULL : &t->cause, t->userdata);
}

static bool is_free(const Device *d) {
        return d->facts.is_virtual && d->granted && !d->claim && !d->quarantine &&
               (d->state == DEVICE_HOST || d->state == DEVICE_POOL) && !device_is_driven(d);
}

static bool was_tried(const SettingsTrial *t, const Device *d) {
        for (size_t i = 0; i < t->n_probes; i++)
                if (pci_address_compare(&t->probes[i].card, &d->facts.physical_function) == 0)
                        return true;
        return false;
}

/* One that is busy, or that somebody holds open by hand, has nothing to say about what its card can do. */
static bool is_no_verdict(FailureKind kind) {
        return kind == FAILURE_BUSY || kind == FAILURE_IN_USE || kind == FAILURE_NO_SUCH_DEVICE ||
               kind == FAILURE_LIMITS_EXCEEDED;
}

static void on_back(const Failure *failure, void *userdata) {
        const Probe *p = userdata;

        if (failure && failure->kind != FAILURE_NO_SUCH_DEVICE)
                log_warning("A function on which settings were tried keeps them: %s", failure->sentence);
        end_one(p->trial);
}

static int set(const Probe *p, const VfSettings *settings, operation_done_t done, Failure *f) {
        return operation_start(p->trial->manager,
                               &(OperationRequest){.verb = HELPER_SET_VF,
                                                   .device = p->device,
                                                   .settings = settings},
                               done, (void *)p, f);
}

static void on_tried(const Failure *failure, void *userdata) {
        Probe *p = userdata;
        SettingsTrial *t = p->trial;
        Failure f = {0};

        if (failure && !is_no_verdict(failure->kind))
                (void)failure_set(&t->cause, failure->kind, "%s", failure->sentence);
        /* A refusal has left all as it was; who was killed may have done anything. */
        if (failure && failure->kind != FAILURE_HELPER && failure->kind != FAILURE_INTERNAL)
                end_one(t);
        else if (set(p, &t->back, on_back, &f) < 0)
                on_back(&f, p);
}

static void try_one(SettingsTrial *t, const Device *d, const VfSettings *settings) {
        Probe *p = &t->probes[t->n_probes];
        Failure busy = {0};

        *p = (Probe){t, d->facts.physical_function, *device_address(d)};
        if (set(p, settings, on_tried, &busy) < 0)
                return;
        t->n_probes++;
        t->n_waiting++;
}

/* As at the end of a VM that turned these switches. */
static void note_back(SettingsTrial *t, const Group *g, const VfSettings *settings) {
        VfSettings turned = *settings;

        for (int s = 0; s < VF_SETTING_MAX; s++)
                if (!vf_setting_is_switch((VfSetting)s) || settings->values[s] == VF_SWITCH_DEFAULT)
                        turned.given &= ~(1U << s);
        sriov_settings_after(&g->record.sriov, &turned, &t->back);
}

int settings_trial_start(Manager *m, const Group *g, const VfSettings *settings, operation_done_t done,
                         void *userdata, SettingsTrial **ret) {
        SettingsTrial *t;

        assert(m);
        assert(g);
        assert(settings);
        assert(done);
        assert(ret);

        t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;
        *t = (SettingsTrial){.manager = m, .done = done, .userdata = userdata, .n_waiting = 1};
        note_back(t, g, settings);
        *ret = t;

        for (size_t i = 0; i < g->n_devices && t->n_probes < CARDS_MAX; i++)
                if (is_free(g->devices[i]) && !was_tried(t, g->devices[i]))
                        try_one(t, g->devices[i], settings);
        end_one(t);
        return 0;
}
