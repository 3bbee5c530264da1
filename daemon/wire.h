/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the faces of our objects share. */

#include "manager.h"

/* The arguments of a property's getter, of which few need more than two. Userdata is the object, plus the offset that
 * the vtable names. */
#define GETTER_ARGUMENTS                                                                                    \
        sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,                    \
                        const char *property _unused_, sd_bus_message *reply, void *userdata,               \
                        sd_bus_error *error _unused_

/* The manager that the handler's vtable was added with. */
Manager *wire_manager(sd_bus_message *m);

int wire_append_devices(sd_bus_message *reply, Device *const *devices, size_t n);

/* For sd_bus_add_node_enumerator(): copies, since sd-bus frees what it gets. next() walks as the registry's do. */
int wire_list_paths(const char *(*next)(void *walked, size_t *at), void *walked, size_t n, char ***ret);

/* Has sd-bus tell changes: bits are indices of to_string. what: for the log. */
typedef const char *(*wire_word_t)(int value);
void wire_emit_changed(Manager *m, const char *path, const char *interface, uint32_t mask,
                       wire_word_t to_string, const char *what);
void wire_check_sent(int r, const char *what);
