/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Amounts of memory as people write them: "4G", "512M", "512MiB"; powers of 1024. */

#include "macro.h"

/* *ret_bytes is set only on success. -EINVAL: not of this form. A number alone is not, either: it is bytes
 * to some programs and MiB to QEMU. -ERANGE: 0, or more than 2^64 - 1 bytes. */
int size_parse(const char *text, uint64_t *ret_bytes);
