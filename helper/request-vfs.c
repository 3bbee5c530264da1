/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"
#include "confine.h"
#include "grant-store.h"
#include "journal.h"
#include "lock.h"
#include "request-move.h"
#include "request-vfs.h"
#include "sysfs.h"

static int read_function(const Member *pf, unsigned n, PciAddress *ret) {
        char link[24], name[PCI_ADDRESS_SIZE];
        int r;

        (void)snprintf(link, sizeof link, "virtfn%u", n);
        r = sysfs_read_link_name(pf->fd, link, name, sizeof name);
        return r < 0 ? r : pci_address_parse(name, ret);
}

unsigned vfs_count(const Member *pf) {
        unsigned n = 0;
        PciAddress a;

        while (n <= VFS_MAX && read_function(pf, n, &a) >= 0)
                n++;
        return n;
}

int vfs_check_limit(Target *t, const Member *pf) {
        if (vfs_count(pf) <= VFS_MAX)
                return 0;
        return worker_fail(t->result, FAILURE_LIMITS_EXCEEDED,
                           "Device %s has more than %u virtual functions; write 0 to its sriov_numvfs and "
                           "try again.",
                           pf->address, VFS_MAX);
}

static bool is_function_of(const Member *m, const Member *pf) {
        char name[PCI_ADDRESS_SIZE];

        return sysfs_read_link_name(m->fd, "physfn", name, sizeof name) >= 0 && streq(name, pf->address);
}

/* First the set of the physical function, where its virtual ones are that the IOMMU cannot separate from it. */
static Target *next_set(const Target *t, Target *v) {
        return v == t ? t->vfs : v->next;
}

typedef int (*function_t)(Target *v, Member *vf);

/* Stops at, and returns, the first that is negative. */
static int each_function(Target *t, const Member *pf, function_t f) {
        int r;

        for (Target *v = t; v; v = next_set(t, v))
                for (size_t i = 0; i < v->n_members; i++)
                        if (is_function_of(&v->members[i], pf) && (r = f(v, &v->members[i])) < 0)
                                return r;
        return 0;
}

static bool is_open(Target *t, const PciAddress *a) {
        for (Target *v = t; v; v = next_set(t, v))
                if (iommu_set_contains(&v->movers, a))
                        return true;
        return false;
}

/* As far as the IOMMU goes it is then a part of the physical one, whose lock we have. */
static bool shares_set(const Target *t, const Member *pf, unsigned n) {
        char link[40], number[16], is[16];

        (void)snprintf(link, sizeof link, "virtfn%u/iommu_group", n);
        (void)snprintf(number, sizeof number, "%u", t->movers.number);
        return sysfs_read_link_name(pf->fd, link, is, sizeof is) >= 0 && streq(is, number);
}

int vfs_open(Target *t, Member *pf, TargetAccess access) {
        Target *v, **end = &t->vfs;
        PciAddress a;
        int r;

        while (*end) /* there is another port's in the same set */
                end = &(*end)->next;
        if ((r = vfs_check_limit(t, pf)) < 0)
                return r;
        for (unsigned n = 0; read_function(pf, n, &a) >= 0; n++) {
                if (shares_set(t, pf, n) || is_open(t, &a))
                        continue;
                if ((r = target_open(t->root, &a, access, t->result, &v)) < 0)
                        return r;
                v->pf = pf;
                *end = v;
                end = &v->next;
        }
        return 0;
}

static void close_all(Target *t) {
        for (Target *v = t->vfs, *next; v; v = next) {
                next = v->next;
                target_close(v);
        }
        t->vfs = NULL;
}

static int check_off_vfio(Target *v, Member *vf) {
        if (!member_on_vfio(vf))
                return 0;
        return worker_fail(
                        v->result, FAILURE_NOT_BOUND,
                        "Virtual function %s is not at the host; Release it, or have all of them removed, "
                        "before their grant is taken back.",
                        vf->address);
}

int vfs_check_home(Target *t, Member *pf) {
        return each_function(t, pf, check_off_vfio);
}

