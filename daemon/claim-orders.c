/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "claim-orders.h"
#include "edits.h"
#include "order-book.h"
#include "text.h"

typedef struct ClaimOrder ClaimOrder;

/* One row a method. */
typedef struct ClaimVerb {
        const char *word;    /* for polkit's rules */
        const char *message; /* what a prompt says */
        int (*plan)(Call *c, OrderPlan *p, Failure *f);
        const char *message_addresses; /* the same, where addresses are chosen */
} ClaimVerb;

struct ClaimOrder {
        const ClaimVerb *verb;
        char id[RECORD_ID_SIZE];    /* of the claim; "": it is being made */
        char group[RECORD_ID_SIZE]; /* of its group */
        char *name;                 /* of the group or the claim, if it goes meanwhile */
        const char *vm;             /* of a new claim */
        ClaimPatch patch;
        OrderStamp stamp;
};

static void claim_order_free(void *data) {
        ClaimOrder *o = data;

        free(o->name);
        free(o);
}

static int find_claim(const Call *c, Claim **ret, Failure *f) {
        const ClaimOrder *o = c->data;

        *ret = claim_table_find(c->manager->claims, o->id);
        return *ret ? 0
                    : failure_set(f, FAILURE_NO_SUCH_OBJECT,
                                  "The claim \"%.200s\" is not there any more; list the claims again.",
                                  o->name);
}

static int plan_create(Call *c, OrderPlan *p, Failure *f) {
        const ClaimOrder *o = c->data;
        const Group *g = registry_find_group(c->manager->registry, o->group);

        if (!g)
                return failure_set(f, FAILURE_NO_SUCH_OBJECT,
                                   "The group \"%.200s\" is not there any more; list the groups again.",
                                   o->name);
        return claim_plan_create(p, c->manager->claims, &o->stamp, c->uid, o->vm, g, &o->patch, f);
}

/* Than was allowed him when it was made. */
static bool asks_for_more(const ClaimOrder *o, const Claim *claim) {
        return o->patch.has_macs || (o->patch.has_count && o->patch.count > claim->record.count);
}

static int plan_update(Call *c, OrderPlan *p, Failure *f) {
        const ClaimOrder *o = c->data;
        Claim *claim;

        if (find_claim(c, &claim, f) < 0)
                return -EREMOTEIO;
        /* It was no more when polkit was to be asked. */
        if (c->by_owner && asks_for_more(o, claim))
                return failure_set(f, FAILURE_CONFLICT,
                                   "The claim \"%.200s\" was changed by somebody else meanwhile; read it "
                                   "again and then change it.",
                                   claim->record.name);
        return claim_plan_update(p, c->manager->claims, &o->stamp, claim,
                                 registry_find_group(c->manager->registry, claim->record.group), &o->patch,
                                 f);
}

static int plan_delete(Call *c, OrderPlan *p, Failure *f) {
        const ClaimOrder *o = c->data;
        Claim *claim;

        if (find_claim(c, &claim, f) < 0)
                return -EREMOTEIO;
        return claim_plan_delete(p, claim, o->stamp.now, f);
}

#define MESSAGE(what) "Authentication is required to " what

static const ClaimVerb
                create_claim = {"CreateClaim",
                                MESSAGE("let the virtual machine $(vm) have PCI devices of the group "
                                        "$(group), as many as $(count)"),
                                plan_create,
                                MESSAGE("let the virtual machine $(vm) have PCI devices of the group "
                                        "$(group), as many as $(count), with the network addresses "
                                        "$(addresses)")},
                update_claim = {"UpdateClaim",
                                MESSAGE("change the claim $(claim) of the virtual machine $(vm) on the "
                                        "group $(group) of PCI devices, number of devices: $(count)"),
                                plan_update,
                                MESSAGE("change the claim $(claim) of the virtual machine $(vm) on the "
                                        "group $(group) of PCI devices, number of devices: $(count), "
                                        "network addresses: $(addresses)")},
                delete_claim = {"DeleteClaim",
                                MESSAGE("delete the claim $(claim) of the virtual machine $(vm) on the "
                                        "group $(group) of PCI devices"),
                                plan_delete};

/* As it will be planned when its turn comes: who asks for what cannot be is told so before a prompt. */
static int check(Call *c, Failure *f) {
        const ClaimOrder *o = c->data;
        OrderPlan plan = {0};
        int r;

        if (edit_check_possible(c->manager, f) < 0)
                return -EREMOTEIO;
        r = o->verb->plan(c, &plan, f);
        order_plan_clear(&plan);
        return r;
}

