/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scope.h"

void scope_close(Scope *s) {
        for (size_t i = 0; i < s->n_targets; i++)
                target_close(s->targets[i]);
}

Target *scope_find(const Scope *s, const PciAddress *a) {
        for (size_t i = 0; i < s->n_targets; i++)
                if (iommu_set_contains(&s->targets[i]->movers, a))
                        return s->targets[i];
        return NULL;
}

/* A function of a set that is open already, but not one that moves. */
static int refuse_bridge(const Scope *s, const PciAddress *a, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];

        for (size_t i = 0; i < s->n_targets; i++)
                if (iommu_set_contains(&s->targets[i]->set, a))
                        return worker_fail(result, FAILURE_CRITICAL,
                                           "Device %s is a bridge and stays with the host; leave it out.",
                                           pci_address_format(a, address));
        return 0;
}

int scope_open(Scope *s, int root, const Request *q, TargetAccess access, bool or_missing,
               WorkerResult *result) {
        int r;

        for (size_t i = 0; i < q->n_devices; i++) {
                const PciAddress *a = &q->devices[i];

                if (scope_find(s, a))
                        continue;
                r = refuse_bridge(s, a, result);
                if (r < 0)
                        return r;
                r = target_open(root, a, access == TARGET_CHANGE && s->n_targets > 0 ? TARGET_TRY : access,
                                result, &s->targets[s->n_targets]);
                if (r < 0 && or_missing && result->failure.kind == FAILURE_NO_SUCH_DEVICE) {
                        result->failure = (Failure){0};
                        continue;
                }
                if (r < 0)
                        return r;
                s->n_targets++;
        }

        if (access == TARGET_CHANGE && worker_past_deadline(result))
                return worker_fail(result, FAILURE_STUCK,
                                   "An earlier operation did not end in time; nothing was changed.");
        return 0;
}

int scope_each(const Scope *s, const Request *q, scope_address_t f, void *userdata) {
        int r;

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++)
                        if ((r = f(&s->targets[i]->members[k].identity.address, userdata)) < 0)
                                return r;
        for (size_t i = 0; i < q->n_devices; i++)
                if (!scope_find(s, &q->devices[i]) && (r = f(&q->devices[i], userdata)) < 0)
                        return r;
        return 0;
}
