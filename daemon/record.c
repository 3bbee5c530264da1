/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filter.h"
#include "pci-address.h"
#include "record.h"
#include "text.h"

static const char *const group_type_table[GROUP_TYPE_MAX] = {
                [GROUP_TYPE_PCI] = "pci",
                [GROUP_TYPE_SRIOV_NIC] = "sriov-nic",
};

DEFINE_STRING_TABLE(group_type, GroupType, GROUP_TYPE_MAX);

static const char *const group_binding_table[GROUP_BINDING_MAX] = {
                [GROUP_BINDING_ON_CLAIM] = "on-claim",
                [GROUP_BINDING_PERSISTENT] = "persistent",
};

DEFINE_STRING_TABLE(group_binding, GroupBinding, GROUP_BINDING_MAX);

static const char *const group_class_table[GROUP_CLASS_MAX] = {
                [GROUP_CLASS_UNKNOWN] = "unknown", [GROUP_CLASS_GPU] = "gpu",
                [GROUP_CLASS_VGPU] = "vgpu",       [GROUP_CLASS_STORAGE] = "storage",
                [GROUP_CLASS_HID] = "hid",         [GROUP_CLASS_USB] = "usb",
                [GROUP_CLASS_NETWORK] = "network", [GROUP_CLASS_MEDIA] = "media",
                [GROUP_CLASS_AUDIO] = "audio",     [GROUP_CLASS_FPGA] = "fpga",
                [GROUP_CLASS_PCI] = "pci",
};

DEFINE_STRING_TABLE(group_class, GroupClass, GROUP_CLASS_MAX);

/* PCI Code and ID Assignment Specification; the more exact of two comes first. No code says "vgpu": that word is the
 * administrator's. */
static const struct {
        uint16_t code, mask; /* base class and subclass */
        GroupClass class;
} class_codes[] = {
                {0x0001, 0xffff, GROUP_CLASS_GPU}, /* VGA from before there were classes */
                {0x0100, 0xff00, GROUP_CLASS_STORAGE},
                {0x0200, 0xff00, GROUP_CLASS_NETWORK},
                {0x0300, 0xff00, GROUP_CLASS_GPU},
                {0x0401, 0xffff, GROUP_CLASS_AUDIO},
                {0x0403, 0xffff, GROUP_CLASS_AUDIO}, /* High Definition Audio */
                {0x0400, 0xff00, GROUP_CLASS_MEDIA},
                {0x0900, 0xff00, GROUP_CLASS_HID},
                {0x0c03, 0xffff, GROUP_CLASS_USB},
                {0x0c04, 0xffff, GROUP_CLASS_STORAGE}, /* Fibre Channel */
                {0x0c06, 0xffff, GROUP_CLASS_NETWORK}, /* InfiniBand */
                {0x0d20, 0xfffe, GROUP_CLASS_NETWORK}, /* 802.11 */
                {0x0d40, 0xfffe, GROUP_CLASS_NETWORK}, /* cellular */
                {0x1200, 0xff00, GROUP_CLASS_FPGA},    /* processing accelerators */
};

GroupClass group_class_of(uint32_t class_code) {
        for (size_t i = 0; i < ELEMENTSOF(class_codes); i++)
                if ((class_code >> 8 & class_codes[i].mask) == class_codes[i].code)
                        return class_codes[i].class;
        return GROUP_CLASS_PCI;
}

void group_record_clear(GroupRecord *g) {
        assert(g);

        free(g->name);
        free(g->description);
        *g = (GroupRecord){0};
}

void rule_record_clear(RuleRecord *r) {
        assert(r);

        free(r->name);
        free(r->node);
        free(r->filter);
        *r = (RuleRecord){0};
}

int group_record_copy(const GroupRecord *g, GroupRecord *ret) {
        GroupRecord copy;

        assert(g);
        assert(ret);

        copy = *g;
        copy.name = strdup(g->name);
        copy.description = strdup(g->description);
        if (!copy.name || !copy.description) {
                group_record_clear(&copy);
                return -ENOMEM;
        }

        *ret = copy;
        return 0;
}

