/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stddef.h>

#include "claim-orders.h"
#include "confirm.h"
#include "confirm-calls.h"
#include "consent-calls.h"
#include "diagnosis-calls.h"
#include "edits.h"
#include "log.h"
#include "make-passthrough.h"
#include "manager-bus.h"
#include "options.h"
#include "run-bus.h"
#include "orders.h"
#include "preview.h"
#include "return-to-host.h"
#include "wire.h"

static int get_version(GETTER_ARGUMENTS) {
        return sd_bus_message_append_basic(reply, 's', PROJECT_VERSION);
}

static int get_iommu_kind(GETTER_ARGUMENTS) {
        const Manager *m = userdata;

        return sd_bus_message_append_basic(reply, 's', iommu_kind_to_string(m->platform.iommu_kind));
}

static int get_restart_reason(GETTER_ARGUMENTS) {
        const Manager *m = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(m->restart_reason));
}

static int get_boot_guard_reason(GETTER_ARGUMENTS) {
        const Manager *m = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(m->boot_guard.reason));
}

static int get_read_only_reason(GETTER_ARGUMENTS) {
        const Manager *m = userdata;

        return sd_bus_message_append_basic(reply, 's', strempty(store_read_only(m->store)));
}

static int get_granted_ids(GETTER_ARGUMENTS) {
        const Manager *m = userdata;
        char ids[ID_SELECTOR_SIZE];
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; i < m->grants.n_ids && r >= 0; i++)
                r = sd_bus_message_append_basic(reply, 's', id_selector_format(&m->grants.ids[i], ids));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_drift(GETTER_ARGUMENTS) {
        const Manager *m = userdata;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sss)");
        for (size_t i = 0; i < m->drift.n && r >= 0; i++)
                r = sd_bus_message_append(reply, "(sss)", drift_kind_to_string(m->drift.entries[i].kind),
                                          m->drift.entries[i].address, m->drift.entries[i].sentence);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_confirm_until(GETTER_ARGUMENTS) {
        uint64_t until = confirm_until(userdata);

        return sd_bus_message_append_basic(reply, 't', &until);
}

static int get_confirm_user(GETTER_ARGUMENTS) {
        uint32_t uid = confirm_user(userdata);

        return sd_bus_message_append_basic(reply, 'u', &uid);
}

static int append_devices(const Manager *m, const IommuSet *devices, sd_bus_message *to) {
        const Device *d;
        int r;

        r = sd_bus_message_open_container(to, 'a', "o");
        for (size_t i = 0; i < devices->n_members && r >= 0; i++) {
                d = device_table_find(&m->devices, &devices->members[i]);
                if (d)
                        r = sd_bus_message_append_basic(to, 'o', d->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(to);
}

static int get_confirm_devices(GETTER_ARGUMENTS) {
        return append_devices(userdata, confirm_devices(userdata), reply);
}

static int on_grant(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"siblings", OPTION_DEVICES, offsetof(MakeRequest, siblings), OPTION_NO_FLAG},
                        {"consent", OPTION_CONSENT, offsetof(MakeRequest, consent), OPTION_NO_FLAG},
        };
        MakeRequest q = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        if ((r = options_read_devices(m, message, true, &q.devices, &f)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &q, &f)) < 0)
                return options_fail(r, &f, error);
        return consent_grant(m, message, &q.devices, &q.siblings, q.consent);
}

static int on_revoke(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        IommuSet devices = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        r = options_read_devices(m, message, true, &devices, &f);
        return r < 0 ? options_fail(r, &f, error) : consent_revoke(m, message, &devices);
}

static int on_ids(sd_bus_message *message, void *userdata, sd_bus_error *error, HelperVerb verb) {
        Manager *m = userdata;
        IdList ids = {0};
        Failure f = {0};
        int r;

        r = options_read_ids(message, &ids, &f);
        return r < 0 ? options_fail(r, &f, error) : consent_ids(m, message, verb, &ids);
}

static int on_grant_ids(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return on_ids(message, userdata, error, HELPER_GRANT_IDS);
}

static int on_revoke_ids(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return on_ids(message, userdata, error, HELPER_REVOKE_IDS);
}

static int on_plan(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"consent", OPTION_CONSENT, offsetof(MakeRequest, consent), OPTION_NO_FLAG},
        };
        DeviceList devices = {.n = 0};
        MakeRequest q = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        if ((r = options_read_list(m, message, true, &devices, &f)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &q, &f)) < 0)
                return options_fail(r, &f, error);
        return plan_devices(m, message, &devices, q.consent);
}

