/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "host-routes.h"

#define DEFAULT_PREFIX_MAX_IPV4 1
#define DEFAULT_PREFIX_MAX_IPV6 3

/* Copied out before they are looked at: nothing here asks the buffer to be aligned. */
typedef struct Bytes {
        const uint8_t *data;
        size_t size;
} Bytes;

typedef struct Reader {
        RouteHop hop;
        bool told; /* an interface of it */
        route_hop_t f;
        void *userdata;
} Reader;

/* Takes what says itself how long it is (with its header) off the front; what follows is aligned to 4 bytes. */
static int cut(Bytes *from, size_t length, size_t header, Bytes *ret_payload) {
        size_t step = (length + 3) & ~(size_t)3;

        if (length < header || length > from->size)
                return -EBADMSG;

        *ret_payload = (Bytes){from->data + header, length - header};
        from->data += step < from->size ? step : from->size;
        from->size -= step < from->size ? step : from->size;
        return 0;
}

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
                r = cut(&hops, hop.rtnh_len, sizeof hop, &ignored);
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
                r = cut(&attributes, a.rta_len, sizeof a, &value);
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

/* Both an error and the end of a dump carry a number: 0 for "all is well". */
static int read_result(Bytes body) {
        uint32_t error;

        if (get_u32(body, &error) < 0)
                return -EBADMSG;
        return (int32_t)error < 0 && (int32_t)error > -4096 ? (int32_t)error : 1;
}

static int read_message(Reader *reader, const struct nlmsghdr *m, Bytes body) {
        int r = 0;

        if (m->nlmsg_flags & NLM_F_DUMP_INTR)
                return -EAGAIN;
        if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE)
                return read_result(body);

        if (m->nlmsg_type == RTM_NEWROUTE)
                r = read_route(reader, body);
        else if (m->nlmsg_type == RTM_NEWNEXTHOP)
                r = read_nexthop(reader, body);
        return r != 0 ? r : !(m->nlmsg_flags & NLM_F_MULTI);
}

int routes_read(const void *data, size_t size, route_hop_t f, void *userdata) {
        Reader reader = {.f = f, .userdata = userdata};
        Bytes left = {data, size}, body;
        struct nlmsghdr m;
        int r;

        assert(data);
        assert(f);

        while (left.size > 0) {
                if (left.size < sizeof m)
                        return -EBADMSG;
                memcpy(&m, left.data, sizeof m);
                r = cut(&left, m.nlmsg_len, sizeof m, &body);
                if (r < 0 || (r = read_message(&reader, &m, body)) != 0)
                        return r;
        }
        return 0;
}

bool route_is_default(const RouteHop *hop) {
        assert(hop);

        return hop->type == RTN_UNICAST &&
               hop->prefix <= (hop->family == AF_INET ? DEFAULT_PREFIX_MAX_IPV4 : DEFAULT_PREFIX_MAX_IPV6);
}
