/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "commands.h"
#include "fields.h"
#include "orders.h"
#include "sriov.h"

static void show_ids(const Object *o) {
        uint64_t subsystem_vendor = object_number(o, "SubsystemVendorId");

        if (subsystem_vendor)
                field_printf("Ids", TINT_NONE,
                             "%04" PRIx64 ":%04" PRIx64 ", subsystem %04" PRIx64 ":%04" PRIx64,
                             object_number(o, "VendorId"), object_number(o, "DeviceId"), subsystem_vendor,
                             object_number(o, "SubsystemDeviceId"));
        else
                field_printf("Ids", TINT_NONE, "%04" PRIx64 ":%04" PRIx64, object_number(o, "VendorId"),
                             object_number(o, "DeviceId"));
}

static void show_link(const Object *o) {
        double speed = json_real_value(json_object_get(o->properties, "LinkSpeed"));
        double most = json_real_value(json_object_get(o->properties, "LinkSpeedMax"));

        if (most > 0)
                field_printf("PCIe link", TINT_NONE, "%g GT/s x%" PRIu64 " (at most %g GT/s x%" PRIu64 ")",
                             speed, object_number(o, "LinkWidth"), most, object_number(o, "LinkWidthMax"));
}

static void show_verdict(const Object *o) {
        json_t *critical = object_list(o, "Critical"), *item;
        size_t i;

        if (object_is(o, "Granted"))
                field_print("Granted", TINT_GOOD, "yes");
        else
                field_print("Granted", TINT_NONE, "no");
        if (object_is(o, "VfsGranted"))
                field_print_sentence(
                                "Can leave", TINT_NONE,
                                "no: its virtual functions may; 'passthroughctl return' takes that back");
        else if (object_is(o, "Eligible"))
                field_print("Can leave", TINT_GOOD, "yes");
        else
                field_print_sentence("Can leave", TINT_BAD, object_text(o, "Reason"));
        json_array_foreach(critical, i, item)
                        field_print(i == 0 ? "Critical" : "", TINT_BAD, json_string_value(item));
        if (object_is(o, "Eligible") && !isempty(object_text(o, "Reason")))
                field_print_sentence("Reason", TINT_BAD, object_text(o, "Reason"));
        field_print_sentence("Attention", TINT_WARN, object_text(o, "Attention"));
        field_print_sentence("Quarantine", TINT_BAD, object_text(o, "Quarantine"));
}

static void show_sriov(const Model *m, const Object *o) {
        _cleanup_free_ char *text = sriov_settings_text(json_object_get(o->properties, "VfSettings"), false);
        json_int_t ordered = json_integer_value(json_object_get(o->properties, "SriovOrderedVfs"));
        uint64_t total = object_number(o, "SriovTotalVfs"), n = object_number(o, "SriovNumVfs");
        const char *physical = object_text(o, "PhysicalFunction");

        if (total > 0 && ordered >= 0 && (uint64_t)ordered != n)
                field_printf("SR-IOV", TINT_WARN,
                             "%" PRIu64 " of %" PRIu64 " virtual functions, and %" JSON_INTEGER_FORMAT
                             " are ordered",
                             n, total, ordered);
        else if (total > 0)
                field_printf("SR-IOV", TINT_NONE, "%" PRIu64 " of %" PRIu64 " virtual functions", n, total);
        if (object_is(o, "VfsGranted"))
                field_print("", TINT_GOOD, "VMs may have them");
        if (!streq(physical, "/"))
                field_print("Function of", TINT_NONE, model_name(m, physical));
        field_print_sentence("Settings", TINT_NONE, strempty(text));
        field_print_list(m, "Interfaces", object_list(o, "NetworkInterfaces"));
}

static void show_device(const Model *m, const Object *o) {
        uint64_t set = object_number(o, "IommuSet");
        json_int_t node = json_integer_value(json_object_get(o->properties, "NumaNode"));
        const char *driver = object_text(o, "Driver"), *host_driver = object_text(o, "HostDriver");
        const char *claim = object_text(o, "Claim");

        (void)printf("%s%s%s  ", output_tint(stdout, TINT_BOLD), o->name, output_tint(stdout, TINT_NONE));
        (void)output_text(stdout, object_text(o, "Name"), SIZE_MAX);
        (void)fputc('\n', stdout);
        field_print("State", TINT_NONE, object_text(o, "State"));
        show_verdict(o);
        field_print("Driver", TINT_NONE, isempty(driver) ? "none" : driver);
        if (!streq(driver, host_driver))
                field_print("Host driver", TINT_NONE, host_driver);
        if (set == UINT32_MAX)
                field_print("IOMMU set", TINT_NONE, "none");
        else
                field_printf("IOMMU set", TINT_NONE, "%" PRIu64, set);
        field_print_list(m, "Moves with", object_list(o, "IommuPeers"));
        field_print_list(m, "Group", object_list(o, "Groups"));
        if (!streq(claim, "/"))
                field_print("Claim", TINT_NONE, model_name(m, claim));
        field_print("Class", TINT_NONE, object_text(o, "Class"));
        show_ids(o);
        field_print("Slot", TINT_NONE, object_text(o, "Slot"));
        field_print("Serial", TINT_NONE, object_text(o, "Serial"));
        if (node >= 0)
                field_printf("NUMA node", TINT_NONE, "%" JSON_INTEGER_FORMAT, node);
        show_link(o);
        field_print_list(m, "Reset by", object_list(o, "ResetMethods"));
        show_sriov(m, o);
}