static int check_free(Target *v, Member *vf) {
        Access a;
        int r;

        if (vf->driver[0] && !member_on_vfio(vf))
                return worker_fail(
                                v->result, FAILURE_CRITICAL,
                                "Virtual function %s is used by the host (driver %s); unbind it from that, "
                                "and try again.",
                                vf->address, vf->driver);
        if ((r = access_read(v, &a)) > 0)
                return worker_fail(v->result, FAILURE_CLAIMED,
                                   "Virtual function %s was opened for a VM; end that, and try again.",
                                   vf->address);
        return r < 0 ? r : move_check_in_use(v);
}

int vfs_check_free(Target *t, Member *pf) {
        if (!pf->driver[0] || member_on_vfio(pf))
                return worker_fail(
                                t->result, FAILURE_DRIVER,
                                "Device %s has no driver of the host, which alone makes and removes virtual "
                                "functions; load it (see 'lspci -k -s %s') and try again.",
                                pf->address, pf->address);
        return each_function(t, pf, check_free);
}

static int unmark(Target *v, Member *vf) {
        const IommuSet one = {.n_members = 1, .members = {vf->identity.address}};
        int r;

        r = grant_store_unmark(v->root, &one);
        return r < 0 ? worker_fail_remove(v->result, "The mark of", vf->address, GRANTS_DIR, r) : 0;
}

/* An interrupted move of a set that is not there any more has no next step; and its number comes again. */
static void forget_sets(Target *t) {
        char path[48];

        for (const Target *v = t->vfs; v; v = v->next) {
                (void)snprintf(path, sizeof path, "sys/kernel/iommu_groups/%u", v->movers.number);
                if (faccessat(t->root, path, F_OK, 0) < 0)
                        (void)journal_end(t->root, v->movers.number);
        }
        close_all(t);
}

/* Through 0: the kernel refuses every other way. All that are there are open. */
static int write_number(Target *t, Member *pf, unsigned n) {
        unsigned made;
        int r;

        if ((r = each_function(t, pf, steps_leave)) < 0 ||
            (vfs_count(pf) > 0 && (r = steps_set_numvfs(t, pf, 0)) < 0))
                return r;
        if (vfs_count(pf) == 0)
                forget_sets(t);
        if (n > 0 && (r = steps_set_numvfs(t, pf, n)) < 0)
                return r;

        made = vfs_count(pf); /* success was reported */
        if (made == n)
                return 0;
        return worker_fail(t->result, FAILURE_DRIVER,
                           "Device %s was to have %u virtual functions, and its driver %s made %u; see "
                           "'dmesg', and ask for another number.",
                           pf->address, n, pf->driver, made);
}

/* Not all drivers take their functions with them (nvme does not). A device that is gone is told as what it is. */
static bool has_lost_driver(Target *t, Member *pf) {
        PciIdentity now;

        return vfs_count(pf) == 0 && pci_identity_read(pf->fd, &pf->identity.address, &now) >= 0 &&
               target_refresh_driver(t, pf) >= 0 && !pf->driver[0];
}

/* Back to `before`. Those that were never gone get their driver again; others are left for the next SetVfs. */
static void undo(Target *t, Member *pf, unsigned before) {
        Failure cause = t->result->failure;
        Failure worse = {0};
        char undone[96];
        int r;

        t->result->failure = (Failure){0};
        if (vfs_count(pf) == before)
                r = each_function(t, pf, steps_return);
        else if ((r = vfs_open(t, pf, TARGET_TRY)) >= 0 && (r = vfs_check_free(t, pf)) >= 0)
                r = write_number(t, pf, before);
        if (r >= 0 && before == 0)
                r = steps_set_autoprobe(t, pf, true);
        if (r < 0)
                worse = t->result->failure;

        if (r < 0 && has_lost_driver(t, pf)) { /* nothing is left to undo */
                t->left_behind = false;
                t->result->failure = (Failure){0};
                (void)worker_fail(
                                t->result, FAILURE_DRIVER,
                                "The driver of device %s left it meanwhile, and took its virtual functions "
                                "with it; load it (see 'lspci -k -s %s') and try again.",
                                pf->address, pf->address);
                return;
        }
        (void)snprintf(undone, sizeof undone, "Device %s has %u virtual functions, as before.", pf->address,
                       before);
        steps_tell_undone(t, &cause, undone, &worse);
}

