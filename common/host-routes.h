/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads what rtnetlink(7) answers about routes and nexthop objects. */

#include "host-netlink.h"

/* One way that a route, or a nexthop object, leads. */
typedef struct RouteHop {
        uint8_t family;     /* AF_INET, AF_INET6 */
        uint8_t type;       /* RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE... */
        uint8_t prefix;     /* bits of the destination; 0 of a nexthop object */
        unsigned interface; /* index, or 0 */
        uint32_t nexthop; /* id of the nexthop object that says the interface, or 0; both 0: it leads nowhere */
} RouteHop;

/* Called for each way of each route: once for each link of a route over several. Non-zero stops. */
typedef int (*route_hop_t)(const RouteHop *hop, void *userdata);

typedef struct RouteReader {
        route_hop_t f;
        void *userdata;
} RouteReader;

/* netlink_message_t, with a RouteReader. */
int route_read(unsigned type, Bytes body, void *userdata);

/* Half of all addresses, as VPNs do that leave the true default route where it is (0.0.0.0/1 and 128.0.0.0/1, ::/1 and
 * 8000::/1), or all of IPv6 that is given out (2000::/3), is a way out of the host like 0.0.0.0/0. */
bool route_is_default(const RouteHop *hop) _pure_;
