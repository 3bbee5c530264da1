/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry-state.h"

static const char *const group_property_table[GROUP_PROPERTY_MAX] = {
                [GROUP_PROPERTY_NAME] = "Name",           [GROUP_PROPERTY_DESCRIPTION] = "Description",
                [GROUP_PROPERTY_CLASS] = "Class",         [GROUP_PROPERTY_ENABLED] = "Enabled",
                [GROUP_PROPERTY_BINDING] = "Binding",     [GROUP_PROPERTY_RULES] = "Rules",
                [GROUP_PROPERTY_DEVICES] = "Devices",     [GROUP_PROPERTY_TOTAL] = "Total",
                [GROUP_PROPERTY_AVAILABLE] = "Available", [GROUP_PROPERTY_NEEDS_APPROVAL] = "NeedsApproval",
                [GROUP_PROPERTY_MODIFIED] = "Modified",   [GROUP_PROPERTY_QUOTA] = "Quota",
                [GROUP_PROPERTY_SRIOV] = "Sriov",         [GROUP_PROPERTY_CLAIMS] = "Claims",
};

DEFINE_STRING_TABLE(group_property, GroupProperty, GROUP_PROPERTY_MAX);

static const char *const rule_property_table[RULE_PROPERTY_MAX] = {
                [RULE_PROPERTY_NAME] = "Name",         [RULE_PROPERTY_NODE] = "Node",
                [RULE_PROPERTY_FILTER] = "Filter",     [RULE_PROPERTY_ENABLED] = "Enabled",
                [RULE_PROPERTY_DEVICES] = "Devices",   [RULE_PROPERTY_OVERLAPS] = "Overlaps",
                [RULE_PROPERTY_MODIFIED] = "Modified",
};

DEFINE_STRING_TABLE(rule_property, RuleProperty, RULE_PROPERTY_MAX);

static void touch(Registry *r) {
        if (r->is_touched)
                return;

        r->is_touched = true;
        if (r->config.touched)
                r->config.touched(r->config.userdata);
}

void registry_mark_group(Registry *r, Group *g, uint32_t mask) {
        if (mask == 0)
                return;

        g->changed |= mask;
        if (!g->is_listed) {
                g->is_listed = true;
                g->next_changed = r->changed_groups;
                r->changed_groups = g;
        }
        touch(r);
}

void registry_mark_rule(Registry *r, Rule *rule, uint32_t mask) {
        if (mask == 0)
                return;

        rule->changed |= mask;
        if (!rule->is_listed) {
                rule->is_listed = true;
                rule->next_changed = r->changed_rules;
                r->changed_rules = rule;
        }
        touch(r);
}

/* What is marked while the others are told is told, too, or at the next flush. */
void registry_flush(Registry *r, const RegistrySink *sink, void *userdata) {
        uint32_t mask;
        Group *g;
        Rule *rule;

        assert(r);
        assert(sink);

        r->is_touched = false;
        while ((g = r->changed_groups)) {
                r->changed_groups = g->next_changed;
                g->is_listed = false;
                mask = g->changed;
                g->changed = 0;
                if (mask != 0)
                        sink->group(g, mask, userdata);
        }
        while ((rule = r->changed_rules)) {
                r->changed_rules = rule->next_changed;
                rule->is_listed = false;
                mask = rule->changed;
                rule->changed = 0;
                if (mask != 0)
                        sink->rule(rule, mask, userdata);
        }
}

void registry_defer(Registry *r) {
        assert(r);

        r->is_deferred = true;
}

Group *registry_group_of(const Device *d) {
        assert(d);

        return d->n_rules > 0 ? d->rules[0]->group : NULL;
}

bool registry_next_overlap(const Rule *rule, size_t *at, Device **ret_device, Rule **ret_other) {
        size_t i, k;
        Device *d;

        assert(rule);
        assert(at);
        assert(ret_device);
        assert(ret_other);

        /* *at is both: the device, and where we are in its rules. */
        for (i = *at / RULES_MAX, k = *at % RULES_MAX; i < rule->n_devices; i++, k = 0)
                for (d = rule->devices[i]; k < d->n_rules; k++)
                        if (d->rules[k]->group != rule->group) {
                                *at = k + 1 < d->n_rules ? i * RULES_MAX + k + 1 : (i + 1) * RULES_MAX;
                                *ret_device = d;
                                *ret_other = d->rules[k];
                                return true;
                        }
        return false;
}

static bool is_available(const Device *d) {
        return d->granted && !d->claim && !d->quarantine &&
               (d->state == DEVICE_POOL ||
                (d->state == DEVICE_HOST && (d->eligible || (d->consent && device_is_spared(d)))));
}

uint32_t registry_count_available(const Group *g) {
        uint32_t n = 0;

        assert(g);

        for (size_t i = 0; i < g->n_devices && g->record.enabled; i++)
                n += is_available(g->devices[i]);
        return n;
}

bool registry_needs_approval(const Device *d) {
        assert(d);

        return d->n_rules > 0 && !d->granted;
}

void registry_device_changed(Registry *r, const Device *d) {
        Group *g = registry_group_of(d);

        assert(r);

        if (g)
                registry_mark_group(r, g,
                                    1U << GROUP_PROPERTY_AVAILABLE | 1U << GROUP_PROPERTY_NEEDS_APPROVAL);
}

void registry_group_claimed(Registry *r, Group *g) {
        assert(r);
        assert(g);

        registry_mark_group(r, g, 1U << GROUP_PROPERTY_CLAIMS);
}
