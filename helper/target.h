/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What an operation works on: one device and all functions that must move with it, opened once. From then on each
 * is its directory fd, never again its address, and is proved to be the same device before every write.
 *
 * Only for workers: reading a device may block. Failures are sentences in result->failure; functions return 0 or
 * a negative errno.
 */

#include "critical.h"
#include "grant.h"
#include "move.h"
#include "worker.h"

typedef struct Member {
        int fd;
        PciIdentity identity;
        char address[PCI_ADDRESS_SIZE]; /* for sentences */
        Grant grant;                    /* valid after target_check_grants() */
        bool made;                      /* the grant comes from a selector and is not written yet */
        char driver[PCI_DRIVER_SIZE];   /* now; "" when none */
        bool ours;                      /* target_check_home(): it may be brought home */
        char override[PCI_DRIVER_SIZE]; /* at the start; see steps_read_overrides() */
        bool touched;                   /* a step of ours has changed it */
        uint32_t critical;              /* reasons that target_check_critical() found */
} Member;

typedef struct Target Target;
struct Target {
        int root;
        WorkerResult *result;
        PciAddress named; /* the device it was opened for */
        int lock;
        size_t n_members;
        Member members[DEVICES_PER_CALL_MAX]; /* without bridges, which stay with the host */
        IommuSet movers;                      /* their addresses */
        IommuSet set;                         /* with the bridges */
        HostFacts *facts;                     /* of Bind and Plan */
        bool ungranted;                       /* of Plan: a member has no grant that is valid */
        bool persistent;                      /* of Bind and Plan: to be bound at boot, too */
        char boot[GRANT_BOOT_SIZE];           /* then the id of this boot, for the mark */
        bool vfs_to_come;                     /* of SetVfs: it binds what it has yet to make */
        bool planning;                        /* steps are written down in result->plan, and not done */
        bool at_home;                         /* of move_check_at_home(), move_check_way_home() */
        bool left_behind;                     /* a move failed and could not be undone: the journal stays */
        Target *vfs, *next;                   /* of request-vfs.h: those of virtual functions, a list */
        const Member *pf;                     /* of these: the physical function, whose grant is proved */
};

typedef enum TargetAccess {
        TARGET_READ,   /* no lock: what is only looked at may change at any time */
        TARGET_CHANGE, /* with the lock */
        TARGET_TRY,    /* the same, but Busy if it would have to wait: for who has one lock in hand */
} TargetAccess;

/* Opens the device and its set; to change it, first takes the lock of that set (lock.h). NoSuchDevice speaks of `a`
 * alone; a sibling that is just going is Busy. Without an IOMMU the set is the device alone, with number UINT_MAX. */
int target_open(int root, const PciAddress *a, TargetAccess access, WorkerResult *result, Target **ret);
Target *target_close(Target *t);
DEFINE_CLEANUP(Target *, target_close);

/* Each member has a grant, of exactly this device and this set; or a selector covers it, and its grant is made; or it
 * is a virtual function, and its physical one has a grant for these. One that was made from a selector which is gone
 * counts no more. */
int target_check_grants(Target *t);
int target_check_grant(Target *t, Member *m); /* of one member */

/* Nobody has yet to confirm that it left the host (grant-confirm.h). */
int target_check_confirmed(Target *t);

/* m is a physical function whose virtual functions may leave, and is what its grant names. */
int target_check_pf(Target *t, Member *m);

/* Is it the one that m->grant names, by all that can be known? Fills in the slot and serial number that it names. */
bool target_is_granted_device(Target *t, Member *m);

/* For the way home: serial number, revision (a guest may flash it), slot and set may be others than m->grant says by
 * now; but another make of device is none of ours. */
bool member_is_of_the_make(const Member *m);

/* Makes m->grant of what the device and its set are now: all but whose consent it is. `old`, or NULL, is an earlier
 * grant of this address. */
void target_make_grant(Target *t, Member *m, const Grant *old);

/* May it go home? Those on vfio-pci have a grant for their address and make (virtual functions one for those of their
 * physical one), or stand in the journal; others without are left alone. That it is not quite what was granted any more
 * (a guest may rewrite a serial number or flash its device, a sibling may have joined, the selector is gone) must not
 * keep a device from the host. */
int target_check_home(Target *t);

/* Is a move of this set in the journal? */
bool target_is_interrupted(const Target *t, Move *ret);

/* Those of the reasons that its grant (or `consent`) does not override. Of a set that is not granted as a whole no
 * grant counts. */
uint32_t target_refused(const Target *t, const Member *m, const Critical *c, uint32_t consent);

/* No member is critical, but for reasons that its grant (or `consent`) overrides. */
int target_check_critical(Target *t, const HostFacts *facts, uint32_t consent);

/* Still the same device in the same set? To be asked before each write. */
int target_prove(Target *t, const Member *m);

/* Reads the driver link again. */
int target_refresh_driver(Target *t, Member *m);

/* Critical reasons of one member. */
int target_evaluate(Target *t, const Member *m, const HostFacts *facts, Critical *ret);

/* The host's use, or the failure that nothing can be said about it. */
int target_load_facts(int root, WorkerResult *result, HostFacts **ret);

static inline bool member_on_vfio(const Member *m) {
        return streq(m->driver, VFIO_DRIVER);
}

static inline bool member_overridden(const Member *m) {
        return streq(m->override, VFIO_DRIVER);
}

bool target_on_vfio(const Target *t) _pure_;           /* as a whole */
Member *target_named(Target *t);                       /* the member it was opened for */
Member *target_member(Target *t, const PciAddress *a); /* one that moves */

/* No order to be bound at boot stays behind: of no member, nor of what was granted with them and is not there now. */
int target_unmark(Target *t);
