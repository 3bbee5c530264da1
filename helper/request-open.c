/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"
#include "confine.h"
#include "request-move.h"
#include "steps.h"
#include "sysfs.h"
#include "vfio.h"

/* What is given away: the devices in the order of the request, then the iommufd. */
typedef struct Gift {
        size_t n;
        int fds[WORKER_GIFTS_MAX];
} Gift;

static void gift_close(const Gift *g) {
        for (size_t i = 0; i < g->n; i++)
                (void)close(g->fds[i]);
}

static int check_one_set(const Target *t, const Request *q) {
        char first[PCI_ADDRESS_SIZE], other[PCI_ADDRESS_SIZE];

        for (size_t i = 1; i < q->n_devices; i++)
                if (!iommu_set_contains(&t->movers, &q->devices[i]))
                        return worker_fail(t->result, FAILURE_INVALID_ARGUMENT,
                                           "Devices %s and %s are not in one IOMMU set; Open each set by "
                                           "itself.",
                                           pci_address_format(&q->devices[0], first),
                                           pci_address_format(&q->devices[i], other));
        return 0;
}

/* Whoever was let in before must be out first; the same once more is fine. */
static int check_nobody_else(Target *t, const Request *q) {
        Access a;
        int r;

        r = access_read(t, &a);
        if (r <= 0 || (a.uid == q->uid && a.fds == q->fds))
                return r;
        return worker_fail(t->result, FAILURE_CLAIMED,
                           "IOMMU set %u is open to user %u already%s; Close it first.", t->movers.number,
                           (unsigned)a.uid, a.fds ? ", by descriptors" : "");
}

/* Who is let in before it is confirmed could hold it past the deadline. */
static int check_open(Target *t, const Request *q) {
        char members[256];
        int r;

        if (q->fds && q->n_devices >= WORKER_GIFTS_MAX)
                return worker_fail(t->result, FAILURE_LIMITS_EXCEEDED,
                                   "The bus carries no more than %u descriptors at once; Open at most %u "
                                   "devices.",
                                   WORKER_GIFTS_MAX, WORKER_GIFTS_MAX - 1);
        if ((r = check_one_set(t, q)) < 0 || (r = move_check_switched_on(t)) < 0 ||
            (r = target_check_grants(t)) < 0 || (r = target_check_confirmed(t)) < 0)
                return r;
        if (!target_on_vfio(t))
                return worker_fail(t->result, FAILURE_NOT_BOUND,
                                   "Not all of %s are on vfio-pci; Bind them before Open.",
                                   iommu_set_format(&t->movers, members, sizeof members));
        return (r = move_check_in_use(t)) < 0 ? r : check_nobody_else(t, q);
}

static int fail_node(Target *t, const char *what, int r) {
        if (r == -ENOENT)
                return worker_fail(
                                t->result, FAILURE_DRIVER,
                                "This kernel has no descriptor to give for %s (VFIO's cdev and IOMMUFD are "
                                "in Linux 6.6 and later, where they are switched on); use access \"acl\".",
                                what);
        if (r == -EWOULDBLOCK)
                return worker_fail(t->result, FAILURE_IN_USE,
                                   "A VM holds %s open; shut it down and try again.", what);
        return worker_fail(t->result, FAILURE_DRIVER,
                           "The VFIO node of %s cannot be opened (%s); see 'ls -lR /dev/vfio' and 'dmesg'.",
                           what, strerror(-r));
}

static int add_device(Target *t, const PciAddress *a, Gift *g) {
        char address[PCI_ADDRESS_SIZE];
        const Member *m = t->members;
        int r;

        while (pci_address_compare(&m->identity.address, a) != 0) /* check_one_set() has seen it */
                m++;

        (void)pci_address_format(a, address);
        r = vfio_open_device(t->root, m->fd);
        if (r < 0)
                return fail_node(t, address, r);
        g->fds[g->n++] = r;
        return 0;
}

/* Opened before anything is changed, and before this process is confined: then it may open nothing in /dev. */
static int open_gift(Target *t, const Request *q, Gift *g) {
        int r = 0;

        for (size_t i = 0; i < q->n_devices && r >= 0; i++)
                r = add_device(t, &q->devices[i], g);
        if (r < 0)
                return r;

        r = vfio_open_iommufd(t->root);
        if (r < 0)
                return fail_node(t, "/dev/iommu", r);
        g->fds[g->n++] = r;
        return 0;
}

