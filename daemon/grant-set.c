/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "grant-ids.h"
#include "grant-set.h"

#define ROOT_INTRODUCTION "Root asks the privileged helper itself. Type: "

static int check_there(const DeviceTable *t, const IommuSet *set, Failure *f) {
        char address[PCI_ADDRESS_SIZE];

        for (size_t i = 0; i < set->n_members; i++)
                if (!device_table_find(t, &set->members[i]))
                        return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                           "Device %s is not there any more; list the devices again.",
                                           pci_address_format(&set->members[i], address));
        return 0;
}

/* A bridge need not move with its set, and nothing that is named beside it would change that it cannot. */
static int check_no_bridge(const DeviceTable *t, const IommuSet *devices, Failure *f) {
        char address[PCI_ADDRESS_SIZE];

        for (size_t i = 0; i < devices->n_members; i++)
                if (device_is_bridge(device_table_find(t, &devices->members[i])))
                        return failure_set(f, FAILURE_CRITICAL,
                                           "Device %s is a bridge and must stay with the host; pass the "
                                           "devices "
                                           "behind it instead.",
                                           pci_address_format(&devices->members[i], address));
        return 0;
}

/* All that move along with the devices. The members come sorted, so the result is. */
static int make_closure(const DeviceTable *t, const IommuSet *devices, IommuSet *ret) {
        const Device *d, *p;
        int r = 0;

        *ret = *devices;
        for (size_t i = 0; i < devices->n_members; i++) {
                d = device_table_find(t, &devices->members[i]);
                if (d->facts.set.number == DEVICE_NO_IOMMU_SET)
                        continue;
                for (size_t k = 0; k < d->facts.set.n_members && r >= 0; k++) {
                        p = device_table_find(t, &d->facts.set.members[k]);
                        if (!p || !device_is_bridge(p))
                                r = iommu_set_add(ret, &d->facts.set.members[k]);
                }
        }
        return r;
}

static int check_siblings(const DeviceTable *t, const IommuSet *closure, const IommuSet *siblings,
                          Failure *f) {
        char address[PCI_ADDRESS_SIZE];
        const Device *d;

        for (size_t i = 0; i < siblings->n_members; i++) {
                d = device_table_find(t, &siblings->members[i]);
                if (!device_is_bridge(d) && !iommu_set_contains(closure, &siblings->members[i]))
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "Device %s shares no IOMMU set with the devices that were named; "
                                           "leave it out of the siblings, or name it as a device.",
                                           pci_address_format(&siblings->members[i], address));
        }
        return 0;
}

static int check_complete(const IommuSet *closure, const IommuSet *devices, const IommuSet *siblings,
                          Failure *f) {
        char named[512], text[384];
        IommuSet missing = {0};

        for (size_t i = 0; i < closure->n_members; i++)
                if (!iommu_set_contains(devices, &closure->members[i]) &&
                    !iommu_set_contains(siblings, &closure->members[i]))
                        (void)iommu_set_add(&missing, &closure->members[i]);
        if (missing.n_members == 0)
                return 0;

        return failure_set(f, FAILURE_INCOMPLETE_IOMMU_SET,
                           "%s cannot be granted alone: %s must move along, because the IOMMU cannot keep "
                           "them apart; name them too, as devices or as siblings.",
                           iommu_set_format(devices, text, sizeof text),
                           iommu_set_format(&missing, named, sizeof named));
}

int grant_set_close(const DeviceTable *t, IommuSet *devices, Failure *f) {
        IommuSet closure;

        assert(t);
        assert(devices);
        assert(f);

        if (check_there(t, devices, f) < 0)
                return -EREMOTEIO;
        if (make_closure(t, devices, &closure) < 0)
                return failure_set(
                                f, FAILURE_LIMITS_EXCEEDED,
                                "With all that share their IOMMU sets these are more than %u devices; name "
                                "fewer in one call.",
                                DEVICES_PER_CALL_MAX);

        *devices = closure;
        return 0;
}

int grant_set_check(const DeviceTable *t, bool whole_sets, IommuSet *devices, const IommuSet *siblings,
                    Failure *f) {
        IommuSet closure;
        int r;

        assert(t);
        assert(devices);
        assert(siblings);
        assert(f);

        if ((r = check_there(t, devices, f)) < 0 || (r = check_there(t, siblings, f)) < 0)
                return r;
        if (!whole_sets)
                return 0;

        if ((r = check_no_bridge(t, devices, f)) < 0)
                return r;
        closure = *devices;
        if ((r = grant_set_close(t, &closure, f)) < 0 ||
            (r = check_siblings(t, &closure, siblings, f)) < 0 ||
            (r = check_complete(&closure, devices, siblings, f)) < 0)
                return r;

        *devices = closure;
        return 0;
}

