/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"
#include "grant-store.h"
#include "prompt.h"

static bool request_names(const Request *q, const PciAddress *a) {
        for (size_t i = 0; i < q->n_devices; i++)
                if (pci_address_compare(&q->devices[i], a) == 0)
                        return true;
        return false;
}

static int check_complete(const Request *q, Target *t) {
        char address[PCI_ADDRESS_SIZE], text[512];
        IommuSet missing = {0};

        for (size_t i = 0; i < t->movers.n_members; i++)
                if (!request_names(q, &t->movers.members[i]))
                        (void)iommu_set_add(&missing, &t->movers.members[i]);
        if (missing.n_members == 0)
                return 0;

        return failure_set(&t->result->failure, FAILURE_INCOMPLETE_IOMMU_SET,
                           "The IOMMU cannot separate device %s from %s; name these too, they would move "
                           "along.",
                           pci_address_format(&q->devices[0], address),
                           iommu_set_format(&missing, text, sizeof text));
}

/* The prompt said who they are. Whoever sits at these addresses now must be the same, in the same sets. */
static int check_prompted(const Request *q, const Scope *s, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        size_t n = 0;

        if (q->n_identities == 0)
                return 0;

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++, n++) {
                        const PciIdentity *now = &s->targets[i]->members[k].identity;

                        if (n < q->n_identities && pci_identity_same(now, &q->identities[n]))
                                continue;
                        return failure_set(&result->failure, FAILURE_IDENTITY_CHANGED,
                                           "Device %s or its IOMMU set is another than the prompt named; "
                                           "nothing was "
                                           "granted. Look at what is in the machine and call Grant again.",
                                           pci_address_format(&now->address, address));
                }
        return 0;
}

static int open_for_grant(Scope *s, int root, const Request *q, TargetAccess access, WorkerResult *result) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int r;

        if ((r = scope_open(s, root, q, access, false, result)) < 0 ||
            (r = check_prompted(q, s, result)) < 0 || (r = target_load_facts(root, result, &facts)) < 0)
                return r;

        for (size_t i = 0; i < s->n_targets; i++)
                if ((r = check_complete(q, s->targets[i])) < 0 ||
                    (r = target_check_critical(s->targets[i], facts, q->consent)) < 0)
                        return r;
        return 0;
}

void request_prepare_grant(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (confine(root, request, CONFINE_LOCKS, NULL, 0, result) >= 0 &&
            open_for_grant(&s, root, request, TARGET_READ, result) >= 0)
                prompt_devices(&s, request, result);
}

/* All or nothing: what stood there before comes back. */
static void fail_writing(const GrantBackup *b, int root, int r, WorkerResult *result) {
        size_t n;

        (void)failure_set(&result->failure, FAILURE_INTERNAL,
                          "Grants cannot be written below /" GRANTS_DIR " and /" PENDING_GRANTS_DIR
                          " (%s); nothing was granted.",
                          strerror(-r));
        r = grant_backup_restore(b, root);
        n = strlen(result->failure.sentence);
        if (r < 0)
                (void)snprintf(result->failure.sentence + n, sizeof result->failure.sentence - n,
                               " Not all could be put back (%s): look into both.", strerror(-r));
}

static int grant_member(Target *t, Member *m, const Request *q, GrantBackup *b) {
        Grant old;
        bool had;
        int r;

        had = grant_read(t->root, &m->identity.address, geteuid(), &old) >= 0;
        grant_backup_take(b, t->root, &m->identity.address);

        target_make_grant(t, m, had ? &old : NULL);
        m->grant.pending = q->pending;
        m->grant.consent = q->consent & m->critical & CRITICAL_OVERRIDABLE;
        m->grant.granted_by = q->uid;
        r = target_prove(t, m);
        return r < 0 ? r : grant_store_write(t->root, &m->grant);
}

/* Of each device the last word counts: so no pending grant stays in front of those that are kept now. */
static int remove_pending(const GrantBackup *b, int root) {
        int r = 0;

        for (size_t i = 0; i < b->n && r >= 0; i++)
                r = grant_store_remove(root, true, &b->of[i].address);
        return r;
}

void request_grant(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};
        const Request *q = request;
        GrantBackup b = {0};
        int r = 0;

        if (confine(root, q, CONFINE_LOCKS | CONFINE_GRANTS, NULL, 0, result) < 0 ||
            open_for_grant(&s, root, q, TARGET_CHANGE, result) < 0)
                return;

        for (size_t i = 0; i < s.n_targets; i++)
                for (size_t k = 0; k < s.targets[i]->n_members && r >= 0; k++)
                        r = grant_member(s.targets[i], &s.targets[i]->members[k], q, &b);
        if (r >= 0 && !q->pending)
                r = remove_pending(&b, root);
        if (r < 0)
                fail_writing(&b, root, r, result);
}

void request_keep(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};
        char address[PCI_ADDRESS_SIZE];
        const Request *q = request;
        GrantBackup b = {0};
        Grant g;
        int r = 0;

        if (confine(root, q, CONFINE_LOCKS | CONFINE_GRANTS, NULL, 0, result) < 0 ||
            scope_open(&s, root, q, TARGET_CHANGE, true, result) < 0)
                return;

        for (size_t i = 0; i < q->n_devices; i++) {
                grant_backup_take(&b, root, &q->devices[i]);
                if (!b.of[i].had[false] && !b.of[i].had[true]) {
                        (void)failure_set(
                                        &result->failure, FAILURE_NOT_GRANTED,
                                        "Device %s has no grant that could be kept; call Grant. Nothing was "
                                        "changed.",
                                        pci_address_format(&q->devices[i], address));
                        return;
                }
        }

        for (size_t i = 0; i < b.n && r >= 0; i++)
                if (b.of[i].had[true]) {
                        g = b.of[i].grant[true];
                        g.pending = false;
                        r = grant_store_write(root, &g);
                }
        if (r >= 0)
                r = remove_pending(&b, root);
        if (r < 0)
                fail_writing(&b, root, r, result);
}
