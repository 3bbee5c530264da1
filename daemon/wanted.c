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

static bool is_made_for(const Rule *rule, const char *address) {
        FilterField field;
        const char *text;

        return rule->record.auto_created && filter_requires(rule->filter, &field, &text) &&
               field == FILTER_ADDRESS && streq(text, address);
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
