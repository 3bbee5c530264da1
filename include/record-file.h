/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The small root-owned files in which consent is kept: lines of `key=value`, comments and empty lines. Unknown keys,
 * missing keys and keys given twice are errors, because half a consent is none.
 */

#include <sys/types.h>

#include "macro.h"

/* Takes one value; keys are numbered as in the table. Negative: the record is none. */
typedef int (*record_value_t)(size_t key, const char *value, void *userdata);

/* -EBADMSG: not such a record. `optional`: bits of the keys that may be missing. At most 32 keys. */
int record_parse(const char *text, const char *const *keys, size_t n_keys, uint32_t optional,
                 record_value_t take, void *userdata);

/* Reads a file. -ENOENT: there is none; -EPERM: not a file of root's alone; -EBADMSG: too long or not text. */
int record_read(int root, const char *path, uid_t root_uid, char *buf, size_t size);

/* Numbers exactly as they are written here: -EBADMSG for a sign, a space, or a zero more or less. */
int record_parse_decimal(const char *s, uint64_t max, uint64_t *ret);
int record_parse_hex(const char *s, size_t digits, uint64_t *ret);
