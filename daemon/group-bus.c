/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "group-bus.h"
#include "options.h"
#include "orders.h"
#include "vf-options.h"
#include "wire.h"

static int get_id(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return sd_bus_message_append_basic(reply, 's', g->record.id);
}

static int get_type(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return sd_bus_message_append_basic(reply, 's', group_type_to_string(g->record.type));
}

static int get_class(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return sd_bus_message_append_basic(reply, 's', group_class_to_string(g->record.class));
}

static int get_enabled(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return sd_bus_message_append_basic(reply, 'b', &(int){g->record.enabled});
}

static int get_binding(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return sd_bus_message_append_basic(reply, 's', group_binding_to_string(g->record.binding));
}

static int get_sriov(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return vf_options_append_group(reply, &g->record.sriov);
}

static int get_rules(GETTER_ARGUMENTS) {
        const Group *g = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; i < g->n_rules && r >= 0; i++)
                r = sd_bus_message_append_basic(reply, 'o', g->rules[i]->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_devices(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return wire_append_devices(reply, g->devices, g->n_devices);
}

static int get_total(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return sd_bus_message_append_basic(reply, 'u', &(uint32_t){(uint32_t)g->n_devices});
}

static int get_available(GETTER_ARGUMENTS) {
        const Group *g = userdata;

        return sd_bus_message_append_basic(reply, 'u', &(uint32_t){registry_count_available(g)});
}

static int get_needs_approval(GETTER_ARGUMENTS) {
        const Group *g = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; i < g->n_devices && r >= 0; i++)
                if (registry_needs_approval(g->devices[i]))
                        r = sd_bus_message_append_basic(reply, 'o', g->devices[i]->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_claims(GETTER_ARGUMENTS) {
        const ClaimTable *t = wire_manager(reply)->claims;
        const Group *g = userdata;
        const Claim *c;
        size_t at = 0;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        while (r >= 0 && (c = claim_table_next_of_group(t, g->record.id, &at)))
                r = sd_bus_message_append_basic(reply, 'o', c->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int on_update(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"name", OPTION_TEXT, offsetof(OrderPatch, name), OPTION_NO_FLAG},
                        {"description", OPTION_TEXT, offsetof(OrderPatch, description), OPTION_NO_FLAG},
                        {"class", OPTION_TEXT, offsetof(OrderPatch, class), OPTION_NO_FLAG},
                        {"enabled", OPTION_BOOL, offsetof(OrderPatch, enabled),
                         offsetof(OrderPatch, has_enabled)},
                        {"binding", OPTION_TEXT, offsetof(OrderPatch, binding), OPTION_NO_FLAG},
                        {"quota", OPTION_U32, offsetof(OrderPatch, quota), offsetof(OrderPatch, has_quota)},
                        {"sriov", OPTION_SRIOV, offsetof(OrderPatch, sriov),
                         offsetof(OrderPatch, has_sriov)},
                        {"if-modified", OPTION_U64, offsetof(OrderPatch, if_modified),
                         offsetof(OrderPatch, has_if_modified)},
        };
        Manager *m = wire_manager(message);
        OrderPatch patch = {0};
        Failure f = {0};
        int r;

        r = options_read(m, message, table, ELEMENTSOF(table), &patch, &f);
        return r < 0 ? options_fail(r, &f, error) : order_update_group(m, message, userdata, &patch);
}

static int on_delete(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return order_delete_group(wire_manager(message), message, userdata);
}

#define AT(member) offsetof(Group, member)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable group_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Update", SD_BUS_ARGS("a{sv}", changes), SD_BUS_NO_RESULT, on_update,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Delete", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_delete,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_PROPERTY("Id", "s", get_id, 0, CONST),
                SD_BUS_PROPERTY("Name", "s", NULL, AT(record.name), CHANGES),
                SD_BUS_PROPERTY("Type", "s", get_type, 0, CONST),
                SD_BUS_PROPERTY("Description", "s", NULL, AT(record.description), CHANGES),
                SD_BUS_PROPERTY("Class", "s", get_class, 0, CHANGES),
                SD_BUS_PROPERTY("Enabled", "b", get_enabled, 0, CHANGES),
                SD_BUS_PROPERTY("Binding", "s", get_binding, 0, CHANGES),
                SD_BUS_PROPERTY("Quota", "u", NULL, AT(record.quota), CHANGES),
                SD_BUS_PROPERTY("Sriov", "a{sv}", get_sriov, 0, CHANGES),
                SD_BUS_PROPERTY("Rules", "ao", get_rules, 0, CHANGES),
                SD_BUS_PROPERTY("Devices", "ao", get_devices, 0, CHANGES),
                SD_BUS_PROPERTY("Total", "u", get_total, 0, CHANGES),
                SD_BUS_PROPERTY("Available", "u", get_available, 0, CHANGES),
                SD_BUS_PROPERTY("NeedsApproval", "ao", get_needs_approval, 0, CHANGES),
                SD_BUS_PROPERTY("Claims", "ao", get_claims, 0, CHANGES),
                SD_BUS_PROPERTY("Created", "t", NULL, AT(record.created), CONST),
                SD_BUS_PROPERTY("Modified", "t", NULL, AT(record.modified), CHANGES),
                SD_BUS_VTABLE_END,
};

static int find_group(sd_bus *bus _unused_, const char *path, const char *interface _unused_, void *userdata,
                      void **ret, sd_bus_error *error _unused_) {
        const Manager *m = userdata;

        *ret = registry_find_group_path(m->registry, path);
        return !!*ret;
}

static const char *next_path(void *walked, size_t *at) {
        const Group *g = registry_next_group(walked, at);

        return g ? g->path : NULL;
}

static int list_paths(sd_bus *bus _unused_, const char *prefix _unused_, void *userdata, char ***ret,
                      sd_bus_error *error _unused_) {
        const Manager *m = userdata;

        return wire_list_paths(next_path, m->registry, registry_count_groups(m->registry), ret);
}

int group_bus_attach(Manager *m) {
        int r;

        assert(m);

        r = sd_bus_add_fallback_vtable(m->bus, NULL, BUS_PATH_GROUPS, BUS_INTERFACE_GROUP, group_vtable,
                                       find_group, m);
        return r < 0 ? r : sd_bus_add_node_enumerator(m->bus, NULL, BUS_PATH_GROUPS, list_paths, m);
}

void group_bus_added(Manager *m, Group *g) {
        wire_check_sent(sd_bus_emit_object_added(m->bus, g->path), g->record.name);
}

void group_bus_removed(Manager *m, Group *g) {
        wire_check_sent(sd_bus_emit_object_removed(m->bus, g->path), g->record.name);
}

static const char *word(int property) {
        return group_property_to_string((GroupProperty)property);
}

void group_bus_changed(Manager *m, Group *g, uint32_t mask) {
        wire_emit_changed(m, g->path, BUS_INTERFACE_GROUP, mask, word, g->record.name);
}
