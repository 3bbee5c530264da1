/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"
#include "wire.h"

Manager *wire_manager(sd_bus_message *m) {
        return sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
}

int wire_append_devices(sd_bus_message *reply, Device *const *devices, size_t n) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_message_append_basic(reply, 'o', devices[i]->path);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int wire_list_paths(const char *(*next)(void *walked, size_t *at), void *walked, size_t n, char ***ret) {
        const char *path;
        size_t at = 0, i;
        char **paths;

        paths = calloc(n + 1, sizeof *paths);
        if (!paths)
                return -ENOMEM;

        for (i = 0; i < n && (path = next(walked, &at)); i++) {
                paths[i] = strdup(path);
                if (!paths[i]) {
                        while (i > 0)
                                free(paths[--i]);
                        free(paths);
                        return -ENOMEM;
                }
        }

        *ret = paths;
        return 1;
}

void wire_check_sent(int r, const char *what) {
        if (r < 0)
                log_warning("A change of %s could not be told to the bus: %s.", what, strerror(-r));
}

void wire_emit_changed(Manager *m, const char *path, const char *interface, uint32_t mask,
                       wire_word_t to_string, const char *what) {
        char *names[32 + 1];
        size_t n = 0;

        for (int i = 0; i < 32; i++)
                if (mask & 1U << i)
                        names[n++] = (char *)(uintptr_t)to_string(i);
        names[n] = NULL;

        wire_check_sent(sd_bus_emit_properties_changed_strv(m->bus, path, interface, names), what);
}
