/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls to org.verge.Passthrough.Helper, which the bus starts when it is not there. Never waits for it. */

#include "bus-util.h"
#include "pci-identity.h"
#include "string-table.h"
#include "vf-settings.h"

typedef enum HelperVerb {
        HELPER_PLAN,
        HELPER_GRANT,
        HELPER_REVOKE,
        HELPER_BIND,
        HELPER_RELEASE,
        HELPER_RESET,
        HELPER_RECOVER,
        HELPER_KEEP,
        HELPER_DROP,
        HELPER_GRANT_IDS,
        HELPER_REVOKE_IDS,
        HELPER_OPEN,
        HELPER_CLOSE,
        HELPER_HEALTHY,
        HELPER_GRANT_VFS,
        HELPER_SET_VFS,
        HELPER_SET_VF,
        HELPER_VERB_MAX,
        HELPER_VERB_INVALID = -EINVAL,
} HelperVerb;

DECLARE_STRING_TABLE(helper_verb, HelperVerb); /* the names of the methods */

typedef struct HelperClient HelperClient;
typedef struct HelperCall HelperCall;

/* The helper has left the bus: whatever it was doing has ended. */
typedef void (*helper_left_t)(void *userdata);

/* root: of the host, to look at its processes: InUse and Stuck say who holds the device, where that can be seen. */
int helper_client_new(sd_bus *bus, int root, helper_left_t left, void *userdata, HelperClient **ret);
HelperClient *helper_client_free(HelperClient *c); /* after all its calls */

typedef struct HelperRequest {
        HelperVerb verb;
        const PciAddress *device; /* Plan, Bind, Release, Reset, Recover, Close, SetVfs, SetVf */
        const IommuSet *devices;  /* Grant, GrantVfs, Keep, Drop, Revoke, Open: the addresses */
        const char *const *ids;   /* GrantIds, RevokeIds: "10de:1eb8" or "10de:1eb8:10de:12a2" */
        size_t n_ids;
        uint32_t consent; /* Grant, Plan: bits of CriticalReason */
        bool pending;     /* Grant, GrantVfs: until Keep, or a reboot */
        uint32_t confirm; /* Grant: and if Keep has not come by then (seconds), all goes back; 0: any time */
        bool release;     /* Revoke: bring them home first */
        bool persistent;  /* Bind, Plan: at every boot from now on, until Release */
        bool fds;         /* Open: descriptors instead of an ACL */
        uint32_t count;   /* SetVfs: how many virtual functions it is to have */
        bool bind;        /* SetVfs: and each of them on vfio-pci, persistently */
        const VfSettings *settings; /* SetVf: what is given is made so */
        const char *subject; /* of those that prompt, and of Open: unique bus name of the one who asks; "" root */
        bool interactive; /* polkit may prompt the subject */
} HelperRequest;

/* failure: NULL is success, and then reply is the helper's answer. Freed by the callee's return. */
typedef void (*helper_done_t)(const Failure *failure, sd_bus_message *reply, void *userdata);

/* Calls done once, later; helper_call_free(*ret) before that drops the answer, not the deed. */
int helper_client_call(HelperClient *c, const HelperRequest *q, helper_done_t done, void *userdata,
                       HelperCall **ret);
HelperCall *helper_call_free(HelperCall *call);
