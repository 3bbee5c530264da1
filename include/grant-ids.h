/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A selector grant: root's consent that every device with these ids may leave the host, those that come later too.
 * The helper alone writes it, as a root-owned file `<ids>.ids` beside the grants of single devices, from which it
 * makes those when a device is bound. It never carries consent to a critical reason.
 *
 * The text is lines of `key=value`, as strict as that of a grant (grant.h).
 */

#include <sys/types.h>

#include "grant.h"

#define ID_SELECTOR_SIZE 20 /* "10de:1eb8:10de:12a2" */
#define GRANT_IDS_SUFFIX ".ids"
#define GRANT_IDS_TEXT_SIZE 512

typedef struct IdSelector {
        uint16_t vendor, device;
        bool has_subsystem;
        uint16_t subsystem_vendor, subsystem_device; /* with has_subsystem, else 0 */
} IdSelector;

/* "10de:1eb8" or "10de:1eb8:10de:12a2", four lower-case hex digits each; -EINVAL for anything else. */
int id_selector_parse(const char *s, IdSelector *ret);
const char *id_selector_format(const IdSelector *s, char buf[static ID_SELECTOR_SIZE]);

bool id_selector_matches(const IdSelector *s, const PciIdentity *identity) _pure_;
bool id_selector_same(const IdSelector *a, const IdSelector *b) _pure_;

typedef struct GrantIds {
        IdSelector ids;
        uid_t granted_by;
        uint64_t granted_at; /* seconds since the epoch */
} GrantIds;

int grant_ids_parse(const char *text, GrantIds *ret);            /* -EBADMSG: not one */
int grant_ids_format(const GrantIds *g, char *buf, size_t size); /* returns the length, or -ENOBUFS */

/* Reads the selector grant of exactly these ids; errors as of grant_read(). */
int grant_ids_read(int root, const IdSelector *ids, uid_t root_uid, GrantIds *ret);

/* A grant that was made from a selector counts only while that stands; any other does. */
bool grant_ids_stand(int root, const Grant *g, uid_t root_uid);

/* The selector that covers a device; the narrower one, with the subsystem, first. -ENOENT: none does; -EBADMSG, -EPERM:
 * the only one that would is damaged or not root's alone. */
int grant_ids_find(int root, const PciIdentity *identity, uid_t root_uid, GrantIds *ret);
