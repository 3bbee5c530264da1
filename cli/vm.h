/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VMs: there is no object for one. A VM is what the claims of one owner that carry its name are for. Whose
 * VM a name means is as the service has it: the caller's, or, if he has none, that of the one user who has.
 */

#include "command.h"

/* --owner: a name or a number; *ret_given: whether it is given. Complains. */
ExitCode vm_owner_option(const Options *o, bool *ret_given, uint32_t *ret_uid);

/* A call of Manager for the VM that the first word names, up to its options: sa{sv}, left open. */
ExitCode vm_new_call(Cli *cli, const char *member, bool has_owner, uint32_t owner, sd_bus_message **ret);
/* Closes the options. */
ExitCode vm_end_call(sd_bus_message *call);

/* The same as complain_failure(), in the words of the command line where the service speaks of its
 * methods. */
ExitCode vm_complain(const char *vm, const Failure *f);

/* Whether two claims are for one VM. */
bool vm_is_same(const Object *a, const Object *b);

/* Of a claim's status, or of what it makes of the VM. */
Tint vm_status_tint(const char *status) _pure_;

/* What QEMU's command line must have for what the VM has of a claim; appends to the JSON list. */
ExitCode vm_read_arguments(Cli *cli, const char *claim, json_t *list);
