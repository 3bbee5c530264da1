/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Settings of virtual functions on the bus: a{sv} with the words of vf-settings.h, numbers as u and words as s; of a
 * group also "vfs" (u) and "overridable" (as). What is not as documented is a Failure with a sentence that says
 * which option it stands in; other errors are the message's.
 */

#include <systemd/sd-bus.h>

#include "claim-plan.h"

/* The next value of the message, inside its variant. A device's address is in neither. */
int vf_options_read_group(sd_bus_message *message, const char *option, SriovPatch *ret, Failure *f);
int vf_options_read_claim(sd_bus_message *message, const char *option, VfSettings *ret, Failure *f);

/* as; "" for one that is to be made up. At most CLAIM_COUNT_MAX. */
int vf_options_read_macs(sd_bus_message *message, const char *option, MacList *ret, Failure *f);

/* Values of properties. A group of another type has {}. */
int vf_options_append_settings(sd_bus_message *reply, const VfSettings *v);
int vf_options_append_group(sd_bus_message *reply, const SriovSettings *s);
int vf_options_append_macs(sd_bus_message *reply, const ClaimRecord *c);