/* Marks go first, as in Release: no crash leaves an order for what the host comes to use. */
static int change_number(Target *t, Member *pf, unsigned n) {
        int r;

        if ((r = each_function(t, pf, unmark)) < 0 ||
            (n > 0 && (r = steps_set_autoprobe(t, pf, false)) < 0) || (r = write_number(t, pf, n)) < 0 ||
            (n == 0 && (r = steps_set_autoprobe(t, pf, true)) < 0))
                return r;
        return steps_check_time(t);
}

/* There are none; those that the host makes by itself are its own again. */
static int restore_autoprobe(Target *t, const Member *pf) {
        uint64_t on;

        if (sysfs_read_u64(pf->fd, "sriov_drivers_autoprobe", 10, &on) < 0 || on != 0)
                return 0;
        return steps_set_autoprobe(t, pf, true);
}

int vfs_remove(Target *t, Member *pf) {
        unsigned before = vfs_count(pf);
        int r;

        if (before == 0)
                return restore_autoprobe(t, pf);
        /* Once more, for those that were closed with the ones of another port. */
        if ((r = vfs_open(t, pf, TARGET_TRY)) < 0 || (r = vfs_check_free(t, pf)) < 0 ||
            (r = move_begin(t, MOVE_VFS)) < 0)
                return r;
        r = change_number(t, pf, 0);
        if (r < 0)
                undo(t, pf, before);
        move_end(t);
        return r;
}

static int check_separate(Target *t, const Member *pf) {
        char address[PCI_ADDRESS_SIZE];
        PciAddress a;

        for (unsigned n = 0; read_function(pf, n, &a) >= 0; n++)
                if (shares_set(t, pf, n))
                        return worker_fail(t->result, FAILURE_CRITICAL,
                                           "The IOMMU cannot separate virtual function %s from device %s, "
                                           "which stays with the host; put the card into a slot with ACS, "
                                           "and have the firmware switch that on.",
                                           pci_address_format(&a, address), pf->address);
        return 0;
}

static int mark_all(const Target *t) {
        IommuSet some = {0};
        int r = 0;

        for (const Target *v = t->vfs; v && r >= 0; v = v->next)
                for (size_t i = 0; i < v->n_members && r >= 0; i++) {
                        (void)iommu_set_add(&some, &v->members[i].identity.address);
                        if (some.n_members < DEVICES_PER_CALL_MAX && (v->next || i + 1 < v->n_members))
                                continue;
                        r = grant_store_mark(t->root, &some, v->boot);
                        some.n_members = 0;
                }
        return r;
}

/* Those that this call has bound, in the sets before `end`: the others were so before. */
static void unbind_ours(Target *t, const Target *end) {
        Failure cause = t->result->failure;
        Failure worse = {0};

        for (Target *v = t->vfs; v != end; v = v->next) {
                for (size_t i = 0; i < v->n_members; i++)
                        v->members[i].ours = v->members[i].touched;
                if (steps_release(v) < 0)
                        (void)failure_set(&worse, t->result->failure.kind, "%s",
                                          t->result->failure.sentence);
        }
        if (worse.kind != FAILURE_NONE)
                steps_tell_undone(t, &cause, "", &worse);
        t->result->failure = cause;
}

/* Those that were made just now are locked by who takes them for devices like any, for a moment: the daemon's Bind. So
 * they are waited for; who has one of them waits for no other set. */
