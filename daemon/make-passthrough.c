/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confirm.h"
#include "grant-set.h"
#include "grants.h"
#include "make-vfs.h"
#include "operation.h"
#include "order-book.h"
#include "wanted.h"

static bool binds(const Manager *m, const MakeRequest *q) {
        const Group *g = registry_find_group_name(m->registry, q->group_name);

        if (g)
                return g->record.enabled && g->record.binding == GROUP_BINDING_PERSISTENT;
        return q->group.binding && streq(q->group.binding, "persistent");
}

/* Who is covered for what it makes cannot leave itself. */
static int check_no_pf(const Manager *m, const IommuSet *movers, Failure *f) {
        const Device *d;

        for (size_t i = 0; i < movers->n_members; i++) {
                d = device_table_find(&m->devices, &movers->members[i]);
                if (d && d->vfs_granted)
                        return failure_set(f, FAILURE_ORDERED,
                                           "Device %s cannot leave the host: its virtual functions may, "
                                           "which it "
                                           "makes with its host driver; call ReturnToHost for it first.",
                                           d->address);
        }
        return 0;
}

static int check(Call *c, Failure *f) {
        Make *data = c->data;
        MakeRequest *q = &data->request;
        Manager *m = c->manager;
        char address[PCI_ADDRESS_SIZE];

        if (edit_check_possible(m, f) < 0)
                return -EREMOTEIO;
        if (make_is_of_vfs(m, data))
                return make_check_vfs(c, data, f);
        if (q->has_confirm && (q->confirm < m->confirm_min || q->confirm > CONFIRM_SECONDS_MAX))
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option \"confirm-seconds\" is %u; give %u to %u, or leave it out.",
                                   q->confirm, m->confirm_min, CONFIRM_SECONDS_MAX);
        data->movers = q->devices;
        if (grant_set_check(&m->devices, true, &data->movers, &q->siblings, f) < 0 ||
            make_check_identities(m, data, f) < 0 || check_no_pf(m, &data->movers, f) < 0 ||
            transactions_check_free(m, &data->movers, f) < 0 || make_check_group(m, data, f) < 0 ||
            make_check_members(m, q->group_name, data, f) < 0)
                return -EREMOTEIO;
        if (m->platform.disabled && binds(m, q))
                return failure_set(f, FAILURE_NOT_AUTHORIZED, DEVICE_DISABLED_SENTENCE,
                                   pci_address_format(&q->devices.members[0], address));

        if (q->confirm > 0)
                confirm_find_fresh(m, c->uid, &data->movers, &data->fresh);
        else
                make_find_fresh(m, &data->movers, &data->fresh);
        if (data->fresh.n_members > 0 && c->uid == 0)
                return grant_set_refuse_root(true, &data->fresh, q->consent, false, q->confirm, f);
        return 0;
}

static void describe(const Call *c, CallDetails *ret) {
        const Make *data = c->data;
        const size_t size = sizeof ret->text - 16; /* behind it is the number */

        call_details_add(ret, "verb", data->request.has_count ? "SetVfCount" : "MakePassthrough");
        (void)snprintf(ret->text + size, sizeof ret->text - size, "%u", data->request.count);
        if (data->request.has_count)
                call_details_add(ret, "count", ret->text + size);
        else
                call_details_add(ret, "group", data->request.group_name);
        call_details_add(ret, "device", iommu_set_format(&data->request.devices, ret->text, size));
        call_details_add(ret, "polkit.message",
                         data->request.has_count ? "Authentication is required to change the number of "
                                                   "virtual functions "
                                                   "of PCI device $(device)"
                         : make_is_of_vfs(c->manager, data)
                                         ? "Authentication is required to put virtual functions of PCI "
                                           "device "
                                           "$(device) into the group $(group) for virtual machines"
                                         : "Authentication is required to put PCI device $(device) into the "
                                           "group $(group) for virtual machines");
}

static void answer(Transaction *t) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Manager *m = t->manager;
        char path[REGISTRY_PATH_SIZE];
        Call *c = t->call;
        const Make *data = c->data;
        const Device *d;
        int r;

        if (data->request.has_count) {
                call_finish(c, NULL);
                return;
        }
        if ((r = sd_bus_message_new_method_return(c->message, &reply)) < 0 ||
            (r = sd_bus_message_append_basic(reply, 'o', registry_path(BUS_PATH_GROUPS, t->group, path))) <
                            0 ||
            (r = sd_bus_message_open_container(reply, 'a', "o")) < 0)
                goto fail;
        for (size_t i = 0; i < data->request.devices.n_members && r >= 0; i++) {
                d = device_table_find(&m->devices, &data->request.devices.members[i]);
                if (d && make_rule_of(t, d))
                        r = sd_bus_message_append_basic(reply, 'o', make_rule_of(t, d)->path);
        }
        if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0 ||
            (r = sd_bus_message_open_container(reply, 'a', "o")) < 0)
                goto fail;
        for (size_t i = 0; i < t->movers.n_members && r >= 0; i++) {
                d = device_table_find(&m->devices, &t->movers.members[i]);
                if (d && (t->of_vfs ? d->vfs_granted : d->granted))
                        r = sd_bus_message_append_basic(reply, 'o', d->path);
        }
        if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
                goto fail;
        call_finish_with(c, reply);
        return;
