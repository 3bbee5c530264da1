/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "journal.h"
#include "landlock.h"
#include "log.h"
#include "request.h"
#include "steps.h"
#include "sysfs.h"
#include "vfio.h"

/* What the move of this target writes, and nothing else. */
static int allow_writes(Target *t, int ruleset) {
        char path[64 + PCI_DRIVER_SIZE];
        int r;

        for (size_t i = 0; i < t->n_members; i++) {
                const Member *m = &t->members[i];

                (void)snprintf(path, sizeof path, "sys/bus/pci/drivers/%s/unbind", m->driver);
                if ((r = landlock_allow_file(ruleset, m->fd, "driver_override")) < 0 ||
                    (r = landlock_allow_file(ruleset, m->fd, "reset")) < 0 ||
                    (m->driver[0] && (r = landlock_allow_file(ruleset, t->root, path)) < 0))
                        return r;
        }

        if ((r = landlock_allow_file(ruleset, t->root, "sys/bus/pci/drivers/" VFIO_DRIVER "/unbind")) < 0 ||
            (r = landlock_allow_file(ruleset, t->root, "sys/bus/pci/drivers_probe")) < 0)
                return r;
        return landlock_allow_directory(ruleset, t->root, MOVES_DIR);
}

/* The end of both ways to confine a worker; r is what adding the rules came to. */
static int restrict_to(int ruleset, int r, WorkerResult *result) {
        if (r >= 0)
                r = landlock_restrict(ruleset);
        if (r < 0)
                return failure_set(
                                &result->failure, FAILURE_INTERNAL,
                                "Nothing was changed: the worker could not be confined (%s); see 'dmesg'.",
                                strerror(-r));
        return 0;
}

static int confine(Target *t) {
        _cleanup_close_ int ruleset = -1;

        ruleset = landlock_new();
        if (ruleset == -EOPNOTSUPP)
                return 0;
        return restrict_to(ruleset, ruleset < 0 ? ruleset : allow_writes(t, ruleset), t->result);
}

int request_confine(int root, const Request *q, const char *directory, WorkerResult *result) {
        _cleanup_close_ int ruleset = -1;
        int r;

        if (!q->confine)
                return 0;

        r = ruleset = landlock_new();
        if (ruleset == -EOPNOTSUPP)
                return 0;
        if (r >= 0)
                r = landlock_allow_directory(ruleset, root, LOCKS_DIR);
        if (r >= 0 && directory)
                r = landlock_allow_directory(ruleset, root, directory);
        return restrict_to(ruleset, r, result);
}

/* The way back in: an administrator who has locked himself out boots with this word. */
static bool is_switched_off(int root) {
        char line[8192], *save = NULL;

        if (sysfs_read(root, "proc/cmdline", line, sizeof line) < 0)
                return false;
        for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
                if (streq(word, KERNEL_OPTION_OFF))
                        return true;
        return false;
}

static int check_bind(Target *t) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        _cleanup_close_ int driver = -1;
        int r;

        if (is_switched_off(t->root))
                return failure_set(&t->result->failure, FAILURE_NOT_AUTHORIZED,
                                   "Passthrough is switched off by " KERNEL_OPTION_OFF
                                   " on the kernel command line; boot without it.");

        driver = sysfs_open_dir(t->root, "sys/bus/pci/drivers/" VFIO_DRIVER);
        if (driver < 0)
                return failure_set(&t->result->failure, FAILURE_DRIVER,
                                   "The driver vfio-pci is not loaded; 'modprobe vfio-pci' and try again.");

        if ((r = target_load_facts(t->root, t->result, &facts)) < 0)
                return r;
        return target_check_critical(t, facts, 0);
}

static bool any_on_vfio(const Target *t) {
        for (size_t i = 0; i < t->n_members; i++)
                if (member_on_vfio(&t->members[i]))
                        return true;
        return false;
}

/* Refused at once rather than left to the kernel, which would wait for the holder with the device locked. A kernel with
 * VFIO's cdev alone has no group node to ask; there the deadline has to do. */
