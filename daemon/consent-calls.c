/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "confirm.h"
#include "consent-calls.h"
#include "grant-set.h"
#include "grants.h"
#include "steward.h"

typedef struct Consent {
        HelperVerb verb;
        IommuSet devices, siblings;
        uint32_t consent;
        IdList ids;
} Consent;

/* Who has it must not lose it by the next bind; and the helper would tell him to Release it first. */
static int check_unclaimed(const Manager *m, const IommuSet *devices, Failure *f) {
        const Device *d, *vf;

        for (size_t i = 0; i < devices->n_members; i++) {
                if (!(d = device_table_find(&m->devices, &devices->members[i])))
                        continue;
                if (claim_table_check_device(d, f) < 0)
                        return -EREMOTEIO;
                for (size_t at = 0; (vf = device_table_next_vf(&m->devices, d, &at));)
                        if (claim_table_check_device(vf, f) < 0)
                                return -EREMOTEIO;
        }
        return 0;
}

/* polkit says yes to every subject of uid 0, so the helper takes none from us. */
static int check(Call *c, Failure *f) {
        Consent *data = c->data;
        int r;

        if (confirm_check_none(c->manager, f) < 0)
                return -EREMOTEIO;
        if (data->ids.n > 0)
                return c->uid == 0 ? grant_set_refuse_root_ids(data->verb == HELPER_GRANT_IDS, data->ids.ids,
                                                               data->ids.n, f)
                                   : 0;

        r = grant_set_check(&c->manager->devices, data->verb == HELPER_GRANT, &data->devices,
                            &data->siblings, f);
        if (r >= 0 && c->uid == 0)
                r = grant_set_refuse_root(data->verb == HELPER_GRANT, &data->devices, data->consent, false,
                                          0, f);
        if (r >= 0 && data->verb == HELPER_REVOKE)
                r = check_unclaimed(c->manager, &data->devices, f);
        return r;
}

/* The helper makes the words of the prompt; these are for the audit trail. */
static void describe(const Call *c, CallDetails *ret) {
        const Consent *data = c->data;
        size_t n = 0;

        call_details_add(ret, "verb", helper_verb_to_string(data->verb));
        if (data->ids.n == 0)
                call_details_add(ret, "device",
                                 iommu_set_format(&data->devices, ret->text, sizeof ret->text));
        for (size_t i = 0; i < data->ids.n && n < sizeof ret->text; i++)
                n += (size_t)snprintf(ret->text + n, sizeof ret->text - n, "%s%s", i > 0 ? ", " : "",
                                      data->ids.ids[i]);
        if (data->ids.n > 0)
                call_details_add(ret, "ids", ret->text);
}

static int reply_granted(Call *c, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Consent *data = c->data;
        const Device *d;
        int r;

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r < 0 || (r = sd_bus_message_open_container(reply, 'a', "o")) < 0)
                return r;
        for (size_t i = 0; i < data->devices.n_members && r >= 0; i++) {
                d = device_table_find(&c->manager->devices, &data->devices.members[i]);
                if (d && d->granted)
                        r = sd_bus_message_append(reply, "o", d->path);
        }
        if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
                return r;

        *ret = STEAL(reply);
        return 0;
}

static void on_helped(const Failure *failure, sd_bus_message *answer _unused_, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Call *c = userdata;
        const Consent *data = c->data;
        Manager *m = c->manager;
        int r;

        c->helper = NULL;
        grants_read(m);
        manager_flush(m);

        if (failure || data->verb != HELPER_GRANT)
                call_finish(c, failure);
        else if ((r = reply_granted(c, &reply)) < 0)
                call_fail(c, r);
        else
                call_finish_with(c, reply);
        steward_run(m);
}

static void go(Call *c) {
        const Consent *data = c->data;
        HelperRequest q = {
                        .verb = data->verb,
                        .devices = &data->devices,
                        .ids = data->ids.ids,
                        .n_ids = data->ids.n,
                        .consent = data->consent,
                        .subject = call_sender(c),
                        .interactive = call_is_interactive(c),
        };
        int r;

        r = helper_client_call(c->manager->helper, &q, on_helped, c, &c->helper);
        if (r < 0)
                call_fail(c, r);
}

static int start(Manager *m, sd_bus_message *message, const Consent *consent) {
        static const CallKind kind = {.check = check, .describe = describe, .go = go, .free = free};
        Consent *data;

        data = malloc(sizeof *data);
        if (!data)
                return -ENOMEM;

        *data = *consent;
        return call_start(m, message, &kind, data);
}

int consent_grant(Manager *m, sd_bus_message *message, const IommuSet *devices, const IommuSet *siblings,
                  uint32_t consent) {
        return start(m, message, &(Consent){HELPER_GRANT, *devices, *siblings, consent, {{0}, 0}});
}

int consent_revoke(Manager *m, sd_bus_message *message, const IommuSet *devices) {
        return start(m, message, &(Consent){.verb = HELPER_REVOKE, .devices = *devices});
}

int consent_ids(Manager *m, sd_bus_message *message, HelperVerb verb, const IdList *ids) {
        return start(m, message, &(Consent){.verb = verb, .ids = *ids});
}