fail:
        call_fail(c, r);
}

static bool are_kept(const Transaction *t) {
        const Device *d;

        for (size_t i = 0; i < t->fresh.n_members; i++) {
                d = device_table_find(&t->manager->devices, &t->fresh.members[i]);
                if (!d || !(t->of_vfs ? d->vfs_granted : d->granted) || d->grant_pending)
                        return false;
        }
        return true;
}

static void keep(Transaction *t);

/* A helper that died before its answer may have done it, or half of it; what is kept cannot be dropped any more, so it
 * can only be finished: by another call, and if that fails, too, by the next start, for which the intent stays. */
static void on_kept(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        grants_read(t->manager);
        if (!failure || are_kept(t))
                transaction_finish(t, answer);
        else if (!transaction_any_kept(t))
                transaction_undo(t, failure);
        else if (t->kept_again)
                transaction_end(t, failure);
        else {
                t->kept_again = true;
                keep(t);
        }
}

static void keep(Transaction *t) {
        HelperRequest q = {.verb = HELPER_KEEP, .devices = &t->fresh};
        Failure f = {0};

        if (transaction_check_orders(t, "look at them and try again", &f) < 0)
                transaction_undo(t, &f);
        else if (t->to_confirm)
                confirm_wait(t, answer);
        else if (t->fresh.n_members == 0)
                transaction_finish(t, answer);
        else if (transaction_ask_helper(t, &q, on_kept) < 0) {
                (void)failure_set(&f, FAILURE_HELPER,
                                  "Nothing was changed: the helper cannot be called; see 'journalctl -u "
                                  "verge-passthroughd' and try again.");
                transaction_undo(t, &f);
        }
}

static void on_bound(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        if (failure)
                (void)failure_set(&t->cause, failure->kind, "%s", failure->sentence);
        t->unsure = t->unsure || (failure && failure->kind == FAILURE_HELPER);
        if (--t->n_waiting > 0)
                return;
        if (t->cause.kind != FAILURE_NONE)
                transaction_undo(t, NULL);
        else
                keep(t);
}

static bool was_started(const Transaction *t, const IommuSet *started, const Device *d) {
        for (size_t i = 0; i < d->facts.set.n_members; i++)
                if (iommu_set_contains(started, &d->facts.set.members[i]))
                        return true;
        return false;
}

/* What was bound before stays as it is until somebody confirms. */
static bool is_to_move(const Transaction *t, const Device *d) {
        for (size_t i = 0; i < d->facts.set.n_members; i++)
                if (iommu_set_contains(&t->at_host, &d->facts.set.members[i]))
                        return true;
        return !t->to_confirm;
}

/* All sets at once: they do not wait for each other in the kernel, or only where it makes them. */
static void bind_all(Transaction *t) {
        IommuSet started = {0};
        const Device *d;

        t->n_waiting = 1;
        for (size_t i = 0; i < t->named.n_members; i++) {
                OperationRequest q = {.verb = HELPER_BIND,
                                      .device = t->named.members[i],
                                      .persistent = !t->to_confirm};

                d = device_table_find(&t->manager->devices, &q.device);
                if (d && (was_started(t, &started, d) || !is_to_move(t, d)))
                        continue;
                if (operation_start(t->manager, &q, on_bound, t, &t->cause) < 0)
                        break;
                (void)iommu_set_add(&started, &q.device);
                t->n_waiting++;
        }
        on_bound(NULL, t);
}

static void on_stored(const Failure *failure, void *userdata) {
        Transaction *t = userdata;
        Failure f = {0};
        const Group *g;

        if (failure) {
                transaction_undo(t, failure);
                return;
        }

        t->stored = true;
        /* What the helper has given back already must not move by an older grant that nobody takes back. */
        if (t->to_confirm && confirm_check_time(t, &f) < 0) {
                transaction_undo(t, &f);
                return;
        }
        g = registry_find_group(t->manager->registry, t->group);
        if (t->of_vfs)
                make_vfs(t, keep);
        else if (g && g->record.enabled && g->record.binding == GROUP_BINDING_PERSISTENT)
                bind_all(t);
        else
                keep(t);
}

static void store_orders(Transaction *t) {
        IntentRecord intent = {0};
        Failure f = {0};

        if (transaction_intent(t, &intent) < 0)
                (void)failure_set(&f, FAILURE_INTERNAL,
                                  "Nothing was changed: out of memory; try again later.");
        else
                (void)edit_start(t->manager, &(EditRequest){.plan = make_plan, .put_intent = &intent},
                                 on_stored, t, &f);
        intent_record_clear(&intent);
        if (f.kind != FAILURE_NONE)
                transaction_undo(t, &f);
}

