/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reconcile.h"

#define BACKOFF_FIRST_USEC (1000ULL * 1000)
#define BACKOFF_DOUBLINGS_MAX 6U /* about a minute */
#define FLIP_USEC (600ULL * 1000 * 1000)
#define ORDER_DOUBLINGS_MAX 9U /* about eight: nothing is half-way, and news do not wait for it */

/* Bridges never move, so one that is found was put where a member had been. */
static const Device *find_member(const ReconcileState *s, const MoveEntry *e) {
        const Device *d;

        for (size_t i = 0; i < e->move.set.n_members; i++) {
                d = device_table_find(s->devices, &e->move.set.members[i]);
                if (d && !device_is_bridge(d))
                        return d;
        }
        return NULL;
}

static bool has_operation(const ReconcileState *s, const MoveEntry *e) {
        const Device *d;

        for (size_t i = 0; i < e->move.set.n_members; i++) {
                d = device_table_find(s->devices, &e->move.set.members[i]);
                if (d && d->operating)
                        return true;
        }
        return false;
}

/* A transaction has the helper work on it: its journal entry is no remnant. */
static bool is_covered(const ReconcileState *s, const MoveEntry *e) {
        for (size_t i = 0; s->covered && i < e->move.set.n_members; i++)
                if (s->covered(&e->move.set.members[i], s->userdata))
                        return true;
        return false;
}

static uint64_t due(unsigned failures, uint64_t tried, unsigned doublings_max) {
        unsigned doublings;

        if (failures == 0)
                return 0;
        doublings = failures - 1 < doublings_max ? failures - 1 : doublings_max;
        return tried + (BACKOFF_FIRST_USEC << doublings);
}

ReconcileStep reconcile_next(const ReconcileState *s) {
        ReconcileStep step = {.again_at = UINT64_MAX};
        const Device *d;
        MoveEntry *e;
        uint64_t at;

        assert(s);

        for (size_t i = 0; i < s->moves->n; i++) {
                e = &s->moves->entries[i];
                if (!e->wanted || has_operation(s, e) || is_covered(s, e))
                        continue;
                d = find_member(s, e);
                if (!d) /* all are gone, and their overrides with them */
                        continue;

                at = due(e->failures, e->tried, BACKOFF_DOUBLINGS_MAX);
                if (at <= s->now)
                        return (ReconcileStep){e, *device_address(d), UINT64_MAX};
                if (at < step.again_at)
                        step.again_at = at;
        }
        return step;
}

void reconcile_not_tried(MoveEntry *e, uint64_t now) {
        assert(e);

        e->wanted = true;
        e->tried = now;
        e->failures++;
}

/* A helper, or a worker, that was killed or could not start leaves no event behind that would tell us to go on; nor
 * does whoever works on the set, if he changes nothing, nor who has had it open. */
static bool ends_unseen(FailureKind kind) {
        return kind == FAILURE_HELPER || kind == FAILURE_INTERNAL || kind == FAILURE_BUSY ||
               kind == FAILURE_IN_USE;
}

void reconcile_tried(MoveEntry *left, FailureKind kind, uint64_t now) {
        assert(left);

        /* What came in during the call was its own doing and no news. */
        left->busy = kind == FAILURE_BUSY;
        left->tried = now;
        left->failures++;
        left->wanted = ends_unseen(kind);
}

/* What is true of the members that move, put together. */
typedef struct SetView {
        bool all_bound, all_marked, any_marked, busy, taken, spared, needed;
} SetView;

/* Whoever makes and removes its functions takes each of them in hand: root at the helper, of whom we know by
 * the journal alone. What is left then is seen to afterwards. */
static bool is_in_hand(const OrderState *s, const Device *d) {
        const Device *pf = d->facts.is_virtual ? device_table_find(s->devices, &d->facts.physical_function)
                                               : NULL;

        return pf && pf->journalled;
}

