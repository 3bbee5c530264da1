/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The audit trail: what was changed, refused or overridden, for whom and with whose consent, as entries of systemd's
 * journal with fields of their own (verge-passthroughd(8), JOURNAL). One entry for each call, by the process that
 * decided.
 *
 * Never waits: sd_journal_send(3) does, when the journal does not read. What it does not take at once is queued, and
 * what does not fit into the queue is counted and told later. Without a journal nothing happens.
 *
 * For the main thread alone.
 */

#include <systemd/sd-event.h>

#include "bus-error.h"
#include "pci-identity.h"
#include "polkit.h"

/* For MESSAGE_ID=: one for each kind of entry; the same in the manual page and in data/verge-passthrough.catalog.
 * An override is a change that was possible only because a critical reason was overridden by name; "left out" says
 * how many entries are not there. */
#define AUDIT_ID_CHANGE "3d5212694a124cc0b20c6dbd5f1f6d97"
#define AUDIT_ID_REFUSAL "20206f3609744be98f93872354fdf55d"
#define AUDIT_ID_FAILURE "ef26379779dd4ad89e38af4b40178762"
#define AUDIT_ID_OVERRIDE "91268cc12daf4abe91a1fe0ff128a3f7"
#define AUDIT_ID_LEFT_OUT "527c648e03a04919ac48f563e810b9e6"

/* Refusals can be had at will: of one user, or of all whom nobody knows, this many are written in a window. */
#define AUDIT_REFUSALS_MAX 20U
#define AUDIT_WINDOW_USEC (10ULL * 1000 * 1000)
#define AUDIT_USERS_MAX 64U   /* counted apart at once; the others share one count */
#define AUDIT_QUEUED_MAX 256U /* entries that wait for the journal */

/* What has become of the driver of one device. */
typedef struct AuditDriver {
        char device[PCI_ADDRESS_SIZE];
        char from[PCI_DRIVER_SIZE], to[PCI_DRIVER_SIZE]; /* "": none */
} AuditDriver;

/* What is NULL or not known is left out. */
typedef struct AuditEntry {
        const char *verb;
        const Failure *failure; /* NULL: done */
        bool has_caller, has_user, has_vfs;
        uid_t caller;       /* who asked for it, as the bus knows him */
        uid_t user;         /* of Open: who is let in */
        uint32_t vfs;       /* of SetVfs: how many virtual functions */
        const char *action; /* polkit's */
        PolkitVerdict verdict;
        const char *devices, *ids; /* lists with ", " */
        const AuditDriver *drivers;
        size_t n_drivers;
        uint32_t overridden;  /* critical reasons that held, and were overridden by name */
        const char *settings; /* of SetVf: "vlan=100 max-rate=200" */
        const char *group, *rule, *vm, *claim;
} AuditEntry;

typedef struct Audit Audit;

typedef struct AuditConfig {
        sd_event *event; /* NULL: nothing is queued or counted, for who writes an entry and ends */
        int root;
        const char *identifier; /* SYSLOG_IDENTIFIER=; must stay */
        uint64_t window_usec;   /* AUDIT_WINDOW_USEC */
} AuditConfig;

int audit_new(const AuditConfig *config, Audit **ret);
Audit *audit_free(Audit *a); /* what still waits is tried once more */
DEFINE_CLEANUP(Audit *, audit_free);

void audit_write(Audit *a, const AuditEntry *e);

/* Do entries wait for the journal? */
bool audit_is_waiting(const Audit *a) _pure_;
