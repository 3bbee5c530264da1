/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An entry of the audit trail as systemd's journal takes it: NAME=value lines in a datagram, or, where a value has
 * newlines, its length and its bytes (systemd's documentation, "Native Journal Protocol"). */

#include "audit.h"

#define AUDIT_ENTRY_SIZE (32U * 1024)

typedef struct AuditDatagram {
        size_t n;
        size_t message; /* where the text of MESSAGE begins; it is the last field, so that it can be cut */
        char data[AUDIT_ENTRY_SIZE];
} AuditDatagram;

/* Can it be had at will, by who may do nothing? */
bool audit_entry_is_refusal(const AuditEntry *e) _pure_;

void audit_entry_format(int root, const char *identifier, const AuditEntry *e, AuditDatagram *ret);

/* The entry that says how many are missing: of one user, or (NULL) of all, since the journal did not take them. */
typedef struct AuditMissing {
        uint64_t n;
        bool refusals; /* of a user, or else of several; false: any, that the journal did not take */
        bool has_caller;
        uid_t caller;
} AuditMissing;

void audit_missing_format(int root, const char *identifier, const AuditMissing *m, AuditDatagram *ret);

/* Makes the text of MESSAGE shorter. False: it cannot be. */
bool audit_datagram_cut(char *data, size_t message, size_t *n);