int rule_record_copy(const RuleRecord *r, RuleRecord *ret) {
        RuleRecord copy;

        assert(r);
        assert(ret);

        copy = *r;
        copy.name = strdup(r->name);
        copy.node = strdup(r->node);
        copy.filter = strdup(r->filter);
        if (!copy.name || !copy.node || !copy.filter) {
                rule_record_clear(&copy);
                return -ENOMEM;
        }

        *ret = copy;
        return 0;
}

bool record_id_is_valid(const char *id) {
        assert(id);

        for (size_t i = 0; i + 1 < RECORD_ID_SIZE; i++)
                if (i == 8 || i == 13 || i == 18 || i == 23 ? id[i] != '-'
                                                            : !strchr("0123456789abcdef", id[i]) || !id[i])
                        return false;
        return id[RECORD_ID_SIZE - 1] == '\0';
}

/* C0, DEL, and C1, which is two bytes in UTF-8. */
static bool is_control(const char *s) {
        const unsigned char *u = (const unsigned char *)s;

        return u[0] < ' ' || u[0] == 0x7f || (u[0] == 0xc2 && u[1] < 0xa0);
}

int record_check_text(const RecordText *t, const char *text, const char *owner, Failure *f) {
        size_t n, length;

        assert(t);
        assert(text);
        assert(owner);
        assert(f);

        n = strlen(text);
        if (n == 0 && !t->may_be_empty)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The %s of the %s is empty; give it 1 to %zu bytes.", t->what, t->kind,
                                   t->max);
        if (n > t->max)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The %s of %s '%.64s' has %zu bytes, and %zu is the most; shorten it.",
                                   t->what, t->kind, owner, n, t->max);

        for (const char *s = text; *s; s += length) {
                length = text_utf8_length(s);
                if (length == 0)
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "The %s of %s '%.64s' is no UTF-8 from byte %zu on; write it in "
                                           "UTF-8.",
                                           t->what, t->kind, owner, (size_t)(s - text) + 1);
                if (is_control(s) && !(t->may_break_lines && *s == '\n'))
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "The %s of %s '%.64s' has a control character at byte %zu; leave "
                                           "it out%s.",
                                           t->what, t->kind, owner, (size_t)(s - text) + 1,
                                           t->may_break_lines ? " (line breaks may stay)" : "");
        }
        return 0;
}

int record_check_id(const char *what, const char *id, const char *kind, const char *owner, Failure *f) {
        if (record_id_is_valid(id))
                return 0;
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The %s of %s '%.64s' is '%.64s', which is no UUID in lower case; give one like "
                           "6ba7b810-9dad-11d1-80b4-00c04fd430c8.",
                           what, kind, owner, id);
}

static int check_sriov(const GroupRecord *g, Failure *f) {
        static const SriovSettings none = {0};
        char owner[96];

        if (g->type != GROUP_TYPE_SRIOV_NIC && sriov_settings_same(&g->sriov, &none))
                return 0;
        if (g->type != GROUP_TYPE_SRIOV_NIC)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The group '%.64s' is of the type \"%s\", which has no settings of "
                                   "virtual functions; leave \"sriov\" out, or make a group of the type "
                                   "\"sriov-nic\".",
                                   g->name, group_type_to_string(g->type));
        if (g->sriov.vfs == 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The group '%.64s' does not say how many virtual functions each of its "
                                   "physical functions is to have; give \"vfs\", 1 to %u, in \"sriov\".",
                                   g->name, VFS_MAX);
        (void)snprintf(owner, sizeof owner, "group '%.64s'", g->name);
        return sriov_settings_check(&g->sriov, owner, f);
}

