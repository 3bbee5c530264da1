/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "claim-plan.h"
#include "confirm.h"
#include "edits.h"
#include "import.h"
#include "order-book.h"
#include "orders.h"
#include "settings-trial.h"
#include "steward.h"

typedef struct Order Order;

/* One row a method: how it is planned, and what it answers. */
typedef struct OrderVerb {
        const char *word;    /* for polkit's rules */
        const char *message; /* what a prompt says */
        edit_plan_t plan;
        int (*answer)(const Order *o, sd_bus_message *reply);
} OrderVerb;

struct Order {
        const OrderVerb *verb;
        char id[RECORD_ID_SIZE]; /* of the object it is about */
        char *what;              /* its name, for the prompt */
        char *of;                /* of a rule: the name of its group */
        OrderStamp stamp;
        const char *name, *type; /* in the message */
        OrderPatch patch;
        const char *text; /* Import: the document, in the message */
        Document document;
        bool parsed, prune;
        uint32_t n_changed;
        SettingsTrial *trial; /* NULL: none was needed */
};

static Order *order_free(Order *o) {
        if (!o)
                return NULL;

        document_clear(&o->document);
        settings_trial_free(o->trial);
        free(o->what);
        free(o->of);
        free(o);
        return NULL;
}
DEFINE_CLEANUP(Order *, order_free);

static int fail_gone(const Order *o, const char *what, Failure *f) {
        return failure_set(f, FAILURE_NO_SUCH_OBJECT,
                           "The %s \"%.200s\" is not there any more; list the %ss again.", what, o->what,
                           what);
}

static int find_group(const Manager *m, const Order *o, Group **ret, Failure *f) {
        *ret = registry_find_group(m->registry, o->id);
        return *ret ? 0 : fail_gone(o, "group", f);
}

static int find_rule(const Manager *m, const Order *o, Rule **ret, Failure *f) {
        *ret = registry_find_rule(m->registry, o->id);
        return *ret ? 0 : fail_gone(o, "rule", f);
}

static int plan_create_group(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Order *o = userdata;

        return order_plan_create_group(p, m->registry, &o->stamp, o->name, o->type, &o->patch, f);
}

static int plan_create_rule(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Order *o = userdata;
        Group *g;

        if (find_group(m, o, &g, f) < 0)
                return -EREMOTEIO;
        o->stamp.age = order_book_next_age(m);
        return order_plan_create_rule(p, m->registry, &o->stamp, g, g->record.id, o->name, false, &o->patch,
                                      f);
}

static int plan_update_group(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Order *o = userdata;
        Group *g;

        if (find_group(m, o, &g, f) < 0 ||
            (o->patch.sriov.has_vfs && claim_plan_check_vfs(m->claims, g, o->patch.sriov.vfs, f) < 0))
                return -EREMOTEIO;
        return order_plan_update_group(p, m->registry, g, &o->patch, o->stamp.now, f);
}

static int plan_update_rule(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Order *o = userdata;
        Rule *rule;

        if (find_rule(m, o, &rule, f) < 0)
                return -EREMOTEIO;
        return order_plan_update_rule(p, m->registry, rule, &o->patch, o->stamp.now, f);
}

static int plan_delete_group(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Order *o = userdata;
        Group *g;

        if (find_group(m, o, &g, f) < 0 || claim_plan_check_unclaimed(m->claims, g, f) < 0)
                return -EREMOTEIO;
        return order_plan_remove_group(p, g->record.id);
}

static int plan_delete_rule(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Order *o = userdata;
        Rule *rule;

        if (find_rule(m, o, &rule, f) < 0)
                return -EREMOTEIO;
        return order_plan_remove_rule(p, rule->record.id);
}

static int plan_import(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Order *o = userdata;

        if (confirm_check_none(m, f) < 0)
                return -EREMOTEIO;
        if (!o->parsed && document_parse(o->text, &o->document, f) < 0)
                return -EREMOTEIO;
        o->parsed = true;
        return import_plan(m, p, &o->document, o->prune, &o->n_changed, f);
}

static int answer_nothing(const Order *o _unused_, sd_bus_message *reply _unused_) {
        return 0;
}

static int answer_path(const char *below, const char *id, sd_bus_message *reply) {
        char path[REGISTRY_PATH_SIZE];

        return sd_bus_message_append_basic(reply, 'o', registry_path(below, id, path));
}

static int answer_group(const Order *o, sd_bus_message *reply) {
        return answer_path(BUS_PATH_GROUPS, o->stamp.id, reply);
}

