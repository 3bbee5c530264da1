/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "host-connections.h"
#include "host-network.h"
#include "host-routes.h"

#define GROUPING_MAX 3    /* a route names a group, which names nexthops */
#define TRIES_MAX 5       /* tables that change while they are read */
#define CONNECTIONS_MAX 8 /* addresses of the host that one peer talks to */

static int each_address(network_use_t f, void *userdata) {
        struct ifaddrs *list, *i;
        char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
        bool any = false;
        const void *a;
        int r = 0;

        if (getifaddrs(&list) < 0)
                return -errno;

        for (i = list; i && r == 0; i = i->ifa_next) {
                any = true;
                if (!i->ifa_addr || i->ifa_flags & IFF_LOOPBACK)
                        continue;

                if (i->ifa_addr->sa_family == AF_INET)
                        a = &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;
                else if (i->ifa_addr->sa_family == AF_INET6) {
                        a = &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr;
                        if (IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)a))
                                continue;
                } else
                        continue;

                /* With a label it is "eth0:1", and no interface has that name. */
                (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(i->ifa_name, ":"), i->ifa_name);
                if (inet_ntop(i->ifa_addr->sa_family, a, text, sizeof text))
                        r = f(name, NETWORK_ADDRESS, text, userdata);
        }

        freeifaddrs(list);
        return r == 0 && !any ? -ENONET : r;
}

static int ask(const NetlinkRequest *q, route_hop_t f, void *userdata) {
        return netlink_ask(NETLINK_ROUTE, q, route_read, &(RouteReader){f, userdata});
}

/* Finds the interfaces that hops lead to, through nexthop objects where the route itself names none. */
typedef struct Search {
        int (*f)(unsigned interface, const RouteHop *route, void *userdata);
        void *userdata;
        bool defaults_only;
        unsigned depth;
        RouteHop route; /* whose nexthop is being resolved */
        bool stopped;   /* by f */
} Search;

static int resolve(const RouteHop *hop, void *userdata);

static int resolve_nexthop(Search *s, uint32_t id) {
        const struct nhmsg body = {.nh_family = AF_UNSPEC};
        NetlinkRequest q;
        int r;

        if (s->depth == GROUPING_MAX)
                return -ELOOP;

        netlink_request_init(&q, RTM_GETNEXTHOP, 0, &body, sizeof body);
        netlink_request_add(&q, NHA_ID, &id, sizeof id);
        s->depth++;
        r = ask(&q, resolve, s);
        s->depth--;
        if (s->stopped)
                return r;
        /* Replaced or gone since the route named it. */
        return r == -ENOENT ? -EAGAIN : r < 0 ? r : 0;
}

static int resolve(const RouteHop *hop, void *userdata) {
        Search *s = userdata;
        int r;

        if (s->depth == 0) {
                if (s->defaults_only && !route_is_default(hop))
                        return 0;
                s->route = *hop;
        }

        if (hop->interface > 0) {
                r = s->f(hop->interface, &s->route, s->userdata);
                s->stopped = r != 0;
                return r;
        }
        if (hop->nexthop > 0)
                return resolve_nexthop(s, hop->nexthop);
        /* Leads nowhere on purpose; or somewhere that we cannot tell. */
        return hop->type == RTN_UNICAST ? -EOPNOTSUPP : 0;
}

/* What was reported before a change does no harm. Returns what f returned, if that was not 0. */
static int search(const NetlinkRequest *q, Search *s) {
        int r;

        for (int tries = 0; tries < TRIES_MAX; tries++) {
                r = ask(q, resolve, s);
                if (r != -EAGAIN || s->stopped)
                        break;
        }
        return s->stopped || r < 0 ? r : 0;
}

typedef struct Defaults {
        network_use_t f;
        void *userdata;
} Defaults;

static int report_default(unsigned interface, const RouteHop *route, void *userdata) {
        const Defaults *d = userdata;
        char name[IF_NAMESIZE];

        if (!if_indextoname(interface, name))
                return errno == ENXIO ? 0 : -errno; /* gone since */
        return d->f(name, NETWORK_DEFAULT_ROUTE, route->family == AF_INET ? "IPv4" : "IPv6", d->userdata);
}

/* A dump of all tables, so that policy routing is seen too; libc has no call for it. */
static int each_default_route(network_use_t f, void *userdata) {
        Search s = {.f = report_default, .userdata = &(Defaults){f, userdata}, .defaults_only = true};
        const struct rtmsg body = {.rtm_family = AF_UNSPEC};
        NetlinkRequest q;

        netlink_request_init(&q, RTM_GETROUTE, NLM_F_DUMP, &body, sizeof body);
        return search(&q, &s);
}

int host_network_each(network_use_t f, void *userdata) {
        int r;

        assert(f);

        r = each_address(f, userdata);
        return r != 0 ? r : each_default_route(f, userdata);
}

static int parse_scope(const char *scope, unsigned *ret) {
        unsigned long index;
        char *end;

        *ret = if_nametoindex(scope);
        if (*ret == 0 && scope[0] >= '1' && scope[0] <= '9') {
                errno = 0;
                index = strtoul(scope, &end, 10);
                if (errno == 0 && *end == '\0' && index <= INT32_MAX)
                        *ret = (unsigned)index;
        }
        return *ret > 0 ? 0 : -EINVAL;
}

