/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The devices that a command is about, with those that have to move along. */

#include "command.h"

typedef struct Selection {
        size_t n, n_named;
        const Object **devices; /* those named on the command line first, then those of --whole-set */
} Selection;

/* Those that the command line names; with whole_sets all others of their IOMMU sets that are no bridges. */
ExitCode selection_find(Cli *cli, bool whole_sets, Selection *ret);
/* The device and those that move with it. */
ExitCode selection_of_set(const Model *m, const Object *device, Selection *ret);
void selection_done(Selection *s);
#define _cleanup_selection_ _cleanup_(selection_done)

/* "a, b"; freed by the caller, NULL: no memory. */
char *selection_text(const Object *const devices[], size_t n);

/* Arrays of D-Bus paths, and of addresses as the helper takes them. Negative errno. */
int selection_append_paths(sd_bus_message *m, const Object *const devices[], size_t n);
int selection_append_addresses(sd_bus_message *m, const Object *const devices[], size_t n);

/* Entries of a{sv}, which has been opened: "siblings", none if there are none; "consent" of the command line, the same.
 * Negative errno. */
int selection_append_siblings(sd_bus_message *m, const Selection *s);
int selection_append_consent(sd_bus_message *m, const Options *o);
/* The reasons alone, as. */
int selection_append_reasons(sd_bus_message *m, const Options *o);
