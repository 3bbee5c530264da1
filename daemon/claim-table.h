/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Claims and runs at work: who has which device, and what each claim shows. Pure. The table owns both; devices are the
 * device table's, and a run knows them by identity, since they may leave while it lasts.
 */

#include "claim-record.h"
#include "registry.h"

/* The changing properties of a claim; the words are their D-Bus names. */
typedef enum ClaimProperty {
        CLAIM_PROPERTY_NAME,
        CLAIM_PROPERTY_DESCRIPTION,
        CLAIM_PROPERTY_COUNT,
        CLAIM_PROPERTY_OPTIONAL,
        CLAIM_PROPERTY_ENABLED,
        CLAIM_PROPERTY_ORDER,
        CLAIM_PROPERTY_DEVICES,
        CLAIM_PROPERTY_STATUS,
        CLAIM_PROPERTY_STATUS_INFO,
        CLAIM_PROPERTY_RESTART_NEEDED,
        CLAIM_PROPERTY_MEMORY_LOCK,
        CLAIM_PROPERTY_SRIOV,
        CLAIM_PROPERTY_MAC_ADDRESSES,
        CLAIM_PROPERTY_MODIFIED,
        CLAIM_PROPERTY_MAX,
        CLAIM_PROPERTY_INVALID = -EINVAL,
} ClaimProperty;

DECLARE_STRING_TABLE(claim_property, ClaimProperty);

typedef enum ClaimStatus {
        CLAIM_IDLE,         /* not running, or left out of its VM's run */
        CLAIM_WAITING,      /* a start waits for devices */
        CLAIM_INITIALIZING, /* a start is under way */
        CLAIM_ONLINE,       /* the VM has its devices */
        CLAIM_MISSING,      /* the VM has them, and one of them has vanished from the host */
        CLAIM_ERRORS,       /* not running, and the last start or the way back failed */
        CLAIM_OFFLINE,      /* the VM has ended, its devices are on their way back */
        CLAIM_STATUS_MAX,
        CLAIM_STATUS_INVALID = -EINVAL,
} ClaimStatus;

DECLARE_STRING_TABLE(claim_status, ClaimStatus); /* "idle", "waiting", ... */

typedef struct Run Run;

typedef struct Claim {
        ClaimRecord record;
        char *path; /* BUS_PATH_CLAIMS "/" and the id with "_" for "-" */

        Run *run;             /* that has devices of it; NULL: it is not running */
        bool waiting;         /* a start of it waits */
        char *problem;        /* NULL, or why the last start or way back failed */
        char *progress;       /* NULL, or what is being done or waited for; a warning while it runs */
        uint64_t memory_lock; /* bytes that its VM must be able to lock; 0: not running, or not said */

        /* What follows; claim_table_flush() computes it. */
        ClaimStatus status;
        char *info;         /* StatusInfo */
        int restart_needed; /* int: sd-bus reads it as a D-Bus boolean */

        uint32_t changed; /* bits 1 << ClaimProperty */
        struct Claim *next_changed;
        bool is_listed;
} Claim;

struct Run {
        RunRecord record;
        Run *next;
        IommuSet refused; /* devices that somebody else has open: nobody was let in, and none needs to be shut out */
};

typedef struct ClaimTableConfig {
        const DeviceTable *devices;
        const Registry *registry;
        void (*touched)(void *userdata);            /* something is to be flushed */
        void (*claimed)(Device *d, void *userdata); /* Device.claim has changed */
        void *userdata;
} ClaimTableConfig;

typedef struct ClaimTable ClaimTable;
int claim_table_new(const ClaimTableConfig *config, ClaimTable **ret);
ClaimTable *claim_table_free(ClaimTable *t);
DEFINE_CLEANUP(ClaimTable *, claim_table_free);

/* Inserts, or replaces the one with this id; takes over the texts of *record when it succeeds (and leaves it empty).
 * -EEXIST: the VM has another one of this name; -ENOENT: its group is not there; -EINVAL: group, owner and VM never
 * change; -ENOMEM: nothing has changed. */
int claim_table_put(ClaimTable *t, ClaimRecord *record, Claim **ret, bool *ret_new);
void claim_table_remove(ClaimTable *t, Claim *c); /* it is not running */

size_t claim_table_count(const ClaimTable *t);
size_t claim_table_count_of(const ClaimTable *t, uid_t owner);
/* NULL terminated walks, *at starts at 0: by owner, VM, order and age, so those of a VM stand side by side. */
Claim *claim_table_next(const ClaimTable *t, size_t *at);
Claim *claim_table_next_of_vm(const ClaimTable *t, uid_t owner, const char *vm, size_t *at);
Claim *claim_table_next_of_group(const ClaimTable *t, const char *group, size_t *at);
Claim *claim_table_find(const ClaimTable *t, const char *id);
Claim *claim_table_find_path(const ClaimTable *t, const char *path);
/* The one that has this address, but for the one of this id; NULL. */
Claim *claim_table_find_mac(const ClaimTable *t, const uint8_t mac[static VF_MAC_LENGTH], const char *but);
Claim *claim_table_find_name(const ClaimTable *t, uid_t owner, const char *vm, const char *name);

/* Takes over the texts and devices of *record when it succeeds. Claims that are not there any more are none's. A run
 * that is there already is replaced: what it has then is what counts. */
int claim_table_put_run(ClaimTable *t, RunRecord *record, Run **ret);
void claim_table_remove_run(ClaimTable *t, Run *r);
Run *claim_table_runs(const ClaimTable *t); /* a list */
size_t claim_table_count_runs(const ClaimTable *t);
Run *claim_table_find_run(const ClaimTable *t, const char *id);
Run *claim_table_next_run_of_vm(const ClaimTable *t, uid_t owner, const char *vm, Run *after);

/* The run that has this device or one of its IOMMU set; NULL. By identity: whoever else came to an address is free. */
Run *claim_table_run_of(const ClaimTable *t, const Device *d);
const DeviceTable *claim_table_devices(const ClaimTable *t);
Device *claim_table_device(const ClaimTable *t, const RunDevice *rd); /* NULL: it is missing */
size_t run_count_devices(const Run *r, const Claim *c);               /* of this claim */
/* 0, or -EREMOTEIO with Claimed: a VM has it, or one of its set. */
int claim_table_check_device(const Device *d, Failure *f);
/* That runs started by this user have of this group. */
uint32_t claim_table_count_devices(const ClaimTable *t, uid_t uid, const char *group);

/* Marks of what the claim shows. Texts are copied; "" or NULL: none. */
void claim_set_problem(ClaimTable *t, Claim *c, const char *sentence);
void claim_set_progress(ClaimTable *t, Claim *c, const char *sentence);
void claim_set_waiting(ClaimTable *t, Claim *c, bool waiting);
void claim_set_memory_lock(ClaimTable *t, Claim *c, uint64_t bytes);
void claim_table_touch(ClaimTable *t, Claim *c, uint32_t mask); /* and what follows may be different now */
void claim_table_touch_vm(ClaimTable *t, uid_t owner, const char *vm);

/* The device came, or its set changed; or it leaves, before it is removed from the table. */
void claim_table_device_changed(ClaimTable *t, Device *d);
void claim_table_device_leaves(ClaimTable *t, Device *d);

/* A claim that is about to be announced: what it shows is so, and nothing of it is to be reported. */
void claim_table_settle(ClaimTable *t, Claim *c);

/* Derives what was touched, and reports each claim that changed, once. */
typedef void (*claim_changed_t)(Claim *c, uint32_t mask, void *userdata);
void claim_table_flush(ClaimTable *t, claim_changed_t changed, void *userdata);