static int answer_rule(const Order *o, sd_bus_message *reply) {
        return answer_path(BUS_PATH_RULES, o->stamp.id, reply);
}

static int answer_count(const Order *o, sd_bus_message *reply) {
        return sd_bus_message_append_basic(reply, 'u', &o->n_changed);
}

#define MESSAGE(what) "Authentication is required to " what " for virtual machines"

static const OrderVerb
                create_group = {"CreateGroup", MESSAGE("make the group $(group) of PCI devices"),
                                plan_create_group, answer_group},
                create_rule = {"CreateRule", MESSAGE("add a rule to the group $(group) of PCI devices"),
                               plan_create_rule, answer_rule},
                update_group = {"UpdateGroup", MESSAGE("change the group $(group) of PCI devices"),
                                plan_update_group, answer_nothing},
                update_rule = {"UpdateRule",
                               MESSAGE("change the rule $(rule) of the group $(group) of PCI devices"),
                               plan_update_rule, answer_nothing},
                delete_group = {"DeleteGroup", MESSAGE("delete the group $(group) of PCI devices"),
                                plan_delete_group, answer_nothing},
                delete_rule = {"DeleteRule",
                               MESSAGE("delete the rule $(rule) of the group $(group) of PCI devices"),
                               plan_delete_rule, answer_nothing},
                import = {"Import", MESSAGE("import groups and rules that choose PCI devices"), plan_import,
                          answer_count};

/* A document that is longer costs too much to be looked at for anybody who asks. */
#define EAGER_SIZE (256U * 1024)
#define IMPORTS_MAX 4U /* each keeps its message while a prompt stands */

/* As it will be planned when its turn comes: who asks for what cannot be is told so before a prompt. */
static int check(Call *c, Failure *f) {
        Order *o = c->data;
        OrderPlan plan = {0};
        int r;

        if (edit_check_possible(c->manager, f) < 0)
                return -EREMOTEIO;
        if (o->text && strlen(o->text) > EAGER_SIZE)
                return 0;
        r = o->verb->plan(c->manager, &plan, o, f);
        order_plan_clear(&plan);
        if (r < 0)
                (void)failure_set(f, FAILURE_INTERNAL,
                                  "Nothing was changed: out of memory; try again later.");
        return r < 0 ? -EREMOTEIO : 0;
}

static void describe(const Call *c, CallDetails *ret) {
        const Order *o = c->data;

        call_details_add(ret, "verb", o->verb->word);
        call_details_add(ret, "group", o->of ?: o->what);
        if (o->of)
                call_details_add(ret, "rule", o->what);
        call_details_add(ret, "polkit.message", o->verb->message);
}

static void on_edited(const Failure *failure, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Call *c = userdata;
        const Order *o = c->data;
        Manager *m = c->manager;
        int r;

        if (failure) {
                call_finish(c, failure);
                return;
        }

        if ((r = sd_bus_message_new_method_return(c->message, &reply)) < 0 ||
            (r = o->verb->answer(o, reply)) < 0)
                call_fail(c, r);
        else
                call_finish_with(c, reply);
        steward_run(m);
}

static int plan(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Call *c = userdata;
        Order *o = c->data;

        return o->verb->plan(m, p, o, f);
}

static void store(Call *c) {
        Failure f = {0};

        if (edit_start(c->manager, &(EditRequest){.plan = plan}, on_edited, c, &f) < 0)
                call_finish(c, &f);
}

static void on_tried(const Failure *failure, void *userdata) {
        if (failure)
                call_finish(userdata, failure);
        else
                store(userdata);
}

/* Of a group of virtual functions that is to have other settings. */
static bool is_to_be_tried(const Call *c, const Group **ret_group, SriovSettings *ret) {
        const Order *o = c->data;
        const Group *g = o->verb == &update_group ? registry_find_group(c->manager->registry, o->id) : NULL;

        if (!g || g->record.type != GROUP_TYPE_SRIOV_NIC)
                return false;
        *ret_group = g;
        *ret = g->record.sriov;
        sriov_settings_apply(ret, &o->patch.sriov);
        return !vf_settings_same(&ret->vf, &g->record.sriov.vf);
}

static void go(Call *c) {
        SriovSettings settings;
        const Group *g;
        Order *o = c->data;

        if (!is_to_be_tried(c, &g, &settings))
                store(c);
        else if (settings_trial_start(c->manager, g, &settings.vf, on_tried, c, &o->trial) < 0)
                call_fail(c, -ENOMEM);
}

static void free_data(void *data) {
        order_free(data);
}

