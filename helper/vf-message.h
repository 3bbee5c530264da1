/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Settings of one virtual function, written: RTM_SETLINK of rtnetlink(7). The kernel takes them in seven messages, some
 * of which carry several settings. Takes CAP_NET_ADMIN.
 */

#include "host-netlink.h"
#include "vf-settings.h"

typedef enum VfMessage {
        VF_MESSAGE_VLAN, /* with its protocol and priority */
        VF_MESSAGE_RATE, /* both */
        VF_MESSAGE_LINK_STATE,
        VF_MESSAGE_SPOOF_CHECKING,
        VF_MESSAGE_TRUST,
        VF_MESSAGE_QUERY_RSS,
        VF_MESSAGE_MAC,
        VF_MESSAGE_MAX,
} VfMessage;

/* Bits 1 << VfSetting. */
uint32_t vf_message_settings(VfMessage m) _const_;

/* All settings of the message are given in v, and no switch is "default". */
void vf_message_build(NetlinkRequest *q, VfMessage m, unsigned interface, unsigned vf, const VfSettings *v);

/* Sends it: 0, or what the kernel answered, with its own sentence ("" if it has none). */
#define VF_WHY_SIZE 160U
int vf_message_send(VfMessage m, unsigned interface, unsigned vf, const VfSettings *v,
                    char ret_why[static VF_WHY_SIZE]);
