/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "claim-bus.h"
#include "claim-orders.h"
#include "options.h"
#include "vf-options.h"
#include "vm-arguments.h"
#include "run-bus.h"
#include "wire.h"

static int get_id(GETTER_ARGUMENTS) {
        const Claim *c = userdata;

        return sd_bus_message_append_basic(reply, 's', c->record.id);
}

static int get_group(GETTER_ARGUMENTS) {
        const Claim *c = userdata;
        char group[REGISTRY_PATH_SIZE];

        return sd_bus_message_append_basic(reply, 'o',
                                           registry_path(BUS_PATH_GROUPS, c->record.group, group));
}

static int get_optional(GETTER_ARGUMENTS) {
        const Claim *c = userdata;

        return sd_bus_message_append_basic(reply, 'b', &(int){c->record.optional});
}

static int get_enabled(GETTER_ARGUMENTS) {
        const Claim *c = userdata;

        return sd_bus_message_append_basic(reply, 'b', &(int){c->record.enabled});
}

static int get_devices(GETTER_ARGUMENTS) {
        const ClaimTable *t = wire_manager(reply)->claims;
        const Claim *c = userdata;
        const Device *d;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; c->run && i < c->run->record.n_devices && r >= 0; i++) {
                const RunDevice *rd = &c->run->record.devices[i];

                d = streq(rd->claim, c->record.id) ? claim_table_device(t, rd) : NULL;
                if (d)
                        r = sd_bus_message_append_basic(reply, 'o', d->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_status(GETTER_ARGUMENTS) {
        const Claim *c = userdata;

        return sd_bus_message_append_basic(reply, 's', claim_status_to_string(c->status));
}

static int get_sriov(GETTER_ARGUMENTS) {
        const Claim *c = userdata;

        return vf_options_append_settings(reply, &c->record.settings);
}

static int get_mac_addresses(GETTER_ARGUMENTS) {
        const Claim *c = userdata;

        return vf_options_append_macs(reply, &c->record);
}

static int on_update(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"name", OPTION_TEXT, offsetof(ClaimPatch, name), OPTION_NO_FLAG},
                        {"description", OPTION_TEXT, offsetof(ClaimPatch, description), OPTION_NO_FLAG},
                        {"count", OPTION_U32, offsetof(ClaimPatch, count), offsetof(ClaimPatch, has_count)},
                        {"optional", OPTION_BOOL, offsetof(ClaimPatch, optional),
                         offsetof(ClaimPatch, has_optional)},
                        {"enabled", OPTION_BOOL, offsetof(ClaimPatch, enabled),
                         offsetof(ClaimPatch, has_enabled)},
                        {"order", OPTION_U32, offsetof(ClaimPatch, order), offsetof(ClaimPatch, has_order)},
                        {"sriov", OPTION_VF, offsetof(ClaimPatch, sriov), offsetof(ClaimPatch, has_sriov)},
                        {"mac-addresses", OPTION_MACS, offsetof(ClaimPatch, macs),
                         offsetof(ClaimPatch, has_macs)},
                        {"if-modified", OPTION_U64, offsetof(ClaimPatch, if_modified),
                         offsetof(ClaimPatch, has_if_modified)},
        };
        Manager *m = wire_manager(message);
        ClaimPatch patch = {0};
        Failure f = {0};
        int r;

        r = options_read(m, message, table, ELEMENTSOF(table), &patch, &f);
        return r < 0 ? options_fail(r, &f, error) : claim_order_update(m, message, userdata, &patch);
}

static int on_delete(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return claim_order_delete(wire_manager(message), message, userdata);
}

static int fail_not_running(const Claim *c, sd_bus_error *error) {
        Failure f = {0};

        (void)failure_set(&f, FAILURE_NOT_RUNNING,
                          "The VM \"%.200s\" has no device of the claim \"%.200s\"; start the VM first.",
                          c->record.vm, c->record.name);
        return failure_to_bus(&f, error);
}

static int on_qemu_arguments(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(vm_arguments_freep) char **arguments = NULL;
        const Claim *c = userdata;
        int r;

        r = c->run ? vm_qemu_arguments(&c->run->record, c->record.id, &arguments) : -ENODATA;
        if (r == -ENODATA)
                return fail_not_running(c, error);
        if (r < 0 || (r = sd_bus_message_new_method_return(message, &reply)) < 0 ||
            (r = sd_bus_message_append_strv(reply, arguments)) < 0)
                return r;
        return sd_bus_send(NULL, reply, NULL);
}

static int on_libvirt_xml(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        _cleanup_free_ char *xml = NULL;
        const Claim *c = userdata;
        int r;

        r = c->run ? vm_libvirt_xml(&c->run->record, c->record.id, &xml) : -ENODATA;
        if (r == -ENODATA)
                return fail_not_running(c, error);
        return r < 0 ? r : sd_bus_reply_method_return(message, "s", xml);
}

