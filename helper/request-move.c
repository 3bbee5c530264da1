/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"
#include "boots.h"
#include "confine.h"
#include "grant-store.h"
#include "journal.h"
#include "lock.h"
#include "log.h"
#include "request-move.h"
#include "steps.h"
#include "sysfs.h"
#include "vfio.h"

int move_check_switched_on(Target *t) {
        if (!sysfs_is_switched_off(t->root))
                return 0;
        return worker_fail(t->result, FAILURE_NOT_AUTHORIZED,
                           "Passthrough is switched off by " KERNEL_OPTION_OFF
                           " on the kernel command line; boot without it.");
}

static int check_driver(Target *t) {
        _cleanup_close_ int driver = -1;

        driver = sysfs_open_dir(t->root, "sys/bus/pci/drivers/" VFIO_DRIVER);
        if (driver >= 0)
                return 0;
        return worker_fail(t->result, FAILURE_DRIVER,
                           "The driver vfio-pci is not loaded; 'modprobe vfio-pci' and try again.");
}

static int check_facts(Target *t) {
        return t->facts ? 0 : target_load_facts(t->root, t->result, &t->facts);
}

static int check_boot(Target *t) {
        int r;

        r = t->persistent ? grant_read_boot(t->root, t->boot) : 0;
        if (r >= 0)
                return 0;
        return worker_fail(t->result, FAILURE_INTERNAL,
                           "Nothing was moved: the id of this boot cannot be read (%s); see "
                           "/proc/sys/kernel/random/boot_id.",
                           strerror(-r));
}

bool move_any_on_vfio(const Target *t) {
        for (size_t i = 0; i < t->n_members; i++)
                if (member_on_vfio(&t->members[i]))
                        return true;
        return false;
}

/* One that Open gave away is locked until its last copy is closed, by whoever is honest. */
static bool any_given_away(const Target *t) {
        for (size_t i = 0; i < t->n_members; i++)
                if (vfio_device_is_given(t->root, t->members[i].fd))
                        return true;
        return false;
}

/* Refused at once rather than left to the kernel, which would wait for the holder with the device locked. A kernel with
 * VFIO's cdev alone has no group node to ask; there the deadline has to do. */
int move_check_in_use(Target *t) {
        char members[256];
        int r;

        /* Asked of a set without a device on vfio-pci too: a foreign unbind that waits for the holder has taken the
         * driver link away already. */
        r = vfio_in_use(t->root, t->movers.number);
        if (r == -ENOENT && (!move_any_on_vfio(t) || faccessat(t->root, "dev/vfio/devices", F_OK, 0) == 0))
                r = 0;
        if (r == 0 && !any_given_away(t))
                return 0;
        if (r < 0)
                return worker_fail(t->result, FAILURE_INTERNAL,
                                   "Cannot tell whether /dev/vfio/%u is in use (%s); see 'ls -l /dev/vfio', "
                                   "then 'systemctl restart verge-passthrough-helper' and try again.",
                                   t->movers.number, strerror(-r));

        return worker_fail(t->result, FAILURE_IN_USE,
                           "A VM holds %s open (root finds it with 'fuser -v /dev/vfio/%u'); shut it down "
                           "and try again.",
                           iommu_set_format(&t->movers, members, sizeof members), t->movers.number);
}

/* 1: nothing is left to do. */
static int check_left(Target *t) {
        for (size_t i = 0; i < t->n_members; i++)
                if (!member_overridden(&t->members[i]))
                        return 0;
        return target_on_vfio(t);
}

/* What is on vfio-pci already, with our overrides, is not asked about further: a VM may well use it. */
const MoveCheck move_bind_checks[] = {
                {"granted", "warning", target_check_grant, NULL},
                {"driver-override", "error", steps_check_override, NULL},
                {"boot-id", "error", NULL, check_boot},
                {"on-vfio-pci", "info", NULL, check_left},
                {"in-use", "error", NULL, move_check_in_use},
                {"switched-off", "error", NULL, move_check_switched_on},
                {"driver", "error", NULL, check_driver},
                {"host-use", "error", NULL, check_facts},
                {NULL, NULL, NULL, NULL},
};

/* An order outlives the deadline, and whoever is locked out may end the host before it. */
static int check_bind(Target *t) {
        int r;

        if (t->persistent && (r = target_check_confirmed(t)) < 0)
                return r;
        for (const MoveCheck *c = move_bind_checks; c->name; c++)
                for (size_t i = 0; i < (c->of_set ? 1 : t->n_members); i++)
                        if ((r = move_ask(c, t, i)) != 0)
                                return r;
        return target_check_critical(t, t->facts, 0);
}

