/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steps.h"
#include "sysfs-write.h"
#include "sysfs.h"

static const struct {
        const char *file;  /* of the device; of the bus (STEP_PROBE) from the root directory */
        const char *value; /* NULL: the device's address; of the last two a number */
} step_table[STEP_MAX] = {
                [STEP_OVERRIDE] = {"driver_override", VFIO_DRIVER},
                [STEP_CLEAR] = {"driver_override", ""},
                [STEP_UNBIND] = {"driver/unbind", NULL},
                [STEP_PROBE] = {"sys/bus/pci/drivers_probe", NULL},
                [STEP_RESET] = {"reset", "1"},
                [STEP_AUTOPROBE] = {"sriov_drivers_autoprobe", NULL},
                [STEP_NUMVFS] = {"sriov_numvfs", NULL},
};

const char *steps_describe(const PlannedWrite *w, const char *address, char path[static STEP_PATH_SIZE]) {
        const char *file = step_table[w->step].file;

        if (w->step == STEP_PROBE)
                (void)snprintf(path, STEP_PATH_SIZE, "/%s", file);
        else
                (void)snprintf(path, STEP_PATH_SIZE, "/sys/bus/pci/devices/%s/%s", address, file);
        return step_table[w->step].value ?: address;
}

static int fail_step(Target *t, const char *error, const char *advice) {
        return worker_fail(t->result, FAILURE_DRIVER, "Failed %s: %s; %s.", t->result->doing, error, advice);
}

static int plan_step(Target *t, const Member *m, Step step) {
        assert(t->result->plan.n_writes < PLANNED_WRITES_MAX);
        t->result->plan.writes[t->result->plan.n_writes++] =
                        (PlannedWrite){(uint8_t)(m - t->members), (uint8_t)step};
        return 0;
}

static bool is_driven(const Member *m) {
        char name[PCI_DRIVER_SIZE];

        return sysfs_read_link_name(m->fd, "driver", name, sizeof name) >= 0;
}

/* Proof, then the write. */
static int write_value(Target *t, const Member *m, Step step, const char *value) {
        char line[PCI_ADDRESS_SIZE + 1];
        int r;

        r = target_prove(t, m);
        if (r < 0)
                return r;

        if (t->planning)
                return plan_step(t, m, step);
        (void)snprintf(line, sizeof line, "%s\n", value);
        r = sysfs_write(step == STEP_PROBE ? t->root : m->fd, step_table[step].file, line);
        /* drivers/pci/iov.c has one word for both. */
        if (r == -ENOENT && step == STEP_NUMVFS && is_driven(m))
                return fail_step(t, "its driver cannot make virtual functions this way",
                                 "see the driver's documentation");
        if (r == -ENODEV || r == -ENOENT)
                return fail_step(t, "the device or its driver is gone", "see 'dmesg'");
        return r < 0 ? fail_step(t, strerror(-r), "see 'dmesg' for what the driver says") : 0;
}

static int write_step(Target *t, const Member *m, Step step) {
        return write_value(t, m, step, step_table[step].value ?: m->address);
}

/* What it has come to; in a plan, what it would. */
static int look_at_driver(Target *t, Member *m, const char *planned) {
        if (!t->planning)
                return target_refresh_driver(t, m);
        (void)snprintf(m->driver, sizeof m->driver, "%s", planned);
        return 0;
}

static int read_override(Target *t, const Member *m, char *buf, size_t size) {
        int r;

        worker_doing(t->result, "reading the driver_override of %s", m->address);
        r = sysfs_read(m->fd, "driver_override", buf, size);
        if (r < 0) /* most likely it is gone: then say that */
                return target_prove(t, m) < 0 ? -EREMOTEIO : fail_step(t, strerror(-r), "see 'dmesg'");
        if (streq(buf, "(null)"))
                buf[0] = '\0';
        return 0;
}

int steps_read_overrides(Target *t) {
        int r = 0;

        for (size_t i = 0; i < t->n_members && r >= 0; i++)
                r = read_override(t, &t->members[i], t->members[i].override, sizeof t->members[i].override);
        return r;
}

