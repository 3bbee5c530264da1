/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Groups and rules as one JSON document (RFC 8259), for backup and for configuration management:
 *
 * { "format": "org.verge.Passthrough", "version": 1,
 *   "groups": [ { "name": "PCI NICs", "type": "pci", "description": "", "class": "network", "enabled": true,
 *                 "binding": "persistent", "quota": 0,
 *                 "rules": [ { "name": "...", "node": "", "filter": "...", "enabled": true,
 *                              "auto-created": false } ] } ] }
 *
 * A group of the type "sriov-nic" has its settings besides, of which "vfs" must be there: "sriov": { "vfs": 4,
 * "vlan": 100, ..., "overridable": ["mac"] }.
 *
 * "format", "version", "groups", "name" and "filter" must be there; what else is left out is: type "pci", description
 * "", class "unknown", enabled true, binding "on-claim", quota 0, no rules, node "" and auto-created false. Unknown
 * members are errors, so that a typing mistake is not taken for a wish. There are no ids and times in it: what is named
 * is what is meant, so a document can be written by hand, and importing one twice changes nothing the second time.
 * Rules stand oldest first.
 */

#include "record.h"

#define DOCUMENT_VERSION 1
#define DOCUMENT_SIZE_MAX (16U * 1024 * 1024)

typedef struct DocumentGroup {
        GroupRecord group; /* without id and times */
        RuleRecord *rules; /* without id, group, age and times */
        size_t n_rules;
} DocumentGroup;

typedef struct Document {
        DocumentGroup *groups;
        size_t n_groups;
} Document;
void document_clear(Document *d);

/* -EREMOTEIO with a sentence that says where (line, group, rule) and what was expected; checks all records
 * (record.h), the limits on their number, and that names are unique. -ENOMEM comes with a sentence, too. */
int document_parse(const char *text, Document *ret, Failure *f);

/* Writes it; *ret is the caller's to free. Groups by name; stable: the same records give the same bytes. The records
 * must be valid. -ENOMEM; -E2BIG: it would be longer than document_parse() takes. */
int document_format(const Document *d, char **ret);
