/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "make-plan.h"
#include "make-vfs.h"
#include "order-book.h"
#include "wanted.h"

int make_check_identities(const Manager *m, const Make *data, Failure *f) {
        const IommuSet *devices = &data->request.devices;
        char address[PCI_ADDRESS_SIZE];
        const Device *d;

        for (size_t i = 0; i < devices->n_members; i++) {
                d = device_table_find(&m->devices, &devices->members[i]);
                if (d && !pci_identity_same(&data->identities[i], &d->facts.identity))
                        return failure_set(f, FAILURE_IDENTITY_CHANGED,
                                           "Another device is at %s now; list the devices again.",
                                           pci_address_format(&devices->members[i], address));
        }
        return 0;
}

void make_find_fresh(const Manager *m, const IommuSet *movers, IommuSet *ret) {
        const Device *d;

        *ret = (IommuSet){0};
        for (size_t i = 0; i < movers->n_members; i++) {
                d = device_table_find(&m->devices, &movers->members[i]);
                if (!d || (d->granted && !d->grant_pending)) /* that one does not last */
                        continue;
                (void)iommu_set_add(ret, &movers->members[i]);
                for (size_t k = 0; k < d->facts.set.n_members; k++)
                        if (iommu_set_contains(movers, &d->facts.set.members[k]))
                                (void)iommu_set_add(ret, &d->facts.set.members[k]);
        }
}

/* What is said about a group that exists must be so: it is picked, not changed. */
static int check_picked(const Group *g, const MakeRequest *q, Failure *f) {
        const OrderPatch *patch = &q->group;
        SriovSettings sriov = g->record.sriov;
        const char *what = NULL;

        if (patch->has_sriov)
                sriov_settings_apply(&sriov, &patch->sriov);
        if (q->type && !streq(q->type, group_type_to_string(g->record.type)))
                what = "type";
        else if (patch->class && !streq(patch->class, group_class_to_string(g->record.class)))
                what = "class";
        else if (patch->binding && !streq(patch->binding, group_binding_to_string(g->record.binding)))
                what = "binding";
        else if (patch->description && !streq(patch->description, g->record.description))
                what = "description";
        else if (!sriov_settings_same(&sriov, &g->record.sriov))
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The group \"%.200s\" exists and has other settings of virtual "
                                   "functions; leave them out, or Update the group first.",
                                   g->record.name);
        if (!what)
                return 0;
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The group \"%.200s\" exists and has another %s; leave the option out, or Update "
                           "the group first.",
                           g->record.name, what);
}

static const char *type_of(const MakeRequest *q) {
        return q->type ? q->type : group_type_to_string(GROUP_TYPE_PCI);
}

int make_check_group(const Manager *m, const Make *data, Failure *f) {
        const MakeRequest *q = &data->request;
        Group *g = registry_find_group_name(m->registry, q->group_name);
        OrderPlan plan = {0};
        OrderStamp stamp;
        int r;

        if (g)
                return check_picked(g, q, f);
        if (order_book_stamp(&stamp) < 0)
                return failure_set(f, FAILURE_INTERNAL,
                                   "Nothing was changed: there is no randomness; try again.");
        r = order_plan_create_group(&plan, m->registry, &stamp, q->group_name, type_of(q), &q->group, f);
        order_plan_clear(&plan);
        return r;
}

/* Its oldest rule decides, so a new one could not bring it here. */
static int check_member(const Device *d, const char *group, Failure *f) {
        const Rule *own = rule_made_for(d), *oldest = d->n_rules > 0 ? d->rules[0] : NULL;

        if (own && !streq(own->group->record.name, group))
                return failure_set(f, FAILURE_ORDERED,
                                   "Device %s was made passthrough in the group \"%.200s\" already; "
                                   "call ReturnToHost for it first.",
                                   d->address, own->group->record.name);
        if (oldest && !streq(oldest->group->record.name, group))
                return failure_set(
                                f, FAILURE_ORDERED,
                                "Device %s belongs to the group \"%.200s\" already by the rule \"%.200s\"; "
                                "take that group, or narrow that rule first.",
                                d->address, oldest->group->record.name, oldest->record.name);
        return 0;
}

int make_check_members(const Manager *m, const char *group, const Make *data, Failure *f) {
        const IommuSet *devices = &data->request.devices;
        bool of_vfs = make_is_of_vfs(m, data);
        const Device *d;

        for (size_t i = 0; i < devices->n_members; i++) {
                d = device_table_find(&m->devices, &devices->members[i]);
                if (d && (of_vfs ? make_check_vfs_member(m, d, group, f) : check_member(d, group, f)) < 0)
                        return -EREMOTEIO;
        }
        return 0;
}