/* False: another member speaks for this set. */
static bool look_at_set(const OrderState *s, const Device *d, SetView *ret) {
        SetView v = {.all_bound = true, .all_marked = true, .spared = true};
        const Device *p;

        for (size_t i = 0; i < d->facts.set.n_members; i++) {
                p = device_table_find(s->devices, &d->facts.set.members[i]);
                if (!p || device_is_bridge(p))
                        continue;
                if (pci_address_compare(device_address(p), device_address(d)) < 0)
                        return false;
                /* In quarantine it is bound all the same. */
                v.all_bound = v.all_bound &&
                              (p->state == DEVICE_POOL ||
                               (p->state == DEVICE_QUARANTINED && streq(p->facts.driver, VFIO_DRIVER)));
                v.all_marked = v.all_marked && streq(p->persistent, s->boot_id);
                v.any_marked = v.any_marked || p->persistent[0];
                v.busy = v.busy || p->operating || p->journalled || p->stuck || is_in_hand(s, p) ||
                         s->covered(device_address(p), s->userdata);
                v.taken = v.taken || p->taken;
                v.spared = v.spared && device_is_spared(p);
                v.needed = v.needed || (p->critical & ~p->consent) != 0;
        }

        *ret = v;
        return true;
}

/* 0: nothing, 1: bind, -1: release. */
static int choose(const OrderState *s, const Device *d) {
        SetView v;

        if (device_is_bridge(d) || d->facts.set.number == DEVICE_NO_IOMMU_SET || !look_at_set(s, d, &v) ||
            v.busy)
                return 0;
        /* What the host uses by now, or comes to use while all is off, must not be taken from it at the next start,
         * before anybody can look: no mark stays. */
        if ((s->disabled || v.needed) && v.any_marked && !v.all_bound && d->granted)
                return -1;
        if (!wanted_by(s->devices, d))
                return v.any_marked && d->granted ? -1 : 0;
        if (s->disabled || v.taken || (v.all_bound && v.all_marked))
                return 0;
        return v.all_bound || v.spared ? 1 : 0;
}

OrderStep reconcile_next_order(const OrderState *s, size_t *at) {
        OrderStep step = {.again_at = UINT64_MAX};
        uint64_t when;
        Device *d;
        int choice;

        assert(s);
        assert(at);

        while (*at < s->devices->n) {
                d = s->devices->devices[(*at)++];
                choice = choose(s, d);
                if (choice == 0)
                        continue;

                when = due(d->order_failures, d->order_tried, ORDER_DOUBLINGS_MAX);
                if (when <= s->now) {
                        step.device = d;
                        step.bind = choice > 0;
                        return step;
                }
                if (when < step.again_at)
                        step.again_at = when;
        }
        return step;
}

/* What is there is what it is to be, and so is what the helper has written down. */
static bool is_met(const DeviceTable *t, const Device *pf, const VfsOrder *order) {
        return order->count < 0 || (device_table_count_vfs(t, pf) == (uint32_t)order->count &&
                                    (!pf->vfs_granted || pf->vfs == (uint32_t)order->count));
}

/* Where the number is right all that is left is to write it down. */
static VfsObstacle find_obstacle(const DeviceTable *t, const Device *pf, const VfsOrder *order,
                                 const Device **ret_vf) {
        const Device *vf;
        size_t at = 0;

        *ret_vf = NULL;
        if (!pf->vfs_granted)
                return VFS_NOT_GRANTED;
        if ((uint32_t)order->count > pf->facts.sriov_total_vfs)
                return VFS_TOO_MANY;
        if (device_table_count_vfs(t, pf) == (uint32_t)order->count)
                return VFS_NO_OBSTACLE;
        if (!device_is_driven(pf))
                return VFS_NO_DRIVER;
        while ((vf = device_table_next_vf(t, pf, &at))) {
                *ret_vf = vf;
                if (vf->claim)
                        return VFS_CLAIMED;
                if (device_is_driven(vf))
                        return VFS_HELD;
        }
        *ret_vf = NULL;
        return VFS_NO_OBSTACLE;
}

bool reconcile_vfs_unmet(const DeviceTable *t, const Device *pf, const VfsOrder *order, VfsObstacle *ret,
                         const Device **ret_vf) {
        assert(t);
        assert(pf);
        assert(order);
        assert(ret);
        assert(ret_vf);

        if (is_met(t, pf, order))
                return false;
        *ret = find_obstacle(t, pf, order, ret_vf);
        return true;
}

static bool is_busy(const OrderState *s, const Device *d) {
        return d->operating || d->journalled || d->stuck || s->covered(device_address(d), s->userdata);
}

static bool any_busy(const OrderState *s, const Device *pf) {
        const Device *vf;
        size_t at = 0;

        if (is_busy(s, pf))
                return true;
        while ((vf = device_table_next_vf(s->devices, pf, &at)))
                if (is_busy(s, vf))
                        return true;
        return false;
}

