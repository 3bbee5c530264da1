/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "command.h"

/* What the command of these words takes, or the commands of a noun, or, without words, all. */
ExitCode help_print(int n, char *const words[]);
ExitCode help_print_version(void);