/* It belongs to this device, at this place, of this make. Whoever wants it wider edits it. Or it is all of the virtual
 * functions of this one. */
static void write_filter(const Device *d, bool of_vfs, char *buf, size_t size) {
        const PciIdentity *i = &d->facts.identity;
        char quoted[2 * PCI_SERIAL_SIZE];
        size_t n, k = 0;

        if (of_vfs) {
                (void)snprintf(buf, size, "physical_function eq '%s'", d->address);
                return;
        }
        n = (size_t)snprintf(buf, size,
                             "address eq '%s' and vendor_device_hex eq '%04x:%04x' and subsystem_hex eq "
                             "'%04x:%04x'",
                             d->address, i->vendor, i->device, i->subsystem_vendor, i->subsystem_device);
        for (const char *s = d->serial; *s && k + 2 < sizeof quoted; s++) {
                if (*s == '\'')
                        quoted[k++] = '\'';
                quoted[k++] = *s;
        }
        quoted[k] = '\0';
        if (k > 0)
                (void)snprintf(buf + n, size - n, " and serial eq '%s'", quoted);
}

const Rule *make_rule_of(const Transaction *t, const Device *d) {
        return t->of_vfs ? wanted_rule_of_vfs(t->manager->registry, d) : rule_made_for(d);
}

static int plan_rule(Transaction *t, OrderPlan *p, const Group *g, const Device *d, size_t n, Failure *f) {
        Manager *m = t->manager;
        char filter[512], name[PCI_ADDRESS_SIZE + 200];
        OrderPatch patch = {.filter = filter, .node = m->node_name};
        OrderStamp stamp;
        int r;

        r = order_book_stamp(&stamp);
        if (r < 0)
                return r;
        (void)snprintf(stamp.id, sizeof stamp.id, "%s", t->rules[n]);
        stamp.age = order_book_next_age(m);
        write_filter(d, t->of_vfs, filter, sizeof filter);

        /* A rule of that name may be left of a device that was there before. */
        (void)snprintf(name, sizeof name, "%s", d->address);
        if (g && registry_find_rule_name(m->registry, g, name))
                (void)snprintf(name, sizeof name, "%s %.8s", d->address, stamp.id);
        return order_plan_create_rule(p, m->registry, &stamp, g, t->group, name, true, &patch, f);
}

static int plan_group(Transaction *t, OrderPlan *p, const Make *data, Failure *f) {
        Manager *m = t->manager;
        OrderStamp stamp;
        int r;

        r = order_book_stamp(&stamp);
        if (r < 0)
                return r;
        (void)snprintf(stamp.id, sizeof stamp.id, "%s", t->group);
        return order_plan_create_group(p, m->registry, &stamp, data->request.group_name,
                                       type_of(&data->request), &data->request.group, f);
}

/* By its id, since its name may have been changed meanwhile; or somebody else has made it first. */
static int find_group(Transaction *t, Make *data, const Group **ret, Failure *f) {
        const Registry *r = t->manager->registry;
        const Group *g = t->makes_group ? registry_find_group_name(r, data->request.group_name)
                                        : registry_find_group(r, t->group);

        if (!g && !t->makes_group)
                return failure_set(f, FAILURE_CONFLICT,
                                   "The group \"%.200s\" was deleted meanwhile; try again.",
                                   data->request.group_name);
        if (g && t->makes_group) {
                if (check_picked(g, &data->request, f) < 0)
                        return -EREMOTEIO;
                t->makes_group = false;
                (void)snprintf(t->group, sizeof t->group, "%s", g->record.id);
        }
        *ret = g;
        return 0;
}

/* Between the prompt and here all may have changed. */
int make_plan(Manager *m, OrderPlan *p, void *userdata, Failure *f) {
        Transaction *t = userdata;
        Make *data = t->call->data;
        const Group *g = NULL;
        const Device *d;
        size_t n = 0;
        int r = 0;

        if (data->request.has_count)
                return make_check_identities(m, data, f);
        if (make_check_identities(m, data, f) < 0 || find_group(t, data, &g, f) < 0 ||
            make_check_members(m, g ? g->record.name : data->request.group_name, data, f) < 0)
                return -EREMOTEIO;
        if (!g && (r = plan_group(t, p, data, f)) < 0)
                return r;

        for (size_t i = 0; i < t->named.n_members && r >= 0; i++) {
                d = device_table_find(&m->devices, &t->named.members[i]);
                if (!d)
                        return failure_set(f, FAILURE_NO_SUCH_DEVICE,
                                           "A device was unplugged meanwhile; list the devices again.");
                if (!make_rule_of(t, d))
                        r = plan_rule(t, p, g, d, n++, f);
        }
        return r;
}
