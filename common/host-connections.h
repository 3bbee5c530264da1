/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The host's end of TCP connections with somebody, from sock_diag(7). */

#include <sys/socket.h>

#include "host-netlink.h"

typedef struct InternetAddress {
        uint8_t family; /* AF_INET, AF_INET6; an IPv4 address never stands in an IPv6 one */
        uint8_t bytes[16];
} InternetAddress;

static inline size_t internet_address_size(const InternetAddress *a) {
        return a->family == AF_INET ? 4 : 16;
}

/* interface: index of the one that the connection is bound to, as in a VRF, or 0. Non-zero stops. */
typedef int (*connection_t)(const InternetAddress *local, unsigned interface, void *userdata);

typedef struct ConnectionReader {
        connection_t f;
        void *userdata;
} ConnectionReader;

/* netlink_message_t, with a ConnectionReader. */
int connection_read(unsigned type, Bytes body, void *userdata);

/* Each established connection with this peer; may tell of an address again and again. Where the kernel cannot tell
 * there is none: nothing but where to look depends on it. */
int host_connections_each(const InternetAddress *peer, connection_t f, void *userdata);
