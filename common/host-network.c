/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "host-network.h"

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

static int report_route(unsigned index, int family, network_use_t f, void *userdata) {
        char name[IF_NAMESIZE];

        if (!if_indextoname(index, name))
                return errno == ENXIO ? 0 : -errno; /* gone since */
        return f(name, NETWORK_DEFAULT_ROUTE, family == AF_INET ? "IPv4" : "IPv6", userdata);
}

static int report_multipath(struct rtattr *a, int family, network_use_t f, void *userdata) {
        struct rtnexthop *hop = RTA_DATA(a);
        int left = (int)RTA_PAYLOAD(a), r;

        for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
                r = report_route((unsigned)hop->rtnh_ifindex, family, f, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

static int take_route(struct nlmsghdr *m, network_use_t f, void *userdata) {
        struct rtmsg *route = NLMSG_DATA(m);
        struct rtattr *a = RTM_RTA(route);
        int left = (int)RTM_PAYLOAD(m), r = 0;
        bool leads_somewhere = false;

        if (route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST)
                return 0;

        for (; RTA_OK(a, left) && r == 0; a = RTA_NEXT(a, left)) {
                leads_somewhere |= a->rta_type == RTA_OIF || a->rta_type == RTA_MULTIPATH;
                if (a->rta_type == RTA_OIF)
                        r = report_route(*(unsigned *)RTA_DATA(a), route->rtm_family, f, userdata);
                else if (a->rta_type == RTA_MULTIPATH)
                        r = report_multipath(a, route->rtm_family, f, userdata);
        }

        /* A bare nexthop object (net.ipv4.nexthop_compat_mode=0): we cannot say which interface it needs. */
        return r == 0 && !leads_somewhere ? -EOPNOTSUPP : r;
}

/* A dump of all tables, so that policy routing is seen too; libc has no call for it. */
static int each_default_route(network_use_t f, void *userdata) {
        struct {
                struct nlmsghdr header;
                struct rtmsg route;
        } request = {
                        .header.nlmsg_len = sizeof request,
                        .header.nlmsg_type = RTM_GETROUTE,
                        .header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                        .route.rtm_family = AF_UNSPEC,
        };
        _Alignas(struct nlmsghdr) char buf[32768];
        _cleanup_close_ int fd = -1;
        struct nlmsghdr *m;
        ssize_t n;
        int r;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (fd < 0 || send(fd, &request, sizeof request, 0) < 0)
                return -errno;

        for (;;) {
                n = recv(fd, buf, sizeof buf, MSG_TRUNC);
                if (n < 0)
                        return -errno;
                if ((size_t)n > sizeof buf)
                        return -EMSGSIZE;

                for (m = (void *)buf; NLMSG_OK(m, (size_t)n); m = NLMSG_NEXT(m, n)) {
                        if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_flags & NLM_F_DUMP_INTR)
                                return -EAGAIN;
                        if (m->nlmsg_type == NLMSG_DONE)
                                return 0;
                        if (m->nlmsg_type != RTM_NEWROUTE)
                                continue;
                        r = take_route(m, f, userdata);
                        if (r != 0)
                                return r;
                }
        }
}

int host_network_each(network_use_t f, void *userdata) {
        int r;

        assert(f);

        r = each_address(f, userdata);
        if (r != 0)
                return r;

        /* Routes that change while they are dumped: once more. What was reported already does no harm. */
        for (int tries = 0; tries < 5; tries++) {
                r = each_default_route(f, userdata);
                if (r != -EAGAIN)
                        break;
        }
        return r;
}