static int on_diagnose(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return diagnose(userdata, message);
}

static int on_make_passthrough(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"siblings", OPTION_DEVICES, offsetof(MakeRequest, siblings), OPTION_NO_FLAG},
                        {"consent", OPTION_CONSENT, offsetof(MakeRequest, consent), OPTION_NO_FLAG},
                        {"class", OPTION_TEXT, offsetof(MakeRequest, group.class), OPTION_NO_FLAG},
                        {"description", OPTION_TEXT, offsetof(MakeRequest, group.description),
                         OPTION_NO_FLAG},
                        {"binding", OPTION_TEXT, offsetof(MakeRequest, group.binding), OPTION_NO_FLAG},
                        {"type", OPTION_TEXT, offsetof(MakeRequest, type), OPTION_NO_FLAG},
                        {"sriov", OPTION_SRIOV, offsetof(MakeRequest, group.sriov),
                         offsetof(MakeRequest, group.has_sriov)},
                        {"confirm-seconds", OPTION_U32, offsetof(MakeRequest, confirm),
                         offsetof(MakeRequest, has_confirm)},
        };
        MakeRequest q = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        if ((r = options_read_devices(m, message, true, &q.devices, &f)) < 0 ||
            (r = sd_bus_message_read_basic(message, 's', &q.group_name)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &q, &f)) < 0)
                return options_fail(r, &f, error);
        return make_passthrough(m, message, &q);
}

static int on_confirm(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return confirm_call_confirm(userdata, message);
}

static int on_revert(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return confirm_call_revert(userdata, message);
}

static int on_return_to_host(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        IommuSet devices = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        r = options_read_devices(m, message, true, &devices, &f);
        return r < 0 ? options_fail(r, &f, error) : return_to_host(m, message, &devices);
}

static int on_create_group(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"description", OPTION_TEXT, offsetof(OrderPatch, description), OPTION_NO_FLAG},
                        {"class", OPTION_TEXT, offsetof(OrderPatch, class), OPTION_NO_FLAG},
                        {"enabled", OPTION_BOOL, offsetof(OrderPatch, enabled),
                         offsetof(OrderPatch, has_enabled)},
                        {"binding", OPTION_TEXT, offsetof(OrderPatch, binding), OPTION_NO_FLAG},
                        {"quota", OPTION_U32, offsetof(OrderPatch, quota), offsetof(OrderPatch, has_quota)},
                        {"sriov", OPTION_SRIOV, offsetof(OrderPatch, sriov),
                         offsetof(OrderPatch, has_sriov)},
        };
        const char *name, *type;
        OrderPatch patch = {0};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        if ((r = sd_bus_message_read(message, "ss", &name, &type)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &patch, &f)) < 0)
                return options_fail(r, &f, error);
        return order_create_group(m, message, name, type, &patch);
}

static const Group *find_group(const Manager *m, const char *path, Failure *f) {
        const Group *g = registry_find_group_path(m->registry, path);

        if (!g && edit_check_possible(m, f) >= 0) /* else it may be one that could not be read */
                (void)failure_set(
                                f, FAILURE_NO_SUCH_OBJECT,
                                "The object %.256s is no group; list the groups and take a path from there.",
                                path);
        return g;
}

static int on_create_rule(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"node", OPTION_TEXT, offsetof(OrderPatch, node), OPTION_NO_FLAG},
                        {"enabled", OPTION_BOOL, offsetof(OrderPatch, enabled),
                         offsetof(OrderPatch, has_enabled)},
        };
        const char *path, *name;
        OrderPatch patch = {0};
        Manager *m = userdata;
        Failure f = {0};
        const Group *g;
        int r;

        if ((r = sd_bus_message_read(message, "oss", &path, &name, &patch.filter)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &patch, &f)) < 0)
                return options_fail(r, &f, error);
        g = find_group(m, path, &f);
        return g ? order_create_rule(m, message, g, name, &patch) : failure_to_bus(&f, error);
}

