/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"
#include "grant-store.h"
#include "journal.h"
#include "log.h"
#include "request-move.h"
#include "steps.h"
#include "sysfs.h"
#include "vfio.h"

static int check_bind(Target *t) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        _cleanup_close_ int driver = -1;
        int r;

        if (vfio_is_switched_off(t->root))
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

static bool is_at_home(const Target *t) {
        Move left;

        for (size_t i = 0; i < t->n_members; i++)
                if (member_on_vfio(&t->members[i]) || t->members[i].overridden)
                        return false;
        return !target_is_interrupted(t, &left);
}

int move_check_at_home(Target *t) {
        char members[256];
        int r;

        r = steps_check_override(t);
        if (r < 0)
                return r;
        t->at_home = is_at_home(t);
        if (!t->at_home)
                return failure_set(
                                &t->result->failure, FAILURE_NOT_BOUND,
                                "Device %s is not at the host; Release it before its grant is taken back.",
                                iommu_set_format(&t->movers, members, sizeof members));
        return 0;
}

int move_check_way_home(Target *t) {
        int r;

        r = steps_check_override(t);
        if (r < 0)
                return r;
        t->at_home = is_at_home(t);
        if (t->at_home)
                return 0;
        return (r = target_check_home(t)) < 0 ? r : check_in_use(t);
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

static int begin(Target *t, MoveVerb verb) {
        int r;

        /* A worker of ours that waited for the lock until nobody waits for it any more must not surprise them. */
        if (worker_past_deadline(t->result))
                return failure_set(&t->result->failure, FAILURE_STUCK,
                                   "An earlier operation did not end in time; nothing was begun.");

        r = journal_begin(t->root, verb, &t->movers);
        if (r < 0)
                return failure_set(&t->result->failure, FAILURE_INTERNAL,
                                   "Nothing was changed: /" MOVES_DIR " cannot be written (%s); run "
                                   "'systemd-tmpfiles --create' and try again.",
                                   strerror(-r));
        t->result->set = t->movers;
        return 0;
}

/* The standing order to be bound at boot: given after a Bind has succeeded and taken back before a Release begins, so
 * that no crash leaves one for a device that the host may come to use. */
static int mark(Target *t, const char *boot) {
        int r = 0, k;

        for (size_t i = 0; i < t->n_members; i++)
                if ((k = grant_store_mark(t->root, &t->members[i].identity.address, boot)) < 0)
                        r = k;
        return r;
}

static int fail_mark(Target *t, const char *what, int r) {
        char members[256];

        return failure_set(&t->result->failure, FAILURE_INTERNAL,
                           "%s %s, but whether it is to be bound at boot could not be written to its grant "
                           "below /" GRANTS_DIR " (%s); mend that and call %s again.",
                           iommu_set_format(&t->movers, members, sizeof members),
                           streq(what, "Bind") ? "is bound" : "is at the host", strerror(-r), what);
}

int move_home(Target *t) {
        int r;

        r = begin(t, MOVE_RELEASE);
        if (r < 0)
                return r;

        /* A mark that cannot be taken back keeps no device from the host. */
        r = mark(t, "");
        (void)steps_release(t);
        if (r < 0 && t->result->failure.kind == FAILURE_NONE)
                (void)fail_mark(t, "Release", r);
        close_journal(t);
        return t->result->failure.kind == FAILURE_NONE ? 0 : -EREMOTEIO;
}

/* The consent that selectors gave becomes grants like any, before the first write to sysfs. A RevokeIds that came
 * meanwhile removes the selector first and looks for what was made from it then: so one of us sees the other. */
static int write_made_grants(Target *t) {
        char address[PCI_ADDRESS_SIZE];
        IdSelector ids;
        GrantIds now;
        int r;

        for (size_t i = 0; i < t->n_members; i++) {
                const Member *m = &t->members[i];

                if (!m->made)
                        continue;
                (void)pci_address_format(&m->identity.address, address);
                r = grant_store_write(t->root, &m->grant);
                if (r < 0)
                        return failure_set(&t->result->failure, FAILURE_INTERNAL,
                                           "Nothing was moved: the grant of device %s by its ids cannot be "
                                           "written to /" GRANTS_DIR " (%s); mend that and try again.",
                                           address, strerror(-r));
                if (id_selector_parse(m->grant.ids, &ids) < 0 ||
                    grant_ids_read(t->root, &ids, geteuid(), &now) < 0) {
                        (void)grant_store_remove(t->root, false, &m->identity.address);
                        return failure_set(
                                        &t->result->failure, FAILURE_NOT_GRANTED,
                                        "The consent for the ids %s of device %s was taken back just now; "
                                        "nothing was moved.",
                                        m->grant.ids, address);
                }
        }
        return 0;
}

static int read_boot(int root, char ret[static 33]) {
        char text[64];
        size_t n = 0;
        int r;

        r = sysfs_read(root, "proc/sys/kernel/random/boot_id", text, sizeof text);
        if (r < 0)
                return r;
        for (const char *c = text; *c && n < 32; c++)
                if (*c != '-')
                        ret[n++] = *c;
        ret[n] = '\0';
        return n == 32 && strspn(ret, "0123456789abcdef") == 32 ? 0 : -EBADMSG;
}

/* `bound`: nothing is left to do but to write down what was asked. */
static void move_away(Target *t, const Request *q, bool bound) {
        char boot[33] = "";
        int r;

        r = q->persistent ? read_boot(t->root, boot) : 0;
        if (r < 0) {
                (void)failure_set(&t->result->failure, FAILURE_INTERNAL,
                                  "Nothing was moved: the id of this boot cannot be read (%s); see "
                                  "/proc/sys/kernel/random/boot_id.",
                                  strerror(-r));
                return;
        }

        if (write_made_grants(t) < 0)
                return;
        if (bound)
                (void)journal_end(t->root,
                                  t->movers.number); /* a crash may have left one behind a finished bind */
        else {
                if (begin(t, MOVE_BIND) < 0)
                        return;
                (void)steps_bind(t);
                close_journal(t);
        }
        if (t->result->failure.kind == FAILURE_NONE && (r = mark(t, boot)) < 0)
                (void)fail_mark(t, "Bind", r);
}

static void run(int root, const Request *q, bool only_interrupted, WorkerResult *result) {
        unsigned directories = q->verb == MOVE_RESET ? CONFINE_MOVES : CONFINE_MOVES | CONFINE_GRANTS;
        _cleanup_(target_closep) Target *t = NULL;
        Move left;
        int r;

        if (target_open(root, &q->devices[0], TARGET_CHANGE, result, &t) < 0)
                return;
        /* Asked under the lock: an entry that is still there has nobody who works on it. */
        if (only_interrupted && !target_is_interrupted(t, &left))
                return;

        r = check_move(t, q->verb);
        if (r < 0 && result->failure.kind != FAILURE_CRITICAL)
                return;
        if (confine(root, q, directories, &t, 1, result) < 0)
                return;

        if (r < 0)
                (void)mark(t, ""); /* the host needs it: then it must not be taken at boot either */
        else if (q->verb == MOVE_BIND)
                move_away(t, q, r > 0);
        else if (q->verb == MOVE_RELEASE)
                (void)move_home(t);
        else if (begin(t, MOVE_RESET) >= 0) {
                (void)steps_reset(t, &q->devices[0]);
                close_journal(t);
        }
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

        if (confine(root, q, CONFINE_LOCKS | CONFINE_MOVES, NULL, 0, result) < 0)
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