/* *ret_interface: the one that its scope names, or 0. */
static int parse_peer(const char *text, InternetAddress *ret, unsigned *ret_interface) {
        size_t length = strcspn(text, "%");
        char address[INET6_ADDRSTRLEN];
        InternetAddress a = {0};
        struct in6_addr a6;
        unsigned scope = 0;

        if (length >= sizeof address)
                return -EINVAL;
        (void)snprintf(address, sizeof address, "%.*s", (int)length, text);

        if (inet_pton(AF_INET6, address, &a6) == 1) {
                a.family = IN6_IS_ADDR_V4MAPPED(&a6) ? AF_INET : AF_INET6;
                memcpy(a.bytes, (uint8_t *)&a6 + (a.family == AF_INET ? 12 : 0), internet_address_size(&a));
        } else if (inet_pton(AF_INET, address, a.bytes) == 1)
                a.family = AF_INET;
        else
                return -EINVAL;

        /* "Any address" is nobody's; and a link-local one is nothing without its link. */
        if (memcmp(a.bytes, &in6addr_any, sizeof a.bytes) == 0)
                return -EINVAL;
        if (text[length] == '%' && parse_scope(text + length + 1, &scope) < 0)
                return -EINVAL;
        if (a.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a6) && scope == 0)
                return -EINVAL;

        *ret = a;
        *ret_interface = a.family == AF_INET6 ? scope : 0;
        return 0;
}

typedef struct Ways {
        InternetAddress peer;
        network_interface_t f; /* NULL: the question is only whether there are any */
        void *userdata;
        bool any, at_home; /* the kernel knows a way; the peer is the host itself */
        struct {
                InternetAddress local;
                unsigned interface;
        } connections[CONNECTIONS_MAX];
        size_t n_connections;
} Ways;

static int report_way(unsigned interface, const RouteHop *route, void *userdata) {
        char name[IF_NAMESIZE];
        Ways *w = userdata;

        w->at_home |= route->type == RTN_LOCAL;
        w->any |= route->type == RTN_UNICAST;
        if (!w->f || route->type != RTN_UNICAST)
                return 0;
        if (!if_indextoname(interface, name))
                return errno == ENXIO ? 0 : -errno; /* gone since */
        return w->f(name, w->userdata);
}

/* What the kernel says when it has no way, or one that was made to refuse. */
static bool means_unreachable(int error) {
        return error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EACCES || error == -EINVAL ||
               error == -EAFNOSUPPORT || error == -EOPNOTSUPP || error == -ENETDOWN;
}

/* local: by whose rules (policy routing), or NULL; interface: in whose VRF, or 0. */
static int find_ways(Ways *w, const InternetAddress *local, unsigned interface) {
        const size_t size = internet_address_size(&w->peer);
        const struct rtmsg body = {
                        .rtm_family = w->peer.family,
                        .rtm_dst_len = (uint8_t)(8 * size),
                        .rtm_src_len = local ? (uint8_t)(8 * size) : 0,
                        /* The route itself, and not the one of its ways that this question would take:
                         * connections take others. */
                        .rtm_flags = RTM_F_FIB_MATCH,
        };
        Search s = {.f = report_way, .userdata = w};
        NetlinkRequest q;
        int r;

        netlink_request_init(&q, RTM_GETROUTE, 0, &body, sizeof body);
        netlink_request_add(&q, RTA_DST, w->peer.bytes, size);
        if (local)
                netlink_request_add(&q, RTA_SRC, local->bytes, size);
        if (interface > 0)
                netlink_request_add(&q, RTA_OIF, &interface, sizeof interface);
        r = search(&q, &s);
        return r < 0 && !s.stopped && means_unreachable(r) ? 0 : r;
}

static int note_connection(const InternetAddress *local, unsigned interface, void *userdata) {
        Ways *w = userdata;

        if (local->family != w->peer.family)
                return 0;
        for (size_t i = 0; i < w->n_connections; i++)
                if (memcmp(&w->connections[i].local, local, sizeof *local) == 0 &&
                    w->connections[i].interface == interface)
                        return 0;
        if (w->n_connections == CONNECTIONS_MAX)
                return 1; /* enough: these are all addresses of the host that one peer talks to */

        w->connections[w->n_connections].local = *local;
        w->connections[w->n_connections++].interface = interface;
        return 0;
}

/* What comes in comes, as a rule, through the interface that has the address; what goes out follows the routes. */
static int report_owner(const char *interface, NetworkUse use _unused_, const char *text, void *userdata) {
        InternetAddress a = {0};
        Ways *w = userdata;

        a.family = strchr(text, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(a.family, text, a.bytes) != 1)
                return 0;
        for (size_t i = 0; i < w->n_connections; i++)
                if (memcmp(&w->connections[i].local, &a, sizeof a) == 0) {
                        w->any = true;
                        return w->f(interface, w->userdata);
                }
        return 0;
}

static int report_connections(Ways *w) {
        int r;

        r = each_address(report_owner, w);
        for (size_t i = 0; i < w->n_connections && r == 0; i++)
                r = find_ways(w, &w->connections[i].local, w->connections[i].interface);
        return r;
}

int host_network_route(const char *address, network_interface_t f, void *userdata) {
        Ways w = {.userdata = userdata};
        unsigned scope;
        int r;

        assert(address);
        assert(f);

        r = parse_peer(address, &w.peer, &scope);
        if (r < 0)
                return r;
        if (scope > 0) {
                w.f = f;
                return report_way(scope, &(RouteHop){.type = RTN_UNICAST}, &w);
        }

        r = find_ways(&w, NULL, 0);
        if (r < 0 || w.at_home)
                return r;
        w.any = false;
        w.f = f;
        (void)host_connections_each(&w.peer, note_connection, &w);
        if (w.n_connections > 0)
                r = report_connections(&w);
        if (r == 0 && !w.any)
                r = find_ways(&w, NULL, 0);
        return r != 0 ? r : w.any ? 0 : -ENETUNREACH;
}