static void note_who_is_at_host(Transaction *t) {
        const Device *d;

        for (size_t i = 0; i < t->movers.n_members; i++) {
                d = device_table_find(&t->manager->devices, &t->movers.members[i]);
                t->vfs_before[i] = d ? device_table_count_vfs(&t->manager->devices, d) : 0;
                if (!d || !streq(d->facts.driver, VFIO_DRIVER))
                        (void)iommu_set_add(&t->at_host, &t->movers.members[i]);
                else if (!d->persistent[0])
                        (void)iommu_set_add(&t->unmarked, &t->movers.members[i]);
        }
}

/* Only now: a prompt that stands must not keep anybody else from the devices. What another has in hands by now is his,
 * his pending grants, too. */
static void take_hold(Transaction *t) {
        IommuSet ours = {0};
        Failure f = {0};

        if (transactions_check_free(t->manager, &t->movers, &f) >= 0 &&
            (!t->to_confirm || confirm_hold(t, &f) >= 0)) {
                t->consented = true;
                note_who_is_at_host(t);
                store_orders(t);
                return;
        }

        for (size_t i = 0; i < t->fresh.n_members; i++)
                if (!transactions_hold(t->manager, &t->fresh.members[i]))
                        (void)iommu_set_add(&ours, &t->fresh.members[i]);
        t->fresh = ours;
        transaction_undo(t, &f);
}

static void on_granted(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        grants_read(t->manager);
        manager_flush(t->manager);
        if (!failure) {
                take_hold(t);
                return;
        }

        /* A refusal has granted nothing. Of a helper that died before its answer that is not known. */
        if (failure->kind != FAILURE_HELPER && failure->kind != FAILURE_STUCK)
                t->fresh = (IommuSet){0};
        transaction_undo(t, failure);
}

static int choose_ids(Transaction *t, const Make *data) {
        const Group *g;
        OrderStamp stamp;

        if (data->request.has_count)
                return 0;
        g = registry_find_group_name(t->manager->registry, data->request.group_name);
        if (order_book_stamp(&stamp) < 0)
                return -ENOMEM;
        t->makes_group = !g;
        (void)snprintf(t->group, sizeof t->group, "%s", g ? g->record.id : stamp.id);

        for (size_t i = 0; i < data->request.devices.n_members; i++) {
                if (order_book_stamp(&stamp) < 0)
                        return -ENOMEM;
                (void)snprintf(t->rules[t->n_rules++], RECORD_ID_SIZE, "%s", stamp.id);
        }
        return 0;
}

static Transaction *begin(Call *c) {
        Make *data = c->data;
        Transaction *t;

        t = transaction_new(c->manager, INTENT_MAKE, c);
        if (!t || choose_ids(t, data) < 0) {
                transaction_free(t);
                return NULL;
        }

        t->named = data->request.devices;
        t->movers = data->movers;
        t->fresh = data->request.confirm > 0 ? data->movers : data->fresh;
        t->to_confirm = t->drops_all = data->request.confirm > 0;
        t->uid = c->uid;
        t->of_vfs = make_is_of_vfs(c->manager, data);
        t->vfs = data->request.count;
        return t;
}

static void start_without_consent(Call *c) {
        Transaction *t;

        t = begin(c);
        if (t)
                take_hold(t);
        else
                call_fail(c, -ENOMEM);
}

static void go(Call *c) {
        Make *data = c->data;
        HelperRequest q = {
                        .verb = make_is_of_vfs(c->manager, data) ? HELPER_GRANT_VFS : HELPER_GRANT,
                        .devices = &data->fresh,
                        .consent = data->request.consent,
                        .pending = true,
                        .confirm = data->request.confirm,
                        .subject = call_sender(c),
                        .interactive = call_is_interactive(c),
        };
        Transaction *t;
        Failure f = {0};

        if (data->fresh.n_members == 0) {
                call_ask(c, POLKIT_ACTION_MANAGE, start_without_consent);
                return;
        }

        t = begin(c);
        if (!t) {
                call_fail(c, -ENOMEM);
                return;
        }
        if (transaction_ask_helper(t, &q, on_granted) < 0) {
                (void)failure_set(&f, FAILURE_HELPER,
                                  "Nothing was changed: the helper cannot be called; see 'journalctl -u "
                                  "verge-passthroughd' and try again.");
                t->fresh = (IommuSet){0};
                transaction_undo(t, &f);
        }
}

int make_passthrough(Manager *m, sd_bus_message *message, const MakeRequest *q) {
        static const CallKind kind = {.check = check, .describe = describe, .go = go, .free = free};
        const Device *d;
        Make *data;

        assert(m);
        assert(q);

        data = calloc(1, sizeof *data);
        if (!data)
                return -ENOMEM;

        data->request = *q;
        for (size_t i = 0; i < q->devices.n_members; i++) {
                d = device_table_find(&m->devices, &q->devices.members[i]);
                if (d)
                        data->identities[i] = d->facts.identity;
        }
        return call_start(m, message, &kind, data);
}

int make_vf_count(Manager *m, sd_bus_message *message, const Device *d, uint32_t count) {
        MakeRequest q = {.has_count = true, .count = count};

        assert(d);

        (void)iommu_set_add(&q.devices, device_address(d));
        return make_passthrough(m, message, &q);
}
