/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confirm.h"
#include "grant-set.h"
#include "make-vfs.h"
#include "operation.h"
#include "order-book.h"
#include "wanted.h"

bool make_is_of_vfs(const Manager *m, const Make *data) {
        const MakeRequest *q = &data->request;
        const Group *g;

        if (q->has_count)
                return true;
        g = registry_find_group_name(m->registry, q->group_name);
        return g ? g->record.type == GROUP_TYPE_SRIOV_NIC
                 : q->type && streq(q->type, group_type_to_string(GROUP_TYPE_SRIOV_NIC));
}

/* How many each is to get. */
static uint32_t count_of(const Manager *m, const MakeRequest *q) {
        const Group *g = q->has_count ? NULL : registry_find_group_name(m->registry, q->group_name);

        if (q->has_count)
                return q->count;
        return g ? g->record.sriov.vfs : q->group.sriov.has_vfs ? q->group.sriov.vfs : 0;
}

static int check_options(const MakeRequest *q, Failure *f) {
        const char *option = NULL;

        if (q->has_confirm)
                option = "confirm-seconds";
        else if (q->siblings.n_members > 0)
                option = "siblings";
        else if (q->consent != 0)
                option = "consent";
        if (!option)
                return 0;
        return failure_set(
                        f, FAILURE_INVALID_ARGUMENT,
                        "The option \"%s\" is for devices that leave the host; those of a group of the type "
                        "\"sriov-nic\" stay there themselves, so leave the option out.",
                        option);
}

static int check_kind(const Device *d, bool is_network, Failure *f) {
        const Device *pf = d->facts.is_virtual ? device_table_find(d->table, &d->facts.physical_function)
                                               : NULL;

        if (d->facts.is_virtual)
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "Device %s is a virtual function; name its physical function %s, which has "
                                "them made.",
                                d->address, pf ? pf->address : "instead");
        if (d->facts.sriov_total_vfs == 0)
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "Device %s cannot have virtual functions: it has no SR-IOV, or the firmware "
                                "has switched it off; name a device whose SriovTotalVfs is not 0.",
                                d->address);
        if (is_network && !device_is_network(d))
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "Device %s is no network card, and a group of the type \"sriov-nic\" has "
                                   "settings of the network; call SetVfCount for it, and put its virtual "
                                   "functions into a group of the type \"pci\".",
                                   d->address);
        return 0;
}

static int check_count(const Device *d, uint32_t count, Failure *f) {
        uint32_t most = d->facts.sriov_total_vfs < VFS_MAX ? d->facts.sriov_total_vfs : VFS_MAX;

        if (count <= most)
                return 0;
        return failure_set(
                        f, FAILURE_INVALID_ARGUMENT,
                        "Device %s cannot have %u virtual functions: it can have %u at most; ask for fewer.",
                        d->address, count, most);
}

/* Who stays is driven, by the driver that is to make them. */
static int check_stays(const Device *d, Failure *f) {
        if (d->granted || (d->has_grant && !d->vfs_granted) || streq(d->facts.driver, VFIO_DRIVER))
                return failure_set(f, FAILURE_ORDERED,
                                   "Device %s itself may leave the host; then its virtual functions cannot, "
                                   "which it makes with its host driver. Call ReturnToHost for it first.",
                                   d->address);
        if (!d->facts.driver[0])
                return failure_set(f, FAILURE_DRIVER,
                                   "Device %s cannot get virtual functions: no driver of the host has it, "
                                   "which "
                                   "would make them; load its driver and try again.",
                                   d->address);
        return 0;
}

/* Of those that have no consent yet: to undo it all would take them from whoever has put them there. */
static int check_not_out(const Manager *m, const Device *pf, Failure *f) {
        const Device *vf;
        size_t at = 0;

        while ((vf = device_table_next_vf(&m->devices, pf, &at)))
                if (streq(vf->facts.driver, VFIO_DRIVER))
                        return failure_set(f, FAILURE_IN_USE,
                                           "Device %s, a virtual function of %s, is on vfio-pci, where "
                                           "somebody else has put it; have that given back to the host, and "
                                           "try again.",
                                           vf->address, pf->address);
        return 0;
}

static int check_device(const Manager *m, const Make *data, const Device *d, Failure *f) {
        const MakeRequest *q = &data->request;
        uint32_t count = count_of(m, q);
        const Rule *rule;

        if (check_kind(d, !q->has_count, f) < 0 || check_count(d, count, f) < 0 || check_stays(d, f) < 0)
                return -EREMOTEIO;
        if (m->platform.disabled && count > 0)
                return failure_set(f, FAILURE_NOT_AUTHORIZED, DEVICE_DISABLED_SENTENCE, d->address);
        if (!q->has_count)
                return 0;

        rule = wanted_rule_of_vfs(m->registry, d);
        if (rule)
                return failure_set(
                                f, FAILURE_ORDERED,
                                "The number of virtual functions of device %s is that of the group "
                                "\"%.200s\"; change it there, with the option \"sriov\" of Update, or call "
                                "ReturnToHost for the device.",
                                d->address, rule->group->record.name);
        if (count == 0 && !d->vfs_granted)
                return failure_set(
                                f, FAILURE_NOT_GRANTED,
                                "Device %s has no virtual functions of this service that could be removed: "
                                "no administrator has granted any.",
                                d->address);
        return 0;
}