int steps_check_override(Target *t, Member *m) {
        int r;

        r = read_override(t, m, m->override, sizeof m->override);
        if (r < 0 || !m->override[0] || member_overridden(m))
                return r;
        return worker_fail(t->result, FAILURE_DRIVER,
                           "Device %s has the driver_override '%s', which is not ours; clear it (driverctl "
                           "unset-override %s) and try again.",
                           m->address, m->override, m->address);
}

int steps_check_overrides(Target *t) {
        int r = 0;

        for (size_t i = 0; i < t->n_members && r >= 0; i++)
                r = steps_check_override(t, &t->members[i]);
        return r;
}

static int set_override(Target *t, Member *m, Step step) {
        worker_doing(t->result, "%s the driver_override of %s", step == STEP_CLEAR ? "clearing" : "setting",
                     m->address);
        return write_step(t, m, step);
}

static int unbind(Target *t, Member *m) {
        int r;

        worker_doing(t->result, "unbinding %s from %s", m->address, m->driver);
        r = write_step(t, m, STEP_UNBIND);
        return r < 0 ? r : look_at_driver(t, m, "");
}

static int probe(Target *t, Member *m, const char *wanted) {
        int r;

        worker_doing(t->result, "giving %s to %s", m->address, wanted);
        r = write_step(t, m, STEP_PROBE);
        return r < 0 ? r : look_at_driver(t, m, wanted);
}

/* One member home again. Also the unwinding of a bind. */
static int release_member(Target *t, Member *m) {
        const char *home = m->grant.host_driver;
        int r;

        if (member_on_vfio(m)) {
                r = unbind(t, m);
                if (r < 0)
                        return r;
        }
        if (m->driver[0])
                return 0;

        r = probe(t, m, home[0] ? home : "the host");
        if (r < 0)
                return r;
        if (member_on_vfio(m))
                return fail_step(t, "vfio-pci took it again",
                                 "remove its id from vfio-pci's ids and try again");
        if (!m->driver[0] && home[0])
                return worker_fail(t->result, FAILURE_DRIVER,
                                   "Device %s is free, but the host driver %s did not take it back; "
                                   "'modprobe %s', see 'dmesg' and call Release again.",
                                   m->address, home, home);
        return 0;
}

static int clear_override(Target *t, Member *m) {
        char override[PCI_DRIVER_SIZE];
        int r;

        r = read_override(t, m, override, sizeof override);
        if (r < 0 || !streq(override, VFIO_DRIVER)) /* none, or somebody else's */
                return r;
        return set_override(t, m, STEP_CLEAR);
}

void steps_tell_undone(Target *t, Failure *cause, const char *undone, const Failure *worse) {
        size_t n = strlen(cause->sentence);

        t->left_behind = worse->kind != FAILURE_NONE;
        if (t->left_behind)
                (void)snprintf(cause->sentence + n, sizeof cause->sentence - n,
                               " Undoing what was done before failed too: %.400s", worse->sentence);
        else
                (void)snprintf(cause->sentence + n, sizeof cause->sentence - n, " %s", undone);
        t->result->failure = *cause;
}

static void unwind(Target *t) {
        Failure cause = t->result->failure, worse = {0};

        /* The last touched goes first. Each member is tried, and what fails is told behind the cause. */
        for (size_t i = t->n_members; i > 0; i--) {
                Member *m = &t->members[i - 1];

                t->result->failure = (Failure){0};
                if (m->touched && (clear_override(t, m) < 0 || target_refresh_driver(t, m) < 0 ||
                                   release_member(t, m) < 0))
                        (void)failure_set(&worse, FAILURE_DRIVER, "%s", t->result->failure.sentence);
        }

        steps_tell_undone(t, &cause, "All that was done before has been undone.", &worse);
}

int steps_check_time(Target *t) {
        if (!worker_past_deadline(t->result))
                return 0;
        return worker_fail(t->result, FAILURE_STUCK, "The time was up after %s.", t->result->doing);
}

