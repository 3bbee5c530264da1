/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "grant-store.h"
#include "lock.h"
#include "prompt.h"
#include "request-vfs.h"
#include "steps.h"
#include "sysfs.h"

static int check_complete(const Request *q, Target *t) {
        char address[PCI_ADDRESS_SIZE], text[512];
        IommuSet missing = {0};

        for (size_t i = 0; i < t->movers.n_members; i++)
                if (!request_names(q, &t->movers.members[i]))
                        (void)iommu_set_add(&missing, &t->movers.members[i]);
        if (missing.n_members == 0)
                return 0;

        return worker_fail(t->result, FAILURE_INCOMPLETE_IOMMU_SET,
                           "The IOMMU cannot separate device %s from %s; name these too, they would move "
                           "along.",
                           pci_address_format(&q->devices[0], address),
                           iommu_set_format(&missing, text, sizeof text));
}

/* An address has the one grant or the other: a physical function and its virtual ones are never both given away. */
static int check_no_vfs(Target *t) {
        Grant g;

        for (size_t i = 0; i < t->n_members; i++)
                if (grant_read_pf(t->root, &t->members[i].identity.address, geteuid(), &g) >= 0)
                        return worker_fail(t->result, FAILURE_CONFLICT,
                                           "Device %s is granted for its virtual functions, and stays with "
                                           "the host itself; call ReturnToHost for it first. Nothing was "
                                           "granted.",
                                           t->members[i].address);
        return 0;
}

static int open_for_grant(Scope *s, int root, const Request *q, TargetAccess access, WorkerResult *result) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int r;

        if ((r = scope_open(s, root, q, access, false, result)) < 0 ||
            (r = prompt_check(s, &q->prompted, result)) < 0 ||
            (r = target_load_facts(root, result, &facts)) < 0)
                return r;

        for (size_t i = 0; i < s->n_targets; i++)
                /* Whoever is locked out waits for the deadline: no other consent may move it. */
                if ((r = check_complete(q, s->targets[i])) < 0 || (r = check_no_vfs(s->targets[i])) < 0 ||
                    (r = target_check_confirmed(s->targets[i])) < 0 ||
                    (r = target_check_critical(s->targets[i], facts, q->consent)) < 0)
                        return r;
        return 0;
}

void request_prepare_grant(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (open_for_grant(&s, root, request, TARGET_READ, result) >= 0)
                prompt_devices(&s, request, result);
}

static int make_grant(Target *t, Member *m, const Request *q) {
        Grant old;
        bool had;

        had = grant_read(t->root, &m->identity.address, geteuid(), &old) >= 0;
        target_make_grant(t, m, had ? &old : NULL);
        m->grant.pending = q->pending;
        m->grant.consent = q->consent & m->critical & CRITICAL_OVERRIDABLE;
        m->grant.granted_by = q->uid;
        return target_prove(t, m);
}

/* An order to be bound at boot is of use only to what is out already. What is at home the host may use; and who
 * consents now, or makes consent last, did not order that. */
static int unmark_at_host(int root, const Scope *s, const Request *q) {
        IommuSet missing = {0};
        int r = 0;

        for (size_t i = 0; i < q->n_devices; i++)
                if (!scope_find(s, &q->devices[i]))
                        (void)iommu_set_add(&missing, &q->devices[i]);
        for (size_t i = 0; i < s->n_targets && r >= 0; i++)
                r = target_on_vfio(s->targets[i]) ? 0 : grant_store_unmark(root, &s->targets[i]->movers);
        return r < 0 ? r : grant_store_unmark(root, &missing);
}