int make_check_vfs_member(const Manager *m, const Device *pf, const char *group, Failure *f) {
        const Rule *rule = wanted_rule_of_vfs(m->registry, pf);
        const Device *vf;
        size_t at = 0;

        if (rule && !streq(rule->group->record.name, group))
                return failure_set(
                                f, FAILURE_ORDERED,
                                "The virtual functions of device %s belong to the group \"%.200s\" already "
                                "by "
                                "the rule \"%.200s\"; take that group, or call ReturnToHost for the device "
                                "first.",
                                pf->address, rule->group->record.name, rule->record.name);
        while ((vf = device_table_next_vf(&m->devices, pf, &at))) {
                const Group *has = registry_group_of(vf);

                if (has && !streq(has->record.name, group))
                        return failure_set(f, FAILURE_ORDERED,
                                           "Device %s, a virtual function of %s, belongs to the group "
                                           "\"%.200s\" "
                                           "already by the rule \"%.200s\"; take that group, or narrow that "
                                           "rule "
                                           "first.",
                                           vf->address, pf->address, has->record.name,
                                           vf->rules[0]->record.name);
        }
        return 0;
}

static int check_devices(const Manager *m, Make *data, Failure *f) {
        const IommuSet *devices = &data->request.devices;
        char address[PCI_ADDRESS_SIZE];
        const Device *d;

        data->fresh = (IommuSet){0};
        for (size_t i = 0; i < devices->n_members; i++) {
                d = device_table_find(&m->devices, &devices->members[i]);
                if (!d)
                        return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                           "Device %s is not there any more; list the devices again.",
                                           pci_address_format(&devices->members[i], address));
                if (check_device(m, data, d, f) < 0)
                        return -EREMOTEIO;
                if (d->vfs_granted && !d->grant_pending)
                        continue;
                if (check_not_out(m, d, f) < 0)
                        return -EREMOTEIO;
                (void)iommu_set_add(&data->fresh, &devices->members[i]);
        }
        return 0;
}

int make_check_vfs(const Call *c, Make *data, Failure *f) {
        const Manager *m = c->manager;

        data->movers = data->request.devices;
        if (check_options(&data->request, f) < 0 || make_check_identities(m, data, f) < 0 ||
            (!data->request.has_count && make_check_group(m, data, f) < 0) ||
            check_devices(m, data, f) < 0 || transactions_check_free(m, &data->movers, f) < 0 ||
            (!data->request.has_count && make_check_members(m, data->request.group_name, data, f) < 0))
                return -EREMOTEIO;
        if (data->fresh.n_members > 0 && c->uid == 0)
                return grant_set_refuse_root_vfs(&data->fresh, f);
        return 0;
}

static void on_step(Transaction *t, const Failure *failure, transaction_step_t then) {
        if (failure)
                (void)failure_set(&t->cause, failure->kind, "%s", failure->sentence);
        t->unsure |= failure && failure->kind == FAILURE_HELPER; /* a worker may be at it yet */
        if (--t->n_waiting > 0)
                return;
        if (t->cause.kind != FAILURE_NONE)
                transaction_undo(t, NULL);
        else
                then(t);
}

static void on_tried(const Failure *failure, void *userdata) {
        Transaction *t = userdata;

        on_step(t, failure, t->take_up);
}

/* The lowest is the first that there is. */
static const Device *find_first(const Manager *m, const PciAddress *pf) {
        const Device *d = device_table_find(&m->devices, pf), *vf, *first = NULL;
        size_t at = 0;

        while (d && (vf = device_table_next_vf(&m->devices, d, &at)))
                if (!first || vf->facts.vf_index < first->facts.vf_index)
                        first = vf;
        return first;
}

/* Every driver can do what a new function is by itself. */
static bool is_worth_trying(const Group *g) {
        return !vf_settings_same(&g->record.sriov.vf, &sriov_settings_default.vf);
}

/* Its driver may know only some of the settings, and that is to be said now and not to the first VM. The address is a
 * claim's. */
static void try_settings(Transaction *t) {
        Manager *m = t->manager;
        const Group *g = registry_find_group(m->registry, t->group);
        char address[PCI_ADDRESS_SIZE];
        const Device *vf;
        VfSettings v;

        t->n_waiting = 1;
        for (size_t i = 0; g && i < t->named.n_members; i++) {
                OperationRequest q = {.verb = HELPER_SET_VF, .settings = &v};

                v = g->record.sriov.vf;
                vf = find_first(m, &t->named.members[i]);
                if (!vf) {
                        (void)failure_set(&t->cause, FAILURE_DRIVER,
                                          "The virtual functions of device %s were made, and are not there; "
                                          "see "
                                          "'journalctl -k' for what its driver says.",
                                          pci_address_format(&t->named.members[i], address));
                        break;
                }
                if (!is_worth_trying(g))
                        continue;
                q.device = *device_address(vf);
                if (operation_start(m, &q, on_tried, t, &t->cause) < 0)
                        break;
                t->n_waiting++;
        }
        on_tried(NULL, t);
}

static void on_made(const Failure *failure, void *userdata) {
        on_step(userdata, failure, try_settings);
}

/* All at once: they are of different devices. */
void make_vfs(Transaction *t, transaction_step_t then) {
        const Group *g = registry_find_group(t->manager->registry, t->group);

        t->take_up = then;
        t->n_waiting = 1;
        for (size_t i = 0; i < t->named.n_members; i++) {
                OperationRequest q = {.verb = HELPER_SET_VFS,
                                      .device = t->named.members[i],
                                      .count = g ? g->record.sriov.vfs : t->vfs};

                q.bind = g && g->record.enabled && g->record.binding == GROUP_BINDING_PERSISTENT;
                if (operation_start(t->manager, &q, on_made, t, &t->cause) < 0)
                        break;
                t->n_waiting++;
        }
        on_made(NULL, t);
}
