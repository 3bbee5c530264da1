/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the kernel, udev, the firmware and root have written about storage, as text: nothing here looks at the host.
 * Mount tables are also anybody's text: every user may mount FUSE, and in a mount namespace of his own more. */

#include "macro.h"

/* A line of mountinfo: the parts that count, unescaped. They point into the line. */
typedef struct MountLine {
        char *number; /* "259:1"; "0:42" is no block device, or several */
        char *where, *type, *source;
} MountLine;

/* -EBADMSG: it is none. */
int storage_text_mount(char *line, MountLine *ret);

/* A line of /proc/swaps. 1: the host swaps to this device, unescaped; 0: to a file, or this is the head line. */
int storage_text_swap(char *line, char **ret_device);

/* "259:1". -EBADMSG */
int storage_text_number(const char *text, uint64_t *ret);

/* Where firmware and boot loaders read: /boot, /efi, and what is below. */
bool storage_text_is_boot_place(const char *where) _pure_;

/* Whether udev's record of a device has this link: "disk/by-uuid/8e0d8a4d", below /dev. */
bool storage_text_udev_link(const char *record, const char *link, bool any_case) _pure_;

/* The value of a property, "ID_FS_TYPE". -ENOENT; -E2BIG */
int storage_text_udev_property(const char *record, const char *key, char *ret, size_t size);

/* "UUID=x", "PARTLABEL=x" or "/dev/x", as fstab names a device, as udev's link below /dev. 0: it is no device. */
int storage_text_device_link(const char *spec, char *ret, size_t size, bool *ret_any_case);

typedef struct FstabEntry {
        const char *spec, *where; /* point into the caller's buffer */
        bool wanted;              /* without it the next boot ends in the emergency shell */
} FstabEntry;

/* The next entry that mounts something; of a line longer than the buffer, what fits. 1; 0: there is no more. */
int storage_text_fstab(FILE *f, char *buf, size_t size, FstabEntry *ret);

/* What= of a mount unit of systemd. -ENOENT; -E2BIG */
int storage_text_unit_what(const char *text, char *ret, size_t size);

/* An EFI variable of text as efivarfs gives it: attributes, then UTF-16. Printable ASCII only, else -EBADMSG. */
int storage_text_efi(const uint8_t *data, size_t n, char *ret, size_t size);
