/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The settings of a group of type "sriov-nic": how many virtual functions each of its physical functions is to have,
 * what the port does with their frames (vf-settings.h), and what of that a claim may say otherwise. Pure.
 */

#include "names.h"
#include "vf-settings.h"

#define VF_SETTINGS_ALL ((1U << VF_SETTING_MAX) - 1)
#define VF_SETTINGS_OF_GROUP (VF_SETTINGS_ALL & ~(1U << VF_MAC)) /* an address is a claim's alone */

typedef struct SriovSettings {
        uint32_t vfs;  /* of each physical function, 1..VFS_MAX; 0: not said yet, or no group of this type */
        VfSettings vf; /* all of VF_SETTINGS_OF_GROUP are given */
        uint32_t overridable; /* bits 1 << VfSetting: what a claim may set */
} SriovSettings;

/* What nobody has set anything of: no VLAN, no rates, link "auto", switches "default"; claims may set addresses. The
 * number of functions has no default. */
extern const SriovSettings sriov_settings_default;

/* What is asked to be changed; what is not given is left as it is. */
typedef struct SriovPatch {
        uint32_t vfs;
        VfSettings vf;
        uint32_t overridable;
        bool has_vfs, has_overridable;
} SriovPatch;

void sriov_settings_apply(SriovSettings *s, const SriovPatch *patch);

/* owner: whose they are, in the sentence: "group \"x\"". InvalidArgument, and -EREMOTEIO. */
int sriov_settings_check(const SriovSettings *s, const char *owner, Failure *f);

/* May a claim say this of the group's? Only what is overridable, and what fits together with the rest. */
int sriov_settings_check_claim(const SriovSettings *group, const VfSettings *claim, const char *owner,
                               Failure *f);

bool sriov_settings_same(const SriovSettings *a, const SriovSettings *b) _pure_;

/* One line, with what is not the default: "vfs=4 overridable=vlan,mac vlan=100"; "" for a group of another type.
 * Returns buf. */
#define SRIOV_LINE_SIZE 512U
const char *sriov_settings_format(const SriovSettings *s, char buf[static SRIOV_LINE_SIZE]);
/* -EBADMSG: format() does not make such a line. That it can be (vfs, what fits together) is for check(). */
int sriov_settings_parse(const char *line, SriovSettings *ret);

/* What a function of a claim gets: the group's, what the claim sets of it and is still let, and its address; so that
 * nothing stays of who had it before, or of what its group said before, something is said of all but spoof-checking,
 * which drivers begin with differently; "default" of the two others is off, as with every driver. mac: NULL: none. */
void sriov_settings_effective(const SriovSettings *group, const VfSettings *claim, const uint8_t *mac,
                              VfSettings *ret);

/* What it is set to when the claim's VM has given it back: the group's, no address, and the switches that a claim may
 * have turned are as of a fresh function where the group has nothing to say. claim: NULL when it is not known. */
void sriov_settings_after(const SriovSettings *group, const VfSettings *claim, VfSettings *ret);

/* A number for settings that differ when they do, but for bad luck; never 0. */
uint64_t sriov_settings_fingerprint(const VfSettings *v) _pure_;