#define AT(member) offsetof(Claim, member)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable claim_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Start", SD_BUS_ARGS("a{sv}", options),
                                        SD_BUS_RESULT(RUN_BUS_RESULT), run_bus_start,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Stop", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, run_bus_stop,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Update", SD_BUS_ARGS("a{sv}", changes), SD_BUS_NO_RESULT, on_update,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Delete", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_delete,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("QemuArguments", SD_BUS_NO_ARGS, SD_BUS_RESULT("as", arguments),
                                        on_qemu_arguments, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("LibvirtXml", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", xml),
                                        on_libvirt_xml, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_SIGNAL_WITH_ARGS("DeviceVanished", SD_BUS_ARGS("s", address), 0),
                SD_BUS_PROPERTY("Id", "s", get_id, 0, CONST),
                SD_BUS_PROPERTY("Vm", "s", NULL, AT(record.vm), CONST),
                SD_BUS_PROPERTY("Name", "s", NULL, AT(record.name), CHANGES),
                SD_BUS_PROPERTY("Description", "s", NULL, AT(record.description), CHANGES),
                SD_BUS_PROPERTY("Group", "o", get_group, 0, CONST),
                SD_BUS_PROPERTY("Count", "u", NULL, AT(record.count), CHANGES),
                SD_BUS_PROPERTY("Optional", "b", get_optional, 0, CHANGES),
                SD_BUS_PROPERTY("Enabled", "b", get_enabled, 0, CHANGES),
                SD_BUS_PROPERTY("Order", "u", NULL, AT(record.order), CHANGES),
                SD_BUS_PROPERTY("Sriov", "a{sv}", get_sriov, 0, CHANGES),
                SD_BUS_PROPERTY("MacAddresses", "as", get_mac_addresses, 0, CHANGES),
                SD_BUS_PROPERTY("Owner", "u", NULL, AT(record.owner), CONST),
                SD_BUS_PROPERTY("Devices", "ao", get_devices, 0, CHANGES),
                SD_BUS_PROPERTY("Status", "s", get_status, 0, CHANGES),
                SD_BUS_PROPERTY("StatusInfo", "s", NULL, AT(info), CHANGES),
                SD_BUS_PROPERTY("RestartNeeded", "b", NULL, AT(restart_needed), CHANGES),
                SD_BUS_PROPERTY("MemoryLock", "t", NULL, AT(memory_lock), CHANGES),
                SD_BUS_PROPERTY("Created", "t", NULL, AT(record.created), CONST),
                SD_BUS_PROPERTY("Modified", "t", NULL, AT(record.modified), CHANGES),
                SD_BUS_VTABLE_END,
};

static int find_claim(sd_bus *bus _unused_, const char *path, const char *interface _unused_, void *userdata,
                      void **ret, sd_bus_error *error _unused_) {
        const Manager *m = userdata;

        *ret = claim_table_find_path(m->claims, path);
        return !!*ret;
}

static const char *next_path(void *walked, size_t *at) {
        const Claim *c = claim_table_next(walked, at);

        return c ? c->path : NULL;
}

static int list_paths(sd_bus *bus _unused_, const char *prefix _unused_, void *userdata, char ***ret,
                      sd_bus_error *error _unused_) {
        const Manager *m = userdata;

        return wire_list_paths(next_path, m->claims, claim_table_count(m->claims), ret);
}

int claim_bus_attach(Manager *m) {
        int r;

        assert(m);

        r = sd_bus_add_fallback_vtable(m->bus, NULL, BUS_PATH_CLAIMS, BUS_INTERFACE_CLAIM, claim_vtable,
                                       find_claim, m);
        return r < 0 ? r : sd_bus_add_node_enumerator(m->bus, NULL, BUS_PATH_CLAIMS, list_paths, m);
}

void claim_bus_added(Manager *m, Claim *c) {
        wire_check_sent(sd_bus_emit_object_added(m->bus, c->path), c->record.name);
}

void claim_bus_removed(Manager *m, Claim *c) {
        wire_check_sent(sd_bus_emit_object_removed(m->bus, c->path), c->record.name);
}

static const char *word(int property) {
        return claim_property_to_string((ClaimProperty)property);
}

void claim_bus_changed(Manager *m, Claim *c, uint32_t mask) {
        wire_emit_changed(m, c->path, BUS_INTERFACE_CLAIM, mask, word, c->record.name);
}

void claim_bus_device_vanished(Manager *m, Claim *c, const PciAddress *a) {
        char address[PCI_ADDRESS_SIZE];

        wire_check_sent(sd_bus_emit_signal(m->bus, c->path, BUS_INTERFACE_CLAIM, "DeviceVanished", "s",
                                           pci_address_format(a, address)),
                        c->record.name);
}