static int start(Manager *m, sd_bus_message *message, Order *o) {
        static const CallKind kind = {.check = check, .describe = describe, .go = go, .free = free_data};

        return call_start(m, message, &kind, o);
}

static int order_new(Manager *m, const OrderVerb *verb, const char *id, const char *what,
                     const OrderPatch *patch, Order **ret) {
        _cleanup_(order_freep) Order *o = NULL;
        int r;

        o = calloc(1, sizeof *o);
        if (!o)
                return -ENOMEM;

        o->verb = verb;
        (void)snprintf(o->id, sizeof o->id, "%s", id);
        if (patch)
                o->patch = *patch;
        o->what = strdup(what);
        if (!o->what)
                return -ENOMEM;
        r = order_book_stamp(&o->stamp);
        if (r < 0)
                return r;

        *ret = STEAL(o);
        return 0;
}

int order_create_group(Manager *m, sd_bus_message *message, const char *name, const char *type,
                       const OrderPatch *patch) {
        Order *o;
        int r;

        r = order_new(m, &create_group, "", name, patch, &o);
        if (r < 0)
                return r;
        o->name = name;
        o->type = type;
        return start(m, message, o);
}

int order_create_rule(Manager *m, sd_bus_message *message, const Group *g, const char *name,
                      const OrderPatch *patch) {
        Order *o;
        int r;

        r = order_new(m, &create_rule, g->record.id, g->record.name, patch, &o);
        if (r < 0)
                return r;
        o->name = name;
        return start(m, message, o);
}

static int start_simple(Manager *m, sd_bus_message *message, const OrderVerb *verb, const char *id,
                        const char *what, const OrderPatch *patch) {
        Order *o;
        int r;

        r = order_new(m, verb, id, what, patch, &o);
        return r < 0 ? r : start(m, message, o);
}

int order_update_group(Manager *m, sd_bus_message *message, const Group *g, const OrderPatch *patch) {
        return start_simple(m, message, &update_group, g->record.id, g->record.name, patch);
}

static int start_of_rule(Manager *m, sd_bus_message *message, const OrderVerb *verb, const Rule *rule,
                         const OrderPatch *patch) {
        _cleanup_(order_freep) Order *o = NULL;
        int r;

        r = order_new(m, verb, rule->record.id, rule->record.name, patch, &o);
        if (r < 0)
                return r;
        o->of = strdup(rule->group->record.name);
        return o->of ? start(m, message, STEAL(o)) : -ENOMEM;
}

int order_update_rule(Manager *m, sd_bus_message *message, const Rule *rule, const OrderPatch *patch) {
        return start_of_rule(m, message, &update_rule, rule, patch);
}

int order_delete_group(Manager *m, sd_bus_message *message, const Group *g) {
        return start_simple(m, message, &delete_group, g->record.id, g->record.name, NULL);
}

int order_delete_rule(Manager *m, sd_bus_message *message, const Rule *rule) {
        return start_of_rule(m, message, &delete_rule, rule, NULL);
}

static size_t count_imports(const Manager *m) {
        size_t n = 0;

        for (const Call *c = m->calls; c; c = c->next)
                n += streq(c->row->member, "Import");
        return n;
}

int order_import(Manager *m, sd_bus_message *message, const char *document, bool prune) {
        Failure f = {0};
        Order *o;
        int r;

        if (count_imports(m) >= IMPORTS_MAX) {
                (void)failure_set(&f, FAILURE_LIMITS_EXCEEDED,
                                  "%u imports are under way already; wait for their end and try again.",
                                  IMPORTS_MAX);
                return bus_reply_failure(message, &f);
        }

        r = order_new(m, &import, "", "", NULL, &o);
        if (r < 0)
                return r;
        o->text = document;
        o->prune = prune;
        return start(m, message, o);
}

static void go_export(Call *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *text = NULL;
        Failure f = {0};
        int r;

        r = import_export(c->manager, &text);
        if (r == -E2BIG) {
                (void)failure_set(
                                &f, FAILURE_LIMITS_EXCEEDED,
                                "The document would be longer than %u MiB; shorten filters or descriptions.",
                                DOCUMENT_SIZE_MAX / (1024 * 1024));
                call_finish(c, &f);
        } else if (r < 0 || (r = sd_bus_message_new_method_return(c->message, &reply)) < 0 ||
                   (r = sd_bus_message_append_basic(reply, 's', text)) < 0)
                call_fail(c, r);
        else
                call_finish_with(c, reply);
}

int order_export(Manager *m, sd_bus_message *message) {
        static const CallKind kind = {.go = go_export};

        return call_start(m, message, &kind, NULL);
}