int group_record_check(const GroupRecord *g, Failure *f) {
        static const RecordText name = {"name", "group", RECORD_NAME_MAX, false, false},
                                description = {"description", "group", RECORD_DESCRIPTION_MAX, true, true};
        int r;

        assert(g);
        assert(g->type >= 0 && g->type < GROUP_TYPE_MAX);
        assert(g->class >= 0 && g->class < GROUP_CLASS_MAX);
        assert(g->binding >= 0 && g->binding < GROUP_BINDING_MAX);
        assert(f);

        if ((r = record_check_text(&name, g->name, g->name, f)) < 0 ||
            (r = record_check_id("id", g->id, "group", g->name, f)) < 0)
                return r;
        if (g->quota > GROUP_QUOTA_MAX)
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "The quota of group '%.64s' is %u devices, and %u is the most; take less, "
                                "or 0 for no limit.",
                                g->name, g->quota, GROUP_QUOTA_MAX);
        if (check_sriov(g, f) < 0)
                return -EREMOTEIO;
        return record_check_text(&description, g->description, g->name, f);
}

static int fail_memory(const RuleRecord *r, Failure *f) {
        return failure_set(f, FAILURE_INTERNAL,
                           "The filter of rule '%.64s' cannot be read: out of memory; try again later.",
                           r->name);
}

static int check_filter(RuleRecord *r, Failure *f) {
        _cleanup_(filter_freep) Filter *filter = NULL;
        FilterError error;
        char *text;
        int k;

        k = filter_parse(r->filter, &filter, &error);
        if (k == -EINVAL)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The filter of rule '%.64s' is not one: %s; correct it.", r->name,
                                   error.sentence);

        text = k < 0 ? NULL : strdup(filter_text(filter));
        if (!text)
                return fail_memory(r, f);
        free(r->filter);
        r->filter = text;
        return 0;
}

int rule_record_check(RuleRecord *r, Failure *f) {
        static const RecordText name = {"name", "rule", RECORD_NAME_MAX, false, false},
                                node = {"node", "rule", RECORD_NODE_MAX, true, false};
        int k;

        assert(r);
        assert(f);

        if ((k = record_check_text(&name, r->name, r->name, f)) < 0 ||
            (k = record_check_id("id", r->id, "rule", r->name, f)) < 0 ||
            (k = record_check_id("group", r->group, "rule", r->name, f)) < 0 ||
            (k = record_check_text(&node, r->node, r->name, f)) < 0)
                return k;
        return check_filter(r, f);
}

int rule_record_check_type(const RuleRecord *r, GroupType type, Failure *f) {
        _cleanup_(filter_freep) Filter *filter = NULL;
        FilterField field;
        FilterError error;
        const char *text;
        PciAddress pf;

        assert(r);
        assert(f);

        if (type != GROUP_TYPE_SRIOV_NIC)
                return 0;
        if (filter_parse(r->filter, &filter, &error) < 0)
                return fail_memory(r, f);
        if (filter_requires(filter, &field, &text) && field == FILTER_PHYSICAL_FUNCTION &&
            pci_address_parse(text, &pf) >= 0)
                return 0;
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The rule '%.64s' does not name the physical function whose virtual functions it "
                           "puts into a group of the type \"sriov-nic\"; write its filter as "
                           "physical_function eq '0000:3b:00.0', with no address, serial, slot or vendor "
                           "and device beside it.",
                           r->name);
}

bool group_record_same(const GroupRecord *a, const GroupRecord *b) {
        return streq(a->name, b->name) && streq(a->description, b->description) && a->type == b->type &&
               a->class == b->class && a->enabled == b->enabled && a->binding == b->binding &&
               a->quota == b->quota && sriov_settings_same(&a->sriov, &b->sriov);
}

bool rule_record_same(const RuleRecord *a, const RuleRecord *b) {
        return streq(a->name, b->name) && streq(a->node, b->node) && streq(a->filter, b->filter) &&
               a->enabled == b->enabled;
}
