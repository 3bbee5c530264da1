/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "command.h"

/* What the command takes; NULL: all commands. */
ExitCode help_print(const Command *command);
ExitCode help_print_version(void);