VfsStep reconcile_next_vfs(const OrderState *s, size_t *at) {
        VfsStep step = {.again_at = UINT64_MAX};
        VfsObstacle obstacle;
        const Device *vf;
        VfsOrder order;
        uint64_t when;
        Device *d;

        assert(s);
        assert(at);

        while (*at < s->devices->n && !s->disabled) {
                d = s->devices->devices[(*at)++];
                if (d->facts.is_virtual || !d->vfs_granted)
                        continue;
                order = wanted_vfs(s->registry, d);
                if (!reconcile_vfs_unmet(s->devices, d, &order, &obstacle, &vf) ||
                    obstacle != VFS_NO_OBSTACLE || any_busy(s, d))
                        continue;

                when = due(d->order_failures, d->order_tried, ORDER_DOUBLINGS_MAX);
                when = when > d->vfs_rest_until ? when : d->vfs_rest_until;
                if (when <= s->now) {
                        step.device = d;
                        step.count = (uint32_t)order.count;
                        step.bind = order.bind;
                        return step;
                }
                if (when < step.again_at)
                        step.again_at = when;
        }
        return step;
}

void reconcile_vfs_tried(Device *pf, const Failure *failure, uint64_t now) {
        bool again;

        assert(pf);

        /* Somebody who takes them away again and again must not make us spin. */
        again = !failure && pf->order_done == 1 && now - pf->order_tried < FLIP_USEC;
        pf->order_failures = failure || again ? pf->order_failures + 1 : 0;
        pf->order_done = failure ? 0 : 1;
        pf->order_tried = now;
        if (!failure)
                pf->vfs_made = now;
        (void)device_set_text(&pf->refusal, failure ? failure->sentence : "");
}

/* Another tool may have a number of its own for this card: each time its port is disturbed. Their coming and going is
 * news of many kinds, none of which ends this. They go one by one; the first of them counts. */
static void note_fight(Device *pf, uint64_t now) {
        unsigned doublings;

        if (now < pf->vfs_rest_until)
                return;
        pf->vfs_fights = pf->vfs_made > 0 && now - pf->vfs_made < FLIP_USEC ? pf->vfs_fights + 1 : 0;
        if (pf->vfs_fights == 0)
                return;
        doublings = pf->vfs_fights - 1 < ORDER_DOUBLINGS_MAX ? pf->vfs_fights - 1 : ORDER_DOUBLINGS_MAX;
        pf->vfs_rest_until = now + (BACKOFF_FIRST_USEC << doublings);
}

void reconcile_vfs_driver_came(Device *pf) {
        assert(pf);

        pf->vfs_rest_until = 0;
        reconcile_order_nudge(pf);
}

void reconcile_vfs_lost(Device *pf, uint64_t now) {
        assert(pf);

        if (!pf->vfs_granted || pf->operating)
                return;
        note_fight(pf, now);
        if (pf->order_failures == 0)
                pf->order_failures = 1;
        pf->order_tried = now;
}

void reconcile_order_tried(const DeviceTable *t, Device *d, bool bind, const Failure *failure,
                           uint64_t now) {
        bool flips;
        Device *p;

        assert(d);

        /* To and fro is a failure, too: two orders that contradict each other must not spin. */
        flips = !failure && d->order_done == (bind ? -1 : 1) && now - d->order_tried < FLIP_USEC;
        d->order_failures = failure || flips ? d->order_failures + 1 : 0;
        d->order_tried = now;
        d->order_done = failure ? 0 : bind ? 1 : -1;
        for (size_t i = 0; i < d->facts.set.n_members; i++) {
                p = device_table_find(t, &d->facts.set.members[i]);
                if (p)
                        (void)device_set_text(&p->refusal, failure ? failure->sentence : "");
        }
}

void reconcile_order_nudge(Device *d) {
        Device *p;

        assert(d);

        d->order_failures = 0;
        if (d->vfs_granted) /* what it was told before is not the same order */
                d->order_done = 0;
        for (size_t i = 0; d->table && i < d->facts.set.n_members; i++) { /* another may speak for the set */
                p = device_table_find(d->table, &d->facts.set.members[i]);
                if (p)
                        p->order_failures = 0;
        }
}