/* The deadline comes first, and goes last: of what has no pending grant nothing is done at its end. */
static int write_pending(int root, const Scope *s, const Request *q, const Grant *const *grants, size_t n) {
        const uint64_t until = grant_confirm_now() + q->confirm * 1000000ULL;
        GrantConfirm confirms[DEVICES_PER_CALL_MAX];
        size_t k = 0;
        int r = 0;

        for (size_t i = 0; i < s->n_targets && q->confirm > 0; i++)
                for (size_t j = 0; j < s->targets[i]->n_members; j++)
                        confirms[k++] = (GrantConfirm){until, !member_on_vfio(&s->targets[i]->members[j])};
        assert(k == n || q->confirm == 0);

        if (q->confirm > 0)
                r = grant_store_write_confirms(root, grants, confirms, n);
        if (r >= 0)
                r = grant_store_write(root, true, grants, n);
        for (size_t i = 0; i < n && r < 0 && q->confirm > 0; i++)
                (void)grant_store_remove_confirm(root, &grants[i]->identity.address);
        return r;
}

/* Of each device the last word counts: so no pending grant stays in front of those that are kept now. */
static void write_grants(int root, const Scope *s, const Request *q, const Grant *const *grants, size_t n,
                         bool pending, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        int r;

        if ((r = unmark_at_host(root, s, q)) < 0 ||
            (r = pending ? write_pending(root, s, q, grants, n) : grant_store_keep(root, grants, n)) < 0)
                (void)worker_fail_write(result, "Nothing was granted",
                                        pending ? PENDING_GRANTS_DIR : GRANTS_DIR, r);
        for (size_t i = 0; i < n && r >= 0 && !pending; i++)
                if ((r = grant_store_remove(root, true, &grants[i]->identity.address)) < 0)
                        (void)worker_fail_remove(result, "The old pending grant of",
                                                 pci_address_format(&grants[i]->identity.address, address),
                                                 PENDING_GRANTS_DIR, r);
}

void request_grant(int root, const void *request, WorkerResult *result) {
        const Grant *grants[DEVICES_PER_CALL_MAX];
        _cleanup_(scope_close) Scope s = {0};
        _cleanup_close_ int lock = -1;
        const Request *q = request;
        size_t n = 0;

        if (open_for_grant(&s, root, q, TARGET_CHANGE, result) < 0)
                return;

        for (size_t i = 0; i < s.n_targets; i++)
                for (size_t k = 0; k < s.targets[i]->n_members; k++) {
                        if (make_grant(s.targets[i], &s.targets[i]->members[k], q) < 0)
                                return;
                        grants[n++] = &s.targets[i]->members[k].grant;
                }
        /* Only now: reading devices may take its time, and this lock is for all. */
        lock = lock_grants(root, result);
        if (lock >= 0)
                write_grants(root, &s, q, grants, n, q->pending, result);
}

/* Of one that was named; what shares its set has no part in it, for nothing of that moves. */
static int check_pf(Target *t, Member *m) {
        uint64_t total;
        Grant own;
        int r;

        if (sysfs_read_u64(m->fd, "sriov_totalvfs", 10, &total) < 0 || total == 0)
                return worker_fail(t->result, FAILURE_INVALID_ARGUMENT,
                                   "Device %s can have no virtual functions (SR-IOV); call Grant to let it "
                                   "leave as a whole.",
                                   m->address);
        if (t->movers.number == UINT_MAX)
                return worker_fail(t->result, FAILURE_CRITICAL,
                                   "No IOMMU stands in front of device %s, nor would one of its virtual "
                                   "functions; switch it on in the firmware and for the kernel.",
                                   m->address);
        if (grant_read(t->root, &m->identity.address, geteuid(), &own) != -ENOENT)
                return worker_fail(t->result, FAILURE_CONFLICT,
                                   "Device %s is granted as a whole; Revoke that, then call GrantVfs. "
                                   "Nothing was granted.",
                                   m->address);

        if ((r = vfs_check_limit(t, m)) < 0 || (r = steps_read_overrides(t)) < 0 ||
            (!member_on_vfio(m) && !member_overridden(m)))
                return r;
        return worker_fail(t->result, FAILURE_NOT_BOUND,
                           "Device %s is not at the host, and only its driver there makes virtual "
                           "functions; Release it first.",
                           m->address);
}

