/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ownership in the declaration.
 *
 * _cleanup_(f) runs f on the variable when it leaves scope; f is a function `void f(T *p)` made by
 * DEFINE_CLEANUP() or written by hand. STEAL() hands ownership on.
 */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _const_ __attribute__((const))
#define _pure_ __attribute__((pure))

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))

#define STEAL(p)                                                                                            \
        ({                                                                                                  \
                __typeof__(p) *_steal_p = &(p);                                                             \
                __typeof__(p) _steal_v = *_steal_p;                                                         \
                *_steal_p = NULL;                                                                           \
                _steal_v;                                                                                   \
        })

/* Takes an item out of a singly linked list; whether it was in it. */
#define LIST_REMOVE(head, item, next)                                                                       \
        ({                                                                                                  \
                __typeof__(head) *_list_i = &(head);                                                        \
                while (*_list_i && *_list_i != (item))                                                      \
                        _list_i = &(*_list_i)->next;                                                        \
                bool _list_found = !!*_list_i;                                                              \
                if (_list_found)                                                                            \
                        *_list_i = (item)->next;                                                            \
                _list_found;                                                                                \
        })

#define STEAL_FD(fd)                                                                                        \
        ({                                                                                                  \
                int *_steal_p = &(fd);                                                                      \
                int _steal_v = *_steal_p;                                                                   \
                *_steal_p = -1;                                                                             \
                _steal_v;                                                                                   \
        })

/* DEFINE_CLEANUP(sd_bus *, sd_bus_unref) makes sd_bus_unrefp() for use with _cleanup_(). */
#define DEFINE_CLEANUP(type, function)                                                                      \
        static inline _unused_ void function##p(type *p) {                                                  \
                if (*p)                                                                                     \
                        (void)function(*p);                                                                 \
        }                                                                                                   \
        struct cleanup_swallow_semicolon_##function

static inline void freep(void *p) {
        free(*(void **)p);
}

static inline void closep(const int *fd) {
        int saved = errno;

        if (*fd >= 0)
                (void)close(*fd);
        errno = saved;
}

DEFINE_CLEANUP(DIR *, closedir);
DEFINE_CLEANUP(FILE *, fclose);

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_closedir_ _cleanup_(closedirp)
#define _cleanup_fclose_ _cleanup_(fclosep)

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool isempty(const char *s) {
        return !s || s[0] == '\0';
}

static inline const char *strempty(const char *s) {
        return s ? s : "";
}

static inline bool startswith(const char *s, const char *prefix) {
        return strncmp(s, prefix, strlen(prefix)) == 0;
}
