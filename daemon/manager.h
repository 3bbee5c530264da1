/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The service as a whole: owns all tables and edges, decides what happens on each event, and in which order
 * it starts. What is seen on the bus is rank 4's business: it hands its senders down as ManagerWire.
 */

#include "audit.h"
#include "authorisation.h"
#include "changes.h"
#include "claim-table.h"
#include "drift.h"
#include "grant-files.h"
#include "helper-client.h"
#include "host-watch.h"
#include "lifelines.h"
#include "machines.h"
#include "move-table.h"
#include "pci-names.h"
#include "platform.h"
#include "polkit.h"
#include "order-plan.h"
#include "root-files.h"
#include "store.h"
#include "uevents.h"

typedef struct Manager Manager;
typedef struct Call Call;
typedef struct Diagnoser Diagnoser;
typedef struct Edit Edit;
typedef struct Errand Errand;
typedef struct Operation Operation;
typedef struct RunStart RunStart;
typedef struct RunStop RunStop;
typedef struct RunWatch RunWatch;
typedef struct Transaction Transaction;

/* boot-guard.c */
typedef struct BootGuard {
        int on;       /* this boot binds nothing by itself; int: sd-bus reads it as a D-Bus boolean */
        char *reason; /* NULL: none */
        bool listed;  /* the helper's list of boots is there */
        sd_event_source *timer;
        uint64_t idle_usec; /* how long nothing has to be done; UINT64_MAX: the boot is never called healthy */
        unsigned failures;
        HelperCall *call;
} BootGuard;

typedef struct ManagerWire {
        void (*device_added)(Manager *m, Device *d);
        void (*device_removed)(Manager *m, Device *d); /* while it can still be found */
        void (*device_changed)(Manager *m, Device *d, uint32_t mask);
        void (*device_stuck)(Manager *m, Device *d);
        void (*group_added)(Manager *m, Group *g);
        void (*group_removed)(Manager *m, Group *g); /* while it can still be found */
        void (*group_changed)(Manager *m, Group *g, uint32_t mask);
        void (*rule_added)(Manager *m, Rule *rule);
        void (*rule_removed)(Manager *m, Rule *rule);
        void (*rule_changed)(Manager *m, Rule *rule, uint32_t mask);
        void (*claim_added)(Manager *m, Claim *c);
        void (*claim_removed)(Manager *m, Claim *c);
        void (*claim_changed)(Manager *m, Claim *c, uint32_t mask);
        void (*claim_device_vanished)(Manager *m, Claim *c, const PciAddress *a);
        void (*manager_changed)(Manager *m, uint32_t mask);
        void (*confirmation_pending)(Manager *m);
        void (*ready)(Manager *m); /* all is known that can be known at once: take the name */
} ManagerWire;

struct Manager {
        int root;
        uid_t root_uid;
        char *node_name;
        const ManagerWire *wire;

        sd_event *event;
        sd_bus *bus;
        sd_event_source *flush, *again, *patience, *edit_next, *queue_next;
        char boot_id[GRANT_BOOT_SIZE];

        Platform platform;
        BootGuard boot_guard;
        DeviceTable devices;
        GrantFiles grants;
        MoveTable moves;
        Registry *registry;
        ClaimTable *claims;
        uint64_t next_age; /* of the next rule */
        DriftReport drift;
        int restart_needed;   /* int: sd-bus reads it as a D-Bus boolean */
        char *restart_reason; /* NULL: none */
        int read_only;
        Changes changes;
        bool scanned;        /* all devices, grants and moves were read once: changes are seen as such */
        bool ready;          /* wire->ready() was called: from now on the bus is told of changes */
        bool look_due;       /* an event says that the host may use other things than it did */
        bool platform_stale; /* a driver may have been loaded */
        int error;           /* of the host's last look; logged when it changes */

        Uevents *uevents;
        RootFiles *root_files;
        HostWatch *host_watch;
        PciNames *names;
        HelperClient *helper;
        Polkit *polkit;
        Audit *audit;
        Store *store;

        Call *calls; /* calls.c */
        size_t n_calls;
        Diagnoser *diagnoser;  /* diagnosis-calls.c; NULL: nobody has asked yet */
        Operation *operations; /* operation.c */
        Errand *errands;       /* steward.c */
        Edit *edits;           /* edits.c, the next first */
        size_t n_edits;
        Transaction *transactions; /* transaction.c */
        Transaction *unconfirmed;  /* confirm.c: the one of them that waits for a confirmation, or NULL */
        uint32_t confirm_min;      /* seconds that may be given for it */
        IntentRecord *intents;     /* that a crash has left, until they are taken up */
        size_t n_intents;
        RunRecord *left_runs; /* of the service before this one, until they are taken up */
        size_t n_left_runs;

        Lifelines *lifelines;
        Machines *machines;
        RunStart *starts;             /* run-start.c, in the order in which they came */
        RunStop *stops;               /* run-stop.c */
        RunWatch *run_watches;        /* run-watch.c */
        QuarantineRecord *quarantine; /* quarantine.c */
        size_t n_quarantine;
};

typedef struct ManagerConfig {
        int root;
        uid_t root_uid;
        const char *node_name;
        uint64_t healthy_usec; /* idle for so long, this boot has gone well */
        uint32_t confirm_min;  /* 0: the usual; fewer confirm-seconds in tests alone */
} ManagerConfig;

int manager_new(sd_bus *bus, sd_event *event, const ManagerConfig *config, const ManagerWire *wire,
                Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free);

/* Opens the edges (the monitor first), then reads what is there. Calls wire->ready() once, later. */
int manager_start(Manager *m, int uevent_fd);

/* Has everything that is marked as changed told to the bus now, and not at the end of the loop's round:
 * before a reply, so that who reads a property after it reads the truth. */
void manager_flush(Manager *m);

/* Reads the drivers of a set's members again; bridges too, since they are members. */
void manager_reread_set(Manager *m, const IommuSet *set);

void manager_read_moves(Manager *m);
void manager_apply_moves(Manager *m); /* tells the devices what the journal says */
void manager_apply_move(Manager *m, Device *d);

uint64_t manager_now(const Manager *m);
