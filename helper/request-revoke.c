/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"
#include "grant-store.h"
#include "lock.h"
#include "prompt.h"
#include "request-move.h"
#include "request-vfs.h"
#include "text.h"

/* Of a physical function that was granted for its virtual ones, these are what is out. What sits at its address now may
 * be another device, of which nothing is ours; one of the same make may be, and without the grant they would never come
 * home. pf->ours: they are to be removed. */
static int check_vfs(Scope *s, int root, const Request *q, TargetAccess access, bool only_pending) {
        Member *pf;
        Target *t;
        int r = 0;

        for (size_t i = 0; i < q->n_devices && r >= 0; i++) {
                if (!(t = scope_find(s, &q->devices[i])))
                        continue;
                pf = target_member(t, &q->devices[i]);
                if (grant_read_pf(root, &q->devices[i], geteuid(), &pf->grant) < 0 ||
                    (only_pending && !pf->grant.pending) || !member_is_of_the_make(pf))
                        continue;
                pf->ours = q->release;
                if ((r = vfs_open(t, pf, access == TARGET_CHANGE ? TARGET_TRY : access)) >= 0)
                        r = pf->ours && vfs_count(pf) > 0 ? vfs_check_free(t, pf) : vfs_check_home(t, pf);
        }
        return r;
}

/* A grant outlives its device; taking it back must not need the device. */
static int open_for_revoke(Scope *s, int root, const Request *q, TargetAccess access, WorkerResult *result) {
        int r;

        r = scope_open(s, root, q, access, true, result);
        if (r >= 0)
                r = prompt_check(s, &q->prompted, result);
        for (size_t i = 0; i < s->n_targets && r >= 0; i++)
                r = q->release ? move_check_way_home(s->targets[i]) : move_check_at_home(s->targets[i]);
        return r < 0 ? r : check_vfs(s, root, q, access, false);
}

void request_prepare_revoke(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (open_for_revoke(&s, root, request, TARGET_READ, result) >= 0)
                prompt_devices(&s, request, result);
}

static int release(Target *t) {
        int r;

        r = t->at_home ? 0 : move_home(t);
        for (size_t i = 0; i < t->n_members && r >= 0; i++)
                if (t->members[i].ours && t->members[i].grant.covers_vfs)
                        r = vfs_remove(t, &t->members[i]);
        return r;
}

/* Each set before any grant goes: one that fails still has what is needed to try again. */
static int release_all(Scope *s, WorkerResult *result) {
        char members[256], released[256] = "";
        size_t n;

        for (size_t i = 0; i < s->n_targets; i++) {
                if (release(s->targets[i]) < 0) {
                        n = strlen(result->failure.sentence);
                        (void)snprintf(result->failure.sentence + n, sizeof result->failure.sentence - n,
                                       " No grant was removed; released before: %s.",
                                       released[0] ? released : "none");
                        return -EREMOTEIO;
                }
                if (!s->targets[i]->at_home)
                        text_append_item(released, sizeof released,
                                         iommu_set_format(&s->targets[i]->movers, members, sizeof members));
        }
        return 0;
}

typedef struct Removal {
        int root;
        const Request *q;
        const Scope *scope;
        bool kept; /* these too, not the pending alone */
        bool any;
        WorkerResult *result;
} Removal;

/* The mark goes too: what is at home by now was not consented to with it. */
static int remove_grant(const PciAddress *a, void *userdata) {
        const IommuSet one = {.n_members = 1, .members = {*a}};
        char address[PCI_ADDRESS_SIZE];
        Removal *removal = userdata;
        const Target *t = scope_find(removal->scope, a);
        bool out = !removal->kept && t && !t->at_home; /* Drop: it was so before */
        Grant g;
        int r;

        /* What shares the set of a physical function does not move with it. */
        if (!request_names(removal->q, a) && grant_read_pf(removal->root, a, geteuid(), &g) >= 0)
                return 0;
        r = grant_store_remove_pending(removal->root, out, a);
        removal->any = removal->any || r > 0;
        if (r >= 0 && removal->kept && (r = grant_store_remove(removal->root, false, a)) > 0)
                removal->any = true;
        if (r >= 0 && !out)
                r = grant_store_unmark(removal->root, &one);
        if (r < 0)
                return worker_fail_remove(removal->result, "The grant of", pci_address_format(a, address),
                                          GRANTS_DIR " or /" PENDING_GRANTS_DIR, r);
        return 0;
}

void request_revoke(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};
        char address[PCI_ADDRESS_SIZE];
        const Request *q = request;
        Removal removal = {root, q, &s, true, false, result};
        _cleanup_close_ int lock = -1;

        if (open_for_revoke(&s, root, q, TARGET_CHANGE, result) < 0 ||
            confine(root, q, s.targets, q->release ? s.n_targets : 0, result) < 0 ||
            (q->release && release_all(&s, result) < 0) || (lock = lock_grants(root, result)) < 0 ||
            scope_each(&s, q, remove_grant, &removal) < 0)
                return;

        if (!removal.any)
                (void)worker_fail(result, FAILURE_NOT_GRANTED,
                                  "Device %s was not granted; nothing was changed.",
                                  pci_address_format(&q->devices[0], address));
}

/* It stays as it was before the pending grant came: that was for a device that was out already. */
static bool was_out_before(const Target *t) {
        GrantConfirm c;

        for (size_t i = 0; i < t->n_members; i++)
                if (!grant_confirm_find(t->root, &t->members[i].identity.address, geteuid(), &c) ||
                    c.at_host)
                        return false;
        return true;
}

void request_drop(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};
        Removal removal = {root, request, &s, false, false, result};
        _cleanup_close_ int lock = -1;

        if (scope_open(&s, root, request, TARGET_CHANGE, true, result) < 0)
                return;
        for (size_t i = 0; i < s.n_targets; i++)
                if (!was_out_before(s.targets[i]) && move_check_at_home(s.targets[i]) < 0)
                        return;
        if (check_vfs(&s, root, request, TARGET_CHANGE, true) >= 0 &&
            (lock = lock_grants(root, result)) >= 0)
                (void)scope_each(&s, request, remove_grant, &removal);
}
