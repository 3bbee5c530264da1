/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings of virtual functions: as options of the command line, as options of the service's methods, and for
 * people. Their words are those of vf-settings.h. */

#include "command.h"

/* Is it the value "group" of a setting, which only claims may have? */
bool sriov_is_as_group(Option option, const char *value) _pure_;

/* Are those of `which` (OPT() of each) of their form? Complains. */
ExitCode sriov_check(const Options *o, uint64_t which);

/* Appends what is given as "sriov" and "mac-addresses" to an a{sv} that has been opened. seen: the object of an update,
 * or NULL. The settings of a claim go out as a whole, those that it has with those that are given; the value "group"
 * takes one away from it. Negative errno. */
int sriov_append(sd_bus_message *m, const Options *o, uint64_t which, const Object *seen);

/* The fields of `show`; nothing for what is no such group, or a claim on one. */
void sriov_show_group(const Object *group);
void sriov_show_claim(const Object *claim);

/* What is not as a fresh function has it, "vlan 100, max-rate 200"; of orders the switches, too, when they are not left
 * to the driver. Freed by the caller, NULL: no memory. */
char *sriov_settings_text(const json_t *settings, bool ordered);
