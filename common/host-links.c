/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>

#include "host-facts.h"
#include "host-network.h"
#include "host-sessions.h"
#include "sysfs.h"
#include "text.h"
#include "user-name.h"

#define OVS_DATAPATH "ovs-system"
#define STACKING_MAX 12 /* VLAN on bridge on bond...: deeper than the kernel lets anybody build */
#define CHAIN_SHOWN 3   /* interfaces between the one that is used and the card, in a sentence */
#define CLAUSE_SIZE 384

typedef struct Links {
        int root;
        HostFacts *facts;
        CriticalReason reason;
        const char *before, *after; /* the clause, around the name of the interface that is used */
        char chain[STACKING_MAX][IF_NAMESIZE]; /* from that one down */
        unsigned depth, lowers;
        char listener[IF_NAMESIZE]; /* whose groups are being read */
        unsigned groups;            /* of the interface that is looked for, chain[0] */
} Links;

static bool has_entry(const Links *l, const char *interface, const char *entry) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "sys/class/net/%s/%s", interface, entry);
        return faccessat(l->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int find_interface(const Links *l, const char *interface, char target[static PATH_MAX]) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "sys/class/net/%s", interface);
        return sysfs_read_link(l->root, path, target, PATH_MAX);
}

static bool is_virtual(const char *target) {
        return strstr(target, "/virtual/");
}

/* "bridge br0", "bond bond0"; of other kinds sysfs says nothing. */
static const char *kind_of(const Links *l, const char *interface, const char *otherwise) {
        return has_entry(l, interface, "bridge")    ? "bridge "
               : has_entry(l, interface, "bonding") ? "bond "
                                                    : otherwise;
}

/* "bridge br0 has the host's address 192.0.2.7 by way of bond bond0 and eth1". */
static void describe(const Links *l, char buf[static CLAUSE_SIZE]) {
        unsigned first = l->depth > CHAIN_SHOWN ? l->depth - CHAIN_SHOWN : 1;
        const char *name = l->chain[0], *link;
        int n;

        n = snprintf(buf, CLAUSE_SIZE, "%s%s%s%s", l->before, kind_of(l, name, "network interface "), name,
                     l->after);
        for (unsigned i = first; i < l->depth && n > 0 && n < CLAUSE_SIZE; i++) {
                name = l->chain[i];
                link = i == first ? " by way of " : i + 1 == l->depth ? " and " : ", ";
                n += snprintf(buf + n, (size_t)(CLAUSE_SIZE - n), "%s%s%s", link, kind_of(l, name, ""),
                              name);
        }
}

static int add_target(const Links *l, const char *target) {
        char what[CLAUSE_SIZE];

        describe(l, what);
        return host_facts_add(l->facts, l->reason, target, what);
}

static int add_interface(Links *l, const char *interface);

static int follow_lower(const char *name, void *userdata) {
        Links *l = userdata;

        if (!startswith(name, "lower_"))
                return 0;
        l->lowers++;
        return add_interface(l, name + strlen("lower_"));
}

/* An interface of Open vSwitch's own stands on nothing in sysfs: what links to the cards is the switch's datapath. */
static bool may_be_in_switch(const Links *l, const char *interface) {
        return !streq(interface, OVS_DATAPATH) && !has_entry(l, interface, "bridge") &&
               !has_entry(l, interface, "bonding") && !has_entry(l, interface, "tun_flags");
}

/* lower_* links lead from bridge, bond, team, VRF, VLAN and macvlan down to their ports. */
static int follow_lowers(Links *l, const char *interface, const char *target) {
        unsigned lowers = l->lowers;
        char path[PATH_MAX];
        int r;

        l->lowers = 0;
        (void)snprintf(path, sizeof path, "sys/class/net/%s", interface);
        r = sysfs_each(l->root, path, follow_lower, l);
        if (r >= 0 && l->lowers == 0 && is_virtual(target) && may_be_in_switch(l, interface))
                r = add_interface(l, OVS_DATAPATH);
        /* A mark that all below it was seen; the many ends of virtual machines and containers need none. */
        if (r >= 0 && l->lowers > 0 && is_virtual(target))
                r = add_target(l, target);
        l->lowers = lowers;
        return r == -ENOENT ? 0 : r;
}

