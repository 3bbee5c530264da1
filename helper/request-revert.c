/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"
#include "grant-store.h"
#include "lock.h"
#include "log.h"
#include "request-move.h"

/* What its members were granted until. */
typedef struct Waiting {
        IommuSet all;     /* those that wait for a confirmation */
        IommuSet at_host; /* of these, who go back to the host */
        bool due;
} Waiting;

static void look(int root, const PciAddress *a, Waiting *w) {
        GrantConfirm c;

        if (!grant_confirm_find(root, a, geteuid(), &c))
                return;
        (void)iommu_set_add(&w->all, a);
        if (c.at_host)
                (void)iommu_set_add(&w->at_host, a);
        w->due = w->due || c.until <= grant_confirm_now();
}

/* The deadline goes last: a crash before that has this done once more. */
static int forget(int root, const Waiting *w, bool missing, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        _cleanup_close_ int lock = -1;
        const PciAddress *a;
        int r;

        lock = lock_grants(root, result);
        if (lock < 0)
                return lock;
        for (size_t i = 0; i < w->all.n_members; i++) {
                a = &w->all.members[i];
                r = grant_store_remove_pending(root, !missing && !iommu_set_contains(&w->at_host, a), a);
                if (r < 0)
                        return worker_fail_remove(result, "The pending grant of",
                                                  pci_address_format(a, address), PENDING_GRANTS_DIR, r);
        }
        return 0;
}

/* It was unplugged: then there is nothing to bring home. */
static void forget_missing(int root, const Request *q, WorkerResult *result) {
        Waiting w = {0};

        result->failure = (Failure){0};
        look(root, &q->devices[0], &w);
        if (w.due && confine(root, q, NULL, 0, result) >= 0)
                (void)forget(root, &w, true, result);
}

/* Those that were out before stay where they were. */
static int bring_home(Target *t, const Waiting *w) {
        int r;

        r = move_check_way_home(t);
        if (r < 0 || t->at_home)
                return r;
        for (size_t i = 0; i < t->n_members; i++)
                t->members[i].ours = t->members[i].ours &&
                                     iommu_set_contains(&w->at_host, &t->members[i].identity.address);
        return move_home(t);
}

void request_revert(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        const Request *q = request;
        char members[256];
        Waiting w = {0};

        if (target_open(root, &q->devices[0], TARGET_CHANGE, result, &t) < 0) {
                if (result->failure.kind == FAILURE_NO_SUCH_DEVICE)
                        forget_missing(root, q, result);
                return;
        }

        /* Under the lock: somebody may have confirmed it just before. */
        for (size_t i = 0; i < t->n_members; i++)
                look(root, &t->members[i].identity.address, &w);
        if (!w.due || confine(root, q, &t, 1, result) < 0)
                return;
        if ((w.at_host.n_members == 0 || bring_home(t, &w) >= 0) && forget(root, &w, false, result) >= 0)
                log_notice("Nobody has confirmed in time that %s leave the host: they are where they were.",
                           iommu_set_format(&w.all, members, sizeof members));
}
