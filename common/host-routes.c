/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "host-routes.h"

#define DEFAULT_PREFIX_MAX_IPV4 1
#define DEFAULT_PREFIX_MAX_IPV6 3

typedef struct Reader {
        RouteHop hop;
        bool told; /* an interface of it */
        route_hop_t f;
        void *userdata;
} Reader;

static int get_u32(Bytes b, uint32_t *ret) {
        if (b.size < sizeof *ret)
                return -EBADMSG;

        memcpy(ret, b.data, sizeof *ret);
        return 0;
}

static int tell(Reader *reader, uint32_t interface, uint32_t nexthop) {
        reader->told = true;
        reader->hop.interface = interface;
        reader->hop.nexthop = nexthop;
        return reader->f(&reader->hop, reader->userdata);
}

static int read_interface(Reader *reader, Bytes value) {
        uint32_t interface;
        int r;

        r = get_u32(value, &interface);
        return r < 0 ? r : tell(reader, interface, 0);
}

static int read_multipath(Reader *reader, Bytes hops) {
        struct rtnexthop hop;
        Bytes ignored;
        int r;

        while (hops.size > 0) {
                if (hops.size < sizeof hop)
                        return -EBADMSG;
                memcpy(&hop, hops.data, sizeof hop);
                r = netlink_cut(&hops, hop.rtnh_len, sizeof hop, &ignored);
                if (r < 0 || (r = tell(reader, (uint32_t)hop.rtnh_ifindex, 0)) != 0)
                        return r;
        }
        return 0;
}

static int read_group(Reader *reader, Bytes members) {
        struct nexthop_grp member;
        int r;

        for (; members.size > 0; members.data += sizeof member, members.size -= sizeof member) {
                if (members.size < sizeof member)
                        return -EBADMSG;
                memcpy(&member, members.data, sizeof member);
                r = tell(reader, 0, member.id);
                if (r != 0)
                        return r;
        }
        return 0;
}

typedef int (*take_attribute_t)(Reader *reader, unsigned type, Bytes value);

static int each_attribute(Reader *reader, Bytes attributes, take_attribute_t take) {
        struct rtattr a;
        Bytes value;
        int r;

        while (attributes.size > 0) {
                if (attributes.size < sizeof a)
                        return -EBADMSG;
                memcpy(&a, attributes.data, sizeof a);
                r = netlink_cut(&attributes, a.rta_len, sizeof a, &value);
                if (r < 0 || (r = take(reader, a.rta_type & NLA_TYPE_MASK, value)) != 0)
                        return r;
        }
        return 0;
}

static int take_route_attribute(Reader *reader, unsigned type, Bytes value) {
        if (type == RTA_OIF)
                return read_interface(reader, value);
        if (type == RTA_MULTIPATH)
                return read_multipath(reader, value);
        return type == RTA_NH_ID ? get_u32(value, &reader->hop.nexthop) : 0;
}

static int read_route(Reader *reader, Bytes body) {
        struct rtmsg route;
        uint32_t nexthop;
        int r;

        if (body.size < sizeof route)
                return -EBADMSG;
        memcpy(&route, body.data, sizeof route);
        /* Multicast routing and MPLS have families of their own. */
        if (route.rtm_family != AF_INET && route.rtm_family != AF_INET6)
                return 0;

        reader->told = false;
        reader->hop = (RouteHop){
                        .family = route.rtm_family, .type = route.rtm_type, .prefix = route.rtm_dst_len};
        body.data += sizeof route;
        body.size -= sizeof route;
        r = each_attribute(reader, body, take_route_attribute);
        if (r != 0 || reader->told)
                return r;

        nexthop = reader->hop.nexthop; /* all that is said with net.ipv4.nexthop_compat_mode=0 */
        return tell(reader, 0, nexthop);
}

static int take_nexthop_attribute(Reader *reader, unsigned type, Bytes value) {
        if (type == NHA_OIF)
                return read_interface(reader, value);
        if (type == NHA_GROUP)
                return read_group(reader, value);
        if (type == NHA_BLACKHOLE)
                reader->hop.type = RTN_BLACKHOLE;
        return 0;
}

static int read_nexthop(Reader *reader, Bytes body) {
        struct nhmsg nexthop;
        int r;

        if (body.size < sizeof nexthop)
                return -EBADMSG;
        memcpy(&nexthop, body.data, sizeof nexthop);

        reader->told = false;
        reader->hop = (RouteHop){.family = nexthop.nh_family, .type = RTN_UNICAST};
        body.data += sizeof nexthop;
        body.size -= sizeof nexthop;
        r = each_attribute(reader, body, take_nexthop_attribute);
        return r != 0 || reader->told ? r : tell(reader, 0, 0);
}

int route_read(unsigned type, Bytes body, void *userdata) {
        const RouteReader *reader = userdata;
        Reader r = {.f = reader->f, .userdata = reader->userdata};

        return type == RTM_NEWROUTE     ? read_route(&r, body)
               : type == RTM_NEWNEXTHOP ? read_nexthop(&r, body)
                                        : 0;
}

bool route_is_default(const RouteHop *hop) {
        assert(hop);

        return hop->type == RTN_UNICAST &&
               hop->prefix <= (hop->family == AF_INET ? DEFAULT_PREFIX_MAX_IPV4 : DEFAULT_PREFIX_MAX_IPV6);
}
