/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which network interfaces carry the host's addresses and default routes, from rtnetlink(7). */

#include <net/if.h>

#include "macro.h"

typedef enum NetworkUse {
        NETWORK_ADDRESS,
        NETWORK_DEFAULT_ROUTE,
} NetworkUse;

/* Called once per address (text: "192.0.2.7") and per default route (text: "IPv4" or "IPv6"). Non-zero stops. */
typedef int (*network_use_t)(const char *interface, NetworkUse use, const char *text, void *userdata);

/* Link-local IPv6 and loopback addresses do not count: every link has one. -ENONET: not even a loopback
 * interface is visible, so this is not the host's network and silence would prove nothing. */
int host_network_each(network_use_t f, void *userdata);
