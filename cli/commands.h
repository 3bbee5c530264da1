/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The functions behind the table in commands.c, by the file that has them. */

#include "command.h"

/* doctor.c */
ExitCode command_doctor(Cli *cli);
/* help.c */
ExitCode command_help(Cli *cli);
/* list.c */
ExitCode command_list(Cli *cli);
/* show.c */
ExitCode command_show(Cli *cli);
