/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Groups and rules at work: which rule matches which device, and so which group a device belongs to. Kept up to date
 * by increments: a device that came, left or changed is matched against the rules; a rule that was put, changed or
 * removed against the devices. A full recomputation gives the same; a test says so.
 *
 * An enabled rule matches the devices of its node (or of all nodes) that its filter matches. A device belongs to the
 * group of its oldest matching rule; with rules of other groups it overlaps, and both rules show it. Whether a group
 * is enabled does not change who belongs to it.
 *
 * Pure. The registry owns groups and rules; devices are the table's.
 */

#include "device-table.h"
#include "filter.h"
#include "record.h"

typedef struct Registry Registry;

/* The changing properties of a group; the words are their D-Bus names. */
typedef enum GroupProperty {
        GROUP_PROPERTY_NAME,
        GROUP_PROPERTY_DESCRIPTION,
        GROUP_PROPERTY_CLASS,
        GROUP_PROPERTY_ENABLED,
        GROUP_PROPERTY_BINDING,
        GROUP_PROPERTY_QUOTA,
        GROUP_PROPERTY_SRIOV,
        GROUP_PROPERTY_RULES,
        GROUP_PROPERTY_DEVICES,
        GROUP_PROPERTY_TOTAL,
        GROUP_PROPERTY_AVAILABLE,
        GROUP_PROPERTY_NEEDS_APPROVAL,
        GROUP_PROPERTY_CLAIMS,
        GROUP_PROPERTY_MODIFIED,
        GROUP_PROPERTY_MAX,
        GROUP_PROPERTY_INVALID = -EINVAL,
} GroupProperty;

DECLARE_STRING_TABLE(group_property, GroupProperty); /* "Name", ..., "NeedsApproval", "Modified" */

typedef enum RuleProperty {
        RULE_PROPERTY_NAME,
        RULE_PROPERTY_NODE,
        RULE_PROPERTY_FILTER,
        RULE_PROPERTY_ENABLED,
        RULE_PROPERTY_DEVICES,
        RULE_PROPERTY_OVERLAPS,
        RULE_PROPERTY_MODIFIED,
        RULE_PROPERTY_MAX,
        RULE_PROPERTY_INVALID = -EINVAL,
} RuleProperty;

DECLARE_STRING_TABLE(rule_property, RuleProperty);

typedef struct Group {
        GroupRecord record;
        char *path;          /* of the D-Bus object: BUS_PATH_GROUPS "/" and the id with "_" for "-" */
        struct Rule **rules; /* oldest first */
        size_t n_rules;
        Device **devices; /* that belong to it, by address */
        size_t n_devices;
        uint32_t changed; /* bits 1 << GroupProperty */

        /* The registry's. */
        struct Rule **rules_by_name;
        size_t rules_allocated, by_name_allocated, devices_allocated;
        size_t n_matches; /* sum of its rules' n_devices */
        struct Group *next_changed;
        bool is_listed;
} Group;

typedef struct Rule {
        RuleRecord record;
        char *path;
        Group *group;
        Filter *filter;
        Device **devices; /* that it matches, by address */
        size_t n_devices;
        uint32_t changed; /* bits 1 << RuleProperty */

        /* The registry's. */
        size_t devices_allocated;
        struct RuleIndex *index; /* NULL: it is disabled, or for another node */
        FilterField key_field; /* the device must say key_text for it; FILTER_FIELD_INVALID: no such demand */
        const char *key_text;  /* the filter's */
        size_t key_hash;
        struct Rule *next_in_bucket, *next_changed;
        bool is_listed;
} Rule;

/* touched: something has changed since the last registry_flush() (called once until then). regrouped: the groups whose
 * rules match the device may be others now, or in another order. Both may be NULL; neither may call the registry. */
typedef struct RegistryConfig {
        const DeviceTable *devices;
        void (*touched)(void *userdata);
        void (*regrouped)(Device *d, void *userdata);
        void *userdata;
} RegistryConfig;