static int bind_all(Target *t) {
        Member *m;
        int r;

        for (size_t i = 0; i < t->n_members; i++) {
                m = &t->members[i];
                if ((r = steps_check_time(t)) < 0)
                        return r;
                m->touched = !(member_overridden(m) &&
                               member_on_vfio(m)); /* what was there before stays there */
                if (m->touched && (r = set_override(t, m, STEP_OVERRIDE)) < 0)
                        return r;
        }

        for (size_t i = 0; i < t->n_members; i++) {
                m = &t->members[i];
                if (member_on_vfio(m))
                        continue;
                if ((r = steps_check_time(t)) < 0 || (m->driver[0] && (r = unbind(t, m)) < 0) ||
                    (r = steps_check_time(t)) < 0 || (r = probe(t, m, VFIO_DRIVER)) < 0)
                        return r;
                if (!member_on_vfio(m))
                        return fail_step(t, "the kernel did not bind it",
                                         "see 'dmesg' for what vfio-pci says about it");
        }
        return steps_check_time(t);
}

int steps_bind(Target *t) {
        int r;

        r = bind_all(t);
        if (r < 0 && !t->planning)
                unwind(t);
        return r;
}

/* Each is tried; the first failure is told. */
static void try_each(Target *t, int (*f)(Target *t, Member *m), Failure *first) {
        for (size_t i = 0; i < t->n_members; i++) {
                if (t->members[i].ours && f(t, &t->members[i]) < 0)
                        (void)failure_set(first, t->result->failure.kind, "%s", t->result->failure.sentence);
                t->result->failure = (Failure){0};
        }
}

int steps_release(Target *t) {
        Failure first = {0};

        try_each(t, clear_override, &first);
        try_each(t, release_member, &first);
        t->result->failure = first;
        t->left_behind = first.kind != FAILURE_NONE;
        return t->left_behind ? -EREMOTEIO : 0;
}

static int cycle_member(Target *t, Member *m) {
        int r;

        if (!member_on_vfio(m) && (m->driver[0] || !member_overridden(m)))
                return 0;
        if ((r = steps_check_time(t)) < 0 ||
            (!member_overridden(m) && (r = set_override(t, m, STEP_OVERRIDE)) < 0) ||
            (member_on_vfio(m) && (r = unbind(t, m)) < 0) || (r = probe(t, m, VFIO_DRIVER)) < 0)
                return r;
        return member_on_vfio(m) ? 0
                                 : fail_step(t, "the kernel did not bind it",
                                             "see 'dmesg' for what vfio-pci says about it");
}

int steps_cycle(Target *t) {
        int r;

        r = steps_check_overrides(t);
        for (size_t i = 0; i < t->n_members && r >= 0; i++)
                r = cycle_member(t, &t->members[i]);
        return r;
}

int steps_leave(Target *t, Member *vf) {
        int r;

        if (!member_on_vfio(vf))
                return 0;
        r = unbind(t, vf);
        vf->touched = r >= 0;
        return r;
}

int steps_return(Target *t, Member *vf) {
        return vf->touched ? probe(t, vf, VFIO_DRIVER) : 0;
}

int steps_set_autoprobe(Target *t, const Member *pf, bool on) {
        worker_doing(t->result, "%s host drivers take virtual functions of %s",
                     on ? "letting" : "not letting", pf->address);
        return write_value(t, pf, STEP_AUTOPROBE, on ? "1" : "0");
}

int steps_set_numvfs(Target *t, const Member *pf, unsigned n) {
        char number[16];

        (void)snprintf(number, sizeof number, "%u", n);
        worker_doing(t->result, "setting the number of virtual functions of %s to %s", pf->address, number);
        return write_value(t, pf, STEP_NUMVFS, number);
}

int steps_reset(Target *t, Member *m) {
        char methods[256];
        int r;

        if (!member_on_vfio(m))
                return worker_fail(t->result, FAILURE_NOT_BOUND,
                                   "Device %s is not on vfio-pci but with the host (driver: %s); Bind it "
                                   "before a reset.",
                                   m->address, m->driver[0] ? m->driver : "none");
        if (sysfs_read(m->fd, "reset_method", methods, sizeof methods) <= 0)
                return worker_fail(t->result, FAILURE_NO_RESET,
                                   "Device %s has no way to be reset; only a power cycle of the host does "
                                   "that.",
                                   m->address);

        worker_doing(t->result, "resetting %s by the first of: %s", m->address, methods);
        r = write_step(t, m, STEP_RESET);
        if (t->result->failure.kind == FAILURE_DRIVER)
                t->result->failure.kind = FAILURE_RESET;
        return r;
}
