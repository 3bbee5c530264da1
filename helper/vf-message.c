/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <linux/rtnetlink.h>

#include "vf-message.h"

#define BIT(setting) (1U << (setting))

/* Those that are one setting have one form: the number of the function, and the value. */
static const struct {
        uint32_t settings;
        VfSetting setting;
        uint16_t attribute;
} messages[VF_MESSAGE_MAX] = {
                [VF_MESSAGE_VLAN] = {BIT(VF_VLAN) | BIT(VF_VLAN_PROTOCOL) | BIT(VF_VLAN_QOS)},
                [VF_MESSAGE_RATE] = {BIT(VF_MIN_RATE) | BIT(VF_MAX_RATE)},
                [VF_MESSAGE_LINK_STATE] = {BIT(VF_LINK_STATE), VF_LINK_STATE, IFLA_VF_LINK_STATE},
                [VF_MESSAGE_SPOOF_CHECKING] = {BIT(VF_SPOOF_CHECKING), VF_SPOOF_CHECKING, IFLA_VF_SPOOFCHK},
                [VF_MESSAGE_TRUST] = {BIT(VF_TRUST), VF_TRUST, IFLA_VF_TRUST},
                [VF_MESSAGE_QUERY_RSS] = {BIT(VF_QUERY_RSS), VF_QUERY_RSS, IFLA_VF_RSS_QUERY_EN},
                [VF_MESSAGE_MAC] = {BIT(VF_MAC)},
};

uint32_t vf_message_settings(VfMessage m) {
        return messages[m].settings;
}

static void add_vlan(NetlinkRequest *q, unsigned vf, const VfSettings *v) {
        const struct ifla_vf_vlan_info vlan = {.vf = vf,
                                               .vlan = v->values[VF_VLAN],
                                               .qos = v->values[VF_VLAN_QOS],
                                               .vlan_proto = htobe16((uint16_t)v->values[VF_VLAN_PROTOCOL])};
        size_t list = netlink_request_open(q, IFLA_VF_VLAN_LIST);

        netlink_request_add(q, IFLA_VF_VLAN_INFO, &vlan, sizeof vlan);
        netlink_request_close(q, list);
}

static void add_mac(NetlinkRequest *q, unsigned vf, const VfSettings *v) {
        struct ifla_vf_mac mac = {.vf = vf};

        memcpy(mac.mac, v->mac, VF_MAC_LENGTH);
        netlink_request_add(q, IFLA_VF_MAC, &mac, sizeof mac);
}

static void add_rate(NetlinkRequest *q, unsigned vf, const VfSettings *v) {
        const struct ifla_vf_rate rate = {.vf = vf,
                                          .min_tx_rate = v->values[VF_MIN_RATE],
                                          .max_tx_rate = v->values[VF_MAX_RATE]};

        netlink_request_add(q, IFLA_VF_RATE, &rate, sizeof rate);
}

static void add_value(NetlinkRequest *q, VfMessage m, unsigned vf, const VfSettings *v) {
        const VfSetting s = messages[m].setting;
        const uint32_t data[] = {vf, vf_setting_is_switch(s) ? v->values[s] == VF_SWITCH_ON : v->values[s]};

        assert(!vf_setting_is_switch(s) || v->values[s] != VF_SWITCH_DEFAULT);

        netlink_request_add(q, messages[m].attribute, data, sizeof data);
}

void vf_message_build(NetlinkRequest *q, VfMessage m, unsigned interface, unsigned vf, const VfSettings *v) {
        const struct ifinfomsg body = {.ifi_index = (int)interface};
        size_t list, function;

        assert(q);
        assert(v && (v->given & messages[m].settings) == messages[m].settings);

        netlink_request_init(q, RTM_SETLINK, NLM_F_ACK, &body, sizeof body);
        list = netlink_request_open(q, IFLA_VFINFO_LIST);
        function = netlink_request_open(q, IFLA_VF_INFO);
        if (m == VF_MESSAGE_VLAN)
                add_vlan(q, vf, v);
        else if (m == VF_MESSAGE_RATE)
                add_rate(q, vf, v);
        else if (m == VF_MESSAGE_MAC)
                add_mac(q, vf, v);
        else
                add_value(q, m, vf, v);
        netlink_request_close(q, function);
        netlink_request_close(q, list);
}

int vf_message_send(VfMessage m, unsigned interface, unsigned vf, const VfSettings *v,
                    char ret_why[static VF_WHY_SIZE]) {
        NetlinkRequest q;

        vf_message_build(&q, m, interface, vf, v);
        return netlink_change(NETLINK_ROUTE, &q, ret_why, VF_WHY_SIZE);
}
