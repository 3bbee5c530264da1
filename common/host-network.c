/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "host-network.h"
#include "host-routes.h"

#define ANSWER_SIZE 32768 /* the kernel fills no more at once */
#define GROUPING_MAX 3    /* a route names a group, which names nexthops */
#define TRIES_MAX 5       /* tables that change while they are read */

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

typedef struct Request {
        struct nlmsghdr header;
        union {
                struct rtmsg route;
                struct nhmsg nexthop;
        };
        uint8_t attributes[32];
} Request;

static void request_init(Request *q, uint16_t type, uint16_t flags, size_t body_size) {
        *q = (Request){.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(body_size),
                                  .nlmsg_type = type,
                                  .nlmsg_flags = NLM_F_REQUEST | flags}};
}

static void request_add(Request *q, uint16_t type, const void *data, size_t size) {
        const struct rtattr a = {.rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = type};
        uint8_t *end = (uint8_t *)q + q->header.nlmsg_len;

        assert(q->header.nlmsg_len + RTA_SPACE(size) <= sizeof *q);

        memcpy(end, &a, sizeof a);
        memcpy(end + RTA_LENGTH(0), data, size);
        q->header.nlmsg_len += (uint32_t)RTA_SPACE(size);
}

static int ask(const Request *q, route_hop_t f, void *userdata) {
        const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        uint8_t buf[ANSWER_SIZE];
        _cleanup_close_ int fd = -1;
        ssize_t n;
        int r;

        /* Connected, so that nobody but the kernel can answer. */
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&kernel, sizeof kernel) < 0 ||
            send(fd, q, q->header.nlmsg_len, 0) < 0)
                return -errno;

        do {
                n = recv(fd, buf, sizeof buf, MSG_TRUNC);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > (ssize_t)sizeof buf)
                        return -EMSGSIZE;
                r = n <= 0 ? 0 : routes_read(buf, (size_t)n, f, userdata);
        } while (r == 0);
        return r;
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
        Request q;
        int r;

        if (s->depth == GROUPING_MAX)
                return -ELOOP;

        request_init(&q, RTM_GETNEXTHOP, 0, sizeof q.nexthop);
        request_add(&q, NHA_ID, &id, sizeof id);
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
static int search(const Request *q, Search *s) {
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
        Request q;

        request_init(&q, RTM_GETROUTE, NLM_F_DUMP, sizeof q.route);
        return search(&q, &s);
}

int host_network_each(network_use_t f, void *userdata) {
        int r;

        assert(f);

        r = each_address(f, userdata);
        return r != 0 ? r : each_default_route(f, userdata);
}

typedef struct Peer {
        unsigned char family;
        uint8_t bytes[sizeof(struct in6_addr)];
        unsigned interface; /* that its scope names, or 0 */
} Peer;

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

static int parse_peer(const char *text, Peer *ret) {
        size_t length = strcspn(text, "%");
        char address[INET6_ADDRSTRLEN];
        struct in6_addr a6;
        Peer p = {0};

        if (length >= sizeof address)
                return -EINVAL;
        (void)snprintf(address, sizeof address, "%.*s", (int)length, text);

        if (inet_pton(AF_INET6, address, &a6) == 1) {
                p.family = IN6_IS_ADDR_V4MAPPED(&a6) ? AF_INET : AF_INET6;
                memcpy(p.bytes, (uint8_t *)&a6 + (p.family == AF_INET ? 12 : 0),
                       p.family == AF_INET ? 4 : 16);
        } else if (inet_pton(AF_INET, address, p.bytes) == 1)
                p.family = AF_INET;
        else
                return -EINVAL;

        /* "Any address" is nobody's; and a link-local one is nothing without its link. */
        if (memcmp(p.bytes, &in6addr_any, sizeof p.bytes) == 0)
                return -EINVAL;
        if (text[length] == '%' && parse_scope(text + length + 1, &p.interface) < 0)
                return -EINVAL;
        if (p.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a6) && p.interface == 0)
                return -EINVAL;

        *ret = p;
        return 0;
}

typedef struct Ways {
        network_interface_t f;
        void *userdata;
        bool any; /* the kernel knows a way, or it is at home */
} Ways;

static int report_way(unsigned interface, const RouteHop *route, void *userdata) {
        char name[IF_NAMESIZE];
        Ways *w = userdata;

        if (route->type != RTN_UNICAST && route->type != RTN_LOCAL)
                return 0;
        w->any = true;
        if (route->type == RTN_LOCAL)
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

int host_network_route(const char *address, network_interface_t f, void *userdata) {
        Ways w = {f, userdata, false};
        Search s = {.f = report_way, .userdata = &w};
        Request q;
        Peer p;
        int r;

        assert(address);
        assert(f);

        r = parse_peer(address, &p);
        if (r < 0)
                return r;
        if (p.interface > 0 && p.family == AF_INET6)
                return report_way(p.interface, &(RouteHop){.type = RTN_UNICAST}, &w);

        /* The route itself, and not the one of its ways that this question would take: connections take others. */
        request_init(&q, RTM_GETROUTE, 0, sizeof q.route);
        q.route.rtm_family = p.family;
        q.route.rtm_dst_len = p.family == AF_INET ? 32 : 128;
        q.route.rtm_flags = RTM_F_FIB_MATCH;
        request_add(&q, RTA_DST, p.bytes, p.family == AF_INET ? 4 : 16);
        r = search(&q, &s);
        if (s.stopped)
                return r;
        return r < 0 && !means_unreachable(r) ? r : w.any ? 0 : -ENETUNREACH;
}
