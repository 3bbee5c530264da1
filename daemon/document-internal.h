/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the parts of the document's parser share. */

#include <jansson.h>

#include "document.h"

/* "The document is not valid: groups[0].name: expected a text." -EREMOTEIO. */
int document_invalid(Failure *f, const char *path, const char *problem);
int document_refuse_member(Failure *f, const char *path, const char *name, const char *problem);
/* What a record's own check says, with the place. */
int document_pass_on(const Failure *found, const char *path, Failure *f);

/* Of a group: { "vfs": 4, "vlan": 100, ..., "overridable": ["mac"] }. What is left out stays as it is in *s. */
int document_take_sriov(json_t *object, const char *path, SriovSettings *s, Failure *f);
json_t *document_sriov_to_json(const SriovSettings *s); /* NULL: out of memory */
