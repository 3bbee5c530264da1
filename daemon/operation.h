/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One of the helper's Bind, Release, Reset, Open, Close, SetVfs or SetVf under way: for a caller, for reconcile or for
 * a VM. While it lives, all devices of the IOMMU set are `moving`, and there is no second one for that set. With SetVfs
 * so are the virtual functions of the device, those that come meanwhile, too.
 */

#include "manager.h"

typedef struct OperationRequest {
        HelperVerb verb;
        PciAddress device;
        bool persistent; /* Bind: after each boot, too */

        const IommuSet *devices; /* Open: those of the set that the VM gets */
        const char *subject;     /* Open: whose access it is; "": root's */
        bool fds;                /* Open: by descriptors */
        /* Open: takes what it needs out of the helper's answer; comes before `done`, with its userdata. */
        void (*answered)(sd_bus_message *reply, void *userdata);

        uint32_t count;             /* SetVfs */
        bool bind;                  /* SetVfs: all of them, after each boot, too */
        const VfSettings *settings; /* SetVf */
} OperationRequest;

typedef void (*operation_done_t)(const Failure *failure, void *userdata);

/* Fills *f (and returns a negative errno) when it cannot start. done is called once, when the helper has
 * answered and the tables say what has become of the set. */
int operation_start(Manager *m, const OperationRequest *q, operation_done_t done, void *userdata,
                    Failure *f);

/* The host has been looked at: SetVfs ends when the virtual functions that came have been judged. */
void operation_take_verdicts(Manager *m);

bool operation_covers(const Manager *m, const PciAddress *a); /* is one under way for this device? */

bool operation_binds_to_stay(const Manager *m);

void operation_free_all(Manager *m); /* drops the answers */
