/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads what rtnetlink(7) answers about a link and its virtual functions. */

#include "host-netlink.h"
#include "vf-link.h"

typedef struct VfLinkReader {
        vf_link_t f;
        void *userdata;
        bool up, carrier; /* of the link */
} VfLinkReader;

/* netlink_message_t, with a VfLinkReader. Links that are not Ethernet have no such settings. */
int vf_link_read(unsigned type, Bytes body, void *userdata);
