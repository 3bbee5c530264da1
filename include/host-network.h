/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which network interfaces carry the host's addresses and default routes, and lead to an address; from rtnetlink(7). */

#include <net/if.h>

#include "macro.h"

typedef enum NetworkUse {
        NETWORK_ADDRESS,
        NETWORK_DEFAULT_ROUTE,
} NetworkUse;

/* Called once per address (text: "192.0.2.7") and per default route (text: "IPv4" or "IPv6"). Non-zero stops. */
typedef int (*network_use_t)(const char *interface, NetworkUse use, const char *text, void *userdata);

/* Link-local IPv6 and loopback addresses do not count: every link has one. Default routes are looked for in all tables;
 * a VPN's two halves of one count, what refuses or drops packets does not. -ENONET: not even a loopback interface is
 * visible, so this is not the host's network and silence would prove nothing. */
int host_network_each(network_use_t f, void *userdata);

/* Called with each interface through which somebody's packets come and go ("192.0.2.9", "fe80::9%eth0",
 * "::ffff:192.0.2.9"): where he has TCP connections, those that have the host's addresses of these and to which the
 * routes from there lead; else those to which the routes lead. None: it is the host's own address.
 * -EINVAL: this is no address of somebody; -ENETUNREACH: the kernel knows no way there. */
typedef int (*network_interface_t)(const char *interface, void *userdata);
int host_network_route(const char *address, network_interface_t f, void *userdata);
