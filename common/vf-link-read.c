/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include "vf-link-read.h"

#define NOT_TOLD UINT32_MAX /* the kernel's -1 for what the driver has left out */

typedef struct OneFunction {
        bool numbered;
        uint32_t number;
        VfSettings now;
} OneFunction;

/* What is not of our range is as good as not told: no function of ours is to have it. */
static void give(OneFunction *one, VfSetting s, uint32_t value, uint32_t max) {
        if (value > max)
                return;
        one->now.values[s] = value;
        one->now.given |= 1U << s;
}

static void give_switch(OneFunction *one, VfSetting s, uint32_t value) {
        if (value != NOT_TOLD)
                give(one, s, value ? VF_SWITCH_ON : VF_SWITCH_OFF, VF_SWITCH_OFF);
}

/* Without a VLAN there is nothing for the two others to be of. */
static int take_vlan(unsigned type, Bytes value, void *userdata) {
        OneFunction *one = userdata;
        struct ifla_vf_vlan_info v;

        if (type != IFLA_VF_VLAN_INFO || vf_settings_has(&one->now, VF_VLAN))
                return 0;
        if (value.size < sizeof v)
                return -EBADMSG;
        memcpy(&v, value.data, sizeof v);

        give(one, VF_VLAN, v.vlan, VF_VLAN_MAX);
        give(one, VF_VLAN_QOS, v.vlan ? v.qos : 0, 7);
        if (v.vlan == 0 || be16toh(v.vlan_proto) == VF_PROTOCOL_8021Q)
                give(one, VF_VLAN_PROTOCOL, VF_PROTOCOL_8021Q, UINT32_MAX);
        else if (be16toh(v.vlan_proto) == VF_PROTOCOL_8021AD)
                give(one, VF_VLAN_PROTOCOL, VF_PROTOCOL_8021AD, UINT32_MAX);
        return 0;
}

static void take_mac(OneFunction *one, const uint8_t *mac) {
        static const uint8_t none[VF_MAC_LENGTH];

        if (memcmp(mac, none, sizeof none) != 0 && !vf_mac_is_unicast(mac))
                return;
        memcpy(one->now.mac, mac, VF_MAC_LENGTH);
        give(one, VF_MAC, 0, 0);
}

/* Begins with the number of the function, behind which come as many values as it has. */
static int take_attribute(unsigned type, Bytes value, void *userdata) {
        static const uint8_t sizes[] = {
                        [IFLA_VF_MAC] = 4 + VF_MAC_LENGTH,
                        [IFLA_VF_RATE] = sizeof(struct ifla_vf_rate),
                        [IFLA_VF_SPOOFCHK] = sizeof(struct ifla_vf_spoofchk),
                        [IFLA_VF_LINK_STATE] = sizeof(struct ifla_vf_link_state),
                        [IFLA_VF_TRUST] = sizeof(struct ifla_vf_trust),
                        [IFLA_VF_RSS_QUERY_EN] = sizeof(struct ifla_vf_rss_query_en),
        };
        OneFunction *one = userdata;
        uint32_t v[3] = {0};

        if (type == IFLA_VF_VLAN_LIST)
                return netlink_each_attribute(value, take_vlan, one);
        if (type >= ELEMENTSOF(sizes) || sizes[type] == 0)
                return 0;
        if (value.size < sizes[type])
                return -EBADMSG;
        memcpy(v, value.data, value.size < sizeof v ? value.size : sizeof v);
        if (one->numbered && one->number != v[0])
                return -EBADMSG;
        one->numbered = true;
        one->number = v[0];

        if (type == IFLA_VF_MAC)
                take_mac(one, value.data + 4);
        else if (type == IFLA_VF_RATE) {
                give(one, VF_MIN_RATE, v[1], VF_RATE_MAX);
                give(one, VF_MAX_RATE, v[2], VF_RATE_MAX);
        } else if (type == IFLA_VF_LINK_STATE)
                give(one, VF_LINK_STATE, v[1], VF_LINK_DISABLE);
        else
                give_switch(one,
                            type == IFLA_VF_SPOOFCHK ? VF_SPOOF_CHECKING
                            : type == IFLA_VF_TRUST  ? VF_TRUST
                                                     : VF_QUERY_RSS,
                            v[1]);
        return 0;
}

static int take_function(unsigned type, Bytes value, void *userdata) {
        const VfLinkReader *reader = userdata;
        OneFunction one = {0};
        int r;

        if (type != IFLA_VF_INFO)
                return 0;
        if ((r = netlink_each_attribute(value, take_attribute, &one)) < 0 || !one.numbered)
                return r;
        return reader->f(one.number, &one.now, reader->userdata);
}

static int take_list(unsigned type, Bytes value, void *userdata) {
        return type == IFLA_VFINFO_LIST ? netlink_each_attribute(value, take_function, userdata) : 0;
}

int vf_link_read(unsigned type, Bytes body, void *userdata) {
        VfLinkReader *reader = userdata;
        struct ifinfomsg link;

        assert(reader && reader->f);

        if (type != RTM_NEWLINK)
                return 0;
        if (body.size < sizeof link)
                return -EBADMSG;
        memcpy(&link, body.data, sizeof link);
        if (link.ifi_type != ARPHRD_ETHER)
                return 0;

        reader->up = link.ifi_flags & IFF_UP;
        reader->carrier = link.ifi_flags & IFF_LOWER_UP;
        return netlink_each_attribute((Bytes){body.data + sizeof link, body.size - sizeof link}, take_list,
                                      reader);
}
