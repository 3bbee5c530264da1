/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "device-fields.h"
#include "options.h"
#include "orders.h"
#include "rule-bus.h"
#include "wire.h"

#define OVERLAPS_MAX 1000U /* shown; two wide rules on a large host have as many as devices */

static int get_id(GETTER_ARGUMENTS) {
        const Rule *rule = userdata;

        return sd_bus_message_append_basic(reply, 's', rule->record.id);
}

static int get_group(GETTER_ARGUMENTS) {
        const Rule *rule = userdata;

        return sd_bus_message_append_basic(reply, 'o', rule->group->path);
}

static int get_enabled(GETTER_ARGUMENTS) {
        const Rule *rule = userdata;

        return sd_bus_message_append_basic(reply, 'b', &(int){rule->record.enabled});
}

static int get_auto_created(GETTER_ARGUMENTS) {
        const Rule *rule = userdata;

        return sd_bus_message_append_basic(reply, 'b', &(int){rule->record.auto_created});
}

static int get_devices(GETTER_ARGUMENTS) {
        const Rule *rule = userdata;

        return wire_append_devices(reply, rule->devices, rule->n_devices);
}

static int get_overlaps(GETTER_ARGUMENTS) {
        const Rule *rule = userdata;
        size_t at = 0;
        Rule *other;
        Device *d;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(oo)");
        for (unsigned n = 0; n < OVERLAPS_MAX && r >= 0 && registry_next_overlap(rule, &at, &d, &other); n++)
                r = sd_bus_message_append(reply, "(oo)", d->path, other->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int on_update(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"name", OPTION_TEXT, offsetof(OrderPatch, name), OPTION_NO_FLAG},
                        {"node", OPTION_TEXT, offsetof(OrderPatch, node), OPTION_NO_FLAG},
                        {"filter", OPTION_TEXT, offsetof(OrderPatch, filter), OPTION_NO_FLAG},
                        {"enabled", OPTION_BOOL, offsetof(OrderPatch, enabled),
                         offsetof(OrderPatch, has_enabled)},
                        {"if-modified", OPTION_U64, offsetof(OrderPatch, if_modified),
                         offsetof(OrderPatch, has_if_modified)},
        };
        Manager *m = wire_manager(message);
        OrderPatch patch = {0};
        Failure f = {0};
        int r;

        r = options_read(m, message, table, ELEMENTSOF(table), &patch, &f);
        return r < 0 ? options_fail(r, &f, error) : order_update_rule(m, message, userdata, &patch);
}

static int on_delete(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return order_delete_rule(wire_manager(message), message, userdata);
}

/* The node and the switch are asked before the filter is. */
static bool explain(const Rule *rule, const Device *d, char *buf, size_t size) {
        DeviceFields fields;

        if (!rule->record.enabled) {
                (void)snprintf(buf, size, "The rule \"%s\" is disabled and matches nothing.",
                               rule->record.name);
                return false;
        }
        if (rule->record.node[0] && !streq(rule->record.node, d->table->node)) {
                (void)snprintf(buf, size,
                               "The rule is for the node \"%s\"; device %s is on the node \"%s\".",
                               rule->record.node, d->address, d->table->node);
                return false;
        }

        device_fields_fill(d, &fields);
        return filter_explain(rule->filter, &fields.subject, buf, size);
}

static int on_explain(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *m = wire_manager(message);
        const Rule *rule = userdata;
        const char *path;
        char why[2048];
        Failure f = {0};
        Device *d;
        int r;

        r = sd_bus_message_read_basic(message, 'o', &path);
        if (r < 0)
                return r;
        d = device_table_find_path(&m->devices, path);
        if (!d) {
                (void)failure_set(&f, FAILURE_NO_SUCH_DEVICE,
                                  "The object %.256s is no device of this host; list the devices and take a "
                                  "path from there.",
                                  path);
                return failure_to_bus(&f, error);
        }

        r = explain(rule, d, why, sizeof why);
        return sd_bus_reply_method_return(message, "bs", r, why);
}

#define AT(member) offsetof(Rule, member)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable rule_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Update", SD_BUS_ARGS("a{sv}", changes), SD_BUS_NO_RESULT, on_update,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Delete", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_delete,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Explain", SD_BUS_ARGS("o", device),
                                        SD_BUS_RESULT("b", matches, "s", why), on_explain,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_PROPERTY("Id", "s", get_id, 0, CONST),
                SD_BUS_PROPERTY("Name", "s", NULL, AT(record.name), CHANGES),
                SD_BUS_PROPERTY("Group", "o", get_group, 0, CONST),
                SD_BUS_PROPERTY("Node", "s", NULL, AT(record.node), CHANGES),
                SD_BUS_PROPERTY("Filter", "s", NULL, AT(record.filter), CHANGES),
                SD_BUS_PROPERTY("Enabled", "b", get_enabled, 0, CHANGES),
                SD_BUS_PROPERTY("AutoCreated", "b", get_auto_created, 0, CONST),
                SD_BUS_PROPERTY("Devices", "ao", get_devices, 0, CHANGES),
                SD_BUS_PROPERTY("Overlaps", "a(oo)", get_overlaps, 0,
                                SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
                SD_BUS_PROPERTY("Created", "t", NULL, AT(record.created), CONST),
                SD_BUS_PROPERTY("Modified", "t", NULL, AT(record.modified), CHANGES),
                SD_BUS_VTABLE_END,
};

static int find_rule(sd_bus *bus _unused_, const char *path, const char *interface _unused_, void *userdata,
                     void **ret, sd_bus_error *error _unused_) {
        const Manager *m = userdata;

        *ret = registry_find_rule_path(m->registry, path);
        return !!*ret;
}

static const char *next_path(void *walked, size_t *at) {
        const Rule *rule = registry_next_rule(walked, at);

        return rule ? rule->path : NULL;
}

static int list_paths(sd_bus *bus _unused_, const char *prefix _unused_, void *userdata, char ***ret,
                      sd_bus_error *error _unused_) {
        const Manager *m = userdata;

        return wire_list_paths(next_path, m->registry, registry_count_rules(m->registry), ret);
}

int rule_bus_attach(Manager *m) {
        int r;

        assert(m);

        r = sd_bus_add_fallback_vtable(m->bus, NULL, BUS_PATH_RULES, BUS_INTERFACE_RULE, rule_vtable,
                                       find_rule, m);
        return r < 0 ? r : sd_bus_add_node_enumerator(m->bus, NULL, BUS_PATH_RULES, list_paths, m);
}

void rule_bus_added(Manager *m, Rule *rule) {
        wire_check_sent(sd_bus_emit_object_added(m->bus, rule->path), rule->record.name);
}

void rule_bus_removed(Manager *m, Rule *rule) {
        wire_check_sent(sd_bus_emit_object_removed(m->bus, rule->path), rule->record.name);
}

static const char *word(int property) {
        return rule_property_to_string((RuleProperty)property);
}

void rule_bus_changed(Manager *m, Rule *rule, uint32_t mask) {
        wire_emit_changed(m, rule->path, BUS_INTERFACE_RULE, mask, word, rule->record.name);
}