/* Everything that can be known before the first write. 1: nothing is left to do. */
static int check_move(Target *t, MoveVerb verb) {
        int r;

        if (verb == MOVE_BIND)
                return check_bind(t);
        r = verb == MOVE_RELEASE ? target_check_home(t) : target_check_grants(t);
        return r < 0 ? r : move_check_in_use(t);
}

/* What somebody else has overridden is none of ours. The overrides come last: where a VM holds the device after a
 * foreign unbind, reading them may never end. */
static int look_whether_at_home(Target *t) {
        Move left;
        int r;

        t->at_home = !move_any_on_vfio(t) && (!target_is_interrupted(t, &left) || left.verb == MOVE_VFS) &&
                     vfio_in_use(t->root, t->movers.number) != 1;
        if (!t->at_home)
                return 0;
        if ((r = steps_read_overrides(t)) < 0)
                return r;
        for (size_t i = 0; i < t->n_members; i++)
                t->at_home = t->at_home && !member_overridden(&t->members[i]);
        return 0;
}

int move_check_at_home(Target *t) {
        char members[256];
        int r;

        r = look_whether_at_home(t);
        if (r < 0 || t->at_home)
                return r;
        return worker_fail(t->result, FAILURE_NOT_BOUND,
                           "Device %s is not at the host; Release it before its grant is taken back.",
                           iommu_set_format(&t->movers, members, sizeof members));
}

int move_check_way_home(Target *t) {
        int r;

        r = look_whether_at_home(t);
        if (r < 0 || t->at_home)
                return r;
        return (r = target_check_home(t)) < 0 ? r : move_check_in_use(t);
}

/* What could not be brought to an end stays in the journal, with the reason: it is to be seen, and tried again. */
void move_end(Target *t) {
        int r;

        r = t->left_behind ? journal_mark_stuck(t->root, t->movers.number, t->result->failure.sentence)
                           : journal_end(t->root, t->movers.number);
        if (r < 0)
                log_warning("Cannot close the journal entry of IOMMU set %u: %s", t->movers.number,
                            strerror(-r));
}

int move_begin(Target *t, MoveVerb verb) {
        int r;

        /* A worker of ours that waited for the lock until nobody waits for it any more must not surprise them. */
        if (worker_past_deadline(t->result))
                return worker_fail(t->result, FAILURE_STUCK,
                                   "An earlier operation did not end in time; nothing was begun.");

        r = journal_begin(t->root, verb, &t->movers);
        if (r < 0)
                return worker_fail_write(t->result, "Nothing was changed", MOVES_DIR, r);
        t->result->set = t->movers;
        return 0;
}

static int fail_mark(Target *t, const char *what, int r) {
        char members[256];

        return worker_fail(
                        t->result, FAILURE_INTERNAL,
                        "%s %s, but whether it is to be bound at boot could not be written to /" GRANTS_DIR
                        " (%s); mend that and call %s again.",
                        iommu_set_format(&t->movers, members, sizeof members),
                        streq(what, "Bind") ? "is bound" : "is at the host", strerror(-r), what);
}

