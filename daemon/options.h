/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading the arguments of methods: arrays of devices, and options (a{sv}) by a table. Everything that is not as
 * documented is a Failure with a sentence; other errors (-EBADMSG...) are the message's. Texts stay in the message. */

#include "consent-calls.h"
#include "manager.h"
#include "plan-calls.h"

typedef enum OptionKind {
        OPTION_TEXT,    /* const char * */
        OPTION_BOOL,    /* int */
        OPTION_U32,     /* uint32_t */
        OPTION_I32,     /* int32_t */
        OPTION_U64,     /* uint64_t */
        OPTION_DEVICES, /* IommuSet */
        OPTION_CONSENT, /* uint32_t: bits of CriticalReason */
        OPTION_SRIOV,   /* SriovPatch: a{sv}, the settings of a group of virtual functions */
        OPTION_VF,      /* VfSettings: a{sv}, a claim's */
        OPTION_MACS,    /* MacList: as, addresses of a claim's devices */
} OptionKind;

typedef struct Option {
        const char *name;
        OptionKind kind;
        size_t value; /* offset in the target */
        size_t has;   /* offset of a bool that becomes true; OPTION_NO_FLAG: there is none */
} Option;

#define OPTION_NO_FLAG SIZE_MAX

int options_read(const Manager *m, sd_bus_message *message, const Option *table, size_t n, void *target,
                 Failure *f);

/* An array of Device objects, with the limit of DEVICES_PER_CALL_MAX; none is an error where `some`. */
int options_read_devices(const Manager *m, sd_bus_message *message, bool some, IommuSet *ret, Failure *f);

/* The same, as they came. */
int options_read_list(const Manager *m, sd_bus_message *message, bool some, DeviceList *ret, Failure *f);

/* An array of id selectors, one at least. */
int options_read_ids(sd_bus_message *message, IdList *ret, Failure *f);

/* What a handler returns when reading failed. */
int options_fail(int r, const Failure *f, sd_bus_error *error);
