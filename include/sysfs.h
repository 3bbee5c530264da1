/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading sysfs and procfs below a directory fd that the caller hands in: the host's "/" or a test's fake.
 * Nothing here writes. All functions return 0 (or a count) or a negative errno.
 */

#include "pci-address.h"

/* sysfs attributes are one page; longer text is an error (-E2BIG), never cut. */
#define SYSFS_ATTRIBUTE_SIZE 4096

/* Opens a directory for reading, close-on-exec. */
int sysfs_open_dir(int at, const char *path);

/* Reads a whole small file as text without its last newline; returns its length.
 * -E2BIG when it does not fit into size - 1 bytes, -EBADMSG when it holds a NUL byte. */
int sysfs_read(int at, const char *path, char *buf, size_t size);

/* Reads a whole text file of any length up to max bytes (for /proc tables); *ret is the caller's to free. */
int sysfs_read_full(int at, const char *path, size_t max, char **ret);

/* Reads a number as strtoull(…, base) does, and nothing else but a newline around it; -EINVAL otherwise. */
int sysfs_read_u64(int at, const char *path, unsigned base, uint64_t *ret);

/* The target of a symbolic link, whole, and its last component. -ENOENT: no such link. */
int sysfs_read_link(int at, const char *path, char *buf, size_t size);
int sysfs_read_link_name(int at, const char *path, char *buf, size_t size);

/* Opens bus/pci/devices/<address>: the fd is this device for ever, even when another takes its address.
 * -ENODEV: there is none. `root` is the host's root directory. */
int sysfs_open_device(int root, const PciAddress *a);

/* Calls f for each entry of a directory but "." and ".."; stops at, and returns, the first non-zero result. */
typedef int (*sysfs_entry_t)(const char *name, void *userdata);
int sysfs_each(int at, const char *path, sysfs_entry_t f, void *userdata);

/* The way back in: an administrator who has locked himself out boots with KERNEL_OPTION_OFF. */
bool sysfs_is_switched_off(int root);