static int check_in_use(Target *t) {
        char holder[256], members[256];
        int r;

        /* Asked of a set without a device on vfio-pci too: a foreign unbind that waits for the holder has taken the
         * driver link away already. */
        r = vfio_in_use(t->root, t->movers.number);
        if (r == 0 ||
            (r == -ENOENT && (!any_on_vfio(t) || faccessat(t->root, "dev/vfio/devices", F_OK, 0) == 0)))
                return 0;
        if (r < 0)
                return failure_set(&t->result->failure, FAILURE_INTERNAL,
                                   "Cannot tell whether /dev/vfio/%u is in use (%s); see 'ls -l /dev/vfio', "
                                   "then "
                                   "'systemctl restart verge-passthrough-helper' and try again.",
                                   t->movers.number, strerror(-r));

        vfio_describe_holder(t->root, &t->movers, holder, sizeof holder);
        return failure_set(&t->result->failure, FAILURE_IN_USE,
                           "A VM holds %s open (/dev/vfio/%u; %s); shut it down and try again.",
                           iommu_set_format(&t->movers, members, sizeof members), t->movers.number, holder);
}

static bool all_bound(const Target *t) {
        for (size_t i = 0; i < t->n_members; i++)
                if (!member_on_vfio(&t->members[i]) || !t->members[i].overridden)
                        return false;
        return true;
}

/* Everything that can be known before the first write. 1: nothing is left to do. */
static int check_move(Target *t, MoveVerb verb) {
        int r;

        if (verb == MOVE_RELEASE)
                return (r = target_check_home(t)) < 0 ? r : check_in_use(t);
        if ((r = target_check_grants(t)) < 0)
                return r;
        if (verb == MOVE_RESET)
                return check_in_use(t);

        if ((r = steps_check_override(t)) < 0)
                return r;
        if (all_bound(t))
                return 1;
        return (r = check_in_use(t)) < 0 ? r : check_bind(t);
}

/* What could not be brought to an end stays in the journal, with the reason: it is to be seen, and tried again. */
static void close_journal(Target *t) {
        int r;

        r = t->left_behind ? journal_mark_stuck(t->root, t->movers.number, t->result->failure.sentence)
                           : journal_end(t->root, t->movers.number);
        if (r < 0)
                log_warning("Cannot close the journal entry of IOMMU set %u: %s", t->movers.number,
                            strerror(-r));
}

static void move(Target *t, const Request *q) {
        int r;

        /* A worker of ours that waited for the lock until nobody waits for it any more must not surprise them. */
        if (worker_past_deadline(t->result)) {
                (void)failure_set(&t->result->failure, FAILURE_STUCK,
                                  "An earlier operation did not end in time; nothing was begun.");
                return;
        }

        r = journal_begin(t->root, q->verb, &t->movers);
        if (r < 0) {
                (void)failure_set(&t->result->failure, FAILURE_INTERNAL,
                                  "Nothing was changed: /" MOVES_DIR " cannot be written (%s); run "
                                  "'systemd-tmpfiles --create' and try again.",
                                  strerror(-r));
                return;
        }
        t->result->set = t->movers;

        if (q->verb == MOVE_BIND)
                (void)steps_bind(t);
        else if (q->verb == MOVE_RELEASE)
                (void)steps_release(t);
        else
                (void)steps_reset(t, &q->devices[0]);
        close_journal(t);
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

        r = check_move(t, q->verb);
        if (r > 0)
                (void)journal_end(root,
                                  t->movers.number); /* a crash may have left one behind a finished bind */
        else if (r == 0 && (!q->confine || confine(t) >= 0))
                move(t, q);
}

void request_move(int root, const void *request, WorkerResult *result) {
        run(root, request, false, result);
}

void request_recover(int root, const void *request, WorkerResult *result) {
        run(root, request, true, result);
}

void request_mark_stuck(int root, const void *request, WorkerResult *result) {
        const Request *q = request;
        _cleanup_close_ int lock = -1;
        char holder[256];
        int r;

        if (request_confine(root, q, MOVES_DIR, result) < 0)
                return;

        vfio_describe_holder(root, &q->set, holder, sizeof holder);
        (void)failure_set(&result->failure, FAILURE_STUCK, "%.640s %.256s.", q->stuck.sentence, holder);

        r = journal_mark_stuck(root, q->set.number, result->failure.sentence);
        if (r < 0 && r != -ENOENT)
                log_warning("Cannot mark IOMMU set %u as stuck: %s", q->set.number, strerror(-r));

        /* If the move ended just now, this entry came back from the dead. */
        lock = target_try_lock(root, q->set.number);
        if (lock >= 0)
                (void)journal_end(root, q->set.number);
}