int move_home(Target *t) {
        int r;

        r = move_begin(t, MOVE_RELEASE);
        if (r < 0)
                return r;

        /* Before the first device is at home, so that no crash leaves an order for what the host comes to use. One
         * that cannot be taken back keeps no device from the host. */
        r = target_unmark(t);
        if (steps_release(t) >= 0)
                (void)access_forget(t); /* the nodes are gone, and the access with them */
        if (r < 0 && t->result->failure.kind == FAILURE_NONE)
                (void)fail_mark(t, "Release", r);
        move_end(t);
        return t->result->failure.kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

/* The consent that selectors gave becomes grants like any, before the first write to sysfs. Until the journal says
 * that we are at it no selector may go: so RevokeIds sees us, or we see that it was there. */
static int settle_selectors(Target *t) {
        const Grant *made[DEVICES_PER_CALL_MAX];
        char members[256];
        size_t n = 0;
        int r;

        for (size_t i = 0; i < t->n_members; i++) {
                const Member *m = &t->members[i];

                if (!grant_ids_stand(t->root, &m->grant, geteuid()))
                        return worker_fail(t->result, FAILURE_NOT_GRANTED,
                                           "The consent for the ids %s of device %s was taken back just "
                                           "now; nothing was moved.",
                                           m->grant.ids, m->address);
                if (m->made)
                        made[n++] = &m->grant;
        }

        r = grant_store_write(t->root, false, made, n);
        if (r < 0)
                return worker_fail(t->result, FAILURE_INTERNAL,
                                   "Nothing was moved: the grants of %s by their ids cannot be written to "
                                   "/" GRANTS_DIR " (%s); mend that and try again.",
                                   iommu_set_format(&t->movers, members, sizeof members), strerror(-r));
        return 0;
}

int move_begin_granted(Target *t, MoveVerb verb) {
        _cleanup_close_ int lock = -1;

        for (size_t i = 0; i < t->n_members && lock < 0; i++)
                if (t->members[i].grant.ids[0] && (lock = lock_grants(t->root, t->result)) < 0)
                        return lock;
        if (lock >= 0 && settle_selectors(t) < 0)
                return -EREMOTEIO;
        return verb >= 0 ? move_begin(t, verb) : 0;
}

static int begin_bind(Target *t, bool bound) {
        int r;

        r = move_begin_granted(t, bound ? MOVE_VERB_INVALID : MOVE_BIND);
        if (r < 0 || !bound)
                return r;
        (void)journal_end(t->root, t->movers.number); /* a crash may have left one behind a finished bind */
        return 0;
}

/* What stays with the host, or comes back to it, must not be taken from it at the next boot. */
static void unmark_at_host(Target *t) {
        int r;

        r = target_on_vfio(t) ? 0 : target_unmark(t);
        if (r < 0)
                log_warning("The order to bind IOMMU set %u at boot cannot be removed from /" GRANTS_DIR
                            ": %s",
                            t->movers.number, strerror(-r));
}

/* What is bound here is to be bound at the next boot, too, so this must be known should the host not survive it. A list
 * that cannot be written keeps nothing from being bound: nor can the mark be, which is on the same disk. */
static void record_boot(const Target *t) {
        int r;

        r = boots_record(t->root);
        if (r < 0)
                log_warning("This boot cannot be written to /" BOOTS_FILE
                            " (%s): the boot guard does not count it.",
                            strerror(-r));
}

int move_bind_within(Target *t) {
        int r;

        r = check_bind(t);
        if (r == 0 && (r = move_begin_granted(t, MOVE_VERB_INVALID)) >= 0) {
                if (t->persistent)
                        record_boot(t);
                r = steps_bind(t);
        }
        if (r >= 0)
                (void)journal_end(t->root, t->movers.number); /* of an earlier Bind, which this has ended */
        return r < 0 ? r : 0;
}

/* `bound`: nothing is left to do but to write down what was asked. */
static void move_away(Target *t, bool bound) {
        int r;

        if (begin_bind(t, bound) < 0)
                return;
        if (!bound && t->persistent)
                record_boot(t);
        if (!bound) {
                (void)steps_bind(t);
                move_end(t);
        }
        if (t->result->failure.kind != FAILURE_NONE)
                return;
        r = t->boot[0] ? grant_store_mark(t->root, &t->movers, t->boot) : target_unmark(t);
        if (r < 0)
                (void)fail_mark(t, "Bind", r);
}

static void run(int root, const Request *q, bool only_interrupted, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        Move left;
        int r;

        if (target_open(root, &q->devices[0], TARGET_CHANGE, result, &t) < 0)
                return;
        /* Asked under the lock: an entry that is still there has nobody who works on it. */
        if (only_interrupted && !target_is_interrupted(t, &left))
                return;

        if (only_interrupted && left.verb == MOVE_VFS) {
                if (confine(root, q, NULL, 0, result) >= 0)
                        move_end(t);
                return;
        }

        t->persistent = q->persistent;
        r = check_move(t, q->verb);
        if ((r < 0 && q->verb != MOVE_BIND) || confine(root, q, &t, 1, result) < 0)
                return;

        if (q->verb == MOVE_BIND) {
                if (r >= 0)
                        move_away(t, r > 0);
                if (result->failure.kind != FAILURE_NONE)
                        unmark_at_host(t);
        } else if (q->verb == MOVE_RELEASE)
                (void)move_home(t);
        else if (move_begin(t, MOVE_RESET) >= 0) {
                (void)steps_reset(t, target_named(t));
                move_end(t);
        }
}

void request_move(int root, const void *request, WorkerResult *result) {
        run(root, request, false, result);
}

void request_recover(int root, const void *request, WorkerResult *result) {
        run(root, request, true, result);
}
