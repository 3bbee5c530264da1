/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Root's way to the privileged helper. polkit says yes to root whatever is asked, so the service takes no consent from
 * root; root gives it, and takes it back, where it is kept. What needs no consent (Bind, Release, Reset...) root asks
 * of the service, which does not prompt root, and which alone knows what is claimed, ordered, or waits to be confirmed.
 */

#include "selection.h"

/* Whether the helper takes calls from us. */
bool helper_is_ours(void);

/* f: as of client_try(). confirm: 0, or seconds: then the consent is pending, and the helper undoes what comes of it
 * unless it is kept in time. */
ExitCode helper_grant(Cli *cli, const Object *const devices[], size_t n, uint32_t confirm, Failure *f);
/* To their virtual functions, in place of the devices themselves. */
ExitCode helper_grant_vfs(Cli *cli, const Object *const devices[], size_t n, Failure *f);
ExitCode helper_revoke(Cli *cli, const Object *const devices[], size_t n, bool release, Failure *f);
/* What is pending goes; what is kept stays. */
ExitCode helper_drop(Cli *cli, const Object *const devices[], size_t n, Failure *f);
ExitCode helper_change_ids(Cli *cli, bool grant, char *const ids[], size_t n);
