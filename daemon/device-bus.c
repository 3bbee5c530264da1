/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "critical.h"
#include "device-bus.h"
#include "device-calls.h"
#include "make-passthrough.h"
#include "plan-calls.h"
#include "quarantine.h"
#include "registry.h"
#include "vf-options.h"
#include "wire.h"

static int get_text(GETTER_ARGUMENTS) {
        return sd_bus_message_append_basic(reply, 's', userdata); /* a char[], not a char * */
}

static int get_node(GETTER_ARGUMENTS) {
        const Device *d = userdata;

        return sd_bus_message_append_basic(reply, 's', d->table->node);
}

static int get_peers(GETTER_ARGUMENTS) {
        const Device *d = userdata, *p;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; i < d->facts.set.n_members && r >= 0; i++) {
                p = device_table_find(d->table, &d->facts.set.members[i]);
                if (p && p != d)
                        r = sd_bus_message_append_basic(reply, 'o', p->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_words(sd_bus_message *reply, char *text) {
        char *save = NULL;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (char *word = strtok_r(text, " ", &save); word && r >= 0; word = strtok_r(NULL, " ", &save))
                r = sd_bus_message_append_basic(reply, 's', word);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_reset_methods(GETTER_ARGUMENTS) {
        const Device *d = userdata;
        char text[DEVICE_RESET_METHODS_SIZE];

        (void)memcpy(text, d->facts.reset_methods, sizeof text);
        return append_words(reply, text);
}

static int get_num_vfs(GETTER_ARGUMENTS) {
        const Device *d = userdata;
        uint32_t n = device_table_count_vfs(d->table, d);

        return sd_bus_message_append_basic(reply, 'u', &n);
}

static int get_physical_function(GETTER_ARGUMENTS) {
        const Device *d = userdata, *pf = NULL;

        if (d->facts.is_virtual)
                pf = device_table_find(d->table, &d->facts.physical_function);
        return sd_bus_message_append_basic(reply, 'o', pf ? pf->path : "/");
}

static int get_virtual_functions(GETTER_ARGUMENTS) {
        const Device *d = userdata, *vf;
        size_t at = 0;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        while (r >= 0 && (vf = device_table_next_vf(d->table, d, &at)))
                r = sd_bus_message_append_basic(reply, 'o', vf->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_interfaces(GETTER_ARGUMENTS) {
        const Device *d = userdata;
        char text[DEVICE_INTERFACES_SIZE];

        (void)memcpy(text, d->facts.interfaces, sizeof text);
        return append_words(reply, text);
}

static int get_vf_settings(GETTER_ARGUMENTS) {
        const Device *d = userdata;

        return vf_options_append_settings(reply, &d->vf_settings);
}

static int get_critical(GETTER_ARGUMENTS) {
        const Device *d = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (int i = 0; i < CRITICAL_REASON_MAX && r >= 0; i++)
                if (d->critical & 1U << i)
                        r = sd_bus_message_append_basic(reply, 's',
                                                        critical_reason_to_string((CriticalReason)i));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_state(GETTER_ARGUMENTS) {
        const Device *d = userdata;

        return sd_bus_message_append_basic(reply, 's', device_state_to_string(d->state));
}

/* By age of the rules, each group once. */
static int get_claim(GETTER_ARGUMENTS) {
        const Device *d = userdata;

        return sd_bus_message_append_basic(reply, 'o', d->claim ? d->claim->path : "/");
}

static int get_quarantine(GETTER_ARGUMENTS) {
        const Device *d = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(d->quarantine));
}

static int get_groups(GETTER_ARGUMENTS) {
        const Device *d = userdata;
        size_t k;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; i < d->n_rules && r >= 0; i++) {
                for (k = 0; k < i && d->rules[k]->group != d->rules[i]->group; k++)
                        ;
                if (k == i)
                        r = sd_bus_message_append_basic(reply, 'o', d->rules[i]->group->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_attention(GETTER_ARGUMENTS) {
        const Device *d = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(d->attention));
}

static int on_check(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        return plan_check(wire_manager(m), m, userdata);
}

static int on_bind(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        return device_call(wire_manager(m), m, userdata, HELPER_BIND);
}

static int on_release(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        return device_call(wire_manager(m), m, userdata, HELPER_RELEASE);
}

static int on_end_quarantine(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return quarantine_call_end(wire_manager(message), message, userdata);
}

static int on_reset(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        return device_call(wire_manager(m), m, userdata, HELPER_RESET);
}

static int on_set_vf_count(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        uint32_t count;
        int r;

        r = sd_bus_message_read(message, "u", &count);
        return r < 0 ? r : make_vf_count(wire_manager(message), message, userdata, count);
}

#define AT(member) offsetof(Device, member)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable device_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Check", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssbs)", checks), on_check,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Bind", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_bind,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_release,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Reset", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_reset,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("EndQuarantine", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_end_quarantine,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("SetVfCount", SD_BUS_ARGS("u", count), SD_BUS_NO_RESULT,
                                        on_set_vf_count, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_PROPERTY("Address", "s", get_text, AT(address), CONST),
                SD_BUS_PROPERTY("Node", "s", get_node, 0, CONST),
                SD_BUS_PROPERTY("Name", "s", NULL, AT(name), CONST),
                SD_BUS_PROPERTY("VendorId", "q", NULL, AT(facts.identity.vendor), CONST),
                SD_BUS_PROPERTY("DeviceId", "q", NULL, AT(facts.identity.device), CONST),
                SD_BUS_PROPERTY("SubsystemVendorId", "q", NULL, AT(facts.identity.subsystem_vendor), CONST),
                SD_BUS_PROPERTY("SubsystemDeviceId", "q", NULL, AT(facts.identity.subsystem_device), CONST),
                SD_BUS_PROPERTY("Revision", "y", NULL, AT(facts.identity.revision), CONST),
                SD_BUS_PROPERTY("ClassCode", "u", NULL, AT(facts.identity.class_code), CONST),
                SD_BUS_PROPERTY("Vendor", "s", NULL, AT(vendor), CONST),
                SD_BUS_PROPERTY("Model", "s", NULL, AT(model), CONST),
                SD_BUS_PROPERTY("Class", "s", NULL, AT(class_words), CONST),
                SD_BUS_PROPERTY("Slot", "s", get_text, AT(facts.identity.slot), CHANGES),
                SD_BUS_PROPERTY("Serial", "s", get_text, AT(serial), CHANGES),
                SD_BUS_PROPERTY("Driver", "s", get_text, AT(facts.driver), CHANGES),
                SD_BUS_PROPERTY("Module", "s", get_text, AT(facts.module), CHANGES),
                SD_BUS_PROPERTY("HostDriver", "s", get_text, AT(host_driver), CHANGES),
                SD_BUS_PROPERTY("NumaNode", "i", NULL, AT(facts.numa_node), CHANGES),
                SD_BUS_PROPERTY("IommuSet", "u", NULL, AT(facts.set.number), CHANGES),
                SD_BUS_PROPERTY("IommuPeers", "ao", get_peers, 0, CHANGES),
                SD_BUS_PROPERTY("ResetMethods", "as", get_reset_methods, 0, CHANGES),
                SD_BUS_PROPERTY("LinkSpeed", "d", NULL, AT(facts.link_speed), CHANGES),
                SD_BUS_PROPERTY("LinkWidth", "u", NULL, AT(facts.link_width), CHANGES),
                SD_BUS_PROPERTY("LinkSpeedMax", "d", NULL, AT(facts.link_speed_max), CHANGES),
                SD_BUS_PROPERTY("LinkWidthMax", "u", NULL, AT(facts.link_width_max), CHANGES),
                SD_BUS_PROPERTY("SriovTotalVfs", "u", NULL, AT(facts.sriov_total_vfs), CHANGES),
                SD_BUS_PROPERTY("SriovNumVfs", "u", get_num_vfs, 0, CHANGES),
                SD_BUS_PROPERTY("PhysicalFunction", "o", get_physical_function, 0, CHANGES),
                SD_BUS_PROPERTY("VirtualFunctions", "ao", get_virtual_functions, 0, CHANGES),
                SD_BUS_PROPERTY("SriovOrderedVfs", "i", NULL, AT(ordered_vfs), CHANGES),
                SD_BUS_PROPERTY("VfsGranted", "b", NULL, AT(vfs_granted), CHANGES),
                SD_BUS_PROPERTY("VfIndex", "i", NULL, AT(facts.vf_index), CHANGES),
                SD_BUS_PROPERTY("NetworkInterfaces", "as", get_interfaces, 0, CHANGES),
                SD_BUS_PROPERTY("VfSettings", "a{sv}", get_vf_settings, 0, CHANGES),
                SD_BUS_PROPERTY("Critical", "as", get_critical, 0, CHANGES),
                SD_BUS_PROPERTY("Eligible", "b", NULL, AT(eligible), CHANGES),
                SD_BUS_PROPERTY("Reason", "s", NULL, AT(reason), CHANGES),
                SD_BUS_PROPERTY("Granted", "b", NULL, AT(granted), CHANGES),
                SD_BUS_PROPERTY("Groups", "ao", get_groups, 0, CHANGES),
                SD_BUS_PROPERTY("Attention", "s", get_attention, 0, CHANGES),
                SD_BUS_PROPERTY("Claim", "o", get_claim, 0, CHANGES),
                SD_BUS_PROPERTY("Quarantine", "s", get_quarantine, 0, CHANGES),
                SD_BUS_PROPERTY("State", "s", get_state, 0, CHANGES),
                SD_BUS_VTABLE_END,
};

static int find_device(sd_bus *bus _unused_, const char *path, const char *interface _unused_,
                       void *userdata, void **ret, sd_bus_error *error _unused_) {
        Manager *m = userdata;
        Device *d;

        d = device_table_find_path(&m->devices, path);
        if (!d)
                return 0;

        *ret = d;
        return 1;
}

static const char *next_path(void *walked, size_t *at) {
        const DeviceTable *t = walked;

        return *at < t->n ? t->devices[(*at)++]->path : NULL;
}

static int list_paths(sd_bus *bus _unused_, const char *prefix _unused_, void *userdata, char ***ret,
                      sd_bus_error *error _unused_) {
        Manager *m = userdata;

        return wire_list_paths(next_path, &m->devices, m->devices.n, ret);
}

int device_bus_attach(Manager *m) {
        int r;

        assert(m);

        r = sd_bus_add_fallback_vtable(m->bus, NULL, BUS_PATH_DEVICES, BUS_INTERFACE_DEVICE, device_vtable,
                                       find_device, m);
        return r < 0 ? r : sd_bus_add_node_enumerator(m->bus, NULL, BUS_PATH_DEVICES, list_paths, m);
}

void device_bus_added(Manager *m, Device *d) {
        wire_check_sent(sd_bus_emit_object_added(m->bus, d->path), d->address);
}

void device_bus_removed(Manager *m, Device *d) {
        wire_check_sent(sd_bus_emit_object_removed(m->bus, d->path), d->address);
}

static const char *word(int property) {
        return device_property_to_string((DeviceProperty)property);
}

void device_bus_changed(Manager *m, Device *d, uint32_t mask) {
        wire_emit_changed(m, d->path, BUS_INTERFACE_DEVICE, mask, word, d->address);
}