static void show_counts(const Model *m) {
        static const char *const states[] = {"host", "pool", "claimed", "moving", "stuck", "quarantined"};
        char groups[COUNT_SIZE], rules[COUNT_SIZE], claims[COUNT_SIZE];
        bool first = true;

        for (size_t s = 0; s < ELEMENTSOF(states); s++) {
                size_t n = 0;

                for (size_t i = 0; i < m->n[KIND_DEVICE]; i++)
                        n += streq(object_text(&m->objects[KIND_DEVICE][i], "State"), states[s]);
                if (n == 0)
                        continue;
                field_printf(first ? "Devices" : "", TINT_NONE, "%zu %s", n, states[s]);
                first = false;
        }
        field_printf("Configured", TINT_NONE, "%s, %s, %s", orders_count(m->n[KIND_GROUP], "group", groups),
                     orders_count(m->n[KIND_RULE], "rule", rules),
                     orders_count(m->n[KIND_CLAIM], "claim", claims));
}

static void show_pending(const Model *m, const Object *host) {
        if (object_number(host, "ConfirmUntil") == 0)
                return;
        field_print_time("Confirm until", object_number(host, "ConfirmUntil"));
        field_print_list(m, "Unconfirmed", object_list(host, "ConfirmDevices"));
}

static void show_drift(const Object *host) {
        json_t *item;
        size_t i;

        json_array_foreach(object_list(host, "Drift"), i, item) field_print_sentence(
                        i == 0 ? "Drift" : "", TINT_WARN, json_string_value(json_array_get(item, 2)));
}

static void show_host(const Model *m, json_t *properties) {
        const Object o = {.properties = properties};

        (void)printf("%s%s%s  verge-passthrough %s\n", output_tint(stdout, TINT_BOLD),
                     object_text(&o, "NodeName"), output_tint(stdout, TINT_NONE),
                     object_text(&o, "Version"));
        field_print("IOMMU", object_is(&o, "IommuEnabled") ? TINT_GOOD : TINT_BAD,
                    object_is(&o, "IommuEnabled") ? object_text(&o, "IommuKind") : "off");
        field_print("Interrupts", TINT_NONE,
                    object_is(&o, "InterruptRemapping") ? "remapped" : "not remapped");
        field_print("vfio-pci", TINT_NONE, object_is(&o, "VfioAvailable") ? "loaded" : "not loaded");
        field_print("VFIO cdev", TINT_NONE, object_is(&o, "VfioCdevAvailable") ? "yes" : "no");
        show_counts(m);
        show_pending(m, &o);
        if (object_is(&o, "Disabled"))
                field_print("Switched off", TINT_WARN,
                            "verge_passthrough=off stands on the kernel command line");
        field_print_sentence("Read-only", TINT_BAD, object_text(&o, "ReadOnlyReason"));
        field_print_sentence("Boot guard", TINT_BAD, object_text(&o, "BootGuardReason"));
        field_print_sentence("Reboot needed", TINT_WARN, object_text(&o, "RestartReason"));
        show_drift(&o);
        field_print_list(m, "Granted ids", object_list(&o, "GrantedIds"));
}

static ExitCode show_host_command(Cli *cli) {
        _cleanup_json_ json_t *host = NULL;
        ExitCode code = cli_load_host(cli, &host);

        if (code != EXIT_DONE)
                return code;
        if (cli_wants_json(cli))
                return cli_print_json(cli, model_json(&cli->model, host));
        cli_open_pager(cli);
        show_host(&cli->model, host);
        return EXIT_DONE;
}

ExitCode command_show(Cli *cli) {
        return cli->options.n_words == 0 ? show_host_command(cli)
                                         : orders_show(cli, KIND_DEVICE, show_device);
}
