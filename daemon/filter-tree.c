/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "filter-tree.h"

static const char *const filter_field_table[FILTER_FIELD_MAX] = {
                [FILTER_NAME] = "name",
                [FILTER_SLOT] = "slot",
                [FILTER_ADDRESS] = "address",
                [FILTER_CLASS] = "class",
                [FILTER_CLASS_HEX] = "class_hex",
                [FILTER_DEVICE_TYPE] = "device_type",
                [FILTER_VENDOR] = "vendor",
                [FILTER_DEVICE] = "device",
                [FILTER_VENDOR_DEVICE_HEX] = "vendor_device_hex",
                [FILTER_SVENDOR] = "svendor",
                [FILTER_SUBSYSTEM_DEVICE] = "subsystem_device",
                [FILTER_SUBSYSTEM_HEX] = "subsystem_hex",
                [FILTER_PHYSICAL_SLOT] = "physical_slot",
                [FILTER_DRIVER] = "driver",
                [FILTER_MODULE] = "module",
                [FILTER_NUMA] = "numa",
                [FILTER_IOMMU_GROUP] = "iommu_group",
                [FILTER_SERIAL] = "serial",
                [FILTER_REVISION] = "revision",
                [FILTER_NODE] = "node",
                [FILTER_PHYSICAL_FUNCTION] = "physical_function",
                [FILTER_SRIOV_TOTALVFS] = "sriov_totalvfs",
};

DEFINE_STRING_TABLE(filter_field, FilterField, FILTER_FIELD_MAX);

static const char *const filter_operator_table[FILTER_OPERATOR_MAX] = {
                [FILTER_EQ] = "eq", [FILTER_NE] = "ne", [FILTER_LT] = "lt", [FILTER_LE] = "le",
                [FILTER_GT] = "gt", [FILTER_GE] = "ge", [FILTER_BW] = "bw", [FILTER_EW] = "ew",
                [FILTER_CS] = "cs", [FILTER_CT] = "ct", [FILTER_RX] = "rx",
};

DEFINE_STRING_TABLE(filter_operator, FilterOperator, FILTER_OPERATOR_MAX);

/* Text fields, the one that the fewest devices share first. */
static const FilterField by_rarity[] = {
                FILTER_ADDRESS,
                FILTER_SERIAL,
                FILTER_SLOT,
                FILTER_PHYSICAL_SLOT,
                FILTER_VENDOR_DEVICE_HEX,
                FILTER_PHYSICAL_FUNCTION,
                FILTER_SUBSYSTEM_HEX,
                FILTER_NAME,
                FILTER_DEVICE,
                FILTER_SUBSYSTEM_DEVICE,
                FILTER_DRIVER,
                FILTER_MODULE,
                FILTER_CLASS_HEX,
                FILTER_CLASS,
                FILTER_VENDOR,
                FILTER_SVENDOR,
                FILTER_DEVICE_TYPE,
                FILTER_NODE,
};

bool filter_field_is_number(FilterField field) {
        return field == FILTER_NUMA || field == FILTER_IOMMU_GROUP || field == FILTER_REVISION ||
               field == FILTER_SRIOV_TOTALVFS;
}

Filter *filter_free(Filter *f) {
        if (!f)
                return NULL;

        for (size_t i = 0; i < f->n_nodes; i++)
                (void)filter_regex_free(f->nodes[i].regex);
        free(f);
        return NULL;
}

const char *filter_text(const Filter *f) {
        assert(f);

        return f->text;
}

bool filter_uses(const Filter *f, FilterField field) {
        assert(f);
        assert(field >= 0 && field < FILTER_FIELD_MAX);

        return f->uses & 1U << field;
}

static size_t rarity(FilterField field) {
        size_t i = 0;

        while (i < ELEMENTSOF(by_rarity) && by_rarity[i] != field)
                i++;
        return i;
}

/* '' is what all devices without a value say: as good as nothing for an index. */
static bool requires_text(const FilterNode *n) {
        return n->kind == FILTER_TERM && n->op == FILTER_EQ && !filter_field_is_number(n->field) &&
               n->length > 0;
}

bool filter_requires(const Filter *f, FilterField *ret_field, const char **ret_text) {
        const FilterNode *best = NULL;

        assert(f);
        assert(ret_field);
        assert(ret_text);

        if (requires_text(f->nodes))
                best = f->nodes;
        if (f->nodes->kind == FILTER_AND)
                FILTER_FOREACH_CHILD(n, f->nodes)
        if (requires_text(n) && (!best || rarity(n->field) < rarity(best->field)))
                best = n;
        if (!best)
                return false;

        *ret_field = best->field;
        *ret_text = best->text;
        return true;
}
