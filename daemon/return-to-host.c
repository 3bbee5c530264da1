/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "grant-set.h"
#include "grants.h"
#include "hotplug.h"
#include "log.h"
#include "return-to-host.h"
#include "transaction.h"
#include "wanted.h"

typedef struct Return {
        IommuSet named, movers;
        bool revokes; /* something was granted; else only rules are removed */
} Return;

/* A device that is approved by its ids and chosen by a rule of its own would come back at once. */
static int check_stays(const Device *d, Failure *f) {
        const Rule *own = rule_made_for(d);

        for (size_t i = 0; i < d->n_rules; i++) {
                const Rule *rule = d->rules[i];

                if (rule != own && d->granted_by_ids && rule->group->record.enabled &&
                    rule->group->record.binding == GROUP_BINDING_PERSISTENT)
                        return failure_set(
                                        f, FAILURE_ORDERED,
                                        "Device %s would be bound again at once: its ids are granted, and "
                                        "the rule \"%.100s\" of the group \"%.100s\" matches it; disable or "
                                        "narrow that rule first, or call RevokeIds.",
                                        d->address, rule->record.name, rule->group->record.name);
        }
        return 0;
}

/* What its physical function is granted for cannot be taken back from one alone. */
static int check_is_whole(const Manager *m, const IommuSet *named, Failure *f) {
        const Device *d, *pf;

        for (size_t i = 0; i < named->n_members; i++) {
                d = device_table_find(&m->devices, &named->members[i]);
                pf = d && d->facts.is_virtual && !d->has_grant
                                     ? device_table_find(&m->devices, &d->facts.physical_function)
                                     : NULL;
                if (pf && pf->vfs_granted)
                        return failure_set(
                                        f, FAILURE_INVALID_ARGUMENT,
                                        "Device %s is a virtual function of %s and was granted with it; "
                                        "call "
                                        "ReturnToHost for %s, which takes all of them away, SetVfCount for "
                                        "another number, or delete the rule that puts this one into a "
                                        "group.",
                                        d->address, pf->address, pf->address);
        }
        return 0;
}

/* A physical function stays with the host, and those that share its IOMMU set are not concerned. */
static int close_set(const Manager *m, const IommuSet *named, IommuSet *ret, Failure *f) {
        IommuSet pfs = {0}, others = {0};
        const Device *d;
        int r = 0;

        for (size_t i = 0; i < named->n_members; i++) {
                d = device_table_find(&m->devices, &named->members[i]);
                (void)iommu_set_add(d && d->vfs_granted ? &pfs : &others, &named->members[i]);
        }
        if (others.n_members > 0 && grant_set_close(&m->devices, &others, f) < 0)
                return -EREMOTEIO;
        for (size_t i = 0; i < pfs.n_members && r >= 0; i++)
                r = iommu_set_add(&others, &pfs.members[i]);
        if (r < 0)
                return failure_set(
                                f, FAILURE_LIMITS_EXCEEDED,
                                "With all that share their IOMMU sets these are more than %u devices; name "
                                "fewer in one call.",
                                DEVICES_PER_CALL_MAX);
        *ret = others;
        return 0;
}

static int check(Call *c, Failure *f) {
        Return *data = c->data;
        Manager *m = c->manager;
        const Device *d;

        if (edit_check_possible(m, f) < 0)
                return -EREMOTEIO;
        if (check_is_whole(m, &data->named, f) < 0 || close_set(m, &data->named, &data->movers, f) < 0 ||
            transactions_check_free(m, &data->movers, f) < 0)
                return -EREMOTEIO;

        data->revokes = false;
        for (size_t i = 0; i < data->movers.n_members; i++) {
                d = device_table_find(&m->devices, &data->movers.members[i]);
                if (!d)
                        continue;
                if (check_stays(d, f) < 0)
                        return -EREMOTEIO;
                data->revokes = data->revokes || d->has_grant;
        }

        if (data->revokes && c->uid == 0)
                return grant_set_refuse_root(false, &data->movers, 0, true, 0, f);
        return 0;
}

static void describe(const Call *c, CallDetails *ret) {
        const Return *data = c->data;

        call_details_add(ret, "verb", "ReturnToHost");
        call_details_add(ret, "device", iommu_set_format(&data->named, ret->text, sizeof ret->text));
        call_details_add(ret, "polkit.message",
                         "Authentication is required to return PCI device $(device) to this host");
}