#define COMMAND_SIZE 2048

/* Cut it would be a call of something else. */
static int refuse_root(const char *command, int length, const char *verb, Failure *f) {
        if (length >= COMMAND_SIZE || (size_t)length + sizeof ROOT_INTRODUCTION > sizeof f->sentence)
                return failure_set(
                                f, FAILURE_NOT_AUTHORIZED,
                                "Root asks the privileged helper itself: the method %s of " HELPER_INTERFACE
                                " takes these arguments, too many to be shown here; see 'busctl "
                                "introspect " HELPER_NAME " " HELPER_PATH "'.",
                                verb);
        return failure_set(f, FAILURE_NOT_AUTHORIZED, ROOT_INTRODUCTION "%s", command);
}

static void list_members(const IommuSet *devices, char *buf, size_t size) {
        char address[PCI_ADDRESS_SIZE];
        size_t used = 0;

        buf[0] = '\0';
        for (size_t i = 0; i < devices->n_members; i++)
                used += (size_t)snprintf(buf + used, size - used, " %s",
                                         pci_address_format(&devices->members[i], address));
}

int grant_set_refuse_root_vfs(const IommuSet *devices, Failure *f) {
        char members[DEVICES_PER_CALL_MAX * PCI_ADDRESS_SIZE + 1], command[COMMAND_SIZE];
        int n;

        assert(devices);
        assert(f);

        list_members(devices, members, sizeof members);
        n = snprintf(command, sizeof command,
                     "busctl call " HELPER_NAME " " HELPER_PATH " " HELPER_INTERFACE
                     " GrantVfs asbs %zu%s false \"\"",
                     devices->n_members, members);
        return refuse_root(command, n, "GrantVfs", f);
}

int grant_set_refuse_root(bool grant, const IommuSet *devices, uint32_t consent, bool release,
                          uint32_t confirm, Failure *f) {
        char members[DEVICES_PER_CALL_MAX * PCI_ADDRESS_SIZE + 1];
        char reasons[256] = "", command[COMMAND_SIZE], tail[32];
        size_t used;
        int n;

        assert(devices);
        assert(f);

        list_members(devices, members, sizeof members);
        used = (size_t)snprintf(reasons, sizeof reasons, " %d", __builtin_popcount(consent));
        for (int i = 0; i < CRITICAL_REASON_MAX && used < sizeof reasons; i++)
                if (consent & 1U << i)
                        used += (size_t)snprintf(reasons + used, sizeof reasons - used, " %s",
                                                 critical_reason_to_string((CriticalReason)i));

        if (grant)
                (void)snprintf(tail, sizeof tail, "%s %u", confirm > 0 ? "true" : "false", confirm);
        else
                (void)snprintf(tail, sizeof tail, "%s", release ? "true" : "false");

        n = snprintf(command, sizeof command,
                     "busctl call " HELPER_NAME " " HELPER_PATH " " HELPER_INTERFACE " %s %zu%s%s %s \"\"",
                     grant ? "Grant asasbus" : "Revoke asbs", devices->n_members, members,
                     grant ? reasons : "", tail);
        return refuse_root(command, n, grant ? "Grant" : "Revoke", f);
}

int grant_set_refuse_root_ids(bool grant, const char *const *ids, size_t n_ids, Failure *f) {
        char list[SELECTORS_PER_CALL_MAX * ID_SELECTOR_SIZE + 1] = "", command[COMMAND_SIZE];
        const char *verb = grant ? "GrantIds" : "RevokeIds";
        size_t used = 0;
        int n;

        assert(ids);
        assert(f);

        for (size_t i = 0; i < n_ids && used < sizeof list; i++)
                used += (size_t)snprintf(list + used, sizeof list - used, " %.19s", ids[i]);
        n = snprintf(command, sizeof command,
                     "busctl call " HELPER_NAME " " HELPER_PATH " " HELPER_INTERFACE " %s ass %zu%s \"\"",
                     verb, n_ids, list);
        return refuse_root(command, n, verb, f);
}