static int on_create_claim(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"name", OPTION_TEXT, offsetof(ClaimPatch, name), OPTION_NO_FLAG},
                        {"description", OPTION_TEXT, offsetof(ClaimPatch, description), OPTION_NO_FLAG},
                        {"optional", OPTION_BOOL, offsetof(ClaimPatch, optional),
                         offsetof(ClaimPatch, has_optional)},
                        {"enabled", OPTION_BOOL, offsetof(ClaimPatch, enabled),
                         offsetof(ClaimPatch, has_enabled)},
                        {"order", OPTION_U32, offsetof(ClaimPatch, order), offsetof(ClaimPatch, has_order)},
                        {"sriov", OPTION_VF, offsetof(ClaimPatch, sriov), offsetof(ClaimPatch, has_sriov)},
                        {"mac-addresses", OPTION_MACS, offsetof(ClaimPatch, macs),
                         offsetof(ClaimPatch, has_macs)},
        };
        ClaimPatch patch = {.has_count = true};
        const char *vm, *path;
        Manager *m = userdata;
        Failure f = {0};
        const Group *g;
        int r;

        if ((r = sd_bus_message_read(message, "sou", &vm, &path, &patch.count)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &patch, &f)) < 0)
                return options_fail(r, &f, error);
        g = find_group(m, path, &f);
        return g ? claim_order_create(m, message, vm, g, &patch) : failure_to_bus(&f, error);
}

static int on_preview_rule(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        const char *filter, *node;
        int r;

        r = sd_bus_message_read(message, "ss", &filter, &node);
        return r < 0 ? r : preview_rule(userdata, message, filter, node);
}

static int on_export(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        return order_export(userdata, message);
}

typedef struct ImportOptions {
        int prune;
} ImportOptions;

static int on_import(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const Option table[] = {
                        {"prune", OPTION_BOOL, offsetof(ImportOptions, prune), OPTION_NO_FLAG},
        };
        ImportOptions options = {0};
        Manager *m = userdata;
        const char *document;
        Failure f = {0};
        int r;

        if ((r = sd_bus_message_read_basic(message, 's', &document)) < 0 ||
            (r = options_read(m, message, table, ELEMENTSOF(table), &options, &f)) < 0)
                return options_fail(r, &f, error);
        return order_import(m, message, document, options.prune);
}

