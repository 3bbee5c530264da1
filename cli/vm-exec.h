/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command of `vm start` takes the tool's place: its signals and its status are its own, and nothing
 * stands between it and whoever started it. Of ours it gets standard input, output and error, the lifeline,
 * and what QEMU is to open the devices by; which number is what stands in its environment:
 *   PASSTHROUGH_VM=web                          PASSTHROUGH_LIFELINE=5
 *   PASSTHROUGH_DEVICES=0000:01:00.0 ...        PASSTHROUGH_NODES=/dev/vfio/7 ...
 *   PASSTHROUGH_QEMU_ARGUMENTS=-device vfio-pci,host=0000:01:00.0 ...
 *   PASSTHROUGH_IOMMUFD=3, PASSTHROUGH_DEVICE_FDS=4 ...  (access by descriptors)
 */

#include <signal.h>

#include "command.h"

/* QEMU's arguments count on it: the iommufd, behind it the devices. */
#define VM_FIRST_FD 3

typedef struct VmExec {
        const char *vm;
        char **words; /* the command; ends with NULL */
        int n_words;
        json_t *devices;   /* of StartVm: [address, path, claim, set, node] */
        json_t *arguments; /* QEMU's */
        sigset_t signals;  /* blocked before the tool began */
        size_t n_fds;
        int *fds; /* to become VM_FIRST_FD and up; the last is the lifeline */
} VmExec;

void vm_exec_done(VmExec *e);

/* Does not return, unless it fails: EXIT_CANNOT_RUN, EXIT_NO_COMMAND or EXIT_NO_DEVICES, and has complained.
 * The devices come back when the tool ends, since the lifeline is closed then. */
ExitCode vm_exec(VmExec *e);
