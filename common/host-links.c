/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "host-facts.h"
#include "host-network.h"
#include "sysfs.h"

#define OVS_DATAPATH "ovs-system"
#define STACKING_MAX 12 /* VLAN on bridge on bond...: deeper than anybody builds */

typedef struct Links {
        int root;
        HostFacts *facts;
        CriticalReason reason;
        const char *what;
        int depth;
} Links;

static int add_interface(Links *l, const char *interface);

static int follow_lower(const char *name, void *userdata) {
        return startswith(name, "lower_") ? add_interface(userdata, name + strlen("lower_")) : 0;
}

/* Adds an interface and what it stands on: lower_* links lead from bridge, bond and VLAN down to the ports. */
static int add_interface(Links *l, const char *interface) {
        char path[PATH_MAX], target[PATH_MAX];
        int r;

        if (l->depth == STACKING_MAX)
                return -ELOOP;

        (void)snprintf(path, sizeof path, "sys/class/net/%s", interface);
        r = sysfs_read_link(l->root, path, target, sizeof target);
        if (r == -ENOENT) /* gone since */
                return 0;
        if (r < 0)
                return r;

        r = host_facts_add(l->facts, l->reason, target, l->what);
        if (r < 0)
                return r;

        l->depth++;
        r = sysfs_each(l->root, path, follow_lower, l);
        /* A port inside Open vSwitch: sysfs links the switch's datapath, not its ports, to the cards. */
        if (r >= 0 && strstr(target, "/virtual/") && !streq(interface, OVS_DATAPATH))
                r = add_interface(l, OVS_DATAPATH);
        l->depth--;
        return r == -ENOENT ? 0 : r;
}

static int take_network_use(const char *interface, NetworkUse use, const char *text, void *userdata) {
        Links *l = userdata;
        char what[384];

        if (use == NETWORK_ADDRESS) {
                l->reason = CRITICAL_ADDRESS;
                (void)snprintf(what, sizeof what, "network interface %s has the host's address %s",
                               interface, text);
        } else {
                l->reason = CRITICAL_DEFAULT_ROUTE;
                (void)snprintf(what, sizeof what, "network interface %s carries the %s default route",
                               interface, text);
        }
        l->what = what;
        return add_interface(l, interface);
}

int host_links_load(int root, HostFacts *facts) {
        Links l = {.root = root, .facts = facts};

        assert(facts);

        return host_network_each(take_network_use, &l);
}