static int open_for_grant_vfs(Scope *s, int root, const Request *q, TargetAccess access,
                              WorkerResult *result) {
        int r;

        if ((r = scope_open(s, root, q, access, false, result)) < 0 ||
            (r = prompt_check(s, &q->prompted, result)) < 0)
                return r;
        for (size_t i = 0; i < q->n_devices && r >= 0; i++) {
                Target *t = scope_find(s, &q->devices[i]);

                r = check_pf(t, target_member(t, &q->devices[i]));
        }
        return r;
}

void request_prepare_grant_vfs(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (open_for_grant_vfs(&s, root, request, TARGET_READ, result) >= 0)
                prompt_devices(&s, request, result);
}

void request_grant_vfs(int root, const void *request, WorkerResult *result) {
        const Grant *grants[DEVICES_PER_CALL_MAX];
        _cleanup_(scope_close) Scope s = {0};
        _cleanup_close_ int lock = -1;
        const Request *q = request;

        if (open_for_grant_vfs(&s, root, q, TARGET_CHANGE, result) < 0)
                return;

        for (size_t i = 0; i < q->n_devices; i++) {
                Target *t = scope_find(&s, &q->devices[i]);
                Member *m = target_member(t, &q->devices[i]);

                target_make_grant(t, m, NULL);
                m->grant.covers_vfs = true;
                m->grant.vfs = (uint16_t)vfs_count(m);
                m->grant.pending = q->pending;
                m->grant.granted_by = q->uid;
                if (target_prove(t, m) < 0)
                        return;
                grants[i] = &m->grant;
        }
        lock = lock_grants(root, result);
        if (lock >= 0)
                write_grants(root, &s, q, grants, q->n_devices, q->pending, result);
}

/* Each has a grant; those that are pending are to be kept. */
static int read_pending(int root, const Request *q, Grant *ret, size_t *ret_n, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        Grant kept;
        size_t n = 0;

        for (size_t i = 0; i < q->n_devices; i++)
                if (grant_read_from(root, true, &q->devices[i], geteuid(), &ret[n]) >= 0)
                        n++;
                else if (grant_read_from(root, false, &q->devices[i], geteuid(), &kept) < 0)
                        return worker_fail(result, FAILURE_NOT_GRANTED,
                                           "Device %s has no grant that could be kept; call Grant. Nothing "
                                           "was changed.",
                                           pci_address_format(&q->devices[i], address));
        *ret_n = n;
        return 0;
}

/* Under the locks, which whoever brings them home takes, too: so one of the two comes first, and knows it. */
static int check_in_time(int root, const Request *q, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        GrantConfirm c;

        for (size_t i = 0; i < q->n_devices; i++)
                if (grant_confirm_find(root, &q->devices[i], geteuid(), &c) &&
                    c.until <= grant_confirm_now())
                        return worker_fail(result, FAILURE_NOT_GRANTED,
                                           "The time to confirm that device %s leaves the host is up: it "
                                           "goes back, and nothing was kept. Make it passthrough again.",
                                           pci_address_format(&q->devices[i], address));
        return 0;
}

/* The grants are looked at before anything is locked: nobody without consent holds a lock. And once more then, since
 * they may have been revoked meanwhile. */
void request_keep(int root, const void *request, WorkerResult *result) {
        Grant pending[DEVICES_PER_CALL_MAX];
        const Grant *grants[DEVICES_PER_CALL_MAX];
        _cleanup_(scope_close) Scope s = {0};
        _cleanup_close_ int lock = -1;
        const Request *q = request;
        size_t n = 0;

        if (read_pending(root, q, pending, &n, result) < 0 ||
            scope_open(&s, root, q, TARGET_CHANGE, true, result) < 0 ||
            (lock = lock_grants(root, result)) < 0 || read_pending(root, q, pending, &n, result) < 0 ||
            check_in_time(root, q, result) < 0)
                return;

        for (size_t i = 0; i < n; i++)
                grants[i] = &pending[i];
        write_grants(root, &s, q, grants, n, false, result);
}
