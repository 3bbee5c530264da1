/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The language in which a rule says which devices it means (verge-passthrough-filter(7)):
 *
 *     vendor ct 'Intel' and class_hex bw '02' and not (slot eq '03:00.0')
 *
 * Grammar, loosest first: or, and, not, ( ), TERM; a term is FIELD OPERATOR VALUE. Keywords and fields are
 * lower-case. Text stands in single quotes, a quote in it is doubled; a number is decimal or 0x. Pure: no
 * files, no bus. For one thread: searches by rx share their working memory.
 */

#include "string-table.h"

#define FILTER_TEXT_MAX 4096U /* bytes, without the NUL */
#define FILTER_DEPTH_MAX 32U  /* nested parentheses and nots */
#define FILTER_TERMS_MAX 256U

typedef enum FilterField {
        FILTER_NAME,
        FILTER_SLOT,        /* "03:00.0": the address without its domain, as lspci(8) prints it */
        FILTER_ADDRESS,     /* "0000:03:00.0" */
        FILTER_CLASS,       /* words */
        FILTER_CLASS_HEX,   /* "0200": base class and subclass */
        FILTER_DEVICE_TYPE, /* "network", "storage", ...: the word of Group.Class that fits the class code */
        FILTER_VENDOR,      /* words */
        FILTER_DEVICE,      /* words */
        FILTER_VENDOR_DEVICE_HEX, /* "8086:10d3" */
        FILTER_SVENDOR,           /* words: vendor of the subsystem */
        FILTER_SUBSYSTEM_DEVICE,  /* words */
        FILTER_SUBSYSTEM_HEX,     /* "8086:0000" */
        FILTER_PHYSICAL_SLOT,
        FILTER_DRIVER,
        FILTER_MODULE,
        FILTER_NUMA,        /* number; unknown when the device is on no node */
        FILTER_IOMMU_GROUP, /* number; unknown without an IOMMU */
        FILTER_SERIAL,
        FILTER_REVISION,          /* number */
        FILTER_NODE,              /* name of the node that has the device */
        FILTER_PHYSICAL_FUNCTION, /* of a virtual one: address; else "" */
        FILTER_SRIOV_TOTALVFS,    /* number */
        FILTER_FIELD_MAX,
        FILTER_FIELD_INVALID = -EINVAL,
} FilterField;

DECLARE_STRING_TABLE(filter_field, FilterField); /* "name", "class_hex", ... */

bool filter_field_is_number(FilterField field) _const_;

/* What a device says for one field. A value that is not known makes each term about it false, but `ne`. */
typedef struct FilterValue {
        const char *text; /* text fields; NULL is "" */
        uint64_t number;  /* number fields */
        bool unknown;
} FilterValue;

typedef struct FilterSubject {
        FilterValue values[FILTER_FIELD_MAX];
} FilterSubject;

/* Where and why a text is no filter: "column 12: found 'lik', expected an operator: eq, ne, ...". Printable
 * ASCII without a full stop. */
typedef struct FilterError {
        unsigned column; /* from 1, in characters */
        char sentence[256];
} FilterError;

typedef struct Filter Filter;

/* -EINVAL with *error for what is no filter; -ENOMEM. */
int filter_parse(const char *text, Filter **ret, FilterError *error);
Filter *filter_free(Filter *f);
DEFINE_CLEANUP(Filter *, filter_free);

/* The canonical text: parse(text) = f, and one text for each meaning of the tree. Lives as long as f. */
const char *filter_text(const Filter *f) _pure_;

/* Allocates nothing. A term takes nanoseconds; one with rx at worst most of a millisecond, and 16 may be. */
bool filter_match(const Filter *f, const FilterSubject *s);

/* Which term decided: "class_hex is '0108', and class_hex bw '02' asks that it begin with '02'". Where
 * several did, all of them: "no alternative matches: ...; ...". Returns whether s matches. A sentence
 * without its full stop, valid UTF-8; what does not fit is left out at its end, for "...". */
bool filter_explain(const Filter *f, const FilterSubject *s, char *buf, size_t size);

/* A text, not "", that `field` must equal for f to match, for an index: true when there is one. The rarest
 * is preferred: address, serial, slot, physical_slot, vendor_device_hex, ... It lives as long as f. */
bool filter_requires(const Filter *f, FilterField *ret_field, const char **ret_text);

/* Does the tree ask about this field? */
bool filter_uses(const Filter *f, FilterField field) _pure_;