static bool is_owner(const Call *c) {
        const ClaimOrder *o = c->data;
        const Claim *claim = claim_table_find(c->manager->claims, o->id);

        return claim && claim->record.owner == c->uid && !asks_for_more(o, claim);
}

/* An address is what a network knows somebody by: who is asked, and a rule of polkit, must see which. */
static bool format_addresses(const MacList *list, char *buf, size_t size) {
        static const uint8_t made_up[VF_MAC_LENGTH] = {0};
        char text[VF_MAC_TEXT_SIZE];

        for (size_t i = 0; i < list->n; i++)
                if (memcmp(list->macs[i], made_up, sizeof made_up) != 0)
                        text_append_item(buf, size, vf_mac_format(list->macs[i], text));
        return buf[0];
}

/* After check(): all of it is there. */
static void describe(const Call *c, CallDetails *ret) {
        const ClaimOrder *o = c->data;
        const Claim *claim = claim_table_find(c->manager->claims, o->id);
        const Group *g = registry_find_group(c->manager->registry, o->group);
        char *count = ret->text, *owner = ret->text + 16, *addresses = ret->text + 32;
        bool chosen = format_addresses(&o->patch.macs, addresses, sizeof ret->text - 32);

        (void)snprintf(count, 16, "%u", o->patch.has_count || !claim ? o->patch.count : claim->record.count);
        (void)snprintf(owner, 16, "%u", (unsigned)(claim ? claim->record.owner : c->uid));
        call_details_add(ret, "verb", o->verb->word);
        call_details_add(ret, "group", g->record.name);
        call_details_add(ret, "vm", claim ? claim->record.vm : o->vm);
        call_details_add(ret, "count", count);
        call_details_add(ret, "owner", owner);
        call_details_add(ret, "claim", claim ? claim->record.name : strempty(o->patch.name));
        if (chosen)
                call_details_add(ret, "addresses", addresses);
        call_details_add(ret, "polkit.message", chosen ? o->verb->message_addresses : o->verb->message);
}

static void answer(Call *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const ClaimOrder *o = c->data;
        char path[REGISTRY_PATH_SIZE];
        int r;

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0 && !o->id[0])
                r = sd_bus_message_append_basic(reply, 'o',
                                                registry_path(BUS_PATH_CLAIMS, o->stamp.id, path));
        if (r < 0)
                call_fail(c, r);
        else
                call_finish_with(c, reply);
}

static void on_edited(const Failure *failure, void *userdata) {
        Call *c = userdata;

        if (failure)
                call_finish(c, failure);
        else
                answer(c);
}

static int plan(Manager *m _unused_, OrderPlan *p, void *userdata, Failure *f) {
        Call *c = userdata;
        const ClaimOrder *o = c->data;

        return o->verb->plan(c, p, f);
}

static void go(Call *c) {
        Failure f = {0};

        if (edit_start(c->manager, &(EditRequest){.plan = plan}, on_edited, c, &f) < 0)
                call_finish(c, &f);
}

static int start(Manager *m, sd_bus_message *message, const ClaimOrder *order, const char *name) {
        static const CallKind kind = {.check = check,
                                      .is_owner = is_owner,
                                      .describe = describe,
                                      .go = go,
                                      .free = claim_order_free};
        ClaimOrder *o;
        int r;

        o = calloc(1, sizeof *o);
        if (!o)
                return -ENOMEM;
        *o = *order;
        o->name = strdup(name);
        r = o->name ? order_book_stamp(&o->stamp) : -ENOMEM;
        if (r < 0) {
                claim_order_free(o);
                return r;
        }
        return call_start(m, message, &kind, o);
}

int claim_order_create(Manager *m, sd_bus_message *message, const char *vm, const Group *g,
                       const ClaimPatch *patch) {
        ClaimOrder o = {.verb = &create_claim, .vm = vm, .patch = *patch};

        (void)snprintf(o.group, sizeof o.group, "%s", g->record.id);
        return start(m, message, &o, g->record.name);
}

static int start_of_claim(Manager *m, sd_bus_message *message, const ClaimVerb *verb, const Claim *c,
                          const ClaimPatch *patch) {
        ClaimOrder o = {.verb = verb, .patch = *patch};

        (void)snprintf(o.id, sizeof o.id, "%s", c->record.id);
        (void)snprintf(o.group, sizeof o.group, "%s", c->record.group);
        return start(m, message, &o, c->record.name);
}

int claim_order_update(Manager *m, sd_bus_message *message, const Claim *c, const ClaimPatch *patch) {
        return start_of_claim(m, message, &update_claim, c, patch);
}

int claim_order_delete(Manager *m, sd_bus_message *message, const Claim *c) {
        return start_of_claim(m, message, &delete_claim, c, &(ClaimPatch){0});
}
