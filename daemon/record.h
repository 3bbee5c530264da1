/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The orders that outlive the service: resource groups and their rules, as they are stored, exported and edited.
 * Plain data with its limits; what follows from it is the registry's (registry.h). A `const` record may borrow its
 * texts; one that is handed over owns them.
 */

#include "sriov-settings.h"

#define RECORD_ID_SIZE 37U           /* a UUID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8" */
#define RECORD_NAME_MAX 256U         /* bytes of UTF-8 without control characters, at least one */
#define RECORD_DESCRIPTION_MAX 2048U /* the same, also empty and with line breaks */
#define RECORD_NODE_MAX 255U
#define GROUP_QUOTA_MAX 65535U
#define GROUPS_MAX 1000U
#define RULES_MAX 10000U

typedef enum GroupType {
        GROUP_TYPE_PCI,       /* of devices, as filters find them */
        GROUP_TYPE_SRIOV_NIC, /* of virtual functions of network cards, which the group asks for */
        GROUP_TYPE_MAX,
        GROUP_TYPE_INVALID = -EINVAL,
} GroupType;

DECLARE_STRING_TABLE(group_type, GroupType); /* "pci", "sriov-nic" */

typedef enum GroupBinding {
        GROUP_BINDING_ON_CLAIM,   /* at the host until a VM starts */
        GROUP_BINDING_PERSISTENT, /* on vfio-pci from boot */
        GROUP_BINDING_MAX,
        GROUP_BINDING_INVALID = -EINVAL,
} GroupBinding;

DECLARE_STRING_TABLE(group_binding, GroupBinding); /* "on-claim", "persistent" */

/* Only an icon; and the words of the filter field device_type. */
typedef enum GroupClass {
        GROUP_CLASS_UNKNOWN,
        GROUP_CLASS_GPU,
        GROUP_CLASS_VGPU,
        GROUP_CLASS_STORAGE,
        GROUP_CLASS_HID,
        GROUP_CLASS_USB,
        GROUP_CLASS_NETWORK,
        GROUP_CLASS_MEDIA,
        GROUP_CLASS_AUDIO,
        GROUP_CLASS_FPGA,
        GROUP_CLASS_PCI,
        GROUP_CLASS_MAX,
        GROUP_CLASS_INVALID = -EINVAL,
} GroupClass;

DECLARE_STRING_TABLE(group_class, GroupClass);

/* The class that fits a PCI class code (24 bits); GROUP_CLASS_PCI for what has no word of its own. */
GroupClass group_class_of(uint32_t class_code) _const_;

typedef struct GroupRecord {
        char id[RECORD_ID_SIZE];
        char *name;     /* unique among groups */
        GroupType type; /* never changes */
        char *description;
        GroupClass class;
        bool enabled;
        GroupBinding binding;
        uint32_t quota; /* devices that one user may have of it at once; 0: no limit; 0..GROUP_QUOTA_MAX */
        SriovSettings sriov;        /* of GROUP_TYPE_SRIOV_NIC; else all 0 */
        uint64_t created, modified; /* microseconds since the epoch */
} GroupRecord;

typedef struct RuleRecord {
        char id[RECORD_ID_SIZE], group[RECORD_ID_SIZE];
        uint64_t age; /* 1, 2, ...: given once, never again; the lower is the older rule */
        char *name;   /* unique in its group */
        char *node;   /* "": all nodes */
        char *filter; /* canonical */
        bool enabled, auto_created;
        uint64_t created, modified;
} RuleRecord;

void group_record_clear(GroupRecord *g); /* frees the texts */
void rule_record_clear(RuleRecord *r);
int group_record_copy(const GroupRecord *g, GroupRecord *ret); /* -ENOMEM */
int rule_record_copy(const RuleRecord *r, RuleRecord *ret);

/* Do they say the same? Ids, times, age and how a rule came to be are not asked. */
bool group_record_same(const GroupRecord *a, const GroupRecord *b) _pure_;
bool rule_record_same(const RuleRecord *a, const RuleRecord *b) _pure_;

/* Checks form and lengths, not uniqueness; -EREMOTEIO with a sentence (InvalidArgument) that names what is wrong. The
 * rule's filter is parsed and replaced by its canonical text, so `r` must own its texts. */
int group_record_check(const GroupRecord *g, Failure *f);
int rule_record_check(RuleRecord *r, Failure *f);

/* Does the rule, which has been checked, suit a group of this type? One of GROUP_TYPE_SRIOV_NIC must demand one
 * physical function, at the top of its filter: it is what the group's number of functions is asked of.
 * InvalidArgument. */
int rule_record_check_type(const RuleRecord *r, GroupType type, Failure *f);

bool record_id_is_valid(const char *id) _pure_;

/* What a text must be, and what its sentences call it: "The description of group 'x'". */
typedef struct RecordText {
        const char *what, *kind; /* "description", "group" */
        size_t max;
        bool may_be_empty, may_break_lines;
} RecordText;

/* For the checks of records; `owner` is the name of what the text or id belongs to. */
int record_check_text(const RecordText *t, const char *text, const char *owner, Failure *f);
int record_check_id(const char *what, const char *id, const char *kind, const char *owner, Failure *f);