static int bind_all(Target *t, Member *pf, const Request *q, bool made) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int r;

        if (made)
                close_all(t);
        t->vfs_to_come = false;
        if ((r = vfs_open(t, pf, made ? TARGET_CHANGE : TARGET_TRY)) < 0 ||
            (r = check_separate(t, pf)) < 0 || (r = target_load_facts(t->root, t->result, &facts)) < 0 ||
            (r = confine(t->root, q, &t, 1, t->result)) < 0)
                return r;

        for (Target *v = t->vfs; v && r >= 0; v = v->next) {
                v->persistent = true;
                v->facts = facts;
                r = move_bind_within(v);
                v->facts = NULL;
                t->left_behind |= v->left_behind;
                if (r < 0 && !made) /* else they go */
                        unbind_ours(t, v);
        }
        if (r >= 0 && (r = mark_all(t)) < 0)
                return worker_fail(t->result, FAILURE_INTERNAL,
                                   "The marks of the virtual functions of %s cannot be written to "
                                   "/" GRANTS_DIR " (%s); mend that and call SetVfs again.",
                                   pf->address, strerror(-r));
        return r;
}

/* It was read at the start; root may have removed it meanwhile. */
static void record(Target *t, const Member *pf, unsigned n) {
        _cleanup_close_ int lock = -1;
        const Grant *grants[1];
        Grant g;
        int r;

        lock = lock_grants(t->root, t->result);
        if (lock < 0 || grant_read_pf(t->root, &pf->identity.address, geteuid(), &g) < 0 || g.vfs == n)
                return;
        g.vfs = (uint16_t)n;
        grants[0] = &g;
        r = grant_store_write(t->root, g.pending, grants, 1);
        if (r < 0)
                (void)worker_fail(t->result, FAILURE_INTERNAL,
                                  "Device %s has %u virtual functions, but that could not be written to its "
                                  "grant (%s); mend that and call SetVfs again.",
                                  pf->address, n, strerror(-r));
}

/* Our entry would take the place of that one, by which what stopped half-way in this set is brought home. */
static int check_uninterrupted(Target *t, const Member *pf) {
        Move left;

        if (!target_is_interrupted(t, &left) || left.verb == MOVE_VFS)
                return 0;
        return worker_fail(
                        t->result, FAILURE_BUSY,
                        "An earlier %s of the IOMMU set of device %s was interrupted; call Recover for it, "
                        "and try again.",
                        move_verb_to_string(left.verb), pf->address);
}

/* Everything that can be known before the first write. */
static int check(Target *t, Member *pf, const Request *q, unsigned before) {
        uint64_t total = 0;
        int r;

        if ((r = target_check_pf(t, pf)) < 0 || (r = check_uninterrupted(t, pf)) < 0 ||
            (q->count > 0 && (r = move_check_switched_on(t)) < 0))
                return r;
        if (sysfs_read_u64(pf->fd, "sriov_totalvfs", 10, &total) < 0 || q->count > total)
                return worker_fail(t->result, FAILURE_INVALID_ARGUMENT,
                                   "Device %s can have at most %u virtual functions; ask for no more.",
                                   pf->address, (unsigned)total);
        if (q->count == before && !(q->persistent && q->count > 0))
                return 0;
        if ((r = vfs_open(t, pf, TARGET_TRY)) < 0 || q->count == before)
                return r;
        return vfs_check_free(t, pf);
}

static int set_number(Target *t, Member *pf, const Request *q, unsigned before) {
        int r = 0;

        if (q->count != before)
                r = change_number(t, pf, q->count);
        else if (q->count == 0)
                r = restore_autoprobe(t, pf);
        if (r >= 0 && q->persistent && q->count > 0)
                r = bind_all(t, pf, q, q->count != before);
        if (r < 0 && q->count != before)
                undo(t, pf, before);
        return r;
}

void request_set_vfs(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        const Request *q = request;
        unsigned before;
        Member *pf;

        if (target_open(root, &q->devices[0], TARGET_CHANGE, result, &t) < 0)
                return;
        pf = target_named(t);
        before = vfs_count(pf);
        t->vfs_to_come = q->persistent && q->count > 0 && q->count != before;
        if (check(t, pf, q, before) < 0 || confine(root, q, &t, 1, result) < 0 ||
            move_begin(t, MOVE_VFS) < 0)
                return;
        if (set_number(t, pf, q, before) >= 0)
                record(t, pf, q->count);
        move_end(t);
}