static void on_removed(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        t->stored = !!failure;
        if (failure)
                (void)failure_set(&t->cause, failure->kind,
                                  "The devices are with the host, but their rules could not be removed: "
                                  "%.800s",
                                  failure->sentence);
        transaction_end(t, failure ? &t->cause : NULL);
}

/* All that needed consent is done: the rules go, and the intent with them. */
static void remove_rules(Transaction *t) {
        EditRequest q = {.plan = transaction_plan_removal, .delete_intent = t->stored ? t->id : NULL};
        Failure f = {0};

        if (edit_start(t->manager, &q, on_removed, t, &f) < 0)
                on_removed(&f, t);
}

static bool any_granted(const Transaction *t) {
        const Device *d;

        for (size_t i = 0; i < t->movers.n_members; i++) {
                d = device_table_find(&t->manager->devices, &t->movers.members[i]);
                if ((d && d->has_grant) || grant_files_has(&t->manager->grants, &t->movers.members[i]))
                        return true;
        }
        return false;
}

/* A refusal has taken nothing back, though another may have done so meanwhile. A helper that died before its answer may
 * have done it; nobody could undo that. */
static void on_revoked(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        for (size_t i = 0; i < t->movers.n_members; i++)
                hotplug_take_vfs(t->manager, &t->movers.members[i]);
        manager_reread_set(t->manager, &t->movers);
        grants_read(t->manager);
        if (failure &&
            ((failure->kind != FAILURE_HELPER && failure->kind != FAILURE_STUCK) || any_granted(t)))
                transaction_undo(t, failure);
        else
                remove_rules(t);
}

static void ask_revoke(Transaction *t) {
        HelperRequest q = {
                        .verb = HELPER_REVOKE,
                        .devices = &t->movers,
                        .release = true,
                        .subject = call_sender(t->call),
                        .interactive = call_is_interactive(t->call),
        };
        Failure f = {0};

        if (transaction_ask_helper(t, &q, on_revoked) < 0) {
                (void)failure_set(&f, FAILURE_HELPER,
                                  "Nothing was changed: the helper cannot be called; see 'journalctl -u "
                                  "verge-passthroughd' and try again.");
                transaction_undo(t, &f);
        }
}

static void on_intent_stored(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        t->stored = !failure;
        if (failure)
                transaction_undo(t, failure);
        else
                ask_revoke(t);
}

static Transaction *begin(Call *c) {
        const Return *data = c->data;
        char address[PCI_ADDRESS_SIZE];
        const Rule *rule;
        Transaction *t;

        t = transaction_new(c->manager, INTENT_RETURN, c);
        if (!t)
                return NULL;

        t->named = data->named;
        t->movers = data->movers;
        for (size_t i = 0; i < t->movers.n_members; i++) {
                (void)pci_address_format(&t->movers.members[i], address);
                for (size_t at = 0; t->n_rules < ELEMENTSOF(t->rules) &&
                                    (rule = rule_next_made_for(c->manager->registry, address, &at));)
                        (void)snprintf(t->rules[t->n_rules++], RECORD_ID_SIZE, "%s", rule->record.id);
        }
        return t;
}

static void start_without_consent(Call *c) {
        Transaction *t;

        t = begin(c);
        if (t)
                remove_rules(t);
        else
                call_fail(c, -ENOMEM);
}

static void go(Call *c) {
        const Return *data = c->data;
        IntentRecord intent = {0};
        Transaction *t;
        Failure f = {0};

        if (!data->revokes) {
                call_ask(c, POLKIT_ACTION_MANAGE, start_without_consent);
                return;
        }

        t = begin(c);
        if (!t) {
                call_fail(c, -ENOMEM);
                return;
        }
        if (transaction_intent(t, &intent) < 0)
                (void)failure_set(&f, FAILURE_INTERNAL,
                                  "Nothing was changed: out of memory; try again later.");
        else
                (void)edit_start(c->manager, &(EditRequest){.put_intent = &intent}, on_intent_stored, t, &f);
        intent_record_clear(&intent);
        if (f.kind != FAILURE_NONE)
                transaction_undo(t, &f);
}

int return_to_host(Manager *m, sd_bus_message *message, const IommuSet *devices) {
        static const CallKind kind = {.check = check, .describe = describe, .go = go, .free = free};
        Return *data;

        assert(m);
        assert(devices);

        data = calloc(1, sizeof *data);
        if (!data)
                return -ENOMEM;

        data->named = *devices;
        return call_start(m, message, &kind, data);
}
