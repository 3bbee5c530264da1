/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Claims and runs as they are stored. A claim is a standing order: VM x gets n devices of group g when it starts. A run
 * is what came of it: the devices that a VM has, from before the first of them is touched until the last is back. Plain
 * data with its limits, like record.h; what follows from it is the claim table's (claim-table.h).
 */

#include "grant.h"
#include "record.h"

#define CLAIMS_MAX 2000U         /* in all */
#define CLAIMS_PER_USER_MAX 200U /* of one owner; root has no limit of his own */
#define CLAIM_COUNT_MAX 16U      /* devices of one claim */
#define CLAIM_ORDER_MAX 65535U
#define RUNS_MAX 1000U
#define RUN_DEVICES_MAX DEVICES_PER_CALL_MAX /* of one VM, with all its claims */
#define RUN_TRACKED_MAX 255U                 /* bytes of a bus name or a machine's name */

typedef struct ClaimRecord {
        char id[RECORD_ID_SIZE], group[RECORD_ID_SIZE];
        uid_t owner;       /* who made it; VMs of two owners are two VMs, also when they have one name */
        char *vm;          /* RECORD_NAME_MAX, and its rules */
        char *name;        /* the same; unique for the VM */
        char *description; /* RECORD_DESCRIPTION_MAX */
        uint32_t count;    /* 1..CLAIM_COUNT_MAX */
        uint32_t order;    /* the lower is served first, then the older claim; 0..CLAIM_ORDER_MAX */
        bool optional, enabled;
        bool doomed; /* was deleted while it was running: goes when its devices are back */
        VfSettings settings; /* what it sets otherwise than its group, which is one of virtual functions; no VF_MAC */
        uint8_t (*macs)[VF_MAC_LENGTH]; /* of its devices, in their order; unique among all claims; by array_grow() */
        size_t n_macs;                  /* `count` for such a group, else 0 */
        uint64_t created, modified;
} ClaimRecord;

void claim_record_clear(ClaimRecord *c); /* frees the texts and addresses */
int claim_record_copy(const ClaimRecord *c, ClaimRecord *ret);
bool claim_record_same(const ClaimRecord *a,
                       const ClaimRecord *b) _pure_; /* ids, owner and times are not asked */
/* Form and lengths, not uniqueness among claims; -EREMOTEIO with a sentence (InvalidArgument). What its group lets it
 * set is for claim-plan.h. */
int claim_record_check(const ClaimRecord *c, Failure *f);

/* Its addresses as one line: "02:00:00:00:00:01 02:00:00:00:00:02"; "" for none. Returns buf. */
#define CLAIM_MACS_SIZE (CLAIM_COUNT_MAX * VF_MAC_TEXT_SIZE + 1)
const char *claim_macs_format(const ClaimRecord *c, char buf[static CLAIM_MACS_SIZE]);
/* -EBADMSG: not such a line; -ENOMEM. Into a record that has none. */
int claim_macs_parse(const char *line, ClaimRecord *c);
bool claim_macs_same(const ClaimRecord *a, const ClaimRecord *b) _pure_;
int claim_macs_add(ClaimRecord *c, const uint8_t mac[static VF_MAC_LENGTH]); /* -ENOMEM */

/* What tells that the VM has ended. */
typedef enum RunTrack {
        RUN_TRACK_LIFELINE,   /* a descriptor that all of its processes lose when they end */
        RUN_TRACK_CONNECTION, /* the connection to the bus that started it */
        RUN_TRACK_MACHINE,    /* its name at systemd-machined */
        RUN_TRACK_MANUAL,     /* only Stop and StopVm */
        RUN_TRACK_MAX,
        RUN_TRACK_INVALID = -EINVAL,
} RunTrack;

DECLARE_STRING_TABLE(run_track, RunTrack); /* "lifeline", "connection", "machine", "manual" */

/* How the VM's user comes to its devices. */
typedef enum RunAccess {
        RUN_ACCESS_ACL, /* an ACL on /dev/vfio/N for `uid`; nothing for root, who needs none */
        RUN_ACCESS_FDS, /* open descriptors of the VFIO cdev and of iommufd */
        RUN_ACCESS_MAX,
        RUN_ACCESS_INVALID = -EINVAL,
} RunAccess;

DECLARE_STRING_TABLE(run_access, RunAccess); /* "acl", "fds" */

typedef struct RunDevice {
        char claim[RECORD_ID_SIZE];
        PciIdentity identity; /* whoever sits at the address with another one is not the VM's */
        bool returning;       /* on its way back */
        uint64_t settings; /* sriov_settings_fingerprint() of what it was set to; 0: of nothing, or not known */
} RunDevice;

typedef struct RunRecord {
        char id[RECORD_ID_SIZE];
        uid_t owner;   /* of the claims */
        char *vm;      /* of the claims */
        uid_t uid;     /* who started it and has the access */
        bool starting; /* not answered yet: after a crash it is undone */
        RunTrack track;
        char *tracked; /* the connection's unique name, or the machine's; else "" */
        RunAccess access;
        char boot_id[GRANT_BOOT_SIZE]; /* a run of another boot has ended with that */
        uint64_t created;
        RunDevice *devices; /* in the order of claims, then as picked; grown by array_grow() */
        size_t n_devices;
} RunRecord;

void run_record_clear(RunRecord *r);
int run_record_copy(const RunRecord *r, RunRecord *ret);
int run_record_check(const RunRecord *r, Failure *f);

/* A device that could not be reset after a VM: not to be used until somebody takes it out, or the next boot. */
typedef struct QuarantineRecord {
        PciIdentity identity; /* of another device at this address nothing is said */
        char *reason;         /* the sentence */
        char boot_id[GRANT_BOOT_SIZE];
        uint64_t created;
} QuarantineRecord;

#define QUARANTINE_MAX 10000U
#define QUARANTINE_REASON_MAX 1023U

void quarantine_record_clear(QuarantineRecord *q);
int quarantine_record_copy(const QuarantineRecord *q, QuarantineRecord *ret);
int quarantine_record_check(const QuarantineRecord *q, Failure *f);
