/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All grants there are, those too of devices that are not there. */

#include "grant-ids.h"
#include "grant.h"

#define GRANT_FILES_MAX 4096U /* of each kind; more are not looked at */

typedef struct GrantFiles {
        Grant *grants; /* one an address: the pending or else the kept one; owned */
        size_t n_grants;
        PciAddress *damaged; /* files that cannot be read as grants; owned */
        size_t n_damaged;
        IdSelector *ids; /* sorted by their text; owned */
        size_t n_ids;
} GrantFiles;

void grant_files_clear(GrantFiles *f);

/* Damaged files, and those that are not root's alone, are left out. A directory that is not there holds none. */
int grant_files_read(int root, uid_t root_uid, GrantFiles *ret);

/* The grant of an address, NULL when none can be read; and is there a file at all, damaged perhaps? */
const Grant *grant_files_find(const GrantFiles *f, const PciAddress *a) _pure_;
bool grant_files_has(const GrantFiles *f, const PciAddress *a) _pure_;

/* A grant that was made from a selector counts only while that stands; any other does. */
bool grant_files_stand(const GrantFiles *f, const Grant *g) _pure_;

bool grant_files_cover(const GrantFiles *f, const PciIdentity *identity) _pure_; /* by its ids */
