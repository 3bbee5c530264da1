/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "confirm.h"
#include "confirm-calls.h"

typedef struct ConfirmCall {
        bool revert;
        char id[RECORD_ID_SIZE]; /* of the change that was there when the call came in; "": none was */
} ConfirmCall;

static bool is_owner(const Call *c) {
        return confirm_user(c->manager) == c->uid;
}

/* While a prompt stood the change may have ended, and another have begun. */
static int check(Call *c, Failure *f) {
        const ConfirmCall *data = c->data;
        Transaction *t = confirm_find(c->manager, f);

        if (!t)
                return -EREMOTEIO;
        if (!streq(t->id, data->id) || (c->by_owner && t->uid != c->uid))
                return failure_set(f, FAILURE_CONFLICT,
                                   "Another change waits for a confirmation by now; look at it and call %s "
                                   "again.",
                                   data->revert ? "Revert" : "Confirm");
        return data->revert ? 0 : confirm_check_keep(t, f);
}

static void describe(const Call *c, CallDetails *ret) {
        const ConfirmCall *data = c->data;

        call_details_add(ret, "verb", data->revert ? "Revert" : "Confirm");
        call_details_add(ret, "device",
                         iommu_set_format(confirm_devices(c->manager), ret->text, sizeof ret->text));
        call_details_add(ret, "polkit.message",
                         data->revert ? "Authentication is required to undo that somebody else made PCI "
                                        "device $(device) passthrough"
                                      : "Authentication is required to confirm that somebody else made PCI "
                                        "device $(device) passthrough");
}

static void go(Call *c) {
        const ConfirmCall *data = c->data;
        Transaction *t = c->manager->unconfirmed;

        if (data->revert)
                confirm_revert(t, c);
        else
                confirm_keep(t, c);
}

static int start(Manager *m, sd_bus_message *message, bool revert) {
        static const CallKind kind = {
                        .check = check, .is_owner = is_owner, .describe = describe, .go = go, .free = free};
        ConfirmCall *data;

        assert(m);

        data = calloc(1, sizeof *data);
        if (!data)
                return -ENOMEM;
        data->revert = revert;
        (void)snprintf(data->id, sizeof data->id, "%s", m->unconfirmed ? m->unconfirmed->id : "");
        return call_start(m, message, &kind, data);
}

int confirm_call_confirm(Manager *m, sd_bus_message *message) {
        return start(m, message, false);
}

int confirm_call_revert(Manager *m, sd_bus_message *message) {
        return start(m, message, true);
}