/* Adds an interface and what it stands on. */
static int add_interface(Links *l, const char *interface) {
        char target[PATH_MAX];
        int r;

        if (l->depth == STACKING_MAX)
                return -ELOOP;
        if (strlen(interface) >= IF_NAMESIZE)
                return -EBADMSG;

        r = find_interface(l, interface, target);
        if (r < 0) /* gone since; it may also be in another network namespace */
                return r == -ENOENT ? 0 : r;
        if (host_facts_have(l->facts, l->reason, target))
                return 0;

        (void)snprintf(l->chain[l->depth++], IF_NAMESIZE, "%s", interface);
        if (!is_virtual(target))
                r = add_target(l, target);
        if (r >= 0)
                r = follow_lowers(l, interface, target);
        l->depth--;
        return r;
}

static int take_network_use(const char *interface, NetworkUse use, const char *text, void *userdata) {
        Links *l = userdata;
        char after[128];

        l->reason = use == NETWORK_ADDRESS ? CRITICAL_ADDRESS : CRITICAL_DEFAULT_ROUTE;
        if (use == NETWORK_ADDRESS)
                (void)snprintf(after, sizeof after, " has the host's address %s", text);
        else
                (void)snprintf(after, sizeof after, " carries the %s default route", text);
        l->before = "";
        l->after = after;
        return add_interface(l, interface);
}

static int take_way(const char *interface, void *userdata) {
        return add_interface(userdata, interface);
}

/* All that the default routes need, they having been followed before. */
static int add_defaults(Links *l, const char *what) {
        size_t n = l->facts->n_uses;
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                if (l->facts->uses[i].reason == CRITICAL_DEFAULT_ROUTE)
                        r = host_facts_add(l->facts, CRITICAL_YOUR_CONNECTION, l->facts->uses[i].path, what);
        return r;
}

/* Of all users, and not only of who is asking: nobody means to cut off a colleague either. */
static int take_session(uid_t uid, const char *peer, void *userdata) {
        char name[USER_NAME_SIZE], before[160], what[192], from[48];
        Links *l = userdata;
        int r;

        (void)snprintf(from, sizeof from, "%.46s", isempty(peer) ? "elsewhere" : peer);
        text_make_printable(from);
        (void)snprintf(before, sizeof before, "the remote session of %.24s from %s comes in ",
                       user_name(l->root, uid, name), from);
        (void)snprintf(what, sizeof what, "%sby the default route", before);
        (void)snprintf(before + strlen(before), sizeof before - strlen(before), "through ");

        l->reason = CRITICAL_YOUR_CONNECTION;
        l->before = before;
        l->after = "";
        r = host_network_route(peer, take_way, l);
        return r == -EINVAL || r == -ENETUNREACH ? add_defaults(l, what) : r;
}

typedef struct Upper {
        const Links *links;
        const char *interface;
        char name[IF_NAMESIZE], what[CLAUSE_SIZE];
} Upper;

/* What one of them says is enough; being a port says more than an interface on top. */
static int find_upper(const char *entry, void *userdata) {
        char path[PATH_MAX];
        Upper *u = userdata;
        const char *kind;

        if (streq(entry, "master")) {
                (void)snprintf(path, sizeof path, "sys/class/net/%s/master", u->interface);
                if (sysfs_read_link_name(u->links->root, path, u->name, sizeof u->name) < 0)
                        return 0;
                kind = kind_of(u->links, u->name, "");
                (void)snprintf(u->what, sizeof u->what, "network interface %s is a part of %s%s",
                               u->interface, kind, u->name);
                return 1;
        }
        if (startswith(entry, "upper_"))
                (void)snprintf(u->what, sizeof u->what, "network interface %s is used by %.15s on top of it",
                               u->interface, entry + strlen("upper_"));
        return 0;
}

static int take_interface(const char *interface, void *userdata) {
        char target[PATH_MAX], path[PATH_MAX];
        Links *l = userdata;
        Upper u = {.links = l, .interface = interface};
        int r;

        /* Only cards: what is on top of a virtual one is, by its links, on top of the card as well. And
         * "bonding_masters" is a file. */
        if (find_interface(l, interface, target) < 0 || is_virtual(target))
                return 0;

        (void)snprintf(path, sizeof path, "sys/class/net/%s", interface);
        r = sysfs_each(l->root, path, find_upper, &u);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return u.what[0] ? host_facts_add(l->facts, CRITICAL_BRIDGE_OR_BOND_MEMBER, target, u.what) : 0;
}

