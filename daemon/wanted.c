/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wanted.h"

static const Group *wanted_alone(const Device *d) {
        const Group *g = registry_group_of(d);

        return g && g->record.enabled && g->record.binding == GROUP_BINDING_PERSISTENT && d->granted ? g
                                                                                                     : NULL;
}

const Group *wanted_by(const DeviceTable *t, const Device *d) {
        const Group *g;
        const Device *p;

        assert(t);
        assert(d);

        g = wanted_alone(d);
        for (size_t i = 0; !g && i < d->facts.set.n_members; i++) {
                p = device_table_find(t, &d->facts.set.members[i]);
                if (p && !device_is_bridge(p))
                        g = wanted_alone(p);
        }
        return g;
}

static bool demands(const Rule *rule, FilterField field, const char *value) {
        FilterField key;
        const char *text;

        return filter_requires(rule->filter, &key, &text) && key == field && streq(text, value);
}

static bool is_made_for(const Rule *rule, const char *address) {
        return rule->record.auto_created &&
               demands(rule,
                       rule->group->record.type == GROUP_TYPE_SRIOV_NIC ? FILTER_PHYSICAL_FUNCTION
                                                                        : FILTER_ADDRESS,
                       address);
}

Rule *wanted_rule_of_vfs(const Registry *r, const Device *pf) {
        size_t at = 0;
        Rule *rule;

        assert(r);
        assert(pf);

        while ((rule = registry_next_rule(r, &at)))
                if (rule->group->record.type == GROUP_TYPE_SRIOV_NIC && rule->record.enabled &&
                    (!rule->record.node[0] || streq(rule->record.node, pf->table->node)) &&
                    demands(rule, FILTER_PHYSICAL_FUNCTION, pf->address))
                        return rule;
        return NULL;
}

VfsOrder wanted_vfs(const Registry *r, const Device *pf) {
        VfsOrder order = {.count = -1};
        const Rule *rule;

        assert(pf);

        if (pf->facts.is_virtual || pf->facts.sriov_total_vfs == 0)
                return order;
        rule = wanted_rule_of_vfs(r, pf);
        if (rule) {
                order.group = rule->group;
                order.count = (int32_t)rule->group->record.sriov.vfs;
                order.bind = rule->group->record.enabled &&
                             rule->group->record.binding == GROUP_BINDING_PERSISTENT;
        } else if (pf->vfs_granted)
                order.count = (int32_t)pf->vfs;
        return order;
}

Rule *rule_made_for(const Device *d) {
        assert(d);

        for (size_t i = 0; i < d->n_rules; i++)
                if (is_made_for(d->rules[i], d->address))
                        return d->rules[i];
        return NULL;
}

Rule *rule_next_made_for(const Registry *r, const char *address, size_t *at) {
        Rule *rule;

        while ((rule = registry_next_rule(r, at)) && !is_made_for(rule, address))
                ;
        return rule;
}