/* Each member on vfio-pci is tried; the first failure is told. `lenient`: one that cannot be reset is none. */
static int reset_all(Target *t, bool lenient) {
        Failure first = {0};

        for (size_t i = 0; i < t->n_members; i++) {
                if (!member_on_vfio(&t->members[i]))
                        continue;
                if (steps_reset(t, &t->members[i]) < 0 &&
                    !(lenient && t->result->failure.kind == FAILURE_NO_RESET))
                        (void)failure_set(&first, t->result->failure.kind, "%s",
                                          t->result->failure.sentence);
                t->result->failure = (Failure){0};
        }
        t->result->failure = first;
        return first.kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

/* A number is given to another set when the last device has left: looked at again when it is too late for that. */
static int allow(Target *t, uid_t uid) {
        Failure cause;
        int r;

        r = access_allow(t, uid);
        for (size_t i = 0; i < t->n_members && r >= 0; i++)
                r = target_prove(t, &t->members[i]);
        if (r >= 0)
                return 0;

        cause = t->result->failure;
        (void)access_deny(t, uid);
        t->result->failure = cause;
        return r;
}

/* The record comes first and stays, whatever ends us: what may have been given is known to Close. */
static int let_in(Target *t, const Request *q, const Gift *g) {
        const Access a = {.uid = q->uid, .fds = q->fds};
        int r;

        if (worker_past_deadline(t->result))
                return worker_fail(t->result, FAILURE_STUCK, "The time was up after %s; nobody was let in.",
                                   t->result->doing);
        if ((r = access_write(t, &a)) < 0)
                return r;

        if (!q->fds)
                r = q->uid == geteuid() ? 0 : allow(t, q->uid); /* root needs no entry */
        else if ((r = worker_give(g->fds, g->n)) < 0)
                r = worker_fail(t->result, FAILURE_INTERNAL,
                                "The descriptors of IOMMU set %u cannot be handed over (%s); try again.",
                                t->movers.number, strerror(-r));
        return r;
}

void request_open(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        _cleanup_(gift_close) Gift g = {0};
        const Request *q = request;

        if (target_open(root, &q->devices[0], TARGET_CHANGE, result, &t) < 0 || check_open(t, q) < 0 ||
            (q->fds && open_gift(t, q, &g) < 0) || confine(root, q, &t, 1, result) < 0 ||
            move_begin_granted(t, q->verb) < 0)
                return;

        if (reset_all(t, true) >= 0)
                (void)let_in(t, q, &g);
        move_end(t);
}

/* Nobody new gets in, and nobody is in. An entry is looked at once more when it is gone, for its user may just have
 * used it. */
static int shut_out(Target *t, const Access *a) {
        int r;

        if (a->fds || a->uid == geteuid())
                return 0;
        return (r = access_deny(t, a->uid)) < 0 ? r : move_check_in_use(t);
}

static void clean_up(Target *t, const Access *a) {
        int r = 0;

        if (a->fds)
                r = steps_cycle(t);
        if (r >= 0) {
                (void)reset_all(t, false);
                r = access_forget(t);
                if (r < 0)
                        (void)worker_fail(
                                        t->result, FAILURE_INTERNAL,
                                        "Nobody can use IOMMU set %u any more, but its file in /" ACCESS_DIR
                                        " cannot be removed (%s); mend that and call Close again.",
                                        t->movers.number, strerror(-r));
        }
        /* A set that is half at home has been left so by a crash: that stays to be seen. */
        t->left_behind = !target_on_vfio(t);
}

/* Also of a set that was never opened, or closed by one who did not live to tell: it is clean afterwards. */
void request_close(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        const Request *q = request;
        Access a = {.uid = geteuid()};

        if (target_open(root, &q->devices[0], TARGET_CHANGE, result, &t) < 0 || access_read(t, &a) < 0 ||
            move_check_in_use(t) < 0 || confine(root, q, &t, 1, result) < 0 || shut_out(t, &a) < 0)
                return;

        if (!move_any_on_vfio(t)) {
                (void)access_forget(t);
                return;
        }
        if (target_check_home(t) < 0 || move_begin(t, q->verb) < 0)
                return;
        clean_up(t, &a);
        move_end(t);
}
