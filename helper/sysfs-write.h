/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The only writer of sysfs in the project, one write(2) per call, as the kernel wants it. May sleep for ever:
 * only workers call it. Returns 0 or a negative errno.
 */
int sysfs_write(int at, const char *path, const char *data);
