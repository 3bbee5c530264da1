/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The functions behind the table in commands.c, by the file that has them. */

#include "command.h"

/* claim.c */
ExitCode command_claim_list(Cli *cli);
ExitCode command_claim_show(Cli *cli);
ExitCode command_claim_add(Cli *cli);
ExitCode command_claim_edit(Cli *cli);
ExitCode command_claim_delete(Cli *cli);
/* complete.c */
ExitCode command_complete(Cli *cli);
/* doctor.c */
ExitCode command_doctor(Cli *cli);
/* document.c */
ExitCode command_export(Cli *cli);
ExitCode command_import(Cli *cli);
/* group.c */
ExitCode command_group_list(Cli *cli);
ExitCode command_group_show(Cli *cli);
ExitCode command_group_add(Cli *cli);
ExitCode command_group_edit(Cli *cli);
ExitCode command_group_delete(Cli *cli);
/* help.c */
ExitCode command_help(Cli *cli);
/* list.c */
ExitCode command_list(Cli *cli);
/* monitor.c */
ExitCode command_monitor(Cli *cli);
/* rule.c */
ExitCode command_rule_list(Cli *cli);
ExitCode command_rule_show(Cli *cli);
ExitCode command_rule_add(Cli *cli);
ExitCode command_rule_edit(Cli *cli);
ExitCode command_rule_delete(Cli *cli);
ExitCode command_rule_preview(Cli *cli);
ExitCode command_rule_explain(Cli *cli);
/* show.c */
ExitCode command_show(Cli *cli);
/* check.c, plan.c */
ExitCode command_check(Cli *cli);
ExitCode command_plan(Cli *cli);
/* make.c */
ExitCode command_make(Cli *cli);
/* confirm.c */
ExitCode command_confirm(Cli *cli);
ExitCode command_revert(Cli *cli);
ExitCode command_return(Cli *cli);
/* grant.c */
ExitCode command_grant(Cli *cli);
ExitCode command_revoke(Cli *cli);
/* move.c */
ExitCode command_bind(Cli *cli);
ExitCode command_release(Cli *cli);
ExitCode command_reset(Cli *cli);
ExitCode command_end_quarantine(Cli *cli);
/* vfs.c */
ExitCode command_vfs(Cli *cli);
/* vm.c, vm-start.c */
ExitCode command_vm_list(Cli *cli);
ExitCode command_vm_start(Cli *cli);
ExitCode command_vm_stop(Cli *cli);
ExitCode command_vm_arguments(Cli *cli);
