/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "command.h"

/* The table of `list` with those devices of the model that are true in `shown`. */
ExitCode list_print_devices(const Cli *cli, const bool shown[]);
