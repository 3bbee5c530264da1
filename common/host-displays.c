/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "host-facts.h"
#include "sysfs.h"

typedef struct Displays {
        int root;
        HostFacts *facts;
} Displays;

static int take_framebuffer(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX], what[128];
        Displays *l = userdata;

        (void)snprintf(path, sizeof path, "sys/class/graphics/%s", name);
        /* The console starts on the first one; that other cards have one too says nothing. */
        if (!streq(name, "fb0") || sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;

        (void)snprintf(what, sizeof what, "framebuffer %.32s shows the host's screen on it", name);
        return host_facts_add(l->facts, CRITICAL_CONSOLE, target, what);
}

int host_displays_load(int root, HostFacts *facts) {
        Displays l = {.root = root, .facts = facts};
        char active[SYSFS_ATTRIBUTE_SIZE], path[PATH_MAX], target[PATH_MAX], what[128], *save = NULL;
        int r;

        r = sysfs_each(root, "sys/class/graphics", take_framebuffer, &l);
        if (r < 0 && r != -ENOENT)
                return r;

        r = sysfs_read(root, "sys/class/tty/console/active", active, sizeof active);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (char *tty = strtok_r(active, " ", &save); tty; tty = strtok_r(NULL, " ", &save)) {
                (void)snprintf(path, sizeof path, "sys/class/tty/%.64s", tty);
                if (sysfs_read_link(root, path, target, sizeof target) < 0)
                        continue;
                (void)snprintf(what, sizeof what, "the console %.32s is on it", tty);
                r = host_facts_add(facts, CRITICAL_CONSOLE, target, what);
                if (r < 0)
                        return r;
        }
        return 0;
}