#define AT(member) offsetof(Manager, member)
#define CONST SD_BUS_VTABLE_PROPERTY_CONST
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable manager_vtable[] = {
                SD_BUS_VTABLE_START(0),
                SD_BUS_METHOD_WITH_ARGS("Grant", SD_BUS_ARGS("ao", devices, "a{sv}", options),
                                        SD_BUS_RESULT("ao", granted), on_grant, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Revoke", SD_BUS_ARGS("ao", devices), SD_BUS_NO_RESULT, on_revoke,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("GrantIds", SD_BUS_ARGS("as", ids), SD_BUS_NO_RESULT, on_grant_ids,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("RevokeIds", SD_BUS_ARGS("as", ids), SD_BUS_NO_RESULT, on_revoke_ids,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("MakePassthrough",
                                        SD_BUS_ARGS("ao", devices, "s", group_name, "a{sv}", options),
                                        SD_BUS_RESULT("o", group, "ao", rules, "ao", granted),
                                        on_make_passthrough, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Plan", SD_BUS_ARGS("ao", devices, "a{sv}", options),
                                        SD_BUS_RESULT("a(uaoba(ossbs)a(oss))", sets), on_plan,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Diagnose", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ssssasao)", findings),
                                        on_diagnose, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("ReturnToHost", SD_BUS_ARGS("ao", devices), SD_BUS_NO_RESULT,
                                        on_return_to_host, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Confirm", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_confirm,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Revert", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, on_revert,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("CreateGroup", SD_BUS_ARGS("s", name, "s", type, "a{sv}", options),
                                        SD_BUS_RESULT("o", group), on_create_group,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("CreateRule",
                                        SD_BUS_ARGS("o", group, "s", name, "s", filter, "a{sv}", options),
                                        SD_BUS_RESULT("o", rule), on_create_rule,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("CreateClaim",
                                        SD_BUS_ARGS("s", vm, "o", group, "u", count, "a{sv}", options),
                                        SD_BUS_RESULT("o", claim), on_create_claim,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("StartVm", SD_BUS_ARGS("s", vm, "a{sv}", options),
                                        SD_BUS_RESULT(RUN_BUS_RESULT), run_bus_start_vm,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("StopVm", SD_BUS_ARGS("s", vm, "a{sv}", options), SD_BUS_NO_RESULT,
                                        run_bus_stop_vm, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("PreviewRule", SD_BUS_ARGS("s", filter, "s", node),
                                        SD_BUS_RESULT("ao", devices, "a(oo)", overlaps), on_preview_rule,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Export", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", document), on_export,
                                        SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_METHOD_WITH_ARGS("Import", SD_BUS_ARGS("s", document, "a{sv}", options),
                                        SD_BUS_RESULT("u", changed), on_import, SD_BUS_VTABLE_UNPRIVILEGED),
                SD_BUS_SIGNAL_WITH_ARGS("DeviceStuck", SD_BUS_ARGS("o", device, "s", reason), 0),
                SD_BUS_PROPERTY("Version", "s", get_version, 0, CONST),
                SD_BUS_PROPERTY("NodeName", "s", NULL, AT(node_name), CONST),
                SD_BUS_PROPERTY("IommuEnabled", "b", NULL, AT(platform.iommu_enabled), CHANGES),
                SD_BUS_PROPERTY("IommuKind", "s", get_iommu_kind, 0, CHANGES),
                SD_BUS_PROPERTY("InterruptRemapping", "b", NULL, AT(platform.interrupt_remapping), CONST),
                SD_BUS_PROPERTY("VfioAvailable", "b", NULL, AT(platform.vfio), CHANGES),
                SD_BUS_PROPERTY("VfioCdevAvailable", "b", NULL, AT(platform.vfio_cdev), CHANGES),
                SD_BUS_PROPERTY("GrantedIds", "as", get_granted_ids, 0, CHANGES),
                SD_BUS_PROPERTY("Drift", "a(sss)", get_drift, 0, CHANGES),
                SD_BUS_PROPERTY("ReadOnly", "b", NULL, AT(read_only), CHANGES),
                SD_BUS_PROPERTY("ReadOnlyReason", "s", get_read_only_reason, 0, CHANGES),
                SD_BUS_PROPERTY("RestartNeeded", "b", NULL, AT(restart_needed), CHANGES),
                SD_BUS_PROPERTY("RestartReason", "s", get_restart_reason, 0, CHANGES),
                SD_BUS_PROPERTY("BootGuard", "b", NULL, AT(boot_guard.on), CHANGES),
                SD_BUS_PROPERTY("BootGuardReason", "s", get_boot_guard_reason, 0, CHANGES),
                SD_BUS_SIGNAL_WITH_ARGS("ConfirmationPending",
                                        SD_BUS_ARGS("t", until, "u", uid, "ao", devices), 0),
                SD_BUS_PROPERTY("ConfirmUntil", "t", get_confirm_until, 0, CHANGES),
                SD_BUS_PROPERTY("ConfirmUser", "u", get_confirm_user, 0, CHANGES),
                SD_BUS_PROPERTY("ConfirmDevices", "ao", get_confirm_devices, 0, CHANGES),
                SD_BUS_PROPERTY("Disabled", "b", NULL, AT(platform.disabled), CONST),
                SD_BUS_VTABLE_END,
};

int manager_bus_attach(Manager *m) {
        int r;

        assert(m);

        r = sd_bus_add_object_manager(m->bus, NULL, BUS_PATH);
        return r < 0 ? r
                     : sd_bus_add_object_vtable(m->bus, NULL, BUS_PATH, BUS_INTERFACE_MANAGER,
                                                manager_vtable, m);
}

static const char *word(int property) {
        return manager_property_to_string((ManagerProperty)property);
}

void manager_bus_changed(Manager *m, uint32_t mask) {
        wire_emit_changed(m, BUS_PATH, BUS_INTERFACE_MANAGER, mask, word, "the host");
}

void manager_bus_confirmation_pending(Manager *m) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        int r;

        if ((r = sd_bus_message_new_signal(m->bus, &signal, BUS_PATH, BUS_INTERFACE_MANAGER,
                                           "ConfirmationPending")) < 0 ||
            (r = sd_bus_message_append(signal, "tu", confirm_until(m), (uint32_t)confirm_user(m))) < 0 ||
            (r = append_devices(m, confirm_devices(m), signal)) < 0 ||
            (r = sd_bus_send(m->bus, signal, NULL)) < 0)
                log_warning("That a change waits for its confirmation could not be told to the bus: %s.",
                            strerror(-r));
}

void manager_bus_device_stuck(Manager *m, Device *d) {
        int r;

        r = sd_bus_emit_signal(m->bus, BUS_PATH, BUS_INTERFACE_MANAGER, "DeviceStuck", "os", d->path,
                               strempty(d->reason));
        if (r < 0)
                log_warning("That %s is stuck could not be told to the bus: %s.", d->address, strerror(-r));
}
