/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel's part in a fake host: what the writes of the helper do. Linked with
 * -Wl,--wrap=sysfs_write,--wrap=host_network_each,--wrap=host_network_route,--wrap=host_sessions_each,
 * --wrap=vfio_in_use,--wrap=node_check it takes the place of those six.
 *
 * It knows the root by fake_kernel_attach(); all else is in files, so that the helper, its workers and the test
 * see the same kernel. Each write is a line of <root>/fake/log: "override A vfio-pci", "clear A", "unbind A",
 * "probe A", "reset A", "numvfs A 4", "autoprobe A 0", followed by " = EBUSY" when it failed.
 *
 * Injection: lines "WHAT ADDRESS ACTION [NTH]" in <root>/fake/fail. WHAT is one of the words above or "*",
 * ADDRESS may be "*", and the rule holds for the NTH write that matches (0 or none: each). Actions:
 *   EBUSY, EIO...    nothing is done, this error comes back
 *   nothing          nothing is done, and success comes back (a driver that refuses a probe)
 *   hang             waits until fake_host_let_go(), then goes on
 *   kill, kill-after the writing process dies by SIGKILL before, or after, the effect
 *   crash, crash-after  the same, and the process named by <root>/fake/helper.pid dies with it
 *   swap:A           after the effect another kind of device is at address A
 *   remove:A         after the effect A is gone (surprise unplug)
 *   unbind:A         after the effect the driver of A leaves it
 */

#include "macro.h"

void fake_kernel_attach(const char *root);
const char *fake_kernel_root(void);

/* What the test does itself when it plays the kernel. Return 0 or a negative errno. */
int fake_kernel_bind(const char *device_dir, const char *driver);
int fake_kernel_unbind(const char *device_dir);
void fake_kernel_unbind_address(const char *address);
void fake_kernel_remove(const char *address);

/* One line to <root>/fake/uevents, if somebody reads it. */
void fake_kernel_uevent(const char *action, const char *address);