int registry_new(const RegistryConfig *config, Registry **ret);
Registry *registry_free(Registry *r);
DEFINE_CLEANUP(Registry *, registry_free);

/* Inserts, or replaces the one with this id; takes over the texts of *record when it succeeds (and leaves it empty).
 * The record has been checked. `new` tells which: a new one has no changes to report, who announces it reads all of it.
 * -EEXIST: another one has this name; -ENOENT: the rule's group is not there; -EINVAL: a rule's group and age never
 * change; -ENOMEM. In each of these cases nothing has changed. */
int registry_put_group(Registry *r, GroupRecord *record, Group **ret, bool *ret_new);
int registry_put_rule(Registry *r, RuleRecord *record, Rule **ret, bool *ret_new);
void registry_remove_group(Registry *r, Group *g); /* has no rules any more */
void registry_remove_rule(Registry *r, Rule *rule);

size_t registry_count_groups(const Registry *r);
size_t registry_count_rules(const Registry *r);
/* NULL terminated walks: *at starts at 0. Groups by name, rules oldest first. */
Group *registry_next_group(const Registry *r, size_t *at);
Rule *registry_next_rule(const Registry *r, size_t *at);

/* The object path of an id, which need not be there (yet). Returns buf. */
#define REGISTRY_PATH_SIZE (sizeof BUS_PATH_GROUPS + RECORD_ID_SIZE)
char *registry_path(const char *below, const char *id, char buf[static REGISTRY_PATH_SIZE]);

Group *registry_find_group(const Registry *r, const char *id);
Group *registry_find_group_name(const Registry *r, const char *name);
Group *registry_find_group_path(const Registry *r, const char *path);
Rule *registry_find_rule(const Registry *r, const char *id);
Rule *registry_find_rule_name(const Registry *r, const Group *g, const char *name);
Rule *registry_find_rule_path(const Registry *r, const char *path);

/* The device has come or changed: matches it anew. -ENOMEM: it stays in what it was. */
int registry_match_device(Registry *r, Device *d);
/* It leaves; before it is removed from the table. */
void registry_forget_device(Registry *r, Device *d);
/* Its state, grant or eligibility changed: counts of its group may have. */
void registry_device_changed(Registry *r, const Device *d);
/* A claim on the group was made or is gone: who reads Claims of it sees others now. */
void registry_group_claimed(Registry *r, Group *g);

Group *registry_group_of(const Device *d); /* NULL: none */
/* Does another group's rule match one of this rule's devices? *at starts at 0. */
bool registry_next_overlap(const Rule *rule, size_t *at, Device **ret_device, Rule **ret_other);

/* In an enabled group those that are granted, and in the pool or at the host and eligible. */
uint32_t registry_count_available(const Group *g);
bool registry_needs_approval(const Device *d); /* a member that no grant covers */

/* What a rule with this filter would match now. node: "" all. Calls f for each device by address; stops at non-zero. */
typedef int (*registry_preview_t)(Device *d, void *userdata);
int registry_preview(const Registry *r, const Filter *filter, const char *node, registry_preview_t f,
                     void *userdata);

/* Reports each group and rule that changed, once. */
typedef struct RegistrySink {
        void (*group)(Group *g, uint32_t mask, void *userdata);
        void (*rule)(Rule *rule, uint32_t mask, void *userdata);
} RegistrySink;
void registry_flush(Registry *r, const RegistrySink *sink, void *userdata);

/* Matches all devices against all rules, and much faster than one by one. -ENOMEM: some stay in what they were. */
int registry_rebuild(Registry *r);
/* For a bulk load, as at the start: rules that are put do not look for their devices until registry_rebuild(). What
 * they get then is a change of theirs. */
void registry_defer(Registry *r);
/* For a bulk removal: from the next registry_rebuild() on the rule matches nothing, and removing it costs little. */
void registry_retire_rule(Rule *rule);
