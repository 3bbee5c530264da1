/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One enum, one table of its words.
 *
 * DEFINE_STRING_TABLE(driver_kind, DriverKind, DRIVER_KIND_MAX) makes driver_kind_to_string() (NULL out of
 * range) and driver_kind_from_string() (-EINVAL for an unknown word) from driver_kind_table[].
 */

#include "macro.h"

#define DECLARE_STRING_TABLE(name, type)                                                                    \
        const char *name##_to_string(type value) _const_;                                                   \
        type name##_from_string(const char *s) _pure_

#define DEFINE_STRING_TABLE(name, type, max)                                                                \
        const char *name##_to_string(type value) {                                                          \
                return (int)value < 0 || value >= (max) ? NULL : name##_table[value];                       \
        }                                                                                                   \
                                                                                                            \
        type name##_from_string(const char *s) {                                                            \
                for (int i = 0; s && i < (int)(max); i++)                                                   \
                        if (name##_table[i] && streq(name##_table[i], s))                                   \
                                return (type)i;                                                             \
                return (type)-EINVAL;                                                                       \
        }                                                                                                   \
        struct string_table_swallow_semicolon_##name