typedef int (*take_line_t)(Links *l, const char *line);

/* Each line of a table in /proc/net that may be missing. Any user can make these long, by what he listens to. */
static int each_line(Links *l, const char *path, take_line_t take) {
        _cleanup_free_ char *line = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_close_ int fd = -1;
        size_t size = 0;
        int r;

        fd = openat(l->root, path, O_RDONLY | O_CLOEXEC);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f)
                return errno == ENOENT ? 0 : -errno;
        (void)STEAL_FD(fd);

        for (errno = 0; getline(&line, &size, f) >= 0; errno = 0) {
                r = take(l, line);
                if (r < 0)
                        return r;
        }
        return -errno;
}

static int add_hidden_use(Links *l, const char *interface, const char *user) {
        char target[PATH_MAX], what[CLAUSE_SIZE];

        if (find_interface(l, interface, target) < 0 || is_virtual(target))
                return 0;
        (void)snprintf(what, sizeof what, "network interface %s is used by %s", interface, user);
        return host_facts_add(l->facts, CRITICAL_BRIDGE_OR_BOND_MEMBER, target, what);
}

/* "00000001 52:54:00:12:34:56 eth0": pppN does not stand on it in sysfs. */
static int take_pppoe(Links *l, const char *line) {
        char interface[IF_NAMESIZE];

        if (sscanf(line, "%*8[0-9A-Fa-f] %*17[0-9A-Fa-f:] %15s", interface) != 1)
                return 0;
        return add_hidden_use(l, interface, "a PPPoE connection");
}

/* "2\teth0      :     2      V3", then for each of its groups "\t\t\t\t010000E0     1 0:00000000\t\t0". */
static int take_group(Links *l, const char *line) {
        uint8_t bytes[4];
        uint32_t group;

        if (line[0] != '\t') {
                if (sscanf(line, "%*u %15[^ :]", l->listener) != 1)
                        l->listener[0] = '\0';
                return 0;
        }
        if (!streq(l->listener, l->chain[0]) || sscanf(line, "%8" SCNx32, &group) != 1)
                return 0;
        memcpy(bytes, &group, sizeof bytes);
        l->groups += (bytes[1] & 0x7f) == 0 && bytes[2] == 0 && bytes[3] == 1;
        return 0;
}

/* "3    eth0            2     0     01005e000001": who speaks IPv4 listens to "all hosts" once. More often: a
 * macvlan, ipvlan or VLAN on top of it does, too. When that one is in another network namespace, as for containers,
 * sysfs has no link from one to the other. But 239.0.0.1 and others have the same address on the wire, and any user
 * may listen to those: these are known here. */
static int take_listener(Links *l, const char *line) {
        char interface[IF_NAMESIZE], address[16];
        size_t n = l->facts->n_uses;
        unsigned users;
        int r;

        if (sscanf(line, "%*u %15s %u %*u %15s", interface, &users, address) != 3 || users < 2 ||
            !streq(address, "01005e000001"))
                return 0;
        strcpy(l->chain[0], interface);
        l->groups = 0;
        r = each_line(l, "proc/net/igmp", take_group);
        if (r < 0 || users <= l->groups)
                return r;

        r = add_hidden_use(l, interface, "one on top of it in another network namespace");
        l->facts->unwatched |= l->facts->n_uses > n; /* nothing tells us when that one leaves */
        return r;
}

int host_links_load(int root, HostFacts *facts) {
        Links l = {.root = root, .facts = facts};
        int r;

        assert(facts);

        if ((r = host_network_each(take_network_use, &l)) < 0 ||
            (r = host_sessions_each(take_session, &l)) < 0 ||
            (r = sysfs_each(root, "sys/class/net", take_interface, &l)) < 0 ||
            (r = each_line(&l, "proc/net/pppoe", take_pppoe)) < 0 ||
            (r = each_line(&l, "proc/net/dev_mcast", take_listener)) < 0)
                return r;
        return host_cards_load(root, facts);
}
