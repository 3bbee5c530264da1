/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a worker is asked to do, in full: addresses, ids, bits and numbers. No path, driver name, uid of the caller's
 * choice or free text ever comes in; a request is parsed and bounded before a worker exists.
 */

#include <sys/types.h>

#include "grant-ids.h"
#include "grant.h"
#include "move.h"
#include "vf-settings.h"
#include "worker.h"

typedef struct Request {
        size_t n_devices; /* 1..DEVICES_PER_CALL_MAX, sorted, no duplicates */
        PciAddress devices[DEVICES_PER_CALL_MAX];
        VfSettings settings;
        size_t n_ids; /* of GrantIds and RevokeIds: 1..SELECTORS_PER_CALL_MAX, no duplicates */
        IdSelector ids[SELECTORS_PER_CALL_MAX];
        bool pending;      /* of Grant: not to be kept over a reboot, yet */
        uint32_t confirm;  /* of Grant: seconds until which Keep must come; 0: any time will do */
        bool release;      /* of Revoke: bring home first what is not there */
        bool persistent;   /* of Bind and Plan: to be bound at boot from now on; of SetVfs: to be bound so */
        uint32_t count;    /* of SetVfs: how many virtual functions, 0..VFS_MAX */
        bool fds;          /* of Open: descriptors, not an entry in an access control list */
        uint32_t consent;  /* of Grant and Plan: critical reasons overridden by name */
        uid_t uid;         /* who consents, as polkit knows him; of Open: who is let in, as the bus does */
        Prompted prompted; /* of Grant and Revoke: whom he has seen in the prompt */
        MoveVerb verb;     /* of what moves or resets: what the journal calls it */
        bool net_admin;    /* of SetVf: its worker keeps the one capability */
        worker_work_t work; /* for confine_and_work() */
        unsigned writes;    /* the same: what it may write (confine.h) */
        bool confine;       /* use Landlock where the kernel has it; false only in tests */
} Request;

static inline bool request_names(const Request *q, const PciAddress *a) {
        for (size_t i = 0; i < q->n_devices; i++)
                if (pci_address_compare(&q->devices[i], a) == 0)
                        return true;
        return false;
}

/* The work of the verbs (worker_work_t). Each re-checks everything from the kernel; a failure is a sentence in
 * result->failure and has changed nothing, or says what. */
void request_move(int root, const void *request, WorkerResult *result);

/* What Bind would ask, with all answers, and what it would write. */
void request_plan(int root, const void *request, WorkerResult *result);

/* Lets somebody in to a whole IOMMU set on vfio-pci, and out again. */
void request_open(int root, const void *request, WorkerResult *result);
void request_close(int root, const void *request, WorkerResult *result);

/* Release, if the journal says that a move of this set was interrupted; else nothing. */
void request_recover(int root, const void *request, WorkerResult *result);

/* Checks a Grant or Revoke as if it were done now and says what the prompt has to show. */
void request_prepare_grant(int root, const void *request, WorkerResult *result);
void request_prepare_revoke(int root, const void *request, WorkerResult *result);
void request_grant(int root, const void *request, WorkerResult *result);
/* The same for the virtual functions of physical ones, which stay. */
void request_prepare_grant_vfs(int root, const void *request, WorkerResult *result);
void request_grant_vfs(int root, const void *request, WorkerResult *result);
void request_revoke(int root, const void *request, WorkerResult *result);

/* What becomes of pending grants, for which an administrator was asked when they were made. */
void request_keep(int root, const void *request, WorkerResult *result);
void request_drop(int root, const void *request, WorkerResult *result);

/* Where the deadline of pending grants is over: brings their set home and removes them; else nothing. */
void request_revert(int root, const void *request, WorkerResult *result);

/* How many virtual functions a physical one has, under its grant for these. */
void request_set_vfs(int root, const void *request, WorkerResult *result);

/* Settings of one virtual function: all of them or none. */
void request_set_vf(int root, const void *request, WorkerResult *result);

/* Selector grants. */
void request_prepare_grant_ids(int root, const void *request, WorkerResult *result);
void request_prepare_revoke_ids(int root, const void *request, WorkerResult *result);
void request_grant_ids(int root, const void *request, WorkerResult *result);
void request_revoke_ids(int root, const void *request, WorkerResult *result);

/* This boot went well: the boot guard forgets it, and those before (boots.h). */
void request_healthy(int root, const void *request, WorkerResult *result);
